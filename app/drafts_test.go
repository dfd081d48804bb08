package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"prunella"
	"prunella/client"
	"prunella/skill"
)

// draftOf writes a draft made of a shipped skill and returns its file.
func draftOf(t *testing.T, dir, name string, change func(string) string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "drafts"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "drafts", name+skill.Suffix)
	write(t, file, change(read(t, filepath.Join(dir, "skills", spike+skill.Suffix))))
	return file
}

// A new draft becomes a skill in use, with who read it; a change becomes the
// next version of its skill, unless that was changed since the draft was made.
func TestAcceptedDraftsAreInUse(t *testing.T) {
	dir := ownWiki(t)
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Wiki: dir})
	defer stop()
	b := backend{a}
	draftOf(t, dir, "new-one", func(s string) string {
		return strings.Replace(strings.Replace(s, "name: "+spike, "name: new-one", 1), "version: v1.0.0", "version: 1.0.0-draft", 1)
	})
	draftOf(t, dir, "bad-one", func(s string) string {
		return strings.Replace(strings.Replace(s, "name: "+spike, "name: bad-one", 1), "kind: metric", "kind: nonsense", 1)
	})
	installed, _ := b.skills.find(spike)
	change := func(s string) string {
		return strings.Replace(s, "version: v1.0.0", "version: v1.1.0-draft\n  changes: "+installed.skill.Hash, 1) + "\nSeen again.\n"
	}
	draftOf(t, dir, spike, change)
	if err := a.wiki.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}

	bad, err := b.Draft(t.Context(), "bad-one")
	if err != nil || !strings.Contains(bad.Blocked, "nonsense") {
		t.Fatalf("%q, %v", bad.Blocked, err)
	}
	if _, err := b.AcceptDraft(t.Context(), "bad-one", bad.Page.Hash, "maya"); prunella.KindOf(err) != prunella.Invalid || !strings.Contains(err.Error(), "line 31") || !strings.Contains(err.Error(), "write one of log") {
		t.Errorf("a draft with an error: %v", err)
	}

	fresh, err := b.Draft(t.Context(), "new-one")
	if err != nil || fresh.Of != "" || fresh.Blocked != "" || fresh.Version != "1.0.0" {
		t.Fatalf("%+v, %v", fresh, err)
	}
	if _, err := b.AcceptDraft(t.Context(), "new-one", "another hash", "maya"); prunella.KindOf(err) != prunella.Conflict {
		t.Errorf("a draft that changed: %v", err)
	}
	url, err := b.AcceptDraft(t.Context(), "new-one", fresh.Page.Hash, "maya")
	if err != nil || url != "/skills/new-one" || version(a, "new-one") != "1.0.0" {
		t.Errorf("%s, %v, %q in use", url, err, version(a, "new-one"))
	}
	text := read(t, filepath.Join(dir, "skills", "new-one"+skill.Suffix))
	if !strings.Contains(text, "accepted-by: \"@maya\"") || !strings.Contains(text, "state: accepted") {
		t.Errorf("it says\n%.600s", text)
	}
	if _, err := os.Stat(filepath.Join(dir, "drafts", "new-one"+skill.Suffix)); !os.IsNotExist(err) {
		t.Errorf("the draft is still there: %v", err)
	}
	if log := git(t, dir, "log", "--format=%an %s"); !strings.Contains(log, "maya Accept new-one 1.0.0, read by maya") {
		t.Errorf("git knows\n%s", log)
	}

	// The process ended before it removed the draft: nothing more is to decide.
	write(t, filepath.Join(dir, "drafts", "new-one"+skill.Suffix), fresh.Page.Text)
	if err := a.wiki.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := b.Draft(t.Context(), "new-one")
	if err != nil || again.Blocked != "" {
		t.Fatalf("%q, %v", again.Blocked, err)
	}
	if _, err := b.AcceptDraft(t.Context(), "new-one", again.Page.Hash, "kim"); err != nil {
		t.Error(err)
	}
	if now := read(t, filepath.Join(dir, "skills", "new-one"+skill.Suffix)); now != text {
		t.Errorf("accepted again, it says\n%.600s", now)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "drafts", "new-one*")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}

	next, err := b.Draft(t.Context(), spike)
	if err != nil || next.Of != spike || next.Was != "v1.0.0" || next.Version != "v1.1.0" || next.Blocked != "" || !slices.ContainsFunc(next.Diff, func(l client.WikiLine) bool { return l.Op == "+" && l.Text == "Seen again." }) {
		t.Fatalf("%+v, %v", next.Blocked, err)
	}
	if _, err := b.AcceptDraft(t.Context(), spike, next.Page.Hash, "maya"); err != nil || version(a, spike) != "v1.1.0" {
		t.Errorf("%v, %q in use", err, version(a, spike))
	}
	draftOf(t, dir, spike, change) // made for the version before
	if err := a.wiki.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	late, err := b.Draft(t.Context(), spike)
	if err != nil || !strings.Contains(late.Blocked, "changed since") {
		t.Errorf("%q, %v", late.Blocked, err)
	}
	if err := b.DiscardDraft(t.Context(), spike, late.Page.Hash, "maya", "made again"); err != nil {
		t.Error(err)
	}
	if _, err := b.Draft(t.Context(), spike); prunella.KindOf(err) != prunella.NotFound {
		t.Errorf("a discarded draft: %v", err)
	}
}

// An edit through the pages is in the file, in git and in use; a second one on
// the same text is a conflict that names both; history and diff tell of it.
func TestEditsReachFileGitAndEngine(t *testing.T) {
	dir := ownWiki(t)
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Wiki: dir})
	defer stop()
	b := backend{a}
	page, err := b.WikiPage(t.Context(), "skills/"+spike)
	if err != nil {
		t.Fatal(err)
	}
	edit := client.WikiEdit{Path: page.Path, Base: page.Hash, Text: strings.Replace(page.Text, "version: v1.0.0", "version: v1.0.1", 1), By: "maya", Reason: "Say it better"}
	saved, err := b.WikiSave(t.Context(), edit)
	if err != nil || saved.Conflict != nil || saved.Commit == "" || saved.URL != "/skills/"+spike || version(a, spike) != "v1.0.1" {
		t.Fatalf("%+v, %v, %q in use", saved, err, version(a, spike))
	}
	edit.Text = page.Text + "\nMine.\n"
	saved, err = b.WikiSave(t.Context(), edit)
	if err != nil || saved.Conflict == nil || !saved.Conflict.Clean || !strings.Contains(saved.Conflict.Merged, "v1.0.1") || !strings.Contains(saved.Conflict.Merged, "Mine.") || !strings.Contains(saved.Conflict.Theirs, "v1.0.1") {
		t.Fatalf("%+v, %v", saved, err)
	}
	versions, err := b.WikiHistory(t.Context(), page.Path)
	if err != nil || len(versions) != 2 || versions[0].Author != "maya" || versions[0].Reason != "Say it better" {
		t.Fatalf("%+v, %v", versions, err)
	}
	diff, err := b.WikiDiff(t.Context(), page.Path, versions[1].Commit, "")
	if err != nil || !slices.ContainsFunc(diff, func(l client.WikiLine) bool { return l.Op == "+" && strings.Contains(l.Text, "v1.0.1") }) {
		t.Errorf("%v", err)
	}
	check, err := b.WikiCheck(t.Context())
	if err != nil || len(check.Broken) != 0 || check.Pages < 8 {
		t.Errorf("%+v, %v", check, err)
	}
	if l := b.WikiLink("people/sam.md", "skills/"+spike+"#Symptoms|what it looks like"); l.URL != "/skills/"+spike+"#symptoms" || l.Text != "what it looks like" || l.Broken != "" {
		t.Errorf("%+v", l)
	}
	if l := b.WikiLink("people/sam.md", "people/nobody"); l.URL != "" || l.Broken == "" {
		t.Errorf("%+v", l)
	}
}

// The shipped pages can be read, and say that they cannot be changed.
func TestShippedPagesAreReadOnly(t *testing.T) {
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir()})
	defer stop()
	c := client.New(a.URL())
	page, err := c.WikiPage(t.Context(), "people/sam")
	if err != nil || page.Editable || page.URL != "/people/sam" || len(page.Links) == 0 || len(page.Backlinks) == 0 {
		t.Fatalf("%+v, %v", page, err)
	}
	if _, err := (backend{a}).WikiSave(t.Context(), client.WikiEdit{Path: page.Path, Base: page.Hash, Text: "x", By: "maya"}); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("an edit: %v", err)
	}
	found, err := c.WikiSearch(t.Context(), client.WikiQuery{Text: "redis evict", Kind: "skill"})
	if err != nil || len(found.Hits) == 0 || found.Hits[0].Name != "redis-cache-eviction" {
		t.Errorf("%+v, %v", found, err)
	}
	if s, err := c.Status(t.Context()); err != nil || s.SkillProblems == nil || len(s.SkillProblems) != 0 {
		t.Errorf("%+v, %v", s.SkillProblems, err)
	}
}
