package keyset

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a set counts. Names and labels are listed in the package comment.
type metrics struct {
	verified  *prometheus.CounterVec
	fetches   *prometheus.CounterVec
	unknown   *prometheus.CounterVec
	keys      *prometheus.GaugeVec
	confirmed *prometheus.GaugeVec
	until     *prometheus.GaugeVec
	lease     prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "keyset", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "keyset", Name: name, Help: help}, labels)
	}
	m := &metrics{
		verified:  counter("verifications_total", "Tokens, by what became of them: ok, or the check that refused.", "issuer", "result"),
		fetches:   counter("fetches_total", "Fetches of the key set, by why and with what outcome.", "issuer", "reason", "outcome"),
		unknown:   counter("unknown_keys_total", "Tokens that no key explained, by what was done: fetched, joined, deferred, implausible.", "issuer", "decision"),
		keys:      gauge("keys", "Keys in use.", "issuer"),
		confirmed: gauge("confirmed_timestamp_seconds", "When the key set was last confirmed.", "issuer"),
		until:     gauge("usable_until_timestamp_seconds", "When the key set becomes too old to use.", "issuer"),
		lease: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "keyset", Name: "lease_until_timestamp_seconds",
			Help: "Until when the keys of this set are acknowledged."}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.verified, m.fetches, m.unknown, m.keys, m.confirmed, m.until, m.lease} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("keyset: metrics (two sets on one registerer need a label each, see prometheus.WrapRegistererWith): %w", err)
		}
	}
	return m, nil
}

// sourceMetrics are the metrics of one source, looked up beforehand.
type sourceMetrics struct {
	all     *metrics
	issuer  string
	ok      prometheus.Counter
	refused map[Check]prometheus.Counter

	fetchedFor, joined, deferred, implausible prometheus.Counter
}

func (m *metrics) of(issuer string) *sourceMetrics {
	s := &sourceMetrics{
		all: m, issuer: issuer, ok: m.verified.WithLabelValues(issuer, "ok"), refused: map[Check]prometheus.Counter{},
		fetchedFor:  m.unknown.WithLabelValues(issuer, "fetched"),
		joined:      m.unknown.WithLabelValues(issuer, "joined"),
		deferred:    m.unknown.WithLabelValues(issuer, "deferred"),
		implausible: m.unknown.WithLabelValues(issuer, "implausible"),
	}
	for _, c := range checks {
		s.refused[c] = m.verified.WithLabelValues(issuer, string(c))
	}
	return s
}

func (s *sourceMetrics) fetched(reason, outcome string) {
	s.all.fetches.WithLabelValues(s.issuer, reason, outcome).Inc()
}

func (s *sourceMetrics) kept(confirmed, until time.Time) {
	s.all.confirmed.WithLabelValues(s.issuer).Set(float64(confirmed.Unix()))
	s.all.until.WithLabelValues(s.issuer).Set(float64(until.Unix()))
}

func (s *sourceMetrics) keys(n int) { s.all.keys.WithLabelValues(s.issuer).Set(float64(n)) }
