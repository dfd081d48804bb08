package fleet

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// kind is how an instance keeps its keys.
type kind int

const (
	asking kind = iota // a cache that also fetches for an unknown kid and acknowledges what it holds (keyset)
	cached             // a cache that fetches when its time is over, and says nothing
	agent              // a static file, kept by an agent that fetches and acknowledges
	manual             // a static file that a person puts there
)

// World is a fleet and its troubles.
type World struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Services int    `json:"services"`
	Each     int    `json:"instances_each"`

	// Shares of services by kind; the rest asks.
	Cached, Agents float64       `json:"-"`
	Manual         int           `json:"-"` // services whose file nobody updates
	Within         time.Duration `json:"-"` // the longest refresh of a cached service

	LostHints   float64       `json:"-"` // share of hints that do not arrive, each try
	Dead        float64       `json:"-"` // share of instances that die in the first hours
	CutOff      float64       `json:"-"` // share that cannot reach or be reached for a while, and serve on
	CutOffFor   time.Duration `json:"-"` // at most
	StaleCopies time.Duration `json:"-"` // a fetch may bring a copy this old
	Skew        time.Duration `json:"-"` // a clock is off by at most this
}

// Worlds are the fleets of the contest.
func Worlds() []World {
	const hour = time.Hour
	return []World{
		{ID: "seven", Title: "7 verifiers, all well", Services: 7, Each: 1, Cached: 0.4, Agents: 0.15, Within: hour},
		{ID: "seven-static", Title: "7 verifiers, 4 of them static files that nobody updates", Services: 7, Each: 1, Manual: 4, Within: hour},
		{ID: "lost-hints", Title: "60, every other webhook lost", Services: 12, Each: 5, Cached: 0.3, Agents: 0.1, Within: hour, LostHints: 0.5},
		{ID: "dead-cut-off", Title: "200, some die, some are cut off for hours and serve on", Services: 20, Each: 10, Cached: 0.2, Agents: 0.1, Within: hour, Dead: 0.05, CutOff: 0.04, CutOffFor: 4 * hour, LostHints: 0.2},
		{ID: "stale-cdn", Title: "1,000 behind a CDN that serves copies of ten minutes", Services: 25, Each: 40, Cached: 0.3, Agents: 0.1, Within: hour, StaleCopies: 10 * time.Minute},
		{ID: "skew", Title: "1,000 whose clocks are off by two minutes", Services: 25, Each: 40, Cached: 0.3, Agents: 0.1, Within: hour, Skew: 2 * time.Minute},
		{ID: "silent", Title: "1,000 that only cache, and cannot answer", Services: 25, Each: 40, Cached: 1, Within: hour},
		{ID: "all", Title: "10,000 with all of this", Services: 40, Each: 250, Cached: 0.2, Agents: 0.1, Within: hour,
			LostHints: 0.5, Dead: 0.01, CutOff: 0.005, CutOffFor: 3 * hour, StaleCopies: 10 * time.Minute, Skew: 2 * time.Minute},
		{ID: "all-and-a-file", Title: "10,000 with all of this, and one forgotten file", Services: 40, Each: 250, Cached: 0.2, Agents: 0.1, Manual: 1, Within: hour,
			LostHints: 0.5, Dead: 0.01, CutOff: 0.005, CutOffFor: 3 * hour, StaleCopies: 10 * time.Minute, Skew: 2 * time.Minute},
	}
}

// Safe says whether there is an order of steps that breaks nobody: whether
// every instance gets the new key in the end.
func (w World) Safe() bool { return w.Manual == 0 }

// Forgotten are the services that never get a new key.
func (w World) Forgotten() []string {
	var names []string
	for n := range w.Manual {
		names = append(names, serviceName(n))
	}
	return names
}

func serviceName(n int) string { return fmt.Sprintf("service-%02d", n+1) }

// instance is one process of a service.
type instance struct {
	service int
	name    string
	kind    kind
	refresh time.Duration // time between fetches

	dies           time.Duration // when it ends; 0 is never
	cutFrom, cutTo time.Duration // when it is cut off
	behind         time.Duration // how far its clock is behind; negative is ahead

	next   time.Duration // next fetch
	retry  time.Duration // no fetch for an unknown kid before
	held   keys
	seen   [maxKeys]time.Duration // when it last verified a token of a key, +1 step so that 0 is never
	missed [maxKeys]int64         // tokens refused for want of a key
}

// keys is a set of keys as a bit mask.
type keys uint8

const maxKeys = 8

func (s keys) has(k int) bool { return s&(1<<k) != 0 }

func (i *instance) serves(t time.Duration) bool { return i.dies == 0 || t < i.dies }

func (i *instance) cut(t time.Duration) bool { return t >= i.cutFrom && t < i.cutTo }

// draw makes the fleet of a world. The same seed makes the same fleet.
func (w World) draw(r *rand.Rand) []*instance {
	var fleet []*instance
	between := func(a, b time.Duration) time.Duration { return a + time.Duration(r.Float64()*float64(b-a)) }
	caches := int(w.Cached*float64(w.Services) + 0.5)
	agents := int(w.Agents*float64(w.Services) + 0.5)
	for s := range w.Services {
		k, refresh := asking, 8*time.Minute
		switch {
		case s < w.Manual:
			k = manual
		case s < w.Manual+caches:
			// From five minutes up to the longest, which one service has.
			k, refresh = cached, max(5*time.Minute, w.Within*time.Duration(s-w.Manual+1)/time.Duration(caches))
		case s < w.Manual+caches+agents:
			k, refresh = agent, 5*time.Minute
		}
		for n := range w.Each {
			i := &instance{service: s, name: fmt.Sprintf("%s-%03d", serviceName(s), n+1), kind: k, refresh: refresh, held: 1}
			i.next = between(0, refresh)
			if r.Float64() < w.Dead {
				i.dies = between(time.Minute, 3*time.Hour)
			}
			// What only caches cannot say that it is cut off: nobody could wait for it.
			if (k == asking || k == agent) && r.Float64() < w.CutOff {
				i.cutFrom = between(-10*time.Minute, time.Hour)
				i.cutTo = i.cutFrom + between(w.CutOffFor/4, w.CutOffFor)
			}
			i.behind = between(-w.Skew, w.Skew)
			fleet = append(fleet, i)
		}
	}
	return fleet
}
