package speed

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prunella/bench/rotation/issuer"
	"prunella/bench/rotation/peers"
)

// Cost of one verification.
type Cost struct {
	Name     string  `json:"name"`
	Micros   float64 `json:"us"`     // best turn
	OfBare   float64 `json:"x_bare"` // times the bare crypto
	Allocs   float64 `json:"allocs"` // of which the bare crypto makes some
	FetchFor bool    `json:"fetches,omitempty"`
}

// Scaling is what two workers get done over what one gets done.
type Scaling struct {
	Name   string  `json:"name"`
	Clock  float64 `json:"by_clock"`     // best turns; says as much of the machine as of the library
	CPU    float64 `json:"by_processor"` // twice one worker's processor time over that of each of two
	LockMS float64 `json:"lock_wait_ms"` // that goroutines waited for mutexes, in all turns
}

// Report is everything measured.
type Report struct {
	Verify   map[string][]Cost `json:"verify"`  // by algorithm
	Unknown  []Cost            `json:"unknown"` // refusing a kid that does not exist, per token
	Scaling  []Scaling         `json:"scaling"`
	Rotation RotationCost      `json:"rotation"`
}

// Measure measures all of it.
func Measure(ctx context.Context, fast bool, progress func(string)) (Report, error) {
	r := Report{Verify: map[string][]Cost{}}
	hub, err := issuer.NewHub("127.0.0.1:0")
	if err != nil {
		return r, err
	}
	defer hub.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	turns := 300
	if fast {
		turns = 60
	}
	var side *sideBySide
	for _, alg := range Algorithms {
		f, err := NewField(ctx, hub, alg)
		if err != nil {
			return r, err
		}
		if r.Verify[alg], err = f.costs(ctx, turns); err != nil {
			return r, err
		}
		progress(fmt.Sprintf("speed: %s, %s takes %.2f × bare crypto", alg, peers.Ours, r.Of(alg, peers.Ours).OfBare))
		if alg == "RS256" {
			if r.Unknown, err = f.refusals(ctx, turns); err != nil {
				return r, err
			}
			side = newSideBySide(f)
		}
		if err := side.measure(ctx, turns/len(Algorithms)); err != nil { // now and again: a machine with other guests is disturbed for seconds
			return r, err
		}
	}
	r.Scaling = side.result()
	progress(fmt.Sprintf("speed: two workers do %.2f × the work of one (%s %.2f)", r.Scales(peers.Ours).Clock, Bare, r.Scales(Bare).Clock))
	if r.Rotation, err = underLoad(ctx, hub, fast); err != nil {
		return r, err
	}
	progress(fmt.Sprintf("speed: a rotation under full load adds %.2f ms to the slowest request", r.Rotation.AddedMS))
	return r, nil
}

// Of finds the cost of a subject.
func (r Report) Of(alg, name string) Cost {
	for _, c := range r.Verify[alg] {
		if c.Name == name {
			return c
		}
	}
	return Cost{}
}

// Refuses finds what refusing an unknown kid costs a subject.
func (r Report) Refuses(name string) Cost {
	for _, c := range r.Unknown {
		if c.Name == name {
			return c
		}
	}
	return Cost{}
}

// Scales finds how a subject scales.
func (r Report) Scales(name string) Scaling {
	for _, s := range r.Scaling {
		if s.Name == name {
			return s
		}
	}
	return Scaling{}
}

const inOneTurn = 20 // verifications

func (f *Field) costs(ctx context.Context, turns int) ([]Cost, error) {
	best := make([]time.Duration, len(f.Subjects))
	for n := range best {
		best[n] = time.Hour
	}
	for range turns {
		for n, s := range f.Subjects {
			start := time.Now()
			for range inOneTurn {
				if err := s.verify(ctx, f.Token); err != nil {
					return nil, fmt.Errorf("%s: %w", s.Name, err)
				}
			}
			best[n] = min(best[n], time.Since(start))
		}
	}
	var list []Cost
	for n, s := range f.Subjects {
		list = append(list, Cost{
			Name: s.Name, Micros: float64(best[n].Nanoseconds()) / 1000 / inOneTurn,
			OfBare: float64(best[n]) / float64(best[0]),
			Allocs: testing.AllocsPerRun(50, func() { _ = s.verify(ctx, f.Token) }), // it was accepted all along
		})
	}
	return list, nil
}

// refusals measures how dear a token of unknown kid is, when those before it
// have used up what each library spends on such tokens. A library that fetches
// for each is not timed.
func (f *Field) refusals(ctx context.Context, turns int) ([]Cost, error) {
	var list []Cost
	for _, s := range f.Subjects[2:] { // the first two know no kid
		c := Cost{Name: s.Name}
		before := len(f.Issuer.Fetches(time.Time{}))
		for _, junk := range f.Unknown[:64] {
			if s.verify(ctx, junk) == nil {
				return nil, fmt.Errorf("%s accepts a token whose key does not exist", s.Name)
			}
		}
		if c.FetchFor = len(f.Issuer.Fetches(time.Time{}))-before >= 60; c.FetchFor {
			list = append(list, c)
			continue
		}
		best := time.Hour
		for range turns {
			start := time.Now()
			for _, junk := range f.Unknown[:128] {
				_ = s.verify(ctx, junk) // refused, see above
			}
			best = min(best, time.Since(start))
		}
		c.Micros = float64(best.Nanoseconds()) / 1000 / 128
		n := 0
		c.Allocs = testing.AllocsPerRun(100, func() { _ = s.verify(ctx, f.Unknown[n%128]); n++ })
		list = append(list, c)
	}
	return list, nil
}

// sideBySide measures one worker against two, each doing the same number of
// verifications, in turns: by the clock, and by the processor time that the
// workers spent, which other processes change less; what the latter leaves out,
// waiting for locks, is counted for itself. The best turns of all are compared.
type sideBySide struct {
	f      *Field
	best   [][2]effort
	waited []time.Duration
}

func newSideBySide(f *Field) *sideBySide {
	return &sideBySide{f, make([][2]effort, len(f.Subjects)), make([]time.Duration, len(f.Subjects))}
}

func (m *sideBySide) measure(ctx context.Context, turns int) error {
	if runtime.GOMAXPROCS(0) < 2 {
		return nil
	}
	for range turns {
		for n, s := range m.f.Subjects {
			before := lockWait()
			for extra := range 2 {
				e, err := exert(ctx, extra+1, func() error { return s.verify(ctx, m.f.Token) })
				if err != nil {
					return fmt.Errorf("%s: %w", s.Name, err)
				}
				m.best[n][extra] = m.best[n][extra].least(e)
			}
			m.waited[n] += lockWait() - before
		}
	}
	return nil
}

// result is empty on a machine with one core.
func (m *sideBySide) result() []Scaling {
	var list []Scaling
	for n, s := range m.f.Subjects {
		if one, two := m.best[n][0], m.best[n][1]; two != (effort{}) {
			list = append(list, Scaling{Name: s.Name,
				Clock:  2 * float64(one.wall) / float64(two.wall),
				CPU:    2 * float64(one.cpu) / float64(two.cpu),
				LockMS: ms(m.waited[n]),
			})
		}
	}
	return list
}

// effort is what the verifications of each worker cost: until the last one was
// done, and of processor time on average.
type effort struct{ wall, cpu time.Duration }

// least is the smaller of each; nothing is no effort yet.
func (e effort) least(other effort) effort {
	if e == (effort{}) {
		return other
	}
	return effort{min(e.wall, other.wall), min(e.cpu, other.cpu)}
}

const perWorker = 100 // verifications

// exert lets workers verify side by side. Each has a thread of its own, and none
// begins before all are on a processor: what is timed is the verifying.
func exert(ctx context.Context, workers int, verify func() error) (effort, error) {
	errs, spent := make([]error, workers), make([]time.Duration, workers)
	var done sync.WaitGroup
	var ready atomic.Int32
	var start time.Time
	for n := range workers {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if ready.Add(1) == int32(workers) {
				start = time.Now()
				ready.Add(1)
			}
			for ready.Load() <= int32(workers) { // a moment; asleep, they would not begin together
			}
			before := threadTime()
			for range perWorker {
				if errs[n] = verify(); errs[n] != nil {
					return
				}
			}
			spent[n] = threadTime() - before
		})
	}
	done.Wait()
	e := effort{wall: time.Since(start)}
	for _, d := range spent {
		e.cpu += d / time.Duration(workers)
	}
	return e, errors.Join(append(errs, ctx.Err())...)
}

// threadTime is what this thread has used of the processors.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// lockWait is how long goroutines have waited for mutexes so far.
func lockWait() time.Duration {
	sample := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(sample)
	return time.Duration(sample[0].Value.Float64() * float64(time.Second))
}
