package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"prunella"
	"prunella/correlate"
	"prunella/engine"
	"prunella/match"
	"prunella/store"
	"prunella/wiki"
)

// stream is a Source in memory with the contract of the bus: each reader gets
// every message once, in order, and the next reader again whatever was not
// acknowledged.
type stream struct {
	mu       sync.Mutex
	messages []engine.Message
	next     int // index of the message that is read next
	acked    uint64
	refuse   error // of Fetch
}

func (s *stream) publish(signals ...prunella.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, engine.Message{Seq: uint64(len(s.messages) + 1), Signals: signals})
}

func (s *stream) Epoch() string { return "epoch" }

func (s *stream) Fetch(ctx context.Context, max int, wait time.Duration) ([]engine.Message, error) {
	s.mu.Lock()
	out := s.messages[s.next:min(len(s.messages), s.next+max)]
	s.next += len(out)
	err := s.refuse
	s.mu.Unlock()
	if len(out) > 0 || err != nil {
		return out, err
	}
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
	return nil, nil
}

func (s *stream) AckThrough(_ context.Context, seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = max(s.acked, seq)
	return nil
}

func (s *stream) acknowledged() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked
}

// again is the stream as a process sees it that starts anew and was told
// nothing of what was acknowledged: the worst case, everything comes again.
func (s *stream) again() *stream { return &stream{messages: s.messages} }

// balky is a store that takes nothing while it is out of order.
type balky struct {
	engineStore
	mu     sync.Mutex
	broken error
	reads  bool // it does not read either
}

func (b *balky) breaks(err error, reads bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken, b.reads = err, reads
}

func (b *balky) CommitBatch(ctx context.Context, batch engine.Batch) error {
	b.mu.Lock()
	err := b.broken
	b.mu.Unlock()
	if err != nil {
		return err
	}
	return b.engineStore.CommitBatch(ctx, batch)
}

func (b *balky) OpenIncidents(ctx context.Context) ([]prunella.Incident, error) {
	b.mu.Lock()
	err, reads := b.broken, b.reads
	b.mu.Unlock()
	if err != nil && reads {
		return nil, err
	}
	return b.engineStore.OpenIncidents(ctx)
}

func openStore(t *testing.T, dir string) engineStore {
	t.Helper()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return engineStore{s, newHub()}
}

func pipeline(t *testing.T, from engine.Source, into engine.PipelineStore, inv prunella.Inventory) *engine.Pipeline {
	t.Helper()
	pages, err := wiki.Open(t.Context(), wiki.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pages.Close() })
	skills, err := openSkills(t.Context(), pages, nil, nil, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p, err := engine.NewPipeline(t.Context(), engine.PipelineConfig{Inventory: inv, Skills: skills.list, Detect: match.Default(), Correlate: correlate.Default()}, from, into, engine.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs a pipeline until the returned function is called.
func run(p *engine.Pipeline) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	return func() { cancel(); <-done }
}

func line(n int) prunella.Signal {
	return prunella.Signal{ID: prunella.SignalID(fmt.Sprintf("line-%d", n)), Source: "otlp/payment", Service: "payment", Kind: prunella.KindLog, Severity: prunella.Info,
		Body: fmt.Sprintf("charge %d captured", n), Time: time.Now(), Received: time.Now()}
}

func alert(n int) prunella.Signal {
	return prunella.Signal{ID: prunella.SignalID(fmt.Sprintf("alert-%d", n)), Source: "alertmanager", Service: "payment", Kind: prunella.KindAlert, Severity: prunella.Critical,
		Name: "PaymentUnauthorized", Body: "payment answers 401 to 80% of requests", Fingerprint: fmt.Sprintf("f%d", n),
		Attributes: map[string]string{prunella.AttrAlertStatus: "firing"}, Time: time.Now(), Received: time.Now()}
}

// content is everything that a store holds of what the pipeline was sent.
type content struct {
	Lines     []prunella.SignalID
	Incidents []prunella.IncidentID
	Signals   []prunella.SignalID // of the incidents
	Counted   int                 // Incident.Signals
	Events    int
	Notices   int
}

func look(t *testing.T, s engineStore) content {
	t.Helper()
	ctx := t.Context()
	var c content
	logs, err := s.SearchLogs(ctx, store.LogQuery{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range logs.Signals {
		c.Lines = append(c.Lines, l.ID)
	}
	incidents, err := s.OpenIncidents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range incidents {
		c.Incidents = append(c.Incidents, i.ID)
		c.Counted += i.Signals
		signals, _, err := s.SignalsOf(ctx, i.ID, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, sig := range signals {
			c.Signals = append(c.Signals, sig.ID)
		}
		events, err := s.Events(ctx, i.ID)
		if err != nil {
			t.Fatal(err)
		}
		c.Events += len(events)
		notices, err := s.Notifications(ctx, i.ID)
		if err != nil {
			t.Fatal(err)
		}
		c.Notices += len(notices)
	}
	return c
}

// While the store is out of order nothing is acknowledged and nothing is lost;
// once it works everything is there, once.
func TestNothingIsAcknowledgedBeforeTheCommit(t *testing.T) {
	for _, reads := range []bool{false, true} {
		t.Run(fmt.Sprintf("reads fail too: %v", reads), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := openStore(t, t.TempDir())
				defer s.Close()
				store := &balky{engineStore: s}
				from := &stream{}
				stop := run(pipeline(t, from, store, prunella.Inventory{}))
				from.publish(line(0), alert(0))
				time.Sleep(3 * time.Second)
				if c := look(t, s); len(c.Lines) != 1 || len(c.Signals) != 1 || from.acknowledged() != 1 {
					t.Fatalf("while all is well: %+v, acknowledged %d", c, from.acknowledged())
				}
				store.breaks(errors.New("disk full"), reads)
				for n := 1; n < 5; n++ {
					from.publish(line(n), alert(n))
					time.Sleep(3 * time.Second)
				}
				if from.acknowledged() != 1 {
					t.Fatalf("messages up to %d were acknowledged and are stored nowhere", from.acknowledged())
				}
				if c := look(t, s); len(c.Lines) != 1 || len(c.Signals) != 1 {
					t.Fatalf("a store that is out of order holds %+v", c)
				}
				store.breaks(nil, false)
				time.Sleep(10 * time.Second)
				stop()
				if from.acknowledged() != 5 {
					t.Errorf("acknowledged are messages up to %d, want 5", from.acknowledged())
				}
				c := look(t, s)
				if len(c.Lines) != 5 || len(c.Incidents) != 1 || len(c.Signals) != 5 || c.Counted != 5 {
					t.Errorf("want 5 lines and one incident with 5 alerts, have %+v", c)
				}
			})
		})
	}
}

// A pass that is decided again and again, because its commit fails, stores what
// it would have stored at once: also what it links to an incident that is open.
func TestAPassThatWaitedStoresTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, t.TempDir())
		defer s.Close()
		store := &balky{engineStore: s}
		from := &stream{}
		p := pipeline(t, from, store, prunella.Inventory{})
		from.publish(line(0), alert(0))
		from.publish(line(1), alert(1))
		if err := p.Pass(t.Context(), from.messages[:1], time.Now()); err != nil {
			t.Fatal(err)
		}
		store.breaks(errors.New("disk full"), false)
		done := make(chan error)
		go func() { done <- p.Pass(t.Context(), from.messages[1:], time.Now()) }()
		time.Sleep(5 * time.Second)
		if from.acknowledged() != 1 {
			t.Fatalf("messages up to %d were acknowledged, stored is the first", from.acknowledged())
		}
		store.breaks(nil, false)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if c := look(t, s); len(c.Lines) != 2 || len(c.Incidents) != 1 || len(c.Signals) != 2 || from.acknowledged() != 2 {
			t.Errorf("acknowledged are messages up to %d, stored is %+v", from.acknowledged(), c)
		}
	})
}

// overtaken is a store in which a person resolves an incident after the pass
// has read it, and before the pass is committed.
type overtaken struct {
	engineStore
	resolve func()
}

func (s *overtaken) CommitBatch(ctx context.Context, b engine.Batch) error {
	if s.resolve != nil {
		s.resolve()
		s.resolve = nil
	}
	return s.engineStore.CommitBatch(ctx, b)
}

// What belongs to an incident that is resolved while the pass is decided is not
// added to it afterwards.
func TestAResolvedIncidentTakesNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, t.TempDir())
		defer s.Close()
		from, store := &stream{}, &overtaken{engineStore: s}
		p := pipeline(t, from, store, prunella.Inventory{})
		from.publish(alert(0))
		if err := p.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		var before prunella.Incident
		store.resolve = func() { resolveAll(t, s, time.Now()); before = only(t, s) }
		late := alert(1)
		late.Severity, late.Time = prunella.Critical, late.Time.Add(-time.Minute) // an echo: it began before
		from.publish(late)
		time.Sleep(time.Second)
		start := time.Now()
		if err := p.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := only(t, s)
		if after.State != prunella.Resolved || after.Signals != 1 || !after.UpdatedAt.Equal(before.UpdatedAt) {
			t.Errorf("it is %s with %d signals, changed %s after it was resolved", after.State, after.Signals, after.UpdatedAt.Sub(before.UpdatedAt))
		}
		if took := time.Since(start); from.acknowledged() != 2 || took > 2*p.Interval() {
			t.Errorf("acknowledged are messages up to %d after %s", from.acknowledged(), took)
		}
	})
}

// only is the one incident that there is.
func only(t *testing.T, s engineStore) prunella.Incident {
	t.Helper()
	all, err := s.Incidents(t.Context(), store.IncidentFilter{})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d incidents, %v", len(all), err)
	}
	return all[0]
}

// A fetch that fails in the middle of a pass takes nothing with it.
func TestAFailedFetchLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, t.TempDir())
		defer s.Close()
		from := &stream{}
		p := pipeline(t, from, s, prunella.Inventory{})
		from.publish(line(1))
		from.refuse = errors.New("the bus is away") // beside the message it has at hand
		if err := p.RunOnce(t.Context()); err == nil {
			t.Error("the failure was not told")
		}
		from.refuse = nil
		from.publish(line(2))
		if err := p.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := look(t, s); len(c.Lines) != 2 || from.acknowledged() != 2 {
			t.Errorf("acknowledged are messages up to %d, stored are %v", from.acknowledged(), c.Lines)
		}
	})
}

// Messages that come again change nothing: to the same pipeline, and to the next
// one on the same store.
func TestRepeatsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, t.TempDir())
		defer s.Close()
		from := &stream{}
		p := pipeline(t, from, s, prunella.Inventory{})
		for n := range 4 {
			from.publish(line(n), alert(n), alert(n)) // the sender repeats itself too
		}
		if err := p.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := look(t, s)
		if len(want.Lines) != 4 || len(want.Signals) != 4 || len(want.Incidents) != 1 || want.Notices != 1 {
			t.Fatalf("before the repeat: %+v", want)
		}
		if err := p.Pass(t.Context(), from.messages, time.Now()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, look(t, s)); diff != "" {
			t.Errorf("a repeat changed (-before +after):\n%s", diff)
		}
		if n, _ := p.Folded(); n != 12 {
			t.Errorf("%d signals were folded in, want 12", n)
		}
		repeat := from.again()
		p = pipeline(t, repeat, s, prunella.Inventory{})
		if err := p.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if repeat.acknowledged() != 4 {
			t.Errorf("repeats up to %d were acknowledged, want 4", repeat.acknowledged())
		}
		if diff := cmp.Diff(want, look(t, s)); diff != "" {
			t.Errorf("a repeat after a restart changed (-before +after):\n%s", diff)
		}
		if n, _ := p.Folded(); n != 0 {
			t.Errorf("%d repeats were folded in", n)
		}
	})
}
