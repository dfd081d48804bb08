package wiki_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/wiki"
)

// A rename changes the links to a page, each in its own style, and not another
// byte.
func TestRename(t *testing.T) {
	before := map[string]string{
		"skills/jwks.skill.md":  "---\nname: jwks # mine\nmetadata:\n  alternates: \"disk, other\"\n---\n\n# JWKS\n\n[[disk]] [[../people/sam]] [p](../people/sam.md#sam) [[jwks#JWKS]] [[#JWKS]]\n",
		"skills/disk.skill.md":  "---\r\nname: disk\r\nmetadata:\r\n  alternates: \"bad-deploy,  jwks ,jwks-two\"\r\n  owners: \"@sam\"\r\n---\r\n# Disk\r\n[[skills/jwks.skill|the *other*]]\t[[ skills/jwks#JWKS ]] `[[jwks]]`",
		"skills/other.skill.md": "---\nname: other\n---\n# Other\n\n| a |\n|---|\n| [[jwks\\|x]] |\n\n```\n[[jwks]]\n```\n\n[x]: jwks.skill.md 'T'\n\n[a](./jwks.skill.md) [b](/skills/jwks.skill.md#jwks) [c](jwks.skill) [[jwks.skill.md]]  \n",
		"people/sam.md":         "# Sam\n\nFirst call for [[jwks]]; é [[jwks]].\n",
		"notes.md":              "# Notes\n\njwks, \\[[jwks]], <!-- [[jwks]] -->\n",
	}
	after := map[string]string{
		"rotations/keys/jwks-spike.skill.md": "---\nname: jwks-spike # mine\nmetadata:\n  alternates: \"disk, other\"\n---\n\n# JWKS\n\n[[disk]] [[../../people/sam]] [p](../../people/sam.md#sam) [[jwks-spike#JWKS]] [[#JWKS]]\n",
		"skills/disk.skill.md":               "---\r\nname: disk\r\nmetadata:\r\n  alternates: \"bad-deploy,  jwks-spike ,jwks-two\"\r\n  owners: \"@sam\"\r\n---\r\n# Disk\r\n[[rotations/keys/jwks-spike.skill|the *other*]]\t[[ rotations/keys/jwks-spike#JWKS ]] `[[jwks]]`",
		"skills/other.skill.md":              "---\nname: other\n---\n# Other\n\n| a |\n|---|\n| [[jwks-spike\\|x]] |\n\n```\n[[jwks]]\n```\n\n[x]: ../rotations/keys/jwks-spike.skill.md 'T'\n\n[a](../rotations/keys/jwks-spike.skill.md) [b](/rotations/keys/jwks-spike.skill.md#jwks) [c](../rotations/keys/jwks-spike.skill) [[jwks-spike.skill.md]]  \n",
		"people/sam.md":                      "# Sam\n\nFirst call for [[jwks-spike]]; é [[jwks-spike]].\n",
		"notes.md":                           before["notes.md"],
	}
	dir := folder(t, before)
	w := open(t, wiki.Config{Dir: dir})
	dry, err := w.Rename(t.Context(), wiki.Rename{From: "skills/jwks", To: "rotations/keys/jwks-spike", DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range before {
		if get(t, dir, name) != text {
			t.Errorf("a dry run changed %s", name)
		}
	}
	r, err := w.Rename(t.Context(), wiki.Rename{From: "skills/jwks", To: "rotations/keys/jwks-spike"})
	if err != nil || len(r.Notes) > 0 || r.Page == nil || r.Page.Name != "jwks-spike" {
		t.Fatalf("%+v, %v", r, err)
	}
	if fmt.Sprint(dry.Pages) != fmt.Sprint(r.Pages) || len(r.Pages) != 4 || r.Pages[1].Path != "skills/disk.skill.md" || len(r.Pages[1].Changes) != 3 {
		t.Errorf("told %+v and did %+v", dry.Pages, r.Pages)
	}
	for name, text := range after {
		if got := get(t, dir, name); got != text {
			t.Errorf("%s\n got %q\nwant %q", name, got, text)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "skills/jwks.skill.md")); err == nil {
		t.Error("the old page is still there")
	}
	if b := w.Broken(); len(b) != 0 {
		t.Errorf("broken: %+v", b)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".prunella*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// Sam.md can follow on sam.md, in every link, where the two are different files.
func TestRenameChangesCapitals(t *testing.T) {
	dir := folder(t, map[string]string{"people/sam.md": "# Sam\n\n[[sam]]\n", "x.md": "# X\n\n[[sam|S]] [[people/sam#Sam]] [p](people/sam.md) `[[sam]]`\n"})
	if _, err := os.Stat(filepath.Join(dir, "people/SAM.md")); err == nil {
		t.Skip("sam.md and SAM.md are one file here")
	}
	w := open(t, wiki.Config{Dir: dir})
	if _, err := w.Rename(t.Context(), wiki.Rename{From: "people/sam", To: "people/Sam"}); err != nil {
		t.Fatal(err)
	}
	if got, want := get(t, dir, "x.md"), "# X\n\n[[Sam|S]] [[people/Sam#Sam]] [p](people/Sam.md) `[[sam]]`\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := get(t, dir, "people/Sam.md"); got != "# Sam\n\n[[Sam]]\n" {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "people/sam.md")); err == nil || len(w.Broken()) > 0 {
		t.Errorf("sam.md is still there, or links are broken: %+v", w.Broken())
	}
	if _, err := w.Rename(t.Context(), wiki.Rename{From: "people/Sam", To: "people/Sam"}); err == nil {
		t.Error("a page was renamed to itself")
	}
}

// A name that another page's short link would now mean is written out there.
func TestRenameKeepsOthersApart(t *testing.T) {
	dir := folder(t, map[string]string{"people/sam.md": "# Sam\n", "companies/old.md": "# Old\n\n[[sam]] [[people/sam]]\n", "x.md": "# X\n\n[[sam|S]] [[old]]\n"})
	w := open(t, wiki.Config{Dir: dir})
	if _, err := w.Rename(t.Context(), wiki.Rename{From: "old", To: "sam"}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, dir, "x.md"); got != "# X\n\n[[people/sam|S]] [[companies/sam]]\n" {
		t.Errorf("%q", got)
	}
	if got := get(t, dir, "companies/sam.md"); got != "# Old\n\n[[people/sam]] [[people/sam]]\n" {
		t.Errorf("%q", got)
	}
}

func TestRenameRefused(t *testing.T) {
	dir := folder(t, map[string]string{"skills/a.skill.md": "---\nname: a\n---\n# A\n", "skills/b.skill.md": "---\nname: b\n---\n# B\n", "people/c.md": "# C\n"})
	w := open(t, wiki.Config{Dir: dir})
	for _, c := range []struct {
		from, to string
		kind     prunella.Kind
	}{{"a", "b", prunella.Conflict}, {"a", "a", prunella.Conflict}, {"a", "Not A Skill", prunella.Invalid}, {"nope", "x", prunella.NotFound}, {"c", "../x", prunella.Invalid}, {"c", "", prunella.Invalid}} {
		if _, err := w.Rename(t.Context(), wiki.Rename{From: c.from, To: c.to}); prunella.KindOf(err) != c.kind {
			t.Errorf("%s to %s: %v, want %s", c.from, c.to, err, c.kind)
		}
	}
	if _, err := w.Rename(t.Context(), wiki.Rename{From: "c", To: "./C 2"}); err != nil || get(t, dir, "C 2.md") != "# C\n" {
		t.Errorf("to the top: %v", err)
	}
}

// cities is a wiki where a page is renamed again and again while others link to it.
func cities() map[string]string {
	pages := map[string]string{"places/city.md": "# City\n\nSee [[#City]] and [[page-0]].\n"}
	for i := range 40 {
		pages[fmt.Sprintf("pages/page-%d.md", i)] = fmt.Sprintf("# Page %d\n\n[[places/city]] and [[city#City|here]], [file](../places/city.md), [[page-%d]].\n", i, (i+1)%40)
	}
	return pages
}

// renameForever is what the process runs that TestRenameSurvivesKill kills.
func renameForever(dir string) {
	w, err := wiki.Open(context.Background(), wiki.Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	for i := 0; ; i++ {
		p := w.Pages(wiki.Filter{})
		from := ""
		for _, p := range p {
			if strings.HasPrefix(p.Path, "places/") {
				from = p.Path
			}
		}
		if _, err := w.Rename(context.Background(), wiki.Rename{From: from, To: fmt.Sprintf("places/city-%d-%d", os.Getpid(), i)}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// A process killed at any point of a rename leaves no link broken and no page
// lost; the next one finishes what was begun.
func TestRenameSurvivesKill(t *testing.T) {
	dir := folder(t, cities())
	texts := func() string { // what the pages say, whatever the city is called
		var all []string
		for i := range 40 {
			text := get(t, dir, fmt.Sprintf("pages/page-%d.md", i))
			_, name, _ := strings.Cut(text, "[[places/")
			name, _, _ = strings.Cut(name, "]]")
			all = append(all, strings.ReplaceAll(text, name, "NAME"))
		}
		return strings.Join(all, "")
	}
	want := texts()
	cut := 0
	for i := range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "WIKI_TEST_RENAMES="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 16)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(20+i*13) * time.Millisecond) // a moment of its work, whichever
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if _, err := os.Stat(filepath.Join(dir, ".prunella-rename.json")); err == nil {
			cut++
		}
		w, err := wiki.Open(t.Context(), wiki.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if b := w.Broken(); len(b) > 0 {
			t.Errorf("kill %d: broken: %+v", i, b)
		}
		if n := len(w.Pages(wiki.Filter{})); n != 41 || texts() != want {
			t.Errorf("kill %d: %d pages", i, n)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if cut == 0 {
		t.Error("no kill hit a rename")
	}
}
