package rotation_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"prunella/rotation"
)

// docs/rotation.md and the package comment list what there is.
func TestDocsListEverything(t *testing.T) {
	b, err := os.ReadFile("../docs/rotation.md")
	must(t, err)
	page := string(b)
	b, err = os.ReadFile("doc.go")
	must(t, err)
	comment := string(b)
	for _, v := range []any{rotation.Config{}, rotation.Policy{}, rotation.Verifier{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			if !strings.Contains(page, "`"+f.Name+"`") {
				t.Errorf("docs/rotation.md does not have the field %s", f.Name)
			}
		}
	}
	for _, kind := range []string{"State", "Gate", "Code", "Class", "Kind"} {
		values := constants(t, kind)
		if len(values) < 3 {
			t.Errorf("only %d constants of %s were found", len(values), kind)
		}
		for _, v := range values {
			if !strings.Contains(page, "`"+v+"`") {
				t.Errorf("docs/rotation.md does not have the %s %s", kind, v)
			}
		}
	}
	registry := prometheus.NewPedanticRegistry()
	w := newWorld(t, answering("orders"), rotation.Verifier{Name: "x", Class: rotation.Manual, Probe: "https://x/"})
	r := w.node("a", func(c *rotation.Config) { c.Metrics = registry })
	settle(t, r)
	tell(r, "orders", secret1, "nothing")
	if _, err := r.Token(t.Context(), "", nil); err != nil {
		t.Error(err)
	}
	_, err = r.Promote(t.Context(), signerOf(t, status(t, r)).ID, order)
	must(t, err, rotation.Refused)
	families, err := registry.Gather()
	must(t, err)
	if len(families) < 9 {
		t.Errorf("only %d metrics", len(families))
	}
	for _, f := range families {
		if !strings.Contains(page, f.GetName()) || !strings.Contains(comment, f.GetName()) {
			t.Errorf("the metric %s is not in docs/rotation.md and doc.go", f.GetName())
		}
	}
	if _, err := rotation.New(t.Context(), rotation.Config{Issuer: issuerURL, Store: w.store, Signer: w.signer, Metrics: registry}); err == nil {
		t.Error("two rotators on one registerer")
	}
}

// constants are the values of the package's constants of one string type.
func constants(t *testing.T, kind string) (values []string) {
	t.Helper()
	files, err := os.ReadDir(".")
	must(t, err)
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		must(t, err)
		for _, d := range parsed.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				if id, ok := v.Type.(*ast.Ident); ok && id.Name == kind {
					values = append(values, strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`))
				}
			}
		}
	}
	return values
}
