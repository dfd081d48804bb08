package app

import (
	"context"
	"fmt"
	"time"

	"prunella"
)

// anew is the wait before a loop that panicked is begun again.
const anew = 5 * time.Second

// keep runs a loop until ctx ends, and begins it again when it panics.
func (a *App) keep(ctx context.Context, name string, loop func(context.Context)) {
	a.panics.WithLabelValues(name) // from 0: an alert sees the first one as an increase
	for {
		err := prunella.Caught(a.caught).Contain(name, func() error { loop(ctx); return nil })
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(anew):
		}
	}
}

// caught logs, counts and tells somebody of a fault of our own, which the rest
// of the server has survived. One in an hour and place is told.
func (a *App) caught(p *prunella.Panic) {
	a.panics.WithLabelValues(p.In).Inc()
	a.log.Error("panic", "in", p.In, "value", fmt.Sprint(p.Value), "stack", string(p.Stack))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	now := time.Now().UTC()
	why := prunella.Reason{Name: "own-fault", Text: p.Error(), Operands: map[string]string{"in": p.In}}
	if err := a.store.Enqueue(ctx, prunella.Notification{ID: "fault/" + p.In + "/" + now.Format("2006-01-02T15"), To: "@oncall", Kind: "fault", Severity: prunella.Warning,
		Title: "Prunella itself has a fault: " + p.In, Text: why.Text + ". The server goes on and tries it again; its log has the stack, which belongs into a bug report.\n\n" + a.publicURL() + "/",
		Reason: why, Created: now, NextTry: now}); err != nil {
		a.log.Error("nobody could be told of the panic", "in", p.In, "err", err)
	}
}
