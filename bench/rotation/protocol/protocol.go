package protocol

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Epoch is when the virtual time of a verifier begins (that of testing/synctest).
var Epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Question asks a verifier to judge a token.
type Question struct {
	Issuer    string `json:"issuer"`
	JWKS      string `json:"jwks_uri"`
	Audience  string `json:"audience"`
	Token     string `json:"token"`
	Instances int    `json:"instances,omitempty"` // 0 is one
}

// Answer is what the verifier says.
type Answer struct {
	Accepted  int     `json:"accepted"`             // of the instances that were asked
	Error     string  `json:"error,omitempty"`      // of one that refused
	VirtualMS float64 `json:"virtual_ms,omitempty"` // what it took on the verifier's own clock, when that is not ours
}

// Advance lets virtual time pass.
type Advance struct {
	Seconds float64 `json:"seconds"`
}

const (
	patience  = 60 * time.Second // for one answer; advancing an hour of a busy verifier takes seconds
	maxAnswer = 1 << 20
)

// Caller asks a verifier at a URL.
type Caller struct {
	url    string
	client *http.Client
}

// NewCaller returns a caller of the verifier at url.
func NewCaller(url string) *Caller {
	return &Caller{url: strings.TrimSuffix(url, "/"), client: &http.Client{
		Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// URL is where the verifier is.
func (c *Caller) URL() string { return c.url }

// Close drops the connections.
func (c *Caller) Close() { c.client.CloseIdleConnections() }

// Verify asks, and says how long the answer took: on our clock plus on the
// verifier's own. An error means that it did not answer as the protocol says.
func (c *Caller) Verify(ctx context.Context, q Question) (Answer, time.Duration, error) {
	var a Answer
	start := time.Now()
	status, body, err := c.post(ctx, "/verify", q)
	took := time.Since(start)
	if err != nil {
		return a, took, err
	}
	if json.Unmarshal(body, &a) != nil && q.Instances > 1 { // otherwise the status says it
		return a, took, fmt.Errorf("%s does not say how many instances accepted", c.url)
	}
	took += time.Duration(a.VirtualMS * float64(time.Millisecond))
	switch status {
	case http.StatusOK, http.StatusNoContent:
		if q.Instances <= 1 {
			a.Accepted = 1
		}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable:
		a.Accepted = 0
	default:
		return a, took, fmt.Errorf("%s answered %d to /verify; 200 is accepted, 401 is refused", c.url, status)
	}
	return a, took, nil
}

// Advance lets d of virtual time pass; false means that the verifier has none.
func (c *Caller) Advance(ctx context.Context, d time.Duration) (bool, error) {
	status, _, err := c.post(ctx, "/advance", Advance{Seconds: d.Seconds()})
	switch {
	case err != nil:
		return false, err
	case status == http.StatusOK || status == http.StatusNoContent:
		return true, nil
	}
	return false, nil
}

func (c *Caller) post(ctx context.Context, path string, body any) (int, []byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(b))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("ask the verifier: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, nil, fmt.Errorf("ask the verifier: %w", err)
	}
	return resp.StatusCode, answer, nil
}
