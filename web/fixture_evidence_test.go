package web

import (
	"context"
	"testing"

	"prunella"
	"prunella/client"
)

func (w *world) Vouch(_ context.Context, name prunella.SkillName, word client.Word) (client.SkillView, error) {
	v, err := w.Skill(context.Background(), name)
	v.Trust.Terms = append(v.Trust.Terms, client.TrustTerm{Kind: "person", By: word.By, Note: word.Because})
	return v, err
}

func (w *world) Propose(_ context.Context, id prunella.IncidentID, p client.Proposal) (client.Proposed, error) {
	return client.Proposed{Approval: prunella.Approval{ID: "apr-1", Incident: id}, Run: prunella.Run{Skill: p.Skill}}, nil
}

// The wire of a person's word and of a proposal, both ways.
func TestWordsAndProposals(t *testing.T) {
	c := client.New(serve(t, newWorld()))
	v, err := c.Vouch(t.Context(), "auth-jwks-rotation-spike", client.Word{Word: "healed", By: "@sam", Because: "it did"})
	if n := len(v.Trust.Terms); err != nil || n == 0 || v.Trust.Terms[n-1].Note != "it did" {
		t.Errorf("%+v, %v", v.Trust.Terms, err)
	}
	got, err := c.Propose(t.Context(), "inc-1", client.Proposal{Skill: "auth-jwks-rotation-spike", By: "bot", Because: "it fits"})
	if err != nil || got.Approval.Incident != "inc-1" || got.Run.Skill != "auth-jwks-rotation-spike" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.Propose(t.Context(), "inc-1", client.Proposal{Skill: "x", By: " "}); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("a proposal of nobody: %v", err)
	}
}
