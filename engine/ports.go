package engine

import (
	"context"
	"time"

	"prunella"
	"prunella/action"
)

// World is what a step can read and change; package action implements it.
type World interface {
	Read(ctx context.Context, name string, with map[string]any, inc action.Incident) (map[string]any, error)
	Before(ctx context.Context, name string, params map[string]any) (map[string]any, error)
	Do(ctx context.Context, name, key string, params map[string]any) (string, error)
	Happened(ctx context.Context, name, key string, params, before map[string]any) (action.Happened, string, error)
}

// Store is what the engine remembers; package store implements it. Every method
// is one transaction.
type Store interface {
	Incident(ctx context.Context, id prunella.IncidentID) (prunella.Incident, error)
	OpenIncidents(ctx context.Context) ([]prunella.Incident, error)
	// Save applies a Change whole or not at all. Conflict when the fence of a
	// run's update is older than the incident's lease.
	Save(ctx context.Context, c Change) (prunella.Incident, error)
	Run(ctx context.Context, id prunella.RunID) (prunella.Run, error)
	Runs(ctx context.Context, id prunella.IncidentID) ([]prunella.Run, error)
	RecentRuns(ctx context.Context, since time.Time) ([]prunella.Run, error)
	// OpenRuns are the runs of every incident that is not resolved.
	OpenRuns(ctx context.Context) ([]prunella.Run, error)
	// UpdateRun changes a run; a fence older than the incident's lease is a Conflict.
	UpdateRun(ctx context.Context, id prunella.RunID, fence int64, change func(*prunella.Run) error, events ...prunella.Event) (prunella.Run, error)
	Approvals(ctx context.Context, id prunella.IncidentID) ([]prunella.Approval, error)
	ExpireApproval(ctx context.Context, id, hash string, now time.Time) (prunella.Approval, error)
	SignalsOf(ctx context.Context, id prunella.IncidentID, limit, offset int) ([]prunella.Signal, int, error)
	Changes(ctx context.Context, since time.Time) ([]prunella.Signal, error)
	Series(ctx context.Context, name, service string, from, to time.Time) ([]prunella.SeriesPoint, error)
	Outcomes(ctx context.Context, skill prunella.SkillName) ([]prunella.Outcome, error)
	AcquireLease(ctx context.Context, name, owner string, now time.Time, ttl time.Duration) (fence int64, ok bool, err error)
	RenewLease(ctx context.Context, name string, fence int64, now time.Time, ttl time.Duration) error
	ReleaseLease(ctx context.Context, name string, fence int64) error
}

// Change is one durable change of an incident and what goes with it.
type Change struct {
	ID            prunella.IncidentID
	Admit         func(open []prunella.Run) error // may refuse the change, by what OpenRuns are at the moment of the change
	Apply         func(*prunella.Incident) error
	Events        []prunella.Event
	Run           *prunella.Run      // created
	UpdateRun     *RunUpdate         // changed
	Approval      *prunella.Approval // created
	Withdraw      string             // why the questions that nobody has answered are withdrawn; "" leaves them
	Outcomes      []prunella.Outcome
	Notifications []prunella.Notification
}

// RunUpdate changes a run under the lease that gave Fence.
type RunUpdate struct {
	ID    prunella.RunID
	Fence int64
	Apply func(*prunella.Run) error
}
