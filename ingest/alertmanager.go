package ingest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"prunella"
)

const alertSource = "alertmanager"

// webhook is Alertmanager's webhook message, version 4.
type webhook struct {
	Version   string  `json:"version"`
	GroupKey  string  `json:"groupKey"`
	Receiver  string  `json:"receiver"`
	Truncated int     `json:"truncatedAlerts"`
	Alerts    []alert `json:"alerts"`
}

// alert is one alert, of a webhook or of the API.
type alert struct {
	Status       string            `json:"status"` // webhook only
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"` // webhook only
}

const (
	firing   = "firing"
	resolved = "resolved"
)

// readWebhook reads POST /api/v1/alertmanager. Alerts that Alertmanager left
// out of its message are a Signal of their own: data was lost.
func readWebhook(r request) (res result, err error) {
	var msg webhook
	if err := decodeJSON(r.body, &msg); err != nil {
		return res, err
	}
	if msg.Version != "4" {
		return res, refuse(http.StatusBadRequest, "the webhook has version %q: only version 4 is known", msg.Version)
	}
	for i, a := range msg.Alerts {
		if a.Status != firing && a.Status != resolved {
			res.reject("bad-status", "alerts[%d] has status %q, not firing or resolved", i, a.Status)
			continue
		}
		alertSignal(r, a, i, &res)
	}
	if msg.Truncated > 0 {
		res.lost = msg.Truncated
		res.signals = append(res.signals, prunella.Signal{
			ID: number(r).id(false), Tenant: r.tenant, Source: alertSource, Kind: prunella.KindLog, Severity: prunella.Warning,
			Name: "alertmanager.truncated", Time: r.now, Received: r.now,
			Body:       fmt.Sprintf("Alertmanager left %d alerts out of its message for receiver %q: raise max_alerts there", msg.Truncated, msg.Receiver),
			Attributes: map[string]string{"group_key": cutTo(msg.GroupKey, maxAttribute)},
		})
	}
	return res, res.allRefused()
}

// readAlerts reads POST /api/v2/alerts, which Prometheus itself can send. An
// alert whose end has passed is resolved.
func readAlerts(r request) (res result, err error) {
	var alerts []alert
	if err := decodeJSON(r.body, &alerts); err != nil {
		return res, err
	}
	for i, a := range alerts {
		a.Fingerprint, a.Status = "", firing
		if !a.EndsAt.IsZero() && !a.EndsAt.After(r.now) {
			a.Status = resolved
		}
		alertSignal(r, a, i, &res)
	}
	return res, res.allRefused()
}

func alertSignal(r request, a alert, index int, res *result) {
	if len(a.Labels) == 0 {
		res.reject("no-labels", "alerts[%d] has no labels", index)
		return
	}
	if a.Fingerprint == "" {
		a.Fingerprint = labelsOf(a)
	}
	s := prunella.Signal{
		Tenant: r.tenant, Source: alertSource, Service: firstOf(a.Labels, "service", "job", "app"), Kind: prunella.KindAlert,
		Severity: prunella.Warning, Name: a.Labels["alertname"], Received: r.now, Fingerprint: a.Fingerprint, Attributes: map[string]string{},
	}
	if sev, ok := severityOf(firstOf(a.Labels, "severity", "priority", "level")); ok {
		s.Severity = sev
	}
	// A resolved alert was so when it ended; its identity is still its start.
	begin := ""
	if storable(a.StartsAt) {
		s.Time = a.StartsAt.UTC()
		begin = s.Time.Format(time.RFC3339Nano)
		s.Attributes["starts_at"] = begin
	}
	if a.Status == resolved && storable(a.EndsAt) {
		s.Time = a.EndsAt.UTC()
		s.Attributes["ends_at"] = s.Time.Format(time.RFC3339Nano)
	}
	if s.Time.IsZero() {
		s.Time = r.now
	}
	if begin == "" {
		s.ID = number(r).id(false)
	} else {
		s.ID = signalID("alert", string(r.tenant), a.Fingerprint, a.Status, begin)
	}
	for k, v := range a.Labels {
		if k == prunella.AttrAlertStatus {
			k = "label." + k
		}
		s.Attributes[k] = v
	}
	var body []string
	for _, k := range []string{"summary", "title", "message", "description"} {
		if v := strings.TrimSpace(a.Annotations[k]); v != "" && !slices.Contains(body, v) {
			body = append(body, v)
		}
	}
	if url := a.Annotations["runbook_url"]; url != "" {
		body = append(body, "Runbook: "+url)
		s.Attributes["runbook_url"] = url
	}
	if a.GeneratorURL != "" {
		s.Attributes["generator_url"] = a.GeneratorURL
	}
	s.Body = strings.Join(body, "\n")
	if s.Body == "" {
		s.Body = s.Name
	}
	var cut bool
	s.Attributes, cut = bounded(s.Attributes)
	s.Attributes[prunella.AttrAlertStatus] = a.Status
	finish(&s, cut)
	res.signals = append(res.signals, s)
}

// labelsOf identifies an alert that has no fingerprint by its labels.
func labelsOf(a alert) string {
	parts := []string{"labels"}
	for _, k := range slices.Sorted(maps.Keys(a.Labels)) {
		parts = append(parts, k, a.Labels[k])
	}
	return string(signalID(parts...))
}

func firstOf(m map[string]string, keys ...string) string {
	for _, k := range keys {
		if m[k] != "" {
			return m[k]
		}
	}
	return ""
}

func cutTo(s string, max int) string {
	if len(s) <= max {
		return s
	}
	return cutText(s, max)
}
