package signer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // links the hashes that algorithms name
	_ "crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"regexp"

	"prunella/rotation"
)

// DefaultRSABits is the length of new RSA keys: each step up costs verifiers
// several times as much for every token.
const DefaultRSABits = 2048

// generate makes a new key.
func generate(alg rotation.Algorithm, rsaBits int) (crypto.Signer, error) {
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		if rsaBits == 0 {
			rsaBits = DefaultRSABits
		}
		if rsaBits < 2048 || rsaBits > 8192 {
			return nil, invalid("an RSA key of %d bits; 2048 to 8192 are allowed", rsaBits)
		}
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, invalid("there is no algorithm %q", alg)
}

func hashOf(alg rotation.Algorithm) crypto.Hash {
	switch alg[len(alg)-3:] {
	case "256":
		return crypto.SHA256
	case "384":
		return crypto.SHA384
	case "512":
		return crypto.SHA512
	}
	return 0
}

func digest(alg rotation.Algorithm, input []byte) ([]byte, crypto.SignerOpts) {
	hash := hashOf(alg)
	if hash == 0 { // Ed25519 hashes by itself
		return input, hash
	}
	h := hash.New()
	h.Write(input)
	if alg[0] == 'P' {
		return h.Sum(nil), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	return h.Sum(nil), hash
}

// SignJWS signs with any crypto.Signer, a KMS's for instance, and returns the
// signature as RFC 7518 wants it. It is rotation's Invalid when the key does not
// fit the algorithm.
func SignJWS(key crypto.Signer, alg rotation.Algorithm, input []byte) ([]byte, error) {
	if _, err := rotation.NewJWK("key", alg, key.Public()); err != nil {
		return nil, err
	}
	sum, opts := digest(alg, input)
	sig, err := key.Sign(rand.Reader, sum, opts)
	pub, ec := key.Public().(*ecdsa.PublicKey)
	if err != nil || !ec {
		return sig, err
	}
	var point struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(sig, &point); err != nil || len(rest) > 0 {
		return nil, errors.New("signer: the signature is not ASN.1")
	}
	width := (pub.Curve.Params().BitSize + 7) / 8
	out := make([]byte, 2*width)
	point.R.FillBytes(out[:width])
	point.S.FillBytes(out[width:])
	return out, nil
}

// verify says whether pub made a JWS signature.
func verify(pub crypto.PublicKey, alg rotation.Algorithm, input, sig []byte) bool {
	sum, _ := digest(alg, input)
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if alg[0] == 'P' {
			return rsa.VerifyPSS(pub, hashOf(alg), sum, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(pub, hashOf(alg), sum, sig) == nil
	case *ecdsa.PublicKey:
		width := (pub.Curve.Params().BitSize + 7) / 8
		if len(sig) != 2*width {
			return false
		}
		return ecdsa.Verify(pub, sum, new(big.Int).SetBytes(sig[:width]), new(big.Int).SetBytes(sig[width:]))
	case ed25519.PublicKey:
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(pub, input, sig)
	}
	return false
}

var goodID = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$`)

// checkID refuses an id that could be a path.
func checkID(id rotation.KeyID) error {
	if !goodID.MatchString(string(id)) {
		return invalid("the key id %.64q is not 1 to 128 of letters, digits, dot, dash and underscore", id)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &rotation.Error{Kind: rotation.Invalid, Detail: "signer: " + fmt.Sprintf(format, args...)}
}

func missing(id rotation.KeyID) error {
	return &rotation.Error{Kind: rotation.NotFound, Detail: fmt.Sprintf("signer: there is no key %q", id),
		Remedy: "restore it from where the keys are kept, or revoke it so that another one signs"}
}
