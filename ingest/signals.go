package ingest

import (
	"encoding/json"
	"net/http"
	"time"

	"prunella"
)

// readSignals reads POST /api/v1/signals: {"signals":[Signal…]} with the
// fields of ownSignal; others are ignored, in particular id, tenant and
// received, which are ours to give.
func readSignals(r request) (res result, err error) {
	var msg struct {
		Signals []json.RawMessage `json:"signals"`
	}
	if err := decodeJSON(r.body, &msg); err != nil {
		return res, err
	}
	if msg.Signals == nil {
		return res, refuse(http.StatusBadRequest, `the field "signals" is missing: send {"signals":[…]}`)
	}
	ids := number(r)
	for i, raw := range msg.Signals {
		var o ownSignal
		if err := json.Unmarshal(raw, &o); err != nil {
			res.reject("malformed", "signals[%d]: %v", i, err)
			continue
		}
		if reason, text := o.check(); reason != "" {
			res.reject(reason, "signals[%d]: %s", i, text)
			continue
		}
		s := prunella.Signal{
			ID: ids.id(!o.Time.IsZero()), Tenant: r.tenant, Source: cutTo(o.Source, 256), Service: cutTo(o.Service, 256), Kind: o.Kind,
			Severity: prunella.Info, Name: cutTo(o.Name, 256), Body: o.Body, Time: o.Time.UTC(), Received: r.now, Fingerprint: cutTo(o.Fingerprint, 256),
		}
		if s.Source == "" {
			s.Source = "signals"
		}
		if s.Kind == "" {
			s.Kind = prunella.KindLog
		}
		if sev, ok := severityOf(o.Severity); ok {
			s.Severity = sev
		}
		if o.Time.IsZero() {
			s.Time = r.now
		}
		var cut bool
		s.Attributes, cut = bounded(o.Attributes)
		finish(&s, cut)
		res.signals = append(res.signals, s)
	}
	return res, res.allRefused()
}

// ownSignal is what a sender may say.
type ownSignal struct {
	Source      string              `json:"source"`
	Service     string              `json:"service"`
	Severity    string              `json:"severity"`
	Body        string              `json:"body"`
	Time        time.Time           `json:"time"`
	Kind        prunella.SignalKind `json:"kind"`
	Name        string              `json:"name"`
	Attributes  map[string]string   `json:"attributes"`
	Fingerprint string              `json:"fingerprint"`
}

// check returns why the signal cannot be taken, "" when it can.
func (o ownSignal) check() (reason, text string) {
	_, known := severityOf(o.Severity)
	switch {
	case o.Body == "" && o.Name == "":
		return "empty", "neither a body nor a name"
	case o.Severity != "" && !known:
		return "bad-severity", "the severity is not one of critical, high, warning, info, low"
	case !o.Time.IsZero() && !storable(o.Time):
		return "bad-time", "the time is outside of 1970 to 2261"
	}
	switch o.Kind {
	case "", prunella.KindLog, prunella.KindAlert, prunella.KindProbe, prunella.KindChange:
		return "", ""
	case prunella.KindMetric:
		return "bad-kind", "a metric has no number here: send it by OTLP to /v1/metrics"
	}
	return "bad-kind", "the kind is not one of log, alert, probe, change"
}
