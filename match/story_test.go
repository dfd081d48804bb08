package match_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prunella/match"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// TestStory holds what is found in one simulated story against a transcript
// that a person can read: testdata/story.txt.
func TestStory(t *testing.T) {
	batches, times := story(7)
	d := match.NewDetector(lab())
	var b strings.Builder
	b.WriteString("# One story of seven services, a line a finding; go test ./match -run Story -update writes it anew.\n" +
		"# From 25 s on the signer is another, user fails with 401, 40 % of order with 401, half of payment with 500. From 33 s on user is well again.\n")
	for i := range batches {
		for _, f := range d.Observe(batches[i], times[i]).Findings {
			fmt.Fprintf(&b, "%5.1fs %-16s %-12s %-3s share %.2f onset %5.2fs %s %s\n       %s\n", times[i].Sub(epoch).Seconds(), f.Rule, f.Service, f.Status,
				f.Share, f.Onset.Sub(epoch).Seconds(), f.Reason.Name, f.Tokens, f.Reason.Text)
		}
	}
	const file = "testdata/story.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("the story changed; read the difference, then run with -update:\n%s", diff)
	}
}
