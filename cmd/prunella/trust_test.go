package main

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"prunella"
	"prunella/app"
	"prunella/client"
	"prunella/scenario"
	"prunella/store"
)

// TestAutonomyIsEarned breaks the same world three times under the same policy:
// a skill that never ran, or that was not verified for long, asks a person and
// says why; the proven one acts. Nobody answers, and nothing is done then.
func TestAutonomyIsEarned(t *testing.T) {
	if testing.Short() {
		t.Skip("three worlds")
	}
	t.Parallel()
	const name = "auth-jwks-rotation-spike"
	for _, c := range []struct {
		name   string
		runs   int
		age    time.Duration
		gate   string // that refuses
		remedy string
	}{
		{"unproven", 0, 0, "trust-floor", "proposed"},
		{"stale", 200, 200 * 24 * time.Hour, "trust-fresh", "proposed"},
		{"proven", 20, 24 * time.Hour, "all-gates-passed", "auto-heal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := smallSpike(t)
			s.Given.Engine.Policy = scenario.Policy{Autonomy: "unattended"} // every bound as an operator finds it
			s.Watch.Bound = 25 * time.Second
			data := t.TempDir()
			seed(t, data, name, c.runs, c.age)
			var view client.IncidentView
			r := underTest(app.Config{Data: data}, func(ctx context.Context, url string) {
				if list, err := client.New(url).Incidents(ctx, client.IncidentQuery{Limit: 1}); err == nil && len(list) > 0 {
					view, _ = client.New(url).Incident(ctx, list[0].ID)
				}
			}).Run(t.Context(), s, 7)
			if r.Remediation != c.remedy || len(view.Runs) == 0 {
				t.Fatalf("%s, want %s; %s %+v", r.Remediation, c.remedy, r.Error, r.Checks)
			}
			run := view.Runs[0]
			if run.Policy.Reason.Name != c.gate || run.Skill != name {
				t.Errorf("%s: refused by %s (%s)", run.Skill, run.Policy.Reason.Name, run.Policy.Reason.Text)
			}
			asked := len(view.Approvals) > 0
			if asked != (c.remedy == "proposed") {
				t.Errorf("asked: %v", view.Approvals)
			}
			if asked && len(r.Steps) > 0 {
				t.Errorf("nobody said yes, and yet: %+v", r.Steps)
			}
		})
	}
}

// smallSpike is the scenario of a stale key-set cache in a world of four.
func smallSpike(t *testing.T) scenario.Scenario {
	t.Helper()
	catalogue, err := loadCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	f, err := catalogue.Find("jwks-stale-cache-spike")
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.With(map[string]string{"services": "4", "alg": "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// underTest runs scenarios in the lab against a server in this process; atEnd
// is called before it stops.
func underTest(cfg app.Config, atEnd func(ctx context.Context, url string)) *scenario.Runner {
	return &scenario.Runner{World: scenario.StartLab, Engine: func(ctx context.Context, ec scenario.EngineConfig) (scenario.RunningEngine, error) {
		cfg := cfg
		cfg.Listen, cfg.TimeScale, cfg.World, cfg.Policy.Autonomy = "127.0.0.1:0", ec.TimeScale, ec.Inventory, ec.Policy.Autonomy
		a, err := app.New(cfg, "test", slog.New(slog.DiscardHandler))
		if err != nil {
			return scenario.RunningEngine{}, err
		}
		return scenario.RunningEngine{URL: a.URL(), Stop: func(ctx context.Context) error {
			atEnd(ctx, a.URL())
			return a.Stop(ctx)
		}}, a.Start(ctx)
	}}
}

// seed is a past with verified runs.
func seed(t *testing.T, data string, name prunella.SkillName, runs int, age time.Duration) {
	t.Helper()
	s, err := store.Open(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range runs {
		if err := s.AddOutcome(t.Context(), prunella.Outcome{Skill: name, Version: "v1.0.0", At: time.Now().Add(-age), Kind: "run", X: 1, Ref: fmt.Sprint("run-", i)}); err != nil {
			t.Fatal(err)
		}
	}
}
