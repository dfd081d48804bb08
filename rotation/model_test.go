package rotation_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"prunella/rotation"
)

// The model check explores every state that an issuer and its verifiers can
// reach: messages lost, late or in any order, crashes and restarts at any point,
// old copies of the document, clocks that go on while anybody is slow. The
// issuer in it is the real one: Decide and Ring.Apply. A state is violated when
// a verifier that serves would refuse a valid token, or would accept a token of
// a key that is removed.
//
// Time is in units. Tokens are worst cases: while a key may be used by a node
// that has not heard otherwise, it signs.

const unit = time.Minute

// The model's policy, in units.
const (
	life  = 2 // of a token
	stale = 2 // copies are younger than this
	lease = 1
	grace = 1
	calm  = 1 // Policy.Quiet
	watch = 2
	hold  = 1
	reach = 2 // Timed: within this the verifier fetches
	far   = 9 // beyond every bound; ages stop here
)

var modelPolicy = rotation.Policy{Period: 100 * unit, MaxLifetime: life * unit, Stale: stale * unit, Grace: grace * unit, MaxLease: lease * unit,
	Quiet: calm * unit, Watch: watch * unit, Hold: hold * unit, Returns: 2, Refusals: 1}

// options are what may happen in one exploration.
type options struct {
	sorts   []sort
	late    bool                     // messages may be on their way
	crashes bool                     // verifiers stop and start
	weaken  func(*rotation.Snapshot) // what the gates are made not to see
}

// explorer walks the states breadth first.
type explorer struct {
	options
	seen    map[worldState]struct{}
	states  []worldState // in the order in which they were found; the queue is what was not looked at
	from    []int32      // the index of the state before
	at      int32        // the one that is looked at
	decided map[worldState]decision
	goal    bool // both rotations were finished
}

type decision struct {
	step rotation.Step
	ring rotation.Ring
	due  bool
}

func explore(o options) (states int, story []worldState, why string, goal bool) {
	x := &explorer{options: o, seen: map[worldState]struct{}{}, decided: map[worldState]decision{}}
	start := worldState{due: far, n: uint8(len(o.sorts))}
	start.keys[0] = keyState{state: 5, published: far, promoted: far, signed: never, made: true}
	for n, s := range o.sorts {
		start.v[n] = verifierState{sort: s, up: true, held: 1, file: 1, told: 1, proven: 1}
		if s == timedKind {
			start.v[n].told, start.v[n].proven = 0, 0
		}
	}
	x.add(start)
	for ; int(x.at) < len(x.states); x.at++ {
		w := x.states[x.at]
		if why := w.violation(); why != "" {
			for i := x.at; i > 0; i = x.from[i] {
				story = append(story, x.states[i])
			}
			slices.Reverse(story)
			return len(x.states), story, why, x.goal
		}
		x.goal = x.goal || stateNames[w.keys[2].state] == rotation.Active && stateNames[w.keys[1].state] == rotation.Removed
		x.next(w)
	}
	return len(x.states), nil, "", x.goal
}

// add notes a state. Verifiers of one sort are interchangeable, so they are
// put into an order.
func (x *explorer) add(w worldState) {
	slices.SortFunc(w.v[:w.n], compareVerifiers)
	if _, ok := x.seen[w]; !ok {
		x.seen[w] = struct{}{}
		x.states = append(x.states, w)
		x.from = append(x.from, x.at)
	}
}

func compareVerifiers(a, b verifierState) int {
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.sort, b.sort), cmp.Compare(flag(a.up), flag(b.up)), cmp.Compare(a.held, b.held), cmp.Compare(a.file, b.file),
		cmp.Compare(a.told, b.told), cmp.Compare(a.proven, b.proven), cmp.Compare(a.age, b.age), cmp.Compare(a.sent, b.sent), cmp.Compare(a.fetched, b.fetched),
		cmp.Compare(flag(a.flying), flag(b.flying)), cmp.Compare(a.fTold, b.fTold), cmp.Compare(a.fProven, b.fProven), cmp.Compare(a.fAge, b.fAge))
}

func (x *explorer) next(w worldState) {
	// Somebody asks for a rotation.
	if w.rotations < 2 && w.due == far && !w.halted {
		n := w
		n.due, n.rotations = 0, n.rotations+1
		x.add(n)
	}
	// The issuer takes a step; that it crashes before is that it does not.
	if n, ok := x.step(w); ok {
		x.add(n)
	}
	if n, ok := w.tick(); ok {
		x.add(n)
	}
	for i, v := range w.v[:w.n] {
		for _, next := range x.moves(w, v) {
			n := w
			n.v[i] = next
			x.add(n)
		}
	}
}

// step asks the real Decide, once for everything that it can see.
func (x *explorer) step(w worldState) (worldState, bool) {
	visible := w
	visible.rotations = 0
	for i, v := range w.v[:w.n] {
		visible.v[i] = verifierState{sort: v.sort, told: v.told, proven: v.proven, age: v.age, sent: v.sent}
	}
	d, known := x.decided[visible]
	if !known {
		s := w.snapshot()
		ring := s.Ring
		if x.weaken != nil {
			x.weaken(&s)
		}
		d.step, d.due = rotation.Decide(s, epoch)
		switch d.step.Action {
		case rotation.Plan:
			d.due = d.due && len(ring.Keys) < maxKeysModel
			d.step.Key = modelKeys[min(len(ring.Keys), maxKeysModel-1)].ID
		case rotation.Create:
			d.step.Public = modelKeys[len(ring.Keys)-1]
		}
		if d.due {
			next, _, err := ring.Apply(d.step, epoch)
			if err != nil {
				panic(err)
			}
			d.ring = next
		}
		x.decided[visible] = d
	}
	if !d.due {
		return w, false
	}
	w.take(d.ring)
	return w, true
}

// tick lets a unit of time pass, unless somebody must act first.
func (w worldState) tick() (worldState, bool) {
	older := func(a *int8) {
		if *a < far {
			*a++
		}
	}
	for i := range w.keys {
		k := &w.keys[i]
		older(&k.published)
		older(&k.promoted)
		older(&k.signed)
		k.hold = max(k.hold-1, 0)
	}
	if w.due < far {
		w.due = max(w.due-1, 0)
	}
	for i := range w.v[:w.n] {
		v := &w.v[i]
		if v.sort == timedKind {
			if v.up && v.fetched >= reach {
				return w, false
			}
			older(&v.fetched)
			continue
		}
		older(&v.age)
		older(&v.sent)
		if v.sort == keysetKind && v.age > lease+grace { // the issuer has forgotten it
			v.told, v.proven, v.age, v.sent = 0, 0, far, far
		}
		if v.age > lease+grace+stale {
			v.age, v.sent = lease+grace+stale, lease+grace+stale
		}
		if v.flying {
			if v.fAge++; v.fAge > 2 { // lost
				v.flying, v.fTold, v.fProven, v.fAge = false, 0, 0, 0
			}
		}
	}
	return w, true
}

// moves are what a verifier may do next.
func (x *explorer) moves(w worldState, v verifierState) (list []verifierState) {
	if !v.up {
		for age := range int8(stale) {
			n := v
			n.up, n.held, n.file, n.fetched = true, w.document(age), w.document(age), 0
			list = append(list, n)
		}
		return list
	}
	if x.crashes {
		n := v
		n.up, n.held, n.file = false, 0, 0
		list = append(list, n)
	}
	for age := range int8(stale) { // fetch
		n := v
		n.file, n.fetched = w.document(age), 0
		if v.sort != agentKind {
			n.held = n.file
		}
		list = append(list, n)
	}
	switch v.sort {
	case timedKind:
		return list
	case agentKind: // reload
		n := v
		n.held = v.file
		list = append(list, n)
	}
	told := v.held
	if v.sort == agentKind {
		told = v.file
	}
	seen := v.held & told & w.tokens()
	n := v // tell, and be heard at once
	n.told, n.proven, n.age, n.sent = told, seen, 0, 0
	list = append(list, n)
	if x.late && !v.flying {
		n := v
		n.flying, n.fTold, n.fProven, n.fAge = true, told, seen, 0
		list = append(list, n)
	}
	if v.flying && v.fAge < v.sent { // what is older than what came is refused
		n := v
		n.told, n.proven, n.age, n.sent = v.fTold, v.fProven, 0, v.fAge
		n.flying, n.fTold, n.fProven, n.fAge = false, 0, 0, 0
		list = append(list, n)
	}
	return list
}

// tell is a story for a person: what differs from state to state.
func tellStory(story []worldState) string {
	var b strings.Builder
	for _, w := range story {
		for _, k := range w.keys {
			fmt.Fprintf(&b, "%s(pub %d, prom %d, sig %d) ", stateNames[k.state], k.published, k.promoted, k.signed)
		}
		for i, v := range w.v[:w.n] {
			fmt.Fprintf(&b, "| %s up=%v held=%03b file=%03b told=%03b proven=%03b age=%d sent=%d ", names[i], v.up, v.held, v.file, v.told, v.proven, v.age, v.sent)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestModel(t *testing.T) {
	worlds := map[string]options{
		"three keyset verifiers":          {sorts: []sort{keysetKind, keysetKind, keysetKind}},
		"two keyset verifiers that crash": {sorts: []sort{keysetKind, keysetKind}, crashes: true},
		"an agent beside a file":          {sorts: []sort{agentKind}},
		"late messages":                   {sorts: []sort{keysetKind}, late: true, crashes: true},
		"one that tells nothing":          {sorts: []sort{keysetKind, timedKind}, crashes: true},
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(worlds)) {
		states, story, why, goal := explore(worlds[name])
		total += states
		t.Logf("%s: %d states", name, states)
		if why != "" {
			t.Errorf("%s: %s\n%s", name, why, tellStory(story))
		} else if !goal {
			t.Errorf("%s: no way finishes two rotations", name)
		}
	}
	t.Logf("%d states in all, none of which refuses a valid token or accepts a removed key", total)
}

// A gate that sees less is caught: for each part of what the gates read there is
// a state that only this part prevents.
func TestModelCatchesAWeakenedGate(t *testing.T) {
	instances := func(change func(*rotation.Instance)) func(*rotation.Snapshot) {
		return func(s *rotation.Snapshot) {
			for n := range s.Instances {
				change(&s.Instances[n])
			}
		}
	}
	for name, o := range map[string]options{
		"who holds the key": {sorts: []sort{keysetKind}, weaken: func(s *rotation.Snapshot) {
			for n := range s.Instances {
				s.Instances[n].Held = nil
				for _, k := range s.Ring.Keys {
					s.Instances[n].Held = append(s.Instances[n].Held, rotation.Held{ID: k.ID, Thumbprint: k.Thumbprint, Seen: epoch})
				}
			}
		}},
		"who has verified a canary": {sorts: []sort{agentKind}, weaken: instances(func(i *rotation.Instance) {
			for n := range i.Held {
				i.Held[n].Seen = epoch
			}
		})},
		"silence of who serves on": {sorts: []sort{agentKind}, weaken: func(s *rotation.Snapshot) {
			for n := range s.Instances {
				s.Instances[n].Stays = false
			}
			s.Verifiers = slices.DeleteFunc(s.Verifiers, func(v rotation.Verifier) bool {
				return s.Instances == nil || s.Instances[0].Received.Before(epoch.Add(-2*unit))
			})
		}},
		"old copies": {sorts: []sort{keysetKind}, weaken: func(s *rotation.Snapshot) { s.Policy.Stale = 0 }},
		"messages that were long on their way": {sorts: []sort{keysetKind}, late: true, crashes: true,
			weaken: instances(func(i *rotation.Instance) { i.Sent = i.Received })},
		"the life of tokens":          {sorts: []sort{keysetKind}, weaken: func(s *rotation.Snapshot) { s.Policy.MaxLifetime, s.Policy.Watch = 0, 0 }},
		"how long a verifier may lag": {sorts: []sort{timedKind}, weaken: func(s *rotation.Snapshot) { s.Verifiers[0].Within = 0 }},
	} {
		states, story, why, _ := explore(o)
		if why == "" {
			t.Errorf("without %q nothing goes wrong in %d states: the model does not need it", name, states)
			continue
		}
		t.Logf("without %q, after %d steps (%d states): %s", name, len(story), states, why)
	}
}
