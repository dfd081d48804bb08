package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"prunella/bench/rotation/protocol"
)

// Serve runs a contestant that is written in Go as the protocol says, until ctx
// ends. It prints where it listens to out. In virtual time it does not return.
func Serve(ctx context.Context, name, addr string, virtual bool, out io.Writer) error {
	var c Contestant
	for _, one := range All() {
		if one.Name == name && one.Make != nil {
			c = one
		}
	}
	if c.Make == nil {
		return fmt.Errorf("%q is not a contestant that is written in Go", name)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	h := &host{make: c.Make, sets: map[string][]Verify{}, running: ctx}
	h.transport = &http.Transport{MaxIdleConnsPerHost: passages, DisableCompression: true}
	run := func() error {
		server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		fmt.Fprintf(out, "http://%s\n", listener.Addr())
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
	if !virtual {
		return run()
	}
	h.transport = newDoor(h.transport)
	h.running = context.Background() // one from outside would hold the bubble's time up; these end with the process
	inBubble(func(b *bubble) {
		h.bubble = b
		if err := run(); err != nil {
			fmt.Fprintln(out, err)
		}
	})
	return nil
}

// host keeps the verifiers of one contestant.
type host struct {
	make      Make
	transport http.RoundTripper
	bubble    *bubble // nil in real time
	running   context.Context

	mu   sync.Mutex
	sets map[string][]Verify // by issuer, one an instance
}

const requestTime = 30 * time.Second // what a service gives a request

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/verify":
		var q protocol.Question
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var a protocol.Answer
		h.in(func() { a = h.verify(q) })
		w.Header().Set("Content-Type", "application/json")
		if q.Instances <= 1 && a.Accepted == 0 {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_ = json.NewEncoder(w).Encode(a) // the asker is gone, or has it
	case "/advance":
		var ask protocol.Advance
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || h.bubble == nil {
			http.NotFound(w, r)
			return
		}
		h.in(func() { time.Sleep(time.Duration(ask.Seconds * float64(time.Second))) })
	default:
		http.NotFound(w, r)
	}
}

func (h *host) in(f func()) {
	if h.bubble == nil {
		f()
		return
	}
	h.bubble.do(f)
}

// verify asks each instance, and times that on the clock of the verifier.
func (h *host) verify(q protocol.Question) protocol.Answer {
	var a protocol.Answer
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	start := time.Now()
	list, err := h.verifiers(q)
	if err != nil {
		a.Error = shortened(err)
	}
	for _, verify := range list {
		if err := verify(ctx, q.Token); err != nil {
			a.Error = shortened(err)
			continue
		}
		a.Accepted++
	}
	if h.bubble != nil {
		a.VirtualMS = time.Since(start).Seconds() * 1000
	}
	return a
}

// shortened keeps an error that carries a token from filling the answer.
func shortened(err error) string {
	text := err.Error()
	return text[:min(len(text), 300)]
}

func (h *host) verifiers(q protocol.Question) ([]Verify, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.sets[q.Issuer]
	for len(list) < max(q.Instances, 1) {
		v, err := h.make(h.running, Source{q.Issuer, q.JWKS, q.Audience}, h.transport)
		if err != nil {
			return list, err
		}
		list = append(list, v)
		h.sets[q.Issuer] = list
	}
	return list[:max(q.Instances, 1)], nil
}
