package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"prunella"
	"prunella/diagnose"
	"prunella/heal"
)

// Proposal asks for a run of a skill on an incident, from outside: by a person
// or by a tool that reads our incidents.
type Proposal struct {
	Skill   prunella.SkillName
	By      string
	Because string
}

// Propose looks at the incident anew, plans what the skill would do, asks the
// policy as for every other run, and puts the plan before a person. It never
// starts a run: what the policy would let run alone is asked for all the same,
// because who proposes has not earned the trust that the skill has.
//
// Conflict: the incident is in no state to be asked about, the evidence does not
// speak for the skill, or the policy forbids the run. Unavailable: another stage
// of the incident is under way.
func (e *Engine) Propose(ctx context.Context, id prunella.IncidentID, p Proposal) (run prunella.Run, ask prunella.Approval, err error) {
	refuse := func(reason, remedy string) error {
		return &prunella.Error{Kind: prunella.Conflict, Op: "propose a run", Where: string(id), Reason: reason, Remedy: remedy}
	}
	s, known := e.skill(p.Skill)
	if !known {
		return run, ask, &prunella.Error{Kind: prunella.NotFound, Op: "propose a run", Where: string(p.Skill), Reason: "there is no such skill in use", Remedy: "see the list of skills"}
	}
	name := "incident/" + string(id)
	if _, err := e.store.Incident(ctx, id); err != nil {
		return run, ask, err
	}
	fence, ok, err := e.store.AcquireLease(ctx, name, e.cfg.Owner+"/proposal", time.Now(), e.cfg.LeaseTTL)
	if err != nil {
		return run, ask, err
	}
	if !ok {
		return run, ask, &prunella.Error{Kind: prunella.Unavailable, Op: "propose a run", Where: string(id), Reason: "the engine is working on the incident", Remedy: "try again in a few seconds"}
	}
	defer func() {
		release, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		if lost := e.store.ReleaseLease(release, name, fence); lost != nil {
			e.log.Error("release lease", "incident", id, "err", lost)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, e.cfg.LeaseTTL-e.cfg.LeaseTTL/6) // it is over before the lease is
	defer cancel()

	inc, err := e.store.Incident(ctx, id)
	if err != nil {
		return run, ask, err
	}
	switch inc.State {
	case prunella.Open, prunella.Diagnosing, prunella.Escalated:
	case prunella.AwaitingApproval:
		return run, ask, refuse("a plan waits for an answer already", "a person decides on it first")
	default:
		return run, ask, refuse(fmt.Sprintf("the incident is %s", inc.State), "only what is not being healed and not over can be asked about")
	}
	now := time.Now()
	snap, err := e.snapshot(ctx, inc, e.cfg.Skills(), now)
	if err != nil {
		return run, ask, err
	}
	causes := diagnose.Diagnose(snap)
	if err := ctx.Err(); err != nil {
		return run, ask, &prunella.Error{Kind: prunella.Unavailable, Op: "propose a run", Where: string(id), Reason: "the world did not answer in time", Remedy: "try again", Err: err}
	}
	at := slices.IndexFunc(causes, func(c prunella.Cause) bool { return c.Skill == p.Skill })
	if at < 0 {
		return run, ask, refuse(fmt.Sprintf("nothing that was read speaks for %s, the failure that %s heals", s.Fault, p.Skill), "read the incident's causes and propose a skill that answers one of them")
	}
	cause := causes[at]
	run, err = heal.Plan(e.planFor(inc, cause, snap, now))
	if err != nil {
		return run, ask, refuse("the plan could not be made: "+err.Error(), "")
	}
	if run.Policy, err = e.policy(ctx, inc, run, cause, &s, now); err != nil {
		return run, ask, err
	}
	switch run.Policy.Allowed {
	case prunella.AllowUnattended:
		run.Policy.Allowed = prunella.AllowApproval
		run.Policy.Reason = prunella.Reason{Name: "proposed-from-outside", Text: "it was proposed from outside the engine, and such a plan always needs a yes", Operands: map[string]string{"by": p.By}}
	case prunella.AllowApproval:
	default:
		return run, ask, refuse(fmt.Sprintf("the policy does not let it run (%s: %s)", run.Policy.Reason.Name, run.Policy.Reason.Text), "a person can still do the steps by hand")
	}
	run.Reason = run.Policy.Reason
	e.metrics.Policy.WithLabelValues(string(run.Policy.Allowed)).Inc()
	if err := e.abandon(ctx, id, fence, TakenByPerson); err != nil {
		return run, ask, err
	}
	ask = prunella.Approval{ID: newID("apr"), Incident: id, Run: run.ID, Hash: run.Hash, Asked: now, Expires: e.cfg.Policy.Expiry(now)}
	why := prunella.Reason{Name: "proposed", Text: fmt.Sprintf("%s proposes %s: %s", p.By, run.Title, p.Because),
		Operands: map[string]string{"by": p.By, "skill": string(p.Skill), "policy": run.Policy.Reason.Name}}
	n := e.notification(inc, "approval", "@oncall", "May I? "+run.Title, why.Text+"\n\n"+planText(run)+"\n\n"+summary(inc), why)
	n.ID += "/" + ask.ID
	from := inc.State
	_, err = e.store.Save(ctx, Change{ID: id, Run: &run, Approval: &ask,
		Apply: func(i *prunella.Incident) error {
			if i.State != from {
				return refuse(fmt.Sprintf("the incident went to %s meanwhile", i.State), "read it again")
			}
			if from != prunella.Diagnosing { // where every plan is made
				if err := prunella.Transition(from, prunella.Diagnosing); err != nil {
					return err
				}
			}
			if err := prunella.Transition(prunella.Diagnosing, prunella.AwaitingApproval); err != nil {
				return err
			}
			i.State, i.StateReason, i.DueAt, i.UpdatedAt = prunella.AwaitingApproval, why, time.Time{}, now
			if i.StateAt == nil {
				i.StateAt = map[prunella.State]time.Time{}
			}
			i.StateAt[prunella.AwaitingApproval] = now
			i.Causes, i.Checks = causes, outcomesOf(snap.Checks)
			return nil
		},
		Events:        []prunella.Event{{Incident: id, At: now, Kind: "approval", Text: "asked: " + why.Text + " (" + run.Policy.Reason.Text + ")", Reason: why}},
		Notifications: []prunella.Notification{n},
	})
	if err == nil {
		e.metrics.Transitions.WithLabelValues(string(prunella.AwaitingApproval)).Inc()
		e.log.Info("run proposed", "incident", id, "skill", p.Skill, "by", p.By)
		e.Wake()
	}
	return run, ask, err
}
