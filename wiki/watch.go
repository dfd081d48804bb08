package wiki

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// What happened to a page.
const (
	Added   = "added"
	Changed = "changed"
	Removed = "removed"
)

// Change is one page that was added, changed or removed.
type Change struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// feed tells subscribers of changes. A slow one gets them gathered.
type feed struct {
	mu     sync.Mutex
	to     map[chan []Change]bool
	closed bool
}

// Changes gives what changes from now on, whether on disk or by Save. What a
// slow reader did not take yet is gathered, last change first to be known per
// page. The channel closes with ctx or the wiki.
func (w *Wiki) Changes(ctx context.Context) <-chan []Change {
	ch := make(chan []Change, 1)
	f := &w.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		close(ch)
		return ch
	}
	if f.to == nil {
		f.to = map[chan []Change]bool{}
	}
	f.to[ch] = true
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.to[ch] {
			delete(f.to, ch)
			close(ch)
		}
	})
	return ch
}

func (f *feed) send(changes []Change) {
	if len(changes) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range f.to {
		batch := changes
		select {
		case waiting := <-ch:
			batch = merge(waiting, changes)
		default:
		}
		ch <- batch // there is room: nobody else sends
	}
}

// merge keeps the last change of each page.
func merge(a, b []Change) []Change {
	last := map[string]Change{}
	for _, c := range slices.Concat(a, b) {
		if c.What == Changed && last[c.Path].What == Added {
			c.What = Added
		}
		last[c.Path] = c
	}
	return slices.SortedFunc(maps.Values(last), func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
}

func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for ch := range f.to {
		delete(f.to, ch)
		close(ch)
	}
}

// An editor makes several events of one save, so the wiki waits until it is
// quiet, but not for ever. The slow look catches what the kernel did not tell
// (network file systems, overflow); it is the only one where nothing is told.
const (
	quiet     = 50 * time.Millisecond
	patience  = 300 * time.Millisecond
	slowLook  = 30 * time.Second
	quickLook = 500 * time.Millisecond
)

// watch follows the folder until stop.
func (w *Wiki) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	var loop sync.WaitGroup
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		err = w.watchFolders(watcher)
	}
	if err != nil {
		w.log.Warn("changes on disk are looked for twice a second, because the kernel does not tell of them", "err", err)
		if watcher != nil {
			watcher.Close()
			watcher = nil
		}
	}
	loop.Go(func() { w.follow(ctx, watcher) })
	w.stop = sync.OnceFunc(func() {
		cancel()
		loop.Wait()
		if watcher != nil {
			watcher.Close()
		}
	})
}

// watchFolders watches the folders that there are, and no others: the kernel
// goes on telling of a folder that was moved under its old name.
func (w *Wiki) watchFolders(watcher *fsnotify.Watcher) error {
	w.mu.Lock()
	dirs := map[string]bool{}
	for _, dir := range w.dirs {
		dirs[filepath.Join(w.dir, filepath.FromSlash(dir))] = true
	}
	w.mu.Unlock()
	for _, watched := range watcher.WatchList() {
		if !dirs[watched] {
			if err := watcher.Remove(watched); err != nil && !errors.Is(err, fsnotify.ErrNonExistentWatch) {
				w.log.Debug("a folder that is gone", "folder", watched, "err", err)
			}
		}
		delete(dirs, watched)
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if err := watcher.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (w *Wiki) follow(ctx context.Context, watcher *fsnotify.Watcher) {
	var events chan fsnotify.Event
	var failures chan error
	every := quickLook
	if watcher != nil {
		events, failures, every = watcher.Events, watcher.Errors, slowLook
	}
	look := time.NewTicker(every)
	defer look.Stop()
	settle := time.NewTimer(time.Hour)
	defer settle.Stop()
	named := map[string]bool{} // paths that events named
	all := false
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			name, ok := w.named(e)
			if !ok {
				continue
			}
			if len(named) == 0 && !all {
				since = time.Now()
			}
			named[name] = true
			settle.Reset(min(quiet, max(patience-time.Since(since), 0)))
		case err := <-failures: // an overflow: events are lost
			w.log.Warn("the kernel lost track of changes; looking at every page", "err", err)
			all = true
			settle.Reset(quiet)
		case <-settle.C:
			w.catchUp(ctx, watcher, slices.Sorted(maps.Keys(named)), all)
			clear(named)
			all = false
		case <-look.C:
			w.catchUp(ctx, watcher, nil, true)
		}
	}
}

// named is the path, in the wiki, that an event is about; false when no page
// can have changed.
func (w *Wiki) named(e fsnotify.Event) (string, bool) {
	name, err := filepath.Rel(w.dir, e.Name)
	name = filepath.ToSlash(name)
	if err != nil || e.Op == fsnotify.Chmod && !isPage(name) || !visible(path.Base(name)) && name != "." {
		return "", false
	}
	if strings.Contains(path.Base(name), ".") && !isPage(name) && e.Op&(fsnotify.Create|fsnotify.Remove|fsnotify.Rename) == 0 {
		return "", false // an editor's own file
	}
	return name, true
}

// catchUp reads what changed. A new folder is watched first and read again, so
// that no page falls between.
func (w *Wiki) catchUp(ctx context.Context, watcher *fsnotify.Watcher, names []string, all bool) {
	look := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		changes, err := []Change(nil), error(nil)
		if all {
			changes, err = w.refresh(ctx, func(name string) bool { return slices.Contains(names, name) })
		} else {
			changes, err = w.touch(ctx, names)
		}
		if err = w.apply(changes, err); err != nil && ctx.Err() == nil {
			w.log.Warn("the wiki could not be read again; it serves what it knows", "err", err)
		}
	}
	look()
	if watcher == nil {
		return
	}
	before := watcher.WatchList()
	if err := w.watchFolders(watcher); err != nil {
		w.log.Warn("a folder cannot be watched; changes in it are seen within half a minute", "err", err)
	}
	slices.Sort(before)
	if now := watcher.WatchList(); !slices.Equal(slices.Sorted(slices.Values(now)), before) {
		all = true
		look()
	}
}
