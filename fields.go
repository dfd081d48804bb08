package prunella

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Field is one named value of a structured log line.
type Field struct{ Key, Value string }

var pair = regexp.MustCompile(`(?:^|[\s,;{(\[|])([A-Za-z@][A-Za-z0-9_.@-]{0,63})=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s,;"'})\]|]+))`)

// Fields returns the named values of a text: the leaves of a JSON object, keys
// joined by dots, or its key=value pairs. A text without any has none. At most
// 64 are read, of the first 8 KiB.
func Fields(text string) []Field {
	text = strings.TrimSpace(text[:min(len(text), 8192)])
	if i := strings.IndexByte(text, '{'); i >= 0 && i < 64 {
		var object map[string]any
		if json.NewDecoder(strings.NewReader(text[i:])).Decode(&object) == nil && len(object) > 0 {
			return leaves(nil, "", object, 4)
		}
	}
	var out []Field
	for _, m := range pair.FindAllStringSubmatch(text, 64) {
		out = append(out, Field{m[1], m[2] + m[3] + m[4]})
	}
	return out
}

func leaves(out []Field, prefix string, object map[string]any, depth int) []Field {
	for _, k := range slices.Sorted(maps.Keys(object)) {
		switch v := object[k].(type) {
		case map[string]any:
			if depth > 1 {
				out = leaves(out, prefix+k+".", v, depth-1)
			}
		case string:
			out = append(out, Field{prefix + k, v})
		case float64, bool:
			out = append(out, Field{prefix + k, fmt.Sprint(v)})
		}
		if len(out) >= 64 {
			return out[:64]
		}
	}
	return out
}

// telling are the last parts of keys whose values say what went wrong.
var telling = []string{"err", "error", "errors", "reason", "cause", "msg", "message", "detail", "details", "description", "error_description", "exception", "event", "failure",
	"why", "result", "outcome", "auth_error", "error_code", "errorcode", "problem", "status_text", "rejected", "auth"}

// Prose returns a text followed by what its named values say in plain words:
// err=no_such_key adds "err no such key", "error":"TokenExpiredError" adds
// "error token expired error". A text without named values is returned as it is.
func Prose(text string) string {
	fields := Fields(text)
	if len(fields) == 0 {
		return text
	}
	var b strings.Builder
	b.WriteString(text)
	for _, f := range fields {
		key := strings.ToLower(f.Key[strings.LastIndexByte(f.Key, '.')+1:])
		if slices.Contains(telling, strings.ReplaceAll(key, "-", "_")) && f.Value != "" {
			b.WriteString("; " + spelled(key) + " " + spelled(f.Value))
		}
	}
	return b.String()
}

// spelled separates the words of an identifier; a sentence stays as it is.
func spelled(s string) string {
	if strings.ContainsAny(s, " \t") {
		return s
	}
	var b strings.Builder
	var last rune
	for _, r := range s {
		switch {
		case r == '_' || r == '-' || r == '.' || r == '/' || r == ':':
			r = ' '
		case unicode.IsUpper(r) && unicode.IsLower(last):
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
		last = r
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// otherKeys are keys that sign no tokens, with the id that may follow them.
var otherKeys = regexp.MustCompile(`(?i)\b(?:licen[cs]e|product|activation|subscription|registry|api|access|account|storage|primary|foreign|unique|partition|sort|row|routing|cache|redis|object|idempotency|message|session|ssh|gpg|pgp|kms|encryption|stripe)[ _-]?keys?(?:[ _-]?id)?\b(?:[ :=]+(?:[a-z]+[ :=]+){0,4}?["']?[a-z]*[-_a-z0-9.]*[0-9][-_a-z0-9.]*)?`)

// WithoutOtherKeys blanks what a text says of keys that sign no tokens (licence
// keys, API keys, primary keys) with the ids that follow, so that no such id is
// taken for a kid. The length stays.
func WithoutOtherKeys(text string) string {
	return otherKeys.ReplaceAllStringFunc(text, func(m string) string {
		if low := strings.ToLower(m); strings.Contains(low, "kid") || strings.Contains(low, "signing") {
			return m
		}
		return strings.Repeat(" ", len(m))
	})
}
