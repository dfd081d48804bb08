package skill_test

import (
	"testing"

	"prunella/skill"
	"prunella/wiki"
)

func TestShippedSkillsAreClean(t *testing.T) {
	skills, problems, err := skill.LoadDir(wiki.FS(), "skills")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if p.Severity != skill.SeverityNote {
			t.Error(p)
		}
	}
	if len(skills) < 2 {
		t.Errorf("%d skills", len(skills))
	}
	for _, s := range skills {
		t.Logf("%s %s: %d signals, %d checks, %d actions, %d escalations, %v", s.Name, s.Fault, len(s.Signals), len(s.Checks), len(s.Actions), len(s.Escalations), s.Budgets)
	}
}
