package monitor_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"prunella"
	"prunella/monitor"
)

// scripted is a monitor that does what its function says.
type scripted struct {
	name     string
	run      func(ctx context.Context, n int) ([]prunella.Signal, error)
	mu       sync.Mutex
	runs     int
	accepted int
}

func (m *scripted) Name() string { return m.name }

func (m *scripted) RunOnce(ctx context.Context, _ time.Time) ([]prunella.Signal, error) {
	m.mu.Lock()
	m.runs++
	n := m.runs
	m.mu.Unlock()
	return m.run(ctx, n)
}

func (m *scripted) Accepted(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accepted++
	return nil
}

func (m *scripted) counts() (runs, accepted int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs, m.accepted
}

type sink struct {
	mu   sync.Mutex
	got  []string
	fail bool
}

func (s *sink) Publish(ctx context.Context, ss []prunella.Signal) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail {
		return prunella.Errorf(prunella.Unavailable, "the bus is full")
	}
	for _, x := range ss {
		s.got = append(s.got, x.Name)
	}
	return nil
}

func TestRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := func(name string) ([]prunella.Signal, error) { return []prunella.Signal{{Name: name}}, nil }
		quick := &scripted{name: "quick", run: func(context.Context, int) ([]prunella.Signal, error) { return one("q") }}
		hangs := &scripted{name: "hangs", run: func(ctx context.Context, _ int) ([]prunella.Signal, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		fails := &scripted{name: "fails", run: func(_ context.Context, n int) ([]prunella.Signal, error) {
			if n < 3 {
				return []prunella.Signal{{Name: "f"}}, errors.New("it does not answer")
			}
			return nil, nil
		}}
		var logged bytes.Buffer
		metrics := prometheus.NewRegistry()
		s := &sink{}
		r := monitor.NewRunner(s, []monitor.Job{{Monitor: quick, Every: time.Second}, {Monitor: hangs, Every: time.Second, Timeout: 8 * time.Second}, {Monitor: fails, Every: 4 * time.Second}},
			monitor.Config{Log: slog.New(slog.NewTextHandler(&logged, nil)), Metrics: metrics})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n, a := quick.counts(); n < 9 || n > 12 || a != n {
			t.Errorf("quick ran %d times and was accepted %d times in 10 s", n, a)
		}
		if n, _ := hangs.counts(); n != 2 {
			t.Errorf("hangs ran %d times", n)
		}
		if n, a := fails.counts(); n != 3 || a != 3 {
			t.Errorf("fails ran %d times and was accepted %d times; its signals were published", n, a)
		}
		status := r.Status()
		if status[0].Name != "quick" || status[0].LastError != "" || status[0].LastSuccess.IsZero() || status[1].LastError != "context deadline exceeded" || status[2].LastError != "" {
			t.Errorf("status %+v", status)
		}
		// The bus is full: nothing is accepted, and the status says why.
		s.mu.Lock()
		s.fail = true
		s.mu.Unlock()
		_, before := quick.counts()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n, a := quick.counts(); a != before || n <= before || r.Status()[0].LastError != "the bus is full" {
			t.Errorf("ran %d, accepted %d, was %d: %+v", n, a, before, r.Status()[0])
		}
		cancel()
		<-done
		if got := strings.Count(logged.String(), "monitor fails"); got != 3 { // hangs, fails, quick: once each
			t.Errorf("%d warnings:\n%s", got, logged.String())
		}
		outcomes := map[string]bool{}
		families, err := metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				labels := []string{f.GetName()}
				for _, l := range m.GetLabel() {
					labels = append(labels, l.GetValue())
				}
				outcomes[strings.Join(labels, " ")] = true
			}
		}
		want := map[string]bool{"prunella_monitor_runs_total quick ok": true, "prunella_monitor_runs_total quick unpublished": true, "prunella_monitor_runs_total hangs error": true,
			"prunella_monitor_runs_total fails error": true, "prunella_monitor_runs_total fails ok": true,
			"prunella_monitor_last_success_timestamp_seconds quick": true, "prunella_monitor_last_success_timestamp_seconds fails": true}
		if d := cmp.Diff(want, outcomes); d != "" {
			t.Error(d)
		}
	})
}

// TestALookThatTakesAllItsTimeIsStillTold: what hangs is just what a monitor is
// there to tell.
func TestALookThatTakesAllItsTimeIsStillTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &sink{}
		m := &scripted{name: "hangs", run: func(ctx context.Context, _ int) ([]prunella.Signal, error) {
			<-ctx.Done()
			return []prunella.Signal{{Name: "timeout"}}, nil
		}}
		r := monitor.NewRunner(to, []monitor.Job{{Monitor: m, Every: time.Second}}, monitor.Config{Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		r.Run(ctx)
		to.mu.Lock()
		defer to.mu.Unlock()
		if len(to.got) == 0 || to.got[0] != "timeout" {
			t.Errorf("told %v", to.got)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	beats, status := 0, 200
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		beats++
		w.WriteHeader(status)
	}))
	client := s.Client()
	var unwell error
	m := monitor.NewHeartbeat(s.URL+"/ping/secret-id", func(context.Context, time.Time) error { return unwell }, client)
	if _, err := m.RunOnce(t.Context(), start); err != nil || beats != 1 {
		t.Errorf("%d beats, %v", beats, err)
	}
	unwell = errors.New("the engine stands still")
	if _, err := m.RunOnce(t.Context(), start); err == nil || beats != 1 || !strings.Contains(err.Error(), "the engine stands still") {
		t.Errorf("unwell: %d beats, %v", beats, err)
	}
	unwell, status = nil, 500
	if _, err := m.RunOnce(t.Context(), start); err == nil {
		t.Error("a refused beat is not an error")
	}
	s.Close()
	if _, err := m.RunOnce(t.Context(), start); err == nil || strings.Contains(err.Error(), "secret-id") {
		t.Errorf("nobody there: %v", err)
	}
}

// A monitor that panics is shown, counted and told, tried again in its rhythm,
// and takes no other with it.
func TestAMonitorThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := &scripted{name: "broken", run: func(context.Context, int) ([]prunella.Signal, error) { panic("nil map") }}
		quick := &scripted{name: "quick", run: func(context.Context, int) ([]prunella.Signal, error) { return nil, nil }}
		metrics := prometheus.NewRegistry()
		var told []*prunella.Panic
		r := monitor.NewRunner(&sink{}, []monitor.Job{{Monitor: broken, Every: time.Second}, {Monitor: quick, Every: time.Second}},
			monitor.Config{Log: slog.New(slog.DiscardHandler), Metrics: metrics, Caught: func(p *prunella.Panic) { told = append(told, p) }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		time.Sleep(5 * time.Second)
		cancel()
		<-done
		if n, _ := broken.counts(); n < 4 || len(told) != n || told[0].In != "monitor broken" || !strings.Contains(string(told[0].Stack), "TestAMonitorThatPanics") {
			t.Errorf("it ran %d times, told were %d", n, len(told))
		}
		if s := r.Status(); !strings.Contains(s[0].LastError, "nil map") || s[0].Runs != len(told) || s[1].LastError != "" || s[1].Runs < 4 {
			t.Errorf("status %+v", s)
		}
		if n := testutil.CollectAndCount(metrics, "prunella_monitor_runs_total"); n != 2 {
			t.Errorf("%d series of runs", n)
		}
	})
}
