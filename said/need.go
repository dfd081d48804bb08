package said

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
)

// lexicon is every rule of this package, ready to be asked.
type lexicon struct {
	words   *words
	classes []rule // in the order of classWordings
	denials []rule
	vague   []rule
	decoys  []*expression
}

// lex returns the lexicon. It is made when the first text is read: a program
// that reads none does not pay for it.
var lex = sync.OnceValue(func() *lexicon {
	w := &words{number: map[string]int{}}
	l := &lexicon{words: w, classes: w.rules(classWordings), denials: w.rules(denialWordings), vague: w.rules(vagueWordings), decoys: w.expressions([]string{decoys})}
	for _, weak := range tokenWordings {
		i := slices.IndexFunc(l.classes, func(r rule) bool { return r.class == weak.class })
		l.classes[i].ofTokens = w.expressions(weak.any)
	}
	return l
})

// rule says what means a class.
type rule struct {
	class    Class
	any      []*expression
	ofTokens []*expression // mean it only where the text speaks of tokens
}

// An expression is one alternative of a rule with what every match of it holds.
type expression struct {
	re    func() *regexp.Regexp
	needs [][]int // of each list one literal, by its number among the words
}

// lazy is regexp.MustCompile put off until the expression is first asked, which
// many never are; one that is none panics then.
func lazy(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// words is every literal that some expression needs, each once.
type words struct {
	literals []string
	pairs    [][]uint16 // of each literal, the places of its pairs of letters in text.pairs
	number   map[string]int
}

func (w *words) rules(list []wording) []rule {
	out := make([]rule, len(list))
	for i, m := range list {
		out[i] = rule{class: m.class, any: w.expressions(m.any)}
	}
	return out
}

func (w *words) expressions(list []string) []*expression {
	var out []*expression
	for _, alternatives := range list {
		for _, expr := range split(alternatives) {
			out = append(out, w.expression(expr))
		}
	}
	return out
}

func (w *words) expression(expr string) *expression {
	e := &expression{re: lazy(expr)}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		panic(err)
	}
	for _, group := range factsOf(tree).all() {
		var numbers []int
		for _, literal := range group {
			n, known := w.number[literal]
			if !known {
				n = len(w.literals)
				w.number[literal] = n
				w.literals = append(w.literals, literal)
				var pairs []uint16
				for i := range len(literal) - 1 {
					pairs = append(pairs, pairOf(literal, i))
				}
				w.pairs = append(w.pairs, pairs)
			}
			numbers = append(numbers, n)
		}
		e.needs = append(e.needs, numbers)
	}
	return e
}

// split returns the alternatives of an expression that stand in no group.
func split(expr string) []string {
	var out []string
	depth, from, class := 0, 0, false
	for i := 0; i < len(expr); i++ {
		switch c := expr[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			out = append(out, expr[from:i])
			from = i + 1
		}
	}
	return append(out, expr[from:])
}

// text is one text with which literals it is known to hold.
type text struct {
	words *words
	low   string
	pairs [16]uint64 // the pairs of neighbouring letters, as bits; several share one
	held  []int8     // by number: 0 not looked for, 1 it holds it, -1 it does not
}

func (w *words) text(low string) *text {
	t := &text{words: w, low: low, held: make([]int8, len(w.literals))}
	for i := range len(low) - 1 {
		p := pairOf(low, i)
		t.pairs[p>>6] |= 1 << (p & 63)
	}
	return t
}

// pairOf is the place of the pair of letters at i, below 1024.
func pairOf(s string, i int) uint16 { return (uint16(s[i])*37 + uint16(s[i+1])) & 1023 }

func (t *text) holds(n int) bool {
	if t.held[n] == 0 {
		t.held[n] = -1
		if t.mayHold(n) && strings.Contains(t.low, t.words.literals[n]) {
			t.held[n] = 1
		}
	}
	return t.held[n] > 0
}

// mayHold is quick to say no: a pair of the literal is nowhere in the text.
func (t *text) mayHold(n int) bool {
	for _, p := range t.words.pairs[n] {
		if t.pairs[p>>6]&(1<<(p&63)) == 0 {
			return false
		}
	}
	return true
}

func (t *text) possible(e *expression) bool {
	for _, group := range e.needs {
		if !slices.ContainsFunc(group, t.holds) {
			return false
		}
	}
	return true
}

func (t *text) matches(e *expression) bool { return t.possible(e) && e.re().MatchString(t.low) }

// Bounds on what is derived: a literal of one letter is in every text, and
// looking for many costs more than it saves.
const (
	leastLetters = 2
	mostExact    = 40
)

// facts are what is known of every match of a part of an expression.
type facts struct {
	exact []string   // the match is one of these; nil when that is not known
	some  [][]string // of each list it holds one
}

// all returns the lists that are worth asking for.
func (f facts) all() [][]string { return append(f.some, useful(f.exact)...) }

// useful returns strings as a list to ask for, or nothing when one of them says
// too little.
func useful(exact []string) [][]string {
	var list []string
	for _, s := range exact {
		if len(s) < leastLetters {
			return nil
		}
		if !slices.ContainsFunc(exact, func(o string) bool { return o != s && strings.Contains(s, o) }) {
			list = append(list, s)
		}
	}
	if list == nil {
		return nil
	}
	slices.Sort(list)
	return [][]string{slices.Compact(list)}
}

// factsOf derives them, as codesearch and RE2 do for their indexes (Cox,
// "Regular Expression Matching with a Trigram Index", 2012), without trigrams:
// a text is short enough to look for whole literals.
func factsOf(e *syntax.Regexp) facts {
	switch e.Op {
	case syntax.OpLiteral:
		if e.Flags&syntax.FoldCase == 0 {
			return facts{exact: []string{string(e.Rune)}}
		}
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return facts{exact: []string{""}}
	case syntax.OpCharClass:
		var exact []string
		for i := 0; i < len(e.Rune); i += 2 {
			for r := e.Rune[i]; r <= e.Rune[i+1]; r++ {
				if exact = append(exact, string(r)); len(exact) > 8 {
					return facts{}
				}
			}
		}
		return facts{exact: exact}
	case syntax.OpCapture:
		return factsOf(e.Sub[0])
	case syntax.OpQuest:
		if f := factsOf(e.Sub[0]); f.exact != nil && len(f.exact) < mostExact {
			return facts{exact: append(slices.Clone(f.exact), "")}
		}
	case syntax.OpPlus:
		return facts{some: factsOf(e.Sub[0]).all()}
	case syntax.OpRepeat:
		if e.Min > 0 {
			return facts{some: factsOf(e.Sub[0]).all()}
		}
	case syntax.OpConcat:
		return sequence(e.Sub)
	case syntax.OpAlternate:
		return eitherOf(e.Sub)
	}
	return facts{}
}

func sequence(parts []*syntax.Regexp) facts {
	var out facts
	exact, whole := []string{""}, true
	for _, p := range parts {
		f := factsOf(p)
		if f.exact != nil && len(exact)*len(f.exact) <= mostExact {
			var next []string
			for _, a := range exact {
				for _, b := range f.exact {
					next = append(next, a+b)
				}
			}
			exact = next
			continue
		}
		whole = false
		out.some = append(append(out.some, useful(exact)...), f.some...)
		if exact = f.exact; exact == nil {
			exact = []string{""}
		}
	}
	if whole {
		return facts{exact: exact}
	}
	out.some = append(out.some, useful(exact)...)
	return out
}

func eitherOf(branches []*syntax.Regexp) facts {
	var exact, one []string
	isExact := true
	for _, b := range branches {
		f := factsOf(b)
		isExact = isExact && f.exact != nil
		exact = append(exact, f.exact...)
		lists := f.all()
		if len(lists) == 0 && !isExact {
			return facts{}
		}
		one = append(one, rarest(lists)...)
		if len(lists) == 0 {
			one = append(one, "")
		}
	}
	if isExact && len(exact) <= mostExact {
		return facts{exact: exact}
	}
	return facts{some: useful(one)}
}

// rarest chooses the list that the fewest texts will hold one of: that whose
// shortest literal is the longest.
func rarest(lists [][]string) []string {
	var best []string
	most := 0
	for _, list := range lists {
		least := len(slices.MinFunc(list, func(a, b string) int { return len(a) - len(b) }))
		if least > most || least == most && len(list) < len(best) {
			best, most = list, least
		}
	}
	return best
}
