package web

import (
	"context"
	"net/http"
	"strings"

	"prunella"
	"prunella/client"
)

// Evidence is what people and tools may add to what is known.
type Evidence interface {
	// Vouch records a person's word about a skill.
	Vouch(ctx context.Context, name prunella.SkillName, w client.Word) (client.SkillView, error)
	// Propose asks a person to let a skill run on an incident; nothing runs.
	Propose(ctx context.Context, id prunella.IncidentID, p client.Proposal) (client.Proposed, error)
}

func (s *server) apiVouch(r *http.Request) (any, error) {
	var w client.Word
	if err := readJSON(r, maxForm, &w); err != nil {
		return nil, err
	}
	return s.backend.Vouch(r.Context(), prunella.SkillName(r.PathValue("name")), w)
}

func (s *server) apiPropose(r *http.Request) (any, error) {
	var p client.Proposal
	if err := readJSON(r, maxForm, &p); err != nil {
		return nil, err
	}
	if p.By = strings.TrimSpace(p.By); p.By == "" {
		return nil, needsName
	}
	return s.backend.Propose(r.Context(), prunella.IncidentID(r.PathValue("id")), p)
}
