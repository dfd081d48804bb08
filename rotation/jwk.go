package rotation

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
)

// Algorithm is a JWA signature algorithm (RFC 7518, RFC 8037).
type Algorithm string

// Algorithms are those that keys may have. There is no symmetric one.
var Algorithms = []Algorithm{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Least and most bits of an RSA modulus: below, it is breakable; beyond, one
// verification costs milliseconds.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// JWK is a public key as it is published (RFC 7517).
type JWK struct {
	Type      string    `json:"kty"`
	ID        KeyID     `json:"kid"`
	Algorithm Algorithm `json:"alg"`
	Use       string    `json:"use"`
	Curve     string    `json:"crv,omitempty"`
	N         string    `json:"n,omitempty"`
	E         string    `json:"e,omitempty"`
	X         string    `json:"x,omitempty"`
	Y         string    `json:"y,omitempty"`
}

// NewJWK publishes pub for one algorithm. It is Invalid when the key does not
// fit the algorithm or is too weak.
func NewJWK(id KeyID, alg Algorithm, pub crypto.PublicKey) (JWK, error) {
	j := JWK{ID: id, Algorithm: alg, Use: "sig"}
	unfit := func(why string) error {
		return fault(Invalid, fmt.Sprintf("the key %s cannot be used for %s: %s", id, alg, why), "let the signer make keys for the algorithm that is configured")
	}
	if !slices.Contains(Algorithms, alg) {
		return j, fault(Invalid, fmt.Sprintf("there is no algorithm %q", alg), "use one of RS, PS or ES with 256, 384 or 512, or EdDSA")
	}
	b64 := base64.RawURLEncoding.EncodeToString
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if alg[0] != 'R' && alg[0] != 'P' {
			return j, unfit("it is an RSA key")
		}
		if bits := pub.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return j, unfit(fmt.Sprintf("its modulus has %d bits; %d to %d are allowed", bits, minRSABits, maxRSABits))
		}
		if pub.E < 3 || pub.E%2 == 0 {
			return j, unfit(fmt.Sprintf("its exponent is %d", pub.E))
		}
		j.Type, j.N, j.E = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		curves := map[Algorithm]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}
		if curves[alg] == nil || curves[alg] != pub.Curve {
			return j, unfit("it is on another curve")
		}
		point, err := pub.Bytes()
		if err != nil {
			return j, unfit(err.Error())
		}
		half := (len(point) - 1) / 2
		j.Type, j.Curve, j.X, j.Y = "EC", pub.Curve.Params().Name, b64(point[1:1+half]), b64(point[1+half:])
	case ed25519.PublicKey:
		if alg != "EdDSA" {
			return j, unfit("it is an Ed25519 key")
		}
		j.Type, j.Curve, j.X = "OKP", "Ed25519", b64(pub)
	default:
		return j, unfit(fmt.Sprintf("a %T is no key that can be published", pub))
	}
	return j, nil
}

// Thumbprint is over the required members in the order of RFC 7638 (RFC 8037
// for OKP).
func (j JWK) Thumbprint() Thumbprint {
	var canonical string
	switch j.Type {
	case "RSA":
		canonical = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, j.E, j.N)
	case "EC":
		canonical = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, j.Curve, j.X, j.Y)
	case "OKP":
		canonical = fmt.Sprintf(`{"crv":%q,"kty":"OKP","x":%q}`, j.Curve, j.X)
	}
	sum := sha256.Sum256([]byte(canonical))
	return Thumbprint(base64.RawURLEncoding.EncodeToString(sum[:]))
}
