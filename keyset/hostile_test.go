package keyset_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"prunella/keyset"
)

// fileSet is a set whose keys are in a file.
func fileSet(t testing.TB, doc []byte, change ...func(*keyset.Config)) *keyset.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := keyset.Config{File: path, Issuer: issuerURL, Audience: []string{audience}, Log: quiet}
	return open(t, cfg, change)
}

func with(member string, value any) map[string]any {
	c := usual()
	if value == nil {
		delete(c, member)
	} else {
		c[member] = value
	}
	return c
}

func TestEveryAlgorithm(t *testing.T) {
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		s := signer{"k", alg, rsaKeys()[0]}
		switch alg[0] {
		case 'E':
			s = edSigner(t, "k")
			if alg != "EdDSA" {
				s = ecSigner(t, "k", alg)
			}
		}
		set := fileSet(t, jwks(s, rsaSigner(1, "other")))
		times := 2
		if s.alg == "ES256" { // r or s of one in 128 has a leading zero, which DER drops
			times = 300
		}
		for range times {
			accepts(t, set, s.fresh())
		}
		token := s.fresh()
		broken := []byte(token)
		broken[len(broken)-10] ^= 1
		if _, err := set.Verify(t.Context(), string(broken)); err == nil {
			t.Errorf("%s: a changed signature is accepted", alg)
		}
		if strings.HasPrefix(alg, "RS") { // the same key with its other padding
			s.alg = "PS" + alg[2:]
			refuses(t, set, s.fresh(), keyset.Algorithm)
		}
	}
}

func TestClaims(t *testing.T) {
	s := edSigner(t, "k")
	set := fileSet(t, jwks(s))
	now := time.Now().Unix()
	claims := usual()
	claims["jti"], claims["nbf"], claims["scope"] = "id \" 1", now-5, "read write"
	got := accepts(t, set, s.token(claims))
	var own struct{ Scope string }
	if err := got.Decode(&own); err != nil || own.Scope != "read write" {
		t.Errorf("decoded %+v, %v", own, err)
	}
	if got.Issuer != issuerURL || got.Subject != "ada" || got.ID != `id " 1` || got.KeyID != "k" || got.IssuedAt.Unix() != now ||
		got.NotBefore.Unix() != now-5 || got.Expires.Unix() != now+3600 || fmt.Sprint(got.Audience()) != "[orders]" {
		t.Errorf("claims: %+v %v", got, got.Audience())
	}
	accepts(t, set, s.token(with("aud", []string{"a", "orders"})))
	accepts(t, set, s.token(with("exp", float64(now)+10.5)))
	accepts(t, set, s.token(with("exp", now-20))) // within the leeway
	accepts(t, set, s.token(with("nbf", now+20)))
	accepts(t, set, s.token(usual(), "typ", "application/at+JWT"))

	for _, one := range []struct {
		check  keyset.Check
		claims map[string]any
	}{
		{keyset.Expired, with("exp", now-40)}, {keyset.Expired, with("exp", nil)},
		{keyset.NotYet, with("nbf", now+60)}, {keyset.NotYet, with("iat", now+60)},
		{keyset.Audience, with("aud", "payments")}, {keyset.Audience, with("aud", nil)}, {keyset.Audience, with("aud", []string{})},
		{keyset.Issuer, with("iss", issuerURL+"/")}, {keyset.Issuer, with("iss", nil)},
		{keyset.Payload, with("exp", "tomorrow")}, {keyset.Payload, with("exp", -1)}, {keyset.Payload, with("exp", 1e300)},
		{keyset.Payload, with("aud", []any{"orders", 1})}, {keyset.Payload, with("aud", 7)}, {keyset.Payload, with("iss", 7)},
	} {
		refuses(t, set, s.token(one.claims), one.check)
	}
	refuses(t, fileSet(t, jwks(s), func(c *keyset.Config) { c.Audience = nil }), s.fresh(), keyset.Audience)
	accepts(t, fileSet(t, jwks(s), func(c *keyset.Config) { c.Audience, c.AnyAudience = nil, true }), s.fresh())
	logout := fileSet(t, jwks(s), func(c *keyset.Config) { c.Types = []string{"logout+jwt"} })
	accepts(t, logout, s.token(usual(), "typ", "logout+jwt"))
	refuses(t, logout, s.fresh(), keyset.Type)
	only := fileSet(t, jwks(s, ecSigner(t, "e", "ES256")), func(c *keyset.Config) { c.Algorithms = []string{"ES256"} })
	refuses(t, only, s.fresh(), keyset.Algorithm)

	// No kid: only the key of a set of one can be meant.
	s.kid = ""
	accepts(t, set, s.fresh())
	refuses(t, fileSet(t, jwks(edSigner(t, "a"), edSigner(t, "b"))), s.fresh(), keyset.UnknownKey)
}

func TestHostileTokens(t *testing.T) {
	s := rsaSigner(0, "rsa")
	set := fileSet(t, jwks(s, edSigner(t, "ed")))
	part := func(text string) string { return encode([]byte(text)) }
	good := strings.Split(s.fresh(), ".")
	body, _ := json.Marshal(usual())
	sign := func(header, payload string) string { // what a confused issuer might sign
		signed := part(header) + "." + part(payload)
		sig, err := jwt.SigningMethodRS256.Sign(signed, s.private)
		if err != nil {
			t.Fatal(err)
		}
		return signed + "." + encode(sig)
	}
	hmacSigned := part(`{"alg":"HS256","kid":"rsa"}`) + "." + good[1]
	public, _ := json.Marshal(s.jwk())
	mac, _ := jwt.SigningMethodHS256.Sign(hmacSigned, public)

	header := func(h string) string { return part(h) + "." + good[1] + "." + good[2] }
	for name, one := range map[string]struct {
		token string
		check keyset.Check
	}{
		"empty":             {"", keyset.Malformed},
		"dots":              {"..", keyset.Malformed},
		"two parts":         {good[0] + "." + good[1], keyset.Malformed},
		"unsigned":          {good[0] + "." + good[1] + ".", keyset.Signature},
		"five parts":        {"a.b.c.d.e", keyset.Malformed},
		"huge":              {strings.Repeat("a", 10<<20) + ".b.c", keyset.Malformed},
		"line break":        {good[0] + "." + good[1] + "\n." + good[2], keyset.Malformed},
		"padding":           {good[0] + "=." + good[1] + "." + good[2], keyset.Malformed},
		"trailing bits":     {good[0] + "." + good[1] + "." + good[2][:len(good[2])-1] + "B", keyset.Malformed},
		"json form":         {`{"payload":"a","signatures":[]}`, keyset.Malformed},
		"none":              {header(`{"alg":"none","kid":"rsa"}`), keyset.Algorithm},
		"None":              {header(`{"alg":"None","kid":"rsa"}`), keyset.Algorithm},
		"no alg":            {header(`{"kid":"rsa"}`), keyset.Algorithm},
		"public key as MAC": {hmacSigned + "." + encode(mac), keyset.Algorithm},
		"another key's alg": {header(`{"alg":"EdDSA","kid":"rsa"}`), keyset.Algorithm},
		"twice alg":         {header(`{"alg":"RS256","alg":"none","kid":"rsa"}`), keyset.Malformed},
		"escaped twice":     {header(`{"alg":"RS256","\u0061lg":"RS256","kid":"rsa"}`), keyset.Malformed},
		"alg a number":      {header(`{"alg":256,"kid":"rsa"}`), keyset.Malformed},
		"kid an object":     {header(`{"alg":"RS256","kid":{"$gt":""}}`), keyset.Malformed},
		"not an object":     {header(`["RS256"]`), keyset.Malformed},
		"bad utf-8":         {header("{\"alg\":\"RS256\",\"kid\":\"\xff\"}"), keyset.Malformed},
		"deep":              {header(`{"alg":"RS256","x":` + strings.Repeat("[", 4000) + strings.Repeat("]", 4000) + `}`), keyset.Malformed},
		"crit":              {sign(`{"alg":"RS256","kid":"rsa","crit":["exp"],"exp":1}`, string(body)), keyset.Header},
		"b64":               {sign(`{"alg":"RS256","kid":"rsa","b64":false}`, string(body)), keyset.Header},
		"nested":            {sign(`{"alg":"RS256","kid":"rsa","cty":"JWT"}`, strings.Join(good, ".")), keyset.Header},
		"other typ":         {sign(`{"alg":"RS256","kid":"rsa","typ":"dpop+jwt"}`, string(body)), keyset.Type},
		"long kid":          {header(`{"alg":"RS256","kid":"` + strings.Repeat("k", 300) + `"}`), keyset.Malformed},
		"kid of a megabyte": {header(`{"alg":"RS256","kid":"` + strings.Repeat("k", 1<<20) + `"}`), keyset.Malformed},
		"path as kid":       {header(`{"alg":"RS256","kid":"../../../../dev/null"}`), keyset.UnknownKey},
		"query as kid":      {header(`{"alg":"RS256","kid":"' OR 1=1 --"}`), keyset.UnknownKey},
		"key in the header": {header(`{"alg":"RS256","kid":"x","jku":"https://evil.test/jwks","jwk":` + string(public) + `}`), keyset.UnknownKey},
		"not JSON":          {sign(`{"alg":"RS256","kid":"rsa"}`, "hello"), keyset.Payload},
		"iss twice":         {sign(`{"alg":"RS256","kid":"rsa"}`, `{"iss":"`+issuerURL+`","iss":"`+issuerURL+`"}`), keyset.Payload},
		"trailing":          {sign(`{"alg":"RS256","kid":"rsa"}`, string(body)+"{}"), keyset.Payload},
		"leading zero":      {sign(`{"alg":"RS256","kid":"rsa"}`, `{"iss":"`+issuerURL+`","exp":0123}`), keyset.Payload},
		"another signature": {good[0] + "." + part(`{"iss":"`+issuerURL+`"}`) + "." + good[2], keyset.Signature},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, set, one.token, one.check) })
	}
}

func TestHostileKeySets(t *testing.T) {
	s := rsaSigner(0, "rsa")
	edit := func(change map[string]any) string {
		j := s.jwk()
		for k, v := range change {
			j[k] = v
		}
		b, _ := json.Marshal(j)
		return string(b)
	}
	n := rsaKeys()[0].N
	factor := new(big.Int).Mul(big.NewInt(3), new(big.Int).Rsh(n, 1))
	other := ecSigner(t, "ec", "ES256").jwk()
	other["x"], other["y"] = encode(make([]byte, 32)), encode(make([]byte, 32))
	offCurve, _ := json.Marshal(other)
	long := ecSigner(t, "ec", "ES256").jwk()
	long["x"] = "AA" + long["x"].(string)
	wide, _ := json.Marshal(long)
	good := edit(nil)
	one := func(key string) string { return `{"keys":[` + key + `]}` }
	for name, doc := range map[string]string{
		"empty": "", "not JSON": "<html>", "null": "null", "an array": "[]", "no keys": `{"key":[]}`, "keys an object": `{"keys":{}}`,
		"empty set": `{"keys":[]}`, "truncated": one(good)[:200], "trailing": one(good) + "x", "keys twice": `{"keys":[],"keys":[` + good + `]}`,
		"a key a string": one(`"rsa"`), "kid twice": one(good[:len(good)-1] + `,"kid":"b"}`), "kid a number": one(edit(map[string]any{"kid": 1})),
		"one kid for two":  one(good + "," + edit(map[string]any{"alg": "PS256"})),
		"private":          one(edit(map[string]any{"d": "AQAB"})),
		"symmetric beside": one(good + `,{"kty":"oct","kid":"s","k":"AAAA"}`), "symmetric": one(`{"kty":"oct","kid":"rsa"}`),
		"deep": `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `,"keys":[` + good + `]}`,
		"many": one(strings.Repeat(`{"kty":"x"},`, 100) + good), "large": one(good) + strings.Repeat(" ", 300<<10),
		"long kid":         one(edit(map[string]any{"kid": strings.Repeat("k", 1<<16)})),
		"giant exponent":   one(edit(map[string]any{"e": encode(bytes.Repeat([]byte{255}, 1<<12))})),
		"64-bit exponent":  one(edit(map[string]any{"e": encode([]byte{1, 0, 0, 0, 1})})),
		"exponent of one":  one(edit(map[string]any{"e": "AQ"})),
		"even exponent":    one(edit(map[string]any{"e": "Ag"})),
		"giant modulus":    one(edit(map[string]any{"n": encode(bytes.Repeat([]byte{255}, 20000))})),
		"8200-bit modulus": one(edit(map[string]any{"n": encode(bytes.Repeat([]byte{255}, 1025))})),
		"even modulus":     one(edit(map[string]any{"n": encode(new(big.Int).Lsh(n, 1).Bytes())})),
		"small factor":     one(edit(map[string]any{"n": encode(factor.SetBit(factor, 0, 1).Mul(factor, big.NewInt(3)).Bytes())})),
		"1024 bits":        one(edit(map[string]any{"n": encode(n.Bytes()[:128])})),
		"no modulus":       one(edit(map[string]any{"n": ""})),
		"for encryption":   one(edit(map[string]any{"use": "enc"})), "ops": one(edit(map[string]any{"key_ops": []string{"encrypt"}})),
		"unknown alg": one(edit(map[string]any{"alg": "RS1"})), "alg of another type": one(edit(map[string]any{"alg": "ES256"})), "hmac": one(edit(map[string]any{"alg": "HS256"})),
		"off the curve": one(string(offCurve)), "wide coordinate": one(string(wide)),
	} {
		t.Run(name, func(t *testing.T) {
			set := fileSet(t, []byte(doc))
			refuses(t, set, s.fresh(), keyset.Unavailable)
			if set.Ready() == nil {
				t.Error("ready")
			}
		})
	}
	// A key that merely is not ours to use costs the others nothing.
	set := fileSet(t, []byte(one(good+`,{"kty":"AKP","kid":"pq","alg":"ML-DSA-44"},`+edit(map[string]any{"kid": "rsa", "use": "enc"}))))
	accepts(t, set, s.fresh())
	// No alg: an RSA key is for the first RSA algorithm that is allowed.
	bare := s.jwk()
	delete(bare, "alg")
	doc, _ := json.Marshal(map[string]any{"keys": []any{bare}})
	accepts(t, fileSet(t, doc), s.fresh())
	refuses(t, fileSet(t, doc, func(c *keyset.Config) { c.Algorithms = []string{"PS256", "RS256"} }), s.fresh(), keyset.Algorithm)
}

// For an Ed25519 point of small order, R = 1 and S = 0 "sign" one message in
// eight or more: such a key must not get into the set.
func TestSmallOrderPoints(t *testing.T) {
	for _, x := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000", "0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	} {
		var raw []byte
		fmt.Sscanf(x, "%x", &raw)
		set := fileSet(t, []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"`+encode(raw)+`"}]}`))
		if len(set.Keys()) != 0 {
			t.Errorf("%s is used", x)
		}
	}
}

// RFC 7638, section 3.1, has a worked thumbprint.
func TestThumbprint(t *testing.T) {
	const n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	set := fileSet(t, []byte(`{"keys":[{"kty":"RSA","n":"`+n+`","e":"AQAB","alg":"RS256","kid":"2011-04-29"}]}`))
	if got := set.Keys()[0].Thumbprint; got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("thumbprint %s", got)
	}
}

// What an issuer's server may answer instead of its keys.
func TestHostileAnswers(t *testing.T) {
	a := edSigner(t, "a")
	redirect := func(to string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/jwks" {
				return false
			}
			http.Redirect(w, r, to, http.StatusFound)
			return true
		}
	}
	evil := newIssuer(a)
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"redirect to another host": redirect("https://evil.example.test/jwks"),
		"redirect to http":         redirect("http://id.example.test/jwks"),
		"redirect for ever":        redirect("https://id.example.test/jwks"),
		"another issuer": func(w http.ResponseWriter, r *http.Request) bool {
			fmt.Fprint(w, `{"issuer":"https://evil.example.test","jwks_uri":"https://evil.example.test/jwks"}`)
			return true
		},
		"plain jwks_uri": func(w http.ResponseWriter, r *http.Request) bool {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"http://evil.example.test/jwks"}`, issuerURL)
			return true
		},
		"304 to everything": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/jwks" {
				w.WriteHeader(http.StatusNotModified)
			}
			return r.URL.Path == "/jwks"
		},
		"an error page": func(w http.ResponseWriter, r *http.Request) bool {
			http.Error(w, string(jwks(a)), http.StatusInternalServerError)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				iss := newIssuer(a)
				iss.answer = answer
				client := &http.Client{Transport: byHost{"id.example.test": iss, "evil.example.test": evil}}
				set := iss.start(t, func(c *keyset.Config) { c.Client = client })
				refuses(t, set, a.fresh(), keyset.Unavailable)

				// And after a good set was there, the good one stays.
				iss.set(func() { iss.answer = nil })
				time.Sleep(time.Minute)
				accepts(t, set, a.fresh())
				iss.set(func() { iss.answer = answer })
				time.Sleep(time.Hour)
				accepts(t, set, a.fresh())
			})
		})
	}
	if evil.count(time.Time{}) > 0 {
		t.Errorf("the other host was asked %d times", evil.count(time.Time{}))
	}
}

// A real server and a real transport: what is sent without end is not read, and
// what is packed is not unpacked beyond the limit.
func TestLargeAnswers(t *testing.T) {
	a := edSigner(t, "a")
	var sent atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var out io.Writer = w
		total := 100 << 20
		switch r.URL.Path {
		case "/good":
			_, _ = w.Write(jwks(a))
			return
		case "/packed":
			w.Header().Set("Content-Encoding", "gzip")
			zip := gzip.NewWriter(w)
			defer zip.Close()
			out, total = zip, 32<<20
		}
		block := bytes.Repeat([]byte(" "), 1<<16)
		for range total / len(block) {
			n, err := out.Write(block)
			if err != nil {
				return
			}
			if r.URL.Path == "/plain" {
				sent.Add(int64(n))
			}
		}
	}))
	defer server.Close()
	for _, path := range []string{"/plain", "/packed", "/good"} {
		cfg := keyset.Config{Issuer: issuerURL, JWKS: server.URL + path, Audience: []string{audience}, Log: quiet, Client: server.Client()}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		set, err := keyset.New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		set.Close()
		if path == "/good" {
			accepts(t, set, a.fresh())
			continue
		}
		refuses(t, set, a.fresh(), keyset.Unavailable)
		if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
			t.Errorf("%s: %d bytes were allocated for it, by both ends", path, used)
		}
	}
	server.CloseClientConnections()
	if n := sent.Load(); n == 0 || n > 16<<20 {
		t.Errorf("%d bytes of 100 MB were taken from the server", n)
	}
}

// Whatever strangers send, what is remembered of it has one size.
func TestAFloodLeavesNothingBehind(t *testing.T) {
	a := edSigner(t, "a")
	set := fileSet(t, jwks(a), withHints, func(c *keyset.Config) {
		c.Acknowledge = &keyset.Acknowledge{URL: "http://127.0.0.1:1/ack", Secret: secret, Instance: "i"}
	})
	set.Close() // it verifies on, and nothing runs beside the flood
	flood := func(round int) {
		for n := range 1100 {
			kid := fmt.Sprint(round, "junk", n)
			if n%10 == 0 {
				kid = strings.Repeat("k", 200) + kid
			}
			if _, err := set.Verify(t.Context(), forge(kid)); err == nil {
				t.Fatal("junk is accepted")
			}
			push(t, set, kid, time.Now(), secret, `{"issuer":"`+kid+`"}`)
		}
	}
	held := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // pools are emptied by the second
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	flood(0)
	flood(1) // fills the memory of hints, which is the largest
	before := held()
	flood(2)
	flood(3)
	if after := held(); after > before+256<<10 {
		t.Errorf("after two floods %d bytes are held, after four %d", before, after)
	}
	accepts(t, set, a.fresh())
}

// A path that is no file is refused at once, a pipe without a writer too.
func TestFileThatIsNone(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, t.TempDir(), "/dev/zero", "/dev/null"} {
		set := open(t, keyset.Config{File: path, AnyAudience: true, Log: quiet}, nil)
		if set.Ready() == nil {
			t.Errorf("%s is a key set", path)
		}
		set.Close()
	}
}

// A set that was refused must not be confirmed by the 304 that follows it.
func TestRefusedDocumentIsNotConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := edSigner(t, "a")
		iss := newIssuer(a)
		set := iss.start(t)
		iss.set(func() { iss.body = []byte(`{"keys":[]}`) })
		time.Sleep(5 * time.Hour)
		accepts(t, set, a.fresh())
		time.Sleep(2 * time.Hour)
		refuses(t, set, a.fresh(), keyset.Unavailable)
	})
}

func TestBadConfigurations(t *testing.T) {
	base := keyset.Config{Issuer: issuerURL, Log: quiet}
	for name, change := range map[string]func(*keyset.Config){
		"nothing":        func(c *keyset.Config) { c.Issuer = "" },
		"plain http":     func(c *keyset.Config) { c.Issuer = "http://id.example.test" },
		"plain jwks":     func(c *keyset.Config) { c.JWKS = "http://id.example.test/jwks" },
		"credentials":    func(c *keyset.Config) { c.Issuer = "https://a:b@id.example.test" },
		"no host":        func(c *keyset.Config) { c.Issuer = "https:///x" },
		"two places":     func(c *keyset.Config) { c.JWKS, c.File = "https://id.example.test/jwks", "x" },
		"twice":          func(c *keyset.Config) { c.Others = []keyset.Source{{Issuer: issuerURL}} },
		"file of nobody": func(c *keyset.Config) { c.Others = []keyset.Source{{File: "x"}} },
		"none":           func(c *keyset.Config) { c.Algorithms = []string{"none"} },
		"HS256":          func(c *keyset.Config) { c.Algorithms = []string{"HS256"} },
		"short MaxAge":   func(c *keyset.Config) { c.MaxAge = time.Second },
		"short MaxStale": func(c *keyset.Config) { c.MaxStale = time.Minute },
		"hint secret":    func(c *keyset.Config) { c.HintSecrets = []string{"whsec_%%"} },
		"ack url":        func(c *keyset.Config) { c.Acknowledge = &keyset.Acknowledge{URL: "http://x.test", Secret: secret} },
		"ack secret":     func(c *keyset.Config) { c.Acknowledge = &keyset.Acknowledge{URL: "https://x.test"} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := base
			change(&cfg)
			if _, err := keyset.New(t.Context(), cfg); err == nil || !strings.HasPrefix(err.Error(), "keyset: ") {
				t.Errorf("got %v", err)
			}
		})
	}
}
