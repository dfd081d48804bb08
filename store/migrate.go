package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"prunella"
)

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// migrate brings the schema to this version's. A schema that is newer is left alone.
func migrate(ctx context.Context, db *sql.DB, file string) error {
	dir, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return failed("open store", err)
	}
	have, newest, err := p.GetVersions(ctx)
	if err != nil {
		return openFailed(file, err)
	}
	if have > newest {
		return &prunella.Error{Kind: prunella.Conflict, Op: "open store", Where: file,
			Reason: fmt.Sprintf("the database has schema %d and this version of prunella knows %d", have, newest),
			Remedy: "run the newer version of prunella, or choose another data folder"}
	}
	if have == newest {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return openFailed(file, err)
	}
	return nil
}
