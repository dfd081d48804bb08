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
// Both kinds of evidence can deceive. A flood falls silent when this process or
// its sender was held up for a moment, and one that repeats its kids has a first
// that it repeats. So such a kid has to wait for hush: if more like it come
// meanwhile, it was nothing.
//
// A kid that the issuer was asked for in vain, by whatever fetch, is asked for
// again when as long has passed as it was known to be absent, or a minute: a
// client that sticks to an old key leaves the evidence slot to others.
type budget struct {
	open, evidence time.Time // when each slot was last spent for nothing
	need           uint32    // sightings of one kid that are evidence; doubles when they turn out wrong
	needRaised     time.Time

	seed maphash.Seed
	made time.Time
	last time.Duration // sighting of any kid
	kids [][4]sighting // rows by hash of the kid; the one not seen for longest gives way, which bounds the memory

	rhythm rhythm // of first sightings
	round  uint16 // of hush; counts them
}

// sighting is what is remembered of an unknown kid. Times count from when the
// budget was made.
type sighting struct {
	id          uint64
	first, last time.Duration // of those since it was not seen for long
	count       uint32
	round       uint16 // of hush, in which it was counted as repeated
	outOfRhythm bool   // it came when no other unknown kid had for long
	removed     bool   // it had a key
}

const (
	slotEvery  = time.Minute
	failEvery  = 20 * time.Second // the open slot after a fetch that got no answer: nothing was learned, and a rotation may wait behind it
	rows       = 1024             // of four kids that are remembered, 32 bytes each
	skew       = time.Minute
	firstNeed  = 2
	mostNeed   = 4096
	calmDown   = 10 * time.Minute
	forgotten  = 5 * time.Minute  // a kid not seen for so long is a new one
	doubtFor   = 2 * time.Second  // a key in use verifies something in that time
	retryAfter = 10 * time.Second // a kid that was just asked for in vain may be published late
)

func newBudget() *budget {
	return &budget{need: firstNeed, seed: maphash.MakeSeed(), made: time.Now(), kids: make([][4]sighting, rows)}
}

// slot names what pays for a fetch, and why.
type slot string

const (
	noSlot       slot = ""
	openSlot     slot = "open"
	repeatedSlot slot = "repeated" // the evidence slot, for a kid seen often
	calmSlot     slot = "calm"     // the evidence slot, for a kid out of rhythm
	doubtSlot    slot = "doubt"    // the evidence slot, for a kid whose key verifies nothing any more
)

// sight notes a kid that is not in the set, which was asked for at asked, and
// names the slot that would pay for a fetch if the token turns out to be good
// otherwise. first says that the kid is a new one, as far as anybody remembers;
// often, that it is not far from being evidence by how often it was seen, once
// in a round.
func (b *budget) sight(now, asked time.Time, kid string) (_ slot, first, often bool) {
	s, at := b.sighted(kid), now.Sub(b.made)
	if first = s.count == 0 || at-s.last > forgotten; first {
		*s = sighting{id: s.id, removed: s.removed, first: at, outOfRhythm: b.rhythm.beat(now, at-b.last >= leastCalm)}
	} else {
		s.outOfRhythm = false
	}
	s.last, b.last = at, at
	s.count++
	if often = 2*s.count > b.need && s.round != b.round && !b.absent(now, asked, s); often {
		s.round = b.round
	}
	return b.slotFor(now, asked, s), first, often
}

// absent says whether the issuer was asked for a kid in vain and it is too soon
// to ask again.
func (b *budget) absent(now, asked time.Time, s *sighting) bool {
	known := asked.Sub(b.made) - s.first // for how long
	return known > 0 && now.Sub(asked) < min(max(known, retryAfter), slotEvery)
}

func (b *budget) slotFor(now, asked time.Time, s *sighting) slot {
	if b.need > firstNeed && now.Sub(b.needRaised) > calmDown {
		b.need = firstNeed
	}
	switch {
	case b.absent(now, asked, s):
		return noSlot
	case now.Sub(b.open) >= slotEvery:
		return openSlot
	case now.Sub(b.evidence) < slotEvery || s.removed && asked.Sub(b.made) > s.first:
		return noSlot
	case s.count >= b.need:
		return repeatedSlot
	case s.outOfRhythm:
		return calmSlot
	}
	return noSlot
}

// unknown decides about a kid that was just sighted in a token that would be
// good if its key were known. issued is the token's iat, zero when it has none;
// asked is when the fetch began that brought the present set.
func (b *budget) unknown(now, asked time.Time, kid string, issued time.Time) slot {
	s := b.sighted(kid)
	slot := b.slotFor(now, asked, s)
	if before(issued, asked) && (slot != openSlot || asked.Sub(b.made) > s.first) {
		return noSlot // the set that there is was fetched after the token was made
	}
	return slot
}

// before says whether a token was evidently made before the set was asked for.
func before(issued, asked time.Time) bool { return !issued.IsZero() && issued.Before(asked.Add(-skew)) }

// forged decides about a signature that k did not make: its kid may have new
// material. That may take the open slot; and the evidence slot when k has
// verified nothing since its signatures began to fail, nobody having asked since.
func (b *budget) forged(now, asked, issued time.Time, k *key) slot {
	if k.doubted.IsZero() || now.Sub(k.doubted) > forgotten {
		k.doubted = now
	}
	switch {
	case before(issued, asked):
		return noSlot
	case now.Sub(b.open) >= slotEvery:
		return openSlot
	case now.Sub(b.evidence) >= slotEvery && now.Sub(k.doubted) >= doubtFor && asked.Before(k.doubted) && k.seen.Load() <= k.doubted.Unix():
		return doubtSlot
	}
	return noSlot
}

// spend takes the slot when its fetch begins.
func (b *budget) spend(s slot, now time.Time) {
	switch s {
	case openSlot:
		b.open = now
	case repeatedSlot, calmSlot, doubtSlot:
		b.evidence = now
	}
}

// settle ends what spend began, after a fetch that succeeded: one that found
// what it was asked for gives the slot back.
func (b *budget) settle(s slot, kid string, now time.Time, found bool) {
	if found {
		b.spend(s, time.Time{})
		return
	}
	b.sighted(kid).first-- // it was asked for since, also when all this took no time
	switch s {
	case repeatedSlot:
		b.repeats(now)
	case calmSlot:
		b.rhythm.wrong()
	}
}

// repeats notes that kids that have no key come again and again.
func (b *budget) repeats(now time.Time) {
	b.need = min(2*b.need, mostNeed)
	b.needRaised = now
}

// failed ends what spend began, after a fetch that got no good answer.
func (b *budget) failed(s slot, now time.Time) {
	if s == openSlot {
		b.open = now.Add(failEvery - slotEvery)
	}
}

// sighted looks a kid up, or makes it room.
func (b *budget) sighted(kid string) *sighting {
	id := maphash.String(b.seed, kid)
	row := &b.kids[id%rows]
	oldest := &row[0]
	for i := range row {
		if row[i].id == id {
			return &row[i]
		}
		if row[i].last < oldest.last {
			oldest = &row[i]
		}
	}
	*oldest = sighting{id: id}
	return oldest
}

// published forgets what was seen of the kids that a set has, and remembers
// which it had. One that was being forged when it was removed goes on being so,
// and was asked for in vain by this very fetch.
func (b *budget) published(now, asked time.Time, keys map[string]*key, removed []*key) {
	for kid := range keys {
		*b.sighted(kid) = sighting{}
	}
	for _, k := range removed {
		s := b.sighted(k.kid)
		*s = sighting{id: s.id, last: now.Sub(b.made), removed: true}
		if !k.doubted.IsZero() && now.Sub(k.doubted) < forgotten {
			s.count, s.first = 1, asked.Sub(b.made)-1
		}
	}
}
