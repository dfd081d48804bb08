package keyset

import (
	"hash/maphash"
	"time"
)

// budget decides whether a token that no key of the set explains is worth a
// fetch. It is the whole answer to "flood-proof and rotation-proof": the
// package comment states what it promises. Every method takes the time.
//
// There are two slots. Each pays for one fetch that turns out to be for
// nothing per slotEvery; a fetch that finds what was asked for is free, since
// only the issuer can make that happen. The open slot takes any token that
// would be good if its key were known. The evidence slot takes only a kid that
// stands out of what is being refused: seen again and again, or coming after a
// silence in which the flood has evidently ended. So a flood spends the first
// and leaves the second to the rotation that comes after it.
//
// A flood also falls silent when this process, or its sender, was held up for a
// moment. What comes next then is more of the flood. So a kid that breaks the
// rhythm has to wait for hush: if another new one comes meanwhile, it was nothing.
type budget struct {
	open, evidence time.Time // when each slot was last spent for nothing
	need           uint32    // sightings of one kid that are evidence; doubles when they turn out wrong
	needRaised     time.Time

	seed maphash.Seed
	kids []sighting // by hash of the kid; another kid of the same place takes it over, which bounds the memory

	rhythm rhythm // of first sightings
}

// sighting is what is remembered of an unknown kid.
type sighting struct {
	id          uint64
	absent      int64 // Unix nanoseconds when a fetch for this kid did not bring it; 0 is never
	count       uint32
	outOfRhythm bool // it came when no other unknown kid had for long
}

const (
	slotEvery  = time.Minute
	failEvery  = 20 * time.Second // the open slot after a fetch that got no answer: nothing was learned, and a rotation may wait behind it
	remembered = 4096             // kids, 24 bytes each
	skew       = time.Minute
	firstNeed  = 2
	mostNeed   = 64
	calmDown   = 10 * time.Minute
	retryAfter = 10 * time.Second // a kid that was just asked for in vain may be published late
)

func newBudget() *budget {
	return &budget{need: firstNeed, seed: maphash.MakeSeed(), kids: make([]sighting, remembered)}
}

// slot names what pays for a fetch, and why.
type slot string

const (
	noSlot       slot = ""
	openSlot     slot = "open"
	repeatedSlot slot = "repeated" // the evidence slot, for a kid seen often
	calmSlot     slot = "calm"     // the evidence slot, for a kid out of rhythm
)

// sight notes a kid that is not in the set and names the slot that would pay
// for a fetch if the token turns out to be good otherwise. first says that the
// kid is a new one, as far as anybody remembers.
func (b *budget) sight(now time.Time, kid string) (_ slot, first bool) {
	s, before := b.sighted(kid)
	s.outOfRhythm = false
	if !before {
		s.outOfRhythm = b.rhythm.beat(now)
	}
	s.count++
	return b.slotFor(now, s), !before
}

func (b *budget) slotFor(now time.Time, s *sighting) slot {
	if b.need > firstNeed && now.Sub(b.needRaised) > calmDown {
		b.need = firstNeed
	}
	switch {
	case now.Sub(b.open) >= slotEvery:
		return openSlot
	case now.Sub(b.evidence) < slotEvery:
		return noSlot
	case s.count >= b.need && now.UnixNano()-s.absent >= int64(retryAfter):
		return repeatedSlot
	case s.outOfRhythm:
		return calmSlot
	}
	return noSlot
}

// unknown decides about a kid that was just sighted in a token that would be
// good if its key were known. issued is the token's iat, zero when it has none;
// current is when the fetch began that brought the present set.
func (b *budget) unknown(now time.Time, kid string, issued, current time.Time) slot {
	s, _ := b.sighted(kid)
	if absent := time.Unix(0, s.absent); s.absent != 0 && issued.Before(absent.Add(-skew)) && now.Sub(absent) < calmDown {
		return noSlot // the issuer was asked for this kid after the token was made
	}
	slot := b.slotFor(now, s)
	if slot != openSlot && (issued.IsZero() || issued.Before(current.Add(-skew))) {
		return noSlot // the set that there is was fetched after the token was made
	}
	return slot
}

// forged decides about a signature that a known kid did not make: the kid may
// have new material. It may take the open slot only.
func (b *budget) forged(now, issued, current time.Time) slot {
	if now.Sub(b.open) >= slotEvery && !issued.IsZero() && !issued.Before(current.Add(-skew)) {
		return openSlot
	}
	return noSlot
}

// spend takes the slot when its fetch begins.
func (b *budget) spend(s slot, now time.Time) {
	switch s {
	case openSlot:
		b.open = now
	case repeatedSlot, calmSlot:
		b.evidence = now
	}
}

// settle ends what spend began, after a fetch that succeeded: one that found
// what it was asked for gives the slot back.
func (b *budget) settle(s slot, kid string, now time.Time, found bool) {
	seen, _ := b.sighted(kid)
	if found {
		b.spend(s, time.Time{})
		*seen = sighting{}
		return
	}
	seen.absent, seen.count = now.UnixNano(), 0
	switch s {
	case repeatedSlot:
		b.need = min(2*b.need, mostNeed)
		b.needRaised = now
	case calmSlot:
		b.rhythm.wrong()
	}
}

// failed ends what spend began, after a fetch that got no good answer.
func (b *budget) failed(s slot, now time.Time) {
	if s == openSlot {
		b.open = now.Add(failEvery - slotEvery)
	}
}

// sighted looks a kid up, or makes it room.
func (b *budget) sighted(kid string) (s *sighting, before bool) {
	id := maphash.String(b.seed, kid)
	s = &b.kids[id%remembered]
	if s.id == id {
		return s, true
	}
	*s = sighting{id: id}
	return s, false
}
