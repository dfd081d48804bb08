package lab

import (
	"sync"
	"time"
)

// Counts are calls as the world's clients saw them.
type Counts struct {
	Since    time.Time                `json:"since"`
	Total    int                      `json:"total"`
	Failed   int                      `json:"failed"` // unexpectedly: not answered 200, deliberate noise aside
	Noise    int                      `json:"noise"`  // deliberately bad calls: expired tokens; part of Total
	Services map[string]ServiceCounts `json:"services"`
	Failures []Failure                `json:"failures,omitempty"` // the last few
}

// ServiceCounts are the calls to one service. Logins count for "auth".
type ServiceCounts struct {
	Total   int `json:"total"`
	Failed  int `json:"failed"`
	Noise   int `json:"noise"`
	Refused int `json:"refused"` // of the failed ones: the service itself answered 401
}

// Share is the share of calls that failed unexpectedly, 0 without calls.
func (c ServiceCounts) Share() float64 {
	if c.Total == 0 {
		return 0
	}
	return float64(c.Failed) / float64(c.Total)
}

// Failure is one unexpected failure.
type Failure struct {
	Service string    `json:"service"`
	At      time.Time `json:"at"`     // when the call began
	Status  int       `json:"status"` // 0: no answer
	Reason  string    `json:"reason"` // what the service said
}

const (
	callsKept    = 400_000 // calls remembered one by one, about 45 minutes at the default rate
	failuresTold = 20
)

// callRecord is one call; service is an index into counter.names.
type callRecord struct {
	at      int64 // unix ns of its beginning
	service uint8
	outcome uint8
}

const (
	callOK uint8 = iota
	callFailed
	callNoise
	callRefused // failed, since the service refused the token
)

// counter remembers the last callsKept calls; older ones are known only in the
// totals.
type counter struct {
	mu       sync.Mutex
	began    time.Time
	index    map[string]uint8
	names    []string
	ring     []callRecord
	next     int
	totals   map[string]ServiceCounts
	failures []Failure
}

func newCounter() *counter {
	return &counter{began: time.Now(), index: map[string]uint8{}, totals: map[string]ServiceCounts{}}
}

func (c *counter) add(service string, began time.Time, outcome uint8, status int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.index[service]
	if !ok {
		i = uint8(len(c.names))
		c.index[service], c.names = i, append(c.names, service)
	}
	r := callRecord{began.UnixNano(), i, outcome}
	if len(c.ring) < callsKept {
		c.ring = append(c.ring, r)
	} else {
		c.ring[c.next] = r
		c.next = (c.next + 1) % callsKept
	}
	c.totals[service] = c.totals[service].plus(outcome)
	if outcome == callFailed || outcome == callRefused {
		c.failures = append(c.failures, Failure{service, began.UTC(), status, reason})
		if len(c.failures) > 10*failuresTold {
			c.failures = append([]Failure(nil), c.failures[len(c.failures)-failuresTold:]...)
		}
	}
}

func (s ServiceCounts) plus(outcome uint8) ServiceCounts {
	s.Total++
	switch outcome {
	case callFailed:
		s.Failed++
	case callRefused:
		s.Failed++
		s.Refused++
	case callNoise:
		s.Noise++
	}
	return s
}

// since counts the calls that began at t or later, from the totals when t is
// before the world.
func (c *counter) since(t time.Time) Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := Counts{Since: t, Services: map[string]ServiceCounts{}}
	if !t.After(c.began) {
		out.Since = c.began
		for name, s := range c.totals {
			out.Services[name] = s
		}
	} else {
		from := t.UnixNano()
		for _, r := range c.ring {
			if r.at >= from {
				name := c.names[r.service]
				out.Services[name] = out.Services[name].plus(r.outcome)
			}
		}
	}
	for _, s := range out.Services {
		out.Total += s.Total
		out.Failed += s.Failed
		out.Noise += s.Noise
	}
	for _, f := range c.failures[max(0, len(c.failures)-failuresTold):] {
		if !f.At.Before(t) {
			out.Failures = append(out.Failures, f)
		}
	}
	return out
}
