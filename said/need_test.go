package said

import (
	"os"
	"strings"
	"testing"
)

// What an expression is said to need never keeps a match from being found.
func TestNeedsHideNoMatch(t *testing.T) {
	b, err := os.ReadFile("../diagnose/testdata/corpus.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rules := append(append([]rule(nil), classRules...), denials...)
	asked, met := 0, 0
	for i, line := range strings.Split(string(b), "\n") {
		if i%5 != 0 { // asking every expression is slow; that is what the needs are for
			continue
		}
		low := read(line)
		text := vocabulary.text(low)
		for _, r := range rules {
			for _, e := range r.any {
				asked++
				possible := text.possible(e)
				if possible {
					met++
				}
				if !possible && e.re.MatchString(low) {
					t.Errorf("%s of %q is not thought possible", e.re, low)
				}
			}
		}
	}
	if met*10 > asked {
		t.Errorf("%d of %d expressions were asked: what they need keeps too few away", met, asked)
	}
	for _, r := range rules {
		for _, e := range r.any {
			if len(e.needs) == 0 {
				t.Errorf("every text must be asked for %s", e.re)
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
		text := vocabulary.text(low)
		for _, r := range append(append([]rule(nil), classRules...), denials...) {
			for _, e := range r.any {
				if !text.possible(e) && e.re.MatchString(low) {
					t.Fatalf("%s of %q is not thought possible", e.re, low)
				}
			}
		}
		if classes, _ := In(s); len(classes) > len(classRules) {
			t.Fatal(classes)
		}
	})
}
