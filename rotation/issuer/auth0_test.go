package issuer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"prunella/rotation"
	"prunella/rotation/issuer"
)

// tenant is Auth0's Management API, as documented: three keys and their flags,
// tokens that end, scopes, a rate limit, a paged log.
type tenant struct {
	t       *testing.T
	mu      sync.Mutex
	server  *httptest.Server
	made    int
	current int
	revoked map[int]bool
	tokens  int
	valid   string
	scope   string
	limited int // answers of 429 to give
	logs    int
}

func newTenant(t *testing.T) *tenant {
	a := &tenant{t: t, made: 3, current: 1, revoked: map[int]bool{}, scope: "read:signing_keys create:signing_keys update:signing_keys read:logs"}
	a.server = httptest.NewServer(a)
	t.Cleanup(a.server.Close)
	return a
}

func (a *tenant) kid(n int) string { return fmt.Sprintf("kid-%d", n) }

func (a *tenant) fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"statusCode": status, "error": http.StatusText(status), "message": message})
}

func (a *tenant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/jwks.json":
		var set []rotation.JWK
		for n := max(0, a.current-1); n <= a.current+1; n++ {
			if !a.revoked[n] {
				set = append(set, published(a.t, a.kid(n), n))
			}
		}
		serveSet(w, set)
		return
	case "/oauth/token":
		if r.FormValue("client_secret") != "s3cret" || r.FormValue("audience") != a.server.URL+"/api/v2/" {
			a.fail(w, http.StatusUnauthorized, "access_denied")
			return
		}
		a.tokens++
		a.valid = "t" + strconv.Itoa(a.tokens)
		fmt.Fprintf(w, `{"access_token":%q,"expires_in":86400,"token_type":"Bearer"}`, a.valid)
		return
	}
	if a.limited > 0 {
		a.limited--
		w.Header().Set("x-ratelimit-reset", strconv.FormatInt(time.Now().Unix(), 10))
		a.fail(w, http.StatusTooManyRequests, "Global limit has been reached")
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+a.valid {
		a.fail(w, http.StatusUnauthorized, "Expired token received for JSON Web Token validation")
		return
	}
	need := map[string]string{http.MethodGet: "read:signing_keys", http.MethodPost: "create:signing_keys", http.MethodPut: "update:signing_keys"}[r.Method]
	if !strings.Contains(a.scope, need) {
		a.fail(w, http.StatusForbidden, "Insufficient scope, expected any of: "+need)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch path := strings.TrimPrefix(r.URL.Path, "/api/v2"); {
	case r.Method == http.MethodGet && path == "/keys/signing":
		var list []map[string]any
		for n := max(0, a.current-1); n <= a.current+1; n++ {
			k := map[string]any{"kid": a.kid(n), "cert": "-----BEGIN CERTIFICATE-----", "fingerprint": "CC:FB", "thumbprint": "CCFB"}
			switch {
			case a.revoked[n]:
				k["revoked"], k["revoked_at"] = true, "2026-11-22T05:00:00.000Z"
			case n == a.current:
				k["current"], k["current_since"] = true, "2026-11-01T05:00:00.000Z"
			case n == a.current+1:
				k["next"] = true
			default:
				k["previous"], k["current_until"] = true, "2026-11-01T05:00:00.000Z"
			}
			list = append(list, k)
		}
		_ = json.NewEncoder(w).Encode(list)
	case r.Method == http.MethodPost && path == "/keys/signing/rotate":
		a.current++
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"cert":"x","kid":%q}`, a.kid(a.current+1))
	case r.Method == http.MethodPut && strings.HasSuffix(path, "/revoke"):
		kid := strings.TrimSuffix(strings.TrimPrefix(path, "/keys/signing/"), "/revoke")
		n, err := strconv.Atoi(strings.TrimPrefix(kid, "kid-"))
		if err != nil || n >= a.current {
			a.fail(w, http.StatusNotFound, "Not Found")
			return
		}
		a.revoked[n] = true
		fmt.Fprintf(w, `{"cert":"x","kid":%q}`, kid)
	case r.Method == http.MethodGet && path == "/logs":
		page, _ := strconv.Atoi(r.FormValue("page"))
		per, _ := strconv.Atoi(r.FormValue("per_page"))
		if !strings.Contains(r.FormValue("q"), `type:"sapi"`) || per > 100 {
			a.fail(w, http.StatusBadRequest, "Query validation error")
			return
		}
		list := []map[string]any{}
		for n := page * per; n < min(a.logs, (page+1)*per); n++ {
			path, method := "/api/v2/users/x", "PATCH"
			if n%100 == 99 {
				path, method = "/api/v2/keys/signing/rotate", "POST"
			}
			list = append(list, map[string]any{"date": "2026-11-22T05:00:00.000Z", "type": "sapi", "client_name": "ci", "details": map[string]any{"request": map[string]any{"path": path, "method": method}}})
		}
		_ = json.NewEncoder(w).Encode(list)
	default:
		a.fail(w, http.StatusNotFound, "Not Found")
	}
}

func TestAuth0(t *testing.T) {
	a := newTenant(t)
	o := open(t, issuer.Config{Kind: "auth0", URL: a.server.URL, ClientID: "rotator", ClientSecret: "s3cret"})
	d := o.(issuer.Driver)
	ctx := t.Context()
	if got := states(t, o); got != "kid-0:previous kid-1:active kid-2:next" {
		t.Errorf("%s", got)
	}
	if err := d.Promote(ctx, "kid-0"); !errors.Is(err, rotation.Invalid) {
		t.Errorf("back to a previous key: %v", err)
	}
	if err := d.Revoke(ctx, "kid-1"); !errors.Is(err, rotation.Invalid) {
		t.Errorf("revoke the current key: %v", err)
	}
	a.mu.Lock()
	a.valid, a.limited = "another", 2 // the token ended, and the tenant is asked too often
	a.mu.Unlock()
	if err := d.Promote(ctx, "kid-1"); err != nil || states(t, o) != "kid-0:previous kid-1:active kid-2:next" {
		t.Errorf("the current one again: %v, %s", err, states(t, o))
	}
	if err := d.Promote(ctx, "kid-2"); err != nil {
		t.Error(err)
	}
	if got := states(t, o); got != "kid-1:previous kid-2:active kid-3:next" || a.tokens != 2 {
		t.Errorf("%s, %d tokens", got, a.tokens)
	}
	for range 2 {
		if err := d.Retire(ctx, "kid-1"); err != nil {
			t.Error(err)
		}
	}
	if got := states(t, o); got != "kid-1:revoked kid-2:active kid-3:next" {
		t.Errorf("%s", got)
	}
	if err := d.Revoke(ctx, "kid-9"); !errors.Is(err, rotation.NotFound) {
		t.Errorf("%v", err)
	}
	a.logs = 250
	hints, err := o.(issuer.Hinter).Hints(ctx, time.Now().Add(-time.Hour))
	if err != nil || len(hints) != 2 || hints[0].Path != "/api/v2/keys/signing/rotate" || hints[0].Who != "ci" {
		t.Errorf("%v %v", hints, err)
	}
	a.scope = "read:signing_keys"
	if err := d.Promote(ctx, "kid-3"); !errors.Is(err, rotation.Unauthorized) || !strings.Contains(err.Error(), "create:signing_keys") {
		t.Errorf("%v", err)
	}
	a.limited = 100
	if _, err := open(t, issuer.Config{Kind: "auth0", URL: a.server.URL, Token: a.valid}).Observe(ctx); !errors.Is(err, rotation.Unavailable) || !strings.Contains(err.Error(), "Global limit") {
		t.Errorf("%v", err)
	}
	a.limited = 0
	for _, bad := range []issuer.Config{{Token: "bad"}, {ClientID: "rotator", ClientSecret: "bad"}} {
		bad.Kind, bad.URL = "auth0", a.server.URL
		if _, err := open(t, bad).Observe(ctx); !errors.Is(err, rotation.Unauthorized) {
			t.Errorf("%v", err)
		}
	}
}
