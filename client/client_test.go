package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"prunella"
	"prunella/client"
)

func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return client.New(srv.URL)
}

// TestStrangeAnswers: what answers may not be a Prunella server at all.
func TestStrangeAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		mime   string
		body   string
		want   prunella.Kind
	}{
		"a proxy's page":             {502, "text/html", "<h1>Bad Gateway</h1>", prunella.Unavailable},
		"too many requests":          {429, "text/plain", "slow down", prunella.Unavailable},
		"forbidden":                  {403, "text/plain", "", prunella.Unauthorized},
		"an unknown failure":         {500, "text/plain", "", prunella.Internal},
		"a problem of another":       {404, "application/problem+json", `{"title":"No such thing","status":404}`, prunella.NotFound},
		"a kind that we do not know": {409, "application/problem+json; charset=utf-8", `{"kind":"odd","detail":"first come"}`, prunella.Conflict},
		"a broken problem":           {400, "application/problem+json", `{`, prunella.Invalid},
		"not JSON":                   {200, "text/html", "<html>", prunella.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			cl := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.mime)
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			if _, err := cl.Status(t.Context()); prunella.KindOf(err) != c.want {
				t.Errorf("%v is %q, want %q", err, prunella.KindOf(err), c.want)
			}
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	_, err := client.New(srv.URL).Status(t.Context())
	if prunella.KindOf(err) != prunella.Unavailable || !strings.Contains(err.Error(), "prunella serve") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.New(srv.URL).Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestProblemRoundTrip: an error that crosses the wire is the same error, and
// one that is nobody's business stays at home.
func TestProblemRoundTrip(t *testing.T) {
	sent := &prunella.Error{Kind: prunella.TooLarge, Op: "put report", Where: "series", Reason: "too many points", Remedy: "Send fewer"}
	var got *prunella.Error
	if !errors.As(client.ProblemOf(sent).Err(), &got) || *got != *sent {
		t.Errorf("got %+v", got)
	}
	p := client.ProblemOf(errors.New("password=hunter2"))
	if p.Status != 500 || strings.Contains(p.Detail, "hunter2") {
		t.Errorf("%+v", p)
	}
}

// TestEventStream: comments, pings and unknown events are passed over.
func TestEventStream(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, ": hello\nretry: 2000\n\nevent: ping\ndata: \"2026-03-29T14:00:00Z\"\n\nevent:changed\ndata:{\"what\":\"keys\"}\n\ndata: {\"what\":\"not named\"}\n\nevent: changed\ndata: {\"what\":\"incident\",\"id\":\"inc-1\"}\n\n")
	})
	var heard []string
	err := c.Events(t.Context(), func(ch client.Change) error {
		heard = append(heard, ch.What+ch.ID)
		return nil
	})
	if strings.Join(heard, " ") != "keys incidentinc-1" || prunella.KindOf(err) != prunella.Unavailable {
		t.Errorf("heard %q, then %v", heard, err)
	}
}

func ExampleClient_Incidents() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"incidents":[{"id":"inc-1","title":"401 errors in 4 services","severity":"critical"}]}`)
	}))
	defer srv.Close()
	open, err := client.New(srv.URL).Incidents(context.Background(), client.IncidentQuery{Open: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, i := range open {
		fmt.Println(i.ID, i.Severity, i.Title)
	}
	// Output: inc-1 critical 401 errors in 4 services
}
