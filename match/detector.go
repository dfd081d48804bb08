package match

import (
	"math"
	"slices"
	"sort"
	"strconv"
	"time"

	"prunella"
)

// Detector turns Signals into Findings. All its state is in it and in
// Snapshot; it starts no goroutine, reads no clock, and is not safe for
// concurrent use.
type Detector struct {
	cfg Config
	state
}

// state is what a Snapshot holds.
type state struct {
	Miner    *miner               `json:"miner"`
	Services map[string]*service  `json:"services"`
	Sources  map[string]*source   `json:"sources"`
	Probes   map[string]*probe    `json:"probes"`
	Alerts   map[string]*alert    `json:"alerts"`
	Edges    map[string]bool      `json:"edges"` // "from\x00to"
	Signers  map[string]string    `json:"signers"`
	Changes  []prunella.Change    `json:"changes"`
	Hosts    map[string][]string  `json:"hosts"`            // services on a host
	Placed   map[string]time.Time `json:"placed,omitempty"` // host + "\x00" + service: when it was last seen there
	Texts    map[string]*textRate `json:"texts"`            // service + "\x00" + template id
	Held     []prunella.Signal    `json:"held,omitempty"`
	Started  time.Time            `json:"started"`
	Swept    time.Time            `json:"swept"`
}

// service is what is known about one service.
type service struct {
	Last        time.Time          `json:"last"`             // when it was last heard of
	Metric      string             `json:"metric,omitempty"` // the request counter in use
	Streams     map[string]*stream `json:"streams"`
	Instances   map[string]exports `json:"instances"`
	Buckets     []bucket           `json:"buckets"` // contiguous, ascending
	Watermark   time.Time          `json:"watermark"`
	Lag         time.Duration      `json:"lag"`        // longest time between two points, fading
	Learned     [3]int64           `json:"learned_to"` // buckets up to here are learned or skipped, by statuses
	Emitted     int64              `json:"emitted"`    // buckets up to here became Points
	Quiet       map[string]*quiet  `json:"quiet"`      // by status
	Spikes      map[string]*spike  `json:"spikes"`     // by status
	Tokens      tokens             `json:"tokens"`
	Blames      blames             `json:"blames,omitempty"`
	LastFailing []prunella.Signal  `json:"last_failing,omitempty"` // a metric point that counted failures
	LastErrors  []prunella.Signal  `json:"last_errors,omitempty"`  // error texts, newest last
}

// source is one Monitor that sends texts.
type source struct {
	First   time.Time `json:"first"`
	Metrics bool      `json:"metrics"` // it also counts requests
}

// NewDetector returns a Detector that knows nothing. Zero fields of cfg take
// their defaults.
func NewDetector(cfg Config) *Detector {
	return &Detector{cfg: cfg.filled(), state: state{
		Miner:    newMiner(),
		Services: map[string]*service{},
		Sources:  map[string]*source{},
		Probes:   map[string]*probe{},
		Alerts:   map[string]*alert{},
		Edges:    map[string]bool{},
		Signers:  map[string]string{},
		Hosts:    map[string][]string{},
		Placed:   map[string]time.Time{},
		Texts:    map[string]*textRate{},
	}}
}

// Observe takes signals in and says what they show. The order of signals
// within one call does not matter. Call it also without signals, about once a
// Bucket: findings that lasted and buckets that closed are reported then too.
func (d *Detector) Observe(signals []prunella.Signal, now time.Time) Step {
	if d.Started.IsZero() {
		d.Started = now
	}
	in := slices.Clone(signals)
	sort.SliceStable(in, func(i, j int) bool {
		if !in[i].Time.Equal(in[j].Time) {
			return in[i].Time.Before(in[j].Time)
		}
		return in[i].ID < in[j].ID
	})
	for i := range in {
		if s := &in[i]; s.Kind == prunella.KindLog && !errorish(*s) {
			if told := severityIn(s.Body); told != "" {
				s.Severity = told
			}
		}
		if s := &in[i]; s.Kind == prunella.KindLog && errorish(*s) {
			s.Body = withAttributes(*s)
		}
		if s := &in[i]; s.Service == "" && s.Kind != prunella.KindMetric && s.Kind != prunella.KindProbe && s.Kind != prunella.KindChange {
			s.Service = d.serviceOf(*s)
		}
	}
	step := Step{Learned: map[string]Baseline{}}
	touched := map[string]bool{}
	for _, s := range in { // counts first: they tell which sources have metrics
		if s.Kind == prunella.KindMetric {
			d.metric(s, &step, touched)
		}
	}
	for _, s := range in {
		switch s.Kind {
		case prunella.KindLog:
			d.text(s, now, &step)
		case prunella.KindAlert:
			d.alertSignal(s, now, &step)
		case prunella.KindProbe:
			d.probeSignal(s, now, &step)
		case prunella.KindChange:
			d.change(s, &step)
		case prunella.KindMetric:
		default:
			d.text(s, now, &step)
		}
	}
	d.judgeHeld(now, &step)
	for _, name := range d.serviceNames() {
		sv := d.Services[name]
		for k, status := range statuses {
			d.judgeSpike(name, sv, k, status, now, &step)
		}
		d.learn(sv)
		d.points(name, sv, now, &step)
		if touched[name] {
			step.Learned[name] = sv.Quiet["401"].view(name, "401", d.cfg.MinHistory)
		}
	}
	d.judgeTexts(now, &step)
	d.sweep(now)
	return step
}

func (d *Detector) metric(s prunella.Signal, step *Step, touched map[string]bool) {
	if peer := s.Attr(prunella.AttrPeer); peer != "" && s.Service != "" && peer != s.Service && len(d.Edges) < 5000 {
		key := s.Service + "\x00" + peer
		if !d.Edges[key] {
			d.Edges[key] = true
			step.Edges = append(step.Edges, prunella.Edge{From: s.Service, To: peer})
		}
	}
	class, ok := requestCount(s)
	if !ok {
		return
	}
	sv := d.service(s.Service, d.timeOf(s))
	if sv == nil {
		return
	}
	d.source(s).Metrics = true
	d.placeOnHost(s)
	d.count(sv, s, class)
	touched[s.Service] = true
}

// LearnedEdges returns every call between services seen so far, sorted.
func (d *Detector) LearnedEdges() []prunella.Edge {
	out := make([]prunella.Edge, 0, len(d.Edges))
	for key := range d.Edges {
		from, to := splitKey(key)
		out = append(out, prunella.Edge{From: from, To: to})
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].From < out[j].From || out[i].From == out[j].From && out[i].To < out[j].To
	})
	return out
}

// Baselines returns every learned baseline, sorted by service and status.
func (d *Detector) Baselines() []Baseline {
	var out []Baseline
	for _, name := range d.serviceNames() {
		sv := d.Services[name]
		if len(sv.Buckets) == 0 {
			continue
		}
		for _, status := range statuses {
			out = append(out, sv.Quiet[status].view(name, status, d.cfg.MinHistory))
		}
	}
	return out
}

// learn moves the baselines forward over buckets that left the window. Buckets
// from an onset until its recovery are skipped, and those that may belong to a
// failure that is not found yet wait until that is known, for half the ring at
// most: a weak failure would else be called normal before it is found.
func (d *Detector) learn(sv *service) {
	if len(sv.Buckets) == 0 {
		return
	}
	until := d.index(sv.Watermark.Add(-d.cfg.Window)) - 1
	keep := math.Exp2(-d.cfg.Bucket.Seconds() / d.cfg.HalfLife.Seconds())
	for k, status := range statuses {
		sp, q, end := sv.Spikes[status], sv.Quiet[status], until
		if q == nil {
			q = &quiet{}
			sv.Quiet[status] = q
		}
		if first, suspect := d.suspect(sv, k, status); suspect {
			end = min(until, max(first-1, until-ringBuckets/2))
		}
		for _, b := range sv.from(sv.Learned[k] + 1) {
			if b.N > end {
				break
			}
			if sp != nil && (sp.Active && b.N >= d.index(sp.Onset)-1 || b.N <= sp.SkipTo) {
				continue
			}
			q.learn(b.Requests, b.Failed[k], d.cfg.Bucket.Seconds(), keep)
		}
		sv.Learned[k] = max(sv.Learned[k], end)
	}
}

// points emits the buckets that no instance is expected to add to any more.
func (d *Detector) points(name string, sv *service, now time.Time, step *Step) {
	if len(sv.Buckets) == 0 {
		return
	}
	complete := sv.Watermark
	for _, e := range sv.Instances {
		if e.Last.Before(complete) && now.Sub(e.Last) < 2*sv.Lag {
			complete = e.Last // this one will report again
		}
	}
	until := d.index(complete) - 1
	seconds := d.cfg.Bucket.Seconds()
	for _, b := range sv.from(sv.Emitted + 1) {
		if b.N > until {
			break
		}
		at := d.start(b.N)
		point := func(series string, v float64) {
			step.Points = append(step.Points, prunella.SeriesPoint{Service: name, Name: series, At: at, Value: v})
		}
		point("requests", b.Requests/seconds)
		point("errors.401", b.Failed[0]/seconds)
		if b.Failed[1] > 0 { // few services ever answer 403 to a token
			point("errors.403", b.Failed[1]/seconds)
		}
		point("errors.5xx", b.Failed[2]/seconds)
		if base := sv.Quiet["401"].view(name, "401", d.cfg.MinHistory); base.Known {
			point("baseline.401", base.Rate)
		}
	}
	sv.Emitted = max(sv.Emitted, until)
}

// sweep forgets what is too old to matter, once a Window.
func (d *Detector) sweep(now time.Time) {
	if now.Sub(d.Swept) < d.cfg.Window {
		return
	}
	d.Swept = now
	old := now.Add(-30 * d.cfg.Window)
	gone := now.Add(-7 * d.cfg.HalfLife) // nothing of its baseline would count any more
	for name, sv := range d.Services {
		switch {
		case sv.Last.IsZero(): // of a snapshot from before services had a time
			sv.Last = now
		case sv.Last.Before(gone):
			delete(d.Services, name)
			continue
		}
		sv.dropOldStreams(old)
		for k, e := range sv.Instances {
			if e.Last.Before(old) {
				delete(sv.Instances, k)
			}
		}
		sv.Lag = sv.Lag * 9 / 10
		since := now.Add(-2 * d.cfg.Window)
		for _, sp := range sv.Spikes {
			if from := sp.Onset.Add(-d.cfg.Window); sp.Active && from.Before(since) {
				since = from // what it said at the beginning still names the failure
			}
		}
		sv.Tokens.forget(since)
		sv.Blames.forget(d.index(now) - ringBuckets)
		sv.LastErrors = slices.DeleteFunc(sv.LastErrors, func(s prunella.Signal) bool { return d.timeOf(s).Before(old) })
	}
	dayOld := old.Add(-24 * time.Hour) // an alert that fires is repeated within a day
	for k, p := range d.Probes {
		if p.Last.Before(dayOld) {
			delete(d.Probes, k)
		}
	}
	for k, a := range d.Alerts {
		if a.Last.Before(dayOld) {
			delete(d.Alerts, k)
		}
	}
	d.Changes = slices.DeleteFunc(d.Changes, func(c prunella.Change) bool { return c.At.Before(now.Add(-2 * d.cfg.ChangeWithin)) })
	d.sweepHosts(now)
	d.sweepTexts(now)
}

// service returns the state of a service that is heard of at that time, nil
// beyond the bound on services. One that was never counted, or that has been
// silent for long, makes room for another.
func (d *Detector) service(name string, at time.Time) *service {
	sv := d.Services[name]
	if sv == nil {
		if len(d.Services) >= maxServices && !d.dropSilent(at.Add(-30*d.cfg.Window)) {
			return nil
		}
		sv = &service{Streams: map[string]*stream{}, Instances: map[string]exports{}, Quiet: map[string]*quiet{}, Spikes: map[string]*spike{}}
		d.Services[name] = sv
	}
	if at.After(sv.Last) {
		sv.Last = at
	}
	return sv
}

// dropSilent forgets the service that was heard of the longest ago: of those
// whose requests nobody counts (texts name many that are none), else of those
// silent since a time. It reports whether there was one.
func (d *Detector) dropSilent(since time.Time) bool {
	first, found := "", false
	for _, name := range d.serviceNames() {
		sv, best := d.Services[name], d.Services[first]
		uncounted := len(sv.Buckets) == 0
		switch {
		case !uncounted && !sv.Last.Before(since):
		case !found, uncounted && len(best.Buckets) > 0, uncounted == (len(best.Buckets) == 0) && sv.Last.Before(best.Last):
			first, found = name, true
		}
	}
	delete(d.Services, first)
	return found
}

func (d *Detector) source(s prunella.Signal) *source {
	src := d.Sources[s.Source]
	if src == nil {
		src = &source{First: d.timeOf(s)}
		if len(d.Sources) < 4*maxServices {
			d.Sources[s.Source] = src
		}
	}
	return src
}

func (d *Detector) serviceNames() []string {
	names := make([]string, 0, len(d.Services))
	for n := range d.Services {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// maxSkew is how far an observer's clock may be off before ours is used.
const maxSkew = 2 * time.Minute

// timeOf is when a signal was so: by the observer's clock, or by ours when the
// two are too far apart to be a delay.
func (d *Detector) timeOf(s prunella.Signal) time.Time {
	if s.Received.IsZero() {
		return s.Time
	}
	if skew := s.Received.Sub(s.Time); s.Time.IsZero() || skew > maxSkew || skew < -time.Second {
		return s.Received
	}
	return s.Time
}

func (d *Detector) index(t time.Time) int64 {
	return floorDiv(t.UnixNano(), int64(d.cfg.Bucket))
}

func (d *Detector) start(n int64) time.Time {
	return time.Unix(0, n*int64(d.cfg.Bucket)).UTC()
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func num(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func percent(v float64) string { return strconv.FormatFloat(math.Round(1000*v)/10, 'f', -1, 64) + " %" }
