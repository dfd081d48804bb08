package rotation

import (
	"context"
	"encoding/json"
	"time"
)

// Store keeps what must survive. It may be shared by several nodes. Errors are
// an *Error of kind Conflict where said, Unavailable when the store does not
// answer, and Damaged when what it holds cannot be read.
type Store interface {
	// Ring returns what is decided; version 0 when nothing was stored yet.
	Ring(ctx context.Context) (Ring, error)
	// Commit stores a change whole or not at all. It is a Conflict when the
	// stored version is not change.Ring.Version - 1. Pending deliveries to a URL
	// that change also delivers to become superseded.
	Commit(ctx context.Context, change Change) error
	// History lists the newest entries of the audit trail, newest first.
	History(ctx context.Context, limit int) ([]Entry, error)
	// Log adds an entry that changes nothing else.
	Log(ctx context.Context, entry Entry) error

	Instances(ctx context.Context) ([]Instance, error)
	// Told changes what one cache told last, in one transaction: change gets what
	// is stored, or nil, and returns what to store. Its error is returned as it is.
	Told(ctx context.Context, who Who, change func(old *Instance) (Instance, error)) error
	// Forget drops what instances told that were received last before the time,
	// unless they stay; or one instance, with the entry about it. It returns how
	// many were dropped.
	Forget(ctx context.Context, before time.Time) (int, error)
	ForgetOne(ctx context.Context, who Who, entry Entry) (int, error)

	Probes(ctx context.Context) ([]Probe, error)
	// Probed stores an outcome and counts its Streak. entry, if any, is added to
	// the audit trail in the same transaction.
	Probed(ctx context.Context, p Probe, entry *Entry) error

	// Deliveries lists the newest, newest first.
	Deliveries(ctx context.Context, limit int) ([]Delivery, error)
	// Claim hands out pending deliveries that are due, oldest first. Nobody else
	// gets them before until.
	Claim(ctx context.Context, now, until time.Time, limit int) ([]Delivery, error)
	// Tried stores what came of a try of a claimed delivery.
	Tried(ctx context.Context, d Delivery) error
	// Prune drops finished deliveries and probes from before the time.
	Prune(ctx context.Context, before time.Time) error
}

// Change is one committed step.
type Change struct {
	Ring       Ring
	Entry      Entry
	Deliveries []Delivery
}

// Entry is a line of the audit trail.
type Entry struct {
	Seq      int64     `json:"seq"` // given by the store
	At       time.Time `json:"at"`
	By       string    `json:"by"` // a node, or a person
	Action   Action    `json:"action"`
	Key      KeyID     `json:"kid,omitempty"`
	Who      string    `json:"who,omitempty"` // the verifier or instance it is about
	From     State     `json:"from,omitempty"`
	To       State     `json:"to,omitempty"`
	Reason   *Reason   `json:"reason,omitempty"` // the gate's answer
	Override bool      `json:"override,omitempty"`
	Note     string    `json:"note,omitempty"` // why, in a person's words
}

// Delivery is one hint on its way to one URL of a verifier.
type Delivery struct {
	ID       string          `json:"id"` // Standard Webhooks id; the same in every try
	Verifier string          `json:"verifier"`
	URL      string          `json:"url"`
	Body     json.RawMessage `json:"body"`
	Created  time.Time       `json:"created"`
	State    DeliveryState   `json:"state"`
	Tries    int             `json:"tries"`
	Next     time.Time       `json:"next,omitzero"` // of the next try
	Ended    time.Time       `json:"ended,omitzero"`
	Last     string          `json:"last,omitempty"` // what came of the last try
}

// DeliveryState is where a delivery is.
type DeliveryState string

// The delivery states. Delivered says that a server took the hint, never that
// a verifier holds the keys.
const (
	Pending    DeliveryState = "pending"
	Delivered  DeliveryState = "delivered"
	Failed     DeliveryState = "failed"     // given up, or the receiver said 410 Gone
	Superseded DeliveryState = "superseded" // a newer hint to the same URL says all it would
)
