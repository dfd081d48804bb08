package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// sheet gathers checks, expected beside actual.
type sheet struct {
	checks []prunella.ReportCheck
	faults []prunella.FaultRecord
}

func (s *sheet) add(name, expected, actual string, ok bool) {
	s.checks = append(s.checks, prunella.ReportCheck{Name: name, Expected: expected, Actual: actual, Result: tern(ok, prunella.Passed, prunella.Failed)})
}

// note says more about the check added last.
func (s *sheet) note(texts ...string) { s.checks[len(s.checks)-1].Note = strings.Join(texts, "; ") }

// unseen is a check that could not be made, which counts as failed.
func (s *sheet) unseen(name, expected, why string) {
	s.checks = append(s.checks, prunella.ReportCheck{Name: name, Expected: expected, Actual: "not observed", Result: prunella.Failed, Note: why})
}

// oneOf compares with alternatives.
func (s *sheet) oneOf(name string, allowed []string, actual string) {
	if allowed != nil {
		s.add(name, strings.Join(allowed, " or "), orElse(actual, "none"), slices.Contains(allowed, orElse(actual, "none")))
	}
}

// expand replaces ${fault.…} by the fact of the last fault that has it; a list
// fact makes several items. ok is false when no fault has it.
func (s *sheet) expand(items []string) (out []string, ok bool) {
	ok = true
	for _, item := range items {
		refers := false
		text := reference.ReplaceAllStringFunc(item, func(ref string) string {
			refers = true
			v, found := s.fact(strings.TrimPrefix(ref[2:len(ref)-1], "fault."))
			if !found {
				ok = false
				return ref
			}
			return v
		})
		if !refers {
			out = append(out, text)
			continue
		}
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out, ok
}

func (s *sheet) fact(name string) (string, bool) {
	for _, f := range slices.Backward(s.faults) {
		if v, ok := f.Params[name]; ok {
			return v, true
		}
	}
	return "", false
}

// compare expands expected and hands it to holds.
func (s *sheet) compare(name string, expected, actual []string, words string, holds func(expected []string) bool) {
	if expected == nil {
		return
	}
	want, ok := s.expand(expected)
	if !ok {
		s.unseen(name, strings.Join(want, ", "), "no injected fault tells this")
		return
	}
	s.add(name, words+orElse(strings.Join(want, ", "), "(none)"), orElse(strings.Join(actual, ", "), "none"), holds(want))
}

// same compares as sets.
func (s *sheet) same(name string, expected, actual []string) {
	s.compare(name, expected, actual, "", func(want []string) bool {
		a, b := slices.Clone(want), slices.Clone(actual)
		slices.Sort(a)
		slices.Sort(b)
		return slices.Equal(slices.Compact(a), slices.Compact(b))
	})
}

// holdsAll reports whether each expected item is among the actual ones.
func (s *sheet) holdsAll(name string, expected, actual []string) {
	s.compare(name, expected, actual, "at least ", func(want []string) bool {
		return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(actual, w) })
	})
}

// judge compares what was expected with what is in the report and the views.
func (d *drill) judge() []prunella.ReportCheck {
	s := &sheet{faults: d.report.Faults, checks: []prunella.ReportCheck{}}
	e, rep := d.s.Expect, &d.report
	if d.timedOut {
		state := "no incident"
		if len(d.views) > 0 {
			state = string(d.views[0].Incident.State)
		}
		s.add("settled", "within "+span(d.s.Watch.Bound), state, false)
		d.noteStood(s)
	}
	if e.Incidents != nil {
		s.add("incidents", e.Incidents.String(), strconv.Itoa(len(d.views)), e.Incidents.holds(len(d.views)))
		if len(d.views) > 1 {
			var titles []string
			for _, v := range d.views[1:] {
				titles = append(titles, fmt.Sprintf("%s (%s, opened %s)", v.Incident.Title, v.Incident.State, clock(v.Incident.OpenedAt)))
			}
			s.note("besides the worst: " + strings.Join(titles, "; "))
		}
	}
	seen := len(d.views) > 0
	pattern, severity, verdict := rep.Pattern, string(rep.Severity), string(rep.Verdict)
	if !seen {
		pattern, severity = "no incident", "no incident"
	}
	s.oneOf("pattern", e.Pattern, pattern)
	if seen {
		s.oneOf("skill", e.Skill, string(d.views[0].Incident.Pattern.Skill))
	} else {
		s.oneOf("skill", e.Skill, "no incident")
	}
	s.oneOf("severity", e.Severity, severity)
	if e.Correlation != nil {
		d.judgeCorrelation(s, *e.Correlation)
	}
	if e.Cascade != nil {
		d.judgeCascade(s, *e.Cascade)
	}
	if e.Cause != nil {
		judgeCause(s, *e.Cause, rep.Cause)
	}
	s.oneOf("remediation", e.Remediation, rep.Remediation)
	s.oneOf("verdict", e.Verdict, verdict)
	d.judgeSteps(s)
	for _, f := range e.Facts {
		if got, ok := s.fact(f.Name); ok {
			var list []string
			for part := range strings.SplitSeq(got, ",") {
				list = append(list, strings.TrimSpace(part))
			}
			s.same("facts."+f.Name, f.Is, list)
		} else {
			s.unseen("facts."+f.Name, strings.Join(f.Is, ", "), "no injected fault tells this")
		}
	}
	if e.FailedMax != nil {
		s.add("requests.failed", fmt.Sprintf("at most %d", *e.FailedMax), fmt.Sprintf("%d of %d", rep.Requests.Failed, rep.Requests.Total),
			rep.Requests.Total > 0 && rep.Requests.Failed <= *e.FailedMax)
		s.note(d.failed.Said...)
	}
	s.compare("requests.unharmed", e.Unharmed, d.failed.Refused, "no customer refused by ", func(want []string) bool {
		return d.failed.Total > 0 && !slices.ContainsFunc(want, func(name string) bool { return slices.Contains(d.failed.Refused, name) })
	})
	for _, b := range e.Within {
		judgeBound(s, b, rep.Timings)
		d.noteStood(s)
	}
	if e.Failed != nil {
		switch n := rep.Requests.FailedAfterHeal; {
		case n < 0:
			s.unseen("requests.failed-after-heal", strconv.Itoa(*e.Failed), "nothing was healed")
		default:
			s.add("requests.failed-after-heal", "at most "+strconv.Itoa(*e.Failed), strconv.Itoa(n), n <= *e.Failed)
			s.note(d.afterHeal.Said...)
		}
	}
	if e.EscalatedTo != nil {
		var to []string
		for _, v := range d.views {
			for _, n := range v.Notifications {
				if n.Kind == "escalated" && !slices.Contains(to, n.To) {
					to = append(to, n.To)
				}
			}
		}
		s.holdsAll("escalated-to", e.EscalatedTo, to)
	}
	d.judgeAfter(s)
	return s.checks
}

func (r Range) String() string {
	switch {
	case r.Max < 0:
		return fmt.Sprintf("at least %d", r.Min)
	case r.Min == r.Max:
		return strconv.Itoa(r.Min)
	}
	return fmt.Sprintf("%d to %d", r.Min, r.Max)
}

func (r Range) holds(n int) bool { return n >= r.Min && (r.Max < 0 || n <= r.Max) }

func (d *drill) judgeCorrelation(s *sheet, c Correlation) {
	if c.LinkedMin != nil {
		s.add("correlation.linked", fmt.Sprintf("at least %d", *c.LinkedMin), strconv.Itoa(d.report.SignalsLinked), d.report.SignalsLinked >= *c.LinkedMin)
	}
	if c.MonitorsMin != nil {
		s.add("correlation.monitors", fmt.Sprintf("at least %d", *c.MonitorsMin), strconv.Itoa(d.report.Monitors), d.report.Monitors >= *c.MonitorsMin)
	}
	if c.OneIncident != nil {
		s.add("correlation.one-incident", tern(*c.OneIncident, "one incident", "more or none"), count(len(d.views), "incident"), *c.OneIncident == (len(d.views) == 1))
	}
}

func (d *drill) judgeCascade(s *sheet, c Cascade) {
	got := d.report.Cascade
	if c.Escalating != nil {
		if len(d.views) == 0 {
			s.unseen("cascade.escalating", yes(*c.Escalating), "there is no incident")
		} else {
			s.add("cascade.escalating", yes(*c.Escalating), yes(got.Escalating), *c.Escalating == got.Escalating)
		}
	}
	s.same("cascade.hit", c.Hit, got.Hit)
	var next []string
	for _, n := range got.Next {
		next = append(next, n.Service)
	}
	s.holdsAll("cascade.next", c.Next, next)
	if c.FullAt != nil {
		want := fmt.Sprintf("%s after the fault, ±%.0f %%", span(c.FullAt.After), 100*c.FullAt.Tolerance)
		if got.FullAt.IsZero() {
			s.unseen("cascade.full-at", want, "no time was forecast")
			return
		}
		after := got.FullAt.Sub(d.injected)
		off := (after - c.FullAt.After).Abs()
		s.add("cascade.full-at", want, span(after.Round(time.Second)), float64(off) <= c.FullAt.Tolerance*float64(c.FullAt.After))
	}
}

func judgeCause(s *sheet, c Cause, got prunella.ReportCause) {
	s.oneOf("cause.fault", c.Fault, string(got.Fault))
	if c.Not != nil {
		s.add("cause.fault-is-not", "not "+strings.Join(c.Not, " nor "), orElse(string(got.Fault), "none"), got.Fault != "" && !slices.Contains(c.Not, string(got.Fault)))
	}
	if c.Service != "" {
		s.same("cause.service", []string{c.Service}, []string{got.Service})
	}
	s.same("cause.services", c.Services, got.Services)
	s.holdsAll("cause.kids", c.Kids, got.Kids)
	if c.ConfidenceMin != nil {
		s.add("cause.confidence", fmt.Sprintf("at least %.2f", *c.ConfidenceMin), fmt.Sprintf("%.2f", got.Confidence), got.Confidence >= *c.ConfidenceMin)
	}
	lines := append([]string{got.Summary}, got.Evidence...)
	for _, want := range c.Evidence {
		expanded, ok := s.expand([]string{want})
		if !ok || len(expanded) == 0 {
			s.unseen("cause.evidence", want, "no injected fault tells this")
			continue
		}
		for _, part := range expanded {
			found := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(strings.ToLower(line), strings.ToLower(part)) })
			actual := "no such line"
			if found >= 0 {
				actual = lines[found]
			}
			s.add("cause.evidence", "a line with “"+part+"”", actual, found >= 0)
		}
	}
}

// judgeSteps looks at every run of every incident.
func (d *drill) judgeSteps(s *sheet) {
	var names []string
	var ran []prunella.Step
	for _, v := range d.views {
		for _, step := range executed(v.Runs) {
			ran = append(ran, step)
			if !slices.Contains(names, step.Action) {
				names = append(names, step.Action)
			}
		}
	}
	all := orElse(strings.Join(names, ", "), "none")
	some := func(pattern string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return actionMatches(pattern, n) })
	}
	if want := d.s.Expect.Steps; want != nil {
		for _, a := range want.Includes {
			s.add("steps.includes", a, all, some(a))
		}
		for _, a := range want.Excludes {
			s.add("steps.excludes", "no "+a, all, !some(a))
		}
	}
	for _, n := range d.s.Expect.Never {
		if n.Action != "" {
			s.add("never", "no "+n.Action, all, !some(n.Action))
			continue
		}
		var bad []string
		for _, step := range ran {
			if step.Effect == prunella.Irreversible || n.Effect == "mutating" && step.Effect != prunella.Reads {
				bad = append(bad, step.Action)
			}
		}
		s.add("never", "no "+n.Effect+" step", orElse(strings.Join(bad, ", "), "none"), len(bad) == 0)
	}
}

// noteStood says at a bound that was missed for how long the run itself did not
// get its turn, so that a machine that was held up can be told from an engine
// that is slow. It excuses nothing.
func (d *drill) noteStood(s *sheet) {
	if c := &s.checks[len(s.checks)-1]; c.Result == prunella.Failed && d.stood > 0 {
		c.Note = strings.TrimPrefix(c.Note+"; ", "; ") + "the run itself stood still for " + span(d.stood) + ": the machine was stopped or is overloaded"
	}
}

func judgeBound(s *sheet, b Bound, t prunella.Timings) {
	took := map[string]int64{"detected": t.Detected, "opened": t.Opened, "diagnosed": t.Diagnosed, "healed": t.Healed, "verified": t.Verified}[b.Stage]
	if took < 0 {
		s.unseen("within."+b.Stage, "within "+span(b.Max), "it never came")
		return
	}
	d := time.Duration(took) * time.Millisecond
	s.add("within."+b.Stage, "within "+span(b.Max), span(d), d <= b.Max)
}

func (d *drill) judgeAfter(s *sheet) {
	a := d.s.After
	if a.empty() {
		return
	}
	if !d.end.looked {
		s.unseen("after", "the steady state again", "the run ended before")
		return
	}
	if a.FailingMax != nil {
		want := fmt.Sprintf("at most %.1f %%", 100**a.FailingMax)
		if d.end.failing.Total == 0 {
			s.unseen("after.failing-share", want, "no client called")
		} else {
			s.add("after.failing-share", want, fmt.Sprintf("%.1f %% of %d calls", 100*d.end.failing.Share(), d.end.failing.Total), d.end.failing.Share() <= *a.FailingMax)
			s.note(d.end.failing.Said...)
		}
	}
	if a.OpenIncidents != nil {
		s.add("after.open-incidents", "at most "+strconv.Itoa(*a.OpenIncidents), strconv.Itoa(d.end.open), d.end.open <= *a.OpenIncidents)
	}
	if a.Canaries != nil {
		ok, lacks := canariesPass(d.world.Inventory(), d.end.keys)
		s.add("after.canaries", tern(*a.Canaries, "accepted by every service", "refused somewhere"), orElse(lacks, "accepted by every service"), ok == *a.Canaries)
	}
	for _, t := range a.Trust {
		d.judgeTrust(s, t)
	}
}

func (d *drill) judgeTrust(s *sheet, t TrustRule) {
	kids, ok := s.expand([]string{t.Kid})
	services, known := s.expand(t.Services)
	if t.Services == nil {
		for _, v := range d.world.Inventory().Services {
			services = append(services, v.Name)
		}
	}
	if !ok || !known || len(kids) == 0 {
		s.unseen("after.trust", t.Kid, "no injected fault tells this")
		return
	}
	for _, kid := range kids {
		var lacking []string
		for _, service := range services {
			if trust := trustOf(d.end.keys, service, kid); trust != prunella.Trusts {
				lacking = append(lacking, service+" "+string(trust))
			}
		}
		s.add("after.trust", fmt.Sprintf("%s trusted by %s", kid, tern(t.Services == nil, "all", strings.Join(services, ", "))),
			orElse(strings.Join(lacking, ", "), "trusted by each"), len(lacking) == 0)
	}
}

func yes(b bool) string { return tern(b, "yes", "no") }
