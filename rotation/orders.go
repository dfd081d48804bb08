package rotation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Order is a person's wish. It goes through the same gate as the loop's own
// steps; Override passes a closed gate, needs a Note that says why, and is
// recorded with the names of those who may break.
type Order struct {
	By       string // who
	Note     string // why
	Override bool
}

func (o Order) check() error {
	switch {
	case strings.TrimSpace(o.By) == "":
		return fault(Invalid, "the order does not say who gives it", "name the operator; the audit trail goes by it")
	case o.Override && strings.TrimSpace(o.Note) == "":
		return fault(Invalid, "an override needs a reason; it is recorded", "say why in the note")
	case len(o.By) > 200 || len(o.Note) > 2000:
		return fault(Invalid, "the order's name or note is too long", "write at most 200 and 2000 bytes")
	}
	return nil
}

const tries = 8 // of an order, when other nodes change the ring meanwhile

// order does one step that a person wishes. pick makes it of what there is now;
// its Reason is the gate.
func (r *Rotator) order(ctx context.Context, o Order, pick func(Snapshot, time.Time) (Step, error)) (Reason, error) {
	if err := o.check(); err != nil {
		return Reason{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.wake()
	var err error
	for range tries {
		now := time.Now()
		var s Snapshot
		if s, err = r.Snapshot(ctx, now); err != nil {
			return Reason{}, err
		}
		var step Step
		if step, err = pick(s, now); err != nil {
			return step.Reason, err
		}
		step.By, step.Note = o.By, o.Note
		if step.Reason.Gate != "" && !step.Reason.Open {
			if !o.Override || len(step.Reason.Blockers) == 0 { // what nobody blocks is wrong, not unsafe
				return step.Reason, r.refuse(ctx, step, now)
			}
			step.Override = true
		}
		if step.Action == Promote && step.Reason.Open { // what the key has earned since the loop looked comes first
			k, _ := s.Ring.Key(step.Key)
			_, signs := s.Ring.Signer()
			if earned, due := s.judge(k, now); due && signs {
				earned.By = r.cfg.Node
				if _, err = r.take(ctx, s.Ring, earned, now); err != nil && !errors.Is(err, Conflict) {
					return step.Reason, err
				}
				err = fault(Conflict, "the key's state changes as fast as it is read", "try again")
				continue
			}
		}
		if _, err = r.take(ctx, s.Ring, step, now); !errors.Is(err, Conflict) {
			return step.Reason, err
		}
	}
	return Reason{}, err
}

// refuse records that a person was refused.
func (r *Rotator) refuse(ctx context.Context, step Step, now time.Time) error {
	entry := Entry{At: now.UTC(), By: step.By, Action: Refuse, Key: step.Key, Reason: &step.Reason, Note: step.Note}
	r.metrics.step(Refuse)
	refused := &Error{Kind: Refused, Reason: step.Reason, Detail: fmt.Sprintf("%s %s is refused: %s", step.Action, step.Key, step.Reason),
		Remedy: "heal those who block, or override with a reason"}
	if err := r.cfg.Store.Log(ctx, entry); err != nil {
		return errors.Join(refused, err)
	}
	return refused
}

// Rotate asks for a rotation now: the next key is made and published if there
// is none, and signs as soon as the gate opens. The loop does it; Status tells
// who blocks.
func (r *Rotator) Rotate(ctx context.Context, o Order) error {
	_, err := r.order(ctx, o, func(s Snapshot, now time.Time) (Step, error) {
		if s.Ring.Halted != "" {
			return Step{}, &Error{Kind: Refused, Detail: "the schedule has halted: " + s.Ring.Halted, Remedy: "find out why, then resume"}
		}
		return Step{Action: Schedule, Due: now}, nil
	})
	if err != nil {
		return err
	}
	return r.Settle(ctx, time.Now())
}

// Publish makes and publishes the next key now and returns it. When one is
// waiting already, that is returned.
func (r *Rotator) Publish(ctx context.Context, o Order) (Key, error) {
	done := errors.New("published")
	var k Key
	for range tries {
		_, err := r.order(ctx, o, func(s Snapshot, now time.Time) (Step, error) {
			next, coming := s.Ring.Coming()
			switch {
			case !coming:
				return Step{Action: Plan}, nil
			case next.State == Planned && next.Thumbprint == "":
				return Step{Action: Create, Key: next.ID}, nil
			case next.State == Planned:
				return Step{Action: Publish, Key: next.ID, Reason: CanPublish(s, next.ID)}, nil
			}
			k = next
			return Step{}, done
		})
		if errors.Is(err, done) {
			return k, nil
		}
		if err != nil {
			return k, err
		}
	}
	return k, fault(Conflict, "another node takes back what this one publishes", "see who gives orders in the history, and try again")
}

// Promote makes a waiting key the signer; "" is the one there is. It is Refused
// while somebody would not accept its tokens.
func (r *Rotator) Promote(ctx context.Context, id KeyID, o Order) (Reason, error) {
	return r.order(ctx, o, func(s Snapshot, now time.Time) (Step, error) {
		key := id
		if k, coming := s.Ring.Coming(); coming && key == "" {
			key = k.ID
		}
		if _, ok := s.Ring.Key(key); !ok {
			return Step{}, fault(NotFound, fmt.Sprintf("there is no key %.100q to promote", key), "publish one first")
		}
		return Step{Action: Promote, Key: key, Reason: CanPromote(s, key, now), Due: now.Add(s.Policy.Period), Lifetime: s.Policy.MaxLifetime}, nil
	})
}

// Return makes the previous key the signer again: what heals a promotion that
// somebody was not ready for. Publishing an old key again would not.
func (r *Rotator) Return(ctx context.Context, o Order) (Reason, error) {
	return r.order(ctx, o, goBack)
}

func goBack(s Snapshot, now time.Time) (Step, error) {
	reason := CanReturn(s, now)
	if reason.Code == NoPrevious {
		return Step{Reason: reason}, &Error{Kind: Refused, Reason: reason, Detail: "there is no previous key to return to", Remedy: "publish and promote another key"}
	}
	step := s.back(reason, now)
	step.Halt = "" // a person is here
	return step, nil
}

// Retire takes a key out of service in order: the signer by Return, a waiting
// key that has signed before by making it a previous one, any other by Remove.
func (r *Rotator) Retire(ctx context.Context, id KeyID, o Order) (Reason, error) {
	return r.order(ctx, o, func(s Snapshot, now time.Time) (Step, error) {
		k, ok := s.Ring.Key(id)
		switch {
		case ok && k.State == Active:
			return goBack(s, now)
		case ok && k.State.Waiting() && !k.Signed.IsZero():
			return Step{Action: Retire, Key: id}, nil
		}
		return takeOut(s, id, now)
	})
}

// Remove takes a key that does not sign out of the document. It is Refused while
// somebody needs it.
func (r *Rotator) Remove(ctx context.Context, id KeyID, o Order) (Reason, error) {
	return r.order(ctx, o, func(s Snapshot, now time.Time) (Step, error) { return takeOut(s, id, now) })
}

func takeOut(s Snapshot, id KeyID, now time.Time) (Step, error) {
	if _, ok := s.Ring.Key(id); !ok {
		return Step{}, fault(NotFound, fmt.Sprintf("there is no key %.100q", id), "")
	}
	return Step{Action: Remove, Key: id, Reason: CanRemove(s, id, now)}, nil
}

// Revoke takes a key out at once, for good. When it signs, heir signs instead;
// "" takes the published key that breaks the fewest, and without one a new key
// is published first. It is Refused, with the names of those who break, unless
// overridden or nobody does.
func (r *Rotator) Revoke(ctx context.Context, id, heir KeyID, o Order) (Reason, error) {
	if err := o.check(); err != nil {
		return Reason{}, err
	}
	reason, err := r.revoke(ctx, id, heir, o)
	if !errors.Is(err, NotFound) || reason.Code != NoPrevious || !o.Override {
		return reason, err
	}
	k, err := r.Publish(ctx, o)
	if err != nil {
		return reason, err
	}
	return r.revoke(ctx, id, k.ID, o)
}

func (r *Rotator) revoke(ctx context.Context, id, heir KeyID, o Order) (Reason, error) {
	return r.order(ctx, o, func(s Snapshot, now time.Time) (Step, error) {
		if _, ok := s.Ring.Key(id); !ok {
			return Step{}, fault(NotFound, fmt.Sprintf("there is no key %.100q", id), "")
		}
		reason := CanRevoke(s, id, heir, now)
		if reason.Code == NoPrevious {
			return Step{Reason: reason}, fault(NotFound, fmt.Sprintf("no published key could sign instead of %q", id), "publish one, or override and a new one signs that nobody holds yet")
		}
		return Step{Action: Revoke, Key: id, Heir: KeyID(reason.Operands["heir"]), Reason: reason, Lifetime: s.Policy.MaxLifetime}, nil
	})
}

// Resume lets the schedule run again after a halt.
func (r *Rotator) Resume(ctx context.Context, o Order) error {
	_, err := r.order(ctx, o, func(Snapshot, time.Time) (Step, error) { return Step{Action: Resume}, nil })
	return err
}

// Confirm records a person's word that a manual verifier holds a key.
func (r *Rotator) Confirm(ctx context.Context, verifier string, id KeyID, o Order) error {
	if err := o.check(); err != nil {
		return err
	}
	now := time.Now()
	v := r.byName[verifier]
	if v == nil || v.Class != Manual {
		return fault(NotFound, fmt.Sprintf("no manual verifier %.64q is declared", verifier), "an answering or timed one shows it by itself")
	}
	ring, err := r.read(ctx, now)
	if err != nil {
		return err
	}
	k, ok := ring.Key(id)
	if !ok || !k.State.Published() {
		return fault(NotFound, fmt.Sprintf("there is no published key %.100q", id), "")
	}
	p := Probe{Who: Who{Verifier: verifier}, Thumbprint: k.Thumbprint, At: now.UTC(), Outcome: Accepted, Detail: o.Note, By: o.By}
	defer r.wake()
	return r.cfg.Store.Probed(ctx, p, &Entry{At: now.UTC(), By: o.By, Action: Confirm, Key: id, Who: verifier, Note: o.Note})
}

// Forget records a person's word that an instance serves no more, so that its
// silence blocks nothing. An empty Cache means all caches of the instance.
func (r *Rotator) Forget(ctx context.Context, who Who, o Order) error {
	if err := o.check(); err != nil {
		return err
	}
	n, err := r.cfg.Store.ForgetOne(ctx, who, Entry{At: time.Now().UTC(), By: o.By, Action: Forget, Who: who.String(), Note: o.Note})
	if err == nil && n == 0 {
		err = fault(NotFound, fmt.Sprintf("%.200s has told nothing", who), "")
	}
	r.wake()
	return err
}
