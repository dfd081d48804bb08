package rotation

import "strings"

// Kind is the sort of an error of this library. It is an error itself, so a
// caller asks with errors.Is(err, rotation.Refused).
type Kind string

// The kinds.
const (
	Invalid      Kind = "invalid"      // the input or the configuration is wrong
	Unauthorized Kind = "unauthorized" // not signed by a secret of the verifier, stale, or an operator who is not known
	TooLarge     Kind = "too-large"    // a body beyond its bound
	NotFound     Kind = "not-found"    // no such key, verifier or instance
	Refused      Kind = "refused"      // a gate is closed; Error.Reason says who blocks
	Conflict     Kind = "conflict"     // somebody else changed it first, or it was received before
	Unavailable  Kind = "unavailable"  // the store or the signer does not answer, or was last read too long ago
	Damaged      Kind = "damaged"      // what was stored cannot be read
)

func (k Kind) Error() string { return string(k) }

// Error is every error that the library itself finds.
type Error struct {
	Kind   Kind
	Detail string // a sentence; it holds no secret
	Remedy string // what to do about it; may be empty
	Reason Reason // of the gate, when Kind is Refused
	Cause  error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("rotation: " + e.Detail)
	if e.Cause != nil {
		b.WriteString(": " + e.Cause.Error())
	}
	if e.Remedy != "" {
		b.WriteString(" (" + e.Remedy + ")")
	}
	return b.String()
}

// Is makes errors.Is(err, rotation.Conflict) work.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

func (e *Error) Unwrap() error { return e.Cause }

func fault(k Kind, detail, remedy string) *Error {
	return &Error{Kind: k, Detail: detail, Remedy: remedy}
}
