package bus_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"prunella/bus"
)

// BenchmarkPublish stores batches of 50 signals, each on disk before it is
// answered; BenchmarkFlush beside it is what the disk alone takes for as many
// bytes, so that their ratio says what the stream costs.
func BenchmarkPublish(b *testing.B) {
	s, err := bus.Open(b.Context(), bus.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	n := 0
	for b.Loop() {
		n++
		if err := s.Publish(b.Context(), batch(fmt.Sprint(n), 50)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(50*float64(b.N)/b.Elapsed().Seconds(), "signals/s")
}

func BenchmarkFlush(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}
