package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/store"
)

var t0 = time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind prunella.Kind) {
	t.Helper()
	if prunella.KindOf(err) != kind {
		t.Errorf("error %v is %q, want %q", err, prunella.KindOf(err), kind)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func incident(t *testing.T, s *store.Store, id prunella.IncidentID) {
	t.Helper()
	must(t, s.Commit(t.Context(), store.Batch{Updates: []store.IncidentUpdate{{Create: &prunella.Incident{
		ID: id, Title: "401 errors in user", State: prunella.Open, OpenedAt: t0, UpdatedAt: t0, Pattern: prunella.Match{Pattern: prunella.Unknown}}}}}))
}

func signals(prefix string, n int) (out []prunella.Signal) {
	for i := range n {
		out = append(out, prunella.Signal{ID: prunella.SignalID(fmt.Sprint(prefix, i)), Kind: prunella.KindLog, Service: "user", Time: t0.Add(time.Duration(i) * time.Second), Body: "rejected"})
	}
	return out
}

// conformance is what every engine must do; open returns an empty store.
func conformance(t *testing.T, open func(t *testing.T) *store.Store) {
	for name, test := range map[string]func(*testing.T, *store.Store){
		"redelivered batch changes nothing": testRedelivery,
		"a failed batch changes nothing":    testRollback,
		"signals are counted once":          testCounting,
		"incidents are selected":            testIncidents,
		"concurrent updates":                testConcurrent,
		"leases and fences":                 testLeases,
		"runs":                              testRuns,
		"approvals":                         testApprovals,
		"outbox":                            testOutbox,
		"log search":                        testLogs,
		"log rings":                         testRings,
		"changes and single signals":        testChanges,
		"series":                            testSeries,
		"key board":                         testBoard,
		"outcomes and reports":              testLearning,
		"prune":                             testPrune,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func testRedelivery(t *testing.T, s *store.Store) {
	batch := func() store.Batch {
		return store.Batch{
			Updates: []store.IncidentUpdate{{Create: &prunella.Incident{ID: "inc-1", State: prunella.Open, Signals: 99},
				Apply: func(i *prunella.Incident) error {
					i.Recurrences++
					i.Title = fmt.Sprint(i.Signals, " signals")
					return nil
				},
				Events: []prunella.Event{{At: t0, Text: "opened"}}}},
			Linked:        map[prunella.IncidentID][]prunella.Signal{"inc-1": signals("s", 3)},
			Changes:       []prunella.Signal{{ID: "c", Kind: prunella.KindChange, Time: t0}},
			Logs:          signals("s", 3),
			NewRuns:       []prunella.Run{{ID: "run-1", Incident: "inc-1"}},
			Approvals:     []prunella.Approval{{ID: "a", Incident: "inc-1"}},
			Notifications: []prunella.Notification{{ID: "n", Incident: "inc-1", Created: t0}},
			Points:        []prunella.SeriesPoint{{Name: "requests", Service: "user", At: t0, Value: 2}},
			Outcomes:      []prunella.Outcome{{Skill: "x", Kind: "run", Ref: "run-1", At: t0}},
			State:         map[string][]byte{"seq": []byte("7")},
		}
	}
	look := func() []any {
		inc, err := s.Incident(t.Context(), "inc-1")
		must(t, err)
		events, _ := s.Events(t.Context(), "inc-1")
		linked, total, _ := s.SignalsOf(t.Context(), "inc-1", 0, 0)
		changes, _ := s.Changes(t.Context(), t0)
		found, _ := s.SearchLogs(t.Context(), store.LogQuery{})
		runs, _ := s.Runs(t.Context(), "inc-1")
		approvals, _ := s.Approvals(t.Context(), "inc-1")
		notes, _ := s.Notifications(t.Context(), "inc-1")
		points, _ := s.Series(t.Context(), "requests", "", t0, t0)
		outcomes, _ := s.Outcomes(t.Context(), "")
		return []any{inc, events, linked, total, changes, found, runs, approvals, notes, points, outcomes}
	}
	must(t, s.Commit(t.Context(), batch()))
	first := look()
	inc := first[0].(prunella.Incident)
	if inc.Signals != 3 || inc.Title != "3 signals" || inc.Recurrences != 1 {
		t.Errorf("after the first: %+v", inc)
	}
	for i, v := range first[1:3] {
		if fmt.Sprint(v) == "[]" {
			t.Errorf("part %d of the batch is missing", i)
		}
	}
	must(t, s.Commit(t.Context(), batch()))
	same(t, "after the second", look(), first)
}

func testRollback(t *testing.T, s *store.Store) {
	mine := errors.New("mine")
	err := s.Commit(t.Context(), store.Batch{
		Updates: []store.IncidentUpdate{{Create: &prunella.Incident{ID: "inc-1"}, Apply: func(*prunella.Incident) error { return mine }}},
		State:   map[string][]byte{"x": []byte("1")}, Logs: signals("s", 1),
	})
	if err != mine {
		t.Errorf("got %v, want the function's own error", err)
	}
	wantKind(t, s.Commit(t.Context(), store.Batch{State: map[string][]byte{"x": []byte("1")}, Linked: map[prunella.IncidentID][]prunella.Signal{"inc-9": signals("s", 1)}}), prunella.NotFound)
	wantKind(t, s.Commit(t.Context(), store.Batch{State: map[string][]byte{"x": []byte("1")}, Updates: []store.IncidentUpdate{{ID: "inc-9"}}}), prunella.NotFound)
	wantKind(t, s.Commit(t.Context(), store.Batch{State: map[string][]byte{"x": []byte("1")}, Changes: []prunella.Signal{{}}}), prunella.Invalid)
	_, err = s.LoadState(t.Context(), "x")
	wantKind(t, err, prunella.NotFound)
	_, err = s.Incident(t.Context(), "inc-1")
	wantKind(t, err, prunella.NotFound)
	_, err = s.Signal(t.Context(), "s0")
	wantKind(t, err, prunella.NotFound)
}

func testCounting(t *testing.T, s *store.Store) {
	incident(t, s, "inc-1")
	incident(t, s, "inc-2")
	link := func(id prunella.IncidentID, list []prunella.Signal) {
		must(t, s.Commit(t.Context(), store.Batch{Linked: map[prunella.IncidentID][]prunella.Signal{id: list}}))
	}
	link("inc-1", signals("s", 4))
	link("inc-1", append(signals("s", 6), signals("s", 2)...))
	link("inc-2", signals("s", 2)) // evidence of both
	for id, want := range map[prunella.IncidentID]int{"inc-1": 6, "inc-2": 2} {
		inc, err := s.UpdateIncident(t.Context(), id, func(i *prunella.Incident) error { i.Signals = 1000; return nil })
		must(t, err)
		page, total, err := s.SignalsOf(t.Context(), id, 2, 1)
		must(t, err)
		if inc.Signals != want || total != want {
			t.Errorf("%s has %d signals and %d links, want %d", id, inc.Signals, total, want)
		}
		if page[0].ID != "s1" {
			t.Errorf("the page of %s begins with %s", id, page[0].ID)
		}
	}
}

func testIncidents(t *testing.T, s *store.Store) {
	for i, state := range []prunella.State{prunella.Open, prunella.Healing, prunella.Resolved, prunella.Escalated} {
		at := t0.Add(time.Duration(i) * time.Hour)
		_, err := s.SaveWith(t.Context(), store.IncidentUpdate{Create: &prunella.Incident{ID: prunella.IncidentID(fmt.Sprint("inc-", i)), State: state, OpenedAt: at, UpdatedAt: at,
			Pattern: prunella.Match{Pattern: fmt.Sprint("p", i%2)}}})
		must(t, err)
	}
	_, err := s.SaveWith(t.Context(), store.IncidentUpdate{Create: &prunella.Incident{ID: "inc-0"}})
	wantKind(t, err, prunella.Conflict)
	_, err = s.UpdateIncident(t.Context(), "inc-0", func(i *prunella.Incident) error { i.DueAt = t0; i.State = prunella.Diagnosing; return nil })
	must(t, err)
	for _, c := range []struct {
		f    store.IncidentFilter
		want string
	}{
		{store.IncidentFilter{}, "[inc-3 inc-2 inc-1 inc-0]"},
		{store.IncidentFilter{Limit: 2}, "[inc-3 inc-2]"},
		{store.IncidentFilter{Open: true}, "[inc-3 inc-1 inc-0]"},
		{store.IncidentFilter{States: []prunella.State{prunella.Diagnosing, prunella.Healing}}, "[inc-1 inc-0]"},
		{store.IncidentFilter{Since: t0.Add(2 * time.Hour)}, "[inc-3 inc-2]"},
		{store.IncidentFilter{DueBefore: t0}, "[inc-0]"},
		{store.IncidentFilter{DueBefore: t0.Add(-1)}, "[]"},
		{store.IncidentFilter{Pattern: "p1", Open: true}, "[inc-3 inc-1]"},
	} {
		list, err := s.Incidents(t.Context(), c.f)
		must(t, err)
		ids := []prunella.IncidentID{}
		for _, i := range list {
			ids = append(ids, i.ID)
		}
		if fmt.Sprint(ids) != c.want {
			t.Errorf("%+v selects %v, want %s", c.f, ids, c.want)
		}
	}
}

func testConcurrent(t *testing.T, s *store.Store) {
	incident(t, s, "inc-1")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				_, err := s.UpdateIncident(t.Context(), "inc-1", func(i *prunella.Incident) error { i.Attempts++; return nil }, prunella.Event{At: t0})
				if err != nil {
					t.Error(err)
				}
				if _, err := s.Incident(t.Context(), "inc-1"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	inc, err := s.Incident(t.Context(), "inc-1")
	must(t, err)
	events, err := s.Events(t.Context(), "inc-1")
	must(t, err)
	if inc.Attempts != 80 || len(events) != 80 {
		t.Errorf("%d updates and %d events of 80", inc.Attempts, len(events))
	}
}

func testLeases(t *testing.T, s *store.Store) {
	acquire := func(name, owner string, at time.Duration) (int64, bool) {
		t.Helper()
		f, ok, err := s.AcquireLease(t.Context(), name, owner, t0.Add(at), time.Minute)
		must(t, err)
		return f, ok
	}
	a, ok := acquire("l", "a", 0)
	if !ok {
		t.Fatal("a free lease was refused")
	}
	if _, ok := acquire("l", "b", time.Minute-1); ok {
		t.Error("a held lease was given away")
	}
	must(t, s.RenewLease(t.Context(), "l", a, t0.Add(30*time.Second), time.Minute))
	if _, ok := acquire("l", "b", time.Minute); ok {
		t.Error("a renewed lease was given away")
	}
	b, ok := acquire("l", "b", 90*time.Second)
	if !ok || b <= a {
		t.Fatalf("an expired lease: %v, fence %d after %d", ok, b, a)
	}
	wantKind(t, s.RenewLease(t.Context(), "l", a, t0.Add(91*time.Second), time.Minute), prunella.Conflict)
	must(t, s.ReleaseLease(t.Context(), "l", a)) // lost already: b keeps it
	if _, ok := acquire("l", "c", 91*time.Second); ok {
		t.Error("the former holder released its successor's lease")
	}
	must(t, s.ReleaseLease(t.Context(), "l", b))
	c, ok := acquire("l", "c", 91*time.Second)
	if !ok || c <= b {
		t.Errorf("a released lease: %v, fence %d after %d", ok, c, b)
	}
	again, ok := acquire("l", "c", 92*time.Second)
	if !ok || again <= c {
		t.Errorf("its own lease again: %v, fence %d after %d", ok, again, c)
	}
	other, ok := acquire("other", "a", 92*time.Second)
	if !ok || other <= again {
		t.Errorf("another lease: %v, fence %d after %d", ok, other, again)
	}
}

func testRuns(t *testing.T, s *store.Store) {
	incident(t, s, "inc-1")
	run := prunella.Run{ID: "run-1", Incident: "inc-1", Created: t0, State: prunella.RunProposed,
		Steps: []prunella.Step{{Name: "restart", Params: map[string]any{"deployment": "user"}}}}
	must(t, s.CreateRun(t.Context(), run, store.IncidentUpdate{ID: "inc-1", Apply: func(i *prunella.Incident) error { i.State = prunella.AwaitingApproval; return nil }},
		&prunella.Approval{ID: "a-1", Incident: "inc-1", Run: "run-1", Hash: "h"}, []prunella.Notification{{ID: "n-1", Incident: "inc-1", Created: t0}}))
	got, err := s.Run(t.Context(), "run-1")
	must(t, err)
	same(t, "run", got, run)
	inc, _ := s.Incident(t.Context(), "inc-1")
	approvals, _ := s.Approvals(t.Context(), "inc-1")
	if inc.State != prunella.AwaitingApproval || len(approvals) != 1 {
		t.Errorf("state %s, %d approvals", inc.State, len(approvals))
	}
	wantKind(t, s.CreateRun(t.Context(), prunella.Run{ID: "run-2", Incident: "inc-9"}, store.IncidentUpdate{}, nil, nil), prunella.NotFound)

	first, _, err := s.AcquireLease(t.Context(), "inc-1", "a", t0, time.Second)
	must(t, err)
	intend := func(r *prunella.Run) error { r.Steps[0].State = prunella.StepIntended; return nil }
	_, err = s.UpdateRun(t.Context(), "run-1", first, intend, prunella.Event{At: t0, Kind: "step", Text: "restarting user"})
	must(t, err)
	second, _, err := s.AcquireLease(t.Context(), "inc-1", "b", t0.Add(time.Second), time.Second)
	must(t, err)
	done := func(r *prunella.Run) error { r.Steps[0].State = prunella.StepDone; return nil }
	_, err = s.UpdateRun(t.Context(), "run-1", first, done, prunella.Event{At: t0, Text: "from the dead"})
	wantKind(t, err, prunella.Conflict)
	wantKind(t, s.Commit(t.Context(), store.Batch{Runs: []store.RunUpdate{{ID: "run-1", Fence: 0, Apply: done}}}), prunella.Conflict)
	if got, _ = s.Run(t.Context(), "run-1"); got.Steps[0].State != prunella.StepIntended {
		t.Errorf("a worker without the lease wrote: %s", got.Steps[0].State)
	}
	got, err = s.UpdateRun(t.Context(), "run-1", second, done)
	must(t, err)
	if got.Steps[0].State != prunella.StepDone {
		t.Errorf("step is %s", got.Steps[0].State)
	}
	_, err = s.UpdateRun(t.Context(), "run-9", second, done)
	wantKind(t, err, prunella.NotFound)
	events, _ := s.Events(t.Context(), "inc-1")
	if len(events) != 1 || events[0].Incident != "inc-1" {
		t.Errorf("events %+v", events)
	}
	recent, err := s.RecentRuns(t.Context(), t0)
	if err != nil || len(recent) != 1 {
		t.Errorf("recent %v, %v", recent, err)
	}
	if recent, _ = s.RecentRuns(t.Context(), t0.Add(1)); len(recent) != 0 {
		t.Errorf("later than recent: %v", recent)
	}
}
