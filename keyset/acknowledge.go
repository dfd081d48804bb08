package keyset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"crypto/rand"

	"github.com/prometheus/client_golang/prometheus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Acknowledgement is what a set tells the issuer: these keys would verify a
// token here, now. It is sent when the set changes and three times in a lease,
// as a POST of JSON with Standard Webhooks headers. Any 2xx accepts it. A
// verifier that has stopped stops acknowledging, so an issuer counts it out
// when its lease ends.
type Acknowledgement struct {
	Instance string    `json:"instance"` // the process, as configured
	Cache    string    `json:"cache"`    // this Set; one process may hold several
	Sent     time.Time `json:"sent"`
	Lease    int       `json:"lease_s"` // seconds for which this counts
	Keys     []Key     `json:"keys"`    // only sets that are fresh enough to be used
	// Refused are the kids that were asked for most and that no key has had, with
	// the tokens refused for it since the cache began; 16 at most.
	Refused []RefusedKid `json:"refused,omitempty"`
}

// acknowledger sends acknowledgements.
type acknowledger struct {
	cfg    Acknowledge
	set    *Set
	cache  string
	hook   *standardwebhooks.Webhook
	client *http.Client
	log    *slog.Logger
	gauge  prometheus.Gauge
	again  chan struct{}
	until  atomic.Int64 // Unix nanoseconds: the lease that was granted last
	wanted *wanted
	proven map[string]bool // kids of canaries that were told; belongs to run
}

func newAcknowledger(a Acknowledge, cfg Config, s *Set, gauge prometheus.Gauge, cache string) (*acknowledger, error) {
	hook, err := standardwebhooks.NewWebhook(a.Secret)
	if err != nil {
		return nil, err
	}
	client := ourClient(cfg.Client)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("an acknowledgement is not redirected") }
	return &acknowledger{cfg: a, set: s, cache: cache, wanted: newWanted(), hook: hook, client: client, gauge: gauge, proven: map[string]bool{},
		log: cfg.Log.With("component", "keyset", "acknowledge", a.URL), again: make(chan struct{}, 1)}, nil
}

// poke asks for an acknowledgement now.
func (a *acknowledger) poke() {
	select {
	case a.again <- struct{}{}:
	default:
	}
}

func (a *acknowledger) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	fails := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.again:
		case <-timer.C:
		}
		wait := a.cfg.Lease / 3
		switch err := a.send(ctx); {
		case err == nil:
			if fails > 0 {
				a.log.Info("acknowledged again", "failed_tries", fails)
			}
			fails = 0
		case ctx.Err() != nil:
			return
		default:
			if fails++; fails == 1 {
				a.log.Warn("cannot acknowledge the key set; not ready when the lease ends", "error", err,
					"lease_until", time.Unix(0, a.until.Load()).UTC())
			}
			wait = min(time.Second<<min(fails-1, 10), wait)
		}
		timer.Reset(wait)
	}
}

func (a *acknowledger) send(ctx context.Context) error {
	now := time.Now()
	message := Acknowledgement{Instance: a.cfg.Instance, Cache: a.cache, Sent: now.UTC(), Lease: int(a.cfg.Lease / time.Second), Keys: a.set.usable(now), Refused: a.wanted.most()}
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	id := "ack_" + rand.Text()
	signature, err := a.hook.Sign(id, now, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxGranted))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", a.cfg.URL, resp.Status)
	}
	until := now.Add(a.cfg.Lease)
	a.until.Store(until.UnixNano())
	a.gauge.Set(float64(until.Unix()))
	a.answered(ctx, answer, now)
	return nil
}

const (
	maxGranted  = 16 << 10 // bytes of an answer
	maxCanaries = 4        // that are looked at in one
	maxProven   = 64       // kids remembered; a set has a few, over years more
)

// canaryProfile is a token by which an issuer learns that a key works here. Its
// typ keeps it from being an access token, so its audience does not matter.
var canaryProfile = profile{types: []string{"canary+jwt"}, anyAudience: true}

// answered takes what an answer may have. Canaries are verified: their keys are
// then seen, which the next acknowledgement tells; at once for a key's first one.
// An issuer that says that the keys of this set are not what it publishes gives a
// hint by it.
func (a *acknowledger) answered(ctx context.Context, answer []byte, now time.Time) {
	var granted struct {
		Canaries []struct {
			Token string `json:"token"`
		} `json:"canaries"`
		Refresh string `json:"refresh"`
	}
	if json.Unmarshal(answer, &granted) != nil { // an issuer that answers something else has neither
		return
	}
	for _, src := range a.set.sources {
		if granted.Refresh != "" && granted.Refresh == src.Issuer {
			src.hint(now)
		}
	}
	for _, c := range granted.Canaries[:min(len(granted.Canaries), maxCanaries)] {
		claims, err := a.set.verify(ctx, c.Token, canaryProfile)
		switch {
		case err != nil:
			a.log.Warn("a canary of the issuer is refused", "error", err)
		case !a.proven[claims.KeyID]:
			if len(a.proven) >= maxProven {
				clear(a.proven)
			}
			a.proven[claims.KeyID] = true
			a.poke()
		}
	}
}
