package wiki

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"prunella"
)

// layout is the version of the index; another one in a file means rebuild, and
// none that it was never finished.
const layout = 3

// The table words takes tokens with spaces between (see stems); the text of
// pages is not stored a second time. hashsize lets FTS5 gather more before it
// writes a segment, 8 MiB. The table titles holds two of its columns again: it is
// a tenth as large, and mostly enough (see matching).
const schema = `
CREATE TABLE pages (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, doc TEXT NOT NULL, seen INTEGER NOT NULL);
CREATE TABLE forms (word TEXT PRIMARY KEY, stem TEXT NOT NULL) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(title, heads, body, ids, content='', contentless_delete=1, tokenize=ascii);
CREATE VIRTUAL TABLE titles USING fts5(title, heads, content='', contentless_delete=1, tokenize=ascii, prefix='3 4');
CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, row);
INSERT INTO words(words, rank) VALUES('hashsize', 8388608);`

// index is the SQLite file with the pages' words. One writer, two readers.
type index struct {
	path  string
	temp  bool     // removed at the end
	lock  *os.File // held while a lasting index is open
	write *sql.DB

	mu   sync.RWMutex // held for writing while the file is made anew
	read *sql.DB
}

// query lets use read while the file stays.
func (x *index) query(use func(*sql.DB) error) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.read == nil {
		return sql.ErrConnDone
	}
	return use(x.read)
}

// openIndex opens the index at a path, or a passing one in a temporary folder
// when the path is empty or in use by another process. What it holds is
// returned by path; a file that cannot be used is made anew.
// It is nil for one that holds nothing yet: see fresh.
func openIndex(ctx context.Context, file string) (*index, map[string]stored, error) {
	x := &index{path: file}
	if file != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return nil, nil, indexError(file, err)
		}
		lock, err := os.OpenFile(file+".lock", os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, nil, indexError(file, err)
		}
		x.lock = lock
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			lock.Close()
			x.lock, x.path = nil, ""
		}
	}
	if x.path == "" {
		dir, err := os.MkdirTemp("", "prunella-wiki-")
		if err != nil {
			return nil, nil, indexError("", err)
		}
		x.temp, x.path = true, filepath.Join(dir, "index.db")
	}
	have, err := x.connect(ctx)
	if err != nil {
		x.close()
		return nil, nil, err
	}
	return x, have, nil
}

func indexError(file string, err error) error {
	return &prunella.Error{Kind: prunella.Unavailable, Op: "open wiki index", Where: file, Err: err,
		Remedy: "choose a folder that can be written, or change its owner"}
}

// stored is a page as the index holds it.
type stored struct {
	id   int64
	doc  string
	seen int64 // when its file was read, in nanoseconds since 1970
}

func (x *index) connect(ctx context.Context) (map[string]stored, error) {
	have, err := x.dial(ctx)
	if err == nil {
		return have, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, x.reset(ctx) // not ours, of another version, or broken
}

// dial opens the file and reads what it holds.
func (x *index) dial(ctx context.Context) (map[string]stored, error) {
	query := "_pragma=busy_timeout(5000)&_pragma=synchronous(NORMAL)&_pragma=cache_size(-4000)&_txlock=immediate"
	name := "file:" + (&url.URL{Path: x.path}).EscapedPath() + "?" + query
	var err error
	if x.write, err = sql.Open("sqlite", name); err != nil {
		return nil, err
	}
	x.write.SetMaxOpenConns(1)
	if x.read, err = sql.Open("sqlite", name); err != nil {
		return nil, err
	}
	x.read.SetMaxOpenConns(2)
	var version int
	if err := x.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return nil, err
	}
	if version != layout {
		return nil, errors.New("another layout")
	}
	for _, table := range []string{"pages", "forms", "words_data", "titles_data"} { // what FTS5 keeps in them shows when it is asked
		var verdict string
		if err := x.write.QueryRowContext(ctx, "PRAGMA quick_check("+table+")").Scan(&verdict); err != nil || verdict != "ok" {
			return nil, errors.Join(err, errors.New(verdict))
		}
	}
	rows, err := x.write.QueryContext(ctx, "SELECT id, path, doc, seen FROM pages")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	have := map[string]stored{}
	for rows.Next() {
		var s stored
		var file string
		if err := rows.Scan(&s.id, &file, &s.doc, &s.seen); err != nil {
			return nil, err
		}
		have[file] = s
	}
	return have, rows.Err()
}

// reset throws the file away and makes an empty one.
func (x *index) reset(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.disconnect(); err != nil {
		return indexError(x.path, err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(x.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return indexError(x.path, err)
		}
	}
	if _, err := x.dial(ctx); x.write == nil || x.read == nil {
		return indexError(x.path, err)
	}
	if _, err := x.write.ExecContext(ctx, schema); err != nil {
		return indexError(x.path, err)
	}
	return nil
}

// writing is one transaction that takes pages into the index and out of it.
type writing struct {
	x    *index
	tx   *sql.Tx
	rows map[string]int64 // pages' numbers by path, as they will be

	prepared map[string]*sql.Stmt // by text
}

func (x *index) begin(ctx context.Context, rows map[string]int64) (*writing, error) {
	tx, err := x.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, indexError(x.path, err)
	}
	return &writing{x, tx, maps.Clone(rows), map[string]*sql.Stmt{}}, nil
}

func (t *writing) exec(ctx context.Context, query string, args ...any) (int64, error) {
	s := t.prepared[query]
	if s == nil {
		var err error
		if s, err = t.tx.PrepareContext(ctx, query); err != nil { // closed with the transaction
			return 0, indexError(t.x.path, err)
		}
		t.prepared[query] = s
	}
	r, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, indexError(t.x.path, err)
	}
	return r.LastInsertId()
}

func (t *writing) take(ctx context.Context, name string) error {
	row := t.rows[name]
	if row == 0 {
		return nil
	}
	delete(t.rows, name)
	for _, statement := range []string{"DELETE FROM words WHERE rowid = $1", "DELETE FROM titles WHERE rowid = $1", "DELETE FROM pages WHERE id = $1"} {
		if _, err := t.exec(ctx, statement, row); err != nil {
			return err
		}
	}
	return nil
}

func (t *writing) put(ctx context.Context, p contents, seen time.Time) error {
	if err := t.take(ctx, p.Path); err != nil {
		return err
	}
	doc, err := json.Marshal(p.Page)
	if err != nil {
		return indexError(t.x.path, err)
	}
	row, err := t.exec(ctx, "INSERT INTO pages (path, doc, seen) VALUES ($1, $2, $3)", p.Path, string(doc), seen.UnixNano())
	if err != nil {
		return err
	}
	t.rows[p.Path] = row
	if _, err := t.exec(ctx, "INSERT INTO words (rowid, title, heads, body, ids) VALUES ($1, $2, $3, $4, $5)", row, p.title, p.heads, p.body, p.ids); err != nil {
		return err
	}
	if _, err := t.exec(ctx, "INSERT INTO titles (rowid, title, heads) VALUES ($1, $2, $3)", row, p.title, p.heads); err != nil {
		return err
	}
	for word, to := range p.forms {
		if _, err := t.exec(ctx, "INSERT INTO forms (word, stem) VALUES ($1, $2) ON CONFLICT DO NOTHING", word, to); err != nil {
			return err
		}
	}
	return nil
}

// keep notes that a page's file was read again and says what it said.
func (t *writing) keep(ctx context.Context, p *Page, seen time.Time) error {
	doc, err := json.Marshal(p)
	if err != nil {
		return indexError(t.x.path, err)
	}
	_, err = t.exec(ctx, "UPDATE pages SET doc = $1, seen = $2 WHERE path = $3", string(doc), seen.UnixNano(), p.Path)
	return err
}

func (t *writing) commit() error {
	if err := t.tx.Commit(); err != nil {
		return indexError(t.x.path, err)
	}
	return nil
}

// fresh writes an index from nothing. No journal is kept meanwhile: a file that
// a crash left half written has no layout and is thrown away.
func (x *index) fresh(ctx context.Context, fill func() error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, pragma := range []string{"journal_mode=OFF", "synchronous=OFF"} {
		if _, err := x.write.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
			return indexError(x.path, err)
		}
	}
	if err := fill(); err != nil {
		return err
	}
	for _, pragma := range []string{fmt.Sprintf("user_version=%d", layout), "journal_mode=WAL", "synchronous=NORMAL"} {
		if _, err := x.write.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
			return indexError(x.path, err)
		}
	}
	return nil
}

// damaged tells an index that must be made anew.
func damaged(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
		return true
	}
	return e.Code() == sqlite3.SQLITE_ERROR && strings.Contains(e.Error(), "no such table")
}

func (x *index) disconnect() error {
	var errs []error
	for _, db := range []*sql.DB{x.read, x.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	x.read, x.write = nil, nil
	return errors.Join(errs...)
}

func (x *index) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	err := x.disconnect()
	if x.temp {
		err = errors.Join(err, os.RemoveAll(filepath.Dir(x.path)))
	}
	if x.lock != nil {
		err = errors.Join(err, x.lock.Close())
	}
	return err
}
