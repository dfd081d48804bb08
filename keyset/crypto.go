package keyset

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
)

// algorithms are the JWA names that are known, with what each needs of a key.
// There is no symmetric algorithm and no "none" to be talked into.
var algorithms = map[string]struct {
	kty, crv string // of the JWK
	hash     crypto.Hash
}{
	"RS256": {"RSA", "", crypto.SHA256}, "RS384": {"RSA", "", crypto.SHA384}, "RS512": {"RSA", "", crypto.SHA512},
	"PS256": {"RSA", "", crypto.SHA256}, "PS384": {"RSA", "", crypto.SHA384}, "PS512": {"RSA", "", crypto.SHA512},
	"ES256": {"EC", "P-256", crypto.SHA256}, "ES384": {"EC", "P-384", crypto.SHA384}, "ES512": {"EC", "P-521", crypto.SHA512},
	"EdDSA": {"OKP", "Ed25519", 0},
}

// signedBy says whether k made the token's signature, under k's one algorithm.
func (p *parsed) signedBy(k *key) bool {
	signed, sig := p.signed, p.sig
	if pub, ok := k.public.(ed25519.PublicKey); ok {
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(pub, signed, sig)
	}
	var sum []byte
	switch k.hash {
	case crypto.SHA256:
		d := sha256.Sum256(signed)
		sum = append(p.w.digest[:0], d[:]...)
	case crypto.SHA384:
		d := sha512.Sum384(signed)
		sum = append(p.w.digest[:0], d[:]...)
	case crypto.SHA512:
		d := sha512.Sum512(signed)
		sum = append(p.w.digest[:0], d[:]...)
	}
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		if k.alg[0] == 'P' {
			return rsa.VerifyPSS(pub, k.hash, sum, sig, pssOptions) == nil
		}
		return rsa.VerifyPKCS1v15(pub, k.hash, sum, sig) == nil
	case *ecdsa.PublicKey:
		enc := derSignature(p.w.der[:0], sig, (pub.Curve.Params().BitSize+7)/8)
		return enc != nil && ecdsa.VerifyASN1(pub, sum, enc)
	}
	return false
}

// signable says whether some key can have made the signature, going by its length.
func (p *parsed) signable() bool {
	switch a := algorithms[p.alg]; a.kty {
	case "RSA":
		return len(p.sig) >= minRSABits/8 && len(p.sig) <= maxRSABits/8
	case "EC":
		return len(p.sig) == 2*coordinate[a.crv]
	}
	return len(p.sig) == ed25519.SignatureSize
}

// coordinate is how many bytes a coordinate has.
var coordinate = map[string]int{"P-256": 32, "P-384": 48, "P-521": 66}

var pssOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

// derSignature turns the fixed-width r and s of a JWS (RFC 7518, 3.4) into the
// ASN.1 form that crypto/ecdsa takes, or returns nil when the width is wrong.
func derSignature(dst, sig []byte, width int) []byte {
	if len(sig) != 2*width {
		return nil
	}
	integer := func(b []byte) []byte {
		for len(b) > 1 && b[0] == 0 {
			b = b[1:]
		}
		return b
	}
	size := func(b []byte) int { // with the zero that keeps it positive
		if b[0]&0x80 != 0 {
			return len(b) + 1
		}
		return len(b)
	}
	r, s := integer(sig[:width]), integer(sig[width:])
	total := 4 + size(r) + size(s)
	dst = append(dst, 0x30)
	if total >= 0x80 {
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(total))
	for _, n := range [2][]byte{r, s} {
		dst = append(dst, 0x02, byte(size(n)))
		if size(n) > len(n) {
			dst = append(dst, 0)
		}
		dst = append(dst, n...)
	}
	return dst
}
