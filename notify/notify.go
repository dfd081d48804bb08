// Package notify carries notifications from the outbox to people. The engine
// writes a Notification in the same transaction as the decision that caused it;
// the Sender here delivers it afterwards, and tries again until it is delivered
// or given up loudly (logged, counted, and shown with the incident).
//
// The only channel yet is a signed webhook in the Standard Webhooks form
// (webhook-id, webhook-timestamp and webhook-signature headers, HMAC-SHA-256
// over "id.timestamp.body"); chat and paging come behind the same door. The id
// stays the same over every try, so a receiver can tell a repeat.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	webhook "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"prunella"
)

// Outbox is where notifications wait.
type Outbox interface {
	DueNotifications(ctx context.Context, now time.Time, limit int) ([]prunella.Notification, error)
	MarkNotification(ctx context.Context, id string, sent, nextTry time.Time, errText string) error
}

// Webhook is one receiver.
type Webhook struct {
	URL    string   `yaml:"url"`
	Secret string   `yaml:"secret"` // base64, with or without the prefix whsec_
	Kinds  []string `yaml:"kinds"`  // of kinds; empty: all
}

// kinds of notification that a receiver may ask for.
var kinds = []string{"opened", "escalated", "approval", "resolved", "drill", "fault"}

// tries are the waits between deliveries; after the last one it is given up.
var tries = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}

// Sender delivers what is due. Each receiver has one worker of its own: it gets
// its notifications one after the other, longest due first, and one that does
// not answer keeps no other waiting. A notification is marked when every
// receiver has been tried.
type Sender struct {
	outbox    Outbox
	receivers []*receiver
	client    *http.Client
	caught    prunella.Caught
	log       *slog.Logger
	sent      *prometheus.CounterVec

	mu   sync.Mutex
	open map[string]*delivery // notifications that some receiver has been tried for and that are not marked for good
}

// receiver is a Webhook with what its worker remembers.
type receiver struct {
	Webhook
	sign  *webhook.Webhook
	tried map[string]int // by id of a notification that is due: the Tries it had when it was last handed over
}

// delivery is what the receivers made of a notification.
type delivery struct {
	took   map[*receiver]bool // not to be called again because another one cannot be reached
	failed map[*receiver]error
}

// New checks the receivers. Invalid: a URL, secret or kind cannot be used. caught is
// told when a worker panics; it goes on.
func New(outbox Outbox, hooks []Webhook, reg prometheus.Registerer, log *slog.Logger, caught prunella.Caught) (*Sender, error) {
	s := &Sender{outbox: outbox, open: map[string]*delivery{}, caught: caught, log: log.With("component", "notify"),
		client: &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		sent:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "prunella_notifications_total", Help: "Deliveries by kind and result."}, []string{"kind", "result"})}
	reg.MustRegister(s.sent)
	for i, h := range hooks {
		where := fmt.Sprintf("notify.webhooks[%d]", i)
		if !strings.HasPrefix(h.URL, "http://") && !strings.HasPrefix(h.URL, "https://") {
			return nil, &prunella.Error{Kind: prunella.Invalid, Where: where + ".url", Reason: fmt.Sprintf("%q is not an http or https URL", h.URL)}
		}
		w, err := webhook.NewWebhook(h.Secret)
		if err != nil || h.Secret == "" {
			return nil, &prunella.Error{Kind: prunella.Invalid, Where: where + ".secret", Reason: "the secret is not base64",
				Remedy: "make one with: openssl rand -base64 32", Err: err}
		}
		for _, k := range h.Kinds {
			if !slices.Contains(kinds, k) {
				return nil, &prunella.Error{Kind: prunella.Invalid, Where: where + ".kinds", Reason: fmt.Sprintf("%q is no kind of notification", k),
					Remedy: "write some of " + strings.Join(kinds, ", ") + "; none means all"}
			}
		}
		s.receivers = append(s.receivers, &receiver{Webhook: h, sign: w})
	}
	return s, nil
}

// every is the wait between two looks at the outbox, and atOnce the most that
// one look takes.
const (
	every  = 500 * time.Millisecond
	atOnce = 500
)

// Run delivers until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for _, r := range s.workers() {
		workers.Go(func() {
			t := time.NewTicker(every)
			defer t.Stop()
			for {
				if err := s.round(ctx, r, time.Now()); err != nil && ctx.Err() == nil {
					s.log.Error("outbox", "err", err)
				}
				select {
				case <-ctx.Done():
					return
				case <-t.C:
				}
			}
		})
	}
	workers.Wait()
}

// Once delivers everything due at now, to all receivers side by side, and waits
// for all of them.
func (s *Sender) Once(ctx context.Context, now time.Time) error {
	list := s.workers()
	errs := make([]error, len(list))
	var rounds sync.WaitGroup
	for i, r := range list {
		rounds.Go(func() { errs[i] = s.round(ctx, r, now) })
	}
	rounds.Wait()
	return errors.Join(errs...)
}

// workers are the receivers; without any, one that nobody hears marks what is due.
func (s *Sender) workers() []*receiver {
	if len(s.receivers) == 0 {
		return []*receiver{nil}
	}
	return s.receivers
}

// round hands everything that is due at now to one receiver.
func (s *Sender) round(ctx context.Context, r *receiver, now time.Time) error {
	return s.caught.Contain("notify", func() error { return s.handOver(ctx, r, now) })
}

// handOver makes each attempt as of the second in which it begins. An attempt
// that panics has failed, and is made again or given up as any other.
func (s *Sender) handOver(ctx context.Context, r *receiver, now time.Time) error {
	began := time.Now()
	due, err := s.outbox.DueNotifications(ctx, now, atOnce)
	if err != nil {
		return err
	}
	if r == nil {
		for _, n := range due {
			s.sent.WithLabelValues(n.Kind, "page-only").Inc()
			if err := s.outbox.MarkNotification(ctx, n.ID, now, time.Time{}, "no receiver is configured under notify.webhooks; it is shown on the page only"); err != nil {
				return err
			}
		}
		return nil
	}
	tried := make(map[string]int, len(due))
	for _, n := range due {
		if at, known := r.tried[n.ID]; known && at == n.Tries {
			tried[n.ID] = at // handed over; other receivers are still at it
		}
	}
	r.tried = tried
	for _, n := range due {
		if _, done := tried[n.ID]; done || s.has(r, n.ID) {
			continue
		}
		at := now.Add(time.Since(began).Truncate(time.Second))
		var failed error
		if r.wants(n.Kind) {
			failed = s.caught.Contain("notify", func() error { return s.deliver(ctx, r, n, at) })
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.report(ctx, r, n, failed, at); err != nil {
			return err
		}
		tried[n.ID] = n.Tries
	}
	return nil
}

// has says whether a receiver took a notification at an earlier try.
func (s *Sender) has(r *receiver, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.open[id]
	return d != nil && d.took[r]
}

// report notes what came of handing a notification to a receiver, and marks it
// when this was the last receiver of this try.
func (s *Sender) report(ctx context.Context, r *receiver, n prunella.Notification, failed error, now time.Time) error {
	s.mu.Lock()
	d := s.open[n.ID]
	if d == nil {
		d = &delivery{took: map[*receiver]bool{}, failed: map[*receiver]error{}}
		s.open[n.ID] = d
	}
	if failed != nil {
		d.failed[r] = failed
	} else {
		d.took[r] = true
	}
	if len(d.took)+len(d.failed) < len(s.receivers) {
		s.mu.Unlock()
		return nil
	}
	var text string
	for _, other := range s.receivers {
		if err := d.failed[other]; err != nil {
			text = err.Error()
		}
	}
	s.mu.Unlock()
	var err error
	mark := func(sent, next time.Time, text string) error {
		return s.caught.Contain("notify", func() error { return s.outbox.MarkNotification(ctx, n.ID, sent, next, text) })
	}
	result, over := "failed", false
	switch {
	case text == "":
		result, over = "delivered", true
		err = mark(now, time.Time{}, "")
	case n.Tries >= len(tries):
		result, over = "given-up", true
		err = mark(time.Time{}, time.Time{}, "given up: "+text)
		s.log.Error("a notification could not be delivered and is given up", "id", n.ID, "to", n.To, "title", n.Title, "err", text)
	default:
		err = mark(time.Time{}, now.Add(tries[n.Tries]), text)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil { // it is due still: r gets it again, under the same id
		delete(d.took, r)
		delete(d.failed, r)
		return err
	}
	s.sent.WithLabelValues(n.Kind, "given-up") // from 0: an alert sees the first one as an increase
	s.sent.WithLabelValues(n.Kind, result).Inc()
	clear(d.failed) // they are tried again
	if over {
		delete(s.open, n.ID)
	}
	return nil
}

func (h Webhook) wants(kind string) bool {
	return len(h.Kinds) == 0 || slices.Contains(h.Kinds, kind)
}

// event is the body of a delivery.
type event struct {
	Type      string    `json:"type"` // "incident.escalated"; "prunella.fault" when it is about no incident
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

func (s *Sender) deliver(ctx context.Context, r *receiver, n prunella.Notification, now time.Time) error {
	about := "incident."
	if n.Incident == "" {
		about = "prunella."
	}
	body, err := json.Marshal(event{Type: about + n.Kind, Timestamp: n.Created, Data: n})
	if err != nil {
		return err
	}
	signature, err := r.sign.Sign(n.ID, now, body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("webhook-id", n.ID)
	req.Header.Set("webhook-timestamp", fmt.Sprint(now.Unix()))
	req.Header.Set("webhook-signature", signature)
	where := req.URL.Scheme + "://" + req.URL.Host // the rest of such a URL is often a secret, and errors are shown
	res, err := s.client.Do(req)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("%s: %w", where, err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", where, res.Status)
	}
	return nil
}
