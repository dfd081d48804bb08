package thread

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"prunella/thread/pattern"
)

var abbreviations = map[string]bool{"e.g": true, "i.e": true, "etc": true, "vs": true, "approx": true, "min": true, "no": true, "fig": true, "cf": true, "ca": true, "resp": true, "incl": true}

// sentences divides a line at full stops, marks of question and exclamation,
// and semicolons; never inside inline code, numbers, names (v1.2, api.acme.io) or brackets.
func sentences(s string) []string {
	var out []string
	start, depth, code := 0, 0, false
	flush := func(end int) {
		if t := strings.TrimSpace(s[start:end]); t != "" {
			out = append(out, t)
		}
		start = end
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '`':
			code = !code
		case code:
		case c == '(' && depth == 0 && i > start && enumerates(s[i:]):
			flush(i)
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth = max(0, depth-1)
		case depth > 0 && !unclosed(s[i:]):
		case (c == '.' || c == '!' || c == '?') && endsSentence(s, start, i):
			for i+1 < len(s) && strings.IndexByte(".!?\"')", s[i+1]) >= 0 {
				i++
			}
			flush(i + 1)
		case c == ';' && i+1 < len(s) && s[i+1] == ' ':
			flush(i)
			start++
		}
	}
	flush(len(s))
	return out
}

// enumerates reports the number of an item: "(2) pin the version".
func enumerates(rest string) bool {
	return len(rest) > 4 && (rest[1] >= '1' && rest[1] <= '9' || rest[1] >= 'a' && rest[1] <= 'e') && rest[2] == ')' && rest[3] == ' '
}

// unclosed reports a bracket that is never closed, as in a smiley.
func unclosed(rest string) bool { return !strings.ContainsAny(rest, ")]") }

func endsSentence(s string, start, i int) bool {
	next, _ := utf8.DecodeRuneInString(s[i+1:])
	if i+1 < len(s) && !unicode.IsSpace(next) && !strings.ContainsRune(".!?\"')", next) {
		return false
	}
	if s[i] != '.' {
		return true
	}
	word := s[start:i]
	if at := strings.LastIndexAny(word, " (\t"); at >= 0 {
		word = word[at+1:]
	}
	if abbreviations[strings.ToLower(word)] {
		// "took 5 min. Then" ends, "approx. 5" does not.
		rest := strings.TrimSpace(s[i+1:])
		first, _ := utf8.DecodeRuneInString(rest)
		return strings.EqualFold(word, "min") && unicode.IsUpper(first)
	}
	return true
}

var clauseMark = pattern.MustCompile(`(?i)(?:\s[-–—]{1,2}\s|\s?(?:->|=>|→)\s?|,\s+(?:but|and|so|then|which|now|no|still|that|it|errors?|nothing|all|we)\b|\s(?:but|however|although|then|so|and then|whereas)\s|,\s|:\s|\.\.\.?\s|…\s)`)

// clauses divides a sentence further where its parts may say different things.
// The mark that divides stands at the beginning of the later clause.
func clauses(s string) []string {
	masked := maskCode(s)
	var out []string
	start := 0
	for _, at := range clauseMark.FindAllStringIndex(masked, -1) {
		if t := strings.TrimSpace(s[start:at[0]]); len(t) > 2 {
			out = append(out, t)
			start = at[0]
		}
	}
	if t := strings.TrimSpace(s[start:]); t != "" {
		out = append(out, t)
	}
	return out
}

// maskCode replaces inline code by dots of the same length, so that positions stay.
func maskCode(s string) string {
	if !strings.Contains(s, "`") {
		return s
	}
	b := []byte(s)
	in := false
	for i, c := range b {
		if c == '`' {
			in = !in
			b[i] = 'x'
		} else if in {
			b[i] = 'x'
		}
	}
	return string(b)
}
