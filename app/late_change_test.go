package app

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"prunella"
	"prunella/action"
	"prunella/correlate"
	"prunella/engine"
	"prunella/heal"
	"prunella/match"
)

// Nobody is called for a likely cause that has no remedy while the change behind
// it, which could be undone, may only be late. Who never hears of one is called
// all the same, once a third of the time for the diagnosis is spent.
func TestAChangeThatIsHeardOfLateIsUndone(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration // the first failure
		state prunella.State
	}{
		"most of a minute late": {50 * time.Second, prunella.AwaitingApproval},
		"never heard of":        {time.Hour, prunella.Escalated},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := openStore(t, t.TempDir())
				defer s.Close()
				w := newTraffic(time.Now())
				noSkills := func() []prunella.Skill { return nil }
				metrics, log := engine.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler)
				p, err := engine.NewPipeline(t.Context(), engine.PipelineConfig{Inventory: w.inventory(), Skills: noSkills, Detect: match.Default(),
					Correlate: correlate.Default()}, &stream{}, s, metrics, log)
				if err != nil {
					t.Fatal(err)
				}
				h := &halfHeld{w: w}
				e := engine.New(engine.Config{Owner: "node/a", Inventory: w.inventory(), Skills: noSkills, Catalog: action.Catalog(), Bucket: match.Default().Bucket,
					Policy: heal.Policy{ApprovalTTL: prunella.Duration(2 * time.Hour)}}, s, h, metrics, log)
				_, stop := running(e)
				defer stop()
				last := func(d time.Duration) {
					for end := w.now.Add(d); w.now.Before(end); {
						time.Sleep(exportEvery)
						if err := p.Pass(t.Context(), w.tick(), w.now); err != nil {
							t.Fatal(err)
						}
					}
				}
				last(4 * time.Minute)
				change := w.rotate()
				h.miss("order", "payment", "user")
				for _, name := range []string{"order", "payment", "user"} {
					w.failing[name] = 0.6
				}
				last(min(c.after, 4*time.Minute))
				if c.after < 4*time.Minute {
					if inc := only(t, s); len(inc.Causes) == 0 || inc.Causes[0].Change != nil {
						t.Fatalf("before the change is known: %s, causes %+v", inc.State, inc.Causes)
					}
					if err := p.Pass(t.Context(), []engine.Message{{Seq: w.next(), Signals: change}}, w.now); err != nil {
						t.Fatal(err)
					}
					last(2 * time.Minute)
				}
				inc := only(t, s)
				if inc.State != c.state {
					t.Errorf("it is %s (%s); causes %+v", inc.State, inc.StateReason.Text, inc.Causes)
				}
			})
		})
	}
}
