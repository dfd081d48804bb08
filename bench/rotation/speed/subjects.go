package speed

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"prunella/bench/rotation/issuer"
	"prunella/bench/rotation/peers"
)

// Algorithms that are measured, RSA with 2048 bits.
var Algorithms = []string{"RS256", "ES256", "EdDSA"}

// Names that are no contestant's.
const (
	Bare      = "bare crypto"
	GolangJWT = "golang-jwt"
)

// Subject is one way to verify a token.
type Subject struct {
	Name   string
	verify peers.Verify
}

var errBad = errors.New("refused")

// bare is the least that must be done for one token: hash what was signed and
// check the signature, both taken apart beforehand.
func bare(k issuer.Key, token string) (peers.Verify, error) {
	last := strings.LastIndexByte(token, '.')
	signed := []byte(token[:last])
	sig, err := base64.RawURLEncoding.DecodeString(token[last+1:])
	if err != nil {
		return nil, err
	}
	switch pub := k.Private.Public().(type) {
	case *rsa.PublicKey:
		return func(context.Context, string) error {
			sum := sha256.Sum256(signed)
			return rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum[:], sig)
		}, nil
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])
		return func(context.Context, string) error {
			sum := sha256.Sum256(signed)
			if !ecdsa.Verify(pub, sum[:], r, s) {
				return errBad
			}
			return nil
		}, nil
	case ed25519.PublicKey:
		return func(context.Context, string) error {
			if !ed25519.Verify(pub, signed, sig) {
				return errBad
			}
			return nil
		}, nil
	}
	return nil, fmt.Errorf("no bare %s", k.Alg)
}

// subjects are all ways to verify this token, the bare one first.
func subjects(ctx context.Context, iss *issuer.Issuer, k issuer.Key, token string) ([]Subject, error) {
	least, err := bare(k, token)
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{k.Alg}), jwt.WithIssuer(iss.URL), jwt.WithAudience(issuer.Audience), jwt.WithExpirationRequired())
	list := []Subject{{Bare, least}, {GolangJWT, func(_ context.Context, token string) error {
		_, err := parser.Parse(token, func(*jwt.Token) (any, error) { return k.Private.Public(), nil })
		return err
	}}}
	for _, c := range peers.All() {
		if c.Make == nil {
			continue
		}
		verify, err := c.Make(ctx, peers.Source{Issuer: iss.URL, JWKS: iss.JWKS(), Audience: issuer.Audience}, http.DefaultTransport)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		if err := verify(ctx, token); err != nil {
			return nil, fmt.Errorf("%s refuses the token that is to be measured: %w", c.Name, err)
		}
		list = append(list, Subject{c.Name, verify})
	}
	return list, nil
}

// lasting is a token that stays good for the whole run.
func lasting(iss *issuer.Issuer, k issuer.Key) (string, error) {
	claims := issuer.Claims(iss.URL, issuer.Audience, time.Now())
	claims["exp"] = time.Now().Add(24 * time.Hour).Unix()
	return k.Token(claims, nil)
}

// Field are an issuer and the subjects that verify one of its tokens.
type Field struct {
	Subjects []Subject
	Token    string
	Unknown  []string // tokens that would be good if their keys were known
	Issuer   *issuer.Issuer
	Key      issuer.Key
}

// NewField prepares an algorithm. What it starts ends with ctx.
func NewField(ctx context.Context, hub *issuer.Hub, alg string) (*Field, error) {
	f := &Field{Issuer: hub.New("speed-"+alg, time.Now)}
	var err error
	if f.Key, err = issuer.NewKey("current", alg); err != nil {
		return nil, err
	}
	f.Issuer.Publish(f.Key)
	if f.Token, err = lasting(f.Issuer, f.Key); err != nil {
		return nil, err
	}
	for n := range 512 {
		junk, err := issuer.Junk(fmt.Sprintf("unknown-%d", n), issuer.Claims(f.Issuer.URL, issuer.Audience, time.Now()))
		if err != nil {
			return nil, err
		}
		f.Unknown = append(f.Unknown, junk)
	}
	f.Subjects, err = subjects(ctx, f.Issuer, f.Key, f.Token)
	return f, err
}

// Verify has a subject verify the field's token.
func (f *Field) Verify(ctx context.Context, s Subject) error { return s.verify(ctx, f.Token) }
