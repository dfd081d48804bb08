package engine

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"prunella"
	"prunella/correlate"
	"prunella/heal"
)

// Config is how the engine works. Durations are those of production; TimeScale
// divides the ones that wait for the world to show something.
type Config struct {
	Owner     string // unique to this process; holds leases
	Inventory prunella.Inventory
	Skills    func() []prunella.Skill
	Catalog   []prunella.Spec
	Policy    heal.Policy
	PublicURL string           // base of links in notifications
	Correlate correlate.Config // how long an incident may be still before it is another one; default correlate.Default, scaled

	TimeScale    float64       // 1 in production; a drill against a lab is faster
	Settle       time.Duration // from opening to diagnosis, so that the first evidence is there; default 15 s
	Patience     time.Duration // how long a diagnosis may wait for better evidence; default 3 min
	Hold         time.Duration // quiet that proves a heal; default 60 s
	VerifyBudget time.Duration // after which an unproven heal escalates; default 5 min
	MinSamples   int           // per service that was hit; default 20
	ReadTimeout  time.Duration // of one read that declares none; default 10 s, never scaled
	Bucket       time.Duration // width of one point of the request series; the detector's
	LeaseTTL     time.Duration // default 30 s, never scaled
	MinCause     float64       // confidence below which a cause is not acted on or announced as the cause; default 0.5
}

func (c Config) withDefaults() Config {
	for p, d := range map[*time.Duration]time.Duration{
		&c.Settle: 15 * time.Second, &c.Patience: 3 * time.Minute, &c.Hold: time.Minute,
		&c.VerifyBudget: 5 * time.Minute, &c.ReadTimeout: 10 * time.Second, &c.LeaseTTL: 30 * time.Second,
	} {
		if *p == 0 {
			*p = d
		}
	}
	if c.TimeScale <= 0 {
		c.TimeScale = 1
	}
	if c.Correlate == (correlate.Config{}) {
		c.Correlate = correlate.Default().Scaled(c.TimeScale)
	}
	if c.MinSamples == 0 {
		c.MinSamples = 20
	}
	if c.MinCause == 0 {
		c.MinCause = 0.5
	}
	return c
}

// scaled shortens a wait for a drill.
func (c Config) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / c.TimeScale)
}

// Engine takes incidents through their stages.
type Engine struct {
	cfg     Config
	store   Store
	world   World
	metrics *Metrics
	log     *slog.Logger
	catalog map[string]prunella.Spec
	wake    chan struct{}

	mu       sync.Mutex
	busy     map[prunella.IncidentID]bool
	failing  map[prunella.IncidentID]failing // what fails at every try
	last     time.Time                       // last completed tick
	round    time.Time                       // last time that the loop came round
	absences []absence                       // the newest, oldest first
	done     sync.WaitGroup
}

// New makes an engine; Start runs it.
func New(cfg Config, store Store, world World, metrics *Metrics, log *slog.Logger) *Engine {
	e := &Engine{cfg: cfg.withDefaults(), store: store, world: world, metrics: metrics, log: log.With("component", "engine"),
		catalog: map[string]prunella.Spec{}, wake: make(chan struct{}, 1), busy: map[prunella.IncidentID]bool{},
		failing: map[prunella.IncidentID]failing{}, last: time.Now()}
	for _, s := range cfg.Catalog {
		if s.Action {
			e.catalog[s.Name] = s
		}
	}
	return e
}

// failing is a stage that has failed at every try since a moment.
type failing struct {
	since  time.Time
	panics int // in a row
}

// Wake asks for a tick soon: an incident changed or an approval was decided.
func (e *Engine) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// LastTick is when the loop last looked at every incident; the heartbeat reads it.
func (e *Engine) LastTick() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

// Owner is the name this engine holds leases under.
func (e *Engine) Owner() string { return e.cfg.Owner }

// Run loops until ctx ends, then waits for stages under way to stop.
func (e *Engine) Run(ctx context.Context) {
	tick := time.NewTicker(e.cfg.every())
	defer tick.Stop()
	defer e.done.Wait()
	for {
		now := time.Now()
		e.comeRound(now)
		if err := e.Tick(ctx, now); err != nil && ctx.Err() == nil {
			e.log.Error("tick", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-e.wake:
		}
	}
}

// Tick starts the next stage of every incident that is due and not already in
// hand. Stages of different incidents run side by side.
func (e *Engine) Tick(ctx context.Context, now time.Time) error {
	open, err := e.store.OpenIncidents(ctx)
	if err != nil {
		return err
	}
	for _, inc := range open {
		if inc.State == prunella.Escalated || inc.State == prunella.Resolved || inc.DueAt.After(now) {
			continue
		}
		e.mu.Lock()
		taken := e.busy[inc.ID]
		if !taken {
			e.busy[inc.ID] = true
			e.done.Add(1)
		}
		e.mu.Unlock()
		if taken {
			continue
		}
		go func() {
			defer e.done.Done()
			again := e.hold(ctx, inc.ID)
			e.mu.Lock()
			delete(e.busy, inc.ID)
			e.mu.Unlock()
			if again {
				e.Wake()
			}
		}()
	}
	e.mu.Lock()
	e.last = now
	e.mu.Unlock()
	return nil
}

// hold takes the incident's lease, runs its next stage, and gives the lease back.
// It answers whether the incident moved on and has another stage to run now.
func (e *Engine) hold(ctx context.Context, id prunella.IncidentID) (again bool) {
	name := "incident/" + string(id)
	fence, ok, err := e.store.AcquireLease(ctx, name, e.cfg.Owner, time.Now(), e.cfg.LeaseTTL)
	if err != nil || !ok {
		if err != nil && ctx.Err() == nil {
			e.log.Error("lease", "incident", id, "err", err)
		}
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	renewed := make(chan struct{})
	go func() { // a lost lease stops the work done under it
		defer close(renewed)
		t := time.NewTicker(e.cfg.LeaseTTL / 3)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				if err := e.store.RenewLease(ctx, name, fence, time.Now(), e.cfg.LeaseTTL); err != nil {
					cancel()
					return
				}
			}
		}
	}()
	err = guarded("stage", e.metrics, e.log, func() error {
		var err error
		again, err = e.advance(ctx, id, fence)
		return err
	})
	stopped := ctx.Err() != nil
	cancel()
	<-renewed
	release, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	if err != nil && !stopped {
		if lost := e.store.RenewLease(release, name, fence, time.Now(), e.cfg.LeaseTTL); prunella.KindOf(lost) == prunella.Conflict {
			e.log.Warn("the lease was lost; another node goes on with the incident", "incident", id, "err", err)
			return false // it is not ours to put off or to escalate
		}
		e.log.Error("stage", "incident", id, "err", err)
		e.metrics.StageErrors.Inc()
		e.deferStage(id, fence, err)
	} else if err == nil {
		e.mu.Lock()
		delete(e.failing, id)
		e.mu.Unlock()
	}
	if err := e.store.ReleaseLease(release, name, fence); err != nil {
		e.log.Warn("release lease", "incident", id, "err", err)
	}
	return again && !stopped
}

// deferStage lets a failing stage wait instead of spinning, and hands an
// incident to a human when its stage fails for longer than the patience or
// panics again and again.
func (e *Engine) deferStage(id prunella.IncidentID, fence int64, cause error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	now := time.Now()
	e.mu.Lock()
	f := e.failing[id]
	if f.since.IsZero() {
		f.since = now
	}
	if f.panics++; !panicked(cause) {
		f.panics = 0
	}
	e.failing[id] = f
	e.mu.Unlock()
	inc, err := e.store.Incident(ctx, id)
	if err != nil {
		return
	}
	if stages[inc.State] == nil { // what a person holds is not ours to put off
		e.mu.Lock()
		delete(e.failing, id)
		e.mu.Unlock()
		return
	}
	if f.panics >= maxPanics || e.waited(f.since, now) > e.cfg.scaled(e.cfg.Patience)+10*time.Second {
		reason := prunella.Reason{Name: "stage-failing", Text: fmt.Sprintf("%s keeps failing: %v", inc.State, cause)}
		if err := e.escalate(ctx, inc, nil, reason, nil); err != nil {
			e.log.Error("escalate", "incident", id, "err", err)
		} else if err := e.abandon(ctx, id, fence, reason); err != nil {
			e.log.Error("end the run", "incident", id, "err", err)
		}
		return
	}
	wait := e.cfg.scaled(5*time.Second) + time.Duration(rand.Int64N(int64(200*time.Millisecond)))
	if err := e.stay(ctx, inc, func(i *prunella.Incident) {
		i.StateReason = prunella.Reason{Name: "stage-failed", Text: fmt.Sprintf("%s failed and is tried again: %v", inc.State, cause)}
		i.DueAt = now.Add(wait)
	}); err != nil {
		e.log.Error("defer stage", "incident", id, "err", err)
	}
}

// stage runs one state's work; it answers whether the incident moved on.
type stage func(e *Engine, ctx context.Context, inc prunella.Incident, fence int64, now time.Time) (bool, error)

// stages is the way of an incident, in one place.
var stages = map[prunella.State]stage{
	prunella.Open:             (*Engine).begin,
	prunella.Diagnosing:       (*Engine).diagnose,
	prunella.AwaitingApproval: (*Engine).await,
	prunella.Healing:          (*Engine).heal,
	prunella.Verifying:        (*Engine).verify,
}

func (e *Engine) advance(ctx context.Context, id prunella.IncidentID, fence int64) (bool, error) {
	inc, err := e.store.Incident(ctx, id)
	if err != nil {
		return false, err
	}
	run, ok := stages[inc.State]
	if !ok {
		return false, nil
	}
	start := time.Now()
	moved, err := run(e, ctx, inc, fence, start)
	e.metrics.Stage.WithLabelValues(string(inc.State)).Observe(time.Since(start).Seconds())
	if prunella.KindOf(err) == prunella.Conflict && ctx.Err() == nil {
		if i, rerr := e.store.Incident(ctx, id); rerr == nil && i.State != inc.State { // a person moved it meanwhile
			return true, e.abandon(ctx, id, fence, TakenByPerson)
		}
	}
	return moved, err
}

// begin lets an incident settle, then starts its diagnosis.
func (e *Engine) begin(ctx context.Context, inc prunella.Incident, _ int64, now time.Time) (bool, error) {
	if left := e.cfg.scaled(e.cfg.Settle) - e.waited(inc.OpenedAt, now); left > 0 {
		return false, e.due(ctx, inc, now.Add(left))
	}
	_, err := e.move(ctx, inc, prunella.Diagnosing, prunella.Reason{Name: "settled", Text: "enough time for the first evidence to arrive"}, Change{})
	return err == nil, err
}

func (e *Engine) due(ctx context.Context, inc prunella.Incident, at time.Time) error {
	return e.stay(ctx, inc, func(i *prunella.Incident) { i.DueAt = at })
}

// stay changes an incident that stays in its state. One that a person moved
// meanwhile is left as it is.
func (e *Engine) stay(ctx context.Context, inc prunella.Incident, change func(*prunella.Incident)) error {
	_, err := e.store.Save(ctx, Change{ID: inc.ID, Apply: func(i *prunella.Incident) error {
		if i.State == inc.State {
			change(i)
		}
		return nil
	}})
	return err
}

// move changes an incident's state with its reason and timeline line, in one
// transaction with whatever else the change carries.
func (e *Engine) move(ctx context.Context, inc prunella.Incident, to prunella.State, why prunella.Reason, c Change) (prunella.Incident, error) {
	now := time.Now()
	c.ID = inc.ID
	also := c.Apply
	c.Apply = func(i *prunella.Incident) error {
		if i.State != inc.State {
			return prunella.Errorf(prunella.Conflict, "incident %s went to %s meanwhile", i.ID, i.State)
		}
		if err := prunella.Transition(i.State, to); err != nil {
			return err
		}
		i.State, i.StateReason, i.DueAt, i.UpdatedAt = to, why, time.Time{}, now
		if i.StateAt == nil {
			i.StateAt = map[prunella.State]time.Time{}
		}
		i.StateAt[to] = now
		if to == prunella.Resolved {
			i.ResolvedAt = now
		}
		if also != nil {
			return also(i)
		}
		return nil
	}
	c.Events = append(c.Events, prunella.Event{Incident: inc.ID, At: now, Kind: "state", Text: fmt.Sprintf("%s: %s", to, why.Text), Reason: why})
	saved, err := e.store.Save(ctx, c)
	if err == nil {
		e.metrics.Transitions.WithLabelValues(string(to)).Inc()
		e.log.Info("incident", "id", inc.ID, "state", to, "reason", why.Name)
	}
	return saved, err
}
