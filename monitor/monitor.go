package monitor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// Monitor looks at one thing.
type Monitor interface {
	// Name is the Source of its Signals: "jwks/auth".
	Name() string
	// RunOnce looks once. The error says that it could not look; Signals may
	// come with it.
	RunOnce(ctx context.Context, now time.Time) ([]prunella.Signal, error)
	// Accepted says that the Signals of the last RunOnce are durable, so that
	// the next one compares with what that one saw.
	Accepted(ctx context.Context) error
}

// World is what the monitors look at.
type World interface {
	// KeySet tells what an issuer publishes, holds and signs with. When the set
	// cannot be read, the KeySet holds what else is known and the error says why:
	// prunella.Invalid for an answer that is not a key set. Of an issuer that is
	// not in the inventory there is only an error.
	KeySet(ctx context.Context, issuer string) (prunella.KeySet, error)
	// Token has a token issued and tells its kid and lifetime.
	Token(ctx context.Context, issuer string) (kid string, lifetime time.Duration, err error)
	// Trust probes every service of an issuer with a token of every published key.
	Trust(ctx context.Context, issuer string) (signer string, cells []prunella.TrustCell, err error)
	// Releases tells the published releases, oldest first.
	Releases(ctx context.Context) ([]prunella.Change, error)
}

// Recorder keeps the newest views for the key board.
type Recorder interface {
	PutTrust(ctx context.Context, cells []prunella.TrustCell) error
	PutKeySet(ctx context.Context, ks prunella.KeySet) error
}

// State keeps what a monitor compares with. Load of a name never saved returns
// nil and no error.
type State interface {
	Load(ctx context.Context, name string) ([]byte, error)
	Save(ctx context.Context, name string, b []byte) error
}

// Attributes of change Signals beside those in package prunella.
const (
	AttrBefore    = "before"     // signer kid, thumbprint, version or list of kids that was
	AttrAfter     = "after"      // … and that is
	AttrNotBefore = "not_before" // RFC 3339: when the world was last seen without the change
	AttrAuthor    = "author"     // of a release
	AttrClaim     = "claim"      // canary: the claim a service refuses the token for
)

// saveEvery bounds how often a state that changed only in its times is saved.
const saveEvery = time.Minute

// memory is what a monitor compares with: the last accepted view, and the one
// that waits to be accepted.
type memory[T any] struct {
	state    State
	name     string
	loaded   bool
	kept     kept[T]
	pending  *T
	at       time.Time // of pending
	differs  bool      // pending differs from the last view in more than times
	lastSave time.Time
}

// kept is what is stored.
type kept[T any] struct {
	Seen    time.Time `json:"seen"`    // zero: nothing was ever seen
	Version int       `json:"version"` // grows with each accepted difference; part of SignalIDs
	View    T         `json:"view"`
}

// last returns the last accepted view; kept.Seen is zero before the first.
func (m *memory[T]) last(ctx context.Context) (kept[T], error) {
	if m.loaded {
		return m.kept, nil
	}
	b, err := m.state.Load(ctx, "monitor/"+m.name)
	if err != nil {
		return m.kept, prunella.Errorf(prunella.Unavailable, "load what was seen before: %w", err)
	}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &m.kept); err != nil {
			return m.kept, prunella.Errorf(prunella.Internal, "what was seen before cannot be read: %w", err)
		}
	}
	m.loaded = true
	return m.kept, nil
}

// offer proposes a view for acceptance.
func (m *memory[T]) offer(view T, at time.Time, differs bool) {
	m.pending, m.at, m.differs = &view, at, differs
}

// accepted makes the offered view the last one, and saves it.
func (m *memory[T]) accepted(ctx context.Context) error {
	if m.pending == nil {
		return nil
	}
	first := m.kept.Seen.IsZero()
	m.kept.View, m.kept.Seen, m.pending = *m.pending, m.at, nil
	if m.differs {
		m.kept.Version++
	}
	if !first && !m.differs && m.at.Sub(m.lastSave) < saveEvery {
		return nil
	}
	b, err := json.Marshal(m.kept)
	if err != nil {
		return prunella.Errorf(prunella.Internal, "write what was seen: %w", err)
	}
	if err := m.state.Save(ctx, "monitor/"+m.name, b); err != nil {
		return prunella.Errorf(prunella.Unavailable, "save what was seen: %w", err)
	}
	m.lastSave = m.at
	return nil
}

// signalID is the same for a repeated publication of the same observation.
func signalID(parts ...string) prunella.SignalID {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return prunella.SignalID("mon-" + hex.EncodeToString(sum[:12]))
}

func stamp(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 36) }

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// believable takes the issuer's time for a change when it lies between the last
// look and now, give or take its clock; otherwise the change's time is now.
func believable(stated, lastSeen, now time.Time) time.Time {
	const clock = 2 * time.Second
	if stated.IsZero() || stated.Before(lastSeen.Add(-clock)) || stated.After(now.Add(clock)) {
		return now
	}
	if stated.After(now) {
		return now
	}
	return stated
}
