package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"

	"prunella/rotation"
)

// adminClient is how the world's own operator uses the auth service: the same
// API as everybody's.
type adminClient struct {
	base   string
	token  string
	client *http.Client
}

func (c *adminClient) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	return c.send(req, out)
}

func (c *adminClient) send(req *http.Request, out any) error {
	res, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		return newAnswerError(req, res, said)
	}
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// answerError is an answer that is not 2xx.
type answerError struct {
	text   string
	status int
	reason *rotation.Reason // a gate's, when an issuer on rotation refused
}

func newAnswerError(req *http.Request, res *http.Response, said []byte) *answerError {
	e := &answerError{status: res.StatusCode, text: fmt.Sprintf("%s %s answered %s: %s", req.Method, req.URL.Path, res.Status, shorten(string(bytes.TrimSpace(said)), 500))}
	var body struct {
		Reason *rotation.Reason `json:"reason"`
	}
	if json.Unmarshal(said, &body) == nil && res.StatusCode == http.StatusConflict {
		e.reason = body.Reason
	}
	return e
}

func (e *answerError) Error() string { return e.text }

func (c *adminClient) getJSON(ctx context.Context, url string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return c.send(req, out)
}

func (c *adminClient) keys(ctx context.Context) (keys []keyInfo, signer string, err error) {
	var list struct {
		Signer string    `json:"signer"`
		Keys   []keyInfo `json:"keys"`
	}
	err = c.do(ctx, http.MethodGet, "/keys/v1/keys", nil, &list)
	return list.Keys, list.Signer, err
}

func (c *adminClient) create(ctx context.Context) (kid string, err error) {
	var k keyInfo
	err = c.do(ctx, http.MethodPost, "/keys/v1/keys", map[string]string{}, &k)
	return k.Kid, err
}

func (c *adminClient) post(ctx context.Context, kid, verb string, in any) error {
	return c.do(ctx, http.MethodPost, "/keys/v1/keys/"+kid+"/"+verb, in, nil)
}

func (c *adminClient) rotate(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/api/v2/keys/signing/rotate", nil, nil)
}

func (c *adminClient) revoke(ctx context.Context, kid string) error {
	return c.do(ctx, http.MethodPut, "/api/v2/keys/signing/"+kid+"/revoke", nil, nil)
}

func (c *adminClient) deliveries(ctx context.Context, kid string) ([]delivery, error) {
	var list struct {
		Deliveries []delivery `json:"deliveries"`
	}
	err := c.do(ctx, http.MethodGet, "/keys/v1/deliveries?kid="+kid, nil, &list)
	return list.Deliveries, err
}

// cell is what one service says to one canary token.
type cell struct {
	service string
	status  int // 0 when unreachable
	reason  string
	date    time.Time // by the service's clock
}

// probe sends a canary token of a key to services, at once, and returns their
// answers in the order of names.
func (w *World) probe(ctx context.Context, kid string, names []string) ([]cell, error) {
	var token string
	if err := w.auth.call(ctx, "canary", kid, &token); err != nil {
		return nil, err
	}
	return w.present(ctx, token, names), nil
}

// present sends a token to the canary path of services.
func (w *World) present(ctx context.Context, token string, names []string) []cell {
	out := make([]cell, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			out[i] = cell{service: name}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.nodes[name].url()+"/api/ping", nil)
			if err != nil {
				out[i].reason = err.Error()
				return
			}
			req.Header.Set("Authorization", "Bearer "+token)
			res, err := w.prober.Do(req)
			if err != nil {
				out[i].reason = err.Error()
				return
			}
			defer res.Body.Close()
			var body struct {
				Message string `json:"message"`
			}
			_ = json.NewDecoder(res.Body).Decode(&body) // an answer of another shape has no reason
			out[i].status, out[i].reason = res.StatusCode, body.Message
			out[i].date, _ = http.ParseTime(res.Header.Get("Date"))
		})
	}
	wg.Wait()
	return out
}

// refusing returns the services that did not answer 200, sorted.
func refusing(cells []cell) []string {
	var out []string
	for _, c := range cells {
		if c.status != http.StatusOK {
			out = append(out, c.service)
		}
	}
	sort.Strings(out)
	return out
}

// describe tells what was observed, grouped: who accepted, who refused and why.
func describe(cells []cell) string {
	var accepted, parts []string
	for _, c := range cells {
		switch {
		case c.status == http.StatusOK:
			accepted = append(accepted, c.service)
		case c.status == 0:
			parts = append(parts, fmt.Sprintf("%s did not answer (%s)", c.service, shorten(c.reason, 160)))
		default:
			parts = append(parts, fmt.Sprintf("%s answered %d (%s)", c.service, c.status, shorten(c.reason, 160)))
		}
	}
	if len(accepted) > 0 {
		parts = append(parts, "accepted by "+strings.Join(accepted, ", "))
	}
	return strings.Join(parts, "; ")
}

// shorten cuts a text for a sentence.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
