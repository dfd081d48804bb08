package app

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"prunella"
	"prunella/correlate"
	"prunella/engine"
	"prunella/match"
	"prunella/store"
)

// Three services lack a key, and a plan waits for a yes. Five minutes later a
// fourth fails by the same key. It is the same incident. When the plan is for it
// too the question stands; otherwise it is asked again, saying why, and nobody
// can say yes to what would leave the fourth one as it is.
func TestAnIncidentThatGrowsIsAskedAboutAgain(t *testing.T) {
	for name, c := range map[string]struct {
		lacksAtOnce bool // the key, though no request has needed it yet
		asked       []string
	}{
		"it was in the plan":     {true, []string{""}},
		"it was not in the plan": {false, []string{store.Withdrawn, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := watch(t, shippedSkills(t), correlate.Default().Scaled(20)) // a shared token of a drill joins for 45 s
				s := x.s
				look := func() (inc prunella.Incident, asks []prunella.Approval, runs []prunella.Run) {
					t.Helper()
					inc = only(t, s)
					var err error
					if asks, err = s.Approvals(t.Context(), inc.ID); err != nil {
						t.Fatal(err)
					}
					if runs, err = s.Runs(t.Context(), inc.ID); err != nil {
						t.Fatal(err)
					}
					return inc, asks, runs
				}
				x.last(4 * time.Minute)
				if c.lacksAtOnce {
					x.miss("inventory")
				}
				x.tell(x.w.rotate())
				x.fail("order", "payment", "user")
				x.last(5 * time.Minute)
				inc, asks, runs := look()
				if inc.State != prunella.AwaitingApproval || len(asks) != 1 || len(runs[0].Services) != 3 {
					t.Fatalf("before it grows: %s (%s), asked %+v, planned for %+v", inc.State, inc.StateReason.Text, asks, runs)
				}
				x.fail("inventory")
				x.last(time.Minute)
				inc, asks, runs = look()
				if inc.State != prunella.AwaitingApproval || !slices.ContainsFunc(inc.Impact, func(i prunella.Impact) bool { return i.Service == "inventory" }) {
					t.Errorf("after it grew: %s (%s), hit %+v", inc.State, inc.StateReason.Text, inc.Impact)
				}
				if !slices.ContainsFunc(inc.Tokens, func(t string) bool { return strings.HasPrefix(t, "host:inventory-") }) {
					t.Errorf("traces leave no room for what ties others to it: %d tokens", len(inc.Tokens))
				}
				var asked []string
				for _, a := range asks {
					asked = append(asked, a.Decision)
				}
				if !slices.Equal(asked, c.asked) {
					t.Fatalf("asked %+v, want %q", asks, c.asked)
				}
				if now := runs[len(runs)-1]; !slices.Contains(now.Services, "inventory") ||
					!slices.ContainsFunc(now.Steps, func(s prunella.Step) bool { return s.Params["service"] == "inventory" }) {
					t.Errorf("the plan that waits is for %v: %+v", now.Services, now.Steps)
				}
				if len(asks) == 1 {
					return
				}
				if runs[0].State != prunella.RunRefused || runs[0].Reason.Name != "incident-grew" || !strings.Contains(asks[0].Note, "inventory") {
					t.Errorf("the plan that was outgrown is %s (%s); its question: %+v", runs[0].State, runs[0].Reason.Text, asks[0])
				}
				if _, err := s.DecideApproval(t.Context(), asks[0].ID, asks[0].Hash, store.Approved, "kim", "", time.Now(), store.IncidentUpdate{}); prunella.KindOf(err) != prunella.Conflict {
					t.Errorf("a yes to the plan that was outgrown: %v, want a conflict", err)
				}
				notes, err := s.Notifications(t.Context(), inc.ID)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(notes, func(n prunella.Notification) bool {
					return n.Kind == "approval" && strings.HasPrefix(n.Text, "Asked again: inventory joined")
				}) {
					t.Errorf("nobody is told why they are asked again: %+v", notes)
				}
			})
		})
	}
}

// A service that joins while the incident is healed is in what is said of its
// spread and of its severity at once, not when the heal is over.
func TestGrowthWhileItIsHealedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, t.TempDir())
		defer s.Close()
		w := newTraffic(time.Now())
		p, err := engine.NewPipeline(t.Context(), engine.PipelineConfig{Inventory: w.inventory(), Skills: func() []prunella.Skill { return nil }, Detect: match.Default(), Correlate: correlate.Default()},
			&stream{}, s, engine.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		last := func(d time.Duration) {
			for end := w.now.Add(d); w.now.Before(end); {
				time.Sleep(exportEvery)
				if err := p.Pass(t.Context(), w.tick(), w.now); err != nil {
					t.Fatal(err)
				}
			}
		}
		last(4 * time.Minute)
		if err := p.Pass(t.Context(), []engine.Message{{Seq: w.next(), Signals: w.rotate()}}, w.now); err != nil {
			t.Fatal(err)
		}
		w.failing["order"], w.failing["payment"] = 0.6, 0.6
		last(time.Minute)
		inc := only(t, s)
		if _, err := s.SaveWith(t.Context(), store.IncidentUpdate{ID: inc.ID, Apply: func(i *prunella.Incident) error {
			i.State, i.StateAt[prunella.Healing] = prunella.Healing, w.now
			return nil
		}}); err != nil {
			t.Fatal(err)
		}
		w.failing["inventory"] = 0.6
		last(time.Minute)
		inc = only(t, s)
		if inc.SeverityReason.Operands["hit"] != "3" {
			t.Errorf("the severity speaks of what was before: %s", inc.SeverityReason.Text)
		}
		w.failing["order"], w.failing["user"] = 0, 0.6
		last(2 * time.Minute)
		inc = only(t, s)
		if want := []string{"inventory", "order", "payment", "user"}; !slices.Equal(inc.Cascade.Hit, want) {
			t.Errorf("said to be hit %v, want %v: nobody who was is forgotten", inc.Cascade.Hit, want)
		}
	})
}

// A yes that was given before anybody saw that the incident had grown starts
// nothing.
func TestAYesToAnOutgrownPlanStartsNothing(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close()
	target := newSlowTarget(t)
	close(target.answer)
	now := time.Now()
	inc := prunella.Incident{ID: "inc-1", State: prunella.AwaitingApproval, Severity: prunella.High, Onset: now, OpenedAt: now,
		Impact: []prunella.Impact{{Service: "payment", Since: now}, {Service: "stock", Since: now}}, StateAt: map[prunella.State]time.Time{prunella.AwaitingApproval: now}}
	run := prunella.Run{ID: "run-1", Incident: inc.ID, Hash: "h", Services: []string{"payment"}, State: prunella.RunProposed, Created: now, Steps: []prunella.Step{{
		Name: "tell the target", Action: "http.request", Params: map[string]any{"method": "POST", "url": target.URL}, Target: "deployment/payment",
		Effect: prunella.Irreversible, State: prunella.StepPlanned, Attempts: 1, Timeout: time.Minute, OnFailure: "escalate", Key: "run-1-0"}}}
	ask := prunella.Approval{ID: "apr-1", Incident: inc.ID, Run: run.ID, Hash: "h", Asked: now, Expires: now.Add(time.Hour), Decision: store.Approved, By: "kim", Decided: now}
	if err := s.Commit(t.Context(), store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}, NewRuns: []prunella.Run{run}, Approvals: []prunella.Approval{ask}}); err != nil {
		t.Fatal(err)
	}
	_, stop := running(nodeWith(engine.Config{TimeScale: 1000}, s, world(t)))
	defer stop()
	deadline(t, "the engine to give up: nothing is known of the cause", func() bool {
		got, err := s.Incident(t.Context(), inc.ID)
		return err == nil && got.State == prunella.Escalated
	})
	if got, err := s.Run(t.Context(), run.ID); err != nil || got.State != prunella.RunRefused || got.Reason.Name != "incident-grew" || target.requests.Load() != 0 {
		t.Errorf("%s (%s), %d requests, %v", got.State, got.Reason.Text, target.requests.Load(), err)
	}
}
