package said

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func allRules() []rule { return slices.Concat(lex().classes, lex().denials, lex().vague) }

// What an expression is said to need never keeps a match from being found.
func TestNeedsHideNoMatch(t *testing.T) {
	b, err := os.ReadFile("../diagnose/testdata/corpus.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rules := allRules()
	asked, met := 0, 0
	for i, line := range strings.Split(string(b), "\n") {
		if i%5 != 0 { // asking every expression is slow; that is what the needs are for
			continue
		}
		low := read(line)
		text := lex().words.text(low)
		for _, r := range rules {
			for _, e := range slices.Concat(r.any, r.ofTokens) {
				asked++
				possible := text.possible(e)
				if possible {
					met++
				}
				if !possible && e.re().MatchString(low) {
					t.Errorf("%s of %q is not thought possible", e.re(), low)
				}
			}
		}
	}
	if met*10 > asked {
		t.Errorf("%d of %d expressions were asked: what they need keeps too few away", met, asked)
	}
	for _, r := range rules {
		for _, e := range slices.Concat(r.any, r.ofTokens) {
			if len(e.needs) == 0 {
				t.Errorf("every text must be asked for %s", e.re())
			}
		}
	}
}

func FuzzNeeds(f *testing.F) {
	f.Add("unable to find a signing key that matches 'k1'")
	f.Add("Jwks doesn't have key to match kid or alg from Jwt")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 400 {
			t.Skip("long texts only slow the search down")
		}
		low := read(s)
		text := lex().words.text(low)
		for _, r := range allRules() {
			for _, e := range slices.Concat(r.any, r.ofTokens) {
				if !text.possible(e) && e.re().MatchString(low) {
					t.Fatalf("%s of %q is not thought possible", e.re(), low)
				}
			}
		}
		if classes, _ := In(s); len(classes) > len(lex().classes) {
			t.Fatal(classes)
		}
	})
}
