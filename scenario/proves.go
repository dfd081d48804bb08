package scenario

import (
	"context"
	"fmt"

	"prunella"
)

// nameSkill says which skill the scenario is about, and which bytes of it were
// tried: evidence about a skill is pinned to them.
func (d *drill) nameSkill(ctx context.Context) error {
	name := d.s.About()
	if name == "" && len(d.views) > 0 {
		for _, run := range d.views[0].Runs {
			name = run.Skill
		}
	}
	if name == "" {
		return nil
	}
	v, err := d.api.Skill(ctx, name)
	switch {
	case prunella.KindOf(err) == prunella.NotFound: // the scenario does without it
		return nil
	case err != nil:
		return fmt.Errorf("ask the engine for the skill %s: %w", name, err)
	}
	d.report.Skill, d.report.SkillVersion, d.report.SkillHash = name, v.Skill.Version, v.Skill.Hash
	return nil
}
