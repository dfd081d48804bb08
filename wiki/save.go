package wiki

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"prunella"
)

// Edit is a page as somebody wants it to be.
type Edit struct {
	Path   string // "people/sam.md"
	Base   string // Hash of the page that was edited; "" for a new page
	Text   string
	Author string // "Sam <sam@acme.example>", or a name alone; "" is who git says commits
	Reason string // for the history; "" is "Edit people/sam.md"
}

// Saved is what became of an edit or rename that is on disk.
type Saved struct {
	Page        *Page
	Commit      string // its hash in git; "" when it was not committed
	Uncommitted string // why not, as a sentence; "" when it was, or when pages are not kept in git
}

// Conflict is an edit of a page that somebody else changed or removed since it
// was read. Nothing was written; both texts are here. It is an error of kind
// prunella.Conflict.
type Conflict struct {
	Path   string
	Mine   string // the text that was to be saved
	Theirs string // the text that is there
	Hash   string // of Theirs, to save upon; "" when the page is gone
	Gone   bool   // the page was removed or renamed
	Base   string // the text that both started from, "" when it is not known any more
	Merged string // both edits, when Clean
	Clean  bool   // the edits touch different lines
}

func (c *Conflict) Error() string {
	if c.Gone {
		return fmt.Sprintf("save page: %s: the page was removed since you opened it (your text is kept; save it as a new page, or let it go)", c.Path)
	}
	return fmt.Sprintf("save page: %s: somebody else changed the page since you opened it (compare both texts, then save again)", c.Path)
}

// As makes it an error of the house's kinds.
func (c *Conflict) As(target any) bool {
	e, ok := target.(**prunella.Error)
	if ok {
		*e = &prunella.Error{Kind: prunella.Conflict, Op: "save page", Where: c.Path, Reason: "somebody else changed or removed the page"}
	}
	return ok
}

// Save writes a page, so that a crash leaves the old text or the new, and
// commits it when the wiki is kept in git. The index has it when Save returns.
//
// *Conflict: the page is not the one that was edited. Invalid: no path for a
// page, or not UTF-8. TooLarge: more than MaxPage. Unavailable: it cannot be
// written. A commit that fails is not an error: see Saved.
func (w *Wiki) Save(ctx context.Context, e Edit) (Saved, error) {
	name, err := w.clean("save page", e.Path)
	if err != nil {
		return Saved{}, err
	}
	switch {
	case len(e.Text) > MaxPage:
		return Saved{}, &prunella.Error{Kind: prunella.TooLarge, Op: "save page", Where: name, Reason: fmt.Sprintf("the text has %d bytes, more than %d", len(e.Text), MaxPage), Remedy: "split it"}
	case !utf8.ValidString(e.Text) || strings.ContainsRune(e.Text, 0):
		return Saved{}, &prunella.Error{Kind: prunella.Invalid, Op: "save page", Where: name, Reason: "the text is not UTF-8, or holds a NUL", Remedy: "save it as UTF-8"}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	unlock, err := w.hold(ctx)
	if err != nil {
		return Saved{}, err
	}
	defer unlock()
	if err := w.based(ctx, name, e); err != nil {
		return Saved{}, err
	}
	if err := w.write(name, e.Text, e.Base); err != nil {
		if errors.Is(err, errMoved) {
			return Saved{}, cmp.Or(w.based(ctx, name, e), err)
		}
		return Saved{}, err
	}
	w.past.keep(hashOf([]byte(e.Text)), e.Text)
	if err := w.apply(w.touch(context.WithoutCancel(ctx), []string{name})); err != nil {
		return Saved{}, err
	}
	s := Saved{Page: w.known[name]}
	s.Commit, s.Uncommitted = w.commit(ctx, []string{name}, e.Author, cmp.Or(e.Reason, "Edit "+name))
	return s, nil
}

// based is nil when a page on disk is the one that was edited.
func (w *Wiki) based(ctx context.Context, name string, e Edit) error {
	b, err := readFile(w.pages, name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.Base == "":
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return &Conflict{Path: name, Mine: e.Text, Gone: true, Base: w.version(ctx, name, e.Base)}
	case err != nil:
		return &prunella.Error{Kind: prunella.Unavailable, Op: "save page", Where: name, Err: err}
	}
	hash := hashOf(b)
	if hash == e.Base {
		return nil
	}
	c := &Conflict{Path: name, Mine: e.Text, Theirs: string(b), Hash: hash}
	if e.Base != "" {
		if c.Base = w.version(ctx, name, e.Base); c.Base != "" {
			c.Merged, c.Clean = merge3(c.Base, c.Mine, c.Theirs)
		}
	}
	return c
}

// version finds a text by its hash: among those read lately, then in git.
func (w *Wiki) version(ctx context.Context, name, hash string) string {
	if text, ok := w.past.find(hash); ok {
		return text
	}
	versions, err := w.History(ctx, name)
	if err != nil {
		return ""
	}
	for _, v := range versions[:min(len(versions), 30)] {
		if text, err := w.Revision(ctx, name, v.Commit); err == nil && hashOf([]byte(text)) == hash {
			return text
		}
	}
	return ""
}

// recent keeps the texts that were handed out lately, so that an edit of one
// can be merged. The oldest goes first.
type recent struct {
	mu    sync.Mutex
	texts map[string]string // by hash
	order []string
	bytes int
}

const mostRecent = 8 << 20 // bytes

func (r *recent) keep(hash, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.texts[hash]; there {
		return
	}
	if r.texts == nil {
		r.texts = map[string]string{}
	}
	r.texts[hash] = text
	r.order = append(r.order, hash)
	for r.bytes += len(text); r.bytes > mostRecent && len(r.order) > 1; r.order = r.order[1:] {
		r.bytes -= len(r.texts[r.order[0]])
		delete(r.texts, r.order[0])
	}
}

func (r *recent) find(hash string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, ok := r.texts[hash]
	return text, ok
}

// hold keeps other processes from writing pages of this folder meanwhile.
func (w *Wiki) hold(ctx context.Context) (func(), error) {
	f, err := w.root.Open(".")
	if err != nil {
		return nil, w.unreadable(err)
	}
	busy := &prunella.Error{Kind: prunella.Unavailable, Op: "save page", Where: w.dir, Reason: "another process has been writing pages for a while", Remedy: "try again"}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, busy)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch err {
		case nil:
			return func() { f.Close() }, nil
		case syscall.EWOULDBLOCK, syscall.EINTR:
		default: // a file system without locks: one process is all there may be
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-again.C:
		}
	}
}

// errMoved says that a file changed between two looks at it.
var errMoved = errors.New("the file changed meanwhile")

// hidden is how our own passing files begin. They are not pages.
const hidden = ".prunella-"

// write replaces a page that has the hash base, or makes a new one ("").
func (w *Wiki) write(name, text, base string) error {
	failed := func(err error) error {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "save page", Where: name, Reason: "the page cannot be written; nothing was changed", Remedy: "make room, or mend the rights on the folder, and save again", Err: err}
	}
	dir := path.Dir(name)
	if err := w.root.MkdirAll(dir, 0o755); err != nil {
		return failed(err)
	}
	mode := fs.FileMode(0o644)
	if info, err := w.root.Lstat(name); err == nil {
		mode = info.Mode().Perm()
	}
	temp := path.Join(dir, fmt.Sprintf("%s%d-%d.tmp", hidden, os.Getpid(), time.Now().UnixNano()))
	if err := w.fill(temp, text, mode); err != nil {
		return failed(errors.Join(err, w.root.Remove(temp)))
	}
	b, err := readFile(w.pages, name)
	switch {
	case base == "":
		err = w.root.Link(temp, name) // fails when there is a file by now
		if gone := w.root.Remove(temp); err == nil {
			err = gone
		}
		if errors.Is(err, fs.ErrExist) {
			return errMoved
		}
	case err != nil || hashOf(b) != base:
		return errors.Join(errMoved, w.root.Remove(temp))
	default:
		if err = w.root.Rename(temp, name); err != nil {
			err = errors.Join(err, w.root.Remove(temp))
		}
	}
	if err != nil {
		return failed(err)
	}
	return w.settle(dir)
}

func (w *Wiki) fill(temp, text string, mode fs.FileMode) error {
	f, err := w.root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

// settle makes the names in a folder survive a power cut.
func (w *Wiki) settle(dir string) error {
	d, err := w.root.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "save page", Where: dir, Reason: "the folder cannot be flushed to disk", Err: err}
	}
	return nil
}

// remove deletes a page that has the hash base; one that is gone is deleted.
func (w *Wiki) remove(name, base string) error {
	b, err := readFile(w.pages, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && hashOf(b) != base {
		err = errMoved
	}
	if err == nil {
		err = w.root.Remove(name)
	}
	if err != nil {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "remove page", Where: name, Err: err}
	}
	return w.settle(path.Dir(name))
}
