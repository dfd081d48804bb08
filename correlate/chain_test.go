package correlate_test

import (
	"testing"
	"time"

	"prunella"
	"prunella/correlate"
)

// TestServerErrorsTravelUpTheCalls: gateway calls order calls inventory. A
// server error of gateway belongs to the incident of inventory even before
// order has told anything; a refused token two calls away does not.
func TestServerErrorsTravelUpTheCalls(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	g := correlate.NewGraph(prunella.Inventory{Services: []prunella.Service{
		{Name: "gateway", Calls: []string{"order"}}, {Name: "order", Calls: []string{"inventory"}}, {Name: "inventory"}}}, nil)
	inc := prunella.Incident{ID: "inc-1", State: prunella.Open, Onset: at, Statuses: []string{"5xx"}, Impact: []prunella.Impact{{Service: "inventory", Since: at}}}
	for status, want := range map[string]correlate.Do{"5xx": correlate.Join, "401": correlate.Open} {
		f := prunella.Finding{Rule: prunella.RuleErrorRate, Service: "gateway", Status: status, Onset: at.Add(time.Second), Time: at.Add(2 * time.Second)}
		if d := correlate.Assign(f, []prunella.Incident{inc}, g, at.Add(2*time.Second), correlate.Default()); d.Do != want {
			t.Errorf("%s: %s (%s), want %s", status, d.Do, d.Reason.Text, want)
		}
	}
}
