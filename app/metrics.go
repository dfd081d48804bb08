package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"prunella"
	"prunella/store"
	"prunella/wiki"
)

// knowledge is what /metrics says of incidents, skills, pages, drills and
// conversations, and of who looks after them. It is read from the state itself at every scrape, so it cannot disagree with the
// pages; what happens in the engine is counted where it happens.
type knowledge struct{ b backend }

var (
	confidence  = describe("skill_confidence", "Measured confidence in a skill, 0 to 1.", "skill")
	floor       = describe("skill_floor", "Lower bound of the confidence (5 % quantile), which gates what the skill may do alone.", "skill")
	verified    = describe("skill_last_verified_timestamp_seconds", "When a run in production last verified the skill; absent before the first.", "skill")
	usable      = describe("skill_usable", "1 when the skill's file is in use as it stands, 0 when an older version of it is, or none.", "skill")
	pages       = describe("wiki_pages", "Pages of the wiki.", "kind")
	brokenLinks = describe("wiki_broken_links", "Links between pages that lead nowhere.")
	drillAt     = describe("drill_last_timestamp_seconds", "When the last drill ended; absent before the first.")
	drillSkills = describe("drill_skills", "Skills of the last drill by what it showed: held, failed, error.", "result")
	slackEvents = describe("slack_events_total", "What came from Slack since the start, by what became of it.", "result")
	slackUp     = describe("slack_connected", "1 while the Socket Mode connection stands.")
	waiting     = describe("bus_messages", "Messages that are on disk and not yet worked on.")
	writable    = describe("bus_writable", "1 while signals can be stored, 0 while the disk does not take them.")
	lastPass    = describe("pipeline_last_pass_timestamp_seconds", "When a pass over the signals was last committed, with signals or without.")
	lastTick    = describe("engine_last_tick_timestamp_seconds", "When the engine last looked at the incidents.")
	incidents   = describe("incidents_open", "Incidents that are not resolved.", "state")
	lost        = describe("scrape_errors", "Parts of this page that could not be read from the store.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("prunella_"+name, help, labels, nil)
}

// Describe sends nothing: which series there are depends on the configuration.
func (k knowledge) Describe(chan<- *prometheus.Desc) {}

// Collect reads the state.
func (k knowledge) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	failed := 0.0
	list, err := k.b.Skills(ctx)
	if err != nil {
		failed++
	}
	for _, s := range list {
		name := string(s.Skill.Name)
		if name == "" {
			continue // a file that never could be read; wiki_pages counts it
		}
		gauge(confidence, s.Trust.Confidence, name)
		gauge(floor, s.Trust.Floor, name)
		gauge(usable, truth(len(s.Broken) == 0), name)
		if !s.LastVerified.IsZero() {
			gauge(verified, float64(s.LastVerified.Unix()), name)
		}
	}
	for _, kind := range []wiki.PageKind{wiki.Skill, wiki.Person, wiki.Company, wiki.Draft, wiki.Other} {
		gauge(pages, float64(len(k.b.wiki.Pages(wiki.Filter{Kind: kind}))), string(kind))
	}
	failed += k.work(ctx, gauge)
	gauge(brokenLinks, float64(len(k.b.wiki.Broken())))

	drilled, err := k.b.drilled(ctx)
	if err != nil {
		failed++
	}
	if last := drilled.Last; last != nil {
		gauge(drillAt, float64(last.Ended.Unix()))
		results := map[string]float64{"held": 0, "failed": 0, "error": 0}
		for _, s := range last.Skills {
			switch {
			case s.Failed > 0:
				results["failed"]++
			case s.Error != "":
				results["error"]++
			default:
				results["held"]++
			}
		}
		for result, n := range results {
			gauge(drillSkills, n, result)
		}
	}
	if k.b.slack != nil {
		s := k.b.slack.Status()
		for result, n := range map[string]int{"received": s.Received, "duplicate": s.Duplicates, "stored": s.Stored, "deleted": s.Deleted, "ignored": s.Ignored,
			"refused": s.Refused, "failed": s.Failed, "backfilled": s.Backfilled, "limited": s.Limited, "dropped": s.Dropped} {
			out <- prometheus.MustNewConstMetric(slackEvents, prometheus.CounterValue, float64(n), result)
		}
		gauge(slackUp, truth(s.Connected))
	}
	gauge(lost, failed)
}

// work says whether signals are taken and folded in and incidents looked after,
// and answers how many parts of that could not be read.
func (k knowledge) work(ctx context.Context, gauge func(d *prometheus.Desc, v float64, labels ...string)) (failed float64) {
	gauge(writable, truth(k.b.bus.Writable(ctx) == nil))
	if depth, err := k.b.bus.Depth(ctx); err == nil {
		gauge(waiting, float64(depth.Messages))
	} else {
		failed++
	}
	gauge(lastPass, float64(k.b.pipeline.LastPass().UnixMilli())/1000)
	gauge(lastTick, float64(k.b.engine.LastTick().UnixMilli())/1000)
	open, err := k.b.store.Incidents(ctx, store.IncidentFilter{Open: true})
	if err != nil {
		return failed + 1
	}
	states := map[prunella.State]float64{prunella.Open: 0, prunella.Diagnosing: 0, prunella.AwaitingApproval: 0, prunella.Healing: 0, prunella.Verifying: 0, prunella.Escalated: 0}
	for _, i := range open {
		states[i.State]++
	}
	for state, n := range states {
		gauge(incidents, n, string(state))
	}
	return failed
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
