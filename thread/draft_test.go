package thread_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/skill"
	"prunella/thread"
)

// extracted reads the incidents of a transcript.
func extracted(t *testing.T, name string, known []thread.Known) []thread.Extraction {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "talk", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	in, _, _ := strings.Cut(string(b), "-- want --\n")
	e, err := thread.OpenExport(exportOf(t, in))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r, err := thread.Extract(context.Background(), e.Directory(), e.Messages(), thread.Options{Known: known})
	if err != nil {
		t.Fatal(err)
	}
	return r.Extractions
}

var day = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestDraftsLintAndAreAccepted(t *testing.T) {
	for _, name := range []string{"jwks", "disk", "mixed"} {
		wiki := t.TempDir()
		for _, d := range thread.Drafts(extracted(t, name, nil), nil) {
			path, err := thread.WriteDraft(wiki, d)
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := skill.Parse(path, b)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range skill.Lint(doc, nil) {
				if p.Severity != skill.SeverityNote {
					t.Errorf("%s: %s\n%s", d.Name, p, b)
				}
			}
			if s, _ := doc.Skill(); len(s.Actions)+len(s.Checks) > 0 {
				t.Errorf("%s: a draft acts", d.Name)
			}
			if _, err := thread.WriteDraft(wiki, d); err != nil {
				t.Errorf("writing the same again: %v", err)
			}
			a, err := accept(wiki, d.Name, "maya", day)
			if err != nil {
				t.Fatal(err)
			}
			if a.Version != "1.0.0" || a.By != "@maya" || a.Change {
				t.Errorf("accepted %+v", a)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("the draft is still there")
			}
			if _, err := accept(wiki, d.Name, "maya", day); prunella.KindOf(err) != prunella.NotFound {
				t.Errorf("accepted twice: %v", err)
			}
		}
	}
}

func TestOneDraftForOneFailure(t *testing.T) {
	drafts := thread.Drafts(extracted(t, "jwks", nil), nil)
	if len(drafts) != 1 || len(drafts[0].From) != 2 {
		t.Fatalf("%d drafts", len(drafts))
	}
	text := string(drafts[0].Markdown())
	for _, want := range []string{"2026-03-08", "2026-04-19", "occurrence 2", "kubectl rollout restart deployment/api-worker -n prod", "cache_ttl_seconds: 3600", "**Primary**: `@sam`", "- [x] Reduce default JWKS TTL", "/archives/CINCIDENTS/p"} {
		if !strings.Contains(text, want) {
			t.Errorf("the draft lacks %q:\n%s", want, text)
		}
	}
}

func TestAnEditedDraftIsKept(t *testing.T) {
	wiki := t.TempDir()
	d := thread.Drafts(extracted(t, "disk", nil), nil)[0]
	path, err := thread.WriteDraft(wiki, d)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, []byte("\nA person wrote this.\n")...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := thread.WriteDraft(wiki, d); prunella.KindOf(err) != prunella.Conflict {
		t.Errorf("the edited draft was written over: %v", err)
	}
	list, err := thread.ListDrafts(wiki)
	if err != nil || len(list) != 1 || !list[0].Edited {
		t.Errorf("listed %+v, %v", list, err)
	}
}

// TestARecurrenceIsProposedAsAChange: the skill of the first time gets what the
// second time adds, and nothing else of it changes.
func TestARecurrenceIsProposedAsAChange(t *testing.T) {
	wiki := t.TempDir()
	all := extracted(t, "jwks", nil)
	first := thread.Drafts(all[:1], nil)[0]
	if _, err := thread.WriteDraft(wiki, first); err != nil {
		t.Fatal(err)
	}
	if _, err := accept(wiki, first.Name, "sam", day); err != nil {
		t.Fatal(err)
	}
	known, err := thread.KnownSkills(wiki)
	if err != nil || len(known) != 1 {
		t.Fatal(known, err)
	}
	before := known[0].Text
	drafts := thread.Drafts(extracted(t, "jwks", known), known)
	if len(drafts) != 1 || drafts[0].Of == nil || len(drafts[0].Changes) == 0 {
		t.Fatalf("%d drafts: %+v", len(drafts), drafts)
	}
	if proposed := string(drafts[0].Markdown()); !strings.Contains(proposed, "occurrence 2)") || strings.Contains(proposed, "occurrence 3") || strings.Contains(proposed, "not in the archive") || strings.Contains(proposed, "(referenced)") {
		t.Errorf("the first time is in the skill and counts once:\n%s", proposed)
	}
	if _, err := thread.WriteDraft(wiki, drafts[0]); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(known[0].Path); string(b) != before {
		t.Error("the skill changed before anybody accepted")
	}
	a, err := accept(wiki, first.Name, "sam", day)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(a.Path)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Change || a.Version == "1.0.0" || !strings.Contains(string(b), "2026-04-19") {
		t.Errorf("accepted %+v\n%s", a, b)
	}
	if _, body, _ := strings.Cut(before, "\n---\n"); body != "" {
		for line := range strings.SplitSeq(body, "\n") {
			if !strings.Contains(string(b), line) {
				t.Errorf("the line %q is gone", line)
			}
		}
	}
	known, err = thread.KnownSkills(wiki)
	if err != nil {
		t.Fatal(err)
	}
	if again := thread.Drafts(extracted(t, "jwks", known), known); len(again) != 0 {
		t.Errorf("proposed again: %+v", again[0].Changes)
	}
}

func TestAChangeOfAChangedSkillIsRefused(t *testing.T) {
	wiki := t.TempDir()
	all := extracted(t, "jwks", nil)
	first := thread.Drafts(all[:1], nil)[0]
	if _, err := thread.WriteDraft(wiki, first); err != nil {
		t.Fatal(err)
	}
	a, err := accept(wiki, first.Name, "sam", day)
	if err != nil {
		t.Fatal(err)
	}
	known, err := thread.KnownSkills(wiki)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := thread.WriteDraft(wiki, thread.Drafts(extracted(t, "jwks", known), known)[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.Path, []byte(known[0].Text+"\nAn edit.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := accept(wiki, first.Name, "sam", day); prunella.KindOf(err) != prunella.Conflict {
		t.Errorf("applied to a skill that had changed: %v", err)
	}
	if _, err := accept(wiki, "../skills/x", "sam", day); prunella.KindOf(err) != prunella.NotFound {
		t.Errorf("a name that climbs out: %v", err)
	}
}

// accept accepts a draft and does what the wiki does then.
func accept(wiki, name, who string, now time.Time) (thread.Acceptance, error) {
	a, err := thread.Accept(wiki, name, who, now)
	if err != nil {
		return a, err
	}
	if err := os.MkdirAll(filepath.Dir(a.Path), 0o700); err != nil {
		return a, err
	}
	return a, errors.Join(os.WriteFile(a.Path, []byte(a.Text), 0o600), os.Remove(a.From))
}
