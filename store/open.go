package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"prunella"
)

// Store is an open database. It is safe for concurrent use.
type Store struct {
	write *sql.DB // one connection
	read  *sql.DB
	lock  *os.File

	// Both belong to the write transaction: there is one at a time.
	grown map[string]bool // services with lines since the rings were last cut
	uncut int             // how many lines
}

// Open opens the database at dsn, creating and migrating it. dsn is a folder
// (the file is prunella.db in it) or a file whose name ends in .db. The folder
// is held by a lock file until Close: a second process gets Conflict with the
// first one's process id.
//
// A path that cannot be written is Invalid, a file that is no database of ours
// is Invalid, and a database written by a newer version is Conflict.
func Open(ctx context.Context, dsn string) (*Store, error) {
	if dsn == "" {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "open store", Reason: "no data folder is given",
			Remedy: "name a folder, for example ./data"}
	}
	if scheme, _, ok := strings.Cut(dsn, "://"); ok {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "open store", Reason: "the store cannot use " + scheme + " yet",
			Remedy: "give a folder for SQLite, for example ./data"}
	}
	file, lockFile := paths(dsn)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, unwritable(filepath.Dir(file), err)
	}
	lock, err := lockPath(lockFile)
	if err != nil {
		return nil, err
	}
	s := &Store{lock: lock, grown: map[string]bool{}}
	if s.write, s.read, err = openSQLite(ctx, file); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := migrate(ctx, s.write, file); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.freeLeases(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close ends every connection and gives the folder free.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// paths returns the database file and the lock file that dsn means.
func paths(dsn string) (file, lock string) {
	info, err := os.Stat(dsn)
	if err == nil && !info.IsDir() || err != nil && filepath.Ext(dsn) == ".db" {
		return dsn, dsn + ".lock"
	}
	return filepath.Join(dsn, "prunella.db"), filepath.Join(dsn, "prunella.lock")
}

func unwritable(path string, err error) error {
	e := &prunella.Error{Kind: prunella.Invalid, Op: "open store", Where: path, Reason: "the data folder cannot be written", Err: err,
		Remedy: "choose another folder or change its owner"}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		e.Where, e.Err = pe.Path, pe.Err
	}
	return e
}
