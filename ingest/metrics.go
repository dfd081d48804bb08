package ingest

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"prunella"
)

type metrics struct {
	signals  *prometheus.CounterVec
	rejected *prometheus.CounterVec
	skipped  *prometheus.CounterVec
	requests *prometheus.CounterVec
	lost     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) metrics {
	f := promauto.With(reg)
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Namespace: "prunella", Subsystem: "ingest", Name: name, Help: help}, labels)
	}
	return metrics{
		signals:  vec("signals_total", "Signals taken in and stored.", "protocol", "kind"),
		rejected: vec("rejected_total", "Records refused; their sender was told.", "protocol", "reason"),
		skipped:  vec("skipped_total", "Records that carry no observation.", "protocol", "reason"),
		requests: vec("requests_total", "Requests by HTTP status.", "protocol", "code"),
		lost:     vec("alerts_truncated_total", "Alerts that Alertmanager left out of its webhooks.", "protocol"),
	}
}

func (m metrics) taken(protocol string, res result) {
	kinds := map[prunella.SignalKind]int{}
	for _, s := range res.signals {
		kinds[s.Kind]++
	}
	for kind, n := range kinds {
		m.signals.WithLabelValues(protocol, string(kind)).Add(float64(n))
	}
	for reason, n := range res.rejected {
		m.rejected.WithLabelValues(protocol, reason).Add(float64(n))
	}
	for reason, n := range res.skipped {
		m.skipped.WithLabelValues(protocol, reason).Add(float64(n))
	}
	if res.lost > 0 {
		m.lost.WithLabelValues(protocol).Add(float64(res.lost))
	}
}
