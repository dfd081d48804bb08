package rotation

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Gate is a question that must be answered yes before something is done.
type Gate string

// The gates. docs/rotation.md has a table of what each reads.
const (
	MayPublish   Gate = "may-publish"
	MayPromote   Gate = "may-promote"
	ShouldReturn Gate = "should-return" // open: the signer must go back to the previous key
	MayReturn    Gate = "may-return"
	MayRemove    Gate = "may-remove"
	MayRevoke    Gate = "may-revoke" // closed means that somebody would break; a person may insist
)

// Code is the name of what decided.
type Code string

// The codes of a Reason or a Blocker.
const (
	Clear        Code = "clear"          // nothing is in the way
	NoSigner     Code = "no-signer"      // open: there is no active key, so nobody can be broken
	NeverSigned  Code = "never-signed"   // open: there are no tokens of the key
	NoSuchKey    Code = "no-such-key"    //
	WrongState   Code = "wrong-state"    // the key is not where this is asked
	NoMaterial   Code = "no-material"    // the signer has not made the key yet
	KeyReused    Code = "key-reused"     // the ring had this material before
	OneComing    Code = "one-coming"     // another key is on its way already
	TooManyKeys  Code = "too-many-keys"  // the document would be too large for verifiers
	OnHold       Code = "on-hold"        // the signer came back from this key lately
	CopiesOld    Code = "copies-old"     // a node or a CDN may still serve a document without the key
	NotHeld      Code = "not-held"       // an instance says that it does not hold the key
	OtherKey     Code = "other-material" // it holds other material under this kid
	ToldTooEarly Code = "told-too-early" // what it told is older than what must be known
	NotProven    Code = "not-proven"     // it has not verified a canary of the key
	Rejects      Code = "rejects"        // it refused a genuine token of the key
	LeaseExpired Code = "lease-expired"  // it is silent; it may serve on
	TooFew       Code = "too-few"        // fewer live instances than declared
	NotYet       Code = "not-yet"        // a timed verifier may not have refreshed yet
	NotConfirmed Code = "not-confirmed"  // nobody has confirmed a manual verifier
	TokensLive   Code = "tokens-live"    // tokens of the key may be valid
	SeesTokens   Code = "sees-tokens"    // it has verified such tokens lately
	CannotTell   Code = "cannot-tell"    // it verifies tokens and does not say which
	SeenLate     Code = "seen-late"      // it verified one after the last should have expired: tokens live longer than declared
	LacksSigner  Code = "lacks-signer"   // it does not hold the active key
	Watching     Code = "watching"       // the signer may have to return to this key
	NoPrevious   Code = "no-previous"    // there is no key to return to
	LacksTarget  Code = "lacks-target"   // it does not hold the key that would sign
	Insisted     Code = "insisted"       // a person made it the signer against the gate
	WatchOver    Code = "watch-over"     // too long after the promotion
	NoEvidence   Code = "no-evidence"    // nobody refuses the new key
	Worse        Code = "worse"          // returning would break more than it heals
	RefusesNew   Code = "refuses-new"    // it refuses tokens of the new key for want of the key
)

// Blocker is who is in the way, and why.
type Blocker struct {
	Who
	Code   Code      `json:"code"`
	Detail string    `json:"detail"`
	Until  time.Time `json:"until,omitzero"` // when time alone clears it
}

func (b Blocker) String() string {
	s := string(b.Code) + ": " + b.Detail
	if b.Verifier != "" {
		s = b.Who.String() + ": " + s
	}
	return s
}

// Reason is a gate's answer with what decided it. For ShouldReturn the Blockers
// are those who refuse the new key; for the others, those who keep the gate
// closed, or would break.
type Reason struct {
	Gate     Gate              `json:"gate"`
	Key      KeyID             `json:"kid,omitempty"`
	Open     bool              `json:"open"`
	Code     Code              `json:"code"`
	Operands map[string]string `json:"operands,omitempty"`
	Blockers []Blocker         `json:"blockers,omitempty"`
	Again    time.Time         `json:"again,omitzero"` // when it can open at the earliest, if time alone is missing
}

// Names lists the verifiers among the blockers, each once, in order.
func (r Reason) Names() []string {
	var names []string
	seen := map[string]bool{}
	for _, b := range r.Blockers {
		if b.Verifier != "" && !seen[b.Verifier] {
			seen[b.Verifier] = true
			names = append(names, b.Verifier)
		}
	}
	return names
}

// String is a sentence for a person.
func (r Reason) String() string {
	answer := "no"
	if r.Open {
		answer = "yes"
	}
	s := fmt.Sprintf("%s %s: %s: %s", r.Gate, r.Key, answer, r.Code)
	const shown = 8
	for i, b := range r.Blockers {
		if i == shown {
			s += fmt.Sprintf("; and %d more", len(r.Blockers)-shown)
			break
		}
		sep := "; "
		if i == 0 {
			sep = " - "
		}
		s += sep + b.String()
	}
	if !r.Open && !r.Again.IsZero() {
		s += "; not before " + r.Again.UTC().Format(time.RFC3339)
	}
	return strings.TrimSpace(s)
}

// settle finishes a reason: without blockers it is open, with some the first
// decides the code and the last of their times is when it may open.
func (r Reason) settle() Reason {
	r.Open = len(r.Blockers) == 0
	if r.Open {
		if r.Code == "" {
			r.Code = Clear
		}
		return r
	}
	r.Code = r.Blockers[0].Code
	r.Again = r.Blockers[0].Until
	for _, b := range r.Blockers {
		if b.Until.IsZero() {
			r.Again = time.Time{}
			break
		}
		if b.Until.After(r.Again) {
			r.Again = b.Until
		}
	}
	return r
}

// Without is the answer when the blockers of a code do not count.
func (r Reason) Without(c Code) Reason {
	left := slices.DeleteFunc(slices.Clone(r.Blockers), func(b Blocker) bool { return b.Code == c })
	if len(left) == len(r.Blockers) {
		return r
	}
	r.Blockers, r.Code, r.Again = left, "", time.Time{}
	return r.settle()
}

func (r Reason) closed(c Code) Reason {
	r.Open, r.Code = false, c
	return r
}

// misplaced is the answer about a key that is not where this is asked.
func (r Reason) misplaced(k Key) Reason {
	r.operand("state", k.State)
	return r.closed(WrongState)
}

func (r Reason) open(c Code) Reason {
	r.Open, r.Code = true, c
	return r
}

func (r *Reason) block(w Who, c Code, until time.Time, format string, args ...any) {
	r.Blockers = append(r.Blockers, Blocker{Who: w, Code: c, Until: until, Detail: fmt.Sprintf(format, args...)})
}

func (r *Reason) operand(name string, value any) {
	if r.Operands == nil {
		r.Operands = map[string]string{}
	}
	if t, ok := value.(time.Time); ok {
		value = t.UTC().Format(time.RFC3339)
	}
	r.Operands[name] = fmt.Sprint(value)
}
