package keyset

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	maxDocument = 256 << 10 // bytes of a key set or a discovery document
	maxKeys     = 64        // keys in one set
	minRSABits  = 2048
	maxRSABits  = 8192 // beyond it one verification costs milliseconds
	maxExponent = 1<<31 - 1
)

// key is one verification key. Its material is never changed; a set that holds
// the same again keeps the same key, and so its last-seen time.
type key struct {
	kid, alg, thumbprint string
	public               crypto.PublicKey
	hash                 crypto.Hash
	seen                 atomic.Int64 // Unix seconds of the last token it verified
	doubted              time.Time    // when tokens of its kid began to fail; the source's mu guards it
}

// skipped is a key of a document that is not used, and why.
type skipped struct{ kid, why string }

// document is a key set that was read.
type document struct {
	keys    map[string]*key
	skipped []skipped
}

// readDocument applies the policy to a JWKS. A fault that makes the whole
// document doubtful (not JSON, secret material in it, one kid for two keys)
// refuses all of it; a key that merely cannot be used here is skipped, as
// RFC 7517 asks. allowed lists the algorithms of the source in its order.
func readDocument(body []byte, allowed []string) (document, error) {
	doc := document{keys: map[string]*key{}}
	if len(body) > maxDocument {
		return doc, fmt.Errorf("the key set is larger than %d bytes", maxDocument)
	}
	count, listed := 0, false
	err := members(string(body), func(name, value string) error {
		if name != "keys" {
			return nil
		}
		if listed {
			return errTwice
		}
		listed = true
		return elements(value, func(value string) error {
			if count++; count > maxKeys {
				return fmt.Errorf("holding more than %d keys", maxKeys)
			}
			return doc.add(value, allowed)
		})
	})
	switch {
	case err != nil:
		return doc, fmt.Errorf("the key set is refused: it is %w", err)
	case !listed:
		return doc, errors.New(`the key set has no "keys"`)
	case len(doc.keys) == 0 && len(doc.skipped) > 0:
		return doc, fmt.Errorf("the key set has no usable key; its first: %s", doc.skipped[0].why)
	case len(doc.keys) == 0:
		return doc, errors.New("the key set is empty")
	}
	return doc, nil
}

// jwk is a JSON Web Key as text.
type jwk struct {
	fields map[string]string // kty, kid, alg, use, crv, n, e, x, y
	ops    []string
}

var secretMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

func readJWK(raw string) (jwk, error) {
	j := jwk{fields: map[string]string{}}
	seen := map[string]bool{}
	err := members(raw, func(name, value string) error {
		if seen[name] {
			return errTwice
		}
		if len(seen) > 64 {
			return errors.New("a set with a key of too many members")
		}
		seen[name] = true
		if slices.Contains(secretMembers, name) {
			return fmt.Errorf("a set with secret key material (member %q): replace that key, it is no longer a secret", name)
		}
		switch name {
		case "kty", "kid", "alg", "use", "crv", "n", "e", "x", "y":
			s, ok := stringValue(value)
			if !ok {
				return errType
			}
			j.fields[name] = s
		case "key_ops":
			if value[0] != '[' {
				return errType
			}
			return elements(value, func(op string) error {
				s, _ := stringValue(op)
				j.ops = append(j.ops, s)
				return nil
			})
		}
		return nil
	})
	return j, err
}

// add takes one key of the document, or notes why it is skipped.
func (doc *document) add(raw string, allowed []string) error {
	j, err := readJWK(raw)
	if err != nil {
		return err
	}
	kid := j.fields["kid"]
	if len(kid) > maxKid {
		return fmt.Errorf("a set with a kid longer than %d bytes", maxKid)
	}
	skip := func(why string) { doc.skipped = append(doc.skipped, skipped{kid, why}) }
	switch kty := j.fields["kty"]; {
	case kty == "oct":
		return errors.New("a set with a symmetric key, which cannot be public")
	case kty != "RSA" && kty != "EC" && kty != "OKP":
		skip("its kty is unknown")
		return nil
	case j.fields["use"] != "" && j.fields["use"] != "sig":
		skip("its use is " + strconv.Quote(j.fields["use"]) + ", not sig")
		return nil
	case j.ops != nil && !slices.Contains(j.ops, "verify"):
		skip("its key_ops do not have verify")
		return nil
	}
	k, err := usable(j, allowed)
	if err != nil {
		skip(err.Error())
		return nil
	}
	if k.kid == "" {
		k.kid = k.thumbprint
	}
	if doc.keys[k.kid] != nil {
		return fmt.Errorf("ambiguous: two keys have the kid %q", k.kid)
	}
	doc.keys[k.kid] = k
	return nil
}

// usable builds the key of j with its one algorithm, or says why it cannot be used.
func usable(j jwk, allowed []string) (*key, error) {
	k := &key{kid: j.fields["kid"], alg: j.fields["alg"]}
	if k.alg == "" { // an RSA key that does not say is used with the first RSA algorithm allowed: RS256 unless configured
		for _, name := range allowed {
			if a := algorithms[name]; a.kty == j.fields["kty"] && a.crv == j.fields["crv"] {
				k.alg = name
				break
			}
		}
	}
	a, known := algorithms[k.alg]
	if !known || !slices.Contains(allowed, k.alg) {
		return nil, fmt.Errorf("its algorithm %q is not allowed", k.alg)
	}
	if a.kty != j.fields["kty"] || a.crv != j.fields["crv"] {
		return nil, fmt.Errorf("its algorithm %s does not fit its type %q %q", k.alg, j.fields["kty"], j.fields["crv"])
	}
	k.hash = a.hash
	var err error
	switch a.kty {
	case "RSA":
		k.public, k.thumbprint, err = readRSA(j)
	case "EC":
		k.public, k.thumbprint, err = readEC(j)
	case "OKP":
		k.public, k.thumbprint, err = readEd25519(j)
	}
	return k, err
}

func decode(field, text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("its %s is missing or not base64url", field)
	}
	return b, nil
}

func readRSA(j jwk) (crypto.PublicKey, string, error) {
	n, err := decode("n", j.fields["n"])
	if err != nil {
		return nil, "", err
	}
	e, err := decode("e", j.fields["e"])
	if err != nil {
		return nil, "", err
	}
	if len(n) > maxRSABits/8+1 {
		return nil, "", fmt.Errorf("its modulus has more than %d bits", maxRSABits)
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	if !exponent.IsInt64() || exponent.Int64() > maxExponent || exponent.Int64() < 3 || exponent.Bit(0) == 0 {
		return nil, "", errors.New("its exponent is even, below 3 or above 2^31-1")
	}
	if why := weakModulus(modulus); why != "" {
		return nil, "", errors.New(why)
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())},
		thumbprint(`{"e":"%s","kty":"RSA","n":"%s"}`, exponent.Bytes(), modulus.Bytes()), nil
}

func readEC(j jwk) (crypto.PublicKey, string, error) {
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.fields["crv"]]
	x, err := decode("x", j.fields["x"])
	if err != nil {
		return nil, "", err
	}
	y, err := decode("y", j.fields["y"])
	if err != nil {
		return nil, "", err
	}
	width := (curve.Params().BitSize + 7) / 8
	if len(x) != width || len(y) != width {
		return nil, "", fmt.Errorf("its coordinates are not %d bytes wide", width)
	}
	point := append(append([]byte{4}, x...), y...)
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, "", errors.New("its point is not on the curve")
	}
	return pub, thumbprint(`{"crv":"`+j.fields["crv"]+`","kty":"EC","x":"%s","y":"%s"}`, x, y), nil
}

func readEd25519(j jwk) (crypto.PublicKey, string, error) {
	x, err := decode("x", j.fields["x"])
	if err != nil {
		return nil, "", err
	}
	if len(x) != ed25519.PublicKeySize {
		return nil, "", errors.New("its x is not 32 bytes")
	}
	if smallOrder(x) {
		return nil, "", errors.New("its point has a small order: anybody can sign for it")
	}
	return ed25519.PublicKey(x), thumbprint(`{"crv":"Ed25519","kty":"OKP","x":"%s"}`, x), nil
}

// thumbprint is the SHA-256 thumbprint of RFC 7638 over the required members
// in their fixed order.
func thumbprint(canonical string, values ...[]byte) string {
	encoded := make([]any, len(values))
	for i, v := range values {
		encoded[i] = base64.RawURLEncoding.EncodeToString(v)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, canonical, encoded...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (k *key) sawAt(now time.Time) {
	if s := now.Unix(); k.seen.Load() < s {
		k.seen.Store(s)
	}
}
