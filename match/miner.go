package match

import (
	"slices"
	"strconv"
	"strings"
)

// Bounds and thresholds of the miner. The thresholds were chosen once, on the
// Loghub samples (see doc.go); nothing is tuned per system.
const (
	maxTemplates  = 4000 // the ones seen longest ago go
	maxExact      = 8000 // masked lines remembered for the fast path
	minSimilarity = 0.6  // share of a template's constant words that a sibling has
	siblings      = 4    // so many templates that differ in the same words become one
)

// miner mines templates online. Like Drain (He et al., ICWS 2017,
// doi:10.1109/ICWS.2017.13) it masks what is known to vary and compares lines
// with the templates of the same number of words. Unlike Drain it does not
// blur a word at the first difference: "state Active" and "state Inactive" stay
// two templates, and only when a place shows more than `siblings` different
// words does it become a variable.
type miner struct {
	Next      int         `json:"next"` // id of the next template
	Tick      int         `json:"tick"` // lines seen
	Templates []*template `json:"templates"`

	byID     map[string]*template
	byLength map[int][]*template
	exact    map[string]*template // masked line -> template
}

// template is one mined template.
type template struct {
	ID     string   `json:"id"`
	Tokens []string `json:"tokens"`
	Count  int      `json:"count"`
	Last   int      `json:"last"` // tick
}

func (t *template) String() string { return strings.Join(t.Tokens, " ") }

func newMiner() *miner {
	m := &miner{}
	m.index()
	return m
}

// index rebuilds what a snapshot does not hold.
func (m *miner) index() {
	m.byID = map[string]*template{}
	m.byLength = map[int][]*template{}
	m.exact = map[string]*template{}
	for _, t := range m.Templates {
		m.byID[t.ID] = t
		m.byLength[len(t.Tokens)] = append(m.byLength[len(t.Tokens)], t)
	}
}

// add files a line and returns its template, and the ids of templates that
// were merged into it because of this line.
func (m *miner) add(line string) (t *template, merged []string) {
	tokens := tokenize(line)
	m.Tick++
	key := strings.Join(tokens, " ")
	if t := m.exact[key]; t != nil {
		t.Count++
		t.Last = m.Tick
		return t, nil
	}
	t, near := m.search(tokens)
	if t == nil {
		m.Next++
		t = &template{ID: "t" + strconv.Itoa(m.Next), Tokens: tokens}
		m.Templates = append(m.Templates, t)
		m.byID[t.ID] = t
		m.byLength[len(tokens)] = append(m.byLength[len(tokens)], t)
		if len(near) > 0 {
			t, merged = m.merge(append(near, t))
		}
	}
	t.Count++
	t.Last = m.Tick
	if len(m.exact) >= maxExact {
		clear(m.exact)
	}
	m.exact[key] = t
	m.bound()
	return t, merged
}

// find returns the template of a line without learning from it, or nil.
func (m *miner) find(line string) *template {
	tokens := tokenize(line)
	if t := m.exact[strings.Join(tokens, " ")]; t != nil {
		return t
	}
	t, _ := m.search(tokens)
	return t
}

// search returns the most specific template that covers the tokens; when there
// is none, the siblings that the tokens complete to a template with a variable.
func (m *miner) search(tokens []string) (*template, []*template) {
	var best *template
	bestWild := 0
	groups := map[string][]*template{}
	var order []string
	var places []int
	for _, t := range m.byLength[len(tokens)] {
		places = places[:0]
		wilds, same := 0, 0
		for i, w := range t.Tokens {
			switch {
			case w == wild:
				wilds++
			case w == tokens[i]:
				same++
			default:
				places = append(places, i)
			}
			if len(places)*5 > len(tokens)*2+4 {
				break // beyond any similarity that counts
			}
		}
		if len(places) == 0 {
			if best == nil || wilds < bestWild {
				best, bestWild = t, wilds
			}
			continue
		}
		constants := same + len(places)
		if best != nil || float64(same) < minSimilarity*float64(constants) {
			continue
		}
		sig := signature(places)
		if groups[sig] == nil {
			order = append(order, sig)
		}
		groups[sig] = append(groups[sig], t)
	}
	if best != nil {
		return best, nil
	}
	var near []*template
	for _, sig := range order {
		g := groups[sig]
		need := siblings
		if i := int(sig[0]); len(sig) == 1 && strings.Contains(tokens[i], wild) {
			need = 1 // one side is masked already: the place is known to vary
		}
		if len(g) >= need && len(g) > len(near) {
			near = g
		}
	}
	return nil, near
}

func signature(places []int) string {
	var b [maxTokens + 1]byte
	for i, p := range places {
		b[i] = byte(p)
	}
	return string(b[:len(places)])
}

// merge makes one template of several and of every other that it then covers.
// The one seen most often keeps its id.
func (m *miner) merge(group []*template) (*template, []string) {
	into := group[0]
	for _, t := range group {
		if t.Count > into.Count {
			into = t
		}
	}
	for _, t := range group {
		for i := range into.Tokens {
			if into.Tokens[i] != t.Tokens[i] {
				into.Tokens[i] = wild
			}
		}
	}
	var merged []string
	gone := map[*template]bool{}
	for _, t := range m.byLength[len(into.Tokens)] {
		if t != into && covers(into.Tokens, t.Tokens) {
			into.Count += t.Count
			into.Last = max(into.Last, t.Last)
			gone[t] = true
			merged = append(merged, t.ID)
		}
	}
	m.drop(gone)
	return into, merged
}

func covers(tmpl, tokens []string) bool {
	for i, w := range tmpl {
		if w != wild && w != tokens[i] {
			return false
		}
	}
	return true
}

// bound forgets an eighth of the templates when there are too many.
func (m *miner) bound() {
	if len(m.Templates) <= maxTemplates {
		return
	}
	byAge := slices.Clone(m.Templates)
	slices.SortFunc(byAge, func(a, b *template) int { return a.Last - b.Last })
	gone := map[*template]bool{}
	for _, t := range byAge[:len(byAge)/8] {
		gone[t] = true
	}
	m.drop(gone)
}

func (m *miner) drop(gone map[*template]bool) {
	if len(gone) == 0 {
		return
	}
	for t := range gone {
		delete(m.byID, t.ID)
	}
	isGone := func(t *template) bool { return gone[t] }
	m.Templates = slices.DeleteFunc(m.Templates, isGone)
	for n := range m.byLength {
		m.byLength[n] = slices.DeleteFunc(m.byLength[n], isGone)
		if len(m.byLength[n]) == 0 {
			delete(m.byLength, n)
		}
	}
	clear(m.exact)
}
