package lab

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// attack is a client who should be refused.
type attack struct {
	w      *World
	rate   int // calls per second over the targets
	target []string
	token  func() string

	mu      sync.Mutex
	answers map[string]map[int]int // service, status, count
}

// run calls until ctx ends.
func (a *attack) run(ctx context.Context) {
	client := newClient(3 * time.Second)
	defer client.CloseIdleConnections()
	var calls sync.WaitGroup
	defer calls.Wait()
	slots := make(chan struct{}, 32)
	tick := time.NewTicker(time.Second / time.Duration(a.rate))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case slots <- struct{}{}:
			calls.Go(func() { a.call(ctx, client, a.target[i%len(a.target)]); <-slots })
		default:
		}
	}
}

func (a *attack) call(ctx context.Context, client *http.Client, service string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.w.nodes[service].url()+"/api/"+service+"s", nil)
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+a.token())
	status := 0
	if res, err := client.Do(req); err == nil {
		status = res.StatusCode
		res.Body.Close()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.answers[service] == nil {
		a.answers[service] = map[int]int{}
	}
	a.answers[service][status]++
}

// refused returns how many services have refused a call, and how many calls.
func (a *attack) refused() (services, refusals int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, by := range a.answers {
		if by[http.StatusUnauthorized] > 0 {
			services++
			refusals += by[http.StatusUnauthorized]
		}
	}
	return services, refusals
}

// forge makes a token with valid claims that nobody signed.
func (w *World) forge(kid string) string {
	now := time.Now()
	enc := func(v any) string {
		b, _ := json.Marshal(v) // plain maps
		return base64.RawURLEncoding.EncodeToString(b)
	}
	size := 256
	if w.spec.Alg == "ES256" {
		size = 64
	}
	signature := make([]byte, size)
	_, _ = rand.Read(signature) // never fails
	signature[0] &= 0x7f        // below any modulus, so that it is the check that fails and not the parsing
	return enc(map[string]any{"alg": w.spec.Alg, "typ": "JWT", "kid": kid}) + "." +
		enc(map[string]any{"iss": w.issuer, "aud": w.spec.Audience, "sub": "session-0", "jti": newID("tok"),
			"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(w.spec.TokenLifetime).Unix()}) + "." +
		base64.RawURLEncoding.EncodeToString(signature)
}
