package importer

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strings"

	"prunella/skill"
)

// MaxSaved bounds a page saved with its pictures (Saved), in bytes.
const MaxSaved = 32 << 20

// Bounds of a page saved with its pictures.
const (
	mostParts  = 2000
	mostNested = 4 // parts in parts
)

var (
	headLines = regexp.MustCompile(`\A(?:[\w-]+:[^\n]*\n(?:[ \t]+[^\n]*\n)*)+`)
	mimeMark  = regexp.MustCompile(`(?im)^mime-version:\s*1\.0`)
	mimeType  = regexp.MustCompile(`(?im)^content-type:\s*(?:multipart/|text/html)`)
)

// Saved tells, by its first few KiB, a page saved whole in one file: MHTML, as
// browsers write it (.mhtml, .mht) and wikies that export for a word processor.
func Saved(b []byte) bool {
	head := headLines.Find(bytes.TrimLeft(b[:min(len(b), 8<<10)], "\r\n"))
	return mimeMark.Match(head) && mimeType.Match(head)
}

// savedPage takes the page out of the file that it was saved in; what belongs to
// it, such as pictures, is left behind.
func savedPage(b []byte) ([]byte, error) {
	m, err := mail.ReadMessage(bytes.NewReader(bytes.TrimLeft(b, "\r\n")))
	if err != nil {
		return nil, err
	}
	page, found, err := pageOf(part{m.Header.Get, m.Body}, 0)
	if err == nil && !found {
		err = errors.New("there is no page in it, neither text/html nor text/plain")
	}
	return page, err
}

// part is a part of a MIME message.
type part struct {
	header func(key string) string
	body   io.Reader
}

// pageOf is the page that a part is or holds: of several the first HTML, else the
// first text.
func pageOf(p part, depth int) (page []byte, found bool, err error) {
	kind, with, err := mime.ParseMediaType(p.header("Content-Type"))
	if err != nil && kind == "" {
		kind = "text/plain" // RFC 2045: what says nothing is
	}
	switch {
	case kind == "text/html" || kind == "text/plain" || kind == "application/xhtml+xml":
		page, err = p.read()
		return page, true, err
	case !strings.HasPrefix(kind, "multipart/"):
		return nil, false, nil
	case depth == mostNested:
		return nil, false, fmt.Errorf("its parts are nested more than %d deep", mostNested)
	}
	var plain []byte
	parts := multipart.NewReader(p.body, with["boundary"])
	for range mostParts {
		next, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return plain, plain != nil, nil
		}
		if err != nil {
			return nil, false, err
		}
		page, found, err := pageOf(part{next.Header.Get, next}, depth+1)
		switch {
		case err != nil:
			return nil, false, err
		case found && !strings.HasPrefix(next.Header.Get("Content-Type"), "text/plain"):
			return page, true, nil
		case found && plain == nil:
			plain = page
		}
	}
	return nil, false, fmt.Errorf("it has more than %d parts", mostParts)
}

// read gives the text of a part as UTF-8.
func (p part) read() ([]byte, error) {
	body := p.body
	switch how := strings.ToLower(strings.TrimSpace(p.header("Content-Transfer-Encoding"))); how {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "", "7bit", "8bit", "binary":
	default:
		return nil, fmt.Errorf("its text is written as %q, which is not known", how)
	}
	b, err := io.ReadAll(io.LimitReader(body, skill.MaxSize+1))
	if err != nil {
		return nil, err
	}
	return inUTF8(b, p.header("Content-Type"))
}
