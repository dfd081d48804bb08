package web

import (
	"slices"
	"strconv"

	"prunella"
)

// stretch is what a timeline shows as one line: an event, or a run of what was
// seen and done between two turns of the incident, which opens on demand.
type stretch struct {
	prunella.Event
	ID     string           // of the fold, the same as it grows
	Says   string           // what is in it: "6 steps and 2 changes"
	Folded []prunella.Event // empty for a single event
}

const (
	foldFrom = 5 // events in a row that are folded
	unfolded = 3 // newest events, which are never folded: they say what happens now
)

// details are the kinds of event that come in numbers, in the order in which a
// fold counts them.
var details = []string{"step", "change", "signal"}

// stretches folds the details of a timeline, so that its turns stand out.
func stretches(events []prunella.Event) []stretch {
	var out []stretch
	for i := 0; i < len(events); {
		end := i
		for end < len(events)-unfolded && isDetail(events[end].Kind) {
			end++
		}
		if end-i >= foldFrom {
			run := events[i:end]
			out = append(out, stretch{Event: run[0], ID: "fold-" + strconv.FormatInt(run[0].At.UnixNano(), 36), Says: saysOf(run), Folded: run})
			i = end
			continue
		}
		out = append(out, stretch{Event: events[i]})
		i++
	}
	return out
}

func isDetail(kind string) bool { return slices.Contains(details, kind) }

func saysOf(run []prunella.Event) string {
	number := map[string]int{}
	for _, e := range run {
		number[e.Kind]++
	}
	var parts []string
	for _, kind := range details {
		if n := number[kind]; n > 0 {
			parts = append(parts, count(n, kind))
		}
	}
	return list(parts)
}
