package speed

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"syscall"
	"testing"
	"time"

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
	CPU    float64 `json:"by_processor"` // twice the work done per second of processor time, two workers over one
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
	for _, alg := range Algorithms {
		f, err := NewField(ctx, hub, alg)
		if err != nil {
			return r, err
		}
		if r.Verify[alg], err = f.costs(ctx, turns); err != nil {
			return r, err
		}
		progress(fmt.Sprintf("speed: %s, %s takes %.2f × bare crypto", alg, peers.Ours, r.Of(alg, peers.Ours).OfBare))
		if alg != "RS256" {
			continue
		}
		if r.Unknown, err = f.refusals(ctx, turns); err != nil {
			return r, err
		}
		if r.Scaling, err = f.scaling(ctx, turns); err != nil {
			return r, err
		}
		progress(fmt.Sprintf("speed: two workers do %.2f × the work of one (%s %.2f)", r.Scales(peers.Ours).CPU, Bare, r.Scales(Bare).CPU))
	}
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

// scaling measures one worker against two, each doing the same number of
// verifications, in turns. By the clock, and by the processor time that was
// spent, which other processes do not change; what the latter leaves out,
// waiting for locks, is counted for itself.
func (f *Field) scaling(ctx context.Context, turns int) ([]Scaling, error) {
	if runtime.GOMAXPROCS(0) < 2 {
		return nil, nil
	}
	var list []Scaling
	for _, s := range f.Subjects {
		var best [2]effort
		waited := lockWait()
		for turn := range turns {
			for extra := range 2 {
				e, err := exert(ctx, extra+1, func() error { return s.verify(ctx, f.Token) })
				if err != nil {
					return nil, fmt.Errorf("%s: %w", s.Name, err)
				}
				if turn == 0 {
					best[extra] = e
				}
				best[extra].wall, best[extra].cpu = min(best[extra].wall, e.wall), min(best[extra].cpu, e.cpu)
			}
		}
		list = append(list, Scaling{Name: s.Name,
			Clock:  2 * float64(best[0].wall) / float64(best[1].wall),
			CPU:    2 * 2 * float64(best[0].cpu) / float64(best[1].cpu),
			LockMS: ms(lockWait() - waited),
		})
	}
	return list, nil
}

// effort is what verifications cost in all.
type effort struct{ wall, cpu time.Duration }

const perWorker = 50 // verifications

func exert(ctx context.Context, workers int, verify func() error) (effort, error) {
	errs := make([]error, workers)
	var done sync.WaitGroup
	cpu, start := processorTime(), time.Now()
	for n := range workers {
		done.Go(func() {
			for range perWorker {
				if errs[n] = verify(); errs[n] != nil {
					return
				}
			}
		})
	}
	done.Wait()
	return effort{time.Since(start), processorTime() - cpu}, errors.Join(append(errs, ctx.Err())...)
}

// processorTime is what this process has used of the processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// lockWait is how long goroutines have waited for mutexes so far.
func lockWait() time.Duration {
	sample := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(sample)
	return time.Duration(sample[0].Value.Float64() * float64(time.Second))
}
