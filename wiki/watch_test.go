package wiki_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"prunella/wiki"
)

// What changes on disk is known without a restart, however it was written.
func TestWatch(t *testing.T) {
	dir := folder(t, map[string]string{"people/sam.md": "# Sam\n", "people/eve.md": "# Eve\n\n[[sam]]\n", "old/x.md": "# X\n"})
	w := open(t, wiki.Config{Dir: dir, Watch: true})
	ctx, cancel := context.WithCancel(t.Context())
	changes := w.Changes(ctx)
	// until waits for a change of a page and says how long it took.
	until := func(want wiki.Change) {
		t.Helper()
		start := time.Now()
		late := time.After(20 * time.Second)
		for {
			select {
			case batch := <-changes:
				if slices.Contains(batch, want) {
					if took := time.Since(start); took > 5*time.Second { // ≤ 1 s on a machine that is free; the benchmark measures it
						t.Errorf("%v took %v", want, took)
					}
					return
				}
			case <-late:
				t.Fatalf("%v is not seen", want)
			}
		}
	}
	is := func(text string, want ...string) {
		t.Helper()
		if got := search(t, w, text); !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%s is on %v, want %v", text, got, want)
		}
	}
	full := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }

	put(t, dir, "people/sam.md", "# Sam\n\nnumbat\n")
	until(wiki.Change{Path: "people/sam.md", What: wiki.Changed})
	is("numbat", "people/sam.md")

	// as editors do: another file, then its name
	put(t, dir, "people/.sam.md.swp", "# Sam\n\npotoroo\n")
	put(t, dir, "people/sam.md~", "backup\n")
	if err := os.Rename(full("people/.sam.md.swp"), full("people/sam.md")); err != nil {
		t.Fatal(err)
	}
	until(wiki.Change{Path: "people/sam.md", What: wiki.Changed})
	is("potoroo", "people/sam.md")
	is("numbat")

	put(t, dir, "new/deep/er/page.md", "# Page\n\nbilby\n")
	until(wiki.Change{Path: "new/deep/er/page.md", What: wiki.Added})
	is("bilby", "new/deep/er/page.md")
	put(t, dir, "new/deep/er/page.md", "# Page\n\nquoll\n")
	until(wiki.Change{Path: "new/deep/er/page.md", What: wiki.Changed})

	if err := os.Rename(full("new/deep"), full("moved")); err != nil {
		t.Fatal(err)
	}
	until(wiki.Change{Path: "moved/er/page.md", What: wiki.Added})
	is("quoll", "moved/er/page.md")
	put(t, dir, "moved/er/page.md", "# Page\n\ndunnart\n")
	until(wiki.Change{Path: "moved/er/page.md", What: wiki.Changed})

	if err := os.Remove(full("people/sam.md")); err != nil {
		t.Fatal(err)
	}
	until(wiki.Change{Path: "people/sam.md", What: wiki.Removed})
	if b := w.Broken(); len(b) != 1 || b[0].From != "people/eve.md" {
		t.Errorf("broken: %+v", b)
	}
	if err := os.RemoveAll(full("old")); err != nil {
		t.Fatal(err)
	}
	until(wiki.Change{Path: "old/x.md", What: wiki.Removed})

	if _, err := w.Save(t.Context(), wiki.Edit{Path: "people/sam.md", Text: "# Sam\n"}); err != nil {
		t.Fatal(err)
	}
	until(wiki.Change{Path: "people/sam.md", What: wiki.Added})
	cancel()
	for range changes { // it closes
	}
}

// Nobody who is slow to read holds the wiki up, and nothing is lost to them.
func TestSlowSubscriber(t *testing.T) {
	dir := folder(t, map[string]string{"a.md": "# A\n", "b.md": "# B\n"})
	w, err := wiki.Open(t.Context(), wiki.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	changes := w.Changes(t.Context())
	put(t, dir, "c.md", "# C\n")
	step := func() {
		t.Helper()
		if err := w.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	step()
	put(t, dir, "c.md", "# C2\n")
	put(t, dir, "b.md", "# B2\n")
	step()
	if err := os.Remove(filepath.Join(dir, "a.md")); err != nil {
		t.Fatal(err)
	}
	step()
	step()
	if got, want := <-changes, []wiki.Change{{Path: "a.md", What: wiki.Removed}, {Path: "b.md", What: wiki.Changed}, {Path: "c.md", What: wiki.Added}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if batch, more := <-changes; more {
		t.Errorf("after the end: %v", batch)
	}
	if _, more := <-w.Changes(t.Context()); more {
		t.Error("a closed wiki tells of changes")
	}
	if _, err := w.Search(t.Context(), wiki.Query{Text: "c"}); err != nil && errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
