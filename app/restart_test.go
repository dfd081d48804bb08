package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"prunella"
	"prunella/client"
	"prunella/notify"
	"prunella/store"
)

// serve starts a server on a folder and returns its end.
func serve(t *testing.T, cfg Config) (*App, func()) {
	t.Helper()
	a, err := New(cfg, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a, sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

// serveOn runs a server whose data hold what a past left.
func serveOn(t *testing.T, cfg Config, past store.Batch) (*App, func()) {
	t.Helper()
	cfg.Listen, cfg.Data = "127.0.0.1:0", filepath.Join(t.TempDir(), "data")
	s := openStore(t, cfg.Data)
	if err := errors.Join(s.Commit(t.Context(), past), s.Close()); err != nil {
		t.Fatal(err)
	}
	return serve(t, cfg)
}

// A server that is killed leaves nothing outside of its folder.
func TestWhatItWritesIsInItsFolder(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	_, end := serve(t, Config{Listen: "127.0.0.1:0", Data: filepath.Join(t.TempDir(), "data")})
	defer end()
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("while it runs, the temporary folder holds %v, %v", left, err)
	}
}

// Questions, timers and notifications that wait go on waiting over a restart,
// and what came due meanwhile happens after it: an unanswered question is a no,
// a person who could not be reached is called.
func TestWhatWaitsSurvivesARestart(t *testing.T) {
	var mu sync.Mutex
	reachable, called := false, map[string]int{}
	pager := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if !reachable {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		called[r.Header.Get("webhook-id")]++
	}))
	defer pager.Close()
	cfg := Config{Listen: "127.0.0.1:0", Data: filepath.Join(t.TempDir(), "data"),
		Notify: Notify{Webhooks: []notify.Webhook{{URL: pager.URL, Secret: "c2VjcmV0LW9mLXRoZS1wYWdlcg=="}}}}

	s := openStore(t, cfg.Data)
	now := time.Now()
	expires, later := now.Add(3*time.Second), now.Add(time.Hour)
	asking := prunella.Incident{ID: "inc-asks", Title: "401 in payment", State: prunella.AwaitingApproval, Severity: prunella.High, Onset: now, OpenedAt: now,
		StateAt: map[prunella.State]time.Time{prunella.AwaitingApproval: now}}
	waiting := prunella.Incident{ID: "inc-waits", Title: "500 in search", State: prunella.Diagnosing, Severity: prunella.High, Onset: now, OpenedAt: now,
		StateAt: map[prunella.State]time.Time{prunella.Diagnosing: now}, DueAt: later}
	plan := prunella.Run{ID: "run-1", Incident: asking.ID, Title: "Restart payment", Hash: "h", State: prunella.RunProposed, Created: now}
	question := prunella.Approval{ID: "apr-1", Incident: asking.ID, Run: plan.ID, Hash: "h", Asked: now, Expires: expires}
	if err := s.Commit(t.Context(), store.Batch{Updates: []store.IncidentUpdate{{Create: &asking}, {Create: &waiting}},
		NewRuns: []prunella.Run{plan}, Approvals: []prunella.Approval{question},
		Notifications: []prunella.Notification{{ID: "call-1", Incident: asking.ID, To: "@kim", Kind: "approval", Title: "May I?", Created: now, NextTry: now}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	a, stop := serve(t, cfg)
	defer stop()
	api := client.New(a.URL())
	deadline(t, "the pager to be tried", func() bool {
		v, err := api.Incident(t.Context(), asking.ID)
		return err == nil && len(v.Notifications) == 1 && v.Notifications[0].Tries > 0
	})
	v, err := api.Incident(t.Context(), asking.ID)
	if err != nil || v.Incident.State != prunella.AwaitingApproval || len(v.Approvals) != 1 || v.Approvals[0].Decision != "" {
		t.Fatalf("before its time: %s, %+v, %v", v.Incident.State, v.Approvals, err)
	}
	stop()

	mu.Lock()
	reachable = true
	mu.Unlock()
	if left := time.Until(expires); left > 0 { // it is down while the question runs out
		<-time.After(left)
	}
	a, stop = serve(t, cfg)
	defer stop()
	api = client.New(a.URL())
	deadline(t, "the question to have run out", func() bool {
		v, err = api.Incident(t.Context(), asking.ID)
		return err == nil && v.Incident.State == prunella.Escalated
	})
	if v.Incident.StateReason.Name != "approval-expired" || v.Approvals[0].Decision != store.Expired || v.Runs[0].State != prunella.RunRefused {
		t.Errorf("silence became %s: approval %+v, run %s", v.Incident.StateReason.Name, v.Approvals[0], v.Runs[0].State)
	}
	deadline(t, "everybody to be called", func() bool {
		v, err = api.Incident(t.Context(), asking.ID)
		for _, n := range v.Notifications {
			if n.Sent.IsZero() {
				return false
			}
		}
		return err == nil && len(v.Notifications) == 2
	})
	mu.Lock()
	defer mu.Unlock()
	for _, n := range v.Notifications {
		if called[n.ID] != 1 {
			t.Errorf("%s was called %d times about %q", n.To, called[n.ID], n.Title)
		}
	}
	still, err := api.Incident(t.Context(), waiting.ID)
	if err != nil || still.Incident.State != prunella.Diagnosing || !still.Incident.DueAt.Equal(later) || len(still.Events) != 0 {
		t.Errorf("an incident that is due in an hour was worked on: %+v %v", still.Incident, err)
	}
}
