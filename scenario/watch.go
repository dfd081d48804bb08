package scenario

import (
	"context"
	"fmt"
	"slices"
	"time"

	"prunella"
	"prunella/client"
)

// watch looks at the engine until every incident is settled and has stayed so
// for the hold, or the bound is spent. A control is watched for its quiet time.
func (d *drill) watch(ctx context.Context) error {
	began, w := time.Now(), d.s.Watch
	control := d.s.Expect.Incidents != nil && d.s.Expect.Incidents.Max == 0
	if control {
		d.say("", "watching for %s that nothing is made of it", w.Quiet)
	}
	for looked := began; ; {
		if err := d.refresh(ctx); err != nil {
			return err
		}
		if err := d.operate(ctx); err != nil {
			return err
		}
		now := time.Now()
		if gap := now.Sub(looked); gap > 5*tick {
			d.stood += gap - tick
		}
		looked = now
		if control && now.Sub(began) >= w.Quiet {
			return nil
		}
		settled := len(d.views) > 0 && !slices.ContainsFunc(d.views, func(v client.IncidentView) bool { return !d.settled(v) })
		switch {
		case !settled:
			d.stage, d.settledAt = "watch", time.Time{}
		case d.settledAt.IsZero():
			d.stage, d.settledAt = "hold", now
			d.say("", "settled: %s; holding for %s", d.views[0].Incident.State, w.Hold)
		case !control && now.Sub(d.settledAt) >= w.Hold:
			return nil
		}
		if now.Sub(began) > w.Bound+w.Hold || d.settledAt.IsZero() && now.Sub(began) > w.Bound {
			d.timedOut = !control
			return nil
		}
		if err := d.wait(ctx, tick); err != nil {
			return err
		}
	}
}

// settled reports whether nothing more will happen to an incident by itself.
func (d *drill) settled(v client.IncidentView) bool {
	asked := slices.ContainsFunc(v.Approvals, func(a prunella.Approval) bool { return a.Decision == "" })
	if asked && d.s.Given.Operator != "absent" {
		return false
	}
	switch v.Incident.State {
	case prunella.Resolved, prunella.Escalated:
		return true
	}
	return v.Incident.State == prunella.AwaitingApproval && asked
}

// refresh reads every incident anew, the worst first, and tells what is new.
func (d *drill) refresh(ctx context.Context) error {
	list, err := d.api.Incidents(ctx, client.IncidentQuery{Limit: 100})
	if err != nil {
		return fmt.Errorf("ask the engine for incidents: %w", err)
	}
	views := make([]client.IncidentView, 0, len(list))
	for _, inc := range list {
		v, err := d.api.Incident(ctx, inc.ID)
		if err != nil {
			return fmt.Errorf("ask the engine for %s: %w", inc.ID, err)
		}
		views = append(views, v)
	}
	slices.SortStableFunc(views, func(a, b client.IncidentView) int {
		if ra, rb := a.Incident.Severity.Rank(), b.Incident.Severity.Rank(); ra != rb {
			return rb - ra
		}
		if a.SignalsTotal != b.SignalsTotal {
			return b.SignalsTotal - a.SignalsTotal
		}
		return a.Incident.OpenedAt.Compare(b.Incident.OpenedAt)
	})
	d.views = views
	for _, v := range views {
		id := string(v.Incident.ID)
		for _, e := range v.Events[min(d.told[id], len(v.Events)):] {
			if e.Kind != "signal" {
				d.say(e.Kind, "%s", e.Text)
			}
		}
		d.told[id] = len(v.Events)
	}
	return nil
}

// operate is the person at the other end: it answers each approval once,
// through the same API that a person's page uses.
func (d *drill) operate(ctx context.Context) error {
	decision := map[string]string{"approve": "approved", "deny": "denied"}[d.s.Given.Operator]
	if decision == "" {
		return nil
	}
	for _, v := range d.views {
		for _, a := range v.Approvals {
			if a.Decision != "" || d.answered[a.ID] {
				continue
			}
			d.answered[a.ID] = true
			_, err := d.api.Decide(ctx, a.ID, client.Decision{Decision: decision, By: "@operator", Note: "simulated by the scenario", Hash: a.Hash})
			if err != nil && prunella.KindOf(err) != prunella.Conflict {
				return fmt.Errorf("answer the approval %s: %w", a.ID, err)
			}
			d.say("approval", "the operator has %s the plan", decision)
		}
	}
	return nil
}

// look takes the last view of engine and world, with traffic still running.
func (d *drill) look(ctx context.Context) error {
	if err := d.refresh(ctx); err != nil {
		return err
	}
	status, err := d.api.Status(ctx)
	if err != nil {
		return fmt.Errorf("ask the engine: %w", err)
	}
	d.end.open = status.IncidentsOpen
	if d.world != nil {
		since := d.settledAt
		if since.IsZero() {
			since = time.Now().Add(-steadyWindow)
		}
		d.end.failing = d.world.Requests(since)
		if d.end.keys, err = d.api.Keys(ctx); err != nil {
			return fmt.Errorf("ask the engine for the key board: %w", err)
		}
	}
	d.end.looked = true
	return d.gather(ctx)
}
