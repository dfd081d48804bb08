package lab_test

import (
	"testing"

	"prunella"
	"prunella/lab"
)

func TestEveryFaultIsProvenAndReverted(t *testing.T) {
	for _, profile := range []string{"distributed", "cached"} {
		for _, f := range lab.Faults() {
			t.Run(profile+"/"+f.Name, func(t *testing.T) {
				t.Parallel()
				w := start(t, lab.Spec{Profile: profile, Seed: 7, Rate: 40})
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
