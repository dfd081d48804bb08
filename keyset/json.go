package keyset

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// The scanner below reads JSON from outside without building it: a header, a
// payload and a key set are looked through once, member by member, as
// substrings of their text. It accepts what RFC 8259 accepts and no more, and
// refuses nesting below its depth, so hostile text costs its length and
// nothing else.

const maxDepth = 16 // levels of nesting in any document that is read

var errJSON = errors.New("not valid JSON")

// members calls f for each member of the JSON object in text, with the name
// unescaped and the value as raw JSON.
func members(text string, f func(name, value string) error) error {
	if !utf8.ValidString(text) {
		return errJSON
	}
	return each(text, '{', '}', func(i int) (int, error) {
		end := -1
		if i < len(text) && text[i] == '"' {
			end = skip(text, i, 0)
		}
		if end < 0 {
			return 0, errJSON
		}
		name, ok := stringValue(text[i:end])
		i = space(text, end)
		if !ok || i >= len(text) || text[i] != ':' {
			return 0, errJSON
		}
		i = space(text, i+1)
		if end = skip(text, i, maxDepth); end < 0 {
			return 0, errJSON
		}
		return end, f(name, text[i:end])
	})
}

// elements calls f for each element of the JSON array in text.
func elements(text string, f func(value string) error) error {
	return each(text, '[', ']', func(i int) (int, error) {
		end := skip(text, i, maxDepth)
		if end < 0 {
			return 0, errJSON
		}
		return end, f(text[i:end])
	})
}

// each calls item with the index of each item of the one container that text is;
// item returns the index after it.
func each(text string, opening, closing byte, item func(i int) (end int, err error)) error {
	i := space(text, 0)
	if i >= len(text) || text[i] != opening {
		return errJSON
	}
	i = space(text, i+1)
	if i < len(text) && text[i] == closing {
		return atEnd(text, i+1)
	}
	for {
		end, err := item(i)
		if err != nil {
			return err
		}
		i = space(text, end)
		if i >= len(text) {
			return errJSON
		}
		switch text[i] {
		case ',':
			i = space(text, i+1)
		case closing:
			return atEnd(text, i+1)
		default:
			return errJSON
		}
	}
}

func atEnd(text string, i int) error {
	if space(text, i) != len(text) {
		return errJSON
	}
	return nil
}

func space(text string, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// skip returns the index after the value that starts at i, or -1 when there is
// no valid value within depth levels.
func skip(text string, i, depth int) int {
	if i >= len(text) {
		return -1
	}
	switch c := text[i]; {
	case c == '"':
		return skipString(text, i+1)
	case c == '{' || c == '[':
		if depth == 0 {
			return -1
		}
		return skipContainer(text, i, depth-1)
	case c == '-' || (c >= '0' && c <= '9'):
		return skipNumber(text, i)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if len(text)-i >= len(word) && text[i:i+len(word)] == word {
			return i + len(word)
		}
	}
	return -1
}

func skipContainer(text string, i, depth int) int {
	object := text[i] == '{'
	closing := byte(']')
	if object {
		closing = '}'
	}
	i = space(text, i+1)
	if i < len(text) && text[i] == closing {
		return i + 1
	}
	for {
		if object {
			if i >= len(text) || text[i] != '"' {
				return -1
			}
			if i = skipString(text, i+1); i < 0 {
				return -1
			}
			if i = space(text, i); i >= len(text) || text[i] != ':' {
				return -1
			}
			i = space(text, i+1)
		}
		if i = skip(text, i, depth); i < 0 {
			return -1
		}
		i = space(text, i)
		if i >= len(text) {
			return -1
		}
		if text[i] == closing {
			return i + 1
		}
		if text[i] != ',' {
			return -1
		}
		i = space(text, i+1)
	}
}

func skipString(text string, i int) int {
	for i < len(text) {
		switch c := text[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c == '\\':
			if i+1 >= len(text) {
				return -1
			}
			switch text[i+1] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i += 2
			case 'u':
				if i+6 > len(text) {
					return -1
				}
				for _, h := range []byte(text[i+2 : i+6]) {
					if (h < '0' || h > '9') && (h|0x20 < 'a' || h|0x20 > 'f') {
						return -1
					}
				}
				i += 6
			default:
				return -1
			}
		default:
			i++
		}
	}
	return -1
}

func skipNumber(text string, i int) int {
	digits := func() bool {
		start := i
		for i < len(text) && text[i] >= '0' && text[i] <= '9' {
			i++
		}
		return i > start
	}
	if text[i] == '-' {
		i++
	}
	start := i
	if !digits() || (text[start] == '0' && i > start+1) {
		return -1
	}
	if i < len(text) && text[i] == '.' {
		i++
		if !digits() {
			return -1
		}
	}
	if i < len(text) && text[i]|0x20 == 'e' {
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if !digits() {
			return -1
		}
	}
	return i
}

// stringValue returns the text of a raw JSON string that skip accepted.
func stringValue(raw string) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if strings.IndexByte(raw, '\\') >= 0 {
		var s string
		err := json.Unmarshal([]byte(raw), &s)
		return s, err == nil
	}
	return raw[1 : len(raw)-1], true
}
