package keyset_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"prunella/keyset"
)

// forge is a token that nobody signed, with claims that could not be better.
func forge(kid string) string {
	head, _ := json.Marshal(map[string]string{"alg": "EdDSA", "kid": kid, "typ": "JWT"})
	body, _ := json.Marshal(usual())
	sig := make([]byte, 64)
	for i := range sig {
		sig[i] = byte(rand.Uint32())
	}
	return encode(head) + "." + encode(body) + "." + encode(sig)
}

// mostInAMinute is the largest number of fetches in any minute after since.
func (i *issuer) mostInAMinute(since time.Time) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	most := 0
	for n, at := range i.fetches {
		if at.Before(since) {
			continue
		}
		end := n
		for end < len(i.fetches) && i.fetches[end].Sub(at) < time.Minute {
			end++
		}
		most = max(most, end-n)
	}
	return most
}

func TestNewKeyIsKnownAtItsFirstToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		set := iss.start(t)
		accepts(t, set, a.fresh())
		time.Sleep(time.Second)
		iss.publish(a, b)
		iss.set(func() { iss.delay = 40 * time.Millisecond })
		before := time.Now()

		var all sync.WaitGroup
		var refused atomic.Int64
		for range 200 {
			all.Go(func() {
				if _, err := set.Verify(t.Context(), b.fresh()); err != nil {
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if n := refused.Load(); n > 0 {
			t.Errorf("%d of 200 tokens refused after the rotation", n)
		}
		if n := iss.count(before); n != 1 {
			t.Errorf("%d fetches, want one for all", n)
		}
		if wait := time.Since(before); wait > 50*time.Millisecond {
			t.Errorf("waited %s for a fetch of 40 ms", wait)
		}
	})
}

func TestManyRotationsInAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := newIssuer(edSigner(t, "k0"))
		set := iss.start(t)
		for n := 1; n <= 5; n++ {
			time.Sleep(10 * time.Second)
			s := edSigner(t, fmt.Sprint("k", n))
			iss.publish(s)
			accepts(t, set, s.fresh())
		}
	})
}

func TestFloodThenRotation(t *testing.T) {
	for _, junk := range []int{30, 200, 5000} {
		t.Run(fmt.Sprint(junk), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := edSigner(t, "a"), edSigner(t, "b")
				iss := newIssuer(a)
				set := iss.start(t)
				time.Sleep(5 * time.Second)
				before := time.Now()
				for n := range junk {
					refuses(t, set, forge(fmt.Sprint("junk", n)), keyset.UnknownKey)
					time.Sleep(time.Millisecond)
				}
				if n := iss.count(before); n != 1 {
					t.Errorf("the flood caused %d fetches, want 1", n)
				}
				iss.publish(b)
				time.Sleep(500 * time.Millisecond)
				accepts(t, set, b.fresh()) // the first one
				refuses(t, set, a.fresh(), keyset.UnknownKey)
				if n := iss.mostInAMinute(before); n > 2 {
					t.Errorf("%d fetches in a minute, want at most 2", n)
				}
			})
		})
	}
}

// firstAccepted sends ten requests a second with s's tokens until one passes.
func firstAccepted(t *testing.T, set *keyset.Set, s signer) {
	t.Helper()
	for range 1000 {
		if _, err := set.Verify(t.Context(), s.fresh()); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("never accepted")
}

// A flood that goes on: the new key is not known at its first token, for which
// nothing speaks, but within a second.
func TestRotationDuringAFlood(t *testing.T) {
	for name, every := range map[string]time.Duration{"200 a second": 5 * time.Millisecond, "trickle": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := edSigner(t, "a")
				iss := newIssuer(a)
				set := iss.start(t)
				time.Sleep(time.Minute)
				before := time.Now()
				stop := flood(t, set, func(n int) (string, time.Duration) { return forge(fmt.Sprint("junk", n)), every/2 + rand.N(every) })
				for n := range 3 {
					time.Sleep(100 * time.Second)
					b := edSigner(t, fmt.Sprint("b", n))
					iss.publish(b)
					rotated := time.Now()
					firstAccepted(t, set, b)
					if took := time.Since(rotated); took > time.Second {
						t.Errorf("rotation %d was known after %s", n, took)
					}
				}
				stop()
				// Three of these fetches found a key, which is not what a flood causes.
				if n := iss.mostInAMinute(before); n > 3 {
					t.Errorf("%d fetches in a minute", n)
				}
			})
		})
	}
}

// Floods are not even: they come as they like, in bursts, and in a process that
// is held up for a moment. What comes after a pause is then no sign of a rotation.
func TestRotationDuringAnUnevenFlood(t *testing.T) {
	for name, next := range map[string]func(n int) time.Duration{
		"any time": func(int) time.Duration { return time.Duration(rand.ExpFloat64() * float64(70*time.Millisecond)) },
		"slow":     func(int) time.Duration { return time.Duration(rand.ExpFloat64() * float64(2*time.Second)) },
		"bursts of 3": func(n int) time.Duration {
			return []time.Duration{time.Millisecond, 1500 * time.Millisecond}[btoi(n%3 == 2)]
		},
		"bursts of 40": func(n int) time.Duration {
			return []time.Duration{2 * time.Millisecond, 3 * time.Second}[btoi(n%40 == 39)]
		},
		"held up at 14/s": func(n int) time.Duration {
			return []time.Duration{70 * time.Millisecond, 800 * time.Millisecond}[btoi(n%35 == 34)]
		},
		"throttled": func(n int) time.Duration {
			return []time.Duration{20 * time.Millisecond, 250 * time.Millisecond}[btoi(n%50 == 49)]
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				iss := newIssuer(edSigner(t, "a"))
				set := iss.start(t)
				time.Sleep(time.Minute)
				before := time.Now()
				stop := flood(t, set, func(n int) (string, time.Duration) { return forge(fmt.Sprint("junk", n)), next(n) })
				late := 0
				const rotations = 12
				for n := range rotations {
					time.Sleep(70 * time.Second)
					b := edSigner(t, fmt.Sprint("b", n))
					iss.publish(b)
					rotated := time.Now()
					firstAccepted(t, set, b)
					if took := time.Since(rotated); took > time.Second {
						t.Logf("rotation %d was known after %s", n, took)
						late++
					}
				}
				stop()
				if late > 1 { // in a quarter of an hour something may look like a silence once
					t.Errorf("%d of %d rotations were known late", late, rotations)
				}
				if n := iss.mostInAMinute(before); n > 3 { // one of them found a key
					t.Errorf("%d fetches in a minute", n)
				}
			})
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Somebody who knows the algorithm and can state every claim spends both slots
// on purpose. The bound that is left is a minute.
func TestRotationUnderTheWorstFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		set := iss.start(t)
		time.Sleep(time.Minute)
		before := time.Now()
		stop := flood(t, set, func(n int) (string, time.Duration) { return forge(fmt.Sprint("junk", n/100)), 20 * time.Millisecond }) // each kid a hundred times
		time.Sleep(5 * time.Minute)
		if n := iss.mostInAMinute(before); n > 2 {
			t.Errorf("%d fetches in a minute, want at most 2", n)
		}
		iss.publish(b)
		rotated := time.Now()
		firstAccepted(t, set, b)
		if took := time.Since(rotated); took > time.Minute {
			t.Errorf("known after %s, want a minute at most", took)
		}
		stop()
	})
}

// Tokens that would be refused whatever their key, forged signatures and one
// kid again and again cause next to nothing.
func TestJunkThatCausesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, stranger := edSigner(t, "a"), edSigner(t, "old")
		iss := newIssuer(a)
		set := iss.start(t)
		time.Sleep(5 * time.Second)
		before := time.Now()
		for _, change := range []map[string]any{
			{"aud": "payments"}, {"exp": time.Now().Add(-time.Hour).Unix()}, {"iss": "https://other.example"}, {"nbf": time.Now().Add(time.Hour).Unix()},
		} {
			claims := usual()
			for k, v := range change {
				claims[k] = v
			}
			if _, err := set.Verify(t.Context(), stranger.token(claims)); err == nil {
				t.Error("accepted")
			}
		}
		if n := iss.count(before); n != 0 {
			t.Errorf("%d fetches for tokens that no key can make good", n)
		}
		forged := edSigner(t, "a")
		old := stranger.fresh()
		for range 590 { // not yet the time of the scheduled refresh
			refuses(t, set, old, keyset.UnknownKey)
			refuses(t, set, forged.fresh(), keyset.Signature)
			time.Sleep(100 * time.Millisecond)
		}
		if n := iss.count(before); n > 2 {
			t.Errorf("%d fetches for one old token and forged signatures in a minute, want at most 2", n)
		}
	})
}

// An issuer that signs with a key before it publishes it refuses itself; the
// key is known soon after it is there.
func TestKeyPublishedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		set := iss.start(t)
		time.Sleep(time.Minute)
		before := time.Now()
		time.AfterFunc(5*time.Second, func() { iss.publish(a, b) })
		firstAccepted(t, set, b)
		if took := time.Since(before); took > 11*time.Second {
			t.Errorf("known %s after the first token, want 11 s at most", took)
		}
		if n := iss.count(before); n > 2 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestSameKidWithNewMaterial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "signing"), edSigner(t, "signing")
		iss := newIssuer(a)
		set := iss.start(t)
		old := a.fresh()
		accepts(t, set, old)
		print := set.Keys()[0].Thumbprint
		time.Sleep(2 * time.Minute)
		iss.publish(b)
		accepts(t, set, b.fresh())
		refuses(t, set, old, keyset.Signature)
		if set.Keys()[0].Thumbprint == print {
			t.Error("the thumbprint is still that of the old material")
		}
	})
}

func TestRemovalIsHonoured(t *testing.T) {
	for _, control := range []string{"max-age=31536000", "max-age=99999999999999999999", "immutable", ""} {
		synctest.Test(t, func(t *testing.T) {
			a, b := edSigner(t, "a"), edSigner(t, "b")
			iss := newIssuer(a, b)
			iss.control = control
			set := iss.start(t)
			claims := usual()
			claims["exp"] = time.Now().Add(24 * time.Hour).Unix()
			token := a.token(claims)
			accepts(t, set, token)
			iss.publish(b)
			time.Sleep(15*time.Minute + time.Second)
			refuses(t, set, token, keyset.UnknownKey)
		})
	}
}

func TestRefreshIsAheadConditionalAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := newIssuer(edSigner(t, "a"))
		iss.control = "no-cache, max-age=1" // would have us ask all the time
		iss.start(t)
		before := time.Now()
		time.Sleep(time.Hour)
		if n := iss.count(before); n > 62 {
			t.Errorf("%d fetches in an hour, more than one a minute", n)
		}
		iss.set(func() {
			if iss.unchanged < 50 || iss.fresh > 0 {
				t.Errorf("%d fetches were answered 304 and %d went past caches; want nearly all and none", iss.unchanged, iss.fresh)
			}
		})
		iss.set(func() { iss.control = "max-age=600" })
		time.Sleep(time.Hour)
		iss.mu.Lock()
		defer iss.mu.Unlock()
		last := iss.fetches[len(iss.fetches)-3:]
		for n := range 2 {
			if gap := last[n+1].Sub(last[n]); gap < 450*time.Second || gap > 540*time.Second {
				t.Errorf("refreshed after %s, want 75 to 90 %% of ten minutes", gap)
			}
		}
	})
}

func TestNoHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := newIssuer(edSigner(t, "a"))
		for range 200 {
			iss.start(t)
		}
		before := time.Now().Add(time.Second)
		time.Sleep(10 * time.Minute)
		perSecond := map[int64]int{}
		iss.mu.Lock()
		defer iss.mu.Unlock()
		for _, at := range iss.fetches {
			if at.After(before) {
				perSecond[at.Unix()]++
			}
		}
		most := 0
		for _, n := range perSecond {
			most = max(most, n)
		}
		if len(perSecond) < 50 || most > 15 {
			t.Errorf("200 verifiers fetched in %d different seconds, %d in one", len(perSecond), most)
		}
	})
}

func TestIssuerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := edSigner(t, "a")
		iss := newIssuer(a)
		set := iss.start(t)
		iss.set(func() { iss.down = errDown })
		before := time.Now()
		for range 70 {
			time.Sleep(time.Minute)
			accepts(t, set, a.fresh())
		}
		if n := iss.count(before); n > 110 {
			t.Errorf("%d tries in 70 minutes", n)
		}
		if err := set.Ready(); err != nil {
			t.Errorf("not ready while the last set may be used: %v", err)
		}
		time.Sleep(5 * time.Hour)
		refuses(t, set, a.fresh(), keyset.Unavailable)
		if set.Ready() == nil || len(set.Keys()) > 0 {
			t.Error("ready with keys that are too old")
		}
		iss.set(func() { iss.down = nil })
		time.Sleep(time.Minute)
		accepts(t, set, a.fresh())
		if err := set.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// A rotation while the issuer cannot be reached is known as soon as it can.
func TestRotationWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		set := iss.start(t)
		iss.set(func() { iss.down = errDown })
		refuses(t, set, b.fresh(), keyset.UnknownKey)
		accepts(t, set, a.fresh())
		time.Sleep(20 * time.Second)
		iss.publish(b)
		iss.set(func() { iss.down = nil })
		time.Sleep(30 * time.Second)
		accepts(t, set, b.fresh())
	})
}

// However long it was away and whenever tokens of the new key came meanwhile:
// their users do not wait a minute for the slots to fill again.
func TestLongOutageWithARotation(t *testing.T) {
	for _, away := range []time.Duration{59 * time.Second, time.Minute, 3*time.Minute + 7*time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			a, b := edSigner(t, "a"), edSigner(t, "b")
			iss := newIssuer(a)
			set := iss.start(t)
			time.Sleep(70 * time.Second)
			iss.set(func() { iss.down = errDown })
			before := time.Now()
			for time.Since(before) < away {
				refuses(t, set, b.fresh(), keyset.UnknownKey)
				time.Sleep(950 * time.Millisecond)
			}
			if n := iss.count(before); n > 9+4*int(away/time.Minute) {
				t.Errorf("%d tries in %s", n, away)
			}
			iss.publish(a, b)
			iss.set(func() { iss.down = nil })
			back := time.Now()
			for {
				if _, err := set.Verify(t.Context(), b.fresh()); err == nil {
					break
				}
				time.Sleep(950 * time.Millisecond)
			}
			if took := time.Since(back); took > 21*time.Second {
				t.Errorf("away for %s, and then the new key was unknown for %s more", away, took)
			}
		})
	}
}
