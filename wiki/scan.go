package wiki

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"prunella"
	"prunella/skill"
)

// file is what a look at the disk tells about a page.
type file struct {
	size     int64
	modified time.Time
	link     bool // a symbolic link, which is not followed
}

// settled is how old a file's time must be before size and time prove that it
// is the one that was read: a second write within the clock's grain changes
// neither.
const settled = 2 * time.Second

// list walks the folder. Hidden files and folders are not pages, and symbolic
// links are not followed, so neither a loop nor a way out of the folder can
// arise. A folder that cannot be read is a problem of the wiki, not an error.
func list(ctx context.Context, pages fs.FS) (files map[string]file, dirs []string, problems []skill.Problem, err error) {
	files = map[string]file{}
	err = fs.WalkDir(pages, ".", func(name string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if name == "." {
				return err
			}
			if !errors.Is(err, fs.ErrNotExist) {
				problems = append(problems, unreadable(name, err))
			}
			return nil
		}
		if name != "." && !visible(path.Base(name)) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		switch {
		case e.IsDir():
			dirs = append(dirs, name)
		case isPage(name) && e.Type()&fs.ModeSymlink != 0:
			files[name] = file{link: true}
		case isPage(name) && e.Type().IsRegular():
			if info, err := e.Info(); err == nil {
				files[name] = file{size: info.Size(), modified: info.ModTime()}
			}
		}
		return nil
	})
	return files, dirs, problems, err
}

// visible tells pages and folders from hidden ones, such as .git, and from what
// other tools keep beside them.
func visible(base string) bool { return !strings.HasPrefix(base, ".") && base != "node_modules" }

func isPage(name string) bool {
	return strings.HasSuffix(name, ".md") && !strings.HasPrefix(name, ".") && !strings.Contains(name, "/.") && !strings.Contains("/"+name, "/node_modules/")
}

func unreadable(name string, err error) skill.Problem {
	var e *fs.PathError
	reason := err.Error()
	if errors.As(err, &e) {
		reason = e.Err.Error()
	}
	return skill.Problem{File: name, Line: 1, Column: 1, Rule: "unreadable", Severity: skill.SeverityError,
		Text: "it cannot be read: " + reason, Remedy: "let the user that runs Prunella read it"}
}

// loaded is one file as it was just read.
type loaded struct {
	contents
	name  string
	there bool
	same  bool // its bytes are those of the known hash; nothing but Hash is set
	at    time.Time
}

// load reads one page, and takes it apart unless its hash is known.
func load(pages fs.FS, name string, f file, known string, s *stems) loaded {
	l := loaded{contents: contents{Page: newPage(name)}, name: name, there: true, at: time.Now()}
	switch {
	case !utf8.ValidString(name):
		l.add(skill.SeverityError, "unreadable", 1, 1, "the name of the file is not UTF-8 text, so no link can lead to it", "rename the file")
	case f.link:
		l.add(skill.SeverityError, "unreadable", 1, 1, "a symbolic link is not followed", "put the page itself into the wiki")
	case f.size > MaxPage:
		l.tooLarge(f.size)
	default:
		b, err := readFile(pages, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			l.there = false
		case err != nil:
			l.Problems = append(l.Problems, unreadable(name, err))
		case known != "" && hashOf(b) == known:
			l.same = true
		default:
			l.contents = readPage(name, b, s)
		}
	}
	l.Size, l.Modified = f.size, f.modified
	return l
}

// readFile reads at most one byte more than a page may have.
func readFile(pages fs.FS, name string) ([]byte, error) {
	f, err := pages.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a file")})
	}
	var b bytes.Buffer
	b.Grow(int(min(info.Size(), MaxPage)) + bytes.MinRead)
	_, err = b.ReadFrom(io.LimitReader(f, MaxPage+1))
	return b.Bytes(), err
}

// loadAll reads files, several at a time when there are many.
func (w *Wiki) loadAll(ctx context.Context, files map[string]file, look []string, known map[string]*Page) iter.Seq[loaded] {
	hash := func(name string) string {
		if p := known[name]; p != nil {
			return p.Hash
		}
		return ""
	}
	return func(yield func(loaded) bool) {
		if len(look) < 8 {
			s := newStems()
			for _, name := range look {
				if ctx.Err() != nil || !yield(load(w.pages, name, files[name], hash(name), s)) {
					return
				}
			}
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		jobs, results := make(chan string), make(chan loaded, 16)
		var workers sync.WaitGroup
		defer workers.Wait()
		defer cancel()
		workers.Go(func() {
			defer close(jobs)
			for _, name := range look {
				select {
				case jobs <- name:
				case <-ctx.Done():
					return
				}
			}
		})
		var readers sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			readers.Go(func() {
				s := newStems()
				for name := range jobs {
					select {
					case results <- load(w.pages, name, files[name], hash(name), s):
					case <-ctx.Done():
						return
					}
				}
			})
		}
		workers.Go(func() {
			readers.Wait()
			close(results)
		})
		for l := range results {
			if !yield(l) {
				return
			}
		}
	}
}

// refresh brings index and catalog up to what is on disk. forced tells to read
// a file even though its size and time are as they were. w.mu is held.
func (w *Wiki) refresh(ctx context.Context, forced func(path string) bool) ([]Change, error) {
	files, dirs, problems, err := list(ctx, w.pages)
	if err != nil {
		return nil, w.unreadable(err)
	}
	w.dirs, w.problems = dirs, problems
	var gone []string
	for name := range w.known {
		if _, there := files[name]; !there {
			gone = append(gone, name)
		}
	}
	return w.update(ctx, files, gone, forced)
}

func (w *Wiki) unreadable(err error) error {
	return &prunella.Error{Kind: prunella.Unavailable, Op: "read wiki", Where: w.dir, Remedy: "name a folder that can be read", Err: err}
}

// touch is refresh for some paths; a folder among them means all. w.mu is held.
func (w *Wiki) touch(ctx context.Context, names []string) ([]Change, error) {
	files := map[string]file{}
	var gone []string
	for _, name := range names {
		info, err := fs.Lstat(w.pages, name)
		switch {
		case err == nil && info.Mode().IsRegular() && isPage(name):
			files[name] = file{size: info.Size(), modified: info.ModTime()}
		case err == nil && info.IsDir(), errors.Is(err, fs.ErrNotExist) && w.known[name] == nil, err == nil && info.Mode()&fs.ModeSymlink != 0, isPage(name) && !fs.ValidPath(name): // a folder, one that was moved, or a page whose name is not UTF-8
			return w.refresh(ctx, func(name string) bool { return slices.Contains(names, name) })
		case errors.Is(err, fs.ErrNotExist):
			gone = append(gone, name)
		}
	}
	return w.update(ctx, files, gone, func(string) bool { return true })
}

// collectEvery is after how many pages read at once memory is tidied.
const collectEvery = 500

// update takes the files that are there, and those that are no more, into index
// and catalog. Files that did not change are skipped.
func (w *Wiki) update(ctx context.Context, files map[string]file, gone []string, forced func(string) bool) ([]Change, error) {
	var look []string
	for name, f := range files {
		p := w.known[name]
		same := p != nil && p.Size == f.size && p.Modified.Equal(f.modified) && w.read[name].Sub(f.modified) > settled
		if !same || forced(name) {
			look = append(look, name)
		}
	}
	slices.Sort(look)
	if len(look)+len(gone) == 0 {
		return nil, nil
	}
	next := maps.Clone(w.known)
	var changes []Change
	t, err := w.index.begin(ctx, w.rows)
	if err != nil {
		return nil, err
	}
	defer t.tx.Rollback()
	read := 0
	for l := range w.loadAll(ctx, files, look, w.known) {
		if read++; read%collectEvery == 0 {
			runtime.GC() // reading thousands of pages makes much garbage; the heap would grow to twice what stays
		}
		before := w.known[l.name]
		w.read[l.name] = l.at
		switch {
		case !l.there:
			if before != nil {
				gone = append(gone, l.name)
			}
			continue
		case l.same:
			p := *before
			p.Size, p.Modified = l.Size, l.Modified
			next[l.name] = &p
			if err := t.keep(ctx, &p, l.at); err != nil {
				return nil, err
			}
			continue
		case before == nil:
			changes = append(changes, Change{Path: l.name, What: Added})
		case before.Hash != l.Hash:
			changes = append(changes, Change{Path: l.name, What: Changed})
		}
		next[l.name] = l.Page
		if err := t.put(ctx, l.contents, l.at); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, name := range gone {
		if err := t.take(ctx, name); err != nil {
			return nil, err
		}
		delete(next, name)
		delete(w.read, name)
		changes = append(changes, Change{Path: name, What: Removed})
	}
	if err := t.commit(); err != nil {
		return nil, err
	}
	w.known, w.rows = next, t.rows
	w.now.Store(newCatalog(next, w.rows, w.now.Load()))
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return changes, nil
}
