package keyset

import (
	"context"
	"slices"
	"time"
)

// profile is what a kind of token must have besides a good signature.
type profile struct {
	types    []string // instead of the source's
	noExpiry bool     // exp may be missing
	// anyAudience says that the token grants nothing, to whomever it is addressed.
	anyAudience bool
}

// Verify checks everything there is to check about a bearer token (a JWT,
// RFC 7519, signed as compact JWS) and returns its claims. The error is always
// an *Error that names the check.
//
// It costs one lookup and one signature check. Only a token that no key of the
// set explains, but that would be good otherwise, may wait: for a fetch of the
// key set that it started or found under way, two seconds at most, and no
// longer than ctx.
func (s *Set) Verify(ctx context.Context, token string) (Claims, error) {
	return s.verify(ctx, token, profile{})
}

func (s *Set) verify(ctx context.Context, token string, as profile) (Claims, error) {
	w := scratches.Get().(*scratch)
	defer scratches.Put(w)
	var p parsed
	now := time.Now()
	src, k, err := s.explain(ctx, &p, token, w, as, now)
	if err != nil {
		return Claims{}, s.refused(src, err)
	}
	if !p.signedBy(k) {
		k = src.renewed(ctx, &p, as, k, now)
		if k == nil || k.alg != p.alg || !p.signedBy(k) {
			return Claims{}, s.refused(src, refuse(Signature, p.kid, "the key with this kid did not sign the token"))
		}
	}
	if err := src.check(&p, as, now); err != nil {
		return Claims{}, s.refused(src, err)
	}
	k.sawAt(now)
	s.remember(&p)
	src.metrics.ok.Inc()
	return Claims{
		Issuer: p.claims.iss, Subject: p.claims.sub, ID: p.claims.jti, KeyID: k.kid,
		Expires: moment(p.claims.exp), NotBefore: moment(p.claims.nbf), IssuedAt: moment(p.claims.iat),
		payload: p.payload, audience: p.claims.aud,
	}, nil
}

func (s *Set) refused(src *source, err *Error) *Error {
	m := s.nobody
	if src != nil {
		m = src.metrics
	}
	m.refused[err.Check].Inc()
	return err
}

// explain takes a token apart and finds the source and the key that should have
// signed it. iss is not believed yet; it only chooses whose signature must be
// on the token.
func (s *Set) explain(ctx context.Context, p *parsed, token string, w *scratch, as profile, now time.Time) (*source, *key, *Error) {
	if err := p.parse(token, w, s.header); err != nil {
		return nil, nil, err
	}
	src := s.sole
	if src == nil {
		if err := p.rest(); err != nil {
			return nil, nil, err
		}
		if src = s.byIssuer[p.claims.iss]; src == nil {
			return nil, nil, refuse(Issuer, p.kid, "iss is not an issuer that is configured")
		}
	}
	k, err := src.key(ctx, p, as, now)
	if err == nil {
		err = p.rest()
	}
	if err == nil {
		err = src.issued(p)
	}
	return src, k, err
}

// issued refuses another issuer's token. A payload that is no claims object has
// no issuer; that is told after its signature was checked.
func (s *source) issued(p *parsed) *Error {
	if s.Issuer != "" && p.claims.iss != s.Issuer && p.invalid == "" {
		return refuse(Issuer, p.kid, "iss is not the issuer that is configured")
	}
	return nil
}

// key applies the header policy and finds the key, fetching when that is worth
// it.
func (s *source) key(ctx context.Context, p *parsed, as profile, now time.Time) (*key, *Error) {
	types := s.Types
	if as.types != nil {
		types = as.types
	}
	if !allowsType(types, p.typ) {
		return nil, refuse(Type, p.kid, "typ is not a kind of token that is accepted here")
	}
	if !s.allowed[p.alg] {
		return nil, refuse(Algorithm, p.kid, "the algorithm is not allowed")
	}
	if now.UnixNano() > s.overdue.Load() {
		s.wake(ctx, p, now)
	}
	for waits := 0; ; waits++ {
		snap := s.snap.Load()
		if snap == nil || now.UnixNano() > s.until.Load() {
			return nil, refuse(Unavailable, p.kid, "there is no key set that is fresh enough; the issuer does not answer")
		}
		if k := snap.key(p.kid); k != nil {
			return s.fitting(ctx, p, as, k, now)
		}
		if p.kid == "" {
			return nil, refuse(UnknownKey, "", "the token names no kid and the set has several keys")
		}
		if waits == 2 {
			return nil, s.lacks(p, "no key with this kid, just fetched")
		}
		f, err := s.ask(p, as, snap, now)
		if err != nil {
			return nil, err
		}
		if err := f.wait(ctx, p); err != nil {
			e := s.lacks(p, "no key with this kid, and a fetch is still under way")
			e.Cause = err
			return nil, e
		}
		if f.dropped { // the kid was sighted; once is enough
			if s.snap.Load() == snap {
				return nil, s.deferred(p)
			}
			waits = 1
		}
	}
}

// fitting returns k when the token is of its algorithm. When it is not, the kid
// may have new material, for another one.
func (s *source) fitting(ctx context.Context, p *parsed, as profile, k *key, now time.Time) (*key, *Error) {
	if k.alg == p.alg {
		return k, nil
	}
	if err := p.rest(); err != nil {
		return nil, err
	}
	if err := s.issued(p); err != nil {
		return nil, err
	}
	if k = s.renewed(ctx, p, as, k, now); k == nil || k.alg != p.alg {
		return nil, refuse(Algorithm, p.kid, "the key with this kid is for another algorithm")
	}
	return k, nil
}

// wake lets the fetch be done first that was due long ago: this process, or the
// machine under it, was not running. When it takes too long, what there is is
// judged as always.
func (s *source) wake(ctx context.Context, p *parsed, now time.Time) {
	s.mu.Lock()
	if s.waking.IsZero() {
		s.waking = now.Add(maxWait)
	}
	p.patience = s.waking
	f := s.begin(&flight{reason: "scheduled"})
	s.mu.Unlock()
	if f != nil && now.Before(p.patience) {
		_ = f.wait(ctx, p)
	}
}

// deferred refuses a token whose kid is worth no fetch now.
func (s *source) deferred(p *parsed) *Error {
	s.metrics.deferred.Inc()
	return s.lacks(p, "no key with this kid")
}

// lacks refuses a token for want of its key, and counts it.
func (s *source) lacks(p *parsed, detail string) *Error {
	s.wanted.refused(p.kid)
	return refuse(UnknownKey, p.kid, detail)
}

// ask returns the fetch to wait for because of a kid that is not in the set,
// or refuses the token.
func (s *source) ask(p *parsed, as profile, snap *snapshot, now time.Time) (*flight, *Error) {
	deferred := func() (*flight, *Error) {
		if s.snap.Load() != snap { // the fetch that brings the key landed just now
			return landed, nil
		}
		return nil, s.deferred(p)
	}
	noSlots := s.noSlots.Load() // before flight: launch stores them the other way round, so none is missed
	if s.flight.Load() == nil {
		if int64(now.Sub(s.budget.made)) < noSlots {
			return deferred()
		}
		s.mu.Lock()
		candidate, first, often := s.budget.sight(now, snap.began, p.kid)
		s.disturb(p.kid, first, often, now)
		alone := s.flight.Load() == nil && s.hushed == nil
		s.mu.Unlock()
		if candidate == noSlot && alone {
			return deferred()
		}
	}
	// A token that would be refused whatever its key says nothing about keys.
	err := p.rest()
	if err == nil {
		err = s.issued(p)
	}
	if err == nil && (!p.signable() || s.check(p, as, now) != nil) {
		err = refuse(UnknownKey, p.kid, "no key with this kid, and the claims are no reason to look for one")
	}
	if err != nil {
		s.metrics.implausible.Inc()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.underWay(snap); f != nil {
		return f, nil
	}
	f := &flight{reason: "unknown-key", slot: s.budget.unknown(now, snap.began, p.kid, moment(p.claims.iat)), kid: p.kid}
	h := s.hushed
	switch {
	case f.slot == openSlot:
		return s.launch(f, now), nil
	case h != nil && (h.kid == p.kid || f.slot == repeatedSlot):
		if h.kid == p.kid && f.slot == repeatedSlot { // which is more
			h.slot = repeatedSlot
		}
		s.metrics.joined.Inc()
		return h, nil
	case f.slot != noSlot:
		return s.hush(f, now), nil
	}
	return deferred()
}

// hush begins a fetch unless more kids that stand out as its own does come in a
// moment. The caller holds mu.
func (s *source) hush(f *flight, now time.Time) *flight {
	s.drop()
	f.done, s.hushed = make(chan struct{}), f
	s.budget.round++
	wait, asked, rounds := s.budget.rhythm.hush(f.slot), now, 0
	var look func()
	look = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch late := time.Since(asked) > 2*wait; {
		case s.hushed != f:
		case s.flight.Load() != nil: // drops it when it lands
		case late && rounds < mostRounds: // this process was held up, so that it heard nothing
			asked, wait, rounds = time.Now(), min(2*wait, mostHush), rounds+1
			time.AfterFunc(wait, look)
		default:
			s.hushed = nil
			s.launch(f, time.Now())
		}
	}
	time.AfterFunc(wait, look)
	return f
}

// disturb gives the hushed fetch up when a kid shows that there is a flood: a
// new one, after the silence, or several that are repeated, where some issuers
// change two keys at once. The caller holds mu.
func (s *source) disturb(kid string, first, often bool, now time.Time) {
	switch f := s.hushed; {
	case f == nil || f.kid == kid:
	case f.slot == calmSlot && first:
		s.drop()
	case f.slot == repeatedSlot && often:
		if f.others++; f.others == 2 {
			s.drop()
			s.budget.repeats(now)
		}
	}
}

// drop gives up the hushed fetch. The caller holds mu.
func (s *source) drop() {
	if f := s.hushed; f != nil {
		s.hushed, f.dropped = nil, true
		close(f.done)
	}
}

// renewed is called when k did not sign a token that names it. The kid may
// have new material: if a fetch brings it, renewed returns the new key.
func (s *source) renewed(ctx context.Context, p *parsed, as profile, k *key, now time.Time) *key {
	snap := s.snap.Load()
	if snap.key(p.kid) == k {
		noSlots := s.noSlots.Load() // before flight, as in ask
		if alone := s.flight.Load() == nil && s.snap.Load() == snap; alone && int64(now.Sub(s.budget.made)) < noSlots || !p.signable() || s.check(p, as, now) != nil {
			return nil
		}
		f := s.askAgain(p, k, snap, now)
		if f == nil || f.wait(ctx, p) != nil {
			return nil
		}
		snap = s.snap.Load()
	}
	if next := snap.key(p.kid); next != k {
		return next
	}
	return nil
}

// askAgain returns the fetch that may bring new material for k, or nil.
func (s *source) askAgain(p *parsed, k *key, snap *snapshot, now time.Time) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.underWay(snap); f != nil {
		return f
	}
	slot := s.budget.forged(now, snap.began, moment(p.claims.iat), k)
	if slot == noSlot {
		return nil
	}
	return s.launch(&flight{reason: "signature", slot: slot, kid: p.kid, was: k}, now)
}

// underWay returns the fetch that is under way, or one that is over when snap
// was replaced meanwhile, so that the caller looks again before anything is
// spent. The caller holds mu.
func (s *source) underWay(snap *snapshot) *flight {
	if f := s.flight.Load(); f != nil {
		s.metrics.joined.Inc()
		return f
	}
	if s.snap.Load() != snap || s.closed {
		return landed
	}
	return nil
}

// launch spends a slot on a fetch. The caller holds mu.
func (s *source) launch(f *flight, now time.Time) *flight {
	s.budget.spend(f.slot, now)
	s.metrics.fetchedFor.Inc()
	f = s.begin(f)
	s.noteSlots() // after flight, see ask
	return f
}

// landed is a fetch that is over.
var landed = func() *flight {
	f := &flight{done: make(chan struct{})}
	close(f.done)
	return f
}()

// noteSlots publishes until when there is no slot. The caller holds mu.
func (s *source) noteSlots() {
	free := s.budget.open
	if s.budget.evidence.Before(free) {
		free = s.budget.evidence
	}
	s.noSlots.Store(int64(free.Add(slotEvery).Sub(s.budget.made))) // long past when one was never spent
}

// wait returns when the fetch is over, or ctx, or the time that p may wait.
func (f *flight) wait(ctx context.Context, p *parsed) error {
	select {
	case <-f.done:
		return nil
	default:
	}
	if p.patience.IsZero() {
		p.patience = time.Now().Add(maxWait)
	}
	limited, cancel := context.WithDeadline(ctx, p.patience)
	defer cancel()
	select {
	case <-f.done:
		return nil
	case <-limited.Done():
		return limited.Err()
	}
}

// check judges the claims.
func (s *source) check(p *parsed, as profile, now time.Time) *Error {
	if p.invalid != "" {
		return refuse(Payload, p.kid, p.invalid)
	}
	c := &p.claims
	unix, leeway := now.Unix(), int64(s.leeway/time.Second)
	switch {
	case c.exp == noTime && !as.noExpiry:
		return refuse(Expired, p.kid, "the token has no exp: it would never expire")
	case c.exp != noTime && unix >= c.exp+leeway:
		return refuse(Expired, p.kid, "exp is past")
	case c.nbf != noTime && c.nbf > unix+leeway:
		return refuse(NotYet, p.kid, "nbf is in the future")
	case c.iat != noTime && c.iat > unix+leeway:
		return refuse(NotYet, p.kid, "iat is in the future: a clock is wrong")
	case s.AnyAudience || as.anyAudience:
		return nil
	case len(s.Audience) == 0 && c.aud != "":
		return refuse(Audience, p.kid, "the token names an audience and this set has none configured: set Config.Audience to this service's name")
	case len(s.Audience) > 0 && !audiences(c.aud, s.isUs):
		return refuse(Audience, p.kid, "aud does not name this service")
	}
	return nil
}

func (s *source) isUs(audience string) bool { return slices.Contains(s.Audience, audience) }

func moment(unix int64) time.Time {
	if unix == noTime {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}
