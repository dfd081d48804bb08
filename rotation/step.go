package rotation

import (
	"fmt"
	"slices"
	"time"
)

// Action is what a Step does, and what an Entry says was done.
type Action string

// The actions. The last three change no ring; they stand in the audit trail.
const (
	Plan     Action = "plan"     // name a key, before its material is made
	Create   Action = "create"   // note the material that the signer made
	Publish  Action = "publish"  // put it into the document
	Judge    Action = "judge"    // note what the verifiers show: next, acknowledged or proven
	Promote  Action = "promote"  // make it the signer
	Return   Action = "return"   // make the previous key the signer again
	Retire   Action = "retire"   // give up a waiting key that has signed before
	Remove   Action = "remove"   // take it out of the document
	Revoke   Action = "revoke"   // take it out at once
	Destroy  Action = "destroy"  // note that the signer has destroyed it
	Extend   Action = "extend"   // let tokens of the signer live longer, before the first does
	Schedule Action = "schedule" // set when the next key shall sign
	Resume   Action = "resume"   // let the schedule run again after a halt

	Confirm Action = "confirm" // a person says that a manual verifier holds a key
	Forget  Action = "forget"  // a person says that an instance serves no more
	Refuse  Action = "refuse"  // a person was refused
)

// Step is one change of a ring.
type Step struct {
	Action Action
	Key    KeyID
	Alg    Algorithm // Plan
	Public JWK       // Create
	State  State     // Judge
	Due    time.Time // Promote, Schedule
	Hold   time.Time // Return: when the key that is given up is tried again
	Halt   string    // Return: why the schedule stops
	Heir   KeyID     // Revoke of the signer: who signs instead

	Lifetime time.Duration // Extend, and all that makes a signer: of its longest token

	Reason   Reason // the gate's answer
	By       string
	Override bool
	Note     string
}

const look = "somebody else changed it meanwhile: look at the status, and ask again if it is still wanted"

// Apply returns the ring after a step, and the line of the audit trail. It is
// the only place where a key changes its state; every change passes Transition.
// It asks no gate: that was done with the same ring, or a person insists.
func (r Ring) Apply(s Step, now time.Time) (Ring, Entry, error) {
	r.Keys = slices.Clone(r.Keys)
	r.Version++
	now = now.UTC()
	e := Entry{At: now, By: s.By, Action: s.Action, Key: s.Key, Override: s.Override, Note: s.Note}
	if s.Reason.Gate != "" {
		reason := s.Reason
		e.Reason = &reason
	}
	switch s.Action {
	case Plan:
		if _, dup := r.Key(s.Key); dup || s.Key == "" {
			return r, e, fault(Conflict, fmt.Sprintf("the ring had a key %q before", s.Key), look)
		}
		r.shorten()
		r.Keys = append(r.Keys, Key{ID: s.Key, Algorithm: s.Alg, State: Planned, Since: now})
		e.To = Planned
		return r, e, nil
	case Schedule:
		r.Due = s.Due.UTC()
		return r, e, nil
	case Resume:
		r.Halted = ""
		return r, e, nil
	}
	k := r.at(s.Key)
	if k == nil {
		return r, e, fault(NotFound, fmt.Sprintf("there is no key %q", s.Key), "")
	}
	e.From = k.State
	err := r.change(k, s, now)
	e.To = k.State
	return r, e, err
}

// change does what a step does to its key, which is an element of r.Keys.
func (r *Ring) change(k *Key, s Step, now time.Time) error {
	signer := r.active()
	switch s.Action {
	case Create:
		if k.State != Planned {
			return fault(Conflict, fmt.Sprintf("the key %s is %s already", k.ID, k.State), look)
		}
		k.Public, k.Thumbprint = s.Public, s.Public.Thumbprint()
		return nil
	case Destroy:
		if k.State != Removed && k.State != Revoked {
			return fault(Conflict, fmt.Sprintf("the key %s is %s; it is not to be destroyed", k.ID, k.State), look)
		}
		k.Destroyed = true
		return nil
	case Publish:
		k.Published = now
		return k.move(Next, now, false)
	case Judge:
		if !k.State.Waiting() || !s.State.Waiting() {
			return fault(Conflict, fmt.Sprintf("the key %s is %s; there is nothing to judge", k.ID, k.State), look)
		}
		return k.move(s.State, now, false)
	case Extend:
		if k.State != Active {
			return fault(Conflict, fmt.Sprintf("the key %s is %s; it signs no token", k.ID, k.State), look)
		}
		k.Lifetime = max(k.Lifetime, s.Lifetime)
		return nil
	case Promote:
		if err := r.succeed(signer, k, s, now); err != nil {
			return err
		}
		k.Forced = s.Override
		r.Due = s.Due.UTC()
		return nil
	case Return:
		if signer == nil || k.State != Previous {
			return fault(Conflict, fmt.Sprintf("the key %s is %s; the signer cannot return to it", k.ID, k.State), look)
		}
		if err := signer.move(Next, now, false); err != nil {
			return err
		}
		signer.Published, signer.Signed, signer.Hold = now, now, s.Hold.UTC()
		signer.Returns++
		r.Due, r.Halted = s.Hold.UTC(), s.Halt
		k.Forced = false
		return k.sign(now, s.Lifetime, false)
	case Retire:
		if !k.State.Waiting() { // least of all the signer, which would have no successor
			return fault(Conflict, fmt.Sprintf("the key %s is %s; only a waiting key is given up", k.ID, k.State), look)
		}
		return k.move(Previous, now, false)
	case Remove:
		return k.move(Removed, now, false)
	case Revoke:
		if k.State == Active {
			heir := r.at(s.Heir)
			if heir == nil || heir == k {
				return fault(Invalid, fmt.Sprintf("the key %s signs, and nothing could sign instead", k.ID), "publish another key first")
			}
			k.Signed = now
			if err := k.move(Revoked, now, true); err != nil {
				return err
			}
			heir.Forced = s.Override
			return heir.sign(now, s.Lifetime, true)
		}
		return k.move(Revoked, now, true)
	}
	return fault(Invalid, fmt.Sprintf("there is no step %q", s.Action), "")
}

// succeed makes k the signer instead of signer, which may be nil.
func (r *Ring) succeed(signer, k *Key, s Step, now time.Time) error {
	if !k.State.Waiting() {
		return fault(Conflict, fmt.Sprintf("the key %s is %s; it cannot be promoted", k.ID, k.State), look)
	}
	if err := k.sign(now, s.Lifetime, s.Override || signer == nil); err != nil {
		return err
	}
	if signer == nil {
		return nil
	}
	signer.Signed = now
	return signer.move(Previous, now, false)
}

func (k *Key) sign(now time.Time, lifetime time.Duration, forced bool) error {
	if err := k.move(Active, now, forced); err != nil {
		return err
	}
	k.Promoted, k.Signed, k.Hold = now, time.Time{}, time.Time{}
	k.Lifetime = max(k.Lifetime, lifetime)
	return nil
}

func (k *Key) move(to State, now time.Time, forced bool) error {
	if err := Transition(k.State, to, forced); err != nil {
		return err
	}
	k.State, k.Since = to, now
	return nil
}

const maxRemembered = 64 // keys that are gone and still known by their thumbprints

// shorten forgets the oldest of the keys that are gone.
func (r *Ring) shorten() {
	over := len(r.Keys) - maxRemembered
	r.Keys = slices.DeleteFunc(r.Keys, func(k Key) bool {
		if over <= 0 || !k.Destroyed {
			return false
		}
		over--
		return true
	})
}

func (r *Ring) at(id KeyID) *Key {
	for i := range r.Keys {
		if r.Keys[i].ID == id {
			return &r.Keys[i]
		}
	}
	return nil
}

func (r *Ring) active() *Key {
	if k, ok := r.Signer(); ok {
		return r.at(k.ID)
	}
	return nil
}
