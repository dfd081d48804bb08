package importer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"mime"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
)

// declaration is where a page of HTML says how it is encoded.
var declaration = regexp.MustCompile(`(?i)^\s*<\?xml[^>]*\sencoding=["']([\w.:-]+)["']|<meta\s[^>]*charset\s*=\s*["']?([\w.:-]+)`)

// inUTF8 gives a text as UTF-8. It is read by its byte order mark (UTF-8 or
// UTF-16), else by what names its encoding: the Content-Type that it came with,
// "" for none, or the head of the page itself. A text that nothing is said of is
// given back as it is.
func inUTF8(b []byte, contentType string) ([]byte, error) {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return fromUTF16(b[2:], binary.LittleEndian)
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return fromUTF16(b[2:], binary.BigEndian)
	case utf8.Valid(b):
		return b, nil // what it says of itself may be of the time before it was saved
	}
	label := ""
	if _, with, err := mime.ParseMediaType(contentType); err == nil {
		label = with["charset"]
	}
	if m := declaration.FindSubmatch(b[:min(len(b), 4<<10)]); m != nil && label == "" && isHTML(string(b)) {
		label = string(m[1]) + string(m[2])
	}
	encoding, name := charset.Lookup(label)
	if encoding == nil || strings.HasPrefix(name, "utf-") { // bytes whose head is readable are not UTF-16
		return b, nil
	}
	out, err := encoding.NewDecoder().Bytes(b)
	if err == nil && bytes.ContainsRune(out, utf8.RuneError) {
		err = fmt.Errorf("it says that it is %s and has bytes that are not", name)
	}
	return out, err
}

// fromUTF16 refuses what would come out as another text than it was.
func fromUTF16(b []byte, order binary.ByteOrder) ([]byte, error) {
	if len(b)%2 != 0 {
		return nil, errors.New("it is UTF-16 and ends in the middle of a letter")
	}
	out := make([]byte, 0, len(b))
	for at := 0; at < len(b); at += 2 {
		r := rune(order.Uint16(b[at:]))
		if utf16.IsSurrogate(r) {
			pair := utf8.RuneError
			if at+3 < len(b) {
				pair = utf16.DecodeRune(r, rune(order.Uint16(b[at+2:])))
			}
			if pair == utf8.RuneError {
				return nil, fmt.Errorf("it is UTF-16 and has half a letter at byte %d", at+2)
			}
			r = pair
			at += 2
		}
		if r == 0 { // UTF-32 has the same mark
			return nil, fmt.Errorf("it has the mark of UTF-16 and no text at byte %d", at+2)
		}
		out = utf8.AppendRune(out, r)
	}
	return out, nil
}
