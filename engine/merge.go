package engine

import (
	"context"
	"fmt"
	"time"

	"prunella"
	"prunella/correlate"
)

// merge closes an incident whose cause shows that it is one failure with an
// older one, before anything is done about it; c carries what the diagnosis
// found. The pipeline then counts what still fails to the older one, and a plan
// that waits there for a yes is made anew.
func (e *Engine) merge(ctx context.Context, inc prunella.Incident, c Change) (merged bool, err error) {
	open, err := e.store.OpenIncidents(ctx)
	if err != nil {
		return false, err
	}
	into, why, ok := correlate.Merge(inc, open, e.cfg.Correlate)
	if !ok {
		return false, nil
	}
	now := time.Now()
	note := prunella.Reason{Name: why.Name, Text: fmt.Sprintf("%s (%s) is one failure with this: the cause of both is %s of %s", inc.ID, inc.Title, why.Operands["fault"], why.Operands["place"]),
		Operands: why.Operands}
	_, err = e.store.Save(ctx, Change{ID: into.ID,
		Apply: func(i *prunella.Incident) error {
			if i.State != into.State {
				return prunella.Errorf(prunella.Conflict, "incident %s went to %s meanwhile", i.ID, i.State)
			}
			return nil
		},
		Events: []prunella.Event{{Incident: into.ID, At: now, Kind: "state", Text: "merged: " + note.Text, Reason: note}},
	})
	switch {
	case prunella.KindOf(err) == prunella.Conflict: // something is being done about it now
		return false, nil
	case err != nil:
		return false, err
	}
	c.Notifications = append(c.Notifications, e.notification(inc, "resolved", "@oncall", "One with another: "+inc.Title, why.Text+"\n\n"+summary(inc), why))
	_, err = e.move(ctx, inc, prunella.Resolved, why, c)
	return err == nil, err
}
