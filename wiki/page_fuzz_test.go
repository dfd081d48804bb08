package wiki

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever bytes a file has, it is read, and what is found in it stands there.
// The door of the package would write an index for each try.
func FuzzReadPage(f *testing.F) {
	for _, s := range []string{"", "[[a]]", "---\nname: x\n---\n# T\n[[a#h|b]] `[[c]]`", "[x](a.md \"t\")", "[r]: <a.md>\n", "```\n[[a]]", "- [[a]]\n\t> [[a|x]]\n", "\\[[a]]",
		"| [[a\\|b]] |", "\ufeff---\n---\n# [[a]]\n===", "<[[a]]>", "\xff", "# a\n# a\n", "---\na: &b [*b]\n---\n", "KeyNotFound E1234 a.b_c \u00e9\u0301"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := readPage("skills/page.skill.md", b, newStems())
		if !utf8.Valid(b) {
			if c.Err() == nil {
				t.Fatalf("%q passes for UTF-8", b)
			}
			return
		}
		text := string(b)
		lines := strings.Count(text, "\n") + 1
		for _, l := range c.Links {
			if text[l.Start:l.Stop] != l.Target || l.Line < 1 || l.Line > lines || l.Column < 1 || l.Target == "" && l.Heading == "" || strings.ContainsAny(l.Target, "\n\x00") {
				t.Fatalf("%+v in %q", l, text)
			}
		}
		for _, h := range c.Headings {
			if h.Line < 1 || h.Line > lines || h.Level < 1 || h.Level > 6 {
				t.Fatalf("%+v in %q", h, text)
			}
		}
		for word, to := range c.forms {
			if word != fold(word) || to == word || to != stemmed(word) {
				t.Fatalf("the stem of %q is %q in %q", word, to, text)
			}
		}
		if strings.ContainsRune(c.title+c.heads+c.body, idOpen) || !utf8.ValidString(c.ids) {
			t.Fatalf("body %q, identifiers %q of %q", c.body, c.ids, text)
		}
	})
}

// Two edits that do not touch merge into a text with both; the lines of a
// comparison are those of the texts.
func FuzzMerge(f *testing.F) {
	f.Add("a\nb\nc\nd\ne\n", "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n")
	f.Add("", "x", "x\n")
	f.Add("a\nb", "a\nb\nc", "")
	f.Add("a\r\nb\n\n\nc", "b\nb\nb", "c\na\n")
	f.Fuzz(func(t *testing.T, base, mine, theirs string) {
		for _, text := range []string{mine, theirs} {
			if got, clean := merge3(base, text, base); !clean || got != text {
				t.Fatalf("one edit alone: %q of %q merges to %q, %v", text, base, got, clean)
			}
			if got, clean := merge3(base, text, text); !clean || got != text {
				t.Fatalf("the same edit twice: %q of %q merges to %q, %v", text, base, got, clean)
			}
		}
		one, first := merge3(base, mine, theirs)
		two, second := merge3(base, theirs, mine)
		if one != two || first != second {
			t.Fatalf("%q and %q of %q merge to %q or %q", mine, theirs, base, one, two)
		}
		var before, after []string
		for _, l := range Compare(base, mine) {
			if l.Op != "+" {
				before = append(before, l.Text)
			}
			if l.Op != "-" {
				after = append(after, l.Text)
			}
		}
		if !sameLines(before, base) || !sameLines(after, mine) {
			t.Fatalf("comparing %q and %q gives %q and %q", base, mine, before, after)
		}
	})
}

func sameLines(got []string, text string) bool {
	want := splitLines(text)
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		if got[i] != bare(want[i]) {
			return false
		}
	}
	return true
}
