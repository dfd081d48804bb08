package rotation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"prunella/keyset"
	"prunella/rotation"
	"prunella/rotation/signer"
	"prunella/rotation/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuerURL = "https://id.example.test"
	secret1   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secret2   = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// world is hosts that reach each other through its RoundTrip, so that all of it
// fits into a synctest bubble.
type world struct {
	t      testing.TB
	mu     sync.Mutex
	hosts  map[string]http.Handler
	store  *sqlstore.Store
	signer *signer.Memory
	policy rotation.Policy
	fleet  []rotation.Verifier

	recovers bool // a handler that panics breaks the connection
}

var errDown = errors.New("connection refused")

func newWorld(t testing.TB, fleet ...rotation.Verifier) *world {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &world{t: t, hosts: map[string]http.Handler{}, store: store, signer: &signer.Memory{}, fleet: fleet,
		policy: rotation.Policy{Period: 6 * time.Hour, Ahead: time.Hour, MaxLifetime: 30 * time.Minute, Skew: 30 * time.Second, Stale: time.Minute,
			Grace: 30 * time.Second, Quiet: time.Minute, Watch: 10 * time.Minute, Hold: 5 * time.Minute, MinAge: time.Minute, MaxAge: 10 * time.Minute}}
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	h := w.hosts[r.URL.Host]
	w.mu.Unlock()
	if h == nil {
		return nil, errDown
	}
	rec := httptest.NewRecorder()
	req := r.Clone(r.Context())
	if req.Body == nil {
		req.Body = http.NoBody
	}
	broken := false
	func() {
		defer func() {
			if w.recovers && recover() != nil {
				broken = true
			}
		}()
		h.ServeHTTP(rec, req)
	}()
	if broken {
		return nil, errDown
	}
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func (w *world) host(name string, h http.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[name] = h
}

// node makes a rotator; the last one made answers at the issuer's URL.
func (w *world) node(name string, change ...func(*rotation.Config)) *rotation.Rotator {
	w.t.Helper()
	cfg := rotation.Config{Issuer: issuerURL, Algorithm: "EdDSA", Policy: w.policy, Verifiers: w.fleet, Store: w.store, Signer: w.signer,
		Node: name, Client: &http.Client{Transport: w}, Log: quiet}
	for _, c := range change {
		c(&cfg)
	}
	r, err := rotation.New(w.t.Context(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.host("id.example.test", r.Handler(rotation.BearerTokens(map[string]string{"t0ken": "maya"})))
	return r
}

// run runs a rotator until the returned function is called.
func run(t testing.TB, r *rotation.Rotator) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx) // nil
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// service is a verifier built on keyset, as one would build it.
type service struct{ *keyset.Set }

// start adds an instance of a verifier: it fetches from the issuer, takes hints,
// acknowledges, and answers at https://{instance}/ like any other resource.
func (w *world) start(verifier, instance string, change ...func(*keyset.Config)) service {
	w.t.Helper()
	cfg := keyset.Config{Issuer: issuerURL, Audience: []string{verifier, "everybody"}, HintSecrets: []string{secret1}, Client: &http.Client{Transport: w}, Log: quiet,
		Acknowledge: &keyset.Acknowledge{URL: issuerURL + "/keys/ack/" + verifier, Secret: secret1, Instance: instance, Lease: 2 * time.Minute}}
	for _, c := range change {
		c(&cfg)
	}
	set, err := keyset.New(w.t.Context(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(set.Close)
	mux := http.NewServeMux()
	mux.Handle("/hints", set.Hints())
	mux.Handle("/", set.Middleware()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	w.host(instance, mux)
	return service{set}
}

// answering declares a verifier of keyset instances.
func answering(name string, instances ...string) rotation.Verifier {
	v := rotation.Verifier{Name: name, Class: rotation.Answering, Expect: len(instances), Secrets: []string{secret1}, Probe: "https://{instance}/"}
	for _, i := range instances {
		v.Hooks = append(v.Hooks, "https://"+i+"/hints")
	}
	return v
}

// tell sends an acknowledgement as a verifier would that is not keyset.
func tell(r *rotation.Rotator, verifier, key string, told any) (*httptest.ResponseRecorder, rotation.Granted) {
	body, err := json.Marshal(told)
	if err != nil {
		panic(err)
	}
	return post(r, verifier, key, "msg_1", time.Now(), body)
}

func post(r *rotation.Rotator, verifier, key, id string, at time.Time, body []byte) (*httptest.ResponseRecorder, rotation.Granted) {
	hook, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		panic(err)
	}
	sig, err := hook.Sign(id, at, body)
	if err != nil {
		panic(err)
	}
	req := httptest.NewRequest(http.MethodPost, "/keys/ack/"+verifier, bytes.NewReader(body))
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("webhook-signature", sig)
	rec := httptest.NewRecorder()
	r.Acknowledgements().ServeHTTP(rec, req)
	var g rotation.Granted
	if rec.Code == http.StatusOK {
		if err := json.Unmarshal(rec.Body.Bytes(), &g); err != nil {
			panic(err)
		}
	}
	return rec, g
}

// message is an acknowledgement of these keys, all seen now.
func message(instance string, keys ...rotation.Key) rotation.Told {
	now := time.Now()
	t := rotation.Told{Acknowledgement: keyset.Acknowledgement{Instance: instance, Cache: "c", Sent: now, Lease: 60}}
	for _, k := range keys {
		t.Keys = append(t.Keys, keyset.Key{Issuer: issuerURL, ID: string(k.ID), Algorithm: string(k.Algorithm), Thumbprint: string(k.Thumbprint), LastSeen: now})
	}
	return t
}

func status(t testing.TB, r *rotation.Rotator) rotation.Status {
	t.Helper()
	s, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// states is "kid-number state" of every key, in order of planning.
func states(s rotation.Status) string {
	text := ""
	for n, k := range s.Keys {
		text += fmt.Sprintf("%d %s, ", n, k.State)
	}
	return text
}

func signerOf(t testing.TB, s rotation.Status) rotation.Key {
	t.Helper()
	ring := rotation.Ring{Keys: s.Keys}
	k, ok := ring.Signer()
	if !ok {
		t.Fatal("nobody signs")
	}
	return k
}

func settle(t testing.TB, r *rotation.Rotator) {
	t.Helper()
	if err := r.RunOnce(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
}

var order = rotation.Order{By: "maya", Note: "a test"}

// history lists the actions of the trail, oldest first.
func history(t testing.TB, w *world) (list []rotation.Entry) {
	t.Helper()
	newest, err := w.store.History(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(newest) - 1; i >= 0; i-- {
		list = append(list, newest[i])
	}
	return list
}
