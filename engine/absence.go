package engine

import (
	"slices"
	"time"
)

// absence is a time in which the loop did not come round: the machine was
// stopped, or the store did not answer. Whatever is waited for then is not seen.
type absence struct{ from, to time.Time }

// keptAbsences bounds what is made up for, so that a machine that is always
// late still gives up in the end.
const keptAbsences = 16

// every is the time between two rounds.
func (c Config) every() time.Duration { return max(c.scaled(time.Second), 100*time.Millisecond) }

// comeRound notes a round, and an absence when the one before was long ago. By
// the wall clock: another one stops with the machine.
func (e *Engine) comeRound(now time.Time) {
	now = now.Round(0)
	e.mu.Lock()
	defer e.mu.Unlock()
	if every := e.cfg.every(); !e.round.IsZero() && now.Sub(e.round) > 4*every {
		e.absences = append(e.absences, absence{e.round.Add(every), now})
		e.absences = slices.Delete(e.absences, 0, max(0, len(e.absences)-keptAbsences))
	}
	e.round = now
}

// waited is how long something has been waited for since a moment, without the
// time in which nobody was there to see it.
func (e *Engine) waited(since, now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := now.Sub(since)
	for _, a := range e.absences {
		from, to := a.from, a.to
		if from.Before(since) {
			from = since
		}
		if to.After(now) {
			to = now
		}
		d -= max(0, to.Sub(from))
	}
	return d
}
