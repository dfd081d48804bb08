package thread

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver

	"prunella"
)

// Store keeps imported messages in threads.db. Whatever is put into it is
// redacted first; there is no way around that. The key of the hashes that give
// equal values equal numbers stands in threads.key beside it, so that a copy of
// the database alone does not let anybody try values out. It is safe for
// concurrent use, also by several processes.
type Store struct {
	db  *sql.DB
	red *Redactor
}

// Put is what Store.Put did.
type Put struct {
	Added     int `json:"added"`
	Updated   int `json:"updated"`   // edited, reacted to, pinned since
	Unchanged int `json:"unchanged"` // were there already
}

const threadsSchema = `
CREATE TABLE IF NOT EXISTS messages (
	channel TEXT NOT NULL, ts TEXT NOT NULL, name TEXT NOT NULL, edited TEXT NOT NULL, doc TEXT NOT NULL,
	PRIMARY KEY (channel, ts)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS channels (id TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS redacted (kind TEXT NOT NULL, mac TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (kind, mac)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS workspace (one INTEGER PRIMARY KEY CHECK (one = 1), url TEXT NOT NULL);`

// OpenStore opens threads.db in the data folder, creating both. A folder that
// cannot be written and a file that is no database are Invalid.
func OpenStore(ctx context.Context, data string) (*Store, error) {
	file := filepath.Join(data, "threads.db")
	wrong := func(reason string, err error) error {
		return &prunella.Error{Kind: prunella.Invalid, Op: "open threads", Where: file, Reason: reason, Err: withoutPath(err), Remedy: "name another folder with --data"}
	}
	if data == "" {
		return nil, wrong("no data folder is given", nil)
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, wrong("the folder cannot be made", err)
	}
	key, err := readKey(filepath.Join(data, "threads.key"))
	if err != nil {
		return nil, wrong("the key of the redactor cannot be read", err)
	}
	params := url.Values{"_txlock": {"immediate"}, "_pragma": {"journal_mode(wal)", "synchronous(full)", "busy_timeout(10000)", "cache_size(-16384)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath()}).String()+"?"+params.Encode())
	if err != nil {
		return nil, wrong("the database cannot be opened", err)
	}
	db.SetMaxOpenConns(4)
	if _, err := db.ExecContext(ctx, threadsSchema); err != nil {
		return nil, errors.Join(wrong("this is no database of ours, or it cannot be written", err), db.Close())
	}
	s := &Store{db: db}
	known, err := s.numbers(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.red = redactorWith(key, known)
	return s, nil
}

// readKey reads the redactor's key, or makes one that only the owner can read.
func readKey(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		b = []byte(hex.EncodeToString(randomKey()) + "\n")
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) { // another process was first
			return readKey(file)
		}
		if err != nil {
			return nil, err
		}
		_, err = f.Write(b)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) < 16 {
		return nil, errors.New("threads.key does not hold a key in hexadecimal")
	}
	return key, nil
}

func randomKey() []byte {
	key := make([]byte, 32)
	rand.Read(key) // never fails, as its documentation says
	return key
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

func storeFailed(op string, err error) error {
	kind := prunella.Unavailable
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &prunella.Error{Kind: kind, Op: op, Err: err, Remedy: "try again; if it stays, look at the data folder"}
}

func (s *Store) numbers(ctx context.Context) ([]numbered, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT kind, mac, n FROM redacted ORDER BY kind, n`)
	if err != nil {
		return nil, storeFailed("read threads", err)
	}
	defer rows.Close()
	var out []numbered
	for rows.Next() {
		var k numbered
		if err := rows.Scan(&k.kind, &k.mac, &k.n); err != nil {
			return nil, storeFailed("read threads", err)
		}
		out = append(out, k)
	}
	return out, rows.Err()
}

// within runs f in one transaction, and keeps the numbers that redacting gave.
func (s *Store) within(ctx context.Context, op string, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return storeFailed(op, err)
	}
	err = f(tx)
	fresh := s.red.fresh()
	for _, k := range fresh {
		if err == nil {
			_, err = tx.ExecContext(ctx, `INSERT INTO redacted (kind, mac, n) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, k.kind, k.mac, k.n)
		}
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		s.red.again(fresh)
		return errors.Join(storeFailed(op, err), rolledBack(tx.Rollback()))
	}
	return nil
}

func rolledBack(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// key is under which channel a message is stored: the id outlives renaming.
func (m Message) key() string {
	if m.ChannelID != "" {
		return m.ChannelID
	}
	return m.Channel
}

// Put redacts and stores messages; one with a known (channel, ts) replaces the
// stored one unless that was edited later. All or nothing.
func (s *Store) Put(ctx context.Context, messages []Message) (Put, error) {
	var p Put
	err := s.within(ctx, "store messages", func(tx *sql.Tx) error {
		p = Put{}
		have, err := tx.PrepareContext(ctx, `SELECT edited, doc FROM messages WHERE channel = $1 AND ts = $2`)
		if err != nil {
			return err
		}
		defer have.Close()
		put, err := tx.PrepareContext(ctx, `INSERT INTO messages (channel, ts, name, edited, doc) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (channel, ts) DO UPDATE SET name = excluded.name, edited = excluded.edited, doc = excluded.doc`)
		if err != nil {
			return err
		}
		defer put.Close()
		for _, m := range messages {
			m = s.red.Message(m)
			doc, err := json.Marshal(m)
			if err != nil {
				return err
			}
			var edited, old string
			err = have.QueryRowContext(ctx, m.key(), m.TS).Scan(&edited, &old)
			switch {
			case errors.Is(err, sql.ErrNoRows):
				p.Added++
			case err != nil:
				return err
			case compareTS(m.Edited, edited) < 0 || old == string(doc):
				p.Unchanged++
				continue
			default:
				p.Updated++
			}
			if _, err := put.ExecContext(ctx, m.key(), m.TS, m.Channel, m.Edited, string(doc)); err != nil {
				return err
			}
		}
		return nil
	})
	return p, err
}

// Delete takes a message out, as when its author deleted it. One that is not
// there is no error.
func (s *Store) Delete(ctx context.Context, channel, ts string) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM messages WHERE (channel = $1 OR name = $1) AND ts = $2`, strings.TrimPrefix(channel, "#"), ts)
	if err != nil {
		return storeFailed("delete a message", err)
	}
	return nil
}

// PutDirectory adds people and channels, or updates them.
func (s *Store) PutDirectory(ctx context.Context, dir *Directory) error {
	return s.within(ctx, "store people and channels", func(tx *sql.Tx) error {
		d := s.red.Directory(dir)
		for id, u := range d.Users {
			if err := putDoc(ctx, tx, `INSERT INTO users (id, doc) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`, id, u); err != nil {
				return err
			}
		}
		for id, c := range d.Channels {
			if err := putDoc(ctx, tx, `INSERT INTO channels (id, doc) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`, id, c); err != nil {
				return err
			}
		}
		if d.Workspace == "" {
			return nil
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO workspace (one, url) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET url = excluded.url`, d.Workspace)
		return err
	})
}

func putDoc(ctx context.Context, tx *sql.Tx, query, id string, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = tx.ExecContext(ctx, query, id, string(b))
	}
	return err
}

// Directory returns the people and channels that are known.
func (s *Store) Directory(ctx context.Context) (*Directory, error) {
	d := &Directory{Users: map[string]User{}, Channels: map[string]Channel{}}
	err := s.each(ctx, `SELECT id, doc FROM users ORDER BY id`, nil, func(id, doc string) error {
		var u User
		defer func() { d.Users[id] = u }()
		return json.Unmarshal([]byte(doc), &u)
	})
	if err == nil {
		err = s.each(ctx, `SELECT id, doc FROM channels ORDER BY id`, nil, func(id, doc string) error {
			var c Channel
			defer func() { d.Channels[id] = c }()
			return json.Unmarshal([]byte(doc), &c)
		})
	}
	if err == nil {
		err = s.db.QueryRowContext(ctx, `SELECT COALESCE(MAX(url), '') FROM workspace`).Scan(&d.Workspace)
	}
	if err != nil {
		return nil, storeFailed("read people and channels", err)
	}
	return d, nil
}

func (s *Store) each(ctx context.Context, query string, args []any, f func(id, doc string) error) error {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, doc string
		if err := rows.Scan(&id, &doc); err != nil {
			return err
		}
		if err := f(id, doc); err != nil {
			return err
		}
	}
	return rows.Err()
}

// errStop ends a sequence that its reader left.
var errStop = errors.New("stop")

// Messages reads what is stored: channel by channel, within a channel by ts.
// channel "" means all of them.
func (s *Store) Messages(ctx context.Context, channel string) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		channel = strings.TrimPrefix(channel, "#")
		err := s.each(ctx, `SELECT ts, doc FROM messages WHERE $1 = '' OR channel = $1 OR name = $1 ORDER BY channel, ts`, []any{channel}, func(_, doc string) error {
			var m Message
			if err := json.Unmarshal([]byte(doc), &m); err != nil {
				return err
			}
			if !yield(m, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Message{}, storeFailed("read messages", err))
		}
	}
}
