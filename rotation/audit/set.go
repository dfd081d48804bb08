package audit

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"prunella/keyset"
)

// published is a key as it stands in the document, read leniently: keyset says
// whether it may be used, this is for saying why not. A member of another type
// counts as missing.
type published struct {
	typ, kid, alg, use string
	ops                bool // it has key_ops
	crv, n, e, x, y    string
	chain              []string // x5c
	sha1, sha256       string   // x5t, x5t#S256
}

func readPublished(members map[string]json.RawMessage) published {
	var j published
	for name, into := range map[string]any{"kty": &j.typ, "kid": &j.kid, "alg": &j.alg, "use": &j.use, "crv": &j.crv, "n": &j.n, "e": &j.e, "x": &j.x, "y": &j.y,
		"x5c": &j.chain, "x5t": &j.sha1, "x5t#S256": &j.sha256} {
		_ = json.Unmarshal(members[name], into) // see above
	}
	j.ops = members["key_ops"] != nil
	return j
}

var secretMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

const maxJudged = 256 // keys of one set that are looked at one by one

// judgeSet applies keyset's policy, and says what each key lacks.
func (r *Report) judgeSet(body []byte) {
	_, _, refused := keyset.Inspect(body)
	r.Usable = refused == nil
	if refused != nil {
		remedy := "see the findings about its keys"
		if is := mistaken(body); is != "" {
			remedy = is
		}
		r.find(Error, "set-refused", r.JWKS, remedy, "a strict verifier uses nothing of it: %v", refused)
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
	kids, prints := map[string]Key{}, map[string]string{}
	for n, raw := range doc.Keys {
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) != nil {
			r.find(Error, "key-unreadable", fmt.Sprintf("key %d", n+1), "state each member once, as RFC 7517 says", "the key is no JWK")
			continue
		}
		j := readPublished(members)
		name := j.kid
		if name == "" {
			name = fmt.Sprintf("key %d", n+1)
			r.find(Warning, "kid-missing", name, "give every key a kid", "a verifier cannot choose it by a token's kid, and rotation has nothing to tell keys apart")
		}
		private := false
		for _, m := range secretMembers {
			if _, private = members[m]; !private {
				continue
			}
			if j.typ != "oct" {
				r.find(Error, "private-material", name, "take it out at once, revoke the key and sign with another: it is no secret any more", "the published key has the secret member %q", m)
			}
			break
		}
		k := r.judgeKey(name, j, raw, private)
		r.Keys = append(r.Keys, k)
		if other, dup := kids[j.kid]; dup && j.kid != "" {
			r.duplicate(name, k, other)
		} else if k.Usable && prints[k.Thumbprint] != "" {
			r.find(Warning, "same-material", name, "make new material for every key", "it is the same key as %s: to change from one to the other changes nothing", prints[k.Thumbprint])
		}
		if k.Usable {
			prints[k.Thumbprint] = k.ID
		}
		if k.Usable || !kids[j.kid].Usable {
			kids[j.kid] = k
		}
	}
}

// mistaken says what a document is that is no key set, and what to do about it; ""
// when it is one, or none that is known.
func mistaken(body []byte) string {
	const whole = `serve a JSON object with "keys", whole (RFC 7517, section 5)`
	text := bytes.TrimSpace(body)
	var members map[string]json.RawMessage
	switch {
	case len(text) == 0:
		return "the answer is empty: " + whole
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return "it begins with a byte order mark, which JSON does not have (RFC 8259, section 8.1): save it without one"
	case text[0] == '<':
		return "it is a page for people, as an application or a login answers at every path: name the URL of the key set"
	case bytes.HasPrefix(text, []byte("-----BEGIN ")):
		return "it is PEM: " + whole
	case text[0] == '[' && json.Valid(text):
		return `it is a list: put it into an object, {"keys": …}`
	case json.Unmarshal(text, &members) != nil:
		if err := json.NewDecoder(bytes.NewReader(text)).Decode(&members); err == nil {
			return "more follows after the object: " + whole
		}
		return whole
	}
	var at string
	var pem map[string]string
	_ = json.Unmarshal(members["jwks_uri"], &at) // what is no text is none
	switch keys := bytes.TrimSpace(members["keys"]); {
	case len(keys) > 0 && keys[0] != '[':
		return `"keys" is to be a list (RFC 7517, section 5.1)`
	case len(keys) > 0:
		return ""
	case at != "":
		return fmt.Sprintf("it is a discovery document: its key set is at %.200s", at)
	case members["kty"] != nil:
		return `it is one key: put it into a set, {"keys": […]}`
	case json.Unmarshal(text, &pem) == nil && slices.ContainsFunc(slices.Collect(maps.Values(pem)), func(v string) bool { return strings.HasPrefix(v, "-----BEGIN CERTIFICATE") }):
		return "it is a map of certificates, as Google and Firebase also serve one: name the URL of the same keys as a JWK set (there, with /jwk/ in its path for /metadata/x509/)"
	}
	return whole
}

// duplicate says what two keys of one kid do to verifiers.
func (r *Report) duplicate(name string, k, other Key) {
	const remedy = "give each key a kid of its own, and never use one again"
	switch {
	case !k.Usable || !other.Usable:
		r.find(Warning, "duplicate-kid", name, remedy, "two keys have this kid, of which one is no use for signatures: a verifier that takes the first may take the wrong one")
	case k.Thumbprint == other.Thumbprint:
		r.find(Error, "duplicate-kid", name, remedy, "the same key stands there twice: a strict verifier refuses the whole set")
	default:
		r.find(Error, "duplicate-kid", name, remedy, "two keys have this kid: which of them a verifier takes is luck")
	}
}

func (r *Report) judgeKey(name string, j published, raw []byte, private bool) Key {
	k := Key{ID: name, Type: j.typ, Algorithm: j.alg, Use: j.use, Strength: j.crv, Role: NotUsed}
	modulus, isRSA := material(j).(*rsa.PublicKey)
	if isRSA {
		k.Strength = fmt.Sprintf("%d bits", modulus.N.BitLen())
	}
	alone, skipped, err := keyset.Inspect(append(append([]byte(`{"keys":[`), raw...), "]}"...))
	switch {
	case len(alone) == 1:
		k.Usable, k.Algorithm, k.Thumbprint = true, alone[0].Algorithm, alone[0].Thumbprint
		if j.kid == "" {
			k.ID = alone[0].ID // what keyset calls it
		}
	case len(skipped) == 1:
		k.Why = skipped[0].Why
		r.unusable(name, j, k.Why)
	case err != nil:
		k.Why = err.Error()
		switch {
		case j.typ == "oct":
			r.find(Error, "symmetric-key", name, "take it out at once; sign with a key whose public half can be published", "it is a symmetric key: who can verify with it can sign with it")
		case !private:
			r.find(Error, "key-unreadable", name, "state each member once, and as RFC 7517 and 7518 say", "%v", err)
		}
	}
	if k.Usable {
		if isRSA && modulus.E < 65537 {
			r.find(Note, "low-exponent", name, "make keys with the exponent 65537", "its exponent is %d, and faults of verifiers in reading signatures weigh more with it", modulus.E)
		}
		if isRSA && modulus.N.BitLen() > 4096 {
			r.find(Note, "slow-key", name, "use RSA 2048 or 3072, or P-256", "a verifier takes 15 times as long for %d bits as for 2048, or more", modulus.N.BitLen())
		}
		if j.alg == "" {
			r.find(Note, "alg-missing", name, "state alg", "without it a verifier takes the token's word or guesses (%s here)", k.Algorithm)
		}
		if j.use == "" && !j.ops {
			r.find(Note, "use-missing", name, `state "use": "sig"`, "nothing says that the key is for signatures")
		}
	}
	r.certificate(name, j)
	return k
}

// unusable gives the reason of keyset for passing a key over its own rule.
func (r *Report) unusable(name string, j published, why string) {
	switch {
	case j.use != "" && j.use != "sig" || strings.Contains(why, "key_ops") || encrypts(j.alg):
		r.find(Note, "not-for-signatures", name, "", "verifiers pass it over: %s", why)
	case strings.Contains(why, "ROCA"):
		r.find(Error, "roca-key", name, "revoke it and sign with another key now", "%s", why)
	case strings.Contains(why, "bits"), strings.Contains(why, "divisible"), strings.Contains(why, "small order"), strings.Contains(why, "exponent"), strings.Contains(why, "even"):
		r.find(Error, "weak-key", name, "sign with a key of at least RSA 2048, P-256 or Ed25519", "%s", why)
	case strings.Contains(why, "on the curve"):
		r.find(Error, "off-curve", name, "revoke it and publish the key that signs; find out who made this one", "%s: no key pair has it, and verifiers that do not look can be made to tell or accept things", why)
	case strings.Contains(why, "algorithm"):
		r.find(Error, "algorithm", name, "state one algorithm that fits the key: RS, PS or ES 256 to 512, or EdDSA", "%s", why)
	default:
		r.find(Warning, "key-unusable", name, "publish it as RFC 7518 says, or take it out", "verifiers pass it over: %s", why)
	}
}

// encrypts says whether alg is for encryption (RFC 7518, 4.1).
func encrypts(alg string) bool {
	for _, prefix := range []string{"RSA-OAEP", "RSA1_5", "ECDH-ES"} {
		if strings.HasPrefix(alg, prefix) {
			return true
		}
	}
	return false
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
	switch j.typ {
	case "RSA":
		e := number(j.e)
		if !e.IsInt64() {
			e = new(big.Int)
		}
		return &rsa.PublicKey{N: number(j.n), E: int(e.Int64())}
	case "EC":
		width := map[string]int{"P-256": 32, "P-384": 48, "P-521": 66}[j.crv]
		x, y := number(j.x), number(j.y)
		if max(x.BitLen(), y.BitLen()) > 8*width {
			return nil
		}
		return string(x.FillBytes(make([]byte, width))) + string(y.FillBytes(make([]byte, width)))
	case "OKP":
		b, _ := base64.RawURLEncoding.DecodeString(j.x) // nothing is no key
		return ed25519.PublicKey(b)
	}
	return nil
}

// certificate compares x5c, x5t and x5t#S256 with the key (RFC 7517, 4.7 to 4.9).
func (r *Report) certificate(name string, j published) {
	pub := material(j)
	if len(j.chain) == 0 {
		return
	}
	der, err := base64.StdEncoding.DecodeString(j.chain[0])
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
	if sum := sha1.Sum(der); j.sha1 != "" && strings.TrimRight(j.sha1, "=") != base64.RawURLEncoding.EncodeToString(sum[:]) {
		r.find(Warning, "x5t-differs", name, "state the certificate's own SHA-1", "x5t is not of the certificate in x5c")
	}
	if sum := sha256.Sum256(der); j.sha256 != "" && strings.TrimRight(j.sha256, "=") != base64.RawURLEncoding.EncodeToString(sum[:]) {
		r.find(Warning, "x5t-differs", name, "state the certificate's own SHA-256", "x5t#S256 is not of the certificate in x5c")
	}
	if r.At.After(cert.NotAfter) {
		r.find(Note, "x5c-expired", name, "renew the certificate or leave it out", "the certificate in x5c ended at %s; some verifiers look", cert.NotAfter.UTC().Format("2006-01-02"))
	}
}
