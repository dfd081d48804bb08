package action

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

func round(d time.Duration) float64 { return d.Round(10 * time.Millisecond).Seconds() }

func (w *World) readClocks(ctx context.Context, _ params, _ Incident) (map[string]any, error) {
	type dated struct {
		name string
		at   time.Duration
	}
	var mu sync.Mutex
	var found []dated
	var wg sync.WaitGroup
	slots := make(chan struct{}, w.opt.Parallel)
	ask := func(name string, f func() (time.Duration, bool)) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			_ = w.opt.Caught.Contain("clocks", func() error { // its panic is no answer
				if d, ok := f(); ok {
					mu.Lock()
					defer mu.Unlock()
					found = append(found, dated{name, d})
				}
				return nil
			})
		})
	}
	for _, s := range w.inv.Services {
		if s.URL != "" && s.Canary != "" {
			ask(s.Name, func() (time.Duration, bool) { c := w.try(ctx, s, ""); return c.ClockOffset, c.dated })
		}
	}
	for _, i := range w.inv.Issuers {
		ask(i.Name, func() (time.Duration, bool) {
			a, err := w.exchange(ctx, call{method: "GET", url: join(i.URL, "/.well-known/openid-configuration")}, w.opt.Probe)
			if err != nil {
				return 0, false
			}
			return a.clockOffset()
		})
	}
	wg.Wait()
	slices.SortFunc(found, func(a, b dated) int { return strings.Compare(a.name, b.name) })
	offsets, worst, largest := map[string]float64{}, "", -1.0
	for _, d := range found {
		offsets[d.name] = round(d.at)
		if abs := round(d.at.Abs()); abs > largest {
			worst, largest = d.name, abs
		}
	}
	return map[string]any{"known": len(found) > 0, "offsets_s": offsets, "max_s": max(largest, 0), "worst": worst}, nil
}
