package skill_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/skill"
	"prunella/wiki"
)

const small = "---\n" +
	"name: stuck-queue\n" +
	"description: 'When a queue''s consumers stop.' # one line\n" +
	"metadata:\n" +
	"    version: \"1.0.0\"   # odd   spacing\n" +
	"    owners: \"@ada, @bob\"\n" +
	"    pattern: queue/stuck\n" +
	"    note: |\n" +
	"      two\n" +
	"      lines\n" +
	"\n" +
	"---\n" +
	"# Stuck queue\n" +
	"\n" +
	"Symptoms\n--------\n" +
	"It stops.\n\n" +
	"~~~~ signal\n- id: lag\n  kind: log\n  any: [consumer lag]\n~~~~\n\n" +
	"## Diagnosis (90 s)\n" +
	"1. Look.\n\n   ````check\n   id: look\n   read: logs.search\n   for: result.count > 0\n   ````\n" +
	"2. Think\n   hard.\n   1. not a step\n" +
	"10. Last.\n\n" +
	"## Resolution (5 min)\n<!--\n```action\nid: never\n```\n-->\n" +
	"    ```action\n    indented code, not a fence\n\n" +
	"```bash\n## not a heading\n```\n" +
	"## Extra (not a time)\nwithout a last newline"

func parse(t *testing.T, text string) *skill.Document {
	t.Helper()
	d, err := skill.Parse("stuck-queue.skill.md", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStructure(t *testing.T) {
	for _, newline := range []string{"\n", "\r\n"} {
		d := parse(t, strings.ReplaceAll(small, "\n", newline))
		var got strings.Builder
		fmt.Fprintf(&got, "title %s\n", d.Title)
		for _, s := range d.Sections {
			fmt.Fprintf(&got, "section %q %v line %d, %d lines\n", s.Name, s.Budget, s.Line, strings.Count(d.Text(s.Span), "\n"))
		}
		for _, b := range d.Blocks {
			fmt.Fprintf(&got, "block %q in %s line %d, code %q\n", b.Language, b.Section, b.Line, strings.ReplaceAll(b.Code, "\r", ""))
		}
		for _, s := range d.Steps {
			fmt.Fprintf(&got, "step %s %d line %d %q\n", s.Section, s.Number, s.Line, strings.ReplaceAll(s.Text, "\r", ""))
		}
		want := `title Stuck queue
section "Symptoms" 0s line 15, 10 lines
section "Diagnosis" 1m30s line 25, 13 lines
section "Resolution" 5m0s line 38, 12 lines
section "Extra (not a time)" 0s line 50, 1 lines
block "signal" in Symptoms line 19, code "- id: lag\n  kind: log\n  any: [consumer lag]\n"
block "check" in Diagnosis line 28, code "id: look\nread: logs.search\nfor: result.count > 0\n"
block "bash" in Resolution line 47, code "## not a heading\n"
step Diagnosis 1 line 26 "Look."
step Diagnosis 2 line 33 "Think\nhard."
step Diagnosis 3 line 36 "Last."
`
		if got.String() != want {
			t.Errorf("with %q:\n%s\nwant:\n%s", newline, got.String(), want)
		}
		if !bytes.Equal(d.Bytes(), []byte(strings.ReplaceAll(small, "\n", newline))) {
			t.Error("bytes differ")
		}
	}
}

func TestSkillOfDocument(t *testing.T) {
	s, problems := parse(t, small).Skill()
	if len(skill.Errors(problems)) > 0 {
		t.Fatal(problems)
	}
	if s.Name != "stuck-queue" || s.Title != "Stuck queue" || s.Pattern != "queue/stuck" || s.Fault != "stuck" ||
		s.Version != "1.0.0" || fmt.Sprint(s.Owners) != "[@ada @bob]" || s.Budgets.Diagnosis != 90*time.Second ||
		s.Description != "When a queue's consumers stop." || len(s.Hash) != 64 {
		t.Errorf("%+v", s)
	}
	if len(s.Signals) != 1 || s.Signals[0].Weight != 1 || s.Signals[0].Line != 20 {
		t.Errorf("signals %+v", s.Signals)
	}
	if len(s.Checks) != 1 || s.Checks[0].Timeout != 10*time.Second || s.Checks[0].Line != 29 {
		t.Errorf("checks %+v", s.Checks)
	}
	if len(s.Actions) != 0 {
		t.Errorf("an action inside an HTML comment or indented code is executed: %+v", s.Actions)
	}
}

func TestSetMetaChangesOneValueOnly(t *testing.T) {
	for _, c := range []struct{ key, value, old, new string }{
		{"version", "1.1.0", `"1.0.0"`, `"1.1.0"`},
		{"name", "stuck-topic", "name: stuck-queue", "name: stuck-topic"},
		{"description", `say "when"`, "'When a queue''s consumers stop.'", `'say "when"'`},
		{"pattern", "a: b # c", "pattern: queue/stuck", `pattern: "a: b # c"`},
		{"pattern", "1.0", "pattern: queue/stuck", `pattern: "1.0"`},
		{"note", "one", "|\n      two\n      lines", "one"},
		{"owners", "@é", `"@ada, @bob"`, `"@é"`},
		{"category", "ops", "      lines\n", "      lines\n    category: ops\n"},
		{"license", "Apache-2.0", "---\nname", "---\nlicense: Apache-2.0\nname"},
	} {
		for _, newline := range []string{"\n", "\r\n"} {
			before := strings.ReplaceAll(small, "\n", newline)
			d := parse(t, before)
			if err := d.SetMeta(c.key, c.value); err != nil {
				t.Errorf("%s: %v", c.key, err)
				continue
			}
			want := strings.Replace(before, strings.ReplaceAll(c.old, "\n", newline), strings.ReplaceAll(c.new, "\n", newline), 1)
			if string(d.Bytes()) != want {
				t.Errorf("%s:\n%q\nwant\n%q", c.key, d.Bytes(), want)
			}
			if got, _ := d.Meta(c.key); got != c.value {
				t.Errorf("%s reads %q", c.key, got)
			}
		}
	}
}

// Comments below and beside a value are none of it, and nothing is beyond the end
// of the YAML.
func TestSetMetaLeavesComments(t *testing.T) {
	for _, before := range []string{
		"---\nmetadata:\n  version: 1.0.0\n  # of whom\n  owners: x\n---\n# A\n",
		"---\nmetadata:\n  version: 1.0.0\n  # the last\n# of all\n---\n",
		"---\nmetadata:\n  version: 1.0.0\t# why\n  owners: x\n---\n",
		"---\nmetadata:\n  version:\n    # why\n    1.0.0\n    # so\n\n  owners: x\n---\n",
		"---\nmetadata:\n  version: '1.0.0'  # why\n---\n",
		"---\nversion: 1.0.0\n...\nText with a rule.\n\n---\n\nversion: 2\n",
	} {
		for _, newline := range []string{"\n", "\r\n"} {
			page := strings.ReplaceAll(before, "\n", newline)
			d := parse(t, page)
			if err := d.SetMeta("version", "1.0.1"); err != nil {
				t.Errorf("%q: %v", page, err)
			} else if want := strings.Replace(page, "1.0.0", "1.0.1", 1); string(d.Bytes()) != want {
				t.Errorf("%q, want %q", d.Bytes(), want)
			}
		}
	}
}

func TestSetMetaAddsFrontMatter(t *testing.T) {
	for before, want := range map[string]string{
		"":                        "---\nmetadata:\n  version: 1.2.3\n---\n\n",
		"# A\r\ntext":             "---\r\nmetadata:\r\n  version: 1.2.3\r\n---\r\n\r\n# A\r\ntext",
		"---\nname: a\n---\nx":    "---\nname: a\nmetadata:\n  version: 1.2.3\n---\nx",
		"---\n---\n":              "---\nmetadata:\n  version: 1.2.3\n---\n",
		"\uFEFF---\nname: a\n---": "\uFEFF---\nname: a\nmetadata:\n  version: 1.2.3\n---",
	} {
		d := parse(t, before)
		if err := d.SetMeta("version", "1.2.3"); err != nil || string(d.Bytes()) != want {
			t.Errorf("%q: %v\n%q\nwant\n%q", before, err, d.Bytes(), want)
		}
	}
}

func TestSetMetaRefusesWhatItCannotDo(t *testing.T) {
	for text, key := range map[string]string{
		"---\nmetadata: {version: 1.0.0, a: b}\n---\n":       "version",
		"---\nmetadata:\n  owners:\n    - a\n    - b\n---\n": "owners",
		"---\nmetadata: text\n---\n":                         "version",
		"---\nname: a\n---\n":                                "not a key",
	} {
		d := parse(t, text)
		err := d.SetMeta(key, "x: {y")
		if prunella.KindOf(err) == prunella.Invalid && string(d.Bytes()) == text {
			continue
		}
		if got, _ := d.Meta(key); err != nil || got != "x: {y" {
			t.Errorf("%q: %v, %q", text, err, d.Bytes())
		}
	}
}

func TestParseErrorsNameTheLine(t *testing.T) {
	for text, says := range map[string]string{
		"---\nname: a\nmetadata:\n  version: 1.0.0\n bad\n---\n": "f.skill.md:5:1: front matter",
		"---\nname: a\nowners: @sam\n---\n":                      "f.skill.md:3:1: front matter",
		"---\nname: a\n\tb: c\n---\n":                            "f.skill.md:3:1: front matter",
		"---\nname: a\nname: b\n---\n":                           "f.skill.md:3:1: front matter",
		"---\n- a\n---\n":                                        "f.skill.md:2:1: front matter: the front matter is not a list of keys",
		"---\na: &x b\nc: *x\n---\n":                             "f.skill.md:2:4: front matter: anchors",
		"one\ntwo \xff\n":                                        "f.skill.md:2:5: the file is not UTF-8",
	} {
		_, err := skill.Parse("f.skill.md", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), says) || prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("%q: %v, want %s", text, err, says)
		}
	}
	if _, err := skill.Parse("f", make([]byte, skill.MaxSize+1)); prunella.KindOf(err) != prunella.TooLarge {
		t.Errorf("a large file: %v", err)
	}
}

func seeds(f *testing.F) [][]byte {
	out := [][]byte{[]byte(small), []byte(strings.ReplaceAll(small, "\n", "\r\n")), []byte("---\r\na: b"), []byte("- 1. ```check\n\t\tid: x"),
		[]byte("---\nmetadata:\n  version: >-\n    1\n    2\n  # note\n---\n"), []byte("---\nversion: 1\n? a\n: b\n---\n#\n##\n===\n"), []byte("> ```action\n> id: [\n")}
	pages, err := wiki.FS().Open("skills/auth-jwks-rotation-spike.skill.md")
	if err != nil {
		f.Fatal(err)
	}
	defer pages.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(pages); err != nil {
		f.Fatal(err)
	}
	odd := "---\nname: odd\nmetadata:\n  version:\t'1.0.0'\n  note: \"a\\\n    b\"\n---\n\t- tab\n\t\t- deeper\n" + strings.Repeat("  ", 20) + "- deep\n" +
		"<div>\n```action\nid: x\n</div>\n~~~~~ check\n```\n~~~\n~~~~~\n> 1) ```\n> x\n````signal\n```\nno end"
	return append(out, b.Bytes(), []byte(odd), []byte(strings.ReplaceAll(odd, "\n", "\r\n")), []byte(strings.ReplaceAll(odd, "\n", "\n\n")))
}

// FuzzParse: any bytes are a document or an error, and every place that is
// reported lies in the file.
func FuzzParse(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := skill.Parse("x.skill.md", b)
		if err != nil {
			return
		}
		if !bytes.Equal(d.Bytes(), b) {
			t.Fatal("parsing changed the bytes")
		}
		lines := bytes.Count(b, []byte("\n")) + 1
		for _, p := range skill.Lint(d, catalog) {
			if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Text == "" {
				t.Fatalf("%d lines: %v", lines, p)
			}
		}
		for _, s := range d.Sections {
			if s.Span.Start > s.Body.Start || s.Body.Start > s.Body.Stop || s.Span.Stop > len(b) {
				t.Fatalf("section %+v", s)
			}
		}
	})
}

// FuzzRoundTrip: an edit replaces bytes in one place and reads back; every other
// byte is as it was.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s, "version", "1.2.3")
		f.Add(s, "note", "a: 'b'\n# \"c\" é\u2028")
	}
	f.Fuzz(func(t *testing.T, b []byte, key, value string) {
		d, err := skill.Parse("x.skill.md", b)
		if err != nil {
			return
		}
		others := map[string]string{}
		for _, k := range d.MetaKeys() {
			others[k], _ = d.Meta(k)
		}
		if err := d.SetMeta(key, value); err != nil {
			if !bytes.Equal(d.Bytes(), b) {
				t.Fatal("a refused edit changed the bytes")
			}
			return
		}
		after := d.Bytes()
		if got, _ := d.Meta(key); got != value {
			t.Fatalf("%q reads %q, not %q", key, got, value)
		}
		for k, v := range others {
			if got, ok := d.Meta(k); k != key && (!ok || got != v) {
				t.Fatalf("%q changed from %q to %q", k, v, got)
			}
		}
		front, rest := split(b)
		frontAfter, restAfter := split(after)
		if front != nil && !bytes.Equal(rest, restAfter) {
			t.Fatalf("the body changed:\n%q\n%q", rest, restAfter)
		}
		// What is common at both ends must leave only one place between.
		if front != nil && !onePlace(front, frontAfter) {
			t.Fatalf("bytes elsewhere changed:\n%q\n%q", front, frontAfter)
		}
	})
}

// split cuts at the end of the front matter, nil when there is none.
func split(b []byte) (front, rest []byte) {
	lines := bytes.SplitAfter(b, []byte("\n"))
	if strings.TrimRight(strings.TrimPrefix(string(lines[0]), "\uFEFF"), " \t\r\n") != "---" {
		return nil, b
	}
	n := len(lines[0])
	for _, l := range lines[1:] {
		n += len(l)
		if strings.TrimRight(string(l), " \t\r\n") == "---" {
			return b[:n], b[n:]
		}
	}
	return nil, b
}

// onePlace tells whether the texts differ in complete lines of one place only.
func onePlace(a, b []byte) bool {
	x, y := bytes.SplitAfter(a, []byte("\n")), bytes.SplitAfter(b, []byte("\n"))
	for len(x) > 0 && len(y) > 0 && bytes.Equal(x[0], y[0]) {
		x, y = x[1:], y[1:]
	}
	for len(x) > 0 && len(y) > 0 && bytes.Equal(x[len(x)-1], y[len(y)-1]) {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	return len(y) <= 2 // the line of the key, or metadata: and the key
}
