package thread

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/skill"
	"prunella/thread/pattern"
)

// Acceptance is how a draft becomes a skill: Text is written to Path, over Was,
// and then the draft is removed, provided that it is still Draft.
type Acceptance struct {
	Name    string `json:"name"`
	Path    string `json:"path"` // of the skill
	Version string `json:"version"`
	By      string `json:"by"`
	Change  bool   `json:"change"` // an existing skill is changed
	Text    string `json:"-"`
	Was     string `json:"-"` // "" for a new skill
	From    string `json:"-"` // path of the draft
	Draft   string `json:"-"` // its text
}

// Written is a draft on disk.
type Written struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Title   string `json:"title"`
	Version string `json:"version"`
	Change  bool   `json:"change"` // to an existing skill
	Edited  bool   `json:"edited"` // by a person, since it was written
}

// KnownSkills reads what is compared with: every skill below DIR/skills. A
// folder that is not there holds none; a file that cannot be read as a skill
// is left out.
func KnownSkills(wiki string) ([]Known, error) { return skillsIn(wiki, "") }

// skillsIn reads the skills of that name, of every name when it is "".
func skillsIn(wiki, name string) ([]Known, error) {
	var out []Known
	root := filepath.Join(wiki, "skills")
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && p == root {
				return fs.SkipAll
			}
			return err
		}
		if d.IsDir() || !strings.HasSuffix(p, skill.Suffix) || name != "" && filepath.Base(p) != name+skill.Suffix {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		doc, err := skill.Parse(p, b)
		if err != nil {
			return nil
		}
		version, _ := doc.Meta("version")
		out = append(out, Known{Name: strings.TrimSuffix(filepath.Base(p), skill.Suffix), Title: doc.Title, Version: version, Text: string(b), Path: p})
		return nil
	})
	if err != nil {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read skills", Where: root, Err: withoutPath(err), Remedy: "check the folder given with --wiki"}
	}
	return out, nil
}

func draftPath(wiki, name string) string { return filepath.Join(wiki, "drafts", name+skill.Suffix) }

// WriteDraft writes DIR/drafts/NAME.skill.md and returns its path. A draft that
// is there is replaced only when nobody edited it since it was written:
// Conflict otherwise. Links to people without a page are left out.
func WriteDraft(wiki string, d Draft) (string, error) {
	file := draftPath(wiki, d.Name)
	text := []byte(withoutBroken(wiki, string(d.Markdown())))
	doc, err := skill.Parse(file, text)
	if err == nil {
		err = doc.SetMeta("written", bodyHash(doc))
	}
	if err != nil {
		return "", &prunella.Error{Kind: prunella.Internal, Op: "write draft", Where: file, Err: err}
	}
	if old, err := os.ReadFile(file); err == nil {
		have, err := skill.Parse(file, old)
		if err != nil || edited(have) {
			return "", &prunella.Error{Kind: prunella.Conflict, Op: "write draft", Where: file, Reason: "somebody edited the draft since it was written, so it was left as it is",
				Remedy: "accept it, or move it away and extract again"}
		}
	}
	return file, replaceFile(file, doc.Bytes())
}

var peopleLink = pattern.MustCompile(`(?m)^- \[\[(people/[^\]|#]+)\]\].*\n`)

func withoutBroken(wiki, text string) string {
	text = peopleLink.ReplaceAllStringFunc(text, func(l string) string {
		page := peopleLink.FindStringSubmatch(l)[1]
		if _, err := os.Stat(filepath.Join(wiki, filepath.FromSlash(page)+".md")); err != nil {
			return ""
		}
		return l
	})
	return strings.TrimSuffix(text, "\n## See also\n\n")
}

// bodyHash tells whether the text below the front matter was edited.
func bodyHash(d *skill.Document) string {
	sum := sha256.Sum256([]byte(d.Text(d.Body())))
	return hex.EncodeToString(sum[:8])
}

func edited(d *skill.Document) bool {
	was, _ := d.Meta("written")
	return was != bodyHash(d)
}

// replaceFile writes a file as a whole: under another name first.
func replaceFile(file string, b []byte) error {
	failed := func(err error) error {
		return &prunella.Error{Kind: prunella.Invalid, Op: "write", Where: file, Err: withoutPath(err), Remedy: "check who may write there"}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return failed(err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".draft-*")
	if err != nil {
		return failed(err)
	}
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return errors.Join(failed(err), os.Remove(tmp.Name()))
	}
	return nil
}

// ListDrafts reads DIR/drafts, by name.
func ListDrafts(wiki string) ([]Written, error) {
	entries, err := os.ReadDir(filepath.Join(wiki, "drafts"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read drafts", Where: wiki, Err: withoutPath(err), Remedy: "check the folder given with --wiki"}
	}
	var out []Written
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), skill.Suffix)
		if !ok || e.IsDir() {
			continue
		}
		doc, err := readDraft(wiki, name)
		if err != nil {
			return nil, err
		}
		version, _ := doc.Meta("version")
		_, isChange := doc.Meta("changes")
		out = append(out, Written{Name: name, Path: doc.Path, Title: doc.Title, Version: version, Change: isChange, Edited: edited(doc)})
	}
	slices.SortFunc(out, func(a, b Written) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func readDraft(wiki, name string) (*skill.Document, error) {
	if !skill.ValidName(name) {
		return nil, prunella.Errorf(prunella.Invalid, "%q cannot be the name of a skill (1 to 64 of a-z, 0-9 and single -)", name)
	}
	file := draftPath(wiki, name)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &prunella.Error{Kind: prunella.NotFound, Op: "read draft", Where: file, Reason: "there is no such draft", Remedy: "prunella thread list names the drafts"}
	}
	if err != nil {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read draft", Where: file, Err: withoutPath(err)}
	}
	return skill.Parse(file, b)
}

// Final is the version that a draft has once it is accepted.
func Final(version string) string { return strings.TrimSuffix(version, "-draft") }

// Accept decides whether the draft can become a skill, or the change that it
// proposes be applied, and what the skill says then, with the person's name in
// it. It writes nothing: that is the wiki's, which knows who else edits. catalog
// lists the reads and actions that a skill may name; without it they are not
// checked.
//
// A draft that was accepted already, by a process that ended before it removed
// the draft, is accepted as it was: Text is Was.
//
// NotFound without such a draft; Conflict when a skill of that name exists, or
// the one to be changed was changed since; Invalid when lint finds an error in it.
func Accept(wiki, name, who string, now time.Time, catalog ...prunella.Spec) (Acceptance, error) {
	name = strings.TrimSuffix(filepath.Base(name), skill.Suffix)
	doc, err := readDraft(wiki, name)
	if err != nil {
		return Acceptance{}, err
	}
	if who = strings.TrimSpace(who); who == "" {
		return Acceptance{}, prunella.Errorf(prunella.Invalid, "nobody accepts the draft (say who with --as)")
	}
	if !strings.HasPrefix(who, "@") {
		who = "@" + who
	}
	known, err := skillsIn(wiki, name)
	if err != nil {
		return Acceptance{}, err
	}
	version, _ := doc.Meta("version")
	base, isChange := doc.Meta("changes")
	a := Acceptance{Name: name, Path: filepath.Join(wiki, "skills", name+skill.Suffix), Version: Final(version), By: who, Change: isChange, From: doc.Path, Draft: string(doc.Bytes())}
	conflict := func(reason, remedy string) (Acceptance, error) {
		return Acceptance{}, &prunella.Error{Kind: prunella.Conflict, Op: "accept draft", Where: doc.Path, Reason: reason, Remedy: remedy}
	}
	if len(known) == 0 && isChange {
		return conflict("the skill that it changes is gone", "extract again, or write the draft as a new skill")
	}
	if len(known) > 0 {
		a.Path, a.Was = known[0].Path, known[0].Text
		have, err := skill.Parse(a.Path, []byte(a.Was))
		if err != nil {
			return Acceptance{}, err
		}
		switch done, err := a.done(have); {
		case err != nil:
			return Acceptance{}, err
		case done:
			a.Text = a.Was
			a.By, _ = have.Meta("accepted-by")
			return a, nil
		case !isChange:
			return conflict("there is a skill of that name", "rename the draft and its name: line, or extract again to have it proposed as a change")
		case have.Hash() != base:
			return conflict("the skill was changed since the draft was made", "extract again, so that the change is proposed for the skill as it is now")
		}
	}
	accepted, err := a.signed(who, now.UTC().Format(time.DateOnly))
	if err != nil {
		return Acceptance{}, err
	}
	if problems := skill.Errors(skill.Lint(accepted, catalog)); len(problems) > 0 {
		return Acceptance{}, &prunella.Error{Kind: prunella.Invalid, Op: "accept draft", Where: doc.Path, Reason: fmt.Sprintf("it has an error in line %d: %s", problems[0].Line, problems[0].Text), Remedy: problems[0].Remedy}
	}
	a.Text = string(accepted.Bytes())
	return a, nil
}

// signed is the draft with the name and day of who accepted it.
func (a Acceptance) signed(who, day string) (*skill.Document, error) {
	doc, err := skill.Parse(a.Path, []byte(a.Draft))
	if err != nil {
		return nil, err
	}
	for _, p := range []skill.Pair{{Key: "version", Value: a.Version}, {Key: "state", Value: "accepted"}, {Key: "accepted-by", Value: who}, {Key: "accepted-on", Value: day}} {
		if err := doc.SetMeta(p.Key, p.Value); err != nil {
			return nil, err
		}
	}
	return skill.Parse(a.Path, doc.Bytes())
}

// done says whether a skill is what came of accepting this draft.
func (a Acceptance) done(have *skill.Document) (bool, error) {
	who, named := have.Meta("accepted-by")
	day, dated := have.Meta("accepted-on")
	if !named || !dated {
		return false, nil
	}
	was, err := a.signed(who, day)
	return err == nil && was.Hash() == have.Hash(), err
}
