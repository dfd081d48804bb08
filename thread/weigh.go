package thread

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// weighed is a message that was chosen for a time.
type weighed struct {
	*sight
	why string // the features that weighed most
}

// choice are the messages that tell when the cause was known, when the repair
// was done and when it was over; nil for a time that no message tells.
type choice struct{ diagnosed, fixed, resolved *weighed }

// least is what a message must weigh to be taken. Fitting gave "none of them" 0,
// and as many conversations that break off as whole ones; those are rarer.
const least = -3.0

// ruled is what the message is given that the rules for whole sentences choose:
// they know phrases, and are right more often than not about those that they know.
const ruled = 3.0

// weigh chooses by the sum of weights that were fitted on archives with a known
// truth (TestFit): what a message is and where it stands counts, not which of
// some phrases it has.
func (t *talk) weigh(ts *tries, cause, over int) choice {
	c := ts.course(t.sights(ts))
	features := c.features()
	pick := func(weights map[string]float64, rule int) *weighed {
		best, most := -1, least
		for i, names := range features {
			score := 0.0
			switch o := c.list[i]; {
			case o.is["TOO-SOON"]: // an end that is taken back tells of none
				continue
			case o.msg == rule:
				score = ruled
			}
			for _, n := range names {
				score += weights[n]
			}
			if score > most {
				best, most = i, score
			}
		}
		if best < 0 {
			return nil
		}
		chosen := &weighed{c.list[best], reasons(features[best], weights)}
		if chosen.msg == rule {
			chosen.why = fmt.Sprintf("chosen-by-rule %+.2f, %s", ruled, chosen.why)
		}
		return chosen
	}
	named := -1
	if cause >= 0 {
		named = t.said[cause].msg
	}
	return choice{pick(diagnosedWeights, named), pick(fixedWeights, ts.mended()), pick(resolvedWeights, over)}
}

// reasons are the three features that weigh most, "last:OVER@after +1.02".
func reasons(names []string, weights map[string]float64) string {
	names = slices.Clone(names)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(weights[b], weights[a]) })
	var out []string
	for _, n := range names {
		if w := weights[n]; w > 0 && len(out) < 3 && n != "message" {
			out = append(out, fmt.Sprintf("%s %+.2f", n, w))
		}
	}
	return strings.Join(out, ", ")
}

// when is the time that the message tells: the one it names for the repair,
// else its own.
func (w *weighed) when(named bool) time.Time {
	if named && !w.clock.IsZero() {
		return w.clock
	}
	return w.at
}

// mended is the message at which what worked last was through, -1 for none.
func (ts *tries) mended() int {
	for i := len(ts.all) - 1; i >= 0; i-- {
		if a := ts.all[i]; a.Outcome == Worked {
			return max(a.msg, a.last)
		}
	}
	return -1
}

// agree are the sentence of the cause and the message of the end that fit what was chosen.
func (t *talk) agree(ts *tries, c choice, cause, over int) (int, int) {
	if c.diagnosed != nil && (cause < 0 || t.said[cause].msg != c.diagnosed.msg) {
		most := math.Inf(-1)
		for i, s := range t.said {
			if s.msg == c.diagnosed.msg && s.text != "" {
				if p := t.causeLike(i, s, ts, 0, len(t.c.Messages)); p > most {
					cause, most = i, p
				}
			}
		}
	}
	if c.resolved != nil {
		over = c.resolved.msg
	}
	return cause, over
}
