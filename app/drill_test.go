package app

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"prunella"
	"prunella/client"
	"prunella/store"
)

func drillServer(t *testing.T, data string, d Drill) *App {
	t.Helper()
	a, err := New(Config{Listen: "127.0.0.1:0", Data: data, Drill: d}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.cleanup() })
	return a
}

// A drill waits for its time and for quiet, is made up for once after a pause,
// and calls somebody when a skill failed.
func TestDrill(t *testing.T) {
	data, every := t.TempDir(), Drill{Every: prunella.Duration(168 * time.Hour)}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	tried := 0
	prover := func(_ context.Context, _ string, name prunella.SkillName) (int, int, error) {
		if name != "auth-jwks-rotation-spike" {
			return 0, 0, prunella.Errorf(prunella.NotFound, "no scenario")
		}
		tried++
		return 1, 1, nil
	}
	at := func(a *App, now time.Time, want int) client.DrillStatus {
		t.Helper()
		if err := a.drillOnce(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if tried != want {
			t.Fatalf("at %s: tried %d times, want %d", now, tried, want)
		}
		d, err := a.drilled(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	a := drillServer(t, data, every)
	a.ProveWith(prover)
	at(a, now, 0)
	at(a, now.Add(167*time.Hour), 0)
	a.cleanup()

	a = drillServer(t, data, every) // weeks later
	a.ProveWith(prover)
	now = now.Add(5 * 168 * time.Hour)
	inc := prunella.Incident{ID: "inc-1", Title: "401", State: prunella.Escalated, OpenedAt: now}
	if err := a.store.Commit(t.Context(), store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}}); err != nil {
		t.Fatal(err)
	}
	at(a, now, 0) // somebody has other worries
	if _, err := a.store.SaveWith(t.Context(), store.IncidentUpdate{ID: inc.ID, Apply: func(i *prunella.Incident) error { i.State = prunella.Resolved; return nil }}); err != nil {
		t.Fatal(err)
	}
	at(a, now.Add(time.Minute), 1)
	d := at(a, now.Add(2*time.Minute), 1) // the missed ones are made up for by one
	if d.Last == nil || len(d.Last.Skills) != 1 || d.Last.Skills[0].Failed != 1 {
		t.Fatalf("%+v", d.Last)
	}
	if want := now.Add(time.Minute + 168*time.Hour); !d.Next.Equal(want) {
		t.Errorf("next at %s, want %s", d.Next, want)
	}
	told, err := a.store.Notifications(t.Context(), "")
	if err != nil || len(told) != 1 || told[0].Kind != "drill" || told[0].Reason.Name != "drill-failed" {
		t.Errorf("%+v, %v", told, err)
	}
}

func TestDrillAtATimeOfDay(t *testing.T) {
	d := Drill{Every: prunella.Duration(168 * time.Hour), At: "03:30"}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	if got, want := d.next(now, true), time.Date(2026, 3, 3, 3, 30, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("first %s, want %s", got, want)
	}
	began := time.Date(2026, 3, 3, 3, 30, 2, 0, time.UTC)
	if got, want := d.next(began, false), time.Date(2026, 3, 10, 3, 30, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("then %s, want %s", got, want)
	}
}
