package rotation

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a rotator counts. Names and labels are listed in the package
// comment.
type metrics struct {
	tokens        prometheus.Counter
	steps         *prometheus.CounterVec
	answers       *prometheus.CounterVec
	deliveries    *prometheus.CounterVec
	probes        *prometheus.CounterVec
	keys          *prometheus.GaugeVec
	blockers      *prometheus.GaugeVec
	live          *prometheus.GaugeVec
	due, read     prometheus.Gauge
	halted, since prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "rotation", Name: name, Help: help}, labels)
	}
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "rotation", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "rotation", Name: name, Help: help})
	}
	m := &metrics{
		tokens:     prometheus.NewCounter(prometheus.CounterOpts{Namespace: "rotation", Name: "tokens_total", Help: "Tokens signed with the active key."}),
		steps:      counters("steps_total", "Steps taken by this node, by action; refuse is a person who was refused.", "action"),
		answers:    counters("acknowledgements_total", "Acknowledgements, by verifier and what became of them: ok, or the kind of error.", "verifier", "result"),
		deliveries: counters("deliveries_total", "Tries to deliver a hint, by the delivery's state after it.", "state"),
		probes:     counters("probes_total", "Canaries shown to verifiers, by outcome.", "outcome"),
		keys:       gauges("keys", "Keys by state.", "state"),
		blockers:   gauges("blockers", "Who keeps a gate closed now; for should-return, who refuses the new key.", "gate"),
		live:       gauges("live_instances", "Instances whose lease runs.", "verifier"),
		due:        gauge("due_timestamp_seconds", "When the next key is to sign."),
		read:       gauge("read_timestamp_seconds", "When this node read the ring last."),
		halted:     gauge("halted", "1 while the schedule waits for a person."),
		since:      gauge("signer_timestamp_seconds", "Since when the active key signs."),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.tokens, m.steps, m.answers, m.deliveries, m.probes, m.keys, m.blockers, m.live, m.due, m.read, m.halted, m.since} {
		if err := r.Register(c); err != nil {
			return nil, &Error{Kind: Invalid, Detail: "metrics (two rotators on one registerer need a label each, see prometheus.WrapRegistererWith)", Cause: err}
		}
	}
	return m, nil
}

func (m *metrics) step(a Action)             { m.steps.WithLabelValues(string(a)).Inc() }
func (m *metrics) probed(o Outcome)          { m.probes.WithLabelValues(string(o)).Inc() }
func (m *metrics) delivered(s DeliveryState) { m.deliveries.WithLabelValues(string(s)).Inc() }

// told counts an acknowledgement; verifier is "" when it is not a declared one.
func (m *metrics) told(verifier string, err error) {
	result := "ok"
	var e *Error
	switch {
	case errors.As(err, &e):
		result = string(e.Kind)
	case err != nil:
		result = fmt.Sprint(Unavailable)
	}
	m.answers.WithLabelValues(verifier, result).Inc()
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}

func (m *metrics) ring(r Ring, now time.Time) {
	count := map[State]int{Planned: 0, Next: 0, Acknowledged: 0, Proven: 0, Active: 0, Previous: 0}
	for _, k := range r.Keys {
		if _, shown := count[k.State]; shown {
			count[k.State]++
		}
	}
	for s, n := range count {
		m.keys.WithLabelValues(string(s)).Set(float64(n))
	}
	m.due.Set(unix(r.Due))
	m.read.Set(unix(now))
	m.halted.Set(0)
	if r.Halted != "" {
		m.halted.Set(1)
	}
	if k, ok := r.Signer(); ok {
		m.since.Set(unix(k.Promoted))
	}
}

func (m *metrics) fleet(s Snapshot, now time.Time) {
	blocked := map[Gate]int{MayPublish: 0, MayPromote: 0, ShouldReturn: 0, MayRemove: 0}
	for _, r := range Gates(s, now) {
		blocked[r.Gate] += len(r.Blockers)
	}
	for g, n := range blocked {
		m.blockers.WithLabelValues(string(g)).Set(float64(n))
	}
	s.sort()
	for _, v := range s.Verifiers {
		if v.Class != Answering {
			continue
		}
		n := 0
		for _, i := range s.of(v) {
			if s.presence(v, i, now) == alive {
				n++
			}
		}
		m.live.WithLabelValues(v.Name).Set(float64(n))
	}
}
