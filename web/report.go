package web

import (
	"bytes"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// reportPage is a scenario's result, arranged for reading and for print.
type reportPage struct {
	R          prunella.Report
	Plot       plot
	Passed     int
	Heal       string // "Auto-heal" …
	Again      string // command that runs it again
	Took       time.Duration
	Stages     []timing
	Hypotheses []prunella.Cause // besides the best
}

// timing is one of the milestones, measured from the injection of the fault.
type timing struct {
	Name   string
	Millis int64
}

var remediationWords = map[string]string{
	"auto-heal": "Auto-heal", "approved": "Healed after approval", "proposed": "Proposed, not run", "escalated": "Escalated to a person", "none": "None needed",
}

func reportOf(r prunella.Report) reportPage {
	p := reportPage{R: r, Heal: remediationWords[r.Remediation], Took: r.Ended.Sub(r.Started), Again: "prunella scenario run " + quoted(r.Scenario) + " --seed " + strconv.FormatInt(r.Seed, 10)}
	for _, kv := range pairs(r.Params) {
		p.Again += " --set " + quoted(kv.Key+"="+kv.Value)
	}
	if p.Heal == "" {
		p.Heal = r.Remediation
	}
	for _, c := range r.Checks {
		if c.Result == prunella.Passed {
			p.Passed++
		}
	}
	p.Stages = []timing{{"Detected", r.Timings.Detected}, {"Opened", r.Timings.Opened}, {"Diagnosed", r.Timings.Diagnosed}, {"Healed", r.Timings.Healed}, {"Verified", r.Timings.Verified}}
	if len(r.Hypotheses) > 1 {
		p.Hypotheses = r.Hypotheses[1:]
	}
	p.Plot = reportPlot(r)
	return p
}

// quoted is s as one word of a shell command: a report may come from anybody,
// and its command is there to be pasted.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.,:/=@%+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func reportPlot(r prunella.Report) plot {
	if len(r.Series) == 0 {
		return plot{Empty: "This scenario gave messages only; there was no traffic to measure."}
	}
	from, to := r.Series[0].At, r.Series[0].At
	for _, s := range r.Series {
		if s.At.Before(from) {
			from = s.At
		}
		if s.At.After(to) {
			to = s.At
		}
	}
	var marks []plotMark
	for _, f := range r.Faults {
		marks = append(marks, plotMark{At: f.At, Sign: "∆", Class: "change", Text: "fault injected: " + f.Fault})
	}
	for i, st := range r.Steps {
		if st.Result == string(prunella.StepSkipped) || st.Started.IsZero() {
			continue
		}
		marks = append(marks, plotMark{At: st.Started, Sign: strconv.Itoa(i + 1), Class: "action", Text: st.Name})
	}
	if len(r.Faults) > 0 && r.Timings.Verified >= 0 && r.Verdict == prunella.Healed {
		marks = append(marks, plotMark{At: r.Faults[0].At.Add(time.Duration(r.Timings.Verified) * time.Millisecond), Sign: "✓", Class: "resolved", Text: "verified"})
	}
	if shortest := from.Add(time.Second); to.Before(shortest) {
		to = shortest
	}
	return ratePlot(r.Series, nil, from, to, marks)
}

// RenderReport writes a report as HTML: one complete file that needs nothing
// else when standalone, otherwise only the report's own element, for a page
// that has the styles.
func RenderReport(w io.Writer, r prunella.Report, standalone bool) error {
	render := newRenderer()
	layout := "body"
	if standalone {
		layout = "standalone"
	}
	var out bytes.Buffer
	err := render.execute(&out, "report", layout, struct {
		frame
		CSS template.CSS
	}{frame{view: view{Title: r.Title, Body: reportOf(r)}, Now: time.Now(), Version: r.Version}, template.CSS(render.css)})
	if err != nil {
		return err
	}
	_, err = w.Write(out.Bytes())
	return err
}
