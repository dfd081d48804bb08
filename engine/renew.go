package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/diagnose"
	"prunella/heal"
)

// errGrew refuses the start of a run whose incident hits more services than it
// was planned for.
var errGrew = errors.New("the incident grew after the plan was made")

// unplanned are the services that joined an incident after a run was planned.
func unplanned(inc prunella.Incident, run prunella.Run) []string {
	var out []string
	for _, i := range inc.Impact {
		if !slices.Contains(run.Services, i.Service) {
			out = append(out, i.Service)
		}
	}
	slices.Sort(out)
	return out
}

// outgrew names why a plan is refused whose incident hits more services now.
const outgrew = "incident-grew"

// renew looks anew at an incident that more services joined while its plan
// waited for an answer. When the plan made now does the very same, it is for
// them too, and the question or its answer stands. Otherwise the question is
// withdrawn, and the incident is diagnosed and asked about again: a yes to the
// old plan would leave the new ones as they are.
func (e *Engine) renew(ctx context.Context, inc prunella.Incident, run prunella.Run, joined []string, fence int64, now time.Time) (bool, error) {
	who := strings.Join(joined, ", ")
	snap, err := e.snapshot(ctx, inc, e.cfg.Skills(), now)
	if err != nil {
		return false, err
	}
	causes := diagnose.Diagnose(snap)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	operands := map[string]string{"joined": who, "planned": strings.Join(run.Services, ", ")}
	if at := slices.IndexFunc(causes, func(c prunella.Cause) bool { return c.Skill == run.Skill && c.Confidence >= e.cfg.MinCause }); at >= 0 {
		inc.Causes = causes
		if plan, err := heal.Plan(e.planFor(inc, causes[at], snap, now)); err == nil && plan.Hash == run.Hash {
			why := prunella.Reason{Name: "plan-covers", Text: who + " joined the incident; the plan made for all of them is the same", Operands: operands}
			_, err := e.store.UpdateRun(ctx, run.ID, fence, func(r *prunella.Run) error { r.Services = plan.Services; return nil },
				prunella.Event{Incident: inc.ID, At: now, Kind: "approval", Text: why.Text, Reason: why})
			return err == nil, err
		}
	}
	why := prunella.Reason{Name: outgrew, Text: fmt.Sprintf("%s joined the incident after the plan was made; it is made anew", who), Operands: operands}
	_, err = e.move(ctx, inc, prunella.Diagnosing, why, Change{Withdraw: why.Text, UpdateRun: &RunUpdate{run.ID, fence, func(r *prunella.Run) error {
		r.State, r.Reason, r.Ended = prunella.RunRefused, why, now
		return nil
	}}})
	return err == nil, err
}

// outgrown is the first sentence of a question that was asked before, "" of a
// first one: why the plan that was shown does not stand.
func (e *Engine) outgrown(ctx context.Context, id prunella.IncidentID) (string, error) {
	runs, err := e.store.Runs(ctx, id)
	if err != nil || len(runs) == 0 {
		return "", err
	}
	if last := runs[len(runs)-1]; last.Reason.Name == outgrew {
		return "Asked again: " + last.Reason.Text + ".\n\n", nil
	}
	return "", nil
}
