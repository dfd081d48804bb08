package lab_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/lab"
)

// TestEveryFaultIsProvenAndReverted injects each fault into worlds that know of
// it beforehand, so that whom it is not about is on keyset, and into one where
// everybody is.
func TestEveryFaultIsProvenAndReverted(t *testing.T) {
	for name, spec := range map[string]lab.Spec{"distributed": {}, "cached": {Profile: "cached"}, "keyset": {Profile: "cached", Keyset: "all"}} {
		for _, f := range lab.Faults() {
			t.Run(name+"/"+f.Name, func(t *testing.T) {
				t.Parallel()
				spec := spec // subtests run at once
				spec.Seed, spec.Rate, spec.Faults = 7, 40, []lab.Coming{{Name: f.Name}}
				w := start(t, spec)
				rec, err := w.Inject(t.Context(), f.Name, nil)
				if prunella.KindOf(err) == prunella.Conflict {
					t.Logf("not in this world: %v", err)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				t.Log(rec.Proof)
				if !rec.Proven {
					t.Errorf("not proven: %s", rec.Proof)
				}
				if f.Name != "vendor-down" { // no token can be had
					if refused := onKeyset(w, refusers(t, w, token(t, w))); len(refused) > 0 && rec.Params["service"] == "" {
						t.Errorf("services on keyset refuse a good token: %v", refused)
					}
				}
				if err := w.Revert(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// onKeyset returns those of the services that verify with keyset.
func onKeyset(w *lab.World, names []string) []string {
	kinds := w.Verifiers()
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return kinds[name] != lab.KeySet })
}

// TestWhoIsHealthyIsOnKeyset holds that a fault meets the verifiers of the field
// where it bites, and keyset everywhere else, whatever is left to the seed.
func TestWhoIsHealthyIsOnKeyset(t *testing.T) {
	partial := func(missed string) []lab.Coming {
		return []lab.Coming{{Name: "rotate-partial-distribution", Params: map[string]string{"missed": missed}}}
	}
	named := []lab.ServiceSpec{{Name: "ledger", Kind: lab.StaticFile}, {Name: "mail", Kind: lab.StaticFile}}
	for name, tc := range map[string]struct {
		spec lab.Spec
		fact string           // of the fault: whom it is about
		left map[lab.Kind]int // how many services keep which verifier
	}{
		"how many":         {lab.Spec{Faults: partial("3"), Seed: 4}, "missed", map[lab.Kind]int{lab.StaticFile: 3}},
		"their names":      {lab.Spec{Faults: partial("user,search"), ServiceCount: 9}, "missed", map[lab.Kind]int{lab.StaticFile: 2}},
		"everybody":        {lab.Spec{Faults: partial("2"), ServiceCount: 2}, "missed", map[lab.Kind]int{lab.StaticFile: 2}},
		"two faults":       {lab.Spec{Faults: append(partial("1"), lab.Coming{Name: "clock-skew", Params: map[string]string{"service": "gateway"}}), Seed: 5}, "", nil},
		"one service":      {lab.Spec{Faults: []lab.Coming{{Name: "clock-skew"}}, Seed: 6}, "service", map[lab.Kind]int{lab.StaticFile: 1}},
		"stale caches":     {lab.Spec{Profile: "cached", Faults: []lab.Coming{{Name: "stale-cache-double-rotation"}}}, "", map[lab.Kind]int{lab.WholeSet: 3, lab.JWX: 1}},
		"nobody":           {lab.Spec{Faults: []lab.Coming{{Name: "forged-tokens"}}, ServiceCount: 3}, "", map[lab.Kind]int{}},
		"said otherwise":   {lab.Spec{Faults: partial("1"), Keyset: "none", ServiceCount: 3}, "", map[lab.Kind]int{lab.StaticFile: 3}},
		"services named":   {lab.Spec{Faults: partial("1"), Services: named}, "", map[lab.Kind]int{lab.StaticFile: 2}},
		"named, and asked": {lab.Spec{Faults: partial("mail"), Services: named, Keyset: "healthy"}, "missed", map[lab.Kind]int{lab.StaticFile: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.spec.Rate = 60
			w := start(t, tc.spec)
			left, kept := map[lab.Kind]int{}, []string{}
			for service, kind := range w.Verifiers() {
				if kind != lab.KeySet {
					left[kind]++
					kept = append(kept, service)
				}
			}
			slices.Sort(kept)
			if tc.left != nil && !maps.Equal(left, tc.left) {
				t.Errorf("%v verify as in the field, want %v", left, tc.left)
			}
			old := token(t, w)
			about := ""
			for i, f := range tc.spec.Faults {
				rec, err := w.Inject(t.Context(), f.Name, f.Params)
				if err != nil || !rec.Proven {
					t.Fatalf("%v: %s", err, rec.Proof)
				}
				if i == 0 {
					about = rec.Params[tc.fact]
				}
			}
			if got := strings.Join(kept, ","); tc.fact != "" && got != about {
				t.Errorf("%s verify as in the field, the fault is about %s", got, about)
			}
			for _, presented := range []string{old, token(t, w)} {
				if refused := onKeyset(w, refusers(t, w, presented)); len(refused) > 0 {
					t.Errorf("a good token is refused on keyset by %v", refused)
				}
			}
			for service, c := range w.Counts(time.Time{}).Services {
				if c.Refused > 0 && w.Verifiers()[service] == lab.KeySet {
					t.Errorf("%s refused %d customers", service, c.Refused)
				}
			}
		})
	}
}
