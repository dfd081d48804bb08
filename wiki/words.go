package wiki

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The index holds each page twice: the stems of its words, and its identifiers
// (error codes, key ids, configuration paths, whatever stands in code), which
// must be found as they are. We cut and stem the words, and give FTS5 tokens
// with spaces between. An identifier's tokens begin with a letter that no page
// uses, from Unicode's private area, so that no word is taken for one:
//
//	JWT_INVALID   ->  ⟨gap⟩ ⟨open⟩jwt⟨_⟩invalid ⟨open⟩jwt ⟨open⟩invalid
//
// Its parts follow the whole in order: a query for cache_ttl_seconds finds
// auth.jwks.cache_ttl_seconds by a phrase of parts, and the gap keeps parts of
// two identifiers from being one phrase.
const (
	idOpen = '\uE000'
	idGap  = "\uE002"
	idSign = '\uE010' // + index in signs
	signs  = "_-./:@#+"
)

// longestID bounds an identifier, in bytes; longer runs are keys or pictures.
const longestID = 200

// fold is how letters compare: lower case, without diacritics.
func fold(s string) string {
	ascii := true
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for _, r := range norm.NFD.String(s) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// What a character is to the index.
const (
	between = iota
	letter  // or mark
	capital
	digit
	sign
)

var ascii = func() (of [utf8.RuneSelf]byte) {
	for c := range byte(utf8.RuneSelf) {
		switch {
		case c >= '0' && c <= '9':
			of[c] = digit
		case c >= 'A' && c <= 'Z':
			of[c] = capital
		case c >= 'a' && c <= 'z':
			of[c] = letter
		case strings.IndexByte(signs, c) >= 0:
			of[c] = sign
		}
	}
	return of
}()

// classify says what the character at i is, and its length.
func classify(s string, i int) (class byte, size int) {
	if s[i] < utf8.RuneSelf {
		return ascii[s[i]], 1
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	switch {
	case unicode.IsUpper(r):
		return capital, size
	case unicode.IsLetter(r), unicode.Is(unicode.M, r):
		return letter, size
	case unicode.IsNumber(r):
		return digit, size
	}
	return between, size
}

// words calls visit with each run of letters and digits and where it stands.
func words(s string, visit func(start, stop int)) {
	start := -1
	for i := 0; i < len(s); {
		class, size := classify(s, i)
		word := class != between && class != sign
		if word && start < 0 {
			start = i
		}
		if !word && start >= 0 {
			visit(start, i)
			start = -1
		}
		i += size
	}
	if start >= 0 {
		visit(start, len(s))
	}
}

// chunks calls visit with each run of letters, digits and signs, without signs
// at its ends: "status.auth0.com", "kid", "v3.4.0". id tells an identifier from a
// word: by a digit, a sign inside, or a capital after the first letter.
func chunks(s string, visit func(chunk string, id bool)) {
	start, stop := -1, 0 // of what is known to belong to the chunk
	id, signed := false, false
	for i := 0; i <= len(s); {
		class, size := byte(between), 1
		if i < len(s) {
			class, size = classify(s, i)
		}
		switch {
		case class == between && start >= 0:
			visit(s[start:stop], id)
			start = -1
		case class == between:
		case class == sign:
			signed = true
		case start < 0:
			start, stop, id, signed = i, i+size, class == digit, false
		default:
			id = id || signed || class == digit || class == capital
			stop, signed = i+size, false
		}
		i += size
	}
}

// parts are the words of an identifier: runs between signs, folded.
func parts(chunk string) []string {
	var out []string
	words(chunk, func(start, stop int) { out = append(out, fold(chunk[start:stop])) })
	return out
}

// humps are the words inside a part written in camel case, folded: key, not,
// found for keyNotFound. One word gives nothing.
func humps(part string) []string {
	if strings.IndexFunc(part, unicode.IsUpper) < 0 {
		return nil
	}
	var out []string
	runes := []rune(part)
	start := 0
	for i := 1; i < len(runes); i++ {
		before, here := runes[i-1], runes[i]
		next := i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if unicode.IsUpper(here) && (unicode.IsLower(before) || unicode.IsUpper(before) && next) {
			out = append(out, fold(string(runes[start:i])))
			start = i
		}
	}
	if start == 0 {
		return nil
	}
	return append(out, fold(string(runes[start:])))
}

// encode writes a folded identifier as one token.
func encode(to []byte, folded string) []byte {
	to = utf8.AppendRune(to, idOpen)
	for _, r := range folded {
		if i := strings.IndexRune(signs, r); i >= 0 {
			r = idSign + rune(i)
		}
		to = utf8.AppendRune(to, r)
	}
	return to
}

// stems gives texts as the stems of their words. It gathers the words that are
// not their own stem: who types "rotati" means "rotating", whose stem "rotat"
// does not begin so. It is for one reader of pages.
type stems struct {
	memo  map[string]string // word as written -> stem
	forms map[string]string // folded word -> another stem; those not told yet
	text  []byte            // to write in
}

func newStems() *stems {
	return &stems{memo: map[string]string{}, forms: map[string]string{}}
}

func (m *stems) tokens(s string) string {
	m.text = m.text[:0]
	words(s, func(start, stop int) {
		word := s[start:stop]
		if len(word) > longestID {
			return
		}
		to, known := m.memo[word]
		if !known {
			folded := fold(word)
			to = stemmed(folded)
			m.memo[strings.Clone(word)] = to
			if to != folded {
				m.forms[strings.Clone(folded)] = to
			}
		}
		m.text = append(append(m.text, to...), ' ')
	})
	return string(m.text)
}

// mostWords bounds what stems remember.
const mostWords = 50_000

// told returns the words gathered since the last call.
func (m *stems) told() map[string]string {
	if len(m.memo) > mostWords {
		clear(m.memo)
	}
	if len(m.forms) == 0 {
		return nil
	}
	forms := m.forms
	m.forms = map[string]string{}
	return forms
}

// identifiers is the text of the identifier column: every word of the code and
// every identifier of the prose, each once.
func (s *stems) identifiers(m *marks) string {
	s.text = s.text[:0]
	seen := map[string]bool{}
	group := func(list ...string) {
		s.text = append(s.text, idGap...)
		for _, id := range list {
			s.text = encode(append(s.text, ' '), id)
		}
		s.text = append(s.text, ' ')
	}
	add := func(chunk string, _ bool) {
		if len(chunk) > longestID || seen[chunk] {
			return
		}
		seen[chunk] = true
		whole, list := fold(chunk), parts(chunk)
		if len(list) != 1 || list[0] != whole {
			list = append([]string{whole}, list...)
		}
		group(list...)
		words(chunk, func(start, stop int) {
			if inner := humps(chunk[start:stop]); inner != nil {
				group(inner...)
			}
		})
	}
	some := func(chunk string, id bool) {
		if id {
			add(chunk, id)
		}
	}
	for _, text := range m.code {
		chunks(text, add)
	}
	for _, text := range m.prose {
		chunks(text, some)
	}
	add(m.page.Name, true)
	add(stem(m.page.Path), true)
	chunks(m.page.Title, some)
	for key, value := range m.page.Meta {
		if key == "description" || key == "trigger" {
			chunks(value, some)
		} else {
			chunks(value, add)
		}
	}
	return string(s.text)
}

// stopWords say nothing beside other words.
var stopWords = func() map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq("a an and are as at be by do does for from has have how i if in is it its my near not of on or our that the their then there this to was we were what when which who why with you your") {
		out[w] = true
	}
	return out
}()

// stemmed reduces a folded English word to its stem by Porter's algorithm (An
// algorithm for suffix stripping, Program 14(3), 1980; with its author's later
// corrections logi -> log and bli -> ble). Other words are their own stems.
func stemmed(w string) string {
	if len(w) < 3 || len(w) > 64 {
		return w
	}
	for i := range len(w) {
		if w[i] < 'a' || w[i] > 'z' {
			return w
		}
	}
	s := stemmer(w)
	s.plurals()
	s.pastAndGerund()
	if n := len(s) - 1; s[n] == 'y' && vowels(s[:n]) {
		s[n] = 'i'
	}
	s.replace(step2, 0)
	s.replace(step3, 0)
	s.drop()
	if n := len(s) - 1; s[n] == 'e' && (measure(s[:n]) > 1 || measure(s[:n]) == 1 && !consonantVowelConsonant(s[:n])) {
		s = s[:n]
	}
	if n := len(s) - 1; s[n] == 'l' && doubled(s) && measure(s[:n]) > 1 {
		s = s[:n]
	}
	return string(s)
}

type stemmer []byte

func consonant(s []byte, i int) bool {
	switch s[i] {
	case 'a', 'e', 'i', 'o', 'u':
		return false
	case 'y':
		return i == 0 || !consonant(s, i-1)
	}
	return true
}

// measure is Porter's m: how often a vowel is followed by a consonant.
func measure(s []byte) int {
	m := 0
	for i := 1; i < len(s); i++ {
		if consonant(s, i) && !consonant(s, i-1) {
			m++
		}
	}
	return m
}

func vowels(s []byte) bool {
	for i := range s {
		if !consonant(s, i) {
			return true
		}
	}
	return false
}

func doubled(s []byte) bool {
	n := len(s)
	return n >= 2 && s[n-1] == s[n-2] && consonant(s, n-1)
}

func consonantVowelConsonant(s []byte) bool {
	n := len(s)
	return n >= 3 && consonant(s, n-1) && !consonant(s, n-2) && consonant(s, n-3) && !strings.ContainsRune("wxy", rune(s[n-1]))
}

func (s *stemmer) ends(suffix string) bool { return strings.HasSuffix(string(*s), suffix) }

func (s *stemmer) cut(n int, add string) { *s = append((*s)[:len(*s)-n], add...) }

func (s *stemmer) plurals() {
	switch {
	case s.ends("sses"), s.ends("ies"):
		s.cut(2, "")
	case s.ends("s") && !s.ends("ss"):
		s.cut(1, "")
	}
}

func (s *stemmer) pastAndGerund() {
	switch {
	case s.ends("eed"):
		if measure((*s)[:len(*s)-3]) > 0 {
			s.cut(1, "")
		}
		return
	case s.ends("ed") && vowels((*s)[:len(*s)-2]):
		s.cut(2, "")
	case s.ends("ing") && vowels((*s)[:len(*s)-3]):
		s.cut(3, "")
	default:
		return
	}
	switch {
	case s.ends("at"), s.ends("bl"), s.ends("iz"):
		s.cut(0, "e")
	case doubled(*s) && !s.ends("l") && !s.ends("s") && !s.ends("z"):
		s.cut(1, "")
	case measure(*s) == 1 && consonantVowelConsonant(*s):
		s.cut(0, "e")
	}
}

type suffixes []struct{ from, to string }

var step2 = suffixes{{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"}, {"logi", "log"}, {"bli", "ble"},
	{"alli", "al"}, {"entli", "ent"}, {"eli", "e"}, {"ousli", "ous"}, {"ization", "ize"}, {"ation", "ate"}, {"ator", "ate"}, {"alism", "al"},
	{"iveness", "ive"}, {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"}, {"iviti", "ive"}, {"biliti", "ble"}}

var step3 = suffixes{{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""}, {"ness", ""}}

var step4 = suffixes{{"ement", ""}, {"ance", ""}, {"ence", ""}, {"able", ""}, {"ible", ""}, {"ment", ""}, {"ant", ""}, {"ent", ""},
	{"ism", ""}, {"ate", ""}, {"iti", ""}, {"ous", ""}, {"ive", ""}, {"ize", ""}, {"ion", ""}, {"al", ""}, {"er", ""}, {"ic", ""}, {"ou", ""}}

// replace puts to for the first suffix that fits, when what stays measures more
// than least.
func (s *stemmer) replace(list suffixes, least int) {
	for _, p := range list {
		if !s.ends(p.from) {
			continue
		}
		if measure((*s)[:len(*s)-len(p.from)]) > least {
			s.cut(len(p.from), p.to)
		}
		return
	}
}

func (s *stemmer) drop() {
	if n := len(*s) - 3; s.ends("ion") && (n == 0 || (*s)[n-1] != 's' && (*s)[n-1] != 't') {
		return
	}
	s.replace(step4, 1)
}
