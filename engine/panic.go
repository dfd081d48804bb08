package engine

import (
	"errors"
	"fmt"
	"log/slog"

	"prunella"
)

// maxPanics is how often a stage may panic in a row before a person is called,
// and how often a pass may before its messages are taken one by one.
const maxPanics = 3

// guarded calls work and turns its panic into an error, logged with its stack
// and counted: one incident, one skill or one message that the code was not
// written for must not take the others with it.
func guarded(where string, m *Metrics, log *slog.Logger, work func() error) error {
	panics := m.Panics.WithLabelValues(where) // from 0: an alert sees the first one as an increase
	return prunella.Caught(func(p *prunella.Panic) {
		panics.Inc()
		log.Error("panic", "in", where, "value", fmt.Sprint(p.Value), "stack", string(p.Stack))
	}).Contain(where, work)
}

func panicked(err error) bool { return errors.As(err, new(*prunella.Panic)) }
