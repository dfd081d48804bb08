package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"prunella"
	"prunella/store"
)

func testApprovals(t *testing.T, s *store.Store) {
	for _, id := range []string{"a", "b", "c"} {
		incident(t, s, prunella.IncidentID("inc-"+id))
		must(t, s.CreateApproval(t.Context(), prunella.Approval{ID: id, Incident: prunella.IncidentID("inc-" + id), Hash: "h", Asked: t0, Expires: t0.Add(time.Hour)}))
	}
	wantKind(t, s.CreateApproval(t.Context(), prunella.Approval{ID: "x", Incident: "inc-9"}), prunella.NotFound)
	refuse := func(id, hash, decision string, at time.Duration, kind prunella.Kind) {
		t.Helper()
		_, err := s.DecideApproval(t.Context(), id, hash, decision, "sam", "", t0.Add(at), store.IncidentUpdate{})
		wantKind(t, err, kind)
	}
	refuse("z", "h", store.Approved, 0, prunella.NotFound)
	refuse("a", "h", "perhaps", 0, prunella.Invalid)
	refuse("a", "other", store.Approved, 0, prunella.Conflict)
	refuse("a", "h", store.Approved, time.Hour, prunella.Conflict)
	refuse("a", "h", store.Expired, time.Minute, prunella.Conflict)
	got, err := s.DecideApproval(t.Context(), "a", "h", store.Denied, "sam", "not now", t0.Add(time.Minute), store.IncidentUpdate{})
	must(t, err)
	if got.Decision != store.Denied || got.By != "sam" || got.Note != "not now" || !got.Decided.Equal(t0.Add(time.Minute)) {
		t.Errorf("%+v", got)
	}
	refuse("a", "h", store.Approved, time.Minute, prunella.Conflict)
	if stored, _ := s.Approval(t.Context(), "a"); stored != got {
		t.Errorf("stored %+v", stored)
	}
	_, err = s.DecideApproval(t.Context(), "b", "h", store.Expired, "", "", t0.Add(time.Hour), store.IncidentUpdate{})
	must(t, err)

	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			decision := []string{store.Approved, store.Denied}[i%2]
			if _, err := s.DecideApproval(t.Context(), "c", "h", decision, fmt.Sprint(i), "", t0, store.IncidentUpdate{}); err == nil {
				won.Add(1)
			} else {
				wantKind(t, err, prunella.Conflict)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("decided %d times", won.Load())
	}

	// The incident is judged and changed with the answer, or neither is.
	incident(t, s, "inc-d")
	for i, id := range []string{"d", "e"} {
		must(t, s.CreateApproval(t.Context(), prunella.Approval{ID: id, Incident: "inc-d", Run: prunella.RunID("run-" + id), Hash: "h", Asked: t0.Add(time.Duration(i)), Expires: t0.Add(time.Hour)}))
	}
	refuse("d", "h", store.Approved, time.Minute, prunella.Conflict) // another was asked since
	no := errors.New("a person has it")
	_, err = s.DecideApproval(t.Context(), "e", "h", store.Approved, "sam", "", t0, store.IncidentUpdate{Apply: func(*prunella.Incident) error { return no }})
	if stored, _ := s.Approval(t.Context(), "e"); !errors.Is(err, no) || stored.Decision != "" {
		t.Errorf("refused with %v, and stored is %+v", err, stored)
	}
	_, err = s.DecideApproval(t.Context(), "e", "h", store.Approved, "sam", "", t0, store.IncidentUpdate{Apply: func(i *prunella.Incident) error { i.Title = "yes"; return nil }})
	must(t, err)
	if inc, err := s.Incident(t.Context(), "inc-d"); err != nil || inc.Title != "yes" {
		t.Errorf("the incident is %q, %v", inc.Title, err)
	}

	// A person's word reaches every run and question of an incident, and no other.
	for id, inc := range map[prunella.RunID]prunella.IncidentID{"run-d": "inc-d", "run-e": "inc-d", "run-c": "inc-c"} {
		must(t, s.CreateRun(t.Context(), prunella.Run{ID: id, Incident: inc, State: prunella.RunRunning, Created: t0}, store.IncidentUpdate{}, nil, nil))
	}
	_, err = s.SaveWith(t.Context(), store.IncidentUpdate{ID: "inc-d",
		EachApproval: func(a *prunella.Approval) bool { a.Note = "taken"; return a.ID == "d" },
		EachRun:      func(r *prunella.Run) bool { r.State = prunella.RunFailed; return r.ID != "run-e" }})
	must(t, err)
	for id, want := range map[prunella.RunID]prunella.RunState{"run-d": prunella.RunFailed, "run-e": prunella.RunRunning, "run-c": prunella.RunRunning} {
		if r, err := s.Run(t.Context(), id); err != nil || r.State != want {
			t.Errorf("%s is %s, %v", id, r.State, err)
		}
	}
	for id, want := range map[string]string{"d": "taken", "e": "", "c": ""} {
		if a, err := s.Approval(t.Context(), id); err != nil || a.Note != want {
			t.Errorf("%s: %q, %v", id, a.Note, err)
		}
	}
}

func testOutbox(t *testing.T, s *store.Store) {
	must(t, s.Enqueue(t.Context(), prunella.Notification{ID: "a", Created: t0, Text: "first"}, prunella.Notification{ID: "b", Created: t0, NextTry: t0.Add(time.Minute)},
		prunella.Notification{ID: "c", Incident: "inc-1", Created: t0.Add(time.Second)}))
	must(t, s.Enqueue(t.Context(), prunella.Notification{ID: "a", Created: t0, Text: "second"}))
	due := func(at time.Duration, want string) {
		t.Helper()
		list, err := s.DueNotifications(t.Context(), t0.Add(at), 10)
		must(t, err)
		ids := ""
		for _, n := range list {
			ids += n.ID
		}
		if ids != want {
			t.Errorf("due after %s: %q, want %q", at, ids, want)
		}
	}
	due(0, "a")
	due(time.Minute, "acb")
	must(t, s.MarkNotification(t.Context(), "a", time.Time{}, t0.Add(2*time.Minute), "refused"))
	due(time.Minute, "cb")
	due(2*time.Minute, "cba")
	must(t, s.MarkNotification(t.Context(), "a", t0.Add(2*time.Minute), time.Time{}, ""))
	must(t, s.MarkNotification(t.Context(), "b", time.Time{}, time.Time{}, "given up"))
	due(time.Hour, "c")
	wantKind(t, s.MarkNotification(t.Context(), "z", t0, time.Time{}, ""), prunella.NotFound)
	mine, err := s.Notifications(t.Context(), "inc-1")
	must(t, err)
	if len(mine) != 1 || mine[0].ID != "c" {
		t.Errorf("of the incident: %v", mine)
	}
	all, _ := s.Notifications(t.Context(), "")
	if len(all) != 2 || all[0].Text != "first" || all[0].Tries != 2 || all[0].Sent.IsZero() || all[1].LastErr != "given up" {
		t.Errorf("%+v", all)
	}
}

func testLogs(t *testing.T, s *store.Store) {
	var logs []prunella.Signal
	for i, body := range []string{"Unable to find  a signing key", "ok 200", "kid\tmismatch: k-2", "100% of requests unauthorized"} {
		logs = append(logs, prunella.Signal{ID: prunella.SignalID(fmt.Sprint(i)), Service: "user", Time: t0.Add(time.Duration(i) * time.Minute), Body: body})
	}
	must(t, s.Commit(t.Context(), store.Batch{Logs: logs}))
	for _, c := range []struct {
		q              store.LogQuery
		ids            string
		matched, total int
	}{
		{store.LogQuery{}, "3210", 4, 4},
		{store.LogQuery{Limit: 1}, "3", 4, 4},
		{store.LogQuery{Any: []string{"kid mismatch", "UNABLE to find a"}}, "20", 2, 4},
		{store.LogQuery{Any: []string{"100%"}}, "3", 1, 4},
		{store.LogQuery{Regex: `k-\d`, Any: []string{"ok"}}, "21", 2, 4},
		{store.LogQuery{Regex: `^Unable to find  a`}, "0", 1, 4},
		{store.LogQuery{Since: t0.Add(time.Minute), Until: t0.Add(2 * time.Minute)}, "21", 2, 2},
		{store.LogQuery{Any: []string{"nowhere"}}, "", 0, 4},
	} {
		r, err := s.SearchLogs(t.Context(), c.q)
		must(t, err)
		ids := ""
		for _, sig := range r.Signals {
			ids += string(sig.ID)
		}
		if ids != c.ids || r.Matched != c.matched || r.Total != c.total {
			t.Errorf("%+v: %q, %d of %d; want %q, %d of %d", c.q, ids, r.Matched, r.Total, c.ids, c.matched, c.total)
		}
	}
	_, err := s.SearchLogs(t.Context(), store.LogQuery{Regex: "(?<!x)"})
	wantKind(t, err, prunella.Invalid)
}

func testRings(t *testing.T, s *store.Store) {
	write := func(service string, from, n int) {
		var logs []prunella.Signal
		for i := range n {
			logs = append(logs, prunella.Signal{ID: prunella.SignalID(fmt.Sprint(service, from+i)), Service: service, Time: t0.Add(time.Duration(from+i) * time.Second), Body: "x"})
		}
		must(t, s.Commit(t.Context(), store.Batch{Logs: logs}))
	}
	write("quiet", 0, 10)
	for i := range 4 {
		write("busy", i*1000, 1000)
	}
	r, err := s.SearchLogs(t.Context(), store.LogQuery{Limit: 100_000})
	must(t, err)
	if r.Total != store.RingPerService+10 {
		t.Errorf("%d lines are kept, want the last %d of the busy service and 10 of the quiet one", r.Total, store.RingPerService)
	}
	if r.Signals[0].ID != "busy3999" {
		t.Errorf("the newest is %s", r.Signals[0].ID)
	}
	for i := range 24 {
		write(fmt.Sprint("invented", i), 0, 1000)
	}
	if r, err = s.SearchLogs(t.Context(), store.LogQuery{Limit: 1}); err != nil || r.Total > store.RingTotal {
		t.Errorf("%d lines of invented services are kept, %v", r.Total, err)
	}
}

func testChanges(t *testing.T, s *store.Store) {
	change := prunella.Signal{ID: "c1", Kind: prunella.KindChange, Name: prunella.ChangeSigner, Service: "auth", Time: t0, Received: t0,
		Attributes: map[string]string{"kid": "k-2"}, Metric: &prunella.Metric{Value: 1.5, Start: t0}}
	must(t, s.Commit(t.Context(), store.Batch{Changes: []prunella.Signal{{ID: "c2", Kind: prunella.KindChange, Time: t0.Add(time.Minute)}, change}, Logs: signals("log", 1)}))
	incident(t, s, "inc-1")
	must(t, s.Commit(t.Context(), store.Batch{Linked: map[prunella.IncidentID][]prunella.Signal{"inc-1": {change, signals("s", 1)[0]}}}))
	list, err := s.Changes(t.Context(), t0)
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("%d changes", len(list))
	}
	same(t, "change", list[0], change)
	if list, _ = s.Changes(t.Context(), t0.Add(1)); len(list) != 1 || list[0].ID != "c2" {
		t.Errorf("later changes %v", list)
	}
	for _, id := range []prunella.SignalID{"c1", "s0", "log0"} {
		if sig, err := s.Signal(t.Context(), id); err != nil || sig.ID != id {
			t.Errorf("signal %s: %v, %v", id, sig.ID, err)
		}
	}
	_, err = s.Signal(t.Context(), "nowhere")
	wantKind(t, err, prunella.NotFound)
}

func testSeries(t *testing.T, s *store.Store) {
	var points []prunella.SeriesPoint
	for i := range 5 {
		for _, service := range []string{"order", "user"} {
			points = append(points, prunella.SeriesPoint{Name: "errors.401", Service: service, At: t0.Add(time.Duration(i) * time.Second), Value: float64(i)})
		}
	}
	must(t, s.Commit(t.Context(), store.Batch{Points: points}))
	must(t, s.Commit(t.Context(), store.Batch{Points: []prunella.SeriesPoint{{Name: "errors.401", Service: "user", At: t0.Add(4 * time.Second), Value: 40}}}))
	got, err := s.Series(t.Context(), "errors.401", "user", t0.Add(3*time.Second), time.Time{})
	must(t, err)
	same(t, "series", got, []prunella.SeriesPoint{{Name: "errors.401", Service: "user", At: t0.Add(3 * time.Second), Value: 3},
		{Name: "errors.401", Service: "user", At: t0.Add(4 * time.Second), Value: 40}})
	if got, _ = s.Series(t.Context(), "errors.401", "", t0, t0.Add(time.Second)); len(got) != 4 {
		t.Errorf("%d points of every service", len(got))
	}
}

func testBoard(t *testing.T, s *store.Store) {
	cell := prunella.TrustCell{Service: "user", Issuer: "auth", Kid: "k-2", Trust: prunella.Trusts, At: t0, ClockOffset: time.Second}
	must(t, s.PutTrust(t.Context(), []prunella.TrustCell{cell}))
	later := cell
	later.Trust, later.At = prunella.Rejects, t0.Add(time.Minute)
	must(t, s.PutTrust(t.Context(), []prunella.TrustCell{later, cell})) // the second is out of date
	got, err := s.Trust(t.Context())
	must(t, err)
	later.LastTrusted = t0
	same(t, "board", got, []prunella.TrustCell{later})

	set := prunella.KeySet{Issuer: "auth", At: t0, Signer: "k-2", Keys: []prunella.PublicKey{{Kid: "k-2", Published: true}}}
	must(t, s.PutKeySet(t.Context(), set))
	must(t, s.PutKeySet(t.Context(), prunella.KeySet{Issuer: "auth", At: t0.Add(-time.Minute)}))
	sets, err := s.KeySets(t.Context())
	must(t, err)
	same(t, "key sets", sets, []prunella.KeySet{set})
}

func testLearning(t *testing.T, s *store.Store) {
	o := prunella.Outcome{Skill: "rotation", Version: "1.0.0", Kind: "run", Ref: "run-1", At: t0, X: 1}
	must(t, s.AddOutcome(t.Context(), o))
	o.X = 0 // it came back: the later word counts
	must(t, s.AddOutcome(t.Context(), o))
	must(t, s.AddOutcome(t.Context(), prunella.Outcome{Skill: "other", Kind: "run", Ref: "run-1", At: t0}))
	got, err := s.Outcomes(t.Context(), "rotation")
	must(t, err)
	same(t, "outcomes", got, []prunella.Outcome{o})
	wantKind(t, s.AddOutcome(t.Context(), prunella.Outcome{Skill: "rotation"}), prunella.Invalid)

	for i := range 3 {
		must(t, s.PutReport(t.Context(), prunella.Report{ID: fmt.Sprint(i), Started: t0.Add(time.Duration(i) * time.Hour), Status: prunella.Failed}))
	}
	must(t, s.PutReport(t.Context(), prunella.Report{ID: "1", Started: t0.Add(time.Hour), Status: prunella.Passed}))
	list, err := s.Reports(t.Context(), 2)
	must(t, err)
	if len(list) != 2 || list[0].ID != "2" || list[1].Status != prunella.Passed {
		t.Errorf("%+v", list)
	}
	_, err = s.Report(t.Context(), "9")
	wantKind(t, err, prunella.NotFound)
}

func testPrune(t *testing.T, s *store.Store) {
	old := t0.Add(-48 * time.Hour)
	for id, state := range map[prunella.IncidentID]prunella.State{"inc-old": prunella.Resolved, "inc-held": prunella.Escalated} {
		sig := prunella.Signal{ID: "s-" + prunella.SignalID(id), Time: old}
		must(t, s.Commit(t.Context(), store.Batch{
			Updates: []store.IncidentUpdate{{Create: &prunella.Incident{ID: id, State: state, OpenedAt: old, UpdatedAt: old}, Events: []prunella.Event{{At: old}}}},
			Linked:  map[prunella.IncidentID][]prunella.Signal{id: {sig}},
			NewRuns: []prunella.Run{{ID: "run-" + prunella.RunID(id), Incident: id, Created: old}},
		}))
	}
	must(t, s.Commit(t.Context(), store.Batch{
		Logs:    []prunella.Signal{{ID: "l-old", Time: old}, {ID: "l-new", Time: t0}},
		Changes: []prunella.Signal{{ID: "c-old", Kind: prunella.KindChange, Time: old}, {ID: "c-new", Kind: prunella.KindChange, Time: t0}},
		Points:  []prunella.SeriesPoint{{Name: "n", At: old}, {Name: "n", At: t0}},
	}))
	must(t, s.Prune(t.Context(), t0.Add(-24*time.Hour)))

	_, err := s.Incident(t.Context(), "inc-old")
	wantKind(t, err, prunella.NotFound)
	_, err = s.Run(t.Context(), "run-inc-old")
	wantKind(t, err, prunella.NotFound)
	_, err = s.Signal(t.Context(), "s-inc-old")
	wantKind(t, err, prunella.NotFound)
	inc, err := s.Incident(t.Context(), "inc-held")
	must(t, err)
	if _, total, _ := s.SignalsOf(t.Context(), "inc-held", 0, 0); total != 1 || inc.Signals != 1 {
		t.Errorf("an incident that a person holds lost its evidence: %d links", total)
	}
	changes, _ := s.Changes(t.Context(), time.Time{})
	logs, _ := s.SearchLogs(t.Context(), store.LogQuery{})
	points, _ := s.Series(t.Context(), "n", "", time.Time{}, time.Time{})
	if len(changes) != 1 || logs.Total != 1 || len(points) != 1 {
		t.Errorf("left: %d changes, %d lines, %d points; want the new one of each", len(changes), logs.Total, len(points))
	}
}
