//go:build soak

package scenarios_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"prunella"
)

// TestSoak runs every scenario PRUNELLA_SOAK times (default 20) with different
// seeds, and the main one in other worlds, four at a time, and prints what it
// measured: make soak.
func TestSoak(t *testing.T) {
	times := 20
	if s := os.Getenv("PRUNELLA_SOAK"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("PRUNELLA_SOAK is %q; write how often each scenario is to run", s)
		}
		times = n
	}
	const parallel = 4 // worlds at once: each takes about a quarter of a core
	program := build(t)
	type world struct {
		name string
		set  []string
	}
	var worlds []world
	for _, name := range catalogue(t, program) {
		worlds = append(worlds, world{name, nil})
	}
	for _, set := range []string{"missed=2", "missed=6", "alg=ES256", "processes=true"} {
		worlds = append(worlds, world{"jwt-signing-key-rotation-failure", []string{set}})
	}
	// One kind of verifier calls an unknown kid a wrong signature here.
	worlds = append(worlds, world{"random-kid-flood", []string{"keyset=none", "profile=cached"}})
	first := time.Now().Unix() % 1_000_000
	var mu sync.Mutex
	done := map[string][]prunella.Report{}
	t.Run("runs", func(t *testing.T) {
		room := make(chan struct{}, parallel)
		for i := range times {
			for _, w := range worlds {
				title := strings.Join(append([]string{w.name}, w.set...), " ")
				t.Run(fmt.Sprintf("%s_%d", strings.ReplaceAll(title, " ", "_"), i), func(t *testing.T) {
					t.Parallel()
					room <- struct{}{}
					defer func() { <-room }()
					r := once(t, program, first+int64(i), w.name, w.set...)
					mu.Lock()
					defer mu.Unlock()
					done[title] = append(done[title], r)
				})
			}
		}
	})
	var titles []string
	for title := range done {
		titles = append(titles, title)
	}
	slices.Sort(titles)
	fmt.Println("| scenario | passed | detected s, median (worst) | verified s, median (worst) | failed after the heal |")
	fmt.Println("|---|---|---|---|---|")
	for _, title := range titles {
		var detected, verified []int64
		passed, failed := 0, 0
		for _, r := range done[title] {
			if r.Status == prunella.Passed {
				passed++
			}
			failed += max(0, r.Requests.FailedAfterHeal)
			detected = append(detected, r.Timings.Detected)
			verified = append(verified, r.Timings.Verified)
		}
		fmt.Printf("| %s | %d of %d | %s | %s | %d |\n", title, passed, len(done[title]), spread(detected), spread(verified), failed)
	}
}

func spread(ms []int64) string {
	slices.Sort(ms)
	if len(ms) == 0 || ms[len(ms)-1] < 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f (%.1f)", float64(ms[len(ms)/2])/1000, float64(ms[len(ms)-1])/1000)
}
