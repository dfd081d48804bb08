package correlate

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"prunella"
	"prunella/said"
)

// OldTokensExpire is the FullReason of a FullAt that is certain: tokens of the
// old key run out by then.
const OldTokensExpire = "old-tokens-expire"

// CascadeInput is what the spread of an incident is judged from.
type CascadeInput struct {
	Impacts       []prunella.Impact
	Graph         Graph
	Onset         time.Time
	Change        *prunella.Change       // the key change that preceded it, if one did
	TokenLifetime time.Duration          // of the issuer, 0 when unknown
	Lacking       []string               // services that reject the signer's key, from probes
	StatedHit     int                    // services hit, as texts state
	History       []prunella.SeriesPoint // failing share of the hit services over time, oldest first, for the trend without a key change
	Over          bool                   // the failing has ended
	Now           time.Time
}

// full is the share from which on everything fails: traffic that needs no
// token, and rounding, keep it from 1.
const full = 0.97

// Cascade says who is hit, who is next, and when everything fails.
//
// After a signer change at T, tokens of the old key live for at most one token
// lifetime L. Clients renew a token when it expires, so the share of requests
// that carry the new key, and fail where it is lacking, grows about as (t−T)/L
// and reaches 100 % at T+L at the latest. What is observed counts more than the
// model: the forecast starts at the observed share.
func Cascade(in CascadeInput) prunella.Cascade {
	c := prunella.Cascade{}
	var sum float64
	n := 0
	rising := false
	for _, im := range in.Impacts {
		if im.Share-im.Baseline < hitShare && im.Total > 0 {
			continue
		}
		c.Hit = append(c.Hit, im.Service)
		if im.Share > 0 {
			sum += im.Share
			n++
		}
		rising = rising || im.Trend == "rising"
	}
	sort.Strings(c.Hit)
	share := 0.0
	if n > 0 {
		share = sum / float64(n)
	}
	if in.Over {
		c.Reason = prunella.Reason{Name: "over", Text: "the failing has ended", Operands: map[string]string{"hit": strconv.Itoa(len(c.Hit))}}
		c.FullReason = prunella.Reason{Name: "over", Text: "the failing has ended"}
		return c
	}
	c.Next = next(in, c.Hit)
	when(&c, in, share, n > 0)
	unnamed := in.StatedHit
	for _, s := range c.Hit { // whoever hands out keys tells of the others and is not counted among them
		if !said.IssuerName(s) && !slices.Contains(in.Graph.issuers, s) {
			unnamed--
		}
	}
	operands := map[string]string{"hit": strconv.Itoa(len(c.Hit)), "next": strconv.Itoa(len(c.Next)), "share": fmt.Sprintf("%.3f", share),
		"rising": strconv.FormatBool(rising), "stated_hit": strconv.Itoa(in.StatedHit)}
	switch {
	case len(c.Next) > 0:
		c.Escalating = true
		c.Reason = prunella.Reason{Name: "more-services", Text: fmt.Sprintf("%s may be next", names(c.Next)), Operands: operands}
	case unnamed > 0:
		c.Escalating = true
		c.Reason = prunella.Reason{Name: "stated-more-services", Text: fmt.Sprintf("the monitors state %d services, %d of them are not named", in.StatedHit, unnamed), Operands: operands}
	case len(c.Forecast) > 1 && share < full:
		c.Escalating = true
		c.Reason = prunella.Reason{Name: "share-grows", Text: "the share of failing requests is expected to grow", Operands: operands}
	case rising:
		c.Escalating = true
		c.Reason = prunella.Reason{Name: "share-rises", Text: "the share of failing requests rises", Operands: operands}
	default:
		c.Reason = prunella.Reason{Name: "contained", Text: "no further service or growth is expected", Operands: operands}
	}
	return c
}

// next finds the services expected to be hit: those that lack the signer's
// key, those that call a hit one (two calls away at most), and those that only
// hit ones call, which lose their traffic.
func next(in CascadeInput, hit []string) []prunella.NextHit {
	var out []prunella.NextHit
	done := map[string]bool{}
	for _, s := range hit {
		done[s] = true
	}
	add := func(service string, at time.Time, name, text string, operands map[string]string) {
		if service == "" || done[service] || slices.Contains(in.Graph.issuers, service) {
			return
		}
		done[service] = true
		out = append(out, prunella.NextHit{Service: service, At: at, Reason: prunella.Reason{Name: name, Text: text, Operands: operands}})
	}
	lacking := slices.Clone(in.Lacking)
	sort.Strings(lacking)
	for _, s := range lacking {
		add(s, in.Now, "lacks-key", s+" rejects the signer's key: it fails as soon as such a token reaches it", map[string]string{"service": s})
	}
	edge := hit
	for hop := 1; hop <= 2; hop++ {
		var callers []string
		for _, s := range edge {
			for _, caller := range in.Graph.Callers(s) {
				if !done[caller] {
					callers = append(callers, caller)
				}
				add(caller, time.Time{}, "calls-hit", fmt.Sprintf("%s calls %s", caller, s), map[string]string{"calls": s, "hops": strconv.Itoa(hop)})
			}
		}
		edge = callers
	}
	for _, s := range hit {
		for _, callee := range in.Graph.Callees(s) {
			if !slices.ContainsFunc(in.Graph.Callers(callee), func(c string) bool { return !slices.Contains(hit, c) }) {
				add(callee, time.Time{}, "loses-callers", fmt.Sprintf("all that call %s are hit", callee), map[string]string{"called_by": s})
			}
		}
	}
	return out
}

// when fills in FullAt and the forecast.
func when(c *prunella.Cascade, in CascadeInput, share float64, measured bool) {
	keyChange := in.Change != nil && strings.HasPrefix(in.Change.Name, "keyset.")
	switch {
	case measured && share >= full:
		c.FullReason = prunella.Reason{Name: "already-full", Text: fmt.Sprintf("%.0f %% of the requests to the hit services fail already", 100*share),
			Operands: map[string]string{"share": fmt.Sprintf("%.3f", share)}}
		c.FullAt = in.Now
		c.Forecast = []prunella.ShareAt{{At: in.Now, Share: share}}
	case keyChange && in.TokenLifetime > 0:
		t, l := in.Change.At, in.TokenLifetime
		c.FullAt = t.Add(l)
		model := clamp(float64(in.Now.Sub(t)) / float64(l))
		operands := map[string]string{"changed_at": t.UTC().Format(time.RFC3339), "token_lifetime_s": seconds(l), "model_share": fmt.Sprintf("%.3f", model)}
		start := model
		if measured {
			operands["observed_share"] = fmt.Sprintf("%.3f", share)
			start = share
		}
		if !c.FullAt.After(in.Now) {
			c.FullReason = prunella.Reason{Name: "old-tokens-expired", Operands: operands,
				Text: fmt.Sprintf("the last token of the old key expired at %s", c.FullAt.Format("15:04:05"))}
			c.Forecast = []prunella.ShareAt{{At: in.Now, Share: start}}
			return
		}
		c.FullReason = prunella.Reason{Name: OldTokensExpire, Operands: operands,
			Text: fmt.Sprintf("the key changed at %s and tokens live %s: by %s every token carries the new key", t.Format("15:04:05"), l, c.FullAt.Format("15:04:05"))}
		c.Forecast = line(in.Now, start, c.FullAt, 1)
	default:
		extrapolate(c, in)
	}
}

// extrapolate continues the trend of the share by least squares.
func extrapolate(c *prunella.Cascade, in CascadeInput) {
	none := func(text string) {
		c.FullReason = prunella.Reason{Name: "not-enough-data", Text: text, Operands: map[string]string{"points": strconv.Itoa(len(in.History)), "token_lifetime_s": seconds(in.TokenLifetime)}}
	}
	if len(in.History) < 4 {
		none("not enough data to say when everything fails")
		return
	}
	var sx, sy, sxx, sxy float64
	origin := in.History[0].At
	for _, p := range in.History {
		x := p.At.Sub(origin).Seconds()
		sx, sy, sxx, sxy = sx+x, sy+p.Value, sxx+x*x, sxy+x*p.Value
	}
	n := float64(len(in.History))
	den := n*sxx - sx*sx
	if den <= 0 {
		none("not enough data to say when everything fails")
		return
	}
	slope := (n*sxy - sx*sy) / den
	at := (sy-slope*sx)/n + slope*in.Now.Sub(origin).Seconds()
	left := 1 - at
	if slope <= 0 || left/slope > (7*24*time.Hour).Seconds() || slope*in.Now.Sub(origin).Seconds() < 0.02 {
		none("the share of failing requests does not grow")
		c.FullReason.Name = "not-growing"
		return
	}
	c.FullAt = in.Now.Add(time.Duration(left / slope * float64(time.Second)))
	c.FullReason = prunella.Reason{Name: "trend", Text: fmt.Sprintf("the share grows by %.1f points a minute", 100*60*slope),
		Operands: map[string]string{"per_minute": fmt.Sprintf("%.4f", 60*slope), "share": fmt.Sprintf("%.3f", at), "points": strconv.Itoa(len(in.History))}}
	c.Forecast = line(in.Now, clamp(at), c.FullAt, 1)
}

// line returns seven points from one share to another.
func line(from time.Time, a float64, to time.Time, b float64) []prunella.ShareAt {
	const steps = 6
	out := make([]prunella.ShareAt, 0, steps+1)
	for i := range steps + 1 {
		f := float64(i) / steps
		out = append(out, prunella.ShareAt{At: from.Add(time.Duration(f * float64(to.Sub(from)))), Share: clamp(a + f*(b-a))})
	}
	return out
}

func clamp(v float64) float64 { return min(1, max(0, v)) }

func names(list []prunella.NextHit) string {
	var out []string
	for _, n := range list {
		out = append(out, n.Service)
	}
	return strings.Join(out, ", ")
}
