package keyset

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
)

// RefusedKid counts tokens that were refused because no key has their kid.
type RefusedKid struct {
	Kid   string `json:"kid"`
	Count int64  `json:"count"`
}

const (
	wantedRows  = 64 // of the table; each has room for wantedCells kids
	wantedCells = 4
	toldWanted  = 16 // kids in one acknowledgement
)

// wanted counts the kids that this set's tokens asked for in vain, so that an
// issuer learns whom its new key did not reach. Anybody can make up kids: the
// table is of one size, allocates nothing, and a kid that comes again is not
// pushed out by those that come once. Who makes up kids all the same hides
// something at most: a kid that is in the set is never counted. nil counts nothing.
type wanted struct {
	seed maphash.Seed
	mu   sync.Mutex
	now  uint64 // counts sightings: the age of a cell
	rows [wantedRows][wantedCells]want
}

type want struct {
	count int64
	last  uint64
	size  int
	kid   [maxKid]byte
}

func newWanted() *wanted { return &wanted{seed: maphash.MakeSeed()} }

// refused counts one token.
func (w *wanted) refused(kid string) {
	if w == nil || kid == "" || len(kid) > maxKid {
		return
	}
	row := &w.rows[maphash.String(w.seed, kid)%wantedRows]
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now++
	place := &row[0]
	for i := range row {
		cell := &row[i]
		if string(cell.kid[:cell.size]) == kid {
			place = cell
			break
		}
		if cmp.Or(cmp.Compare(cell.count, place.count), cmp.Compare(cell.last, place.last)) < 0 {
			place = cell
		}
	}
	if string(place.kid[:place.size]) != kid {
		place.count, place.size = 0, copy(place.kid[:], kid)
	}
	place.count++
	place.last = w.now
}

// most lists the kids that were asked for most.
func (w *wanted) most() []RefusedKid {
	var list []RefusedKid
	w.mu.Lock()
	for r := range w.rows {
		for c := range w.rows[r] {
			if cell := &w.rows[r][c]; cell.count > 0 {
				list = append(list, RefusedKid{string(cell.kid[:cell.size]), cell.count})
			}
		}
	}
	w.mu.Unlock()
	slices.SortFunc(list, func(a, b RefusedKid) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Kid, b.Kid)) })
	return list[:min(len(list), toldWanted)]
}
