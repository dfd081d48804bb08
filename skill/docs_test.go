package skill_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"prunella"
	"prunella/condition"
	"prunella/skill"
	"prunella/wiki"
)

func page(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../docs/skills.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// rows returns the first cells of the tables below a heading, without backticks.
func rows(t *testing.T, text, heading string) []string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n"+heading+"\n")
	if !ok {
		t.Fatalf("docs/skills.md has no %s", heading)
	}
	if end := regexp.MustCompile(`(?m)^##`).FindStringIndex(rest); end != nil {
		rest = rest[:end[0]]
	}
	var out []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(rest, -1) {
		out = append(out, m[1])
	}
	return out
}

func TestDocsListTheKeysOfEachBlock(t *testing.T) {
	text := page(t)
	for _, block := range []string{"signal", "check", "action", "verify", "undo", "escalate"} {
		var want []string
		for _, f := range skill.Fields(block) {
			want = append(want, f.Name)
		}
		if got := rows(t, text, "### "+block); !slices.Equal(got, want) {
			t.Errorf("docs/skills.md lists for %s %v, the parser knows %v", block, got, want)
		}
	}
}

func TestDocsNameEveryVariable(t *testing.T) {
	text := page(t)
	for _, scope := range []condition.Scope{condition.SignalMetric, condition.SignalText, condition.Check, condition.Plan, condition.Escalate} {
		for name := range scope {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("docs/skills.md does not say what %s is", name)
			}
		}
	}
	for root, names := range skill.PlanFields {
		for _, name := range names {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("docs/skills.md does not say what %s.%s is", root, name)
			}
		}
	}
}

func TestDocsExampleIsClean(t *testing.T) {
	_, rest, _ := strings.Cut(page(t), "````markdown\n")
	example, _, ok := strings.Cut(rest, "````\n")
	if !ok {
		t.Fatal("no example")
	}
	d, err := skill.Parse("stuck-consumer.skill.md", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range skill.Lint(d, nil) {
		t.Error(p)
	}
	s, _ := d.Skill()
	if len(s.Signals) != 3 || len(s.Checks) != 1 || len(s.Actions) != 1 || len(s.Escalations) != 1 {
		t.Errorf("the example has %d signals, %d checks, %d actions, %d escalations", len(s.Signals), len(s.Checks), len(s.Actions), len(s.Escalations))
	}
}

func TestShippedSkillsUseDocumentedReadsAndActions(t *testing.T) {
	text := page(t)
	reads, actions := rows(t, text, "## Reads"), rows(t, text, "## Actions")
	skills, _, err := skill.LoadDir(wiki.FS(), "skills")
	if err != nil {
		t.Fatal(err)
	}
	known := func(list []string, name string, s prunella.Skill) {
		if !slices.Contains(list, name) {
			t.Errorf("%s uses %s, which docs/skills.md does not list", s.Name, name)
		}
	}
	for _, s := range skills {
		for _, c := range s.Checks {
			known(reads, c.Read, s)
		}
		for _, a := range s.Actions {
			known(actions, a.Do, s)
			if a.Verify != nil {
				known(reads, a.Verify.Read, s)
			}
			if a.Undo != nil && a.Undo.Do != skill.NoneNeeded {
				known(actions, a.Undo.Do, s)
			}
		}
	}
}
