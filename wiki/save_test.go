package wiki_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"prunella"
	"prunella/wiki"
)

func TestSave(t *testing.T) {
	dir := folder(t, map[string]string{"people/sam.md": "# Sam\r\n\r\nold"})
	if err := os.Chmod(filepath.Join(dir, "people/sam.md"), 0o640); err != nil {
		t.Fatal(err)
	}
	w := open(t, wiki.Config{Dir: dir, Commit: true})
	p, _, err := w.Page(t.Context(), "sam")
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Save(t.Context(), wiki.Edit{Path: "people/sam.md", Base: p.Hash, Text: "# Sam\r\n\r\nwombat", Author: "Ann"})
	if err != nil || s.Commit != "" || s.Uncommitted != "" {
		t.Fatalf("%+v, %v", s, err)
	}
	if got := get(t, dir, "people/sam.md"); got != "# Sam\r\n\r\nwombat" {
		t.Errorf("on disk: %q", got)
	}
	if info, err := os.Stat(filepath.Join(dir, "people/sam.md")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if hits := search(t, w, "wombat"); !slices.Equal(hits, []string{"people/sam.md"}) {
		t.Errorf("found on %v", hits)
	}
	if _, err := w.Save(t.Context(), wiki.Edit{Path: "drafts/new/page.md", Text: "# New\n"}); err != nil {
		t.Error(err)
	}
	if p, _, err := w.Page(t.Context(), "drafts/new/page"); err != nil || p.Title != "New" || p.Kind != wiki.Draft {
		t.Errorf("%+v, %v", p, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// Two people edit the same page: the second is told, and has both texts.
func TestConflict(t *testing.T) {
	base := "# Sam\n\none\ntwo\nthree\nfour\nfive\n"
	for name, c := range map[string]struct {
		mine, theirs, merged string
		clean                bool
	}{
		"apart":    {"# Sam\n\nONE\ntwo\nthree\nfour\nfive\n", "# Sam\n\none\ntwo\nthree\nfour\nFIVE\nsix\n", "# Sam\n\nONE\ntwo\nthree\nfour\nFIVE\nsix\n", true},
		"the same": {"# Sam\n\none\n2\nthree\nfour\nfive\n", "# Sam\n\none\n2\nthree\nfour\nfive", "# Sam\n\none\n2\nthree\nfour\nfive", true},
		"across":   {"# Sam\n\none\nmine\nthree\nfour\nfive\n", "# Sam\n\none\ntheirs\nthree\nfour\nfive\n", "", false},
		"beside":   {"# Sam\n\none\nmine\nthree\nfour\nfive\n", "# Sam\n\none\ntwo\ntheirs\nfour\nfive\n", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, map[string]string{"people/sam.md": base})
			w := open(t, wiki.Config{Dir: dir})
			p, _, err := w.Page(t.Context(), "people/sam")
			if err != nil {
				t.Fatal(err)
			}
			put(t, dir, "people/sam.md", c.theirs) // from an editor, not through us
			_, err = w.Save(t.Context(), wiki.Edit{Path: "people/sam.md", Base: p.Hash, Text: c.mine})
			var conflict *wiki.Conflict
			if !errors.As(err, &conflict) || prunella.KindOf(err) != prunella.Conflict {
				t.Fatalf("saved over another edit: %v", err)
			}
			if conflict.Mine != c.mine || conflict.Theirs != c.theirs || conflict.Base != base || conflict.Merged != c.merged || conflict.Clean != c.clean || conflict.Gone {
				t.Errorf("%+v", conflict)
			}
			if got := get(t, dir, "people/sam.md"); got != c.theirs {
				t.Errorf("on disk: %q", got)
			}
			if _, err := w.Save(t.Context(), wiki.Edit{Path: "people/sam.md", Base: conflict.Hash, Text: c.mine}); err != nil {
				t.Errorf("on what is there now: %v", err)
			}
		})
	}
}

// A page removed while somebody edits it: the text is not lost.
func TestPageRemovedWhileEdited(t *testing.T) {
	dir := folder(t, map[string]string{"a.md": "# A\n"})
	w := open(t, wiki.Config{Dir: dir})
	p, text, err := w.Page(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "a.md")); err != nil {
		t.Fatal(err)
	}
	_, err = w.Save(t.Context(), wiki.Edit{Path: "a.md", Base: p.Hash, Text: "# A\n\nmuch work\n"})
	var conflict *wiki.Conflict
	if !errors.As(err, &conflict) || !conflict.Gone || conflict.Mine != "# A\n\nmuch work\n" || conflict.Base != text {
		t.Fatalf("%+v, %v", conflict, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a.md")); err == nil {
		t.Error("the page was made again unasked")
	}
	if _, err := w.Save(t.Context(), wiki.Edit{Path: "a.md", Text: conflict.Mine}); err != nil {
		t.Errorf("saved as a new page: %v", err)
	}
	if _, err := w.Save(t.Context(), wiki.Edit{Path: "a.md", Text: "# Another\n"}); prunella.KindOf(err) != prunella.Conflict {
		t.Errorf("a new page over one that is there: %v", err)
	}
	if _, _, err := w.Page(t.Context(), "gone"); prunella.KindOf(err) != prunella.NotFound {
		t.Error(err)
	}
}

// Of many who save upon the same text, one wins, whichever process it is in.
func TestOneWins(t *testing.T) {
	dir := folder(t, map[string]string{"a.md": "# A\n"})
	wikis := []*wiki.Wiki{open(t, wiki.Config{Dir: dir}), open(t, wiki.Config{Dir: dir})}
	p, err := wikis[0].Find("a")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var won []string
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			text := fmt.Sprintf("# A\n\n%d\n", i)
			_, err := wikis[i%2].Save(t.Context(), wiki.Edit{Path: "a.md", Base: p.Hash, Text: text})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, text)
			case prunella.KindOf(err) != prunella.Conflict:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 || get(t, dir, "a.md") != won[0] {
		t.Errorf("%d won: %q; on disk %q", len(won), won, get(t, dir, "a.md"))
	}
}

// No path leads out of the wiki, into git's folder, or behind a link.
func TestSaveOnlyPages(t *testing.T) {
	out := t.TempDir()
	dir := folder(t, map[string]string{"a.md": "# A\n", "sub/b.md": "# B\n"})
	if err := errors.Join(os.Symlink(out, filepath.Join(dir, "way-out")), os.Symlink("sub", filepath.Join(dir, "inside")), os.Symlink(filepath.Join(out, "x.md"), filepath.Join(dir, "link.md")), os.Mkdir(filepath.Join(dir, "folder.md"), 0o755)); err != nil {
		t.Fatal(err)
	}
	w := open(t, wiki.Config{Dir: dir})
	for _, name := range []string{"", ".", "/etc/x.md", "../x.md", "a/../../x.md", "./a.md", "sub//b.md", "sub/../a.md", "a", "a.txt", ".md", "sub/.md", ".git/x.md", ".git/hooks/pre-commit", "sub/.x.md", "node_modules/x.md",
		"a\x00.md", "a\n.md", `..\x.md`, "way-out/x.md", "inside/b.md", "link.md", "folder.md", "a.md/b.md", "[x].md", "a|b.md", "a#b.md", "\xff.md", strings.Repeat("x", 300) + ".md", ".skill.md"} {
		_, err := w.Save(t.Context(), wiki.Edit{Path: name, Text: "# X\n"})
		if prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"/etc/x.md", "../../x", "a/../../x", ".git/x", "way-out/x", "inside/c", "a\x00", `..\x`, "[x]", "x/.hidden"} {
		if r, err := w.Rename(t.Context(), wiki.Rename{From: "sub/b", To: name}); prunella.KindOf(err) != prunella.Invalid {
			t.Fatalf("renamed to %q: %+v, %v", name, r, err)
		}
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 0 {
		t.Errorf("outside: %v, %v", left, err)
	}
	for text, kind := range map[string]prunella.Kind{"\xff": prunella.Invalid, "a\x00b": prunella.Invalid, strings.Repeat("x", wiki.MaxPage+1): prunella.TooLarge} {
		if _, err := w.Save(t.Context(), wiki.Edit{Path: "new.md", Text: text}); prunella.KindOf(err) != kind {
			t.Errorf("%.5q: %v", text, err)
		}
	}
	if !w.Editable() || open(t, wiki.Config{}).Editable() {
		t.Error("only pages in a folder are editable")
	}
	if _, err := open(t, wiki.Config{}).Save(t.Context(), wiki.Edit{Path: "people/sam.md", Text: "x"}); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("the shipped pages: %v", err)
	}
}

// A page is removed only as the one who removes it has read it.
func TestRemove(t *testing.T) {
	_, dir := repository(t, map[string]string{"a.md": "# A\n"})
	w := open(t, wiki.Config{Dir: dir, Commit: true})
	if _, err := w.Remove(t.Context(), wiki.Edit{Path: "a.md", Base: "another"}); prunella.KindOf(err) != prunella.Conflict {
		t.Errorf("another text: %v", err)
	}
	p, err := w.Find("a")
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Remove(t.Context(), wiki.Edit{Path: "a.md", Base: p.Hash, Author: "Ann"})
	if err != nil || s.Commit == "" || s.Uncommitted != "" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a.md")); err == nil {
		t.Error("it is still there")
	}
	if _, err := w.Remove(t.Context(), wiki.Edit{Path: "a.md", Base: p.Hash}); prunella.KindOf(err) != prunella.NotFound {
		t.Errorf("again: %v", err)
	}
	if text, err := w.Revision(t.Context(), "a.md", git(t, dir, "rev-parse", "HEAD~1")); err != nil || text != "# A\n" {
		t.Errorf("its history: %q, %v", text, err)
	}
}
