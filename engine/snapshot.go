package engine

import (
	"context"
	"slices"
	"time"

	"prunella"
	"prunella/diagnose"
	"prunella/match"
)

// snapshot puts together everything that a diagnosis may look at.
func (e *Engine) snapshot(ctx context.Context, inc prunella.Incident, skills []prunella.Skill, now time.Time) (diagnose.Snapshot, error) {
	signals, _, err := e.store.SignalsOf(ctx, inc.ID, maxLinked, 0)
	if err != nil {
		return diagnose.Snapshot{}, err
	}
	changes, err := e.store.Changes(ctx, inc.Onset.Add(-24*time.Hour))
	if err != nil {
		return diagnose.Snapshot{}, err
	}
	s := diagnose.Snapshot{Incident: inc, Match: inc.Pattern, Skills: skills, Inventory: e.cfg.Inventory, Texts: texts(signals, now), Now: now}
	for _, c := range changes {
		s.Changes = append(s.Changes, match.ChangeOf(c))
	}
	s.Reads, s.Checks = e.gather(ctx, inc, candidates(inc, skills))
	return s, nil
}

// candidates are the skills whose checks are worth making: those the first
// signals did not rule out, or all when nothing was recognized at all.
func candidates(inc prunella.Incident, skills []prunella.Skill) []prunella.Skill {
	const enough = 8 // skills whose checks are read in one diagnosis
	rank := map[prunella.SkillName]int{}
	for i, c := range inc.Pattern.Candidates {
		rank[c.Skill] = i + 1
	}
	out := slices.Clone(skills)
	slices.SortStableFunc(out, func(a, b prunella.Skill) int { return place(rank, a.Name) - place(rank, b.Name) })
	return out[:min(len(out), enough)]
}

func place(rank map[prunella.SkillName]int, name prunella.SkillName) int {
	if r := rank[name]; r > 0 {
		return r
	}
	return 1 << 20
}

// texts groups an incident's texts for diagnosis, each monitor's apart, so that
// no monitor's word is lost in another's.
func texts(signals []prunella.Signal, now time.Time) []diagnose.TextGroup {
	byMonitor := map[string][]prunella.Signal{}
	for _, s := range signals {
		if s.Body != "" && s.Kind != prunella.KindMetric && s.Kind != prunella.KindChange {
			byMonitor[s.Source] = append(byMonitor[s.Source], s)
		}
	}
	var out []diagnose.TextGroup
	for monitor, list := range byMonitor {
		d := match.NewDetector(match.Default())
		d.Observe(list, now)
		for _, g := range d.Group(list) {
			t := diagnose.TextGroup{Template: g.Template, Example: g.Example, Count: g.Count, Services: g.Services, Monitor: monitor, At: g.First}
			for _, s := range list {
				if d.Template(s.Body) != g.Template {
					continue
				}
				if len(t.Signals) < 20 {
					t.Signals = append(t.Signals, s.ID)
				}
				if kid := s.Attr(prunella.AttrKid); kid != "" && len(t.Kids) < 200 && !slices.Contains(t.Kids, kid) {
					t.Kids = append(t.Kids, kid)
				}
			}
			out = append(out, t)
		}
	}
	return out
}
