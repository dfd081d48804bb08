package keyset

import "strconv"

// Check names what a token failed. It is an error, so a caller asks with
// errors.Is(err, keyset.Expired).
type Check string

// The checks, in the order in which they are made.
const (
	Malformed   Check = "malformed"     // not a compact JWS of bounded size with a readable header
	Header      Check = "header"        // crit, nested content, or another header that must not be there
	Issuer      Check = "issuer"        // iss is not an issuer of this set
	Type        Check = "type"          // typ is not the declared kind of token
	Algorithm   Check = "algorithm"     // alg is not allowed, or is not the key's one algorithm
	Unavailable Check = "unavailable"   // no key set that is fresh enough: refused until there is one
	UnknownKey  Check = "unknown-key"   // the kid is not in the set
	Signature   Check = "signature"     // the key did not sign this
	Payload     Check = "payload"       // the signed text is not a claims object
	Expired     Check = "expired"       // exp is past, or missing
	NotYet      Check = "not-yet-valid" // nbf or iat is in the future
	Audience    Check = "audience"      // aud does not name this service
)

func (c Check) Error() string { return string(c) }

// checks lists every Check, for the metrics.
var checks = [...]Check{Malformed, Header, Issuer, Type, Algorithm, Unavailable, UnknownKey, Signature, Payload, Expired, NotYet, Audience}

// Error says which check a token failed and why. It never carries the token.
type Error struct {
	Check  Check
	Kid    string // the kid the token names, at most 64 bytes of it; "" when it was not read
	Detail string // a sentence, for a log; it holds nothing secret
	Cause  error  // what lies below it (a context's error, a failed fetch); mostly nil
}

func (e *Error) Error() string {
	s := "token refused: " + string(e.Check) + ": " + e.Detail
	if e.Kid != "" {
		s += " (kid " + strconv.Quote(e.Kid) + ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Is makes errors.Is(err, keyset.Expired) work.
func (e *Error) Is(target error) bool {
	c, ok := target.(Check)
	return ok && c == e.Check
}

func (e *Error) Unwrap() error { return e.Cause }

func refuse(c Check, kid, detail string) *Error {
	const shown = 64
	if len(kid) > shown {
		kid = kid[:shown]
	}
	return &Error{Check: c, Kid: kid, Detail: detail}
}
