package keyset_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
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
		stop := flood(t, set, func(int) (string, time.Duration) { return old.fresh(), 250 * time.Millisecond })
		time.Sleep(100 * time.Second)
		for n := range 8 {
			time.Sleep(97 * time.Second)
			s := edSigner(t, fmt.Sprint("k", n))
			iss.publish(s)
			accepts(t, set, s.fresh())
		}
		stop()
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
			const worlds = 3
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

// A kid may get new material in the middle of a flood, and no token may tell.
func TestSameKidWithNewMaterialDuringAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := edSigner(t, "signing")
		iss := newIssuer(a)
		set := iss.start(t)
		time.Sleep(2 * time.Minute)
		before := time.Now()
		stop := flood(t, set, func(n int) (string, time.Duration) { return forge(fmt.Sprint("junk", n)), 100 * time.Millisecond })
		for range 3 {
			time.Sleep(90 * time.Second)
			accepts(t, set, a.fresh())
			a = edSigner(t, "signing")
			iss.publish(a)
			rotated := time.Now()
			firstAccepted(t, set, a)
			if took := time.Since(rotated); took > 3*time.Second {
				t.Errorf("known after %s", took)
			}
		}
		// Forged tokens of a key that is in use are no such sign.
		time.Sleep(70 * time.Second)
		since := time.Now()
		for range 300 {
			refuses(t, set, forge("signing"), keyset.Signature)
			accepts(t, set, a.fresh())
			time.Sleep(100 * time.Millisecond)
		}
		if n := iss.count(since); n > 1 {
			t.Errorf("%d fetches for forged signatures", n)
		}
		stop()
		if n := iss.mostInAMinute(before); n > 3 { // one of them found a key
			t.Errorf("%d fetches in a minute", n)
		}
	})
}

// A key that is published minutes after it signs is known a minute later.
func TestKeyPublishedVeryLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edSigner(t, "a"), edSigner(t, "b")
		iss := newIssuer(a)
		iss.control = "max-age=900"
		set := iss.start(t)
		time.Sleep(30 * time.Second)
		before := time.Now()
		for time.Since(before) < 8*time.Minute {
			refuses(t, set, b.fresh(), keyset.UnknownKey)
			time.Sleep(500 * time.Millisecond)
		}
		iss.publish(a, b)
		published := time.Now()
		firstAccepted(t, set, b)
		if took := time.Since(published); took > time.Minute {
			t.Errorf("known after %s", took)
		}
		if n := iss.mostInAMinute(before); n > 2 {
			t.Errorf("%d fetches in a minute", n)
		}
	})
}

// Fifty requests show tokens of a new key at once, when the open slot is spent
// and only the evidence slot can bring it. Whoever comes while that fetch is
// under way, or just as it lands, is served.
func TestManyAtOnceWhenAFetchLands(t *testing.T) {
	for range 60 {
		synctest.Test(t, func(t *testing.T) {
			a, b := edSigner(t, "a"), edSigner(t, "b")
			iss := newIssuer(a)
			set := iss.start(t)
			time.Sleep(2 * time.Minute)
			junk := a
			junk.kid = "junk"
			refuses(t, set, junk.fresh(), keyset.UnknownKey) // spends the open slot
			time.Sleep(30 * time.Second)
			iss.publish(a, b)
			token := b.fresh()
			var all sync.WaitGroup
			var refused atomic.Int32
			for range 50 {
				all.Go(func() {
					if _, err := set.Verify(t.Context(), token); err != nil {
						refused.Add(1)
					}
				})
			}
			all.Wait()
			if refused.Load() > 1 { // the very first may not stand out yet
				t.Fatalf("%d of 50 refused", refused.Load())
			}
		})
	}
}
