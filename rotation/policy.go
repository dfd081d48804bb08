package rotation

import (
	"fmt"
	"time"
)

// Policy is how long things take. The zero value is settled to the defaults.
type Policy struct {
	Period      time.Duration // a new key signs this often; default 30 d
	Ahead       time.Duration // the next key is published this long before; default a quarter of Period
	MaxLifetime time.Duration // no token lives longer; Token refuses to sign one that would; default 1 h
	Skew        time.Duration // the largest difference of two clocks, and the verifiers' leeway; default 2 m
	Stale       time.Duration // how old a copy may be used, of the ring by a node and of the document by a CDN, together; default 10 m
	Grace       time.Duration // after its lease has run out, an instance still counts for this long; default 1 m
	MaxLease    time.Duration // the longest lease that is granted; default 10 m
	Quiet       time.Duration // how long every cache must have had to tell that an expired key is unseen; default 5 m
	Watch       time.Duration // after a promotion the signer may return for this long; default 15 m
	Hold        time.Duration // after a return the key waits this long, then twice as long; default 10 m
	Returns     int           // after this many returns of one key the schedule halts; default 2
	Refusals    int           // refused tokens of the new key that make the signer return; default 3
	MinAge      time.Duration // Cache-Control max-age is at least this; default 1 m
	MaxAge      time.Duration // and at most this; default 15 m
}

// Settled returns p with its defaults, or Invalid.
func (p Policy) Settled() (Policy, error) {
	const day = 24 * time.Hour
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&p.Period, 30*day)
	set(&p.Ahead, p.Period/4)
	set(&p.MaxLifetime, time.Hour)
	set(&p.Skew, 2*time.Minute)
	set(&p.Stale, 10*time.Minute)
	set(&p.Grace, time.Minute)
	set(&p.MaxLease, 10*time.Minute)
	set(&p.Quiet, 5*time.Minute)
	set(&p.Watch, 15*time.Minute)
	set(&p.Hold, 10*time.Minute)
	set(&p.MinAge, min(time.Minute, max(p.MaxAge, time.Second)))
	set(&p.MaxAge, max(15*time.Minute, p.MinAge))
	if p.Returns == 0 {
		p.Returns = 2
	}
	if p.Refusals == 0 {
		p.Refusals = 3
	}
	for _, d := range []time.Duration{p.Period, p.Ahead, p.MaxLifetime, p.Skew, p.Stale, p.Grace, p.MaxLease, p.Quiet, p.Watch, p.Hold, p.MinAge, p.MaxAge} {
		if d < 0 {
			return p, fault(Invalid, fmt.Sprintf("the policy has the negative duration %s", d), "leave it out for the default")
		}
	}
	switch {
	case p.Ahead >= p.Period:
		return p, fault(Invalid, "the policy publishes the next key before the last one signs: Ahead is not less than Period", "set Ahead to a quarter of Period")
	case p.Stale < time.Second || p.MaxLease < time.Second:
		return p, fault(Invalid, "the policy has a Stale or a MaxLease under a second", "set both to a second or more")
	case p.MinAge > p.MaxAge:
		return p, fault(Invalid, "the policy has a MinAge above its MaxAge", "set MinAge to at most MaxAge")
	case p.Returns < 0 || p.Refusals < 0:
		return p, fault(Invalid, "the policy has a negative count", "leave it out for the default")
	}
	return p, nil
}
