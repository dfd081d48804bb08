package rotation_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"prunella/rotation"
)

// An order that comes right after the gate opened, before the loop has recorded
// what the key earned, is as good as one that comes later.
func TestPromoteBeforeTheLoopLooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.node("node-1")
		if err := r.RunOnce(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		next, err := r.Publish(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		if reason, err := r.Promote(t.Context(), "", order); !errors.Is(err, rotation.Refused) {
			t.Errorf("while old copies of the document are served: %v, %v", reason, err)
		}
		time.Sleep(2 * time.Minute) // all copies have the key, and nobody has looked
		if reason, err := r.Promote(t.Context(), "", order); err != nil || !reason.Open {
			t.Errorf("%v, %v", reason, err)
		}
		steps := ""
		for _, e := range history(t, w) {
			if e.Key == next.ID {
				steps += fmt.Sprintf("%s %s>%s, ", e.Action, e.From, e.To)
			}
		}
		if !strings.HasSuffix(steps, "judge next>acknowledged, judge acknowledged>proven, promote proven>active, ") {
			t.Errorf("its history is %s", steps)
		}
	})
}
