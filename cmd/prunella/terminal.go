package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"prunella"
	"prunella/scenario"
)

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != ""
}

const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (c *console) paint(style, s string) string {
	if !c.colour {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

// titles say what each stage of a run is for.
var titles = map[string]string{
	"world":  "Start a world",
	"engine": "Start the engine, which knows nothing of what comes",
	"steady": "Wait until everything is normal",
	"inject": "Break it",
	"watch":  "Watch what the engine makes of it",
	"hold":   "Keep the traffic running",
	"judge":  "Compare with what was expected",
}

// marks tell lines of the timeline apart at a glance.
var marks = map[string]struct{ sign, style string }{
	"fault": {"✗", red}, "change": {"Δ", yellow}, "severity": {"!", red}, "pattern": {"≈", cyan}, "cause": {"?", cyan},
	"approval": {"✋", yellow}, "step": {"▸", bold}, "state": {"→", bold}, "escalation": {"☎", yellow}, "verdict": {"✓", green}, "wait": {"…", dim},
}

// long is a run of what key ids are written with, from the length of an RFC 7638 thumbprint on.
var long = regexp.MustCompile(`[A-Za-z0-9_-]{43,}`)

// brief shortens the thumbprints in a sentence, which are too long to be read in passing.
func brief(text string) string {
	return long.ReplaceAllStringFunc(text, func(id string) string {
		if len(id) > 43 {
			return id
		}
		return id[:8] + "…"
	})
}

// utc is a time as everything else here says it, whatever the zone of the terminal.
func utc(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

// longest is how much of one text a line of progress shows.
const longest = 400

// narrator prints progress: a heading for each stage, a line for each thing
// that was just seen or decided, with the time since the start. What is said
// twice is shown once. On a terminal a line of waiting gives way to the next.
func (c *console) narrator() func(scenario.Progress) {
	stage, said, open := "", "", false
	return func(p scenario.Progress) {
		text := brief(strings.Join(strings.Fields(p.Text), " "))
		if r := []rune(text); len(r) > longest {
			text = string(r[:longest-1]) + "…"
		}
		waits := p.Kind == "wait"
		if text == said || waits && !c.tty && p.Stage == stage {
			return
		}
		if open {
			fmt.Fprint(c.err, "\r\x1b[K")
			open = false
		}
		if p.Stage != stage {
			stage = p.Stage
			fmt.Fprintf(c.err, "\n%s\n", c.paint(bold, titles[p.Stage]))
		}
		said = text
		m, ok := marks[p.Kind]
		if !ok {
			m.sign, m.style = "·", dim
		}
		fmt.Fprintf(c.err, "  %s %s ", c.paint(dim, fmt.Sprintf("%6.1f s", p.Elapsed.Seconds())), c.paint(m.style, m.sign))
		if waits && c.tty {
			fmt.Fprint(c.err, wrap(text, 1000, 0))
			open = true
			return
		}
		fmt.Fprintln(c.err, wrap(text, 92, 13))
	}
}

// wrap breaks a text at width, with later lines indented.
func wrap(s string, width, indent int) string {
	var b strings.Builder
	col := 0
	for i, word := range strings.Fields(s) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case col+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			col = 0
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += n
	}
	return b.String()
}

// summary prints a report in a screen.
func (c *console) summary(w io.Writer, r prunella.Report) {
	style := map[prunella.Result]string{prunella.Passed: green, prunella.Failed: red, prunella.Errored: yellow}
	fmt.Fprintf(w, "\n%s  %s\n", c.paint(style[r.Status]+";1", string(r.Status)), c.paint(bold, r.Title))
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %s %s\n", c.paint(dim, fmt.Sprintf("%-11s", name)), wrap(fmt.Sprintf(format, args...), 88, 14))
	}
	if r.Error != "" {
		row("error", "%s", r.Error)
	}
	if r.Pattern != "" {
		row("pattern", "%s (%.0f %%)", r.Pattern, 100*r.PatternConfidence)
		row("severity", "%s: %s", r.Severity, r.SeverityReason)
		row("cause", "%s in %s (%.0f %%). %s", r.Cause.Fault, orDash(r.Cause.Service), 100*r.Cause.Confidence, brief(r.Cause.Summary))
		row("signals", "%d, from %d monitors; incidents: %d", r.SignalsLinked, r.Monitors, r.Incidents)
		row("remedy", "%s, %d steps, verdict %s", r.Remediation, len(r.Steps), orDash(string(r.Verdict)))
		row("times", "detected %s, opened %s, diagnosed %s, healed %s, verified %s after the fault",
			ms(r.Timings.Detected), ms(r.Timings.Opened), ms(r.Timings.Diagnosed), ms(r.Timings.Healed), ms(r.Timings.Verified))
	}
	if r.Requests.Total > 0 {
		after := "nothing was healed"
		if r.Requests.FailedAfterHeal >= 0 {
			after = fmt.Sprintf("%d after the heal", r.Requests.FailedAfterHeal)
		}
		row("requests", "%d, of which %d failed, %s", r.Requests.Total, r.Requests.Failed, after)
	}
	passed := 0
	for _, check := range r.Checks {
		if check.Result == prunella.Passed {
			passed++
			continue
		}
		note := ""
		if check.Note != "" {
			note = " (" + check.Note + ")"
		}
		fmt.Fprintf(w, "  %s %s: expected %s, got %s%s\n", c.paint(red, "✗"), check.Name, check.Expected, check.Actual, note)
	}
	row("checks", "%d of %d hold", passed, len(r.Checks))
	row("seed", "%d (again with --seed %d)", r.Seed, r.Seed)
}

func ms(v int64) string {
	if v < 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f s", (time.Duration(v) * time.Millisecond).Seconds())
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
