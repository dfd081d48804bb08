package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"prunella"
	"prunella/bus"
	"prunella/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// sink keeps what it is given, and refuses while err is set.
type sink struct {
	mu   sync.Mutex
	got  []prunella.Signal
	err  error
	gate chan struct{} // when set, Publish waits for it
}

func (s *sink) Publish(_ context.Context, signals []prunella.Signal) error {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.got = append(s.got, signals...)
	return nil
}

func config() ingest.Config {
	return ingest.Config{Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
}

// post sends a body and returns the answer.
func post(h http.Handler, path, contentType string, body []byte, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func zip(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

const (
	jsonType  = "application/json"
	protoType = "application/x-protobuf"
)

const oneSignal = `{"signals":[{"source":"cron","service":"billing","severity":"critical","body":"invoice run failed","time":"2026-11-22T09:59:00Z"}]}`

func TestRefusals(t *testing.T) {
	cfg := config()
	cfg.MaxBody = 1000
	cfg.Tokens = map[string]prunella.TenantID{"secret": "acme"}
	token := []string{"Authorization", "Bearer secret"}
	long := []byte(`{"signals":[{"body":"` + strings.Repeat("x", 2000) + `"}]}`)
	for _, c := range []struct {
		name, path, contentType string
		body                    []byte
		header                  []string
		status                  int
		says                    string
	}{
		{"no token", "/api/v1/signals", jsonType, []byte(oneSignal), nil, 401, "Bearer"},
		{"wrong token", "/v1/logs", jsonType, []byte(`{}`), []string{"Authorization", "Bearer nope"}, 401, "ingest.tokens"},
		{"token without scheme", "/v1/logs", jsonType, []byte(`{}`), []string{"Authorization", "secret"}, 401, "token"},
		{"content type", "/api/v1/signals", "text/plain", []byte(oneSignal), token, 415, `text/plain`},
		{"protobuf where JSON belongs", "/api/v2/alerts", protoType, nil, token, 415, jsonType},
		{"unknown encoding", "/v1/logs", jsonType, []byte(`{}`), append(token, "Content-Encoding", "br"), 415, `br`},
		{"too large", "/api/v1/signals", jsonType, long, token, 413, "1000 bytes"},
		{"too large decompressed", "/api/v1/signals", jsonType, zip(long), append(token, "Content-Encoding", "gzip"), 413, "decompressed"},
		{"not gzip", "/v1/logs", jsonType, []byte(`{}..........`), append(token, "Content-Encoding", "gzip"), 400, "gzip"},
		{"gzip cut off", "/v1/logs", jsonType, zip([]byte(`{"resourceLogs":[]}`))[:20], append(token, "Content-Encoding", "gzip"), 400, "ends early"},
		{"OTLP JSON syntax", "/v1/logs", jsonType, []byte(`{"resourceLogs":[`), token, 400, "ExportLogsServiceRequest"},
		{"OTLP JSON type", "/v1/metrics", jsonType, []byte(`{"resourceMetrics":5}`), token, 400, "line 1:20"},
		{"protobuf", "/v1/metrics", protoType, []byte{0x0a, 0xff}, token, 400, "ExportMetricsServiceRequest"},
		{"JSON cut off", "/api/v1/signals", jsonType, []byte(`{"signals":[`), token, 400, "ends early"},
		{"JSON syntax", "/api/v1/signals", jsonType, []byte(`{"signals":}`), token, 400, "byte 12"},
		{"two values", "/api/v1/signals", jsonType, []byte(oneSignal + `{}`), token, 400, "follows"},
		{"field of another type", "/api/v1/alertmanager", jsonType, []byte(`{"version":"4","alerts":7}`), token, 400, `alerts`},
		{"no signals", "/api/v1/signals", jsonType, []byte(`{}`), token, 400, `"signals" is missing`},
		{"version 3", "/api/v1/alertmanager", jsonType, []byte(`{"version":"3"}`), token, 400, "version 4"},
		{"nothing usable", "/api/v1/signals", jsonType, []byte(`{"signals":[{"severity":"info"}]}`), token, 400, "signals[0]: neither a body nor a name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &sink{}
			h := ingest.Handler(cfg, s)
			w := post(h, c.path, c.contentType, c.body, c.header...)
			text, _ := io.ReadAll(w.Body)
			if w.Code != c.status || !strings.Contains(strings.ReplaceAll(string(text), `\"`, `"`), c.says) {
				t.Errorf("got %d %s, want %d with %q", w.Code, text, c.status, c.says)
			}
			if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
			if len(s.got) != 0 {
				t.Errorf("%d signals taken all the same", len(s.got))
			}
			if w := post(h, "/api/v1/signals", jsonType, []byte(oneSignal), token...); w.Code != 200 {
				t.Errorf("the next request gets %d", w.Code)
			}
		})
	}
}

func TestMethod(t *testing.T) {
	w := httptest.NewRecorder()
	ingest.Handler(config(), &sink{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/logs", nil))
	if w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Errorf("got %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestTokenChoosesTenant(t *testing.T) {
	cfg := config()
	cfg.Tokens = map[string]prunella.TenantID{"a": "acme", "b": "beta"}
	s := &sink{}
	h := ingest.Handler(cfg, s)
	for _, token := range []string{"a", "b"} {
		if w := post(h, "/api/v1/signals", jsonType, []byte(oneSignal), "Authorization", "bearer "+token); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
	}
	if s.got[0].Tenant != "acme" || s.got[1].Tenant != "beta" {
		t.Errorf("tenants %q and %q", s.got[0].Tenant, s.got[1].Tenant)
	}
	if s.got[0].ID == s.got[1].ID {
		t.Error("two tenants share a signal id")
	}
}

func TestSinkThatRefuses(t *testing.T) {
	s := &sink{err: prunella.Errorf(prunella.Unavailable, "the bus is full")}
	h := ingest.Handler(config(), s)
	w := post(h, "/api/v1/signals", jsonType, []byte(oneSignal))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "full") {
		t.Errorf("got %d, Retry-After %q, %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	s.err = errors.New("anything else")
	if w := post(h, "/v1/logs", jsonType, []byte(logsJSON)); w.Code != 503 {
		t.Errorf("an unknown failure is %d: OTLP exporters would drop the batch", w.Code)
	}
	s.err = prunella.Errorf(prunella.TooLarge, "one signal is too large")
	if w := post(h, "/api/v1/signals", jsonType, []byte(oneSignal)); w.Code != 413 {
		t.Errorf("too large is %d", w.Code)
	}
}

func TestManyAtOnceWaitAndAreToldToComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{gate: make(chan struct{})}
		h := ingest.Handler(config(), s)
		codes := make(chan int, 40)
		ask := func(n int) {
			for range n {
				go func() { codes <- post(h, "/api/v1/signals", jsonType, []byte(oneSignal)).Code }()
			}
			synctest.Wait()
		}
		ask(20) // 16 are at the sink, 4 wait
		time.Sleep(1900 * time.Millisecond)
		if len(codes) != 0 {
			t.Fatalf("answered early: %d", <-codes)
		}
		time.Sleep(200 * time.Millisecond)
		for range 4 {
			if code := <-codes; code != 429 {
				t.Errorf("one that waited too long gets %d", code)
			}
		}
		ask(4)
		close(s.gate) // the sink goes on, and so do those that wait
		for range 20 {
			if code := <-codes; code != 200 {
				t.Errorf("one that could wait gets %d", code)
			}
		}
	})
}

func TestMetricsCount(t *testing.T) {
	reg := prometheus.NewRegistry()
	cfg := config()
	cfg.Metrics = reg
	h := ingest.Handler(cfg, &sink{})
	post(h, "/api/v1/signals", jsonType, []byte(`{"signals":[{"body":"a"},{"body":"b","kind":"probe"},{"body":"c","severity":"odd"}]}`))
	post(h, "/api/v1/signals", jsonType, []byte(`[`))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"prunella_ingest_rejected_total protocol=signals reason=bad-severity": 1,
		"prunella_ingest_requests_total code=200 protocol=signals":            1,
		"prunella_ingest_requests_total code=400 protocol=signals":            1,
		"prunella_ingest_signals_total kind=log protocol=signals":             1,
		"prunella_ingest_signals_total kind=probe protocol=signals":           1,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("counters (-want +got):\n%s", d)
	}
}

// A 200 through the real bus is there after the bus was closed and opened.
func TestStoredOnTheBus(t *testing.T) {
	dir := t.TempDir()
	b, err := bus.Open(t.Context(), bus.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := ingest.Handler(config(), b)
	for range 2 { // the sender did not hear the first answer
		if w := post(h, "/v1/logs", jsonType, zip([]byte(logsJSON)), "Content-Encoding", "gzip"); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
	}
	b.Close()
	if w := post(h, "/v1/logs", jsonType, []byte(logsJSON)); w.Code != 503 {
		t.Errorf("with the bus closed: %d", w.Code)
	}
	if b, err = bus.Open(t.Context(), bus.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c, err := b.Consumer(t.Context(), "pipeline")
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Fetch(t.Context(), 10, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if len(m) != 2 || len(m[0].Signals) != 2 {
		t.Fatalf("%d messages", len(m))
	}
	for i := range m[0].Signals {
		if m[0].Signals[i].ID != m[1].Signals[i].ID {
			t.Errorf("record %d got two ids from the same bytes", i)
		}
	}
}

// A page that has pointed its own name at this machine is same-origin to the
// browser and needs no leave; it is told apart by what every browser adds. An
// agent may call us by any name, and a page that has a token may send.
func TestPagesNeedAToken(t *testing.T) {
	for name, c := range map[string]struct {
		tokens map[string]prunella.TenantID
		header []string
		want   int
	}{
		"an agent":                 {nil, nil, 200},
		"a page of another name":   {nil, []string{"Origin", "http://rebound.example:7070"}, 403},
		"a page of no origin":      {nil, []string{"Origin", "null"}, 403},
		"a page of our own origin": {nil, []string{"Sec-Fetch-Site", "same-origin"}, 403},
		"a page with a token":      {map[string]prunella.TenantID{"t": "acme"}, []string{"Origin", "https://shop.example", "Authorization", "Bearer t"}, 200},
		"a page without a token":   {map[string]prunella.TenantID{"t": "acme"}, []string{"Origin", "https://shop.example"}, 401},
	} {
		cfg := config()
		cfg.Tokens = c.tokens
		h := ingest.Handler(cfg, &sink{})
		if got := post(h, "/api/v1/signals", jsonType, []byte(oneSignal), c.header...); got.Code != c.want {
			t.Errorf("%s: %d, want %d: %s", name, got.Code, c.want, got.Body)
		}
		if got := post(h, "/v1/logs", protoType, nil, c.header...); got.Code != c.want {
			t.Errorf("%s, OTLP: %d, want %d", name, got.Code, c.want)
		}
	}
	// Without those headers a page could send these types only, and asks nobody.
	h := ingest.Handler(config(), &sink{})
	for _, simple := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""} {
		if got := post(h, "/api/v1/signals", simple, []byte(oneSignal)); got.Code != 415 {
			t.Errorf("%q: %d, want 415", simple, got.Code)
		}
	}
}
