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
	"strings"
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
	Kinds  []string `yaml:"kinds"`  // opened, escalated, approval, resolved; empty: all
}

// tries are the waits between deliveries; after the last one it is given up.
var tries = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}

// Sender delivers what is due.
type Sender struct {
	outbox  Outbox
	hooks   []Webhook
	signers []*webhook.Webhook
	client  *http.Client
	log     *slog.Logger
	sent    *prometheus.CounterVec
	took    map[string]map[int]bool // receivers that took a notification which others have not yet taken
}

// New checks the receivers. Invalid: a URL or secret cannot be used.
func New(outbox Outbox, hooks []Webhook, reg prometheus.Registerer, log *slog.Logger) (*Sender, error) {
	s := &Sender{outbox: outbox, hooks: hooks, took: map[string]map[int]bool{}, log: log.With("component", "notify"),
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
		s.signers = append(s.signers, w)
	}
	return s, nil
}

// Run delivers until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	t := time.NewTicker(500 * time.Millisecond)
	defer t.Stop()
	for {
		if err := s.Once(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Error("outbox", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Once delivers everything due at now.
func (s *Sender) Once(ctx context.Context, now time.Time) error {
	due, err := s.outbox.DueNotifications(ctx, now, 50)
	if err != nil {
		return err
	}
	for _, n := range due {
		failed := ""
		for i, h := range s.hooks {
			if !wants(h, n.Kind) || s.took[n.ID][i] {
				continue
			}
			if err := s.deliver(ctx, h, s.signers[i], n, now); err != nil {
				failed = err.Error()
				continue
			}
			if s.took[n.ID] == nil {
				s.took[n.ID] = map[int]bool{}
			}
			s.took[n.ID][i] = true // not to be called again because another one cannot be reached
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case len(s.hooks) == 0:
			s.sent.WithLabelValues(n.Kind, "page-only").Inc()
			err = s.outbox.MarkNotification(ctx, n.ID, now, time.Time{}, "no receiver is configured under notify.webhooks; it is shown on the page only")
		case failed == "":
			s.sent.WithLabelValues(n.Kind, "delivered").Inc()
			err = s.outbox.MarkNotification(ctx, n.ID, now, time.Time{}, "")
		case n.Tries >= len(tries):
			s.sent.WithLabelValues(n.Kind, "given-up").Inc()
			s.log.Error("a notification could not be delivered and is given up", "id", n.ID, "to", n.To, "title", n.Title, "err", failed)
			err = s.outbox.MarkNotification(ctx, n.ID, time.Time{}, time.Time{}, "given up: "+failed)
		default:
			s.sent.WithLabelValues(n.Kind, "failed").Inc()
			err = s.outbox.MarkNotification(ctx, n.ID, time.Time{}, now.Add(tries[n.Tries]), failed)
		}
		if err != nil {
			return err
		}
		if failed == "" || n.Tries >= len(tries) {
			delete(s.took, n.ID)
		}
	}
	return nil
}

func wants(h Webhook, kind string) bool {
	for _, k := range h.Kinds {
		if k == kind {
			return true
		}
	}
	return len(h.Kinds) == 0
}

// event is the body of a delivery.
type event struct {
	Type      string    `json:"type"` // "incident.escalated"
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

func (s *Sender) deliver(ctx context.Context, h Webhook, sign *webhook.Webhook, n prunella.Notification, now time.Time) error {
	body, err := json.Marshal(event{Type: "incident." + n.Kind, Timestamp: n.Created, Data: n})
	if err != nil {
		return err
	}
	signature, err := sign.Sign(n.ID, now, body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("webhook-id", n.ID)
	req.Header.Set("webhook-timestamp", fmt.Sprint(now.Unix()))
	req.Header.Set("webhook-signature", signature)
	receiver := req.URL.Scheme + "://" + req.URL.Host // the rest of such a URL is often a secret, and errors are shown
	res, err := s.client.Do(req)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("%s: %w", receiver, err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", receiver, res.Status)
	}
	return nil
}
