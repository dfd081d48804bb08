package keyset_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"prunella/keyset"
)

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
