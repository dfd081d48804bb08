package issuer

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"prunella/rotation"
)

// DeskConfig is what NewDesk takes. Issuer, At and Store are needed.
type DeskConfig struct {
	Issuer    string // iss of its tokens
	At        Observer
	Store     rotation.Store
	Policy    rotation.Policy
	Verifiers []rotation.Verifier
	Node      string
	Log       *slog.Logger
}

// Desk is where orders to an issuer of somebody else are given: it asks the gates
// first. All methods may be called from any number of goroutines.
type Desk struct {
	at      Observer
	store   rotation.Store
	rotator *rotation.Rotator // takes acknowledgements and answers; its loop never runs
	log     *slog.Logger
	mu      sync.Mutex // one order at a time
}

// NewDesk returns a desk. It is rotation's Invalid when the configuration is wrong.
func NewDesk(ctx context.Context, cfg DeskConfig) (*Desk, error) {
	r, err := rotation.New(ctx, rotation.Config{Issuer: cfg.Issuer, Policy: cfg.Policy, Verifiers: cfg.Verifiers, Store: cfg.Store, Signer: elsewhere{}, Node: cfg.Node, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	log := cfg.Log
	if log == nil {
		log = slog.Default()
	}
	return &Desk{at: cfg.At, store: cfg.Store, rotator: r, log: log.With("component", "issuer", "issuer", cfg.Issuer)}, nil
}

// elsewhere is a signer whose keys another program holds.
type elsewhere struct{}

func (elsewhere) Create(context.Context, rotation.KeyID, rotation.Algorithm) (crypto.PublicKey, error) {
	return nil, errElsewhere
}

func (elsewhere) Sign(context.Context, rotation.KeyID, rotation.Algorithm, []byte) ([]byte, error) {
	return nil, errElsewhere
}

func (elsewhere) Destroy(context.Context, rotation.KeyID) error { return nil }

var errElsewhere = &rotation.Error{Kind: rotation.NotFound, Detail: "issuer: another program holds this issuer's private keys"}

const commits = 8 // tries of a commit, when another process commits too

// Follow looks at the issuer and remembers what is new. Whoever serves a Desk
// calls it every now and then: a key counts as published since it was first seen.
func (d *Desk) Follow(ctx context.Context) error {
	_, err := d.follow(ctx, rotation.Entry{By: "observed"})
	return err
}

// follow is Follow with the line of the audit trail for what is found.
func (d *Desk) follow(ctx context.Context, entry rotation.Entry) (rotation.Snapshot, error) {
	seen, err := d.at.Observe(ctx)
	if err != nil {
		return rotation.Snapshot{}, err
	}
	for range commits {
		now := time.Now().UTC()
		s, err := d.rotator.Snapshot(ctx, now)
		if err != nil {
			return s, err
		}
		next, told := merge(s.Ring, seen, now)
		if len(told) == 0 {
			return s, nil
		}
		next.Version++
		e := entry
		e.At, e.Action, e.Key = now, cmp.Or(e.Action, told[0].action), cmp.Or(e.Key, told[0].key)
		if k, ok := next.Key(e.Key); ok {
			e.To = k.State
		}
		var texts []string
		for _, one := range told {
			texts = append(texts, fmt.Sprintf("%s %s", one.key, one.text))
		}
		e.Note = strings.TrimPrefix(e.Note+"; seen at the issuer: "+strings.Join(texts, ", "), "; ")
		if entry.Action == "" {
			e.Note += d.logged(ctx, now)
		}
		err = d.store.Commit(ctx, rotation.Change{Ring: next, Entry: e})
		if errors.Is(err, rotation.Conflict) {
			continue
		}
		if err != nil {
			return s, err
		}
		d.log.Info("the issuer's keys changed", "what", e.Note, "by", e.By)
		s.Ring = next
		return s, nil
	}
	return rotation.Snapshot{}, &rotation.Error{Kind: rotation.Conflict, Detail: "issuer: somebody else keeps changing what is remembered"}
}

const logSpan = 10 * time.Minute // of the issuer's log, in which somebody's change is looked for

// logged says what the issuer's log, if it has one, says about who changed keys
// lately. It is a hint for a person, and nothing is decided by it.
func (d *Desk) logged(ctx context.Context, now time.Time) string {
	h, has := d.at.(Hinter)
	if !has {
		return ""
	}
	list, err := h.Hints(ctx, now.Add(-logSpan))
	switch {
	case err != nil:
		d.log.Info("the issuer's log, which may say who changed keys, cannot be read", "error", err)
		return ""
	case len(list) == 0:
		return ""
	}
	last := list[len(list)-1]
	return fmt.Sprintf("; its log: %s by %.100s at %s", last.Path, last.Who, last.At.UTC().Format(time.RFC3339))
}

// difference is one thing that is new, the weightiest first.
type difference struct {
	action rotation.Action
	key    rotation.KeyID
	text   string
}

const maxGone = 64 // keys that left the set and are still remembered

// merge puts what was seen into a ring. Times are those of the first look that
// showed it, which is never too early: a gate may wait too long for it, and not
// too short.
func merge(ring rotation.Ring, seen []Key, now time.Time) (rotation.Ring, []difference) {
	var told []difference
	tell := func(a rotation.Action, id rotation.KeyID, text string) { told = append(told, difference{a, id, text}) }
	next := ring
	next.Keys = slices.Clone(ring.Keys)
	for _, o := range seen {
		i := slices.IndexFunc(next.Keys, func(k rotation.Key) bool { return k.ID == o.ID })
		if i < 0 {
			if o.State == rotation.Revoked { // before we looked
				continue
			}
			next.Keys = append(next.Keys, rotation.Key{ID: o.ID, Algorithm: o.Algorithm, Thumbprint: o.Thumbprint, State: rotation.Next, Since: now, Published: now})
			i = len(next.Keys) - 1
			tell(rotation.Publish, o.ID, "is published")
		}
		k := &next.Keys[i]
		if o.Thumbprint != "" && k.Thumbprint != o.Thumbprint {
			k.Thumbprint, k.Published = o.Thumbprint, now
			tell(rotation.Publish, o.ID, "has new material")
		}
		switch to := stateOf(*k, o); {
		case to == k.State || to == rotation.Next && k.State.Waiting():
		case to == rotation.Active:
			enter(k, rotation.Active, now)
			k.Promoted, k.Signed = now, time.Time{}
			tell(rotation.Promote, o.ID, "signs")
		case to == rotation.Previous:
			k.Signed = now
			if !o.Until.IsZero() && o.Until.Before(now) {
				k.Signed = o.Until.UTC()
			}
			enter(k, rotation.Previous, now)
			tell(rotation.Judge, o.ID, "signs no more")
		case to == rotation.Revoked:
			enter(k, rotation.Revoked, now)
			k.Destroyed = true
			tell(rotation.Revoke, o.ID, "is revoked")
		case to == rotation.Next:
			k.Signed, k.Published = now, now
			enter(k, rotation.Next, now)
			tell(rotation.Publish, o.ID, "waits again")
		}
	}
	for i := range next.Keys {
		k := &next.Keys[i]
		gone := !slices.ContainsFunc(seen, func(o Key) bool { return o.ID == k.ID })
		if gone && k.State != rotation.Removed && k.State != rotation.Revoked {
			enter(k, rotation.Removed, now)
			k.Destroyed = true
			tell(rotation.Remove, k.ID, "left the set")
		}
	}
	over := -maxGone
	for _, k := range next.Keys {
		if k.Destroyed {
			over++
		}
	}
	next.Keys = slices.DeleteFunc(next.Keys, func(k rotation.Key) bool { // the oldest first: an issuer may rotate every day for years
		if over <= 0 || !k.Destroyed {
			return false
		}
		over--
		return true
	})
	weight := map[rotation.Action]int{rotation.Promote: 0, rotation.Revoke: 1, rotation.Remove: 2, rotation.Publish: 3, rotation.Judge: 4}
	slices.SortStableFunc(told, func(a, b difference) int { return weight[a.action] - weight[b.action] })
	return next, told
}

func enter(k *rotation.Key, s rotation.State, now time.Time) { k.State, k.Since = s, now }

// stateOf is where a key is: what the issuer says, or else what is known. A key of
// which nothing is known may have signed.
func stateOf(k rotation.Key, o Key) rotation.State {
	switch {
	case o.State != "":
		return o.State
	case k.State == rotation.Active || k.Signed.IsZero() && k.Promoted.IsZero():
		return rotation.Previous
	case k.State == rotation.Removed || k.State == rotation.Revoked:
		return rotation.Previous
	}
	return k.State
}

// unproven leaves out what cannot be had here: nobody else signs a canary with a
// key that the issuer holds back.
func unproven(r rotation.Reason) rotation.Reason {
	if r.Gate != rotation.MayPromote {
		return r
	}
	return r.Without(rotation.NotProven)
}

// Status looks at the issuer and says where it is and what every gate answers.
func (d *Desk) Status(ctx context.Context) (rotation.Status, error) {
	if err := d.Follow(ctx); err != nil {
		return rotation.Status{}, err
	}
	s, err := d.rotator.Status(ctx)
	for i := range s.Gates {
		s.Gates[i] = unproven(s.Gates[i])
	}
	return s, err
}

// order asks the gate and has the driver act. pick chooses the key and the gate.
func (d *Desk) order(ctx context.Context, action rotation.Action, o rotation.Order, pick func(rotation.Snapshot, time.Time) rotation.Reason, act func(Driver, rotation.KeyID) error) (rotation.Reason, error) {
	switch {
	case strings.TrimSpace(o.By) == "":
		return rotation.Reason{}, invalid("", "the order does not say who gives it")
	case o.Override && strings.TrimSpace(o.Note) == "":
		return rotation.Reason{}, invalid("say why in the note", "an override needs a reason; it is recorded")
	case len(o.By) > 200 || len(o.Note) > 2000:
		return rotation.Reason{}, invalid("", "the order's name or note is too long")
	}
	driver, ok := d.at.(Driver)
	if !ok {
		return rotation.Reason{}, invalid("use the issuer's own means, after status says that it is safe", "this kind of issuer is only observed")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.follow(ctx, rotation.Entry{By: "observed"})
	if err != nil {
		return rotation.Reason{}, err
	}
	now := time.Now()
	reason := unproven(pick(s, now))
	entry := rotation.Entry{At: now.UTC(), By: o.By, Action: action, Key: reason.Key, Note: o.Note}
	if reason.Gate != "" {
		entry.Reason = &reason
	}
	if reason.Gate != "" && !reason.Open {
		if !o.Override || len(reason.Blockers) == 0 { // what nobody blocks is wrong, not unsafe
			entry.Action = rotation.Refuse
			refused := &rotation.Error{Kind: rotation.Refused, Reason: reason, Detail: fmt.Sprintf("%s %s is refused: %s", action, reason.Key, reason), Remedy: "heal those who block, or override with a reason"}
			if err := d.store.Log(ctx, entry); err != nil {
				return reason, errors.Join(refused, err)
			}
			return reason, refused
		}
		entry.Override = true
	}
	intent := entry
	intent.Note = strings.TrimPrefix(o.Note+"; intended", "; ")
	if err := d.store.Log(ctx, intent); err != nil {
		return reason, err
	}
	if err := act(driver, reason.Key); err != nil {
		return reason, err
	}
	_, err = d.follow(ctx, entry)
	return reason, err
}

// coming is the key that waits; "" when none does.
func coming(s rotation.Snapshot) rotation.KeyID {
	k, ok := s.Ring.Coming()
	if !ok {
		return ""
	}
	return k.ID
}

// Stage has the issuer publish its next key, if none waits.
func (d *Desk) Stage(ctx context.Context, o rotation.Order) error {
	_, err := d.order(ctx, rotation.Publish, o, func(s rotation.Snapshot, _ time.Time) rotation.Reason { return rotation.Reason{Key: coming(s)} },
		func(driver Driver, waiting rotation.KeyID) error {
			if waiting != "" {
				return nil
			}
			return driver.Stage(ctx)
		})
	return err
}

// Promote makes a waiting key the signer; "" is the one there is.
func (d *Desk) Promote(ctx context.Context, id rotation.KeyID, o rotation.Order) (rotation.Reason, error) {
	return d.order(ctx, rotation.Promote, o, func(s rotation.Snapshot, now time.Time) rotation.Reason {
		return rotation.CanPromote(s, cmp.Or(id, coming(s)), now)
	}, func(driver Driver, id rotation.KeyID) error { return driver.Promote(ctx, id) })
}

// Rotate stages a key if none waits, and promotes it if everybody is ready.
func (d *Desk) Rotate(ctx context.Context, o rotation.Order) (rotation.Reason, error) {
	if err := d.Stage(ctx, o); err != nil {
		return rotation.Reason{}, err
	}
	return d.Promote(ctx, "", o)
}

// Return makes the previous key the signer again, where the issuer can.
func (d *Desk) Return(ctx context.Context, o rotation.Order) (rotation.Reason, error) {
	return d.order(ctx, rotation.Return, o, rotation.CanReturn, func(driver Driver, id rotation.KeyID) error { return driver.Promote(ctx, id) })
}

// Retire has a key that does not sign published no more.
func (d *Desk) Retire(ctx context.Context, id rotation.KeyID, o rotation.Order) (rotation.Reason, error) {
	return d.order(ctx, rotation.Remove, o, func(s rotation.Snapshot, now time.Time) rotation.Reason { return rotation.CanRemove(s, id, now) },
		func(driver Driver, id rotation.KeyID) error { return driver.Retire(ctx, id) })
}

// Revoke takes a key out at once.
func (d *Desk) Revoke(ctx context.Context, id rotation.KeyID, o rotation.Order) (rotation.Reason, error) {
	return d.order(ctx, rotation.Revoke, o, func(s rotation.Snapshot, now time.Time) rotation.Reason { return rotation.CanRevoke(s, id, "", now) },
		func(driver Driver, id rotation.KeyID) error { return driver.Revoke(ctx, id) })
}
