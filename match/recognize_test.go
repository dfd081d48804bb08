package match_test

import (
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/match"
)

// skills are two that look alike and one that does not; the engine knows none
// of them.
var skills = []prunella.Skill{
	{Name: "stale-copy", Pattern: "auth/stale-copy", Signals: []prunella.SignalRule{
		{ID: "rate", Kind: prunella.KindMetric, Metric: "401.rate", When: "known && value > 5.0 * baseline && onset_s <= 120.0", Weight: 2},
		{ID: "no-key", Kind: prunella.KindLog, Any: []string{"Key ID not found", "no  matching key"}, Weight: 2},
		{ID: "cache", Kind: prunella.KindLog, Regex: `(?i)cached (jwks|key set)`, When: "count >= 2", Weight: 1.5},
		{ID: "signer", Kind: prunella.KindChange, Change: prunella.ChangeSigner, Within: 10 * time.Minute, Weight: 1.5},
		{ID: "delivery", Kind: prunella.KindLog, Any: []string{"delivery failed"}, Against: true, Weight: 3},
	}},
	{Name: "lost-delivery", Pattern: "auth/lost-delivery", Signals: []prunella.SignalRule{
		{ID: "rate", Kind: prunella.KindMetric, Metric: "401.rate", When: "known && value > 5.0 * baseline", Weight: 2},
		{ID: "no-key", Kind: prunella.KindLog, Any: []string{"key id not found"}, Weight: 2},
		{ID: "delivery", Kind: prunella.KindLog, Any: []string{"delivery failed"}, Weight: 3},
		{ID: "cache", Kind: prunella.KindLog, Regex: `(?i)cached (jwks|key set)`, Against: true, Weight: 2},
	}},
	{Name: "disk-full", Pattern: "disk/full", Signals: []prunella.SignalRule{
		{ID: "space", Kind: prunella.KindLog, Any: []string{"no space left on device"}, Weight: 4},
		{ID: "alert", Kind: prunella.KindAlert, Any: []string{"DiskFull"}, Weight: 4},
		{ID: "broken", Kind: prunella.KindLog, Regex: "(", Weight: 1},
	}},
}

func said(n int, texts ...string) []prunella.TextGroup {
	var out []prunella.TextGroup
	for _, t := range texts {
		out = append(out, prunella.TextGroup{Template: match.NewDetector(match.Config{}).Template(t), Example: t, Count: n, Services: []string{"user"}})
	}
	return out
}

func TestRecognize(t *testing.T) {
	rate := map[string]match.ErrorRate{"401": {Value: 10, Baseline: 0.1, Ratio: 100, Share: 1, Services: 4, Known: true, Sustained: 3 * time.Second, Rise: time.Second}}
	onset := epoch
	signer := prunella.Change{Name: prunella.ChangeSigner, Service: "auth", Kid: "k2", At: onset.Add(-4 * time.Second)}
	for _, c := range []struct {
		name     string
		features match.Features
		pattern  string
		reason   string
		low, hi  float64 // confidence
	}{
		{"nothing known", match.Features{}, prunella.Unknown, "no-skill-fits", 0.8, 1},
		{"metrics only", match.Features{Errors: rate, Onset: onset}, prunella.Unknown, "no-skill-fits", 0.3, 1},
		{"texts only", match.Features{Texts: said(3, "verify: key ID 'k2' not found in keystore", "webhook delivery failed: connection refused")}, "auth/lost-delivery", "rules-hold", 0.75, 1},
		{"everything", match.Features{Errors: rate, Onset: onset, Changes: []prunella.Change{signer},
			Texts: said(3, "key   id not FOUND", "using cached JWKS of 12:00")}, "auth/stale-copy", "rules-hold", 0.9, 1},
		{"two fit alike", match.Features{Errors: rate, Texts: said(3, "key id not found")}, "auth/stale-copy", "ambiguous", 0.3, 0.6},
		{"unrelated texts", match.Features{Errors: rate, Texts: said(9, "database deadlock", "retry budget spent")}, prunella.Unknown, "no-skill-fits", 0.3, 1},
		{"said too seldom", match.Features{Texts: said(1, "using cached JWKS")}, prunella.Unknown, "no-skill-fits", 0.8, 1},
		{"change long before", match.Features{Errors: rate, Onset: onset, Changes: []prunella.Change{{Name: prunella.ChangeSigner, At: onset.Add(-time.Hour)}}}, prunella.Unknown, "no-skill-fits", 0.3, 1},
		{"change after", match.Features{Errors: rate, Onset: onset, Changes: []prunella.Change{{Name: prunella.ChangeSigner, At: onset.Add(time.Hour)}}}, prunella.Unknown, "no-skill-fits", 0.3, 1},
		{"an alert", match.Features{Alerts: []prunella.Signal{{Name: "NodeDiskFull", Service: "db"}}}, "disk/full", "rules-hold", 0.6, 1},
		{"no history", match.Features{Errors: map[string]match.ErrorRate{"401": {Value: 10, Ratio: 50}}, Onset: onset, Changes: []prunella.Change{signer}, Texts: said(3, "key id not found", "cached key set")}, "auth/stale-copy", "rules-hold", 0.7, 1},
	} {
		m := match.Recognize(skills, c.features, epoch)
		if m.Pattern != c.pattern || m.Reason.Name != c.reason || m.Confidence < c.low || m.Confidence > c.hi {
			t.Errorf("%s: %s (%s, %.2f): %s", c.name, m.Pattern, m.Reason.Name, m.Confidence, m.Reason.Text)
		}
		if len(m.Candidates) != len(skills) {
			t.Errorf("%s: %d candidates", c.name, len(m.Candidates))
		}
		for _, cand := range m.Candidates {
			if cand.Skill == "disk-full" && !strings.Contains(cand.Missing[len(cand.Missing)-1].Text, "cannot be used") {
				t.Errorf("%s: a broken rule is not reported: %v", c.name, cand.Missing)
			}
		}
	}
}

func TestRecognizeSaysWhy(t *testing.T) {
	m := match.Recognize(skills, match.Features{Onset: epoch,
		Changes: []prunella.Change{{Name: prunella.ChangeSigner, Service: "auth", Kid: "k2", At: epoch.Add(-4 * time.Second)}},
		Texts:   said(7, "key id not found", "cached jwks", "delivery failed")}, epoch)
	var stale prunella.Candidate
	for _, c := range m.Candidates {
		if c.Skill == "stale-copy" {
			stale = c
		}
	}
	got := map[string]map[string]string{}
	for _, r := range append(stale.Matched, stale.Missing...) {
		got[r.Name] = r.Operands
	}
	for rule, want := range map[string][2]string{"signer": {"before_onset_s", "4"}, "delivery": {"weight", "-3"}, "no-key": {"count", "7"}, "rate": {"kind", "metric"}} {
		if got[rule][want[0]] != want[1] {
			t.Errorf("%s: operands %v, want %v", rule, got[rule], want)
		}
	}
}

func TestRecognizeNothing(t *testing.T) {
	if m := match.Recognize(nil, match.Features{}, epoch); m.Pattern != prunella.Unknown || m.Confidence != 1 {
		t.Errorf("%+v", m)
	}
}
