package diagnose

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTable holds the table to its own rules: every row has a reason and is
// observed somewhere, every weight is for a fault that competes and is bounded.
func TestTable(t *testing.T) {
	var source strings.Builder
	files, err := filepath.Glob("observe*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no sources", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	for name, r := range table {
		if r.why == "" || len(r.weight) == 0 {
			t.Errorf("%s: no reason or no weight", name)
		}
		if !strings.Contains(source.String(), `"`+name+`"`) {
			t.Errorf("%s is never observed", name)
		}
		for f, w := range r.weight {
			if _, ok := priors[f]; !ok {
				t.Errorf("%s weighs %s, which does not compete", name, f)
			}
			if w == 0 || math.Abs(w) > 5 {
				t.Errorf("%s: weight %v of %s", name, w, f)
			}
			if priors[f]+w >= math.Log(2) && !strings.HasPrefix(name, "text-") && w < 4 {
				t.Errorf("%s alone makes %s twice as likely as unknown, yet it is not close to a definition", name, f)
			}
		}
	}
	for f, p := range priors {
		if p > -2 {
			t.Errorf("the prior of %s could nearly win alone: %v", f, p)
		}
		if headlines[f] == "" {
			t.Errorf("%s has no headline", f)
		}
	}
	sum := 0.0
	for _, name := range Standard() {
		if losses[name] <= 0 {
			t.Errorf("losing %s costs nothing", name)
		}
		sum += losses[name]
	}
	if len(losses) != len(Standard()) || ceilingLive-sum < floor {
		t.Errorf("losses %v for reads %v leave %.2f", losses, Standard(), ceilingLive-sum)
	}
	for _, r := range classRows {
		if _, ok := table[r.row]; !ok {
			t.Errorf("%s is not in the table", r.row)
		}
	}
	for _, r := range deniedRows {
		if _, ok := table[r.row]; !ok {
			t.Errorf("%s is not in the table", r.row)
		}
	}
}

// TestObservationsAreInTheTable finds rows that are observed but have no weight.
func TestObservationsAreInTheTable(t *testing.T) {
	b, err := os.ReadFile("observe.go")
	if err != nil {
		t.Fatal(err)
	}
	c, err := os.ReadFile("observe_changes.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, call := range []string{`v.seen("`, `tell("`} {
		for _, rest := range strings.Split(string(b)+string(c), call)[1:] {
			name, _, _ := strings.Cut(rest, `"`)
			if _, ok := table[name]; !ok {
				t.Errorf("%s is observed but not in the table", name)
			}
			n++
		}
	}
	if n < 30 {
		t.Errorf("only %d observations were found in the sources", n)
	}
}
