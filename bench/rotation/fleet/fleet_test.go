package fleet_test

import (
	"slices"
	"testing"

	"prunella/bench/rotation/fleet"
)

func contest(t *testing.T, seed uint64) []fleet.Result {
	t.Helper()
	results, err := fleet.Run(t.Context(), fleet.Options{Seed: seed, Fast: true, Progress: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestOursBreaksNobodyAndNamesWhoBlocks(t *testing.T) {
	for _, r := range contest(t, 7) {
		if r.Rule != fleet.Ours {
			continue
		}
		if r.Refused > 0 || !r.Right || (r.Safe && r.Finished < 0) {
			t.Errorf("%s: %d refused, finished at %v s, blocked by %v", r.World, r.Refused, r.Finished, r.Blocked)
		}
		if r.World == "seven-static" && !slices.Equal(r.Blocked, []string{"service-01", "service-02", "service-03", "service-04"}) {
			t.Errorf("blocked by %v", r.Blocked)
		}
	}
}

// A procedure that signs at once must be seen to break the fleets; else the
// simulation shows nothing.
func TestSigningAtOnceBreaksCaches(t *testing.T) {
	for _, r := range contest(t, 7) {
		if r.Rule == "Hydra" && (r.Refused == 0 || r.Outage == 0) {
			t.Errorf("%s: nothing refused", r.World)
		}
	}
}

func TestTheSameSeedGivesTheSameResult(t *testing.T) {
	a, b, other := contest(t, 3), contest(t, 3), contest(t, 4)
	same := func(x, y fleet.Result) bool {
		return x.Tokens == y.Tokens && x.Refused == y.Refused && x.Signs == y.Signs && x.Finished == y.Finished
	}
	if !slices.EqualFunc(a, b, same) {
		t.Error("two runs of one seed differ")
	}
	if slices.EqualFunc(a, other, same) {
		t.Error("another seed makes no difference")
	}
}
