package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"prunella"
)

// Heartbeat tells an outside watcher (a dead man's switch) that we are alive,
// so that our own death is noticed by somebody else.
type Heartbeat struct {
	url    string
	alive  func(ctx context.Context, now time.Time) error
	client *http.Client
}

// NewHeartbeat beats by POST to address while alive returns nil; alive looks at
// what only seems to run (the engine's last tick). With an empty address it
// only looks, and the Runner's status and metrics tell.
func NewHeartbeat(address string, alive func(ctx context.Context, now time.Time) error, client *http.Client) *Heartbeat {
	return &Heartbeat{url: address, alive: alive, client: client}
}

// Name is "heartbeat".
func (m *Heartbeat) Name() string { return "heartbeat" }

// RunOnce beats once. It has no Signals: a beat that cannot be sent is not an
// incident of the watched world.
func (m *Heartbeat) RunOnce(ctx context.Context, now time.Time) ([]prunella.Signal, error) {
	if err := m.alive(ctx, now); err != nil {
		return nil, prunella.Errorf(prunella.Internal, "no beat, because we are not well: %w", err)
	}
	if m.url == "" {
		return nil, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url, http.NoBody)
	if err != nil {
		return nil, prunella.Errorf(prunella.Invalid, "the heartbeat's address is not a URL")
	}
	resp, err := m.client.Do(req)
	if err != nil {
		// The address of a dead man's switch is its password: leave it out.
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, prunella.Errorf(prunella.Unavailable, "the beat was not taken: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)); err != nil {
		return nil, prunella.Errorf(prunella.Unavailable, "the beat's answer broke off: %w", err)
	}
	if resp.StatusCode >= 300 {
		return nil, &prunella.Error{Kind: prunella.Unavailable, Reason: fmt.Sprintf("the beat was answered with %d", resp.StatusCode)}
	}
	return nil, nil
}

// Accepted has nothing to keep.
func (m *Heartbeat) Accepted(context.Context) error { return nil }
