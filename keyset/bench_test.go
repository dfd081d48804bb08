package keyset_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"math/big"

	"prunella/keyset"
)

// bare is the least that must be done for a token: hash what was signed and
// check the signature, both already taken apart.
func bare(b *testing.B, s signer, token string) func() {
	last := strings.LastIndexByte(token, '.')
	signed := []byte(token[:last])
	sig, err := base64.RawURLEncoding.DecodeString(token[last+1:])
	if err != nil {
		b.Fatal(err)
	}
	switch pub := s.private.Public().(type) {
	case *rsa.PublicKey:
		return func() {
			sum := sha256.Sum256(signed)
			if rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum[:], sig) != nil {
				b.Fatal("refused")
			}
		}
	case *ecdsa.PublicKey:
		r, t := new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])
		return func() {
			sum := sha256.Sum256(signed)
			if !ecdsa.Verify(pub, sum[:], r, t) {
				b.Fatal("refused")
			}
		}
	case ed25519.PublicKey:
		return func() {
			if !ed25519.Verify(pub, signed, sig) {
				b.Fatal("refused")
			}
		}
	}
	panic("no such key")
}

// BenchmarkVerify reports, beside the time of one Verify, how many times the
// bare crypto it takes ("x-bare", both measured in turns, so that a busy
// machine disturbs both alike).
func BenchmarkVerify(b *testing.B) {
	for _, s := range []signer{rsaSigner(0, "rsa"), ecSigner(b, "ec", "ES256"), edSigner(b, "ed")} {
		b.Run(s.alg, func(b *testing.B) {
			set := newIssuer(s).start(b)
			claims := usual()
			claims["exp"] = time.Now().Add(100 * time.Hour).Unix()
			token := s.token(claims)
			crypt := bare(b, s, token)
			ours := func() {
				if _, err := set.Verify(context.Background(), token); err != nil {
					b.Fatal(err)
				}
			}
			ours()
			b.ReportAllocs()
			for b.Loop() {
				ours()
			}
			b.StopTimer()
			best := [2]time.Duration{time.Hour, time.Hour}
			for range 200 {
				for i, f := range [2]func(){crypt, ours} {
					start := time.Now()
					for range 10 {
						f()
					}
					best[i] = min(best[i], time.Since(start))
				}
			}
			b.ReportMetric(float64(best[1])/float64(best[0]), "x-bare")
			b.ReportMetric(testing.AllocsPerRun(100, ours)-testing.AllocsPerRun(100, crypt), "allocs-over-bare")
		})
	}
}

func BenchmarkVerifyParallel(b *testing.B) {
	s := rsaSigner(0, "rsa")
	set := newIssuer(s).start(b)
	token := s.fresh()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := set.Verify(context.Background(), token); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkUnknownKid refuses tokens that would be good if their kid were
// known, each with another kid, after the flood has spent what it can.
func BenchmarkUnknownKid(b *testing.B) {
	for name, change := range map[string]func(*keyset.Config){"alone": func(*keyset.Config) {}, "told": func(c *keyset.Config) {
		c.Acknowledge = &keyset.Acknowledge{URL: "http://127.0.0.1:1/ack", Secret: secret, Instance: "i"}
	}} {
		b.Run(name, func(b *testing.B) {
			s := edSigner(b, "current")
			set := newIssuer(s).start(b, change)
			var tokens []string
			for n := range 4096 {
				junk := s
				junk.kid = "junk-" + encode([]byte{byte(n >> 8), byte(n)})
				tokens = append(tokens, junk.fresh())
			}
			for _, t := range tokens {
				_, _ = set.Verify(context.Background(), t)
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if _, err := set.Verify(context.Background(), tokens[n%len(tokens)]); err == nil {
					b.Fatal("accepted")
				}
				n++
			}
		})
	}
}
