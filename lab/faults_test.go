package lab_test

import (
	"testing"

	"prunella"
	"prunella/lab"
)

func TestEveryFaultIsProvenAndReverted(t *testing.T) {
	for name, spec := range map[string]lab.Spec{"distributed": {}, "cached": {Profile: "cached"}, "keyset": {Profile: "cached", Keyset: "all"}} {
		for _, f := range lab.Faults() {
			t.Run(name+"/"+f.Name, func(t *testing.T) {
				t.Parallel()
				spec := spec // subtests run at once
				spec.Seed, spec.Rate = 7, 40
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
				if err := w.Revert(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}
