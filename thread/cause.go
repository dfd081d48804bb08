package thread

import (
	"slices"
	"strings"

	"prunella/thread/pattern"
)

// cause is the sentence in which the cause was named, -1 when there is none:
// the one that looks most like it, by its words and by where it stands.
func (t *talk) cause(ts *tries) int {
	begin, limit := 0, len(t.c.Messages)
	for _, a := range ts.all {
		if a.Outcome == Worked {
			limit = min(limit, max(a.msg, a.last))
		}
	}
	for _, a := range ts.all {
		if a.msg < limit && a.Outcome == Failed {
			begin = a.msg
		}
	}
	best, most := -1, 1.9
	for i, s := range t.said {
		if s.bot || s.line.quoted || s.text == "" || s.label != "" && s.label != "cause" || i == 0 && s.label == "" {
			continue
		}
		if p := t.causeLike(i, s, ts, begin, limit); p > most || p == most && s.msg <= limit {
			best, most = i, p
		}
	}
	if best >= 0 {
		return best
	}
	return t.finding(limit)
}

// causeLike weighs a sentence as the statement of the cause: what it calls
// itself, whether it explains in several words without a reading or a command,
// and how near before the deed that worked it stands.
func (t *talk) causeLike(i int, s said, ts *tries, begin, limit int) float64 {
	low := strings.ToLower(maskCode(s.text))
	prose := len(contentWords(withoutCode.ReplaceAllString(low, "")))
	p := 0.0
	add := func(w float64, is bool) {
		if is {
			p += w
		}
	}
	add(2.5, s.label == "cause")
	add(2, strong.MatchString(low) || strings.HasPrefix(low, "so, "))
	add(1, causal.MatchString(low))
	add(0.5, changedBefore.MatchString(low))
	add(min(1, 0.2*float64(prose)), prose > 2)
	add(-2, prose < 3)
	add(-1, prose == 3)
	add(1.5, s.msg >= begin && s.msg <= limit)
	add(1, s.msg >= limit-2 && s.msg <= limit+1)
	add(-1, s.msg > limit+3)
	add(-4, s.asks)
	add(-3, hedged.MatchString(low))
	add(-3, ruledOut.MatchString(low) || answersNo.MatchString(low) || lookedAt.MatchString(low) && !strong.MatchString(low))
	effect := ts.figures.effect(s) != 0
	add(-2.5, effect && s.label == "" && !strong.MatchString(low))
	add(-1, effect && strong.MatchString(low) && len(meters(s.text)) > 0)
	add(-3, ts.reported(s) && !strong.MatchString(low))
	add(0.7, leadsIn.MatchString(s.text) && prose > 4)
	add(-3, len(s.snippets()) > 0 && len(changing(s.snippets())) == 0 && prose < 5)
	add(-3, takeRE.MatchString(s.text) || s.claim())
	add(-2.5, isWish(s) || escalates.MatchString(s.text))
	add(-2.5, t.isDeed(s, ts) && !strong.MatchString(low))
	add(-3, (deeper.MatchString(low) || recurring.MatchString(low)) && ts.worked(s.msg) && !strings.Contains(low, "root cause"))
	add(-3, retracts.MatchString(low) && !tooSoon.MatchString(low))
	add(-2, again.MatchString(low) && explicitRef(s.text))
	add(-1.5, len(t.clocks(s)) > 0 && !strong.MatchString(low))
	add(-2, t.backing(low))
	add(-2.5, goingTo.MatchString(low))
	for _, r := range t.said[i+1:] { // taken back by what follows
		if r.msg > s.msg+4 || r.msg > limit {
			break
		}
		if r.msg > s.msg && retracts.MatchString(strings.ToLower(r.text)) && !tooSoon.MatchString(r.text) {
			p -= 2
			break
		}
	}
	return p
}

var goingTo = pattern.MustCompile(`(?i)^\W*(?:(?:ok|so|now|next|then|first),? )*(?:(?:about|going|starting|trying) to|i will|i\'ll|will|let me|\w{3,}ing (?:the|a|an|back|over|out|up|down|it|this|all)|next:|plan \w:|other idea|shall we|proposal)`)

// leadsIn is the beginning of a sentence that announces what follows: a few
// words and a colon.
var leadsIn = pattern.MustCompile(`^[^:` + "`" + `\d]{3,32}: ?\S+ \S`)

// reported tells a sentence in which a deed was said to be through.
func (ts *tries) reported(s said) bool {
	return slices.ContainsFunc(ts.all, func(a *try) bool { return a.last == s.msg && a.last > 0 && a.By == s.by })
}

// worked reports whether something had worked before a message.
func (ts *tries) worked(msg int) bool {
	return slices.ContainsFunc(ts.all, func(a *try) bool { return a.Outcome == Worked && a.msg < msg })
}

var tooSoon = anyOf(`spoke too soon`, `too soon`, `too early`)

// finding is the last thing that a person found before what worked was begun:
// what made them do it, when nobody called it the cause.
func (t *talk) finding(limit int) int {
	for i := len(t.said) - 1; i > 0; i-- {
		s := t.said[i]
		low := strings.ToLower(maskCode(s.text))
		if s.msg > limit || s.bot || s.asks || s.text == "" || s.line.quoted || s.label != "" || ruledOut.MatchString(low) || t.isDeed(s, nil) ||
			hedged.MatchString(low) || verdict(s.text) != 0 || escalates.MatchString(s.text) || wish.MatchString(low) || retracts.MatchString(low) {
			continue
		}
		if failing.MatchString(low) || figure.MatchString(s.text) || strings.Contains(s.text, "`") || changedBefore.MatchString(low) {
			return i
		}
	}
	return -1
}

var changedBefore = anyOf(`was (?:disabled|removed|deleted|changed|rotated|never|set|upgraded|left)`, `were (?:disabled|removed|deleted|changed|never)`, `never`, `rotated`, `wasn'?t`, `old`, `since the`, `leftover`, `forgot\w*`)

// backing tells "confirmed, error rate is back" from "confirmed, it is the disk".
func (t *talk) backing(low string) bool {
	return worked.MatchString(low) && !strings.Contains(low, "cause") && !strings.Contains(low, "culprit") && !strings.Contains(low, "found") && !strings.Contains(low, "turn")
}
