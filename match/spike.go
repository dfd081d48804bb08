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
	Found     time.Time `json:"found,omitzero"` // when the first Finding was made
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
	expected := sv.Quiet[status].expected()
	e, ok := d.lookBack(sv, k, limit, expected, sp.SkipTo)
	if !ok || e.buckets < 2 || e.sustained < d.cfg.Sustain ||
		e.failed < float64(d.cfg.MinFailures) || e.total < float64(d.cfg.MinRequests) ||
		e.share < limit || surprise(e.failed, e.total, expected) < minSurprise {
		return
	}
	*sp = spike{Active: true, Found: now, Onset: e.onset, Failed: e.failed, Total: e.total, Peak: e.share, Rise: e.rise.Seconds(),
		Said: d.index(now), SkipTo: sp.SkipTo, Threshold: limit}
	step.Findings = append(step.Findings, d.spikeFinding(name, sv, status, sp, e, base, now))
}

// follow keeps an active spike current and ends it.
func (d *Detector) follow(name string, sv *service, k int, status string, sp *spike, base Baseline, now time.Time, step *Step) {
	if recent, over := d.calm(sv, k, sp, sv.Quiet[status].expected()); over {
		sp.Active = false
		sp.SkipTo = d.index(sv.Watermark.Add(-1))
		share := recent.Failed[k] / recent.Requests
		step.Findings = append(step.Findings, prunella.Finding{
			Rule: prunella.RuleRecovered, Service: name, Source: sourceOf(sv), Onset: sp.Onset, Time: now, Severity: prunella.Info,
			Share: share, Baseline: base.Rate, Status: status,
			Attrs: map[string]string{"of": prunella.RuleErrorRate, "failed": num(math.Round(sp.Failed)), "total": num(math.Round(sp.Total))},
			Reason: prunella.Reason{Name: "back-to-baseline",
				Text: fmt.Sprintf("%s of %s is %s again, of the last %.0f requests; it failed from %s on",
					status, name, percent(round3(share)), recent.Requests, sp.Onset.Format(time.RFC3339)),
				Operands: map[string]string{"share": num(share), "limit": num(sp.Threshold), "requests": num(math.Round(recent.Requests))}},
		})
		return
	}
	if d.index(now) <= sp.Said || now.Sub(sv.Watermark) > max(d.cfg.Window, 2*sv.Lag) {
		return // said already, or nothing new is known
	}
	e := d.since(sv, k, sp.Onset, sp.Threshold)
	if e.share < sp.Threshold {
		return // it fades: not over, but what was found does not hold now
	}
	sp.Said = d.index(now)
	e.failed, e.total = sp.Failed, sp.Total
	if e.share > sp.Peak {
		sp.Peak, sp.Rise = e.share, e.rise.Seconds()
	}
	step.Findings = append(step.Findings, d.spikeFinding(name, sv, status, sp, e, base, now))
}

// lookBack places the onset where the likelihood of "quiet before, failing
// after" is greatest (Page's CUSUM read backwards), once for failing as in the
// last two buckets and once as in the whole window. A stray failure shortly
// before the onset, or a lucky bucket after it, changes nothing. It reports
// false when the newest buckets are below the limit: that burst is over.
func (d *Detector) lookBack(sv *service, k int, limit, quietShare float64, skipTo int64) (excess, bool) {
	last := len(sv.Buckets) - 1
	newest := sv.Buckets[last].N
	recent := sv.sum(newest-int64(max(1, d.cfg.Sustain/d.cfg.Bucket)), newest)
	if recent.Failed[k] < limit*recent.Requests || recent.Failed[k] == 0 {
		return excess{}, false
	}
	best, bestOdds := -1, 0.0
	for _, span := range []int64{1, int64(d.cfg.Window / d.cfg.Bucket)} {
		w := sv.sum(newest-span, newest)
		if w.Requests <= 0 || w.Failed[k] < limit*w.Requests {
			continue
		}
		q := clamp(w.Failed[k]/w.Requests, 1.01*quietShare, 0.995)
		top, odds, topOdds := -1, 0.0, 0.0
		for i := last; i >= 0 && sv.Buckets[i].N > skipTo && odds > topOdds-minSurprise; i-- {
			odds += logOdds(sv.Buckets[i], k, q, quietShare)
			if odds > topOdds {
				top, topOdds = i, odds
			}
		}
		if topOdds > bestOdds {
			best, bestOdds = top, topOdds
		}
	}
	if best < 0 {
		return excess{}, false
	}
	return d.since(sv, k, d.onsetIn(sv, k, best), limit), true
}

// suspicion is how much must speak for a failure, in nats, before its buckets
// wait to be learned. It is little: to wait costs nothing.
const suspicion = 2

// suspect returns the first of the buckets that may belong to a failure which is
// not found yet: where the sum of what speaks for one, over the buckets that are
// not learned, last rose from nothing (Page's CUSUM).
func (d *Detector) suspect(sv *service, k int, status string) (first int64, yes bool) {
	sp, base := sv.Spikes[status], sv.Quiet[status].view("", status, d.cfg.MinHistory)
	if sp == nil || sp.Active || !base.Known {
		return 0, false
	}
	quietShare := sv.Quiet[status].expected()
	q := clamp(d.threshold(base), 1.01*quietShare, 0.995)
	odds := 0.0
	for _, b := range sv.from(max(sv.Learned[k], sp.SkipTo) + 1) {
		if odds <= 0 {
			odds, first = 0, b.N
		}
		odds += logOdds(b, k, q, quietShare)
	}
	return first, odds >= suspicion
}

// logOdds is how much a bucket speaks for failing with share q against quiet, in nats.
func logOdds(b bucket, k int, q, quietShare float64) float64 {
	failed := min(b.Failed[k], b.Requests)
	return failed*math.Log(q/quietShare) + (b.Requests-failed)*math.Log((1-q)/(1-quietShare))
}

// calm returns the requests and failures of the newest time, half a window at
// least, that speaks strongly for quiet and is below the limit. Where few
// requests come, that is as long a time as it takes for enough of them.
func (d *Detector) calm(sv *service, k int, sp *spike, quietShare float64) (bucket, bool) {
	quietShare = min(quietShare, sp.Threshold/2)
	q := clamp(max(sp.Peak/2, sp.Threshold), 1.01*quietShare, 0.995)
	var sum bucket
	odds := 0.0
	least := int(d.cfg.Window/d.cfg.Bucket) / 2
	for i := len(sv.Buckets) - 1; i >= 0 && odds > -minSurprise && !d.start(sv.Buckets[i].N).Before(sp.Onset); i-- {
		b := sv.Buckets[i]
		odds -= logOdds(b, k, q, quietShare)
		sum.Requests += b.Requests
		sum.Failed[k] += b.Failed[k]
		if len(sv.Buckets)-i > least && odds >= minSurprise/2 && sum.Requests >= float64(d.cfg.MinRequests)/2 && sum.Failed[k] <= sp.Threshold*sum.Requests {
			return sum, true
		}
	}
	return bucket{}, false
}

// onsetIn places the onset inside its first buckets: what they lack of the
// share that is reached soon after is the time that was still quiet. Points
// that cover more than a bucket spread their failures over it, so as many
// buckets are looked at as a point may cover.
func (d *Detector) onsetIn(sv *service, k, first int) time.Time {
	span := min(3+int(sv.Lag/d.cfg.Bucket), len(sv.Buckets)-first)
	reached := 0.0
	share := make([]float64, span)
	for i := range share {
		if b := sv.Buckets[first+i]; b.Requests >= 0.5 {
			share[i] = b.Failed[k] / b.Requests
			reached = max(reached, share[i])
		}
	}
	still := 0.0
	for i, s := range share {
		if sv.Buckets[first+i].Requests < 0.5 || s >= 0.8*reached {
			break
		}
		still += 1 - s/reached
	}
	return d.start(sv.Buckets[first].N).Add(time.Duration(still * float64(d.cfg.Bucket)))
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
	for _, b := range sv.from(first) {
		if b.Requests < 0.5 {
			continue
		}
		if b.Failed[k] > limit*b.Requests {
			e.buckets++
		}
		peak = max(peak, b.Failed[k]/b.Requests)
	}
	for _, b := range sv.from(first) {
		if b.Requests >= 0.5 && b.Failed[k] >= peak/2*b.Requests {
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

// surprise is how unlikely so many failures are in quiet times, in nats: the
// chance is at most e^-surprise (Chernoff's bound, n × Kullback-Leibler).
func surprise(failed, total, quietShare float64) float64 {
	if total <= 0 || failed/total <= quietShare {
		return 0
	}
	x := min(failed/total, 1-1e-9)
	return total * (x*math.Log(x/quietShare) + (1-x)*math.Log((1-x)/(1-quietShare)))
}

// minSurprise makes a finding by chance rarer than one in ten million looks.
const minSurprise = 16

func (d *Detector) spikeFinding(name string, sv *service, status string, sp *spike, e excess, base Baseline, now time.Time) prunella.Finding {
	f := prunella.Finding{
		Rule: prunella.RuleErrorRate, Service: name, Source: sourceOf(sv), Onset: sp.Onset, Time: now, Severity: prunella.High,
		Share: e.share, Baseline: base.Rate, Value: e.rate, Status: status,
		Attrs: map[string]string{
			"failed": num(math.Round(e.failed)), "total": num(math.Round(e.total)), "trend": e.trend,
			"baseline_known": strconv.FormatBool(base.Known), "baseline_share": num(base.Share),
			"rise_s": num(sp.Rise), "sustained_s": num(e.sustained.Seconds()),
		},
	}
	f.Tokens = append(sv.Tokens.top(), d.hostTokens(name)...)
	if status != "5xx" {
		blamed := d.blamedSince(sv, sp.Onset, e.failed)
		f.Tokens = append(append(f.Tokens, d.keyChangeTokens(sp.Onset)...), blamed...)
		if len(blamed) == 0 && now.Sub(sp.Found) < d.cfg.Sustain {
			f.Attrs["blame"] = "pending" // its texts may be on their way
		}
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
			Text: fmt.Sprintf("%s of the requests to %s answer %s, in quiet times %s; %.0f of %.0f since %s",
				percent(e.share), name, status, percent(base.Share), e.failed, e.total, sp.Onset.Format("15:04:05.0"))}
		return f
	}
	f.Reason = prunella.Reason{Name: "strong-without-baseline", Operands: operands,
		Text: fmt.Sprintf("%s of the requests to %s answer %s, %.0f of %.0f since %s; there is not enough history for a baseline (%d of %d buckets), but such a share is never quiet",
			percent(e.share), name, status, e.failed, e.total, sp.Onset.Format("15:04:05.0"), base.Have, base.Need)}
	return f
}

func sourceOf(sv *service) string {
	if len(sv.LastFailing) > 0 {
		return sv.LastFailing[0].Source
	}
	return ""
}

func round3(v float64) float64 { return math.Round(v*1000) / 1000 }

func clamp(v, low, high float64) float64 { return min(max(v, low), high) }
