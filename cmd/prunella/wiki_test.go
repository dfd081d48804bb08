package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func wikiFolder(t *testing.T) string {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	for name, text := range map[string]string{
		"people/sam.md":     "# Sam\n\nSee [[companies/acme]].\n",
		"companies/acme.md": "# Acme\n\n[[people/sam|Sam]] and [[people/samm]] know `ECONNREFUSED`.\n",
		"lonely.md":         "---\nlast-verified: \"2020-01-01\"\n---\n# Lonely\n",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestWikiCheck(t *testing.T) {
	if code, out, complaint := command(t, "wiki", "check"); code != exitPassed || !strings.Contains(out, ": 0 broken, 0 orphans") {
		t.Errorf("the shipped pages: %d\n%s%s", code, out, complaint)
	}
	dir := wikiFolder(t)
	code, out, complaint := command(t, "wiki", "check", "--wiki", dir)
	for _, want := range []string{"companies/acme.md:3:24: broken-link: there is no page people/samm; did you mean people/sam?\n", "lonely.md: orphan: ", "lonely.md: stale: last verified 2020-01-01, ", "3 pages, 3 links: 1 broken, 1 orphans, 1 stale, 0 duplicates."} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if code != exitFailed || complaint != "" {
		t.Errorf("exit %d, %q", code, complaint)
	}
	var r struct {
		Pages  int
		Broken []struct {
			From, Rule string
			Link       struct{ Target string }
		}
		Orphans []string
	}
	code, out, _ = command(t, "wiki", "check", "--wiki", dir, "--json")
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitFailed || r.Pages != 3 || len(r.Broken) != 1 || r.Broken[0].Link.Target != "people/samm" || len(r.Orphans) != 1 {
		t.Errorf("%d, %+v, %v", code, r, err)
	}
	if code, _, complaint := command(t, "wiki", "check", "--wiki", filepath.Join(dir, "absent")); code != exitUsage || !strings.Contains(complaint, "absent") {
		t.Errorf("no such folder: %d, %q", code, complaint)
	}
}

func TestWikiSearch(t *testing.T) {
	dir := wikiFolder(t)
	for range 2 { // the second time from the kept index
		code, out, complaint := command(t, "wiki", "search", "--wiki", dir, "econnrefus")
		if code != exitPassed || complaint != "" || !strings.Contains(out, "Acme  companies/acme.md\n") || !strings.Contains(out, "know ECONNREFUSED") {
			t.Errorf("%d\n%s%s", code, out, complaint)
		}
	}
	var r struct {
		Hits []struct{ Path, Title string }
	}
	code, out, _ := command(t, "wiki", "search", "--json", "--owner", "sam", "--category", "engineering", "--kind", "skill", "redis")
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitPassed || len(r.Hits) == 0 || r.Hits[0].Path != "skills/redis-cache-eviction.skill.md" {
		t.Errorf("%d, %+v, %v", code, r, err)
	}
	if code, out, complaint := command(t, "wiki", "search", "xyzzy"); code != exitPassed || out != "" || complaint != "No page has that.\n" {
		t.Errorf("nothing found: %d, %q, %q", code, out, complaint)
	}
	if code, _, _ := command(t, "wiki", "search", "--freshness", "rotten", "x"); code != exitUsage {
		t.Errorf("a freshness that is none: %d", code)
	}
}

func TestWikiRename(t *testing.T) {
	dir := wikiFolder(t)
	page := func() string {
		b, err := os.ReadFile(filepath.Join(dir, "companies/acme.md"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before := page()
	want := " people/sam.md to people/samuel.md; pages with changes: 1\n  companies/acme.md:3: people/sam -> people/samuel\n"
	if code, out, complaint := command(t, "wiki", "rename", "--wiki", dir, "sam", "samuel", "--dry-run"); code != exitPassed || out != "Would rename"+want || page() != before {
		t.Errorf("%d\n%s%s", code, out, complaint)
	}
	if code, out, complaint := command(t, "wiki", "rename", "--wiki", dir, "sam", "samuel"); code != exitPassed || out != "Renamed"+want || page() != strings.Replace(before, "people/sam|", "people/samuel|", 1) {
		t.Errorf("%d\n%s%s", code, out, complaint)
	}
	if code, _, complaint := command(t, "wiki", "rename", "sam", "samuel"); code != exitUsage || !strings.Contains(complaint, "--wiki") {
		t.Errorf("the shipped pages: %d, %q", code, complaint)
	}
	if code, _, complaint := command(t, "wiki", "rename", "--wiki", dir, "samuel", "lonely"); code != exitPassed || complaint != "" {
		t.Errorf("another folder's name: %d, %q", code, complaint)
	}
	if code, _, complaint := command(t, "wiki", "rename", "--wiki", dir, "companies/acme", "./lonely"); code != exitError || !strings.Contains(complaint, "already") {
		t.Errorf("a name that is taken: %d, %q", code, complaint)
	}
}

// The copy is a wiki of one's own, and never overwrites one.
func TestWikiCopy(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "ours")
	if code, out, complaint := command(t, "wiki", "copy", dir); code != exitPassed || !strings.Contains(out, "wiki: "+dir) {
		t.Fatalf("%d, %q, %q", code, out, complaint)
	}
	if code, out, _ := command(t, "wiki", "check", "--wiki", dir); code != exitPassed {
		t.Errorf("%d\n%s", code, out)
	}
	if code, _, complaint := command(t, "wiki", "copy", dir); code == exitPassed || !strings.Contains(complaint, "not empty") {
		t.Errorf("again: %d, %q", code, complaint)
	}
}
