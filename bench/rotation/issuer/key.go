package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Key is a signing key under the name its issuer gives it. The same material
// may appear under several names, and one name may get new material.
type Key struct {
	ID      string
	Alg     string // RS256, ES256 or EdDSA
	Private crypto.Signer
}

// Keys hands out key material. Making an RSA key takes a quarter of a second,
// so a run makes a few and names them anew in each row.
type Keys struct {
	mu  sync.Mutex
	rsa []crypto.Signer
}

// RSA returns the nth RSA-2048 key of this run under a name.
func (k *Keys) RSA(n int, id string) (Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.rsa) <= n {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return Key{}, fmt.Errorf("make a key: %w", err)
		}
		k.rsa = append(k.rsa, private)
	}
	return Key{ID: id, Alg: "RS256", Private: k.rsa[n]}, nil
}

// NewKey makes a key for an algorithm.
func NewKey(id, alg string) (Key, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case "RS256":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		return Key{}, fmt.Errorf("no key is made for %q", alg)
	}
	if err != nil {
		return Key{}, fmt.Errorf("make a key: %w", err)
	}
	return Key{ID: id, Alg: alg, Private: private}, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// JWK is the public half as RFC 7517 writes it.
func (k Key) JWK() map[string]any {
	j := map[string]any{"kid": k.ID, "alg": k.Alg, "use": "sig"}
	switch pub := k.Private.Public().(type) {
	case *rsa.PublicKey:
		j["kty"], j["n"], j["e"] = "RSA", encode(pub.N.Bytes()), encode(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		j["kty"], j["crv"] = "EC", pub.Curve.Params().Name
		width := (pub.Curve.Params().BitSize + 7) / 8
		if point, err := pub.Bytes(); err == nil {
			j["x"], j["y"] = encode(point[1:1+width]), encode(point[1+width:])
		}
	case ed25519.PublicKey:
		j["kty"], j["crv"], j["x"] = "OKP", "Ed25519", encode(pub)
	}
	return j
}

// same says whether two keys are the same material under the same name.
func (k Key) same(other Key) bool {
	public, ok := k.Private.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.ID == other.ID && public.Equal(other.Private.Public())
}

// Claims are what an ordinary token says at a moment.
func Claims(issuer, audience string, now time.Time) jwt.MapClaims {
	return jwt.MapClaims{"iss": issuer, "aud": audience, "sub": "ada",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": rand.Text()}
}

// Token signs claims. header overrides or adds members; a nil value takes one away.
func (k Key) Token(claims jwt.MapClaims, header map[string]any) (string, error) {
	t := jwt.NewWithClaims(jwt.GetSigningMethod(k.Alg), claims)
	t.Header["kid"] = k.ID
	for name, value := range header {
		if value == nil {
			delete(t.Header, name)
			continue
		}
		t.Header[name] = value
	}
	return t.SignedString(k.Private)
}

// Junk is a token that is right in everything but its key, which does not exist.
func Junk(kid string, claims jwt.MapClaims) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header["kid"] = kid
	text, err := t.SigningString()
	if err != nil {
		return "", err
	}
	signature := make([]byte, 256)
	_, _ = rand.Read(signature) // never fails (crypto/rand)
	return text + "." + encode(signature), nil
}
