package action_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/action"
)

func TestKeySetCurrent(t *testing.T) {
	i := newIssuer(t, "old", "new")
	w := world(t, inventory(i, nil), nil, action.Options{})
	res, err := w.Read(t.Context(), "jwks.current", map[string]any{"issuer": "auth"}, action.Incident{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"issuer": "auth", "reachable": true, "error": "", "kids": []any{"old", "new"}, "signer": "new", "signer_published": true,
		"max_age_s": 300.0, "token_lifetime_s": 3600.0, "kid_is_thumbprint": map[string]any{"old": false, "new": false},
		"states": map[string]any{"old": "previous", "new": "active"}, "thumbprints": map[string]any{"old": i.keys[0].Thumbprint, "new": i.keys[1].Thumbprint}}
	if d := cmp.Diff(want, res); d != "" {
		t.Error(d)
	}
	i.jwksDown = true
	res, err = w.Read(t.Context(), "jwks.current", nil, action.Incident{})
	if err != nil || res["reachable"] != false || res["signer"] != "new" || len(texts(res["kids"])) != 0 || !strings.Contains(res["error"].(string), "502") {
		t.Errorf("down: %v, %v", res, err)
	}
}

func TestKeyActions(t *testing.T) {
	i := newIssuer(t, "old", "new")
	w := world(t, inventory(i, nil), nil, action.Options{})
	ctx := t.Context()
	old := map[string]any{"issuer": "auth", "kid": "old"}
	before, err := w.Before(ctx, "keys.activate", old)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"signer": "new", "state": "previous", "published": true}, before); d != "" {
		t.Error(d)
	}
	if h, _, err := w.Happened(ctx, "keys.activate", "s1", old, before); h != action.No || err != nil {
		t.Errorf("before it was done: %s, %v", h, err)
	}
	i.dropAnswer = true
	if _, err := w.Do(ctx, "keys.activate", "s1", old); !errors.Is(err, action.ErrLost) || strings.Contains(err.Error(), adminToken) {
		t.Errorf("an answer that was lost: %v", err)
	}
	if h, text, err := w.Happened(ctx, "keys.activate", "s1", old, before); h != action.Yes || err != nil {
		t.Errorf("after it was done: %s (%s), %v", h, text, err)
	}
	if !slices.Contains(i.steps, "s1") {
		t.Errorf("Idempotency-Keys %v", i.steps)
	}
	_, err = w.Do(ctx, "keys.retire", "s2", old)
	if prunella.KindOf(err) != prunella.Conflict || errors.Is(err, action.ErrLost) || !strings.Contains(err.Error(), "the signer cannot be retired") {
		t.Errorf("retiring the signer: %v", err)
	}
	newKey := map[string]any{"issuer": "auth", "kid": "new"}
	if _, err := w.Do(ctx, "keys.retire", "s3", newKey); err != nil {
		t.Fatal(err)
	}
	if h, _, _ := w.Happened(ctx, "keys.retire", "s3", newKey, nil); h != action.Yes {
		t.Errorf("retired: %s", h)
	}
	if h, _, _ := w.Happened(ctx, "keys.publish", "s4", newKey, nil); h != action.No {
		t.Errorf("published: %s", h)
	}
	if _, err := w.Do(ctx, "keys.publish", "s4", newKey); err != nil {
		t.Fatal(err)
	}
	if h, _, _ := w.Happened(ctx, "keys.publish", "s4", newKey, nil); h != action.Yes {
		t.Errorf("published: %s", h)
	}
	if _, err := w.Do(ctx, "keys.publish", "s5", map[string]any{"issuer": "auth", "kid": "none"}); prunella.KindOf(err) != prunella.NotFound {
		t.Errorf("an unknown key: %v", err)
	}
}

func TestARefusedConnectionIsNotLost(t *testing.T) {
	i := newIssuer(t, "old", "new")
	inv := inventory(i, nil)
	i.Close()
	w := world(t, inv, nil, action.Options{})
	_, err := w.Do(t.Context(), "keys.activate", "s1", map[string]any{"issuer": "auth", "kid": "old"})
	if prunella.KindOf(err) != prunella.Unavailable || errors.Is(err, action.ErrLost) || !strings.Contains(err.Error(), "no connection") {
		t.Errorf("a closed port: %v", err)
	}
}

func TestDeliveries(t *testing.T) {
	i := newIssuer(t, "old", "new")
	i.deliveries = []deliveryRecord{{Service: "user", Kid: "new", Status: "failed", Error: "connection refused", Attempts: 3}, {Service: "gateway", Kid: "new", Status: "delivered", Attempts: 1}}
	w := world(t, inventory(i, nil), nil, action.Options{})
	ctx := t.Context()
	res, err := w.Read(ctx, "deliveries.failed", nil, action.Incident{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"known": true, "issuer": "auth", "kid": "new", "failed": []any{"user"}, "delivered": []any{"gateway"}, "pending": []any{},
		"errors": map[string]any{"user": "connection refused"}, "reason": ""}
	if d := cmp.Diff(want, res); d != "" {
		t.Error(d)
	}
	p := map[string]any{"issuer": "auth", "kid": "new", "service": "user"}
	before, err := w.Before(ctx, "keys.redeliver", p)
	if err != nil {
		t.Fatal(err)
	}
	if h, _, _ := w.Happened(ctx, "keys.redeliver", "s", p, before); h != action.No {
		t.Errorf("not yet delivered: %s", h)
	}
	if out, err := w.Do(ctx, "keys.redeliver", "s", p); err != nil || out != "key new was delivered to user" {
		t.Errorf("%q, %v", out, err)
	}
	if h, text, _ := w.Happened(ctx, "keys.redeliver", "s", p, before); h != action.Yes {
		t.Errorf("delivered: %s (%s)", h, text)
	}
	p["service"] = "closed"
	if _, err := w.Do(ctx, "keys.redeliver", "s", p); err == nil || errors.Is(err, action.ErrLost) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("a delivery that failed: %v", err)
	}
}

// auth0 speaks the signing-key calls of the Auth0 Management API.
func auth0(t *testing.T) (*httptest.Server, func() []string) {
	t.Helper()
	type key struct {
		Kid      string `json:"kid"`
		Cert     string `json:"cert"`
		Current  bool   `json:"current,omitempty"`
		Next     bool   `json:"next,omitempty"`
		Previous bool   `json:"previous,omitempty"`
		Revoked  bool   `json:"revoked,omitempty"`
	}
	var mu sync.Mutex
	keys := []*key{{Kid: "n", Next: true}, {Kid: "c", Current: true}, {Kid: "p", Previous: true}}
	var calls []string
	mux := http.NewServeMux()
	handle := func(pattern string, h http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Header.Get("Authorization") != "Bearer "+adminToken {
				reply(w, 401, map[string]any{"statusCode": 401, "error": "Unauthorized", "message": "Invalid token"})
				return
			}
			if r.Method != "GET" {
				calls = append(calls, r.Method+" "+r.URL.Path)
			}
			h(w, r)
		})
	}
	handle("GET /api/v2/keys/signing", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, keys) })
	handle("POST /api/v2/keys/signing/rotate", func(w http.ResponseWriter, _ *http.Request) {
		for _, k := range keys {
			k.Previous, k.Current, k.Next = k.Current || k.Previous, k.Next, false
		}
		keys = append(keys, &key{Kid: "n2", Next: true})
		reply(w, 201, map[string]string{"kid": "n2", "cert": ""})
	})
	handle("PUT /api/v2/keys/signing/{kid}/revoke", func(w http.ResponseWriter, r *http.Request) {
		for _, k := range keys {
			if k.Kid == r.PathValue("kid") {
				k.Revoked = true
				reply(w, 200, k)
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s, func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(calls) }
}

func TestAuth0(t *testing.T) {
	i := newIssuer(t, "c")
	s, calls := auth0(t)
	inv := inventory(i, nil)
	inv.Issuers[0].Admin = &prunella.Admin{Kind: "auth0", URL: s.URL + "/", Token: adminToken}
	w := world(t, inv, nil, action.Options{})
	do := func(name, kid string) (string, error) {
		p := map[string]any{"issuer": "auth", "kid": kid}
		if name == "keys.redeliver" {
			p["service"] = "user"
		}
		return w.Do(t.Context(), name, "s", p)
	}
	for _, c := range []struct {
		name, kid, want string
		kind            prunella.Kind
	}{
		{"keys.activate", "p", "Auth0 cannot return the signer to a previous key", prunella.Invalid},
		{"keys.activate", "c", "signs already", ""},
		{"keys.publish", "n", "publishes key n already", ""},
		{"keys.redeliver", "c", "Auth0 delivers keys to nobody", prunella.Invalid},
		{"keys.retire", "c", "only a previous key can", prunella.Conflict},
		{"keys.retire", "x", "no signing key x", prunella.NotFound},
	} {
		out, err := do(c.name, c.kid)
		if err != nil {
			out = err.Error()
		}
		if prunella.KindOf(err) != c.kind || !strings.Contains(out, c.want) {
			t.Errorf("%s %s: %q (%s)", c.name, c.kid, out, prunella.KindOf(err))
		}
	}
	if c := calls(); len(c) != 0 {
		t.Fatalf("what cannot be done or is done already called %v", c)
	}
	if out, err := do("keys.activate", "n"); err != nil || !strings.Contains(out, "key n signs now") {
		t.Errorf("rotate: %q, %v", out, err)
	}
	if out, err := do("keys.retire", "p"); err != nil || !strings.Contains(out, "revoked key p") {
		t.Errorf("revoke: %q, %v", out, err)
	}
	if d := cmp.Diff([]string{"POST /api/v2/keys/signing/rotate", "PUT /api/v2/keys/signing/p/revoke"}, calls()); d != "" {
		t.Error(d)
	}
	if out, err := do("keys.publish", "p"); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("publishing a revoked key: %q, %v", out, err)
	}
	p := map[string]any{"issuer": "auth", "kid": "n"}
	if h, _, err := w.Happened(t.Context(), "keys.activate", "s", p, map[string]any{"signer": "c"}); h != action.Yes || err != nil {
		t.Errorf("rotated: %s, %v", h, err)
	}
}
