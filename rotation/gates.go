package rotation

import (
	"cmp"
	"slices"
	"time"
)

const maxPublished = 16 // keys in the document; verifiers bound what they read

// CanPublish answers MayPublish for a planned key.
func CanPublish(s Snapshot, id KeyID) Reason {
	r := Reason{Gate: MayPublish, Key: id}
	k, ok := s.Ring.Key(id)
	switch {
	case !ok:
		return r.closed(NoSuchKey)
	case k.State != Planned:
		return r.misplaced(k)
	case k.Thumbprint == "":
		return r.closed(NoMaterial)
	}
	published := 0
	for _, o := range s.Ring.Keys {
		if o.State.Published() {
			published++
		}
		switch {
		case o.ID == id:
		case o.Thumbprint == k.Thumbprint:
			r.operand("other", o.ID)
			return r.closed(KeyReused)
		case o.State.Waiting():
			r.operand("other", o.ID)
			return r.closed(OneComing)
		}
	}
	r.operand("published", published)
	if published >= maxPublished {
		return r.closed(TooManyKeys)
	}
	return r.settle()
}

// CanPromote answers MayPromote: whether every verifier would accept tokens of
// a waiting key. It names everybody of whom that is not known.
func CanPromote(s Snapshot, id KeyID, now time.Time) Reason {
	s.sort()
	r := Reason{Gate: MayPromote, Key: id}
	k, ok := s.Ring.Key(id)
	switch {
	case !ok:
		return r.closed(NoSuchKey)
	case !k.State.Waiting():
		return r.misplaced(k)
	}
	if _, signs := s.Ring.Signer(); !signs {
		return r.open(NoSigner)
	}
	r.operand("thumbprint", k.Thumbprint)
	r.operand("published", k.Published)
	if now.Before(k.Hold) {
		r.block(Who{}, OnHold, k.Hold, "the signer was taken back from it %d times", k.Returns)
	}
	s.acceptance(&r, k, now)
	return r.settle()
}

// acceptance blocks r with everything that leaves open whether tokens of k
// would be accepted everywhere.
func (s *Snapshot) acceptance(r *Reason, k Key, now time.Time) {
	settled := k.Published.Add(s.Policy.Stale + s.Policy.Skew)
	if now.Before(settled) {
		r.block(Who{}, CopiesOld, settled, "a document from before it was published may still be served")
	}
	live, instances := 0, 0
	for _, v := range s.Verifiers {
		if v.Class == Answering {
			n, all := s.answers(r, v, k, settled, now)
			live, instances = live+n, instances+all
			continue
		}
		s.silent(r, v, k, settled, now)
	}
	r.operand("instances", instances)
	r.operand("live", live)
}

// answers judges the instances of an answering verifier.
func (s *Snapshot) answers(r *Reason, v Verifier, k Key, settled, now time.Time) (live, all int) {
	list := s.of(v)
	for n, i := range list {
		switch s.presence(v, i, now) {
		case gone:
			continue
		case doubtful:
			until := i.until().Add(s.Policy.Grace)
			if v.Stays || i.Stays {
				until = time.Time{}
			}
			all++
			r.block(i.Who, LeaseExpired, until, "its lease ran out at %s, and it may still serve", clock(i.until()))
			continue
		}
		all++
		live++
		h, found := i.holds(k.ID)
		switch {
		case !found:
			r.block(i.Who, NotHeld, time.Time{}, "it holds %s", i.list())
		case h.Thumbprint != k.Thumbprint:
			r.block(i.Who, OtherKey, time.Time{}, "under the kid %s it holds a key of thumbprint %s", k.ID, h.Thumbprint)
		case s.told(i).Before(settled):
			r.block(i.Who, ToldTooEarly, time.Time{}, "it told last at %s, and could have fetched an old copy since", clock(s.told(i)))
		case s.rejected(i, k):
			r.block(i.Who, Rejects, time.Time{}, "it refused a canary of the key")
		case !s.seen(h, k) && (!s.shown(i, k) || sharesProcess(list, n)):
			r.block(i.Who, NotProven, time.Time{}, "it holds the key and has not verified a canary of it")
		}
	}
	if want := max(v.Expect, 1); live < want {
		r.block(Who{Verifier: v.Name}, TooFew, time.Time{}, "%d of %d declared instances are live", live, want)
	}
	return live, all
}

// seen says whether a cache verified a token that k signed since it was
// published. Before its first promotion k signs nothing but canaries.
func (s *Snapshot) seen(h Held, k Key) bool {
	if k.Returns == 0 {
		return !h.Seen.IsZero()
	}
	return h.Seen.After(k.Published.Add(s.Policy.Skew))
}

// shown says whether an instance accepted a canary of k that was shown to it.
func (s *Snapshot) shown(i Instance, k Key) bool {
	p, ok := s.probe(Who{Verifier: i.Verifier, Instance: i.Instance}, k.Thumbprint)
	return ok && i.Instance != "" && p.Outcome == Accepted && p.At.After(k.Published)
}

// sharesProcess says whether the process of list[n] has another cache: then a
// canary that the process accepted may have met the other one.
func sharesProcess(list []Instance, n int) bool {
	same := func(m int) bool { return m >= 0 && m < len(list) && list[m].Instance == list[n].Instance }
	return same(n-1) || same(n+1)
}

// rejected says whether an instance refused a canary of k when shown it last.
func (s *Snapshot) rejected(i Instance, k Key) bool {
	p, ok := s.probe(Who{Verifier: i.Verifier, Instance: i.Instance}, k.Thumbprint)
	return ok && i.Instance != "" && p.Outcome == Rejected && p.At.After(k.Published)
}

// silent judges a verifier that cannot answer.
func (s *Snapshot) silent(r *Reason, v Verifier, k Key, settled, now time.Time) {
	who := Who{Verifier: v.Name}
	p, probed := s.probe(who, k.Thumbprint)
	probed = probed && p.At.After(k.Published)
	ready := settled.Add(v.Within)
	switch {
	case probed && p.Outcome == Rejected:
		r.block(who, Rejects, time.Time{}, "it refused a canary of the key at %s (%s)", clock(p.At), p.Detail)
	case v.Class == Manual && (!probed || p.Outcome != Accepted):
		r.block(who, NotConfirmed, time.Time{}, "nobody has confirmed that it holds the key")
	case v.Class == Timed && now.Before(ready):
		r.block(who, NotYet, ready, "it refreshes within %s", v.Within)
	case v.Class == Timed && v.Probe != "" && (!probed || p.Outcome != Accepted):
		r.block(who, NotProven, time.Time{}, "it has not accepted a canary of the key")
	}
}

// judged is the state that a waiting key has earned.
func judged(s Snapshot, k Key, now time.Time) State {
	var r Reason
	s.acceptance(&r, k, now)
	state := Proven
	for _, b := range r.Blockers {
		if b.Code != NotProven && b.Code != Rejects && b.Code != NotConfirmed {
			return Next
		}
		state = Acknowledged
	}
	return state
}

// CanReturn answers MayReturn: whether the key that signed before can sign
// again without breaking anybody.
func CanReturn(s Snapshot, now time.Time) Reason {
	r, _, target, ok := s.returning(MayReturn)
	if !ok {
		return r.closed(NoPrevious)
	}
	s.each(now, func(_ Verifier, i Instance) {
		if !i.has(target) {
			r.block(i.Who, LacksTarget, time.Time{}, "it holds %s", i.list())
		}
	})
	return r.settle()
}

// returning begins the answer of a gate about a return from the signer to target;
// ok is false when there is no such pair.
func (s *Snapshot) returning(g Gate) (r Reason, signer, target Key, ok bool) {
	s.sort()
	r.Gate = g
	signer, signs := s.Ring.Signer()
	if target, ok = s.Ring.Last(); !signs || !ok {
		return r, signer, target, false
	}
	r.Key = target.ID
	r.operand("signer", signer.ID)
	return r, signer, target, true
}

// MustReturn answers ShouldReturn: whether verifiers lack the new signer, and
// accept the key before it. A refused token alone shows nothing, since anybody
// can make one; a verifier that says it lacks the key, or refuses a genuine
// token that was shown to it, does.
func MustReturn(s Snapshot, now time.Time) Reason {
	r, signer, target, ok := s.returning(ShouldReturn)
	if !ok {
		return r.closed(NoPrevious)
	}
	r.operand("promoted", signer.Promoted)
	switch {
	case signer.Forced:
		return r.closed(Insisted)
	case now.After(signer.Promoted.Add(s.Policy.Watch)):
		return r.closed(WatchOver)
	}
	broken := 0
	s.each(now, func(v Verifier, i Instance) {
		refused := i.refused(signer.ID)
		_, told := i.holds(target.ID)
		p, probed := s.probe(Who{Verifier: v.Name, Instance: i.Instance}, signer.Thumbprint)
		switch {
		case i.has(signer) && !i.has(target):
			broken++
		case s.told(i).After(signer.Promoted) && told && !i.has(signer):
			r.block(i.Who, RefusesNew, time.Time{}, "it holds %s, and has refused %d tokens of %s", i.list(), refused, signer.ID)
		case refused >= int64(s.Policy.Refusals):
			r.block(i.Who, RefusesNew, time.Time{}, "it has refused %d tokens of %s for want of the key", refused, signer.ID)
		case probed && p.rejects(signer):
			r.block(i.Who, Rejects, time.Time{}, "it refused a genuine token %d times (%s)", p.Streak, p.Detail)
		}
	})
	for _, v := range s.Verifiers {
		p, probed := s.probe(Who{Verifier: v.Name}, signer.Thumbprint)
		if v.Class != Answering && probed && p.rejects(signer) {
			r.block(p.Who, Rejects, time.Time{}, "it refused a genuine token %d times (%s)", p.Streak, p.Detail)
		}
	}
	healed := len(r.Blockers)
	r.operand("healed", healed)
	r.operand("broken", broken)
	switch {
	case healed == 0:
		return r.closed(NoEvidence)
	case broken >= healed:
		return r.closed(Worse)
	}
	return r.open(RefusesNew)
}

// rejects says whether a probe of the signer's own token failed repeatedly
// since it signs.
func (p Probe) rejects(signer Key) bool {
	return p.Outcome == Rejected && p.Streak >= 2 && p.At.After(signer.Promoted)
}

// Expiry is when the last token of a key that has signed is past, by every
// clock. A node that was cut off may sign for Policy.Stale longer than it should.
func Expiry(p Policy, k Key) time.Time {
	return k.Signed.Add(p.Stale + p.lifetime(k) + p.Skew)
}

// lifetime is of the longest token of k: a policy that was made shorter shortens
// no token that is out.
func (p Policy) lifetime(k Key) time.Duration { return max(p.MaxLifetime, k.Lifetime) }

// CanRemove answers MayRemove: whether nobody needs a key any more. It names
// those who would refuse valid tokens.
func CanRemove(s Snapshot, id KeyID, now time.Time) Reason {
	s.sort()
	r := Reason{Gate: MayRemove, Key: id}
	k, ok := s.Ring.Key(id)
	switch {
	case !ok:
		return r.closed(NoSuchKey)
	case k.State == Active || k.State == Removed || k.State == Revoked:
		return r.misplaced(k)
	case k.Signed.IsZero():
		return r.open(NeverSigned)
	}
	expiry := Expiry(s.Policy, k)
	known := expiry.Add(s.Policy.Quiet)
	r.operand("signed_until", k.Signed)
	r.operand("expired", expiry)
	if now.Before(expiry) {
		r.block(Who{}, TokensLive, expiry, "tokens that it signed live until then")
	}
	s.needs(&r, k, expiry, known, now)
	signer, signs := s.Ring.Signer()
	if signs {
		s.each(now, func(_ Verifier, i Instance) {
			if !i.has(signer) {
				r.block(i.Who, LacksSigner, time.Time{}, "it holds %s", i.list())
			}
		})
	}
	if target, ok := s.Ring.Last(); signs && ok && target.ID == id {
		if end := signer.Promoted.Add(s.Policy.Watch); now.Before(end) {
			r.block(Who{}, Watching, end, "the signer may have to return to it")
		}
	}
	return r.settle()
}

// needs blocks r with everybody who needs k, or of whom it is not known.
func (s *Snapshot) needs(r *Reason, k Key, expiry, known, now time.Time) {
	for _, v := range s.Verifiers {
		if v.Class != Answering && now.Before(expiry) {
			r.block(Who{Verifier: v.Name}, CannotTell, expiry, "it does not say which keys its tokens need")
		}
	}
	s.each(now, func(v Verifier, i Instance) {
		h, _ := i.holds(k.ID)
		late := h.Seen.Add(s.Policy.lifetime(k) + s.Policy.Skew)
		switch {
		case s.presence(v, i, now) == doubtful && now.After(expiry):
			r.block(i.Who, LeaseExpired, time.Time{}, "its lease ran out at %s, and it may still serve", clock(i.until()))
		case h.Thumbprint == k.Thumbprint && h.Seen.After(expiry) && now.Before(late):
			r.block(i.Who, SeenLate, late, "it verified a token at %s, when all should have expired: tokens live longer than the policy says", clock(h.Seen))
		case h.Thumbprint == k.Thumbprint && now.Before(expiry) && i.Stays: // an agent: it sees canaries, and no token
			r.block(i.Who, CannotTell, expiry, "it does not say which keys its tokens need")
		case h.Thumbprint == k.Thumbprint && now.Before(expiry) && now.Before(late):
			r.block(i.Who, SeesTokens, expiry, "it verified such a token at %s", clock(h.Seen))
		case !now.Before(expiry) && s.told(i).Before(known):
			r.block(i.Who, ToldTooEarly, time.Time{}, "it must tell again after %s that it sees no such token", clock(known))
		}
	})
}

// CanRevoke answers MayRevoke: whether taking a key out at once breaks nobody.
// heir is who would sign instead of an active key; "" lets it choose, and the
// choice is the operand "heir".
func CanRevoke(s Snapshot, id, heir KeyID, now time.Time) Reason {
	s.sort()
	r := Reason{Gate: MayRevoke, Key: id}
	k, ok := s.Ring.Key(id)
	switch {
	case !ok:
		return r.closed(NoSuchKey)
	case k.State == Removed || k.State == Revoked:
		return r.misplaced(k)
	}
	expiry := Expiry(s.Policy, k)
	if k.State == Active {
		expiry = now.Add(s.Policy.lifetime(k) + s.Policy.Skew)
	}
	if k.State == Active || !k.Signed.IsZero() {
		s.needs(&r, k, expiry, time.Time{}, now)
	}
	if k.State == Active {
		if len(r.Blockers) == 0 && len(s.Verifiers) > 0 { // who verifies none yet may be shown one in a moment
			r.block(Who{}, TokensLive, time.Time{}, "it signs, and its tokens live for %s", s.Policy.lifetime(k))
		}
		next, why := s.heir(k, heir, now)
		if next.ID == "" {
			return r.closed(NoPrevious)
		}
		r.operand("heir", next.ID)
		r.Blockers = append(r.Blockers, why...)
	}
	return r.settle()
}

// heir finds the published key that breaks the fewest when it signs instead of k.
func (s *Snapshot) heir(k Key, named KeyID, now time.Time) (best Key, breaks []Blocker) {
	for _, o := range s.Ring.Keys {
		if o.ID == k.ID || !o.State.Published() || named != "" && o.ID != named {
			continue
		}
		var r Reason
		if o.State.Waiting() {
			s.acceptance(&r, o, now)
		} else {
			s.each(now, func(_ Verifier, i Instance) {
				if !i.has(o) {
					r.block(i.Who, LacksTarget, time.Time{}, "it holds %s", i.list())
				}
			})
		}
		if best.ID == "" || cmp.Or(cmp.Compare(len(r.Blockers), len(breaks)), o.Published.Compare(best.Published)*-1) < 0 {
			best, breaks = o, r.Blockers
		}
	}
	return best, breaks
}

type presence int

const (
	alive presence = iota
	doubtful
	gone
)

// told is when what an instance told was surely true: a message may have been on
// its way for long, so its own clock counts too.
func (s *Snapshot) told(i Instance) time.Time {
	if sent := i.Sent.Add(s.Policy.Skew); sent.Before(i.Received) {
		return sent
	}
	return i.Received
}

func (i Instance) until() time.Time { return i.Received.Add(i.Lease) }

func (s *Snapshot) presence(v Verifier, i Instance, now time.Time) presence {
	switch {
	case !now.After(i.until()):
		return alive
	case v.Stays || i.Stays || !now.After(i.until().Add(s.Policy.Grace)):
		return doubtful
	}
	return gone
}

// each visits the instances of answering verifiers that are not gone.
func (s *Snapshot) each(now time.Time, visit func(Verifier, Instance)) {
	for _, v := range s.Verifiers {
		if v.Class != Answering {
			continue
		}
		for _, i := range s.of(v) {
			if s.presence(v, i, now) != gone {
				visit(v, i)
			}
		}
	}
}

// of lists the instances of v. They are sorted by verifier.
func (s *Snapshot) of(v Verifier) []Instance {
	by := func(i Instance, name string) int { return cmp.Compare(i.Verifier, name) }
	from, _ := slices.BinarySearchFunc(s.Instances, v.Name, by)
	to := from
	for to < len(s.Instances) && s.Instances[to].Verifier == v.Name {
		to++
	}
	return s.Instances[from:to]
}

func (s *Snapshot) probe(w Who, t Thumbprint) (Probe, bool) {
	i, found := slices.BinarySearchFunc(s.Probes, Probe{Who: w, Thumbprint: t}, byProbe)
	if !found {
		return Probe{}, false
	}
	return s.Probes[i], true
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }
