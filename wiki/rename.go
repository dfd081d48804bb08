package wiki

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"prunella"
	"prunella/skill"
)

// Rename is a page that shall have another path.
type Rename struct {
	From   string // as Find takes it
	To     string // path, or a name in the same folder ("./name": at the top); the ending may be left out
	Author string
	Reason string // "" is "Rename people/sam.md to people/samuel.md"
	DryRun bool   // only tell what would change
}

// Renamed is what a rename did, or would do.
type Renamed struct {
	Saved `json:"-"`
	From  string      `json:"from"`
	To    string      `json:"to"`
	Pages []Rewritten `json:"pages"` // by path; those that link to it, and itself if its text changes
	Notes []string    `json:"notes,omitempty"`
}

// Rewritten is a page whose text changes in a rename.
type Rewritten struct {
	Path    string    `json:"path"` // before the rename
	Changes []Rewrite `json:"changes"`
}

// Rewrite is a replaced piece of text.
type Rewrite struct {
	Line int    `json:"line"`
	Old  string `json:"old"`
	New  string `json:"new"`

	start int
}

// journal is a rename on its way. It is on disk before the first page changes
// and gone after the last, so that Open can finish what a crash cut off.
type journal struct {
	From   string    `json:"from"`
	To     string    `json:"to"`
	Author string    `json:"author"`
	Reason string    `json:"reason"`
	Pages  []rewrote `json:"pages"` // the first is the renamed one
}

type rewrote struct {
	Path   string `json:"path"` // to be written; the new one for the renamed page
	Before string `json:"before"`
	Text   string `json:"text"`
}

const journalFile = hidden + "rename.json"

// Rename gives a page another path and updates the links that lead to it, in
// the style each is written in; no other byte of a page changes. A skill's name
// follows its file, and the alternates of other skills follow the name. While it
// goes on, and after a crash, every link leads to the old or the new page.
//
// NotFound: no page From. Conflict: there is a page To. Invalid: To cannot be a
// page's path.
func (w *Wiki) Rename(ctx context.Context, r Rename) (Renamed, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.root == nil {
		_, err := w.clean("rename page", r.To)
		return Renamed{}, err
	}
	unlock, err := w.hold(ctx)
	if err != nil {
		return Renamed{}, err
	}
	defer unlock()
	if err := w.apply(w.refresh(ctx, func(string) bool { return true })); err != nil {
		return Renamed{}, err
	}
	from, err := w.Find(r.From)
	if err != nil {
		return Renamed{}, err
	}
	to, err := w.target(from, r.To)
	if err != nil {
		return Renamed{}, err
	}
	done, j, err := w.plan(from, to)
	if err != nil || r.DryRun {
		return done, err
	}
	j.Author, j.Reason = r.Author, cmp.Or(r.Reason, fmt.Sprintf("Rename %s to %s", from.Path, to))
	b, err := json.Marshal(j)
	if err != nil {
		return Renamed{}, prunella.Errorf(prunella.Internal, "rename page: %w", err)
	}
	if err := w.write(journalFile, string(b), ""); err != nil {
		return Renamed{}, err
	}
	ctx = context.WithoutCancel(ctx)
	touched, notes, err := w.carryOut(j)
	done.Notes = append(done.Notes, notes...)
	if err := errors.Join(err, w.apply(w.touch(ctx, touched))); err != nil {
		return done, err
	}
	done.Page = w.known[to]
	done.Commit, done.Uncommitted = w.commit(ctx, touched, j.Author, j.Reason)
	return done, nil
}

// target is the path that a page gets.
func (w *Wiki) target(from *Page, to string) (string, error) {
	ending := strings.TrimPrefix(path.Base(from.Path), from.Name)
	if !strings.HasSuffix(to, ".md") {
		to = strings.TrimSuffix(to, ".skill") + ending
	}
	if !strings.Contains(to, "/") {
		to = path.Join(path.Dir(from.Path), to)
	}
	to, err := w.clean("rename page", strings.TrimPrefix(to, "./"))
	if err != nil {
		return "", err
	}
	if strings.HasSuffix(to, skill.Suffix) && !strings.HasPrefix(to, "drafts/") && w.known[from.Path].Kind == Skill && !validName(nameOf(to)) {
		return "", &prunella.Error{Kind: prunella.Invalid, Op: "rename page", Where: to, Reason: "a skill's name is made of a-z, 0-9 and single -, at most 64", Remedy: "choose such a name"}
	}
	taken := &prunella.Error{Kind: prunella.Conflict, Op: "rename page", Where: to, Reason: "there is such a page already", Remedy: "choose another path"}
	if other := slices.IndexFunc(slices.Collect(maps.Keys(w.known)), func(file string) bool {
		return fold(file) == fold(to) && (file != from.Path || file == to) // Sam.md may follow on sam.md
	}); other >= 0 {
		return "", taken
	}
	if _, err := w.root.Lstat(to); err == nil {
		return "", taken
	}
	return to, nil
}

func validName(name string) bool {
	return len(name) <= 64 && name != "" && !strings.HasPrefix(name, "-") && !strings.HasSuffix(name, "-") && !strings.Contains(name, "--") &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// plan works out which bytes of which pages change.
func (w *Wiki) plan(from *Page, to string) (Renamed, *journal, error) {
	before := w.now.Load()
	pages := maps.Clone(before.pages)
	moved := *from
	moved.Path, moved.Name, moved.Kind = to, nameOf(to), kindOf(to)
	delete(pages, from.Path)
	pages[to] = &moved
	after := newCatalog(pages, w.rows, w.now.Load())
	done, j := Renamed{From: from.Path, To: to, Pages: []Rewritten{}}, &journal{From: from.Path, To: to}
	for _, file := range slices.Sorted(maps.Keys(before.pages)) {
		p := before.pages[file]
		if p.Err() != nil && p != from {
			continue
		}
		changes := relink(before, after, p, from.Path, to)
		renames := moved.Name != from.Name && from.Kind != Person && from.Kind != Company
		if len(changes) == 0 && p != from && !(renames && names(p.Meta["alternates"], from.Name)) {
			continue
		}
		b, err := readFile(w.pages, file)
		if err == nil && hashOf(b) != p.Hash {
			err = errMoved
		}
		if err != nil {
			return done, nil, &prunella.Error{Kind: prunella.Unavailable, Op: "rename page", Where: file, Remedy: "try again", Err: err}
		}
		text := splice(string(b), changes)
		if renames {
			var note string
			if text, note = w.meta(p, text, from, &moved, &changes); note != "" {
				done.Notes = append(done.Notes, note)
			}
		}
		page := rewrote{Path: file, Before: p.Hash, Text: text}
		if p == from {
			page.Path = to
			j.Pages = slices.Insert(j.Pages, 0, page)
		} else if len(changes) > 0 {
			j.Pages = append(j.Pages, page)
		}
		if len(changes) > 0 {
			done.Pages = append(done.Pages, Rewritten{file, changes})
		}
	}
	return done, j, nil
}

// relink lists the links of a page that must be written differently after a
// rename to lead where they led before.
func relink(before, after *catalog, p *Page, from, to string) []Rewrite {
	here := p.Path
	if here == from {
		here = to
	}
	var out []Rewrite
	for _, l := range p.Links {
		led, _ := before.resolve(p.Path, l)
		if led == "" || l.Target == "" {
			continue
		}
		if led == from {
			led = to
		}
		if leads, _ := after.resolve(here, l); leads == led && !(led == to && fold(from) == fold(to)) {
			continue
		}
		if text := rewritten(after, here, l, led); text != l.Target {
			out = append(out, Rewrite{Line: l.Line, Old: l.Target, New: text, start: l.Start})
		}
	}
	slices.SortFunc(out, func(a, b Rewrite) int { return cmp.Compare(a.start, b.start) })
	return out
}

// rewritten is a link's target, written as it was: short, relative or from the
// top, with or without ending.
func rewritten(after *catalog, here string, l Link, led string) string {
	old := l.Target
	ending := func(file string) string {
		switch {
		case strings.HasSuffix(strings.ToLower(old), ".md"):
			return file
		case strings.HasSuffix(old, ".skill") && strings.HasSuffix(file, skill.Suffix):
			return strings.TrimSuffix(file, ".md")
		}
		return stem(file)
	}
	relative := func() string {
		s, err := filepath.Rel(path.Dir(here), ending(led))
		if err != nil {
			return ending(led)
		}
		if s = filepath.ToSlash(s); strings.HasPrefix(old, "./") && !strings.HasPrefix(s, "../") {
			s = "./" + s
		}
		return s
	}
	var tries []string
	switch {
	case l.Markdown && !strings.HasPrefix(old, "/"):
		tries = []string{(&url.URL{Path: relative()}).EscapedPath()}
	case l.Markdown:
		tries = []string{(&url.URL{Path: "/" + ending(led)}).EscapedPath()}
	case strings.HasPrefix(old, "./") || strings.HasPrefix(old, "../"):
		tries = []string{relative()}
	case !strings.Contains(old, "/"):
		tries = []string{path.Base(ending(led))}
	}
	for _, t := range append(tries, ending(led)) {
		t = strings.NewReplacer("(", "%28", ")", "%29").Replace(t)
		if leads, _ := after.resolve(here, Link{Markdown: l.Markdown, Target: t}); leads == led {
			return t
		}
	}
	return led
}

// splice replaces pieces, which are in order, and leaves every other byte.
func splice(text string, changes []Rewrite) string {
	var b strings.Builder
	at := 0
	for _, c := range changes {
		b.WriteString(text[at:c.start])
		b.WriteString(c.New)
		at = c.start + len(c.Old)
	}
	b.WriteString(text[at:])
	return b.String()
}

// names tells whether a list of names has one.
func names(list, name string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(s string) bool { return strings.TrimSpace(s) == name })
}

// meta lets the front matter follow a skill's new name.
func (w *Wiki) meta(p *Page, text string, from, moved *Page, changes *[]Rewrite) (edited, note string) {
	key, value := "alternates", ""
	switch {
	case p == from && strings.HasSuffix(moved.Path, skill.Suffix) && p.Meta["name"] == from.Name:
		key, value = "name", moved.Name
	case p != from && names(p.Meta["alternates"], from.Name):
		list := strings.Split(p.Meta["alternates"], ",")
		for i, s := range list {
			if t := strings.TrimSpace(s); t == from.Name {
				list[i] = strings.Replace(s, t, moved.Name, 1)
			}
		}
		value = strings.Join(list, ",")
	default:
		return text, ""
	}
	d, err := skill.Parse(p.Path, []byte(text))
	if err == nil {
		err = d.SetMeta(key, value)
	}
	if err != nil {
		return text, fmt.Sprintf("%s: %s still says %s: %v", p.Path, key, from.Name, err)
	}
	*changes = append(*changes, Rewrite{Line: d.MetaLine(key), Old: p.Meta[key], New: value})
	slices.SortStableFunc(*changes, func(a, b Rewrite) int { return cmp.Compare(a.Line, b.Line) })
	return string(d.Bytes()), ""
}

// carryOut does what the journal says and has not been done: first the page
// under its new path, then the pages that link to it, then the old path goes.
// A page that somebody changed meanwhile is left and noted.
func (w *Wiki) carryOut(j *journal) (touched, notes []string, err error) {
	for i, p := range j.Pages {
		base := p.Before
		if i == 0 {
			base = ""
		}
		b, err := readFile(w.pages, p.Path)
		switch after := hashOf([]byte(p.Text)); {
		case err == nil && hashOf(b) == after:
		case i == 0 && err == nil, i > 0 && (err != nil || hashOf(b) != base):
			notes = append(notes, p.Path+" changed meanwhile; its links are as they were")
			if i == 0 { // somebody else's page: keep it, and the old one
				return touched, notes, w.finish()
			}
			continue
		default:
			if err := w.write(p.Path, p.Text, base); err != nil {
				return touched, notes, err
			}
		}
		touched = append(touched, p.Path)
	}
	if len(j.Pages) > 0 {
		if err := w.remove(j.From, j.Pages[0].Before); errors.Is(err, errMoved) {
			notes = append(notes, j.From+" changed meanwhile and stays; compare it with "+j.To)
		} else if err != nil {
			return touched, notes, err
		}
		touched = append(touched, j.From)
	}
	return touched, notes, w.finish()
}

func (w *Wiki) finish() error {
	if err := w.root.Remove(journalFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "rename page", Where: journalFile, Err: err}
	}
	return w.settle(".")
}

// resume finishes a rename that a crash cut off. w.mu is held.
func (w *Wiki) resume(ctx context.Context) error {
	if _, err := w.root.Lstat(journalFile); err != nil {
		return nil
	}
	unlock, err := w.hold(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	b, err := w.root.ReadFile(journalFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process finished it
	}
	var j journal
	if err == nil {
		err = json.Unmarshal(b, &j)
	}
	for _, name := range append([]string{j.From, j.To}, paths(j.Pages)...) {
		if err == nil {
			_, err = w.clean("finish rename", name)
		}
	}
	if err != nil {
		return &prunella.Error{Kind: prunella.Invalid, Op: "open wiki", Where: filepath.Join(w.dir, journalFile),
			Reason: "a rename was cut off, and its record cannot be read", Remedy: "see with `prunella wiki check` which links are broken, and remove the file", Err: err}
	}
	touched, notes, err := w.carryOut(&j)
	if err != nil {
		return err
	}
	_, why := w.commit(ctx, touched, j.Author, j.Reason)
	w.log.Info("finished a rename that was cut off", "from", j.From, "to", j.To, "notes", notes, "uncommitted", why)
	return nil
}

func paths(pages []rewrote) []string {
	var out []string
	for _, p := range pages {
		out = append(out, p.Path)
	}
	return out
}
