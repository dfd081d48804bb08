package store_test

import (
	"fmt"
	"testing"
	"time"

	"prunella"
	"prunella/store"
)

// BenchmarkCommit writes what one pass of the pipeline writes: 50 log lines, 32
// points and the detector's state, flushed to disk.
func BenchmarkCommit(b *testing.B) {
	s, err := store.Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	state := make([]byte, 8<<10)
	n := 0
	for b.Loop() {
		n++
		batch := store.Batch{Logs: signals(fmt.Sprint("b", n), 50), State: map[string][]byte{"detector": state}}
		at := time.Unix(int64(n), 0)
		for i := range 32 {
			batch.Points = append(batch.Points, prunella.SeriesPoint{Service: fmt.Sprint(i % 8), Name: fmt.Sprint(i / 8), At: at, Value: 1})
		}
		if err := s.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
