package client

import (
	"context"
	"net/url"
	"time"

	"prunella"
)

// Word is what a person says of a skill: the body of POST
// /api/v1/skills/{name}/word.
type Word struct {
	Word    string `json:"word"`    // healed | partial | failed
	By      string `json:"by"`      // required
	Because string `json:"because"` // required
}

// Vouch records a person's word about a skill, as half a run, and returns the
// skill with its new trust. A later word of the same person on the same version
// replaces the earlier one.
func (c *Client) Vouch(ctx context.Context, name prunella.SkillName, w Word) (SkillView, error) {
	return post[SkillView](ctx, c, "/api/v1/skills/"+url.PathEscape(string(name))+"/word", w)
}

// Proposal asks that a skill be run on an incident: the body of POST
// /api/v1/incidents/{id}/propose.
type Proposal struct {
	Skill   prunella.SkillName `json:"skill"`
	By      string             `json:"by"`
	Because string             `json:"because"`
}

// Proposed is the question that a proposal became. Nothing has run.
type Proposed struct {
	Run      prunella.Run      `json:"run"`
	Approval prunella.Approval `json:"approval"`
	URL      string            `json:"url"` // where a person decides
}

// Propose asks a person to let a skill run on an incident. Nothing runs before
// somebody said yes. Conflict: it cannot be asked now, or the policy forbids it.
func (c *Client) Propose(ctx context.Context, id prunella.IncidentID, p Proposal) (Proposed, error) {
	return post[Proposed](ctx, c, "/api/v1/incidents/"+url.PathEscape(string(id))+"/propose", p)
}

// DrillStatus is when skills are proven in a lab, and how it went.
type DrillStatus struct {
	Next time.Time    `json:"next,omitzero"`
	Last *DrillResult `json:"last,omitempty"`
}

// DrillResult is one drill.
type DrillResult struct {
	Began  time.Time      `json:"began"`
	Ended  time.Time      `json:"ended"`
	Skills []DrilledSkill `json:"skills"` // those that a scenario is about
}

// DrilledSkill is what a drill showed of one skill.
type DrilledSkill struct {
	Name    prunella.SkillName `json:"name"`
	Version string             `json:"version"`
	Passed  int                `json:"passed"` // scenarios
	Failed  int                `json:"failed"`
	Why     []string           `json:"why,omitempty"`   // of those that failed: what was not as expected
	Error   string             `json:"error,omitempty"` // it could not be tried
}
