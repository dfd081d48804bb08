package app

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"prunella"
	"prunella/action"
	"prunella/client"
	"prunella/engine"
)

// poisoned is a store in which one line of a log hits a fault of our own.
type poisoned struct{ engineStore }

func (s poisoned) CommitBatch(ctx context.Context, b engine.Batch) error {
	for _, l := range b.Logs {
		if l.ID == "line-2" {
			panic("index out of range")
		}
	}
	return s.engineStore.CommitBatch(ctx, b)
}

// A message that no pass survives is set aside; those around it are stored, once,
// and acknowledged.
func TestAPanicTakesNoOtherMessageWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, t.TempDir())
		defer s.Close()
		from := &stream{}
		p := pipeline(t, from, poisoned{s}, prunella.Inventory{})
		for n := range 5 {
			from.publish(line(n), alert(n))
		}
		if err := p.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := look(t, s)
		if len(c.Lines) != 4 || len(c.Incidents) != 1 || len(c.Signals) != 4 || c.Counted != 4 || from.acknowledged() != 5 {
			t.Errorf("acknowledged are messages up to %d, stored is %+v", from.acknowledged(), c)
		}
		if n, _ := p.Folded(); n != 8 {
			t.Errorf("%d signals were folded in, want 8", n)
		}
	})
}

// trap is a world in which a step hits a fault of our own.
type trap struct{ *action.World }

func (trap) Before(context.Context, string, map[string]any) (map[string]any, error) { panic("nil map") }

// A stage that panics is tried again and then handed to a person; the engine
// goes on.
func TestAStageThatPanicsIsHandedToAPerson(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close()
	inc, run := healing(t, s, "http://127.0.0.1:1")
	metrics := engine.NewMetrics(prometheus.NewRegistry())
	e := engine.New(engine.Config{Owner: "node/a", Skills: func() []prunella.Skill { return nil }, Catalog: action.Catalog(), TimeScale: 100}, s, trap{world(t)},
		metrics, slog.New(slog.DiscardHandler))
	_, stop := running(e)
	defer stop()
	deadline(t, "a person to be called", func() bool {
		i, err := s.Incident(t.Context(), inc)
		return err == nil && i.State == prunella.Escalated && i.StateReason.Name == "stage-failing" && strings.Contains(i.StateReason.Text, "nil map")
	})
	deadline(t, "the run to be ended", func() bool {
		r, err := s.Run(t.Context(), run)
		return err == nil && r.State == prunella.RunFailed && r.Verdict == prunella.UnknownVerdict
	})
	if n := testutil.ToFloat64(metrics.Panics.WithLabelValues("stage")); n < 2 {
		t.Errorf("%v panics were counted", n)
	}
	at := e.LastTick()
	deadline(t, "the next tick", func() bool { return e.LastTick().After(at) })
}

// A server that can no longer be reached says so instead of living on unseen.
func TestAServerThatStopsServingFails(t *testing.T) {
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir()})
	defer stop()
	if err := a.listener.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-a.Failed():
		if prunella.KindOf(err) != prunella.Internal || !strings.Contains(err.Error(), a.URL()) {
			t.Errorf("it says %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was told")
	}
}

// A loop that panics is told of once, counted, and takes nothing else with it.
func TestALoopThatPanicsIsTold(t *testing.T) {
	data := t.TempDir()
	a := drillServer(t, data, Drill{Every: prunella.Duration(168 * time.Hour)})
	if err := a.keepDrill(t.Context(), client.DrillStatus{Next: time.Now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	a.ProveWith(func(context.Context, string, prunella.SkillName) (client.DrilledSkill, error) { panic("no lab") })
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer a.Stop(context.Background())
	var told []prunella.Notification
	deadline(t, "somebody to be told", func() bool {
		var err error
		told, err = a.store.Notifications(t.Context(), "")
		return err == nil && len(told) == 1
	})
	if n := told[0]; n.Kind != "fault" || n.Reason.Name != "own-fault" || !strings.Contains(n.Text, "no lab") || !strings.Contains(n.Title, "drill") {
		t.Errorf("%+v", n)
	}
	if n := testutil.ToFloat64(a.panics.WithLabelValues("drill")); n != 1 {
		t.Errorf("%v panics were counted", n)
	}
	if _, err := client.New(a.URL()).Status(t.Context()); err != nil {
		t.Error(err)
	}
}
