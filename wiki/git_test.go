package wiki_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"prunella"
	"prunella/wiki"
)

// git runs git in a folder, away from the machine's own configuration.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// repository makes a wiki kept in git, in a folder of a larger repository.
func repository(t *testing.T, pages map[string]string) (top, dir string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	top = folder(t, map[string]string{"code.go": "package code\n", "other.go": "package code\n"})
	dir = filepath.Join(top, "docs", "wiki")
	for name, text := range pages {
		put(t, dir, name, text)
	}
	git(t, top, "init", "-q", "-b", "main")
	git(t, top, "config", "user.name", "Server")
	git(t, top, "config", "user.email", "server@acme.example")
	git(t, top, "add", ".")
	git(t, top, "commit", "-q", "-m", "Begin")
	return top, dir
}

// An edit is committed with author and reason, and nothing else is: what a
// person has staged, changed or not yet added stays as it was.
func TestCommit(t *testing.T) {
	top, dir := repository(t, map[string]string{"people/sam.md": "# Sam\n"})
	put(t, top, "code.go", "package code // staged\n")
	git(t, top, "add", "code.go")
	put(t, top, "code.go", "package code // staged, then changed\n")
	put(t, top, "other.go", "package code // changed\n")
	put(t, top, "new.go", "package code // not added\n")
	status := git(t, top, "status", "--porcelain")
	staged := git(t, top, "diff", "--cached")
	w := open(t, wiki.Config{Dir: dir, Commit: true})
	p, err := w.Find("sam")
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Save(t.Context(), wiki.Edit{Path: p.Path, Base: p.Hash, Text: "# Sam\n\nmoved\n", Author: "Ann Lee <ann@acme.example>", Reason: "Sam moved\n\n# not a comment"})
	if err != nil || s.Uncommitted != "" || s.Commit != git(t, top, "rev-parse", "HEAD") {
		t.Fatalf("%+v, %v", s, err)
	}
	if got := git(t, top, "log", "-1", "--format=%an|%ae|%cn|%B", "--name-only"); got != "Ann Lee|ann@acme.example|Server|Sam moved\n\n# not a comment\n\n\ndocs/wiki/people/sam.md" {
		t.Errorf("committed:\n%s", got)
	}
	n, err := w.Save(t.Context(), wiki.Edit{Path: "people/eve's page.md", Text: "# Eve\n", Author: "eve"})
	if err != nil || n.Uncommitted != "" {
		t.Fatalf("%+v, %v", n, err)
	}
	if got := git(t, top, "log", "-1", "--format=%an|%ae|%s", "--name-only"); got != "eve||Edit people/eve's page.md\n\ndocs/wiki/people/eve's page.md" {
		t.Errorf("committed:\n%s", got)
	}
	if got := git(t, top, "status", "--porcelain"); got != status || git(t, top, "diff", "--cached") != staged {
		t.Errorf("status was\n%s\nand is\n%s", status, got)
	}
	again, err := w.Save(t.Context(), wiki.Edit{Path: n.Page.Path, Base: n.Page.Hash, Text: "# Eve\n"})
	if err != nil || again.Uncommitted != "" || again.Commit != n.Commit {
		t.Errorf("nothing changed: %+v, %v", again, err)
	}
	r, err := w.Rename(t.Context(), wiki.Rename{From: "sam", To: "samuel", Author: "-x --amend <a\n<b>>"})
	if err != nil || r.Uncommitted != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := git(t, top, "log", "-1", "--format=%an|%s", "--name-status", "-M"); got != "-x --amend|Rename people/sam.md to people/samuel.md\n\nR100\tdocs/wiki/people/sam.md\tdocs/wiki/people/samuel.md" {
		t.Errorf("committed:\n%s", got)
	}
	if got := git(t, top, "status", "--porcelain"); got != status {
		t.Errorf("status was\n%s\nand is\n%s", status, got)
	}
	versions, err := w.History(t.Context(), "people/samuel.md")
	if err != nil || len(versions) != 3 {
		t.Fatalf("%+v, %v", versions, err)
	}
	if v := versions[1]; v.Author != "Ann Lee" || v.Email != "ann@acme.example" || v.Path != "people/sam.md" || v.Reason != "Sam moved\n\n# not a comment" || v.Commit != s.Commit || v.Time.IsZero() {
		t.Errorf("%+v", v)
	}
	if text, err := w.Revision(t.Context(), "people/samuel.md", versions[2].Commit[:7]); err != nil || text != "# Sam\n" {
		t.Errorf("%q, %v", text, err)
	}
	for _, commit := range []string{"", "main", "--help", git(t, top, "rev-parse", "HEAD~1"), versions[0].Commit[:6]} {
		if _, err := w.Revision(t.Context(), "people/samuel.md", commit); prunella.KindOf(err) != prunella.NotFound {
			t.Errorf("revision %q: %v", commit, err)
		}
	}
	lines, err := w.Diff(t.Context(), "people/samuel.md", versions[2].Commit, "")
	want := []wiki.Line{{Op: "=", Text: "# Sam", Old: 1, New: 1}, {Op: "+", New: 2}, {Op: "+", Text: "moved", New: 3}}
	if err != nil || !slices.Equal(lines, want) {
		t.Errorf("%+v, %v", lines, err)
	}
	git(t, top, "fsck", "--strict")
}

// The text that both began with is found in git too: then edits can be merged
// after a restart.
func TestMergeFromHistory(t *testing.T) {
	_, dir := repository(t, map[string]string{"a.md": "# A\n\none\ntwo\nthree\n"})
	config := wiki.Config{Dir: dir, Commit: true}
	w, err := wiki.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Find("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Save(t.Context(), wiki.Edit{Path: "a.md", Base: p.Hash, Text: "# A\n\nONE\ntwo\nthree\n"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = open(t, config).Save(t.Context(), wiki.Edit{Path: "a.md", Base: p.Hash, Text: "# A\n\none\ntwo\nTHREE\n"})
	var conflict *wiki.Conflict
	if !errors.As(err, &conflict) || !conflict.Clean || conflict.Merged != "# A\n\nONE\ntwo\nTHREE\n" {
		t.Errorf("%+v, %v", conflict, err)
	}
}

// What git cannot do is said; the page is saved all the same.
func TestUncommitted(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, top, dir string)
		path    string
		says    string
	}{
		"identity": {func(t *testing.T, top, _ string) {
			git(t, top, "config", "--unset", "user.name")
			git(t, top, "config", "user.email", "")
			git(t, top, "config", "user.useConfigOnly", "true")
		}, "a.md", "set user.name and user.email"},
		"locked": {func(t *testing.T, top, _ string) { put(t, top, ".git/index.lock", "") }, "a.md", "another git command"},
		"hook": {func(t *testing.T, top, _ string) {
			put(t, top, ".git/hooks/pre-commit", "#!/bin/sh\necho 'no edits on Fridays' >&2\nexit 1\n")
			if err := os.Chmod(filepath.Join(top, ".git/hooks/pre-commit"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, "new.md", "no edits on Fridays"},
		"ignored":  {func(t *testing.T, top, _ string) { put(t, top, ".gitignore", "drafts/\n") }, "drafts/x.md", ".gitignore"},
		"no git":   {func(t *testing.T, _, _ string) { t.Setenv("PATH", "") }, "a.md", "not installed"},
		"merging":  {merging, "a.md", "a merge, rebase or cherry-pick"},
		"detached": {func(t *testing.T, top, _ string) { git(t, top, "checkout", "-q", "--detach") }, "a.md", ""},
		"no commits": {func(t *testing.T, top, _ string) {
			if err := os.RemoveAll(filepath.Join(top, ".git")); err != nil {
				t.Fatal(err)
			}
			git(t, top, "init", "-q")
			git(t, top, "config", "user.name", "Server")
			git(t, top, "config", "user.email", "s@x")
		}, "a.md", ""},
		"own repository below": {func(t *testing.T, _, dir string) {
			put(t, dir, "team/x.md", "# X\n")
			git(t, filepath.Join(dir, "team"), "init", "-q")
			git(t, filepath.Join(dir, "team"), "config", "user.name", "Server")
			git(t, filepath.Join(dir, "team"), "config", "user.email", "s@x")
		}, "team/x.md", ""},
		"in a hook": {func(t *testing.T, _, dir string) {
			t.Setenv("GIT_DIR", filepath.Join(dir, "nowhere"))
			t.Setenv("GIT_INDEX_FILE", filepath.Join(dir, "no-index"))
		}, "a.md", ""},
	} {
		t.Run(name, func(t *testing.T) {
			top, dir := repository(t, map[string]string{"a.md": "# A\n"})
			c.prepare(t, top, dir)
			w := open(t, wiki.Config{Dir: dir, Commit: true})
			base := ""
			if p, err := w.Find(c.path); err == nil {
				base = p.Hash
			}
			s, err := w.Save(t.Context(), wiki.Edit{Path: c.path, Base: base, Text: "# A\n\nsaved\n", Author: "Ann"})
			if err != nil || get(t, dir, c.path) != "# A\n\nsaved\n" {
				t.Fatalf("not saved: %v", err)
			}
			if c.says == "" && (s.Uncommitted != "" || s.Commit == "") || c.says != "" && (!strings.Contains(s.Uncommitted, c.says) || s.Commit != "") {
				t.Errorf("%+v, want %q", s, c.says)
			}
			if name == "hook" {
				if got := git(t, top, "status", "--porcelain"); got != "?? docs/wiki/new.md" {
					t.Errorf("the index was left with\n%s", got)
				}
			}
		})
	}
}

func merging(t *testing.T, top, dir string) {
	git(t, top, "checkout", "-q", "-b", "other")
	put(t, top, "code.go", "package other\n")
	git(t, top, "commit", "-qam", "Other")
	git(t, top, "checkout", "-q", "main")
	put(t, top, "code.go", "package main\n")
	git(t, top, "commit", "-qam", "Main")
	if out, err := exec.Command("git", "-C", top, "merge", "other").CombinedOutput(); err == nil {
		t.Fatalf("no conflict: %s", out)
	}
}
