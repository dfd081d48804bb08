package rotation

import (
	"cmp"
	"slices"
	"time"
)

// Decide returns the one step that is due now, if any: the whole behaviour of
// the loop, as a function of what it reads. The caller takes the step and asks
// again. A Plan names no key yet, and a Create or a Destroy is first done by
// the signer; the rest is Ring.Apply and a commit.
//
//	no signer, or Due is near     plan, create, publish
//	verifiers showed something    judge
//	the new signer is refused     return
//	MaxLifetime was raised        extend
//	Due, and everybody is ready   promote
//	nobody needs a previous key   remove, destroy
func Decide(s Snapshot, now time.Time) (Step, bool) {
	s.sort()
	for _, k := range s.Ring.Keys {
		if (k.State == Removed || k.State == Revoked) && !k.Destroyed {
			return Step{Action: Destroy, Key: k.ID}, true
		}
	}
	if r := MustReturn(s, now); r.Open {
		return s.back(r, now), true
	}
	if k, signs := s.Ring.Signer(); signs && k.Lifetime > 0 && k.Lifetime < s.Policy.MaxLifetime {
		return Step{Action: Extend, Key: k.ID, Lifetime: s.Policy.MaxLifetime}, true
	}
	if step, ok := s.forward(now); ok {
		return step, true
	}
	for _, k := range s.Ring.Keys {
		if k.State == Previous {
			if r := CanRemove(s, k.ID, now); r.Open {
				return Step{Action: Remove, Key: k.ID, Reason: r}, true
			}
		}
	}
	return Step{}, false
}

// forward moves the coming key on.
func (s *Snapshot) forward(now time.Time) (Step, bool) {
	_, signs := s.Ring.Signer()
	k, coming := s.Ring.Coming()
	switch {
	case !coming:
		due := !signs || s.Ring.Halted == "" && !now.Before(s.Ring.Due.Add(-s.Policy.Ahead))
		return Step{Action: Plan}, due
	case k.State == Planned && k.Thumbprint == "":
		return Step{Action: Create, Key: k.ID}, true
	case k.State == Planned:
		r := CanPublish(*s, k.ID)
		return Step{Action: Publish, Key: k.ID, Reason: r}, r.Open
	}
	if signs {
		if step, due := s.judge(k, now); due {
			return step, true
		}
		if s.Ring.Halted != "" || now.Before(s.Ring.Due) {
			return Step{}, false
		}
	}
	r := CanPromote(*s, k.ID, now)
	return Step{Action: Promote, Key: k.ID, Reason: r, Due: now.Add(s.Policy.Period), Lifetime: s.Policy.MaxLifetime}, r.Open
}

// judge is the step that gives a waiting key the state that it has earned.
func (s *Snapshot) judge(k Key, now time.Time) (Step, bool) {
	earned := judged(*s, k, now)
	if earned == k.State {
		return Step{}, false
	}
	if k.State == Next {
		earned = Acknowledged // and from there on
	}
	return Step{Action: Judge, Key: k.ID, State: earned, Reason: CanPromote(*s, k.ID, now)}, true
}

// back is the step that makes the previous key the signer again.
func (s *Snapshot) back(r Reason, now time.Time) Step {
	step := Step{Action: Return, Key: r.Key, Reason: r, Lifetime: s.Policy.MaxLifetime}
	signer, _ := s.Ring.Signer()
	step.Hold = now.Add(s.Policy.Hold << min(signer.Returns, 16))
	if signer.Returns+1 >= s.Policy.Returns {
		step.Halt = "the signer was taken back from " + string(signer.ID) + " too often; a person must find out why and resume"
	}
	return step
}

// NextChange is when the published keys, or which of them signs, are to change
// next; zero when nothing is planned.
func NextChange(s Snapshot) time.Time {
	k, coming := s.Ring.Coming()
	switch {
	case s.Ring.Due.IsZero() || s.Ring.Halted != "":
		return time.Time{}
	case coming && k.State.Waiting():
		return s.Ring.Due
	}
	return s.Ring.Due.Add(-s.Policy.Ahead)
}

// sort puts instances and probes into the order in which they are looked up.
func (s *Snapshot) sort() {
	if !slices.IsSortedFunc(s.Instances, byWho) {
		s.Instances = slices.SortedFunc(slices.Values(s.Instances), byWho)
	}
	if !slices.IsSortedFunc(s.Probes, byProbe) {
		s.Probes = slices.SortedFunc(slices.Values(s.Probes), byProbe)
	}
}

func byWho(a, b Instance) int { return a.Who.compare(b.Who) }

func byProbe(a, b Probe) int {
	return cmp.Or(a.Who.compare(b.Who), cmp.Compare(a.Thumbprint, b.Thumbprint))
}

func (w Who) compare(o Who) int {
	return cmp.Or(cmp.Compare(w.Verifier, o.Verifier), cmp.Compare(w.Instance, o.Instance), cmp.Compare(w.Cache, o.Cache))
}
