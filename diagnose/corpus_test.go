package diagnose_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// blameOf is what a finding blames for a text of a class; it says nothing of
// the others, and nothing of a signature, which may be a key that is lacking.
var blameOf = map[string]string{"unknown-kid": "key", "fetch-failed": "key", "expired": "time", "not-yet-valid": "time", "audience": "audience", "issuer": "issuer"}

// TestCorpus sends lines in the wording of real libraries the whole way, from
// an OTLP record to a finding's blame and a text's class; a JSON line once as
// text and once as a structure. Lines of class "-" are of other things that
// have keys, signatures, issuers or an end.
//
// The rules were written for the "dev" lines. The other sets were collected
// from sources and issues before the rules of their day were looked at, and
// were right at first sight: "held" 49 of 53 lines (92 %), "fresh" 26 of 30
// (87 %), "stacks" 106 of 151 (70 %, of its 33 lines of other things 18), and
// "later", after the rules were widened for "stacks", 86 of 99 (87 %, of its 36
// lines of other things 32; the rules before had 74 and 20), and "last", after
// that, 46 of 54 (85 %, of its 19 lines of other things 17). The gaps that each
// showed were then closed where more than the one line was meant, so that no
// set measures unseen wording any more; the first figures do.
func TestCorpus(t *testing.T) {
	b, err := os.ReadFile("testdata/corpus.tsv")
	if err != nil {
		t.Fatal(err)
	}
	type score struct{ all, class, blame, other, otherRight int }
	scores := map[string]*score{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(line, "\t", 4)
		if len(f) != 4 {
			t.Fatalf("not four columns: %q", line)
		}
		set, library, want, text := f[0], f[1], strings.Split(f[2], "|"), f[3]
		bodies := []any{strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(text)}
		var object map[string]any
		if strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &object) == nil {
			bodies = []any{text, object}
		}
		rightClass, rightBlame := true, true
		for _, body := range bodies {
			class, blamed := told(sent(t, body, nil))
			rightClass = rightClass && slices.Contains(want, class)
			rightBlame = rightBlame && slices.ContainsFunc(want, func(w string) bool { return blameOf[w] == blamed })
			if !rightClass || !rightBlame {
				t.Logf("%s %s: want %s, got %s blaming %q: %v", set, library, f[2], class, blamed, body)
			}
		}
		if scores[set] == nil {
			scores[set] = &score{}
		}
		s := scores[set]
		s.all++
		if rightClass {
			s.class++
		}
		if rightBlame {
			s.blame++
		}
		if f[2] == "-" {
			s.other++
			if rightClass && rightBlame {
				s.otherRight++
			}
		}
	}
	for set, least := range map[string]int{"dev": 100, "held": 95, "fresh": 95, "stacks": 97, "later": 94, "last": 94} {
		s := scores[set]
		t.Logf("%s: class of %d, blame of %d of %d lines; other things %d of %d", set, s.class, s.blame, s.all, s.otherRight, s.other)
		if s.all < 30 || 100*s.class < least*s.all || 100*s.blame < min(least, 97)*s.all || s.otherRight < s.other {
			t.Errorf("%s: want %d %% of the lines, and all of other things", set, least)
		}
	}
}
