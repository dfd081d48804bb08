package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"prunella"
	"prunella/client"
	"prunella/skill"
	"prunella/wiki"
)

// skills are the installed skills, each in the last version of its file that
// could be used. They change as the files of the wiki change.
type skills struct {
	wiki    *wiki.Wiki
	exclude []string
	catalog []prunella.Spec
	good    string // folder of the last usable version of each file; "" keeps none
	log     *slog.Logger

	mu  sync.Mutex // one reload at a time
	now atomic.Pointer[skillSet]
}

// skillSet does not change after it was loaded.
type skillSet struct {
	skills []prunella.Skill
	files  []installed    // every skill file, also the unusable ones, by name
	at     map[string]int // index into files, by path
}

// installed is one skill file of the wiki.
type installed struct {
	path     string
	seen     string          // hash of the file as it is
	skill    prunella.Skill  // the version in use; without a hash there is none
	text     string          // of that version
	problems []skill.Problem // of that version
	broken   []skill.Problem // errors of the file as it is: an older version is in use, or none
	doc      *skill.Document // of that version
}

func (f installed) usable() bool { return f.skill.Hash != "" }

// openSkills loads the skills of a wiki. A file that cannot be used and never
// could is an error: a skill that is silently missing at 3 a.m. is worse than a
// server that says at noon why it does not start.
func openSkills(ctx context.Context, w *wiki.Wiki, exclude []string, catalog []prunella.Spec, good string, log *slog.Logger) (*skills, error) {
	s := &skills{wiki: w, exclude: exclude, catalog: catalog, good: good, log: log}
	s.now.Store(&skillSet{})
	if _, err := s.reload(ctx); err != nil {
		return nil, err
	}
	set := s.now.Load()
	var bad []skill.Problem
	for _, f := range set.files {
		if !f.usable() {
			bad = append(bad, f.broken...)
		}
	}
	if len(bad) > 0 {
		more := ""
		if len(bad) > 1 {
			more = fmt.Sprintf("; %d more errors", len(bad)-1)
		}
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read skills", Where: fmt.Sprintf("%s:%d", bad[0].File, bad[0].Line), Reason: bad[0].Text + more, Remedy: bad[0].Remedy}
	}
	for _, name := range exclude {
		if !slices.ContainsFunc(set.files, func(f installed) bool { return string(f.skill.Name) == name }) {
			return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read skills", Where: "skills_exclude", Reason: fmt.Sprintf("there is no skill %q", name)}
		}
	}
	return s, nil
}

// list is what the engine may use now.
func (s *skills) list() []prunella.Skill { return slices.Clone(s.now.Load().skills) }

// find returns the file of a skill by its name.
func (s *skills) find(name prunella.SkillName) (installed, bool) {
	for _, f := range s.now.Load().files {
		if f.skill.Name == name {
			return f, true
		}
	}
	return installed{}, false
}

// broken lists, one a file, what keeps changed files from being used.
func (s *skills) broken() []client.SkillProblem {
	out := []client.SkillProblem{}
	for _, f := range s.now.Load().files {
		if len(f.broken) > 0 {
			out = append(out, problems(f.broken[:1])...)
		}
	}
	return out
}

func (s *skills) byPath(file string) (installed, bool) {
	set := s.now.Load()
	i, ok := set.at[file]
	if !ok {
		return installed{}, false
	}
	return set.files[i], true
}

// reload takes over what changed in the files, all of it at once, and names the
// skills that are not as they were.
func (s *skills) reload(ctx context.Context) ([]prunella.SkillName, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := map[prunella.SkillName]installed{}
	byPath := map[string]installed{}
	for _, f := range s.now.Load().files {
		before[f.skill.Name], byPath[f.path] = f, f
	}
	set := &skillSet{at: map[string]int{}}
	names := map[prunella.SkillName]string{}
	for _, p := range s.wiki.Pages(wiki.Filter{Kind: wiki.Skill}) {
		if !strings.HasSuffix(p.Path, skill.Suffix) {
			continue
		}
		f, known := byPath[p.Path]
		if !known || f.seen != p.Hash {
			var err error
			if f, err = s.read(ctx, p, f, before); errors.Is(err, errGone) {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		if other := names[f.skill.Name]; other != "" {
			f.broken = []skill.Problem{{File: p.Path, Line: 1, Column: 1, Rule: "duplicate-name", Severity: skill.SeverityError,
				Text: fmt.Sprintf("the name %s is taken by %s", f.skill.Name, other), Remedy: "rename one of the two files and its name"}}
			f.seen = "" // looked at again next time: the other may be gone
			f.skill = prunella.Skill{Name: prunella.SkillName(strings.ToValidUTF8(p.Path, "\uFFFD")), Title: p.Title, Path: p.Path}
		}
		names[f.skill.Name] = p.Path
		set.files = append(set.files, f)
	}
	slices.SortFunc(set.files, func(a, b installed) int { return cmp.Compare(a.skill.Name, b.skill.Name) })
	changed := map[prunella.SkillName]bool{}
	for i, f := range set.files {
		set.at[f.path] = i
		if f.usable() && !slices.Contains(s.exclude, string(f.skill.Name)) {
			set.skills = append(set.skills, f.skill)
		}
		if old, was := before[f.skill.Name]; !was || old.seen != f.seen {
			changed[f.skill.Name] = true
		}
		delete(before, f.skill.Name)
	}
	for name := range before {
		changed[name] = true
		s.log.Info("skill removed", "skill", name)
	}
	s.now.Store(set)
	return slices.Sorted(maps.Keys(changed)), nil
}

// errGone says that a page was removed while the pages were read.
var errGone = errors.New("the page is gone")

// read makes of a changed file the version to use: its own when it has no
// error, the one before otherwise, also when that one had another path.
func (s *skills) read(ctx context.Context, p *wiki.Page, old installed, before map[prunella.SkillName]installed) (installed, error) {
	_, text, err := s.wiki.Page(ctx, p.Path)
	if prunella.KindOf(err) == prunella.NotFound {
		return installed{}, errGone
	}
	f := installed{path: p.Path, seen: p.Hash}
	if err == nil {
		f, err = s.parse(p.Path, text)
	}
	if err != nil {
		f.broken = unreadable(p, err)
	}
	if f.usable() {
		if len(s.now.Load().files) > 0 { // a change, not the start
			s.log.Info("skill taken into use", "skill", f.skill.Name, "version", f.skill.Version, "hash", f.skill.Hash)
		}
		return f, s.keep(f)
	}
	f.seen = p.Hash
	for _, b := range f.broken {
		s.log.Error("skill file cannot be used", "file", b.File, "line", b.Line, "err", b.Text)
	}
	name := prunella.SkillName(p.Name)
	switch {
	case old.usable():
		f.skill, f.text, f.problems, f.doc = old.skill, old.text, old.problems, old.doc
	case before[name].usable():
		old = before[name]
		f.skill, f.text, f.problems, f.doc = old.skill, old.text, old.problems, old.doc
	default:
		f.skill = prunella.Skill{Name: name, Title: p.Title, Description: p.Description, Category: p.Category, Owners: p.Owners, Path: p.Path}
		if b, err := os.ReadFile(s.copyOf(p.Path)); err == nil { // of the time before a restart
			if kept, err := s.parse(p.Path, string(b)); err == nil && kept.usable() {
				f.skill, f.text, f.problems, f.doc = kept.skill, kept.text, kept.problems, kept.doc
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return f, &prunella.Error{Kind: prunella.Unavailable, Op: "read skills", Where: s.copyOf(p.Path), Err: err}
		}
	}
	return f, nil
}

// parse reads and lints a text. What has an error is not usable.
func (s *skills) parse(file, text string) (installed, error) {
	f := installed{path: file}
	d, err := skill.Parse(file, []byte(text))
	if err != nil {
		return f, err
	}
	problems := skill.Lint(d, s.catalog)
	if f.broken = skill.Errors(problems); len(f.broken) > 0 {
		return f, nil
	}
	sk, _ := d.Skill() // its problems are among those of Lint
	f.skill, f.seen, f.text, f.problems, f.doc = sk, sk.Hash, text, problems, d
	return f, nil
}

// unreadable says why a page cannot be parsed, with the lines that the index
// found.
func unreadable(p *wiki.Page, err error) []skill.Problem {
	if found := skill.Errors(p.Problems); len(found) > 0 {
		return found
	}
	q := skill.Problem{File: p.Path, Line: 1, Column: 1, Rule: "unreadable", Severity: skill.SeverityError, Text: err.Error()}
	var e *prunella.Error
	if errors.As(err, &e) {
		q.Text, q.Remedy = e.Reason, e.Remedy
	}
	return []skill.Problem{q}
}

// copyOf is where the last usable version of a file is kept.
func (s *skills) copyOf(file string) string {
	return filepath.Join(s.good, strings.ReplaceAll(path.Clean(file), "/", "__"))
}

// keep makes a usable version survive a restart: the file may be broken by then.
func (s *skills) keep(f installed) error {
	if s.good == "" {
		return nil
	}
	failed := func(err error) error {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "keep a usable version", Where: s.copyOf(f.path), Err: err, Remedy: "make the data folder writable"}
	}
	if err := os.MkdirAll(s.good, 0o755); err != nil {
		return failed(err)
	}
	temp := s.copyOf(f.path) + ".new"
	if err := os.WriteFile(temp, []byte(f.text), 0o644); err != nil {
		return failed(err)
	}
	if err := os.Rename(temp, s.copyOf(f.path)); err != nil {
		return failed(err)
	}
	return nil
}
