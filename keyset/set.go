package keyset

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Set verifies tokens against the current keys of its issuers. All methods may
// be called from any number of goroutines.
type Set struct {
	sources  []*source
	byIssuer map[string]*source
	sole     *source // when there is one
	nobody   *sourceMetrics
	hooks    []*standardwebhooks.Webhook
	replays  replays
	ack      *acknowledger

	headers atomic.Pointer[map[string]header] // encoded headers of verified tokens

	stop context.CancelFunc
	done sync.WaitGroup
}

// New starts a Set: it looks at each source and keeps it current until Close.
// It returns when every source was tried once, or when ctx ends.
//
// An error means that the configuration is wrong. An issuer that does not
// answer is not an error: the Set refuses every token with Unavailable, Ready
// says why, and the keys are used as soon as they come.
func New(ctx context.Context, cfg Config) (*Set, error) {
	cfg, sources, err := cfg.settled()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Set{byIssuer: map[string]*source{}, nobody: m.of("")}
	s.headers.Store(&map[string]header{})
	for _, secret := range cfg.HintSecrets {
		hook, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, err
		}
		s.hooks = append(s.hooks, hook)
	}
	if cfg.Acknowledge != nil {
		if s.ack, err = newAcknowledger(*cfg.Acknowledge, cfg, s, m.lease, "cache_"+rand.Text()); err != nil {
			return nil, err
		}
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	for _, one := range sources {
		src := newSource(one, cfg, m.of(nameOf(one)), s.changed)
		if s.ack != nil {
			src.wanted = s.ack.wanted
		}
		s.sources = append(s.sources, src)
		s.byIssuer[one.Issuer] = src
	}
	if len(s.sources) == 1 {
		s.sole = s.sources[0]
	}
	for _, src := range s.sources {
		s.done.Go(func() { src.run(running) })
	}
	for _, src := range s.sources {
		select {
		case <-src.started:
		case <-ctx.Done():
		}
	}
	if s.ack != nil {
		s.done.Go(func() { s.ack.run(running) })
	}
	return s, nil
}

// Close stops the fetching and waits for it to end. Requests that wait for a
// key are refused; keys that are known are used until they are too old.
func (s *Set) Close() {
	s.stop()
	s.done.Wait()
}

func (s *Set) changed() {
	if s.ack != nil {
		s.ack.poke()
	}
}

// Ready says why this set should not get requests yet, or nil: every source
// must have keys that are fresh enough, and the acknowledgement's lease, if one
// is configured, must not have run out.
func (s *Set) Ready() error {
	now := time.Now()
	var all []error
	for _, src := range s.sources {
		switch {
		case src.snap.Load() == nil:
			all = append(all, fmt.Errorf("keyset: no keys yet from %s", src.name))
		case now.UnixNano() > src.until.Load():
			all = append(all, fmt.Errorf("keyset: the keys of %s are too old", src.name))
		}
	}
	if s.ack != nil {
		if until := s.ack.until.Load(); until < now.UnixNano() {
			all = append(all, fmt.Errorf("keyset: the issuer has not acknowledged this set's lease at %s", s.ack.cfg.URL))
		}
	}
	return errors.Join(all...)
}

// Key is a verification key in use.
type Key struct {
	Issuer     string    `json:"issuer,omitempty"`
	ID         string    `json:"kid"`
	Algorithm  string    `json:"alg"`
	Thumbprint string    `json:"thumbprint"`         // RFC 7638, SHA-256
	LastSeen   time.Time `json:"last_seen,omitzero"` // when it last verified a token, to the second
}

// Keys lists the keys that verify tokens now, by issuer and kid.
func (s *Set) Keys() []Key { return s.usable(time.Now()) }

func (s *Set) usable(now time.Time) []Key {
	list := []Key{}
	for _, src := range s.sources {
		snap := src.snap.Load()
		if snap == nil || now.UnixNano() > src.until.Load() {
			continue
		}
		for _, k := range snap.keys {
			one := Key{Issuer: src.Issuer, ID: k.kid, Algorithm: k.alg, Thumbprint: k.thumbprint}
			if at := k.seen.Load(); at != 0 {
				one.LastSeen = time.Unix(at, 0).UTC()
			}
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b Key) int {
		return strings.Compare(a.Issuer+"\x00"+a.ID, b.Issuer+"\x00"+b.ID)
	})
	return list
}

const maxHeaders = 64 // remembered headers of verified tokens

// header returns what was read before from an encoded header.
func (s *Set) header(head string) (header, bool) {
	h, ok := (*s.headers.Load())[head]
	return h, ok
}

// remember keeps the header of a verified token. Only an issuer can add one, so
// nobody else can fill the memory or push a header out.
func (s *Set) remember(p *parsed) {
	old := s.headers.Load()
	if _, ok := (*old)[p.head]; ok {
		return
	}
	next := map[string]header{strings.Clone(p.head): p.header}
	if len(*old) < maxHeaders {
		for head, h := range *old {
			next[head] = h
		}
	}
	s.headers.CompareAndSwap(old, &next) // lost to another: the next token tries again
}
