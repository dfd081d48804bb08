package diagnose_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/diagnose"
	"prunella/ingest"
	"prunella/match"
)

// kept is a sink that keeps what it is given.
type kept struct{ signals []prunella.Signal }

func (k *kept) Publish(_ context.Context, signals []prunella.Signal) error {
	k.signals = append(k.signals, signals...)
	return nil
}

// sent returns the signal that one error record becomes on its way in by OTLP.
func sent(t *testing.T, body any, attributes map[string]string) prunella.Signal {
	t.Helper()
	record := map[string]any{"severityNumber": 17, "timeUnixNano": "1774778400000000000", "body": anyValue(body)}
	var attrs []any
	for k, v := range attributes {
		attrs = append(attrs, map[string]any{"key": k, "value": anyValue(v)})
	}
	record["attributes"] = attrs
	req, err := json.Marshal(map[string]any{"resourceLogs": []any{map[string]any{
		"resource":  map[string]any{"attributes": []any{map[string]any{"key": "service.name", "value": anyValue("orders")}}},
		"scopeLogs": []any{map[string]any{"logRecords": []any{record}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	var in kept
	h := ingest.Handler(ingest.Config{Now: func() time.Time { return onset }, Log: slog.New(slog.DiscardHandler)}, &in)
	r := httptest.NewRequest(http.MethodPost, "/v1/logs", bytes.NewReader(req))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK || len(in.signals) != 1 {
		t.Fatalf("%d %s for %s", w.Code, w.Body, req)
	}
	return in.signals[0]
}

func anyValue(v any) any {
	switch x := v.(type) {
	case string:
		return map[string]any{"stringValue": x}
	case float64:
		return map[string]any{"doubleValue": x}
	case bool:
		return map[string]any{"boolValue": x}
	case map[string]any:
		list := []any{}
		for k, e := range x {
			list = append(list, map[string]any{"key": k, "value": anyValue(e)})
		}
		return map[string]any{"kvlistValue": map[string]any{"values": list}}
	case []any:
		list := []any{}
		for _, e := range x {
			list = append(list, anyValue(e))
		}
		return map[string]any{"arrayValue": map[string]any{"values": list}}
	}
	return map[string]any{}
}

// told returns the first class of a signal's text, "-" for none, and what its
// finding blames.
func told(s prunella.Signal) (class, blamed string) {
	d := match.NewDetector(match.Default())
	step := d.Observe([]prunella.Signal{s}, s.Received)
	if len(step.Interesting) == 1 {
		s = step.Interesting[0] // as it is linked to an incident
	}
	step.Findings = append(step.Findings, d.Observe(nil, s.Received.Add(time.Minute)).Findings...)
	class = "-"
	var groups []diagnose.TextGroup
	for _, g := range d.Group([]prunella.Signal{s}) {
		groups = append(groups, diagnose.TextGroup{Template: g.Template, Example: g.Example, Count: g.Count, Services: g.Services, Monitor: s.Source})
	}
	for _, t := range diagnose.ExtractFacts(groups).Texts {
		if len(t.Classes) > 0 {
			class = string(t.Classes[0])
		}
	}
	var blames []string
	for _, f := range step.Findings {
		for _, tok := range f.Tokens {
			if w, ok := strings.CutPrefix(tok, "says:"); ok {
				blames = append(blames, w)
			}
		}
	}
	slices.Sort(blames)
	return class, strings.Join(slices.Compact(blames), " ")
}

// Where a logger puts the error into attributes, they tell what the body does
// not; what both tell is told once.
func TestAttributesTell(t *testing.T) {
	for _, c := range []struct {
		body         string
		attributes   map[string]string
		class, blame string
		text         string // of the linked signal
	}{
		{"request failed", map[string]string{"exception.type": "io.jsonwebtoken.ExpiredJwtException", "exception.message": "JWT expired 61000 milliseconds ago", "http.response.status_code": "401"},
			"expired", "time", `request failed exception.type="io.jsonwebtoken.ExpiredJwtException" exception.message="JWT expired 61000 milliseconds ago"`},
		{"token rejected", map[string]string{"error": `no key "k-7" in the key set`}, "unknown-kid", "key", `token rejected error="no key 'k-7' in the key set"`},
		{"key not found", map[string]string{"kid": "2026-b"}, "unknown-kid", "key", `key not found kid="2026-b"`},
		{"GET /orders", map[string]string{"err.type": "JWTClaimValidationFailed", "err.message": `unexpected "aud" claim value`}, "audience", "audience",
			`GET /orders err.type="JWTClaimValidationFailed" err.message="unexpected 'aud' claim value"`},
		{"token is expired", map[string]string{"error": "token is expired"}, "expired", "time", "token is expired"},
		{"object missing", map[string]string{"error": "NoSuchKey", "bucket": "invoices"}, "-", "", `object missing error="NoSuchKey"`},
	} {
		s := sent(t, c.body, c.attributes)
		d := match.NewDetector(match.Default())
		linked := d.Observe([]prunella.Signal{s}, s.Received).Interesting
		if len(linked) != 1 || linked[0].Body != c.text {
			t.Errorf("%s %v is linked as %+v", c.body, c.attributes, linked)
			continue
		}
		again := match.NewDetector(match.Default()).Observe(linked, s.Received).Interesting
		if len(again) != 1 || again[0].Body != c.text {
			t.Errorf("read again, %q is %+v", c.text, again)
		}
		if class, blamed := told(s); class != c.class || blamed != c.blame {
			t.Errorf("%s %v is %s blaming %q, want %s, %q", c.body, c.attributes, class, blamed, c.class, c.blame)
		}
	}
}
