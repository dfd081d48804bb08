package wiki_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"prunella"
	"prunella/skill"
	"prunella/wiki"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("WIKI_TEST_RENAMES"); dir != "" {
		renameForever(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// folder makes a wiki of some pages.
func folder(t testing.TB, pages map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range pages {
		put(t, dir, name, text)
	}
	return dir
}

func put(t testing.TB, dir, name, text string) {
	t.Helper()
	full := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func open(t testing.TB, config wiki.Config) *wiki.Wiki {
	t.Helper()
	w, err := wiki.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// The pages that we ship hold together.
func TestShippedPages(t *testing.T) {
	r := open(t, wiki.Config{}).Check(time.Now())
	if len(r.Broken)+len(r.Orphans)+len(r.Stale)+len(r.Duplicates)+len(r.Problems)+r.Lint.Errors != 0 {
		t.Errorf("%+v", r)
	}
	if r.Pages < 8 || r.Links < 40 || r.Lint.Skills < 4 {
		t.Errorf("looked at %d pages, %d links, %d skills", r.Pages, r.Links, r.Lint.Skills)
	}
}

func TestPage(t *testing.T) {
	dir := folder(t, map[string]string{
		"skills/full-disk.skill.md": "---\nname: full-disk\ndescription: Use when a disk is full.\nmetadata:\n  category: storage\n  owners: \"@ann, @bo\"\n  version: 1.0.0\n  last-verified: \"2026-04-19\"\n---\n\n# The disk is `full`\n\n## Diagnosis (3 min)\n\nSee [[people/ann#Duties|her]].\n\n## Diagnosis (3 min)\n",
		"people/ann.md":             "# Ann\n\n## Duties\n",
		"notes.md":                  "no heading\n",
	})
	w := open(t, wiki.Config{Dir: dir})
	p, text, err := w.Page(t.Context(), "full-disk")
	if err != nil {
		t.Fatal(err)
	}
	got := *p
	got.Hash, got.Size, got.Modified, got.Meta = "", 0, time.Time{}, nil
	want := wiki.Page{Path: "skills/full-disk.skill.md", Name: "full-disk", Kind: wiki.Skill, Title: "The disk is full",
		Description: "Use when a disk is full.", Category: "storage", Owners: []string{"@ann", "@bo"},
		Verified: time.Date(2026, 4, 19, 0, 0, 0, 0, time.UTC),
		Headings: []wiki.Heading{{Level: 1, Text: "The disk is full", Slug: "the-disk-is-full", Line: 11}, {Level: 2, Text: "Diagnosis (3 min)", Slug: "diagnosis-3-min", Line: 13},
			{Level: 2, Text: "Diagnosis (3 min)", Slug: "diagnosis-3-min-1", Line: 17}},
		Links: []wiki.Link{{Target: "people/ann", Heading: "Duties", Text: "her", Line: 15, Column: 5, Start: strings.Index(text, "people/"), Stop: strings.Index(text, "#Duties")}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if p.Meta["version"] != "1.0.0" || text != get(t, dir, p.Path) {
		t.Errorf("meta %v, text %q", p.Meta, text)
	}
	if p, err := w.Find("notes"); err != nil || p.Title != "Notes" || p.Kind != wiki.Other {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := w.Find("skills/ful-disk"); prunella.KindOf(err) != prunella.NotFound || !strings.Contains(err.Error(), "skills/full-disk") {
		t.Errorf("no page is told as %v", err)
	}
	day := 24 * time.Hour
	for age, want := range map[time.Duration]string{30 * day: skill.Fresh, 90 * day: skill.Due, 91 * day: skill.Stale} {
		if got := w.Freshness(p, p.Verified.Add(age)); got != want {
			t.Errorf("%v after verification the page is %s, want %s", age, got, want)
		}
	}
}

// A run's word about when a skill was verified goes before the page's.
func TestVerifiedByARun(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	dir := folder(t, map[string]string{"skills/a.skill.md": "---\nname: a\nmetadata:\n  last-verified: \"2025-01-01\"\n---\n# A\n", "skills/b.skill.md": "---\nname: b\nmetadata:\n  last-verified: \"2025-01-02\"\n---\n# B\n"})
	w := open(t, wiki.Config{Dir: dir, Verified: func(name string) time.Time {
		if name == "a" {
			return now.AddDate(0, 0, -1)
		}
		return time.Time{}
	}})
	if got := w.Stale(now); len(got) != 1 || got[0].Path != "skills/b.skill.md" || got[0].Reason != "last verified 2025-01-02, 668 days ago" {
		t.Errorf("stale: %+v", got)
	}
	if got := w.Pages(wiki.Filter{Freshness: skill.Fresh, Now: now}); len(got) != 1 || got[0].Name != "a" {
		t.Errorf("fresh: %v", got)
	}
}

// What is wrong with one page is told, and the others are served.
func TestBadPages(t *testing.T) {
	bomb := "---\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c]\n---\n# Bomb\n\ndefused\n"
	dir := folder(t, map[string]string{
		"good.md":     "# Good\n\n[[circle-a]] [[bomb]] [[latin]] [[huge]]\n",
		"bomb.md":     bomb,
		"latin.md":    "# Caf\xe9\n",
		"circle-a.md": "# A\n\n[[circle-b]]\n",
		"circle-b.md": "# B\n\n[[circle-a]]\n",
		"Twice.md":    "# Upper\n", "twice.md": "# Lower\n",
		"locked.md":        "# Locked\n",
		"empty.md":         "",
		".git/hidden.md":   "# Hidden\n",
		"no-suffix.txt":    "# No page\n",
		"sub/deep/page.md": "# Deep\n",
		"unfinished.md":    "---\nname: x\n# never closed\n",
		"überlast.md":      "no heading\n",
		"la\xffutin.md":    "# Nobody can link here\n",
	})
	huge, err := os.Create(filepath.Join(dir, "huge.md"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(huge.Truncate(50<<20), huge.Close(), os.Symlink("..", filepath.Join(dir, "sub/loop")), os.Symlink("/etc/passwd", filepath.Join(dir, "escape.md")),
		os.Symlink("circle.md", filepath.Join(dir, "circle.md")), syscall.Mkfifo(filepath.Join(dir, "pipe.md"), 0o644), os.Chmod(filepath.Join(dir, "locked.md"), 0)); err != nil {
		t.Fatal(err)
	}
	w := open(t, wiki.Config{Dir: dir})
	r := w.Check(time.Now())
	got := map[string]string{}
	for _, p := range r.Problems {
		got[p.File] += p.Rule + " "
	}
	want := map[string]string{"bomb.md": "front-matter ", "latin.md": "not-utf8 ", "huge.md": "too-large ", "escape.md": "unreadable ", "circle.md": "unreadable ", "la\xffutin.md": "unreadable "}
	if os.Geteuid() != 0 { // root reads everything
		want["locked.md"] = "unreadable "
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(r.Broken) != 0 {
		t.Errorf("a circle of links is no fault: %+v", r.Broken)
	}
	if len(r.Duplicates) != 1 || r.Duplicates[0].Rule != "same-path" || !slices.Equal(r.Duplicates[0].Pages, []string{"Twice.md", "twice.md"}) {
		t.Errorf("duplicates: %+v", r.Duplicates)
	}
	for name, kind := range map[string]prunella.Kind{"latin": prunella.Invalid, "huge": prunella.TooLarge, "escape": prunella.Unavailable, "pipe": prunella.NotFound, "hidden": prunella.NotFound, "sub/loop/good": prunella.NotFound} {
		if _, _, err := w.Page(t.Context(), name); prunella.KindOf(err) != kind {
			t.Errorf("page %s: %v, want %s", name, err, kind)
		}
	}
	if _, _, err := w.Page(t.Context(), "latin"); !strings.Contains(err.Error(), "latin.md:1:6") {
		t.Errorf("it does not say where: %v", err)
	}
	for _, p := range w.Pages(wiki.Filter{}) {
		if !utf8.ValidString(p.Name) || !utf8.ValidString(p.Title) || p.Path == "überlast.md" && p.Title != "Überlast" {
			t.Errorf("%q is called %q, %q", p.Path, p.Name, p.Title)
		}
	}
	if hits := search(t, w, "defused"); !slices.Equal(hits, []string{"bomb.md"}) {
		t.Errorf("a page with bad front matter is found by its text: %v", hits)
	}
	if _, text, err := w.Page(t.Context(), "good"); err != nil || !strings.HasPrefix(text, "# Good") {
		t.Errorf("%q, %v", text, err)
	}
}

func search(t testing.TB, w *wiki.Wiki, text string) []string {
	t.Helper()
	r, err := w.Search(t.Context(), wiki.Query{Text: text})
	if err != nil {
		t.Fatalf("search %q: %v", text, err)
	}
	out := []string{}
	for _, h := range r.Hits {
		out = append(out, h.Path)
	}
	return out
}

// A kept index is brought up to the files, and a broken one made anew.
func TestKeptIndex(t *testing.T) {
	dir := folder(t, map[string]string{"a.md": "# A\n\nalpha\n", "b.md": "# B\n\nbravo\n", "c.md": "# C\n\ncharlie\n"})
	file := filepath.Join(t.TempDir(), "cache", "index.db")
	config := wiki.Config{Dir: dir, Index: file}
	with := func(use func(*wiki.Wiki)) {
		t.Helper()
		w, err := wiki.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		use(w)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	with(func(*wiki.Wiki) {})
	// Same size, same time: only the bytes tell.
	info, err := os.Stat(filepath.Join(dir, "a.md"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "a.md", "# A\n\nomega\n")
	if err := errors.Join(os.Chtimes(filepath.Join(dir, "a.md"), info.ModTime(), info.ModTime()), os.Remove(filepath.Join(dir, "b.md"))); err != nil {
		t.Fatal(err)
	}
	upToDate := func(w *wiki.Wiki) {
		t.Helper()
		for text, want := range map[string][]string{"omega": {"a.md"}, "alpha": {}, "bravo": {}, "charlie": {"c.md"}} {
			if got := search(t, w, text); !slices.Equal(got, want) {
				t.Errorf("%s is on %v, want %v", text, got, want)
			}
		}
	}
	with(func(w *wiki.Wiki) {
		upToDate(w)
		upToDate(open(t, config)) // a second process gets an index of its own
	})
	for name, damage := range map[string]func([]byte) []byte{
		"not a database": func([]byte) []byte { return []byte(strings.Repeat("no database ", 1000)) },
		"cut short":      func(b []byte) []byte { return b[:len(b)/2] },
		"empty":          func([]byte) []byte { return nil },
		"overwritten":    func(b []byte) []byte { clear(b[4096:]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			with(upToDate)
		})
	}
	t.Run("while open", func(t *testing.T) {
		with(func(w *wiki.Wiki) {
			for _, suffix := range []string{"", "-wal"} {
				if info, err := os.Stat(file + suffix); err == nil && info.Size() > 0 {
					if err := os.WriteFile(file+suffix, make([]byte, info.Size()), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			upToDate(w)
		})
	})
}

func TestOpenComplains(t *testing.T) {
	if _, err := wiki.Open(t.Context(), wiki.Config{Dir: filepath.Join(t.TempDir(), "absent")}); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("no folder: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := wiki.Open(ctx, wiki.Config{Dir: folder(t, map[string]string{"a.md": "# A\n"})}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := fs.Stat(wiki.FS(), "skills"); err != nil {
		t.Error(err)
	}
}
