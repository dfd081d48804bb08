package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// maxPanics is how often a stage may panic in a row before a person is called,
// and how often a pass may before its messages are taken one by one.
const maxPanics = 3

// errPanic is in the chain of an error that was a panic.
var errPanic = errors.New("panic")

// guarded calls work and turns its panic into an error, logged with its stack
// and counted: one incident, one skill or one message that the code was not
// written for must not take the others with it.
func guarded(where string, m *Metrics, log *slog.Logger, work func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			m.Panics.WithLabelValues(where).Inc()
			log.Error("panic", "in", where, "value", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fmt.Errorf("%w in %s: %v", errPanic, where, v)
		}
	}()
	return work()
}
