package keyset_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"prunella/keyset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// signer is a private key with what its issuer calls it.
type signer struct {
	kid, alg string
	private  crypto.Signer
}

// Keys are slow to make: tests share these.
var rsaKeys = sync.OnceValue(func() (keys []*rsa.PrivateKey) {
	for range 4 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys = append(keys, k)
	}
	return keys
})

func rsaSigner(n int, kid string) signer { return signer{kid, "RS256", rsaKeys()[n]} }

func edSigner(t testing.TB, kid string) signer {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{kid, "EdDSA", private}
}

func ecSigner(t testing.TB, kid, alg string) signer {
	curve := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}[alg]
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{kid, alg, private}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwk is the public half, as an issuer publishes it.
func (s signer) jwk() map[string]any {
	j := map[string]any{"kid": s.kid, "alg": s.alg, "use": "sig"}
	switch pub := s.private.Public().(type) {
	case *rsa.PublicKey:
		j["kty"], j["n"], j["e"] = "RSA", encode(pub.N.Bytes()), encode(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		width := (pub.Curve.Params().BitSize + 7) / 8
		point, _ := pub.Bytes()
		j["kty"], j["crv"], j["x"], j["y"] = "EC", pub.Curve.Params().Name, encode(point[1:1+width]), encode(point[1+width:])
	case ed25519.PublicKey:
		j["kty"], j["crv"], j["x"] = "OKP", "Ed25519", encode(pub)
	}
	return j
}

func jwks(signers ...signer) []byte {
	keys := []any{}
	for _, s := range signers {
		keys = append(keys, s.jwk())
	}
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return b
}

// token signs claims with golang-jwt, which is not what verifies them.
func (s signer) token(claims map[string]any, header ...string) string {
	t := jwt.NewWithClaims(jwt.GetSigningMethod(s.alg), jwt.MapClaims(claims))
	if s.kid != "" {
		t.Header["kid"] = s.kid
	}
	for i := 0; i+1 < len(header); i += 2 {
		t.Header[header[i]] = header[i+1]
	}
	text, err := t.SignedString(s.private)
	if err != nil {
		panic(err)
	}
	return text
}

const (
	issuerURL = "https://id.example.test"
	audience  = "orders"
)

// usual are the claims of a token that was issued now.
func usual() map[string]any {
	now := time.Now().Unix()
	return map[string]any{"iss": issuerURL, "aud": audience, "sub": "ada", "iat": now, "exp": now + 3600}
}

func (s signer) fresh() string { return s.token(usual()) }

// issuer speaks OpenID Connect discovery and serves a key set. It is reached
// through its RoundTrip, so that it works inside a synctest bubble.
type issuer struct {
	mu      sync.Mutex
	url     string
	body    []byte
	control string // Cache-Control
	down    error  // what every request gets
	answer  func(w http.ResponseWriter, r *http.Request) bool
	delay   time.Duration

	fetches   []time.Time // of the key set
	unchanged int         // of these, answered 304
	fresh     int         // of these, with no-cache
}

func newIssuer(signers ...signer) *issuer {
	return &issuer{url: issuerURL, body: jwks(signers...), control: "max-age=600"}
}

func (i *issuer) publish(signers ...signer) { i.set(func() { i.body = jwks(signers...) }) }

func (i *issuer) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

// count tells how many times the key set was asked for since a moment.
func (i *issuer) count(since time.Time) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	for _, at := range i.fetches {
		if !at.Before(since) {
			n++
		}
	}
	return n
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	delay := i.delay
	i.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.URL.Path == "/jwks" {
		i.fetches = append(i.fetches, time.Now())
	}
	if i.down != nil {
		return nil, i.down
	}
	w := httptest.NewRecorder()
	i.serve(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	if i.answer != nil && i.answer(w, r) {
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.url, i.url+"/jwks")
	case "/jwks":
		if r.Header.Get("Cache-Control") == "no-cache" {
			i.fresh++
		}
		tag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(i.body)))
		w.Header().Set("Cache-Control", i.control)
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			i.unchanged++
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write(i.body)
	default:
		http.NotFound(w, r)
	}
}

var errDown = errors.New("connection refused")

// start makes a set of this issuer's tokens.
func (i *issuer) start(t testing.TB, change ...func(*keyset.Config)) *keyset.Set {
	t.Helper()
	cfg := keyset.Config{Issuer: i.url, Audience: []string{audience}, Client: &http.Client{Transport: i}, Log: quiet}
	return open(t, cfg, change)
}

func open(t testing.TB, cfg keyset.Config, change []func(*keyset.Config)) *keyset.Set {
	t.Helper()
	for _, c := range change {
		c(&cfg)
	}
	set, err := keyset.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return set
}

// accepts and refuses judge one token.
func accepts(t testing.TB, set *keyset.Set, token string) keyset.Claims {
	t.Helper()
	claims, err := set.Verify(t.Context(), token)
	if err != nil {
		t.Fatalf("%s after the start of the test: %v", time.Now().Format("15:04:05.000"), err)
	}
	return claims
}

func refuses(t testing.TB, set *keyset.Set, token string, check keyset.Check) {
	t.Helper()
	_, err := set.Verify(t.Context(), token)
	if !errors.Is(err, check) {
		t.Fatalf("got %v, want the check %q to refuse", err, check)
	}
	if strings.Contains(err.Error(), token) && len(token) > 20 {
		t.Fatalf("the error carries the token: %v", err)
	}
}

// flood shows set the tokens that next gives, each after its wait, until stop is called.
func flood(t testing.TB, set *keyset.Set, next func(n int) (token string, wait time.Duration)) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			token, wait := next(n)
			all.Go(func() { _, _ = set.Verify(ctx, token) })
			time.Sleep(wait)
		}
	})
	return func() {
		cancel()
		all.Wait()
	}
}
