package engine

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"prunella"
	"prunella/diagnose"
)

// Which key signed before the present signer: what a heal returns to.
func TestPreviousSigner(t *testing.T) {
	at := time.Date(2026, 3, 29, 10, 0, 0, 0, time.UTC)
	signed := func(minute int, issuer, kid, before string) prunella.Change {
		return prunella.Change{Name: prunella.ChangeSigner, Service: issuer, Kid: kid, Before: before, At: at.Add(time.Duration(minute) * time.Minute)}
	}
	grid := map[string]any{"by_kid": map[string]any{
		"k1": map[string]any{"trusts": []any{"user", "order"}}, "k2": map[string]any{"trusts": []any{"user", "order"}}, "k3": map[string]any{"trusts": []any{"user"}}}}
	for _, c := range []struct {
		name     string
		changes  []prunella.Change
		previous string
		known    bool // when it stopped signing
	}{
		{"the change to the signer tells", []prunella.Change{signed(1, "auth", "k2", "k1"), signed(2, "auth", "k3", "k2")}, "k2", true},
		{"the signer came back", []prunella.Change{signed(1, "auth", "k3", "k1"), signed(2, "auth", "k2", "k3"), signed(3, "auth", "k3", "k2")}, "k2", true},
		{"the change to the signer is still on its way", []prunella.Change{signed(1, "auth", "k2", "k1")}, "k2", false},
		{"another issuer's change says nothing", []prunella.Change{signed(1, "auth", "k3", "k2"), signed(2, "partner", "p2", "p1")}, "k2", true},
		{"no change was seen: a key that most trust", nil, "k1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := New(Config{Inventory: prunella.Inventory{Issuers: []prunella.Issuer{{Name: "auth"}, {Name: "partner"}}}}, nil, nil,
				NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
			got := e.keys(prunella.Cause{Service: "auth"}, diagnose.Snapshot{Changes: c.changes, Reads: map[string]diagnose.Read{
				"jwks.current": {Result: map[string]any{"signer": "k3"}}, "trust.grid": {Result: grid}}})
			if got.Previous != c.previous || got.PreviousLastIssued.IsZero() == c.known {
				t.Errorf("previous is %q, last issued %s; want %q, known %v", got.Previous, got.PreviousLastIssued, c.previous, c.known)
			}
		})
	}
}
