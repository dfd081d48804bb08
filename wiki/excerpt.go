package wiki

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// marker finds the words of a search in a text.
type marker struct {
	stems    map[string]bool // of words
	exact    map[string]bool
	prefixes []string
	memo     map[string]bool     // word -> it is one of them
	initials [utf8.RuneSelf]bool // of what is looked for; a stem begins as its words do
}

func newMarker(terms []term) *marker {
	m := &marker{stems: map[string]bool{}, exact: map[string]bool{}, memo: map[string]bool{}}
	for _, t := range terms {
		for i, word := range t.words {
			m.exact[word] = true
			if !t.id {
				m.stems[stemmed(word)] = true
			}
			if t.typing && i == len(t.words)-1 && (len([]rune(word)) >= shortPrefix || len(terms) == 1) {
				m.prefixes = append(m.prefixes, word)
			}
			if c := word[0]; c < utf8.RuneSelf {
				m.initials[c], m.initials[unicode.ToUpper(rune(c))] = true, true
			}
		}
	}
	return m
}

func (m *marker) marks(word string) bool {
	if !m.may(word) {
		return false
	}
	if found, known := m.memo[word]; known {
		return found
	}
	folded := fold(word)
	found := m.exact[folded] || m.stems[stemmed(folded)]
	for _, p := range m.prefixes {
		found = found || strings.HasPrefix(folded, p)
	}
	for _, h := range humps(word) {
		found = found || m.exact[h]
	}
	m.memo[word] = found
	return found
}

// may tells by a word's letters whether it is worth a look.
func (m *marker) may(word string) bool {
	if word[0] < utf8.RuneSelf && m.initials[word[0]] {
		return true
	}
	for i := range len(word) {
		if c := word[i]; c >= utf8.RuneSelf || i > 0 && ascii[c] == capital {
			return true
		}
	}
	return false
}

// pieces splits a text into what matched and what did not.
func (m *marker) pieces(s string) []Piece {
	var out []Piece
	from := 0
	words(s, func(start, stop int) {
		if !m.marks(s[start:stop]) {
			return
		}
		if n := len(out); n > 0 && out[n-1].Mark && len(strings.Trim(s[from:start], " "+signs)) == 0 { // one mark for key-id, and for two words beside each other
			out[n-1].Text += s[from:stop]
			from = stop
			return
		}
		if start > from {
			out = append(out, Piece{Text: s[from:start]})
		}
		out = append(out, Piece{Text: s[start:stop], Mark: true})
		from = stop
	})
	if from < len(s) {
		out = append(out, Piece{Text: s[from:]})
	}
	return out
}

// excerptLength is how much of a page a hit shows, in characters.
const excerptLength = 180

// excerpt fills a hit with the lines of the page that hold most of the words
// asked for, first come on a tie.
func (m *marker) excerpt(h *Hit, p *Page, text string) {
	at := bodyStart(text)
	line, best, bestLine, bestScore := strings.Count(text[:at], "\n"), "", 0, -1
	code, bestCode := false, false
	for row := range strings.SplitSeq(text[at:], "\n") {
		line++
		trimmed := strings.TrimSpace(row)
		if strings.HasPrefix(trimmed, "```") || strings.HasPrefix(trimmed, "~~~") {
			code = !code
			continue
		}
		score := 2 * m.count(row)
		if strings.HasPrefix(trimmed, "#") && !code { // shown as the heading that it is
			score = 0
		}
		if code && score > 0 {
			score--
		}
		if trimmed != "" && !strings.HasPrefix(trimmed, "#") && score > bestScore {
			best, bestLine, bestScore, bestCode = trimmed, line, score, code
		}
	}
	if bestScore < 0 {
		return
	}
	if bestScore == 0 && p.Description != "" {
		best, bestLine, bestCode = p.Description, 1, false
	}
	for _, heading := range p.Headings {
		if heading.Line <= bestLine && heading.Level > 1 {
			h.Heading, h.Anchor = heading.Text, heading.Slug
		}
	}
	if !bestCode {
		best = readable(best)
	}
	h.Line, h.Excerpt = bestLine, m.pieces(m.window(best))
}

// count is how many different words of the search a line holds.
func (m *marker) count(line string) int {
	var seen []string
	words(line, func(start, stop int) {
		if w := line[start:stop]; m.marks(w) {
			if to := stemmed(fold(w)); !slices.Contains(seen, to) {
				seen = append(seen, to)
			}
		}
	})
	return len(seen)
}

// readable is a line of Markdown without the marks at its beginning.
func readable(line string) string {
	line = strings.TrimLeft(line, "->+*#| \t")
	for _, box := range []string{"[ ] ", "[x] ", "[X] "} {
		line = strings.TrimPrefix(line, box)
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(plain(line), "|", " ")), " ")
}

// window cuts a long line around its first word that matched, between words.
func (m *marker) window(s string) string {
	if utf8.RuneCountInString(s) <= excerptLength {
		return s
	}
	first := -1
	words(s, func(start, stop int) {
		if first < 0 && m.marks(s[start:stop]) {
			first = start
		}
	})
	runes := []rune(s)
	at := utf8.RuneCountInString(s[:max(first, 0)])
	from := max(0, min(at-excerptLength/3, len(runes)-excerptLength))
	to := min(len(runes), from+excerptLength)
	cut := string(runes[from:to])
	if from > 0 {
		if i := strings.IndexByte(cut, ' '); i >= 0 && i < 40 {
			cut = cut[i+1:]
		}
		cut = "… " + cut
	}
	if to < len(runes) {
		if i := strings.LastIndexByte(cut, ' '); i > len(cut)-40 {
			cut = cut[:i]
		}
		cut += " …"
	}
	return cut
}
