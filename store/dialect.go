package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"prunella"
)

// applicationID marks a SQLite file as ours ("PRNL").
const applicationID = 0x50524e4c

// Page caches are in KiB for each connection: the working set is small, and an
// idle server should be too.
const (
	writerCacheKiB = 4096
	readerCacheKiB = 1024
	readers        = 4
)

// openSQLite opens the writing and the reading handle of a database file.
func openSQLite(ctx context.Context, file string) (write, read *sql.DB, err error) {
	if err := checkOurs(ctx, file); err != nil {
		return nil, nil, err
	}
	open := func(conns int, params url.Values) (*sql.DB, error) {
		params.Set("_busy_timeout", "10000")
		db, err := sql.Open("sqlite", address(file)+"?"+params.Encode())
		if err != nil {
			return nil, failed("open store", err)
		}
		db.SetMaxOpenConns(conns)
		return db, nil
	}
	write, err = open(1, url.Values{
		"_txlock": {"immediate"}, "_auto_vacuum": {"incremental"}, "_journal_mode": {"wal"}, "_synchronous": {"full"}, "_foreign_keys": {"on"},
		"_pragma": {fmt.Sprintf("cache_size(-%d)", writerCacheKiB), fmt.Sprintf("application_id(%d)", applicationID), "journal_size_limit(16777216)"},
	})
	if err != nil {
		return nil, nil, err
	}
	if err := write.PingContext(ctx); err != nil {
		write.Close()
		return nil, nil, openFailed(file, err)
	}
	read, err = open(readers, url.Values{"_pragma": {"query_only(1)", fmt.Sprintf("cache_size(-%d)", readerCacheKiB)}})
	if err != nil {
		write.Close()
		return nil, nil, err
	}
	read.SetMaxIdleConns(1)
	read.SetConnMaxIdleTime(time.Minute)
	return write, read, nil
}

// checkOurs looks at a file that is there before anything is set on it: what is
// no database, or another program's, must stay as it is.
func checkOurs(ctx context.Context, file string) error {
	info, err := os.Stat(file)
	if errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return unwritable(file, err)
	}
	db, err := sql.Open("sqlite", address(file)+"?mode=rw&_pragma=query_only(1)&_pragma=busy_timeout(10000)")
	if err != nil {
		return failed("open store", err)
	}
	defer db.Close()
	var id, tables int
	if err := db.QueryRowContext(ctx, `SELECT application_id, (SELECT COUNT(*) FROM sqlite_master) FROM pragma_application_id`).Scan(&id, &tables); err != nil {
		return openFailed(file, err)
	}
	if id != applicationID && (id != 0 || tables > 0) {
		return &prunella.Error{Kind: prunella.Invalid, Op: "open store", Where: file, Reason: "the file is a database of another program",
			Remedy: "choose another data folder, or move the file away"}
	}
	return nil
}

func address(file string) string { return "file:" + (&url.URL{Path: file}).EscapedPath() }

// shrink gives free pages back to the file system, a bounded number at a time.
func (s *Store) shrink(ctx context.Context) error {
	_, err := s.write.ExecContext(ctx, "PRAGMA incremental_vacuum(2000)")
	return failed("prune", err)
}

func openFailed(file string, err error) error {
	var se *sqlite.Error
	if errors.As(err, &se) {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
			return &prunella.Error{Kind: prunella.Invalid, Op: "open store", Where: file, Reason: "the file is not a database, or is damaged",
				Remedy: "restore it from a backup, or choose another data folder", Err: err}
		case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
			return &prunella.Error{Kind: prunella.Invalid, Op: "open store", Where: file, Reason: "the database file cannot be written",
				Remedy: "change its owner or choose another data folder", Err: err}
		}
	}
	return failed("open store", err)
}

// failed gives a database error its Kind. nil stays nil, and an error that has
// a Kind keeps it.
func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	var pe *prunella.Error
	if errors.As(err, &pe) {
		return err
	}
	e := &prunella.Error{Kind: prunella.Internal, Op: op, Err: err}
	var se *sqlite.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, sql.ErrConnDone):
		e.Kind = prunella.Unavailable
	case errors.As(err, &se):
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			e.Kind, e.Reason, e.Remedy = prunella.Unavailable, "the disk is full", "free some space; nothing that was acknowledged is lost"
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_INTERRUPT:
			e.Kind = prunella.Unavailable
		case sqlite3.SQLITE_CONSTRAINT:
			e.Kind = prunella.Conflict
		}
	}
	return e
}
