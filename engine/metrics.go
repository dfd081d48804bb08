package engine

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the engine's own numbers.
type Metrics struct {
	Signals     prometheus.Counter
	Lag         prometheus.Gauge
	Batches     prometheus.Counter
	Findings    *prometheus.CounterVec
	Opened      prometheus.Counter
	Transitions *prometheus.CounterVec
	Stage       *prometheus.HistogramVec
	StageErrors prometheus.Counter
	Steps       *prometheus.CounterVec
	Verdicts    *prometheus.CounterVec
	Policy      *prometheus.CounterVec
	Panics      *prometheus.CounterVec
	SetAside    prometheus.Counter
}

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		Signals:     prometheus.NewCounter(prometheus.CounterOpts{Name: "prunella_pipeline_signals_total", Help: "Signals folded into the state of the world."}),
		Lag:         prometheus.NewGauge(prometheus.GaugeOpts{Name: "prunella_pipeline_lag_seconds", Help: "Age of the newest signal when it was folded in."}),
		Batches:     prometheus.NewCounter(prometheus.CounterOpts{Name: "prunella_pipeline_batches_total", Help: "Batches committed."}),
		Findings:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "prunella_findings_total", Help: "Findings by rule and by what became of them."}, []string{"rule", "decision"}),
		Opened:      prometheus.NewCounter(prometheus.CounterOpts{Name: "prunella_incidents_opened_total", Help: "Incidents opened."}),
		Transitions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "prunella_incident_transitions_total", Help: "State changes of incidents."}, []string{"to"}),
		Stage:       prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "prunella_stage_seconds", Help: "Time one stage took."}, []string{"stage"}),
		StageErrors: prometheus.NewCounter(prometheus.CounterOpts{Name: "prunella_stage_errors_total", Help: "Stages that ended in an error and wait to be tried again."}),
		Steps:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "prunella_steps_total", Help: "Steps executed, by action and result."}, []string{"action", "result"}),
		Verdicts:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "prunella_verdicts_total", Help: "Verdicts reached."}, []string{"verdict"}),
		Policy:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "prunella_policy_decisions_total", Help: "Policy answers."}, []string{"allowed"}),
		Panics:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "prunella_panics_total", Help: "Panics that were caught: our own faults."}, []string{"in"}),
		SetAside:    prometheus.NewCounter(prometheus.CounterOpts{Name: "prunella_pipeline_set_aside_total", Help: "Messages that no pass survives and that were set aside."}),
	}
	reg.MustRegister(m.Signals, m.Lag, m.Batches, m.Findings, m.Opened, m.Transitions, m.Stage, m.StageErrors, m.Steps, m.Verdicts, m.Policy, m.Panics, m.SetAside)
	return m
}
