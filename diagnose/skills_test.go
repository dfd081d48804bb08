package diagnose_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/diagnose"
)

var partialSkill = prunella.Skill{Name: "half-delivered", Pattern: "auth/partial-key-distribution", Fault: prunella.FaultPartialKeys,
	Checks: []prunella.CheckRule{
		{ID: "lacking", Title: "Who lacks it?", Read: "trust.grid", For: "size(result.lacking) > 0", Weight: 2, Require: true},
		{ID: "logs", Title: "Do logs tell?", Read: "logs.search", For: "result.count > 0", Weight: 1},
	}}

func answer(rule prunella.CheckRule, yes, no *bool, err string) diagnose.CheckResult {
	return diagnose.CheckResult{Rule: rule, For: yes, Against: no, Err: err}
}

func is(b bool) *bool { return &b }

func TestSkillNeedsItsRequiredChecks(t *testing.T) {
	rule := partialSkill.Checks[0]
	for _, c := range []struct {
		name  string
		world *world
		check []diagnose.CheckResult
		skill prunella.SkillName
		said  string // name of the evidence that tells why not
	}{
		{"held", partialWorld(four), []diagnose.CheckResult{answer(rule, is(true), nil, "")}, "half-delivered", ""},
		{"did not hold", partialWorld(four), []diagnose.CheckResult{answer(rule, is(false), nil, "")}, "", "required-check-failed"},
		{"spoke against", partialWorld(four), []diagnose.CheckResult{answer(rule, is(true), is(true), "")}, "", "required-check-failed"},
		{"gave no answer", partialWorld(four), []diagnose.CheckResult{answer(rule, nil, nil, "deadline exceeded")}, "", "required-check-not-run"},
		{"was not run", partialWorld(four), nil, "", "required-check-not-run"},
		{"cannot be run, messages only", messages(halfRotated...), nil, "half-delivered", "required-check-not-run"},
	} {
		c.world.Skills = []prunella.Skill{partialSkill, {Name: "other", Fault: prunella.FaultStaleCache}}
		c.world.Checks = map[prunella.SkillName][]diagnose.CheckResult{"half-delivered": c.check}
		got, _ := top(t, c.world.Snapshot)
		if got.Fault != prunella.FaultPartialKeys || got.Skill != c.skill {
			t.Errorf("%s: %s with skill %q, want %q", c.name, got.Fault, got.Skill, c.skill)
		}
		i := slices.IndexFunc(got.Against, func(e prunella.Evidence) bool { return strings.HasPrefix(e.Name, "required-check") })
		if (i >= 0) != (c.said != "") || i >= 0 && got.Against[i].Name != c.said {
			t.Errorf("%s: against %+v, want %q said", c.name, got.Against, c.said)
		}
	}
}

func TestSkillWithAnotherPassesOver(t *testing.T) {
	w := partialWorld(four)
	second := partialSkill
	second.Name, second.Checks = "zz-plain", nil
	w.Skills = []prunella.Skill{second, partialSkill}
	w.Match = prunella.Match{Pattern: partialSkill.Pattern, Skill: "half-delivered", Confidence: 0.7}
	w.Checks = map[prunella.SkillName][]diagnose.CheckResult{"half-delivered": {answer(partialSkill.Checks[0], is(false), nil, "")}}
	if got, _ := top(t, w.Snapshot); got.Skill != "zz-plain" {
		t.Errorf("skill %q, want the one without an unmet requirement", got.Skill)
	}
}

func TestChecksMoveTheirFaultWithinBounds(t *testing.T) {
	tie := func() *world { // stale or partial: hard to say
		w := quiet().rotated(4*time.Second).grid(newKid, refuse("unknown key", "stock"), oldKid).failing("stock").fails("deliveries.failed", "forbidden")
		w.Skills = []prunella.Skill{partialSkill}
		return w
	}
	confidence := func(w *world) float64 {
		for _, c := range diagnose.Diagnose(w.Snapshot) {
			if c.Fault == prunella.FaultPartialKeys {
				return c.Confidence
			}
		}
		return 0
	}
	plain := confidence(tie())
	up, down := tie(), tie()
	up.Checks = map[prunella.SkillName][]diagnose.CheckResult{"half-delivered": {answer(partialSkill.Checks[1], is(true), nil, "")}}
	down.Checks = map[prunella.SkillName][]diagnose.CheckResult{"half-delivered": {answer(partialSkill.Checks[1], nil, is(true), "")}}
	if confidence(up) <= plain || confidence(down) >= plain {
		t.Errorf("down %.2f, plain %.2f, up %.2f", confidence(down), plain, confidence(up))
	}
	loud := quiet().failing("stock")
	loud.Skills = []prunella.Skill{partialSkill}
	for range 20 {
		loud.Checks = map[prunella.SkillName][]diagnose.CheckResult{"half-delivered": append(loud.Checks["half-delivered"],
			answer(prunella.CheckRule{ID: "shout", Read: "http.get", Weight: 50}, is(true), nil, ""))}
	}
	if got, _ := top(t, loud.Snapshot); got.Fault != prunella.FaultUnknown {
		t.Errorf("checks alone, against every canary, made it %s %.2f", got.Fault, got.Confidence)
	}
}

func TestFaultThatOnlyASkillKnows(t *testing.T) {
	s := prunella.Skill{Name: "cache-eviction", Pattern: "data/redis-cache-eviction", Fault: "redis-cache-eviction",
		Checks: []prunella.CheckRule{{ID: "a", Read: "http.get", Weight: 2}, {ID: "b", Read: "http.get", Weight: 2}}}
	w := quiet().failing("stock")
	w.Skills = []prunella.Skill{s}
	w.Match = prunella.Match{Pattern: s.Pattern, Skill: s.Name, Confidence: 0.9}
	if got, _ := top(t, w.Snapshot); got.Fault != prunella.FaultUnknown {
		t.Errorf("a look-alike alone made it %s", got.Fault)
	}
	w.says("evicted keys: redis maxmemory reached", 30, "stock")
	w.Checks = map[prunella.SkillName][]diagnose.CheckResult{s.Name: {answer(s.Checks[0], is(true), nil, ""), answer(s.Checks[1], is(true), nil, "")}}
	if got, all := top(t, w.Snapshot); len(all) < 2 || got.Fault != prunella.FaultUnknown && got.Fault != s.Fault {
		t.Errorf("%s first of %d", got.Fault, len(all))
	}
}
