package keyset_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"prunella/keyset"
)

// Troubles that come together. What is asked here is what a legitimate user
// sees: the first token of a new key is accepted, however many others came.

// without returns a fresh token of s that lacks a claim.
func (s signer) without(claim string) string { return s.token(with(claim, nil)) }

func TestRotationSoonAfterAStray(t *testing.T) {
	for _, strays := range []int{1, 2, 6} {
		synctest.Test(t, func(t *testing.T) {
			a, b := edSigner(t, "a"), edSigner(t, "b")
			iss := newIssuer(a)
			set := iss.start(t)
			time.Sleep(2 * time.Minute)
			for n := range strays {
				refuses(t, set, forge(fmt.Sprint("stray", n)), keyset.UnknownKey)
				time.Sleep(20 * time.Millisecond)
			}
			time.Sleep(9 * time.Second)
			iss.publish(b)
			start := time.Now()
			accepts(t, set, b.fresh())
			if took := time.Since(start); took > 300*time.Millisecond {
				t.Errorf("%d strays made the first token wait %s", strays, took)
			}
		})
	}
}

// A revoked key that somebody goes on using must not hide the next rotation.
func TestRevokedKeyInUseAndAnotherRotation(t *testing.T) {
	for _, after := range []time.Duration{3 * time.Second, 12 * time.Second, 25 * time.Second, 55 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			a, b, c := edSigner(t, "a"), edSigner(t, "b"), edSigner(t, "c")
			iss := newIssuer(a)
			set := iss.start(t)
			time.Sleep(2 * time.Minute)
			iss.publish(b)
			for rotated := time.Now(); time.Since(rotated) < after; time.Sleep(500 * time.Millisecond) {
				accepts(t, set, b.fresh())
				refuses(t, set, a.fresh(), keyset.UnknownKey)
			}
			iss.publish(c)
			_, err := set.Verify(t.Context(), c.fresh())
			if after >= 5*time.Second && err != nil {
				t.Errorf("another rotation after %s: %v", after, err)
			}
			accepts(t, set, c.fresh())
		})
	}
}

// A replica of the issuer that was forgotten signs with a key that is nowhere.
func TestRotationsBesideAForgottenKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := edSigner(t, "old")
		iss := newIssuer(edSigner(t, "a"))
		set := iss.start(t)
		time.Sleep(2 * time.Minute)
		before := time.Now()
		stop := make(chan struct{})
		var flood sync.WaitGroup
		flood.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
					_, _ = set.Verify(t.Context(), old.fresh())
				}
			}
		})
		time.Sleep(100 * time.Second)
		for n := range 12 {
			time.Sleep(97 * time.Second)
			s := edSigner(t, fmt.Sprint("k", n))
			iss.publish(s)
			accepts(t, set, s.fresh())
		}
		close(stop)
		flood.Wait()
		if n := iss.mostInAMinute(before); n > 3 { // one of them found a key
			t.Errorf("%d fetches in a minute", n)
		}
	})
}

// A flood may take its kids from a list, in order or not.
func TestFloodThatRepeatsItsKids(t *testing.T) {
	for _, one := range []struct {
		kids  int
		every time.Duration
		any   bool
	}{{10, 10 * time.Millisecond, false}, {200, 5 * time.Millisecond, false}, {50, 50 * time.Millisecond, false}, {200, 5 * time.Millisecond, true}} {
		t.Run(fmt.Sprint(one), func(t *testing.T) {
			late := 0
			const worlds = 5
			for range worlds {
				synctest.Test(t, func(t *testing.T) {
					a, b := edSigner(t, "a"), edSigner(t, "b")
					iss := newIssuer(a)
					set := iss.start(t)
					time.Sleep(2 * time.Minute)
					before := time.Now()
					for n := 0; time.Since(before) < 15*time.Second; n++ {
						kid := n % one.kids
						if one.any {
							kid = rand.IntN(one.kids)
						}
						go func() { _, _ = set.Verify(context.Background(), forge(fmt.Sprint("junk", kid))) }()
						time.Sleep(one.every)
					}
					time.Sleep(time.Second)
					iss.publish(b)
					if _, err := set.Verify(t.Context(), b.fresh()); err != nil {
						late++
					}
					if n := iss.mostInAMinute(before); n > 3 {
						t.Errorf("%d fetches in a minute", n)
					}
				})
			}
			if late > 1+2*btoi(one.any) { // whoever draws lots sometimes repeats only one
				t.Errorf("in %d of %d worlds the first token of the new key is refused", late, worlds)
			}
		})
	}
}

// iat is optional (RFC 7519, 4.1.6). Without it rotations are known as with it.
func TestIssuersWithoutIssuedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, renewed := edSigner(t, "a"), edSigner(t, "b"), edSigner(t, "b")
		iss := newIssuer(a)
		set := iss.start(t)
		time.Sleep(2 * time.Minute)
		for n := range 100 {
			refuses(t, set, forge(fmt.Sprint("junk", n)), keyset.UnknownKey)
			time.Sleep(10 * time.Millisecond)
		}
		iss.publish(b)
		_, _ = set.Verify(t.Context(), b.without("iat"))
		accepts(t, set, b.without("iat"))
		time.Sleep(2 * time.Minute)
		iss.publish(renewed)
		accepts(t, set, renewed.without("iat"))
	})
}

// An issuer of one key may do without kids, and may change the algorithm of a
// kid with its key.
func TestRotationWithoutKidsAndOfTheAlgorithm(t *testing.T) {
	for name, keys := range map[string][2]signer{
		"no kids":       {edSigner(t, ""), edSigner(t, "")},
		"new algorithm": {edSigner(t, "k"), ecSigner(t, "k", "ES256")},
		"both":          {ecSigner(t, "", "ES384"), edSigner(t, "")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := keys[0], keys[1]
				iss := newIssuer(a)
				set := iss.start(t)
				time.Sleep(2 * time.Minute)
				accepts(t, set, a.fresh())
				for range 3 { // each finds what it looks for, so each is free
					iss.publish(b)
					accepts(t, set, b.fresh())
					a, b = b, a
				}
				if _, err := set.Verify(t.Context(), b.fresh()); err == nil {
					t.Error("the key before is still accepted")
				}
			})
		})
	}
}

// A server that says 304 whatever changed is found out by the first token of a
// new key, and within an hour when there is none.
func TestServerThatSaysUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := edSigner(t, "a"), edSigner(t, "b"), edSigner(t, "c")
		iss := newIssuer(a)
		iss.answer = func(w http.ResponseWriter, r *http.Request) bool {
			lie := r.URL.Path == "/jwks" && r.Header.Get("If-None-Match") != ""
			if lie {
				w.WriteHeader(http.StatusNotModified)
			}
			return lie
		}
		set := iss.start(t)
		time.Sleep(time.Hour)
		iss.publish(b)
		accepts(t, set, b.fresh())
		iss.publish(c)
		time.Sleep(75 * time.Minute)
		refuses(t, set, b.fresh(), keyset.UnknownKey)
	})
}

func TestSlowIssuer(t *testing.T) {
	for _, delay := range []time.Duration{time.Second, 1900 * time.Millisecond, 3 * time.Second, 6 * time.Second, 9 * time.Second} {
		t.Run(delay.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := edSigner(t, "a"), edSigner(t, "b")
				iss := newIssuer(a)
				iss.delay = delay
				set := iss.start(t, withHints)
				time.Sleep(30 * time.Second)
				accepts(t, set, a.fresh())
				if err := set.Ready(); err != nil {
					t.Error(err)
				}
				// A fetch is under way that began before the rotation.
				if code := push(t, set, "m", time.Now(), secret, "{}"); code != http.StatusAccepted {
					t.Errorf("a hint is answered %d", code)
				}
				time.Sleep(delay - 100*time.Millisecond)
				iss.set(func() { // as it was when it was asked
					iss.answer = func(w http.ResponseWriter, r *http.Request) bool {
						if r.URL.Path == "/jwks" {
							_, _ = w.Write(jwks(a))
						}
						return r.URL.Path == "/jwks"
					}
				})
				time.AfterFunc(150*time.Millisecond, func() { iss.set(func() { iss.answer, iss.body = nil, jwks(a, b) }) })
				start := time.Now()
				_, err := set.Verify(t.Context(), b.fresh())
				if took := time.Since(start); took > 2*time.Second+time.Millisecond || err == nil && took < delay {
					t.Errorf("%v after %s", err, took)
				}
				if delay < 1900*time.Millisecond && err != nil {
					t.Error(err)
				}
				time.Sleep(delay + time.Second)
				accepts(t, set, b.fresh())
				accepts(t, set, a.fresh())
			})
		})
	}
}

// The discovery document may be away, slow or broken as long as the set is there.
func TestDiscoveryGoesAwayLater(t *testing.T) {
	for name, away := range map[string]func(http.ResponseWriter, *http.Request){
		"gone":    http.NotFound,
		"a page":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"another": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"issuer":"https://evil.example.test"}`) },
		"hanging": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				iss := newIssuer(edSigner(t, "a"))
				broken := false
				set := iss.start(t, func(c *keyset.Config) {
					c.Client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
						if strings.HasPrefix(r.URL.Path, "/.well-known/") && name == "hanging" {
							<-r.Context().Done()
							return nil, r.Context().Err()
						}
						return iss.RoundTrip(r)
					})}
					if name == "hanging" { // for ever: it was never there
						c.JWKS = issuerURL + "/jwks"
					}
				})
				iss.set(func() {
					iss.answer = func(w http.ResponseWriter, r *http.Request) bool {
						switch {
						case r.URL.Path != "/jwks":
							away(w, r)
							return true
						case broken:
							http.Error(w, "half dead", http.StatusInternalServerError)
						}
						return broken
					}
				})
				time.Sleep(30 * time.Hour) // it is looked up again each day
				iss.set(func() { broken = true })
				time.Sleep(20 * time.Minute)
				iss.set(func() { broken = false })
				time.Sleep(3 * time.Minute)
				b := edSigner(t, "b")
				iss.publish(b)
				accepts(t, set, b.fresh())
				time.Sleep(7 * time.Hour)
				accepts(t, set, b.fresh())
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// stuck is a log that holds its writer up, from a moment on, for so long: what
// a machine does to a process that it suspends.
type stuck struct {
	slog.Handler
	mu    sync.Mutex
	pause time.Duration
}

func (s *stuck) Handle(context.Context, slog.Record) error {
	s.mu.Lock()
	d := s.pause
	s.pause = 0
	s.mu.Unlock()
	time.Sleep(d)
	return nil
}

// Who was suspended for hours looks at the set before it judges a token: it
// neither takes a key that was removed meanwhile nor refuses everybody.
func TestResumeAfterHours(t *testing.T) {
	for _, away := range []time.Duration{time.Hour, 9 * time.Hour} {
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, c := edSigner(t, "a"), edSigner(t, "b"), edSigner(t, "c")
				iss := newIssuer(a, b)
				held := &stuck{Handler: slog.DiscardHandler}
				set := iss.start(t, withHints, func(cfg *keyset.Config) { cfg.Log = slog.New(held) })
				time.Sleep(time.Minute)
				held.mu.Lock()
				held.pause = away
				held.mu.Unlock()
				iss.publish(b, c) // told, which holds the refreshes up
				push(t, set, "m", time.Now(), secret, "{}")
				synctest.Wait()
				iss.publish(c)
				iss.set(func() { iss.delay = 50 * time.Millisecond })
				time.Sleep(away - time.Second)
				start := time.Now()
				accepts(t, set, c.fresh())
				if took := time.Since(start); took > 1100*time.Millisecond {
					t.Errorf("the first token waited %s", took)
				}
				refuses(t, set, b.fresh(), keyset.UnknownKey)
				if err := set.Ready(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// While that look takes long it is waited for once, not by each token.
func TestResumeWithoutAnIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		held := &stuck{Handler: slog.DiscardHandler}
		set := iss.start(t, withHints, func(cfg *keyset.Config) { cfg.Log = slog.New(held) })
		time.Sleep(time.Minute)
		held.mu.Lock()
		held.pause = 2 * time.Hour
		held.mu.Unlock()
		iss.publish(a, b)
		push(t, set, "m", time.Now(), secret, "{}")
		synctest.Wait()
		time.Sleep(time.Hour)
		start := time.Now()
		for range 100 {
			accepts(t, set, a.fresh())
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("a hundred tokens of a known key waited %s", took)
		}
	})
}

// An issuer that comes back finds its verifiers there soon when they have
// nothing to go on with.
func TestIssuerComesBackToABareVerifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := edSigner(t, "a")
		iss := newIssuer(a)
		iss.down = errDown
		set := iss.start(t)
		time.Sleep(20 * time.Minute)
		iss.set(func() { iss.down = nil })
		time.Sleep(16 * time.Second)
		accepts(t, set, a.fresh())
	})
}

// Two keys may be new at once, and both in use at once.
func TestTwoNewKeysAtOnceDuringAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := edSigner(t, "a"), edSigner(t, "b"), ecSigner(t, "c", "ES256")
		iss := newIssuer(a)
		set := iss.start(t)
		time.Sleep(2 * time.Minute)
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				all.Go(func() { _, _ = set.Verify(ctx, forge(fmt.Sprint("junk", n))) })
				time.Sleep(10 * time.Millisecond)
			}
		})
		time.Sleep(30 * time.Second)
		iss.publish(a, b, c)
		refused := [2]int{}
		for n, s := range []signer{b, c} {
			all.Go(func() {
				for {
					if _, err := set.Verify(ctx, s.fresh()); err == nil {
						return
					}
					refused[n]++
					time.Sleep(30 * time.Millisecond)
				}
			})
		}
		time.Sleep(3 * time.Second)
		stop()
		all.Wait()
		if refused[0] > 1 || refused[1] > 1 {
			t.Errorf("%v tokens refused, want one of each at most", refused)
		}
	})
}

// Junk whose signature no key can have made is no reason to look for one.
func TestSignaturesOfNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		set := iss.start(t)
		time.Sleep(2 * time.Minute)
		before := time.Now()
		for n, token := range []string{forge("x"), rsaSigner(0, "r").fresh(), ecSigner(t, "e", "ES512").fresh()} {
			parts := strings.Split(token, ".")
			for _, sig := range []string{"", "AAAA", parts[2][:len(parts[2])/4*2], strings.Repeat(parts[2], 6)} {
				_, err := set.Verify(t.Context(), parts[0]+"."+parts[1]+"."+sig)
				if !errors.Is(err, keyset.UnknownKey) && !errors.Is(err, keyset.Malformed) {
					t.Errorf("%d: %v", n, err)
				}
			}
		}
		forged := edSigner(t, "a").fresh()
		refuses(t, set, forged[:strings.LastIndexByte(forged, '.')+1], keyset.Signature)
		if n := iss.count(before); n != 0 {
			t.Errorf("%d fetches", n)
		}
		iss.publish(b)
		accepts(t, set, b.fresh())
	})
}

// Close ends what waits, also a fetch that waits for silence.
func TestCloseWhileAFetchIsHushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		set := iss.start(t)
		time.Sleep(2 * time.Minute)
		refuses(t, set, forge("stray"), keyset.UnknownKey)
		time.Sleep(10 * time.Second)
		iss.publish(b)
		before := time.Now()
		done := make(chan error)
		go func() {
			_, err := set.Verify(t.Context(), b.fresh())
			done <- err
		}()
		synctest.Wait()
		set.Close()
		if err := <-done; !errors.Is(err, keyset.UnknownKey) || time.Since(before) > 0 {
			t.Errorf("%v after %s", err, time.Since(before))
		}
		time.Sleep(time.Minute)
		if n := iss.count(before); n != 0 {
			t.Errorf("%d fetches after Close", n)
		}
	})
}
