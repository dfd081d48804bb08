package sqlstore

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"prunella/rotation"
)

// inTx runs fn in a transaction and commits it when fn returns nil. An error of
// fn is returned as it is.
func (s *Store) inTx(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return failed(err)
	}
	if s.begin != "" {
		_, err = tx.ExecContext(ctx, s.begin)
	}
	if err = failed(err); err == nil {
		err = fn(tx)
	}
	if err != nil {
		if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			return errors.Join(err, failed(rerr))
		}
		return err
	}
	return failed(tx.Commit())
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func encode(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", invalid("a %T cannot be stored: %v", v, err)
	}
	return string(b), nil
}

func decode(doc string, v any) error {
	if err := json.Unmarshal([]byte(doc), v); err != nil {
		return &rotation.Error{Kind: rotation.Damaged, Detail: fmt.Sprintf("a stored %T cannot be read", v), Cause: err,
			Remedy: "restore the store from a backup"}
	}
	return nil
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// many reads the documents that query selects, in its order.
func many[T any](ctx context.Context, q querier, query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed(err)
	}
	defer rows.Close()
	out := []T{}
	for rows.Next() {
		var doc string
		var v T
		if err := rows.Scan(&doc); err != nil {
			return nil, failed(err)
		}
		if err := decode(doc, &v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, failed(rows.Err())
}

// Ring implements rotation.Store.
func (s *Store) Ring(ctx context.Context) (rotation.Ring, error) {
	list, err := many[rotation.Ring](ctx, s.db, `SELECT doc FROM rotation_ring WHERE id = 1`)
	if err != nil || len(list) == 0 {
		return rotation.Ring{}, err
	}
	return list[0], nil
}

// Commit implements rotation.Store.
func (s *Store) Commit(ctx context.Context, c rotation.Change) error {
	doc, err := encode(c.Ring)
	if err != nil {
		return err
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE rotation_ring SET version = $1, doc = $2 WHERE id = 1 AND version = $3`,
			c.Ring.Version, doc, c.Ring.Version-1)
		if err != nil {
			return failed(err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			if err != nil {
				return failed(err)
			}
			return &rotation.Error{Kind: rotation.Conflict, Detail: "another node has changed the ring"}
		}
		if err := log(ctx, tx, c.Entry); err != nil {
			return err
		}
		for _, d := range c.Deliveries {
			if err := post(ctx, tx, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// log adds an entry to the audit trail. The ring's row is locked by the caller,
// or here, so that numbers are given one after the other.
func log(ctx context.Context, tx *sql.Tx, e rotation.Entry) error {
	if _, err := tx.ExecContext(ctx, `UPDATE rotation_ring SET version = version WHERE id = 1`); err != nil {
		return failed(err)
	}
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) + 1 FROM rotation_history`).Scan(&e.Seq); err != nil {
		return failed(err)
	}
	doc, err := encode(e)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO rotation_history (seq, doc) VALUES ($1, $2)`, e.Seq, doc)
	return failed(err)
}

// History implements rotation.Store.
func (s *Store) History(ctx context.Context, limit int) ([]rotation.Entry, error) {
	return many[rotation.Entry](ctx, s.db, `SELECT doc FROM rotation_history ORDER BY seq DESC LIMIT $1`, limit)
}

// Log implements rotation.Store.
func (s *Store) Log(ctx context.Context, e rotation.Entry) error {
	return s.inTx(ctx, func(tx *sql.Tx) error { return log(ctx, tx, e) })
}

// Instances implements rotation.Store.
func (s *Store) Instances(ctx context.Context) ([]rotation.Instance, error) {
	return many[rotation.Instance](ctx, s.db, `SELECT doc FROM rotation_instances ORDER BY verifier, instance, cache`)
}

// Told implements rotation.Store. Two messages of one cache that come at once
// are ordered by its row: the first inserts it, the second waits for it.
func (s *Store) Told(ctx context.Context, who rotation.Who, change func(*rotation.Instance) (rotation.Instance, error)) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO rotation_instances (verifier, instance, cache, received, stays, doc) VALUES ($1, $2, $3, 0, 0, '')
			ON CONFLICT (verifier, instance, cache) DO UPDATE SET received = rotation_instances.received`, who.Verifier, who.Instance, who.Cache); err != nil {
			return failed(err)
		}
		var doc string
		if err := tx.QueryRowContext(ctx, `SELECT doc FROM rotation_instances WHERE verifier = $1 AND instance = $2 AND cache = $3`,
			who.Verifier, who.Instance, who.Cache).Scan(&doc); err != nil {
			return failed(err)
		}
		var old *rotation.Instance
		if doc != "" {
			old = &rotation.Instance{}
			if err := decode(doc, old); err != nil {
				return err
			}
		}
		next, err := change(old)
		if err != nil {
			return err
		}
		if doc, err = encode(next); err != nil {
			return err
		}
		stays := 0
		if next.Stays {
			stays = 1
		}
		_, err = tx.ExecContext(ctx, `UPDATE rotation_instances SET received = $4, stays = $5, doc = $6 WHERE verifier = $1 AND instance = $2 AND cache = $3`,
			who.Verifier, who.Instance, who.Cache, nanos(next.Received), stays, doc)
		return failed(err)
	})
}

// Forget implements rotation.Store.
func (s *Store) Forget(ctx context.Context, before time.Time) (int, error) {
	var n int64
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM rotation_instances WHERE received < $1 AND stays = 0`, nanos(before))
		if err != nil {
			return failed(err)
		}
		n, err = res.RowsAffected()
		return failed(err)
	})
	return int(n), err
}

// ForgetOne implements rotation.Store. An empty Cache means all of the instance.
func (s *Store) ForgetOne(ctx context.Context, who rotation.Who, e rotation.Entry) (int, error) {
	var n int64
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM rotation_instances WHERE verifier = $1 AND instance = $2 AND ($3 = '' OR cache = $3)`,
			who.Verifier, who.Instance, who.Cache)
		if err != nil {
			return failed(err)
		}
		if n, err = res.RowsAffected(); err != nil || n == 0 {
			return failed(err)
		}
		return log(ctx, tx, e)
	})
	return int(n), err
}

// Probes implements rotation.Store.
func (s *Store) Probes(ctx context.Context) ([]rotation.Probe, error) {
	return many[rotation.Probe](ctx, s.db, `SELECT doc FROM rotation_probes ORDER BY verifier, instance, thumbprint`)
}

// Probed implements rotation.Store.
func (s *Store) Probed(ctx context.Context, p rotation.Probe, e *rotation.Entry) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `INSERT INTO rotation_probes (verifier, instance, thumbprint, outcome, streak, at, doc) VALUES ($1, $2, $3, $4, 1, $5, '')
			ON CONFLICT (verifier, instance, thumbprint) DO UPDATE SET
			streak = CASE WHEN rotation_probes.outcome = excluded.outcome THEN rotation_probes.streak + 1 ELSE 1 END,
			outcome = excluded.outcome, at = excluded.at RETURNING streak`,
			p.Verifier, p.Instance, string(p.Thumbprint), string(p.Outcome), nanos(p.At)).Scan(&p.Streak); err != nil {
			return failed(err)
		}
		doc, err := encode(p)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE rotation_probes SET doc = $4 WHERE verifier = $1 AND instance = $2 AND thumbprint = $3`,
			p.Verifier, p.Instance, string(p.Thumbprint), doc); err != nil {
			return failed(err)
		}
		if e != nil {
			return log(ctx, tx, *e)
		}
		return nil
	})
}

// Vault keeps sealed keys in the same database.
type Vault struct{ s *Store }

// Vault returns the vault of this database.
func (s *Store) Vault() Vault { return Vault{s} }

// Put stores a box under a name that is not taken; else Conflict.
func (v Vault) Put(ctx context.Context, name string, box []byte) error {
	return v.s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO rotation_vault (name, box) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`,
			name, base64.StdEncoding.EncodeToString(box))
		if err != nil {
			return failed(err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			if err != nil {
				return failed(err)
			}
			return &rotation.Error{Kind: rotation.Conflict, Detail: "the vault has a box of this name"}
		}
		return nil
	})
}

// Get returns a box, or NotFound.
func (v Vault) Get(ctx context.Context, name string) ([]byte, error) {
	var text string
	err := v.s.db.QueryRowContext(ctx, `SELECT box FROM rotation_vault WHERE name = $1`, name).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &rotation.Error{Kind: rotation.NotFound, Detail: fmt.Sprintf("the vault has no box %q", name)}
	}
	if err != nil {
		return nil, failed(err)
	}
	box, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, &rotation.Error{Kind: rotation.Damaged, Detail: fmt.Sprintf("the box %q is not base64", name)}
	}
	return box, nil
}

// Delete destroys a box; no error when it is gone already.
func (v Vault) Delete(ctx context.Context, name string) error {
	_, err := v.s.db.ExecContext(ctx, `DELETE FROM rotation_vault WHERE name = $1`, name)
	return failed(err)
}
