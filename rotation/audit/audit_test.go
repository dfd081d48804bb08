package audit_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"prunella/rotation"
	"prunella/rotation/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNothingIsWrongWithAGoodIssuer(t *testing.T) {
	w := newWorld(t, "old", "new")
	w.knows = map[string][]string{"orders": {"old", "new"}}
	r := look(t, w.config("orders"))
	if r.Problems() != 0 || r.Signer != "new" || len(r.Findings) != 0 {
		t.Errorf("signer %s, found %+v", r.Signer, r.Findings)
	}
}

// Each document has one thing wrong, and the finding says which.
func TestDocuments(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	member := func(j rotation.JWK, name string, value any) map[string]any {
		b, _ := json.Marshal(j)
		var m map[string]any
		_ = json.Unmarshal(b, &m)
		if value == nil {
			delete(m, name)
		} else {
			m[name] = value
		}
		return m
	}
	certificate := func(key crypto.Signer, until time.Time) string {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "id"}, NotAfter: until}, &x509.Certificate{Subject: pkix.Name{CommonName: "id"}}, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(der)
	}
	later := time.Now().Add(time.Hour)
	rsaJWK := jwkOf(t, "r", "RS256", strong.Public())
	for name, c := range map[string]struct {
		change func(w *world)
		want   string // rules beyond those of the good issuer
	}{
		"weak": {func(w *world) {
			w.set = append(w.set, map[string]any{"kty": "RSA", "kid": "w", "alg": "RS256", "use": "sig", "n": b64(weak.N.Bytes()), "e": "AQAB"})
		}, "error weak-key"},
		"private":        {func(w *world) { w.set = append(w.set, member(rsaJWK, "d", "AAAA")) }, "error private-material, error set-refused"},
		"symmetric":      {func(w *world) { w.set = append(w.set, map[string]any{"kty": "oct", "kid": "s", "k": "AAAA"}) }, "error set-refused, error symmetric-key"},
		"same kid twice": {func(w *world) { w.set = append(w.set, jwkOf(t, "old", "RS256", strong.Public())) }, "error duplicate-kid, error set-refused"},
		"no kid":         {func(w *world) { w.set = append(w.set, member(rsaJWK, "kid", nil)) }, "warning kid-missing"},
		"no alg":         {func(w *world) { w.set = append(w.set, member(rsaJWK, "alg", nil)) }, "note alg-missing"},
		"no use":         {func(w *world) { w.set = append(w.set, member(rsaJWK, "use", nil)) }, "note use-missing"},
		"encryption":     {func(w *world) { w.set = append(w.set, member(rsaJWK, "use", "enc")) }, "note not-for-signatures"},
		"wrong alg":      {func(w *world) { w.set = append(w.set, member(rsaJWK, "alg", "ES256")) }, "error algorithm"},
		"HMAC":           {func(w *world) { w.set = append(w.set, member(rsaJWK, "alg", "HS256")) }, "error algorithm"},
		"right chain":    {func(w *world) { w.set = append(w.set, member(rsaJWK, "x5c", []string{certificate(strong, later)})) }, ""},
		"right EC chain": {func(w *world) {
			w.set = append(w.set, member(jwkOf(t, "e", "ES256", ec.Public()), "x5c", []string{certificate(ec, later)}))
		}, ""},
		"wrong chain": {func(w *world) { w.set = append(w.set, member(rsaJWK, "x5c", []string{certificate(ec, later)})) }, "error x5c-differs"},
		"old chain": {func(w *world) {
			w.set = append(w.set, member(rsaJWK, "x5c", []string{certificate(strong, time.Now().Add(-time.Hour))}))
		}, "note x5c-expired"},
		"bad chain":  {func(w *world) { w.set = append(w.set, member(rsaJWK, "x5c", []string{"AAAA"})) }, "warning x5c-unreadable"},
		"no cache":   {func(w *world) { w.cache = "" }, "note cache-unstated"},
		"no store":   {func(w *world) { w.cache = "no-store" }, "note cache-none"},
		"long cache": {func(w *world) { w.cache = "max-age=604800" }, "warning cache-long"},
		"one key":    {func(w *world) { w.set = w.set[1:] }, "note no-next-key"},
		"no keys":    {func(w *world) { w.set = []any{} }, "error set-refused"},
		"HTML": {func(w *world) { w.jwks = func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "<html>") } },
			"error set-refused, note cache-unstated, note not-conditional, warning content-type"},
		"missing": {func(w *world) { w.jwks = http.NotFound }, "error key-set-missing"},
		"large": {func(w *world) {
			w.jwks = func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, strings.Repeat(" ", 3<<20)) }
		}, "error too-large"},
		"moved": {func(w *world) { w.jwks = http.RedirectHandler("/moved", http.StatusFound).ServeHTTP }, "warning redirect"},
		"moved away": {func(w *world) {
			w.jwks = http.RedirectHandler("https://evil.example.test/", http.StatusFound).ServeHTTP
		}, "error redirect-to-other-host"},
		"in circles": {func(w *world) { w.jwks = http.RedirectHandler("/keys", http.StatusFound).ServeHTTP }, "unavailable"},
		"ill": {func(w *world) {
			w.jwks = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) }
		}, "unavailable"},
		"other": {func(w *world) {
			w.document = `{"issuer":"https://evil.example.test","jwks_uri":"https://id.example.test/keys"}`
		}, "error issuer-differs"},
		"plain": {func(w *world) {
			w.document = `{"issuer":"https://id.example.test","jwks_uri":"http://id.example.test/keys"}`
		}, "error not-https"},
		"no URI":      {func(w *world) { w.document = `{"issuer":"https://id.example.test"}` }, "error jwks-uri"},
		"no document": {func(w *world) { w.document = `[]` }, "error discovery-unreadable"},
		"none": {func(w *world) {
			w.document = `{"issuer":"https://id.example.test","jwks_uri":"https://id.example.test/keys","id_token_signing_alg_values_supported":["none"]}`
		}, "warning weak-algorithm-offered"},
		"not there":  {func(w *world) { w.unpublish("new"); w.publish("next") }, "error signer-not-published"},
		"reused kid": {func(w *world) { w.unpublish("new"); k := w.private["new"]; w.publish("new"); w.private["new"] = k }, "error same-kid-new-material"},
		"no client":  {func(w *world) { w.issuer = "https://other.example.test" }, "error token-issuer"},
	} {
		w := newWorld(t, "old", "new")
		c.change(w)
		r, err := audit.Run(t.Context(), w.config())
		got := rules(r)
		if errors.Is(err, rotation.Unavailable) {
			got = "unavailable"
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q: %+v", name, got, c.want, r.Findings)
		}
	}
}

func TestCacheIsHeldAgainstThePeriod(t *testing.T) {
	w := newWorld(t, "old", "new")
	for period, want := range map[time.Duration]string{24 * time.Hour: "", time.Hour: "", 20 * time.Minute: "warning cache-long", 10 * time.Minute: "error cache-longer-than-rotation"} {
		cfg := w.config()
		cfg.RotationPeriod = period
		if got := rules(look(t, cfg)); got != want {
			t.Errorf("%s: %q", period, got)
		}
	}
}

// The case of the second source document: two of four services never got the new key.
func TestWhoWouldBreakIsNamed(t *testing.T) {
	w := newWorld(t, "old", "new")
	w.knows = map[string][]string{"orders": {"old", "new"}, "search": {"old"}, "user": {"old"}, "cart": {"new"}}
	cfg := w.config("orders", "search", "user", "cart")
	cfg.Tokens = []string{w.token("old", nil)}
	r := look(t, cfg)
	if len(r.Removal) != 1 {
		t.Fatalf("%+v", r)
	}
	v := r.Removal[0]
	if v.Key != "old" || v.Answer != "no" || strings.Join(v.Breaks, " ") != "search user" || !strings.HasPrefix(v.Text, "not yet: search and user still verify only the old key") {
		t.Errorf("%+v", v)
	}
	if got := rules(r); got != "error verifier-rejects-signer" || r.Problems() != 2 {
		t.Errorf("%s", got)
	}
	w.knows["search"], w.knows["user"] = []string{"new"}, []string{"new"}
	if r = look(t, cfg); r.Removal[0].Answer != "no" || r.Removal[0].NotBefore.Before(time.Now().Add(time.Hour)) || r.Problems() != 0 {
		t.Errorf("tokens live: %+v", r.Removal)
	}
}

// The old key may go when everybody trusts the new one and its tokens are past;
// what was not shown is never a yes.
func TestRemovalNeedsEveryAnswer(t *testing.T) {
	w := newWorld(t, "old", "new")
	w.knows = map[string][]string{"orders": {"new"}, "search": {"new"}, "open": {"everybody"}}
	long := audit.Config{SignerSince: time.Now().Add(-3 * time.Hour), Old: []string{"old"}}
	for name, c := range map[string]struct {
		change func(*audit.Config)
		want   string
		text   string
	}{
		"all":          {func(*audit.Config) {}, "yes", "yes: all 2 verifiers"},
		"nobody named": {func(c *audit.Config) { c.Verifiers = nil }, "unknown", "no verifier was named"},
		"unreachable":  {func(c *audit.Config) { c.Verifiers[1].URL = "https://gone/me" }, "unknown", "search did not show"},
		"open":         {func(c *audit.Config) { c.Verifiers[1].URL = "https://open/me" }, "unknown", "search did not show"},
		"maybe next":   {func(c *audit.Config) { c.Old = nil }, "unknown", "may as well be the next key"},
		"no token":     {func(c *audit.Config) { c.Source = nil }, "unknown", "nobody can say which key signs"},
		"long tokens":  {func(c *audit.Config) { c.TokenLifetime = 4 * time.Hour }, "no", "may live until"},
		"lately":       {func(c *audit.Config) { c.SignerSince = time.Now() }, "no", "may live until"},
	} {
		cfg := w.config("orders", "search")
		cfg.SignerSince, cfg.Old = long.SignerSince, long.Old
		c.change(&cfg)
		r := look(t, cfg)
		if v := r.Removal[0]; v.Answer != c.want || !strings.Contains(v.Text, c.text) {
			t.Errorf("%s: %+v", name, v)
		}
	}
	cfg := w.config("orders", "search")
	cfg.Next = []string{"old"}
	if r := look(t, cfg); len(r.Removal) != 0 {
		t.Errorf("the next key may leave: %+v", r.Removal)
	}
}

// A refusal for a claim says nothing about keys.
func TestAClaimIsNoKey(t *testing.T) {
	w := newWorld(t, "old", "new")
	w.jwks = nil
	cfg := w.config()
	cfg.Verifiers = []audit.Verifier{{Name: "aud", URL: "https://aud.example.test/"}}
	cfg.Client = &http.Client{Transport: answering(func(r *http.Request) *http.Response {
		if r.URL.Host != "aud.example.test" {
			resp, err := w.RoundTrip(r)
			if err != nil {
				t.Error(err)
			}
			return resp
		}
		rec := httptest.NewRecorder()
		rec.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="audience does not match"`)
		rec.WriteHeader(http.StatusUnauthorized)
		return rec.Result()
	})}
	r := look(t, cfg)
	if got := rules(r); got != "warning verifier-unclear" || r.Verifiers[0].Trust[0].Outcome != audit.Unknown {
		t.Errorf("%s %+v", got, r.Verifiers)
	}
}

type answering func(*http.Request) *http.Response

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestConfigurationIsChecked(t *testing.T) {
	for name, cfg := range map[string]audit.Config{
		"empty": {}, "no URL": {Issuer: "id"}, "ftp": {Issuer: "ftp://id/"}, "jwks": {Issuer: issuerURL, JWKS: "x"},
		"verifier": {Issuer: issuerURL, Verifiers: []audit.Verifier{{URL: "x"}}},
		"twice":    {Issuer: issuerURL, Verifiers: []audit.Verifier{{URL: "https://a/"}, {URL: "https://a"}}},
		"source":   {Issuer: issuerURL, Source: &audit.Source{URL: issuerURL}},
	} {
		if _, err := audit.Run(t.Context(), cfg); !errors.Is(err, rotation.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A watch tells what changed, once, and its memory survives the process.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a")
		w.knows = map[string][]string{"orders": {"a"}}
		watch := &audit.Watch{Config: w.config("orders")}
		ctx := context.WithoutCancel(t.Context())
		var got []string
		step := func(name string, wait time.Duration, change func()) {
			t.Helper()
			time.Sleep(wait)
			change()
			_, changes, err := watch.Look(ctx)
			if err != nil {
				t.Fatal(err)
			}
			line := name + ":"
			for _, c := range changes {
				line += " " + string(c.What) + " " + c.Key + c.Verifier
			}
			got = append(got, line)
			b, err := json.Marshal(watch.Memory) // another process goes on
			if err != nil {
				t.Fatal(err)
			}
			watch.Memory = audit.Memory{}
			if err := json.Unmarshal(b, &watch.Memory); err != nil {
				t.Fatal(err)
			}
		}
		step("first", 0, func() {})
		step("same", time.Minute, func() {})
		step("publish", time.Minute, func() { w.publish("b") })
		step("promote", time.Minute, func() { w.signer = "b" })
		step("fetch", 10*time.Minute, func() { w.knows["orders"] = []string{"a", "b"} })
		step("wait", 2*time.Hour, func() {})
		step("remove", time.Minute, func() { w.unpublish("a") })
		step("material", time.Minute, func() { w.unpublish("b"); w.publish("b"); w.knows["orders"] = []string{"b"} })
		step("two nodes", time.Minute, func() {
			w.jwks = func(rec http.ResponseWriter, r *http.Request) { // the last key is on one of them only
				rec.Header().Set("Content-Type", "application/json")
				rec.Header().Set("ETag", `"1"`)
				rec.Header().Set("Cache-Control", "max-age=600")
				set := w.set
				if r.Header.Get("If-None-Match") != "" {
					set = []any{jwkOf(t, "other", "EdDSA", w.private["a"].Public())}
				}
				_ = json.NewEncoder(rec).Encode(map[string]any{"keys": set})
			}
		})
		step("still two", time.Minute, func() {})
		step("one again", time.Minute, func() { w.jwks = nil })
		step("down", time.Minute, func() { w.down = true })
		step("still", time.Minute, func() {})
		step("up", time.Minute, func() { w.down = false })
		want := []string{"first:", "same:", "publish: key-added b", "promote: signer-changed b published-late b trust-changed borders verdict-changed a",
			"fetch: trust-changed borders verdict-changed a", "wait: verdict-changed a", "remove: key-removed a", "material: material-changed b",
			"two nodes: problem-found https://id.example.test/keys", "still two:", "one again: problem-gone https://id.example.test/keys",
			"down: outcome-changed ", "still:", "up: outcome-changed "}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if watch.Memory.Changes != 14 {
			t.Errorf("%d changes", watch.Memory.Changes)
		}
	})
}

// A key that signs again is not taken to have signed all the time.
func TestAnEarlierReignDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "b", "a")
		w.knows = map[string][]string{"orders": {"a", "b"}}
		watch := &audit.Watch{Config: w.config("orders")}
		var r audit.Report
		for _, signer := range []string{"a", "b", "a"} {
			w.signer = signer
			var err error
			if r, _, err = watch.Look(context.WithoutCancel(t.Context())); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Minute)
		}
		if v := r.Removal[0]; v.Key != "b" || v.NotBefore.Before(r.At) || v.Answer != "no" {
			t.Errorf("%+v, signer since %s", v, r.Since)
		}
	})
}

func FuzzAudit(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB","x5c":["AAAA"]}]}`), "a.b.c")
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"OKP","crv":"Ed25519","x":""}]}`), "eyJraWQiOiJhIn0.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUudGVzdCIsImlhdCI6MSwiZXhwIjo5fQ.")
	f.Fuzz(func(t *testing.T, body []byte, token string) {
		cfg := audit.Config{Issuer: issuerURL, JWKS: issuerURL + "/keys", Tokens: []string{token}}
		cfg.Client = &http.Client{Transport: answering(func(r *http.Request) *http.Response {
			return &http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(body))), Request: r}
		})}
		r, err := audit.Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range r.Removal {
			if v.Answer == "yes" {
				t.Errorf("yes without a verifier: %+v", v)
			}
		}
		if !r.Usable && r.Problems() == 0 {
			t.Error("refused without a finding")
		}
	})
}
