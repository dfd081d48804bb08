package diagnose

import (
	"fmt"
	"slices"
	"sort"

	"prunella"
)

// skillEvidence is what the recognized pattern and the checks of skills add to
// one fault.
func (v *view) skillEvidence(f prunella.Fault) []prunella.Evidence {
	var out []prunella.Evidence
	if m := v.s.Match; m.Pattern != "" && m.Pattern != prunella.Unknown {
		for _, s := range v.skillsFor(f) {
			if s.Name == m.Skill {
				out = append(out, prunella.Evidence{Name: "pattern-recognized", Source: "match", Weight: matchMost * clamp01(m.Confidence),
					Text: fmt.Sprintf("It looks like %s (%.0f %%).", m.Pattern, 100*clamp01(m.Confidence))})
				break
			}
		}
	}
	// the skill whose checks say most, either way: two skills for one fault ask the same world
	var best []prunella.Evidence
	most := 0.0
	for _, s := range v.skillsFor(f) {
		es, sum := v.checkEvidence(s)
		if best == nil || sum > most {
			best, most = es, sum
		}
	}
	return append(out, best...)
}

// skillsFor returns the skills for a fault: the recognized one first, then by name.
func (v *view) skillsFor(f prunella.Fault) []prunella.Skill {
	var out []prunella.Skill
	for _, s := range v.s.Skills {
		if s.Fault == f && f != unknown {
			out = append(out, s)
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i].Name == v.s.Match.Skill, out[j].Name == v.s.Match.Skill
		if a != b {
			return a
		}
		return out[i].Name < out[j].Name
	})
	return out
}

// checkEvidence weighs the checks of a skill, scaled so that together they move
// the fault by no more than checksFor up or checksCon down. The sum tells how
// much they say in all.
func (v *view) checkEvidence(s prunella.Skill) ([]prunella.Evidence, float64) {
	var out []prunella.Evidence
	up, down := 0.0, 0.0
	for _, c := range v.checks(s.Name) {
		if c.Err != "" || c.Read.Err != "" {
			continue
		}
		e := prunella.Evidence{Name: "check-" + c.Rule.ID, Source: c.Rule.Read, At: c.Read.At}
		title := first(c.Rule.Title, c.Rule.ID)
		switch w := min(checkMost, max(0, c.Rule.Weight)); {
		case w == 0:
			continue
		case c.Against != nil && *c.Against:
			e.Weight, e.Text = -w, fmt.Sprintf("%s: the answer speaks against it (check of %s).", title, s.Name)
			down += w
		case c.For != nil && *c.For:
			e.Weight, e.Text = w, fmt.Sprintf("%s: the answer speaks for it (check of %s).", title, s.Name)
			up += w
		default:
			continue
		}
		out = append(out, e)
	}
	for i := range out {
		if out[i].Weight > 0 {
			out[i].Weight *= min(1, checksFor/up)
		} else {
			out[i].Weight *= min(1, checksCon/down)
		}
	}
	return out, min(up, checksFor) + min(down, checksCon)
}

// checks returns the results of a skill's checks, by id.
func (v *view) checks(name prunella.SkillName) []CheckResult {
	out := slices.Clone(v.s.Checks[name])
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i].Rule, out[j].Rule
		return a.ID < b.ID || a.ID == b.ID && a.Read < b.Read
	})
	return out
}

// skillFor picks the first skill for a fault whose required checks hold. For
// those that are passed over it says why, as evidence of weight 0.
func (v *view) skillFor(f prunella.Fault) (prunella.SkillName, []prunella.Evidence) {
	var why []prunella.Evidence
	for _, s := range v.skillsFor(f) {
		failed := v.requiredFailures(s)
		if len(failed) == 0 {
			return s.Name, why
		}
		why = append(why, failed...)
		if !v.measured() && !slices.ContainsFunc(failed, func(e prunella.Evidence) bool { return e.Name == "required-check-failed" }) {
			return s.Name, why // nothing can be checked: the skill is proposed, and it is said
		}
	}
	return "", why
}

func (v *view) requiredFailures(s prunella.Skill) []prunella.Evidence {
	var out []prunella.Evidence
	results := v.checks(s.Name)
	for _, rule := range s.Checks {
		if !rule.Require {
			continue
		}
		e := prunella.Evidence{Source: rule.Read}
		title := first(rule.Title, rule.ID)
		i := slices.IndexFunc(results, func(c CheckResult) bool { return c.Rule.ID == rule.ID })
		switch {
		case i < 0:
			e.Name, e.Text = "required-check-not-run", fmt.Sprintf("%s may not act: its required check %q was not run.", s.Name, title)
		case results[i].Err != "" || results[i].Read.Err != "":
			e.Name = "required-check-not-run"
			e.Text = fmt.Sprintf("%s may not act: its required check %q gave no answer%s.", s.Name, title, because(first(results[i].Err, results[i].Read.Err)))
		case holds(results[i]):
			continue
		case results[i].For == nil && results[i].Against == nil:
			e.Name, e.Text = "required-check-not-run", fmt.Sprintf("%s may not act: its required check %q could not be judged.", s.Name, title)
		default:
			e.Name, e.Text = "required-check-failed", fmt.Sprintf("%s may not act: its required check %q did not hold.", s.Name, title)
		}
		out = append(out, e)
	}
	return out
}

// holds says whether a check gave its positive answer: For is true, or, without
// a For condition, Against is known to be false.
func holds(c CheckResult) bool {
	if c.Against != nil && *c.Against {
		return false
	}
	if c.Rule.For != "" || c.For != nil {
		return c.For != nil && *c.For
	}
	return c.Against != nil
}

func clamp01(x float64) float64 { return min(1, max(0, x)) }

func abs(x float64) float64 { return max(x, -x) }
