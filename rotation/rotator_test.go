package rotation_test

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"prunella/keyset"
	"prunella/rotation"
)

// traffic verifies a fresh token at every service now and then and counts what
// is refused.
func traffic(t *testing.T, r *rotation.Rotator, services []service, until time.Time, each time.Duration) (tokens, refused int) {
	t.Helper()
	var old []string // tokens near the end of their life
	for time.Now().Before(until) {
		token, err := r.Token(t.Context(), "", map[string]any{"aud": "everybody", "sub": "ada"})
		if err != nil {
			t.Fatal(err)
		}
		old = append(old, token)
		for _, text := range []string{token, old[max(0, len(old)-int(25*time.Minute/each))]} {
			for _, s := range services {
				tokens++
				if _, err := s.Verify(t.Context(), text); err != nil {
					refused++
					t.Logf("%s: %v", time.Now().Format(time.TimeOnly), err)
				}
			}
		}
		time.Sleep(each)
	}
	return tokens, refused
}

func TestThreeRotationsRefuseNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, answering("orders", "orders-1", "orders-2"), answering("users", "users-1"),
			rotation.Verifier{Name: "legacy", Class: rotation.Timed, Within: 20 * time.Minute})
		w.policy.Period, w.policy.Ahead = 2*time.Hour, time.Hour
		r := w.node("node-1", func(c *rotation.Config) { c.Tick = 10 * time.Second })
		run(t, r)
		time.Sleep(5 * time.Second)
		services := []service{w.start("orders", "orders-1"), w.start("orders", "orders-2"), w.start("users", "users-1"),
			w.start("legacy", "legacy-1", func(c *keyset.Config) { c.Acknowledge = nil })}
		tokens, refused := traffic(t, r, services, time.Now().Add(6*time.Hour+50*time.Minute), time.Minute)
		s := status(t, r)
		if refused > 0 || tokens < 3000 || states(s) != "0 removed, 1 removed, 2 removed, 3 active, " {
			t.Errorf("%d of %d tokens were refused; %s", refused, tokens, states(s))
		}
		for _, k := range s.Keys[:3] {
			if _, err := w.signer.Sign(t.Context(), k.ID, k.Algorithm, nil); !errors.Is(err, rotation.NotFound) {
				t.Errorf("the removed key %s can sign: %v", k.ID, err)
			}
		}
		for _, e := range history(t, w) {
			if e.Action == rotation.Promote && e.Reason.Code != rotation.NoSigner && (e.From != rotation.Proven || e.Reason.Operands["live"] != "3") {
				t.Errorf("promoted from %s with %v", e.From, e.Reason.Operands)
			}
		}
	})
}

// coarse looks less often, for the sake of long virtual times.
func coarse(c *rotation.Config) { c.Tick = 5 * time.Second }

// The story of the second source document: seven services, four of which read a
// file that nobody updates. The promotion is refused, and they are named.
func TestPromotionIsRefusedWithTheFourNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := []string{"gateway", "orders", "payments", "users", "search", "reports", "billing"}
		static := names[3:]
		var fleet []rotation.Verifier
		for _, n := range names {
			fleet = append(fleet, answering(n, n+"-1"))
		}
		w := newWorld(t, fleet...)
		r := w.node("node-1", coarse)
		run(t, r)
		time.Sleep(5 * time.Second)
		resp, err := w.RoundTrip(newRequest(t, issuerURL+"/.well-known/jwks.json"))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "keys.json")
		save(t, file, resp)
		var services []service
		for _, n := range names {
			services = append(services, w.start(n, n+"-1", func(c *keyset.Config) {
				if slices.Contains(static, n) {
					c.File = file
				}
			}))
		}
		if err := r.Rotate(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		if _, refused := traffic(t, r, services, time.Now().Add(20*time.Minute), time.Minute); refused > 0 {
			t.Errorf("%d tokens were refused", refused)
		}
		_, err = r.Promote(t.Context(), "", order)
		var e *rotation.Error
		if !errors.As(err, &e) || e.Kind != rotation.Refused {
			t.Fatalf("the promotion says %v", err)
		}
		got := e.Reason.Names()
		slices.Sort(got)
		want := slices.Sorted(slices.Values(static))
		if !slices.Equal(got, want) {
			t.Errorf("blocked by %q, want %q", got, want)
		}
		for _, b := range e.Reason.Blockers {
			if b.Code != rotation.NotHeld {
				t.Errorf("%s", b)
			}
		}
		// The file comes; the rotation goes on by itself, and nobody is refused.
		if resp, err = w.RoundTrip(newRequest(t, issuerURL+"/.well-known/jwks.json")); err != nil {
			t.Fatal(err)
		}
		save(t, file, resp)
		if _, refused := traffic(t, r, services, time.Now().Add(10*time.Minute), 10*time.Second); refused > 0 {
			t.Errorf("%d tokens were refused", refused)
		}
		if s := status(t, r); states(s) != "0 previous, 1 active, " {
			t.Errorf("%s", states(s))
		}
		entries := history(t, w)
		if !slices.ContainsFunc(entries, func(e rotation.Entry) bool {
			return e.Action == rotation.Refuse && e.By == "maya" && len(e.Reason.Names()) == 4
		}) {
			t.Error("the refusal is not in the trail")
		}
	})
}

func newRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func save(t *testing.T, file string, resp *http.Response) {
	t.Helper()
	f, err := os.Create(file + ".new")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), os.Rename(file+".new", file)); err != nil {
		t.Fatal(err)
	}
}

// An instance that comes with an old set after the promotion: the signer goes
// back before it could break many, and tries again when all are ready.
func TestTheSignerReturnsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, answering("orders", "orders-1"))
		r := w.node("node-1", coarse)
		run(t, r)
		time.Sleep(5 * time.Second)
		one := w.start("orders", "orders-1")
		old := signerOf(t, status(t, r))
		if err := r.Rotate(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		fresh := signerOf(t, status(t, r))
		if fresh.ID == old.ID {
			t.Fatalf("not promoted: %v", status(t, r).Gates)
		}
		told := message("orders-9", old)
		if rec, _ := tell(r, "orders", secret1, told); rec.Code != http.StatusOK {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		time.Sleep(time.Second)
		if got := signerOf(t, status(t, r)); got.ID != old.ID {
			t.Fatalf("the signer is %s", got.ID)
		}
		token, err := r.Token(t.Context(), "", map[string]any{"aud": "everybody"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := one.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Minute) // the stranger is gone, the hold is over
		s := status(t, r)
		if got := signerOf(t, s); got.ID != fresh.ID || s.Halted != "" {
			t.Fatalf("not promoted again: %v", s.Gates)
		}
		told.Sent = time.Now()
		tell(r, "orders", secret1, told)
		time.Sleep(time.Second)
		if s = status(t, r); s.Halted == "" || signerOf(t, s).ID != old.ID {
			t.Errorf("after two returns: %+v", s)
		}
		if err := r.Rotate(t.Context(), order); !errors.Is(err, rotation.Refused) {
			t.Errorf("a halted schedule takes a rotation: %v", err)
		}
		if err := r.Resume(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		if got := signerOf(t, status(t, r)); got.ID != fresh.ID {
			t.Errorf("not promoted after a person resumed: %v", status(t, r).Gates)
		}
	})
}

// Two nodes on one store; one of them dies in the middle. No step is done twice.
func TestTwoNodesAndADeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, answering("orders", "orders-1"))
		a := w.node("a", coarse)
		b := w.node("b", coarse)
		stop := run(t, a)
		run(t, b)
		time.Sleep(5 * time.Second)
		one := w.start("orders", "orders-1")
		if err := a.Rotate(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		stop()
		_, refused := traffic(t, b, []service{one}, time.Now().Add(time.Hour), 17*time.Second)
		if s := status(t, b); refused > 0 || states(s) != "0 removed, 1 active, " {
			t.Errorf("%d refused, %s", refused, states(s))
		}
		done := map[string]int{}
		for _, e := range history(t, w) {
			if e.Action != rotation.Judge && e.Action != rotation.Schedule {
				done[string(e.Action)+" "+string(e.Key)]++
			}
		}
		for what, n := range done {
			if n != 1 {
				t.Errorf("%s was done %d times", what, n)
			}
		}
	})
}

// faulty fails the call number at, before or after it was done.
type faulty struct {
	rotation.Store
	signer    rotation.Signer
	mu        sync.Mutex
	calls, at int
	after     bool
}

var errCrash = errors.New("crash")

func (f *faulty) around(do func() error) error {
	f.mu.Lock()
	f.calls++
	hit := f.calls == f.at
	f.mu.Unlock()
	if hit && !f.after {
		return errCrash
	}
	if err := do(); err != nil || !hit {
		return err
	}
	return errCrash
}

func (f *faulty) Commit(ctx context.Context, c rotation.Change) error {
	return f.around(func() error { return f.Store.Commit(ctx, c) })
}

type faultySigner struct{ *faulty }

func (f faultySigner) Create(ctx context.Context, id rotation.KeyID, alg rotation.Algorithm) (pub crypto.PublicKey, err error) {
	err = f.around(func() error { pub, err = f.signer.Create(ctx, id, alg); return err })
	return pub, err
}

func (f faultySigner) Sign(ctx context.Context, id rotation.KeyID, alg rotation.Algorithm, input []byte) ([]byte, error) {
	return f.signer.Sign(ctx, id, alg, input)
}

func (f faultySigner) Destroy(ctx context.Context, id rotation.KeyID) error {
	return f.around(func() error { return f.signer.Destroy(ctx, id) })
}

// A node that dies at any point of a rotation, before or after an effect, leaves
// what its successor finishes: the same keys, each made, published, promoted and
// destroyed once.
func TestACrashAtAnyStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		total := 0
		for at := 1; ; at++ {
			hit := false
			for _, after := range []bool{false, true} {
				w := newWorld(t) // nobody verifies: a rotation takes minutes
				w.policy.Watch, w.policy.MaxLifetime = time.Minute, time.Minute
				f := &faulty{Store: w.store, signer: w.signer, at: at, after: after}
				crashing := func(c *rotation.Config) { c.Store, c.Signer = f, faultySigner{f} }
				r := w.node("a", crashing)
				began := time.Now()
				for time.Since(began) < 20*time.Minute {
					err := r.Settle(t.Context(), time.Now())
					if errors.Is(err, errCrash) {
						hit = true
						total++
						r = w.node("b", crashing) // knows only what is stored
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					if time.Since(began) >= time.Minute && len(status(t, r).Keys) == 1 {
						err := r.Rotate(t.Context(), order)
						must(t, err, errCrash)
						if err != nil {
							hit = true
							total++
							r = w.node("b", crashing)
						}
					}
					time.Sleep(time.Second * 30)
				}
				s := status(t, r)
				if states(s) != "0 removed, 1 active, " {
					t.Errorf("crash %d (after %v): %s", at, after, states(s))
				}
				done := []string{}
				for _, e := range history(t, w) {
					done = append(done, string(e.Action))
				}
				if got := strings.Join(done, " "); strings.Count(got, "promote") != 2 || strings.Count(got, "plan") != 2 || strings.Count(got, "create") != 2 {
					t.Errorf("crash %d (after %v): %s", at, after, got)
				}
				if _, err := w.signer.Sign(t.Context(), s.Keys[1].ID, "EdDSA", nil); err != nil {
					t.Errorf("crash %d: the signer cannot sign: %v", at, err)
				}
			}
			if !hit {
				break
			}
		}
		if total < 20 {
			t.Errorf("only %d crashes", total)
		}
	})
}

// must fails on every error but the allowed one.
func must(t testing.TB, err error, allowed ...error) {
	t.Helper()
	for _, a := range allowed {
		if errors.Is(err, a) {
			return
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestANodeThatCannotReadDoesNotSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.node("a")
		settle(t, r)
		if _, err := r.Token(t.Context(), "", nil); err != nil {
			t.Fatal(err)
		}
		must(t, w.store.Close())
		time.Sleep(w.policy.Stale / 2)
		if _, err := r.Token(t.Context(), "", nil); err != nil {
			t.Errorf("within half of Stale: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := r.Token(t.Context(), "", nil); !errors.Is(err, rotation.Unavailable) {
			t.Errorf("later: %v", err)
		}
		if err := r.Ready(t.Context()); !errors.Is(err, rotation.Unavailable) {
			t.Errorf("ready: %v", err)
		}
		resp, err := w.RoundTrip(newRequest(t, issuerURL+"/.well-known/jwks.json"))
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("the key set: %v, %v", resp, err)
		}
	})
}

func TestTokensDoNotOutliveThePolicy(t *testing.T) {
	w := newWorld(t)
	r := w.node("a")
	if _, err := r.Token(t.Context(), "", nil); !errors.Is(err, rotation.Unavailable) {
		t.Errorf("before the first key: %v", err)
	}
	settle(t, r)
	now := time.Now()
	for exp, ok := range map[any]bool{
		now.Add(29 * time.Minute).Unix(): true, float64(now.Add(time.Minute).Unix()): true,
		now.Add(31 * time.Minute).Unix(): false, "tomorrow": false, nil: false,
	} {
		if _, err := r.Token(t.Context(), "at+jwt", map[string]any{"exp": exp}); (err == nil) != ok || err != nil && !errors.Is(err, rotation.Invalid) {
			t.Errorf("exp %v: %v", exp, err)
		}
	}
	if _, err := r.Token(t.Context(), "", map[string]any{"iss": "https://other.test"}); !errors.Is(err, rotation.Invalid) {
		t.Errorf("another issuer: %v", err)
	}
	if _, err := r.Token(t.Context(), "", map[string]any{"f": func() {}}); !errors.Is(err, rotation.Invalid) {
		t.Errorf("no JSON: %v", err)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	w := newWorld(t)
	good := answering("orders", "o1")
	for name, change := range map[string]func(*rotation.Config){
		"no store":             func(c *rotation.Config) { c.Store = nil },
		"no signer":            func(c *rotation.Config) { c.Signer = nil },
		"no issuer":            func(c *rotation.Config) { c.Issuer = "" },
		"relative key set":     func(c *rotation.Config) { c.JWKS = "/keys" },
		"algorithm":            func(c *rotation.Config) { c.Algorithm = "HS256" },
		"slow":                 func(c *rotation.Config) { c.Tick = time.Minute },
		"ahead of the period":  func(c *rotation.Config) { c.Policy.Ahead = c.Policy.Period },
		"negative":             func(c *rotation.Config) { c.Policy.Skew = -1 },
		"ages":                 func(c *rotation.Config) { c.Policy.MinAge = 20 * time.Minute },
		"stale":                func(c *rotation.Config) { c.Policy.Stale = time.Millisecond },
		"counts":               func(c *rotation.Config) { c.Policy.Refusals = -1 },
		"twice":                func(c *rotation.Config) { c.Verifiers = []rotation.Verifier{good, good} },
		"name":                 func(c *rotation.Config) { c.Verifiers[0].Name = "a/b" },
		"class":                func(c *rotation.Config) { c.Verifiers[0].Class = "" },
		"timed without a time": func(c *rotation.Config) { c.Verifiers[0] = rotation.Verifier{Name: "x", Class: rotation.Timed} },
		"answers with a time":  func(c *rotation.Config) { c.Verifiers[0].Within = time.Hour },
		"silent and expected": func(c *rotation.Config) {
			c.Verifiers[0] = rotation.Verifier{Name: "x", Class: rotation.Manual, Expect: 1}
		},
		"expects less": func(c *rotation.Config) { c.Verifiers[0].Expect = -1 },
		"no secret":    func(c *rotation.Config) { c.Verifiers[0].Secrets = nil },
		"bad secret":   func(c *rotation.Config) { c.Verifiers[0].Secrets = []string{"whsec_%"} },
		"empty secret": func(c *rotation.Config) { c.Verifiers[0].Secrets = []string{""} },
		"hooks without secrets": func(c *rotation.Config) {
			c.Verifiers[0] = rotation.Verifier{Name: "x", Class: rotation.Manual, Hooks: []string{"https://x/"}}
		},
		"bad hook":  func(c *rotation.Config) { c.Verifiers[0].Hooks = []string{"ftp://x"} },
		"bad probe": func(c *rotation.Config) { c.Verifiers[0].Probe = "{instance}" },
		"probe of nobody": func(c *rotation.Config) {
			c.Verifiers[0] = rotation.Verifier{Name: "x", Class: rotation.Manual, Probe: "https://{instance}/"}
		},
	} {
		cfg := rotation.Config{Issuer: issuerURL, Policy: w.policy, Verifiers: []rotation.Verifier{good}, Store: w.store, Signer: w.signer, Log: quiet}
		change(&cfg)
		if _, err := rotation.New(t.Context(), cfg); !errors.Is(err, rotation.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := rotation.New(t.Context(), rotation.Config{Issuer: issuerURL, Store: w.store, Signer: w.signer}); err != nil {
		t.Errorf("the least configuration: %v", err)
	}
	must(t, w.store.Close())
	if _, err := rotation.New(t.Context(), rotation.Config{Issuer: issuerURL, Store: w.store, Signer: w.signer}); !errors.Is(err, rotation.Unavailable) {
		t.Errorf("without a store: %v", err)
	}
}
