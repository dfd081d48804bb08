package keyset

import "time"

// rhythm watches how new unknown kids follow each other, and tells when a
// silence is so long that their flood must have ended. Floods are not even:
// they come in bursts, or at random, and stall when this process does. So a
// silence has to be long beside their usual distance and beside the longest
// silence before; the second makes false alarms rare however they come, since
// in a flood of n kids at random the record is seldom doubled (once in n² for
// the n-th).
type rhythm struct {
	last    time.Time     // of the last kid
	n       int           // distances that mean is made of
	mean    time.Duration // usual distance, over about meanOf of them
	longest time.Duration // silence within the flood, lately
	earlier time.Duration // and in the time before
	since   time.Time     // when lately began

	broke time.Duration // the last silence that was called an end
}

const (
	leastBeats  = 8 // distances before there is a rhythm
	meanOf      = 32
	calmGaps    = 8 // times the usual distance
	calmRecords = 2 // times the longest silence
	leastCalm   = 100 * time.Millisecond
	lately      = 5 * time.Minute

	fewBeats  = 3               // distances that say nothing at all
	sparse    = 5 * time.Second // of silence, then
	shortCalm = 500 * time.Millisecond
	crowded   = 10 * time.Second // of silence, while kids that are not new come

	calmHush   = 8  // times the usual distance, between these bounds
	repeatHush = 32 // of kids taken from a list, some are repeated among so many
	leastHush  = 25 * time.Millisecond
	mostHush   = 250 * time.Millisecond

	mostRounds = 4 // of hush in a process that is always late
)

// beat notes a new kid and says whether it is out of rhythm: it came when none
// had come for long. quiet says that no other had come either, at least not just now.
func (r *rhythm) beat(now time.Time, quiet bool) bool {
	wait := now.Sub(r.last)
	r.last = now
	if wait >= slotEvery { // nothing, or another flood, was before
		*r = rhythm{last: now, since: now, broke: wait}
		return true
	}
	if now.Sub(r.since) > lately {
		r.earlier, r.longest, r.since = r.longest, 0, now
	}
	least := max(leastCalm, calmGaps*r.mean)
	switch {
	case r.n < fewBeats:
		least = sparse
	case r.n < leastBeats:
		least = max(shortCalm, calmGaps*r.longest)
	}
	if !quiet {
		least = max(least, crowded)
	}
	if wait >= max(least, calmRecords*max(r.longest, r.earlier)) {
		r.broke = wait
		return true
	}
	r.n++
	r.mean += (wait - r.mean) / time.Duration(min(r.n, meanOf))
	r.longest = max(r.longest, wait)
	return false
}

// hush is how long no more of a flood may follow a kid that stands out.
func (r *rhythm) hush(s slot) time.Duration {
	gaps := time.Duration(calmHush)
	if s == repeatedSlot {
		gaps = repeatHush
	}
	if r.n < leastBeats {
		return mostHush
	}
	return min(max(leastHush, gaps*r.mean), mostHush)
}

// wrong is called when a fetch for the last kid out of rhythm brought nothing.
func (r *rhythm) wrong() { r.longest = max(r.longest, r.broke) }
