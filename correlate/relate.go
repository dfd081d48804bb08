package correlate

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"prunella"
)

const maxRelated = 10

// Relate links an incident to earlier ones, and says why: the same pattern
// (same-pattern), a shared key, trace, host or change (same-token), or the same
// services failing in the same way (same-service). One link for each, by its
// strongest reason; the most recent first within a reason.
func Relate(inc prunella.Incident, earlier []prunella.Incident) []prunella.Related {
	type link struct {
		prunella.Related
		rank int
		at   prunella.Incident
	}
	var links []link
	for _, e := range earlier {
		if e.ID == inc.ID || e.Onset.After(inc.Onset) {
			continue
		}
		r := prunella.Related{ID: e.ID, Title: e.Title}
		rank := 0
		if p := inc.Pattern.Pattern; p != "" && p != prunella.Unknown && p == e.Pattern.Pattern {
			rank = 3
			r.Reason = prunella.Reason{Name: "same-pattern", Text: "the same pattern, " + p, Operands: map[string]string{"pattern": p}}
		} else if t := shared(inc.Tokens, e.Tokens, "kid:", "change:", "trace:", "host:"); t != "" {
			rank = 2
			r.Reason = prunella.Reason{Name: "same-token", Text: "both have " + t, Operands: map[string]string{"token": t}}
		} else if both := common(servicesOf(inc), servicesOf(e)); len(both) > 0 && 2*len(both) >= len(inc.Impact) && sameFamily(inc, e) {
			rank = 1
			r.Reason = prunella.Reason{Name: "same-service", Text: fmt.Sprintf("%s failed in the same way", strings.Join(both, ", ")),
				Operands: map[string]string{"services": strings.Join(both, ",")}}
		}
		if rank > 0 {
			r.Reason.Operands["earlier_by_s"] = seconds(inc.Onset.Sub(e.Onset))
			links = append(links, link{r, rank, e})
		}
	}
	sort.SliceStable(links, func(i, j int) bool {
		return links[i].rank > links[j].rank || links[i].rank == links[j].rank && links[i].at.Onset.After(links[j].at.Onset)
	})
	var out []prunella.Related
	for _, l := range links[:min(maxRelated, len(links))] {
		out = append(out, l.Related)
	}
	return out
}

func common(a, b []string) []string {
	var out []string
	for _, s := range a {
		if slices.Contains(b, s) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	sort.Strings(out)
	return out
}

func sameFamily(a, b prunella.Incident) bool {
	if len(a.Statuses) == 0 || len(b.Statuses) == 0 {
		return true
	}
	for _, s := range a.Statuses {
		if slices.ContainsFunc(b.Statuses, func(o string) bool { return family(o) == family(s) }) {
			return true
		}
	}
	return false
}
