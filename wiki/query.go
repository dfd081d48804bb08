package wiki

import (
	"strings"
	"unicode/utf8"
)

// Bounds of a search text; somebody may paste a log.
const (
	longestQuery = 1000 // bytes
	mostTerms    = 24
	shortPrefix  = 3 // a word being typed is completed from this many letters
)

// term is one thing that a search asks for: a word, an identifier, or a phrase
// in quotes.
type term struct {
	chunk   string   // as typed, without signs at its ends
	words   []string // folded
	id      bool     // an identifier: a digit, or a sign other than - inside
	typing  bool     // the last one, perhaps not complete
	literal string   // a phrase in quotes, folded, single spaces; "" else
	forms   []string // stems of words that begin as what is being typed, and do not begin so themselves
}

// parseQuery takes a search text apart. Whatever it holds is text to look for:
// nothing in it is FTS5 syntax.
func parseQuery(text string) []term {
	if len(text) > longestQuery {
		text = text[:longestQuery]
	}
	text = strings.Map(func(r rune) rune { // what could pass for the index's own letters, or end a string
		if r == utf8.RuneError || r >= 0xE000 && r <= 0xF8FF || r == 0 {
			return ' '
		}
		return r
	}, text)
	text = strings.NewReplacer("“", `"`, "”", `"`, "„", `"`).Replace(text)
	var terms []term
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 {
			if t := phrase(part); t.words != nil {
				terms = append(terms, t)
			}
			continue
		}
		chunks(part, func(chunk string, _ bool) {
			if len(chunk) <= longestID {
				terms = append(terms, term{chunk: chunk, words: parts(chunk), id: strict(chunk)})
			}
		})
	}
	if n := len(terms); n > 0 && terms[n-1].literal == "" {
		last := terms[n-1].chunk
		terms[n-1].typing = strings.HasSuffix(strings.TrimRight(text, signs+`"'*`), last)
	}
	terms = withoutStopWords(terms)
	return terms[:min(len(terms), mostTerms)]
}

func phrase(s string) term {
	t := term{literal: strings.Join(strings.Fields(fold(s)), " ")}
	words(t.literal, func(start, stop int) { t.words = append(t.words, t.literal[start:stop]) })
	return t
}

// strict tells an identifier that must be found as it is from a word that may
// be found by its stem too.
func strict(chunk string) bool {
	return strings.ContainsAny(chunk, "0123456789_./:@#+")
}

// withoutStopWords drops words that say nothing, unless nothing else is asked.
func withoutStopWords(terms []term) []term {
	var out []term
	for _, t := range terms {
		if t.literal != "" || t.typing || len(t.words) != 1 || !stopWords[t.words[0]] {
			out = append(out, t)
		}
	}
	if len(out) == 0 {
		return terms
	}
	return out
}

// quoted writes words as one FTS5 string.
func quoted(list ...string) string {
	return `"` + strings.Join(list, " ") + `"` // words hold no quotes
}

// encoded writes folded identifiers as one FTS5 string.
func encoded(list ...string) string {
	out := []byte{'"'}
	for _, s := range list {
		out = encode(append(out, ' '), s)
	}
	return string(append(out, '"'))
}

// expression is what FTS5 is asked for one term. loose finds an identifier by
// its stemmed words too.
func (t term) expression(loose bool) string {
	stem := make([]string, len(t.words))
	for i, word := range t.words {
		stem[i] = stemmed(word)
	}
	if t.literal != "" {
		return quoted(stem...)
	}
	begun := func(s string) bool { return t.typing && utf8.RuneCountInString(s) >= shortPrefix }
	whole, enough := fold(t.chunk), begun(t.words[len(t.words)-1])
	var any []string
	if begun(whole) {
		any = append(any, encoded(whole)+" *")
	} else {
		any = append(any, encoded(whole))
	}
	switch n := len(t.words); {
	case n > 1 && enough:
		any = append(any, encoded(t.words...)+" *")
	case n > 1:
		any = append(any, encoded(t.words...))
		if t.typing && loose { // what one or two letters begin would be half of the words
			any = append(any, encoded(t.words[:n-1]...))
		}
	}
	if !t.id || loose {
		any = append(any, quoted(stem...))
		if enough {
			last := len(stem) - 1
			stem[last] = t.words[last]
			any = append(any, quoted(stem...)+" *")
			for _, form := range t.forms {
				stem[last] = form
				any = append(any, quoted(stem...))
			}
		}
	}
	return "(" + strings.Join(any, " OR ") + ")"
}

// expression is what FTS5 is asked: all of the terms, or some.
func (a attempt) expression() string {
	list := make([]string, len(a.terms))
	for i, t := range a.terms {
		list[i] = t.expression(a.loose)
	}
	if a.some {
		return strings.Join(list, " OR ")
	}
	return strings.Join(list, " AND ")
}
