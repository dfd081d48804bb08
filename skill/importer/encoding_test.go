package importer_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"mime/quotedprintable"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/skill"
	"prunella/skill/importer"
)

// inUTF16 writes a text as Windows does, with its mark.
func inUTF16(text string, order binary.AppendByteOrder) []byte {
	out := order.AppendUint16(nil, 0xfeff)
	for _, u := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

// savedAs writes a page of HTML as a message of MIME with a part before and one
// after it.
func savedAs(page []byte, encoding, contentType string) []byte {
	var text bytes.Buffer
	switch encoding {
	case "quoted-printable":
		w := quotedprintable.NewWriter(&text)
		w.Write(page)
		w.Close()
	case "base64":
		coded := base64.StdEncoding.EncodeToString(page)
		for ; len(coded) > 76; coded = coded[76:] {
			text.WriteString(coded[:76] + "\r\n")
		}
		text.WriteString(coded)
	default:
		text.Write(page)
	}
	return fmt.Appendf(nil, "Date: Sun, 22 Nov 2026 11:57:55 GMT\r\nSubject: Exported\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=\"=_b\"\r\n\r\nThis is a message with several parts.\r\n"+
		"--=_b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n"+
		"--=_b\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\nContent-Location: file:///C:/page.html\r\n\r\n%s\r\n"+
		"--=_b\r\nContent-Type: text/html\r\n\r\n<p>an advertisement in a frame</p><p>x</p><p>x</p>\r\n--=_b--\r\n", contentType, encoding, text.Bytes())
}

// However a page is encoded, the skill is the same, byte for byte.
func TestEncodingsOfOnePage(t *testing.T) {
	for _, file := range pages(t) {
		if strings.HasSuffix(file, ".mhtml") {
			continue
		}
		page := load(t, file)
		ways := map[string][]byte{"UTF-16, little end first": inUTF16(string(page), binary.LittleEndian), "UTF-16, big end first": inUTF16(string(page), binary.BigEndian)}
		if strings.HasSuffix(file, ".html") {
			for _, encoding := range []string{"quoted-printable", "base64", "8bit"} {
				ways[encoding] = savedAs(page, encoding, "text/html; charset=utf-8")
			}
		}
		want, err := importer.Import(file, page)
		if err != nil {
			t.Fatal(err)
		}
		for how, b := range ways {
			got, err := importer.Import(file, b)
			if err != nil {
				t.Errorf("%s in %s: %v", file, how, err)
				continue
			}
			if diff := cmp.Diff(string(want.File), string(got.File)); diff != "" && !(how != "8bit" && strings.Contains(diff, "\\r")) {
				t.Errorf("%s in %s:\n%s", file, how, diff)
			}
		}
	}
}

// HTML may be in another encoding, when it says so; what says nothing is refused
// rather than guessed.
func TestDeclaredEncodings(t *testing.T) {
	body := "<body><h1>Gateway f\xe4llt aus</h1><h2>Resolution</h2><ol><li>J\xfcrgen rufen</li><li>Warten</li></ol></body></html>"
	plain := "<html>" + body
	for name, c := range map[string]struct {
		page []byte
		want string // in the skill; "" for a refusal
	}{
		"by its head":         {[]byte("<html><head><meta charset='iso-8859-1'></head>" + body), "Gateway fällt aus"},
		"by its old head":     {[]byte(`<html><head><meta http-equiv="Content-Type" content="text/html; charset=windows-1252"></head>` + body), "Jürgen rufen"},
		"by its XML":          {[]byte("<?xml version=\"1.0\" encoding=\"ISO-8859-15\"?>\n" + plain), "Gateway fällt aus"},
		"by its message":      {savedAs([]byte(plain), "quoted-printable", `text/html; charset="Windows-1252"`), "Jürgen rufen"},
		"Japanese":            {[]byte("<html><head><meta charset=Shift_JIS></head><body><h1>\x8f\xe1\x8aQ</h1><p>a</p><p>b</p></body></html>"), "障害"},
		"wrongly":             {[]byte("<html><head><meta charset='utf-8'></head>" + body), ""},
		"not at all":          {[]byte(plain), ""},
		"not at all, as text": {[]byte("# Gateway f\xe4llt aus\n\nwords\n"), ""},
		"as one that is not":  {[]byte("<html><head><meta charset=Shift_JIS></head><body><h1>\x8f</h1><p>a</p><p>\xff</p></body></html>"), ""},
	} {
		r, err := importer.Import("page.html", c.page)
		switch {
		case c.want == "":
			if prunella.KindOf(err) != prunella.Invalid {
				t.Errorf("%s: %v, want a refusal", name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case !strings.Contains(string(r.File), c.want):
			t.Errorf("%s: nothing like %q in\n%s", name, c.want, r.File)
		}
	}
}

// What is cut off or no text is refused with its reason, and large pages by
// their size.
func TestDamagedEncodings(t *testing.T) {
	page := "<html><body><h1>Title</h1><p>one</p><p>two</p></body></html>"
	saved := savedAs([]byte(page), "quoted-printable", "text/html")
	nested := "Content-Type: text/html\r\n\r\n" + page
	for n := range 6 {
		nested = fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%[1]d\r\n%s\r\n--b%[1]d--\r\n", n, nested)
	}
	head := "MIME-Version: 1.0\r\n"
	for name, c := range map[string]struct {
		page []byte
		kind prunella.Kind
		says string
	}{
		"an odd byte":        {append(inUTF16("# T\n", binary.LittleEndian), 'x'), prunella.Invalid, "in the middle of a letter"},
		"half a letter":      {append(inUTF16("# T\n", binary.BigEndian), 0xd8, 0x00, 0x00, 'x'), prunella.Invalid, "half a letter at byte 10"},
		"UTF-32":             {[]byte("\xff\xfe\x00\x00#\x00\x00\x00"), prunella.Invalid, "no text at byte 2"},
		"cut in its page":    {saved[:bytes.Index(saved, []byte("one"))], prunella.Invalid, "unexpected EOF"},
		"no boundary":        {[]byte(head + "Content-Type: multipart/related\r\n\r\n--x\r\n"), prunella.Invalid, ""},
		"no page":            {[]byte(head + "Content-Type: multipart/related; boundary=x\r\n\r\n--x\r\nContent-Type: image/png\r\n\r\nx\r\n--x--\r\n"), prunella.Invalid, "no page in it"},
		"parts in parts":     {[]byte(head + nested), prunella.Invalid, "nested more than 4 deep"},
		"an odd transfer":    {savedAs([]byte(page), "x-uuencode", "text/html"), prunella.Invalid, `"x-uuencode"`},
		"no base64":          {bytes.Replace(savedAs([]byte(page), "base64", "text/html"), []byte("PGh0"), []byte("!!!!"), 1), prunella.Invalid, "base64"},
		"a page of 5 MB":     {savedAs([]byte(page+strings.Repeat("<p>word</p>", 400_000)), "8bit", "text/html"), prunella.TooLarge, "more than"},
		"too many pictures":  {savedAs(append([]byte(page), make([]byte, importer.MaxSaved)...), "8bit", "text/html"), prunella.TooLarge, "without its pictures"},
		"UTF-16 of 9 MB":     {inUTF16(strings.Repeat("word\n", 900_000), binary.LittleEndian), prunella.TooLarge, "larger than"},
		"a message of words": {[]byte(head + "Content-Type: text/html\r\n\r\n" + page), "", ""},
	} {
		_, err := importer.Import("page", c.page)
		if c.kind == "" && err == nil {
			continue
		}
		if prunella.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) && !(c.kind == prunella.TooLarge && strings.Contains(err.Error(), "larger than")) {
			t.Errorf("%s: %v, want %s, %q", name, err, c.kind, c.says)
		}
	}
	// A page about MIME is no saved page.
	text := "MIME-Version is a header.\n\n# MIME\n\nContent-Type: multipart/related\n"
	if r, err := importer.Import("mime.md", []byte(text)); err != nil || !strings.Contains(string(r.File), "MIME-Version is a header.") {
		t.Errorf("%v", err)
	}
}

// FuzzEncodings: a file in whatever encoding is refused or becomes a skill file.
func FuzzEncodings(f *testing.F) {
	page := []byte("<html><head><meta charset=windows-1252></head><body><h1>Title \xe4</h1><p>one</p><p>two</p></body></html>")
	f.Add(page)
	f.Add(inUTF16("# T\n\nwords 𝒳\n", binary.LittleEndian))
	f.Add(inUTF16("<html><h1>T</h1><p>a</p><p>b</p>", binary.BigEndian))
	f.Add(savedAs(page, "base64", "text/html"))
	f.Add(load(f, "testdata/gateway-certificate.mhtml"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := importer.Import("fuzzed", b)
		if err != nil {
			if k := prunella.KindOf(err); k != prunella.Invalid && k != prunella.TooLarge {
				t.Fatal(err)
			}
			return
		}
		if _, err := skill.Parse("x", r.File); err != nil {
			t.Fatal(err)
		}
	})
}
