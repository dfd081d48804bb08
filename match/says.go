package match

import (
	"slices"
	"time"

	"prunella/said"
)

// saysNames are the tokens for what a text blames for a refused token, in a
// fixed order, with the classes that blame it. Texts that blame different
// things are not one failure, though they begin together; a text may blame
// several.
var saysNames = []struct {
	name    string
	classes []said.Class
}{
	{"says:key", []said.Class{said.UnknownKid, said.FetchFailed}},
	{"says:time", []said.Class{said.Expired, said.NotYetValid, said.Clock}},
	{"says:audience", []said.Class{said.Audience}},
	{"says:issuer", []said.Class{said.Issuer}},
	{"says:signature", []said.Class{said.BadSignature}},
}

// saysOf returns what the first maxLine bytes of a text blame, in the order of
// saysNames.
func saysOf(text string) []string {
	classes, _ := said.In(text[:min(len(text), maxLine)])
	var out []string
	for _, w := range saysNames {
		if slices.ContainsFunc(classes, func(c said.Class) bool { return slices.Contains(w.classes, c) }) {
			out = append(out, w.name)
		}
	}
	return out
}

// maxRead is how many texts of one service and template are read in a bucket for
// what they blame. In a storm the others are taken to blame the same: texts of a
// template differ in what varies from request to request, and reading one takes
// as long as everything else that is done with it.
const maxRead = 8

// blame returns what a text of the bucket n blames, which is counted already.
func (r *textRate) blame(text string, n int64) []string {
	if n > r.HeardIn {
		r.HeardIn, r.Heard = n, nil
	}
	if k := r.Recent[n]; k > maxRead && len(r.Heard) > 0 {
		return r.Heard[k%len(r.Heard)]
	}
	says := saysOf(text)
	if len(r.Heard) < maxRead {
		r.Heard = append(r.Heard, says)
	}
	return says
}

// surelySays leaves out what one text alone cannot mean: libraries call a
// signature wrong when what they lack is the key.
func surelySays(text string) []string {
	var out []string
	for _, name := range saysOf(text) {
		if name != "says:signature" {
			out = append(out, name)
		}
	}
	return out
}

// blames counts what the texts of one service blame, by bucket.
type blames map[string]map[int64]int

func (b *blames) note(says []string, n int64) {
	for _, name := range says {
		if *b == nil {
			*b = blames{}
		}
		if (*b)[name] == nil {
			(*b)[name] = map[int64]int{}
		}
		(*b)[name][n]++
	}
}

func (b blames) forget(before int64) {
	for _, counts := range b {
		for n := range counts {
			if n < before {
				delete(counts, n)
			}
		}
	}
}

// since returns what was blamed often enough since a bucket: three times, a
// quarter of the most frequent, and for a tenth of the failures, so that the few
// tokens that are expired at any time blame nobody. Two texts are enough for
// what nobody blamed before, when no other blames anything else.
func (b blames) since(n int64, failures float64) []string {
	sums, before, most := map[string]int{}, map[string]int{}, 0
	for name, counts := range b {
		for at, c := range counts {
			if at >= n {
				sums[name] += c
			} else {
				before[name] += c
			}
		}
		most = max(most, sums[name])
	}
	var out []string
	for _, w := range saysNames {
		if c := sums[w.name]; c >= 3 && 4*c >= most && 10*float64(c) >= min(failures, 300) {
			out = append(out, w.name)
		}
	}
	if len(out) == 0 && most == 2 && len(sums) == 1 {
		for name := range sums {
			if before[name] == 0 && name != "says:signature" {
				out = append(out, name)
			}
		}
	}
	return out
}

// blamedSince is what the texts of a service blame since an onset.
func (d *Detector) blamedSince(sv *service, onset time.Time, failures float64) []string {
	return sv.Blames.since(d.index(onset), failures)
}
