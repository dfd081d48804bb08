package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"prunella"
)

// PutTrust stores cells of the key board. A cell that is older than the stored
// one is left out; LastTrusted is kept, and set by a cell that trusts.
func (s *Store) PutTrust(ctx context.Context, cells []prunella.TrustCell) error {
	return s.inTx(ctx, "store trust", func(tx *sql.Tx) error {
		for _, c := range cells {
			var old prunella.TrustCell
			err := one(ctx, tx, &old, "cell", `SELECT doc FROM trust WHERE service = $1 AND issuer = $2 AND kid = $3`, c.Service, c.Issuer, c.Kid)
			if err != nil && prunella.KindOf(err) != prunella.NotFound {
				return err
			}
			if old.At.After(c.At) {
				continue
			}
			if c.Trust == prunella.Trusts {
				c.LastTrusted = c.At
			} else if c.LastTrusted.IsZero() {
				c.LastTrusted = old.LastTrusted
			}
			doc, err := encode(c)
			if err != nil {
				return err
			}
			if _, err := exec(ctx, tx, "store trust", `INSERT INTO trust (service, issuer, kid, at, doc) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (service, issuer, kid) DO UPDATE SET at = excluded.at, doc = excluded.doc`,
				c.Service, c.Issuer, c.Kid, nanos(c.At), doc); err != nil {
				return err
			}
		}
		return nil
	})
}

// Trust returns the key board, by service, issuer and kid.
func (s *Store) Trust(ctx context.Context) ([]prunella.TrustCell, error) {
	return many[prunella.TrustCell](ctx, s.read, "trust", `SELECT doc FROM trust ORDER BY service, issuer, kid`)
}

// PutKeySet stores the last view of an issuer's keys; an older view is left out.
func (s *Store) PutKeySet(ctx context.Context, k prunella.KeySet) error {
	doc, err := encode(k)
	if err != nil {
		return err
	}
	return s.inTx(ctx, "store key set", func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, "store key set", `INSERT INTO keysets (issuer, at, doc) VALUES ($1, $2, $3)
			ON CONFLICT (issuer) DO UPDATE SET at = excluded.at, doc = excluded.doc WHERE keysets.at <= excluded.at`, k.Issuer, nanos(k.At), doc)
		return err
	})
}

// KeySets returns the last view of every issuer, by name.
func (s *Store) KeySets(ctx context.Context) ([]prunella.KeySet, error) {
	return many[prunella.KeySet](ctx, s.read, "key sets", `SELECT doc FROM keysets ORDER BY issuer`)
}

func addOutcome(ctx context.Context, tx *sql.Tx, o prunella.Outcome) error {
	if o.Ref == "" {
		return prunella.Errorf(prunella.Invalid, "an outcome without a reference cannot be stored: it would count twice")
	}
	doc, err := encode(o)
	if err != nil {
		return err
	}
	_, err = exec(ctx, tx, "store outcome", `INSERT INTO outcomes (skill, version, kind, ref, at, doc) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (skill, version, kind, ref) DO UPDATE SET at = excluded.at, doc = excluded.doc`, o.Skill, o.Version, o.Kind, o.Ref, nanos(o.At), doc)
	return err
}

// AddOutcome stores evidence about a skill. The same skill, version, kind and
// Ref counts once; the later word replaces the earlier.
func (s *Store) AddOutcome(ctx context.Context, o prunella.Outcome) error {
	return s.Commit(ctx, Batch{Outcomes: []prunella.Outcome{o}})
}

// Outcomes returns the evidence about a skill, "" for all skills, in the order of time.
func (s *Store) Outcomes(ctx context.Context, skill prunella.SkillName) ([]prunella.Outcome, error) {
	return many[prunella.Outcome](ctx, s.read, "outcomes", `SELECT doc FROM outcomes WHERE $1 = '' OR skill = $1 ORDER BY at, ref`, skill)
}

// PutReport stores a scenario's report, replacing one with the same id.
func (s *Store) PutReport(ctx context.Context, r prunella.Report) error {
	if r.ID == "" {
		return prunella.Errorf(prunella.Invalid, "a report without an id cannot be stored")
	}
	doc, err := encode(r)
	if err != nil {
		return err
	}
	return s.inTx(ctx, "store report", func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, "store report", `INSERT INTO reports (id, started, doc) VALUES ($1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET started = excluded.started, doc = excluded.doc`, r.ID, nanos(r.Started), doc)
		return err
	})
}

// Reports returns the last reports, newest first; limit 0 is 100.
func (s *Store) Reports(ctx context.Context, limit int) ([]prunella.Report, error) {
	if limit <= 0 {
		limit = 100
	}
	return many[prunella.Report](ctx, s.read, "reports", `SELECT doc FROM reports ORDER BY started DESC, id LIMIT $1`, limit)
}

// Report returns one report, NotFound when there is none.
func (s *Store) Report(ctx context.Context, id string) (r prunella.Report, err error) {
	err = one(ctx, s.read, &r, "report "+id, `SELECT doc FROM reports WHERE id = $1`, id)
	return r, err
}

// pruned are the statements of Prune; $1 is the bound. Incidents that are not
// resolved keep everything, and what belongs to an incident goes with it.
var pruned = []string{
	`DELETE FROM incidents WHERE state = 'resolved' AND opened_at < $1 AND updated_at < $1`,
	`DELETE FROM signals WHERE at < $1 AND NOT EXISTS (SELECT 1 FROM links WHERE links.signal = signals.id)`,
	`DELETE FROM logs WHERE at < $1`,
	`DELETE FROM points WHERE at < $1`,
	`DELETE FROM notifications WHERE created < $1 AND next_try = 0 AND NOT EXISTS (SELECT 1 FROM incidents WHERE incidents.id = notifications.incident)`,
	`DELETE FROM leases WHERE expires < $1`,
	`DELETE FROM trust WHERE at < $1`,
}

// Prune forgets what is older than before: resolved incidents with all that
// belongs to them, signals of no incident, log lines, series, and trust cells
// that are no longer probed. Outcomes and reports stay. It works table by
// table, so that no writer waits long.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	var errs []error
	for _, statement := range pruned {
		errs = append(errs, s.inTx(ctx, "prune", func(tx *sql.Tx) error {
			_, err := exec(ctx, tx, "prune", statement, nanos(before))
			return err
		}))
	}
	return errors.Join(append(errs, s.shrink(ctx))...)
}
