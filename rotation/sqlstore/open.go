package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"prunella/rotation"
)

// Store is an open database.
type Store struct {
	db    *sql.DB
	begin string // what every transaction begins with; may be empty
}

// A node that freezes in the middle of a transaction holds the ring's row, and
// with it every other node. The server ends such a transaction.
const notFrozen = `SET LOCAL idle_in_transaction_session_timeout = '3s'`

// migrating is the advisory lock (of PostgreSQL, by session) of the node that
// makes the tables, when several start at once.
const migrating = 0x70727565

var _ rotation.Store = (*Store)(nil)

//go:embed migrations/*.sql
var migrations embed.FS

// Open opens and migrates a database: a URL of PostgreSQL, or the path of an
// SQLite file, which is made with mode 0600. It is rotation's Invalid when that
// cannot be, Unavailable when the server does not answer, and Conflict when a
// newer version has written the schema.
func Open(ctx context.Context, dsn string) (*Store, error) {
	scheme, _, isURL := strings.Cut(dsn, "://")
	var db *sql.DB
	var err error
	switch {
	case scheme == "postgres" || scheme == "postgresql":
		if db, err = sql.Open("pgx", dsn); err == nil {
			db.SetMaxOpenConns(8)
			db.SetConnMaxIdleTime(time.Minute)
			err = aloneInServer(ctx, db, func() error { return migrate(ctx, db, goose.DialectPostgres) })
		}
		return opened(db, notFrozen, err)
	case isURL || dsn == "":
		return nil, invalid("the store's address is neither a URL of PostgreSQL nor a file")
	}
	if db, err = openSQLite(dsn); err == nil {
		err = aloneInFolder(filepath.Dir(dsn), func() error { return migrate(ctx, db, goose.DialectSQLite3) })
	}
	return opened(db, "", err)
}

// opened is a store, or what kept it from being opened.
func opened(db *sql.DB, begin string, err error) (*Store, error) {
	var known *rotation.Error
	switch {
	case err == nil:
		return &Store{db, begin}, nil
	case db == nil:
		return nil, invalid("the store cannot be opened: %v", err)
	case errors.As(err, &known):
		return nil, errors.Join(err, db.Close())
	}
	return nil, errors.Join(failed(err), db.Close())
}

func openSQLite(file string) (*sql.DB, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	params := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(10000)", "journal_mode(wal)", "synchronous(full)"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?"+params.Encode())
	if err == nil {
		db.SetMaxOpenConns(1) // one writer; reads are short
	}
	return db, err
}

// Close ends every connection.
func (s *Store) Close() error { return s.db.Close() }

// aloneInServer runs fn while no other node does.
func aloneInServer(ctx context.Context, db *sql.DB, fn func() error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, migrating); err != nil {
		return errors.Join(err, conn.Close())
	}
	err = fn()
	_, unlocked := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrating)
	return errors.Join(err, unlocked, conn.Close())
}

// aloneInFolder runs fn while no other process does with a file of this folder.
// SQLite's own locks do not order who makes a file use WAL, and then its tables.
func aloneInFolder(dir string, fn func() error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()                                 // which unlocks it
	_ = syscall.Flock(int(d.Fd()), syscall.LOCK_EX) // some network file systems lock no folder: then start one after the other
	return fn()
}

func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, db, dir, goose.WithDisableGlobalRegistry(true), goose.WithTableName("rotation_schema"))
	if err != nil {
		return failed(err)
	}
	have, newest, err := p.GetVersions(ctx)
	if err != nil {
		return failed(err)
	}
	if have > newest {
		return &rotation.Error{Kind: rotation.Conflict, Detail: fmt.Sprintf("the store has schema %d and this version knows %d", have, newest),
			Remedy: "run the newer version"}
	}
	if have < newest {
		if _, err := p.Up(ctx); err != nil {
			return failed(err)
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &rotation.Error{Kind: rotation.Invalid, Detail: fmt.Sprintf(format, args...)}
}

// failed gives a database's error its kind. nil stays nil, and an error that has
// a kind keeps it.
func failed(err error) error {
	var known *rotation.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &rotation.Error{Kind: rotation.Unavailable, Detail: "the store failed", Cause: err, Remedy: "see that the database can be reached and its disk has room"}
}
