package action_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"prunella"
	"prunella/action"
)

var update = flag.Bool("update", false, "write the lists in docs/actions.md")

const (
	page      = "../docs/actions.md"
	listBegin = "<!-- list: begin -->\n"
	listEnd   = "<!-- list: end -->\n"
)

// TestPage compares docs/actions.md with Catalog; go test -update writes it.
func TestPage(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), listBegin)
	listed, after, ok2 := strings.Cut(rest, listEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no lines %q and %q", page, listBegin, listEnd)
	}
	want := catalogText()
	if listed == want {
		return
	}
	if !*update {
		t.Fatalf("%s does not say what the catalog says; go test ./action -update writes it", page)
	}
	if err := os.WriteFile(page, []byte(before+listBegin+want+listEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func catalogText() string {
	var b strings.Builder
	heading := ""
	for _, s := range action.Catalog() {
		h := "Reads"
		if s.Action {
			h = "Actions"
		}
		if h != heading {
			heading = h
			fmt.Fprintf(&b, "\n## %s\n", h)
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s", s.Name, s.Doc)
		if s.Action {
			fmt.Fprintf(&b, " Effect: %s.", s.Effect)
		}
		b.WriteString("\n\n")
		for _, p := range s.Params {
			need := ""
			if p.Required {
				need = ", required"
			}
			fmt.Fprintf(&b, "- `%s` (%s%s): %s\n", p.Name, p.Type, need, p.Doc)
		}
		if len(s.Params) == 0 {
			b.WriteString("No parameters.\n")
		}
		if len(s.Results) > 0 {
			b.WriteString("\nResult:\n\n")
		}
		for _, r := range s.Results {
			name, doc, _ := strings.Cut(r, ": ")
			fmt.Fprintf(&b, "- `%s`: %s\n", name, doc)
		}
	}
	b.WriteString("\n")
	return b.String()
}

func TestCatalog(t *testing.T) {
	w := world(t, prunella.Inventory{}, nil, action.Options{})
	name := regexp.MustCompile(`^[a-z]+\.[a-z-]+$`)
	types := regexp.MustCompile(`^(text|number|bool|duration|list|any)$`)
	seen := map[string]bool{}
	for _, s := range action.Catalog() {
		if seen[s.Name] || !name.MatchString(s.Name) || s.Doc == "" || s.Effect == "" {
			t.Errorf("%s is listed twice, badly named or without doc or effect", s.Name)
		}
		seen[s.Name] = true
		if !s.Action && (s.Effect != prunella.Reads || len(s.Results) == 0) {
			t.Errorf("the read %s has effect %s and %d results", s.Name, s.Effect, len(s.Results))
		}
		for _, p := range s.Params {
			if !types.MatchString(p.Type) || p.Doc == "" {
				t.Errorf("parameter %s of %s: type %q, doc %q", p.Name, s.Name, p.Type, p.Doc)
			}
		}
		// A wrong parameter is refused by the operation itself: it can be called.
		var err error
		wrong := map[string]any{"no-such-parameter": 1}
		for _, p := range s.Params {
			wrong[p.Name] = map[string]any{"text": "x", "any": "x", "number": 1, "bool": true, "duration": "1s"}[p.Type]
			if p.Type == "list" {
				wrong[p.Name] = []any{"x"}
			}
		}
		if s.Action {
			_, err = w.Do(t.Context(), s.Name, "key", wrong)
		} else {
			_, err = w.Read(t.Context(), s.Name, wrong, action.Incident{})
		}
		if prunella.KindOf(err) != prunella.Invalid || !strings.Contains(err.Error(), "no-such-parameter: there is no such parameter") {
			t.Errorf("%s with a parameter that it does not have: %v", s.Name, err)
		}
	}
	for _, want := range []string{"releases.recent", "jwks.current", "keys.changes", "logs.search", "trust.grid", "vendor.status", "deliveries.failed", "clock.offsets",
		"requests.errors", "kubernetes.rollout", "verifier.config", "http.get", "shell.run-read", "keys.activate", "keys.publish", "keys.retire", "keys.redeliver",
		"kubernetes.rollout-restart", "kubernetes.rollout-undo", "kubernetes.configmap-set", "canary.prove", "http.request", "shell.run"} {
		if !seen[want] {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestParameters(t *testing.T) {
	w := world(t, prunella.Inventory{}, nil, action.Options{})
	for _, c := range []struct {
		name string
		with map[string]any
		want string
		kind prunella.Kind
	}{
		{"keys.activate", map[string]any{"issuer": "a"}, "keys.activate: kid: the parameter is missing (give kid, a text: key id)", prunella.Invalid},
		{"keys.activate", map[string]any{"issuer": "a", "kid": ""}, "kid: the parameter is empty", prunella.Invalid},
		{"keys.activate", map[string]any{"issuer": "a", "kid": true}, "kid: a text is wanted, not a bool", prunella.Invalid},
		{"keys.activate", map[string]any{"issuer": "a", "kid": "k", "kids": "k"}, "kids: there is no such parameter (it takes issuer, kid)", prunella.Invalid},
		{"canary.prove", map[string]any{"issuer": "a", "kid": "k", "services": []any{"x", true}}, "services: element 2 is a bool, not a text", prunella.Invalid},
		{"shell.run", map[string]any{"run": []any{}}, "run: the parameter is empty", prunella.Invalid},
		{"shell.run", map[string]any{"run": "rm -rf x"}, "run: a list is wanted, not a text", prunella.Invalid},
		{"keys.rotate", nil, `no action is called "keys.rotate" (there is keys.activate, keys.publish, keys.redeliver, keys.retire)`, prunella.NotFound},
		{"trust.grid", nil, "trust.grid: it is a read, not an action", prunella.Invalid},
		{"keys.activate", map[string]any{"issuer": "a", "kid": "k"}, `no issuer is called "a" (the inventory has none)`, prunella.NotFound},
		{"kubernetes.rollout-restart", map[string]any{"deployment": "d"}, "no Kubernetes API server is declared", prunella.Invalid},
	} {
		_, err := w.Do(t.Context(), c.name, "key", c.with)
		if prunella.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v (%s)\nwant %s", c.name, c.with, err, prunella.KindOf(err), c.want)
		}
	}
	if _, err := w.Read(t.Context(), "releases.recent", map[string]any{"within": "soon"}, action.Incident{}); err == nil || !strings.Contains(err.Error(), `"soon" is not a duration`) {
		t.Errorf("a bad duration: %v", err)
	}
	if _, err := w.Do(t.Context(), "shell.run", "", map[string]any{"run": []any{"true"}}); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("without a key: %v", err)
	}
}
