package ingest_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"

	"prunella"
	"prunella/ingest"
)

// outside gives bytes to a protocol. Whatever they are: an answer that a sender
// understands, and every signal taken is one that the rest of the house can
// store and order.
func outside(t *testing.T, path, contentType string, body []byte) {
	s := &sink{}
	w := post(ingest.Handler(config(), s), path, contentType, body)
	switch w.Code {
	case 200:
	case 400:
		if w.Body.Len() == 0 {
			t.Error("400 without a word")
		}
		if len(s.got) != 0 {
			t.Errorf("400, and %d signals taken", len(s.got))
		}
	default:
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if contentType == jsonType && !json.Valid(w.Body.Bytes()) {
		t.Errorf("the answer is not JSON: %q", w.Body)
	}
	ids := map[prunella.SignalID]bool{}
	for _, sig := range s.got {
		b, err := json.Marshal(sig)
		if err != nil {
			t.Fatalf("a signal cannot be stored: %v", err)
		}
		var back prunella.Signal
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("a stored signal cannot be read: %v", err)
		}
		if !time.Unix(0, sig.Time.UnixNano()).Equal(sig.Time) || sig.Time.IsZero() {
			t.Errorf("time %v", sig.Time)
		}
		if sig.ID == "" || sig.Kind == "" || sig.Severity.Rank() == 0 || sig.Source == "" || len(sig.Body) > 64<<10 {
			t.Errorf("signal %+v", sig)
		}
		if sig.Kind != prunella.KindAlert && ids[sig.ID] { // one alert may stand in a message twice
			t.Errorf("two records with id %s", sig.ID)
		}
		ids[sig.ID] = true
	}
}

func FuzzOTLPLogs(f *testing.F) {
	f.Add([]byte(logsJSON), true)
	f.Add([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"arrayValue":{}},"severityNumber":99}]}]}]}`), true)
	f.Add(marshal(f, logs(&logspb.LogRecord{Body: text("x"), TimeUnixNano: 1, TraceId: bytes.Repeat([]byte{1}, 16)})), false)
	f.Fuzz(func(t *testing.T, body []byte, asJSON bool) {
		contentType := protoType
		if asJSON {
			contentType = jsonType
		}
		outside(t, "/v1/logs", contentType, body)
	})
}

func FuzzOTLPMetrics(f *testing.F) {
	f.Add([]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"7","timeUnixNano":"5"}]}}]}]}]}`), true)
	f.Add([]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","histogram":{"aggregationTemporality":1,"dataPoints":[{"count":"7","sum":1e300,"bucketCounts":["1"]}]}}]}]}]}`), true)
	f.Add([]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","gauge":{"dataPoints":[{"asDouble":"NaN"},{"flags":1}]}}]}]}]}`), true)
	f.Fuzz(func(t *testing.T, body []byte, asJSON bool) {
		contentType := protoType
		if asJSON {
			contentType = jsonType
		}
		outside(t, "/v1/metrics", contentType, body)
	})
}

func FuzzAlertmanager(f *testing.F) {
	f.Add(webhook(`,"truncatedAlerts":3`, firing), false)
	f.Add([]byte(`[{"labels":{"alertname":"a"},"startsAt":"2026-01-01T00:00:00Z","endsAt":"9999-01-01T00:00:00Z"}]`), true)
	f.Fuzz(func(t *testing.T, body []byte, api bool) {
		path := "/api/v1/alertmanager"
		if api {
			path = "/api/v2/alerts"
		}
		outside(t, path, jsonType, body)
	})
}

func FuzzSignals(f *testing.F) {
	f.Add([]byte(oneSignal))
	f.Add([]byte(`{"signals":[{"body":"x","time":"1969-12-31T23:59:59Z","attributes":{"":""}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) { outside(t, "/api/v1/signals", jsonType, body) })
}
