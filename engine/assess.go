package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/correlate"
	"prunella/match"
)

// judge brings severity, cascade, pattern, title and relations of a draft up to
// date with what this pass added.
func (p *Pipeline) judge(ctx context.Context, d *draft, graph correlate.Graph, now time.Time) error {
	inc := &d.inc
	l := p.texts[inc.ID]
	texts := p.detector.Group(l.texts)
	state(inc, correlate.StatedImpacts(texts, graph.Services()), graph)
	changes := p.detector.RecentChanges(inc.Onset)

	in := correlate.CascadeInput{Impacts: inc.Impact, Graph: graph, Onset: inc.Onset, Now: now, Over: over(*inc)}
	stated, of := correlate.StatedBreadth(texts)
	in.StatedHit = stated
	in.Change = signerChange(changes, inc.Onset)
	sets, err := p.store.KeySets(ctx)
	if err != nil {
		return err
	}
	cells, err := p.store.Trust(ctx)
	if err != nil {
		return err
	}
	for _, set := range sets {
		if in.Change != nil && in.Change.Service != set.Issuer {
			continue
		}
		in.TokenLifetime = max(in.TokenLifetime, set.TokenLifetime)
		for _, c := range cells {
			if c.Issuer == set.Issuer && c.Kid == set.Signer && c.Trust == prunella.Rejects {
				in.Lacking = insert(in.Lacking, c.Service)
			}
		}
	}
	l.note(*inc, now)
	in.History = l.shares
	_, healing := inc.StateAt[prunella.Healing]
	c := correlate.Cascade(in)
	grew := false // while it is healed
	for _, name := range c.Hit {
		grew = grew || healing && !slices.Contains(inc.Cascade.Hit, name)
	}
	if len(inc.Cascade.Hit) == 0 || !in.Over && (!healing || grew) { // what the spread was stays on record
		if healing {
			for _, name := range inc.Cascade.Hit {
				c.Hit = insert(c.Hit, name)
			}
		}
		inc.Cascade = c
	}

	claimed := prunella.Low
	for _, s := range l.texts {
		if s.Severity.Rank() > claimed.Rank() {
			claimed = s.Severity
		}
	}
	rising := inc.Cascade.Escalating || slices.ContainsFunc(inc.Impact, func(i prunella.Impact) bool { return i.Trend == "rising" })
	var full time.Time
	if inc.Cascade.FullReason.Name == correlate.OldTokensExpire {
		full = inc.Cascade.FullAt
	}
	var beside []string
	for _, i := range inc.Impact {
		if !slices.Contains(graph.Services(), i.Service) {
			beside = append(beside, i.Service)
		}
	}
	severity, why := correlate.Severity(correlate.SeverityInput{FullBy: full, Impacts: inc.Impact, Services: len(graph.Services()), Beside: beside, StatedHit: stated, StatedTotal: of, Rising: rising, Claimed: claimed})
	if severity.Rank() > inc.Severity.Rank() || inc.SeverityReason.Name == "" || severity == inc.Severity && (!healing || grew) {
		if severity != inc.Severity || inc.SeverityReason.Name == "" {
			d.events = append(d.events, prunella.Event{Incident: inc.ID, At: now, Kind: "severity", Text: string(severity) + ": " + why.Text, Reason: why})
		}
		inc.Severity, inc.SeverityReason = severity, why // the worst it was; it does not sink while it is healed
	}

	services := make([]string, 0, len(inc.Impact))
	for _, i := range inc.Impact {
		services = append(services, i.Service)
	}
	if inc.State == prunella.Open || inc.State == prunella.Diagnosing && len(inc.Causes) == 0 {
		m := p.recognizer().Recognize(match.Features{Services: services, Errors: p.detector.Errors(services, inc.Onset), Texts: texts,
			Alerts: l.alerts, Changes: changes, Onset: inc.Onset}, now)
		if m.Pattern != inc.Pattern.Pattern && !(d.fresh && m.Pattern == prunella.Unknown) {
			d.events = append(d.events, prunella.Event{Incident: inc.ID, At: now, Kind: "pattern", Text: m.Pattern + ": " + m.Reason.Text, Reason: m.Reason})
		}
		inc.Pattern = m
	}
	if d.fresh || len(inc.Related) == 0 {
		earlier, err := p.store.Earlier(ctx, now.Add(-90*24*time.Hour))
		if err != nil {
			return err
		}
		inc.Related = correlate.Relate(*inc, earlier)
	}
	inc.Title = prunella.Title(strings.Join(inc.Statuses, " and "), services)
	return nil
}

// signerChange is the signer change nearest to an onset, nil when there is none.
func signerChange(changes []prunella.Change, onset time.Time) *prunella.Change {
	var best *prunella.Change
	for i := range changes {
		if c := &changes[i]; c.Name == prunella.ChangeSigner && (best == nil || c.At.Sub(onset).Abs() < best.At.Sub(onset).Abs()) {
			best = c
		}
	}
	return best
}

// state lays stated impacts beside the measured ones; a measured one counts more.
func state(inc *prunella.Incident, stated []prunella.Impact, graph correlate.Graph) {
	for _, s := range stated {
		s.Criticality = graph.Criticality(s.Service)
		at := slices.IndexFunc(inc.Impact, func(i prunella.Impact) bool { return i.Service == s.Service })
		switch {
		case at >= 0 && inc.Impact[at].Total == 0 && s.Share > inc.Impact[at].Share:
			inc.Impact = slices.Clone(inc.Impact)
			inc.Impact[at].Share, inc.Impact[at].Peak, inc.Impact[at].Stated = s.Share, max(s.Share, inc.Impact[at].Peak), true
		case at < 0 && !inc.Live:
			s.Peak = s.Share
			inc.Impact = append(slices.Clone(inc.Impact), s)
		}
	}
}

// over says whether every hit service is back to its quiet times.
func over(inc prunella.Incident) bool {
	for _, i := range inc.Impact {
		if i.Trend != TrendRecovered {
			return false
		}
	}
	return inc.Live && len(inc.Impact) > 0
}

// note keeps the course of the failing share, for the trend.
func (l *linked) note(inc prunella.Incident, now time.Time) {
	sum, n := 0.0, 0
	for _, i := range inc.Impact {
		if i.Total > 0 {
			sum += i.Share
			n++
		}
	}
	if n == 0 {
		return
	}
	l.shares = append(l.shares, prunella.SeriesPoint{Name: "share", At: now, Value: sum / float64(n)})
	if len(l.shares) > 300 {
		l.shares = slices.Delete(l.shares, 0, 100)
	}
}

// recognizer compiles the installed skills once, and again when they change.
func (p *Pipeline) recognizer() *match.Recognizer {
	skills := p.cfg.Skills()
	key := ""
	for _, s := range skills {
		key += s.Hash
	}
	if p.compiled == nil || key != p.compiledFor {
		p.compiled, p.compiledFor = match.NewRecognizer(skills), key
	}
	return p.compiled
}

// graph is the service graph as it is known now.
func (p *Pipeline) graph() correlate.Graph {
	return correlate.NewGraph(p.cfg.Inventory, p.detector.LearnedEdges())
}
