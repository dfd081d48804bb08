package heal

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// Health is what one service said in the verification window.
type Health struct {
	Service  string
	Hit      bool    // it failed in this incident, so its own traffic must be seen to be well again
	Requests int     // served since the window began
	Failed   int     // of those, with the incident's status
	Baseline float64 // share of failures in quiet times, 0–1
	// Counted is the end of the newest span of time for which requests were
	// counted; zero when there were none.
	Counted time.Time
	// Canaries: probes with a fresh token, an observation independent of the
	// service's own metrics.
	CanaryOK      int
	CanaryRefused int
	CanaryUnknown int       // no answer, or none that tells
	Probed        bool      // the service can be probed at all
	Answered      time.Time // newest canary that was accepted
	Unanswered    time.Time // newest canary without an answer that tells
}

// Verification is what Verify judges.
type Verification struct {
	Services   []Health
	Since      time.Time // the window began: the last change to the world, or the last bad observation after it
	Now        time.Time
	Hold       time.Duration // the window must be this long
	Deadline   time.Time     // when waiting ends
	MinSamples int           // requests plus canaries in the window, per service that was hit
	Fresh      time.Duration // how old the newest count of a service that was hit may be when it is called healed
}

// tolerance is the share of failures above baseline that still counts as quiet:
// one half percent, so that a handful of expired tokens is no relapse.
const tolerance = 0.005

// chance is how often a window of a service that is well may be called bad: one
// in a hundred. Every service is judged many times within a hold, and each time
// one is bad the hold begins anew, so a baseline that nobody had time to learn
// must not be refuted by four expired tokens.
const chance = 0.01

// atLeast is the probability of k or more events where so many are expected
// (Poisson).
func atLeast(k int, expected float64) float64 {
	term := math.Exp(-expected)
	rest := 1.0
	for i := range k {
		rest -= term
		term *= expected / float64(i+1)
	}
	return rest
}

// Bad says whether a service's window is worse than its quiet times, with the operands.
func (h Health) Bad() (bool, prunella.Reason) {
	share := 0.0
	if h.Requests > 0 {
		share = float64(h.Failed) / float64(h.Requests)
	}
	ops := map[string]string{"service": h.Service, "failed": strconv.Itoa(h.Failed), "requests": strconv.Itoa(h.Requests),
		"share": fmt.Sprintf("%.4f", share), "baseline": fmt.Sprintf("%.4f", h.Baseline), "canary_refused": strconv.Itoa(h.CanaryRefused)}
	if h.CanaryRefused > 0 {
		return true, prunella.Reason{Name: "canary-refused", Text: fmt.Sprintf("%s refused %d of our canary tokens", h.Service, h.CanaryRefused), Operands: ops}
	}
	// Twice the baseline plus a tolerance, and more than come by chance at that
	// rate, unless these are a large part of the little that was served.
	usual := 2*h.Baseline + tolerance
	byChance := h.Failed <= 2 || atLeast(h.Failed, usual*float64(h.Requests)) >= chance
	if h.Failed > 0 && share > usual && (!byChance || share >= 0.2) {
		return true, prunella.Reason{Name: "error-share-above-baseline",
			Text: fmt.Sprintf("%s still fails %.1f %% of requests (%.1f %% in quiet times)", h.Service, 100*share, 100*h.Baseline), Operands: ops}
	}
	return false, prunella.Reason{}
}

// Verify answers healed, not healed or unknown; "" means wait. The window it is
// given must begin anew whenever an observation was bad.
func Verify(v Verification) (prunella.Verdict, prunella.Reason) {
	sort.Slice(v.Services, func(i, j int) bool { return v.Services[i].Service < v.Services[j].Service })
	over := !v.Now.Before(v.Deadline)
	var thin, silent []string
	for _, h := range v.Services {
		if bad, why := h.Bad(); bad {
			if over {
				return prunella.NotHealed, why
			}
			return "", why
		}
		samples := h.Requests + h.CanaryOK
		if h.Hit && (samples < v.MinSamples || h.Requests == 0) || h.Probed && (h.CanaryOK == 0 || h.Unanswered.After(h.Answered)) { // it was well, and fell silent
			thin = append(thin, fmt.Sprintf("%s (requests: %d, canary tokens accepted: %d)", h.Service, h.Requests, h.CanaryOK))
		} else if age := v.Now.Sub(h.Counted); h.Hit && age > v.Fresh {
			silent = append(silent, fmt.Sprintf("%s (%s)", h.Service, age.Round(100*time.Millisecond)))
		}
	}
	held := v.Now.Sub(v.Since)
	ops := map[string]string{"held": held.Round(time.Millisecond).String(), "hold": v.Hold.String(), "services": strconv.Itoa(len(v.Services))}
	switch {
	case len(v.Services) == 0 || len(thin) > 0:
		text := "no service was observed after the heal"
		if len(thin) > 0 {
			text = "so far too little was seen of " + strings.Join(thin, ", ") + " to call it healed"
		}
		r := prunella.Reason{Name: "not-enough-data", Text: text, Operands: ops}
		if over {
			return prunella.UnknownVerdict, r
		}
		return "", r
	case len(silent) > 0: // it may fail again unseen
		r := prunella.Reason{Name: "fell-silent", Text: "no requests have been counted lately of " + strings.Join(silent, ", ") + ", which was hit", Operands: ops}
		if over {
			return prunella.UnknownVerdict, r
		}
		return "", r
	case held < v.Hold:
		r := prunella.Reason{Name: "holding", Text: fmt.Sprintf("quiet for %s of %s", held.Round(100*time.Millisecond), v.Hold), Operands: ops}
		if over {
			return prunella.UnknownVerdict, prunella.Reason{Name: "hold-not-reached",
				Text: "the time to prove the heal ran out before the quiet had lasted long enough", Operands: ops}
		}
		return "", r
	}
	requests, canaries := 0, 0
	for _, h := range v.Services {
		requests += h.Requests
		canaries += h.CanaryOK
	}
	ops["requests"], ops["canaries"] = strconv.Itoa(requests), strconv.Itoa(canaries)
	return prunella.Healed, prunella.Reason{Name: "quiet-held",
		Text: fmt.Sprintf("%d services quiet for %s: %d requests at their usual error share, %d canary tokens accepted, none refused",
			len(v.Services), held.Round(100*time.Millisecond), requests, canaries), Operands: ops}
}
