package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// IncidentFilter selects incidents; a zero field does not restrict.
type IncidentFilter struct {
	States    []prunella.State
	Open      bool      // not resolved
	Since     time.Time // opened, updated or resolved at or after
	DueBefore time.Time // DueAt is set and not after this
	Pattern   string
	Limit     int // 0: 500
}

func createIncident(ctx context.Context, tx *sql.Tx, inc prunella.Incident) (created bool, err error) {
	if inc.ID == "" {
		return false, prunella.Errorf(prunella.Invalid, "an incident without an id cannot be stored")
	}
	inc.Signals = 0 // counted from links
	doc, err := encode(inc)
	if err != nil {
		return false, err
	}
	n, err := exec(ctx, tx, "create incident", `INSERT INTO incidents (id, tenant, state, pattern, opened_at, updated_at, due_at, doc)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING`,
		inc.ID, inc.Tenant, inc.State, inc.Pattern.Pattern, nanos(inc.OpenedAt), nanos(inc.UpdatedAt), nanos(inc.DueAt), doc)
	return n > 0, err
}

func updateIncident(ctx context.Context, tx *sql.Tx, u IncidentUpdate) (prunella.Incident, error) {
	id := u.ID
	if u.Create != nil {
		id = u.Create.ID
	}
	inc, err := incident(ctx, tx, id)
	if err != nil {
		return inc, err
	}
	if u.Apply != nil {
		linked := inc.Signals
		if err := u.Apply(&inc); err != nil {
			return inc, err
		}
		inc.ID, inc.Signals = id, linked
		doc, err := encode(inc)
		if err != nil {
			return inc, err
		}
		if _, err := exec(ctx, tx, "update incident", `UPDATE incidents SET state = $2, pattern = $3, opened_at = $4, updated_at = $5, due_at = $6, doc = $7
			WHERE id = $1`, id, inc.State, inc.Pattern.Pattern, nanos(inc.OpenedAt), nanos(inc.UpdatedAt), nanos(inc.DueAt), doc); err != nil {
			return inc, err
		}
	}
	if u.EachApproval != nil {
		if err := each(ctx, tx, "approvals", id, u.EachApproval, func(a prunella.Approval) string { return a.ID }); err != nil {
			return inc, err
		}
	}
	if u.EachRun != nil {
		if err := each(ctx, tx, "runs", id, u.EachRun, func(r prunella.Run) string { return string(r.ID) }); err != nil {
			return inc, err
		}
	}
	return inc, addEvents(ctx, tx, id, u.Events)
}

// each offers every document of an incident in a table to change, and stores
// those that it changed.
func each[T any](ctx context.Context, tx *sql.Tx, table string, id prunella.IncidentID, change func(*T) bool, key func(T) string) error {
	list, err := many[T](ctx, tx, table, `SELECT doc FROM `+table+` WHERE incident = $1`, id)
	if err != nil {
		return err
	}
	for _, v := range list {
		if !change(&v) {
			continue
		}
		doc, err := encode(v)
		if err != nil {
			return err
		}
		if _, err := exec(ctx, tx, "update "+table, `UPDATE `+table+` SET doc = $2 WHERE id = $1`, key(v), doc); err != nil {
			return err
		}
	}
	return nil
}

func addEvents(ctx context.Context, tx *sql.Tx, id prunella.IncidentID, events []prunella.Event) error {
	for _, e := range events {
		if e.Incident == "" {
			e.Incident = id
		}
		doc, err := encode(e)
		if err != nil {
			return err
		}
		if _, err := exec(ctx, tx, "store event", `INSERT INTO events (incident, at, doc) VALUES ($1, $2, $3)`, e.Incident, nanos(e.At), doc); err != nil {
			return err
		}
	}
	return nil
}

const incidentColumns = `SELECT doc, signals FROM incidents`

func incident(ctx context.Context, q querier, id prunella.IncidentID) (prunella.Incident, error) {
	inc, err := scanIncident(q.QueryRowContext(ctx, incidentColumns+` WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return inc, &prunella.Error{Kind: prunella.NotFound, Reason: "there is no incident " + string(id), Remedy: "the list of incidents has those that there are"}
	}
	return inc, failed("read incident", err)
}

// scanIncident overwrites the document's count of signals by the counted one:
// linking does not rewrite the document.
func scanIncident(row interface{ Scan(...any) error }) (inc prunella.Incident, err error) {
	var doc []byte
	var signals int
	if err := row.Scan(&doc, &signals); err != nil {
		return inc, err
	}
	err = json.Unmarshal(doc, &inc)
	inc.Signals = signals
	return inc, err
}

// Incident returns one incident, NotFound when there is none.
func (s *Store) Incident(ctx context.Context, id prunella.IncidentID) (prunella.Incident, error) {
	return incident(ctx, s.read, id)
}

// Incidents returns the incidents that f selects, last opened first.
func (s *Store) Incidents(ctx context.Context, f IncidentFilter) ([]prunella.Incident, error) {
	var where []string
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	if len(f.States) > 0 {
		var in []string
		for _, st := range f.States {
			in = append(in, arg(st))
		}
		where = append(where, "state IN ("+strings.Join(in, ", ")+")")
	}
	if f.Open {
		where = append(where, "state <> "+arg(prunella.Resolved))
	}
	if !f.Since.IsZero() {
		p := arg(nanos(f.Since))
		where = append(where, "(opened_at >= "+p+" OR updated_at >= "+p+")")
	}
	if !f.DueBefore.IsZero() {
		where = append(where, "due_at > 0 AND due_at <= "+arg(nanos(f.DueBefore)))
	}
	if f.Pattern != "" {
		where = append(where, "pattern = "+arg(f.Pattern))
	}
	query := incidentColumns
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	if f.Limit <= 0 {
		f.Limit = 500
	}
	rows, err := s.read.QueryContext(ctx, query+" ORDER BY opened_at DESC, id DESC LIMIT "+arg(f.Limit), args...)
	if err != nil {
		return nil, failed("list incidents", err)
	}
	defer rows.Close()
	out := []prunella.Incident{}
	for rows.Next() {
		inc, err := scanIncident(rows)
		if err != nil {
			return nil, failed("list incidents", err)
		}
		out = append(out, inc)
	}
	return out, failed("list incidents", rows.Err())
}

// UpdateIncident changes one incident and adds lines to its timeline. It
// returns the incident as it is now, or NotFound, or fn's own error.
func (s *Store) UpdateIncident(ctx context.Context, id prunella.IncidentID, fn func(*prunella.Incident) error, events ...prunella.Event) (prunella.Incident, error) {
	return s.SaveWith(ctx, IncidentUpdate{ID: id, Apply: fn, Events: events})
}

// SaveWith is UpdateIncident together with the notifications that tell of it.
func (s *Store) SaveWith(ctx context.Context, u IncidentUpdate, n ...prunella.Notification) (inc prunella.Incident, err error) {
	err = s.inTx(ctx, "update incident", func(tx *sql.Tx) error {
		if u.Create != nil {
			if created, err := createIncident(ctx, tx, *u.Create); err != nil {
				return err
			} else if !created {
				return prunella.Errorf(prunella.Conflict, "incident %s exists already", u.Create.ID)
			}
		}
		if inc, err = updateIncident(ctx, tx, u); err != nil {
			return err
		}
		return enqueue(ctx, tx, n)
	})
	return inc, err
}

// Events returns an incident's timeline in the order of time.
func (s *Store) Events(ctx context.Context, id prunella.IncidentID) ([]prunella.Event, error) {
	return many[prunella.Event](ctx, s.read, "events", `SELECT doc FROM events WHERE incident = $1 ORDER BY at, n`, id)
}
