package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"prunella/rotation"
)

// post stores a new delivery. Older ones to the same URL say less than it and
// are superseded.
func post(ctx context.Context, tx *sql.Tx, d rotation.Delivery) error {
	old, err := many[rotation.Delivery](ctx, tx, `SELECT doc FROM rotation_deliveries WHERE url = $1 AND state = 'pending'`, d.URL)
	if err != nil {
		return err
	}
	for _, o := range old {
		o.State, o.Ended, o.Next = rotation.Superseded, d.Created, time.Time{}
		if err := keep(ctx, tx, o); err != nil {
			return err
		}
	}
	doc, err := encode(d)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO rotation_deliveries (id, url, state, created, next, claimed, doc) VALUES ($1, $2, $3, $4, $5, 0, $6)`,
		d.ID, d.URL, string(d.State), nanos(d.Created), nanos(d.Next), doc)
	return failed(err)
}

// keep stores what became of a pending delivery and gives the claim on it free.
func keep(ctx context.Context, tx *sql.Tx, d rotation.Delivery) error {
	doc, err := encode(d)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE rotation_deliveries SET state = $2, next = $3, claimed = 0, doc = $4 WHERE id = $1 AND state = 'pending'`,
		d.ID, string(d.State), nanos(d.Next), doc)
	return failed(err)
}

// Deliveries implements rotation.Store.
func (s *Store) Deliveries(ctx context.Context, limit int) ([]rotation.Delivery, error) {
	return many[rotation.Delivery](ctx, s.db, `SELECT doc FROM rotation_deliveries ORDER BY created DESC, id LIMIT $1`, limit)
}

// Claim implements rotation.Store.
func (s *Store) Claim(ctx context.Context, now, until time.Time, limit int) ([]rotation.Delivery, error) {
	var list []rotation.Delivery
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		var err error
		list, err = many[rotation.Delivery](ctx, tx, `UPDATE rotation_deliveries SET claimed = $1 WHERE claimed <= $2 AND state = 'pending' AND id IN
			(SELECT id FROM rotation_deliveries WHERE state = 'pending' AND next <= $2 AND claimed <= $2 ORDER BY next LIMIT $3) RETURNING doc`,
			nanos(until), nanos(now), limit)
		return err
	})
	return list, err
}

// Tried implements rotation.Store. One that was superseded meanwhile stays so.
func (s *Store) Tried(ctx context.Context, d rotation.Delivery) error {
	return s.inTx(ctx, func(tx *sql.Tx) error { return keep(ctx, tx, d) })
}

// Prune implements rotation.Store.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM rotation_deliveries WHERE state <> 'pending' AND created < $1`, nanos(before)); err != nil {
			return failed(err)
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM rotation_probes WHERE at < $1`, nanos(before))
		return failed(err)
	})
}
