package skill_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"prunella/skill"
)

// FuzzFrontMatter: every value reads back, no --- stands inside, and no word of
// it is glued to an escape.
func FuzzFrontMatter(f *testing.F) {
	for _, v := range []string{"plain", "1.0", "@sam", "a: b # c", "one\ntwo", " one\n  two\n", "| --- |\n|---|--x", "tab\there", "\"q\" \\n", "---x\n----- y", "- \n\n", "null", "é\u00a0ü"} {
		f.Add(v, v)
	}
	f.Fuzz(func(t *testing.T, description, value string) {
		if !utf8.ValidString(description) || !utf8.ValidString(value) {
			return
		}
		text := skill.FrontMatter("a", description, []skill.Pair{{Key: "note", Value: value}, {Key: "license", Value: value}, {Key: "empty"}})
		d, err := skill.Parse("a.skill.md", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for key, want := range map[string]string{"description": description, "note": value, "license": value} {
			if got, ok := d.Meta(key); got != want || ok != (want != "") && key != "description" {
				t.Fatalf("%s reads %q, not %q\n%s", key, got, want, text)
			}
		}
		if inside := strings.TrimSuffix(strings.TrimPrefix(text, "---\n"), "---\n"); strings.Contains(inside, "---") {
			t.Fatalf("--- inside:\n%s", text)
		}
	})
}
