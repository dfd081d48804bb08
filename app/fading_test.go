package app

import (
	"fmt"
	"testing"
	"time"

	"prunella"
	"prunella/store"
)

// A quiet service fails with one request in six and is healed. Detection takes
// its time to call so few requests quiet; that is no recurrence, and no new
// incident.
func TestAFadingFailureIsNoRecurrence(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer s.Close()
	from := &stream{}
	p := pipeline(t, from, s, prunella.Inventory{})
	start := time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)
	now, ok, failed := start, 0.0, 0.0
	export := func(fails float64) {
		now = now.Add(10 * time.Second)
		ok, failed = ok+6-fails, failed+fails
		var signals []prunella.Signal
		for status, n := range map[string]float64{"200": ok, "500": failed} {
			signals = append(signals, prunella.Signal{ID: prunella.SignalID(fmt.Sprintf("%s-%d", status, now.Unix())), Source: "otlp/ledger", Service: "ledger",
				Kind: prunella.KindMetric, Severity: prunella.Info, Time: now, Received: now, Name: "http.server.request.duration",
				Attributes: map[string]string{prunella.AttrStatus: status},
				Metric:     &prunella.Metric{Unit: "s", Value: n / 100, Count: uint64(n), Histogram: true, Cumulative: true, Start: start}})
		}
		from.publish(signals...)
		if err := p.Pass(t.Context(), from.messages[len(from.messages)-1:], now); err != nil {
			t.Fatal(err)
		}
	}
	last := func(d time.Duration, fails float64) {
		for end := now.Add(d); now.Before(end); {
			export(fails)
		}
	}
	last(10*time.Minute, 0)
	last(5*time.Minute, 1)
	open, err := s.OpenIncidents(t.Context())
	if err != nil || len(open) != 1 {
		t.Fatalf("%d incidents while it fails, want 1 (%v)", len(open), err)
	}
	last(70*time.Second, 0)
	resolveAll(t, s, now) // as the engine does after a minute of quiet
	last(15*time.Minute, 0)
	all, err := s.Incidents(t.Context(), store.IncidentFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].State != prunella.Resolved || all[0].Recurrences != 0 {
		for _, i := range all {
			t.Errorf("%s is %s (%s), recurred %d times", i.ID, i.State, i.StateReason.Text, i.Recurrences)
		}
	}
}
