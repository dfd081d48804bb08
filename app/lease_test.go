package app

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"prunella"
	"prunella/action"
	"prunella/engine"
	"prunella/store"
)

// stalled is the store as a node sees it whose network hangs: its leases are
// not renewed until it comes back.
type stalled struct {
	engineStore
	back    <-chan struct{}
	refused chan<- error // what came of its writes that failed
}

func (s stalled) UpdateRun(ctx context.Context, id prunella.RunID, fence int64, change func(*prunella.Run) error, events ...prunella.Event) (prunella.Run, error) {
	r, err := s.engineStore.UpdateRun(ctx, id, fence, change, events...)
	if err != nil {
		s.refused <- err
	}
	return r, err
}

func (s stalled) RenewLease(ctx context.Context, name string, fence int64, now time.Time, ttl time.Duration) error {
	select {
	case <-s.back:
		return s.engineStore.RenewLease(ctx, name, fence, time.Now(), ttl)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// slowTarget is a target that takes a request and answers when it is let go.
type slowTarget struct {
	*httptest.Server
	requests atomic.Int32
	arrived  chan struct{}
	answer   chan struct{}
}

func newSlowTarget(t *testing.T) *slowTarget {
	s := &slowTarget{arrived: make(chan struct{}, 10), answer: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.arrived <- struct{}{}
		<-s.answer
	}))
	t.Cleanup(s.Close)
	return s
}

func world(t *testing.T) *action.World {
	t.Helper()
	w, err := action.NewWorld(prunella.Inventory{}, nil, action.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func node(t *testing.T, owner string, s engine.Store) *engine.Engine {
	t.Helper()
	return nodeWith(engine.Config{Owner: owner, LeaseTTL: 300 * time.Millisecond}, s, world(t))
}

// nodeWith is an engine without skills.
func nodeWith(cfg engine.Config, s engine.Store, w engine.World) *engine.Engine {
	cfg.Owner, cfg.Skills, cfg.Catalog = cmp.Or(cfg.Owner, "node/a"), func() []prunella.Skill { return nil }, action.Catalog()
	return engine.New(cfg, s, w, engine.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
}

// healing stores an incident in the middle of a heal whose next step is a POST.
func healing(t *testing.T, s engineStore, url string) (prunella.IncidentID, prunella.RunID) {
	t.Helper()
	now := time.Now()
	inc := prunella.Incident{ID: "inc-1", Title: "401 in payment", State: prunella.Healing, Severity: prunella.Critical, Onset: now, OpenedAt: now,
		StateAt: map[prunella.State]time.Time{prunella.Healing: now.Add(-time.Hour)}}
	run := prunella.Run{ID: "run-1", Incident: inc.ID, State: prunella.RunRunning, Created: now, Started: now, Deadline: now.Add(time.Hour), Steps: []prunella.Step{{
		Name: "tell the target", Action: "http.request", Params: map[string]any{"method": "POST", "url": url}, Effect: prunella.Irreversible,
		State: prunella.StepPlanned, Attempts: 3, Timeout: time.Minute, OnFailure: "escalate", Key: "run-1-0"}}}
	if err := s.Commit(t.Context(), store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}, NewRuns: []prunella.Run{run}}); err != nil {
		t.Fatal(err)
	}
	return inc.ID, run.ID
}

// Two nodes, one store. The first hangs in the middle of a step until its lease
// has run out and the second has taken over. What the first has to say when it
// comes back is refused, and it leaves the incident alone.
func TestWhoLostTheLeaseIsRefused(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close()
	target := newSlowTarget(t)
	inc, run := healing(t, s, target.URL)

	back, refused := make(chan struct{}), make(chan error, 10)
	first, second := node(t, "node/a", stalled{s, back, refused}), node(t, "node/b", s)
	began, stopFirst := running(first)
	defer stopFirst()
	<-began
	<-target.arrived // the first has told the target, and hears nothing

	begin, stopSecond := running(second)
	defer stopSecond()
	<-begin
	var taken prunella.Incident
	deadline(t, "the second node to take over", func() bool {
		var err error
		if taken, err = s.Incident(t.Context(), inc); err != nil {
			t.Fatal(err)
		}
		return taken.State == prunella.Escalated
	})
	// Nothing in the world tells whether the POST took effect: the second asks
	// instead of repeating it.
	if taken.StateReason.Name != "step-unknown" {
		t.Errorf("the second node escalated for %q: %s", taken.StateReason.Name, taken.StateReason.Text)
	}
	left, err := s.Run(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), inc)
	if err != nil {
		t.Fatal(err)
	}

	close(target.answer) // the first node hears that all went well
	if err := <-refused; prunella.KindOf(err) != prunella.Conflict {
		t.Errorf("the first node was refused with %v, want a conflict", err)
	}
	close(back)
	stopFirst()
	stopSecond()
	after, err := s.Run(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	if after.State != left.State || after.Steps[0].State != prunella.StepUnknown {
		t.Errorf("the first node wrote to the run: %s, step %s; it was %s, step %s", after.State, after.Steps[0].State, left.State, left.Steps[0].State)
	}
	now, err := s.Incident(t.Context(), inc)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Events(t.Context(), inc)
	if err != nil {
		t.Fatal(err)
	}
	if now.State != prunella.Escalated || now.StateReason.Name != "step-unknown" || !now.DueAt.Equal(taken.DueAt) || len(again) != len(events) {
		t.Errorf("the first node touched the incident: %s (%s), %d events instead of %d", now.State, now.StateReason.Name, len(again), len(events))
	}
	if n := target.requests.Load(); n != 1 {
		t.Errorf("the target was told %d times", n)
	}
}

// A fence is compared when a run is written, whoever writes.
func TestAnOldFenceIsRefused(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close()
	inc, run := healing(t, s, "http://127.0.0.1:1")
	ctx, lease, now := t.Context(), "incident/"+string(inc), time.Now()
	old, ok, err := s.AcquireLease(ctx, lease, "node/a", now, time.Second)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if _, ok, err := s.AcquireLease(ctx, lease, "node/b", now, time.Second); ok || err != nil {
		t.Fatalf("a lease that is held was given away: %v", err)
	}
	fresh, ok, err := s.AcquireLease(ctx, lease, "node/b", now.Add(2*time.Second), time.Second)
	if err != nil || !ok || fresh <= old {
		t.Fatalf("an expired lease: fence %d after %d, %v %v", fresh, old, ok, err)
	}
	finish := func(r *prunella.Run) error { r.State = prunella.RunDone; return nil }
	if _, err := s.UpdateRun(ctx, run, old, finish); prunella.KindOf(err) != prunella.Conflict {
		t.Errorf("a run update with an old fence: %v, want a conflict", err)
	}
	_, err = s.Save(ctx, engine.Change{ID: inc, Apply: func(i *prunella.Incident) error { i.State = prunella.Verifying; return nil },
		UpdateRun: &engine.RunUpdate{ID: run, Fence: old, Apply: finish}})
	if prunella.KindOf(err) != prunella.Conflict {
		t.Errorf("a change with an old fence: %v, want a conflict", err)
	}
	if i, err := s.Incident(ctx, inc); err != nil || i.State != prunella.Healing {
		t.Errorf("half of a refused change was written: %s %v", i.State, err)
	}
	if r, err := s.UpdateRun(ctx, run, fresh, finish); err != nil || r.State != prunella.RunDone {
		t.Errorf("the holder of the lease is refused: %v", err)
	}
}

// running runs an engine; stop may be called twice.
func running(e *engine.Engine) (began <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	b, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); close(b); e.Run(ctx) }()
	return b, func() { cancel(); <-done }
}

// deadline looks until it is so, at most ten seconds.
func deadline(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(10 * time.Second)
	for !so() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Two servers on one host hold leases under names of their own, and a server
// takes over at once what one that has ended on its folder still held.
func TestARestartTakesOverAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	inc, _ := healing(t, s, "http://127.0.0.1:1")
	if _, ok, err := s.AcquireLease(t.Context(), "incident/"+string(inc), "node/gone/1", time.Now(), time.Hour); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := s.Close(); err != nil { // as a process that is killed: the lease is not given back
		t.Fatal(err)
	}
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: dir})
	defer stop()
	deadline(t, "the heal to go on", func() bool {
		i, err := a.store.Incident(t.Context(), inc)
		return err == nil && i.State != prunella.Healing
	})
	other, stopOther := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir()})
	defer stopOther()
	if a.engine.Owner() == other.engine.Owner() {
		t.Errorf("both are %s", a.engine.Owner())
	}
}
