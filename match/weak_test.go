package match_test

import (
	"testing"
	"time"

	"prunella"
)

// A failure that is far above the quiet share, but weak beside the traffic, takes
// its time to be found. Meanwhile it is not learned as normal, else it never is.
func TestAWeakFailureIsFoundBeforeItIsNormal(t *testing.T) {
	const worlds = 40
	for name, c := range map[string]struct {
		rate, share float64
		within      time.Duration
		late        int // worlds; a quiet share learned from few calls may come out high
	}{
		"one in eight":                     {8.75, 0.125, 25 * time.Second, 2},
		"one in fifteen":                   {20, 0.067, 30 * time.Second, 2},
		"one in fifteen, with few callers": {8.75, 0.067, 45 * time.Second, 10},
	} {
		t.Run(name, func(t *testing.T) {
			late := 0
			for seed := range int64(worlds) {
				w := newWorld(seed, lab(), c.rate, "user")
				w.services["user"].share["401"] = 0.005
				w.run(15 * time.Second)
				w.services["user"].share["401"] = c.share
				from := w.now
				w.run(c.within)
				if f, ok := w.first(prunella.RuleErrorRate, "user"); !ok || f.Time.Before(from) {
					late++
				}
			}
			if late > c.late {
				t.Errorf("in %d of %d worlds it was not found within %s", late, worlds, c.within)
			}
		})
	}
}
