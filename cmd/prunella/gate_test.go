package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// fate is what the gate does to one request.
type fate int

const (
	pass fate = iota
	drop      // the server dies while its request is on the way; it never arrives
	lose      // the world does it and answers; the server dies before it hears
	deny      // the world says 503
)

// request is one request that changes the world, as it came to the gate.
type request struct {
	Step    string // of the run: the idempotency key without the suffix of a repeat
	Key     string
	What    string // METHOD path
	Reached bool   // it was handed on to the world
}

// gate stands between a server and the control planes of its world. It notes
// every request that changes something and decides its fate. It knows steps the
// way the world does: by Idempotency-Key or annotation.
type gate struct {
	decide func(r request, arrival int) fate // arrival counts the requests of one step, from 1
	reads  func(r *http.Request) fate        // of what changes nothing; nil passes all
	die    func()                            // kills the server and returns when it is gone

	mu       sync.Mutex
	requests []request
	arrivals map[string]int
}

var repeatRE = regexp.MustCompile(`^(run-[0-9a-z]+-\d+)(-\d+)?(-undo)?$`)

// front puts the gate in front of an address and returns the one to use instead.
func (g *gate) front(t *testing.T, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(u) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(proxy, w, r) }))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL
}

func (g *gate) serve(world http.Handler, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the server died while it was sending
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	what := pass
	key := stepKey(r, body)
	switch {
	case key != "":
		req := request{Step: key, Key: key, What: r.Method + " " + r.URL.Path}
		if m := repeatRE.FindStringSubmatch(key); m != nil {
			req.Step = m[1] + m[3]
		}
		g.mu.Lock()
		g.arrivals[req.Step]++
		what = g.decide(req, g.arrivals[req.Step])
		req.Reached = what == pass || what == lose
		g.requests = append(g.requests, req)
		g.mu.Unlock()
	default:
		g.mu.Lock()
		if g.reads != nil {
			what = g.reads(r)
		}
		g.mu.Unlock()
	}
	switch what {
	case drop:
		g.die()
		panic(http.ErrAbortHandler)
	case lose:
		world.ServeHTTP(httptest.NewRecorder(), r)
		g.die()
		panic(http.ErrAbortHandler)
	case deny:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	world.ServeHTTP(w, r)
}

// stepKey is the idempotency key of a request that changes the world.
func stepKey(r *http.Request, body []byte) string {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return ""
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		return key
	}
	if r.Method != http.MethodPatch {
		return "" // asks for a canary token
	}
	var doc any
	if json.Unmarshal(body, &doc) != nil {
		return "unreadable"
	}
	if key := findMark(doc); key != "" {
		return key
	}
	return "unmarked"
}

// findMark looks for the step annotation anywhere in a patch.
func findMark(v any) string {
	switch v := v.(type) {
	case map[string]any:
		if s, ok := v["prunella.dev/step"].(string); ok {
			return s
		}
		for _, inner := range v {
			if s := findMark(inner); s != "" {
				return s
			}
		}
	case []any:
		for _, inner := range v {
			if s := findMark(inner); s != "" {
				return s
			}
		}
	}
	return ""
}

// effects are the requests that reached the world, in order.
func (g *gate) effects() []request {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []request
	for _, r := range g.requests {
		if r.Reached {
			out = append(out, r)
		}
	}
	return out
}

// all is every request that came, for a failure's message.
func (g *gate) all() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var b strings.Builder
	for _, r := range g.requests {
		b.WriteString("\n  " + r.Key + " " + r.What)
		if !r.Reached {
			b.WriteString(" (never arrived)")
		}
	}
	return b.String()
}
