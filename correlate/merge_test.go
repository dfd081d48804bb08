package correlate_test

import (
	"testing"

	"prunella"
	"prunella/correlate"
)

// Two incidents whose causes turn out to be one are one, as long as nothing is
// being done about either; the younger is closed.
func TestMerge(t *testing.T) {
	with := func(id string, opened float64, state prunella.State, change func(*prunella.Incident)) prunella.Incident {
		inc := incident(id, opened, "401", nil, "order")
		inc.State, inc.OpenedAt = state, at(opened)
		inc.Causes = []prunella.Cause{{Fault: prunella.FaultJWKSDown, Service: "auth", Confidence: 0.9}}
		if change != nil {
			change(&inc)
		}
		return inc
	}
	cause := func(c prunella.Cause) func(*prunella.Incident) {
		if c.Confidence == 0 {
			c.Confidence = 0.9
		}
		return func(i *prunella.Incident) { i.Causes = []prunella.Cause{c} }
	}
	stale := func(kids ...string) func(*prunella.Incident) {
		return cause(prunella.Cause{Fault: prunella.FaultStaleCache, Service: "auth", Kids: kids})
	}
	release := func(version string) func(*prunella.Incident) {
		return cause(prunella.Cause{Fault: prunella.FaultBadDeploy, Service: "order", Change: &prunella.Change{Name: prunella.ChangeDeploy, Service: "order", Version: version}})
	}
	young := with("B", 30, prunella.Diagnosing, nil)
	for _, c := range []struct {
		name string
		inc  prunella.Incident
		open []prunella.Incident
		want prunella.IncidentID
	}{
		{"a person holds the older", young, []prunella.Incident{with("A", 0, prunella.Escalated, nil), young}, "A"},
		{"a plan waits for a yes", young, []prunella.Incident{with("A", 0, prunella.AwaitingApproval, nil), young}, "A"},
		{"the oldest takes it", young, []prunella.Incident{with("C", 10, prunella.Escalated, nil), with("A", 0, prunella.Diagnosing, nil), young}, "A"},
		{"opened together", young, []prunella.Incident{with("A", 30, prunella.Diagnosing, nil), young}, "A"},
		{"nobody else", young, []prunella.Incident{young}, ""},
		{"the other is younger", young, []prunella.Incident{with("A", 40, prunella.Escalated, nil), young}, ""},
		{"the other is being healed", young, []prunella.Incident{with("A", 0, prunella.Healing, nil), young}, ""},
		{"the other is being judged", young, []prunella.Incident{with("A", 0, prunella.Verifying, nil), young}, ""},
		{"the other is over", young, []prunella.Incident{with("A", 0, prunella.Escalated, func(i *prunella.Incident) { i.Impact[0].QuietSince = at(20) }), young}, ""},
		{"nothing was heard of the other for long", with("B", 2000, prunella.Diagnosing, nil), []prunella.Incident{with("A", 0, prunella.Escalated, nil)}, ""},
		{"it was heard of lately", with("B", 2000, prunella.Diagnosing, nil), []prunella.Incident{with("A", 0, prunella.Escalated, func(i *prunella.Incident) { i.UpdatedAt = at(1900) })}, "A"},
		{"the other has no cause yet", young, []prunella.Incident{with("A", 0, prunella.Diagnosing, func(i *prunella.Incident) { i.Causes = nil }), young}, ""},
		{"the other is not sure", young, []prunella.Incident{with("A", 0, prunella.Escalated, cause(prunella.Cause{Fault: prunella.FaultJWKSDown, Service: "auth", Confidence: 0.4})), young}, ""},
		{"another issuer", young, []prunella.Incident{with("A", 0, prunella.Escalated, cause(prunella.Cause{Fault: prunella.FaultJWKSDown, Service: "partner"})), young}, ""},
		{"nobody knows where", with("B", 30, prunella.Diagnosing, cause(prunella.Cause{Fault: prunella.FaultForged})), []prunella.Incident{with("A", 0, prunella.Escalated, cause(prunella.Cause{Fault: prunella.FaultForged}))}, ""},
		{"it was healed once", with("B", 30, prunella.Diagnosing, func(i *prunella.Incident) { i.Attempts = 1 }), []prunella.Incident{with("A", 0, prunella.Escalated, nil)}, ""},
		{"the same key", with("B", 30, prunella.Diagnosing, stale("k2")), []prunella.Incident{with("A", 0, prunella.Escalated, stale("k2", "k1"))}, "A"},
		{"one names no key", with("B", 30, prunella.Diagnosing, stale()), []prunella.Incident{with("A", 0, prunella.Escalated, stale("k2"))}, "A"},
		{"another key", with("B", 30, prunella.Diagnosing, stale("k3")), []prunella.Incident{with("A", 0, prunella.Escalated, stale("k2"))}, ""},
		{"the same release", with("B", 30, prunella.Diagnosing, release("v2")), []prunella.Incident{with("A", 0, prunella.Escalated, release("v2"))}, "A"},
		{"another release", with("B", 30, prunella.Diagnosing, release("v3")), []prunella.Incident{with("A", 0, prunella.Escalated, release("v2"))}, ""},
	} {
		into, why, ok := correlate.Merge(c.inc, c.open, correlate.Default())
		if ok != (c.want != "") || into.ID != c.want || ok && (why.Name != correlate.Merged || why.Operands["into"] != string(c.want) || why.Text == "") {
			t.Errorf("%s: merged %v into %q (%+v), want %q", c.name, ok, into.ID, why, c.want)
		}
	}
}

// What still fails of a merged incident belongs to the one that it was merged
// into, however far apart the two looked; when that is over, to nobody.
func TestWhatWasMergedJoins(t *testing.T) {
	into := func(id string) prunella.Reason {
		return prunella.Reason{Name: correlate.Merged, Operands: map[string]string{"into": id}}
	}
	a := incident("A", 0, "401", []string{"says:key"}, "order")
	a.State = prunella.Escalated
	b := incident("B", 5, "401", []string{"says:signature"}, "search")
	b.State, b.StateReason, b.ResolvedAt = prunella.Resolved, into("A"), at(60)
	c := incident("C", 10, "401", []string{"says:signature"}, "till")
	c.State, c.StateReason, c.ResolvedAt = prunella.Resolved, into("B"), at(50)
	over := a
	over.State, over.ResolvedAt = prunella.Resolved, at(70)
	for _, tc := range []struct {
		name      string
		f         prunella.Finding
		incidents []prunella.Incident
		want      string
	}{
		{"it goes on", spike("search", "401", 5, "says:signature"), []prunella.Incident{a, b}, "join A merged"},
		{"through two", spike("till", "401", 10, "says:signature"), []prunella.Incident{a, b, c}, "join A merged"},
		{"what it was merged into knows the service by now", spike("order", "401", 0, "says:key"), []prunella.Incident{a, b}, "join A same-service"},
		{"another failure", spike("search", "5xx", 900), []prunella.Incident{a, b}, "open unrelated"},
		{"an echo, when all is over", spike("search", "401", 5, "says:signature"), []prunella.Incident{over, b}, "ignore echo-of-resolved"},
		{"again, when all is over", spike("search", "401", 80, "says:signature"), []prunella.Incident{over, b}, "reopen A recurrence"},
	} {
		d := correlate.Assign(tc.f, tc.incidents, shop, tc.f.Onset.Add(66_000_000_000), correlate.Default())
		got := string(d.Do)
		if d.Join != "" {
			got += " " + string(d.Join)
		}
		if got += " " + d.Reason.Name; got != tc.want {
			t.Errorf("%s: %s, want %s (%s)", tc.name, got, tc.want, d.Reason.Text)
		}
	}
}
