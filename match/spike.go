package match

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"prunella"
)

// spike is the failing of one service with one status class.
type spike struct {
	Active    bool      `json:"active"`
	Onset     time.Time `json:"onset"`
	Failed    float64   `json:"failed"` // since the onset
	Total     float64   `json:"total"`
	Peak      float64   `json:"peak"`    // highest share
	Rise      float64   `json:"rise"`    // seconds from the onset to half of the peak
	Said      int64     `json:"said"`    // bucket of the last Finding
	SkipTo    int64     `json:"skip_to"` // buckets up to here are not quiet
	Threshold float64   `json:"threshold"`
}

// excess is what the counts since an onset say.
type excess struct {
	onset           time.Time
	failed, total   float64
	share           float64 // of the last window, since the onset
	rate            float64 // failing requests per second, same time
	sustained, rise time.Duration
	trend           string
	buckets         int // buckets that exceed
}

// threshold is the share above which a bucket exceeds the baseline: Factor ×
// baseline, but never more than half way from the baseline to everything, so
// that a service whose quiet share is high can still fail; never under the
// floor. Without a baseline only StrongShare counts.
func (d *Detector) threshold(b Baseline) float64 {
	if !b.Known {
		return d.cfg.StrongShare
	}
	return max(d.cfg.MinShare, min(d.cfg.Factor*b.Share, b.Share+(1-b.Share)/2))
}

// judgeSpike decides whether a service fails with a status, and says so once a
// bucket for as long as it does, and once when it is over.
func (d *Detector) judgeSpike(name string, sv *service, k int, status string, now time.Time, step *Step) {
	if len(sv.Buckets) == 0 {
		return
	}
	base := sv.Quiet[status].view(name, status, d.cfg.MinHistory)
	limit := d.threshold(base)
	sp := sv.Spikes[status]
	if sp == nil {
		sp = &spike{SkipTo: -1, Said: -1}
		sv.Spikes[status] = sp
	}
	if sp.Active {
		d.follow(name, sv, k, status, sp, base, now, step)
		return
	}
	e, ok := d.lookBack(sv, k, limit, sp.SkipTo)
	if !ok || e.buckets < 2 || e.sustained < d.cfg.Sustain ||
		e.failed < float64(d.cfg.MinFailures) || e.total < float64(d.cfg.MinRequests) ||
		e.share < limit || !significant(e.failed, e.total, base.Share) {
		return
	}
	*sp = spike{Active: true, Onset: e.onset, Failed: e.failed, Total: e.total, Peak: e.share, Rise: e.rise.Seconds(),
		Said: d.index(now), SkipTo: sp.SkipTo, Threshold: limit}
	step.Findings = append(step.Findings, d.spikeFinding(name, sv, status, sp, e, base, now))
}

// follow keeps an active spike current and ends it.
func (d *Detector) follow(name string, sv *service, k int, status string, sp *spike, base Baseline, now time.Time, step *Step) {
	last := d.index(sv.Watermark.Add(-1))
	quietFrom := max(d.index(sv.Watermark.Add(-d.cfg.Window/2)), d.index(sp.Onset))
	recent := sv.sum(quietFrom, last)
	if over := max(sp.Threshold/2, min(sp.Threshold, 2*base.Share)); recent.Requests >= max(1, float64(d.cfg.MinRequests)/2) &&
		sv.Watermark.Sub(sp.Onset) > d.cfg.Window/2 && recent.Failed[k] <= over*recent.Requests {
		sp.Active = false
		sp.SkipTo = last
		share := recent.Failed[k] / recent.Requests
		step.Findings = append(step.Findings, prunella.Finding{
			Rule: RuleRecovered, Service: name, Source: sourceOf(sv), Onset: sp.Onset, Time: now, Severity: prunella.Info,
			Share: share, Baseline: base.Rate, Value: recent.Failed[k] / (d.cfg.Window / 2).Seconds(), Status: status,
			Attrs: map[string]string{"of": RuleErrorRate, "failed": num(math.Round(sp.Failed)), "total": num(math.Round(sp.Total))},
			Reason: prunella.Reason{Name: "back-to-baseline",
				Text: fmt.Sprintf("%s of %s is %s again, %.0f requests in %s; it failed from %s on",
					status, name, percent(round3(share)), recent.Requests, d.cfg.Window/2, sp.Onset.Format(time.RFC3339)),
				Operands: map[string]string{"share": num(share), "limit": num(over), "requests": num(math.Round(recent.Requests))}},
		})
		return
	}
	if d.index(now) <= sp.Said || now.Sub(sv.Watermark) > max(d.cfg.Window, 2*sv.Lag) {
		return // said already, or nothing new is known
	}
	sp.Said = d.index(now)
	e := d.since(sv, k, sp.Onset, sp.Threshold)
	e.failed, e.total = sp.Failed, sp.Total
	if e.share > sp.Peak {
		sp.Peak, sp.Rise = e.share, e.rise.Seconds()
	}
	step.Findings = append(step.Findings, d.spikeFinding(name, sv, status, sp, e, base, now))
}

// lookBack walks from the newest bucket to the first of an unbroken row that
// exceeds the limit. Up to two buckets below it are tolerated inside the row.
func (d *Detector) lookBack(sv *service, k int, limit float64, skipTo int64) (excess, bool) {
	first := -1
	gap := 0
	for i := len(sv.Buckets) - 1; i >= 0 && sv.Buckets[i].N > skipTo && gap <= 2; i-- {
		b := sv.Buckets[i]
		switch {
		case b.Requests < 0.5:
			if first < 0 && len(sv.Buckets)-i > ringBuckets/3 {
				return excess{}, false
			}
		case b.Failed[k] > limit*b.Requests && b.Failed[k] >= 0.5:
			first, gap = i, 0
		default:
			gap++
		}
	}
	if first < 0 {
		return excess{}, false
	}
	return d.since(sv, k, d.onsetIn(sv, k, first), limit), true
}

// onsetIn places the onset inside the first exceeding bucket: when the next
// bucket is worse, the first one was quiet for a part of its time.
func (d *Detector) onsetIn(sv *service, k, first int) time.Time {
	b := sv.Buckets[first]
	at := d.start(b.N)
	if first+1 >= len(sv.Buckets) {
		return at
	}
	next := sv.Buckets[first+1]
	if next.Requests < 1 || next.Failed[k] <= 0 {
		return at
	}
	part := (b.Failed[k] / b.Requests) / (next.Failed[k] / next.Requests)
	if part >= 1 {
		return at
	}
	return at.Add(time.Duration((1 - part) * float64(d.cfg.Bucket)))
}

// since sums up what happened from an onset to the newest data.
func (d *Detector) since(sv *service, k int, onset time.Time, limit float64) excess {
	e := excess{onset: onset, sustained: sv.Watermark.Sub(onset)}
	last := d.index(sv.Watermark.Add(-1))
	first := d.index(onset)
	all := sv.sum(first, last)
	e.failed, e.total = all.Failed[k], all.Requests
	from := max(first, d.index(sv.Watermark.Add(-d.cfg.Window)))
	w := sv.sum(from, last)
	if w.Requests > 0 {
		e.share = min(1, w.Failed[k]/w.Requests)
	}
	begin := d.start(from)
	if onset.After(begin) {
		begin = onset
	}
	if s := sv.Watermark.Sub(begin).Seconds(); s > 0 {
		e.rate = w.Failed[k] / max(s, d.cfg.Bucket.Seconds()/2)
	}
	peak := 0.0
	for _, b := range sv.Buckets {
		if b.N < first || b.Requests < 0.5 {
			continue
		}
		if b.Failed[k] > limit*b.Requests {
			e.buckets++
		}
		peak = max(peak, b.Failed[k]/b.Requests)
	}
	for _, b := range sv.Buckets {
		if b.N >= first && b.Requests >= 0.5 && b.Failed[k] >= peak/2*b.Requests {
			e.rise = max(0, d.start(b.N).Sub(onset))
			break
		}
	}
	e.trend = d.trend(sv, k, first, last)
	return e
}

// trend compares the two halves of the last window, since the onset.
func (d *Detector) trend(sv *service, k int, first, last int64) string {
	span := int64(d.cfg.Window/d.cfg.Bucket) / 2
	now := sv.sum(last-span+1, last)
	before := sv.sum(max(first, last-2*span+1), last-span)
	if now.Requests < 1 || before.Requests < 1 {
		return "steady"
	}
	a, b := before.Failed[k]/before.Requests, now.Failed[k]/now.Requests
	switch {
	case b > a*1.15 && b-a > 0.03:
		return "rising"
	case b < a*0.85 && a-b > 0.03:
		return "falling"
	}
	return "steady"
}

// significant says that chance alone hardly gives so many failures: more than
// four standard deviations over the baseline share (at least 0.2 %).
func significant(failed, total, base float64) bool {
	p := min(0.99, max(base, 0.002))
	return failed-total*p > 4*math.Sqrt(total*p*(1-p))
}

func (d *Detector) spikeFinding(name string, sv *service, status string, sp *spike, e excess, base Baseline, now time.Time) prunella.Finding {
	f := prunella.Finding{
		Rule: RuleErrorRate, Service: name, Source: sourceOf(sv), Onset: sp.Onset, Time: now, Severity: prunella.High,
		Share: e.share, Baseline: base.Rate, Value: e.rate, Status: status,
		Attrs: map[string]string{
			"failed": num(math.Round(e.failed)), "total": num(math.Round(e.total)), "trend": e.trend,
			"baseline_known": strconv.FormatBool(base.Known), "baseline_share": num(base.Share),
			"rise_s": num(sp.Rise), "sustained_s": num(e.sustained.Seconds()),
		},
	}
	f.Tokens = append(sv.Tokens.top(), d.hostTokens(name)...)
	if status != "5xx" {
		f.Tokens = append(f.Tokens, d.keyChangeTokens(sp.Onset)...)
	}
	f.Tokens = append(f.Tokens, d.deployTokens(name, sp.Onset)...)
	f.Signals = append(append(f.Signals, sv.LastFailing...), sv.LastErrors...)
	operands := map[string]string{
		"share": num(e.share), "rate": num(e.rate), "requests": num(math.Round(e.total)), "failures": num(math.Round(e.failed)),
		"limit": num(sp.Threshold), "sustained_s": num(e.sustained.Seconds()),
		"have": strconv.Itoa(base.Have), "need": strconv.Itoa(base.Need),
	}
	if base.Known {
		operands["baseline_rate"], operands["baseline_share"] = num(base.Rate), num(base.Share)
		operands["factor"] = num(d.cfg.Factor)
		f.Reason = prunella.Reason{Name: "over-baseline", Operands: operands,
			Text: fmt.Sprintf("%s of %s requests to %s answer %s, in quiet times %s; since %s",
				percent(round3(e.share)), num(math.Round(e.total)), name, status, percent(round3(base.Share)), sp.Onset.Format("15:04:05.0"))}
		return f
	}
	f.Reason = prunella.Reason{Name: "strong-without-baseline", Operands: operands,
		Text: fmt.Sprintf("%s of %s requests to %s answer %s since %s; there is not enough history for a baseline (%d of %d buckets), but this share is too high to be quiet",
			percent(round3(e.share)), num(math.Round(e.total)), name, status, sp.Onset.Format("15:04:05.0"), base.Have, base.Need)}
	return f
}

func sourceOf(sv *service) string {
	if len(sv.LastFailing) > 0 {
		return sv.LastFailing[0].Source
	}
	return ""
}

func round3(v float64) float64 { return math.Round(v*1000) / 1000 }
