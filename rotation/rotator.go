package rotation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Rotator is one node's hand on a ring of keys: it runs the loop, signs tokens,
// serves the key set, takes acknowledgements and delivers hints. All methods
// may be called from any number of goroutines.
type Rotator struct {
	cfg     Config
	policy  Policy
	fleet   []Verifier
	byName  map[string]*declared
	metrics *metrics
	log     *slog.Logger
	hooks   *messenger

	seen atomic.Pointer[view]
	mute atomic.Bool   // the signer failed when it last signed
	poke chan struct{} // something was told: look now
	mu   sync.Mutex    // one step at a time in this node
}

// view is a ring as it was read last.
type view struct {
	ring Ring
	read time.Time
}

// age is by the clock that says more: one stands still while the machine sleeps,
// the other may be set back.
func (v *view) age(now time.Time) time.Duration {
	return max(now.Sub(v.read), now.Round(0).Sub(v.read.Round(0)))
}

// New returns a rotator of a store's ring. It is Invalid when the configuration
// is wrong, Unavailable when the store does not answer, and Damaged when the
// signer's key is there and cannot be used. Run starts the loop.
func New(ctx context.Context, cfg Config) (*Rotator, error) {
	cfg, byName, err := cfg.settled()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	r := &Rotator{cfg: cfg, policy: cfg.Policy, fleet: cfg.Verifiers, byName: byName, metrics: m,
		log: cfg.Log.With("component", "rotation", "issuer", cfg.Issuer), hooks: newMessenger(cfg.Client), poke: make(chan struct{}, 1)}
	ring, err := r.read(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	if k, signs := ring.Signer(); signs { // a node with another secret would take part and sign nothing
		if _, err := cfg.Signer.Sign(ctx, k.ID, k.Algorithm, []byte("trial")); errors.Is(err, Damaged) || errors.Is(err, Invalid) {
			return nil, fmt.Errorf("sign with %s: %w", k.ID, err)
		}
	}
	return r, nil
}

// read reads the ring for this node's use.
func (r *Rotator) read(ctx context.Context, now time.Time) (Ring, error) {
	ring, err := r.cfg.Store.Ring(ctx)
	if err != nil {
		return ring, err
	}
	r.keep(ring, now)
	return ring, nil
}

// keep puts a ring into use, unless a newer one is.
func (r *Rotator) keep(ring Ring, now time.Time) {
	next := &view{ring, now}
	for {
		old := r.seen.Load()
		if old != nil && (old.ring.Version > ring.Version || old.ring.Version == ring.Version && old.read.After(now)) {
			return
		}
		if r.seen.CompareAndSwap(old, next) {
			r.metrics.ring(ring, now)
			return
		}
	}
}

// current returns the ring to sign and to publish with: read lately, so that
// everybody else may rely on this node knowing what was decided Policy.Stale ago.
// Half of that is for the node and half for the copies that others make.
func (r *Rotator) current(ctx context.Context, now time.Time) (Ring, error) {
	return r.within(ctx, now, r.policy.Stale/4)
}

// within is current, with a ring that was read at most newest ago if the store
// answers.
func (r *Rotator) within(ctx context.Context, now time.Time, newest time.Duration) (Ring, error) {
	v := r.seen.Load()
	age := v.age(now)
	if age <= newest {
		return v.ring, nil
	}
	ring, err := r.read(ctx, now)
	switch {
	case err == nil:
		return ring, nil
	case age <= r.policy.Stale/2:
		return v.ring, nil
	}
	return Ring{}, &Error{Kind: Unavailable, Detail: fmt.Sprintf("the store was read last %s ago, and this node may not act on that", age.Round(time.Second)),
		Remedy: "see that the store answers", Cause: err}
}

// Snapshot reads all that decisions are made of.
func (r *Rotator) Snapshot(ctx context.Context, now time.Time) (Snapshot, error) {
	s := Snapshot{Policy: r.policy, Verifiers: r.fleet}
	var err error
	if s.Instances, err = r.cfg.Store.Instances(ctx); err != nil {
		return s, err
	}
	if s.Probes, err = r.cfg.Store.Probes(ctx); err != nil {
		return s, err
	}
	s.Ring, err = r.read(ctx, now) // last: it must not be older than what was told about it
	return s, err
}

const (
	maxSteps  = 64 // of one look; more means that something goes in circles
	keepDone  = 7 * 24 * time.Hour
	sweepEach = time.Minute
	restShare = 4 // times as long as a look took, the loop is not woken after it
)

// Run is the loop: it takes the steps that are due, delivers hints and shows
// canaries until ctx ends. Any number of nodes may run it. It returns nil.
func (r *Rotator) Run(ctx context.Context) error {
	var done sync.WaitGroup
	defer done.Wait()
	each := func(name string, every time.Duration, wake <-chan struct{}, do func(context.Context, time.Time) error) {
		timer := time.NewTimer(0)
		defer timer.Stop()
		fails := 0
		var rested time.Time // not to be woken before: a large fleet must not keep it running
		for {
			select {
			case <-ctx.Done():
				return
			case <-wake:
				if rest := time.Until(rested); rest > 0 {
					timer.Reset(rest)
					continue
				}
			case <-timer.C:
			}
			wait := every
			began := time.Now()
			err := do(ctx, began)
			rested = time.Now().Add(restShare * time.Since(began))
			if err != nil && ctx.Err() == nil {
				if fails++; fails == 1 {
					r.log.Error("cannot go on with "+name, "error", err)
				}
				wait = min(every<<min(fails, 6), time.Minute)
			} else if err == nil && fails > 0 {
				r.log.Info("going on with "+name, "failed_tries", fails)
				fails = 0
			}
			timer.Reset(wait)
		}
	}
	done.Go(func() { each("rotating", r.cfg.Tick, r.poke, r.Settle) })
	done.Go(func() { each("delivering", r.cfg.Tick, nil, r.Deliver) })
	done.Go(func() { each("probing", r.cfg.Tick, nil, r.Probe) })
	done.Go(func() { each("sweeping", sweepEach, nil, r.sweep) })
	return nil
}

// RunOnce does once what Run does again and again.
func (r *Rotator) RunOnce(ctx context.Context, now time.Time) error {
	return errors.Join(r.Settle(ctx, now), r.Deliver(ctx, now), r.Probe(ctx, now), r.sweep(ctx, now))
}

func (r *Rotator) sweep(ctx context.Context, now time.Time) error {
	list, err := r.cfg.Store.Instances(ctx)
	if err != nil {
		return err
	}
	lease := r.policy.MaxLease
	for _, i := range list {
		lease = max(lease, i.Lease) // which another policy granted
	}
	_, err = r.cfg.Store.Forget(ctx, now.Add(-(lease + r.policy.Grace + r.policy.Skew)))
	return errors.Join(err, r.cfg.Store.Prune(ctx, now.Add(-max(keepDone, 2*r.policy.Period))))
}

// Settle takes steps until none is due.
func (r *Rotator) Settle(ctx context.Context, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range maxSteps {
		s, err := r.Snapshot(ctx, now)
		if err != nil {
			return err
		}
		r.metrics.fleet(s, now)
		step, due := Decide(s, now)
		if !due {
			return nil
		}
		step.By = r.cfg.Node
		if _, err := r.take(ctx, s.Ring, step, now); err != nil && !errors.Is(err, Conflict) {
			return err
		}
	}
	return fault(Conflict, fmt.Sprintf("%d steps at once, and the next is due", maxSteps), "another node may be deciding otherwise: do all have the same policy and verifiers?")
}

// take does a step: first what the signer has to do, which is safe to do again,
// then the commit, which happens once.
func (r *Rotator) take(ctx context.Context, ring Ring, step Step, now time.Time) (Ring, error) {
	switch step.Action {
	case Plan:
		step.Key, step.Alg = newKeyID(now), r.cfg.Algorithm
	case Create:
		k, ok := ring.Key(step.Key)
		if !ok {
			return ring, fault(NotFound, fmt.Sprintf("there is no key %q", step.Key), "")
		}
		public, err := r.cfg.Signer.Create(ctx, k.ID, k.Algorithm)
		if err != nil {
			return ring, fmt.Errorf("create key %s: %w", k.ID, err)
		}
		if step.Public, err = NewJWK(k.ID, k.Algorithm, public); err != nil {
			return ring, err
		}
	case Destroy:
		if err := r.cfg.Signer.Destroy(ctx, step.Key); err != nil {
			return ring, fmt.Errorf("destroy key %s: %w", step.Key, err)
		}
	}
	next, entry, err := ring.Apply(step, now)
	if err != nil {
		return ring, err
	}
	change := Change{Ring: next, Entry: entry, Deliveries: r.hints(next, step, now)}
	if err := r.cfg.Store.Commit(ctx, change); err != nil {
		return ring, err
	}
	r.keep(next, now)
	r.metrics.step(step.Action)
	level := slog.LevelInfo
	if step.Action == Return || step.Action == Revoke || step.Override {
		level = slog.LevelWarn
	}
	r.log.Log(ctx, level, "key "+string(step.Action), "kid", step.Key, "from", entry.From, "to", entry.To, "by", step.By,
		"override", step.Override, "note", step.Note, "reason", step.Reason.Code, "version", next.Version)
	return next, nil
}

// newKeyID is the day, for people, and 50 random bits.
func newKeyID(now time.Time) KeyID {
	return KeyID(now.UTC().Format("2006-01-02") + "-" + strings.ToLower(rand.Text()[:10]))
}

// wake makes the loop look now.
func (r *Rotator) wake() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// Status is what a person on call wants to see.
type Status struct {
	Issuer     string    `json:"issuer"`
	Node       string    `json:"node"`
	Now        time.Time `json:"now"`
	Version    int64     `json:"version"`
	Keys       []Key     `json:"keys"`
	Due        time.Time `json:"due,omitzero"`
	NextChange time.Time `json:"next_change,omitzero"`
	Halted     string    `json:"halted,omitempty"`
	Gates      []Reason  `json:"gates"`
}

// Status says where the rotation is and what every gate answers now.
func (r *Rotator) Status(ctx context.Context) (Status, error) {
	now := time.Now()
	s, err := r.Snapshot(ctx, now)
	if err != nil {
		return Status{}, err
	}
	return Status{Issuer: r.cfg.Issuer, Node: r.cfg.Node, Now: now.UTC(), Version: s.Ring.Version, Keys: s.Ring.Keys,
		Due: s.Ring.Due, NextChange: NextChange(s), Halted: s.Ring.Halted, Gates: Gates(s, now)}, nil
}

// Gates lists the answers that matter now: for every key, the gate before it.
func Gates(s Snapshot, now time.Time) []Reason {
	list := []Reason{}
	for _, k := range s.Ring.Keys {
		switch {
		case k.State == Planned:
			list = append(list, CanPublish(s, k.ID))
		case k.State.Waiting():
			list = append(list, CanPromote(s, k.ID, now))
		case k.State == Active:
			list = append(list, MustReturn(s, now))
		case k.State == Previous:
			list = append(list, CanRemove(s, k.ID, now))
		}
	}
	return list
}

// VerifierStatus is a declared verifier with those of its caches that count.
type VerifierStatus struct {
	Verifier
	Live      int        `json:"live"`
	Instances []Instance `json:"instances"`
}

// Verifiers lists the declared verifiers with what they told last, by name.
func (r *Rotator) Verifiers(ctx context.Context) ([]VerifierStatus, error) {
	now := time.Now()
	s, err := r.Snapshot(ctx, now)
	if err != nil {
		return nil, err
	}
	s.sort()
	list := make([]VerifierStatus, 0, len(r.fleet))
	for _, v := range r.fleet {
		one := VerifierStatus{Verifier: v, Instances: []Instance{}}
		for _, i := range s.of(v) {
			where := s.presence(v, i, now)
			if where == alive {
				one.Live++
			}
			if where != gone {
				one.Instances = append(one.Instances, i)
			}
		}
		list = append(list, one)
	}
	return list, nil
}
