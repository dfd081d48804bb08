package exportgen

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"prunella/thread"
)

// Tolerance is how far an extracted time may be from the truth.
const Tolerance = 2 * time.Minute

// Count is hits of a field: how many the truth has, how many were extracted,
// and how many of each the other side knows. The last two differ where two
// extracted pieces are one true thing.
type Count struct {
	Name               string
	True, Found        int
	Recalled, Accurate int
}

// Precision is the share of what was extracted that is true; 1 for nothing.
func (c Count) Precision() float64 { return share(c.Accurate, c.Found) }

// Recall is the share of what is true that was extracted; 1 for nothing.
func (c Count) Recall() float64 { return share(c.Recalled, c.True) }

func share(n, of int) float64 {
	if of == 0 {
		return 1
	}
	return float64(n) / float64(of)
}

// Score is a Count for each field, in a fixed order.
type Score []Count

// fields in the order of the table. The first five of Bars are the ones that
// must hold.
var fields = []string{"conversations", "reporter", "symptoms", "ruled out", "commands", "attempts", "outcome", "owners", "verification",
	"escalation", "recurs", "follow-ups", "times", "started", "diagnosed", "fixed", "resolved", "recurrence"}

// Bars are the fields whose precision and recall must reach 0.9.
var Bars = []string{"commands", "outcome", "owners", "times", "recurrence"}

// Of returns the count of a field.
func (s Score) Of(name string) Count { return s[slices.Index(fields, name)] }

// Add sums two scores.
func (s Score) Add(o Score) Score {
	sum := newScore()
	for i := range sum {
		for _, x := range []Score{s, o} {
			if x != nil {
				sum[i].True += x[i].True
				sum[i].Found += x[i].Found
				sum[i].Recalled += x[i].Recalled
				sum[i].Accurate += x[i].Accurate
			}
		}
	}
	return sum
}

func newScore() Score {
	s := make(Score, len(fields))
	for i, f := range fields {
		s[i].Name = f
	}
	return s
}

// hit adds to a field: n of truth, m found, k of both.
func (s Score) hit(name string, n, m, k int) { s.hits(name, n, m, k, k) }

func (s Score) hits(name string, n, m, recalled, accurate int) {
	c := &s[slices.Index(fields, name)]
	c.True, c.Found, c.Recalled, c.Accurate = c.True+n, c.Found+m, c.Recalled+recalled, c.Accurate+accurate
}

// Miss says where extraction and truth differ, for people.
type Miss struct{ Field, Where, Want, Got string }

// Compare counts what extractions know of the truth. What stands in an
// extraction that belongs to no incident counts as found and wrong.
func Compare(t *Truth, got []thread.Extraction) (Score, []Miss) {
	c := &comparison{score: newScore()}
	of := assign(t, got)
	taken := map[*Incident]bool{}
	for i, x := range got {
		in := of[i]
		if in == nil {
			c.where = "no incident " + x.Key()
			in = &Incident{}
		} else {
			c.where, taken[in] = in.Key(), true
		}
		c.one(in, x)
	}
	matched := 0
	for _, in := range t.Incidents {
		if taken[in] {
			matched++
			continue
		}
		c.where = "not found " + in.Key()
		c.one(in, thread.Extraction{})
	}
	c.score.hit("conversations", len(t.Incidents), len(got), matched)
	c.pairs(t, got, of)
	return c.score, c.misses
}

// assign finds the incident of each extraction: the one that shares most of
// its messages; one extraction for each incident.
func assign(t *Truth, got []thread.Extraction) map[int]*Incident {
	owner := map[string]*Incident{}
	for _, in := range t.Incidents {
		for _, ts := range in.TS {
			owner[in.Channel+"/"+ts] = in
		}
	}
	type claim struct {
		i, shared int
		in        *Incident
	}
	var claims []claim
	for i, x := range got {
		shared := map[*Incident]int{}
		for _, m := range x.Messages {
			if in := owner[m.Channel+"/"+m.TS]; in != nil {
				shared[in]++
			}
		}
		for in, n := range shared {
			if 2*n > len(x.Messages) || owner[x.Key()] == in {
				claims = append(claims, claim{i, n, in})
			}
		}
	}
	slices.SortFunc(claims, func(a, b claim) int {
		if a.shared != b.shared {
			return b.shared - a.shared
		}
		if a.i != b.i {
			return a.i - b.i
		}
		return strings.Compare(a.in.Key(), b.in.Key())
	})
	of, taken := map[int]*Incident{}, map[*Incident]bool{}
	for _, c := range claims {
		if of[c.i] == nil && !taken[c.in] {
			of[c.i], taken[c.in] = c.in, true
		}
	}
	return of
}

type comparison struct {
	score  Score
	misses []Miss
	where  string
}

func (c *comparison) miss(field, want, got string) {
	c.misses = append(c.misses, Miss{field, c.where, want, got})
}

// one compares an incident with its extraction.
func (c *comparison) one(in *Incident, x thread.Extraction) {
	c.set("reporter", nonEmpty(in.Reporter), nil, nonEmpty(x.Reporter))
	c.set("owners", in.Owners, in.AlsoOwners, x.Owners)
	c.commands(in, x)
	c.attempts(in, x)
	c.said("symptoms", in.Symptoms, in.Allowed["symptoms"], x.Symptoms)
	c.said("ruled out", in.RuledOut, in.Allowed["ruled out"], x.RuledOut)
	c.said("verification", in.Verification, in.Allowed["verification"], x.Verification)
	c.said("escalation", in.Escalation, in.Allowed["escalation"], x.Escalation)
	c.said("recurs", in.Recurs, in.Allowed["recurs"], x.Recurs)
	c.followUps(in, x)
	c.time("started", in.Started, x.Started)
	c.time("diagnosed", in.Diagnosed, x.Diagnosed)
	fixed := in.Fixed
	if !in.FixedBy.IsZero() && x.Fixed.Sub(in.FixedBy).Abs() <= Tolerance {
		fixed = in.FixedBy
	}
	c.time("fixed", fixed, x.Fixed)
	c.time("resolved", in.Resolved, x.Resolved)
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// set compares names, without '@' and case. Allowed names count for nothing.
func (c *comparison) set(field string, want, allowed, got []string) {
	norm := func(list []string) []string {
		var out []string
		for _, s := range list {
			out = append(out, strings.ToLower(strings.TrimPrefix(s, "@")))
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	w, g, free := norm(want), norm(got), norm(allowed)
	g = slices.DeleteFunc(g, func(s string) bool { return slices.Contains(free, s) && !slices.Contains(w, s) })
	both := 0
	for _, s := range w {
		if slices.Contains(g, s) {
			both++
		}
	}
	c.score.hit(field, len(w), len(g), both)
	if both < len(w) || both < len(g) {
		c.miss(field, strings.Join(w, " "), strings.Join(g, " "))
	}
}

func (c *comparison) time(field string, want, got time.Time) {
	n, m, k := 0, 0, 0
	if !want.IsZero() {
		n = 1
	}
	if !got.IsZero() {
		m = 1
	}
	if n == 1 && m == 1 && got.Sub(want).Abs() <= Tolerance {
		k = 1
	} else if n+m > 0 {
		c.miss(field, want.Format(time.DateTime), got.Format(time.DateTime))
	}
	c.score.hit(field, n, m, k)
	c.score.hit("times", n, m, k)
}

// said compares sentences: the same message, and three fifths of the words of
// the shorter one. Allowed sentences count for nothing.
func (c *comparison) said(field string, want, allowed []Said, got []thread.Sentence) {
	recalled, accurate, allow := 0, 0, 0
	for _, w := range want {
		if slices.ContainsFunc(got, func(g thread.Sentence) bool { return sameSentence(w, g.Source.TS, g.Text) }) {
			recalled++
		} else {
			c.miss(field, w.Text, "")
		}
	}
	for _, g := range got {
		found := func(w Said) bool { return sameSentence(w, g.Source.TS, g.Text) }
		switch {
		case slices.ContainsFunc(want, found):
			accurate++
		case slices.ContainsFunc(allowed, found):
			allow++
		default:
			c.miss(field, "", g.Text)
		}
	}
	c.score.hits(field, len(want), len(got)-allow, recalled, accurate)
}

var word = regexp.MustCompile(`[\pL\pN]+`)

func sameSentence(w Said, ts, text string) bool {
	if w.TS != ts {
		return false
	}
	a, b := word.FindAllString(strings.ToLower(w.Text), -1), word.FindAllString(strings.ToLower(text), -1)
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) == 0 {
		return false
	}
	shared := 0
	for _, x := range a {
		if slices.Contains(b, x) {
			shared++
		}
	}
	return 5*shared >= 3*len(a)
}

func (c *comparison) followUps(in *Incident, x thread.Extraction) {
	recalled, accurate := 0, 0
	for _, w := range in.FollowUps {
		if slices.ContainsFunc(x.FollowUps, func(g thread.FollowUp) bool { return g.Done == w.Done && sameSentence(w.Said, g.Source.TS, g.Text) }) {
			recalled++
		} else {
			c.miss("follow-ups", fmt.Sprint(w.Text, " done=", w.Done), "")
		}
	}
	for _, g := range x.FollowUps {
		if slices.ContainsFunc(in.FollowUps, func(w FollowUp) bool { return g.Done == w.Done && sameSentence(w.Said, g.Source.TS, g.Text) }) {
			accurate++
		} else {
			c.miss("follow-ups", "", fmt.Sprint(g.Text, " done=", g.Done))
		}
	}
	c.score.hits("follow-ups", len(in.FollowUps), len(x.FollowUps), recalled, accurate)
}

// pairs compares which conversations are about the same failure: all pairs
// that follow from the links.
func (c *comparison) pairs(t *Truth, got []thread.Extraction, of map[int]*Incident) {
	want, has := map[[2]string]bool{}, map[[2]string]bool{}
	links := map[string]string{}
	for _, in := range t.Incidents {
		links[in.Key()] = in.RecurrenceOf
	}
	closure(links, want)
	name := map[string]string{}
	for i, x := range got {
		name[x.Key()] = x.Key()
		if of[i] != nil {
			name[x.Key()] = of[i].Key()
		}
	}
	links = map[string]string{}
	for _, x := range got {
		links[name[x.Key()]] = name[x.RecurrenceOf]
	}
	closure(links, has)
	both := 0
	for p := range want {
		if has[p] {
			both++
		} else {
			c.misses = append(c.misses, Miss{"recurrence", p[0], p[1], ""})
		}
	}
	for p := range has {
		if !want[p] {
			c.misses = append(c.misses, Miss{"recurrence", p[0], "", p[1]})
		}
	}
	c.score.hit("recurrence", len(want), len(has), both)
}

func closure(links map[string]string, into map[[2]string]bool) {
	root := func(k string) string {
		for range len(links) {
			if links[k] == "" {
				break
			}
			k = links[k]
		}
		return k
	}
	groups := map[string][]string{}
	for k := range links {
		groups[root(k)] = append(groups[root(k)], k)
	}
	for _, g := range groups {
		slices.Sort(g)
		for i := range g {
			for _, b := range g[i+1:] {
				into[[2]string{g[i], b}] = true
			}
		}
	}
}
