package keyset_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"prunella/keyset"
)

func TestStartWithoutAnIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := edSigner(t, "a")
		iss := newIssuer(a)
		iss.down = errDown
		set := iss.start(t)
		refuses(t, set, a.fresh(), keyset.Unavailable)
		if set.Ready() == nil {
			t.Error("ready without keys")
		}
		iss.set(func() { iss.down = nil })
		time.Sleep(2 * time.Second)
		accepts(t, set, a.fresh())
	})
}

func TestNobodyWaitsLongForASlowIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		set := iss.start(t)
		time.Sleep(time.Minute)
		iss.publish(a, b)
		iss.set(func() { iss.delay = 4 * time.Second })
		for _, limit := range []time.Duration{100 * time.Millisecond, time.Hour} {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			_, err := set.Verify(ctx, b.fresh())
			cancel()
			if took := time.Since(start); !errors.Is(err, keyset.UnknownKey) || !errors.Is(err, context.DeadlineExceeded) || took > min(limit, 2*time.Second) {
				t.Errorf("a request that may wait %s got %v after %s", limit, err, took)
			}
			accepts(t, set, a.fresh()) // known keys wait for nothing
		}
		time.Sleep(4 * time.Second)
		accepts(t, set, b.fresh())
	})
}

func TestSeveralIssuers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := edSigner(t, "key-1"), edSigner(t, "key-1")
		iss, second := newIssuer(one), newIssuer(other)
		second.url = "https://id2.example.test"
		client := &http.Client{Transport: byHost{"id.example.test": iss, "id2.example.test": second}}
		set := iss.start(t, func(c *keyset.Config) {
			c.Client = client
			c.Others = []keyset.Source{{Issuer: second.url, Audience: []string{"orders-2"}}}
		})
		accepts(t, set, one.fresh())
		claims := usual()
		claims["iss"], claims["aud"] = second.url, []string{"else", "orders-2"}
		accepts(t, set, other.token(claims))
		refuses(t, set, one.token(claims), keyset.Signature) // the first issuer's key, the second's name
		claims["aud"] = audience
		refuses(t, set, other.token(claims), keyset.Audience)
		claims["iss"] = "https://third.example.test"
		refuses(t, set, other.token(claims), keyset.Issuer)
		if keys := set.Keys(); len(keys) != 2 || keys[0].Thumbprint == keys[1].Thumbprint {
			t.Errorf("keys: %+v", keys)
		}

		// One issuer's outage is not the other's.
		iss.set(func() { iss.down = errDown })
		time.Sleep(7 * time.Hour)
		refuses(t, set, one.fresh(), keyset.Unavailable)
		claims = usual()
		claims["iss"], claims["aud"] = second.url, "orders-2"
		accepts(t, set, other.token(claims))
	})
}

type byHost map[string]http.RoundTripper

func (b byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	if next, ok := b[r.URL.Host]; ok {
		return next.RoundTrip(r)
	}
	return nil, errDown
}

func TestDiscoveryIsAskedAgainWhenTheSetMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		set := iss.start(t)
		moved := jwks(b)
		iss.set(func() {
			iss.answer = func(w http.ResponseWriter, r *http.Request) bool {
				switch r.URL.Path {
				case "/.well-known/openid-configuration":
					fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuerURL, issuerURL+"/v2/keys")
				case "/v2/keys":
					_, _ = w.Write(moved)
				default:
					http.NotFound(w, r)
				}
				return true
			}
		})
		time.Sleep(16 * time.Minute)
		accepts(t, set, b.fresh())
		if !slices.ContainsFunc(set.Keys(), func(k keyset.Key) bool { return k.ID == "b" && !k.LastSeen.IsZero() }) {
			t.Errorf("b was not seen: %+v", set.Keys())
		}
	})
}
