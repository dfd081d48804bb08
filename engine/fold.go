package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"prunella"
	"prunella/correlate"
	"prunella/match"
)

// fold turns one detection step into a Batch: match ─> correlate ─> store.
func (p *Pipeline) fold(ctx context.Context, step match.Step, signals []prunella.Signal, now time.Time) (Batch, error) {
	b := Batch{Linked: map[prunella.IncidentID][]prunella.Signal{}, Points: append(step.Points, canaryPoints(signals)...)}
	for _, s := range signals {
		switch s.Kind {
		case prunella.KindChange:
			b.Changes = append(b.Changes, s)
		case prunella.KindLog:
			b.Logs = append(b.Logs, s)
		}
	}
	open, err := p.store.OpenIncidents(ctx)
	if err != nil {
		return b, err
	}
	if len(step.Findings) == 0 && len(open) == 0 {
		clear(p.texts)
		return b, nil
	}
	healed, err := p.store.RecentlyResolved(ctx, now.Add(-p.cfg.Correlate.Recurrence))
	if err != nil {
		return b, err
	}
	drafts := map[prunella.IncidentID]*draft{}
	var order []prunella.IncidentID
	known := append(slices.Clone(open), healed...)
	for i := range known {
		drafts[known[i].ID] = &draft{inc: known[i], severity: known[i].Severity, over: over(known[i])}
		order = append(order, known[i].ID)
	}
	graph := p.graph()
	// A finding that would open an incident waits while others still join one:
	// what it belongs to may be named by the one after it.
	for waiting := step.Findings; len(waiting) > 0; {
		var apart []prunella.Finding
		for _, f := range waiting {
			d := p.assign(f, order, drafts, graph, now)
			if d.Do == correlate.Open {
				apart = append(apart, f)
				continue
			}
			p.metrics.Findings.WithLabelValues(f.Rule, d.Reason.Name).Inc()
			switch d.Do {
			case correlate.Reopen:
				drafts[d.Join].reopen(now, d.Reason)
				drafts[d.Join].take(f, d.Reason, graph)
			case correlate.Join:
				drafts[d.Join].take(f, d.Reason, graph)
			}
		}
		if len(apart) == len(waiting) { // nobody moved: the earliest begins an incident
			first := 0
			for i := range apart {
				if apart[i].Onset.Before(apart[first].Onset) {
					first = i
				}
			}
			f := apart[first]
			d := p.assign(f, order, drafts, graph, now)
			p.metrics.Findings.WithLabelValues(f.Rule, d.Reason.Name).Inc()
			inc := p.open(f, now)
			drafts[inc.ID] = &draft{inc: inc, fresh: true}
			order = append(order, inc.ID)
			drafts[inc.ID].take(f, d.Reason, graph)
			apart = slices.Delete(apart, first, first+1)
		}
		waiting = apart
	}
	for _, id := range order {
		dr := drafts[id]
		if dr.inc.State == prunella.Resolved {
			continue
		}
		if err := p.link(ctx, dr, step); err != nil {
			return b, err
		}
		if !dr.fresh && len(dr.findings) == 0 && len(dr.links) == 0 {
			continue
		}
		if err := p.judge(ctx, dr, graph, now); err != nil {
			return b, err
		}
		if len(dr.links) > 0 {
			b.Linked[id] = dr.links
		}
		b.Updates = append(b.Updates, dr.update(now))
		b.Notifications = append(b.Notifications, dr.notices(p.cfg.PublicURL, now)...)
	}
	for id := range p.texts {
		if drafts[id] == nil {
			delete(p.texts, id)
		}
	}
	return b, nil
}

// assign asks where a finding belongs among the incidents as they stand now.
func (p *Pipeline) assign(f prunella.Finding, order []prunella.IncidentID, drafts map[prunella.IncidentID]*draft, graph correlate.Graph, now time.Time) correlate.Decision {
	current := make([]prunella.Incident, 0, len(order))
	for _, id := range order {
		current = append(current, drafts[id].inc)
	}
	return correlate.Assign(f, current, graph, now, p.cfg.Correlate)
}

// draft is an incident with what this pass adds to it.
type draft struct {
	inc      prunella.Incident
	fresh    bool
	reopened bool
	severity prunella.Severity // before this pass
	over     bool              // before this pass every hit service was back to its quiet times
	findings []prunella.Finding
	links    []prunella.Signal
	events   []prunella.Event
}

// reopen takes a healed incident up again: the failure came back.
func (d *draft) reopen(now time.Time, why prunella.Reason) {
	d.reopened = true
	d.inc.State, d.inc.StateReason = prunella.Open, why
	d.inc.Recurrences++
	if d.inc.Verdict == prunella.Healed {
		d.inc.Verdict, d.inc.VerdictReason = prunella.NotHealed, prunella.Reason{Name: "recurred", Text: "it came back within the watch: " + why.Text}
	} else {
		d.inc.Verdict, d.inc.VerdictReason = "", prunella.Reason{}
	}
	d.inc.StateAt = map[prunella.State]time.Time{prunella.Open: now}
	d.inc.OpenedAt, d.inc.ResolvedAt, d.inc.DueAt = now, time.Time{}, time.Time{}
	d.events = append(d.events, prunella.Event{Incident: d.inc.ID, At: now, Kind: "state", Text: "reopened: " + why.Text, Reason: why})
}

func (p *Pipeline) open(f prunella.Finding, now time.Time) prunella.Incident {
	return prunella.Incident{ID: prunella.IncidentID(newID("inc")), Tenant: p.cfg.Inventory.Tenant, State: prunella.Open, StateReason: f.Reason, Severity: prunella.Low,
		Pattern: prunella.Match{Pattern: prunella.Unknown}, Onset: f.Onset, DetectedAt: f.Time, OpenedAt: now, UpdatedAt: now,
		StateAt: map[prunella.State]time.Time{prunella.Open: now}}
}

// take adds a finding to the incident.
func (d *draft) take(f prunella.Finding, why prunella.Reason, g correlate.Graph) {
	d.findings = append(d.findings, f)
	inc := &d.inc
	inc.Impact = slices.Clone(inc.Impact)
	at := slices.IndexFunc(inc.Impact, func(i prunella.Impact) bool { return i.Service == f.Service })
	if f.Rule == prunella.RuleRecovered {
		if at >= 0 && (f.Attrs["of"] == prunella.RuleErrorRate || inc.Impact[at].Total == 0) {
			inc.Impact[at].Share, inc.Impact[at].Rate, inc.Impact[at].Trend, inc.Impact[at].QuietSince = f.Share, 0, TrendRecovered, f.Time
		}
		return
	}
	if !f.Onset.IsZero() && f.Onset.Before(inc.Onset) {
		inc.Onset = f.Onset
	}
	inc.Monitors = insert(inc.Monitors, f.Source)
	for _, s := range f.Signals {
		inc.Monitors = insert(inc.Monitors, s.Source)
	}
	for _, t := range f.Tokens {
		inc.Tokens = remember(inc.Tokens, t)
	}
	inc.Statuses = insert(inc.Statuses, f.Status)
	inc.Live = inc.Live || f.Rule == prunella.RuleErrorRate || f.Rule == prunella.RuleProbe
	if f.Service == "" || f.Rule == prunella.RuleErrorLog && at < 0 {
		return // a line in a log says little about how a service is hit
	}
	if at < 0 {
		inc.Impact = append(inc.Impact, prunella.Impact{Service: f.Service, Since: f.Onset, Criticality: g.Criticality(f.Service)})
		at = len(inc.Impact) - 1
		d.events = append(d.events, prunella.Event{Incident: inc.ID, At: f.Time, Kind: "signal", Service: f.Service, Text: f.Reason.Text, Reason: why})
	}
	i := &inc.Impact[at]
	if f.Onset.Before(i.Since) {
		i.Since = f.Onset
	}
	switch {
	case f.Rule == prunella.RuleErrorRate:
		i.Share, i.Rate, i.Stated = f.Share, f.Value, false
		i.Trend = f.Attrs["trend"]
		i.Baseline, _ = strconv.ParseFloat(f.Attrs["baseline_share"], 64)
		i.Failed, i.Total = whole(f.Attrs["failed"]), whole(f.Attrs["total"])
	case f.Share > i.Share && i.Total == 0:
		i.Share, i.Stated = f.Share, true
	}
	i.Peak = max(i.Peak, i.Share)
	if f.Rule != prunella.RuleErrorLog {
		i.QuietSince = time.Time{}
		if i.Trend == TrendRecovered {
			i.Trend = "steady"
		}
	}
	sortImpact(inc.Impact)
}

// remember adds a token, within bounds. Of traces there are as many as requests;
// they give way to what says more.
func remember(list []string, token string) []string {
	if len(list) < maxTokens {
		return insert(list, token)
	}
	trace := func(t string) bool { return strings.HasPrefix(t, "trace:") }
	if at := slices.IndexFunc(list, trace); at >= 0 && !trace(token) && !slices.Contains(list, token) {
		return insert(slices.Delete(slices.Clone(list), at, at+1), token)
	}
	return list
}

func whole(s string) int {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return int(v)
}

func sortImpact(list []prunella.Impact) {
	slices.SortStableFunc(list, func(a, b prunella.Impact) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), strings.Compare(a.Service, b.Service))
	})
}

// link picks the signals that belong to the incident.
func (p *Pipeline) link(ctx context.Context, d *draft, step match.Step) error {
	id := d.inc.ID
	l := p.texts[id]
	from := step.Interesting
	if l == nil {
		l = &linked{seen: map[prunella.SignalID]bool{}}
		p.texts[id] = l
		if !d.fresh {
			stored, _, err := p.store.SignalsOf(ctx, id, maxLinked, 0)
			if err != nil {
				return err
			}
			for _, s := range stored {
				l.keep(s)
			}
		}
		from = p.recent
	}
	if len(d.findings) > 0 {
		from = p.recent // a service may have joined; its earlier signals belong too
		for _, f := range d.findings {
			from = append(from[:len(from):len(from)], f.Signals...)
		}
	}
	hit := map[string]bool{}
	for _, i := range d.inc.Impact {
		hit[i.Service] = true
	}
	tokens := map[string]bool{}
	for _, t := range d.inc.Tokens {
		tokens[t] = true
	}
	earliest := d.inc.Onset.Add(-p.cfg.Detect.Window)
	for _, s := range from {
		if len(l.seen) >= maxLinked || l.seen[s.ID] {
			continue
		}
		belongs := hit[s.Service] && s.Kind != prunella.KindChange && !s.Time.Before(earliest)
		if s.Kind == prunella.KindChange {
			belongs = s.Time.After(d.inc.Onset.Add(-p.cfg.Detect.ChangeWithin))
		}
		if kid := s.Attr(prunella.AttrKid); kid != "" && tokens["kid:"+kid] && !s.Time.Before(earliest) && s.Severity.Rank() >= prunella.Warning.Rank() {
			belongs = true
		}
		if !belongs {
			continue
		}
		l.keep(s)
		d.links = append(d.links, s)
		d.inc.Monitors = insert(d.inc.Monitors, s.Source)
		if s.Kind == prunella.KindChange {
			d.events = append(d.events, prunella.Event{Incident: id, At: s.Time, Kind: "change", Service: s.Service, Text: s.Body, Reason: prunella.Reason{Name: s.Name, Text: s.Body, Operands: s.Attributes}})
		}
	}
	return nil
}

func (l *linked) keep(s prunella.Signal) {
	l.seen[s.ID] = true
	if s.Kind == prunella.KindAlert && s.Attr(prunella.AttrAlertStatus) != "resolved" {
		l.alerts = append(l.alerts, s)
	}
	if s.Body != "" && s.Kind != prunella.KindChange && s.Kind != prunella.KindMetric {
		l.texts = append(l.texts, s)
		if len(l.texts) > maxTexts {
			l.texts = slices.Delete(l.texts, 0, len(l.texts)-maxTexts)
		}
	}
}

// update is what is written: the fields that the pipeline owns, laid over what
// the engine may have written meanwhile.
func (d *draft) update(now time.Time) Update {
	mine := d.inc
	u := Update{ID: mine.ID, Events: d.events}
	if d.fresh {
		u.Create = &mine
		u.Events = append([]prunella.Event{{Incident: mine.ID, At: now, Kind: "state", Text: "opened: " + mine.StateReason.Text, Reason: mine.StateReason}}, u.Events...)
	}
	reopened := d.reopened
	u.Apply = func(i *prunella.Incident) error {
		if i.State == prunella.Resolved && !reopened {
			return prunella.Errorf(prunella.Conflict, "incident %s was resolved meanwhile", i.ID) // the pass is decided anew
		}
		if reopened {
			if err := prunella.Transition(i.State, prunella.Open); err != nil {
				return err
			}
			i.State, i.StateReason, i.StateAt, i.Recurrences = mine.State, mine.StateReason, mine.StateAt, mine.Recurrences
			i.OpenedAt, i.ResolvedAt, i.DueAt, i.Verdict, i.VerdictReason = mine.OpenedAt, mine.ResolvedAt, mine.DueAt, mine.Verdict, mine.VerdictReason
		}
		if i.State == prunella.AwaitingApproval && len(mine.Impact) > len(i.Impact) {
			i.DueAt = time.Time{} // the plan that waits may not be for all of them
		}
		i.Title, i.Severity, i.SeverityReason = mine.Title, mine.Severity, mine.SeverityReason
		i.Onset, i.Impact, i.Monitors, i.Tokens = mine.Onset, mine.Impact, mine.Monitors, mine.Tokens
		i.Statuses, i.Cascade, i.Related, i.Live, i.UpdatedAt = mine.Statuses, mine.Cascade, mine.Related, mine.Live, now
		if i.State == prunella.Open || i.State == prunella.Diagnosing && len(i.Causes) == 0 {
			i.Pattern = mine.Pattern // once there is a cause, the diagnosis settles the pattern
		}
		return nil
	}
	return u
}

// canaryPoints are what the probes found, as series.
func canaryPoints(signals []prunella.Signal) []prunella.SeriesPoint {
	var out []prunella.SeriesPoint
	for _, s := range signals {
		if s.Kind != prunella.KindProbe || s.Name != "canary" || s.Service == "" {
			continue
		}
		name := SeriesCanaryUnknown
		switch s.Attr(prunella.AttrOutcome) {
		case "ok":
			name = SeriesCanaryOK
		case "refused":
			name = SeriesCanaryRefused
		}
		out = append(out, prunella.SeriesPoint{Service: s.Service, Name: name, At: s.Time, Value: 1})
	}
	return out
}

func insert(list []string, s string) []string {
	if s == "" {
		return list
	}
	i, found := slices.BinarySearch(list, s)
	if found {
		return list
	}
	return slices.Insert(slices.Clone(list), i, s)
}

// notices are what people must be told of this pass: a new incident, one that
// is back, and one that gets worse while a person holds it and the engine, which
// calls otherwise, leaves it alone.
func (d *draft) notices(url string, now time.Time) []prunella.Notification {
	held := !d.fresh && d.inc.State == prunella.Escalated
	switch {
	case d.fresh:
		return []prunella.Notification{notice(d.inc, "opened", "", "", url, now)}
	case d.reopened:
		return []prunella.Notification{notice(d.inc, "opened", "Back: ", fmt.Sprintf("/%d", d.inc.Recurrences), url, now)}
	case held && d.inc.Severity.Rank() > d.severity.Rank():
		return []prunella.Notification{notice(d.inc, "escalated", "Worse: ", fmt.Sprintf("/%d-%s", d.inc.Recurrences, d.inc.Severity), url, now)}
	case held && d.over && !over(d.inc):
		return []prunella.Notification{notice(d.inc, "escalated", "Back: ", "/"+now.UTC().Format("2006-01-02T15"), url, now)} // at most one an hour
	}
	return nil
}

// notice tells the person on call; mark tells notices of one kind apart.
func notice(inc prunella.Incident, kind, lead, mark, url string, now time.Time) prunella.Notification {
	text := summary(inc)
	if url != "" {
		text += "\n\n" + url + "/incidents/" + string(inc.ID)
	}
	return prunella.Notification{ID: fmt.Sprintf("%s/%s%s", inc.ID, kind, mark), Incident: inc.ID, To: "@oncall", Kind: kind, Severity: inc.Severity,
		Title: lead + strings.ToUpper(string(inc.Severity)) + ": " + inc.Title, Text: text, Reason: inc.StateReason, Created: now, NextTry: now}
}
