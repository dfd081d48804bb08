package rotation

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// instancePlace is replaced in a Probe URL.
const instancePlace = "{instance}"

const (
	probeSoon  = 5 * time.Second  // between probes of what is not proven, first
	probeLate  = time.Minute      // and after some
	probeWatch = 10 * time.Second // between probes of a new signer
)

// target is one probe to make.
type target struct {
	v   *declared
	who Who
	key Key
	url string
}

// Probe shows a canary to every verifier that has a Probe URL and has not
// accepted one: of a waiting key until everybody has, of a new signer while the
// promotion is watched. A verifier that does not answer is Unknown; that is not
// an error.
func (r *Rotator) Probe(ctx context.Context, now time.Time) error {
	ring, err := r.current(ctx, now)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(r.fleet, func(v Verifier) bool { return v.Probe != "" }) || len(r.shown(ring, now)) == 0 {
		return nil
	}
	s, err := r.Snapshot(ctx, now)
	if err != nil {
		return err
	}
	s.sort()
	var mu sync.Mutex
	var all []error
	side(slices.Values(r.targets(&s, now)), func(t target) {
		p := Probe{Who: t.who, Thumbprint: t.key.Thumbprint, At: time.Now().UTC()}
		var err error
		if p.Outcome, p.Detail, err = r.show(ctx, t, now); err == nil {
			err = r.cfg.Store.Probed(ctx, p, nil)
		}
		r.metrics.probed(p.Outcome)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, err)
	})
	if len(all) > 0 {
		r.wake()
	}
	return errors.Join(all...)
}

// shown are the keys whose canaries are shown now.
func (r *Rotator) shown(ring Ring, now time.Time) (keys []Key) {
	if k, coming := ring.Coming(); coming && k.State.Waiting() {
		if _, signs := ring.Signer(); signs && k.State != Proven {
			keys = append(keys, k)
		}
	}
	if k, signs := ring.Signer(); signs && now.Before(k.Promoted.Add(r.policy.Watch)) {
		if _, ok := ring.Last(); ok {
			keys = append(keys, k)
		}
	}
	return keys
}

// targets lists the probes that are due.
func (r *Rotator) targets(s *Snapshot, now time.Time) []target {
	var list []target
	for _, k := range r.shown(s.Ring, now) {
		for _, v := range r.fleet {
			if v.Probe == "" {
				continue
			}
			d := r.byName[v.Name]
			if !strings.Contains(v.Probe, instancePlace) {
				list = append(list, target{d, Who{Verifier: v.Name}, k, v.Probe})
				continue
			}
			last := ""
			for _, i := range s.of(v) {
				if i.Instance != last && s.presence(v, i, now) == alive {
					last = i.Instance
					list = append(list, target{d, Who{Verifier: v.Name, Instance: last}, k, strings.ReplaceAll(v.Probe, instancePlace, url.PathEscape(last))})
				}
			}
		}
	}
	due := list[:0]
	for _, t := range list {
		if p, ok := s.probe(t.who, t.key.Thumbprint); !ok || now.Sub(p.At) >= pauseOf(p, t.key) {
			due = append(due, t)
		}
	}
	return due
}

func pauseOf(p Probe, k Key) time.Duration {
	switch {
	case k.State == Active:
		return probeWatch
	case p.At.Before(k.Published):
		return 0
	case p.Streak > 12:
		return probeLate
	}
	return probeSoon
}

// show asks twice: without a token, which must be refused, and with the canary.
// A URL that lets everybody in proves nothing.
func (r *Rotator) show(ctx context.Context, t target, now time.Time) (Outcome, string, error) {
	token, err := r.canary(ctx, t.key, t.v, "JWT", now)
	if err != nil {
		return Unknown, "", err
	}
	ask := func(token string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
		if err != nil {
			return nil, err
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		return r.hooks.do(req)
	}
	resp, err := ask("")
	if err != nil {
		return Unknown, err.Error(), nil
	}
	if resp.StatusCode != http.StatusUnauthorized {
		return Unknown, "without a token it answered " + resp.Status + ", not 401", nil
	}
	resp, err = ask(token)
	switch {
	case err != nil:
		return Unknown, err.Error(), nil
	case resp.StatusCode == http.StatusUnauthorized:
		return Rejected, resp.Status, nil
	case resp.StatusCode/100 == 2 || resp.StatusCode == http.StatusForbidden:
		return Accepted, resp.Status, nil
	}
	return Unknown, resp.Status, nil
}
