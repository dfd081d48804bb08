package diagnose

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"prunella"
)

// hypothesis is a fault with what speaks for and against it.
type hypothesis struct {
	fault         prunella.Fault
	score, gained float64 // log odds in all; those that evidence added
	pro, con      []prunella.Evidence
}

// Diagnose ranks the faults that could explain the snapshot, best first. There
// is always at least one Cause; the first is FaultUnknown when no fault is
// likely enough (see the package comment), even if a fault listed after it has
// the higher confidence. Last come the nearest of the hypotheses that were
// ruled out, with what spoke against them.
func Diagnose(s Snapshot) []prunella.Cause {
	v := look(s)
	seen := observe(v)
	faults := faultsOf(s.Skills)
	hypotheses := make([]*hypothesis, 0, len(faults))
	for _, f := range faults {
		h := &hypothesis{fault: f, score: otherPrior}
		if p, ok := priors[f]; ok {
			h.score = p
		}
		for _, o := range seen {
			h.add(prunella.Evidence{Name: o.row, Text: o.text, Weight: table[o.row].weight[f] * o.strength, Source: o.source, Signals: o.signals, At: o.at})
		}
		for _, e := range v.skillEvidence(f) {
			h.add(e)
		}
		hypotheses = append(hypotheses, h)
	}
	ceiling, gaps := v.ceiling()
	causes := rank(v, hypotheses, ceiling)
	for i := range causes {
		causes[i].Against = append(causes[i].Against, gaps...)
	}
	if causes[0].Fault == unknown {
		causes[0].For = append(known(seen), causes[0].For...)
	}
	for i := range causes {
		v.complete(&causes[i])
	}
	return causes
}

// faultsOf returns the faults of the table and those that skills add, sorted.
func faultsOf(skills []prunella.Skill) []prunella.Fault {
	var out []prunella.Fault
	for f := range priors {
		out = append(out, f)
	}
	for _, s := range skills {
		if s.Fault != "" && s.Fault != unknown && !slices.Contains(out, s.Fault) {
			out = append(out, s.Fault)
		}
	}
	slices.Sort(out)
	return out
}

func (h *hypothesis) add(e prunella.Evidence) {
	e.Weight = math.Round(e.Weight*100) / 100
	if e.Weight == 0 {
		return
	}
	h.score += e.Weight
	h.gained += max(0, e.Weight)
	if e.Weight > 0 {
		h.pro = append(h.pro, e)
	} else {
		h.con = append(h.con, e)
	}
}

// rank turns scores into confidences by normalized odds, and orders them.
func rank(v *view, hs []*hypothesis, ceiling float64) []prunella.Cause {
	top := unknownScore
	for _, h := range hs {
		top = max(top, h.score)
	}
	sum := math.Exp(unknownScore - top)
	for _, h := range hs {
		sum += math.Exp(h.score - top)
	}
	var causes, outs []prunella.Cause
	rest := 1.0
	for _, h := range hs {
		p := math.Round(1000*ceiling*math.Exp(h.score-top)/sum) / 1000
		byWeight(h.pro)
		byWeight(h.con)
		c := prunella.Cause{Fault: h.fault, Confidence: p, For: h.pro, Against: h.con}
		switch {
		case p >= shown && h.gained >= least/2:
			rest -= p
			causes = append(causes, c)
		case h.gained > 0 && len(h.con) > 0: // something spoke for it, and more against
			outs = append(outs, c)
		}
	}
	byConfidence(causes)
	byConfidence(outs)
	outs = outs[:min(len(outs), ruledOut)]
	for _, c := range outs {
		rest -= c.Confidence
	}
	none := prunella.Cause{Fault: unknown, Confidence: math.Round(max(0, rest)*1000) / 1000}
	if len(causes) == 0 || causes[0].Confidence < floor || gained(causes[0]) < least {
		return slices.Concat([]prunella.Cause{none}, causes, outs)
	}
	at := 1 // a fault that leads leads even over a larger unknown remainder
	for at < len(causes) && causes[at].Confidence >= none.Confidence {
		at++
	}
	return append(slices.Insert(causes, at, none), outs...)
}

func byConfidence(causes []prunella.Cause) {
	sort.SliceStable(causes, func(i, j int) bool {
		if causes[i].Confidence != causes[j].Confidence {
			return causes[i].Confidence > causes[j].Confidence
		}
		if a, b := gained(causes[i]), gained(causes[j]); a != b {
			return a > b
		}
		return causes[i].Fault < causes[j].Fault
	})
}

func gained(c prunella.Cause) float64 {
	sum := 0.0
	for _, e := range c.For {
		sum += e.Weight
	}
	return sum
}

func byWeight(es []prunella.Evidence) {
	sort.SliceStable(es, func(i, j int) bool {
		a, b := math.Abs(es[i].Weight), math.Abs(es[j].Weight)
		if a != b {
			return a > b
		}
		if es[i].Name != es[j].Name {
			return es[i].Name < es[j].Name
		}
		return es[i].Text < es[j].Text
	})
}

// known lists every observation without weight, for a cause that nothing names.
func known(seen []observation) []prunella.Evidence {
	var out []prunella.Evidence
	for _, o := range seen {
		out = append(out, prunella.Evidence{Name: o.row, Text: o.text, Source: o.source, Signals: o.signals, At: o.at})
	}
	return out
}

// ceiling returns the most that any confidence can be, and what could not be
// looked at, as evidence of weight 0.
func (v *view) ceiling() (float64, []prunella.Evidence) {
	if !v.measured() {
		return ceilingTexts, []prunella.Evidence{{Name: "nothing-measured", Source: "texts",
			Text: "Known from messages only: no key set, verifier, clock or release was looked at."}}
	}
	c := ceilingLive
	var out []prunella.Evidence
	for _, g := range v.missing {
		c -= losses[g.name]
		out = append(out, prunella.Evidence{Name: "unknown-" + strings.ReplaceAll(g.name, ".", "-"), Source: g.name,
			Text: fmt.Sprintf("Not known: %s%s.", g.name, because(g.why))})
	}
	return max(c, 0.4), out
}
