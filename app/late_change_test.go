package app

import (
	"testing"
	"testing/synctest"
	"time"

	"prunella"
	"prunella/correlate"
)

// Nobody is called for a likely cause that has no remedy while the change behind
// it, which could be undone, may only be late. Who never hears of one is called
// all the same, once a third of the time for the diagnosis is spent.
func TestAChangeThatIsHeardOfLateIsUndone(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration // the first failure
		hangs time.Duration // after that nobody looks for so long
		state prunella.State
	}{
		"most of a minute late":            {50 * time.Second, 0, prunella.AwaitingApproval},
		"the engine was held up meanwhile": {50 * time.Second, 3 * time.Minute, prunella.AwaitingApproval},
		"never heard of":                   {time.Hour, 0, prunella.Escalated},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := watch(t, func() []prunella.Skill { return nil }, correlate.Default())
				s := x.s
				x.last(4 * time.Minute)
				change := x.w.rotate()
				x.fail("order", "payment", "user")
				x.last(min(c.after, time.Minute))
				if c.hangs > 0 {
					x.hangs(c.hangs)
					x.last(exportEvery)
				}
				x.last(min(max(0, c.after-time.Minute), 3*time.Minute))
				if c.after < 4*time.Minute {
					if inc := only(t, s); len(inc.Causes) == 0 || inc.Causes[0].Change != nil {
						t.Fatalf("before the change is known: %s, causes %+v", inc.State, inc.Causes)
					}
					x.tell(change)
					x.last(2 * time.Minute)
				}
				inc := only(t, s)
				if inc.State != c.state {
					t.Errorf("it is %s (%s); causes %+v", inc.State, inc.StateReason.Text, inc.Causes)
				}
			})
		})
	}
}
