package app

import (
	"cmp"
	"context"
	"slices"
	"time"

	"prunella"
	"prunella/client"
	"prunella/heal"
	"prunella/skill"
)

func (b backend) Skills(ctx context.Context) ([]client.SkillView, error) {
	all, err := b.store.Outcomes(ctx, "")
	if err != nil {
		return nil, err
	}
	bySkill := map[prunella.SkillName][]prunella.Outcome{}
	for _, o := range all {
		bySkill[o.Skill] = append(bySkill[o.Skill], o)
	}
	var out []client.SkillView
	now := time.Now()
	for _, f := range b.skills.now.Load().files {
		out = append(out, b.skillView(f, bySkill[f.skill.Name], now))
	}
	return out, nil
}

func (b backend) Skill(ctx context.Context, name prunella.SkillName) (client.SkillView, error) {
	f, ok := b.skills.find(name)
	if !ok {
		return client.SkillView{}, &prunella.Error{Kind: prunella.NotFound, Where: "skill " + string(name), Reason: "there is no such skill", Remedy: "see the list of skills"}
	}
	outcomes, err := b.store.Outcomes(ctx, name)
	if err != nil {
		return client.SkillView{}, err
	}
	now := time.Now()
	v := b.skillView(f, outcomes, now)
	v.Text, v.Backlinks = f.text, b.backlinks(f.path)
	if f.doc != nil {
		v.Markdown = f.doc.Text(f.doc.Body())
	}
	v.Course = course(outcomes, f.skill, now)
	for i := len(outcomes) - 1; i >= 0; i-- {
		v.Outcomes = append(v.Outcomes, outcomes[i])
	}
	runs, err := b.store.RecentRuns(ctx, now.Add(-time.Duration(b.cfg.Retention)))
	if err != nil {
		return v, err
	}
	for i := len(runs) - 1; i >= 0 && len(v.Runs) < 50; i-- {
		if runs[i].Skill == name {
			v.Runs = append(v.Runs, runs[i])
		}
	}
	reports, err := b.store.Reports(ctx, reportsLookedAt)
	if err != nil {
		return v, err
	}
	for _, r := range reports {
		if r.Pattern == f.skill.Pattern && r.Pattern != "" {
			v.Reports = append(v.Reports, client.SkillReport{ID: r.ID, Scenario: r.Scenario, Title: r.Title, Status: r.Status, Ended: r.Ended})
		}
	}
	return v, nil
}

// reportsLookedAt bounds how many of the newest reports a skill's page reads.
const reportsLookedAt = 50

func (b backend) skillView(f installed, outcomes []prunella.Outcome, now time.Time) client.SkillView {
	s := f.skill
	t := skill.TrustIn(s, outcomes, now)
	v := client.SkillView{Skill: s, Freshness: t.Freshness, LastVerified: t.LastVerified, Problems: problems(f.problems), Broken: problems(f.broken),
		Excluded: slices.Contains(b.cfg.Exclude, string(s.Name)), Editable: b.wiki.Editable(),
		Trust: client.SkillTrust{Confidence: t.Confidence, Floor: t.Floor, Needed: b.cfg.Policy.NeededFloor(), Alpha: t.Alpha, Beta: t.Beta, Evidence: t.Evidence,
			HalfLife: cmp.Or(s.HalfLife, skill.HalfLife).Hours() / 24}}
	for _, term := range t.Terms {
		v.Trust.Terms = append(v.Trust.Terms, trustTerm(term))
	}
	if f.doc != nil {
		v.Trigger, _ = f.doc.Meta("trigger")
		v.Extracted = sources(f.doc)
		v.Claimed = claimed(f.doc)
	}
	for _, o := range outcomes {
		if o.Kind == "run" && o.At.After(v.LastRun) {
			v.LastRun = o.At
		}
	}
	if !f.usable() || v.Excluded {
		v.Policy = prunella.Decision{Allowed: prunella.AllowNothing, Reason: prunella.Reason{Name: "not-in-use", Text: "it is not in use"}}
		v.Trust.Gates = gates(v)
		return v
	}
	// What it might do now: its own steps under today's policy, for a severe
	// incident with a sure cause.
	run := prunella.Run{Skill: s.Name}
	for _, a := range s.Actions {
		if a.When != "" && a.Effect == prunella.Irreversible {
			continue // it runs only when its condition holds, and asks then
		}
		run.Steps = append(run.Steps, prunella.Step{Name: a.Title, Action: a.Do, Effect: a.Effect, Undo: a.Undo, Target: a.ID})
	}
	v.Policy = heal.Allow(heal.Ask{Policy: b.cfg.Policy, Run: run, Now: now,
		Incident: prunella.Incident{Live: true, Severity: prunella.Critical}, Cause: prunella.Cause{Fault: s.Fault, Confidence: 1},
		Trust: heal.Trust{Floor: t.Floor, Evidence: t.Alpha + t.Beta - 2, Freshness: t.Freshness}})
	v.Trust.Gates = gates(v)
	return v
}

// claimed is the confidence that the file states, 0 without one.
func claimed(d *skill.Document) float64 {
	v, _ := d.Meta("claimed-confidence")
	f, ok := skill.ReadConfidence(v)
	if !ok {
		f, _ = skill.ReadConfidence(v + "%")
	}
	return f
}

// courseSteps is in how many points the time between outcomes is drawn, and
// courseMarks how many of the last outcomes are.
const (
	courseSteps = 96
	courseMarks = 200
)

// course is the confidence over time as the version in use would have had it:
// at every outcome, before and after it, and decaying between.
func course(outcomes []prunella.Outcome, of prunella.Skill, now time.Time) []client.TrustPoint {
	if len(outcomes) == 0 {
		return nil
	}
	first := outcomes[max(0, len(outcomes)-courseMarks)].At
	span := max(now.Sub(first), time.Hour)
	from := first.Add(-span / 20)
	var out []client.TrustPoint
	point := func(known int, at time.Time, o *prunella.Outcome) {
		t := skill.TrustIn(of, outcomes[:known], at)
		out = append(out, client.TrustPoint{At: at, Confidence: t.Confidence, Floor: t.Floor, Outcome: o})
	}
	known := max(0, len(outcomes)-courseMarks)
	step := now.Sub(from) / courseSteps
	for at := from; ; at = at.Add(step) {
		for known < len(outcomes) && !outcomes[known].At.After(at) {
			o := outcomes[known]
			point(known, o.At, nil)
			known++
			point(known, o.At, &o)
		}
		point(known, at, nil)
		if step <= 0 || !at.Add(step).Before(now) {
			break
		}
	}
	for ; known < len(outcomes); known++ { // in the last step
		o := outcomes[known]
		point(known, o.At, nil)
		point(known+1, o.At, &o)
	}
	point(known, now, nil)
	return out
}
