package thread

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The impression is what a conversation looks like as a whole: how much is said
// of which kind and where, by how many, in which order. What it weighs is added
// to what the rules say, within bounds, so that neither outvotes the other
// wherever both are sure.
const (
	doubtful    = -1.0 // from this score of the rules on it is worth an impression
	mostFor     = 4.0
	mostAgainst = 2.0 // against: what the weights were fitted on tells more of its commands than people elsewhere do
)

// impress weighs the impression, and says what weighed most.
func (t *talk) impress() (float64, string) {
	names := t.impression()
	sum := 0.0
	for _, n := range names {
		sum += incidentWeights[n]
	}
	why := slices.Clone(names)
	slices.SortStableFunc(why, func(a, b string) int {
		return cmp.Or(cmp.Compare(max(incidentWeights[b], -incidentWeights[b]), max(incidentWeights[a], -incidentWeights[a])), cmp.Compare(a, b))
	})
	var parts []string
	for _, n := range why[:min(4, len(why))] {
		parts = append(parts, fmt.Sprintf("%s %+.1f", n, incidentWeights[n]))
	}
	return withinBounds(sum), strings.Join(parts, ", ")
}

func withinBounds(sum float64) float64 { return max(-mostAgainst, min(mostFor, sum)) }

// tally counts the sentences of each kind, by who says them and where.
type tally struct {
	n           map[string]int
	first, last map[string]int // messages of people with a kind
}

func (y *tally) add(kind string, s said, where string) {
	if s.bot {
		y.n["bot."+kind]++
		y.n["bot."+kind+"@"+where]++
		return
	}
	y.n[kind]++
	y.n[kind+"@"+where]++
	if _, known := y.first[kind]; !known {
		y.first[kind] = s.msg
	}
	y.last[kind] = s.msg
}

// impression are the features of a conversation as a whole: kinds of sentences
// by classes of words and by rules (in capitals), alone, by place ("fix@first"),
// by number ("fix>=2", "fix-often"), in order ("bad>fix>good"), and how large it is.
func (t *talk) impression() []string {
	y := tally{map[string]int{}, map[string]int{}, map[string]int{}}
	end := len(t.c.Messages)
	sizes := map[string]int{"messages": end, "logs": len(t.logs)}
	words := 0
	for _, s := range t.said {
		where := "mid"
		switch {
		case s.msg == 0:
			where = "first"
		case s.msg == 1:
			where = "open"
		case s.msg >= end-2 || 3*s.msg >= 2*end:
			where = "end"
		}
		kinds, n := s.impresses()
		words += n
		for _, k := range kinds {
			y.add(k, s, where)
		}
		snippets := s.snippets()
		sizes["commands"] += len(snippets)
		sizes["changes"] += len(changing(snippets))
		sizes["fences"] += min(1, len(s.fences))
		if mentionRE.MatchString(s.text) {
			sizes["mentions"]++
		}
		if len(t.clocks(s)) > 0 {
			y.add("clock", s, where)
		}
	}
	var out []string
	for k, n := range y.n {
		out = append(out, k)
		if strings.Contains(k, "@") {
			continue
		}
		for _, least := range []int{2, 4, 7} {
			if n >= least {
				out = append(out, k+">="+strconv.Itoa(least))
			}
		}
		if 10*n > 3*len(t.said) {
			out = append(out, k+"-often")
		}
	}
	prev := ""
	for i, m := range t.c.Messages {
		if m.User != prev {
			sizes["turns"]++
		}
		prev = m.User
		if i > 0 && m.bot() {
			sizes["bots"]++
		}
	}
	if t.c.Messages[0].bot() {
		out = append(out, "bot-first")
		if end > 1 && t.c.Messages[end-1].bot() {
			out = append(out, "bot-first-and-last")
		}
	}
	sizes["people"] = len(t.people)
	sizes["minutes"] = int(Time(t.c.Messages[end-1].TS).Sub(Time(t.c.Messages[0].TS)).Minutes())
	sizes["words-of-a-message"] = words / end
	for _, z := range impressive {
		for _, least := range z.steps {
			if sizes[z.name] >= least {
				out = append(out, z.name+">="+strconv.Itoa(least))
			}
		}
	}
	out = append(out, y.courses()...)
	slices.Sort(out)
	return append(out, "conversation", t.c.Kind)
}

// impressive are the sizes of a conversation, and the steps at which they count.
var impressive = []struct {
	name  string
	steps []int
}{
	{"messages", []int{3, 4, 5, 6, 8, 10, 13, 16, 20}},
	{"people", []int{1, 2, 3, 4, 5}},
	{"turns", []int{2, 3, 4, 6, 8, 12}},
	{"minutes", []int{3, 8, 15, 30, 60, 120, 300}},
	{"commands", []int{1, 2, 3, 5}},
	{"changes", []int{1, 2, 3}},
	{"fences", []int{1, 2}},
	{"logs", []int{1}},
	{"mentions", []int{1, 2, 4}},
	{"bots", []int{1, 3}},
	{"words-of-a-message", []int{5, 8, 12, 18}},
}

// impresses are the kinds of a sentence, and how many words it has.
func (s said) impresses() (kinds []string, words int) {
	is := func(k string, yes bool) {
		if yes && !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	if !s.line.quoted {
		eachWord(withoutCode.ReplaceAllString(s.lower, " "), func(w string) bool {
			words++
			for _, name := range concepts[w] {
				is(name, true)
			}
			is("urgent", urgentWords[w])
			return true
		})
	}
	low, v := maskCode(s.lower), verdict(s.text)
	did, announced, advised, _ := acts(s.text)
	snippets := s.snippets()
	is("look-up", len(snippets) > 0)
	is("change", len(changing(snippets)) > 0)
	is("figure", figure.MatchString(s.text))
	is("asks", s.asks)
	is("FAILS", failing.MatchString(low))
	is("GOOD", v > 0)
	is("BAD", v < 0)
	is("CAUSE", strong.MatchString(low))
	is("RULED-OUT", ruledOut.MatchString(low))
	is("TAKES", takeRE.MatchString(s.text) || s.claim())
	is("NOISE", noise.MatchString(low))
	is("CLOSES", closing.MatchString(low))
	is("DID", did)
	is("ANNOUNCED", announced)
	is("ADVISED", advised)
	return kinds, words
}

// courses are the orders in which kinds come: from trouble over a deed to its end.
func (y *tally) courses() (out []string) {
	order := func(kinds ...string) {
		at := -1
		for i, k := range kinds {
			n, known := y.first[k]
			if i == len(kinds)-1 {
				n = y.last[k]
			}
			if !known || n < at {
				return
			}
			at = n
		}
		out = append(out, strings.Join(kinds, ">"))
	}
	for _, deed := range []string{"past", "fix", "doing", "change", "DID", "look-up"} {
		for _, end := range []string{"good", "GOOD", "close", "bye", "CLOSES"} {
			for _, trouble := range []string{"bad", "FAILS", "urgent"} {
				order(trouble, deed, end)
			}
			order(deed, end)
		}
		for _, k := range []string{"look", "cause", "TAKES"} {
			order(k, deed)
		}
		order(deed, "verify")
	}
	return out
}
