package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"

	"prunella"
)

// Events of the key webhook.
const (
	eventPublished = "key.published"
	eventRemoved   = "key.removed"
)

// subscriber is a service that wants keys pushed to it.
type subscriber struct {
	Service string `json:"service"`
	URL     string `json:"url"`
	Secret  string `json:"secret"`
}

// delivery is one key event on its way to one service.
type delivery struct {
	ID        string    `json:"id"`
	Service   string    `json:"service"`
	URL       string    `json:"url"`
	Kid       string    `json:"kid"`
	Event     string    `json:"event"`
	Status    string    `json:"status"` // delivered | failed | pending
	Attempts  int       `json:"attempts"`
	LastError string    `json:"last_error,omitempty"`
	At        time.Time `json:"at"` // of the last attempt
}

// maxDeliveries bounds the delivery records kept; the oldest go.
const maxDeliveries = 2000

// distributor pushes key events to subscribers as Standard Webhooks and keeps a
// record of each. It tries twice; after that somebody must ask for redelivery.
type distributor struct {
	subscribers []subscriber
	client      *http.Client
	otel        *telemetry

	mu      sync.Mutex
	records []*delivery // oldest first
}

// send pushes one event to the named services, nil for all, and returns their
// records in subscriber order.
func (d *distributor) send(ctx context.Context, event, kid string, jwk *jose.JSONWebKey, services []string) ([]delivery, error) {
	body, err := json.Marshal(keyEvent{Type: event, Timestamp: time.Now().UTC(), Data: keyEventData{Kid: kid, JWK: jwk}})
	if err != nil {
		return nil, err
	}
	for _, name := range services {
		if !slices.ContainsFunc(d.subscribers, func(s subscriber) bool { return s.Service == name }) {
			return nil, prunella.Errorf(prunella.NotFound, "no service %s is subscribed to key events", name)
		}
	}
	var wg sync.WaitGroup
	var sent []*delivery
	for _, s := range d.subscribers {
		if services != nil && !slices.Contains(services, s.Service) {
			continue
		}
		rec := &delivery{ID: newID("msg"), Service: s.Service, URL: s.URL, Kid: kid, Event: event, Status: "pending", At: time.Now().UTC()}
		d.mu.Lock()
		d.records = append(d.records, rec)
		if over := len(d.records) - maxDeliveries; over > 0 {
			d.records = slices.Delete(d.records, 0, over)
		}
		d.mu.Unlock()
		sent = append(sent, rec)
		wg.Go(func() { d.deliver(ctx, s, rec, body) })
	}
	wg.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]delivery, len(sent))
	for i, r := range sent {
		out[i] = *r
	}
	return out, nil
}

func (d *distributor) deliver(ctx context.Context, s subscriber, rec *delivery, body []byte) {
	for range 2 {
		err := d.post(ctx, s, rec.ID, body)
		d.mu.Lock()
		rec.Attempts++
		rec.At = time.Now().UTC()
		rec.Status, rec.LastError = "delivered", ""
		if err != nil {
			rec.Status, rec.LastError = "failed", err.Error()
		}
		d.mu.Unlock()
		if err == nil {
			return
		}
	}
	d.otel.log(ctx, otellog.SeverityError, fmt.Sprintf("%s of key %s could not be delivered to %s: %s", rec.Event, rec.Kid, s.Service, rec.LastError),
		attribute.String(prunella.AttrKid, rec.Kid), attribute.String(prunella.AttrPeer, s.Service))
}

func (d *distributor) post(ctx context.Context, s subscriber, id string, body []byte) error {
	hook, err := standardwebhooks.NewWebhook(s.Secret)
	if err != nil {
		return err
	}
	now := time.Now()
	signature, err := hook.Sign(id, now, body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, fmt.Sprint(now.Unix()))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	res, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return fmt.Errorf("%s answered %s: %s", s.URL, res.Status, bytes.TrimSpace(said))
	}
	return nil
}

// list returns the records of a key, or of all keys when kid is empty, oldest
// first.
func (d *distributor) list(kid string) []delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []delivery{}
	for _, r := range d.records {
		if kid == "" || r.Kid == kid {
			out = append(out, *r)
		}
	}
	return out
}
