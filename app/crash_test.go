package app

import (
	"context"
	"slices"
	"testing"
	"time"

	"prunella"
	"prunella/action"
	"prunella/client"
	"prunella/engine"
	"prunella/store"
)

// A run that a crash left behind ends when a person resolves its incident: it
// is shown as running nowhere, and its step as what it is, not known.
func TestAPersonsWordEndsWhatACrashLeft(t *testing.T) {
	now := time.Now()
	inc := prunella.Incident{ID: "inc-1", State: prunella.Escalated, Onset: now, OpenedAt: now}
	cut := prunella.Run{ID: "run-1", Incident: inc.ID, State: prunella.RunRunning, Created: now, Started: now, Steps: []prunella.Step{
		{Name: "restart", State: prunella.StepDone, Effect: prunella.Reversible}, {Name: "tell", State: prunella.StepIntended, Effect: prunella.Reversible}}}
	unjudged := prunella.Run{ID: "run-2", Incident: inc.ID, State: prunella.RunDone, Created: now, Started: now, Ended: now}
	healed := prunella.Run{ID: "run-3", Incident: inc.ID, State: prunella.RunDone, Verdict: prunella.Healed, Created: now, Started: now, Ended: now}
	a, stop := serveOn(t, Config{}, store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}, NewRuns: []prunella.Run{cut, unjudged, healed}})
	defer stop()
	b := backend{a}
	if _, err := b.Resolve(t.Context(), inc.ID, client.Note{By: "kim"}); err != nil {
		t.Fatal(err)
	}
	v, err := b.Incident(t.Context(), inc.ID)
	if err != nil || v.Incident.State != prunella.Resolved {
		t.Fatalf("it is %s, %v", v.Incident.State, err)
	}
	if r := v.Runs[0]; r.State != prunella.RunFailed || r.Verdict != prunella.UnknownVerdict || r.Reason.Name != "taken-by-person" ||
		r.Steps[0].State != prunella.StepDone || r.Steps[1].State != prunella.StepUnknown {
		t.Errorf("what was cut off is %s %s (%s), steps %s and %s", r.State, r.Verdict, r.Reason.Name, r.Steps[0].State, r.Steps[1].State)
	}
	if r := v.Runs[1]; r.State != prunella.RunDone || r.Verdict != prunella.UnknownVerdict {
		t.Errorf("what was not judged is %s %s", r.State, r.Verdict)
	}
	if r := v.Runs[2]; r.Verdict != prunella.Healed {
		t.Errorf("what was judged is %s", r.Verdict)
	}
}

// A run whose time ran out while the process was down is not gone on with; the
// step that the crash cut off is told as not known.
func TestASpentBudgetLeavesNoIntent(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close()
	inc, run := healing(t, s, "http://127.0.0.1:1")
	change(t, s, inc, run, func(r *prunella.Run) {
		r.Deadline = time.Now().Add(-time.Minute)
		r.Steps[0].State, r.Steps[0].Attempt = prunella.StepIntended, 1
	})
	_, stop := running(node(t, "node/a", s))
	defer stop()
	deadline(t, "a person to be called", func() bool {
		i, err := s.Incident(t.Context(), inc)
		return err == nil && i.State == prunella.Escalated && i.StateReason.Name == "budget-spent"
	})
	if r, err := s.Run(t.Context(), run); err != nil || r.Steps[0].State != prunella.StepUnknown || r.State != prunella.RunFailed || r.Verdict != prunella.UnknownVerdict {
		t.Errorf("the run is %s %s, its step %s, %v", r.State, r.Verdict, r.Steps[0].State, err)
	}
}

// change changes a run as its worker does.
func change(t *testing.T, s engineStore, inc prunella.IncidentID, run prunella.RunID, to func(*prunella.Run)) {
	t.Helper()
	lease := "incident/" + string(inc)
	fence, ok, err := s.AcquireLease(t.Context(), lease, "test", time.Now(), time.Minute)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if _, err := s.UpdateRun(t.Context(), run, fence, func(r *prunella.Run) error { to(r); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.ReleaseLease(t.Context(), lease, fence); err != nil {
		t.Fatal(err)
	}
}

// halfway is a world that shows what a failed step did, and keeps what it is
// told to do.
type halfway struct {
	*action.World
	shows action.Happened // of the step itself
	did   []string
}

func (w *halfway) Happened(_ context.Context, name, _ string, _, _ map[string]any) (action.Happened, string, error) {
	if name == "http.request" {
		return w.shows, "", nil
	}
	return action.No, "", nil
}

func (w *halfway) Do(_ context.Context, name, _ string, _ map[string]any) (string, error) {
	w.did = append(w.did, name)
	return "", nil
}

// A step that failed is taken back when the world shows that it happened after
// all, and left alone when it did not.
func TestAFailedStepIsTakenBackIfItHappened(t *testing.T) {
	for shows, want := range map[action.Happened][]string{action.Yes: {"keys.activate"}, action.No: nil, action.Unclear: nil} {
		s := openStore(t, t.TempDir())
		inc, run := healing(t, s, "http://127.0.0.1:1")
		change(t, s, inc, run, func(r *prunella.Run) {
			st := &r.Steps[0]
			st.State, st.Attempt, st.Attempts, st.OnFailure, st.Effect = prunella.StepFailed, 1, 1, "undo", prunella.Reversible
			st.Before, st.Undo = map[string]any{"signer": "k1"}, &prunella.UndoRule{Do: "keys.activate", With: map[string]any{"kid": "${before.signer}"}}
		})
		w := &halfway{World: world(t), shows: shows}
		_, stop := running(nodeWith(engine.Config{}, s, w))
		deadline(t, "the run to end", func() bool {
			i, err := s.Incident(t.Context(), inc)
			return err == nil && i.State == prunella.Escalated
		})
		stop()
		if !slices.Equal(w.did, want) {
			t.Errorf("the world shows %v: done was %v, want %v", shows, w.did, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
