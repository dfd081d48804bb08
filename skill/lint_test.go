package skill_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/skill"
)

var update = flag.Bool("update", false, "rewrite the expected findings in testdata/lint")

// catalog is a few reads and actions with every type of parameter.
var catalog = []prunella.Spec{
	{Name: "releases.recent", Effect: prunella.Reads, Params: []prunella.ParamSpec{{Name: "within", Type: "duration", Required: true, Doc: "how far back"}, {Name: "service", Type: "text"}}},
	{Name: "logs.search", Effect: prunella.Reads, Params: []prunella.ParamSpec{{Name: "any", Type: "list"}, {Name: "limit", Type: "number"}}},
	{Name: "trust.grid", Effect: prunella.Reads},
	{Name: "keys.activate", Action: true, Effect: prunella.Reversible, Params: []prunella.ParamSpec{{Name: "issuer", Type: "text", Required: true, Doc: "name of the issuer"}, {Name: "kid", Type: "text", Required: true, Doc: "key id"}}},
	{Name: "keys.retire", Action: true, Effect: prunella.Irreversible, Params: []prunella.ParamSpec{{Name: "kid", Type: "text", Required: true, Doc: "key id"}}},
	{Name: "kubernetes.rollout-restart", Action: true, Effect: prunella.Reversible, Params: []prunella.ParamSpec{{Name: "deployment", Type: "text", Required: true, Doc: "name"}}},
	{Name: "canary.prove", Action: true, Effect: prunella.Reads, Params: []prunella.ParamSpec{{Name: "services", Type: "list"}}},
}

// Each testdata/lint/NAME.skill.md has its findings in NAME.txt.
func TestLintGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/lint/*.skill.md")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := skill.Parse(filepath.Base(file), b)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, p := range skill.Lint(d, catalog) {
			fmt.Fprintln(&got, p)
		}
		golden := strings.TrimSuffix(file, skill.Suffix) + ".txt"
		if *update {
			if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got; -update rewrites it):\n%s", file, diff)
		}
	}
}

func TestAutonomyListsWhatIsMissing(t *testing.T) {
	b, err := os.ReadFile("testdata/lint/no-autonomy.skill.md")
	if err != nil {
		t.Fatal(err)
	}
	d, err := skill.Parse("no-autonomy.skill.md", b)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range skill.Autonomy(skill.Lint(d, catalog)) {
		got = append(got, p.Rule)
	}
	want := []string{"no-verify", "no-pattern", "no-budget", "no-required-check", "no-budget", "no-undo", "irreversible", "no-primary"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLinks(t *testing.T) {
	d, err := skill.Parse("a.skill.md", []byte("see [[people/sam]], [[people/max|Max]] and\n  [[skills/b.skill#Resolution]] [[]] [not]"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range skill.LintLinks(d, func(page string) bool { return page == "people/sam" }) {
		got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Text))
	}
	want := []string{"1:21 there is no page people/max", "2:3 there is no page skills/b.skill"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadDirLeavesOutWhatIsBroken(t *testing.T) {
	head := func(name string) string {
		return "---\nname: " + name + "\ndescription: d\nmetadata:\n  version: 1.0.0\n---\n"
	}
	fsys := fstest.MapFS{
		"s/good.skill.md":     {Data: []byte(head("good"))},
		"s/sub/good.skill.md": {Data: []byte(head("good"))},
		"s/front.skill.md":    {Data: []byte("---\na: b: c\n---\n")},
		"s/block.skill.md":    {Data: []byte(head("block") + "\n```signal\nid: x\nkind: log\nany: [\n```\n")},
		"s/readme.md":         {Data: []byte("not a skill")},
	}
	skills, problems, err := skill.LoadDir(fsys, "s")
	if err != nil {
		t.Fatal(err)
	}
	if len(skills) != 1 || skills[0].Path != "s/good.skill.md" {
		t.Errorf("%+v", skills)
	}
	var got []string
	for _, p := range skill.Errors(problems) {
		got = append(got, fmt.Sprintf("%s:%d %s", p.File, p.Line, p.Rule))
	}
	want := []string{"s/block.skill.md:11 yaml-syntax", "s/front.skill.md:2 unreadable", "s/sub/good.skill.md:2 duplicate-name"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, _, err := skill.LoadDir(fsys, "nowhere"); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("a missing folder: %v", err)
	}
}
