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
