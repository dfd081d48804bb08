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
	// MatchSkills says which skills may be about what an incident says.
	MatchSkills(ctx context.Context, text string) (client.SkillMatches, error)
	// Runbook finds the skill that the end of a runbook_url names; NotFound.
	Runbook(ctx context.Context, name string) (prunella.SkillName, error)
	// Own tells whether an absolute address is one of this server's.
	Own(address string) bool
	Wiki
	Evidence

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

// Wiki are the pages of the wiki. Paths are those of files, "people/sam.md".
type Wiki interface {
	// Editable tells whether pages are kept in a folder and can be saved.
	Editable() bool
	WikiSearch(ctx context.Context, q client.WikiQuery) (client.WikiResult, error)
	// WikiPage takes a path with or without ending, or a name that only one page
	// has; NotFound.
	WikiPage(ctx context.Context, name string) (client.WikiPage, error)
	// WikiLink says where [[inside]] leads that stands on the page from.
	WikiLink(from, inside string) client.WikiLink
	// WikiLint checks a text as the page that it is to be.
	WikiLint(file, text string) []client.SkillProblem
	WikiCheck(ctx context.Context) (client.WikiCheck, error)
	// WikiHistory lists the versions in git, newest first; none when the pages
	// are not kept in git.
	WikiHistory(ctx context.Context, file string) ([]client.WikiVersion, error)
	// WikiDiff compares a page at two commits; "" is the page as it is now.
	WikiDiff(ctx context.Context, file, from, to string) ([]client.WikiLine, error)
	// WikiSave writes a page, or answers with a Conflict.
	WikiSave(ctx context.Context, e client.WikiEdit) (client.WikiSaved, error)

	// Draft takes the name of a draft; NotFound.
	Draft(ctx context.Context, name string) (client.DraftView, error)
	// AcceptDraft makes the draft with this hash a skill, or the next version of
	// one, and says where it stands. Conflict: it was changed since it was read.
	AcceptDraft(ctx context.Context, name, hash, by string) (url string, err error)
	// DiscardDraft removes it. Conflict as AcceptDraft.
	DiscardDraft(ctx context.Context, name, hash, by, reason string) error
}
