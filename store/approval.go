package store

import (
	"context"
	"database/sql"
	"time"

	"prunella"
)

// Decisions of an approval.
const (
	Approved  = "approved"
	Denied    = "denied"
	Expired   = "expired"
	Withdrawn = "withdrawn" // a person took the incident, or it outgrew the plan; nobody acts on an answer any more
)

func createApproval(ctx context.Context, tx *sql.Tx, a prunella.Approval) error {
	if a.ID == "" {
		return prunella.Errorf(prunella.Invalid, "an approval without an id cannot be stored")
	}
	doc, err := encode(a)
	if err != nil {
		return err
	}
	if _, err := incident(ctx, tx, a.Incident); err != nil {
		return err
	}
	_, err = exec(ctx, tx, "create approval", `INSERT INTO approvals (id, incident, asked, doc) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`,
		a.ID, a.Incident, nanos(a.Asked), doc)
	return err
}

// CreateApproval stores a question to a person; NotFound when its incident does
// not exist. One with the same id changes nothing.
func (s *Store) CreateApproval(ctx context.Context, a prunella.Approval) error {
	return s.Commit(ctx, Batch{Approvals: []prunella.Approval{a}})
}

// Approval returns one approval, NotFound when there is none.
func (s *Store) Approval(ctx context.Context, id string) (a prunella.Approval, err error) {
	err = one(ctx, s.read, &a, "approval "+id, `SELECT doc FROM approvals WHERE id = $1`, id)
	return a, err
}

// Approvals returns an incident's approvals, first asked first.
func (s *Store) Approvals(ctx context.Context, id prunella.IncidentID) ([]prunella.Approval, error) {
	return many[prunella.Approval](ctx, s.read, "approvals", `SELECT doc FROM approvals WHERE incident = $1 ORDER BY asked, id`, id)
}

// DecideApproval decides an approval once, and changes its incident in the same
// transaction. decision is Approved, Denied or Expired; Expired is accepted only
// from its time on, and the others only before. hash is that of the plan the
// person saw. u.ID may be empty; its Apply may refuse.
//
// Conflict: it was decided already, the plan has changed, another question was
// asked since, or it has expired (then the approval is returned as it stands).
// Invalid: no such decision.
func (s *Store) DecideApproval(ctx context.Context, id, hash, decision, by, note string, now time.Time, u IncidentUpdate) (a prunella.Approval, err error) {
	if decision != Approved && decision != Denied && decision != Expired {
		return a, &prunella.Error{Kind: prunella.Invalid, Op: "decide approval", Where: "decision",
			Reason: `"` + decision + `" is not a decision`, Remedy: "say approved or denied"}
	}
	conflict := func(reason, remedy string) error {
		return &prunella.Error{Kind: prunella.Conflict, Op: "decide approval", Reason: reason, Remedy: remedy}
	}
	err = s.inTx(ctx, "decide approval", func(tx *sql.Tx) error {
		if err := one(ctx, tx, &a, "approval "+id, `SELECT doc FROM approvals WHERE id = $1`, id); err != nil {
			return err
		}
		over := !a.Expires.IsZero() && !now.Before(a.Expires)
		switch {
		case a.Decision != "":
			who := a.By
			if who == "" {
				who = "the engine"
			}
			return conflict("it was already "+a.Decision+" by "+who, "")
		case a.Hash != hash:
			return conflict("the plan is not the one that was shown", "look at the incident again and decide on what stands there now")
		case over && decision != Expired:
			return conflict("the time to answer ended at "+a.Expires.UTC().Format(time.RFC3339), "hand the incident back to the engine to be asked again")
		case !over && decision == Expired:
			return conflict("the time to answer has not ended", "")
		}
		all, err := many[prunella.Approval](ctx, tx, "approvals", `SELECT doc FROM approvals WHERE incident = $1 ORDER BY asked, id`, a.Incident)
		if err != nil {
			return err
		}
		if all[len(all)-1].ID != id {
			return conflict("another question was asked since", "look at the incident again and decide on what stands there now")
		}
		u.ID = a.Incident
		if _, err := updateIncident(ctx, tx, u); err != nil {
			return err
		}
		a.Decision, a.By, a.Note, a.Decided = decision, by, note, now.UTC()
		doc, err := encode(a)
		if err != nil {
			return err
		}
		_, err = exec(ctx, tx, "decide approval", `UPDATE approvals SET doc = $2 WHERE id = $1`, id, doc)
		return err
	})
	return a, err
}
