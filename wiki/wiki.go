package wiki

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"prunella"
	"prunella/skill"
)

// Config says where a wiki is and how it is kept.
type Config struct {
	Dir    string // the folder; empty: FS
	FS     fs.FS  // pages that cannot be edited, when Dir is empty; nil: those we ship
	Index  string // file for the index, kept between runs; empty, or in use by another process: a passing one
	Watch  bool   // follow changes on disk
	Commit bool   // commit edits to git when Dir is in a repository

	// Verified says when a run last verified the skill of that name; zero: what
	// the page says. It is asked anew each time.
	Verified func(name string) time.Time
	Log      *slog.Logger // nil: slog.Default()
}

// Wiki is an open wiki. It is safe for concurrent use.
type Wiki struct {
	config Config
	dir    string   // absolute, without symbolic links; "" when the pages are an FS
	root   *os.Root // nil when the pages are an FS
	pages  fs.FS
	log    *slog.Logger
	index  *index
	now    atomic.Pointer[catalog]
	past   recent
	feed   feed
	stop   func() // ends the watch

	mu       sync.Mutex // one change at a time; guards what follows
	known    map[string]*Page
	rows     map[string]int64
	read     map[string]time.Time // when each file was read
	dirs     []string
	problems []skill.Problem // of folders
}

// Open reads every page and brings the index up to them. A rename that a crash
// cut off is finished first.
//
// Invalid: there is no such folder. Unavailable: it cannot be read, or there is
// no place for the index.
func Open(ctx context.Context, config Config) (*Wiki, error) {
	w := &Wiki{config: config, log: cmp.Or(config.Log, slog.Default()).With("component", "wiki"), stop: func() {}}
	if err := w.openPages(); err != nil {
		return nil, err
	}
	if err := w.openIndex(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	if config.Watch && w.root != nil {
		w.watch()
	}
	return w, nil
}

func (w *Wiki) openPages() error {
	switch {
	case w.config.Dir != "":
		dir, err := filepath.Abs(w.config.Dir)
		if err == nil {
			dir, err = filepath.EvalSymlinks(dir)
		}
		if err == nil {
			w.root, err = os.OpenRoot(dir)
		}
		if err != nil {
			return &prunella.Error{Kind: prunella.Invalid, Op: "open wiki", Where: w.config.Dir, Remedy: "name a folder that holds the pages", Err: err}
		}
		w.dir, w.pages = dir, w.root.FS()
	case w.config.FS != nil:
		w.pages = w.config.FS
	default:
		w.pages = shipped
	}
	return nil
}

func (w *Wiki) openIndex(ctx context.Context) error {
	x, have, err := openIndex(ctx, w.config.Index)
	if err != nil {
		return err
	}
	w.index = x
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget()
	for name, s := range have {
		var p Page
		if json.Unmarshal([]byte(s.doc), &p) == nil {
			w.known[name], w.rows[name], w.read[name] = &p, s.id, time.Unix(0, s.seen)
		}
	}
	if w.root != nil {
		if err := w.resume(ctx); err != nil {
			return err
		}
	}
	if have == nil {
		err = w.reindex(ctx)
	} else if _, err = w.refresh(ctx, func(string) bool { return false }); damaged(err) {
		err = w.rebuild(ctx)
	}
	if w.now.Load() == nil { // not a page, or nothing new
		w.now.Store(newCatalog(w.known, w.rows, nil))
	}
	return err
}

// forget makes the wiki one of no pages.
func (w *Wiki) forget() {
	w.known, w.rows, w.read = map[string]*Page{}, map[string]int64{}, map[string]time.Time{}
}

// rebuild makes the index anew from the files. w.mu is held.
func (w *Wiki) rebuild(ctx context.Context) error {
	w.log.Warn("the index is damaged and is made anew", "file", w.index.path)
	if err := w.index.reset(ctx); err != nil {
		return err
	}
	w.forget()
	return w.reindex(ctx)
}

// reindex writes an empty index from the files. w.mu is held.
func (w *Wiki) reindex(ctx context.Context) error {
	return w.index.fresh(ctx, func() error {
		_, err := w.refresh(ctx, func(string) bool { return true })
		return err
	})
}

// Close ends the watch and the index.
func (w *Wiki) Close() error {
	w.stop()
	w.feed.close()
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	if w.index != nil {
		errs = append(errs, w.index.close())
	}
	if w.root != nil {
		errs = append(errs, w.root.Close())
	}
	return errors.Join(errs...)
}

// Refresh looks at every file now, without waiting for the watch.
func (w *Wiki) Refresh(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.apply(w.refresh(ctx, func(string) bool { return true }))
}

// apply tells the subscribers what changed.
func (w *Wiki) apply(changes []Change, err error) error {
	if damaged(err) {
		return w.rebuild(context.Background())
	}
	w.feed.send(changes)
	return err
}

// Editable tells whether pages can be saved.
func (w *Wiki) Editable() bool { return w.root != nil }

// Find returns what the index knows of a page, by its path with or without
// ending ("people/sam") or, when only one page has it, by its name ("sam").
// NotFound: there is none, or several.
func (w *Wiki) Find(name string) (*Page, error) {
	c := w.now.Load()
	file, several := c.resolve("", Link{Target: strings.TrimPrefix(name, "/")})
	if file == "" {
		e := &prunella.Error{Kind: prunella.NotFound, Op: "find page", Where: name, Reason: "there is no such page"}
		if len(several) > 1 {
			e.Reason, e.Remedy = "several pages have that name", "say which: "+strings.Join(several, ", ")
		} else if near := c.nearest(name); near != "" {
			e.Remedy = "did you mean " + near + "?"
		}
		return nil, e
	}
	return c.pages[file], nil
}

// Page returns a page with its text as it is on disk now. NotFound as Find;
// TooLarge, Invalid (not UTF-8) and Unavailable (not readable) as the page's
// Problems say.
func (w *Wiki) Page(ctx context.Context, name string) (*Page, string, error) {
	p, err := w.Find(name)
	if err != nil {
		return nil, "", err
	}
	b, err := readFile(w.pages, p.Path)
	if err != nil || hashOf(b) != p.Hash {
		w.mu.Lock()
		err = w.apply(w.touch(ctx, []string{p.Path}))
		w.mu.Unlock()
		if err != nil {
			return nil, "", err
		}
		if p, err = w.Find(p.Path); err != nil {
			return nil, "", err
		}
		if b, err = readFile(w.pages, p.Path); err != nil && p.Err() == nil {
			return nil, "", w.unreadable(err)
		}
	}
	if err := p.Err(); err != nil {
		return p, "", err
	}
	w.past.keep(p.Hash, string(b))
	return p, string(b), nil
}

// Filter chooses pages; empty fields choose all.
type Filter struct {
	Kind      PageKind
	Category  string // in any case
	Owner     string // with or without @, in any case
	Freshness string // fresh | due | stale | never
	Now       time.Time
}

func (w *Wiki) matches(p *Page, f Filter) bool {
	return (f.Kind == "" || p.Kind == f.Kind) && (f.Category == "" || fold(p.Category) == fold(f.Category)) &&
		(f.Owner == "" || slices.ContainsFunc(p.Owners, func(o string) bool { return handle(o) == handle(f.Owner) })) &&
		(f.Freshness == "" || w.Freshness(p, f.Now) == f.Freshness)
}

func handle(owner string) string { return fold(strings.TrimPrefix(strings.TrimSpace(owner), "@")) }

// Pages lists pages by title.
func (w *Wiki) Pages(f Filter) []*Page {
	return w.now.Load().sorted(func(p *Page) bool { return w.matches(p, f) })
}

// Verified is when a page was last verified: by a run, as Config.Verified
// knows, else as the page says.
func (w *Wiki) Verified(p *Page) time.Time {
	if w.config.Verified != nil && p.Kind == Skill {
		if at := w.config.Verified(p.Name); !at.IsZero() {
			return at
		}
	}
	return p.Verified
}

// Freshness is one of package skill's words, by the last verification alone.
func (w *Wiki) Freshness(p *Page, now time.Time) string {
	at := w.Verified(p)
	switch age := now.Sub(at); {
	case at.IsZero():
		return skill.Never
	case age <= skill.FreshFor:
		return skill.Fresh
	case age <= skill.DueFor:
		return skill.Due
	}
	return skill.Stale
}

// Backlinks lists the links on other pages that lead to a page, by page.
func (w *Wiki) Backlinks(file string) []Backlink {
	c := w.now.Load()
	c.follow()
	return slices.Clone(c.in[file])
}

// Resolved is where a link leads.
type Resolved struct {
	Path   string // of the page, "" when the link is broken
	Anchor string // slug of the heading, "" without one
	Text   string // to show
	Broken string // why it is broken, as a sentence
}

// Resolve says where [[inside]] leads that stands on the page from.
func (w *Wiki) Resolve(from, inside string) Resolved {
	c := w.now.Load()
	target, heading, shown := wikiParts(inside)
	l := Link{Target: strings.TrimSpace(target), Heading: strings.TrimSpace(heading)}
	to, several := c.resolve(from, l)
	r := Resolved{Path: to, Text: cmp.Or(shown, l.Target, l.Heading)}
	if from := c.pages[from]; from != nil {
		r.Broken = c.broken(from, l, to, several).Reason
	} else if to == "" {
		r.Broken = "there is no page " + l.Target
	}
	if p := c.pages[to]; p != nil {
		if h, ok := p.heading(l.Heading); ok && l.Heading != "" {
			r.Anchor = h.Slug
		}
		if shown == "" && l.Target != "" {
			r.Text = p.Title
		}
	}
	return r
}

// clean checks a path that somebody gave for a page to write: inside the wiki,
// a Markdown file, not hidden, not behind a symbolic link.
func (w *Wiki) clean(op, name string) (string, error) {
	bad := func(reason, remedy string) (string, error) {
		return "", &prunella.Error{Kind: prunella.Invalid, Op: op, Where: fmt.Sprintf("%q", name), Reason: reason, Remedy: remedy}
	}
	if w.root == nil {
		return bad("these pages come with the program and cannot be changed", "copy them to a folder and name it")
	}
	switch {
	case strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' || r == 0xfffd }):
		return bad("a page's path has no control characters, backslashes or bytes that are not UTF-8", "")
	case !fs.ValidPath(name) || name == ".":
		return bad("a page's path stays inside the wiki", "write folder/name.md, without a leading / and without ..")
	case !strings.HasSuffix(name, ".md") || nameOf(name) == "":
		return bad("a page's name ends in .md", "")
	case !isPage(name):
		return bad("hidden files are not pages", "")
	case strings.ContainsAny(name, "[]|#"):
		return bad("a page's path cannot hold [ ] | or #, or no link could name it", "")
	case len(name) > 240:
		return bad("the path is longer than 240 bytes", "shorten it")
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if info, err := w.root.Lstat(dir); err == nil && !info.IsDir() {
			return bad(dir+" is not a folder", "a page is kept in a folder, not behind a symbolic link")
		}
	}
	if info, err := w.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return bad("it is not a file", "a page is a file, not a symbolic link or a folder")
	}
	return name, nil
}
