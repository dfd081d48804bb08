package contest

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"prunella/bench/rotation/issuer"
)

// rotationCases are about sets that change, floods and outages.
func rotationCases() []Case {
	return []Case{
		{ID: "new-key", Level: Must, Holds: "accepts the first token of a new key", Why: "an unannounced rotation is no outage", takes: 20 * time.Second, tell: func(t *trial) error {
			a, b, err := t.begin()
			if err != nil {
				return err
			}
			t.iss.Publish(a, b)
			return t.judged(func() error { return t.traffic(2*time.Second, 20*time.Second, b, a) })
		}},
		{ID: "two-rotations", Level: Must, Holds: "accepts both when an issuer rotates twice in a minute", Why: "an emergency rotation follows a planned one", takes: 45 * time.Second, tell: func(t *trial) error {
			a, b, err := t.begin()
			if err != nil {
				return err
			}
			c, err := t.named(2, "c")
			if err != nil {
				return err
			}
			return t.judged(func() error {
				t.iss.Publish(a, b)
				if err := t.traffic(time.Second, 25*time.Second, b); err != nil {
					return err
				}
				t.iss.Publish(b, c)
				return t.traffic(2*time.Second, 20*time.Second, c, b)
			})
		}},
		{ID: "same-kid", Level: Should, Holds: "accepts new material under a known kid", Why: "issuers restored from a backup do this; kids are not thumbprints", takes: 20 * time.Second, tell: func(t *trial) error {
			a, _, err := t.begin()
			if err != nil {
				return err
			}
			renewed, err := t.key(1, a.ID)
			if err != nil {
				return err
			}
			t.iss.Publish(renewed)
			return t.judged(func() error { return t.traffic(2*time.Second, 20*time.Second, renewed) })
		}},
		{ID: "shared-fetch", Level: Should, Holds: "asks at most three times for fifty tokens of one new key at once", Why: "a rotation must not be a stampede", takes: time.Second, tell: sharedFetch},
		{ID: "flood", Level: Must, Holds: "fetches at most ten times in a minute of junk kids, twenty a second, and accepts a rotation right after",
			Why: "junk must neither be amplified nor make deaf", takes: time.Minute, tell: floodCase},
		{ID: "flood-rotation", Level: Should, Holds: "accepts a new key at its second token in the middle of a flood", Why: "attackers do not stop for rotations", takes: 40 * time.Second, tell: floodRotation},
		{ID: "removed", Level: Must, Holds: fmt.Sprintf("refuses a removed key %s after max-age (%s)", short(issuer.Grace), short(issuer.MaxAge)), Why: "a revoked key that lives on is a breach",
			takes: issuer.MaxAge + 2*issuer.Grace, tell: func(t *trial) error {
				a, b, err := t.begin()
				if err != nil {
					return err
				}
				t.iss.Publish(b)
				return t.judged(func() error { return t.traffic(10*time.Second, issuer.MaxAge+2*issuer.Grace, a) })
			}},
		{ID: "lying-max-age", Level: Should, Holds: "refuses a removed key after a day when max-age says a year", Why: "one wrong header must not make a key immortal", takes: 25 * time.Hour, tell: func(t *trial) error {
			t.iss.Suffer(issuer.Trouble{Control: "max-age=31536000"})
			a, b, err := t.begin()
			if err != nil {
				return err
			}
			t.iss.Publish(b)
			for range 25 {
				if err := t.pass(time.Hour); err != nil {
					return err
				}
			}
			return t.judged(func() error { _, err := t.present(a); return err })
		}},
		{ID: "down-minute", Level: Must, Holds: "goes on while the set is away for a minute", Why: "issuers restart", takes: 70 * time.Second, tell: func(t *trial) error {
			return downCase(t, issuer.Trouble{Cut: true}, time.Minute, 2*time.Second)
		}},
		{ID: "down-hour", Level: Should, Holds: "goes on while the set is away for an hour", Why: "the keys did not change; the outage is the issuer's alone", takes: 61 * time.Minute, tell: func(t *trial) error {
			return downCase(t, issuer.Trouble{Status: http.StatusServiceUnavailable}, time.Hour, 30*time.Second)
		}},
		{ID: "rotation-while-down", Level: Should, Holds: "knows a key that was published while the set was away half a minute after it is back", Why: "an outage and a rotation come together",
			takes: 110 * time.Second, tell: rotationWhileDown},
	}
}

func sharedFetch(t *trial) error {
	a, b, err := t.begin()
	if err != nil {
		return err
	}
	t.iss.Publish(a, b)
	since := t.now()
	token, err := b.Token(issuer.Claims(t.iss.URL, issuer.Audience, since), nil)
	if err != nil {
		return err
	}
	const many = 50
	var mu sync.Mutex
	var all sync.WaitGroup
	refused, why := 0, ""
	var broken error
	for range many {
		all.Go(func() {
			q := t.question(token)
			answer, _, err := t.who.Verify(t.ctx, q)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				broken = err
			} else if answer.Accepted != 1 {
				refused, why = refused+1, answer.Error
			}
		})
	}
	all.Wait()
	switch n := len(t.iss.Fetches(since)); {
	case broken != nil:
		return broken
	case refused > 0:
		return failed("refuses %d of %d: %s", refused, many, why)
	case n > 3:
		return failed("%d fetches", n)
	}
	return nil
}

func floodCase(t *trial) error {
	a, b, err := t.begin()
	if err != nil {
		return err
	}
	since := t.now()
	return t.judged(func() error {
		for n := range 1000 {
			if err := t.junk(fmt.Sprintf("%s-junk-%d", t.id, n)); err != nil {
				return err
			}
			if err := t.pass(50 * time.Millisecond); err != nil {
				return err
			}
		}
		if n := issuer.Busiest(t.iss.Fetches(since), time.Minute); n > 10 {
			return failed("%d fetches in a minute", n)
		}
		if err := t.pass(time.Second); err != nil {
			return err
		}
		t.iss.Publish(a, b)
		return t.traffic(time.Second, 5*time.Second, b, a)
	})
}

func floodRotation(t *trial) error {
	a, b, err := t.begin()
	if err != nil {
		return err
	}
	flood := func(from, to int) error {
		for n := from; n < to; n++ {
			if err := t.junk(fmt.Sprintf("%s-junk-%d", t.id, n)); err != nil {
				return err
			}
			if err := t.pass(50 * time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	}
	if err := flood(0, 400); err != nil {
		return err
	}
	t.iss.Publish(a, b)
	if _, _, _, err := t.show(b, nil, nil); err != nil {
		return err
	}
	if err := flood(400, 405); err != nil {
		return err
	}
	return t.accepts(b, "the second one of a new key in a flood")
}

func downCase(t *trial, trouble issuer.Trouble, during, every time.Duration) error {
	a, b, err := t.begin()
	if err != nil {
		return err
	}
	t.iss.Suffer(trouble)
	return t.judged(func() error {
		if err := t.traffic(every, during, a); err != nil {
			return err
		}
		t.iss.Suffer(issuer.Trouble{})
		if err := t.pass(every); err != nil {
			return err
		}
		t.iss.Publish(a, b)
		return t.traffic(time.Second, 5*time.Second, b, a)
	})
}

// rotationWhileDown has an issuer sign with a new key while its key set is away.
func rotationWhileDown(t *trial) error {
	a, b, err := t.begin()
	if err != nil {
		return err
	}
	t.iss.Suffer(issuer.Trouble{Status: http.StatusServiceUnavailable})
	t.iss.Publish(a, b)
	return t.judged(func() error {
		if err := t.traffic(time.Second, time.Minute, b, a); err != nil { // b: nobody can know it
			return err
		}
		t.iss.Suffer(issuer.Trouble{})
		for range 30 {
			if _, _, _, err := t.show(b, nil, nil); err != nil { // makes the client look
				return err
			}
			if err := t.pass(time.Second); err != nil {
				return err
			}
		}
		return t.traffic(time.Second, 10*time.Second, b, a)
	})
}
