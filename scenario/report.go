package scenario

import (
	"context"
	"fmt"
	"slices"
	"time"

	"prunella"
	"prunella/client"
)

// gather fills the report with what can be read only while the engine runs.
func (d *drill) gather(ctx context.Context) error {
	if d.world != nil {
		d.failed = d.world.Requests(d.injected)
		d.report.Requests = prunella.Requests{Total: d.failed.Total, Failed: d.failed.Failed, FailedAfterHeal: -1}
		if len(d.views) > 0 {
			if at := lastMutation(d.views[0].Runs); !at.IsZero() {
				d.afterHeal = d.world.Requests(at)
				d.report.Requests.FailedAfterHeal = d.afterHeal.Failed
			}
		}
	}
	for _, name := range []string{"errors.401", "baseline.401", "requests"} {
		points, err := d.api.Series(ctx, client.SeriesQuery{Name: name, From: d.injected.Add(-10 * time.Second), To: time.Now()})
		if err != nil {
			return fmt.Errorf("ask the engine for the series %s: %w", name, err)
		}
		d.report.Series = append(d.report.Series, points...)
	}
	if d.s.MessagesOnly() {
		return nil
	}
	if err := d.nameSkill(ctx); err != nil {
		return err
	}
	if len(d.views) == 0 {
		return nil
	}
	const page = 200
	v := d.views[0]
	first, err := d.api.Signals(ctx, v.Incident.ID, page, max(0, v.SignalsTotal-page))
	if err != nil {
		return fmt.Errorf("ask the engine for signals: %w", err)
	}
	d.report.Injected = firstWords(first.Signals)
	return nil
}

// firstWords is what each service said first, oldest first, at most one line a
// service and eight in all.
func firstWords(signals []prunella.Signal) []prunella.InjectedMsg {
	var out []prunella.InjectedMsg
	seen := map[string]bool{}
	signals = slices.Clone(signals)
	slices.SortStableFunc(signals, func(a, b prunella.Signal) int { return a.Time.Compare(b.Time) })
	for _, s := range signals {
		if s.Body == "" || seen[s.Service] || len(out) == 8 {
			continue
		}
		seen[s.Service] = true
		out = append(out, prunella.InjectedMsg{Monitor: s.Source, Service: s.Service, At: s.Time, Text: s.Body})
	}
	return out
}

// finish completes the report, judges it, and hands it to the engine.
func (d *drill) finish(ctx context.Context, failure error) {
	d.stage = "judge"
	rep := &d.report
	rep.Ended = time.Now().UTC()
	rep.Incidents = len(d.views)
	rep.Timings = prunella.Timings{Detected: -1, Opened: -1, Diagnosed: -1, Healed: -1, Verified: -1}
	rep.Remediation = nothing
	if len(d.views) > 0 {
		d.tell(d.views[0])
	}
	switch {
	case failure != nil:
		rep.Status, rep.Error = prunella.Errored, failure.Error()
	default:
		rep.Checks = d.judge()
		rep.Status = prunella.Passed
		for _, c := range rep.Checks {
			if c.Result != prunella.Passed {
				rep.Status = prunella.Failed
			}
		}
	}
	complete(rep)
	d.say("", "%s", rep.Status)
	if d.api != nil && ctx.Err() == nil {
		if err := d.api.PutReport(ctx, *rep); err != nil {
			d.say("", "the engine did not keep the report: %v", err)
		}
		if d.Linger != nil {
			d.Linger(ctx, *rep)
		}
	}
}

// complete makes every list of the report a list in JSON too.
func complete(r *prunella.Report) {
	for _, list := range []*[]string{&r.Conditions, &r.ServicesAffected, &r.Plan, &r.Escalations, &r.Cause.Kids, &r.Cause.Services, &r.Cause.Evidence, &r.Cause.Against} {
		fill(list)
	}
	fill(&r.Checks)
	fill(&r.Injected)
	fill(&r.Faults)
	fill(&r.Hypotheses)
	fill(&r.Steps)
	fill(&r.Timeline)
}

func fill[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

// tell copies the worst incident into the report.
func (d *drill) tell(v client.IncidentView) {
	rep, inc := &d.report, v.Incident
	rep.Incident, rep.Pattern, rep.PatternConfidence = inc.ID, inc.Pattern.Pattern, inc.Pattern.Confidence
	rep.Severity, rep.SeverityReason = inc.Severity, inc.SeverityReason.Text
	rep.SignalsLinked, rep.Monitors = v.SignalsTotal, len(inc.Monitors)
	rep.Cascade, rep.Hypotheses = inc.Cascade, inc.Causes
	rep.Verdict, rep.VerdictReason = inc.Verdict, inc.VerdictReason.Text
	rep.Remediation = remediation(v)
	rep.Timeline = v.Events
	for _, i := range inc.Impact {
		rep.ServicesAffected = append(rep.ServicesAffected, i.Service)
	}
	slices.Sort(rep.ServicesAffected)
	if len(inc.Causes) > 0 {
		rep.Cause = causeOf(inc.Causes[0])
	}
	for _, run := range v.Runs {
		for _, s := range run.Steps {
			if s.State == prunella.StepPlanned || s.State == prunella.StepSkipped {
				continue
			}
			rep.Steps = append(rep.Steps, prunella.ReportStep{Name: s.Name, Action: s.Action, Result: string(s.State),
				Output: orElse(s.Error, s.Output), Started: s.Started, Ended: s.Ended})
		}
	}
	if n := len(v.Runs); n > 0 {
		for _, s := range v.Runs[n-1].Steps {
			rep.Plan = append(rep.Plan, s.Name)
		}
	}
	for _, n := range v.Notifications {
		if n.Kind == "escalated" {
			rep.Escalations = append(rep.Escalations, n.To+": "+orElse(n.Reason.Text, n.Title))
		}
	}
	rep.Timings = d.timings(v)
}

func causeOf(c prunella.Cause) prunella.ReportCause {
	out := prunella.ReportCause{Service: c.Service, Fault: c.Fault, Confidence: c.Confidence, Summary: c.Summary, Kids: c.Kids, Services: c.Services}
	for _, e := range c.For {
		out.Evidence = append(out.Evidence, e.Text)
	}
	for _, e := range c.Against {
		out.Against = append(out.Against, e.Text)
	}
	return out
}

// timings are milliseconds since the first fault. Diagnosed is the first cause
// on the timeline, or the first state after diagnosing where no cause is told.
func (d *drill) timings(v client.IncidentView) prunella.Timings {
	inc := v.Incident
	ms := func(at time.Time) int64 {
		if at.IsZero() || d.injected.IsZero() {
			return -1
		}
		return max(0, at.Sub(d.injected).Milliseconds())
	}
	var diagnosed time.Time
	for _, e := range v.Events {
		if e.Kind == "cause" {
			diagnosed = e.At
			break
		}
	}
	if diagnosed.IsZero() {
		for _, state := range []prunella.State{prunella.AwaitingApproval, prunella.Healing, prunella.Escalated} {
			if at := inc.StateAt[state]; !at.IsZero() && (diagnosed.IsZero() || at.Before(diagnosed)) {
				diagnosed = at
			}
		}
	}
	t := prunella.Timings{Detected: ms(inc.DetectedAt), Opened: ms(inc.OpenedAt), Diagnosed: ms(diagnosed),
		Healed: ms(lastMutation(v.Runs)), Verified: -1}
	if inc.Verdict == prunella.Healed {
		t.Verified = ms(inc.ResolvedAt)
	}
	return t
}

// lastMutation is when the last step that changes the world was done.
func lastMutation(runs []prunella.Run) time.Time {
	var last time.Time
	for _, run := range runs {
		for _, s := range run.Steps {
			if s.Effect != prunella.Reads && s.State == prunella.StepDone && s.Ended.After(last) {
				last = s.Ended
			}
		}
	}
	return last
}

// executed is every step whose effect was begun.
func executed(runs []prunella.Run) []prunella.Step {
	var out []prunella.Step
	for _, run := range runs {
		for _, s := range run.Steps {
			if s.State != prunella.StepPlanned && s.State != prunella.StepSkipped {
				out = append(out, s)
			}
		}
	}
	return out
}

func remediation(v client.IncidentView) string {
	mutated := slices.ContainsFunc(executed(v.Runs), func(s prunella.Step) bool { return s.Effect != prunella.Reads })
	waits := slices.ContainsFunc(v.Runs, func(r prunella.Run) bool {
		return r.State == prunella.RunProposed && r.Policy.Allowed != prunella.AllowNothing
	})
	switch {
	case mutated && v.Incident.Verdict == prunella.Healed:
		if slices.ContainsFunc(v.Approvals, func(a prunella.Approval) bool { return a.Decision == "approved" }) {
			return approved
		}
		return autoHeal
	case !mutated && waits:
		return proposed
	case v.Incident.State == prunella.Escalated || !v.Incident.StateAt[prunella.Escalated].IsZero():
		return escalated
	}
	return nothing
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
