package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"prunella"
	"prunella/heal"
)

// errBusy refuses the start of a run while another one holds a target of it.
var errBusy = errors.New("a target is being changed by another run")

// alone admits the start of a run as long as no other incident's run holds one
// of its targets. It is asked in the transaction that starts the run, so that
// of two runs that would start at once one waits.
func alone(run prunella.Run) func([]prunella.Run) error {
	return func(open []prunella.Run) error {
		held := heal.Held(open, run.Incident)
		for _, t := range heal.Targets(run) {
			if other := held[t]; other != "" {
				return &prunella.Error{Kind: prunella.Conflict, Reason: fmt.Sprintf("%s is being changed for %s", t, other), Err: errBusy}
			}
		}
		return nil
	}
}

// later puts off what would change a target that another run holds; also says
// what else to keep. The timeline tells it once.
func (e *Engine) later(ctx context.Context, inc prunella.Incident, why prunella.Reason, also func(*prunella.Incident) error) error {
	now := time.Now()
	c := Change{ID: inc.ID, Apply: func(i *prunella.Incident) error {
		if i.State != inc.State { // a person moved it
			return nil
		}
		i.StateReason, i.DueAt = why, now.Add(max(e.cfg.scaled(5*time.Second), 300*time.Millisecond))
		if also != nil {
			return also(i)
		}
		return nil
	}}
	if inc.StateReason.Name != why.Name {
		c.Events = []prunella.Event{{Incident: inc.ID, At: now, Kind: "state", Text: "waits: " + why.Text, Reason: why}}
	}
	_, err := e.store.Save(ctx, c)
	return err
}

// busy is the reason of a wait that the moment of the start decided.
func busy(err error) prunella.Reason {
	return prunella.Reason{Name: "target-busy", Text: err.Error() + "; two runs never change one target at once"}
}
