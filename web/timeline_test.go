package web

import (
	"strings"
	"testing"
	"time"

	"prunella"
)

// TestTimelineFoldsDetails: what comes in numbers is folded and counted, turns
// and the newest events are not, and no event is lost.
func TestTimelineFoldsDetails(t *testing.T) {
	for kinds, want := range map[string]string{
		"":                              "",
		"state signal signal":           "state signal signal",
		"step step step step step step": "step step step step step step",
		"state step step step change step cause step state state": "state [4 steps and 1 change] cause step state state",
		"signal step step step change step step step step step":   "[5 steps, 1 change and 1 signal] step step step",
	} {
		var events []prunella.Event
		for i, kind := range strings.Fields(kinds) {
			events = append(events, prunella.Event{Kind: kind, At: time.Unix(int64(i), 0)})
		}
		var got []string
		n := 0
		for _, s := range stretches(events) {
			if len(s.Folded) == 0 {
				got = append(got, s.Kind)
				n++
				continue
			}
			got = append(got, "["+strings.ReplaceAll(s.Says, nbsp, " ")+"]")
			n += len(s.Folded)
		}
		if strings.Join(got, " ") != want || n != len(events) {
			t.Errorf("%s: %s, %d of %d events", kinds, strings.Join(got, " "), n, len(events))
		}
	}
}
