package rotation

import "time"

// Class is how a verifier shows that it holds a key.
type Class string

// The classes.
const (
	Answering Class = "answering" // it acknowledges: keyset, or an agent beside a static file
	Timed     Class = "timed"     // it cannot answer, and refreshes within a declared time
	Manual    Class = "manual"    // it cannot answer and does not refresh: a person confirms each key
)

// Verifier is a service that verifies this issuer's tokens, as declared. One
// declaration covers every instance of it.
type Verifier struct {
	Name  string `json:"name"` // 1 to 64 of a-z, A-Z, 0-9, ".", "_" and "-"
	Class Class  `json:"class"`

	// Answering: Secrets are the Standard Webhooks secrets ("whsec_…") that sign
	// its acknowledgements, and hints to it; several while one is replaced.
	Secrets []string `json:"-"`
	// Expect is how many instances must be live; default 1.
	Expect int `json:"expect,omitempty"`
	// Stays says that an instance may serve on when its acknowledgements stop. It
	// then blocks until Forget; others count as gone when lease and grace are over.
	Stays bool `json:"stays,omitempty"`

	// Timed: Within is how long after its publication a key is surely held.
	Within time.Duration `json:"within,omitempty"`

	// Hooks are URLs that take hints (keyset: Set.Hints), one for each instance
	// that can be reached; signed by the first of Secrets.
	Hooks []string `json:"hooks,omitempty"`
	// Probe is a URL that answers a GET with a bearer token by 401 or otherwise.
	// "{instance}" in it stands for an instance's name. Without, a Timed or Manual
	// verifier has the one instance "".
	Probe string `json:"probe,omitempty"`
	// Audience is aud of the canaries; default the verifier's name.
	Audience string `json:"audience,omitempty"`
}

// Who is one cache of one process of a verifier.
type Who struct {
	Verifier string `json:"verifier"`
	Instance string `json:"instance,omitempty"`
	Cache    string `json:"cache,omitempty"`
}

// String is "orders", "orders/orders-1" or "orders/orders-1#cache_…".
func (w Who) String() string {
	s := w.Verifier
	if w.Instance != "" {
		s += "/" + w.Instance
	}
	if w.Cache != "" {
		s += "#" + w.Cache
	}
	return s
}

// Instance is what one cache of an answering verifier told last. Times are on
// our clock.
type Instance struct {
	Who
	Sent     time.Time     `json:"sent"`     // on its clock: orders its messages
	Received time.Time     `json:"received"` // when it told this
	Lease    time.Duration `json:"lease"`    // for how long it counts
	Stays    bool          `json:"stays,omitempty"`
	Held     []Held        `json:"held"`
	Refusals []Refusal     `json:"refusals,omitempty"`
}

// Held is a key that an instance verifies with.
type Held struct {
	ID         KeyID      `json:"kid"`
	Thumbprint Thumbprint `json:"thumbprint"`
	Seen       time.Time  `json:"seen,omitzero"` // when it last verified a token
}

// Refusal counts tokens that an instance refused because it has no key with
// their kid. Only these show that a verifier lacks a key: anybody can make
// tokens of a good kid and a bad signature.
type Refusal struct {
	ID    KeyID `json:"kid"`
	Count int64 `json:"count"` // since the cache began
	Base  int64 `json:"base"`  // of these, before the key was promoted
}

// Probe is what came of showing a token to a verifier last.
type Probe struct {
	Who                   // Cache is empty
	Thumbprint Thumbprint `json:"thumbprint"` // of the key that signed it
	At         time.Time  `json:"at"`
	Outcome    Outcome    `json:"outcome"`
	Streak     int        `json:"streak"`       // how many times in a row
	Detail     string     `json:"detail"`       // "200 OK", "connection refused", a person's reason
	By         string     `json:"by,omitempty"` // who confirmed it, for a Manual verifier
}

// Outcome of a probe. Unknown is never accepted.
type Outcome string

// The outcomes.
const (
	Accepted Outcome = "accepted"
	Rejected Outcome = "rejected" // 401
	Unknown  Outcome = "unknown"
)

// Snapshot is all that a decision reads.
type Snapshot struct {
	Ring      Ring
	Policy    Policy // settled
	Verifiers []Verifier
	Instances []Instance
	Probes    []Probe
}

func (i Instance) holds(id KeyID) (Held, bool) {
	for _, h := range i.Held {
		if h.ID == id {
			return h, true
		}
	}
	return Held{}, false
}

func (i Instance) has(k Key) bool {
	h, ok := i.holds(k.ID)
	return ok && h.Thumbprint == k.Thumbprint
}

// refused counts tokens of a key refused for want of it since it signs.
func (i Instance) refused(id KeyID) int64 {
	for _, r := range i.Refusals {
		if r.ID == id {
			return r.Count - r.Base
		}
	}
	return 0
}

func (i Instance) list() string {
	if len(i.Held) == 0 {
		return "no key"
	}
	s := ""
	for n, h := range i.Held {
		if n > 0 {
			s += ", "
		}
		s += string(h.ID)
	}
	return s
}
