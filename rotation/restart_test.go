package rotation_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"prunella/rotation"
	"prunella/rotation/signer"
)

// with makes a node under another policy, as one is after a restart.
func with(change func(*rotation.Policy)) func(*rotation.Config) {
	return func(c *rotation.Config) { change(&c.Policy) }
}

// A key waits for the longest token that any node may have signed with it, also
// when no node would sign such a one today.
func TestAShorterPolicyShortensNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		long := with(func(p *rotation.Policy) { p.MaxLifetime, p.Period = 24*time.Hour, 30*24*time.Hour })
		first := w.node("a", long)
		settle(t, first)
		tomorrow := time.Now().Add(23 * time.Hour).Unix()
		if _, err := first.Token(t.Context(), "", map[string]any{"exp": tomorrow}); err != nil {
			t.Fatal(err)
		}
		second := w.node("a", with(func(p *rotation.Policy) { p.Period = 30 * 24 * time.Hour }))
		must(t, second.Rotate(t.Context(), order))
		time.Sleep(5 * time.Minute)
		settle(t, second)
		time.Sleep(22 * time.Hour)
		settle(t, second)
		if s := status(t, second); states(s) != "0 previous, 1 active, " {
			t.Errorf("while a token of it lives: %s", states(s))
		}
		time.Sleep(3 * time.Hour)
		settle(t, second)
		if s := status(t, second); states(s) != "0 removed, 1 active, " {
			t.Errorf("after its last token: %s", states(s))
		}

		// And longer ones are signed when the ring says so, from where every node knows.
		third := w.node("a", long)
		tomorrow = time.Now().Add(23 * time.Hour).Unix()
		if _, err := third.Token(t.Context(), "", map[string]any{"exp": tomorrow}); !errors.Is(err, rotation.Invalid) {
			t.Errorf("before it is recorded: %v", err)
		}
		settle(t, third)
		if _, err := third.Token(t.Context(), "", map[string]any{"exp": tomorrow}); err != nil {
			t.Errorf("after it is recorded: %v", err)
		}
		if s := status(t, second); signerOf(t, s).Lifetime != 24*time.Hour {
			t.Errorf("the other node reads %s", signerOf(t, s).Lifetime)
		}
	})
}

// Who was granted a long lease counts for all of it, also when new ones are short.
func TestAShorterLeaseForgetsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, answering("orders", "o1"))
		r := w.node("a")
		settle(t, r)
		m := message("o1", signerOf(t, status(t, r)))
		m.Lease = 600
		if rec, _ := tell(r, "orders", secret1, m); rec.Code != http.StatusOK {
			t.Fatal(rec.Body)
		}
		r = w.node("a", with(func(p *rotation.Policy) { p.MaxLease = time.Minute }))
		time.Sleep(9 * time.Minute)
		settle(t, r)
		list, err := r.Verifiers(t.Context())
		must(t, err)
		if list[0].Live != 1 {
			t.Errorf("%d live instances", list[0].Live)
		}
		time.Sleep(5 * time.Minute)
		settle(t, r)
		if list, err = r.Verifiers(t.Context()); err != nil || len(list[0].Instances) != 0 {
			t.Errorf("long after its lease: %+v, %v", list[0].Instances, err)
		}
	})
}

// A node with another secret than the others would take part, and sign nothing.
func TestANodeWithAnotherSecretDoesNotStart(t *testing.T) {
	w := newWorld(t)
	sealed := func(text string) rotation.Signer {
		secret, err := signer.ParseSecret(text)
		must(t, err)
		s, err := signer.NewSealed(w.store.Vault(), secret, 0)
		must(t, err)
		return s
	}
	node := func(s rotation.Signer) (*rotation.Rotator, error) {
		return rotation.New(t.Context(), rotation.Config{Issuer: issuerURL, Algorithm: "EdDSA", Store: w.store, Signer: s, Log: quiet})
	}
	r, err := node(sealed("correct horse battery"))
	must(t, err)
	settle(t, r)
	if _, err := node(sealed("another horse altogether")); !errors.Is(err, rotation.Damaged) {
		t.Errorf("another passphrase: %v", err)
	}
	if _, err := node(sealed("key:" + strings.Repeat("AAAA", 10) + "AAA=")); !errors.Is(err, rotation.Invalid) {
		t.Errorf("another kind of secret: %v", err)
	}
	if _, err := node(&signer.Memory{}); err != nil { // it may come back
		t.Errorf("a signer without the key: %v", err)
	}
}

// away is a signer that can be lost.
type away struct {
	rotation.Signer
	lost atomic.Bool
}

func (a *away) Sign(ctx context.Context, id rotation.KeyID, alg rotation.Algorithm, input []byte) ([]byte, error) {
	if a.lost.Load() {
		return nil, &rotation.Error{Kind: rotation.Unavailable, Detail: "the signer does not answer"}
	}
	return a.Signer.Sign(ctx, id, alg, input)
}

// While the signer is away no canary can be made. That is no reason to refuse a
// verifier its lease, without which it would go out of service.
func TestALostSignerCostsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, answering("orders", "o1"))
		s := &away{Signer: w.signer}
		r := w.node("a", func(c *rotation.Config) { c.Signer = s })
		settle(t, r)
		next, err := r.Publish(t.Context(), order)
		must(t, err)
		both := func() rotation.Told {
			m := message("o1", signerOf(t, status(t, r)), next)
			m.Keys[1].LastSeen = time.Time{}
			return m
		}
		s.lost.Store(true)
		if rec, granted := tell(r, "orders", secret1, both()); rec.Code != http.StatusOK || granted.LeaseUntil.IsZero() || len(granted.Canaries) != 0 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		s.lost.Store(false)
		time.Sleep(time.Second)
		if rec, granted := tell(r, "orders", secret1, both()); len(granted.Canaries) != 1 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	})
}

// The order to give up a waiting key, when the key became the signer meanwhile,
// must not leave nobody to sign.
func TestTheSignerIsNotGivenUp(t *testing.T) {
	w := newWorld(t)
	r := w.node("a")
	settle(t, r)
	s := status(t, r)
	ring := rotation.Ring{Version: s.Version, Keys: s.Keys}
	if _, _, err := ring.Apply(rotation.Step{Action: rotation.Retire, Key: signerOf(t, s).ID}, time.Now()); !errors.Is(err, rotation.Conflict) {
		t.Errorf("%v", err)
	}
}

// An issuer that changes its algorithm announces both while keys of both are
// published: some verifiers refuse what is not announced.
func TestBothAlgorithmsAreAnnounced(t *testing.T) {
	w := newWorld(t)
	settle(t, w.node("a"))
	r := w.node("a", func(c *rotation.Config) { c.Algorithm = "ES256" })
	rec := httptest.NewRecorder()
	r.Discovery().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	if body := rec.Body.String(); !strings.Contains(body, `["ES256","EdDSA"]`) {
		t.Errorf("it announces %s", body)
	}
}

// Paths are names: whatever an issuer's URL looks like, its own paths are served
// and no other.
func TestAnyPathOfAnIssuer(t *testing.T) {
	for _, c := range []struct{ issuer, jwks, keys, discovery string }{
		{"https://id.test", "", "/.well-known/jwks.json", "/.well-known/openid-configuration"},
		{"https://id.test/", "https://cdn.test", "/", "/.well-known/openid-configuration"},
		{"https://id.test/realms/{shop}", "", "/realms/{shop}/.well-known/jwks.json", "/realms/{shop}/.well-known/openid-configuration"},
		{"https://id.test/a%20b", "", "/a%20b/.well-known/jwks.json", "/a%20b/.well-known/openid-configuration"},
		{"https://id.test/a//b/", "https://cdn.test/{$}", "/{$}", "/a//b/.well-known/openid-configuration"},
		{"https://id.test", "https://id.test/keys/", "/keys/", "/.well-known/openid-configuration"},
		{"https://id.test", "https://id.test/keys?v=1", "/keys", "/.well-known/openid-configuration"},
	} {
		w := newWorld(t)
		r, err := rotation.New(t.Context(), rotation.Config{Issuer: c.issuer, JWKS: c.jwks, Algorithm: "EdDSA", Store: w.store, Signer: w.signer, Log: quiet})
		must(t, err)
		settle(t, r)
		h := r.Handler(nil)
		for path, want := range map[string]int{c.keys: http.StatusOK, c.discovery: http.StatusOK, "/nothing": http.StatusNotFound} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
			if rec.Code != want {
				t.Errorf("%s of %s answers %d, want %d", path, c.issuer, rec.Code, want)
			}
		}
	}
	for issuer, jwks := range map[string]string{"https://id.test?x=1": "", "https://id.test": "https://id.test/.well-known/openid-configuration"} {
		w := newWorld(t)
		if _, err := rotation.New(t.Context(), rotation.Config{Issuer: issuer, JWKS: jwks, Store: w.store, Signer: w.signer, Log: quiet}); !errors.Is(err, rotation.Invalid) {
			t.Errorf("%s with %s: %v", issuer, jwks, err)
		}
	}
}

// Receivers that hang hold up nobody else.
func TestHintsGoAroundReceiversThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := rotation.Verifier{Name: "orders", Class: rotation.Answering, Secrets: []string{secret1}}
		for n := range 100 {
			v.Hooks = append(v.Hooks, "https://"+[]string{"hangs", "a", "b", "c", "d"}[n%5]+"/"+strings.Repeat("x", n))
		}
		w := newWorld(t, v)
		began := time.Now()
		var late atomic.Int64
		w.host("hangs", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Second) }))
		for _, host := range []string{"a", "b", "c", "d"} {
			w.host(host, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				if time.Since(began) > time.Second {
					late.Add(1)
				}
			}))
		}
		r := w.node("a")
		must(t, r.Settle(t.Context(), time.Now()))
		must(t, r.Deliver(t.Context(), time.Now()))
		list, err := w.store.Deliveries(t.Context(), 1000)
		must(t, err)
		here := slices.DeleteFunc(list, func(d rotation.Delivery) bool { return d.State != rotation.Delivered })
		if len(here) != 100 || late.Load() != 0 {
			t.Errorf("%d were delivered, %d of them late", len(here), late.Load())
		}
	})
}
