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
	hush  time.Duration // how long nothing may follow the kid that broke it
}

const (
	leastBeats  = 8 // distances before there is a rhythm at all
	meanOf      = 32
	calmGaps    = 8 // times the usual distance
	calmRecords = 2 // times the longest silence
	leastCalm   = 100 * time.Millisecond
	lately      = 5 * time.Minute

	hushGaps  = 4 // times the usual distance, between these bounds
	leastHush = 25 * time.Millisecond
	mostHush  = 250 * time.Millisecond
)

// beat notes a new kid and says whether it is out of rhythm: it came when none
// had come for long.
func (r *rhythm) beat(now time.Time) bool {
	wait := now.Sub(r.last)
	r.last = now
	if wait >= slotEvery { // nothing, or another flood, was before
		*r = rhythm{last: now, since: now, broke: wait, hush: mostHush}
		return true
	}
	if now.Sub(r.since) > lately {
		r.earlier, r.longest, r.since = r.longest, 0, now
	}
	if r.n >= leastBeats && wait >= max(leastCalm, calmGaps*r.mean, calmRecords*max(r.longest, r.earlier)) {
		r.broke, r.hush = wait, min(max(leastHush, hushGaps*r.mean), mostHush)
		return true
	}
	r.n++
	r.mean += (wait - r.mean) / time.Duration(min(r.n, meanOf))
	r.longest = max(r.longest, wait)
	return false
}

// wrong is called when a fetch for the last kid out of rhythm brought nothing.
func (r *rhythm) wrong() { r.longest = max(r.longest, r.broke) }
