package app

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"prunella"
	"prunella/correlate"
	"prunella/store"
)

// A plan for three services waits for a yes when a second incident is opened,
// which looked like something else. Its diagnosis finds the same cause: it is
// closed as one with the first, nobody is asked about it, what still fails of it
// belongs to the first, and the plan is made anew for all of them.
func TestTwoIncidentsOfOneCauseBecomeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := watch(t, shippedSkills(t), correlate.Default())
		s, w := x.s, x.w
		x.last(4 * time.Minute)
		x.tell(w.rotate())
		x.fail("order", "payment", "user")
		x.last(3 * time.Minute)
		older := only(t, s)
		if older.State != prunella.AwaitingApproval {
			t.Fatalf("the older one: %s (%s)", older.State, older.StateReason.Text)
		}

		younger := prunella.Incident{ID: "inc-younger", Title: "401 errors in search", State: prunella.Open, Severity: prunella.High, Onset: w.now, OpenedAt: w.now,
			UpdatedAt: w.now, Live: true, Statuses: []string{"401"}, Tokens: []string{"says:signature"}, StateAt: map[prunella.State]time.Time{prunella.Open: w.now},
			Pattern: prunella.Match{Pattern: prunella.Unknown}, Impact: []prunella.Impact{{Service: "search", Share: 0.6, Since: w.now}}}
		if err := s.Commit(t.Context(), store.Batch{Updates: []store.IncidentUpdate{{Create: &younger}}}); err != nil {
			t.Fatal(err)
		}
		x.fail("search")
		x.last(2 * time.Minute)

		closed, err := s.Incident(t.Context(), younger.ID)
		if err != nil || closed.State != prunella.Resolved || closed.StateReason.Name != correlate.Merged || !strings.Contains(closed.StateReason.Text, string(older.ID)) || len(closed.Causes) == 0 {
			t.Fatalf("the younger one is %s (%s), %v", closed.State, closed.StateReason.Text, err)
		}
		if runs, err := s.Runs(t.Context(), younger.ID); err != nil || len(runs) > 0 {
			t.Errorf("something was planned for it: %+v, %v", runs, err)
		}
		notes, err := s.Notifications(t.Context(), younger.ID)
		if err != nil || len(notes) != 1 || notes[0].Kind != "resolved" || !strings.Contains(notes[0].Text, string(older.ID)) {
			t.Errorf("what is told of it: %+v, %v", notes, err)
		}
		open, err := s.OpenIncidents(t.Context())
		if err != nil || len(open) != 1 || open[0].ID != older.ID || !slices.ContainsFunc(open[0].Impact, func(i prunella.Impact) bool { return i.Service == "search" }) {
			t.Fatalf("open are %+v, %v", open, err)
		}
		runs, err := s.Runs(t.Context(), older.ID)
		if err != nil || len(runs) == 0 || !slices.Contains(runs[len(runs)-1].Services, "search") {
			t.Errorf("the plan that waits is not for all of them: %+v, %v", runs, err)
		}
		events, err := s.Events(t.Context(), older.ID)
		if err != nil || !slices.ContainsFunc(events, func(e prunella.Event) bool {
			return e.Reason.Name == correlate.Merged && strings.Contains(e.Text, string(younger.ID))
		}) {
			t.Errorf("the older one's timeline does not tell of the other: %v", err)
		}
	})
}
