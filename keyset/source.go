package keyset

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	hintEvery   = 10 * time.Second // signed hints cause at most one fetch in this time
	longestTry  = time.Minute      // between two tries while the issuer does not answer
	longestBare = 15 * time.Second // and while there is no set to use meanwhile
	maxWait     = 2 * time.Second  // a request waits no longer for the fetches that may bring its key
	oversleep   = 30 * time.Second // after a fetch was due: run does not sleep so long, nor fetch, unless it was not running
)

// snapshot is a key set as verification sees it; it is never changed.
type snapshot struct {
	keys  map[string]*key
	only  *key      // the one key of a set of one, for tokens that name no kid
	began time.Time // when the fetch began that last confirmed it
}

// key returns the key that a kid means, or nil.
func (s *snapshot) key(kid string) *key {
	if kid == "" {
		return s.only
	}
	return s.keys[kid]
}

// source keeps the keys of one issuer. Verification reads snap; one goroutine,
// run, fetches and replaces it.
type source struct {
	Source
	name    string // for the log and the metrics
	leeway  time.Duration
	stale   time.Duration
	log     *slog.Logger
	metrics *sourceMetrics
	origin  origin
	allowed map[string]bool // Algorithms
	changed func()          // called after the set changed
	wanted  *wanted         // nil when nobody is told

	snap    atomic.Pointer[snapshot]
	until   atomic.Int64           // Unix nanoseconds: the set must not be used after
	flight  atomic.Pointer[flight] // the fetch under way
	overdue atomic.Int64           // Unix nanoseconds: when run was evidently held up, for it is awake before
	noSlots atomic.Int64           // nanoseconds since budget was made: until then no unknown kid is worth a fetch

	mu      sync.Mutex // guards what follows
	budget  *budget
	hushed  *flight // waits for the silence to last; nil when none does
	closed  bool
	waking  time.Time // until when tokens wait for run, which was held up; zero when it was not
	hintAt  time.Time // when to fetch because of a hint; zero when there is none
	hinted  time.Time // when that was done last
	work    chan *flight
	nudge   chan struct{} // hintAt changed
	started chan struct{} // closed after the first fetch

	// Owned by run.
	fails   int
	expired bool
}

// flight is one fetch that any number of requests wait for.
type flight struct {
	done   chan struct{}
	reason string // scheduled | hint | unknown-key | signature
	slot   slot
	kid    string // of the token; "" is a token of a set's only key
	was    *key   // signature: the key whose material may have changed

	others  int  // repeated: kids that were repeated as it waited for hush
	dropped bool // it did not begin; to be read when done is closed
}

func newSource(s Source, cfg Config, m *sourceMetrics, changed func()) *source {
	name := nameOf(s)
	src := &source{
		Source: s, name: name, leeway: cfg.Leeway, stale: cfg.MaxStale, metrics: m, changed: changed,
		log:     cfg.Log.With("component", "keyset", "issuer", name),
		allowed: map[string]bool{}, budget: newBudget(), work: make(chan *flight, 1), nudge: make(chan struct{}, 1), started: make(chan struct{}),
	}
	for _, a := range s.Algorithms {
		src.allowed[a] = true
	}
	src.overdue.Store(math.MaxInt64)
	if s.File != "" {
		src.origin = &file{path: s.File}
	} else {
		src.origin = newWeb(s, cfg)
	}
	return src
}

func nameOf(s Source) string {
	if s.Issuer == "" {
		return s.File
	}
	return s.Issuer
}

// run fetches on schedule, on hints and for flights until ctx ends.
func (s *source) run(ctx context.Context) {
	next := time.Now()
	first := true
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var f *flight
		select {
		case <-ctx.Done():
			s.close()
			return
		case f = <-s.work:
		case <-s.nudge:
		case <-timer.C:
			s.mu.Lock()
			f = s.begin(s.dueReason(time.Now()))
			s.mu.Unlock()
			<-s.work // begin put it there, or somebody's that came first
		}
		if f != nil {
			next = time.Now().Add(s.fetch(ctx, f))
			if first {
				first = false
				close(s.started)
			}
		}
		s.mu.Lock()
		due := next
		if !s.hintAt.IsZero() && s.hintAt.Before(due) {
			due = s.hintAt
		}
		s.waking = time.Time{}
		s.overdue.Store(due.Add(oversleep).UnixNano())
		s.mu.Unlock()
		timer.Reset(time.Until(due))
	}
}

func (s *source) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if f := s.flight.Swap(nil); f != nil {
		close(f.done)
	}
	s.drop()
}

// begin starts a fetch, or returns the one under way; nil after close. The
// caller holds mu.
func (s *source) begin(f *flight) *flight {
	if s.closed {
		return nil
	}
	if under := s.flight.Load(); under != nil {
		return under
	}
	if f.done == nil {
		f.done = make(chan struct{})
	}
	s.flight.Store(f)
	s.work <- f // has room: there is one flight at a time
	return f
}

func (s *source) dueReason(now time.Time) *flight {
	if !s.hintAt.IsZero() && !now.Before(s.hintAt) {
		return &flight{reason: "hint"}
	}
	return &flight{reason: "scheduled"}
}

// hint asks for a fetch soon because the issuer said that its keys changed.
func (s *source) hint(now time.Time) {
	s.mu.Lock()
	if s.hintAt.IsZero() {
		s.hintAt = now
		if next := s.hinted.Add(hintEvery); next.After(now) {
			s.hintAt = next
		}
	}
	s.mu.Unlock()
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// fetch does one flight and returns how long to wait before the next scheduled one.
func (s *source) fetch(ctx context.Context, f *flight) time.Duration {
	began := time.Now()
	s.mu.Lock()
	if !s.hintAt.IsZero() && !began.Before(s.hintAt) { // whatever began this fetch, it does what the hint asked for
		s.hintAt, s.hinted = time.Time{}, began
	}
	s.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, fetchTimeout)
	a, err := s.origin.fetch(limited, f.reason != "scheduled")
	cancel()
	var doc document
	if err == nil && !a.same {
		doc, err = readDocument(a.body, s.Algorithms)
	}
	var d difference
	var tell func() (outcome string)
	if err == nil {
		a.keep()
		d, tell = s.keep(a, doc, began, f.reason)
	}
	s.land(f, err, d.removed)
	outcome := "failed"
	if err == nil { // nobody waits while it is told
		outcome = tell()
	} else {
		a.next = s.failed(ctx, err)
	}
	s.metrics.fetched(f.reason, outcome)
	return a.next
}

// land ends a flight, with the fetch's error: its slot is settled, and who waits goes on.
func (s *source) land(f *flight, err error, removed []*key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		snap := s.snap.Load()
		s.budget.published(time.Now(), snap.began, snap.keys, removed)
	}
	if f.slot != noSlot {
		if now := time.Now(); err != nil {
			s.budget.failed(f.slot, now)
		} else {
			k := s.snap.Load().key(f.kid)
			s.budget.settle(f.slot, f.kid, now, k != nil && k != f.was)
		}
		s.noteSlots()
	}
	s.flight.Store(nil)
	close(f.done)
	s.drop() // who waits for one looks at the set that this one brought
}

// failed keeps the set that there is, and says when to try again.
func (s *source) failed(ctx context.Context, err error) time.Duration {
	if ctx.Err() != nil {
		return longestTry
	}
	s.fails++
	now := time.Now()
	until := time.Unix(0, s.until.Load())
	switch {
	case s.fails == 1 && s.snap.Load() == nil:
		s.log.Error("no key set yet: every token is refused", "error", err)
	case s.fails == 1:
		s.log.Warn("cannot refresh the key set; the last one is used", "error", err, "usable_until", until.UTC())
	case s.snap.Load() != nil && now.After(until) && !s.expired:
		s.expired = true
		s.log.Error("the key set is too old: every token is refused", "error", err, "usable_until", until.UTC())
	}
	longest := longestTry
	if s.snap.Load() == nil || now.After(until) {
		longest = longestBare
	}
	wait := min(time.Second<<min(s.fails-1, 10), longest)
	if left := until.Sub(now); left > 0 && left < wait { // be there when it runs out, to say so
		wait = left + time.Millisecond
	}
	return wait - time.Duration(rand.Int64N(int64(wait)/4+1))
}

// keep puts a good answer into use. The function that it returns tells of it: in
// the metrics, in the log, and to whoever is to know when the set changed.
func (s *source) keep(a answer, doc document, began time.Time, reason string) (d difference, tell func() (outcome string)) {
	old := s.snap.Load()
	fails := s.fails
	s.fails, s.expired = 0, false
	s.until.Store(began.Add(s.stale).UnixNano())
	next := &snapshot{keys: doc.keys, began: began}
	if a.same && old != nil {
		next.keys, next.only = old.keys, old.only
	} else {
		d = next.carry(old)
		if len(next.keys) == 1 {
			for _, k := range next.keys {
				next.only = k
			}
		}
	}
	s.snap.Store(next)
	return d, func() string {
		if fails > 0 && old != nil {
			s.log.Info("the key set can be refreshed again", "failed_tries", fails)
		}
		s.metrics.kept(began, began.Add(s.stale))
		s.metrics.keys(len(next.keys))
		for _, k := range doc.skipped {
			s.log.Warn("a key of the set is not used", "kid", k.kid, "why", k.why)
		}
		if !d.tell(s.log, reason) {
			return "unchanged"
		}
		s.changed()
		return "changed"
	}
}

// difference is what sets apart two key sets.
type difference struct {
	added, removed []*key
	replaced       [][2]*key // before and after, of one kid
}

// tell writes the story of the change and says whether there was one.
func (d difference) tell(log *slog.Logger, reason string) bool {
	for _, k := range d.added {
		log.Info("key added", "kid", k.kid, "alg", k.alg, "thumbprint", k.thumbprint, "reason", reason)
	}
	for _, k := range d.removed {
		log.Info("key removed", "kid", k.kid, "thumbprint", k.thumbprint, "last_seen", k.seen.Load(), "reason", reason)
	}
	for _, r := range d.replaced {
		log.Warn("key replaced: the same kid has new material", "kid", r[1].kid, "before", r[0].thumbprint, "thumbprint", r[1].thumbprint, "reason", reason)
	}
	return len(d.added)+len(d.removed)+len(d.replaced) > 0
}

// carry takes the keys that stay over from the last set and tells what differs.
func (n *snapshot) carry(old *snapshot) (d difference) {
	if old == nil {
		old = &snapshot{}
	}
	for kid, k := range n.keys {
		switch was := old.keys[kid]; {
		case was == nil:
			d.added = append(d.added, k)
		case was.thumbprint == k.thumbprint && was.alg == k.alg:
			n.keys[kid] = was
		default:
			d.replaced = append(d.replaced, [2]*key{was, k})
		}
	}
	for kid, k := range old.keys {
		if n.keys[kid] == nil {
			d.removed = append(d.removed, k)
		}
	}
	return d
}
