package keyset

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
)

// rocaPrimes are small primes modulo which a key made by the Infineon library
// (CVE-2017-15361, "ROCA": Nemec et al., CCS 2017) is always a power of 65537.
// A random modulus passes all of them about once in 2^27.
var rocaPrimes = [...]uint64{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157}

// rocaProduct is their product. A modulus is reduced by it first: dividing
// thousands of bits once instead of for each prime.
var rocaProduct = func() *big.Int {
	product := big.NewInt(1)
	for _, p := range rocaPrimes {
		product.Mul(product, new(big.Int).SetUint64(p))
	}
	return product
}()

// weakModulus says why an RSA modulus must not be trusted, or "".
func weakModulus(n *big.Int) string {
	if n.BitLen() < minRSABits {
		return fmt.Sprintf("its modulus has %d bits, fewer than %d", n.BitLen(), minRSABits)
	}
	if n.BitLen() > maxRSABits {
		return fmt.Sprintf("its modulus has more than %d bits", maxRSABits)
	}
	if n.Bit(0) == 0 {
		return "its modulus is even"
	}
	roca := true
	small, prime, modulo := new(big.Int).Mod(n, rocaProduct), new(big.Int), new(big.Int)
	for _, p := range rocaPrimes {
		rest := modulo.Mod(small, prime.SetUint64(p)).Uint64()
		if rest == 0 {
			return fmt.Sprintf("its modulus is divisible by %d", p)
		}
		roca = roca && powerOf65537(rest, p)
	}
	if roca {
		return "its modulus was made by a generator whose keys can be factored (ROCA, CVE-2017-15361)"
	}
	return ""
}

// powerOf65537 says whether rest is a power of 65537 modulo p.
func powerOf65537(rest, p uint64) bool {
	for power := uint64(1); ; {
		if power == rest {
			return true
		}
		if power = power * 65537 % p; power == 1 {
			return false
		}
	}
}

// lowOrder are the Ed25519 points of order 1, 2, 4 and 8, and the two encodings
// above the field's prime that mean one of them; the sign bit does not matter.
var lowOrder = func() (points [7][]byte) {
	for i, s := range [...]string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		points[i], _ = hex.DecodeString(s) // constants above
	}
	return points
}()

func smallOrder(x []byte) bool {
	point := bytes.Clone(x)
	point[len(point)-1] &= 0x7f
	for _, p := range lowOrder {
		if bytes.Equal(point, p) {
			return true
		}
	}
	return false
}
