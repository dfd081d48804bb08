package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Options of a contest.
type Options struct {
	Seed     uint64
	Fast     bool // longer steps, and no fleet of 10,000
	Progress func(string)
}

// Result is what one procedure did to one world.
type Result struct {
	World     string   `json:"world"`
	Rule      string   `json:"procedure"`
	Instances int      `json:"instances"`
	Tokens    int64    `json:"tokens"`  // good ones that were shown
	Refused   int64    `json:"refused"` // of these
	Outage    float64  `json:"outage_s"`
	Worst     float64  `json:"worst_share"` // of the instances that refused at once
	Broken    int      `json:"services_broken"`
	Signs     float64  `json:"new_key_signs_s"` // after the rotation began; -1 is never
	Finished  float64  `json:"finished_s"`      // when the old key was gone; -1 is never
	Blocked   []string `json:"blocked_by,omitempty"`
	Safe      bool     `json:"safe_order_exists"`
	Right     bool     `json:"right"` // no token refused, and finished, or stopped by those who never get the key
}

const mostFast = 1000 // instances in a fast run

// horizon is how long a rotation is watched.
const (
	horizon = 54 * time.Hour
	before  = time.Hour                    // of normal service
	linger  = 2*time.Hour + 30*time.Minute // watched after the end
)

// Run plays every world with every procedure.
func Run(ctx context.Context, o Options) ([]Result, error) {
	var all []Result
	for n, w := range Worlds() {
		if o.Fast && w.Services*w.Each > mostFast {
			continue
		}
		for _, rule := range Rules() {
			start := time.Now()
			r, err := play(ctx, w, rule, rand.NewPCG(o.Seed, uint64(n)), o.Fast)
			if err != nil {
				return all, fmt.Errorf("%s in %s: %w", rule.Name, w.ID, err)
			}
			o.Progress(fmt.Sprintf("fleet %-15s %-20s %d of %d refused, %.0f s of outage, blocked by %v (%.1f s)", w.ID, rule.Name, r.Refused, r.Tokens, r.Outage, r.Blocked, time.Since(start).Seconds()))
			all = append(all, r)
		}
	}
	return all, nil
}

func play(ctx context.Context, w World, rule Rule, source rand.Source, fast bool) (Result, error) {
	random := rand.New(source)
	fleet := w.draw(random)
	step := 10 * time.Second
	switch {
	case len(fleet) > 100:
		step = 30 * time.Second
	case fast:
		step = time.Minute
	}
	if fast {
		step *= 2
	}
	p, err := rule.make(w, fleet, step)
	if err != nil {
		return Result{}, err
	}
	s := &simulation{world: w, fleet: fleet, issuer: p, random: random, step: step,
		result: Result{World: w.ID, Rule: rule.Name, Instances: len(fleet), Safe: w.Safe(), Signs: -1, Finished: -1}}
	for s.now = -before; s.now < horizon; s.now += step {
		if ctx.Err() != nil {
			return s.result, ctx.Err()
		}
		s.tick()
		if s.result.Finished >= 0 && s.now > time.Duration(s.result.Finished*float64(time.Second))+linger {
			break
		}
	}
	r := &s.result
	r.Broken = len(s.broken)
	if r.Finished < 0 {
		r.Blocked = p.stopped(s.now)
	}
	if r.Safe {
		r.Right = r.Refused == 0 && r.Finished >= 0
	} else {
		r.Right = r.Refused == 0 && r.Signs < 0 && same(r.Blocked, w.Forgotten())
	}
	return *r, nil
}

func same(a, b []string) bool {
	in := map[string]bool{}
	for _, x := range a {
		in[x] = true
	}
	for _, x := range b {
		if !in[x] {
			return false
		}
	}
	return len(a) == len(b)
}

// simulation is one fleet under one procedure.
type simulation struct {
	world  World
	fleet  []*instance
	issuer procedure
	random *rand.Rand
	step   time.Duration

	now     time.Duration
	current state
	copies  []state // what was published at each step so far
	hints   []hint
	broken  map[int]bool
	result  Result
}

// hint is one delivery to come.
type hint struct {
	to  *instance
	at  time.Duration
	try int
}

// tries are when a hint is sent again, after the one before.
var tries = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour}

func (s *simulation) tick() {
	last := s.current
	s.current = s.issuer.step(s.now, s.fleet)
	s.copies = append(s.copies, s.current)
	if s.current.published != last.published && s.issuer.hints() && s.now >= 0 {
		s.hints = s.hints[:0]
		for _, i := range s.fleet {
			if i.kind == asking || i.kind == agent {
				s.hints = append(s.hints, hint{to: i, at: s.now})
			}
		}
	}
	s.deliver()
	if s.current.signer > 0 && s.result.Signs < 0 {
		s.result.Signs = s.now.Seconds()
	}
	if s.current.done && s.result.Finished < 0 {
		s.result.Finished = s.now.Seconds()
	}
	refusing, serving := 0, 0
	for _, i := range s.fleet {
		if !i.serves(s.now) {
			continue
		}
		serving++
		if s.now >= i.next && i.kind != manual && !i.cut(s.now) {
			s.fetch(i)
		}
		if s.serve(i) {
			refusing++
		}
	}
	if refusing > 0 {
		s.result.Outage += s.step.Seconds()
		s.result.Worst = max(s.result.Worst, float64(refusing)/float64(serving))
	}
}

// deliver sends the hints that are due; those that get lost are sent again.
func (s *simulation) deliver() {
	kept := s.hints[:0]
	for _, h := range s.hints {
		switch {
		case h.at > s.now:
			kept = append(kept, h)
		case !h.to.serves(s.now):
		case h.to.cut(s.now) || s.random.Float64() < s.world.LostHints:
			if h.try < len(tries) {
				h.at, h.try = s.now+tries[h.try], h.try+1
				kept = append(kept, h)
			}
		default:
			s.fetch(h.to)
		}
	}
	s.hints = kept
}

// fetch brings an instance a copy of the document, which may be old.
func (s *simulation) fetch(i *instance) {
	age := time.Duration(0)
	if s.world.StaleCopies > 0 {
		age = time.Duration(s.random.Float64() * float64(s.world.StaleCopies))
	}
	n := max(0, len(s.copies)-1-int(age/s.step))
	i.held = s.copies[n].published
	i.next = s.now + i.refresh
}

// serve shows an instance the two tokens, and says whether it refused one.
func (s *simulation) serve(i *instance) bool {
	refused := false
	show := func(k int) {
		s.result.Tokens++
		if !i.held.has(k) && i.kind == asking && s.now >= i.retry && !i.cut(s.now) {
			i.retry = s.now + 30*time.Second
			s.fetch(i)
		}
		if i.held.has(k) {
			i.seen[k] = s.now + 1
			return
		}
		i.missed[k]++
		s.result.Refused++
		refused = true
		if s.broken == nil {
			s.broken = map[int]bool{}
		}
		s.broken[i.service] = true
	}
	show(s.current.signer)
	// A token is used until it expires on the clock of whoever verifies it.
	age := lifetime + max(0, i.behind) - s.step
	if n := len(s.copies) - 1 - int(age/s.step); n >= 0 {
		show(s.copies[n].signer)
	}
	return refused
}
