package exportgen

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// bots are the alerting integrations and how each of them writes: text empty,
// the alert in attachments or blocks.
var bots = []*person{
	{id: "B0ALERTMGR", handle: "alertmanager", real: "Alertmanager", bot: true},
	{id: "B0PAGERDTY", handle: "pagerduty", real: "PagerDuty", bot: true},
	{id: "B0DATADOGX", handle: "datadog", real: "Datadog", bot: true},
	{id: "B0GRAFANAX", handle: "grafana", real: "Grafana", bot: true},
	{id: "B0DEPLOYER", handle: "deploybot", real: "Deploy Bot", bot: true},
}

// alert is what fires: its name, a sentence, where, and since when (zero when
// the integration does not tell).
type alert struct {
	name, summary, comp string
	value               string // "401 rate 12%"
	since               time.Time
}

// fire makes the message of an alert, or of its end.
func fire(r *rand.Rand, bot *person, a alert, over bool) *wire {
	m := &wire{Subtype: "bot_message", BotID: bot.id, Username: bot.real}
	state, color := "FIRING", "a30200"
	if over {
		state, color = "RESOLVED", "2eb886"
	}
	switch bot.handle {
	case "alertmanager":
		title := fmt.Sprintf("[%s:1] %s (%s prod critical)", state, a.name, a.comp)
		if over {
			title = fmt.Sprintf("[RESOLVED] %s (%s prod critical)", a.name, a.comp)
		}
		text := "*Summary:* " + a.summary
		if a.value != "" && !over {
			text += "\n*Value:* " + a.value
		}
		if !a.since.IsZero() {
			text += "\n*Started:* " + a.since.UTC().Format("2006-01-02 15:04:05 UTC")
		}
		m.Attachments = []map[string]any{{"title": title, "title_link": "https://am.acme.example/#/alerts", "text": text,
			"fallback": title + " | https://am.acme.example", "color": color, "mrkdwn_in": []string{"text"}}}
	case "pagerduty":
		head := fmt.Sprintf("*Triggered* <https://acme.pagerduty.com/incidents/Q%06X|#%d>: %s", r.IntN(1<<24), 1000+r.IntN(9000), a.summary)
		if over {
			head = fmt.Sprintf("*Resolved* <https://acme.pagerduty.com/incidents/Q%06X|#%d>: %s", r.IntN(1<<24), 1000+r.IntN(9000), a.summary)
		}
		m.Blocks = []map[string]any{
			{"type": "section", "text": map[string]any{"type": "mrkdwn", "text": head}},
			{"type": "context", "elements": []map[string]any{{"type": "mrkdwn", "text": "*Service:* " + a.comp + "  *Urgency:* High"}}},
		}
		if a.value != "" && !over {
			m.Blocks = append(m.Blocks, map[string]any{"type": "section", "fields": []map[string]any{{"type": "mrkdwn", "text": "*Value:* " + a.value}}})
		}
	case "datadog":
		title, text := "Triggered: "+a.name+" on service:"+a.comp, a.summary
		if over {
			title = "Recovered: " + a.name + " on service:" + a.comp
		}
		if a.value != "" && !over {
			text += "\n" + a.value
		}
		if !a.since.IsZero() && !over {
			text += "\nMonitor triggered at " + a.since.UTC().Format("15:04:05 UTC")
		}
		m.Attachments = []map[string]any{{"title": title, "text": text, "fallback": title, "color": color}}
	default: // grafana
		m.Text = ""
		m.Attachments = []map[string]any{{"title": fmt.Sprintf("[%s] %s", map[bool]string{true: "OK", false: "Alerting"}[over], a.name), "text": a.summary,
			"fields":   []map[string]any{{"title": "service", "value": a.comp, "short": true}, {"title": "value", "value": strings.TrimSpace(a.value), "short": true}},
			"fallback": a.name, "color": color, "footer": "Grafana v11"}}
	}
	return m
}
