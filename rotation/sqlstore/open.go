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
	dialect, begin := goose.DialectSQLite3, ""
	switch {
	case scheme == "postgres" || scheme == "postgresql":
		dialect, begin = goose.DialectPostgres, notFrozen
		if db, err = sql.Open("pgx", dsn); err == nil {
			db.SetMaxOpenConns(8)
			db.SetConnMaxIdleTime(time.Minute)
		}
	case isURL || dsn == "":
		return nil, invalid("the store's address is neither a URL of PostgreSQL nor a file")
	default:
		db, err = openSQLite(dsn)
	}
	if err != nil {
		return nil, invalid("the store cannot be opened: %v", err)
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(failed(err), db.Close())
	}
	if err := alone(ctx, db, dialect, func() error { return migrate(ctx, db, dialect) }); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{db, begin}, nil
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

// alone runs fn while no other node does. SQLite's nodes are one.
func alone(ctx context.Context, db *sql.DB, dialect goose.Dialect, fn func() error) error {
	if dialect != goose.DialectPostgres {
		return fn()
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return failed(err)
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, migrating); err != nil {
		return errors.Join(failed(err), conn.Close())
	}
	err = fn()
	_, unlocked := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrating)
	return errors.Join(err, failed(unlocked), failed(conn.Close()))
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
	return &rotation.Error{Kind: rotation.Unavailable, Detail: "the store failed", Cause: err}
}
