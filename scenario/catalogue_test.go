package scenario_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"prunella/action"
	"prunella/lab"
	"prunella/scenario"
	"prunella/scenarios"
)

func shipped(t *testing.T) scenario.Catalogue {
	t.Helper()
	c, err := scenario.Load(scenarios.FS)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What ships parses, asserts something, and says what must never be done.
func TestShippedScenarios(t *testing.T) {
	for _, f := range shipped(t) {
		s, err := f.With(nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.Expect.Never == nil || len(s.Conditions) == 0 || len(s.Tags) == 0 {
			t.Errorf("%s lacks never, conditions or tags", f.Name)
		}
	}
	if n := len(shipped(t)); n < 12 {
		t.Errorf("%d scenarios", n)
	}
}

// A misspelt action in a scenario would assert nothing, so the list that the
// parser knows is the one that exists.
func TestActionsAreThoseOfTheEngine(t *testing.T) {
	for _, spec := range action.Catalog() {
		text := strings.Replace(rotation, "never: [keys.retire,", "never: ["+spec.Name+",", 1)
		_, err := scenario.Parse("a.yaml", []byte(text))
		if spec.Action != (err == nil) {
			t.Errorf("%s: an action %v, parsed with %v", spec.Name, spec.Action, err)
		}
	}
}

// docs/scenarios.md lists every fault, its parameters, every action and every
// parameter of what ships.
func TestDocsListWhatThereIs(t *testing.T) {
	b, err := os.ReadFile("../docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	var want []string
	for _, f := range lab.Faults() {
		want = append(want, "`"+f.Name+"`")
		for _, p := range f.Params {
			want = append(want, "`"+p.Name+"`")
		}
	}
	for _, k := range lab.Kinds() {
		want = append(want, "`"+string(k)+"`")
	}
	for _, spec := range action.Catalog() {
		if spec.Action {
			want = append(want, "`"+spec.Name+"`")
		}
	}
	for _, f := range shipped(t) {
		want = append(want, "`"+f.Name+"`")
	}
	slices.Sort(want)
	for _, w := range slices.Compact(want) {
		if !strings.Contains(doc, w) {
			t.Errorf("docs/scenarios.md does not mention %s", w)
		}
	}
}

func TestTheExampleInTheDocsIsAScenario(t *testing.T) {
	b, err := os.ReadFile("../docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	if f, err := scenario.Parse("docs.yaml", []byte(example)); err != nil || f.Name != "clock-behind" {
		t.Errorf("%q: %v", f.Name, err)
	}
}
