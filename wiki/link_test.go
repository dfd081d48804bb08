package wiki_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"prunella/wiki"
)

// What is a link and what is not.
func TestLinks(t *testing.T) {
	for text, want := range map[string][]string{
		"[[a]] [[b|B]] [[c#H]] [[d#H two|D]] [[ e ]]":              {"a", "b|B", "c#H", "d#H two|D", "e"},
		"[[people/sam]][[skills/x.skill]]":                         {"people/sam", "skills/x.skill"},
		"[[#Here]] [[]] [[|x]] [[a\nb]] [[a[b]] [a]]":              {"#Here"},
		"| a | b |\n|---|---|\n| [[x\\|X]] | `[[no]]` |":           {"x|X"},
		"\\[[a]] [\\[b]] \\\\[[c]] `[[d]]` ``[[e]] ` [[f]]`` `[[g": {"c"},
		"`unclosed [[a]]":                                  {"a"},
		"```\n[[a]]\n```\n[[b]]\n~~~x\n[[c]]\n":            {"b"},
		"    [[a]]\n\n[[b]]":                               {"b"},
		"- x\n\n      [[code]]\n\n  [[b]]":                 {"b"},
		"1. s\n\n   ```yaml\n   [[a]]\n   ```\n\n   [[b]]": {"b"},
		"> [[a]]\n> ```\n> [[b]]\n":                        {"a"},
		"# [[a]]\n\n[[b]]\n===\n":                          {"a", "b"},
		"<!-- [[a]] --> [[b]]":                             {},
		"x <!-- [[a]] --> <a href=\"[[b]]\"> [[c]]":        {"c"},
		"![[a]] ![x](b.md)":                                {"a", "(b.md)"},
		"[x](a.md) [y](b.md#h \"T\") [z](<c d.md>)":        {"(a.md)", "(b.md#h)", "(c d.md)"},
		"[x](https://h/a.md) [x](mailto:a@b) [x](/incidents/1) [x](a.png) [x](a.md?q) [x]()": {},
		"[x](../people/sam) [x](a.skill) [x](/people/sam.md) [x](#h)":                        {"(../people/sam)", "(a.skill)", "(/people/sam.md)", "(#h)"},
		"[a [[b]] c](d.md) [x][r] [e](f.md":                                                  {"b", "(d.md)"},
		"[a](b(c).md) [a](b\\).md)":                                                          {"(b(c).md)", "(b\\).md)"},
		"[r]: a.md \"T\"\n[s]: <b c.md>\n[t]: https://x/y.md\nrest [[c]]":                    {"(a.md)", "(b c.md)", "c"},
		"---\nx: \"[[a]]\"\n---\n[[b]]":                                                      {"b"},
		"\uFEFF---\r\nx: y\r\n---\r\n\r\n[[b]]\r\n":                                          {"b"},
		"é [[a]] [[Größe#Über uns|ü]]":                                                       {"a", "Größe#Über uns|ü"},
	} {
		dir := folder(t, map[string]string{"page.md": text})
		p, err := open(t, wiki.Config{Dir: dir}).Find("page")
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, l := range p.Links {
			if text[l.Start:l.Stop] != l.Target {
				t.Errorf("%q: the target %q is not at %d", text, l.Target, l.Start)
			}
			s := l.Target
			if l.Heading != "" {
				s += "#" + l.Heading
			}
			if l.Text != "" {
				s += "|" + l.Text
			}
			if l.Markdown {
				s = "(" + s + ")"
			}
			got = append(got, s)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q\n got %q\nwant %q", text, got, want)
		}
	}
}

// Where links lead, and why some do not.
func TestResolve(t *testing.T) {
	dir := folder(t, map[string]string{
		"skills/jwks.skill.md":  "# JWKS\n\n## Diagnosis (3 min)\n\n## It's `kid`, [[people/sam|Sam]]\n\n### Twice\n\n### Twice\n",
		"people/sam.md":         "# Sam\n",
		"people/álvaro.md":      "# Álvaro\n",
		"companies/acme.md":     "# Acme\n",
		"old/acme.md":           "# Acme of old\n",
		"runbooks/prod/disk.md": "# Disk\n",
		"a b.md":                "# Space\n",
		"from/here.md": strings.Join([]string{"[[skills/jwks.skill]]", "[[skills/jwks]]", "[[jwks]]", "[[JWKS.skill.md]]", "[[sam]]", "[[alvaro]]", "[[prod/disk]]", "[[../people/sam]]",
			"[x](../people/sam.md)", "[x](/people/sam.md)", "[x](../a%20b.md)", "[[a b]]", "[[here]]", "[[#Here]]", "[[jwks#Diagnosis]]", "[[jwks#diagnosis (3 MIN)]]", "[[jwks#diagnosis-3-min]]",
			"[x](../skills/jwks.skill.md#twice-1)", "[[jwks#It's kid, Sam]]",
			"[[acme]]", "[[people/sma]]", "[[jwks#Nothing]]", "[x](sam.md)", "[[./sam]]", "[[#Nowhere]]", "[[../../etc/passwd]]", "[[/skills/nope]]"}, "\n") + "\n\n# Here\n",
	})
	w := open(t, wiki.Config{Dir: dir})
	var got []string
	for _, b := range w.Broken() {
		got = append(got, fmt.Sprintf("%d %s: %s; %s", b.Link.Line, b.Rule, b.Reason, b.Remedy))
	}
	want := []string{
		"20 ambiguous-link: acme could be companies/acme.md or old/acme.md; write the folder too",
		"21 broken-link: there is no page people/sma; write the page, or correct the link",
		`22 broken-heading: skills/jwks.skill.md has no heading "Nothing"; correct the heading, or link to the page`,
		"23 broken-link: there is no page sam.md; did you mean people/sam?",
		"24 broken-link: there is no page ./sam; did you mean people/sam?",
		`25 broken-heading: from/here.md has no heading "Nowhere"; correct the heading, or link to the page`,
		"26 broken-link: there is no page ../../etc/passwd; write the page, or correct the link",
		"27 broken-link: there is no page /skills/nope; write the page, or correct the link",
	}
	if !slices.Equal(got, want) {
		t.Errorf("broken:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	count := map[string]int{}
	for _, name := range []string{"skills/jwks.skill.md", "people/sam.md", "people/álvaro.md", "a b.md", "runbooks/prod/disk.md", "from/here.md", "companies/acme.md"} {
		for _, b := range w.Backlinks(name) {
			if b.From == "from/here.md" && b.Title == "Here" {
				count[name]++
			}
		}
	}
	if s := fmt.Sprint(count); s != "map[a b.md:2 people/sam.md:4 people/álvaro.md:1 runbooks/prod/disk.md:1 skills/jwks.skill.md:10]" {
		t.Errorf("backlinks: %s", s)
	}
	var orphans []string
	for _, p := range w.Orphans() {
		orphans = append(orphans, p.Path)
	}
	if !slices.Equal(orphans, []string{"companies/acme.md", "old/acme.md", "from/here.md"}) {
		t.Errorf("orphans: %v", orphans)
	}
	for inside, want := range map[string]wiki.Resolved{
		"jwks#Diagnosis": {Path: "skills/jwks.skill.md", Anchor: "diagnosis-3-min", Text: "JWKS"},
		"sam|her":        {Path: "people/sam.md", Text: "her"},
		"#Here":          {Path: "from/here.md", Anchor: "here", Text: "Here"},
		"nobody":         {Text: "nobody", Broken: "there is no page nobody"},
	} {
		if got := w.Resolve("from/here.md", inside); got != want {
			t.Errorf("%s resolves to %+v, want %+v", inside, got, want)
		}
	}
}

// Whatever a page holds, its links stand where they say and a rename of their
// page changes nothing else.
func FuzzLinks(f *testing.F) {
	for _, s := range []string{"[[a]]", "[[a#h|b]] `[[c]]`", "[x](a.md \"t\")", "[r]: <a.md>\n", "```\n[[a]]", "- [[a]]\n\t> [[a|x]]\n", "---\nx: [[a]]\n---\n[[a]]\r\n", "\\[[a]]", "[[a]", "[x](<a.md", "| [[a\\|b]] |", "\ufeff# [[a]]\n===", "[x](a.md (t))", "<[[a]]>", "\t[[a]]\n \t[x](./a)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		put(t, dir, "from/page.md", text)
		put(t, dir, "a.md", "# A\n")
		w, err := wiki.Open(t.Context(), wiki.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		p, err := w.Find("from/page")
		if err != nil {
			t.Fatal(err)
		}
		broken := len(w.Broken())
		lines := strings.Count(text, "\n") + 1
		at := 0
		links := slices.Clone(p.Links)
		slices.SortFunc(links, func(a, b wiki.Link) int { return a.Start - b.Start })
		for _, l := range links {
			if l.Start < at || text[l.Start:l.Stop] != l.Target || l.Line < 1 || l.Line > lines || l.Column < 1 || l.Target == "" && l.Heading == "" {
				t.Fatalf("%+v in %q", l, text)
			}
			at = l.Stop
		}
		r, err := w.Rename(t.Context(), wiki.Rename{From: "a", To: "sub/z"})
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "from/page.md"))
		if err != nil {
			t.Fatal(err)
		}
		back := string(b)
		for _, page := range r.Pages {
			for _, c := range page.Changes {
				back = strings.Replace(back, c.New, c.Old, 1)
			}
		}
		if back != text {
			t.Fatalf("a rename turned %q into %q by %+v", text, b, r.Pages)
		}
		if after := len(w.Broken()); after != broken {
			t.Fatalf("%d broken links became %d in %q -> %q", broken, after, text, b)
		}
	})
}
