package match

import (
	"math"
	"sort"
	"time"

	"prunella"
)

// Impacts returns how each of the services is hit now by failing requests of
// any status, worst first. A service without request metrics has no row.
// since is the incident's onset.
func (d *Detector) Impacts(services []string, since time.Time) []prunella.Impact {
	var out []prunella.Impact
	for _, name := range services {
		sv := d.Services[name]
		if sv == nil || len(sv.Buckets) == 0 {
			continue
		}
		var worst prunella.Impact
		for k, status := range statuses {
			base := sv.Quiet[status].view(name, status, d.cfg.MinHistory)
			from, sp := since, sv.Spikes[status]
			if sp != nil && sp.Active {
				from = sp.Onset
			}
			e := d.since(sv, k, from, d.threshold(base))
			im := prunella.Impact{Service: name, Share: e.share, Baseline: base.Share, Rate: e.rate,
				Failed: int(math.Round(e.failed)), Total: int(math.Round(e.total)), Trend: e.trend, Since: from}
			if sp != nil && sp.Active {
				im.Failed, im.Total = int(math.Round(sp.Failed)), int(math.Round(sp.Total))
			}
			if k == 0 || im.Share-im.Baseline > worst.Share-worst.Baseline {
				worst = im
			}
		}
		out = append(out, worst)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Share > out[j].Share })
	return out
}

// Errors sums up the failing requests of services by status ("401", "403",
// "5xx"), for Features. A status without a single failure since then has no
// entry; without request metrics the result is empty.
func (d *Detector) Errors(services []string, since time.Time) map[string]ErrorRate {
	out := map[string]ErrorRate{}
	for k, status := range statuses {
		var r ErrorRate
		var requests, failed, quietFailed, quietRequests float64
		known, seen := true, false
		for _, name := range services {
			sv := d.Services[name]
			if sv == nil || len(sv.Buckets) == 0 {
				continue
			}
			seen = true
			base := sv.Quiet[status].view(name, status, d.cfg.MinHistory)
			known = known && base.Known
			r.Baseline += base.Rate
			if q := sv.Quiet[status]; q != nil {
				quietFailed, quietRequests = quietFailed+q.Failed, quietRequests+q.Requests
			}
			from, sp := since, sv.Spikes[status]
			if sp != nil && sp.Active {
				from = sp.Onset
				r.Services++
				r.Rise = max(r.Rise, time.Duration(sp.Rise*float64(time.Second)))
				r.Sustained = max(r.Sustained, sv.Watermark.Sub(sp.Onset))
			}
			e := d.since(sv, k, from, d.threshold(base))
			r.Value += e.rate
			w := sv.sum(max(d.index(from), d.index(sv.Watermark.Add(-d.cfg.Window))), d.index(sv.Watermark))
			requests, failed = requests+w.Requests, failed+w.Failed[k]
		}
		if !seen || failed == 0 {
			continue
		}
		r.Known = known
		if requests > 0 {
			r.Share = failed / requests
		}
		// A quiet rate of nothing is taken as one failure in the time it was learned over.
		floor := r.Baseline
		if quietRequests > 0 && quietFailed < 1 && requests > 0 {
			floor = max(floor, r.Value/max(failed, 1)*requests/max(quietRequests, requests))
		}
		if floor > 0 {
			r.Ratio = r.Value / floor
		}
		out[status] = r
	}
	return out
}
