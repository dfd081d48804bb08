package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"prunella"
)

// nanos and instant convert between time and its column.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func instant(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// inTx runs fn in a write transaction and commits it when fn returns nil. An
// error of fn is returned as it is.
func (s *Store) inTx(ctx context.Context, op string, fn func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return failed(op, err)
	}
	if err := fn(tx); err != nil {
		if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			return errors.Join(err, failed(op, rerr))
		}
		return err
	}
	return failed(op, tx.Commit())
}

// exec runs one statement and returns the rows it changed.
func exec(ctx context.Context, tx *sql.Tx, op, query string, args ...any) (int64, error) {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, failed(op, err)
	}
	n, err := res.RowsAffected()
	return n, failed(op, err)
}

// querier is what a *sql.DB and a *sql.Tx have in common for reading.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func encode(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", prunella.Errorf(prunella.Invalid, "a %T cannot be stored: %w", v, err)
	}
	return string(b), nil
}

// one reads the document that query selects into v; what names it in NotFound.
func one(ctx context.Context, q querier, v any, what, query string, args ...any) error {
	var doc []byte
	err := q.QueryRowContext(ctx, query, args...).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return &prunella.Error{Kind: prunella.NotFound, Reason: "there is no " + what}
	}
	if err != nil {
		return failed("read "+what, err)
	}
	return decode(doc, v, what)
}

// many reads the documents that query selects, in its order.
func many[T any](ctx context.Context, q querier, what, query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed("read "+what, err)
	}
	defer rows.Close()
	out := []T{}
	var doc sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&doc); err != nil {
			return nil, failed("read "+what, err)
		}
		var v T
		if err := decode(doc, &v, what); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, failed("read "+what, rows.Err())
}

func decode(doc []byte, v any, what string) error {
	if err := json.Unmarshal(doc, v); err != nil {
		return fmt.Errorf("read %s: the stored document is damaged: %w", what, err)
	}
	return nil
}
