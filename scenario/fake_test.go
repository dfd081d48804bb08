package scenario_test

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"prunella"
	"prunella/client"
	"prunella/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeWorld is a world of three services whose only truth is what a test says.
type fakeWorld struct {
	mu        sync.Mutex
	failing   int // of every 100 calls, before the fault
	afterHeal int // failed calls since the heal
	refused   []string
	unproven  bool
	missed    string // the fact; default order,user
	onInject  func(fault string, with map[string]string)
	stopped   bool
	exported  string
}

func (w *fakeWorld) Inventory() prunella.Inventory {
	inv := prunella.Inventory{Issuers: []prunella.Issuer{{Name: "auth", URL: "http://127.0.0.1:1"}}}
	for _, name := range []string{"order", "payment", "user"} {
		inv.Services = append(inv.Services, prunella.Service{Name: name, Canary: "/ping", Issuer: "auth"})
	}
	return inv
}

func (w *fakeWorld) ExportTo(url string) error { w.exported = url; return nil }

func (w *fakeWorld) Inject(_ context.Context, fault string, with map[string]string) (prunella.FaultRecord, error) {
	if w.onInject != nil {
		w.onInject(fault, with)
	}
	return prunella.FaultRecord{Fault: fault, At: time.Now().UTC(), Proven: !w.unproven, Proof: "user answered 401",
		Params: map[string]string{"missed": cmp.Or(w.missed, "order,user"), "new_kid": "k-new", "old_kid": "k-old"}}, nil
}

func (w *fakeWorld) Requests(since time.Time) scenario.Tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	return scenario.Tally{Total: 100, Failed: w.failing + w.afterHeal, Refused: w.refused}
}

func (w *fakeWorld) Stop(context.Context) error { w.stopped = true; return nil }

// fakeEngine speaks the API that client speaks, about incidents that a test sets.
type fakeEngine struct {
	mu        sync.Mutex
	views     []client.IncidentView
	keys      client.KeyBoard
	signals   []prunella.Signal // received on the API
	decisions []client.Decision
	reports   []prunella.Report
	cfg       scenario.EngineConfig
	learned   bool
	stopped   bool
	onDecide  func(client.Decision)
}

func (e *fakeEngine) set(views ...client.IncidentView) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.views = views
}

func answer(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func (e *fakeEngine) start(t *testing.T) func(context.Context, scenario.EngineConfig) (scenario.RunningEngine, error) {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(w http.ResponseWriter, r *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			e.mu.Lock()
			defer e.mu.Unlock()
			f(w, r)
		})
	}
	handle("GET /api/v1/status", func(w http.ResponseWriter, r *http.Request) {
		s := client.Status{Version: "v0.0.0-test"}
		for _, name := range []string{"order", "payment", "user"} {
			s.Baselines = append(s.Baselines, client.Baseline{Service: name, Known: e.learned})
		}
		for _, v := range e.views {
			if v.Incident.State != prunella.Resolved {
				s.IncidentsOpen++
			}
		}
		answer(w, s)
	})
	handle("GET /api/v1/keys", func(w http.ResponseWriter, r *http.Request) { answer(w, e.keys) })
	handle("GET /api/v1/series", func(w http.ResponseWriter, r *http.Request) { answer(w, client.Series{}) })
	handle("GET /api/v1/incidents", func(w http.ResponseWriter, r *http.Request) {
		var out client.Incidents
		for _, v := range e.views {
			out.Incidents = append(out.Incidents, v.Incident)
		}
		answer(w, out)
	})
	handle("GET /api/v1/incidents/{id}", func(w http.ResponseWriter, r *http.Request) {
		for _, v := range e.views {
			if string(v.Incident.ID) == r.PathValue("id") {
				answer(w, v)
			}
		}
	})
	handle("GET /api/v1/incidents/{id}/signals", func(w http.ResponseWriter, r *http.Request) {
		answer(w, client.SignalPage{Signals: []prunella.Signal{
			{Source: "otlp/user", Service: "user", Body: "token refused", Time: time.Now()},
			{Source: "otlp/user", Service: "user", Body: "token refused again", Time: time.Now()},
		}})
	})
	handle("POST /api/v1/signals", func(w http.ResponseWriter, r *http.Request) {
		var in client.Signals
		_ = json.NewDecoder(r.Body).Decode(&in)
		e.signals = append(e.signals, in.Signals...)
	})
	handle("POST /api/v1/approvals/{id}", func(w http.ResponseWriter, r *http.Request) {
		var in client.Decision
		_ = json.NewDecoder(r.Body).Decode(&in)
		e.decisions = append(e.decisions, in)
		if e.onDecide != nil {
			e.onDecide(in)
		}
		answer(w, prunella.Approval{})
	})
	handle("POST /api/v1/reports", func(w http.ResponseWriter, r *http.Request) {
		var in prunella.Report
		_ = json.NewDecoder(r.Body).Decode(&in)
		e.reports = append(e.reports, in)
	})
	return func(_ context.Context, cfg scenario.EngineConfig) (scenario.RunningEngine, error) {
		e.cfg = cfg
		srv := httptest.NewServer(mux)
		return scenario.RunningEngine{URL: srv.URL, Stop: func(context.Context) error {
			srv.Close()
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			e.stopped = true
			return nil
		}}, nil
	}
}

func healthy() *fakeEngine {
	e := &fakeEngine{learned: true, keys: client.KeyBoard{Sets: []prunella.KeySet{{Issuer: "auth", Signer: "k-old"}}}}
	e.trust("k-old", "order", "payment", "user")
	return e
}

func (e *fakeEngine) trust(kid string, services ...string) {
	for _, s := range services {
		e.keys.Cells = append(e.keys.Cells, prunella.TrustCell{Service: s, Issuer: "auth", Kid: kid, Trust: prunella.Trusts})
	}
}

// healed is an incident about order and user that a skill healed unattended.
func healed(opened time.Time) client.IncidentView {
	step := func(action string, effect prunella.Effect, at time.Duration) prunella.Step {
		return prunella.Step{Name: "do " + action, Action: action, Effect: effect, State: prunella.StepDone, Started: opened.Add(at), Ended: opened.Add(at + time.Millisecond)}
	}
	return client.IncidentView{
		SignalsTotal: 12,
		Incident: prunella.Incident{ID: "inc-1", State: prunella.Resolved, Severity: prunella.Critical, Verdict: prunella.Healed, Live: true,
			Pattern:    prunella.Match{Pattern: "auth/partial-key-distribution", Skill: "jwt-signing-key-partial-distribution", Confidence: 0.9},
			DetectedAt: opened, OpenedAt: opened, ResolvedAt: opened.Add(30 * time.Millisecond), Monitors: []string{"otlp/order", "otlp/user"},
			Impact:  []prunella.Impact{{Service: "user"}, {Service: "order"}},
			Cascade: prunella.Cascade{Escalating: true, Hit: []string{"user", "order"}, Next: []prunella.NextHit{{Service: "payment"}}, FullAt: opened.Add(time.Hour)},
			Causes: []prunella.Cause{{Service: "auth", Services: []string{"order", "user"}, Fault: prunella.FaultPartialKeys, Kids: []string{"k-new"}, Confidence: 0.95,
				Summary: "The key k-new never reached order and user.", For: []prunella.Evidence{{Text: "the signer changed to k-new 2 s before the onset"}}}}},
		Runs: []prunella.Run{{State: prunella.RunDone, Steps: []prunella.Step{
			step("keys.activate", prunella.Reversible, 5*time.Millisecond), step("canary.prove", prunella.Reads, 9*time.Millisecond)}}},
		Events: []prunella.Event{{Kind: "cause", At: opened.Add(3 * time.Millisecond), Text: "cause found"}},
	}
}

func parse(t *testing.T, text string, set map[string]string) scenario.Scenario {
	t.Helper()
	f, err := scenario.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.With(set)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func check(t *testing.T, r prunella.Report, name string) prunella.ReportCheck {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %q in %+v", name, r.Checks)
	return prunella.ReportCheck{}
}
