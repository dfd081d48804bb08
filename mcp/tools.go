package mcp

import (
	"context"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"prunella"
	"prunella/client"
)

// reads are the hints of a tool that changes nothing.
func reads(title string) *sdk.ToolAnnotations {
	no := false
	return &sdk.ToolAnnotations{Title: title, ReadOnlyHint: true, DestructiveHint: &no, IdempotentHint: true, OpenWorldHint: &no}
}

// asks are the hints of a tool that adds a question for a person.
func asks(title string) *sdk.ToolAnnotations {
	no := false
	return &sdk.ToolAnnotations{Title: title, DestructiveHint: &no, OpenWorldHint: &no}
}

func (s *server) addTools(out *sdk.Server) {
	sdk.AddTool(out, &sdk.Tool{Name: "search_skills", Annotations: reads("Search skills"),
		Description: "Search the runbooks by words, error codes and identifiers."}, s.searchSkills)
	sdk.AddTool(out, &sdk.Tool{Name: "read_skill", Annotations: reads("Read a skill"),
		Description: "Read one runbook with how far it is trusted and what it may do."}, s.readSkill)
	sdk.AddTool(out, &sdk.Tool{Name: "match_incident_text", Annotations: reads("Match a text to skills"),
		Description: "Which runbooks are about what an incident says (log lines, an alert, a complaint), and why."}, s.matchText)
	sdk.AddTool(out, &sdk.Tool{Name: "list_incidents", Annotations: reads("List incidents"),
		Description: "The latest incidents, newest first."}, s.listIncidents)
	sdk.AddTool(out, &sdk.Tool{Name: "read_incident", Annotations: reads("Read an incident"),
		Description: "One incident: severity, causes with their evidence, runs, open questions, timeline."}, s.readIncident)
	sdk.AddTool(out, &sdk.Tool{Name: "propose_run", Annotations: asks("Propose a run"),
		Description: "Ask a person to let a runbook run on an incident. The plan is made from fresh evidence and passes the policy; nothing runs before a person says yes, and you cannot say it."}, s.proposeRun)
}

type searchIn struct {
	Query string `json:"query" jsonschema:"words, error codes, identifiers; quotes keep words together"`
	Limit int    `json:"limit,omitempty" jsonschema:"at most so many, 10 when not given"`
}

type foundSkill struct {
	Name      string `json:"name"`
	Title     string `json:"title"`
	Category  string `json:"category,omitempty"`
	Freshness string `json:"freshness,omitempty" jsonschema:"fresh, due, stale or never, by its last verified run"`
	Excerpt   string `json:"excerpt,omitempty"`
	URI       string `json:"uri"`
}

type searchOut struct {
	Skills []foundSkill `json:"skills"`
	Loose  bool         `json:"loose" jsonschema:"no page has every word; these have some"`
}

func (s *server) searchSkills(ctx context.Context, _ *sdk.CallToolRequest, in searchIn) (*sdk.CallToolResult, searchOut, error) {
	out := searchOut{Skills: []foundSkill{}}
	if in.Limit <= 0 {
		in.Limit = 10
	}
	r, err := s.api.WikiSearch(ctx, client.WikiQuery{Text: in.Query, Kind: "skill", Limit: min(in.Limit, mostSkills)})
	if err != nil {
		return nil, out, err
	}
	out.Loose = r.Loose
	for _, h := range r.Hits {
		f := foundSkill{Name: h.Name, Title: h.Title, Category: h.Category, Freshness: h.Freshness, URI: skillScheme + h.Name}
		for _, p := range h.Excerpt {
			f.Excerpt += p.Text
		}
		out.Skills = append(out.Skills, f)
	}
	return nil, out, nil
}

type readSkillIn struct {
	Name string `json:"name" jsonschema:"name of the skill, as search_skills gives it"`
}

type skillOut struct {
	Name         string    `json:"name"`
	Title        string    `json:"title"`
	Version      string    `json:"version"`
	Hash         string    `json:"hash"`
	Confidence   float64   `json:"confidence" jsonschema:"measured probability that the next run heals"`
	Floor        float64   `json:"floor" jsonschema:"lower bound of it, which decides about autonomy"`
	Freshness    string    `json:"freshness"`
	LastVerified time.Time `json:"last_verified,omitzero"`
	May          string    `json:"may" jsonschema:"what the policy would allow it now"`
	Because      string    `json:"because"`
	Markdown     string    `json:"markdown"`
}

func (s *server) readSkill(ctx context.Context, _ *sdk.CallToolRequest, in readSkillIn) (*sdk.CallToolResult, skillOut, error) {
	v, err := s.api.Skill(ctx, prunella.SkillName(in.Name))
	if err != nil {
		return nil, skillOut{}, err
	}
	return nil, skillOut{Name: string(v.Skill.Name), Title: v.Skill.Title, Version: v.Skill.Version, Hash: v.Skill.Hash, Confidence: v.Trust.Confidence,
		Floor: v.Trust.Floor, Freshness: v.Freshness, LastVerified: v.LastVerified, May: string(v.Policy.Allowed), Because: v.Policy.Reason.Text, Markdown: v.Text}, nil
}

type matchIn struct {
	Text string `json:"text" jsonschema:"what the incident says, one log line or sentence a line"`
}

type matchOut struct {
	Recognized string       `json:"recognized,omitempty" jsonschema:"the skill that the engine would choose by this text alone; empty when none"`
	Pattern    string       `json:"pattern"`
	Reason     string       `json:"reason"`
	Matches    []matchSkill `json:"matches"`
}

type matchSkill struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Score   float64  `json:"score" jsonschema:"0 to 1 by its signal rules; 0 when only words match"`
	Because []string `json:"because"`
	Excerpt string   `json:"excerpt,omitempty"`
}

func (s *server) matchText(ctx context.Context, _ *sdk.CallToolRequest, in matchIn) (*sdk.CallToolResult, matchOut, error) {
	m, err := s.api.MatchSkills(ctx, in.Text)
	if err != nil {
		return nil, matchOut{}, err
	}
	out := matchOut{Recognized: string(m.Recognized), Pattern: m.Pattern, Reason: m.Reason, Matches: []matchSkill{}}
	for _, one := range m.Matches {
		out.Matches = append(out.Matches, matchSkill{Name: string(one.Name), Title: one.Title, Score: one.Score, Because: append([]string{}, one.Because...), Excerpt: one.Excerpt})
	}
	return nil, out, nil
}

type listIn struct {
	Open  bool `json:"open,omitempty" jsonschema:"only those that are not resolved"`
	Limit int  `json:"limit,omitempty" jsonschema:"at most so many, 20 when not given"`
}

type listOut struct {
	Incidents []incidentLine `json:"incidents"`
}

type incidentLine struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	State    string    `json:"state"`
	Severity string    `json:"severity"`
	Pattern  string    `json:"pattern"`
	Cause    string    `json:"cause,omitempty"`
	Opened   time.Time `json:"opened"`
}

func (s *server) listIncidents(ctx context.Context, _ *sdk.CallToolRequest, in listIn) (*sdk.CallToolResult, listOut, error) {
	out := listOut{Incidents: []incidentLine{}}
	if in.Limit <= 0 {
		in.Limit = 20
	}
	found, err := s.api.Incidents(ctx, client.IncidentQuery{Open: in.Open, Limit: min(in.Limit, mostIncidents)})
	if err != nil {
		return nil, out, err
	}
	for _, i := range found {
		line := incidentLine{ID: string(i.ID), Title: i.Title, State: string(i.State), Severity: string(i.Severity), Pattern: i.Pattern.Pattern, Opened: i.OpenedAt}
		if len(i.Causes) > 0 {
			line.Cause = string(i.Causes[0].Fault)
		}
		out.Incidents = append(out.Incidents, line)
	}
	return nil, out, nil
}

type readIncidentIn struct {
	ID string `json:"id" jsonschema:"id of the incident, as list_incidents gives it"`
}

// readIncident answers with the API's own JSON, which has no fixed schema here.
func (s *server) readIncident(ctx context.Context, _ *sdk.CallToolRequest, in readIncidentIn) (*sdk.CallToolResult, any, error) {
	v, err := s.api.Incident(ctx, prunella.IncidentID(in.ID))
	if err != nil {
		return nil, nil, err
	}
	return nil, v, nil
}

type proposeIn struct {
	Incident string `json:"incident" jsonschema:"id of the incident"`
	Skill    string `json:"skill" jsonschema:"name of the skill to run"`
	By       string `json:"by" jsonschema:"who proposes it: a person or the name of the tool"`
	Because  string `json:"because" jsonschema:"why, for the person who decides"`
}

type proposeOut struct {
	Status   string    `json:"status" jsonschema:"always waiting-for-a-person: nothing has run"`
	Approval string    `json:"approval"`
	Plan     []string  `json:"plan"`
	Policy   string    `json:"policy"`
	Decide   string    `json:"decide" jsonschema:"the page on which a person decides"`
	Expires  time.Time `json:"expires" jsonschema:"unanswered by then means no"`
}

func (s *server) proposeRun(ctx context.Context, _ *sdk.CallToolRequest, in proposeIn) (*sdk.CallToolResult, proposeOut, error) {
	p, err := s.api.Propose(ctx, prunella.IncidentID(in.Incident), client.Proposal{Skill: prunella.SkillName(in.Skill), By: in.By, Because: in.Because})
	if err != nil {
		return nil, proposeOut{}, err
	}
	out := proposeOut{Status: "waiting-for-a-person", Approval: p.Approval.ID, Plan: []string{}, Policy: p.Run.Policy.Reason.Text, Decide: p.URL, Expires: p.Approval.Expires}
	for _, step := range p.Run.Steps {
		if step.State != prunella.StepSkipped {
			out.Plan = append(out.Plan, step.Name)
		}
	}
	return nil, out, nil
}
