package fleet

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"time"

	"prunella/rotation"
)

// gated asks the library for its decisions.
type gated struct {
	ring      rotation.Ring
	policy    rotation.Policy
	verifiers []rotation.Verifier // by service
	told      []rotation.Instance // by index into the fleet
	ids       []rotation.KeyID    // by number
	start     time.Time           // moment 0
	every     time.Duration       // how often it decides
	decided   time.Duration
	last      state
	asked     bool
}

// epoch is moment 0 of a simulation. Any would do; instances' Held.Seen must not
// be the zero time.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	lease     = 2 * time.Minute
	forgotten = 15 * time.Minute // after this the platform has told that an instance is gone (Rotator.Forget)
	patient   = 6 * time.Hour    // a rotation that waits for longer is looked at less often, which only saves simulating
)

func newGated(w World, fleet []*instance, step time.Duration) (procedure, error) {
	g := &gated{start: epoch, every: step, told: make([]rotation.Instance, len(fleet)), decided: -time.Hour}
	if len(fleet) > 2000 {
		g.every = max(step, time.Minute)
	}
	var err error
	if g.policy, err = (rotation.Policy{MaxLifetime: lifetime, Stale: max(w.StaleCopies, 2*time.Minute), Skew: max(w.Skew, 2*time.Minute)}).Settled(); err != nil {
		return nil, err
	}
	for _, i := range fleet {
		if i.service < len(g.verifiers) { // declared: instances of a service stand together
			continue
		}
		v := rotation.Verifier{Name: serviceName(i.service)}
		switch i.kind {
		case asking, agent:
			// Stays: an instance that is cut off serves on here.
			v.Class, v.Stays, v.Expect = rotation.Answering, true, 1
		case cached:
			v.Class, v.Within = rotation.Timed, i.refresh+w.StaleCopies+time.Minute
		case manual:
			v.Class = rotation.Manual
		}
		g.verifiers = append(g.verifiers, v)
	}
	// A first key signs, since long ago.
	for !signs(&g.ring) {
		if err := g.decide(epoch.Add(-30 * 24 * time.Hour)); err != nil {
			return nil, err
		}
	}
	g.last = state{published: 1}
	return g, nil
}

func signs(r *rotation.Ring) bool {
	_, ok := r.Signer()
	return ok
}

func (g *gated) hints() bool { return true }

// stopped names who is in the way of the new key.
func (g *gated) stopped(now time.Duration) []string {
	coming, ok := g.ring.Coming()
	if !ok {
		return nil
	}
	return rotation.CanPromote(g.snapshot(), coming.ID, g.start.Add(now)).Names()
}

func (g *gated) snapshot() rotation.Snapshot {
	s := rotation.Snapshot{Ring: g.ring, Policy: g.policy, Verifiers: g.verifiers}
	for _, i := range g.told {
		if i.Verifier != "" {
			s.Instances = append(s.Instances, i)
		}
	}
	return s
}

func (g *gated) step(now time.Duration, fleet []*instance) state {
	at := g.start.Add(now)
	for n, i := range fleet {
		g.hear(n, i, now, at)
	}
	every := g.every
	if now > patient {
		every = max(every, 10*time.Minute)
	}
	if now < 0 || now-g.decided < every {
		return g.last
	}
	g.decided = now
	if !g.asked {
		g.asked = true
		if ring, _, err := g.ring.Apply(rotation.Step{Action: rotation.Schedule, Due: at}, at); err == nil {
			g.ring = ring
		}
	}
	for range 8 {
		before := g.ring.Version
		if err := g.decide(at); err != nil || g.ring.Version == before {
			break
		}
	}
	g.last = g.state()
	return g.last
}

// hear takes the acknowledgement of an instance, and shows it a canary.
func (g *gated) hear(n int, i *instance, now time.Duration, at time.Time) {
	v := &g.verifiers[i.service]
	switch {
	case v.Class != rotation.Answering:
		return
	case !i.serves(now):
		if now > i.dies+forgotten {
			g.told[n] = rotation.Instance{}
		}
		return
	case i.cut(now):
		return
	}
	if k, ok := g.ring.Coming(); ok && k.State.Waiting() {
		if num := g.number(k.ID); i.held.has(num) {
			i.seen[num] = now + 1
		}
	}
	told := rotation.Instance{Who: rotation.Who{Verifier: v.Name, Instance: i.name},
		Sent: at.Add(-i.behind), Received: at, Lease: lease, Held: g.told[n].Held[:0], Refusals: g.told[n].Refusals[:0]}
	for num, id := range g.ids {
		k, _ := g.ring.Key(id)
		if i.held.has(num) {
			h := rotation.Held{ID: id, Thumbprint: k.Thumbprint}
			if i.seen[num] != 0 {
				h.Seen = g.start.Add(i.seen[num])
			}
			told.Held = append(told.Held, h)
		}
		if i.missed[num] > 0 {
			told.Refusals = append(told.Refusals, rotation.Refusal{ID: id, Count: i.missed[num]})
		}
	}
	g.told[n] = told
}

func (g *gated) number(id rotation.KeyID) int {
	for n, known := range g.ids {
		if known == id {
			return n
		}
	}
	return -1
}

func (g *gated) state() state {
	s := state{}
	for n, id := range g.ids {
		k, ok := g.ring.Key(id)
		if !ok {
			continue
		}
		if k.State.Published() {
			s.published |= 1 << n
		}
		if k.State == rotation.Active {
			s.signer = n
		}
	}
	s.done = s.signer > 0 && !s.published.has(0)
	return s
}

// decide takes the one step that is due, if any.
func (g *gated) decide(at time.Time) error {
	step, due := rotation.Decide(g.snapshot(), at)
	if !due {
		return nil
	}
	switch step.Action {
	case rotation.Plan:
		if len(g.ids) == maxKeys {
			return fmt.Errorf("more than %d keys", maxKeys)
		}
		step.Key, step.Alg = rotation.KeyID(fmt.Sprintf("key-%d", len(g.ids))), "EdDSA"
		g.ids = append(g.ids, step.Key)
	case rotation.Create:
		seed := make([]byte, ed25519.SeedSize)
		r := rand.New(rand.NewPCG(uint64(len(g.ids)), 0)) // a simulation: the key only needs to be another one
		for n := range seed {
			seed[n] = byte(r.Uint32())
		}
		public, err := rotation.NewJWK(step.Key, "EdDSA", ed25519.NewKeyFromSeed(seed).Public())
		if err != nil {
			return err
		}
		step.Public = public
	}
	ring, _, err := g.ring.Apply(step, at)
	if err != nil {
		return fmt.Errorf("%s: %w", step.Action, err)
	}
	g.ring = ring
	return nil
}
