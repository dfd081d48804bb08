package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"prunella"
)

// Batch is what one transaction writes. Every part may be empty.
//
// A batch that is built again from the same messages after a crash changes
// nothing twice: signals, log lines, points, notifications, approvals, runs and
// incidents are told apart by their ids, and an IncidentUpdate that creates an
// incident which exists already is left out whole, with its events.
type Batch struct {
	// Admit may refuse the batch, by the OpenRuns that there are in its
	// transaction. Nil admits it.
	Admit func(open []prunella.Run) error

	Linked  map[prunella.IncidentID][]prunella.Signal // evidence of an incident; the incident must exist or be created here
	Changes []prunella.Signal                         // kept for Changes, whether an incident is open or not
	Logs    []prunella.Signal                         // go into a ring for each service

	Updates       []IncidentUpdate // after Linked, so that Apply sees the new Incident.Signals
	NewRuns       []prunella.Run
	Runs          []RunUpdate
	Approvals     []prunella.Approval
	Notifications []prunella.Notification
	Outcomes      []prunella.Outcome

	Points []prunella.SeriesPoint
	State  map[string][]byte // replaced by name; nil removes
}

// IncidentUpdate creates an incident, or changes the one named ID, and adds
// lines to its timeline.
type IncidentUpdate struct {
	ID     prunella.IncidentID // may be empty when Create is given
	Create *prunella.Incident
	Apply  func(*prunella.Incident) error // may be nil; after Create
	Events []prunella.Event               // Incident is filled in when empty

	// EachApproval and then EachRun, when given, are called for every approval
	// and run of the incident, and what they answer true for is stored as they
	// left it. No fence is asked for: they are for a person's word, which
	// outranks every lease, and for questions that no longer stand.
	EachApproval func(*prunella.Approval) bool
	EachRun      func(*prunella.Run) bool
}

// Commit writes a Batch in one transaction. NotFound: an incident or run of it
// does not exist. Conflict: a RunUpdate's fence is old.
func (s *Store) Commit(ctx context.Context, b Batch) error {
	return s.inTx(ctx, "commit", func(tx *sql.Tx) error { return s.apply(ctx, tx, b) })
}

// apply writes b; the order within makes references resolve.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, b Batch) error {
	if b.Admit != nil {
		open, err := openRuns(ctx, tx)
		if err != nil {
			return err
		}
		if err := b.Admit(open); err != nil {
			return err
		}
	}
	stale := map[int]bool{}
	for i, u := range b.Updates {
		if u.Create == nil {
			continue
		}
		created, err := createIncident(ctx, tx, *u.Create)
		if err != nil {
			return err
		}
		stale[i] = !created
	}
	if err := putSignals(ctx, tx, b.Changes); err != nil {
		return err
	}
	for id, signals := range b.Linked {
		if err := link(ctx, tx, id, signals); err != nil {
			return err
		}
	}
	for i, u := range b.Updates {
		if stale[i] {
			continue
		}
		if _, err := updateIncident(ctx, tx, u); err != nil {
			return err
		}
	}
	for _, r := range b.NewRuns {
		if err := createRun(ctx, tx, r); err != nil {
			return err
		}
	}
	for _, u := range b.Runs {
		if _, err := updateRun(ctx, tx, u); err != nil {
			return err
		}
	}
	for _, a := range b.Approvals {
		if err := createApproval(ctx, tx, a); err != nil {
			return err
		}
	}
	for _, o := range b.Outcomes {
		if err := addOutcome(ctx, tx, o); err != nil {
			return err
		}
	}
	if err := enqueue(ctx, tx, b.Notifications); err != nil {
		return err
	}
	if err := putPoints(ctx, tx, b.Points); err != nil {
		return err
	}
	for name, value := range b.State {
		if err := saveState(ctx, tx, name, value); err != nil {
			return err
		}
	}
	return s.putLogs(ctx, tx, b.Logs)
}

func putPoints(ctx context.Context, tx *sql.Tx, points []prunella.SeriesPoint) error {
	if len(points) == 0 {
		return nil
	}
	st, err := tx.PrepareContext(ctx, `INSERT INTO points (name, service, at, value) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name, service, at) DO UPDATE SET value = excluded.value`)
	if err != nil {
		return failed("store points", err)
	}
	defer st.Close()
	for _, p := range points {
		if _, err := st.ExecContext(ctx, p.Name, p.Service, nanos(p.At), p.Value); err != nil {
			return failed("store points", err)
		}
	}
	return nil
}

func saveState(ctx context.Context, tx *sql.Tx, name string, value []byte) error {
	if value == nil {
		_, err := exec(ctx, tx, "store state", `DELETE FROM states WHERE name = $1`, name)
		return err
	}
	_, err := exec(ctx, tx, "store state", `INSERT INTO states (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}

// LoadState returns what Batch.State last held under name; NotFound when nothing.
func (s *Store) LoadState(ctx context.Context, name string) ([]byte, error) {
	var value []byte
	err := s.read.QueryRowContext(ctx, `SELECT value FROM states WHERE name = $1`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &prunella.Error{Kind: prunella.NotFound, Reason: "there is no state named " + name}
	}
	return value, failed("load state", err)
}

// Series returns a stored series in the order of time, from and to included;
// service "" is every service, a zero to is now and later.
func (s *Store) Series(ctx context.Context, name, service string, from, to time.Time) ([]prunella.SeriesPoint, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT service, at, value FROM points
		WHERE name = $1 AND ($2 = '' OR service = $2) AND at >= $3 AND ($4 = 0 OR at <= $4) ORDER BY at, service`,
		name, service, nanos(from), nanos(to))
	if err != nil {
		return nil, failed("read series", err)
	}
	defer rows.Close()
	out := []prunella.SeriesPoint{}
	for rows.Next() {
		p := prunella.SeriesPoint{Name: name}
		var at int64
		if err := rows.Scan(&p.Service, &at, &p.Value); err != nil {
			return nil, failed("read series", err)
		}
		p.At = instant(at)
		out = append(out, p)
	}
	return slices.Clip(out), failed("read series", rows.Err())
}
