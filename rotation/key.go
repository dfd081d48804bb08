package rotation

import (
	"fmt"
	"slices"
	"time"
)

// KeyID names a key of a ring: the kid of its tokens. It is given once and
// never again.
type KeyID string

// Thumbprint is the SHA-256 thumbprint of RFC 7638, base64url: what a key is,
// whatever it is called.
type Thumbprint string

// State is where a key is in its life; docs/rotation.md has the diagram.
type State string

// The states.
const (
	Planned      State = "planned"      // named, and its material is being made; in no document
	Next         State = "next"         // published, so that verifiers fetch it; it signs canaries only
	Acknowledged State = "acknowledged" // every live verifier says that it holds it
	Proven       State = "proven"       // every live verifier has verified a canary of it
	Active       State = "active"       // it signs
	Previous     State = "previous"     // it signs no more, and tokens of it may live
	Removed      State = "removed"      // in no document; its material is destroyed
	Revoked      State = "revoked"      // taken out at once, whoever still needed it
)

// moves are the changes that are ever right.
var moves = map[State][]State{
	Planned:      {Next, Removed, Revoked},
	Next:         {Acknowledged, Previous, Removed, Revoked},
	Acknowledged: {Next, Proven, Previous, Removed, Revoked},
	Proven:       {Next, Acknowledged, Active, Previous, Removed, Revoked},
	Active:       {Previous, Next, Revoked},
	Previous:     {Active, Removed, Revoked},
}

// Transition says whether a key may go from one state to another: the one judge
// of that. forced is a person's override, or a ring without a signer, which has
// nobody to break: only then may a key that is not proven become active.
func Transition(from, to State, forced bool) error {
	if slices.Contains(moves[from], to) || forced && to == Active && (from == Next || from == Acknowledged) {
		return nil
	}
	return fault(Invalid, fmt.Sprintf("a key that is %s cannot become %s", from, to), "")
}

// Published says whether keys in this state are in the JWKS document.
func (s State) Published() bool {
	return s == Next || s == Acknowledged || s == Proven || s == Active || s == Previous
}

// Waiting says whether the key is published to become the signer.
func (s State) Waiting() bool { return s == Next || s == Acknowledged || s == Proven }

// Key is one signing key of a ring.
type Key struct {
	ID         KeyID      `json:"kid"`
	Algorithm  Algorithm  `json:"alg"`
	Thumbprint Thumbprint `json:"thumbprint,omitempty"` // empty while planned
	Public     JWK        `json:"public"`
	State      State      `json:"state"`
	Since      time.Time  `json:"since"` // of the state

	Published time.Time `json:"published,omitzero"` // since when every new document has it; a return starts this again
	Promoted  time.Time `json:"promoted,omitzero"`  // when it became the signer last
	Signed    time.Time `json:"signed,omitzero"`    // until when it was the signer; zero when it never was or still is
	Returns   int       `json:"returns,omitempty"`  // how often the signer was taken back from it
	Hold      time.Time `json:"hold,omitzero"`      // not to be promoted before
	Forced    bool      `json:"forced,omitempty"`   // it signs because a person insisted

	// Lifetime is of the longest token that it may have signed: the greatest
	// Policy.MaxLifetime that any node had while it was the signer; 0 when nobody
	// noted it, as of an issuer that is only observed.
	Lifetime time.Duration `json:"max_lifetime,omitempty"`

	Destroyed bool `json:"destroyed,omitempty"`
}

// Ring is all that is decided about an issuer's keys. It is stored whole and
// changed by compare-and-swap on Version, so of several nodes one promotes.
type Ring struct {
	Version int64     `json:"version"` // 0 before anything was stored
	Keys    []Key     `json:"keys"`    // in the order of their planning
	Due     time.Time `json:"due,omitzero"`
	Halted  string    `json:"halted,omitempty"` // why the schedule stands still until a person resumes it
}

// Key returns the key with this id.
func (r *Ring) Key(id KeyID) (Key, bool) {
	for _, k := range r.Keys {
		if k.ID == id {
			return k, true
		}
	}
	return Key{}, false
}

// Signer returns the active key.
func (r *Ring) Signer() (Key, bool) { return r.find(func(k Key) bool { return k.State == Active }) }

// Coming returns the key that is planned or published to become the signer.
func (r *Ring) Coming() (Key, bool) {
	return r.find(func(k Key) bool { return k.State == Planned || k.State.Waiting() })
}

// Last returns the previous key that signed last: the one to return to.
func (r *Ring) Last() (Key, bool) {
	var last Key
	found := false
	for _, k := range r.Keys {
		if k.State == Previous && (!found || k.Signed.After(last.Signed)) {
			last, found = k, true
		}
	}
	return last, found
}

func (r *Ring) find(is func(Key) bool) (Key, bool) {
	if i := slices.IndexFunc(r.Keys, is); i >= 0 {
		return r.Keys[i], true
	}
	return Key{}, false
}
