package audit_test

import (
	"crypto"
	"crypto/ed25519"
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

	"github.com/golang-jwt/jwt/v5"

	"prunella/rotation"
	"prunella/rotation/audit"
)

const issuerURL = "https://id.example.test"

// world is an issuer and services that reach each other through RoundTrip.
type world struct {
	t        testing.TB
	mu       sync.Mutex
	private  map[string]ed25519.PrivateKey
	set      []any                                        // the published keys
	signer   string                                       // kid
	knows    map[string][]string                          // host of a service: kids it verifies with
	jwks     func(w http.ResponseWriter, r *http.Request) // instead of set
	document string                                       // instead of the discovery document
	cache    string
	down     bool
	issuer   string
}

func newWorld(t testing.TB, kids ...string) *world {
	w := &world{t: t, private: map[string]ed25519.PrivateKey{}, knows: map[string][]string{}, cache: "public, max-age=600", issuer: issuerURL}
	for _, kid := range kids {
		w.publish(kid)
	}
	if len(kids) > 0 {
		w.signer = kids[len(kids)-1]
	}
	return w
}

func (w *world) publish(kid string) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	w.private[kid] = priv
	w.set = append(w.set, jwkOf(w.t, kid, "EdDSA", pub))
}

func (w *world) unpublish(kid string) {
	w.set = slices.DeleteFunc(w.set, func(k any) bool { return k.(rotation.JWK).ID == rotation.KeyID(kid) })
}

func jwkOf(t testing.TB, kid, alg string, pub crypto.PublicKey) rotation.JWK {
	t.Helper()
	j, err := rotation.NewJWK(rotation.KeyID(kid), rotation.Algorithm(alg), pub)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func (w *world) token(kid string, claims jwt.MapClaims) string {
	all := jwt.MapClaims{"iss": w.issuer, "sub": "probe", "aud": "orders", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range claims {
		all[k] = v
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, all)
	t.Header["kid"] = kid
	s, err := t.SignedString(w.private[kid])
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, errors.New("connection refused")
	}
	rec := httptest.NewRecorder()
	switch {
	case r.URL.Host == "id.example.test":
		w.serve(rec, r)
	case w.knows[r.URL.Host] != nil:
		w.verify(rec, r, w.knows[r.URL.Host])
	default:
		return nil, errors.New("no such host")
	}
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func (w *world) serve(rec *httptest.ResponseRecorder, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		rec.Header().Set("Content-Type", "application/json")
		if w.document != "" {
			fmt.Fprint(rec, w.document)
			return
		}
		fmt.Fprintf(rec, `{"issuer":%q,"jwks_uri":%q}`, issuerURL, issuerURL+"/keys")
	case "/keys", "/moved":
		if w.jwks != nil && r.URL.Path == "/keys" {
			w.jwks(rec, r)
			return
		}
		rec.Header().Set("Content-Type", "application/jwk-set+json")
		rec.Header().Set("ETag", `"1"`)
		if w.cache != "" {
			rec.Header().Set("Cache-Control", w.cache)
		}
		if err := json.NewEncoder(rec).Encode(map[string]any{"keys": w.set}); err != nil {
			w.t.Error(err)
		}
	case "/token":
		id, secret, basic := r.BasicAuth()
		if !basic {
			id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
		}
		if id != "audit" || secret != "s3cret" {
			rec.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(rec, `{"error":"invalid_client","error_description":"unknown client"}`)
			return
		}
		fmt.Fprintf(rec, `{"access_token":%q,"token_type":"Bearer"}`, w.token(w.signer, nil))
	default:
		rec.WriteHeader(http.StatusNotFound)
	}
}

// verify is a service that holds the keys of these kids.
func (w *world) verify(rec *httptest.ResponseRecorder, r *http.Request, kids []string) {
	if slices.Contains(kids, "everybody") {
		return
	}
	raw, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	_, err := jwt.Parse(raw, func(t *jwt.Token) (any, error) {
		if kid, _ := t.Header["kid"].(string); slices.Contains(kids, kid) {
			return w.private[kid].Public(), nil
		}
		return nil, errors.New("unknown kid")
	})
	if err != nil {
		rec.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+strings.ReplaceAll(err.Error(), `"`, "")+`"`)
		rec.WriteHeader(http.StatusUnauthorized)
	}
}

func (w *world) config(services ...string) audit.Config {
	cfg := audit.Config{Issuer: issuerURL, Client: &http.Client{Transport: w}, Source: &audit.Source{URL: issuerURL + "/token", ID: "audit", Secret: "s3cret"}}
	for _, s := range services {
		cfg.Verifiers = append(cfg.Verifiers, audit.Verifier{Name: s, URL: "https://" + s + "/me"})
	}
	return cfg
}

func look(t testing.TB, cfg audit.Config) audit.Report {
	t.Helper()
	r, err := audit.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rules(r audit.Report) string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, string(f.Severity)+" "+f.Rule)
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}
