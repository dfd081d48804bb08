package app

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"prunella"
	"prunella/action"
	"prunella/correlate"
	"prunella/engine"
	"prunella/heal"
	"prunella/match"
	"prunella/store"
	"prunella/wiki"
)

// halfHeld is a world in which a new signing key did not reach everybody.
type halfHeld struct {
	w *traffic

	mu     sync.Mutex
	missed []string
}

func (h *halfHeld) miss(services ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missed = append(h.missed, services...)
}

func (h *halfHeld) Read(_ context.Context, name string, _ map[string]any, _ action.Incident) (map[string]any, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	lacking, trusting, everybody, errs, reasons := []any{}, []any{}, []any{}, map[string]any{}, map[string]any{}
	for _, s := range h.w.services {
		everybody = append(everybody, s.name)
		if slices.Contains(h.missed, s.name) {
			lacking, errs[s.name], reasons[s.name] = append(lacking, s.name), "connection refused", "key not found"
		} else {
			trusting = append(trusting, s.name)
		}
	}
	signer, former := h.w.signer, h.w.former
	switch name {
	case "jwks.current":
		return map[string]any{"reachable": true, "signer": signer, "kids": []any{signer, former}}, nil
	case "trust.grid":
		return map[string]any{"signer": signer, "kids": []any{signer, former}, "lacking": lacking, "trusting": trusting, "reasons": reasons, "refusing_otherwise": []any{},
			"by_kid": map[string]any{signer: map[string]any{"trusts": trusting, "rejects": lacking, "unknown": []any{}},
				former: map[string]any{"trusts": everybody, "rejects": []any{}, "unknown": []any{}}}}, nil
	case "deliveries.failed":
		return map[string]any{"known": true, "failed": lacking, "delivered": trusting, "errors": errs}, nil
	}
	return nil, prunella.Errorf(prunella.Unavailable, "%s is not read here", name)
}

func (h *halfHeld) Before(context.Context, string, map[string]any) (map[string]any, error) {
	return map[string]any{}, nil
}

func (h *halfHeld) Do(context.Context, string, string, map[string]any) (string, error) {
	return "", nil
}

func (h *halfHeld) Happened(context.Context, string, string, map[string]any, map[string]any) (action.Happened, string, error) {
	return action.Unclear, "", nil
}

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
				s := openStore(t, t.TempDir())
				defer s.Close()
				pages, err := wiki.Open(t.Context(), wiki.Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer pages.Close()
				skills, err := openSkills(t.Context(), pages, nil, action.Catalog(), "", slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				w := newTraffic(time.Now())
				metrics, log := engine.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler)
				p, err := engine.NewPipeline(t.Context(), engine.PipelineConfig{Inventory: w.inventory(), Skills: skills.list, Detect: match.Default(),
					Correlate: correlate.Default().Scaled(20)}, &stream{}, s, metrics, log) // a shared token of a drill joins for 45 s
				if err != nil {
					t.Fatal(err)
				}
				h := &halfHeld{w: w}
				e := engine.New(engine.Config{Owner: "node/a", Inventory: w.inventory(), Skills: skills.list, Catalog: action.Catalog(), Bucket: match.Default().Bucket,
					Policy: heal.Policy{ApprovalTTL: prunella.Duration(2 * time.Hour)}}, s, h, metrics, log)
				_, stop := running(e)
				defer stop()
				last := func(d time.Duration) {
					for end := w.now.Add(d); w.now.Before(end); {
						time.Sleep(exportEvery)
						if err := p.Pass(t.Context(), w.tick(), w.now); err != nil {
							t.Fatal(err)
						}
					}
				}
				fail := func(services ...string) {
					h.miss(services...)
					for _, name := range services {
						w.failing[name] = 0.6
					}
				}
				look := func() (inc prunella.Incident, asks []prunella.Approval, runs []prunella.Run) {
					t.Helper()
					inc = only(t, s)
					if asks, err = s.Approvals(t.Context(), inc.ID); err != nil {
						t.Fatal(err)
					}
					if runs, err = s.Runs(t.Context(), inc.ID); err != nil {
						t.Fatal(err)
					}
					return inc, asks, runs
				}
				last(4 * time.Minute)
				if c.lacksAtOnce {
					h.miss("inventory")
				}
				if err := p.Pass(t.Context(), []engine.Message{{Seq: w.next(), Signals: w.rotate()}}, w.now); err != nil {
					t.Fatal(err)
				}
				fail("order", "payment", "user")
				last(5 * time.Minute)
				inc, asks, runs := look()
				if inc.State != prunella.AwaitingApproval || len(asks) != 1 || len(runs[0].Services) != 3 {
					t.Fatalf("before it grows: %s (%s), asked %+v, planned for %+v", inc.State, inc.StateReason.Text, asks, runs)
				}
				fail("inventory")
				last(time.Minute)
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
