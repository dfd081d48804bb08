package app

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/action"
	"prunella/client"
	"prunella/engine"
	"prunella/store"
)

// A person who hands an incident back is called again when the engine cannot go
// on, even for the same reason; and a run that was cut off is ended, so that
// nothing is shown as running that nobody runs.
func TestAHandBackCallsAgainAndEndsWhatWasCutOff(t *testing.T) {
	now := time.Now()
	inc := prunella.Incident{ID: "inc-1", Title: "401 in payment", State: prunella.Escalated, Severity: prunella.High, Onset: now, OpenedAt: now,
		StateAt: map[prunella.State]time.Time{prunella.Escalated: now}}
	cut := prunella.Run{ID: "run-1", Incident: inc.ID, Title: "Restart payment", State: prunella.RunRunning, Created: now, Started: now}
	a, stop := serveOn(t, Config{TimeScale: 1000}, store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}, NewRuns: []prunella.Run{cut}})
	defer stop()
	b := backend{a}
	for called := 1; called <= 2; called++ {
		if _, err := b.HandBack(t.Context(), inc.ID, client.Note{By: "kim"}); err != nil {
			t.Fatal(err)
		}
		var v client.IncidentView
		deadline(t, "the engine to give up", func() bool {
			var err error
			v, err = b.Incident(t.Context(), inc.ID)
			return err == nil && v.Incident.State == prunella.Escalated
		})
		if v.Incident.StateReason.Name != "cause-unsure" || len(v.Notifications) != called {
			t.Errorf("hand-back %d: %s, %d calls", called, v.Incident.StateReason.Name, len(v.Notifications))
		}
		if r := v.Runs[0]; r.State != prunella.RunFailed || r.Reason.Name != "taken-by-person" || r.Verdict != prunella.UnknownVerdict {
			t.Errorf("the run that was cut off is %s, %s (%s)", r.State, r.Verdict, r.Reason.Name)
		}
	}
}

// What the engine gave up waits for a person, and one person takes it.
func TestWhatWaitsForAPersonIsTakenOnce(t *testing.T) {
	since := time.Now().Add(-time.Hour).UTC()
	inc := prunella.Incident{ID: "inc-1", State: prunella.Escalated, StateReason: prunella.Reason{Name: "step-failed", Text: "a step failed"}, Onset: since,
		StateAt: map[prunella.State]time.Time{prunella.Escalated: since}}
	a, stop := serveOn(t, Config{}, store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}})
	defer stop()
	b := backend{a}
	got, err := b.Escalate(t.Context(), inc.ID, client.Note{By: "maya", Note: "mine"})
	by, givenUp := got.Holder()
	if err != nil || by != "maya" || givenUp != "a step failed" || !got.StateAt[prunella.Escalated].Equal(since) {
		t.Errorf("taken: %+v %v", got.StateReason, err)
	}
	if _, err := b.Escalate(t.Context(), inc.ID, client.Note{By: "sam"}); prunella.KindOf(err) != prunella.Conflict || !strings.Contains(err.Error(), "maya: mine") {
		t.Errorf("taken from maya: %v, want a conflict that names her", err)
	}
}

// Only what a person holds can be handed back, and a question that a person
// has overtaken cannot be answered any more.
func TestWhatIsOvertakenIsRefused(t *testing.T) {
	now := time.Now()
	inc := prunella.Incident{ID: "inc-1", State: prunella.AwaitingApproval, Onset: now, OpenedAt: now, DueAt: now.Add(time.Hour)}
	run := prunella.Run{ID: "run-1", Incident: inc.ID, Hash: "h", State: prunella.RunProposed, Created: now}
	ask := prunella.Approval{ID: "apr-1", Incident: inc.ID, Run: run.ID, Hash: "h", Asked: now, Expires: now.Add(time.Hour)}
	a, stop := serveOn(t, Config{}, store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}, NewRuns: []prunella.Run{run}, Approvals: []prunella.Approval{ask}})
	defer stop()
	b := backend{a}
	if _, err := b.HandBack(t.Context(), inc.ID, client.Note{By: "kim"}); prunella.KindOf(err) != prunella.Conflict {
		t.Errorf("handing back what nobody holds: %v, want a conflict", err)
	}
	if _, err := b.Escalate(t.Context(), inc.ID, client.Note{By: "kim"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Decide(t.Context(), ask.ID, client.Decision{Decision: store.Approved, By: "sam", Hash: "h"}); prunella.KindOf(err) != prunella.Conflict {
		t.Errorf("approving what a person took: %v, want a conflict", err)
	}
	if got, err := b.store.Approval(t.Context(), ask.ID); err != nil || got.Decision != store.Withdrawn || got.By != "kim" {
		t.Errorf("the question that nobody acts on: %+v %v", got, err)
	}
	if got, err := b.store.Run(t.Context(), run.ID); err != nil || got.State != prunella.RunRefused || got.Reason.Name != "taken-by-person" {
		t.Errorf("the plan that nobody follows: %+v %v", got, err)
	}
	if got, err := b.Incident(t.Context(), inc.ID); err != nil || got.Incident.StateReason.Text != "kim" {
		t.Errorf("who took it without a word: %q %v", got.Incident.StateReason.Text, err)
	}
}

// hasty answers a question right after the engine read it for the first time.
type hasty struct {
	engineStore
	once   *sync.Once
	answer func()
}

func (s hasty) Approvals(ctx context.Context, id prunella.IncidentID) ([]prunella.Approval, error) {
	list, err := s.engineStore.Approvals(ctx, id)
	s.once.Do(s.answer)
	return list, err
}

// An answer that falls between reading the question and putting the incident
// off until it expires is not forgotten until then.
func TestAQuickAnswerIsHeard(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close()
	now := time.Now()
	inc := prunella.Incident{ID: "inc-1", State: prunella.AwaitingApproval, Onset: now, OpenedAt: now}
	run := prunella.Run{ID: "run-1", Incident: inc.ID, Hash: "h", State: prunella.RunProposed, Created: now}
	ask := prunella.Approval{ID: "apr-1", Incident: inc.ID, Run: run.ID, Hash: "h", Asked: now, Expires: now.Add(time.Hour)}
	if err := s.Commit(t.Context(), store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}, NewRuns: []prunella.Run{run}, Approvals: []prunella.Approval{ask}}); err != nil {
		t.Fatal(err)
	}
	e := node(t, "node/a", hasty{s, new(sync.Once), func() {
		if _, err := s.DecideApproval(t.Context(), ask.ID, "h", store.Denied, "kim", "", time.Now(), store.IncidentUpdate{}); err != nil {
			t.Error(err)
		}
		if _, err := s.UpdateIncident(t.Context(), inc.ID, func(i *prunella.Incident) error { i.DueAt = time.Time{}; return nil }); err != nil {
			t.Error(err)
		}
	}})
	_, stop := running(e)
	defer stop()
	deadline(t, "the answer to be heard", func() bool {
		got, err := s.Incident(t.Context(), inc.ID)
		return err == nil && got.State == prunella.Escalated && got.StateReason.Name == "approval-denied"
	})
}

// unread is a world whose state cannot be read the first time, and that keeps
// what it is told to do.
type unread struct {
	*action.World
	reads, done int
	before      bool // whether it could be read before it was changed
}

func (w *unread) Before(context.Context, string, map[string]any) (map[string]any, error) {
	if w.reads++; w.reads == 1 {
		return nil, errors.New("not now")
	}
	return map[string]any{"signer": "k1"}, nil
}

func (w *unread) Do(context.Context, string, string, map[string]any) (string, error) {
	w.done++
	w.before = w.reads > 1
	return "done", nil
}

// A step whose world could not be read before the first attempt is not made
// without that reading at the second: nothing could be taken back.
func TestNothingIsChangedBeforeItWasRead(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close()
	inc, run := healing(t, s, "http://127.0.0.1:1")
	w := &unread{}
	_, stop := running(nodeWith(engine.Config{}, s, w))
	defer stop()
	deadline(t, "the step to be done", func() bool {
		got, err := s.Incident(t.Context(), inc)
		return err == nil && got.State == prunella.Verifying
	})
	stop()
	got, err := s.Run(t.Context(), run)
	if err != nil || !w.before || w.done != 1 || got.Steps[0].Before["signer"] != "k1" {
		t.Errorf("done %d times, read %d times; kept %v, %v", w.done, w.reads, got.Steps[0].Before, err)
	}
}

// An open page does not hold up a stop, whatever time the stop is given.
func TestAnOpenStreamEndsWithTheServer(t *testing.T) {
	a, err := New(Config{Listen: "127.0.0.1:0", Data: filepath.Join(t.TempDir(), "data")}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	changes := backend{a}.Subscribe(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- a.Stop(context.Background()) }()
	select {
	case _, open := <-changes:
		for open {
			_, open = <-changes
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the subscription stayed open")
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := a.Stop(context.Background()); err != nil {
		t.Errorf("stopping twice: %v", err)
	}
}

// People who were told that it is over are told that it is back, and those who
// hold an incident that it got worse; nobody is told the same twice.
func TestWhatComesBackOrGetsWorseIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, t.TempDir())
		defer s.Close()
		p := pipeline(t, &stream{}, s, prunella.Inventory{})
		seq := uint64(0)
		tell := func(n int) {
			seq++
			if err := p.Pass(t.Context(), []engine.Message{{Seq: seq, Signals: []prunella.Signal{alert(n)}}}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		kinds := func() (out []string) {
			list, err := s.OpenIncidents(t.Context())
			if err != nil || len(list) != 1 {
				t.Fatalf("%d incidents, %v", len(list), err)
			}
			notes, err := s.Notifications(t.Context(), list[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range notes {
				lead, _, _ := strings.Cut(n.Title, ": ")
				out = append(out, n.Kind+" "+lead)
			}
			return out
		}
		set := func(change func(*prunella.Incident)) {
			list, err := s.OpenIncidents(t.Context())
			if err != nil || len(list) != 1 {
				t.Fatalf("%d incidents, %v", len(list), err)
			}
			if _, err := s.UpdateIncident(t.Context(), list[0].ID, func(i *prunella.Incident) error { change(i); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		tell(1)
		first := kinds()
		set(func(i *prunella.Incident) {
			i.State, i.ResolvedAt, i.UpdatedAt = prunella.Resolved, time.Now(), time.Now()
		})
		time.Sleep(25 * time.Minute)
		tell(2)
		if diff := cmp.Diff(append(first, "opened Back"), kinds()); diff != "" {
			t.Errorf("after the recurrence (-want +got):\n%s", diff)
		}
		set(func(i *prunella.Incident) { i.State, i.Severity = prunella.Escalated, prunella.Low })
		time.Sleep(time.Minute)
		tell(3)
		time.Sleep(time.Minute)
		tell(4)
		if diff := cmp.Diff(append(first, "opened Back", "escalated Worse"), kinds()); diff != "" {
			t.Errorf("after it got worse (-want +got):\n%s", diff)
		}
	})
}

// An incident that came back after a heal and then went quiet by itself is over,
// as one is that was never healed; one that was healed this time is proven first.
func TestAReopenedIncidentMayRecoverByItself(t *testing.T) {
	for name, c := range map[string]struct {
		healed bool // since it was reopened
		want   string
	}{"nothing was done": {false, "recovered-by-itself"}, "it was healed and handed back": {true, "cause-unsure"}} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			defer s.Close()
			now := time.Now()
			inc := prunella.Incident{ID: "inc-1", State: prunella.Diagnosing, Severity: prunella.High, Onset: now, OpenedAt: now, Live: true, Attempts: 1, Recurrences: 1,
				Verdict: prunella.NotHealed, VerdictReason: prunella.Reason{Name: "recurred"},
				Impact:  []prunella.Impact{{Service: "payment", Trend: engine.TrendRecovered, QuietSince: now.Add(-time.Hour)}},
				StateAt: map[prunella.State]time.Time{prunella.Diagnosing: now.Add(-time.Hour)}}
			if c.healed {
				inc.StateAt[prunella.Healing] = now.Add(-2 * time.Hour)
			}
			if err := s.Commit(t.Context(), store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}}); err != nil {
				t.Fatal(err)
			}
			_, stop := running(node(t, "node/a", s))
			defer stop()
			var got prunella.Incident
			deadline(t, "the engine to decide", func() bool {
				var err error
				got, err = s.Incident(t.Context(), inc.ID)
				return err == nil && got.State != prunella.Diagnosing
			})
			if got.StateReason.Name != c.want || got.VerdictReason.Name != "recurred" {
				t.Errorf("it is %s: %s; verdict %s (%s)", got.State, got.StateReason.Name, got.Verdict, got.VerdictReason.Name)
			}
		})
	}
}
