package web

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// constants are the words that the root package declares, by their type.
func constants(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			kind, named := v.Type.(*ast.Ident)
			text, literal := v.Values[0].(*ast.BasicLit)
			if named && literal && text.Kind == token.STRING {
				word, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				out[kind.Name] = append(out[kind.Name], word)
			}
			return true
		})
	}
	return out
}

func words[K ~string, V any](m map[K]V) []string {
	var out []string
	for k := range m {
		out = append(out, string(k))
	}
	return out
}

// Every word that can be stored has a label: a new one is not shown as if it
// were not known.
func TestEveryWordHasALabel(t *testing.T) {
	declared := constants(t)
	for kind, labelled := range map[string][]string{
		"Allowed": words(allowedWords), "Fault": words(faultWords), "Severity": words(severityMarks), "State": words(stateMarks),
		"StepState": words(stepMarks), "Result": words(resultMarks), "Verdict": words(verdictMarks), "Trust": words(trustMarks),
	} {
		if len(declared[kind]) < 3 {
			t.Errorf("only %v are declared as %s", declared[kind], kind)
		}
		for _, word := range declared[kind] {
			if !slices.Contains(labelled, word) {
				t.Errorf("%s %q has no label", kind, word)
			}
		}
	}
}
