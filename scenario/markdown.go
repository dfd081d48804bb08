package scenario

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// WriteMarkdown writes reports one below the other, each with everything that
// its page shows except the plot.
func WriteMarkdown(w io.Writer, reports []prunella.Report) error {
	b := bufio.NewWriter(w)
	for i, r := range reports {
		if i > 0 {
			fmt.Fprint(b, "\n---\n\n")
		}
		markdown(b, r)
	}
	return b.Flush()
}

func markdown(w *bufio.Writer, r prunella.Report) {
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	list := func(title string, items []string) {
		if len(items) == 0 {
			return
		}
		p("\n## %s\n", title)
		for _, item := range items {
			p("- %s", line(item))
		}
	}
	p("# %s: %s\n", r.Status, line(r.Title))
	p("`%s/%s` · test `%s` · seed %d · engine %s · %s\n", r.Category, r.Scenario, r.ID, r.Seed, orElse(r.Version, "unknown"), r.Started.UTC().Format(time.RFC3339))
	if r.Error != "" {
		p("**%s**\n", line(r.Error))
	}
	p("%s", strings.TrimSpace(r.Description))
	if len(r.Checks) > 0 {
		p("\n## Expected beside actual\n")
		p("| check | expected | actual | result |\n|---|---|---|---|")
		for _, c := range r.Checks {
			actual := c.Actual
			if c.Note != "" {
				actual += " (" + c.Note + ")"
			}
			p("| %s | %s | %s | %s |", cell(c.Name), cell(c.Expected), cell(actual), c.Result)
		}
	}
	p("\n## What was seen\n")
	p("| | |\n|---|---|")
	p("| pattern | %s, confidence %.0f %% |", cell(orElse(r.Pattern, "no incident")), 100*r.PatternConfidence)
	p("| severity | %s |", cell(strings.TrimSuffix(orElse(string(r.Severity), "none")+": "+r.SeverityReason, ": ")))
	p("| services affected | %s |", cell(orElse(strings.Join(r.ServicesAffected, ", "), "none")))
	p("| signals linked | %d from %s, %s |", r.SignalsLinked, count(r.Monitors, "monitor"), count(r.Incidents, "incident"))
	p("| remediation | %s |", r.Remediation)
	p("| verdict | %s |", cell(strings.TrimSuffix(orElse(string(r.Verdict), "none")+": "+r.VerdictReason, ": ")))
	p("| detected, opened, diagnosed, healed, verified | %s |", Stages(r.Timings))
	p("| requests | %d, failed %d, failed after the heal %s |", r.Requests.Total, r.Requests.Failed, tern(r.Requests.FailedAfterHeal < 0, "–", fmt.Sprint(r.Requests.FailedAfterHeal)))
	conditions := slices.Clone(r.Conditions)
	for _, k := range slices.Sorted(maps.Keys(r.Params)) {
		conditions = append(conditions, k+" = "+r.Params[k])
	}
	list("Conditions", conditions)
	var broken, said, steps, timeline []string
	for _, f := range r.Faults {
		broken = append(broken, fmt.Sprintf("%s at %s: %s", f.Fault, clock(f.At), f.Proof))
	}
	list("What was broken", broken)
	for _, m := range r.Injected {
		said = append(said, fmt.Sprintf("%s **%s** %s: %s", clock(m.At), orElse(m.Monitor, "?"), m.Service, m.Text))
	}
	list("What monitors said first", said)
	if r.Cause.Fault != "" {
		p("\n## Cause\n\n**%s** in %s, confidence %.0f %%. %s", r.Cause.Fault, orElse(r.Cause.Service, "?"), 100*r.Cause.Confidence, line(r.Cause.Summary))
		list("Evidence for it", r.Cause.Evidence)
		list("Evidence against it", r.Cause.Against)
	}
	list("Plan", r.Plan)
	for _, s := range r.Steps {
		steps = append(steps, fmt.Sprintf("%s %s (`%s`): %s, %s", clock(s.Started), s.Name, s.Action, s.Result, span(s.Ended.Sub(s.Started))))
	}
	list("Steps as they ran", steps)
	list("Escalations", r.Escalations)
	for _, e := range r.Timeline {
		timeline = append(timeline, fmt.Sprintf("%s %s: %s", clock(e.At), e.Kind, e.Text))
	}
	list("Timeline", timeline)
}

// Stages writes the timings in their order, "–" for what never came.
func Stages(t prunella.Timings) string {
	var out []string
	for _, v := range []int64{t.Detected, t.Opened, t.Diagnosed, t.Healed, t.Verified} {
		out = append(out, tern(v < 0, "–", fmt.Sprintf("%.2f s", float64(v)/1000)))
	}
	return strings.Join(out, ", ")
}

// count says "1 incident", "2 incidents".
func count(n int, one string) string { return fmt.Sprintf("%d %s%s", n, one, tern(n == 1, "", "s")) }

// span says a length of time: "0.48 s", "59 min 30 s", "1 h".
func span(d time.Duration) string {
	if d < time.Minute {
		return strconv.FormatFloat(math.Round(d.Seconds()*100)/100, 'f', -1, 64) + " s"
	}
	var parts []string
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / u.unit; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, u.name))
			d -= n * u.unit
		}
	}
	return strings.Join(parts, " ")
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// line folds white space, so that a text stays in its line, and drops control characters.
func line(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }

func cell(s string) string { return strings.ReplaceAll(line(s), "|", "\\|") }
