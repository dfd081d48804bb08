package issuer

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Hub serves issuers, and another host that none of them vouches for.
type Hub struct {
	own, other *http.Server
	ownURL     string // http://127.0.0.1:port
	otherURL   string // http://localhost:port, another host in every respect

	mu      sync.Mutex
	issuers map[string]*Issuer
	foreign map[string][]byte // documents of the other host, by path
}

// NewHub listens on addr ("127.0.0.1:0" picks a port) and beside it.
func NewHub(addr string) (*Hub, error) {
	h := &Hub{issuers: map[string]*Issuer{}, foreign: map[string][]byte{}}
	first, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for verifiers: %w", err)
	}
	second, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		_ = first.Close()
		return nil, fmt.Errorf("listen as the other host: %w", err)
	}
	h.ownURL = "http://" + first.Addr().String()
	h.otherURL = fmt.Sprintf("http://localhost:%d", second.Addr().(*net.TCPAddr).Port)
	h.own = &http.Server{Handler: http.HandlerFunc(h.serve), ReadHeaderTimeout: 10 * time.Second}
	h.other = &http.Server{Handler: http.HandlerFunc(h.serveForeign), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = h.own.Serve(first) }() // ends with Close
	go func() { _ = h.other.Serve(second) }()
	return h, nil
}

// Close stops both hosts.
func (h *Hub) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	for _, s := range []*http.Server{h.own, h.other} {
		if s.Shutdown(ctx) != nil {
			_ = s.Close()
		}
	}
}

// New opens an issuer under a path, or opens it anew. now is the contest's clock.
func (h *Hub) New(name string, now func() time.Time) *Issuer {
	i := &Issuer{URL: h.ownURL + "/" + name, path: "/" + name, hub: h, now: now, removed: map[int]time.Time{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.issuers[name] = i
	return i
}

// Elsewhere publishes keys on the other host and returns their URL.
func (i *Issuer) Elsewhere(keys ...Key) string {
	i.hub.mu.Lock()
	defer i.hub.mu.Unlock()
	i.hub.foreign[i.path+"/jwks"] = Document(keys...)
	return i.hub.otherURL + i.path + "/jwks"
}

func (h *Hub) serve(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	h.mu.Lock()
	i := h.issuers[name]
	h.mu.Unlock()
	if i == nil {
		http.NotFound(w, r)
		return
	}
	i.serve(w, r)
}

func (h *Hub) serveForeign(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	body := h.foreign[r.URL.Path]
	h.mu.Unlock()
	if body == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}
