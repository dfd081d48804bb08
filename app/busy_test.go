package app

import (
	"slices"
	"testing"
	"time"

	"prunella"
	"prunella/engine"
	"prunella/store"
)

// Two approved heals of one target, started in the same tick: the second waits
// until the first has its verdict, says why, and then runs.
func TestOneTargetIsChangedByOneRunAtATime(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close()
	target := newSlowTarget(t)
	t.Cleanup(func() { close(target.answer) })
	now := time.Now()
	var b store.Batch
	for _, n := range []string{"1", "2"} {
		inc := prunella.Incident{ID: prunella.IncidentID("inc-" + n), State: prunella.AwaitingApproval, Severity: prunella.High, Onset: now, OpenedAt: now,
			StateAt: map[prunella.State]time.Time{prunella.AwaitingApproval: now}}
		run := prunella.Run{ID: prunella.RunID("run-" + n), Incident: inc.ID, Hash: "h", State: prunella.RunProposed, Created: now, Steps: []prunella.Step{{
			Name: "tell the target", Action: "http.request", Params: map[string]any{"method": "POST", "url": target.URL}, Target: "deployment/payment",
			Effect: prunella.Irreversible, State: prunella.StepPlanned, Attempts: 1, Timeout: time.Minute, OnFailure: "escalate", Key: "run-" + n + "-0"}}}
		b.Updates = append(b.Updates, store.IncidentUpdate{Create: &inc})
		b.NewRuns = append(b.NewRuns, run)
		b.Approvals = append(b.Approvals, prunella.Approval{ID: "apr-" + n, Incident: inc.ID, Run: run.ID, Hash: "h", Asked: now, Expires: now.Add(time.Hour),
			Decision: store.Approved, By: "kim", Decided: now})
	}
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	_, stop := running(nodeWith(engine.Config{TimeScale: 10, Hold: time.Second, VerifyBudget: time.Second}, s, world(t)))
	defer stop()
	<-target.arrived
	at := func(state prunella.State) []prunella.Incident {
		all, err := s.OpenIncidents(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(all, func(i prunella.Incident) bool { return i.State != state })
	}
	deadline(t, "the second to say what it waits for", func() bool {
		waiting := at(prunella.AwaitingApproval)
		return len(waiting) == 1 && waiting[0].StateReason.Name == "target-busy"
	})
	if n := target.requests.Load(); n != 1 {
		t.Fatalf("the target was told %d times at once", n)
	}
	target.answer <- struct{}{}
	deadline(t, "the first to be judged and the second to begin", func() bool { return target.requests.Load() == 2 })
	if first := at(prunella.Escalated); len(first) != 1 { // nothing was observed: unknown
		t.Errorf("the second began while the first was not judged: %+v", first)
	}
	target.answer <- struct{}{}
	deadline(t, "the second to be done", func() bool { return len(at(prunella.Escalated)) == 2 })
}
