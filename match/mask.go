package match

import (
	"strings"
	"unicode/utf8"
)

// Bounds of one line. A longer line is judged by its beginning; the template
// says so with a final "…".
const (
	maxLine   = 2000 // bytes
	maxTokens = 80
)

// wild stands for a variable part of a template.
const wild = "<*>"

// tokenize splits a line at white space and masks what varies from one line to
// the next: numbers, ids, addresses, paths, times. The result holds no two
// wildcards side by side in one token.
func tokenize(line string) []string {
	cut := false
	if len(line) > maxLine {
		end := maxLine
		for end > 0 && !utf8.RuneStart(line[end]) {
			end--
		}
		line, cut = line[:end], true
	}
	fields := strings.Fields(line)
	if len(fields) > maxTokens {
		fields, cut = fields[:maxTokens], true
	}
	kept := make([]string, 0, len(fields)+1)
	for i, f := range fields {
		masked := maskField(f)
		if n := len(kept); n > 0 {
			if n > 1 && kept[n-1] == "user" && kept[n-2] == "for" {
				masked = wild
			}
			if kept[n-1] == wild && isNumber(fields[i-1]) && unit(f) {
				kept[n-1] = wild + strings.TrimLeft(f, unitLetters) // "45.6 KB," is one value
				continue
			}
		}
		kept = append(kept, masked)
	}
	fields = kept
	if cut {
		fields = append(fields, "…")
	}
	return fields
}

const unitLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZµ%/"

// unit reports a unit of size, time or share, perhaps with punctuation after it.
func unit(f string) bool {
	switch strings.TrimRight(f, ",;.)]") {
	case "B", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "bytes", "ns", "us", "µs", "ms", "s", "sec", "secs", "seconds", "min", "minutes", "h", "hours", "days", "%":
		return true
	}
	return false
}

func isNumber(f string) bool {
	digits := 0
	for i := 0; i < len(f); i++ {
		switch c := f[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c != '.' && c != ',' && c != '-' && c != '+':
			return false
		}
	}
	return digits > 0
}

// delimiter separates the words inside a field; it is kept as it is.
func delimiter(c byte) bool {
	switch c {
	case '=', ',', ';', '(', ')', '[', ']', '{', '}', '<', '>', '"', '\'', '`', '|', '&', '?', '!', ':':
		return true
	}
	return false
}

// maskField masks the variable words of one field and keeps its punctuation.
func maskField(f string) string {
	if !strings.ContainsAny(f, "0123456789/\\") && len(f) < 20 && !strings.ContainsAny(f, "'\"=@") {
		return f // the common case: a plain word
	}
	if whole, ok := maskWhole(f); ok {
		return whole
	}
	var b strings.Builder
	start := 0
	for i := 0; i <= len(f); i++ {
		if i < len(f) && !delimiter(f[i]) {
			continue
		}
		if i > start {
			w := f[start:i]
			if variable(w) || quoted(f, start, i) || start > 0 && f[start-1] == '=' && hostname(w) {
				w = wild
			}
			b.WriteString(w)
		}
		if i < len(f) {
			b.WriteByte(f[i])
		}
		start = i + 1
	}
	return collapse(b.String())
}

// maskWhole recognizes fields whose punctuation belongs to the value: URLs,
// clock times, IPv6 addresses, and paths. Punctuation around them is kept.
func maskWhole(f string) (string, bool) {
	open, core, shut := trimPunctuation(f)
	if core == "" {
		return f, true
	}
	if i := strings.Index(core, "://"); i > 0 {
		return open + wild + shut, true
	}
	if core[0] == '/' && len(core) > 1 {
		return open + wild + shut, true
	}
	if clockOrAddress(core) {
		return open + wild + shut, true
	}
	return "", false
}

// trimPunctuation splits off brackets, quotes and sentence punctuation at the
// ends of a field.
func trimPunctuation(f string) (open, core, shut string) {
	i, j := 0, len(f)
	for i < j && strings.IndexByte("([{<\"'`", f[i]) >= 0 {
		i++
	}
	for j > i && strings.IndexByte(")]}>\"'`,;.:!?", f[j-1]) >= 0 {
		j--
	}
	return f[:i], f[i:j], f[j:]
}

// clockOrAddress reports "17:41:44,747", "2026-03-29T10:00:00Z", "fe80::1" and
// "10.0.0.1:8080": digits and hex letters around at least one colon.
func clockOrAddress(s string) bool {
	colons, digits := 0, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ':':
			colons++
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'f', c >= 'A' && c <= 'F', c == '.', c == ',', c == '-', c == '/', c == '%', c == '+', c == 'T', c == 'Z':
		default:
			return false
		}
	}
	return colons > 0 && digits > 0
}

// hostname reports a value such as "db-a.example.com".
func hostname(w string) bool {
	i := strings.IndexByte(w, '.')
	return i > 0 && i < len(w)-1
}

// quoted reports a word that stands alone between two equal quotes: 'key-1'.
func quoted(f string, start, end int) bool {
	return start > 0 && end < len(f) && f[start-1] == f[end] && strings.IndexByte("'\"`", f[end]) >= 0
}

// variable reports a word that differs from one line to the next.
func variable(w string) bool {
	digits, slash, at, upper, lower, other := 0, false, false, 0, 0, 0
	for i := 0; i < len(w); i++ {
		switch c := w[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '/' || c == '\\':
			slash = true
		case c == '@':
			at = true
		case c >= 'A' && c <= 'Z':
			upper++
		case c >= 'a' && c <= 'z':
			lower++
		default:
			other++
		}
	}
	switch {
	case digits > 0:
		return true
	case at && lower+upper > 0 && len(w) > 3:
		return true
	case slash:
		return w[0] == '/' && len(w) > 1 || strings.Count(w, "/") > 1
	case len(w) >= 24 && upper > 2 && lower > 2 && other == 0:
		return mixedCase(w) // base64url without a digit
	}
	return false
}

// mixedCase tells random letters from CamelCase: in random letters about half
// of the steps from one letter to the next change case.
func mixedCase(w string) bool {
	changes := 0
	for i := 1; i < len(w); i++ {
		if (w[i] >= 'a') != (w[i-1] >= 'a') {
			changes++
		}
	}
	return changes*3 > len(w)
}

// collapse merges wildcards joined by nothing but separators of numbers, so
// that "<*>,<*>" lists of any length become one.
func collapse(s string) string {
	for _, sep := range []string{":", ",", "", "|"} {
		for {
			t := strings.ReplaceAll(s, wild+sep+wild, wild)
			if t == s {
				break
			}
			s = t
		}
	}
	return s
}
