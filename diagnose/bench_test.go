package diagnose_test

import (
	"testing"

	"prunella/diagnose"
)

// BenchmarkDiagnose ranks the causes of a partial distribution from a whole
// snapshot; BenchmarkExtractFacts only reads its texts, the larger part of it.
func BenchmarkDiagnose(b *testing.B) {
	s := partialWorld([]string{"basket", "edge", "ledger", "stock"}).Snapshot
	for b.Loop() {
		if causes := diagnose.Diagnose(s); len(causes) == 0 {
			b.Fatal("no cause")
		}
	}
}

func BenchmarkExtractFacts(b *testing.B) {
	s := partialWorld([]string{"basket", "edge", "ledger", "stock"}).Snapshot
	for b.Loop() {
		diagnose.ExtractFacts(s.Texts, "basket", "edge", "ledger", "stock")
	}
}
