package mcp_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"prunella/app"
	"prunella/client"
	"prunella/mcp"
)

// serve starts a real server with the shipped pages, and what a tool connects to.
func serve(t *testing.T) (*sdk.Server, *client.Client) {
	t.Helper()
	a, err := app.New(app.Config{Listen: "127.0.0.1:0", Data: t.TempDir()}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	api := client.New(a.URL())
	return mcp.New(mcp.Config{API: api, Version: "test", Log: slog.New(slog.DiscardHandler)}), api
}

func connect(t *testing.T, transport sdk.Transport) *sdk.ClientSession {
	t.Helper()
	s, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func inMemory(t *testing.T, server *sdk.Server) *sdk.ClientSession {
	t.Helper()
	here, there := sdk.NewInMemoryTransports()
	if _, err := server.Connect(t.Context(), there, nil); err != nil {
		t.Fatal(err)
	}
	return connect(t, here)
}

func text(r *sdk.CallToolResult) string {
	var b strings.Builder
	for _, c := range r.Content {
		if t, ok := c.(*sdk.TextContent); ok {
			b.WriteString(t.Text)
		}
	}
	return b.String()
}

func call(t *testing.T, s *sdk.ClientSession, tool string, args map[string]any) (string, bool) {
	t.Helper()
	r, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return text(r), r.IsError
}

func TestToolsAnswer(t *testing.T) {
	server, _ := serve(t)
	s := inMemory(t, server)
	for _, c := range []struct {
		tool string
		args map[string]any
		want string
		bad  bool
	}{
		{"search_skills", map[string]any{"query": "jwks"}, `"auth-jwks-rotation-spike"`, false},
		{"read_skill", map[string]any{"name": "auth-jwks-rotation-spike"}, `"may":"`, false},
		{"read_skill", map[string]any{"name": "no-such"}, "see the list of skills", true},
		{"match_incident_text", map[string]any{"text": "401: no key with this kid in the cached JWKS"}, `"matches":[`, false},
		{"list_incidents", map[string]any{"open": true}, `"incidents":[]`, false},
		{"read_incident", map[string]any{"id": "inc-none"}, "there is no incident", true},
		{"propose_run", map[string]any{"incident": "inc-none", "skill": "auth-jwks-rotation-spike", "by": "bot", "because": "it fits"}, "there is no incident", true},
		{"propose_run", map[string]any{"incident": "inc-none", "skill": "auth-jwks-rotation-spike", "by": " ", "because": "it fits"}, "whoever acts says who they are", true},
	} {
		if got, bad := call(t, s, c.tool, c.args); bad != c.bad || !strings.Contains(got, c.want) {
			t.Errorf("%s %v: %v %q, want %q", c.tool, c.args, bad, got, c.want)
		}
	}
}

func TestResources(t *testing.T) {
	server, api := serve(t)
	s := inMemory(t, server)
	list, err := s.ListResources(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	uri := "prunella://skills/auth-jwks-rotation-spike"
	if !slices.ContainsFunc(list.Resources, func(r *sdk.Resource) bool { return r.URI == uri && r.MIMEType == "text/markdown" }) {
		t.Fatalf("%s is not listed", uri)
	}
	r, err := s.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri})
	if err != nil {
		t.Fatal(err)
	}
	v, err := api.Skill(t.Context(), "auth-jwks-rotation-spike")
	if err != nil || r.Contents[0].Text != v.Text || v.Text == "" {
		t.Errorf("the resource is not the file, %v", err)
	}
	templates, err := s.ListResourceTemplates(t.Context(), nil)
	if err != nil || len(templates.ResourceTemplates) != 2 {
		t.Errorf("%+v, %v", templates, err)
	}
	for _, uri := range []string{"prunella://skills/no-such", "prunella://incidents/none", "prunella://skills/..%2f..", "file:///etc/passwd"} {
		if _, err := s.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri}); err == nil {
			t.Errorf("%s could be read", uri)
		}
	}
}

// Nothing of the protocol acts: every tool but one says that it only reads, and
// that one only asks. No tool, prompt or capability answers a question.
func TestNothingActs(t *testing.T) {
	server, _ := serve(t)
	s := inMemory(t, server)
	tools, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var writes []string
	for _, tool := range tools.Tools {
		a := tool.Annotations
		if a == nil || a.DestructiveHint == nil || *a.DestructiveHint {
			t.Errorf("%s does not say that it destroys nothing", tool.Name)
		} else if !a.ReadOnlyHint {
			writes = append(writes, tool.Name)
		}
	}
	if !slices.Equal(writes, []string{"propose_run"}) {
		t.Errorf("tools that do not only read: %v", writes)
	}
	if c := s.InitializeResult().Capabilities; c.Prompts != nil || c.Completions != nil || c.Tools == nil || c.Resources == nil {
		t.Errorf("capabilities %+v", c)
	}
}

func TestDocsListTheTools(t *testing.T) {
	server, _ := serve(t)
	tools, err := inMemory(t, server).ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("../docs/mcp.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, real []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(b), -1) {
		documented = append(documented, m[1])
	}
	for _, tool := range tools.Tools {
		real = append(real, tool.Name)
	}
	slices.Sort(documented)
	slices.Sort(real)
	if !slices.Equal(documented, real) {
		t.Errorf("docs/mcp.md lists %v, the server has %v", documented, real)
	}
}

type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func TestHTTP(t *testing.T) {
	server, _ := serve(t)
	site := httptest.NewServer(mcp.Handler(server, "secret", slog.New(slog.DiscardHandler)))
	defer site.Close()
	s := connect(t, &sdk.StreamableClientTransport{Endpoint: site.URL, HTTPClient: &http.Client{Transport: bearer("secret")}, DisableStandaloneSSE: true})
	if got, bad := call(t, s, "search_skills", map[string]any{"query": "jwks"}); bad || !strings.Contains(got, "auth-jwks-rotation-spike") {
		t.Errorf("%q", got)
	}
	s.Close()
	for name, c := range map[string]struct {
		host, token string
		want        int
	}{
		"no token":     {"", "", http.StatusUnauthorized},
		"wrong token":  {"", "Bearer secrets", http.StatusUnauthorized},
		"foreign host": {"evil.example", "Bearer secret", http.StatusMisdirectedRequest},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, site.URL, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if c.host != "" {
			req.Host = c.host
		}
		if c.token != "" {
			req.Header.Set("Authorization", c.token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, c.want)
		}
	}
}
