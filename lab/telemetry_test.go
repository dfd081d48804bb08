package lab_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"

	"prunella"
	"prunella/lab"
)

// collector is a small OTLP/HTTP receiver.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	tokens map[string]bool
	logs   map[string][]logLine         // service
	counts map[string]map[string]uint64 // service, "metric status peer"
}

type logLine struct {
	body, kid, trace, severity string
	at                         time.Time
}

func newCollector(t *testing.T) *collector {
	c := &collector{tokens: map[string]bool{}, logs: map[string][]logLine{}, counts: map[string]map[string]uint64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/logs", func(w http.ResponseWriter, r *http.Request) {
		var req collogs.ExportLogsServiceRequest
		c.read(t, r, &req)
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rl := range req.ResourceLogs {
			service := ""
			for _, a := range rl.Resource.Attributes {
				if a.Key == "service.name" {
					service = a.Value.GetStringValue()
				}
			}
			for _, sl := range rl.ScopeLogs {
				for _, rec := range sl.LogRecords {
					l := logLine{body: rec.Body.GetStringValue(), trace: string(rec.TraceId), severity: rec.SeverityText, at: time.Unix(0, int64(rec.TimeUnixNano))}
					for _, a := range rec.Attributes {
						if a.Key == "kid" {
							l.kid = a.Value.GetStringValue()
						}
					}
					c.logs[service] = append(c.logs[service], l)
				}
			}
		}
		_, _ = w.Write(nil)
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		var req colmetrics.ExportMetricsServiceRequest
		c.read(t, r, &req)
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rm := range req.ResourceMetrics {
			attrs := map[string]string{}
			for _, a := range rm.Resource.Attributes {
				attrs[a.Key] = a.Value.GetStringValue()
			}
			if attrs["host.name"] == "" || attrs["service.version"] == "" {
				t.Errorf("resource %v lacks host.name or service.version", attrs)
			}
			by := map[string]uint64{}
			for _, sm := range rm.ScopeMetrics {
				for _, m := range sm.Metrics {
					for _, p := range m.GetHistogram().GetDataPoints() {
						key := m.Name
						for _, a := range p.Attributes {
							if a.Key == "http.response.status_code" {
								key += " " + time.Duration(a.Value.GetIntValue()).String()
							}
							if a.Key == "peer.service" {
								key += " " + a.Value.GetStringValue()
							}
						}
						by[key] += p.Count
					}
				}
			}
			c.counts[attrs["service.name"]] = by
		}
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) read(t *testing.T, r *http.Request, into proto.Message) {
	c.mu.Lock()
	c.tokens[r.Header.Get("Authorization")] = true
	c.mu.Unlock()
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			t.Error(err)
			return
		}
		body = z
	}
	b, err := io.ReadAll(body)
	if err == nil {
		err = proto.Unmarshal(b, into)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestTelemetryReachesACollector(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{Seed: 11, Rate: 140})
	if err := w.ExportTo("http://127.0.0.1:1", "nobody"); err != nil { // a collector that is away
		t.Fatal(err)
	}
	c := newCollector(t)
	if err := w.ExportTo(c.URL, "secret"); err != nil {
		t.Fatal(err)
	}
	rec, err := w.Inject(t.Context(), "rotate-partial-distribution", map[string]string{"missed": "user,order,payment,inventory"})
	if err != nil || !rec.Proven {
		t.Fatalf("%v %s", err, rec.Proof)
	}
	metric := func(service, key string) uint64 { return c.counts[service][key] }
	eventually(t, 15*time.Second, "logs and metrics of the outage", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return metric("user", "http.server.request.duration 401ns") > 3 && metric("gateway", "http.client.request.duration 200ns order")+metric("gateway", "http.client.request.duration 401ns order") > 0 &&
			metric("gateway", "http.server.request.duration 200ns") > 0 && len(c.logs["user"]) > 2 && len(c.logs["order"]) > 2 && len(c.logs["payment"]) > 2 &&
			len(c.logs["inventory"]) > 2 && len(c.logs["auth"]) > 0
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.tokens["Bearer secret"] || len(c.tokens) != 1 {
		t.Errorf("exported with %v", c.tokens)
	}
	refused := func(service string) logLine {
		for _, l := range c.logs[service] {
			if l.severity == "WARN" && strings.Contains(l.body, "keys.json") {
				return l
			}
		}
		t.Fatalf("%s never says that it lacks a key: %+v", service, c.logs[service])
		return logLine{}
	}
	user, order, inventory := refused("user"), refused("order"), refused("inventory")
	if user.kid == "" || inventory.kid != "" {
		t.Errorf("kid of user %q and inventory %q; one team sends it as an attribute and one does not", user.kid, inventory.kid)
	}
	if strings.Fields(user.body)[0] == strings.Fields(order.body)[0] {
		t.Errorf("user and order use the same words: %q and %q", user.body, order.body)
	}
	var traced int
	for _, l := range c.logs["user"] {
		if len(l.trace) == 16 {
			traced++
		}
	}
	if traced == 0 {
		t.Error("no log line of user carries a trace")
	}
	var told bool
	for _, l := range c.logs["auth"] {
		told = told || strings.Contains(l.body, "could not be delivered") && strings.Contains(l.body, "connection refused")
	}
	if !told {
		t.Errorf("auth does not log the failed deliveries: %+v", c.logs["auth"])
	}
}

func TestServiceTellsMetricsAndTime(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{ServiceCount: 2, Rate: -1, Profile: "cached"})
	if _, err := w.Inject(t.Context(), "clock-skew", map[string]string{"service": "user", "skew": "10m"}); err != nil {
		t.Fatal(err)
	}
	inv := w.Inventory()
	res := get(t, inv.Services[0].URL+"/api/ping", "nonsense")
	at, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil || time.Until(at) < 9*time.Minute {
		t.Errorf("Date of a clock 10 minutes ahead: %v %v", at, err)
	}
	if h := res.Header.Get("WWW-Authenticate"); res.StatusCode != http.StatusUnauthorized || !strings.Contains(h, `error="invalid_token", error_description="`) {
		t.Errorf("%s with WWW-Authenticate %q", res.Status, h)
	}
	page, err := io.ReadAll(get(t, inv.Services[0].URL+"/metrics", "").Body)
	if err != nil || !strings.Contains(string(page), `http_request_duration_seconds_count{code="401",method="GET",route="/api/ping",service="user"}`) {
		t.Errorf("metrics: %v %s", err, page)
	}
	if res := get(t, inv.Services[0].URL+"/healthz", ""); res.StatusCode != http.StatusOK {
		t.Errorf("healthz: %s", res.Status)
	}
}

func TestVendorOutageIsOnTheStatusPage(t *testing.T) {
	t.Parallel()
	w := start(t, lab.Spec{ServiceCount: 1, Rate: -1})
	indicator := func() string {
		var page struct {
			Status struct{ Indicator string }
		}
		if err := json.NewDecoder(get(t, w.Inventory().Issuers[0].StatusPage+"/api/v2/status.json", "").Body).Decode(&page); err != nil {
			t.Fatal(err)
		}
		return page.Status.Indicator
	}
	if got := indicator(); got != "none" {
		t.Errorf("indicator before is %q", got)
	}
	if rec, err := w.Inject(t.Context(), "vendor-down", nil); err != nil || !rec.Proven {
		t.Fatalf("%v %s", err, rec.Proof)
	}
	if got := indicator(); got != "critical" {
		t.Errorf("indicator is %q", got)
	}
	if res := get(t, w.Inventory().Issuers[0].URL+"/.well-known/openid-configuration", ""); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("discovery answers %s", res.Status)
	}
	if err := w.Revert(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := indicator(); got != "none" {
		t.Errorf("indicator after is %q", got)
	}
}

func TestKeyFileIsReadAgainOnRequest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := start(t, lab.Spec{ServiceCount: 1, Rate: -1, Dir: dir})
	inv := w.Inventory()
	a := admin{t, inv.Issuers[0].Admin}
	good := token(t, w)
	if err := os.WriteFile(filepath.Join(dir, "user", "keys.json"), []byte(`{"keys":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := refusers(t, w, good); len(got) > 0 {
		t.Fatalf("the file took effect by itself: refused by %v", got)
	}
	service := admin{t, &prunella.Admin{URL: inv.Services[0].URL, Token: a.a.Token}}
	service.post("/admin/keys/reload", nil, http.StatusOK)
	if got := refusers(t, w, good); len(got) != 1 {
		t.Error("an empty key file still accepts tokens after a reload")
	}
	signer := a.get("keys")["signer"].(string)
	a.post("keys/"+signer+"/redeliver", nil, http.StatusOK)
	if got := refusers(t, w, good); len(got) > 0 {
		t.Errorf("after redelivery refused by %v", got)
	}
	if res, err := http.Post(inv.Services[0].URL+"/admin/keys/reload", "", nil); err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("reload without the admin token: %v %v", res, err)
	} else {
		res.Body.Close()
	}
}
