package scenario_test

import (
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/scenario"
)

// The lab as the runner uses it: a fault's facts are looked up in the world.
func TestLabTellsTheFactsOfAFault(t *testing.T) {
	w, err := scenario.StartLab(t.Context(), scenario.World{Services: 3, Rate: 60}, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	began := time.Now()
	rec, err := w.Inject(t.Context(), "rotate-partial-distribution", map[string]string{"missed": "2"})
	if err != nil {
		t.Fatal(err)
	}
	p := rec.Params
	if !rec.Proven || p["old_kid"] == "" || p["new_kid"] == "" || p["old_kid"] == p["new_kid"] || p["refused"] != p["missed"] || strings.Count(p["refused"], ",") != 1 {
		t.Errorf("%+v", rec)
	}
	for w.Requests(began).Failed == 0 {
		if time.Since(began) > 10*time.Second {
			t.Fatal("no customer noticed the fault")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n := len(w.Inventory().Services); n != 3 {
		t.Errorf("%d services", n)
	}
}

func TestLabRefusesAWorldItCannotMake(t *testing.T) {
	_, err := scenario.StartLab(t.Context(), scenario.World{Services: 99}, 1)
	if prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("error %v", err)
	}
}
