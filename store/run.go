package store

import (
	"context"
	"database/sql"
	"time"

	"prunella"
)

// RunUpdate changes a run under a lease, and adds lines to the timeline of its
// incident.
type RunUpdate struct {
	ID     prunella.RunID
	Fence  int64                     // of the lease under which the run is worked on
	Apply  func(*prunella.Run) error // may be nil
	Events []prunella.Event
}

func createRun(ctx context.Context, tx *sql.Tx, r prunella.Run) error {
	if r.ID == "" {
		return prunella.Errorf(prunella.Invalid, "a run without an id cannot be stored")
	}
	doc, err := encode(r)
	if err != nil {
		return err
	}
	if _, err := incident(ctx, tx, r.Incident); err != nil {
		return err
	}
	_, err = exec(ctx, tx, "create run", `INSERT INTO runs (id, incident, created, doc) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`,
		r.ID, r.Incident, nanos(r.Created), doc)
	return err
}

func updateRun(ctx context.Context, tx *sql.Tx, u RunUpdate) (r prunella.Run, err error) {
	if err := checkFence(ctx, tx, u.Fence); err != nil {
		return r, err
	}
	if err := one(ctx, tx, &r, "run "+string(u.ID), `SELECT doc FROM runs WHERE id = $1`, u.ID); err != nil {
		return r, err
	}
	inc := r.Incident
	if u.Apply != nil {
		if err := u.Apply(&r); err != nil {
			return r, err
		}
		r.ID, r.Incident = u.ID, inc
		doc, err := encode(r)
		if err != nil {
			return r, err
		}
		if _, err := exec(ctx, tx, "update run", `UPDATE runs SET doc = $2 WHERE id = $1`, u.ID, doc); err != nil {
			return r, err
		}
	}
	return r, addEvents(ctx, tx, inc, u.Events)
}

// CreateRun stores a planned run with what it does to its incident, the
// approval it needs (nil: none) and the notifications that tell of it.
func (s *Store) CreateRun(ctx context.Context, r prunella.Run, u IncidentUpdate, a *prunella.Approval, n []prunella.Notification) error {
	b := Batch{NewRuns: []prunella.Run{r}, Notifications: n}
	if u.ID != "" || u.Create != nil {
		b.Updates = []IncidentUpdate{u}
	}
	if a != nil {
		b.Approvals = []prunella.Approval{*a}
	}
	return s.Commit(ctx, b)
}

// UpdateRun changes a run under the lease that gave fence. Conflict: the lease
// was taken by another worker since, and nothing is written.
func (s *Store) UpdateRun(ctx context.Context, id prunella.RunID, fence int64, fn func(*prunella.Run) error, events ...prunella.Event) (r prunella.Run, err error) {
	err = s.inTx(ctx, "update run", func(tx *sql.Tx) error {
		r, err = updateRun(ctx, tx, RunUpdate{ID: id, Fence: fence, Apply: fn, Events: events})
		return err
	})
	return r, err
}

// Run returns one run, NotFound when there is none.
func (s *Store) Run(ctx context.Context, id prunella.RunID) (r prunella.Run, err error) {
	err = one(ctx, s.read, &r, "run "+string(id), `SELECT doc FROM runs WHERE id = $1`, id)
	return r, err
}

// Runs returns the runs of an incident, first created first.
func (s *Store) Runs(ctx context.Context, id prunella.IncidentID) ([]prunella.Run, error) {
	return many[prunella.Run](ctx, s.read, "runs", `SELECT doc FROM runs WHERE incident = $1 ORDER BY created, id`, id)
}

// RecentRuns returns the runs created at or after since, first created first.
func (s *Store) RecentRuns(ctx context.Context, since time.Time) ([]prunella.Run, error) {
	return many[prunella.Run](ctx, s.read, "runs", `SELECT doc FROM runs WHERE created >= $1 ORDER BY created, id`, nanos(since))
}

// OpenRuns returns the runs of every incident that is not resolved, first
// created first.
func (s *Store) OpenRuns(ctx context.Context) ([]prunella.Run, error) { return openRuns(ctx, s.read) }

func openRuns(ctx context.Context, q querier) ([]prunella.Run, error) {
	return many[prunella.Run](ctx, q, "runs", `SELECT runs.doc FROM runs JOIN incidents ON incidents.id = runs.incident
		WHERE incidents.state <> $1 ORDER BY runs.created, runs.id`, prunella.Resolved)
}
