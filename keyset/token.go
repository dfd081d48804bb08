package keyset

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxToken  = 16 << 10 // bytes of a compact token
	maxHeader = 8 << 10  // bytes of its encoded header
	maxKid    = 256      // bytes of a key id
)

// Claims are what a verified token says. The registered claims are fields; the
// rest is read with Decode.
type Claims struct {
	Issuer, Subject, ID          string
	Expires, NotBefore, IssuedAt time.Time // zero when the claim is absent
	KeyID                        string    // the kid that signed it

	payload  string
	audience string // raw JSON
}

// Audience returns the aud claim as a list, which may be empty.
func (c Claims) Audience() []string {
	var list []string
	audiences(c.audience, func(a string) bool { list = append(list, a); return false })
	return list
}

// Decode unmarshals the claims object into v, as encoding/json does.
func (c Claims) Decode(v any) error { return json.Unmarshal([]byte(c.payload), v) }

// header is the part of a JOSE header that decides something.
type header struct {
	alg, kid, typ string
	cty           string
}

// claimSet is a payload looked through once; strings are parts of its text.
type claimSet struct {
	iss, sub, jti, aud string
	exp, nbf, iat      int64 // Unix seconds; noTime when absent
}

const noTime = math.MinInt64

// parsed is a token taken apart, nothing of it believed yet. Its header is read
// first; the rest only when that is of use, so that refusing an unknown kid
// costs no more than it must.
type parsed struct {
	header
	token       string
	head        string // the encoded header
	first, last int    // where the dots are
	w           *scratch

	whole   bool // what follows was read
	claims  claimSet
	payload string
	invalid string // why the payload is no claims object; told only once the signature is known to be good
	signed  []byte // header "." payload, in the scratch buffer
	sig     []byte // decoded signature, in the scratch buffer

	patience time.Time // until when it may wait for fetches; zero before the first
}

// scratch is the memory one verification works in.
type scratch struct {
	in, out []byte
	digest  [sha512.Size]byte
	der     [144]byte
}

var scratches = sync.Pool{New: func() any {
	return &scratch{in: make([]byte, 0, 2048), out: make([]byte, 2048)}
}}

var b64 = base64.RawURLEncoding.Strict()

// parse takes a token apart and reads its header. known returns a header that
// was read (and verified) before, so that the usual token's is not read again.
func (p *parsed) parse(token string, w *scratch, known func(head string) (header, bool)) *Error {
	if len(token) > maxToken {
		return refuse(Malformed, "", "the token is longer than "+strconv.Itoa(maxToken)+" bytes")
	}
	p.first = strings.IndexByte(token, '.')
	p.last = p.first + 1 + strings.IndexByte(token[p.first+1:], '.')
	if p.first < 1 || p.last == p.first {
		return refuse(Malformed, "", "a token is three parts joined by two dots")
	}
	if strings.IndexByte(token[p.last+1:], '.') >= 0 {
		return refuse(Malformed, "", "more than three parts: an encrypted token, or none")
	}
	// The decoder below passes over line breaks; a token has none.
	if strings.IndexByte(token, '\n') >= 0 || strings.IndexByte(token, '\r') >= 0 {
		return refuse(Malformed, "", "the token has a line break")
	}
	if p.first > maxHeader {
		return refuse(Malformed, "", "the header is longer than "+strconv.Itoa(maxHeader)+" bytes")
	}
	p.token, p.head, p.w = token, token[:p.first], w
	h, ok := known(p.head)
	if ok {
		p.header = h
		return nil
	}
	w.in = append(w.in[:0], p.head...)
	w.grow(len(p.head))
	return p.readHeader(w.in, w.out)
}

func (w *scratch) grow(n int) {
	if len(w.out) < n {
		w.out = make([]byte, maxToken)
	}
}

// rest reads payload and signature.
func (p *parsed) rest() *Error {
	if p.whole {
		return nil
	}
	w := p.w
	w.in = append(w.in[:0], p.token...)
	w.grow(len(p.token))
	p.signed = w.in[:p.last]
	n, err := b64.Decode(w.out, w.in[p.first+1:p.last])
	if err != nil {
		return refuse(Malformed, p.kid, "the payload is not base64url")
	}
	p.payload = string(w.out[:n])
	m, err := b64.Decode(w.out[n:], w.in[p.last+1:])
	if err != nil {
		return refuse(Malformed, p.kid, "the signature is not base64url")
	}
	p.sig = w.out[n : n+m]
	p.claims, p.invalid = readClaims(p.payload)
	p.whole = true
	return nil
}

func (p *parsed) readHeader(encoded, buf []byte) *Error {
	n, err := b64.Decode(buf, encoded)
	if err != nil {
		return refuse(Malformed, "", "the header is not base64url")
	}
	var seen uint
	once := func(bit uint) error {
		if seen&(1<<bit) != 0 {
			return errTwice
		}
		seen |= 1 << bit
		return nil
	}
	var bad *Error
	text := func(value string, into *string) error {
		s, ok := stringValue(value)
		if !ok {
			return errType
		}
		*into = s
		return nil
	}
	err = members(string(buf[:n]), func(name, value string) error {
		switch name {
		case "alg":
			return errors.Join(once(0), text(value, &p.alg))
		case "kid":
			return errors.Join(once(1), text(value, &p.kid))
		case "typ":
			return errors.Join(once(2), text(value, &p.typ))
		case "cty":
			return errors.Join(once(3), text(value, &p.cty))
		case "crit", "b64", "zip", "enc":
			bad = refuse(Header, "", "the header has "+name+", which this verifier does not do")
		}
		return nil
	})
	switch {
	case err != nil:
		return refuse(Malformed, "", "the header is "+err.Error())
	case len(p.kid) > maxKid:
		return refuse(Malformed, p.kid, "the kid is longer than "+strconv.Itoa(maxKid)+" bytes")
	case bad != nil:
		bad.Kid = p.kid
		return bad
	case p.cty != "":
		return refuse(Header, p.kid, "the header has cty: the token holds another token")
	case p.alg == "":
		return refuse(Algorithm, p.kid, "the header names no algorithm")
	}
	return nil
}

var (
	errTwice = errors.New("stating a member twice")
	errType  = errors.New("stating a member of the wrong type")
)

// readClaims looks through a payload; why is "" when it is a claims object.
func readClaims(payload string) (c claimSet, why string) {
	c.exp, c.nbf, c.iat = noTime, noTime, noTime
	var seen uint
	err := members(payload, func(name, value string) error {
		var bit uint
		var text *string
		var date *int64
		ok := true
		switch name {
		case "iss":
			bit, text = 1<<0, &c.iss
		case "sub":
			bit, text = 1<<1, &c.sub
		case "jti":
			bit, text = 1<<2, &c.jti
		case "aud":
			bit, c.aud, ok = 1<<3, value, audiencesValid(value)
		case "exp":
			bit, date = 1<<4, &c.exp
		case "nbf":
			bit, date = 1<<5, &c.nbf
		case "iat":
			bit, date = 1<<6, &c.iat
		}
		switch {
		case text != nil:
			*text, ok = stringValue(value)
		case date != nil:
			*date, ok = numericDate(value)
		}
		if !ok {
			return errType
		}
		if seen&bit != 0 {
			return errTwice
		}
		seen |= bit
		return nil
	})
	if err != nil {
		return c, "the payload is not a claims object: " + err.Error()
	}
	return c, ""
}

// numericDate reads a NumericDate (RFC 7519): seconds since 1970, perhaps with
// a fraction, which is cut off.
func numericDate(raw string) (int64, bool) {
	const latest = 1 << 40 // some 34,000 years on; keeps every sum below from overflowing
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return n, n >= 0 && n < latest
	}
	f, err := strconv.ParseFloat(raw, 64)
	return int64(f), err == nil && f >= 0 && f < latest
}

// audiences calls f with each audience in a raw aud claim until f is true.
func audiences(raw string, f func(string) bool) bool {
	if raw == "" {
		return false
	}
	if one, ok := stringValue(raw); ok {
		return f(one)
	}
	found := false
	_ = elements(raw, func(value string) error { // readClaims saw that it is valid
		one, _ := stringValue(value)
		found = found || f(one)
		return nil
	})
	return found
}

func audiencesValid(raw string) bool {
	if raw[0] == '"' {
		return true
	}
	return elements(raw, func(value string) error {
		if value[0] != '"' {
			return errType
		}
		return nil
	}) == nil
}
