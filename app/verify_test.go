package app

import (
	"testing"
	"time"

	"prunella"
	"prunella/engine"
	"prunella/store"
)

// A service without canaries that was well after the heal and whose telemetry
// then stopped is not healed: nobody knows how it is.
func TestTelemetryThatStopsProvesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		stopped time.Duration // before now
		state   prunella.State
		verdict prunella.Verdict
		reason  string
	}{
		"it goes on": {0, prunella.Resolved, prunella.Healed, "quiet-held"},
		"it stopped": {5 * time.Second, prunella.Escalated, prunella.UnknownVerdict, "fell-silent"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			defer s.Close()
			const bucket = 100 * time.Millisecond
			now := time.Now()
			changed := now.Add(-10 * time.Second)
			inc := prunella.Incident{ID: "inc-1", Title: "401 in payment", State: prunella.Verifying, Severity: prunella.High, Onset: changed, OpenedAt: changed, QuietSince: changed,
				Live: true, Impact: []prunella.Impact{{Service: "payment", Since: changed}}, StateAt: map[prunella.State]time.Time{prunella.Verifying: changed}}
			run := prunella.Run{ID: "run-1", Incident: inc.ID, State: prunella.RunDone, Created: changed, Started: changed, Ended: changed}
			var points []prunella.SeriesPoint
			for at := changed; at.Before(now.Add(-c.stopped)); at = at.Add(bucket) {
				points = append(points, prunella.SeriesPoint{Service: "payment", Name: engine.SeriesRequests, At: at, Value: 50})
			}
			if err := s.Commit(t.Context(), store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}, NewRuns: []prunella.Run{run}, Points: points}); err != nil {
				t.Fatal(err)
			}
			_, stop := running(nodeWith(engine.Config{Bucket: bucket, Hold: 4 * time.Second, VerifyBudget: 7 * time.Second}, s, world(t)))
			defer stop()
			var got prunella.Incident
			deadline(t, "a verdict", func() bool {
				var err error
				got, err = s.Incident(t.Context(), inc.ID)
				return err == nil && got.Verdict != ""
			})
			if got.State != c.state || got.Verdict != c.verdict || got.StateReason.Name != c.reason {
				t.Errorf("it is %s, %s (%s: %s)", got.State, got.Verdict, got.StateReason.Name, got.StateReason.Text)
			}
		})
	}
}
