package action_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
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

const (
	adminToken   = "admin-token-0123456789"
	clientSecret = "client-secret-0123456789"
)

// issuerKey is one key of the fake issuer.
type issuerKey struct {
	Kid        string    `json:"kid"`
	Alg        string    `json:"alg"`
	Thumbprint string    `json:"thumbprint"`
	State      string    `json:"state"`
	Published  time.Time `json:"published,omitzero"`
	Created    time.Time `json:"created"`
	Activated  time.Time `json:"activated,omitzero"`
	Removed    time.Time `json:"removed,omitzero"`
	private    *ecdsa.PrivateKey
}

type deliveryRecord struct {
	Service  string    `json:"service"`
	Kid      string    `json:"kid"`
	Status   string    `json:"status"`
	Attempts int       `json:"attempts"`
	Error    string    `json:"last_error"`
	At       time.Time `json:"at"`
}

// issuer speaks OIDC discovery, JWKS, client credentials and the key API.
type issuer struct {
	*httptest.Server
	mu         sync.Mutex
	keys       []*issuerKey
	deliveries []deliveryRecord
	steps      []string // Idempotency-Key of each mutation
	dropAnswer bool     // perform the next mutation and cut the connection
	jwksDown   bool
	tokens     int

	wrongAudience string // what the token endpoint writes instead of what is asked for
}

func newIssuer(t *testing.T, kids ...string) *issuer {
	t.Helper()
	i := &issuer{}
	for n, kid := range kids {
		state := "previous"
		if n == len(kids)-1 {
			state = "active"
		}
		i.add(t, kid, state)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/.well-known/jwks.json", "token_endpoint": i.URL + "/oauth/token"})
	})
	mux.HandleFunc("GET /.well-known/jwks.json", i.jwks)
	mux.HandleFunc("POST /oauth/token", i.token)
	mux.HandleFunc("GET /keys/v1/keys", i.list)
	mux.HandleFunc("GET /keys/v1/deliveries", i.records)
	mux.HandleFunc("POST /keys/v1/keys/{kid}/{verb}", i.verb)
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) add(t *testing.T, kid, state string) *issuerKey {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := &issuerKey{Kid: kid, Alg: "ES256", State: state, Created: time.Now().UTC(), private: priv}
	k.Thumbprint = thumbprint(t, priv)
	if state != "removed" {
		k.Published = time.Now().UTC()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, k)
	return k
}

func thumbprint(t *testing.T, priv *ecdsa.PrivateKey) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: priv.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (i *issuer) signer() *issuerKey {
	n := slices.IndexFunc(i.keys, func(k *issuerKey) bool { return k.State == "active" })
	return i.keys[n]
}

func (i *issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.jwksDown {
		http.Error(w, "backend is gone", http.StatusBadGateway)
		return
	}
	set := jose.JSONWebKeySet{}
	for _, k := range i.keys {
		if !k.Published.IsZero() {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.Kid, Algorithm: k.Alg, Use: "sig"})
		}
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	reply(w, 200, set)
}

func (i *issuer) sign(k *issuerKey, audience string, life time.Duration) string {
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": i.URL, "aud": audience, "sub": "probe",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(life).Unix()})
	t.Header["kid"] = k.Kid
	s, err := t.SignedString(k.private)
	if err != nil {
		panic(err)
	}
	return s
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.FormValue("grant_type") != "client_credentials" || r.FormValue("client_id") != "prunella" || r.FormValue("client_secret") != clientSecret {
		reply(w, 401, map[string]string{"error": "invalid_client", "error_description": "the client secret " + r.FormValue("client_secret") + " is wrong"})
		return
	}
	i.tokens++
	audience := r.FormValue("audience")
	if i.wrongAudience != "" {
		audience = i.wrongAudience
	}
	reply(w, 200, map[string]any{"access_token": i.sign(i.signer(), audience, time.Hour), "token_type": "Bearer", "expires_in": 3600})
}

func (i *issuer) admin(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Authorization") == "Bearer "+adminToken {
		return true
	}
	reply(w, 401, map[string]any{"title": "Unauthorized", "status": 401, "detail": "the token " + r.Header.Get("Authorization") + " is not known"})
	return false
}

func (i *issuer) list(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.admin(w, r) {
		reply(w, 200, map[string]any{"signer": i.signer().Kid, "keys": i.keys})
	}
}

func (i *issuer) records(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []deliveryRecord
	for _, d := range i.deliveries {
		if kid := r.FormValue("kid"); kid == "" || kid == d.Kid {
			out = append(out, d)
		}
	}
	if i.admin(w, r) {
		reply(w, 200, map[string]any{"deliveries": out})
	}
}

func (i *issuer) verb(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.admin(w, r) {
		return
	}
	n := slices.IndexFunc(i.keys, func(k *issuerKey) bool { return k.Kid == r.PathValue("kid") })
	if n < 0 {
		reply(w, 404, map[string]any{"title": "Not Found", "detail": "there is no key " + r.PathValue("kid")})
		return
	}
	k := i.keys[n]
	if r.PathValue("verb") == "canary" {
		var body struct {
			Audience string `json:"audience"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		i.tokens++
		reply(w, 200, map[string]any{"access_token": i.sign(k, body.Audience, time.Minute), "expires_in": 60})
		return
	}
	i.steps = append(i.steps, r.Header.Get("Idempotency-Key"))
	var answer any = k
	switch r.PathValue("verb") {
	case "publish":
		k.Published, k.State = time.Now().UTC(), map[bool]string{true: "active", false: "next"}[k.State == "active"]
	case "activate":
		i.signer().State = "previous"
		k.State, k.Activated, k.Published = "active", time.Now().UTC(), time.Now().UTC()
	case "retire":
		if k.State == "active" {
			reply(w, 409, map[string]any{"title": "Conflict", "status": 409, "detail": "the signer cannot be retired"})
			return
		}
		k.State, k.Removed, k.Published = "removed", time.Now().UTC(), time.Time{}
	case "redeliver":
		var body struct {
			Services []string `json:"services"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		d := deliveryRecord{Service: body.Services[0], Kid: k.Kid, Status: "delivered", Attempts: 1, At: time.Now().UTC()}
		if d.Service == "closed" {
			d.Status, d.Error = "failed", "dial tcp 127.0.0.1:9: connect: connection refused"
		}
		i.deliveries = append(i.deliveries, d)
		answer = map[string]any{"deliveries": []map[string]string{{"service": d.Service, "status": d.Status, "error": d.Error}}}
	}
	if i.dropAnswer {
		i.dropAnswer = false
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
		return
	}
	reply(w, 200, answer)
}

// verifier is a service with a fixed set of keys.
type verifier struct {
	*httptest.Server
	mu    sync.Mutex
	keys  map[string]crypto.PublicKey
	skew  time.Duration
	aud   string
	calls int
	seen  []string // kids of the tokens that came
}

func newVerifier(t *testing.T, i *issuer, kids ...string) *verifier {
	t.Helper()
	v := &verifier{keys: map[string]crypto.PublicKey{}, aud: "api"}
	i.mu.Lock()
	for _, k := range i.keys {
		if slices.Contains(kids, k.Kid) {
			v.keys[k.Kid] = k.private.Public()
		}
	}
	i.mu.Unlock()
	v.Server = httptest.NewServer(http.HandlerFunc(v.serve))
	t.Cleanup(v.Close)
	return v
}

func (v *verifier) serve(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls++
	w.Header().Set("Date", time.Now().Add(v.skew).UTC().Format(http.TimeFormat))
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="svc"`)
		reply(w, 401, map[string]string{"error": "unauthorized"})
		return
	}
	_, err := jwt.Parse(raw, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		v.seen = append(v.seen, kid)
		if k, ok := v.keys[kid]; ok {
			return k, nil
		}
		return nil, fmt.Errorf("key not found: kid %q", kid)
	}, jwt.WithAudience(v.aud), jwt.WithTimeFunc(func() time.Time { return time.Now().Add(v.skew) }))
	if err != nil {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="svc", error="invalid_token", error_description="%s"`,
			strings.ReplaceAll(err.Error(), `"`, "'")))
		reply(w, 401, map[string]string{"error": "unauthorized"})
		return
	}
	reply(w, 200, map[string]string{"pong": "ok"})
}

// world puts fakes into an inventory.
func world(t *testing.T, inv prunella.Inventory, h action.History, opt action.Options) *action.World {
	t.Helper()
	w, err := action.NewWorld(inv, h, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func inventory(i *issuer, services map[string]*verifier) prunella.Inventory {
	inv := prunella.Inventory{Issuers: []prunella.Issuer{{Name: "auth", URL: i.URL, Audience: "api", ClientID: "prunella", ClientSecret: clientSecret,
		Admin: &prunella.Admin{Kind: "keys", URL: i.URL, Token: adminToken}}}}
	for name, v := range services {
		inv.Services = append(inv.Services, prunella.Service{Name: name, URL: v.URL, Canary: "/api/ping", Audience: "api"})
	}
	slices.SortFunc(inv.Services, func(a, b prunella.Service) int { return strings.Compare(a.Name, b.Name) })
	return inv
}

func texts(v any) []string {
	var out []string
	l, _ := v.([]any)
	for _, e := range l {
		out = append(out, e.(string))
	}
	return out
}
