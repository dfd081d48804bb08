package audit

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"prunella/keyset"
)

// published is a key as it stands in the document, read leniently: keyset says
// whether it may be used, this is for saying why not.
type published struct {
	Type    string   `json:"kty"`
	ID      string   `json:"kid"`
	Alg     string   `json:"alg"`
	Use     string   `json:"use"`
	Ops     []string `json:"key_ops"`
	Curve   string   `json:"crv"`
	N       string   `json:"n"`
	E       string   `json:"e"`
	X       string   `json:"x"`
	Y       string   `json:"y"`
	Chain   []string `json:"x5c"`
	CertSum string   `json:"x5t#S256"`
}

var secretMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

const maxJudged = 256 // keys of one set that are looked at one by one

// judgeSet applies keyset's policy, and says what each key lacks.
func (r *Report) judgeSet(body []byte) {
	_, _, refused := keyset.Inspect(body)
	r.Usable = refused == nil
	if refused != nil {
		r.find(Error, "set-refused", r.JWKS, "see the findings about its keys", "a strict verifier uses nothing of it: %v", refused)
	}
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return // keyset has said it
	}
	if len(doc.Keys) > maxJudged {
		doc.Keys = doc.Keys[:maxJudged]
	}
	seen := map[string]bool{}
	for n, raw := range doc.Keys {
		var j published
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) != nil || json.Unmarshal(raw, &j) != nil {
			r.find(Error, "key-unreadable", fmt.Sprintf("key %d", n+1), "state each member once, as RFC 7517 says", "the key is no JWK")
			continue
		}
		name := j.ID
		if name == "" {
			name = fmt.Sprintf("key %d", n+1)
			r.find(Warning, "kid-missing", name, "give every key a kid", "a verifier cannot choose it by a token's kid, and rotation has nothing to tell keys apart")
		} else if seen[j.ID] {
			r.find(Error, "duplicate-kid", name, "give each key a kid of its own, and never use one again", "two keys have this kid: which of them a verifier takes is luck")
		}
		seen[j.ID] = true
		for _, m := range secretMembers {
			if _, is := members[m]; is {
				r.find(Error, "private-material", name, "take it out at once, revoke the key and sign with another: it is no secret any more", "the published key has the secret member %q", m)
				break
			}
		}
		r.Keys = append(r.Keys, r.judgeKey(name, j, raw))
	}
}

func (r *Report) judgeKey(name string, j published, raw []byte) Key {
	k := Key{ID: name, Type: j.Type, Algorithm: j.Alg, Use: j.Use, Strength: j.Curve, Role: NotUsed}
	if n, ok := material(j).(*rsa.PublicKey); ok {
		k.Strength = fmt.Sprintf("%d bits", n.N.BitLen())
	}
	alone, skipped, err := keyset.Inspect(append(append([]byte(`{"keys":[`), raw...), "]}"...))
	switch {
	case len(alone) == 1:
		k.Usable, k.Algorithm, k.Thumbprint = true, alone[0].Algorithm, alone[0].Thumbprint
		if j.ID == "" {
			k.ID = alone[0].ID // what keyset calls it
		}
	case len(skipped) == 1:
		k.Why = skipped[0].Why
		r.unusable(name, j, k.Why)
	case err != nil:
		k.Why = err.Error() // found already
	}
	if k.Usable {
		if j.Alg == "" {
			r.find(Note, "alg-missing", name, "state alg", "without it a verifier takes the token's word or guesses (%s here)", k.Algorithm)
		}
		if j.Use == "" && j.Ops == nil {
			r.find(Note, "use-missing", name, `state "use": "sig"`, "nothing says that the key is for signatures")
		}
	}
	r.certificate(name, j)
	return k
}

// unusable gives the reason of keyset for passing a key over its own rule.
func (r *Report) unusable(name string, j published, why string) {
	switch {
	case j.Use != "" && j.Use != "sig" || strings.Contains(why, "key_ops"):
		r.find(Note, "not-for-signatures", name, "", "verifiers pass it over: %s", why)
	case strings.Contains(why, "ROCA"):
		r.find(Error, "roca-key", name, "revoke it and sign with another key now", "%s", why)
	case strings.Contains(why, "bits"), strings.Contains(why, "divisible"), strings.Contains(why, "small order"), strings.Contains(why, "exponent"), strings.Contains(why, "even"):
		r.find(Error, "weak-key", name, "sign with a key of at least RSA 2048, P-256 or Ed25519", "%s", why)
	case strings.Contains(why, "algorithm"):
		r.find(Error, "algorithm", name, "state one algorithm that fits the key: RS, PS or ES 256 to 512, or EdDSA", "%s", why)
	default:
		r.find(Warning, "key-unusable", name, "publish it as RFC 7518 says, or take it out", "verifiers pass it over: %s", why)
	}
}

// material is the public key; nil when it is none that can be compared.
func material(j published) any {
	number := func(s string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
		if err != nil {
			return new(big.Int)
		}
		return new(big.Int).SetBytes(b)
	}
	switch j.Type {
	case "RSA":
		e := number(j.E)
		if !e.IsInt64() {
			e = new(big.Int)
		}
		return &rsa.PublicKey{N: number(j.N), E: int(e.Int64())}
	case "EC":
		width := map[string]int{"P-256": 32, "P-384": 48, "P-521": 66}[j.Curve]
		x, y := number(j.X), number(j.Y)
		if max(x.BitLen(), y.BitLen()) > 8*width {
			return nil
		}
		return string(x.FillBytes(make([]byte, width))) + string(y.FillBytes(make([]byte, width)))
	case "OKP":
		b, _ := base64.RawURLEncoding.DecodeString(j.X) // nothing is no key
		return ed25519.PublicKey(b)
	}
	return nil
}

// certificate compares x5c and x5t#S256 with the key (RFC 7517, 4.7 and 4.9).
func (r *Report) certificate(name string, j published) {
	pub := material(j)
	if len(j.Chain) == 0 {
		return
	}
	der, err := base64.StdEncoding.DecodeString(j.Chain[0])
	if err != nil {
		r.find(Warning, "x5c-unreadable", name, "state x5c as base64 of DER, or leave it out", "x5c is not base64")
		return
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		r.find(Warning, "x5c-unreadable", name, "state x5c as base64 of DER, or leave it out", "x5c is no certificate: %v", err)
		return
	}
	same := false
	switch c := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		p, ok := pub.(*rsa.PublicKey)
		same = ok && c.Equal(p)
	case *ecdsa.PublicKey:
		point, err := c.Bytes()
		p, ok := pub.(string)
		same = err == nil && ok && string(point) == "\x04"+p
	case ed25519.PublicKey:
		p, ok := pub.(ed25519.PublicKey)
		same = ok && c.Equal(p)
	}
	if !same {
		r.find(Error, "x5c-differs", name, "state the certificate of this key, or none", "the certificate in x5c is of another key: verifiers that read it and verifiers that read n and e disagree")
	}
	if sum := sha256.Sum256(der); j.CertSum != "" && strings.TrimRight(j.CertSum, "=") != base64.RawURLEncoding.EncodeToString(sum[:]) {
		r.find(Warning, "x5t-differs", name, "state the certificate's own SHA-256", "x5t#S256 is not of the certificate in x5c")
	}
	if r.At.After(cert.NotAfter) {
		r.find(Note, "x5c-expired", name, "renew the certificate or leave it out", "the certificate in x5c ended at %s; some verifiers look", cert.NotAfter.UTC().Format("2006-01-02"))
	}
}
