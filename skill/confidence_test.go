package skill_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"prunella"
	"prunella/skill"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func outcomes(kind, version string, age time.Duration, healed, failed int) []prunella.Outcome {
	var out []prunella.Outcome
	for i := range healed + failed {
		o := prunella.Outcome{Kind: kind, Version: version, At: now.Add(-age), Ref: fmt.Sprint(kind, version, i), X: 1}
		if i >= healed {
			o.X = 0
		}
		out = append(out, o)
	}
	return out
}

const day = 24 * time.Hour

// The values that docs/skills.md promises, to a tenth of a percent.
func TestMeasureCheckValues(t *testing.T) {
	for _, c := range []struct {
		healed, failed int
		age            time.Duration
		confidence     float64
		floor          float64
	}{
		{0, 0, 0, 50, 5},
		{1, 0, 0, 66.7, 22.4},
		{10, 0, 0, 91.7, 76.2},
		{14, 1, 0, 88.2, 73.6},
		{21, 2, 360 * day, 80.6, 54.7},
	} {
		got := skill.Measure(outcomes("run", "1.0.0", c.age, c.healed, c.failed), "1.0.0", now, skill.Options{})
		if math.Abs(100*got.Confidence-c.confidence) > 0.05 || math.Abs(100*got.Floor-c.floor) > 0.05 {
			t.Errorf("%d/%d aged %v: %.2f %%, floor %.2f %%, want %v and %v", c.healed, c.failed, c.age,
				100*got.Confidence, 100*got.Floor, c.confidence, c.floor)
		}
	}
}

// Distributions whose quantile has a closed form.
func TestFloorIsTheQuantile(t *testing.T) {
	for _, n := range []int{1, 2, 5, 40, 400, 20000} {
		up := skill.Measure(outcomes("run", "1.0.0", 0, n, 0), "1.0.0", now, skill.Options{})
		if want := math.Pow(0.05, 1/float64(n+1)); math.Abs(up.Floor-want) > 1e-9 {
			t.Errorf("%d healed: floor %v, want %v", n, up.Floor, want)
		}
		down := skill.Measure(outcomes("run", "1.0.0", 0, 0, n), "1.0.0", now, skill.Options{})
		if want := 1 - math.Pow(0.95, 1/float64(n+1)); math.Abs(down.Floor-want) > 1e-9 {
			t.Errorf("%d failed: floor %v, want %v", n, down.Floor, want)
		}
	}
}

func TestKindsAndCaps(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []prunella.Outcome
		want float64
	}{
		{"a run", outcomes("run", "1.0.0", 0, 1, 0), 1},
		{"a person", outcomes("person", "1.0.0", 0, 1, 0), 0.5},
		{"a scenario", outcomes("scenario", "1.0.0", 0, 1, 0), 0.2},
		{"ten scenarios", outcomes("scenario", "1.0.0", 0, 10, 0), 2},
		{"a thousand scenarios", outcomes("scenario", "1.0.0", 0, 1000, 0), 2},
		{"two versions", append(outcomes("scenario", "1.0.0", 0, 50, 0), outcomes("scenario", "1.0.1", 0, 50, 0)...), 4},
		{"three threads", outcomes("thread", "1.0.0", 0, 3, 0), 1},
		{"one thread twice", append(outcomes("thread", "1.0.0", 0, 1, 0), outcomes("thread", "1.0.0", 0, 1, 0)...), 0.5},
		{"something else", outcomes("rumour", "1.0.0", 0, 3, 0), 0},
	} {
		got := skill.Measure(c.in, "1.0.0", now, skill.Options{})
		if math.Abs(got.Evidence-c.want) > 1e-9 {
			t.Errorf("%s: evidence %v, want %v", c.name, got.Evidence, c.want)
		}
	}
}

func TestNewerScenariosCountBeforeOlder(t *testing.T) {
	in := append(outcomes("scenario", "1.0.0", 900*day, 10, 0), outcomes("scenario", "1.0.0", 0, 0, 10)...)
	got := skill.Measure(in, "1.0.0", now, skill.Options{})
	if got.Alpha != 1 || math.Abs(got.Beta-3) > 1e-9 {
		t.Errorf("alpha %v, beta %v, want 1 and 3", got.Alpha, got.Beta)
	}
}

func TestVersionsCarryOver(t *testing.T) {
	for version, want := range map[string]float64{
		"1.2.3": 1, "v1.2.3": 1, "1.2.9": 1, "1.3.0": 0.6, "1.9.9": 0.6, "2.0.0": 0.25, "0.2.3": 0.25, "old": 0.25,
	} {
		got := skill.Measure(outcomes("run", version, 0, 1, 0), "v1.2.3", now, skill.Options{})
		if got.Terms[0].Carry != want {
			t.Errorf("%s: %v, want %v", version, got.Terms[0].Carry, want)
		}
	}
}

func TestAgeWeakensEvidence(t *testing.T) {
	in := outcomes("run", "1.0.0", 180*day, 1, 0)
	if got := skill.Measure(in, "1.0.0", now, skill.Options{}); math.Abs(got.Evidence-0.5) > 1e-9 {
		t.Errorf("half-life 180 d: %v", got.Evidence)
	}
	if got := skill.Measure(in, "1.0.0", now, skill.Options{HalfLife: skill.InfrastructureHalfLife}); math.Abs(got.Evidence-0.25) > 1e-9 {
		t.Errorf("half-life 90 d: %v", got.Evidence)
	}
	old := skill.Measure(outcomes("run", "1.0.0", 50*365*day, 1, 9), "1.0.0", now, skill.Options{})
	if math.Abs(old.Confidence-0.5) > 1e-6 {
		t.Errorf("an unused skill drifts to one half, not to %v", old.Confidence)
	}
}

func TestFreshness(t *testing.T) {
	for _, c := range []struct {
		in   []prunella.Outcome
		want string
	}{
		{nil, skill.Never},
		{outcomes("run", "1.0.0", 30*day, 1, 0), skill.Fresh},
		{outcomes("run", "1.0.0", 31*day, 1, 0), skill.Due},
		{outcomes("run", "1.0.0", 90*day, 1, 0), skill.Due},
		{outcomes("run", "1.0.0", 91*day, 1, 0), skill.Stale},
		{outcomes("run", "1.0.0", 0, 0, 5), skill.Never},
		{outcomes("scenario", "1.0.0", 0, 5, 0), skill.Never},
		{append(outcomes("run", "1.0.0", 200*day, 1, 0), outcomes("run", "1.0.0", 2*day, 1, 1)...), skill.Fresh},
	} {
		if got := skill.Measure(c.in, "1.0.0", now, skill.Options{}); got.Freshness != c.want {
			t.Errorf("%d outcomes: %s, want %s", len(c.in), got.Freshness, c.want)
		}
	}
}

func ExampleMeasure() {
	trust := skill.Measure([]prunella.Outcome{
		{Kind: "run", Version: "v1.0.0", At: now.Add(-24 * time.Hour), X: 1},
		{Kind: "scenario", Version: "v1.0.0", At: now.Add(-time.Hour), X: 1},
	}, "v1.0.0", now, skill.Options{})
	fmt.Printf("%.0f %%, at least %.0f %%, %s after %d run\n", 100*trust.Confidence, 100*trust.Floor, trust.Freshness, trust.Runs)
	// Output: 69 %, at least 26 %, fresh after 1 run
}
