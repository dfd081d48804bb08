package match_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/match"
)

// story is a world with everything in it, one batch a half second.
func story(seed int64) (batches [][]prunella.Signal, times []time.Time) {
	w := newWorld(seed, lab(), 20, seven...)
	for i := range 80 {
		w.now = w.now.Add(w.step)
		if i == 50 {
			w.change(prunella.ChangeSigner, "auth", "key-2")
			w.services["user"].share["401"] = 1
			w.services["order"].share["401"] = 0.4
			w.services["payment"].share["500"] = 0.5
		}
		if i == 66 {
			w.services["user"].share["401"] = 0
		}
		for j, name := range seven {
			if i > 50 && j < 3 {
				w.log(name, prunella.High, fmt.Sprintf("request %d rejected: kid=key-2 is unknown after %dms", w.rng.Intn(1e6), w.rng.Intn(90)))
			}
			if w.rng.Intn(4) == 0 {
				w.log(name, prunella.Info, fmt.Sprintf("GET /api/items/%d took %dms", w.rng.Intn(1e4), w.rng.Intn(90)))
			}
			if i%10 == 0 {
				outcome := "ok"
				if i >= 50 && j < 2 {
					outcome = "refused"
				}
				w.probe("canary", name, outcome, map[bool]string{true: "key-2", false: "key-1"}[i >= 50], "")
			}
		}
		batches = append(batches, append(w.export(), w.extra...))
		w.extra = nil
		times = append(times, w.now)
	}
	return batches, times
}

func render(t *testing.T, steps ...match.Step) string {
	b, err := json.MarshalIndent(steps, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSnapshotContinues(t *testing.T) {
	batches, times := story(7)
	straight, restarted := match.NewDetector(lab()), match.NewDetector(lab())
	findings := 0
	for i, b := range batches {
		snap, err := restarted.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		restarted = match.NewDetector(lab())
		if err := restarted.Restore(snap); err != nil {
			t.Fatal(err)
		}
		want, got := straight.Observe(b, times[i]), restarted.Observe(b, times[i])
		findings += len(want.Findings)
		if diff := cmp.Diff(render(t, want), render(t, got)); diff != "" {
			t.Fatalf("step %d differs after a restart:\n%s", i, diff)
		}
	}
	if findings < 20 {
		t.Fatalf("only %d findings: the story proves nothing", findings)
	}
}

func TestOrderInABatchDoesNotMatter(t *testing.T) {
	batches, times := story(8)
	a, b := match.NewDetector(lab()), match.NewDetector(lab())
	w := newWorld(1, lab(), 0)
	for i, batch := range batches {
		mixed := slices.Clone(batch)
		w.rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if diff := cmp.Diff(render(t, a.Observe(batch, times[i])), render(t, b.Observe(mixed, times[i]))); diff != "" {
			t.Fatalf("step %d depends on the order:\n%s", i, diff)
		}
	}
}

func TestRedeliveryChangesNothing(t *testing.T) {
	batches, times := story(9)
	a, b := match.NewDetector(lab()), match.NewDetector(lab())
	for i, batch := range batches {
		want := a.Observe(batch, times[i])
		got := b.Observe(batch, times[i])
		for _, s := range batch { // metrics come twice
			if s.Kind == prunella.KindMetric {
				b.Observe([]prunella.Signal{s}, times[i])
			}
		}
		if diff := cmp.Diff(render(t, want), render(t, got)); diff != "" {
			t.Fatalf("step %d:\n%s", i, diff)
		}
	}
}

func TestRestoreRejects(t *testing.T) {
	d := match.NewDetector(lab())
	for _, bad := range []string{"", "{", "[]", `{"version":99}`, "\x1f\x8b\x08"} {
		if err := d.Restore([]byte(bad)); prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("Restore(%q) = %v", bad, err)
		}
	}
}

// Pods come and go: hosts that nobody speaks from any more are forgotten, so
// that there is always room for the ones of today.
func TestHostsAreForgotten(t *testing.T) {
	d := match.NewDetector(match.Default())
	now := epoch
	size := func() int {
		b, err := d.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		return len(b)
	}
	speak := func(day int) {
		for pod := range 100 {
			now = now.Add(time.Second)
			d.Observe([]prunella.Signal{{ID: prunella.SignalID(fmt.Sprint(day, "-", pod)), Source: "otlp/cart", Service: "cart", Kind: prunella.KindLog, Severity: prunella.Info,
				Time: now, Received: now, Body: "started", Attributes: map[string]string{prunella.AttrHost: fmt.Sprintf("cart-%d-%d", day, pod)}}}, now)
		}
		now = now.Add(3 * time.Hour)
		d.Observe(nil, now)
	}
	speak(0)
	first := size()
	for day := range 40 {
		speak(1 + day)
	}
	if last := size(); last > first+2000 {
		t.Errorf("after 41 days of pods the snapshot has %d bytes, after one it had %d", last, first)
	}
}
