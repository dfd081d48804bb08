package match

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"prunella"
	"prunella/said"
)

// Bounds on texts.
const (
	maxTextRates  = 3000 // service × template
	maxLastErrors = 6    // error texts kept per service, for Finding.Signals
	maxHeld       = 200
)

// textRate is how often one service says one error template.
type textRate struct {
	First  time.Time         `json:"first"`
	Last   time.Time         `json:"last"`
	Recent map[int64]int     `json:"recent"` // count by bucket, within the window
	Mean   float64           `json:"mean"`   // lines a bucket before the window
	Have   int               `json:"have"`   // buckets that Mean is taken over
	Closed int64             `json:"closed"` // buckets up to here are in Mean
	Said   int64             `json:"said"`
	Signal prunella.Signal   `json:"signal"` // the last one
	Worst  prunella.Severity `json:"worst"`

	Heard   [][]string `json:"heard,omitempty"`    // what the texts blame that were read in the bucket HeardIn, at most maxRead
	HeardIn int64      `json:"heard_in,omitempty"` // the newest bucket of a text
}

// errorish reports a signal that speaks of a failure.
func errorish(s prunella.Signal) bool { return s.Severity.Rank() >= prunella.Warning.Rank() }

// text takes a log line, or any other signal that is known by its body.
func (d *Detector) text(s prunella.Signal, now time.Time, step *Step) {
	src := d.source(s)
	d.placeOnHost(s)
	t, merged := d.Miner.add(s.Body)
	d.renameTexts(t.ID, merged)
	if !errorish(s) && len(prunella.Statements(s.Body)) == 0 {
		return
	}
	step.Interesting = append(step.Interesting, s)
	at := d.timeOf(s)
	r := d.rateText(s, t, at)
	var sv *service
	if s.Service != "" {
		sv = d.service(s.Service, at)
	}
	if sv != nil {
		for _, tok := range TokensOf(s) {
			sv.Tokens.note(tok, at)
		}
		if r != nil {
			sv.Blames.note(r.blame(s.Body, d.index(at)), d.index(at))
		}
		sv.LastErrors = append(sv.LastErrors, bounded(s))
		if len(sv.LastErrors) > maxLastErrors {
			sv.LastErrors = slices.Delete(sv.LastErrors, 0, 1)
		}
	}
	if d.hasRequests(s.Service) || src.Metrics {
		return // its requests say more than its texts
	}
	switch {
	case len(prunella.Statements(s.Body)) > 0 || s.Kind != prunella.KindLog && s.Severity.Rank() >= prunella.High.Rank():
		d.sayText(s, t, now, step)
	case s.Severity.Rank() >= prunella.High.Rank() && len(d.Held) < maxHeld:
		d.Held = append(d.Held, bounded(s)) // its metrics may be on their way
	}
}

// judgeHeld decides error lines of sources that had one bucket of time to show
// whether they count requests.
func (d *Detector) judgeHeld(now time.Time, step *Step) {
	var still []prunella.Signal
	for _, s := range d.Held {
		src := d.source(s)
		switch {
		case d.hasRequests(s.Service) || src.Metrics:
		case now.Sub(src.First) < d.cfg.Bucket:
			still = append(still, s)
		default:
			if t := d.Miner.find(s.Body); t != nil {
				d.sayText(s, t, now, step)
			}
		}
	}
	d.Held = still
}

func (d *Detector) hasRequests(service string) bool {
	sv := d.Services[service]
	return sv != nil && len(sv.Buckets) > 0
}

// sayText makes an error-message finding of a text from a monitor that has no
// metrics, unless it says so all the time. At most one a bucket and template.
func (d *Detector) sayText(s prunella.Signal, t *template, now time.Time, step *Step) {
	r := d.Texts[s.Service+"\x00"+t.ID]
	if r == nil || r.Said >= d.index(now) || d.routine(r, now) {
		return
	}
	r.Said = d.index(now)
	f := prunella.Finding{
		Rule: prunella.RuleErrorMessage, Service: s.Service, Source: s.Source, Onset: d.timeOf(s), Time: now, Severity: s.Severity,
		Template: t.String(), Tokens: append(TokensOf(s), d.hostTokens(s.Service)...), Signals: []prunella.Signal{s},
		Status: statusIn(s),
		Attrs:  map[string]string{},
	}
	if f.Severity.Rank() < prunella.High.Rank() {
		f.Severity = prunella.High
	}
	if f.Status != "5xx" && f.Status != "" {
		f.Tokens = append(append(f.Tokens, d.keyChangeTokens(f.Onset)...), surelySays(s.Body)...)
	}
	f.Reason = prunella.Reason{Name: "severe-text",
		Text:     fmt.Sprintf("%s says at severity %s: %s", s.Source, s.Severity, shorten(s.Body, 160)),
		Operands: map[string]string{"severity": string(s.Severity), "source": s.Source}}
	for _, st := range prunella.Statements(s.Body) {
		f.Share = max(f.Share, st.Share)
		f.Reason.Name = "stated-impact"
		f.Attrs["stated"] = st.Clause
		f.Reason.Operands["stated"] = st.Clause
	}
	step.Findings = append(step.Findings, f)
}

// statusIn guesses the status class that a text speaks of.
func statusIn(s prunella.Signal) string {
	told := []string{statusOf(s)}
	for _, f := range prunella.Fields(s.Body) {
		switch strings.ToLower(f.Key[strings.LastIndexByte(f.Key, '.')+1:]) {
		case "code", "status", "status_code", "statuscode", "http_status", "http_code", "response_code":
			told = append(told, f.Value)
		}
	}
	for _, v := range told {
		switch {
		case v == "401" || v == "403":
			return v
		case len(v) == 3 && v[0] == '5':
			return "5xx"
		}
	}
	if said.OfTokens(s.Body) || slices.ContainsFunc(saysOf(s.Body), func(what string) bool { return what != "says:time" }) {
		return "401"
	}
	lower := strings.ToLower(s.Body)
	for _, w := range []string{"403", "forbidden"} {
		if strings.Contains(lower, w) {
			return "403"
		}
	}
	for _, w := range []string{"500", "502", "503", "504", "internal server error", "bad gateway", "service unavailable"} {
		if strings.Contains(lower, w) {
			return "5xx"
		}
	}
	return ""
}

// rateText counts an error line of a service and returns its count, nil beyond
// the bound on counts.
func (d *Detector) rateText(s prunella.Signal, t *template, at time.Time) *textRate {
	key := s.Service + "\x00" + t.ID
	r := d.Texts[key]
	if r == nil {
		if len(d.Texts) >= maxTextRates {
			return nil
		}
		r = &textRate{First: at, Recent: map[int64]int{}, Closed: d.index(at) - 1, Said: -1}
		d.Texts[key] = r
	}
	r.Recent[d.index(at)]++
	if at.After(r.Last) {
		r.Last, r.Signal = at, bounded(s)
	}
	if s.Severity.Rank() > r.Worst.Rank() {
		r.Worst = s.Severity
	}
	return r
}

// close moves buckets that left the window into the mean, empty ones too.
func (r *textRate) close(until int64) {
	if until <= r.Closed {
		return
	}
	n := 0
	for b, c := range r.Recent {
		if b <= until {
			n += c
			delete(r.Recent, b)
		}
	}
	span := int(min(until-r.Closed, 10000))
	r.Closed = until
	r.Have = min(r.Have+span, 10000)
	r.Mean += (float64(n)/float64(span) - r.Mean) * float64(span) / float64(r.Have)
}

// routine reports a text that has been said before the window about as often
// as now.
func (d *Detector) routine(r *textRate, now time.Time) bool {
	n := d.inWindow(r, now)
	usual := r.Mean * float64(d.cfg.Window/d.cfg.Bucket)
	return r.Have >= d.cfg.MinHistory && usual > 0 && float64(n) <= d.cfg.Factor*max(usual, 0.2)
}

func (d *Detector) inWindow(r *textRate, now time.Time) int {
	r.close(d.index(now.Add(-d.cfg.Window)) - 1)
	n := 0
	for _, c := range r.Recent {
		n += c
	}
	return n
}

// judgeTexts says which error templates of services with metrics are new or far
// more frequent than before. These findings support an incident; they are not
// reason enough to open one.
func (d *Detector) judgeTexts(now time.Time, step *Step) {
	var keys []string
	for key, r := range d.Texts {
		if r.Said < d.index(now) && now.Sub(r.Last) <= d.cfg.Window {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	for _, key := range keys {
		r := d.Texts[key]
		name, id := splitKey(key)
		t := d.Miner.byID[id]
		if t == nil || !d.hasRequests(name) {
			continue
		}
		n := d.inWindow(r, now)
		usual := r.Mean * float64(d.cfg.Window/d.cfg.Bucket)
		novel := r.First.Sub(d.Started) > d.cfg.Window && now.Sub(r.First) <= d.cfg.Window
		if n < 3 || !novel && float64(n) <= d.cfg.Factor*max(usual, 1) || !novel && r.Have < d.cfg.MinHistory {
			continue
		}
		r.Said = d.index(now)
		why, onset := "spiking-text", d.firstBucket(r)
		if novel {
			why, onset = "novel-text", r.First
		}
		step.Findings = append(step.Findings, prunella.Finding{
			Rule: prunella.RuleErrorLog, Service: name, Source: r.Signal.Source, Onset: onset, Time: now, Severity: prunella.Warning,
			Value: float64(n) / d.cfg.Window.Seconds(), Baseline: r.Mean / d.cfg.Bucket.Seconds(), Status: statusIn(r.Signal),
			Template: t.String(), Tokens: TokensOf(r.Signal), Signals: []prunella.Signal{r.Signal},
			Reason: prunella.Reason{Name: why,
				Text:     fmt.Sprintf("%s said %d times in %s, usually %s times: %s", name, n, d.cfg.Window, num(round3(usual)), shorten(t.String(), 120)),
				Operands: map[string]string{"count": strconv.Itoa(n), "usual": num(usual), "template": t.ID}},
		})
	}
}

func (d *Detector) firstBucket(r *textRate) time.Time {
	first := int64(math.MaxInt64)
	for b := range r.Recent {
		first = min(first, b)
	}
	return d.start(first)
}

// renameTexts follows templates that were merged.
func (d *Detector) renameTexts(into string, merged []string) {
	if len(merged) == 0 {
		return
	}
	for _, service := range append(d.serviceNames(), "") {
		for _, old := range merged {
			r := d.Texts[service+"\x00"+old]
			if r == nil {
				continue
			}
			delete(d.Texts, service+"\x00"+old)
			key := service + "\x00" + into
			to := d.Texts[key]
			if to == nil {
				d.Texts[key] = r
				continue
			}
			for b, c := range r.Recent {
				to.Recent[b] += c
			}
			to.Mean += r.Mean
			to.Have = max(to.Have, r.Have)
			to.Said = max(to.Said, r.Said)
			if r.First.Before(to.First) {
				to.First = r.First
			}
			if r.Last.After(to.Last) {
				to.Last, to.Signal = r.Last, r.Signal
			}
		}
	}
}

func (d *Detector) sweepTexts(now time.Time) {
	old := now.Add(-max(d.cfg.HalfLife, 100*d.cfg.Window))
	for k, r := range d.Texts {
		if r.Last.Before(old) || d.Miner.byID[k[strings.IndexByte(k, 0)+1:]] == nil {
			delete(d.Texts, k)
		}
	}
}

// Template returns the mined template of a line, or the line with its variable
// parts masked when no template covers it. It learns nothing.
func (d *Detector) Template(line string) string {
	if t := d.Miner.find(line); t != nil {
		return t.String()
	}
	return strings.Join(tokenize(line), " ")
}

// Group gathers the texts of signals by template, the most frequent first.
func (d *Detector) Group(signals []prunella.Signal) []prunella.TextGroup {
	groups := map[string]*prunella.TextGroup{}
	for _, s := range signals {
		if s.Body == "" || s.Kind == prunella.KindMetric {
			continue
		}
		t := d.Template(s.Body)
		g := groups[t]
		at := d.timeOf(s)
		if g == nil {
			g = &prunella.TextGroup{Template: t, Example: s.Body, First: at, Last: at, Severity: s.Severity}
			groups[t] = g
		}
		g.Count++
		if at.Before(g.First) {
			g.First, g.Example = at, s.Body
		}
		if at.After(g.Last) {
			g.Last = at
		}
		if s.Severity.Rank() > g.Severity.Rank() {
			g.Severity = s.Severity
		}
		g.Services = insert(g.Services, s.Service)
		g.Monitors = insert(g.Monitors, s.Source)
	}
	out := make([]prunella.TextGroup, 0, len(groups))
	for _, g := range groups {
		out = append(out, *g)
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Count > out[j].Count || out[i].Count == out[j].Count && out[i].Template < out[j].Template
	})
	return out
}

// insert adds s to a sorted list unless it is there or empty.
func insert(list []string, s string) []string {
	i, found := slices.BinarySearch(list, s)
	if found || s == "" {
		return list
	}
	return slices.Insert(list, i, s)
}

// bounded cuts an overlong text of a signal that is kept in memory.
func bounded(s prunella.Signal) prunella.Signal {
	s.Body = shorten(s.Body, maxLine)
	return s
}

func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

func splitKey(key string) (string, string) {
	a, b, _ := strings.Cut(key, "\x00")
	return a, b
}
