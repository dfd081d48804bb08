package diagnose_test

import (
	"os"
	"strings"
	"testing"

	"prunella/diagnose"
)

// TestCorpus classifies lines in the wording of real libraries. The rules were
// written for the "dev" lines. The "held" lines were set aside: 49 of 53 (92 %)
// were right at first. The "fresh" lines, 30 more of other libraries, were
// collected later from the messages in their sources and issues: 26 of 30 (87 %)
// were right when first tried. The gaps that both showed (words in another
// order, "sig" for signature, a claim that is missing, a key set that answers
// 5xx under its other names) were then closed, so that neither set measures
// unseen wording any more; the first figures do.
func TestCorpus(t *testing.T) {
	b, err := os.ReadFile("testdata/corpus.tsv")
	if err != nil {
		t.Fatal(err)
	}
	right, all := map[string]int{}, map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(line, "\t", 4)
		if len(f) != 4 {
			t.Fatalf("not four columns: %q", line)
		}
		set, library, want, text := f[0], f[1], f[2], f[3]
		got := "-"
		if classes := diagnose.ExtractFacts([]diagnose.TextGroup{{Example: text}}).Texts[0].Classes; len(classes) > 0 {
			got = string(classes[0])
		}
		all[set]++
		if got == want {
			right[set]++
		} else if set == "dev" || os.Getenv("SHOW_HELD") != "" {
			t.Logf("%s %s: want %s, got %s: %s", set, library, want, got, text)
		}
	}
	for set, least := range map[string]float64{"dev": 1, "held": 0.8, "fresh": 0.8} {
		accuracy := float64(right[set]) / float64(all[set])
		t.Logf("%s: %d of %d lines (%.0f %%)", set, right[set], all[set], 100*accuracy)
		if all[set] < 30 || accuracy < least {
			t.Errorf("%s: %.0f %% of %d lines classified, want at least %.0f %%", set, 100*accuracy, all[set], 100*least)
		}
	}
}
