package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"prunella"
)

// AcquireLease takes the lease when it is free, expired, or owner's own. The
// fence is greater than every fence given before, whatever the lease's name, so
// a holder that was thought dead is told apart from its successor. ok is false
// when somebody else holds it.
//
// An owner that takes its own lease again gets a new fence and its earlier one
// is void. A process that has ended holds nothing: see freeLeases.
func (s *Store) AcquireLease(ctx context.Context, name, owner string, now time.Time, ttl time.Duration) (fence int64, ok bool, err error) {
	err = s.inTx(ctx, "acquire lease", func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `INSERT INTO counters (name, value) VALUES ('fence', 1)
			ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value`).Scan(&fence); err != nil {
			return failed("acquire lease", err)
		}
		n, err := exec(ctx, tx, "acquire lease", `INSERT INTO leases (name, owner, fence, expires) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, fence = excluded.fence, expires = excluded.expires
			WHERE leases.owner = excluded.owner OR leases.expires <= $5`, name, owner, fence, nanos(now.Add(ttl)), nanos(now))
		ok = n > 0
		return err
	})
	if err != nil || !ok {
		return 0, false, err
	}
	return fence, true, nil
}

// RenewLease prolongs a lease. It also prolongs one that has expired, as long
// as nobody has taken it; otherwise Conflict.
func (s *Store) RenewLease(ctx context.Context, name string, fence int64, now time.Time, ttl time.Duration) error {
	return s.inTx(ctx, "renew lease", func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, "renew lease", `UPDATE leases SET expires = $3 WHERE name = $1 AND fence = $2`, name, fence, nanos(now.Add(ttl)))
		if err == nil && n == 0 {
			return &prunella.Error{Kind: prunella.Conflict, Op: "renew lease", Where: name, Reason: "the lease was lost"}
		}
		return err
	})
}

// ReleaseLease gives a lease free. Releasing one that was lost changes nothing.
func (s *Store) ReleaseLease(ctx context.Context, name string, fence int64) error {
	return s.inTx(ctx, "release lease", func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, "release lease", `UPDATE leases SET expires = 0 WHERE name = $1 AND fence = $2`, name, fence)
		return err
	})
}

// freeLeases gives every lease free. Open does so while it holds the lock on the
// folder: whoever held one of them has ended, however it ended, so a process
// that restarts goes on at once. A database that several processes share must
// let leases run out instead.
func (s *Store) freeLeases(ctx context.Context) error {
	return s.inTx(ctx, "open store", func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, "open store", `UPDATE leases SET expires = 0 WHERE expires > 0`)
		return err
	})
}

// checkFence returns Conflict unless some lease still carries the fence.
func checkFence(ctx context.Context, tx *sql.Tx, fence int64) error {
	var name string
	err := tx.QueryRowContext(ctx, `SELECT name FROM leases WHERE fence = $1`, fence).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return &prunella.Error{Kind: prunella.Conflict, Reason: "the lease was lost: another worker has taken over"}
	}
	return failed("check fence", err)
}
