package speed_test

import (
	"testing"

	"prunella/bench/rotation/issuer"
	"prunella/bench/rotation/speed"
)

// BenchmarkVerify verifies one token in full with each library.
func BenchmarkVerify(b *testing.B) {
	hub, err := issuer.NewHub("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(hub.Close)
	for _, alg := range speed.Algorithms {
		f, err := speed.NewField(b.Context(), hub, alg)
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range f.Subjects {
			b.Run(alg+"/"+s.Name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f.Verify(b.Context(), s); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
