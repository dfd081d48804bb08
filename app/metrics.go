package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"prunella/wiki"
)

// knowledge is what /metrics says of skills, pages, drills and conversations. It
// is read from the state itself at every scrape, so it cannot disagree with the
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

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
