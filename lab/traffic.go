package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	freshShare    = 0.4                    // of calls with the token of a login just made
	freshEvery    = 500 * time.Millisecond // how often such a login is made
	checkoutShare = 0.3                    // of gateway calls that pass order and payment
	maxInFlight   = 400                    // calls; beyond that a client waits its turn by not calling
	patience      = 10 * time.Second       // of a customer with one call; a machine that is busy for a moment is no outage
	reloginAfter  = time.Second            // age a refused token must have before its session logs in again
)

// traffic is the world's customers.
type traffic struct {
	w      *World
	counts *counter
	client *http.Client
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	sessions []*session
	fresh    session // the customer who logged in last
	expired  string  // a token that was good an hour ago
}

// session is a customer who logged in some time ago. It logs in again when the
// token has expired; when it is refused, it does so and repeats the call once,
// as OAuth clients do.
type session struct {
	mu     sync.Mutex
	token  string
	issued time.Time
}

func startTraffic(ctx context.Context, w *World) (*traffic, error) {
	t := &traffic{w: w, counts: newCounter(), client: newClient(patience)}
	t.ctx, t.cancel = context.WithCancel(ctx)
	lifetime := w.spec.TokenLifetime
	ages := make([]time.Duration, w.spec.Sessions+1)
	for i := range w.spec.Sessions {
		ages[i] = lifetime * time.Duration(i) / time.Duration(w.spec.Sessions)
	}
	ages[w.spec.Sessions] = lifetime + time.Minute
	var tokens []string
	if err := w.auth.call(ctx, "seed", seedRequest{Ages: ages}, &tokens); err != nil {
		return nil, fmt.Errorf("seed sessions: %w", err)
	}
	now := time.Now()
	for i, token := range tokens[:w.spec.Sessions] {
		t.sessions = append(t.sessions, &session{token: token, issued: now.Add(-ages[i])})
	}
	t.expired = tokens[w.spec.Sessions]
	if w.spec.Rate == 0 {
		return t, nil
	}
	var err error
	if t.fresh.token, err = t.login(ctx); err != nil {
		return nil, fmt.Errorf("first login: %w", err)
	}
	t.fresh.issued = time.Now()
	t.wg.Go(t.keepFresh)
	t.wg.Go(t.run)
	return t, nil
}

func (t *traffic) stop() {
	t.cancel()
	t.wg.Wait()
	t.client.CloseIdleConnections()
}

// keepFresh logs a new customer in every freshEvery.
func (t *traffic) keepFresh() {
	tick := time.NewTicker(freshEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
		}
		t.renew(&t.fresh, "", 0)
	}
}

// run calls services in turn, with noise in order and pace, at the rate of the
// Spec.
func (t *traffic) run() {
	rng := rand.New(rand.NewPCG(uint64(t.w.spec.Seed), 0x74726166))
	slots := make(chan struct{}, maxInFlight)
	var calls sync.WaitGroup
	defer calls.Wait()
	began, sent := time.Now(), 0.0
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for turn := 0; ; {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
		}
		due := time.Since(began).Seconds() * t.w.spec.Rate
		if due-sent > t.w.spec.Rate/2 { // after a stall, do not make up for it in a burst
			sent = due - 1
		}
		for sent < due {
			sent += 0.5 + rng.Float64()
			turn++
			c := t.choose(rng, turn)
			select {
			case slots <- struct{}{}:
				calls.Go(func() { t.call(c); <-slots })
			default:
			}
		}
	}
}

// call to be made.
type call struct {
	service string
	path    string
	trace   [2]uint64
	noise   bool
	session *session // nil for a fresh login
}

func (t *traffic) choose(rng *rand.Rand, turn int) call {
	order := t.w.order
	c := call{service: order[turn%len(order)], trace: [2]uint64{rng.Uint64(), rng.Uint64()}}
	if rng.IntN(5) == 0 {
		c.service = order[rng.IntN(len(order))]
	}
	c.path = "/api/" + c.service + "s"
	if c.service == "gateway" && rng.Float64() < checkoutShare {
		c.path = "/api/checkout"
	}
	switch p := rng.Float64(); {
	case p < t.w.spec.NoiseShare:
		c.noise = true
	case p < t.w.spec.NoiseShare+freshShare || len(t.sessions) == 0:
	default:
		c.session = t.sessions[rng.IntN(len(t.sessions))]
	}
	return c
}

func (t *traffic) call(c call) {
	began := time.Now()
	var status int
	var reason string
	switch {
	case c.noise:
		status, reason = t.get(c, t.expired)
	case c.session != nil:
		status, reason = t.callAs(c, c.session, t.w.spec.TokenLifetime-2*time.Second, reloginAfter)
	default:
		status, reason = t.callAs(c, &t.fresh, t.w.spec.TokenLifetime, 0)
	}
	if t.ctx.Err() != nil {
		return
	}
	outcome := callOK
	switch {
	case c.noise:
		outcome = callNoise
	case status == http.StatusUnauthorized:
		outcome = callRefused
	case status != http.StatusOK:
		outcome = callFailed
	}
	t.counts.add(c.service, began, outcome, status, reason)
}

func (t *traffic) get(c call, token string) (status int, reason string) {
	req, err := http.NewRequestWithContext(t.ctx, http.MethodGet, t.w.nodes[c.service].url()+c.path, nil)
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("traceparent", fmt.Sprintf("00-%016x%016x-%016x-01", c.trace[0], c.trace[1], c.trace[1]|1))
	res, err := t.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10)) // the status decides; the body only explains
	if res.StatusCode == http.StatusOK {
		return res.StatusCode, ""
	}
	var body struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(b, &body)
	return res.StatusCode, body.Message
}

// callAs calls with the session's token, from a new login when it is due. When
// it is refused and not younger than patience, the session logs in and repeats
// the call once.
func (t *traffic) callAs(c call, s *session, due, patience time.Duration) (status int, reason string) {
	s.mu.Lock()
	token := s.token
	s.mu.Unlock()
	token = t.renew(s, token, due)
	if status, reason = t.get(c, token); status == http.StatusUnauthorized {
		if again := t.renew(s, token, patience); again != token {
			return t.get(c, again)
		}
	}
	return status, reason
}

// renew logs the session in when its token is the one given (or none is given)
// and at least that old, and returns the token it has then. When the login fails
// the customer tries with what there is.
func (t *traffic) renew(s *session, token string, old time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if (token == "" || s.token == token) && time.Since(s.issued) >= old {
		if token, err := t.login(t.ctx); err == nil {
			s.token, s.issued = token, time.Now()
		}
	}
	return s.token
}

// login gets a token and counts the attempt for "auth".
func (t *traffic) login(ctx context.Context) (string, error) {
	began := time.Now()
	token, status, err := t.requestToken(ctx)
	if t.ctx.Err() != nil {
		return "", t.ctx.Err()
	}
	outcome, reason := callOK, ""
	if err != nil {
		outcome, reason = callFailed, err.Error()
	}
	t.counts.add("auth", began, outcome, status, reason)
	return token, err
}

func (t *traffic) requestToken(ctx context.Context) (token string, status int, err error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {customerID}, "client_secret": {t.w.secrets.customer}, "audience": {t.w.spec.Audience}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.w.issuer+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := t.client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", res.StatusCode, fmt.Errorf("token endpoint answered %s", res.Status)
	}
	var out struct {
		Token string `json:"access_token"`
	}
	err = json.NewDecoder(res.Body).Decode(&out)
	return out.Token, res.StatusCode, err
}
