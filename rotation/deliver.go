package rotation

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	hintTime   = 10 * time.Second // for one try
	atOnce     = 32               // tries side by side
	batch      = 32               // deliveries claimed together
	claimTime  = 2 * time.Minute  // longer than a batch takes
	maxPause   = time.Hour        // of a receiver's Retry-After
	pauseShare = 5                // pauses are up to a fifth longer, so that receivers are not met together
)

// retries are the pauses after a try that failed: in the first minutes often,
// since a promotion may wait for this, then the tail that Standard Webhooks
// recommends.
var retries = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
	30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// RetryAfter is the pause after so many tries that failed, without jitter; ok is
// false when the delivery is given up.
func RetryAfter(tries int) (pause time.Duration, ok bool) {
	if tries < 1 || tries > len(retries) {
		return 0, false
	}
	return retries[tries-1], true
}

// hint is the body of a delivery. It says that something changed and never what
// to trust: keys come from the URL that the verifier is configured with.
type hint struct {
	Type      string    `json:"type"` // "keys.publish", "keys.promote", "keys.return", "keys.remove", "keys.revoke"
	Timestamp time.Time `json:"timestamp"`
	Data      struct {
		Issuer  string `json:"issuer"`
		JWKS    string `json:"jwks_uri"`
		Version int64  `json:"version"`
		Kid     KeyID  `json:"kid"`
	} `json:"data"`
}

// hints are the deliveries that a step causes.
func (r *Rotator) hints(ring Ring, s Step, now time.Time) []Delivery {
	switch s.Action {
	case Publish, Promote, Return, Remove, Revoke:
	default:
		return nil
	}
	h := hint{Type: "keys." + string(s.Action), Timestamp: now.UTC()}
	h.Data.Issuer, h.Data.JWKS, h.Data.Version, h.Data.Kid = r.cfg.Issuer, r.cfg.JWKS, ring.Version, s.Key
	body, err := json.Marshal(h)
	if err != nil {
		panic(err) // strings, a number and a time
	}
	var list []Delivery
	for _, v := range r.fleet {
		for _, url := range v.Hooks {
			list = append(list, Delivery{ID: "hint_" + rand.Text(), Verifier: v.Name, URL: url, Body: body, Created: now.UTC(), State: Pending, Next: now.UTC()})
		}
	}
	return list
}

// Deliver sends the hints that are due. What fails is tried again when its time
// comes; that is not an error.
func (r *Rotator) Deliver(ctx context.Context, now time.Time) error {
	began := time.Now()
	at := func() time.Time { return now.Add(time.Since(began)) } // many receivers that hang make this long
	var mu sync.Mutex
	var all error
	fails := func(err error) bool {
		mu.Lock()
		defer mu.Unlock()
		all = errors.Join(all, err)
		return all != nil
	}
	side(func(yield func(Delivery) bool) {
		for more := true; more; {
			list, err := r.cfg.Store.Claim(ctx, at(), at().Add(claimTime), batch)
			for _, d := range list {
				more = more && yield(d)
			}
			more = more && !fails(err) && len(list) == batch
		}
	}, func(d Delivery) { fails(r.cfg.Store.Tried(ctx, r.try(ctx, d, at()))) })
	return all
}

// side does something for each of a sequence, a few side by side: one that takes
// long holds up nobody but the last.
func side[T any](each iter.Seq[T], do func(T)) {
	var done sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for one := range each {
		slots <- struct{}{}
		done.Go(func() {
			defer func() { <-slots }()
			do(one)
		})
	}
	done.Wait()
}

// try sends one hint and returns what became of it.
func (r *Rotator) try(ctx context.Context, d Delivery, now time.Time) Delivery {
	d.Tries++
	v := r.byName[d.Verifier]
	if v == nil || len(v.hooks) == 0 {
		d.State, d.Ended, d.Next, d.Last = Failed, now.UTC(), time.Time{}, "the verifier is no longer declared"
		return d
	}
	status, pause, err := r.hooks.send(ctx, v, d)
	switch {
	case err != nil:
		d.Last = err.Error()
	default:
		d.Last = strconv.Itoa(status) + " " + http.StatusText(status)
	}
	switch {
	case err == nil && status/100 == 2:
		d.State, d.Ended, d.Next = Delivered, now.UTC(), time.Time{}
	case status == http.StatusGone:
		d.State, d.Ended, d.Next = Failed, now.UTC(), time.Time{}
	default:
		wait, again := RetryAfter(d.Tries)
		if !again {
			d.State, d.Ended, d.Next = Failed, now.UTC(), time.Time{}
			break
		}
		wait += mathrand.N(wait/pauseShare + 1)
		d.Next = now.Add(max(wait, min(pause, maxPause))).UTC()
	}
	level := slog.LevelDebug
	if d.State != Delivered && d.Tries == 1 || d.State == Failed {
		level = slog.LevelWarn
	}
	r.log.Log(ctx, level, "hint "+string(d.State), "verifier", d.Verifier, "url", d.URL, "tries", d.Tries, "answer", d.Last, "next", d.Next)
	r.metrics.delivered(d.State)
	return d
}

// messenger sends requests to verifiers.
type messenger struct{ client *http.Client }

func newMessenger(given *http.Client) *messenger {
	c := &http.Client{Timeout: hintTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if given != nil {
		c.Transport = given.Transport
	}
	return &messenger{c}
}

// send makes one try, signed by every secret of the verifier, so that it may
// know any of them. pause is the Retry-After, if one came.
func (m *messenger) send(ctx context.Context, v *declared, d Delivery) (status int, pause time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return 0, 0, err
	}
	now := time.Now()
	var signatures []string
	for _, hook := range v.hooks {
		s, err := hook.Sign(d.ID, now, d.Body)
		if err != nil {
			return 0, 0, err
		}
		signatures = append(signatures, s)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(standardwebhooks.HeaderWebhookID, d.ID)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	resp, err := m.do(req)
	if err != nil {
		return 0, 0, err
	}
	return resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"), now), nil
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3); 0 when it is neither.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(n, uint64(maxPause/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), maxPause)
}

// do sends a request and reads its answer away.
func (m *messenger) do(req *http.Request) (*http.Response, error) {
	resp, err := m.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 16<<10)); err != nil { // so that the connection is used again
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	return resp, nil
}
