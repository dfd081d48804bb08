package rotation_test

import (
	"fmt"
	"slices"
	"time"

	"prunella/rotation"
)

// sort of a verifier in the model.
type sort uint8

const (
	keysetKind sort = iota // holds what it fetched, serves only under its lease
	agentKind              // tells what is in the file; the service may not have loaded it, and serves on without the agent
	timedKind              // tells nothing and fetches within reach
)

// mask is a set of keys.
type mask uint8

func (m mask) has(k int) bool { return m&(1<<k) != 0 }

// caseOf is one verifier in one state.
type verifierState struct {
	sort    sort
	up      bool
	held    mask // what tokens are verified with
	file    mask // agent: what is in the file
	told    mask // what the issuer was told last
	proven  mask // and which canaries were verified
	age     int8 // since that came; far: never, or forgotten
	sent    int8 // since it was sent
	fetched int8 // timed: since the last fetch
	flying  bool // a message is on its way
	fTold   mask
	fProven mask
	fAge    int8
}

// keyState is a key with its times as ages.
type keyState struct {
	state                       uint8 // index in stateNames; 0 is none
	published, promoted, signed int8  // ages; far+1 is never
	returns                     int8
	hold                        int8 // until then
	made                        bool
}

var stateNames = [...]rotation.State{"", rotation.Planned, rotation.Next, rotation.Acknowledged, rotation.Proven, rotation.Active, rotation.Previous, rotation.Removed, rotation.Revoked}

const (
	maxKeysModel = 3
	maxVerifiers = 3
	never        = far + 1
)

type worldState struct {
	keys      [maxKeysModel]keyState
	v         [maxVerifiers]verifierState
	n         uint8 // verifiers
	due       int8  // until the next promotion; far: nothing is planned
	rotations uint8
	halted    bool
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func ago(a int8) time.Time {
	if a >= never {
		return time.Time{}
	}
	return epoch.Add(-time.Duration(a) * unit)
}

func ageOf(t time.Time) int8 {
	if t.IsZero() {
		return never
	}
	return int8(min(epoch.Sub(t)/unit, far))
}

func until(t time.Time) int8 { return int8(min(max(t.Sub(epoch)/unit, 0), far)) }

var modelKeys = [maxKeysModel]rotation.JWK{key("k0"), key("k1"), key("k2")}

func (w *worldState) ring() rotation.Ring {
	r := rotation.Ring{Due: epoch.Add(time.Duration(w.due) * unit)}
	if w.due == far {
		r.Due = epoch.Add(1000 * unit)
	}
	if w.halted {
		r.Halted = "halted"
	}
	for n, k := range w.keys {
		if k.state == 0 {
			break
		}
		one := rotation.Key{ID: modelKeys[n].ID, State: stateNames[k.state], Published: ago(k.published), Promoted: ago(k.promoted), Signed: ago(k.signed),
			Returns: int(k.returns), Hold: epoch.Add(time.Duration(k.hold) * unit), Destroyed: true}
		if k.made {
			one.Public, one.Thumbprint = modelKeys[n], thumbprints[n]
		}
		r.Keys = append(r.Keys, one)
	}
	return r
}

var thumbprints = [maxKeysModel]rotation.Thumbprint{modelKeys[0].Thumbprint(), modelKeys[1].Thumbprint(), modelKeys[2].Thumbprint()}

func (w *worldState) take(r rotation.Ring) {
	w.due, w.halted = far, r.Halted != ""
	if r.Due.Before(epoch.Add(far * unit)) {
		w.due = until(r.Due)
	}
	for n, k := range r.Keys {
		w.keys[n] = keyState{state: uint8(slices.Index(stateNames[:], k.State)), published: ageOf(k.Published), promoted: ageOf(k.Promoted),
			signed: ageOf(k.Signed), returns: int8(k.Returns), hold: until(k.Hold), made: k.Thumbprint != ""}
	}
}

var names = [maxVerifiers]string{"a", "b", "c"}

func (w *worldState) snapshot() rotation.Snapshot {
	s := rotation.Snapshot{Ring: w.ring(), Policy: modelPolicy}
	for n, v := range w.v[:w.n] {
		d := rotation.Verifier{Name: names[n], Class: rotation.Answering}
		if v.sort == timedKind {
			d.Class, d.Within = rotation.Timed, reach*unit
		} else if v.age <= far && (v.age <= lease+grace || v.sort == agentKind) {
			i := rotation.Instance{Who: rotation.Who{Verifier: names[n], Instance: "i", Cache: "c"}, Received: ago(v.age), Sent: ago(v.sent), Lease: lease * unit, Stays: v.sort == agentKind}
			for k := range maxKeysModel {
				if v.told.has(k) {
					h := rotation.Held{ID: modelKeys[k].ID, Thumbprint: thumbprints[k]}
					if v.proven.has(k) {
						h.Seen = i.Received
					}
					i.Held = append(i.Held, h)
				}
			}
			s.Instances = append(s.Instances, i)
		}
		s.Verifiers = append(s.Verifiers, d)
	}
	return s
}

// document is what a copy of this age holds: made just before what happened then.
func (w *worldState) document(age int8) (m mask) {
	for n, k := range w.keys {
		if stateNames[k.state].Published() && (age == 0 || k.published > age && k.published < never) {
			m |= 1 << n
		}
	}
	return m
}

// valid says whether there may be a token of key n that has not expired.
func (w *worldState) valid(n int) bool {
	k := w.keys[n]
	return stateNames[k.state] == rotation.Active || k.signed < stale+life
}

// tokens are the keys whose tokens a verifier may meet: valid ones, and canaries.
func (w *worldState) tokens() (m mask) {
	for n, k := range w.keys {
		if k.state != 0 && (w.valid(n) || stateNames[k.state].Waiting()) {
			m |= 1 << n
		}
	}
	return m
}

// serves says whether requests reach the verifier.
func (v verifierState) serves() bool {
	return v.up && (v.sort != keysetKind || v.age <= lease)
}

func (w *worldState) violation() string {
	for n, v := range w.v[:w.n] {
		if !v.serves() {
			continue
		}
		for k, key := range w.keys {
			switch {
			case key.state == 0 || !w.valid(k):
			case !v.held.has(k):
				return fmt.Sprintf("verifier %s refuses a valid token of k%d", names[n], k)
			case stateNames[key.state] == rotation.Removed:
				return fmt.Sprintf("verifier %s accepts a token of k%d, which is removed", names[n], k)
			}
		}
	}
	return ""
}
