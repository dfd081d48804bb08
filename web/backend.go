package web

import (
	"context"

	"prunella"
	"prunella/client"
)

// Backend is what the pages and the API read, and the few things that a person
// may do. Errors carry a prunella.Kind; its sentence and remedy are shown.
type Backend interface {
	// Ready returns nil when signals can be taken in and worked on.
	Ready(ctx context.Context) error
	Status(ctx context.Context) (client.Status, error)

	// Incidents returns newest first; Limit is always > 0 here.
	Incidents(ctx context.Context, q client.IncidentQuery) ([]prunella.Incident, error)
	// Incident returns NotFound when there is none.
	Incident(ctx context.Context, id prunella.IncidentID) (client.IncidentView, error)
	// Signals returns a page of linked signals, newest first, and how many there are.
	Signals(ctx context.Context, id prunella.IncidentID, limit, offset int) ([]prunella.Signal, int, error)
	// Series returns stored points, oldest first.
	Series(ctx context.Context, q client.SeriesQuery) ([]prunella.SeriesPoint, error)
	Graph(ctx context.Context) (client.Graph, error)
	// Keys leaves Verdicts empty; this package fills them in.
	Keys(ctx context.Context) (client.KeyBoard, error)

	Skills(ctx context.Context) ([]client.SkillView, error)
	Skill(ctx context.Context, name prunella.SkillName) (client.SkillView, error)

	// Reports returns newest first.
	Reports(ctx context.Context, limit int) ([]prunella.Report, error)
	Report(ctx context.Context, id string) (prunella.Report, error)
	PutReport(ctx context.Context, r prunella.Report) error

	// Decide answers an approval by compare-and-swap: Conflict when it was
	// decided before, has expired, or when d.Hash is not its hash.
	Decide(ctx context.Context, approval string, d client.Decision) (prunella.Approval, error)
	Resolve(ctx context.Context, id prunella.IncidentID, n client.Note) (prunella.Incident, error)
	HandBack(ctx context.Context, id prunella.IncidentID, n client.Note) (prunella.Incident, error)
	Escalate(ctx context.Context, id prunella.IncidentID, n client.Note) (prunella.Incident, error)

	// Subscribe announces changes until ctx is done or the server stops, then
	// closes the channel, which ends the stream. To a slow reader several
	// changes of one What and ID may be announced as one, after the last.
	Subscribe(ctx context.Context) <-chan client.Change
}
