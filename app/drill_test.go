package app

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	prover := func(_ context.Context, _ string, name prunella.SkillName) (client.DrilledSkill, error) {
		if name != "auth-jwks-rotation-spike" {
			return client.DrilledSkill{}, prunella.Errorf(prunella.NotFound, "no scenario")
		}
		tried++
		return client.DrilledSkill{Passed: 1, Failed: 1, Why: []string{"verdict is unknown, expected healed"}}, nil
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
	if err != nil || len(told) != 1 || told[0].Kind != "drill" || told[0].Reason.Name != "drill-failed" || !strings.Contains(told[0].Text, "expected healed") {
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

// A report of a live world is evidence: that it healed, that it healed too late,
// that it did not. One that broke nothing, or that proved nothing, is none.
func TestWhatAReportProves(t *testing.T) {
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir()})
	defer stop()
	c := client.New(a.URL())
	broken := []prunella.FaultRecord{{Fault: "rotate", Proven: true}}
	late := []prunella.ReportCheck{{Name: "verdict", Result: prunella.Passed}, {Name: "within.detected", Result: prunella.Failed}}
	harm := append([]prunella.ReportCheck{{Name: "never.valid-token-refused", Result: prunella.Failed}}, late...)
	for id, r := range map[string]prunella.Report{
		"passed":   {Status: prunella.Passed, Verdict: prunella.Healed, Faults: broken},
		"late":     {Status: prunella.Failed, Verdict: prunella.Healed, Faults: broken, Checks: late},
		"harmful":  {Status: prunella.Failed, Verdict: prunella.Healed, Faults: broken, Checks: harm},
		"unhealed": {Status: prunella.Failed, Verdict: prunella.NotHealed, Faults: broken, Checks: late},
		"errored":  {Status: prunella.Errored, Faults: broken},
		"recorded": {Status: prunella.Passed, Verdict: prunella.Healed},
	} {
		r.ID, r.Scenario, r.Skill, r.SkillVersion, r.Ended = id, "some-scenario", spike, "v1.0.0", time.Now()
		if err := c.PutReport(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	v, err := c.Skill(t.Context(), spike)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, o := range v.Outcomes {
		if o.Kind == "scenario" {
			got[o.Ref] = o.X
		}
	}
	if diff := cmp.Diff(map[string]float64{"passed": 1, "late": 0.5, "harmful": 0, "unhealed": 0}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
