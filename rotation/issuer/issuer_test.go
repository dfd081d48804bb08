package issuer_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"prunella/rotation"
	"prunella/rotation/issuer"
	"prunella/rotation/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keys make published keys; making RSA keys takes long, so they are kept.
var material = sync.OnceValue(func() []*rsa.PrivateKey {
	var list []*rsa.PrivateKey
	for range 4 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		list = append(list, k)
	}
	return list
})

func published(t testing.TB, kid string, n int) rotation.JWK {
	t.Helper()
	j, err := rotation.NewJWK(rotation.KeyID(kid), "RS256", material()[n%4].Public())
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func serveSet(w http.ResponseWriter, keys []rotation.JWK) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=15")
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
}

func discovery(w http.ResponseWriter, iss, jwks string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"issuer": iss, "jwks_uri": jwks})
}

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

func open(t *testing.T, cfg issuer.Config) issuer.Observer {
	t.Helper()
	o, err := issuer.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return o
}

func states(t *testing.T, o issuer.Observer) string {
	t.Helper()
	keys, err := o.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, k := range keys {
		if k.Thumbprint == "" && k.State != rotation.Revoked {
			t.Errorf("%s has no thumbprint", k.ID)
		}
		list = append(list, fmt.Sprintf("%s:%s", k.ID, k.State))
	}
	return strings.Join(list, " ")
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

// realm is Keycloak's admin REST API: key providers as components, and what comes
// of them.
type realm struct {
	t      *testing.T
	mu     sync.Mutex
	server *httptest.Server
	comps  []map[string]any
	refuse int // status to answer the API with
}

func newRealm(t *testing.T) *realm {
	k := &realm{t: t}
	k.add("rsa-generated", "RS256", 100)
	k.add("rsa-enc-generated", "RSA-OAEP", 100)
	k.server = httptest.NewServer(k)
	t.Cleanup(k.server.Close)
	return k
}

func (k *realm) add(provider, alg string, priority int) {
	k.comps = append(k.comps, map[string]any{"id": fmt.Sprintf("comp-%d", len(k.comps)), "name": provider, "providerId": provider, "providerType": "org.keycloak.keys.KeyProvider", "parentId": "realm-id",
		"config": map[string]any{"priority": []any{strconv.Itoa(priority)}, "enabled": []any{"true"}, "active": []any{"true"}, "algorithm": []any{alg}, "privateKey": []any{"**********"}}})
}

func config(c map[string]any, name string) string {
	list, _ := c["config"].(map[string]any)[name].([]any)
	if len(list) == 0 {
		return ""
	}
	return list[0].(string)
}

func (k *realm) status(c map[string]any) string {
	switch {
	case config(c, "enabled") != "true":
		return "DISABLED"
	case config(c, "active") != "true":
		return "PASSIVE"
	}
	return "ACTIVE"
}

func (k *realm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	iss := k.server.URL + "/realms/shop"
	switch r.URL.Path {
	case "/realms/shop/.well-known/openid-configuration":
		discovery(w, iss, iss+"/protocol/openid-connect/certs")
		return
	case "/realms/shop/protocol/openid-connect/certs":
		var set []rotation.JWK
		for n, c := range k.comps {
			if k.status(c) != "DISABLED" && config(c, "algorithm") == "RS256" {
				set = append(set, published(k.t, fmt.Sprintf("kid-%d", n), n))
			}
		}
		serveSet(w, set)
		return
	case "/realms/shop/protocol/openid-connect/token":
		if r.FormValue("client_secret") != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}`)
			return
		}
		fmt.Fprint(w, `{"access_token":"admin","expires_in":60}`)
		return
	}
	if r.Header.Get("Authorization") != "Bearer admin" {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"HTTP 401 Unauthorized"}`)
		return
	}
	if k.refuse != 0 {
		w.WriteHeader(k.refuse)
		fmt.Fprint(w, `{"errorMessage":"no"}`)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/admin/realms/shop")
	at := -1
	for n, c := range k.comps {
		if path == "/components/"+c["id"].(string) {
			at = n
		}
	}
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodGet && path == "/keys":
		active, keys, best := map[string]string{}, []map[string]any{}, map[string]int{}
		for n, c := range k.comps {
			alg, kid := config(c, "algorithm"), fmt.Sprintf("kid-%d", n)
			p, _ := strconv.Atoi(config(c, "priority"))
			use := "SIG"
			if alg == "RSA-OAEP" {
				use = "ENC"
			}
			if k.status(c) == "ACTIVE" && (active[alg] == "" || p > best[alg]) {
				active[alg], best[alg] = kid, p
			}
			keys = append(keys, map[string]any{"providerId": c["id"], "providerPriority": p, "kid": kid, "status": k.status(c), "type": "RSA", "algorithm": alg, "use": use})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"active": active, "keys": keys})
	case r.Method == http.MethodPost && path == "/components":
		var c map[string]any
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil || c["providerType"] != "org.keycloak.keys.KeyProvider" || config(c, "priority") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c["id"] = fmt.Sprintf("comp-%d", len(k.comps))
		k.comps = append(k.comps, c)
		w.Header().Set("Location", r.URL.Path+"/"+c["id"].(string))
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodGet && at >= 0:
		_ = json.NewEncoder(w).Encode(k.comps[at])
	case r.Method == http.MethodPut && at >= 0:
		var c map[string]any
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil || config(c, "privateKey") != config(k.comps[at], "privateKey") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		k.comps[at] = c
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":"Could not find component"}`)
	}
}

func TestKeycloak(t *testing.T) {
	k := newRealm(t)
	cfg := issuer.Config{Kind: "keycloak", URL: k.server.URL + "/realms/shop", ClientID: "rotator", ClientSecret: "s3cret"}
	o := open(t, cfg)
	d := o.(issuer.Driver)
	ctx := t.Context()
	step := func(want string, err error) {
		t.Helper()
		if got := states(t, o); err != nil || got != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
	step("kid-0:active", nil)
	step("kid-0:active kid-2:next", d.Stage(ctx))
	step("kid-0:active kid-2:next", d.Stage(ctx)) // one is enough
	step("kid-0:previous kid-2:active", d.Promote(ctx, "kid-2"))
	step("kid-0:active kid-2:previous", d.Promote(ctx, "kid-0")) // and back
	step("kid-0:previous kid-2:active", d.Promote(ctx, "kid-2"))
	step("kid-2:active", d.Retire(ctx, "kid-0"))
	step("kid-2:active", d.Revoke(ctx, "kid-0"))
	if err := d.Retire(ctx, "kid-9"); !errors.Is(err, rotation.NotFound) {
		t.Errorf("%v", err)
	}
	for status, want := range map[int]rotation.Kind{403: rotation.Unauthorized, 404: rotation.NotFound, 400: rotation.Invalid, 409: rotation.Conflict, 500: rotation.Unavailable} {
		k.refuse = status
		if _, err := o.Observe(ctx); !errors.Is(err, want) {
			t.Errorf("%d: %v", status, err)
		}
	}
	k.refuse = 0
	cfg.ClientSecret = "bad"
	if _, err := open(t, cfg).Observe(ctx); !errors.Is(err, rotation.Unauthorized) || !strings.Contains(err.Error(), "Invalid client") {
		t.Errorf("%v", err)
	}
}

func TestObservedOnly(t *testing.T) {
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	j, err := rotation.NewJWK("signs", "EdDSA", pub)
	if err != nil {
		t.Fatal(err)
	}
	var server *httptest.Server
	token := func() string {
		tok := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": server.URL, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
		tok.Header["kid"] = "signs"
		s, err := tok.SignedString(private)
		if err != nil {
			t.Error(err)
		}
		return s
	}
	guarded := false
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if guarded && r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			discovery(w, server.URL, server.URL+"/keys")
		case "/token":
			fmt.Fprintf(w, `{"access_token":%q}`, token())
		case "/openid/v1/jwks":
			w.Header().Set("Content-Type", "application/jwk-set+json")
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []rotation.JWK{published(t, "old", 0), j}})
		case "/keys":
			serveSet(w, []rotation.JWK{published(t, "old", 0), j})
		}
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token()), 0o600); err != nil {
		t.Fatal(err)
	}
	for kind, c := range map[string]struct {
		cfg  issuer.Config
		want string
	}{
		"oidc":       {issuer.Config{TokenURL: server.URL + "/token", ClientID: "x"}, "old: signs:active"},
		"dex":        {issuer.Config{}, "old:active signs:previous"}, // its signer is the first
		"kubernetes": {issuer.Config{TokenFile: file}, "old: signs:active"},
	} {
		guarded = kind == "kubernetes"
		c.cfg.Kind, c.cfg.URL = kind, server.URL
		o := open(t, c.cfg)
		if got := states(t, o); got != c.want {
			t.Errorf("%s: %s", kind, got)
		}
		if _, drives := o.(issuer.Driver); drives {
			t.Errorf("%s drives", kind)
		}
	}
	for name, cfg := range map[string]issuer.Config{"kind": {Kind: "okta", URL: server.URL}, "url": {Kind: "oidc", URL: "x"}, "no token": {Kind: "auth0", URL: server.URL},
		"no realm": {Kind: "keycloak", URL: server.URL, Token: "t"}, "ca": {Kind: "oidc", URL: server.URL, CA: "/none"}} {
		if _, err := issuer.Open(cfg); !errors.Is(err, rotation.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The gates guard an issuer of somebody else: its fleet is asked, refusals have
// names, an override is recorded, and what was intended stands before the effect.
func TestDesk(t *testing.T) {
	k := newRealm(t)
	o := open(t, issuer.Config{Kind: "keycloak", URL: k.server.URL + "/realms/shop", ClientID: "rotator", ClientSecret: "s3cret"})
	store, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ctx := t.Context()
	cfg := issuer.DeskConfig{Issuer: k.server.URL + "/realms/shop", At: o, Store: store, Policy: rotation.Policy{Stale: time.Second, Skew: time.Millisecond, MaxLifetime: time.Second, Quiet: time.Millisecond, Watch: time.Millisecond},
		Verifiers: []rotation.Verifier{{Name: "search", Class: rotation.Manual}, {Name: "user", Class: rotation.Timed, Within: 1500 * time.Millisecond}}}
	d, err := issuer.NewDesk(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	maya := rotation.Order{By: "maya"}
	reason, err := d.Rotate(ctx, maya)
	if !errors.Is(err, rotation.Refused) || strings.Join(reason.Names(), " ") != "search user" {
		t.Fatalf("%v %v", reason, err)
	}
	if got := states(t, o); got != "kid-0:active kid-2:next" {
		t.Errorf("%s", got)
	}
	if _, err := d.Promote(ctx, "", rotation.Order{By: "maya", Override: true}); !errors.Is(err, rotation.Invalid) {
		t.Errorf("without a reason: %v", err)
	}
	time.Sleep(3 * time.Second)
	api := httptest.NewServer(http.StripPrefix("/keys", d.API(rotation.BearerTokens(map[string]string{"t0ken": "sam"}))))
	defer api.Close()
	call := func(method, path, token, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, api.URL+"/keys"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var v any
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		b, _ := json.Marshal(v)
		return resp.StatusCode, string(b)
	}
	for _, c := range []struct {
		method, path, token, body string
		status                    int
		want                      string
	}{
		{"GET", "/status", "bad", "", 401, "operators"},
		{"POST", "/kid-2/promote", "t0ken", "{", 400, "not readable"},
		{"POST", "/kid-2/promote", "t0ken", "", 409, "not-confirmed"},
		{"POST", "/kid-0/retire", "t0ken", "", 409, "wrong-state"},
		{"POST", "/resume", "t0ken", "", 400, "nothing halts"},
		{"POST", "/ack/search", "t0ken", "{}", 404, "not-found"},
		{"POST", "/verifiers/search/confirm", "t0ken", `{"kid":"kid-2","note":"copied"}`, 200, "status"},
		{"GET", "/gates", "t0ken", "", 200, "may-promote"},
		{"POST", "/kid-2/promote", "t0ken", "", 200, `"kid":"kid-2"`},
		{"POST", "/kid-0/revoke", "t0ken", "", 409, "cannot-tell"},
		{"POST", "/return", "t0ken", "", 200, `"may-return"`},
		{"POST", "/publish", "t0ken", "", 200, "status"},
	} {
		if status, body := call(c.method, c.path, c.token, c.body); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
	}
	if got := states(t, o); !strings.HasPrefix(got, "kid-0:active kid-2:previous") {
		t.Errorf("after the return: %s", got)
	}
	if _, err := d.Revoke(ctx, "kid-2", rotation.Order{By: "maya", Override: true, Note: "leaked"}); err != nil {
		t.Error(err)
	}
	k.mu.Lock()
	k.add("rsa-generated", "RS256", 50) // somebody else is at work
	k.mu.Unlock()
	if err := d.Follow(ctx); err != nil {
		t.Error(err)
	}
	history, err := store.History(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range history {
		lines = append(lines, fmt.Sprintf("%s %s %s %v %s", e.By, e.Action, e.Key, e.Override, e.Note))
	}
	all := strings.Join(lines, "\n")
	for _, want := range []string{"maya revoke kid-2 true leaked; intended", "maya revoke kid-2 true leaked; seen at the issuer: kid-2 left the set", "observed publish kid-", "sam promote kid-2 false intended", "maya refuse kid-2"} {
		if !strings.Contains(all, want) {
			t.Errorf("the audit trail lacks %q:\n%s", want, all)
		}
	}
	k.refuse = 403
	if status, body := call("GET", "/status", "t0ken", ""); status != 502 || !strings.Contains(body, "manage-realm") {
		t.Errorf("%d %s", status, body)
	}
	watched := cfg
	watched.At = onlyObserved{o}
	k.refuse = 0
	if d, err = issuer.NewDesk(ctx, watched); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Promote(ctx, "", maya); !errors.Is(err, rotation.Invalid) || !strings.Contains(err.Error(), "only observed") {
		t.Errorf("%v", err)
	}
}

// Somebody rotates at the issuer itself: the trail says what its log says about him.
func TestAStrangersRotationIsAttributed(t *testing.T) {
	a := newTenant(t)
	o := open(t, issuer.Config{Kind: "auth0", URL: a.server.URL, ClientID: "rotator", ClientSecret: "s3cret"})
	store, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	d, err := issuer.NewDesk(t.Context(), issuer.DeskConfig{Issuer: a.server.URL, At: o, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	look := func(want string) {
		t.Helper()
		if err := d.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		trail, err := store.History(t.Context(), 1)
		if err != nil || !strings.Contains(trail[0].Note, want) {
			t.Errorf("%+v %v, want %q", trail, err, want)
		}
	}
	look("seen at the issuer")
	a.mu.Lock()
	a.current++
	a.made++
	a.logs = 100
	a.mu.Unlock()
	look("; its log: /api/v2/keys/signing/rotate by ci at 2026-11-22T05:00:00Z")
	a.mu.Lock()
	a.current++
	a.made++
	a.logs = 0
	a.mu.Unlock()
	look("signs")
}

type onlyObserved struct{ o issuer.Observer }

func (x onlyObserved) Observe(ctx context.Context) ([]issuer.Key, error) { return x.o.Observe(ctx) }

// Whatever an issuer answers, it is keys with thumbprints, or an error.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`[{"kid":"a","current":true,"current_until":"2026-11-22T05:00:00Z"},{"kid":"b","current_until":1}]`), []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Add([]byte(`{"active":{"RS256":"a"},"keys":[{"kid":"a","status":"ACTIVE","algorithm":"RS256","providerPriority":1}]}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, api, set []byte) {
		client := &http.Client{Transport: answering(func(r *http.Request) []byte {
			switch {
			case strings.Contains(r.URL.Path, "/api/v2/"), strings.Contains(r.URL.Path, "/admin/"):
				return api
			}
			return set
		})}
		for _, cfg := range []issuer.Config{{Kind: "auth0", URL: "https://id.example.test"}, {Kind: "keycloak", URL: "https://id.example.test/realms/r", JWKS: "https://id.example.test/certs"}, {Kind: "dex", URL: "https://id.example.test", JWKS: "https://id.example.test/keys"}} {
			cfg.Token, cfg.Client = "t", client
			o, err := issuer.Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := o.Observe(t.Context())
			for _, k := range keys {
				if err != nil || k.Thumbprint == "" && k.State != rotation.Revoked {
					t.Errorf("%s: %+v %v", cfg.Kind, k, err)
				}
			}
		}
	})
}

type answering func(*http.Request) []byte

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	_, _ = rec.Write(a(r))
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}
