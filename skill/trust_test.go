package skill_test

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/skill"
)

// The example of docs/trust.md.
func TestTrustIn(t *testing.T) {
	s := prunella.Skill{Name: "s", Version: "v1.2.0", Sources: []prunella.SkillSource{{Ref: "a", At: now.Add(-180 * day)}, {Ref: "undated"}, {Ref: "later", At: now.Add(day)}}}
	in := append(outcomes("run", "v1.2.0", 0, 3, 0), outcomes("scenario", "v1.2.0", 0, 11, 0)...)
	in = append(in, outcomes("run", "v1.1.0", 180*day, 0, 1)...)
	got := skill.TrustIn(s, in, now)
	if math.Abs(got.Alpha-6.25) > 1e-9 || math.Abs(got.Beta-1.30) > 1e-9 || math.Abs(100*got.Confidence-82.8) > 0.05 {
		t.Errorf("alpha %v, beta %v, confidence %v", got.Alpha, got.Beta, got.Confidence)
	}
	b, err := os.ReadFile("../docs/trust.md")
	if err != nil || !strings.Contains(string(b), "alpha = 1 + 5.25 = 6.25, beta = 1 + 0.30 = 1.30: confidence 82.8 %") {
		t.Errorf("docs/trust.md tells another example, %v", err)
	}
	s.HalfLife = skill.InfrastructureHalfLife
	if fast := skill.TrustIn(s, in, now); math.Abs(fast.Alpha-(1+3+2+0.125)) > 1e-9 {
		t.Errorf("with a half-life of 90 days alpha is %v", fast.Alpha)
	}
}

// Words and scenarios share a cap, and no drill crowds out a word.
func TestWordsAndScenariosShareACap(t *testing.T) {
	in := append(outcomes("person", "1.0.0", 100*day, 0, 1), outcomes("scenario", "1.0.0", 0, 500, 0)...)
	got := skill.Measure(in, "1.0.0", now, skill.Options{HalfLife: 1 << 62})
	if math.Abs(got.Evidence-2) > 1e-3 || math.Abs(got.Beta-1.5) > 1e-3 {
		t.Errorf("evidence %v, beta %v, want 2 and 1.5", got.Evidence, got.Beta)
	}
	if got := skill.Measure(outcomes("person", "1.0.0", 0, 50, 0), "1.0.0", now, skill.Options{}); math.Abs(got.Evidence-2) > 1e-9 || got.Freshness != skill.Never {
		t.Errorf("fifty words: evidence %v, %s", got.Evidence, got.Freshness)
	}
}

func TestSourcesOfAFile(t *testing.T) {
	d, err := skill.Parse("x.skill.md", []byte("---\nname: x\ndescription: Use when x.\nmetadata:\n  version: v1.0.0\n  infrastructure: auth0\n"+
		"  extracted-from: \"#incidents · 2026-04-19 · maya; https://acme.slack.com/archives/C01/p1772990000000100; #ops\"\n---\n\n# X\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := d.Skill()
	if len(s.Sources) != 3 || s.Sources[0].At.Format(time.DateOnly) != "2026-04-19" || s.Sources[1].At.Unix() != 1772990000 || !s.Sources[2].At.IsZero() {
		t.Errorf("%+v", s.Sources)
	}
	if s.HalfLife != skill.InfrastructureHalfLife {
		t.Errorf("half-life %v", s.HalfLife)
	}
}
