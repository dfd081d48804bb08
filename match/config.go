package match

import (
	"cmp"
	"time"

	"prunella"
)

// Config holds what detection decides by. Default is right for production;
// Scaled makes drills faster.
type Config struct {
	Bucket       time.Duration // width of one count of requests
	Window       time.Duration // what a current rate or share is taken over
	Sustain      time.Duration // a rate is a finding only after it lasted this long
	ChangeWithin time.Duration // a change this long before an onset may have caused it
	HalfLife     time.Duration // weight of an old quiet bucket in a baseline
	MinHistory   int           // quiet buckets with requests before a baseline is known
	Factor       float64       // a rate over Factor × baseline is a spike
	MinShare     float64       // a spike concerns at least this share of requests, 0–1
	StrongShare  float64       // enough without a known baseline, 0–1
	MinRequests  int           // fewer requests since the onset prove nothing
	MinFailures  int           // fewer failures since the onset prove nothing
	ProbeFails   int           // probes in a row that must fail
}

// Default returns the production configuration.
func Default() Config {
	return Config{
		Bucket:       10 * time.Second,
		Window:       time.Minute,
		Sustain:      20 * time.Second,
		ChangeWithin: 15 * time.Minute,
		HalfLife:     24 * time.Hour,
		MinHistory:   20,
		Factor:       5,
		MinShare:     0.02,
		StrongShare:  0.20,
		MinRequests:  10,
		MinFailures:  4,
		ProbeFails:   3,
	}
}

// Scaled divides every duration by f, within floors below which counts get too
// small to mean anything. Scaled(20) has buckets of 500 ms and a window of 3 s.
func (c Config) Scaled(f float64) Config {
	if f <= 0 {
		f = 1
	}
	div := func(d, floor time.Duration) time.Duration {
		return max(time.Duration(float64(d)/f), min(d, floor))
	}
	c.Bucket = div(c.Bucket, 250*time.Millisecond)
	c.Window = div(c.Window, 4*c.Bucket)
	c.Sustain = div(c.Sustain, 2*c.Bucket)
	c.ChangeWithin = div(c.ChangeWithin, 30*time.Second)
	c.HalfLife = div(c.HalfLife, 10*time.Minute)
	return c
}

// filled returns c with defaults in place of values that decide nothing.
func (c Config) filled() Config {
	d := Default()
	c.Bucket = above(0, c.Bucket, d.Bucket)
	c.Window = above(2*c.Bucket-1, c.Window, 6*c.Bucket)
	c.Sustain = above(0, c.Sustain, 2*c.Bucket)
	c.ChangeWithin = above(0, c.ChangeWithin, d.ChangeWithin)
	c.HalfLife = above(0, c.HalfLife, d.HalfLife)
	c.MinHistory = above(0, c.MinHistory, d.MinHistory)
	c.Factor = above(1, c.Factor, d.Factor)
	c.MinShare = above(0, c.MinShare, d.MinShare)
	c.StrongShare = above(0, c.StrongShare, d.StrongShare)
	c.MinRequests = above(0, c.MinRequests, d.MinRequests)
	c.MinFailures = above(0, c.MinFailures, d.MinFailures)
	c.ProbeFails = above(0, c.ProbeFails, d.ProbeFails)
	return c
}

func above[T cmp.Ordered](least, v, otherwise T) T {
	if v > least {
		return v
	}
	return otherwise
}

// Step is what one Observe found.
type Step struct {
	Findings    []prunella.Finding
	Points      []prunella.SeriesPoint // buckets that are complete now
	Edges       []prunella.Edge        // calls seen for the first time
	Learned     map[string]Baseline    // baseline of "401", by service that reported requests in this step
	Interesting []prunella.Signal      // worth linking to an incident of their service: error texts, failing probes, alerts, changes
}

// Baseline is what one service does in quiet times.
type Baseline struct {
	Service string  `json:"service"`
	Status  string  `json:"status"` // "401" | "403" | "5xx"
	Known   bool    `json:"known"`
	Have    int     `json:"have"`  // quiet buckets learned from, at most Need
	Need    int     `json:"need"`  // Config.MinHistory
	Rate    float64 `json:"rate"`  // failing requests per second
	Share   float64 `json:"share"` // failing / all requests, 0–1
}
