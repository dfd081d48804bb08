package notify_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	webhook "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"prunella"
	"prunella/notify"
	"prunella/store"
)

var secret = base64.StdEncoding.EncodeToString([]byte("a secret of thirty-two characters"))

func sender(t *testing.T, hooks ...notify.Webhook) (*store.Store, *notify.Sender) {
	t.Helper()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	n, err := notify.New(s, hooks, prometheus.NewRegistry(), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, n
}

func one(t *testing.T, s *store.Store, kind string, at time.Time) {
	t.Helper()
	if err := s.Enqueue(t.Context(), prunella.Notification{ID: "inc-1/" + kind, Incident: "inc-1", To: "@sam", Kind: kind, Title: "Needs you", Created: at, NextTry: at}); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, s *store.Store) prunella.Notification {
	t.Helper()
	list, err := s.Notifications(t.Context(), "inc-1")
	if err != nil || len(list) != 1 {
		t.Fatalf("%v %v", list, err)
	}
	return list[0]
}

// TestDeliveryIsSignedAndRetried lets a receiver fail twice: the third try
// carries the same id, a signature that verifies, and the whole notification.
func TestDeliveryIsSignedAndRetried(t *testing.T) {
	var ids []string
	var body []byte
	verify, err := webhook.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids = append(ids, r.Header.Get("webhook-id"))
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := verify.VerifyIgnoringTimestamp(b, r.Header); err != nil {
			t.Errorf("signature: %v", err)
		}
		if len(ids) < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		body = b
	}))
	defer receiver.Close()
	s, n := sender(t, notify.Webhook{URL: receiver.URL, Secret: secret})
	now := time.Now()
	one(t, s, "escalated", now)

	for want, at := range []time.Duration{0, 500 * time.Millisecond, time.Second, 2 * time.Second, 6 * time.Second} {
		if err := n.Once(t.Context(), now.Add(at)); err != nil {
			t.Fatal(err)
		}
		if tries := []int{1, 1, 2, 2, 3}[want]; len(ids) != tries {
			t.Errorf("after %s: %d deliveries, want %d", at, len(ids), tries)
		}
		if got := state(t, s); len(ids) < 3 && (!got.Sent.IsZero() || !strings.Contains(got.LastErr, "502")) {
			t.Errorf("after %s: %+v", at, got)
		}
	}
	if got := state(t, s); got.Sent.IsZero() || got.LastErr != "" {
		t.Errorf("delivered, but kept as %+v", got)
	}
	for _, id := range ids {
		if id != "inc-1/escalated" {
			t.Errorf("ids %q", ids)
		}
	}
	var event struct {
		Type string
		Data prunella.Notification
	}
	if err := json.Unmarshal(body, &event); err != nil || event.Type != "incident.escalated" || event.Data.Title != "Needs you" {
		t.Errorf("%s: %v", body, err)
	}
	if err := n.Once(t.Context(), now.Add(time.Hour)); err != nil || len(ids) != 3 {
		t.Errorf("sent again after it was delivered: %d, %v", len(ids), err)
	}
}

// What is about Prunella itself is not called an incident.
func TestTypesOfEvents(t *testing.T) {
	var types []string
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var event struct{ Type string }
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Error(err)
		}
		types = append(types, event.Type)
	}))
	defer receiver.Close()
	s, n := sender(t, notify.Webhook{URL: receiver.URL, Secret: secret})
	now := time.Now()
	one(t, s, "approval", now.Add(-time.Second))
	if err := s.Enqueue(t.Context(), prunella.Notification{ID: "drill/1", To: "@oncall", Kind: "drill", Title: "A skill did not pass its drill", Created: now, NextTry: now}); err != nil {
		t.Fatal(err)
	}
	if err := n.Once(t.Context(), now); err != nil || !slices.Equal(types, []string{"incident.approval", "prunella.drill"}) {
		t.Errorf("%v, %v", types, err)
	}
}

func TestADeadReceiverIsGivenUpLoudly(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	s, n := sender(t, notify.Webhook{URL: gone.URL, Secret: secret})
	now := time.Now()
	one(t, s, "escalated", now)
	for range 20 { // far longer than the last wait
		now = now.Add(12 * time.Hour)
		if err := n.Once(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	got := state(t, s)
	if !strings.HasPrefix(got.LastErr, "given up: ") || !got.Sent.IsZero() || got.Tries != 10 {
		t.Errorf("%+v", got)
	}
}

func TestKindsAndNoReceiver(t *testing.T) {
	calls := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
	defer receiver.Close()
	s, n := sender(t, notify.Webhook{URL: receiver.URL, Secret: secret, Kinds: []string{"escalated"}})
	one(t, s, "resolved", time.Now())
	if err := n.Once(t.Context(), time.Now()); err != nil || calls != 0 {
		t.Errorf("a kind that nobody asked for was sent %d times, %v", calls, err)
	}
	s, n = sender(t)
	one(t, s, "escalated", time.Now())
	if err := n.Once(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := state(t, s); !strings.Contains(got.LastErr, "notify.webhooks") {
		t.Errorf("nobody is told that nobody is told: %+v", got)
	}
}

func TestWrongReceiversAreNamed(t *testing.T) {
	for want, h := range map[string]notify.Webhook{
		"notify.webhooks[0].url":    {URL: "ftp://x", Secret: secret},
		"notify.webhooks[0].secret": {URL: "https://x", Secret: "not base64!"},
		"notify.webhooks[0].kinds":  {URL: "https://x", Secret: secret, Kinds: []string{"escalated", "aproval"}},
	} {
		_, err := notify.New(nil, []notify.Webhook{h}, prometheus.NewRegistry(), slog.Default(), nil)
		if prunella.KindOf(err) != prunella.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestRunEndsWithItsContext holds the loop to its owner.
func TestRunEndsWithItsContext(t *testing.T) {
	_, n := sender(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { n.Run(ctx); close(done) }()
	cancel()
	<-done
}

// TestOneReceiverDownTroublesNoOther: who took a notification is not called
// again because another receiver cannot be reached, and what is said of that
// one does not give away its address, which is often a secret.
func TestOneReceiverDownTroublesNoOther(t *testing.T) {
	calls := 0
	well := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
	defer well.Close()
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, bad := range []string{refusing.URL, gone.URL} {
		calls = 0
		s, n := sender(t, notify.Webhook{URL: bad + "/hooks/hush-hush", Secret: secret}, notify.Webhook{URL: well.URL, Secret: secret})
		now := time.Now()
		one(t, s, "escalated", now)
		for range 4 {
			if err := n.Once(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Hour)
		}
		got := state(t, s)
		if calls != 1 || got.Tries != 4 {
			t.Errorf("the receiver that is well was called %d times in %d tries", calls, got.Tries)
		}
		if strings.Contains(got.LastErr, "hush-hush") || !strings.Contains(got.LastErr, bad) {
			t.Errorf("it is said: %s", got.LastErr)
		}
	}
}

// TestADeadReceiverKeepsNobodyWaiting lets a receiver take connections and never
// answer: the other one gets everything, in order, also what comes later, while
// the first is still being waited for.
func TestADeadReceiverKeepsNobodyWaiting(t *testing.T) {
	release := make(chan struct{})
	var hung atomic.Int32
	dead := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hung.Add(1); <-release }))
	defer dead.Close()
	defer close(release)
	got := make(chan string, 100)
	well := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("webhook-id") }))
	defer well.Close()
	s, n := sender(t, notify.Webhook{URL: dead.URL, Secret: secret}, notify.Webhook{URL: well.URL, Secret: secret})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { n.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()

	start := time.Now()
	for _, kinds := range [][]string{{"opened", "approval"}, {"escalated", "resolved"}} {
		for i, kind := range kinds {
			one(t, s, kind, start.Add(time.Duration(i)*time.Millisecond))
		}
		for _, kind := range kinds {
			select {
			case id := <-got:
				if id != "inc-1/"+kind {
					t.Errorf("it got %s before %s", id, kind)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("%s waits for the receiver that is dead", kind)
			}
		}
	}
	if hung.Load() != 1 || len(got) != 0 {
		t.Errorf("the dead one was called %d times at once, the other one %d times too often", hung.Load(), len(got))
	}
}

// TestASignatureIsAsOldAsItsAttempt: what waits behind a slow answer is signed
// when its turn comes, or a receiver would refuse it as too old.
func TestASignatureIsAsOldAsItsAttempt(t *testing.T) {
	var at []int64
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64)
		if err != nil {
			t.Error(err)
		}
		at = append(at, n)
		if len(at) == 1 {
			<-time.After(1100 * time.Millisecond)
		}
	}))
	defer receiver.Close()
	s, n := sender(t, notify.Webhook{URL: receiver.URL, Secret: secret})
	now := time.Now()
	one(t, s, "opened", now.Add(-time.Second))
	one(t, s, "escalated", now)
	if err := n.Once(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if len(at) != 2 || at[1] <= at[0] {
		t.Errorf("signed at %v", at)
	}
}

// faulty is an outbox that hits a fault of our own when it is read, and then
// when something is marked in it.
type faulty struct {
	*store.Store
	reads, marks int
}

func (f *faulty) DueNotifications(ctx context.Context, now time.Time, limit int) ([]prunella.Notification, error) {
	if f.reads++; f.reads == 1 {
		panic("nil map")
	}
	return f.Store.DueNotifications(ctx, now, limit)
}

func (f *faulty) MarkNotification(ctx context.Context, id string, sent, nextTry time.Time, errText string) error {
	if f.marks++; f.marks == 1 {
		panic("index out of range")
	}
	return f.Store.MarkNotification(ctx, id, sent, nextTry, errText)
}

// A worker that panics is told of and goes on; what it was at is delivered, the
// second time under the same id.
func TestAWorkerThatPanicsGoesOn(t *testing.T) {
	var ids []string
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ids = append(ids, r.Header.Get("webhook-id")) }))
	defer receiver.Close()
	s, _ := sender(t)
	outbox, told := &faulty{Store: s}, 0
	n, err := notify.New(outbox, []notify.Webhook{{URL: receiver.URL, Secret: secret}}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler),
		func(*prunella.Panic) { told++ })
	if err != nil {
		t.Fatal(err)
	}
	one(t, s, "escalated", time.Now())
	for range 2 {
		if err := n.Once(t.Context(), time.Now()); !errors.As(err, new(*prunella.Panic)) {
			t.Errorf("it says %v", err)
		}
	}
	if err := n.Once(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := state(t, s); got.Sent.IsZero() || told != 2 || len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("told %d times, called as %v: %+v", told, ids, got)
	}
}
