package fleet

import (
	"time"
)

// lifetime of a token, and with it of the need for its key.
const lifetime = time.Hour

// state is what an issuer does at a moment.
type state struct {
	published keys
	signer    int
	done      bool // the old key is gone
}

// procedure is how an issuer rotates. now counts from when the rotation begins.
type procedure interface {
	step(now time.Duration, fleet []*instance) state
	// hints says whether the issuer tells verifiers that its keys changed.
	hints() bool
	// stopped names who is in the way of a rotation that does not go on.
	stopped(now time.Duration) []string
}

// Rule is a procedure with what documents it.
type Rule struct {
	Name string `json:"name"`
	How  string `json:"how"`
	make func(w World, fleet []*instance, step time.Duration) (procedure, error)
}

// Ours is the name of this project's procedure.
const Ours = "rotation"

// Rules are the procedures of the contest.
func Rules() []Rule {
	timed := func(ahead, keep time.Duration) func(World, []*instance, time.Duration) (procedure, error) {
		return func(World, []*instance, time.Duration) (procedure, error) { return clockwork{ahead, keep}, nil }
	}
	const day = 24 * time.Hour
	return []Rule{
		{Ours, "prunella/rotation: its gates decide, on acknowledgements, canaries, and declared refresh times of those who cannot answer", newGated},
		{"Dex", "the new key signs as soon as it is made; the old one stays for the lifetime of a token (server/rotation.go), and goes at the next rotation, here after 6 h", timed(0, 6*time.Hour)},
		{"Hydra", "POST /admin/keys/{set} adds a key, which signs from then on; the old one is deleted by hand, here after the lifetime of a token", timed(0, lifetime)},
		{"Keycloak", "a provider of higher priority signs from then on; the old key stays, passive, for long (the guide says a month or two; here two days)", timed(0, 2*day)},
		{"time-gated, 15 min", "publish, sign after 15 min, remove after the lifetime of a token", timed(15*time.Minute, lifetime)},
		{"time-gated, a day", "publish, sign after a day, keep the old key for a day (Duende and others use days)", timed(day, day)},
	}
}

// clockwork is every procedure that looks at nothing but the time: publish,
// sign so much later, remove so much after that.
type clockwork struct{ ahead, keep time.Duration }

func (c clockwork) hints() bool { return false }

func (c clockwork) stopped(time.Duration) []string { return nil }

func (c clockwork) step(now time.Duration, _ []*instance) state {
	switch {
	case now < 0:
		return state{published: 1}
	case now < c.ahead:
		return state{published: 3}
	case now < c.ahead+c.keep:
		return state{published: 3, signer: 1}
	}
	return state{published: 2, signer: 1, done: true}
}
