package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// reservePort finds a free loopback port outside the ephemeral range, so that
// it can be closed and opened again later without losing it to an outgoing
// connection. Other worlds on the machine leave it alone while this one runs:
// whoever wants a TCP port must first get the UDP port of that number, and keeps
// it.
func (w *World) reservePort() (string, error) {
	var last error
	for range 50 {
		addr := fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(16000))
		claim, err := net.ListenPacket("udp", addr)
		if err != nil {
			last = err
			continue
		}
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			w.claims = append(w.claims, claim)
			return addr, ln.Close()
		}
		_ = claim.Close() // nothing was sent or received
		last = err
	}
	return "", fmt.Errorf("find a free port: %w", last)
}

// door is an HTTP server on a fixed address that can be closed, so that
// connections are refused, and opened again.
type door struct {
	addr    string
	handler http.Handler

	mu  sync.Mutex
	srv *http.Server
}

// open listens and serves; it is a no-op when open. A port still held by
// somebody who is about to leave is waited for, up to two seconds.
func (d *door) open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.srv != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		ln, err := net.Listen("tcp", d.addr)
		if err == nil {
			d.srv = newServer(d.handler)
			go serve(d.srv, ln)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("open %s: %w", d.addr, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// close refuses new connections from now on and ends the open ones.
func (d *door) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.srv == nil {
		return nil
	}
	err := d.srv.Close()
	d.srv = nil
	return err
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 2 * patience, IdleTimeout: time.Minute}
}

// serve runs until the server is shut down; the listener is its own.
func serve(srv *http.Server, ln net.Listener) {
	if err := srv.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
		panic(fmt.Sprintf("lab: serve %s: %v", ln.Addr(), err)) // a listener of ours that breaks is a broken machine
	}
}

// drain ends a server gracefully within ctx, and hard after that.
func drain(ctx context.Context, srv *http.Server) error {
	if err := srv.Shutdown(ctx); err != nil {
		return srv.Close()
	}
	return nil
}

// newClient is an HTTP client with its own connections, so that closing it
// leaves nothing behind. Its timeout is the only one: a connection that takes
// long is a machine that stands still, and who waits decides for how long.
func newClient(timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     30 * time.Second,
	}}
}
