package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/client"
	"prunella/engine"
	"prunella/store"
)

// backend is what the pages and the API see of the server.
type backend struct{ *App }

func (b backend) Ready(ctx context.Context) error {
	if !b.started.Load() {
		return prunella.Errorf(prunella.Unavailable, "starting")
	}
	if _, err := b.bus.Depth(ctx); err != nil {
		return err
	}
	return b.working(ctx, time.Now())
}

func (b backend) Incidents(ctx context.Context, q client.IncidentQuery) ([]prunella.Incident, error) {
	return b.store.Incidents(ctx, store.IncidentFilter{States: q.States, Open: q.Open, Limit: q.Limit})
}

func (b backend) Incident(ctx context.Context, id prunella.IncidentID) (v client.IncidentView, err error) {
	if v.Incident, err = b.store.Incident(ctx, id); err != nil {
		return v, err
	}
	if v.Runs, err = b.store.Runs(ctx, id); err != nil {
		return v, err
	}
	if v.Events, err = b.store.Events(ctx, id); err != nil {
		return v, err
	}
	if v.Approvals, err = b.store.Approvals(ctx, id); err != nil {
		return v, err
	}
	if v.Notifications, err = b.store.Notifications(ctx, id); err != nil {
		return v, err
	}
	_, v.SignalsTotal, err = b.store.SignalsOf(ctx, id, 1, 0)
	return v, err
}

func (b backend) Signals(ctx context.Context, id prunella.IncidentID, limit, offset int) ([]prunella.Signal, int, error) {
	return b.store.SignalsOf(ctx, id, limit, offset)
}

func (b backend) Series(ctx context.Context, q client.SeriesQuery) ([]prunella.SeriesPoint, error) {
	names := []string{q.Name}
	if q.Name == "" {
		names = engine.Series()
	}
	var out []prunella.SeriesPoint
	for _, name := range names {
		points, err := b.store.Series(ctx, name, q.Service, q.From, q.To)
		if err != nil {
			return nil, err
		}
		out = append(out, points...)
	}
	slices.SortStableFunc(out, func(a, b prunella.SeriesPoint) int { return a.At.Compare(b.At) })
	return out, nil
}

func (b backend) Graph(context.Context) (client.Graph, error) {
	var g client.Graph
	seen := map[string]bool{}
	for _, i := range b.cfg.World.Issuers {
		seen[i.Name] = true
		g.Services = append(g.Services, client.GraphService{Name: i.Name, Issuer: true, Criticality: "high"})
	}
	for _, s := range b.cfg.World.Services {
		if seen[s.Name] {
			continue
		}
		seen[s.Name] = true
		g.Services = append(g.Services, client.GraphService{Name: s.Name, Criticality: s.Criticality, Owner: s.Owner})
	}
	g.Edges = b.pipeline.Edges()
	for _, e := range g.Edges {
		for _, name := range []string{e.From, e.To} {
			if !seen[name] {
				seen[name] = true
				g.Services = append(g.Services, client.GraphService{Name: name})
			}
		}
	}
	return g, nil
}

func (b backend) Keys(ctx context.Context) (k client.KeyBoard, err error) {
	for _, s := range b.cfg.World.Services {
		if _, ok := b.cfg.World.IssuerOf(s.Name); ok {
			k.Services = append(k.Services, s.Name)
		}
	}
	if k.Sets, err = b.store.KeySets(ctx); err != nil {
		return k, err
	}
	if k.Cells, err = b.store.Trust(ctx); err != nil {
		return k, err
	}
	// What was watched under an earlier configuration is in the store too.
	k.Sets = slices.DeleteFunc(k.Sets, func(s prunella.KeySet) bool { return !b.watches(s.Issuer) })
	k.Cells = slices.DeleteFunc(k.Cells, func(c prunella.TrustCell) bool {
		return !b.watches(c.Issuer) || !slices.Contains(k.Services, c.Service)
	})
	return k, nil
}

func (b backend) watches(issuer string) bool {
	return slices.ContainsFunc(b.cfg.World.Issuers, func(i prunella.Issuer) bool { return i.Name == issuer })
}

func (b backend) Reports(ctx context.Context, limit int) ([]prunella.Report, error) {
	return b.store.Reports(ctx, limit)
}

func (b backend) Report(ctx context.Context, id string) (prunella.Report, error) {
	return b.store.Report(ctx, id)
}

func (b backend) Decide(ctx context.Context, id string, d client.Decision) (prunella.Approval, error) {
	now := time.Now()
	why := prunella.Reason{Name: "approval-" + d.Decision, Text: fmt.Sprintf("%s by %s. %s", d.Decision, d.By, d.Note), Operands: map[string]string{"by": d.By, "hash": d.Hash}}
	a, err := b.store.DecideApproval(ctx, id, d.Hash, d.Decision, d.By, d.Note, now, store.IncidentUpdate{
		Apply: func(i *prunella.Incident) error {
			if i.State != prunella.AwaitingApproval {
				return &prunella.Error{Kind: prunella.Conflict, Op: "decide approval", Reason: fmt.Sprintf("the question no longer stands: the incident is %s", i.State),
					Remedy: "look at the incident again and decide on what stands there now"}
			}
			i.DueAt = time.Time{}
			return nil
		},
		Events: []prunella.Event{{At: now, Kind: "approval", Text: strings.TrimSpace(why.Text), Reason: why}}})
	if err != nil {
		return a, err
	}
	b.hub.announce("incident", string(a.Incident))
	b.engine.Wake()
	return a, nil
}

// hand moves an incident by a person's word. What the engine was doing about it
// ends in the same moment: nobody goes on with a run, or acts on an answer.
func (b backend) hand(ctx context.Context, id prunella.IncidentID, to prunella.State, name string, n client.Note) (prunella.Incident, error) {
	now := time.Now()
	why := prunella.Reason{Name: name, Text: strings.TrimSuffix(n.By+": "+n.Note, ": "), Operands: map[string]string{"by": n.By}}
	withdrawn := map[prunella.RunID]bool{} // plans that were asked for
	inc, err := b.store.SaveWith(ctx, store.IncidentUpdate{ID: id, Apply: func(i *prunella.Incident) error {
		if err := mayHand(*i, to); err != nil {
			return err
		}
		if i.StateAt == nil {
			i.StateAt = map[prunella.State]time.Time{}
		}
		if i.State != to {
			i.StateAt[to] = now
		} else if to == prunella.Escalated {
			why.Operands["given_up"] = i.StateReason.Text
		}
		i.State, i.StateReason, i.UpdatedAt, i.DueAt = to, why, now, time.Time{}
		if to == prunella.Resolved {
			i.ResolvedAt = now
		}
		return nil
	}, EachRun: func(r *prunella.Run) bool {
		if r.State == prunella.RunProposed && withdrawn[r.ID] {
			r.State, r.Reason, r.Ended = prunella.RunRefused, engine.TakenByPerson, now
			return true
		}
		return engine.End(r, engine.TakenByPerson, now)
	},
		EachApproval: func(a *prunella.Approval) bool {
			if !withdraw(a, n.By, n.Note, now) {
				return false
			}
			withdrawn[a.Run] = true
			return true
		},
		Events: []prunella.Event{{At: now, Kind: "state", Text: fmt.Sprintf("%s by %s", to, why.Text), Reason: why}}})
	if err == nil {
		b.hub.announce("incident", string(id))
		b.engine.Wake()
	}
	return inc, err
}

// mayHand refuses, in words for a person, what prunella.Transition does not let
// a person do either; and a hand-back of what no person holds.
func mayHand(i prunella.Incident, to prunella.State) error {
	refuse := func(reason, remedy string) error {
		return &prunella.Error{Kind: prunella.Conflict, Op: "move incident " + string(i.ID), Reason: reason, Remedy: remedy}
	}
	switch {
	case i.State == prunella.Resolved:
		return refuse("the incident is resolved already", "should the failure come back, it is opened again by itself")
	case to == prunella.Escalated && i.State == to && i.StateReason.Name != prunella.TakenByPerson:
		return nil // the engine gave up, and nobody held it so far
	case to == prunella.Escalated && i.State == to:
		return refuse("a person holds the incident already ("+i.StateReason.Text+")", "hand it back or resolve it")
	case to == prunella.Diagnosing && i.State != prunella.Escalated:
		return refuse(fmt.Sprintf("the incident is %s; only one that a person holds can be handed back", i.State), "the engine is looking after it")
	}
	return prunella.Transition(i.State, to)
}

func (b backend) Resolve(ctx context.Context, id prunella.IncidentID, n client.Note) (prunella.Incident, error) {
	inc, err := b.store.Incident(ctx, id)
	if err != nil {
		return inc, err
	}
	if prunella.Transition(inc.State, prunella.Resolved) != nil && inc.State != prunella.Resolved { // by way of a person's hands
		if _, err := b.hand(ctx, id, prunella.Escalated, prunella.TakenByPerson, n); err != nil {
			return inc, err
		}
	}
	return b.hand(ctx, id, prunella.Resolved, "resolved-by-person", n)
}

func (b backend) HandBack(ctx context.Context, id prunella.IncidentID, n client.Note) (prunella.Incident, error) {
	return b.hand(ctx, id, prunella.Diagnosing, "handed-back", n)
}

func (b backend) Escalate(ctx context.Context, id prunella.IncidentID, n client.Note) (prunella.Incident, error) {
	return b.hand(ctx, id, prunella.Escalated, prunella.TakenByPerson, n)
}

func (b backend) Subscribe(ctx context.Context) <-chan client.Change { return b.hub.subscribe(ctx) }
