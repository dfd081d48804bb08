package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"prunella"
	"prunella/client"
)

// Config is what a server needs.
type Config struct {
	API     *client.Client
	Version string
	Log     *slog.Logger
}

const instructions = "Prunella heals incidents with skills, which are runbooks whose confidence was measured. " +
	"Find the skill that fits with match_incident_text or search_skills, read it with read_skill. " +
	"Confidence, floor and freshness say how far to trust it. You cannot run anything: propose_run asks a person."

// Most entries of an answer; there is more in the pages.
const (
	mostSkills    = 50
	mostIncidents = 100
)

// New makes the server; it can serve any number of sessions.
func New(cfg Config) *sdk.Server {
	s := &server{api: cfg.API}
	out := sdk.NewServer(&sdk.Implementation{Name: "prunella", Title: "Prunella", Version: cfg.Version},
		&sdk.ServerOptions{Instructions: instructions, Logger: cfg.Log, Capabilities: &sdk.ServerCapabilities{}})
	s.addTools(out)
	out.AddResourceTemplate(&sdk.ResourceTemplate{Name: "skill", Title: "A skill", URITemplate: skillScheme + "{name}", MIMEType: "text/markdown",
		Description: "The runbook as it is written"}, s.readSkillResource)
	out.AddResourceTemplate(&sdk.ResourceTemplate{Name: "incident", Title: "An incident", URITemplate: incidentScheme + "{id}", MIMEType: "application/json",
		Description: "What is known of it: severity, causes with evidence, runs, questions, timeline"}, s.readIncidentResource)
	out.AddReceivingMiddleware(s.listing)
	return out
}

const (
	skillScheme    = "prunella://skills/"
	incidentScheme = "prunella://incidents/"
)

type server struct{ api *client.Client }

// listing answers resources/list with what the API has now: skills, then the
// latest incidents.
func (s *server) listing(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
		if method != "resources/list" {
			return next(ctx, method, req)
		}
		skills, err := s.api.Skills(ctx)
		if err != nil {
			return nil, err
		}
		incidents, err := s.api.Incidents(ctx, client.IncidentQuery{Limit: mostIncidents})
		if err != nil {
			return nil, err
		}
		list := []*sdk.Resource{}
		for _, v := range skills {
			list = append(list, &sdk.Resource{URI: skillScheme + url.PathEscape(string(v.Skill.Name)), Name: string(v.Skill.Name), Title: v.Skill.Title,
				Description: v.Skill.Description, MIMEType: "text/markdown"})
		}
		for _, i := range incidents {
			list = append(list, &sdk.Resource{URI: incidentScheme + url.PathEscape(string(i.ID)), Name: string(i.ID), Title: i.Title,
				Description: fmt.Sprintf("%s, %s, opened %s", i.Severity, i.State, i.OpenedAt.UTC().Format(time.RFC3339)), MIMEType: "application/json"})
		}
		return &sdk.ListResourcesResult{Resources: list}, nil
	}
}

func (s *server) readSkillResource(ctx context.Context, req *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
	name, err := named(req.Params.URI, skillScheme)
	if err != nil {
		return nil, err
	}
	v, err := s.api.Skill(ctx, prunella.SkillName(name))
	if err != nil {
		return nil, gone(req.Params.URI, err)
	}
	return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: req.Params.URI, MIMEType: "text/markdown", Text: v.Text}}}, nil
}

func (s *server) readIncidentResource(ctx context.Context, req *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
	id, err := named(req.Params.URI, incidentScheme)
	if err != nil {
		return nil, err
	}
	v, err := s.api.Incident(ctx, prunella.IncidentID(id))
	if err != nil {
		return nil, gone(req.Params.URI, err)
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode incident %s: %w", id, err)
	}
	return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: req.Params.URI, MIMEType: "application/json", Text: string(b)}}}, nil
}

// named is the last part of a resource's address.
func named(uri, scheme string) (string, error) {
	name, err := url.PathUnescape(strings.TrimPrefix(uri, scheme))
	if err != nil || name == "" || strings.Contains(name, "/") {
		return "", sdk.ResourceNotFoundError(uri)
	}
	return name, nil
}

// gone is the protocol's word for what is not there.
func gone(uri string, err error) error {
	if prunella.KindOf(err) == prunella.NotFound {
		return sdk.ResourceNotFoundError(uri)
	}
	return err
}
