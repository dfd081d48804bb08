package app

import (
	"context"
	"sync"
	"time"

	"prunella/client"
)

// hub tells every open page what changed. A reader that is slow sees each thing
// once, however often it changed meanwhile.
type hub struct {
	mu   sync.Mutex
	subs map[*subscriber]bool
	told time.Time // when the status was last announced
	over chan struct{}
	end  sync.Once
}

// close ends every subscription, so that open streams do not hold up a stop.
func (h *hub) close() { h.end.Do(func() { close(h.over) }) }

type subscriber struct {
	pending map[string]client.Change // by what and id
	order   []string
	ready   chan struct{}
}

// status announces that intake moved, at most every two seconds: pages that
// show it need no more.
func (h *hub) status() {
	h.mu.Lock()
	due := time.Since(h.told) >= 2*time.Second
	if due {
		h.told = time.Now()
	}
	h.mu.Unlock()
	if due {
		h.announce("status", "")
	}
}

func newHub() *hub { return &hub{subs: map[*subscriber]bool{}, over: make(chan struct{})} }

func (h *hub) announce(what, id string) {
	c := client.Change{What: what, ID: id, At: time.Now().UTC()}
	key := what + "/" + id
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		if _, waiting := s.pending[key]; !waiting {
			s.order = append(s.order, key)
		}
		s.pending[key] = c
		select {
		case s.ready <- struct{}{}:
		default:
		}
	}
}

func (h *hub) subscribe(ctx context.Context) <-chan client.Change {
	s := &subscriber{pending: map[string]client.Change{}, ready: make(chan struct{}, 1)}
	out := make(chan client.Change)
	h.mu.Lock()
	h.subs[s] = true
	h.mu.Unlock()
	go func() {
		defer close(out)
		defer func() {
			h.mu.Lock()
			delete(h.subs, s)
			h.mu.Unlock()
		}()
		for {
			select {
			case <-ctx.Done():
				return
			case <-h.over:
				return
			case <-s.ready:
			}
			for {
				c, ok := h.next(s)
				if !ok {
					break
				}
				select {
				case out <- c:
				case <-ctx.Done():
					return
				case <-h.over:
					return
				}
			}
		}
	}()
	return out
}

func (h *hub) next(s *subscriber) (client.Change, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(s.order) == 0 {
		return client.Change{}, false
	}
	c := s.pending[s.order[0]]
	delete(s.pending, s.order[0])
	s.order = s.order[1:]
	return c, true
}
