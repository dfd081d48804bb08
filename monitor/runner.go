package monitor

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"prunella"
)

// Sink takes Signals; they are durable when Publish returns nil.
type Sink interface {
	Publish(ctx context.Context, signals []prunella.Signal) error
}

// Job is a monitor and its rhythm.
type Job struct {
	Monitor Monitor
	Every   time.Duration // from start to start, give or take a tenth
	Timeout time.Duration // of one run, and again of its publication; 0: Every, at least 10 s
}

// Config is what a Runner needs.
type Config struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer // may be nil
	Now     func() time.Time      // nil: time.Now
	Caught  prunella.Caught       // is told when a monitor panics; the monitor goes on in its rhythm
}

// Status is how a monitor fares.
type Status struct {
	Name        string    `json:"name"`
	LastRun     time.Time `json:"last_run,omitzero"` // end of the last run
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastError   string    `json:"last_error,omitempty"` // of the last run, "" when it succeeded
	Runs        int       `json:"runs"`
}

// Runner runs monitors, each in a goroutine of its own, so that none waits for
// another.
type Runner struct {
	sink Sink
	jobs []Job
	log  *slog.Logger
	now  func() time.Time

	caught  prunella.Caught
	runs    *prometheus.CounterVec
	success *prometheus.GaugeVec

	mu     sync.Mutex
	status map[string]Status
}

// NewRunner returns a Runner of the jobs.
func NewRunner(sink Sink, jobs []Job, cfg Config) *Runner {
	r := &Runner{
		sink: sink, jobs: jobs, log: cfg.Log.With("component", "monitor"), now: cfg.Now, caught: cfg.Caught, status: map[string]Status{},
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "prunella_monitor_runs_total",
			Help: "Runs of each monitor by outcome: ok, error (it could not look), unpublished (its signals were not taken), panic (a fault of our own)."}, []string{"monitor", "outcome"}),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "prunella_monitor_last_success_timestamp_seconds",
			Help: "When each monitor last looked and published without an error, in Unix seconds."}, []string{"monitor"}),
	}
	if r.now == nil {
		r.now = time.Now
	}
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(r.runs, r.success)
	}
	for _, j := range jobs {
		r.status[j.Monitor.Name()] = Status{Name: j.Monitor.Name()}
	}
	return r
}

// Run runs every monitor at once and then in its rhythm, until ctx ends and the
// last run has come to its end.
func (r *Runner) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, j := range r.jobs {
		wg.Go(func() { r.loop(ctx, j) })
	}
	wg.Wait()
}

func (r *Runner) loop(ctx context.Context, j Job) {
	for {
		start := time.Now()
		name := j.Monitor.Name()
		if err := r.caught.Contain("monitor "+name, func() error { r.runOnce(ctx, j); return nil }); err != nil {
			r.note(name, "panic", err)
		}
		wait := time.Duration(float64(j.Every)*(0.9+0.2*rand.Float64())) - time.Since(start)
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// runOnce looks, publishes, and tells the monitor.
func (r *Runner) runOnce(ctx context.Context, j Job) {
	limit := j.Timeout
	if limit <= 0 {
		limit = max(j.Every, 10*time.Second) // more than one request that is not answered takes
	}
	run, cancel := context.WithTimeout(ctx, limit)
	signals, err := j.Monitor.RunOnce(run, r.now())
	cancel()
	run, cancel = context.WithTimeout(ctx, limit) // what took the whole time to find out is still to be said
	defer cancel()
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	var unpublished error
	if len(signals) > 0 {
		unpublished = r.sink.Publish(run, signals)
	}
	if unpublished == nil {
		unpublished = j.Monitor.Accepted(run)
	}
	if unpublished != nil {
		outcome, err = "unpublished", unpublished
	}
	if ctx.Err() != nil {
		return // we are stopping; what was cut short is found again after the start
	}
	r.note(j.Monitor.Name(), outcome, err)
}

func (r *Runner) note(name, outcome string, err error) {
	now := r.now()
	r.mu.Lock()
	s := r.status[name]
	had := s.LastError
	s.LastRun, s.LastError = now, ""
	s.Runs++
	if err == nil {
		s.LastSuccess = now
	} else {
		s.LastError = err.Error()
	}
	r.status[name] = s
	r.mu.Unlock()
	r.runs.WithLabelValues(name, outcome).Inc()
	if err == nil {
		r.success.WithLabelValues(name).Set(float64(now.UnixMilli()) / 1000)
	}
	// One line when it begins to fail and one when it stops.
	switch {
	case err != nil && had == "":
		r.log.Warn("monitor fails", "monitor", name, "outcome", outcome, "error", err)
	case err == nil && had != "":
		r.log.Info("monitor works again", "monitor", name)
	}
}

// Status returns how each monitor fares, in the order of the jobs.
func (r *Runner) Status() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Status
	for _, j := range r.jobs {
		out = append(out, r.status[j.Monitor.Name()])
	}
	return out
}
