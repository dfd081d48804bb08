package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"prunella"
	"prunella/client"
)

// TestClientReadsWhatIsServed: every method of the Go client against the
// handler, so that both ends of the wire are one contract.
func TestClientReadsWhatIsServed(t *testing.T) {
	w := newWorld()
	c := client.New(serve(t, w) + "/")
	ctx := t.Context()
	same := func(what string, got, want any, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		} else if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-served +read):\n%s", what, d)
		}
	}
	if err := c.Ready(ctx); err != nil {
		t.Error(err)
	}
	status, err := c.Status(ctx)
	same("status", status, w.status, err)
	open, err := c.Incidents(ctx, client.IncidentQuery{Open: true})
	same("open incidents", len(open), 3, err)
	some, err := c.Incidents(ctx, client.IncidentQuery{States: []prunella.State{prunella.Resolved, prunella.Escalated}, Limit: 1})
	same("limited incidents", len(some), 1, err)
	view, err := c.Incident(ctx, "inc-01jq8e5r7w")
	same("incident", view.Incident, w.incidents[3].Incident, err)
	page, err := c.Signals(ctx, "inc-01jq8x4m2k", 5, 30)
	same("signals", page, client.SignalPage{Signals: w.signals["inc-01jq8x4m2k"][30:35], Total: 36, Limit: 5, Offset: 30}, err)
	points, err := c.Series(ctx, client.SeriesQuery{Name: "errors.401", Service: "user", From: w.ago(5 * time.Second), To: w.start})
	same("series", len(points) > 0 && len(points) < 5, true, err)
	graph, err := c.Graph(ctx)
	same("graph", len(graph.Edges), 6, err)
	keys, err := c.Keys(ctx)
	same("key verdicts", len(keys.Verdicts), 3, err)
	skills, err := c.Skills(ctx)
	same("skills", skills, w.skills, err)
	skill, err := c.Skill(ctx, "auth-jwks-rotation-spike")
	same("skill", skill, w.skills[1], err)
	fresh := w.report()
	fresh.ID = "rep-new"
	if err := c.PutReport(ctx, fresh); err != nil {
		t.Error(err)
	}
	report, err := c.Report(ctx, "rep-new")
	same("report", report, fresh, err)
	reports, err := c.Reports(ctx, 1)
	same("reports", len(reports), 1, err)
	decided, err := c.Decide(ctx, "apr-7", client.Decision{Decision: "denied", By: "sam", Hash: planHash})
	same("decision", decided.Decision, "denied", err)
	held, err := c.Escalate(ctx, "inc-01jq8x4m2k", client.Note{By: "sam", Note: "mine"})
	same("escalate", held.State, prunella.Escalated, err)
	back, err := c.HandBack(ctx, "inc-01jq8x4m2k", client.Note{By: "sam"})
	same("hand back", back.State, prunella.Diagnosing, err)
	over, err := c.Resolve(ctx, "inc-01jq8sd11a", client.Note{By: "sam"})
	same("resolve", over.State, prunella.Resolved, err)
}

// TestErrorsKeepTheirKind: a Kind crosses the wire as a problem document, with its remedy.
func TestErrorsKeepTheirKind(t *testing.T) {
	w := newWorld()
	site := serve(t, w)
	c := client.New(site)
	ctx := t.Context()
	_, notFound := c.Incident(ctx, "inc-none")
	_, conflict := c.Decide(ctx, "apr-7", client.Decision{Decision: "approved", By: "sam", Hash: "another"})
	_, nameless := c.Resolve(ctx, "inc-01jq8sd11a", client.Note{})
	_, state := c.Incidents(ctx, client.IncidentQuery{States: []prunella.State{"asleep"}})
	empty := c.PutReport(ctx, prunella.Report{})
	_, badURL := client.New("127.0.0.1:7070").Status(ctx)
	for want, err := range map[prunella.Kind]error{prunella.NotFound: notFound, prunella.Conflict: conflict} {
		if prunella.KindOf(err) != want {
			t.Errorf("%v is %q, want %q", err, prunella.KindOf(err), want)
		}
	}
	for _, err := range []error{nameless, state, empty, badURL} {
		if prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("%v is %q, want invalid", err, prunella.KindOf(err))
		}
	}
	var e *prunella.Error
	if !errors.As(notFound, &e) || e.Remedy != "List them with: prunella incident list" {
		t.Errorf("the remedy was lost: %v", notFound)
	}

	w.down = &prunella.Error{Kind: prunella.Unavailable, Reason: "the store is being restored"}
	resp, err := http.Get(site + "/api/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var p client.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	want := client.Problem{Type: "about:blank", Title: "Service Unavailable", Status: 503, Detail: "the store is being restored", Kind: prunella.Unavailable}
	if d := cmp.Diff(want, p); d != "" || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != client.ProblemType {
		t.Errorf("status %d, %v\n%s", resp.StatusCode, resp.Header, d)
	}
	if err := c.Ready(ctx); prunella.KindOf(err) != prunella.Unavailable {
		t.Errorf("ready: %v", err)
	}
	for path, body := range map[string]string{"/api/v1/approvals/apr-7": "{", "/api/v1/reports": "", "/api/v1/nowhere": "{}", "/api/v1/incidents/inc-01jq8sd11a/resolve": `{"by":` + `"` + strings.Repeat("x", maxForm) + `"}`} {
		resp, err := http.Post(site+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode/100 != 4 || resp.Header.Get("Content-Type") != client.ProblemType {
			t.Errorf("%s: %d %s", path, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
	}
}

// TestListsAreNeverNull: an empty answer is [], which a script can range over.
func TestListsAreNeverNull(t *testing.T) {
	site := serve(t, &world{listeners: map[chan client.Change]bool{}})
	for _, path := range []string{"/api/v1/status", "/api/v1/incidents", "/api/v1/series", "/api/v1/graph", "/api/v1/keys", "/api/v1/skills", "/api/v1/reports", "/api/v1/incidents/x/signals"} {
		if _, body := fetch(t, site+path); strings.Contains(body, "null") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

// TestEvents: the client hears each change until it has heard enough or its context ends.
func TestEvents(t *testing.T) {
	w := newWorld()
	w.opened = make(chan struct{}, 4)
	c := client.New(serve(t, w))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	enough := errors.New("enough")
	heard := make(chan client.Change, 4)
	done := make(chan error, 1)
	go func() {
		done <- c.Events(ctx, func(ch client.Change) error {
			heard <- ch
			if ch.ID == "last" {
				return enough
			}
			return nil
		})
	}()
	<-w.opened
	w.announce("incident", "inc-1")
	w.announce("keys", "last")
	if err := <-done; !errors.Is(err, enough) {
		t.Errorf("ended with %v", err)
	}
	if ch := <-heard; ch.What != "incident" || ch.ID != "inc-1" {
		t.Errorf("heard %+v", ch)
	}
	cancel()
	if err := c.Events(ctx, func(client.Change) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
	w.mu.Lock()
	w.gone = true
	w.mu.Unlock()
	if err := c.Events(t.Context(), func(client.Change) error { return nil }); prunella.KindOf(err) != prunella.Unavailable {
		t.Errorf("a stream that ended: %v", err)
	}
}
