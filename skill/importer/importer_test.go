package importer_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/skill"
	"prunella/skill/importer"
)

var update = flag.Bool("update", false, "rewrite the expected skill files and reports in testdata")

func pages(t testing.TB) []string {
	t.Helper()
	all, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, file := range all {
		if info, err := os.Stat(file); err == nil && !info.IsDir() && !strings.HasSuffix(file, skill.Suffix) && !strings.HasSuffix(file, ".json") {
			out = append(out, file)
		}
	}
	if len(out) < 9 {
		t.Fatalf("only %d pages", len(out))
	}
	return out
}

func load(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each page of testdata has its skill file and its report beside it.
func TestPages(t *testing.T) {
	for _, file := range pages(t) {
		r, err := importer.Import(file, load(t, file))
		if err != nil {
			t.Fatal(err)
		}
		var report bytes.Buffer
		e := json.NewEncoder(&report)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(r.Report); err != nil {
			t.Fatal(err)
		}
		base := strings.TrimSuffix(file, filepath.Ext(file))
		for golden, got := range map[string][]byte{base + skill.Suffix: r.File, base + ".json": report.Bytes()} {
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(load(t, golden)), string(got)); diff != "" {
				t.Errorf("%s (-want +got; -update rewrites it):\n%s", golden, diff)
			}
		}
	}
}

func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
}

// lost are the words of a page that a skill file has less often.
func lost(page, file string) []string {
	count := map[string]int{}
	for _, w := range words(file) {
		count[w]++
	}
	var out []string
	for _, w := range words(page) {
		if count[w]--; count[w] < 0 {
			out = append(out, w)
		}
	}
	return out
}

// prose is a text without the lines of fences, whose language an import may add.
func prose(text string) []string {
	var out []string
	for _, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if t := strings.TrimLeft(line, " "); strings.HasPrefix(t, "```") || strings.HasPrefix(t, "~~~") || t == "bash" || t == "yaml" || t == "Copy" {
			continue
		}
		out = append(out, words(line)...)
	}
	return out
}

// No word is lost, and Text gives the words back in their order.
func TestNoWordIsLost(t *testing.T) {
	for _, file := range pages(t) {
		page := string(load(t, file))
		if strings.HasPrefix(page, "h1. ") || strings.HasSuffix(file, "ml") { // written in another markup
			continue
		}
		r, err := importer.Import(file, []byte(page))
		if err != nil {
			t.Fatal(err)
		}
		if l := lost(page, string(r.File)); len(l) > 0 {
			t.Errorf("%s: lost %q", file, l)
		}
		d, err := skill.Parse(file, r.File)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Join(prose(page), " ")
		if got := strings.Join(prose(importer.Text(d)), " "); got != want {
			t.Errorf("%s: the text comes back as\n%s\nwant\n%s", file, got, want)
		}
	}
}

// Of a page of HTML no word is lost that a reader saw.
func TestNoWordOfHTMLIsLost(t *testing.T) {
	hidden := regexp.MustCompile(`(?s)<(script|style|head|ac:parameter|ac:task-id|ac:task-status)\b.*?</(script|style|head|ac:parameter|ac:task-id|ac:task-status)>|<!--.*?-->|<!\[CDATA\[|\]\]>`)
	tag := regexp.MustCompile(`<[^<>]*>`)
	pages, err := filepath.Glob("testdata/*ml")
	pages = slices.DeleteFunc(pages, func(file string) bool { return strings.HasSuffix(file, ".mhtml") })
	if err != nil || len(pages) < 3 {
		t.Fatal(pages, err)
	}
	for _, file := range pages {
		page := string(load(t, file))
		r, err := importer.Import(file, []byte(page))
		if err != nil {
			t.Fatal(err)
		}
		if l := lost(html.UnescapeString(tag.ReplaceAllString(hidden.ReplaceAllString(page, " "), " ")), string(r.File)); len(l) > 0 {
			t.Errorf("%s: lost %q\n%s", file, l, r.File)
		}
	}
}

// Pages put together at random from what pages consist of: every word comes
// back, once and in its order, and code as it was.
func TestMixedPages(t *testing.T) {
	pieces := []string{
		"# %s %s\n\n", "## %s\n\n", "### Step 1 - %s\n\n", "%s %s\n------\n\n", "Symptoms\n\n", "## Diagnosis (3 min)\n", "Resolution:\n", "## Mitigation\n\n", "Escalation\n",
		"Owner: @%s\n", "**Version:** v1.2.%[1]s\n", "Confidence\t88%%\n", "Last verified: 2026-03-%[1]s\n", "| %s | %s |\n| --- | --- |\n| %s | %s |\n\n", ":Author: %s\n", "Trigger: %s above %s\n",
		"1. %s %s\n2. %s\n", "1) %s\n\n    kubectl get %s\n", "a) %s\nb) %s\n", "Step 1: %s\n", "1.\n%s\n", "- [ ] %s (open since March)\n- [x] %s\n", "* %s\n\t* %s\n", "• %s\n", "%s %s.\n%s\n\n", "> %s\n",
		"```yaml\n%s:\n%s: 1\n```\n", "   ```\n   $ echo %s\n   ```\n", "~~~\n%s\n", "    indented %s\n", "\tcurl %s\n", "bash\nCopy\nkubectl %s\n", "<details><summary>%s</summary>\n", "{{< hint >}} %s\n", "h2. %s\n", "---\n", "←  All %s\n", "%s\r\n", "\n\n",
		"[%s](https://x/%s)\n", "[[people/%s]]\n", "![%s](a.png)\n", "%s  \n", "***%s***\n", "1. %s:\n   $ run %s\n", "=== %s\n", "+++\n",
	}
	r := rand.New(rand.NewPCG(3, 14))
	for n := range 1000 {
		var b strings.Builder
		for range 1 + r.IntN(14) {
			piece := pieces[r.IntN(len(pieces))]
			var fill []any
			for range strings.Count(piece, "%s") {
				fill = append(fill, fmt.Sprintf("w%03d", r.IntN(1000)))
			}
			if strings.Contains(piece, "%[1]s") {
				fill = []any{fmt.Sprint(10 + r.IntN(19))}
			}
			fmt.Fprintf(&b, piece, fill...)
		}
		page := b.String()
		got, err := importer.Import("mixed.md", []byte(page))
		if err != nil {
			if prunella.KindOf(err) != prunella.Invalid {
				t.Fatalf("%d: %v\n%s", n, err, page)
			}
			continue
		}
		for _, u := range got.Report.Unplaced {
			if strings.HasPrefix(u.Reason, "an error") {
				t.Errorf("%d: %+v\n%s\n=====\n%s", n, u, page, got.File)
			}
		}
		d, err := skill.Parse("mixed.md", got.File)
		if err != nil {
			t.Fatalf("%d: %v\n%s\n=====\n%s", n, err, page, got.File)
		}
		if want, is := order(page), order(importer.Text(d)); !slices.Equal(want, is) && !strings.Contains(page, "+++") && !strings.HasPrefix(page, "---") {
			t.Errorf("%d: the words are\n%v, want\n%v\n%s\n=====\n%s", n, is, want, page, got.File)
		}
		if t.Failed() {
			return
		}
	}
}

// order is the made up words of a text.
func order(text string) []string { return regexp.MustCompile(`w\d{3}`).FindAllString(text, -1) }

// A skill file is taken as it is, so importing twice changes nothing.
func TestImportOfASkillIsTheSkill(t *testing.T) {
	for _, file := range pages(t) {
		once, err := importer.Import(file, load(t, file))
		if err != nil {
			t.Fatal(err)
		}
		again, err := importer.Import(file, once.File)
		if err != nil || !bytes.Equal(once.File, again.File) {
			t.Errorf("%s: importing again: %v\n%s", file, err, cmp.Diff(string(once.File), string(again.File)))
		}
	}
}

// What is imported is a skill without errors once the file has its name.
func TestImportedSkillsLint(t *testing.T) {
	for _, file := range pages(t) {
		r, err := importer.Import(file, load(t, file))
		if err != nil {
			t.Fatal(err)
		}
		d, err := skill.Parse(r.Report.Name+skill.Suffix, r.File)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range skill.Errors(skill.Lint(d, nil)) {
			t.Errorf("%s: %v", file, p)
		}
	}
}

func TestFlatYAML(t *testing.T) {
	for code, want := range map[string]string{
		"a:\nb:\nc: 1\n":                             "a:\n  b:\n    c: 1\n",
		"# top\na:\n# inner\nb: x # y\n":             "# top\na:\n  # inner\n  b: x # y\n",
		"a:\nb:\n- x\n- y\n":                         "a:\n  b:\n    - x\n    - y\n",
		"a:\nb: 1\nb: 2\n":                           "a:\n  b: 1\nb: 2\n",
		"a:\n\nb: \"x: y\"\n":                        "a:\n\n  b: \"x: y\"\n",
		"- name: a\nvalue: 1\n- name: b\nvalue: 2\n": "- name: a\n  value: 1\n- name: b\n  value: 2\n",
		"a: 1\nb: 2\n":                               "a: 1\nb: 2\n",
		"a:\n- x\n- y\nb: 1\n":                       "a:\n- x\n- y\nb: 1\n",
		"a:\n  b: 1\nc: 2\n":                         "a:\n  b: 1\nc: 2\n",
		"a:\nb: 1\nc: 2\n":                           "?",
		"resources:\nlimits:\ncpu: 1\nmemory: 2Gi\n": "?",
		"a:\nb:\n":                                   "?",
		"a:\nscript: |\necho 1\n":                    "?",
		"one:\nx: 1\ntwo:\nx: 2\n":                   "?",
	} {
		r, err := importer.Import("p.md", []byte("# P\n\n## Resolution\n\n```yaml\n"+code+"```\n"))
		if err != nil {
			t.Fatal(err)
		}
		b := r.Report.CodeBlocks[0]
		switch {
		case want == "?" && (!b.Flagged || b.Reason == "" || b.Restored || b.Text != code):
			t.Errorf("%q is ambiguous, got %+v", code, b)
		case want != "?" && (b.Flagged || b.Text != want || b.Restored != (want != code)):
			t.Errorf("%q: %+v, want %q", code, b, want)
		}
	}
}

func TestLanguage(t *testing.T) {
	for code, want := range map[string]string{
		"kubectl get pods -A | grep x":                                  "bash",
		"$ foo --bar\noutput line\n":                                    "bash",
		"# look\ncurl -s \\\n  http://x/y\n":                            "bash",
		"{\"a\": 1}":                                                    "json",
		"a:\n  b: 1\n":                                                  "yaml",
		"apiVersion: v1\nkind: Pod\n":                                   "yaml",
		"SELECT * FROM t WHERE a = 1;":                                  "sql",
		"rate(http_requests_total{code=~\"5..\"}[5m]) > 0.1":            "promql",
		"sum by (job) (rate(x_total[5m]))\n/\nsum(rate(y_total[5m]))\n": "promql",
		"up{job=\"api\"} == 0":                                          "promql",
		"GET /healthz HTTP/1.1\nHost: x\n":                              "http",
		"POST /v1/keys\n":                                               "http",
		"FROM alpine:3\nRUN true\n":                                     "dockerfile",
		"import os\nprint(1)\n":                                         "python",
		"panic: runtime error\ngoroutine 1 [running]:\n":                "",
		"Find the leader and go on.\n":                                  "",
		"2026-01-01 ERROR no such host\n":                               "",
		"make sure it runs":                                             "",
		"":                                                              "",
	} {
		if got := importer.Language(code); got != want {
			t.Errorf("%q is %q, want %q", code, got, want)
		}
	}
}

func TestBadInputLosesNothing(t *testing.T) {
	bomb := "---\na: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 8) + "*" + string(c-1) + "]\n"
	}
	bomb += "---\n# T\n\nwords\n"
	for name, c := range map[string]struct {
		page string
		kind prunella.Kind
	}{
		"50 MB":           {strings.Repeat("word ", 10<<20), prunella.TooLarge},
		"not UTF-8":       {"# T\n\xff\xfe\n", prunella.Invalid},
		"alias bomb":      {bomb, ""},
		"deep quotes":     {strings.Repeat("> ", 20000) + "x", prunella.Invalid},
		"deep lists":      {deepList(2000), prunella.Invalid},
		"lists in lists":  {"<!doctype html><h1>T</h1><p>a<p>b" + strings.Repeat("<ul><li>", 150) + strings.Repeat("<li>a ", 16_000), prunella.TooLarge},
		"marks in marks":  {"<!doctype html><h1>T</h1><p>a<p>b" + strings.Repeat("<div>", 200) + strings.Repeat("<i>a</i> ", 4_000), ""},
		"deep HTML":       {"<!doctype html><h1>T</h1><p>a<p>b" + strings.Repeat("<div>", 30_000), prunella.Invalid},
		"deep brackets":   {"---\na: " + strings.Repeat("[", 30000) + "\n---\n# T\n", ""},
		"open fences":     {strings.Repeat("```\nx\n", 10000), ""},
		"many headings":   {strings.Repeat("# a\n", 8000), ""},
		"many flat keys":  {"# T\n```yaml\n" + strings.Repeat("a:\nb: 1\n", 1000) + "```\n", ""},
		"one long line":   {"# T\n\n" + strings.Repeat("Owner: ", 50000), ""},
		"long front":      {"---\n" + strings.Repeat("a: b\n", 20000) + "c: [\n---\n# T\n", ""},
		"nothing":         {"", ""},
		"only a fence":    {"```", ""},
		"unclosed front":  {"---\ntitle: x\n", ""},
		"nul and friends": {"# T\x00\n\u2028\u0085\x01\n", ""},
	} {
		r, err := importer.Import(name+".md", []byte(c.page))
		if c.kind != "" {
			if prunella.KindOf(err) != c.kind {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			if prunella.KindOf(err) != prunella.Invalid {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if l := lost(strings.NewReplacer("<!doctype html>", " ", "<h1>", " ", "</h1>", " ", "<p>", " ", "<div>", " ", "<i>", " ", "</i>", " ").Replace(c.page), string(r.File)); len(l) > 0 {
			t.Errorf("%s: lost %d words: %.80q", name, len(l), l)
		}
	}
}

func deepList(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat("  ", i) + "- x\n")
	}
	return b.String()
}

// FuzzImport: any page is refused or becomes a skill file without losing a word.
func FuzzImport(f *testing.F) {
	for _, file := range pages(f) {
		f.Add(load(f, file))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := importer.Import("fuzzed page.md", b)
		if err != nil {
			return
		}
		if l := lost(string(b), string(r.File)); len(l) > 0 && !strings.ContainsAny(string(b), "h<{") {
			t.Fatalf("lost %q\n%s", l, r.File)
		}
		for _, u := range r.Report.Unplaced {
			if strings.HasPrefix(u.Reason, "an error") {
				t.Fatalf("%+v\n%s", u, r.File)
			}
		}
		if _, err := skill.Parse("x", r.File); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzHTML: of no page of HTML a word is lost.
func FuzzHTML(f *testing.F) {
	more, err := filepath.Glob("testdata/*ml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range more {
		f.Add(string(load(f, file)))
	}
	for _, s := range []string{"<p>a<p>b<table><td>c<pre>d</pre><td>e</table>", "<ul><li>a<ul><li>b</ul><ol start=3><li>c<p>d</ol></ul>", "<h1>t</h1><nav>n</nav><aside><dl><dt>Version<dd>1.0</dl></aside><main><h2>x</h2></main>", "<div><b>a\nb</b><br>```<p>#&nbsp;x &lt;b&gt;", "<h1>0<p>20"} {
		f.Add("<html><body>" + s)
	}
	f.Fuzz(func(t *testing.T, page string) {
		r, err := importer.Import("fuzzed.html", []byte("<!doctype html>"+page+"<p></p><p></p>"))
		if err != nil {
			return
		}
		for _, u := range r.Report.Unplaced {
			if strings.HasPrefix(u.Reason, "an error") {
				t.Fatalf("%+v\n%s", u, r.File)
			}
		}
	})
}
