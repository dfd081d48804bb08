package ingest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/ingest"
)

func webhook(extra string, alerts ...string) []byte {
	return []byte(`{"version":"4","groupKey":"{}:{}","receiver":"prunella","status":"firing"` + extra + `,"alerts":[` + strings.Join(alerts, ",") + `]}`)
}

const firing = `{"status":"firing","fingerprint":"c0ffee","startsAt":"2026-11-22T09:58:00.5+01:00","endsAt":"0001-01-01T00:00:00Z",
 "labels":{"alertname":"HighAuthErrors","severity":"page","service":"user","job":"scrape","status":"401","kid":"k-2"},
 "annotations":{"summary":"401s above five times the baseline","description":"since a minute","runbook_url":"https://wiki/auth"},"generatorURL":"http://prom/graph"}`

func TestWebhook(t *testing.T) {
	s := &sink{}
	h := ingest.Handler(config(), s)
	if w := post(h, "/api/v1/alertmanager", jsonType, webhook("", firing)); w.Code != 200 || !strings.Contains(w.Body.String(), `"accepted":1`) {
		t.Fatal(w.Code, w.Body)
	}
	start := "2026-11-22T08:58:00.5Z"
	compare(t, s.got, []prunella.Signal{{Source: "alertmanager", Service: "user", Kind: prunella.KindAlert, Severity: prunella.Critical, Name: "HighAuthErrors",
		Time: time.Date(2026, 11, 22, 8, 58, 0, 5e8, time.UTC), Received: now,
		Body: "401s above five times the baseline\nsince a minute\nRunbook: https://wiki/auth",
		Attributes: map[string]string{"alertname": "HighAuthErrors", "severity": "page", "service": "user", "job": "scrape", "label.status": "401", "kid": "k-2",
			"status": "firing", "starts_at": start, "runbook_url": "https://wiki/auth", "generator_url": "http://prom/graph"}}})
	if s.got[0].Fingerprint != "c0ffee" {
		t.Errorf("fingerprint %q", s.got[0].Fingerprint)
	}
}

func TestAlertIdentity(t *testing.T) {
	s := &sink{}
	h := ingest.Handler(config(), s)
	resolved := strings.NewReplacer(`"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "2026-11-22T09:59:00Z").Replace(firing)
	later := strings.Replace(firing, "09:58:00", "11:58:00", 1)
	reworded := strings.Replace(firing, "since a minute", "since an hour", 1)
	for _, a := range []string{firing, reworded, resolved, later} {
		if w := post(h, "/api/v1/alertmanager", jsonType, webhook("", a)); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
	}
	if s.got[0].ID != s.got[1].ID {
		t.Error("a repeated notification has another id")
	}
	if s.got[0].ID == s.got[2].ID || s.got[0].ID == s.got[3].ID {
		t.Error("a resolved or a later alert has the id of the first")
	}
	if got := s.got[2]; got.Attr("status") != "resolved" || !got.Time.Equal(time.Date(2026, 11, 22, 9, 59, 0, 0, time.UTC)) {
		t.Errorf("resolved: %q at %v", got.Attr("status"), got.Time)
	}
}

func TestTruncatedAlertsAreShown(t *testing.T) {
	s := &sink{}
	post(ingest.Handler(config(), s), "/api/v1/alertmanager", jsonType, webhook(`,"truncatedAlerts":17`, firing))
	if len(s.got) != 2 || s.got[1].Severity != prunella.Warning || !strings.Contains(s.got[1].Body, "17 alerts") {
		t.Errorf("got %+v", s.got)
	}
}

func TestWebhookInPart(t *testing.T) {
	s := &sink{}
	w := post(ingest.Handler(config(), s), "/api/v1/alertmanager", jsonType, webhook("", firing, `{"status":"firing"}`, `{"status":"odd","labels":{"a":"b"}}`))
	var answer struct {
		Accepted, Rejected int
		Errors             []string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	if answer.Accepted != 1 || answer.Rejected != 2 || !strings.Contains(strings.Join(answer.Errors, " "), "alerts[1] has no labels") {
		t.Errorf("%+v", answer)
	}
}

func TestAPIAlerts(t *testing.T) {
	s := &sink{}
	h := ingest.Handler(config(), s)
	send := func(end string) {
		t.Helper()
		body := fmt.Sprintf(`[{"labels":{"alertname":"Down","job":"api","severity":"warn"},"startsAt":"2026-11-22T09:00:00Z","endsAt":%q}]`, end)
		if w := post(h, "/api/v2/alerts", jsonType, []byte(body)); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
	}
	send("2026-11-22T10:04:00Z") // Prometheus moves the end on while it fires
	send("2026-11-22T10:05:00Z")
	send("2026-11-22T10:00:00Z")
	if s.got[0].ID != s.got[1].ID || s.got[0].ID == s.got[2].ID {
		t.Error("identity is not labels, status and start")
	}
	if s.got[1].Attr("status") != "firing" || s.got[2].Attr("status") != "resolved" {
		t.Errorf("status %q, then %q", s.got[1].Attr("status"), s.got[2].Attr("status"))
	}
	if s.got[0].Service != "api" || s.got[0].Severity != prunella.Warning || s.got[0].Body != "Down" {
		t.Errorf("%+v", s.got[0])
	}
}

func TestOwnSignals(t *testing.T) {
	s := &sink{}
	w := post(ingest.Handler(config(), s), "/api/v1/signals", jsonType, []byte(`{"signals":[
		{"id":"mine","tenant":"other","received":"2020-01-01T00:00:00Z","source":"monitor 2","service":"order","severity":"CRITICAL","body":"all requests are unauthorized",
		 "time":"2026-11-22T10:59:00+01:00","kind":"alert","name":"auth","attributes":{"kid":"k-2"},"fingerprint":"f"},
		{"body":"plain"},
		{"body":"x","kind":"metric"},{"body":"x","kind":"odd"},{"body":"x","time":"0900-01-01T00:00:00Z"},{"body":"x","time":"yesterday"},{"body":5}]}`))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"rejected":5`) || !strings.Contains(w.Body.String(), "/v1/metrics") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	compare(t, s.got, []prunella.Signal{
		{Source: "monitor 2", Service: "order", Severity: prunella.Critical, Body: "all requests are unauthorized", Time: now.Add(-time.Minute), Received: now,
			Kind: prunella.KindAlert, Name: "auth", Attributes: map[string]string{"kid": "k-2"}},
		{Source: "signals", Severity: prunella.Info, Body: "plain", Time: now, Received: now, Kind: prunella.KindLog},
	})
	if s.got[0].ID == "mine" || s.got[0].Tenant != "" || s.got[0].Fingerprint != "f" {
		t.Errorf("%+v", s.got[0])
	}
}

// The published table of severity words is the one in use.
func TestSeverityTableInDocs(t *testing.T) {
	doc, err := os.ReadFile("../docs/ingest.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (critical|high|warning|info|low) \| ([^|]+) \|`).FindAllStringSubmatch(string(doc), -1)
	if len(rows) != 5 {
		t.Fatalf("docs/ingest.md has %d rows of severities", len(rows))
	}
	s := &sink{}
	h := ingest.Handler(config(), s)
	words := 0
	for _, row := range rows {
		for _, word := range strings.FieldsFunc(row[2], func(r rune) bool { return strings.ContainsRune("` ,", r) }) {
			words++
			s.got = nil
			post(h, "/api/v1/signals", jsonType, fmt.Appendf(nil, `{"signals":[{"body":"x","severity":%q}]}`, word))
			if len(s.got) != 1 || string(s.got[0].Severity) != row[1] {
				t.Errorf("%q is not %s", word, row[1])
			}
		}
	}
	if words != ingest.SeverityWords() {
		t.Errorf("the page lists %d words, the code knows %d", words, ingest.SeverityWords())
	}
}
