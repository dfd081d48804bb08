package exportgen

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Options of Generate. The zero value of a field takes what its comment says.
type Options struct {
	Seed      uint64
	Bank      Bank      // Development
	Start     time.Time // 2026-04-06 00:00 UTC
	Days      int       // 60
	Incidents int       // 24, recurrences included
	Chatter   int       // messages around them; 20 a day
}

// generator holds what one archive is made with.
type generator struct {
	r       *rand.Rand
	words   *phrases
	keeper  *person // nil where no bot keeps incidents
	people  []*person
	rooms   []*room
	truth   *Truth
	lost    map[*wire]bool
	kinds   map[string]int            // by family: the cause it had last
	queue   []int                     // scripts still to be played in this round
	windows map[string][][2]time.Time // by channel: when an incident ran there
}

// Generate makes an archive. Equal options give equal archives.
func Generate(o Options) *Archive {
	if o.Bank == "" {
		o.Bank = Development
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 4, 6, 0, 0, 0, 0, time.UTC)
	}
	if o.Days == 0 {
		o.Days = 60
	}
	if o.Incidents == 0 {
		o.Incidents = 24
	}
	if o.Chatter == 0 {
		o.Chatter = o.Days * 20
	}
	src, place := sourceOf(o.Bank)
	r := rand.New(rand.NewPCG(o.Seed, uint64(place+1)))
	g := &generator{r: r, keeper: src.keeper, words: src.words(), people: makePeople(r, 18+r.IntN(7)), truth: &Truth{Gaps: map[string]int{}},
		lost: map[*wire]bool{}, windows: map[string][][2]time.Time{}, kinds: map[string]int{}}
	for _, i := range r.Perm(len(g.people))[:2] { // people who left: not in users.json
		g.people[i].gone = true
	}
	for _, name := range []string{"incidents", "prod-alerts", "ops", "team-commerce", "random", "deploys", "help"} {
		g.rooms = append(g.rooms, &room{id: fmt.Sprintf("C%08X", r.Uint32()), name: name, used: map[int64]bool{},
			threads: name == "incidents" || name == "prod-alerts"})
	}
	g.incidents(o)
	g.chatter(o)
	a := &Archive{Truth: g.truth, rooms: g.rooms, people: append(slices.Clone(g.people), bots...)}
	if src.keeper != nil {
		a.people = append(a.people, src.keeper)
	}
	a.finish(g.lost)
	slices.SortFunc(g.truth.Incidents, func(x, y *Incident) int { return strings.Compare(x.RootTS, y.RootTS) })
	return a
}

// identity is a failure that may happen again: one family, component and cause.
type identity struct {
	fam  *family
	comp string
	days []int
}

// incidents plans which failure happens when, and plays them in time's order.
func (g *generator) incidents(o Options) {
	var ids []*identity
	fams := g.r.Perm(len(g.words.families))
	left := o.Incidents
	for n := 0; left > 0; n++ {
		fam := g.words.families[fams[n%len(fams)]]
		times := 1
		if g.r.IntN(10) < 4 {
			times = 2 + g.r.IntN(2)
		}
		times = min(times, left)
		id := &identity{fam: g.variant(fam), comp: fam.comps[n/len(fams)%len(fam.comps)]}
		for k := range times { // at least two weeks apart
			span := max(1, o.Days/times-14)
			id.days = append(id.days, k*(o.Days/times)+g.r.IntN(span))
		}
		ids = append(ids, id)
		left -= times
	}
	type due struct {
		id  *identity
		day int
	}
	var plan []due
	for _, id := range ids {
		for _, d := range id.days {
			plan = append(plan, due{id, d})
		}
	}
	slices.SortStableFunc(plan, func(x, y due) int { return x.day - y.day })
	first := map[*identity]*Incident{}
	last := time.Time{}
	for _, p := range plan {
		start := o.Start.AddDate(0, 0, p.day).Add(time.Duration(g.r.IntN(20*3600)) * time.Second)
		where := g.rooms[g.r.IntN(4)]
		if where.threads && chance(g.r, 0.3) && start.Sub(last).Abs() < 20*time.Hour && start.Day() == last.Day() {
			start = last.Add(time.Duration(3+g.r.IntN(12)) * time.Minute) // interleaved with the one before
		}
		for !where.threads && g.busy(where.name, start, 3*time.Hour) {
			start = start.Add(4 * time.Hour)
		}
		in := g.play(p.id.fam, p.id.comp, where, start, first[p.id])
		if first[p.id] == nil {
			first[p.id] = in
		}
		g.truth.Incidents = append(g.truth.Incidents, in)
		end := start
		for _, t := range []time.Time{in.Fixed, in.Resolved} {
			if t.After(end) {
				end = t
			}
		}
		g.windows[where.name] = append(g.windows[where.name], [2]time.Time{start.Add(-time.Hour), end.Add(90 * time.Minute)})
		last = start
	}
}

// variant fixes which of the family's causes it is, with the cure that fits;
// another one than the last time, so that a cause in one component does not at
// once turn up in the next:
// lines of cause, also and fix stand in the same order.
func (g *generator) variant(f *family) *family {
	kinds := min(len(f.values["cause"]), len(f.values["fix"]))
	n := g.r.IntN(kinds)
	if was, ok := g.kinds[f.name]; ok {
		n = (was + 1) % kinds
	}
	g.kinds[f.name] = n
	v := map[string][]string{}
	for k, list := range f.values {
		v[k] = list
	}
	v["cause"] = []string{f.values["cause"][n]}
	if also := f.values["also"]; n < len(also) {
		v["cause"] = append(v["cause"], also[n])
	}
	v["fix"] = []string{f.values["fix"][n]}
	return &family{name: fmt.Sprintf("%s/%d", f.name, n), comps: f.comps, values: v}
}

func (g *generator) busy(name string, at time.Time, margin time.Duration) bool {
	for _, w := range g.windows[name] {
		if at.After(w[0].Add(-margin)) && at.Before(w[1].Add(margin)) {
			return true
		}
	}
	return false
}

// anyComp is a component of some family, not that one.
func (g *generator) anyComp(not string) string {
	for {
		if c := pick(g.r, pick(g.r, g.words.families).comps); c != not {
			return c
		}
	}
}
