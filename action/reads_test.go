package action_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/action"
)

// site serves fixed answers by path; a path without one is 404.
func site(t *testing.T, answers map[string]string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := answers[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

var onset = time.Date(2026, 4, 19, 11, 42, 0, 0, time.UTC)

func TestReleasesRecent(t *testing.T) {
	gh := site(t, map[string]string{"/repos/acme/shop/releases": `[
		{"tag_name":"draft","draft":true,"published_at":null},
		{"tag_name":"order-v1.3.0","name":"Order 1.3.0","draft":false,"prerelease":false,"published_at":"2026-04-19T11:30:00Z","author":{"login":"maya"}},
		{"tag_name":"user-v2.0.0","name":"","draft":false,"published_at":"2026-04-18T09:00:00Z","author":{"login":"sam"}},
		{"tag_name":"order-v1.2.0","name":"","draft":false,"published_at":"2026-04-01T09:00:00Z","author":{"login":"sam"}}]`})
	inv := prunella.Inventory{Services: []prunella.Service{{Name: "order"}, {Name: "user"}}, Releases: []prunella.Releases{{URL: gh.URL + "/repos/acme/shop"}}}
	w := world(t, inv, nil, action.Options{})
	read := func(with map[string]any) map[string]any {
		t.Helper()
		res, err := w.Read(t.Context(), "releases.recent", with, action.Incident{Onset: onset, Now: onset.Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	order := map[string]any{"tag": "order-v1.3.0", "name": "Order 1.3.0", "author": "maya", "service": "order", "published_at": "2026-04-19T11:30:00Z", "age_s": 720.0}
	if d := cmp.Diff(map[string]any{"known": true, "count": 1.0, "releases": []any{order}, "latest": order}, read(map[string]any{"within": "1h"})); d != "" {
		t.Error(d)
	}
	if res := read(map[string]any{"within": 300}); res["count"] != 0.0 || res["latest"] == nil {
		t.Errorf("within 5 minutes: %v", res)
	}
	if res := read(map[string]any{"service": "user", "within": "48h"}); res["count"] != 1.0 {
		t.Errorf("of user: %v", res)
	}
	changes, err := w.Releases(t.Context())
	if err != nil || len(changes) != 3 || changes[2].Version != "order-v1.3.0" || changes[2].Before != "order-v1.2.0" || changes[2].Service != "order" {
		t.Errorf("changes %+v, %v", changes, err)
	}
	gh.Close()
	if res := read(nil); res["known"] != false || res["count"] != 0.0 {
		t.Errorf("without an answer: %v", res)
	}
}

func TestVendorStatus(t *testing.T) {
	i := newIssuer(t, "k")
	page := map[string]string{"/api/v2/status.json": `{"page":{"id":"x","name":"Auth0"},"status":{"indicator":"minor","description":"Partially degraded"}}`}
	inv := inventory(i, nil)
	inv.Issuers[0].StatusPage, inv.Issuers[0].Vendor = site(t, page).URL, "auth0"
	w := world(t, inv, nil, action.Options{})
	read := func() map[string]any {
		t.Helper()
		res, err := w.Read(t.Context(), "vendor.status", nil, action.Incident{})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	res := read()
	want := map[string]any{"known": true, "issuer": "auth", "vendor": "auth0", "indicator": "minor", "description": "Partially degraded", "down": false,
		"answers": map[string]any{"discovery": true, "jwks": true, "token": true}, "reason": ""}
	if d := cmp.Diff(want, res); d != "" {
		t.Error(d)
	}
	i.jwksDown = true
	if res := read(); res["down"] != false || res["answers"].(map[string]any)["jwks"] != false {
		t.Errorf("only the key set is down: %v", res)
	}
	page["/api/v2/status.json"] = `{"status":{"indicator":"critical","description":"Down"}}`
	if res := read(); res["down"] != true {
		t.Errorf("critical: %v", res)
	}
	delete(page, "/api/v2/status.json")
	i.Close()
	if res := read(); res["known"] != false || res["down"] != true {
		t.Errorf("the issuer is gone: %v", res)
	}
}

// past is a History of literal signals and points.
type past struct {
	changes, logs []prunella.Signal
	points        []prunella.SeriesPoint
	err           error
}

func (p past) Changes(_ context.Context, since time.Time) ([]prunella.Signal, error) {
	var out []prunella.Signal
	for _, s := range p.changes {
		if !s.Time.Before(since) {
			out = append(out, s)
		}
	}
	return out, p.err
}

func (p past) SearchLogs(_ context.Context, q action.LogQuery) (found []prunella.Signal, total int, err error) {
	re := regexp.MustCompile(q.Regex)
	for _, s := range p.logs {
		if s.Time.Before(q.Since) || s.Time.After(q.Until) {
			continue
		}
		total++
		if q.Regex != "" && re.MatchString(s.Body) || slices.ContainsFunc(q.Any, func(a string) bool { return strings.Contains(strings.ToLower(s.Body), strings.ToLower(a)) }) {
			found = append(found, s)
		}
	}
	return found, total, p.err
}

func (p past) Series(_ context.Context, name, service string, from, to time.Time) ([]prunella.SeriesPoint, error) {
	var out []prunella.SeriesPoint
	for _, pt := range p.points {
		if pt.Name == name && pt.Service == service && !pt.At.Before(from) && !pt.At.After(to) {
			out = append(out, pt)
		}
	}
	return out, p.err
}

func TestKeyChanges(t *testing.T) {
	change := func(name, issuer string, at time.Duration, more map[string]string) prunella.Signal {
		s := prunella.Signal{Kind: prunella.KindChange, Name: name, Time: onset.Add(at), Attributes: map[string]string{"issuer": issuer, "kid": "new", "before": "old"}}
		for k, v := range more {
			s.Attributes[k] = v
		}
		return s
	}
	h := past{changes: []prunella.Signal{
		change(prunella.ChangeKeyAdded, "auth", -3*time.Hour, nil),
		change(prunella.ChangeSigner, "auth", -4*time.Second, nil),
		change(prunella.ChangeSigner, "other", -time.Second, nil),
		change(prunella.ChangeDeploy, "auth", -time.Second, nil),
		// Seen six seconds after the onset, but it may have come four before it.
		change(prunella.ChangeKeyRemoved, "auth", 6*time.Second, map[string]string{"not_before": onset.Add(-4 * time.Second).Format(time.RFC3339Nano)}),
		change(prunella.ChangeKeyAdded, "auth", time.Minute, map[string]string{"not_before": onset.Add(50 * time.Second).Format(time.RFC3339Nano)}),
	}}
	w := world(t, prunella.Inventory{Issuers: []prunella.Issuer{{Name: "auth", URL: "https://auth.example"}, {Name: "other", URL: "https://o.example"}},
		Services: []prunella.Service{{Name: "user", Issuer: "auth"}}}, h, action.Options{})
	res, err := w.Read(t.Context(), "keys.changes", map[string]any{"within": "10m"}, action.Incident{Onset: onset, Services: []string{"user"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range res["changes"].([]any) {
		m := c.(map[string]any)
		got = append(got, fmt.Sprintf("%s %v ±%v", m["name"], m["before_onset_s"], m["uncertain_s"]))
	}
	want := []string{"keyset.signer-changed 4 ±0", "keyset.key-removed 2 ±10", "keyset.key-added -60 ±10"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if res["nearest_s"] != 2.0 || res["count"] != 3.0 || res["known"] != true {
		t.Errorf("%v", res)
	}
	if _, err := w.Read(t.Context(), "keys.changes", nil, action.Incident{}); prunella.KindOf(err) != prunella.Invalid || !strings.Contains(err.Error(), "auth, other") {
		t.Errorf("which issuer: %v", err)
	}
}

func TestLogsSearch(t *testing.T) {
	line := func(service string, at time.Duration, text string) prunella.Signal {
		return prunella.Signal{Kind: prunella.KindLog, Service: service, Time: onset.Add(at), Body: text}
	}
	h := past{logs: []prunella.Signal{
		line("user", -time.Hour, "Unable to find key"), line("user", time.Second, `Unable to find key: kid "key-2026-03-29" is not known`),
		line("order", 2*time.Second, "unable to find key with key ID k-old.1."), line("order", 3*time.Second, "served /api/orders"),
	}}
	w := world(t, prunella.Inventory{}, h, action.Options{})
	res, err := w.Read(t.Context(), "logs.search", map[string]any{"any": []any{"unable to find key"}}, action.Incident{Onset: onset, Now: onset.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"known": true, "count": 2.0, "total": 3.0, "services": []any{"order", "user"}, "kids": []any{"k-old.1", "key-2026-03-29"},
		"examples": []any{`Unable to find key: kid "key-2026-03-29" is not known`, "unable to find key with key ID k-old.1."}, "share": 2.0 / 3}
	if d := cmp.Diff(want, res); d != "" {
		t.Error(d)
	}
	for _, with := range []map[string]any{nil, {"regex": "("}} {
		if _, err := w.Read(t.Context(), "logs.search", with, action.Incident{}); prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("%v: %v", with, err)
		}
	}
}

func TestRequestsErrors(t *testing.T) {
	var h past
	for n := range 20 {
		at := onset.Add(time.Duration(n) * time.Second)
		failing := 0.0
		if n >= 10 {
			failing = 5
		}
		for name, v := range map[string]float64{"requests": 10, "errors.401": failing, "baseline.401": 0.1} {
			h.points = append(h.points, prunella.SeriesPoint{Service: "user", Name: name, At: at, Value: v})
		}
		h.points = append(h.points, prunella.SeriesPoint{Service: "order", Name: "requests", At: at, Value: 30})
	}
	inv := prunella.Inventory{Services: []prunella.Service{{Name: "user"}, {Name: "order"}, {Name: "silent"}}}
	read := func(scale float64, with map[string]any) map[string]any {
		t.Helper()
		res, err := world(t, inv, h, action.Options{TimeScale: scale}).Read(t.Context(), "requests.errors", with, action.Incident{Now: onset.Add(19 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	want := map[string]any{"known": true, "rate": 2.5, "baseline": 0.1, "requests": 40.0, "share": 0.0625, "by_service": map[string]any{"user": 0.25, "order": 0.0}}
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
	if d := cmp.Diff(want, read(0, nil), near); d != "" {
		t.Error(d)
	}
	if res := read(20, map[string]any{"window": "60s"}); res["rate"] != 5.0 {
		t.Errorf("a window of 60 s at scale 20 is 3 s: %v", res)
	}
	if res := read(0, map[string]any{"status": 5, "window": "1ms"}); res["known"] != true || res["share"] != 0.0 {
		t.Errorf("no errors of that status: %v", res)
	}
	h.points = nil
	if res := read(0, nil); res["known"] != false {
		t.Errorf("silence: %v", res)
	}
	h.err = errors.New("disk is gone")
	if res := read(0, nil); res["known"] != false || !strings.Contains(res["reason"].(string), "disk is gone") {
		t.Errorf("history fails: %v", res)
	}
}
