package audit_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"prunella/rotation/audit"
)

// strong are RSA keys that the tests below share.
var strong = sync.OnceValue(func() (keys []*rsa.PrivateKey) {
	for range 2 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys = append(keys, k)
	}
	return keys
})

var b64 = base64.RawURLEncoding.EncodeToString

// rsaKey is a JWK of the n-th strong key; more is name, value, and so on.
func rsaKey(n int, more ...any) map[string]any {
	pub := &strong()[n].PublicKey
	return withMembers(map[string]any{"kty": "RSA", "n": b64(pub.N.Bytes()), "e": "AQAB"}, more...)
}

// withMembers sets members; one of nil is taken away.
func withMembers(j map[string]any, more ...any) map[string]any {
	for i := 0; i+1 < len(more); i += 2 {
		if name := more[i].(string); more[i+1] == nil {
			delete(j, name)
		} else {
			j[name] = more[i+1]
		}
	}
	return j
}

// certified adds the certificate of a key, as the issuers do that publish one.
func certified(t *testing.T, j map[string]any, key crypto.Signer) map[string]any {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "id"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	one, all := sha1.Sum(der), sha256.Sum256(der)
	return withMembers(j, "x5c", []string{base64.StdEncoding.EncodeToString(der)}, "x5t", b64(one[:]), "x5t#S256", b64(all[:]))
}

// What well-known issuers publish, by their documents, is no cause for alarm, and
// what can be said about it is what an operator there can use.
func TestShapesOfIssuers(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := strong()
	for name, c := range map[string]struct {
		issuer    string
		discovery string // what else it says
		jwksAt    string // default below the issuer
		kind      string // content type of the set
		cache     string
		keys      []any
		want      string
	}{
		"Keycloak": {"https://sso.example.test/realms/shop", `,"id_token_signing_alg_values_supported":["PS384","RS384","EdDSA","ES384","HS256","HS512","ES256","RS256","HS384"],"request_object_signing_alg_values_supported":["none"]`,
			"https://sso.example.test/realms/shop/protocol/openid-connect/certs", "application/json", "no-cache", []any{
				certified(t, rsaKey(0, "kid", "T3v0DDDt0e7UsaVaXnNBC2vKpzhv6BHV9oSG8d4bUF8", "alg", "RS256", "use", "sig"), keys[0]),
				certified(t, rsaKey(1, "kid", "jJSY5uZ5ZyhVCL7cS2cp1jGSUHV4n4BYgFKwOkPHpQo", "alg", "RSA-OAEP", "use", "enc"), keys[1])},
			"note cache-none, note no-next-key, note not-conditional, note not-for-signatures, warning weak-algorithm-offered"},
		"Auth0": {"https://shop.eu.auth0.test/", `,"id_token_signing_alg_values_supported":["RS256","PS256"]`, "https://shop.eu.auth0.test/.well-known/jwks.json", "application/json; charset=utf-8",
			"public, max-age=15, stale-while-revalidate=15, stale-if-error=86400", []any{
				withMembers(certified(t, rsaKey(0, "kid", "qK1nYjz2vXv8s0yJ6kzWt", "alg", "RS256", "use", "sig"), keys[0]), "x5t#S256", nil),
				withMembers(certified(t, rsaKey(1, "kid", "Rk0yO9w3m4Qv1x8c7bLpZ", "alg", "RS256", "use", "sig"), keys[1]), "x5t#S256", nil)},
			"note not-conditional"},
		"Okta": {"https://dev-1.okta.test/oauth2/default", `,"id_token_signing_alg_values_supported":["RS256"]`, "https://dev-1.okta.test/oauth2/default/v1/keys", "application/json", "max-age=5184000, must-revalidate",
			[]any{rsaKey(0, "kid", "U5R8cHbGw445Qbq8zVO1PcCpXL8yG6IcovVa3laCoxM", "alg", "RS256", "use", "sig"), rsaKey(1, "kid", "Y3vBOdYT-l-I0j-gRQ26XjutSX00TeWiSguuDhW3ngo", "alg", "RS256", "use", "sig")},
			"note not-conditional, warning cache-long"},
		"Entra ID": {"https://login.microsoftonline.test/72f988bf/v2.0", `,"cloud_instance_name":"microsoftonline.com"`, "https://login.microsoftonline.test/72f988bf/discovery/v2.0/keys", "application/json; charset=utf-8", "max-age=86400, private",
			[]any{withMembers(certified(t, rsaKey(0, "kid", "CNv0OI3RwqlHFEVnaoMAshCH2XE", "use", "sig", "issuer", "https://login.microsoftonline.test/72f988bf/v2.0", "cloud_instance_name", "microsoftonline.com"), keys[0]), "x5t#S256", nil),
				rsaKey(1, "kid", "imi0Y2z0dYKxBttAqK_Tt5hYBTk", "use", "sig")},
			"note alg-missing, note not-conditional"},
		"Google": {"https://accounts.google.test", `,"id_token_signing_alg_values_supported":["RS256"]`, "https://www.googleapis.test/oauth2/v3/certs", "application/json; charset=UTF-8", "public, max-age=19500, must-revalidate, no-transform",
			[]any{rsaKey(0, "kid", "f5f4bf46e52b31d9b6249f7309ad0338400680cd", "alg", "RS256", "use", "sig"), rsaKey(1, "kid", "a06af0b68a2119d692cac4abf415ff3788136f65", "alg", "RS256", "use", "sig")},
			"note not-conditional"},
		"Dex": {"https://dex.example.test/dex", `,"id_token_signing_alg_values_supported":["RS256"]`, "https://dex.example.test/dex/keys", "application/json", "max-age=21600, must-revalidate",
			[]any{rsaKey(0, "kid", "5c2a21bf0a3d5e6f", "alg", "RS256", "use", "sig"), rsaKey(1, "kid", "1d0fe7c9b2a84453", "alg", "RS256", "use", "sig")},
			"note not-conditional"},
		"Kubernetes": {"https://kubernetes.default.svc.test", `,"id_token_signing_alg_values_supported":["RS256"]`, "https://172.20.0.1:6443/openid/v1/jwks", "application/jwk-set+json", "public, max-age=3600",
			[]any{rsaKey(0, "kid", "DqMbwvD2nGpWOY0fGQjlDsTAx0LkXBZ8CTEHXSz4MBM", "alg", "RS256", "use", "sig")},
			"note no-next-key, note not-conditional"},
		"one with elliptic keys and no kid": {"https://tiny.example.test", "", "https://tiny.example.test/keys", "application/json", "max-age=300",
			[]any{map[string]any{"kty": "EC", "crv": "P-256", "x": b64(ec.X.FillBytes(make([]byte, 32))), "y": b64(ec.Y.FillBytes(make([]byte, 32)))}},
			"note alg-missing, note no-next-key, note not-conditional, note use-missing, warning kid-missing"},
	} {
		set, err := json.Marshal(map[string]any{"keys": c.keys})
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: answering(func(r *http.Request) *http.Response {
			rec := httptest.NewRecorder()
			switch r.URL.String() {
			case strings.TrimSuffix(c.issuer, "/") + "/.well-known/openid-configuration":
				rec.Header().Set("Content-Type", "application/json; charset=utf-8")
				fmt.Fprintf(rec, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":"https://x.test/a"%s}`, c.issuer, c.jwksAt, c.discovery)
			case c.jwksAt:
				rec.Header().Set("Content-Type", c.kind)
				rec.Header().Set("Cache-Control", c.cache)
				_, _ = rec.Write(set)
			default:
				rec.WriteHeader(http.StatusNotFound)
			}
			return rec.Result()
		})}
		r, err := audit.Run(t.Context(), audit.Config{Issuer: c.issuer, Client: client})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := rules(r); got != c.want || !r.Usable {
			t.Errorf("%s: %q, want %q: %+v", name, got, c.want, r.Findings)
		}
		for _, f := range r.Findings {
			if f.Remedy == "" && f.Rule != "not-for-signatures" || f.Evidence == "" || f.Subject == "" {
				t.Errorf("%s: %+v lacks a part", name, f)
			}
		}
	}
}

// Keys that are wrong each in one way.
func TestKeysThatAreWrong(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	three := *strong()[0]
	sum := sha1.Sum([]byte("another certificate"))
	x, y := ec.X.FillBytes(make([]byte, 32)), ec.Y.FillBytes(make([]byte, 32))
	y[31] ^= 1
	good := func(more ...any) map[string]any {
		return rsaKey(0, append([]any{"kid", "r", "alg", "RS256", "use", "sig"}, more...)...)
	}
	for name, c := range map[string]struct {
		key  any
		more []any
		want string
	}{
		"exponent 3":                   {good("e", "Aw"), nil, "note low-exponent"},
		"exponent 1":                   {good("e", "AQ"), nil, "error weak-key"},
		"huge exponent":                {good("e", b64(odd(256))), nil, "error weak-key"},
		"8192 bits":                    {good("n", b64(odd(1024))), nil, "note slow-key"},
		"off the curve":                {map[string]any{"kty": "EC", "crv": "P-256", "kid": "e", "alg": "ES256", "use": "sig", "x": b64(x), "y": b64(y)}, nil, "error off-curve"},
		"encryption by its alg":        {good("use", nil, "alg", "RSA-OAEP-256"), nil, "note not-for-signatures"},
		"x5t of another":               {withMembers(certified(t, good(), &three), "x5t", b64(sum[:])), nil, "warning x5t-differs"},
		"x5c a string":                 {good("x5c", "AAAA"), nil, ""},
		"n a number":                   {good("n", 7), nil, "error key-unreadable, error set-refused"},
		"the same twice":               {good(), []any{good()}, "error duplicate-kid, error set-refused"},
		"one kid for two uses":         {good(), []any{rsaKey(1, "kid", "r", "alg", "RSA-OAEP", "use", "enc")}, "note not-for-signatures, warning duplicate-kid"},
		"one key under two kids":       {good(), []any{good("kid", "s")}, "warning same-material"},
		"symmetric without its secret": {map[string]any{"kty": "oct", "kid": "s", "alg": "HS256"}, nil, "error set-refused, error symmetric-key"},
		"no JWK":                       {"rsa", nil, "error key-unreadable, error set-refused"},
	} {
		w := newWorld(t, "old", "new")
		w.set = append(append(w.set, c.key), c.more...)
		r := look(t, audit.Config{Issuer: issuerURL, Client: &http.Client{Transport: w}})
		if got := rules(r); got != c.want {
			t.Errorf("%s: %q, want %q: %+v", name, got, c.want, r.Findings)
		}
	}
}

// odd is a number of n bytes that no small prime divides.
func odd(n int) []byte {
	v := new(big.Int).Lsh(big.NewInt(1), uint(8*n-1))
	for v.SetBit(v, 0, 1); ; v.Add(v, big.NewInt(2)) {
		if new(big.Int).GCD(nil, nil, v, small).Cmp(big.NewInt(1)) == 0 {
			return v.Bytes()
		}
	}
}

var small = new(big.Int).MulRange(3, 200)

// How a document comes is judged too: by asking again as verifiers do.
func TestHowTheSetComes(t *testing.T) {
	var n int
	plain := func(w *world, rec http.ResponseWriter, header ...string) {
		rec.Header().Set("Content-Type", "application/json")
		rec.Header().Set("ETag", `"1"`)
		rec.Header().Set("Cache-Control", "max-age=600")
		for i := 0; i+1 < len(header); i += 2 {
			rec.Header().Set(header[i], header[i+1])
		}
		_ = json.NewEncoder(rec).Encode(map[string]any{"keys": w.set})
	}
	for name, c := range map[string]struct {
		serve func(w *world, rec http.ResponseWriter, r *http.Request)
		want  string
	}{
		"304 to everybody": {func(_ *world, rec http.ResponseWriter, _ *http.Request) { rec.WriteHeader(http.StatusNotModified) }, "error false-not-modified"},
		"304 to any tag": {func(w *world, rec http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != "" {
				rec.WriteHeader(http.StatusNotModified)
				return
			}
			plain(w, rec)
		}, "error false-not-modified"},
		"other keys on another node": {func(w *world, rec http.ResponseWriter, _ *http.Request) {
			n++
			all := w.set
			if n%2 == 0 {
				w.set = all[:1]
			}
			plain(w, rec)
			w.set = all
		}, "error copies-differ"},
		"once and no more": {func(w *world, rec http.ResponseWriter, _ *http.Request) {
			if n++; n%2 == 0 {
				rec.WriteHeader(http.StatusTooManyRequests)
				return
			}
			plain(w, rec)
		}, "warning second-answer"},
		"from an old copy": {func(w *world, rec http.ResponseWriter, _ *http.Request) { plain(w, rec, "Age", "7200") }, "warning copy-too-old"},
		"late":             {func(w *world, rec http.ResponseWriter, _ *http.Request) { time.Sleep(3 * time.Second); plain(w, rec) }, "warning slow"},
		"for members":      {func(_ *world, rec http.ResponseWriter, _ *http.Request) { rec.WriteHeader(http.StatusForbidden) }, "error key-set-guarded"},
		"half":             {func(w *world, rec http.ResponseWriter, _ *http.Request) { plain(&world{set: []any{}}, cut{rec, 6}) }, "error set-refused"},
	} {
		n = 0
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "old", "new")
			w.jwks = func(rec http.ResponseWriter, r *http.Request) { c.serve(w, rec, r) }
			r, err := audit.Run(t.Context(), audit.Config{Issuer: issuerURL, Client: &http.Client{Transport: w}})
			got := rules(r)
			if err != nil {
				got = "unavailable"
			}
			if got != c.want {
				t.Errorf("%s: %q, want %q: %v %+v", name, got, c.want, err, r.Findings)
			}
		})
	}
}

// cut is an answer that breaks off.
type cut struct {
	http.ResponseWriter
	after int
}

func (c cut) Write(b []byte) (int, error) {
	_, err := c.ResponseWriter.Write(b[:c.after])
	return len(b), err
}

// What a verifier answers is proof only when it answers otherwise without a good
// token.
func TestVerifiersOfEveryKind(t *testing.T) {
	w := newWorld(t, "old", "new")
	genuine := func(r *http.Request) bool {
		raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		_, err := jwt.Parse(raw, func(*jwt.Token) (any, error) { return w.private["new"].Public().(ed25519.PublicKey), nil })
		return ok && err == nil
	}
	for name, c := range map[string]struct {
		answer func(rec *httptest.ResponseRecorder, r *http.Request)
		trust  audit.Outcome
		want   string
	}{
		"401 and 200": {func(rec *httptest.ResponseRecorder, r *http.Request) {
			if !genuine(r) {
				rec.WriteHeader(http.StatusUnauthorized)
			}
		}, audit.Accepts, ""},
		"403 and 200": {func(rec *httptest.ResponseRecorder, r *http.Request) {
			if !genuine(r) {
				rec.WriteHeader(http.StatusForbidden)
			}
		}, audit.Accepts, ""},
		"401 and 403": {func(rec *httptest.ResponseRecorder, r *http.Request) {
			if rec.WriteHeader(http.StatusUnauthorized); genuine(r) {
				rec.Code = http.StatusForbidden
			}
		}, audit.Accepts, ""},
		"403 always": {func(rec *httptest.ResponseRecorder, _ *http.Request) { rec.WriteHeader(http.StatusForbidden) }, audit.Unknown, "warning verifier-unclear"},
		"any token": {func(rec *httptest.ResponseRecorder, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				rec.WriteHeader(http.StatusUnauthorized)
			}
		}, audit.Unknown, "error verifier-takes-forgeries"},
		"everybody": {func(*httptest.ResponseRecorder, *http.Request) {}, audit.Unknown, "warning verifier-open"},
		"a login": {func(rec *httptest.ResponseRecorder, _ *http.Request) {
			rec.Header().Set("Location", "/login")
			rec.WriteHeader(http.StatusFound)
		}, audit.Unknown, "warning verifier-redirects"},
		"500 always": {func(rec *httptest.ResponseRecorder, _ *http.Request) { rec.WriteHeader(http.StatusInternalServerError) }, audit.Unknown, "warning verifier-failing"},
		"404":        {func(rec *httptest.ResponseRecorder, _ *http.Request) { rec.WriteHeader(http.StatusNotFound) }, audit.Unknown, "warning verifier-unclear"},
		"401 and 500": {func(rec *httptest.ResponseRecorder, r *http.Request) {
			if rec.WriteHeader(http.StatusUnauthorized); r.Header.Get("Authorization") != "" {
				rec.Code = http.StatusInternalServerError
				_, _ = io.WriteString(rec, "KeyError: 'new'")
			}
		}, audit.Unknown, "warning verifier-unclear"},
		"401 always": {func(rec *httptest.ResponseRecorder, _ *http.Request) { rec.WriteHeader(http.StatusUnauthorized) }, audit.Rejects, "error verifier-rejects-signer"},
	} {
		cfg := w.config()
		cfg.Verifiers = []audit.Verifier{{Name: "it", URL: "https://it.example.test/"}}
		cfg.Client = &http.Client{Transport: answering(func(r *http.Request) *http.Response {
			rec := httptest.NewRecorder()
			if r.URL.Host == "it.example.test" {
				c.answer(rec, r)
			} else {
				w.serve(rec, r)
			}
			return rec.Result()
		})}
		r := look(t, cfg)
		trust := r.Verifiers[0].Trust
		if got := rules(r); got != c.want || len(trust) != 1 || trust[0].Outcome != c.trust {
			t.Errorf("%s: %q, want %q: %+v %+v", name, got, c.want, r.Verifiers, r.Findings)
		}
	}
}

// Tokens show what no document says.
func TestTokensShow(t *testing.T) {
	for name, c := range map[string]struct {
		tokens func(w *world) []string
		want   string
	}{
		"no kid": {func(w *world) []string {
			tok := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": issuerURL, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
			s, _ := tok.SignedString(w.private["new"])
			return []string{s}
		}, "warning token-without-kid"},
		"no end": {func(w *world) []string { return []string{w.token("new", jwt.MapClaims{"exp": nil})} }, "error token-never-expires"},
		"ended":  {func(w *world) []string { return []string{w.token("new", jwt.MapClaims{"exp": time.Now().Unix() - 60})} }, "note token-expired"},
		"its key is out": {func(w *world) []string {
			w.publish("gone")
			s := w.token("gone", jwt.MapClaims{"iat": time.Now().Unix() - 600})
			w.unpublish("gone")
			return []string{s, w.token("new", nil)}
		}, "error removed-too-early"},
		"no token": {func(*world) []string { return []string{"opaque"} }, "warning token-unreadable"},
	} {
		w := newWorld(t, "old", "new")
		r := look(t, audit.Config{Issuer: issuerURL, Client: &http.Client{Transport: w}, Tokens: c.tokens(w)})
		if got := rules(r); got != c.want {
			t.Errorf("%s: %q, want %q: %+v", name, got, c.want, r.Findings)
		}
	}
}
