package match_test

import (
	"fmt"
	"math/rand"
	"sort"
	"time"

	"prunella"
	"prunella/match"
)

// epoch is when every simulated world begins.
var epoch = time.Date(2026, 3, 29, 10, 0, 0, 0, time.UTC)

// world simulates services that count their requests as OpenTelemetry does:
// cumulative histograms, one series a status, exported now and then.
type world struct {
	now      time.Time
	rng      *rand.Rand
	step     time.Duration // between exports
	services map[string]*sim
	det      *match.Detector
	findings []prunella.Finding
	points   []prunella.SeriesPoint
	learned  map[string]match.Baseline
	edges    []prunella.Edge
	extra    []prunella.Signal // taken in with the next export
	ids      int
}

type sim struct {
	rate    float64            // requests a second
	share   map[string]float64 // failing, by status
	counts  map[string]float64
	started time.Time
	carry   float64
	silent  bool
}

func newWorld(seed int64, cfg match.Config, rate float64, services ...string) *world {
	w := &world{now: epoch, rng: rand.New(rand.NewSource(seed)), step: 500 * time.Millisecond, services: map[string]*sim{}, det: match.NewDetector(cfg)}
	for _, s := range services {
		w.services[s] = &sim{rate: rate, share: map[string]float64{}, counts: map[string]float64{}, started: epoch}
	}
	return w
}

// export is what every service sends for the time since the last export.
func (w *world) export() []prunella.Signal {
	var out []prunella.Signal
	names := make([]string, 0, len(w.services))
	for n := range w.services {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, name := range names {
		s := w.services[name]
		s.carry += s.rate * w.step.Seconds()
		for ; s.carry >= 1; s.carry-- {
			s.counts[s.answer(w.rng)]++
		}
		if s.silent {
			continue
		}
		for _, status := range []string{"200", "401", "403", "500"} {
			if s.counts[status] == 0 {
				continue // a series appears with its first request
			}
			out = append(out, w.point(name, status, s.counts[status], s.started))
		}
	}
	return out
}

func (s *sim) answer(rng *rand.Rand) string {
	x := rng.Float64()
	for _, status := range []string{"401", "403", "500"} {
		if x < s.share[status] {
			return status
		}
		x -= s.share[status]
	}
	return "200"
}

func (w *world) id() prunella.SignalID {
	w.ids++
	return prunella.SignalID(fmt.Sprintf("s%08d", w.ids))
}

func (w *world) point(service, status string, count float64, start time.Time) prunella.Signal {
	return prunella.Signal{ID: w.id(), Source: "otlp/" + service, Service: service, Time: w.now, Received: w.now, Kind: prunella.KindMetric,
		Severity: prunella.Info, Name: "http.server.request.duration",
		Metric:     &prunella.Metric{Unit: "s", Value: count * 0.01, Count: uint64(count), Histogram: true, Cumulative: true, Start: start},
		Attributes: map[string]string{prunella.AttrStatus: status, prunella.AttrHost: "pod-" + service, "http.route": "/api"}}
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(w.step)
		w.observe(append(w.export(), w.extra...))
		w.extra = nil
	}
}

func (w *world) observe(signals []prunella.Signal) match.Step {
	step := w.det.Observe(signals, w.now)
	w.findings = append(w.findings, step.Findings...)
	w.points = append(w.points, step.Points...)
	w.edges = append(w.edges, step.Edges...)
	w.learned = step.Learned
	return step
}

func (w *world) log(service string, severity prunella.Severity, body string) {
	w.extra = append(w.extra, prunella.Signal{ID: w.id(), Source: "otlp/" + service, Service: service, Time: w.now.Add(w.step / 2), Received: w.now.Add(w.step),
		Kind: prunella.KindLog, Severity: severity, Body: body, Attributes: map[string]string{prunella.AttrHost: "pod-" + service}})
}

func (w *world) change(name, issuer, kid string) {
	w.extra = append(w.extra, prunella.Signal{ID: w.id(), Source: "jwks/" + issuer, Service: issuer, Time: w.now, Received: w.now, Kind: prunella.KindChange,
		Severity: prunella.Info, Name: name, Attributes: map[string]string{prunella.AttrKid: kid, prunella.AttrIssuer: issuer}})
}

func (w *world) probe(name, service, outcome, kid, body string) {
	severity := prunella.Info
	if outcome != "ok" {
		severity = prunella.High
	}
	attrs := map[string]string{prunella.AttrOutcome: outcome, prunella.AttrKid: kid, prunella.AttrIssuer: "auth"}
	if outcome == "refused" {
		attrs[prunella.AttrStatus] = "401"
	}
	w.extra = append(w.extra, prunella.Signal{ID: w.id(), Source: name + "/auth", Service: service, Time: w.now, Received: w.now, Kind: prunella.KindProbe,
		Severity: severity, Name: name, Body: body, Attributes: attrs})
}

// rules counts findings by rule.
func (w *world) rules() map[string]int {
	out := map[string]int{}
	for _, f := range w.findings {
		out[f.Rule]++
	}
	return out
}

// first returns the first finding of a rule.
func (w *world) first(rule, service string) (prunella.Finding, bool) {
	for _, f := range w.findings {
		if f.Rule == rule && (service == "" || f.Service == service) {
			return f, true
		}
	}
	return prunella.Finding{}, false
}
