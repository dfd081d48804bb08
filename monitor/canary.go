package monitor

import (
	"context"
	"strconv"
	"time"

	"prunella"
)

// Canary probes every service of one issuer with a token of each published key.
type Canary struct {
	issuer string
	claim  func(reason string) string
	world  World
	views  Recorder
	mem    memory[map[string]time.Time] // service NUL kid -> last trusted
}

// NewCanary probes the services of an issuer of the inventory, by name. claim
// names the claim that a refusal is about, "" for key or signature
// (action.RefusedClaim).
func NewCanary(issuer string, claim func(string) string, w World, r Recorder, s State) *Canary {
	m := &Canary{issuer: issuer, claim: claim, world: w, views: r}
	m.mem.state, m.mem.name = s, m.Name()
	return m
}

// Name is "canary/" and the issuer.
func (m *Canary) Name() string { return "canary/" + m.issuer }

// RunOnce probes, records the cells, and returns one probe Signal a service,
// about the signer's key. Without a token there is nothing to probe with, which
// is an error here and the Token monitor's to say.
func (m *Canary) RunOnce(ctx context.Context, now time.Time) ([]prunella.Signal, error) {
	last, err := m.mem.last(ctx)
	if err != nil {
		return nil, err
	}
	signer, cells, err := m.world.Trust(ctx, m.issuer)
	if err != nil {
		return nil, err
	}
	trusted := map[string]time.Time{}
	differs := false
	var out []prunella.Signal
	for n := range cells {
		c := &cells[n]
		key := c.Service + "\x00" + c.Kid
		before, known := last.View[key]
		if c.LastTrusted.IsZero() {
			c.LastTrusted = before
		}
		if !c.LastTrusted.IsZero() {
			trusted[key] = c.LastTrusted
			differs = differs || !known
		}
		if c.Kid == signer {
			out = append(out, m.signal(*c, now))
		}
	}
	m.mem.offer(trusted, now, differs)
	return out, m.views.PutTrust(ctx, cells)
}

// Accepted keeps when each service was last seen to trust each key.
func (m *Canary) Accepted(ctx context.Context) error { return m.mem.accepted(ctx) }

func (m *Canary) signal(c prunella.TrustCell, now time.Time) prunella.Signal {
	outcome := "unknown"
	switch {
	case c.Trust == prunella.Trusts:
		outcome = "ok"
	case c.Trust == prunella.Rejects:
		outcome = "refused"
	case c.Status == 0:
		outcome = "unreachable"
	}
	s := probeSignal(m.Name(), "canary", c.Service, now, outcome, c.Reason)
	s.Attributes[prunella.AttrIssuer] = m.issuer
	s.Attributes[prunella.AttrKid] = c.Kid
	if c.Status != 0 {
		s.Attributes[prunella.AttrStatus] = strconv.Itoa(c.Status)
		s.Attributes[prunella.AttrSkewMillis] = strconv.FormatInt(c.ClockOffset.Milliseconds(), 10)
	}
	if claim := m.claim(c.Reason); outcome == "refused" && claim != "" {
		s.Attributes[AttrClaim] = claim
	}
	return s
}
