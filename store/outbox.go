package store

import (
	"context"
	"database/sql"
	"time"

	"prunella"
)

// enqueue stores notifications that are not there yet; one without NextTry is
// due from the time it was created.
func enqueue(ctx context.Context, tx *sql.Tx, list []prunella.Notification) error {
	for _, n := range list {
		if n.ID == "" {
			return prunella.Errorf(prunella.Invalid, "a notification without an id cannot be stored")
		}
		if n.NextTry.IsZero() {
			n.NextTry = n.Created
		}
		doc, err := encode(n)
		if err != nil {
			return err
		}
		if _, err := exec(ctx, tx, "enqueue notification", `INSERT INTO notifications (id, incident, created, next_try, doc)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`, n.ID, n.Incident, nanos(n.Created), max(nanos(n.NextTry), 1), doc); err != nil {
			return err
		}
	}
	return nil
}

// Enqueue puts notifications into the outbox; one with a known id changes nothing.
func (s *Store) Enqueue(ctx context.Context, n ...prunella.Notification) error {
	return s.Commit(ctx, Batch{Notifications: n})
}

// DueNotifications returns those to be sent now, longest due first, at most limit.
func (s *Store) DueNotifications(ctx context.Context, now time.Time, limit int) ([]prunella.Notification, error) {
	return many[prunella.Notification](ctx, s.read, "notifications", `SELECT doc FROM notifications
		WHERE next_try > 0 AND next_try <= $1 ORDER BY next_try, id LIMIT $2`, nanos(now), limit)
}

// MarkNotification notes a try. A sent time ends it; otherwise it is due again
// at nextTry, and a zero nextTry gives it up.
func (s *Store) MarkNotification(ctx context.Context, id string, sent, nextTry time.Time, errText string) error {
	return s.inTx(ctx, "mark notification", func(tx *sql.Tx) error {
		var n prunella.Notification
		if err := one(ctx, tx, &n, "notification "+id, `SELECT doc FROM notifications WHERE id = $1`, id); err != nil {
			return err
		}
		n.Tries++
		n.Sent, n.NextTry, n.LastErr = sent, nextTry, errText
		if !sent.IsZero() {
			n.NextTry = time.Time{}
		}
		doc, err := encode(n)
		if err != nil {
			return err
		}
		_, err = exec(ctx, tx, "mark notification", `UPDATE notifications SET next_try = $2, doc = $3 WHERE id = $1`, id, nanos(n.NextTry), doc)
		return err
	})
}

// Notifications returns an incident's notifications, first created first.
func (s *Store) Notifications(ctx context.Context, id prunella.IncidentID) ([]prunella.Notification, error) {
	return many[prunella.Notification](ctx, s.read, "notifications", `SELECT doc FROM notifications WHERE incident = $1 ORDER BY created, id`, id)
}
