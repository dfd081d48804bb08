package main

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"prunella"
	"prunella/app"
	"prunella/client"
	"prunella/mcp"
	"prunella/scenario"
)

// The real program over standard input and output.
func TestMCPOverStdio(t *testing.T) {
	a, err := app.New(app.Config{Listen: "127.0.0.1:0", Data: t.TempDir()}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer a.Stop(context.Background())
	s, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(),
		&sdk.CommandTransport{Command: exec.Command(build(t), "mcp", "--server", a.URL())}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: "search_skills", Arguments: map[string]any{"query": "jwks"}})
	if err != nil || r.IsError || !strings.Contains(r.Content[0].(*sdk.TextContent).Text, "auth-jwks-rotation-spike") {
		t.Fatalf("%+v, %v", r, err)
	}
}

// A tool proposes a run on a real incident: while a question waits, and when a
// person holds it. All that comes of it is a question.
func TestProposalsOnlyAsk(t *testing.T) {
	if testing.Short() {
		t.Skip("a world")
	}
	t.Parallel()
	const name = "auth-jwks-rotation-spike"
	s := smallSpike(t)
	s.Given.Engine.Policy, s.Watch.Bound = scenario.Policy{Autonomy: "approve"}, 20*time.Second
	propose := func(ctx context.Context, url string) error {
		api := client.New(url)
		list, err := api.Incidents(ctx, client.IncidentQuery{Limit: 1})
		if err != nil || len(list) == 0 {
			return fmt.Errorf("no incident: %w", err)
		}
		id := list[0].ID
		here, there := sdk.NewInMemoryTransports()
		if _, err := mcp.New(mcp.Config{API: api, Version: "test"}).Connect(ctx, there, nil); err != nil {
			return err
		}
		session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(ctx, here, nil)
		if err != nil {
			return err
		}
		defer session.Close()
		ask := func() (*sdk.CallToolResult, error) {
			return session.CallTool(ctx, &sdk.CallToolParams{Name: "propose_run", Arguments: map[string]any{"incident": string(id), "skill": name, "by": "bot", "because": "it fits"}})
		}
		if r, err := ask(); err != nil || !r.IsError || !strings.Contains(r.Content[0].(*sdk.TextContent).Text, "waits for an answer already") {
			return fmt.Errorf("while a question waits: %+v, %w", r, err)
		}
		if _, err := api.Escalate(ctx, id, client.Note{By: "sam", Note: "mine"}); err != nil {
			return err
		}
		r, err := ask()
		if err != nil || r.IsError {
			return fmt.Errorf("proposal: %+v, %w", r.Content[0], err)
		}
		v, err := api.Incident(ctx, id)
		if err != nil {
			return err
		}
		last := v.Approvals[len(v.Approvals)-1]
		if v.Incident.State != prunella.AwaitingApproval || last.Decision != "" || v.Runs[len(v.Runs)-1].State != prunella.RunProposed {
			return fmt.Errorf("it is %s, %+v", v.Incident.State, last)
		}
		for _, run := range v.Runs {
			for _, step := range run.Steps {
				if step.Attempt > 0 {
					return fmt.Errorf("%s ran", step.Name)
				}
			}
		}
		return nil
	}
	var failed error
	cfg := app.Config{Data: t.TempDir()}
	cfg.Policy.ApprovalTTL = prunella.Duration(time.Hour)
	r := underTest(cfg, func(ctx context.Context, url string) { failed = propose(ctx, url) }).Run(t.Context(), s, 7)
	if failed != nil {
		t.Errorf("%v (%s %s)", failed, r.Remediation, r.Error)
	}
}
