package prunella_test

import (
	"bufio"
	"encoding/json"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mayImport is the import table of docs/architecture.md: what each package may
// use of this module besides the root. Arrows run one way. A pure stage
// (marked) may use only other pure packages.
var mayImport = map[string][]string{
	"condition": {},
	"said":      {},                    // pure
	"match":     {"condition", "said"}, // pure
	"correlate": {"said"},              // pure
	"diagnose":  {"said"},              // pure
	"skill":     {"condition"},
	"heal":      {"condition"}, // pure
	"thread":    {"skill"},
	"wiki":      {"skill"},
	"scenarios": {},
	"store":     {},
	"bus":       {},
	"ingest":    {},
	"action":    {},
	"monitor":   {"action"},
	"notify":    {},
	"engine":    {"match", "correlate", "diagnose", "heal", "action", "condition", "skill"},
	"client":    {},
	"mcp":       {"client"},
	"web":       {"client"},
	"lab":       {"keyset", "rotation"}, // as a service and an issuer use them
	"keyset":    {},                     // public: a team may use it alone
	"rotation":  {"keyset"},             // public too
	"scenario":  {"lab", "client"},
	"app": {"action", "bus", "client", "condition", "correlate", "diagnose", "engine", "heal", "ingest", "match", "monitor",
		"notify", "skill", "store", "thread", "web", "wiki"},
	"cmd/prunella": {"action", "app", "client", "keyset", "lab", "mcp", "rotation", "scenario", "scenarios", "skill", "thread", "web", "wiki"},
}

// never are imports from outside that a package must not have, with the reason.
var never = []struct{ pkg, path, why string }{
	{"match", "net/http", "a stage is pure"},
	{"correlate", "net/http", "a stage is pure"},
	{"diagnose", "net/http", "a stage is pure"},
	{"heal", "net/http", "a stage is pure"},
	{"match", "database/sql", "a stage is pure"},
	{"diagnose", "database/sql", "a stage is pure"},
}

const (
	questionLines = 500 // more than this is reported
	splitLines    = 800 // more than this fails
)

type goPackage struct {
	ImportPath string
	Dir        string
	Doc        string
	Imports    []string
	GoFiles    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for dec.More() {
		var p goPackage
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 5 {
		t.Fatalf("go list found only %d packages", len(list))
	}
	return list
}

func TestImportsFollowTheTable(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, "prunella"), "/")
		for _, n := range never {
			if n.pkg == name && slices.Contains(p.Imports, n.path) {
				t.Errorf("%s imports %s: %s", name, n.path, n.why)
			}
		}
		if name == "" {
			for _, i := range p.Imports {
				if strings.Contains(i, ".") || strings.HasPrefix(i, "prunella/") {
					t.Errorf("the root package imports %s; it holds nouns and uses the standard library only", i)
				}
			}
			continue
		}
		room := name
		allowed, ok := mayImport[name]
		if !ok { // a folder inside a room shares the room's row, and may use the room
			room, _, _ = strings.Cut(name, "/")
			allowed, ok = mayImport[room]
		}
		if !ok {
			t.Errorf("package %s is not in the import table: add its row here and its line in docs/architecture.md", name)
			continue
		}
		for _, i := range p.Imports {
			dep, inside := strings.CutPrefix(i, "prunella/")
			if !inside || dep == room || strings.HasPrefix(dep, room+"/") {
				continue
			}
			top, _, _ := strings.Cut(dep, "/")
			if !slices.Contains(allowed, dep) && !slices.Contains(allowed, top) {
				t.Errorf("%s imports %s, which the import table does not allow", name, dep)
			}
		}
	}
}

func TestPackagesAreDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && len(p.Doc) < 40 {
			t.Errorf("%s has no package doc that teaches (doc: %q)", p.ImportPath, p.Doc)
		}
		docs := 0
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc != nil {
				docs++
			}
		}
		if docs > 1 {
			t.Errorf("%s has %d package comments; one file holds it", p.ImportPath, docs)
		}
	}
}

func TestFilesStaySmall(t *testing.T) {
	walk(t, func(path string, d fs.DirEntry) {
		if filepath.Ext(path) != ".go" {
			return
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := 0
		for s := bufio.NewScanner(f); s.Scan(); {
			lines++
		}
		switch {
		case lines > splitLines:
			t.Errorf("%s has %d lines: split it (bound %d)", path, lines, splitLines)
		case lines > questionLines:
			t.Logf("%s has %d lines: would two files read better? (question at %d)", path, lines, questionLines)
		}
	})
}

// TestDocsTreeIsTheTree holds the tree in docs/architecture.md against the
// folders that are there.
func TestDocsTreeIsTheTree(t *testing.T) {
	b, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ {6}([a-z]+(?:/[a-z]+)?)/ `).FindAllStringSubmatch(string(b), -1) {
		drawn[m[1]] = true
	}
	real := map[string]bool{}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	ignored := []string{"bin", "out", "data"}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(ignored, e.Name()) {
			real[e.Name()] = true
		}
	}
	for name := range real {
		if !drawn[name] && !drawn[name+"/prunella"] {
			t.Errorf("folder %s/ is not in the tree of docs/architecture.md", name)
		}
	}
	for name := range drawn {
		top, _, _ := strings.Cut(name, "/")
		if !real[top] {
			t.Errorf("docs/architecture.md draws %s/, which is not there", name)
		}
	}
}

// TestNoForbiddenNames keeps packages that say nothing out of the house.
func TestNoForbiddenNames(t *testing.T) {
	for _, p := range packages(t) {
		base := filepath.Base(p.ImportPath)
		if slices.Contains([]string{"util", "utils", "common", "types", "models", "helpers", "misc", "base"}, base) {
			t.Errorf("package name %q says nothing about what is inside", base)
		}
	}
}

func walk(t *testing.T, visit func(path string, d fs.DirEntry)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !d.IsDir() {
			visit(path, d)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
