package monitor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"prunella"
	"prunella/action"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// issuer serves discovery, a key set, tokens, and releases at /r/releases.
type issuer struct {
	*httptest.Server
	mu       sync.Mutex
	keys     map[string]*ecdsa.PrivateKey
	signer   string
	broken   string // "" | down | nonsense: how the key set answers
	noTokens bool
	releases []map[string]any
}

func newIssuer(t *testing.T, kids ...string) *issuer {
	t.Helper()
	i := &issuer{keys: map[string]*ecdsa.PrivateKey{}, signer: kids[0]}
	for _, k := range kids {
		i.keys[k] = newKey()
	}
	mux := http.NewServeMux()
	handle := func(pattern string, h func(*http.Request) (int, any)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			i.mu.Lock()
			defer i.mu.Unlock()
			code, v := h(r)
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(v)
		})
	}
	handle("GET /.well-known/openid-configuration", func(*http.Request) (int, any) {
		return 200, map[string]string{"jwks_uri": i.URL + "/jwks", "token_endpoint": i.URL + "/token"}
	})
	handle("GET /jwks", func(*http.Request) (int, any) {
		switch i.broken {
		case "down":
			return 503, "down"
		case "nonsense":
			return 200, map[string]string{"hello": "you"}
		}
		set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
		for kid, k := range i.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: kid, Algorithm: "ES256"})
		}
		return 200, set
	})
	handle("POST /token", func(*http.Request) (int, any) {
		if i.noTokens {
			return 503, map[string]string{"error": "temporarily_unavailable"}
		}
		t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix()})
		t.Header["kid"] = i.signer
		k := i.keys[i.signer]
		if k == nil {
			k = newKey()
		}
		s, err := t.SignedString(k)
		if err != nil {
			return 500, err.Error()
		}
		return 200, map[string]any{"access_token": s, "expires_in": 3600}
	})
	handle("GET /r/releases", func(*http.Request) (int, any) { return 200, i.releases })
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func newKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func (i *issuer) change(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

// verifier answers its canary with a status and a description.
type verifier struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	says   string
}

func newVerifier(t *testing.T) *verifier {
	t.Helper()
	v := &verifier{status: 200}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.says != "" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="invalid_token", error_description="%s"`, v.says))
		}
		w.WriteHeader(v.status)
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *verifier) answer(status int, says string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.status, v.says = status, says
}

func world(t *testing.T, i *issuer, services map[string]*verifier) *action.World {
	t.Helper()
	inv := prunella.Inventory{
		Issuers:  []prunella.Issuer{{Name: "auth", URL: i.URL, ClientID: "c", ClientSecret: "a-client-secret"}},
		Releases: []prunella.Releases{{URL: i.URL + "/r", Service: "user"}}}
	for name, v := range services {
		inv.Services = append(inv.Services, prunella.Service{Name: name, URL: v.URL, Canary: "/ping"})
	}
	w, err := action.NewWorld(inv, nil, action.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// disk is a State that survives; views record what was put.
type disk struct {
	mu    sync.Mutex
	files map[string][]byte
	fails bool
}

func newDisk() *disk { return &disk{files: map[string][]byte{}} }

func (d *disk) Load(_ context.Context, name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.files[name]), nil
}

func (d *disk) Save(_ context.Context, name string, b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails {
		return errors.New("disk is full")
	}
	d.files[name] = slices.Clone(b)
	return nil
}

type views struct {
	mu    sync.Mutex
	cells []prunella.TrustCell
	keys  prunella.KeySet
}

func (v *views) PutTrust(_ context.Context, c []prunella.TrustCell) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cells = c
	return nil
}

func (v *views) PutKeySet(_ context.Context, k prunella.KeySet) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys = k
	return nil
}

// line shows a signal in one line: name, service, and the attributes asked for.
func line(s prunella.Signal, attrs ...string) string {
	parts := []string{s.Name, s.Service}
	for _, a := range attrs {
		parts = append(parts, a+"="+s.Attr(a))
	}
	return strings.Join(parts, " ")
}

func lines(ss []prunella.Signal, attrs ...string) []string {
	var out []string
	for _, s := range ss {
		out = append(out, line(s, attrs...))
	}
	slices.Sort(out)
	return out
}
