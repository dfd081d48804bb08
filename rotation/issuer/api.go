package issuer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"prunella/rotation"
)

const (
	askTime   = 15 * time.Second
	maxAnswer = 4 << 20
	tries     = 4                // of one request, when the issuer says 429
	maxPause  = 10 * time.Second // between them
	earlier   = 30 * time.Second // a token is renewed this long before it ends
)

// api calls an issuer's management API with a token of the configured client.
type api struct {
	cfg      Config
	client   *http.Client
	base     string
	tokens   string // URL of the token endpoint
	audience string

	mu    sync.Mutex
	token string
	until time.Time
}

// bearer returns a token: a stated one, or one of the client, renewed in time.
func (a *api) bearer(ctx context.Context) (string, error) {
	switch {
	case a.cfg.TokenFile != "":
		b, err := os.ReadFile(a.cfg.TokenFile)
		if err != nil {
			return "", invalid("name a file that can be read", "the token file: %v", err)
		}
		return strings.TrimSpace(string(b)), nil
	case a.cfg.Token != "" || a.cfg.ClientID == "":
		return a.cfg.Token, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" && time.Now().Before(a.until) {
		return a.token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {a.cfg.ClientID}, "client_secret": {a.cfg.ClientSecret}}
	if a.audience != "" {
		form.Set("audience", a.audience)
	}
	var answer struct {
		Token   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, orElse(a.cfg.TokenURL, a.tokens), strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if _, err := a.send(req, &answer); err != nil {
		return "", err
	}
	if answer.Token == "" {
		return "", &rotation.Error{Kind: rotation.Unavailable, Detail: "issuer: " + req.URL.Redacted() + " gives no token"}
	}
	life := time.Duration(min(max(answer.Seconds, 0), 86400)) * time.Second
	a.token, a.until = answer.Token, time.Now().Add(max(life-earlier, life/2))
	return a.token, nil
}

// forget drops a token that was refused; it is false when there is no other.
func (a *api) forget(token string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == token {
		a.token = ""
	}
	return a.cfg.Token == "" && a.cfg.TokenFile == "" && a.cfg.ClientID != ""
}

// do calls path below base and reads the answer into a value, nil for none. A
// token that was refused is renewed once; 429 is waited for.
func (a *api) do(ctx context.Context, method, path string, body, into any) (http.Header, error) {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	renewed := false
	for try := 1; ; try++ {
		token, err := a.bearer(ctx)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(payload))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Accept", "application/json")
		if payload != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		header, err := a.send(req, into)
		var s *statusError
		if !errors.As(err, &s) {
			return header, err
		}
		switch {
		case s.status == http.StatusUnauthorized && !renewed && a.forget(token):
			renewed = true
			continue
		case s.status == http.StatusTooManyRequests && try < tries:
			timer := time.NewTimer(pause(header, try))
			select {
			case <-ctx.Done():
				timer.Stop()
				return header, ctx.Err()
			case <-timer.C:
			}
			continue
		}
		return header, err
	}
}

// pause is what a 429 asks for: Retry-After, or Auth0's x-ratelimit-reset.
func pause(h http.Header, try int) time.Duration {
	wait := time.Duration(try) * time.Second
	if n, err := strconv.ParseInt(h.Get("Retry-After"), 10, 64); err == nil && n >= 0 {
		wait = time.Duration(min(n, 3600)) * time.Second
	} else if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		wait = time.Until(at)
	} else if at, err := strconv.ParseInt(h.Get("x-ratelimit-reset"), 10, 64); err == nil {
		wait = time.Until(time.Unix(at, 0))
	}
	return min(max(wait, 100*time.Millisecond), maxPause)
}

// statusError is an answer that is not 2xx.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

func (a *api) send(req *http.Request, into any) (http.Header, error) {
	where := req.Method + " " + req.URL.Host + req.URL.Path
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, &rotation.Error{Kind: rotation.Unavailable, Detail: "issuer: " + where + " gets no answer", Cause: err, Remedy: "see that the issuer can be reached; if something was to be changed, status says whether it was"}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return resp.Header, &rotation.Error{Kind: rotation.Unavailable, Detail: "issuer: the answer to " + where + " broke off", Cause: err}
	}
	if resp.StatusCode/100 != 2 {
		return resp.Header, refusal(where, resp.StatusCode, resp.Status, b)
	}
	if into == nil {
		return resp.Header, nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return resp.Header, &rotation.Error{Kind: rotation.Unavailable, Detail: "issuer: the answer to " + where + " is not the API's", Cause: err, Remedy: "is the admin URL right?"}
	}
	return resp.Header, nil
}

func refusal(where string, status int, text string, body []byte) error {
	var said struct {
		Message     string `json:"message"`           // Auth0
		Description string `json:"error_description"` // OAuth, Keycloak
		Error       any    `json:"error"`
		Keycloak    string `json:"errorMessage"`
	}
	_ = json.Unmarshal(body, &said) // what is no JSON says nothing
	why := orElse(said.Message, orElse(said.Description, said.Keycloak))
	if e, ok := said.Error.(string); ok && why == "" {
		why = e
	}
	e := &rotation.Error{Kind: rotation.Unavailable, Detail: fmt.Sprintf("issuer: %s answers %s", where, text), Cause: &statusError{status, fmt.Sprintf("%.300s", orElse(why, "no reason"))}}
	switch status {
	case http.StatusUnauthorized:
		e.Kind, e.Remedy = rotation.Unauthorized, "check the client and its secret, or renew the token"
	case http.StatusForbidden:
		e.Kind, e.Remedy = rotation.Unauthorized, "give the client what it lacks: Auth0 read:signing_keys, create:signing_keys, update:signing_keys; Keycloak the realm-management roles view-realm and manage-realm"
	case http.StatusNotFound:
		e.Kind, e.Remedy = rotation.NotFound, "check the admin URL and the key"
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		e.Kind = rotation.Invalid
	case http.StatusConflict:
		e.Kind = rotation.Conflict
	case http.StatusTooManyRequests:
		e.Remedy = "wait: the issuer limits how often it is asked"
	}
	return e
}
