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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"prunella/rotation"
	"prunella/rotation/issuer"
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
