package contest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"time"

	"prunella/bench/rotation/issuer"
)

// Cases are the whole suite, in order.
func Cases() []Case { return append(tokenCases(), append(setCases(), rotationCases()...)...) }

// tokenCases are about one token and a set that does not change.
func tokenCases() []Case {
	claim := func(id string, level Level, what, why string, change func(now time.Time) map[string]any) Case {
		return Case{ID: id, Level: level, Holds: "refuses a token " + what, Why: why, tell: func(t *trial) error {
			a, _, err := t.begin()
			if err != nil {
				return err
			}
			ok, _, _, err := t.show(a, change(t.now()), nil)
			if err == nil && ok {
				return failed("accepts a token %s", what)
			}
			return err
		}}
	}
	algorithm := func(alg string, level Level) Case {
		return Case{ID: "accepts-" + strings.ToLower(alg), Level: level, Holds: "accepts " + alg, Why: "RFC 7518; issuers move to it", tell: func(t *trial) error {
			k, err := issuer.NewKey(t.id, alg)
			if err != nil {
				return err
			}
			t.iss.Publish(k)
			return t.accepts(k, "signed with "+alg)
		}}
	}
	forged := func(id string, level Level, holds, why string, make func(t *trial, a issuer.Key) (token string, err error)) Case {
		return Case{ID: id, Level: level, Holds: holds, Why: why, tell: func(t *trial) error {
			a, _, err := t.begin()
			if err != nil {
				return err
			}
			token, err := make(t, a)
			if err != nil {
				return err
			}
			if err := t.refuses(token, "it"); err != nil {
				return err
			}
			return t.accepts(a, "after it")
		}}
	}
	return []Case{
		algorithm("RS256", Must), algorithm("ES256", Should), algorithm("EdDSA", Should),
		claim("expired", Must, "whose exp was an hour ago", "RFC 7519, 4.1.4", func(now time.Time) map[string]any {
			return map[string]any{"exp": now.Add(-time.Hour).Unix()}
		}),
		claim("no-expiry", Should, "without exp", "it would be good for ever", func(time.Time) map[string]any { return map[string]any{"exp": nil} }),
		claim("not-yet", Must, "whose nbf is in an hour", "RFC 7519, 4.1.5", func(now time.Time) map[string]any {
			return map[string]any{"nbf": now.Add(time.Hour).Unix(), "exp": now.Add(2 * time.Hour).Unix()}
		}),
		claim("other-issuer", Must, "whose iss is another issuer", "RFC 8725, 3.8", func(time.Time) map[string]any {
			return map[string]any{"iss": "https://other.example"}
		}),
		claim("other-audience", Must, "meant for another service", "RFC 7519, 4.1.3", func(time.Time) map[string]any {
			return map[string]any{"aud": "another service"}
		}),
		forged("forged", Must, "refuses a token of another key under the kid of a known one", "a name proves nothing", func(t *trial, a issuer.Key) (string, error) {
			k, err := t.forged(a.ID)
			if err != nil {
				return "", err
			}
			return k.Token(issuer.Claims(t.iss.URL, issuer.Audience, t.now()), nil)
		}),
		forged("alg-none", Must, "refuses alg none", "RFC 8725, 3.2", func(t *trial, a issuer.Key) (string, error) {
			return unsigned(t, map[string]any{"alg": "none", "kid": a.ID})
		}),
		forged("alg-confusion", Must, "refuses HS256 made with the RSA public key as its secret", "RFC 8725, 2.1", func(t *trial, a issuer.Key) (string, error) {
			der, err := x509.MarshalPKIXPublicKey(a.Private.Public())
			if err != nil {
				return "", err
			}
			secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
			return hs256(t, map[string]any{"alg": "HS256", "kid": a.ID}, secret)
		}),
		forged("key-algorithm", Should, "refuses RS512 by a key that is for RS256", "one key, one algorithm (RFC 8725, 3.1)", func(t *trial, a issuer.Key) (string, error) {
			a.Alg = "RS512"
			return a.Token(issuer.Claims(t.iss.URL, issuer.Audience, t.now()), nil)
		}),
		forged("embedded-key", Must, "refuses a token that brings its own key in jwk", "RFC 7515, 4.1.3 is a hint, not trust", func(t *trial, a issuer.Key) (string, error) {
			k, err := t.forged(t.id + "-own")
			if err != nil {
				return "", err
			}
			return k.Token(issuer.Claims(t.iss.URL, issuer.Audience, t.now()), map[string]any{"jwk": k.JWK()})
		}),
		forged("key-elsewhere", Must, "refuses a token that says in jku where its key is", "the issuer's URL is configured, not told", func(t *trial, a issuer.Key) (string, error) {
			k, err := t.forged(t.id + "-own")
			if err != nil {
				return "", err
			}
			return k.Token(issuer.Claims(t.iss.URL, issuer.Audience, t.now()), map[string]any{"jku": t.iss.Elsewhere(k)})
		}),
		forged("crit", Must, "refuses a critical header that it does not know", "RFC 7515, 4.1.11", func(t *trial, a issuer.Key) (string, error) {
			return a.Token(issuer.Claims(t.iss.URL, issuer.Audience, t.now()), map[string]any{"crit": []string{"x-contest"}, "x-contest": true})
		}),
		forged("kid-path", Must, "refuses a kid that is a path or a query, and goes on", "a kid is outside text", func(t *trial, a issuer.Key) (string, error) {
			return issuer.Junk("../../../../dev/null' OR '1'='1", issuer.Claims(t.iss.URL, issuer.Audience, t.now()))
		}),
		forged("kid-megabyte", Must, "refuses a kid of a megabyte, and goes on", "memory is not the caller's", func(t *trial, a issuer.Key) (string, error) {
			return issuer.Junk(strings.Repeat("k", 1<<20), issuer.Claims(t.iss.URL, issuer.Audience, t.now()))
		}),
		forged("not-a-token", Must, "refuses text that is no token, and goes on", "it comes from outside", func(*trial, issuer.Key) (string, error) {
			return "..", nil
		}),
	}
}

func unsigned(t *trial, header map[string]any) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(issuer.Claims(t.iss.URL, issuer.Audience, t.now()))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c) + ".", nil
}

func hs256(t *trial, header map[string]any, secret []byte) (string, error) {
	text, err := unsigned(t, header)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(strings.TrimSuffix(text, ".")))
	return text + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

// setCases are about key sets that are hostile, broken or odd.
func setCases() []Case {
	// spoiled: the set is answered like this from now on, and a token of a new
	// key makes the client look. What it knows must stay good.
	spoiled := func(id, holds, why string, trouble func(t *trial, a issuer.Key) issuer.Trouble) Case {
		return Case{ID: id, Level: Must, Holds: holds, Why: why, takes: 20 * time.Second, tell: func(t *trial) error {
			a, b, err := t.begin()
			if err != nil {
				return err
			}
			t.iss.Suffer(trouble(t, a))
			for range 5 {
				if _, _, _, err := t.show(b, nil, nil); err != nil { // whatever it does with this one
					return err
				}
				if err := t.accepts(a, "of a key that it knows"); err != nil {
					return err
				}
				if err := t.pass(2 * time.Second); err != nil {
					return err
				}
			}
			return nil
		}}
	}
	body := func(text string) func(*trial, issuer.Key) issuer.Trouble {
		return func(*trial, issuer.Key) issuer.Trouble { return says(text) }
	}
	// odd: the set holds this too, and the client has read it; the token must be refused.
	odd := func(id string, level Level, holds, why string, extra map[string]any, token func(t *trial) (string, error)) Case {
		return Case{ID: id, Level: level, Holds: holds, Why: why, tell: func(t *trial) error {
			a, err := t.named(0, "a")
			if err != nil {
				return err
			}
			t.iss.Publish(a)
			t.iss.Suffer(says(fmt.Sprintf(`{"keys":[%s,%s]}`, text(a.JWK()), text(extra))))
			if _, err := t.warm(a); err != nil { // who takes no key of such a set refuses what it should
				return err
			}
			bad, err := token(t)
			if err != nil {
				return err
			}
			return t.refuses(bad, "it")
		}}
	}
	secret := []byte("a secret that everybody can read in the key set")
	enc, _ := rsa.GenerateKey(rand.Reader, 2048)
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	if enc == nil || weak == nil {
		return nil
	}
	encKey := issuer.Key{ID: "for-encryption", Alg: "RS256", Private: enc}
	weakKey := issuer.Key{ID: "weak", Alg: "RS256", Private: weak}
	encJWK := encKey.JWK()
	encJWK["use"] = "enc"
	delete(encJWK, "alg")
	ordinary := func(k issuer.Key) func(t *trial) (string, error) {
		return func(t *trial) (string, error) {
			return k.Token(issuer.Claims(t.iss.URL, issuer.Audience, t.now()), nil)
		}
	}
	return []Case{
		{ID: "unknown-kty", Level: Must, Holds: "uses a set that also holds a key of a type it does not know", Why: "RFC 7517, 5", tell: func(t *trial) error {
			a, err := t.named(0, "a")
			if err != nil {
				return err
			}
			t.iss.Publish(a)
			t.iss.Suffer(says(fmt.Sprintf(`{"keys":[{"kty":"LATTICE","kid":"tomorrow","alg":"ML-9000","use":"sig"},%s],"extra":1}`, text(a.JWK()))))
			why, err := t.warm(a)
			if err == nil && why != "" {
				err = failed("refuses a good token beside a key of an unknown type: %s", why)
			}
			return err
		}},
		odd("symmetric-key", Must, "refuses HS256 by a symmetric key that is in the set", "what is public is no secret",
			map[string]any{"kty": "oct", "kid": "shared", "alg": "HS256", "k": base64.RawURLEncoding.EncodeToString(secret)},
			func(t *trial) (string, error) {
				return hs256(t, map[string]any{"alg": "HS256", "kid": "shared", "typ": "JWT"}, secret)
			}),
		odd("key-for-encryption", Should, "refuses a signature by a key that is for encryption", "RFC 7517, 4.2", encJWK, ordinary(encKey)),
		odd("weak-key", Should, "refuses a signature by an RSA key of 1024 bits", "RFC 7518, 3.3: 2048 or more", weakKey.JWK(), ordinary(weakKey)),
		spoiled("set-truncated", "keeps its keys when the set breaks off", "half an answer is no answer", body(`{"keys":[{"kty":"RSA","kid":"x","n":"AQ`)),
		spoiled("set-html", "keeps its keys when a proxy answers 200 with a page", "it happens in every outage", body("<html><body>Be right back</body></html>")),
		spoiled("set-500", "keeps its keys when the set is answered 500", "a failed refresh must not evict what is good", func(*trial, issuer.Key) issuer.Trouble {
			return issuer.Trouble{Status: http.StatusInternalServerError}
		}),
		spoiled("set-cut", "keeps its keys when the connection ends", "as before", func(*trial, issuer.Key) issuer.Trouble { return issuer.Trouble{Cut: true} }),
		spoiled("set-hangs", "answers for known keys at once while the set hangs", "no request waits for a fetch that it does not need", func(*trial, issuer.Key) issuer.Trouble {
			return issuer.Trouble{Hang: true}
		}),
		spoiled("set-deep", "keeps its keys when the set is nested ten thousand deep", "parsers have stacks", body(strings.Repeat(`{"keys":[`, 10000))),
		spoiled("set-giant", "keeps its keys when the set is of 20 MB", "memory is not the issuer's", func(t *trial, a issuer.Key) issuer.Trouble {
			return says(`{"keys":[` + text(a.JWK()) + `],"padding":"` + strings.Repeat("a", 20<<20) + `"}`)
		}),
		{ID: "redirect", Level: Must, Holds: "takes no keys from another host", Why: "one open redirect must not hand over trust", takes: 20 * time.Second, tell: func(t *trial) error {
			a, _, err := t.begin()
			if err != nil {
				return err
			}
			k, err := t.forged(t.id + "-other-host")
			if err != nil {
				return err
			}
			t.iss.Suffer(issuer.Trouble{Redirect: t.iss.Elsewhere(a, k)})
			return t.judged(func() error { return t.traffic(2*time.Second, 20*time.Second, k, a) })
		}},
		{ID: "cache-nothing", Level: Should, Holds: "does not fetch for each token when the issuer says no-store", Why: "one header must not turn verifiers into a flood", tell: func(t *trial) error {
			t.iss.Suffer(issuer.Trouble{Control: "no-store, max-age=0"})
			a, _, err := t.begin()
			if err != nil {
				return err
			}
			since := t.now()
			for range 100 {
				if err := t.accepts(a, "of a key that it knows"); err != nil {
					return err
				}
			}
			if n := len(t.iss.Fetches(since)); n > 5 {
				return failed("%d fetches for 100 tokens", n)
			}
			return nil
		}},
	}
}

// says answers 200 with this text.
func says(body string) issuer.Trouble {
	return issuer.Trouble{Answer: func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=600")
		_, _ = w.Write([]byte(body)) // it may have read enough
		return true
	}}
}

func text(jwk map[string]any) string {
	b, err := json.Marshal(jwk)
	if err != nil {
		panic(err) // strings
	}
	return string(b)
}
