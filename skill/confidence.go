package skill

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// Half-lives of evidence.
const (
	HalfLife               = 180 * 24 * time.Hour
	InfrastructureHalfLife = 90 * 24 * time.Hour // for skills that depend on one infrastructure
)

// Freshness by the age of the last verified run: a month is short enough that
// little around a skill has changed, a quarter is when it is due to be proven
// again.
const (
	FreshFor = 30 * 24 * time.Hour
	DueFor   = 90 * 24 * time.Hour
)

// Words for freshness.
const (
	Fresh = "fresh"
	Due   = "due"
	Stale = "stale"
	Never = "never" // no run of it was ever verified
)

// Weights of evidence by its kind (prunella.Outcome.Kind), and the most that
// scenarios and people's words about one version, and source threads, may add
// up to: only runs in production make a skill trusted.
const (
	weightRun      = 1.0
	weightPerson   = 0.5
	weightScenario = 0.2
	weightThread   = 0.5
	capVersion     = 2.0
	capThreads     = 1.0
)

// Options of Measure.
type Options struct {
	HalfLife time.Duration // HalfLife when 0
}

// Trust is how far a skill is trusted, and why. Confidence and Floor are
// probabilities that the next run heals.
type Trust struct {
	Confidence   float64   `json:"confidence"` // mean, to be shown
	Floor        float64   `json:"floor"`      // 5 % quantile, which gates autonomy
	Alpha        float64   `json:"alpha"`
	Beta         float64   `json:"beta"`
	Evidence     float64   `json:"evidence"` // sum of what the outcomes count today
	Runs         int       `json:"runs"`     // production runs
	Healed       int       `json:"healed"`   // of those
	Scenarios    int       `json:"scenarios"`
	Freshness    string    `json:"freshness"` // fresh | due | stale | never
	LastVerified time.Time `json:"last_verified,omitzero"`
	Terms        []Term    `json:"terms"` // newest first
}

// Term is what one outcome counts: Counts = Weight · Carry · Decay.
type Term struct {
	Outcome prunella.Outcome `json:"outcome"`
	Weight  float64          `json:"weight"` // by kind, after the caps
	Carry   float64          `json:"carry"`  // for another version of the skill
	Decay   float64          `json:"decay"`  // for its age
	Counts  float64          `json:"counts"`
	Capped  bool             `json:"capped,omitempty"` // counts less because there is enough of its kind
}

// Measure weighs the outcomes of a skill, as seen by one version of it at a
// moment. Each outcome i with result x from 0 (failed) to 1 (healed) counts
//
//	e = weight · carry · 2^(−age / half-life)
//
// and the trust is the distribution Beta(1 + Σ e·x, 1 + Σ e·(1−x)): the beta
// reputation of Jøsang and Ismail ("The Beta Reputation System", 15th Bled
// Electronic Commerce Conference, 2002) with forgetting by age. Without
// evidence it is one half, and it drifts back there as evidence ages.
//
// Carry is 1 for the same version or another patch, 0.6 for another minor
// version, 0.25 for another major one. Where kinds are capped, newer outcomes
// count before older ones and people before scenarios, so that no number of
// drills crowds out what somebody said; a source thread counts once. An outcome
// without a time, such as a thread of an unknown day, has no age and counts
// nothing.
func Measure(outcomes []prunella.Outcome, version string, now time.Time, opt Options) Trust {
	halfLife := opt.HalfLife
	if halfLife <= 0 {
		halfLife = HalfLife
	}
	sorted := slices.Clone(outcomes)
	slices.SortStableFunc(sorted, func(a, b prunella.Outcome) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Ref, b.Ref)) })

	t := Trust{Alpha: 1, Beta: 1, Freshness: Never}
	weights := weigh(sorted)
	for i, o := range sorted {
		x := min(max(o.X, 0), 1)
		age := max(now.Sub(o.At), 0)
		term := Term{Outcome: o, Carry: carry(o.Version, version), Decay: math.Exp2(-float64(age) / float64(halfLife))}
		if o.At.IsZero() {
			term.Decay = 0
		}
		term.Weight, term.Capped = weights[i].value, weights[i].capped
		term.Counts = term.Weight * term.Carry * term.Decay
		t.Alpha += term.Counts * x
		t.Beta += term.Counts * (1 - x)
		t.Evidence += term.Counts
		t.Terms = append(t.Terms, term)
		switch o.Kind {
		case "run":
			t.Runs++
			if x == 1 {
				t.Healed++
				if o.At.After(t.LastVerified) {
					t.LastVerified = o.At
				}
			}
		case "scenario":
			t.Scenarios++
		}
	}
	t.Confidence = t.Alpha / (t.Alpha + t.Beta)
	t.Floor = betaQuantile(0.05, t.Alpha, t.Beta)
	if t.Healed > 0 {
		t.Freshness = freshness(now.Sub(t.LastVerified))
	}
	return t
}

func freshness(age time.Duration) string {
	switch {
	case age <= FreshFor:
		return Fresh
	case age <= DueFor:
		return Due
	}
	return Stale
}

// weight is what an outcome counts before carry and decay.
type weight struct {
	value  float64
	capped bool
}

// weigh gives each of the outcomes, newest first, its weight under the caps.
func weigh(outcomes []prunella.Outcome) []weight {
	out := make([]weight, len(outcomes))
	used := map[string]float64{} // of capVersion, by version
	limited := func(kind string, each float64) {
		for i, o := range outcomes {
			if o.Kind != kind {
				continue
			}
			out[i].value = min(each, capVersion-used[o.Version])
			if out[i].value < 1e-9 { // the sum of tenths is not exact
				out[i].value = 0
			}
			used[o.Version] += out[i].value
			out[i].capped = out[i].value < each-1e-9
		}
	}
	limited("person", weightPerson)
	limited("scenario", weightScenario)
	threads, seen := capThreads, map[string]bool{}
	for i, o := range outcomes {
		switch {
		case o.Kind == "run":
			out[i].value = weightRun
		case o.Kind == "thread" && seen[o.Ref]:
			out[i].capped = true
		case o.Kind == "thread":
			seen[o.Ref] = true
			out[i].value = min(weightThread, threads)
			threads -= out[i].value
			out[i].capped = out[i].value < weightThread
		}
	}
	return out
}

// TrustIn is Measure for a skill as its file is now: with the half-life that it
// asks for, and with the conversations it was learned from, which the file
// names, as evidence beside the stored outcomes.
func TrustIn(s prunella.Skill, outcomes []prunella.Outcome, now time.Time) Trust {
	all := slices.Clone(outcomes)
	for _, source := range s.Sources {
		if source.At.After(now) { // it was not there yet
			continue
		}
		all = append(all, prunella.Outcome{Skill: s.Name, Version: s.Version, Hash: s.Hash, At: source.At, Kind: "thread", X: 1, Ref: source.Ref})
	}
	return Measure(all, s.Version, now, Options{HalfLife: s.HalfLife})
}

// carry is how much an outcome of one version says about another.
func carry(from, to string) float64 {
	a, b := parseVersion(from), parseVersion(to)
	switch {
	case from == to:
		return 1
	case a == nil || b == nil || a[0] != b[0]:
		return 0.25
	case a[1] != b[1]:
		return 0.6
	}
	return 1
}

// parseVersion returns major, minor and patch, or nil.
func parseVersion(v string) []uint64 {
	if !versionPattern.MatchString(v) {
		return nil
	}
	core, _, _ := strings.Cut(strings.TrimPrefix(v, "v"), "-")
	core, _, _ = strings.Cut(core, "+")
	var out []uint64
	for _, part := range strings.Split(core, ".") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return nil
		}
		out = append(out, n)
	}
	return out
}
