package correlate_test

import (
	"slices"
	"testing"
	"time"

	"prunella"
	"prunella/correlate"
)

// An open incident that blames a key takes in who fails by it later, at any
// time, in production as in a drill; what another key, issuer or blame explains
// stays apart.
func TestLaterVictimsOfAKeyChange(t *testing.T) {
	texts := incident("A", 0, "401", []string{"kid:k2", "says:key"}, "order", "payment", "user")
	texts.OpenedAt = at(2)
	cause := texts
	cause.Tokens = []string{"change:auth/k2", "kid:k1", "kid:k2", "kid:k3", "says:key"}
	cause.Causes = []prunella.Cause{{Service: "auth", Services: []string{"order", "payment", "search", "user"}, Fault: prunella.FaultPartialKeys, Kids: []string{"k2"}, Confidence: 0.9}}
	changes := cause
	changes.Tokens = []string{"change:auth/k2", "change:auth/k9", "kid:k2", "says:key"}
	wordless := cause // known by what was read, not by texts
	wordless.Tokens = nil
	down := texts
	down.Tokens = []string{"says:key"}
	down.Causes = []prunella.Cause{{Service: "auth", Services: []string{"order"}, Fault: prunella.FaultJWKSDown, Confidence: 0.9}}
	unsure, skew := wordless, cause
	unsure.Causes = []prunella.Cause{{Services: []string{"search"}, Fault: prunella.FaultPartialKeys, Kids: []string{"k2"}, Confidence: 0.3}}
	skew.Causes = []prunella.Cause{{Services: []string{"search"}, Fault: prunella.FaultClockSkew, Confidence: 0.9}}
	still := texts
	still.Impact = []prunella.Impact{{Service: "order", Since: at(0), QuietSince: at(60)}}
	over := texts
	over.State, over.ResolvedAt = prunella.Resolved, at(100)
	flood := texts
	flood.Tokens = []string{"kid:a1", "kid:a2", "kid:k2", "says:key"}
	pending := func(tokens ...string) prunella.Finding {
		f := spike("search", "401", 0, tokens...)
		f.Attrs = map[string]string{"blame": "pending"}
		return f
	}
	probe := finding(prunella.RuleProbe, "search", "401", 0, "kid:k2")
	for _, c := range []struct {
		name string
		inc  prunella.Incident
		f    prunella.Finding // its onset is set to the later time
		want string
	}{
		{"a text that blames the key", texts, spike("search", "401", 0, "kid:k2", "says:key"), "join same-key"},
		{"the same, the cause known", cause, spike("search", "401", 0, "kid:k2", "says:key"), "join same-key"},
		{"a message that blames it", texts, finding(prunella.RuleErrorMessage, "search", "401", 0, "kid:k2", "says:key"), "join same-key"},
		{"a canary that is refused", texts, probe, "join same-key"},
		{"the key without a blame", texts, spike("search", "401", 0, "kid:k2"), "join same-key"},
		{"the key, the blame on its way", texts, pending("kid:k2"), "ignore too-early-to-tell"},
		{"nothing told yet", texts, pending(), "ignore too-early-to-tell"},
		{"nothing told", texts, spike("search", "401", 0), "open unrelated"},
		{"no kid, but the key change", cause, spike("search", "401", 0, "change:auth/k2", "says:key"), "join same-key-change"},
		{"nothing told, but the key change that is the cause", cause, spike("gateway", "401", 0, "change:auth/k2"), "join same-key-change"},
		{"nothing told, and another key change", changes, spike("gateway", "401", 0, "change:auth/k9"), "open unrelated"},
		{"nothing told, but the cause names it", cause, spike("search", "401", 0), "join named-by-cause"},
		{"nothing told yet, and the cause names it", cause, pending(), "ignore too-early-to-tell"},
		{"the cause was read and no text told it", wordless, spike("search", "401", 0), "join named-by-cause"},
		{"the issuer gives no keys away", down, spike("search", "401", 0, "says:key"), "join same-issuer-fault"},
		{"a key of the issuer, no kid named", cause, spike("gateway", "401", 0, "says:key"), "join same-issuer-fault"},
		{"a key, no kid named, no cause known", texts, spike("gateway", "401", 0, "says:key"), "open unrelated"},
		{"another key", texts, spike("search", "401", 0, "kid:k9", "says:key"), "open unrelated"},
		{"another key, the blame on its way", texts, pending("kid:k9"), "open unrelated"},
		{"a key that the cause does not blame", cause, spike("gateway", "401", 0, "kid:k1", "says:key"), "open unrelated"},
		{"another issuer with such a kid", texts, spike("till", "401", 0, "kid:k2", "says:key"), "open unrelated"},
		{"another issuer that gives no keys away", down, spike("till", "401", 0, "says:key"), "open unrelated"},
		{"a clock", cause, spike("search", "401", 0, "kid:k2", "says:time"), "open unrelated"},
		{"a wrong signature", texts, spike("search", "401", 0, "kid:k2", "says:signature"), "open unrelated"},
		{"server errors", cause, spike("search", "5xx", 0, "kid:k2"), "open unrelated"},
		{"a cause that is not sure", unsure, spike("search", "401", 0, "kid:k2", "says:key"), "open unrelated"},
		{"a clock is the cause", skew, spike("search", "401", 0, "kid:k2", "says:key"), "open unrelated"},
		{"a flood of kids", flood, spike("search", "401", 0, "kid:k2", "says:key"), "open unrelated"},
		{"all was still for long", still, spike("search", "401", 0, "kid:k2", "says:key"), "open unrelated"},
		{"it is resolved", over, spike("search", "401", 0, "kid:k2", "says:key"), "open unrelated"},
	} {
		for _, state := range []prunella.State{prunella.Open, prunella.AwaitingApproval, prunella.Escalated, prunella.Healing} {
			later := map[float64]float64{20: 240, 1: 4000} // seconds, beyond Config.Token, by scale
			for scale, seconds := range later {
				inc, f := c.inc, c.f
				if inc.State != prunella.Resolved {
					inc.State = state
				}
				f.Onset, f.Time = at(seconds), at(seconds+2)
				d := correlate.Assign(f, []prunella.Incident{inc}, shop, f.Time, correlate.Default().Scaled(scale))
				if got := string(d.Do) + " " + d.Reason.Name; got != c.want {
					t.Errorf("%s, %s, scale %.0f: %s, want %s (%s)", c.name, state, scale, got, c.want, d.Reason.Text)
				}
			}
		}
	}
	if d := correlate.Assign(spike("search", "401", 240, "kid:k2", "says:key"), []prunella.Incident{texts}, shop, at(242), correlate.Default()); d.Reason.Name != "shared-token" || d.Reason.Operands["token"] != "kid:k2" {
		t.Errorf("within Config.Token: %+v", d.Reason)
	}
}

// The later victim joins whichever order its share and its text come in.
func TestALaterVictimsTextComesAfterItsShare(t *testing.T) {
	var fs []prunella.Finding
	for _, s := range []string{"order", "payment", "user"} {
		fs = append(fs, spike(s, "401", 0, "kid:k2", "says:key"))
	}
	blank := spike("search", "401", 240)
	blank.Attrs = map[string]string{"blame": "pending"}
	told := spike("search", "401", 240, "kid:k2", "says:key")
	told.Time = told.Time.Add(time.Second)
	got := fold(append(fs, blank, told), shop, correlate.Default().Scaled(20))
	if len(got) != 1 || !slices.ContainsFunc(got[0].Impact, func(i prunella.Impact) bool { return i.Service == "search" }) {
		t.Errorf("%d incidents: %+v", len(got), got)
	}
}
