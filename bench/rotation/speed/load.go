package speed

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"prunella/bench/rotation/issuer"
	"prunella/bench/rotation/peers"
)

// RotationCost is what rotations under full load do to requests. Windows with a
// rotation and windows without alternate, and the slowest request of each is
// kept. The windows are short, so that some of each kind pass undisturbed by
// other processes; their lower quartiles are compared, because the slowest
// request of a disturbed window is the machine's.
type RotationCost struct {
	Windows      int     `json:"windows"` // of each kind
	Requests     int     `json:"requests"`
	QuietMS      float64 `json:"slowest_quiet_ms"`    // lower quartile of windows without a rotation
	RotationMS   float64 `json:"slowest_rotation_ms"` // and of windows with one
	AddedMS      float64 `json:"added_ms"`
	QuietMedian  float64 `json:"median_slowest_quiet_ms"`
	RotateMedian float64 `json:"median_slowest_rotation_ms"`
	QuietP99MS   float64 `json:"p99_quiet_ms"`
	RotationP99  float64 `json:"p99_rotation_ms"`
	WrongRefused int     `json:"wrongly_refused"`
}

// underLoad keeps every core busy verifying with ours while the issuer rotates
// without notice in the middle of every other window: from one request to the
// next all tokens are signed by a key that nobody has fetched. So it includes
// the fetch, over loopback HTTP.
func underLoad(ctx context.Context, hub *issuer.Hub, fast bool) (RotationCost, error) {
	windows, length := 400, 10*time.Millisecond
	if fast {
		windows = 100
	}
	iss := hub.New("speed-rotation", time.Now)
	keys := make([]issuer.Key, 2)
	var tokens []string
	var err error
	for n := range keys {
		if keys[n], err = issuer.NewKey(fmt.Sprintf("key-%d", n), "RS256"); err != nil {
			return RotationCost{}, err
		}
	}
	// Two keys under many names: making an RSA key takes longer than a window.
	named := func(n int) (issuer.Key, error) {
		k := keys[len(tokens)%2]
		k.ID = fmt.Sprintf("key-%d", n)
		token, err := lasting(iss, k)
		tokens = append(tokens, token)
		return k, err
	}
	current, err := named(0)
	if err != nil {
		return RotationCost{}, err
	}
	iss.Publish(current)
	verify, err := peers.All()[0].Make(ctx, peers.Source{Issuer: iss.URL, JWKS: iss.JWKS(), Audience: issuer.Audience}, http.DefaultTransport)
	if err != nil {
		return RotationCost{}, err
	}
	var c RotationCost
	var slowest [2][]float64
	var all [2][]time.Duration
	for n := 0; c.Windows < windows; n++ {
		rotates := n%2 == 1
		next := current
		if rotates {
			if next, err = named(n); err != nil {
				return c, err
			}
		}
		rotate := func() {
			if rotates {
				iss.Publish(current, next)
			}
		}
		took, refused := window(ctx, verify, length, tokens[len(tokens)-1-n%2], tokens[len(tokens)-1], rotate)
		current = next
		if ctx.Err() != nil {
			return c, ctx.Err()
		}
		if took == nil { // this window was over before its middle
			continue
		}
		c.WrongRefused += refused
		c.Requests += len(took)
		c.Windows += n % 2
		slowest[n%2] = append(slowest[n%2], ms(slices.Max(took)))
		all[n%2] = append(all[n%2], took...)
	}
	c.QuietMS, c.RotationMS = quantile(slowest[0], 0.25), quantile(slowest[1], 0.25)
	c.QuietMedian, c.RotateMedian = quantile(slowest[0], 0.5), quantile(slowest[1], 0.5)
	c.AddedMS = c.RotationMS - c.QuietMS
	c.QuietP99MS, c.RotationP99 = ms(quantile(all[0], 0.99)), ms(quantile(all[1], 0.99))
	return c, nil
}

// window verifies on every core for so long, and half way changes over to
// another token just after publish has run. It returns how long each
// verification took and how many were refused; nothing when the machine was so
// busy that the change came after the end.
func window(ctx context.Context, verify peers.Verify, length time.Duration, before, after string, publish func()) ([]time.Duration, int) {
	var token atomic.Pointer[string]
	token.Store(&before)
	workers, changed := runtime.GOMAXPROCS(0), false
	took, refused := make([][]time.Duration, workers), make([]int, workers)
	var done sync.WaitGroup
	start := time.Now()
	for n := range workers {
		done.Go(func() {
			for now := start; now.Sub(start) < length && ctx.Err() == nil; {
				if n == 0 && !changed && now.Sub(start) > length/2 {
					publish()
					token.Store(&after)
					changed = true
				}
				begin := time.Now()
				if verify(ctx, *token.Load()) != nil {
					refused[n]++
				}
				now = time.Now()
				took[n] = append(took[n], now.Sub(begin))
			}
		})
	}
	done.Wait()
	if !changed {
		publish()
		_ = verify(ctx, after) // so that the next window begins with a known key; refused only when ctx is over
		return nil, 0
	}
	var list []time.Duration
	wrong := 0
	for n := range workers {
		list, wrong = append(list, took[n]...), wrong+refused[n]
	}
	return list, wrong
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func quantile[T cmp.Ordered](list []T, q float64) T {
	slices.Sort(list)
	return list[int(float64(len(list)-1)*q)]
}
