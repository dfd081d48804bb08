package thread

import (
	"slices"
	"strings"
)

// imply finds what worked where no deed is known that did, and people saw that
// something had: the message that is weighed as the one of the repair, else the
// last before the recovery that sounds like something done ("bundle fixed and
// pushed"). It reports whether it found one.
func (t *talk) imply(ts *tries, fixed *weighed, over int) bool {
	if ts.ended() {
		return false
	}
	list := t.sights(ts)
	seen := recovery(list, over)
	if seen < 0 {
		return false
	}
	at := -1
	for i, o := range list[:seen+1] {
		if !o.mends() || i == seen && !o.is["DID"] && !o.is["past"] || ts.failedAt(o.msg) {
			continue
		}
		at = i
		if fixed != nil && o.msg == fixed.msg {
			break
		}
	}
	if at < 0 {
		return false
	}
	o := list[at]
	a := ts.toldIn(o.msg)
	if a == nil {
		a = &try{Attempt: Attempt{Text: o.deed(), By: o.by, At: o.at, Sources: []Source{t.sources[o.msg]}}, msg: o.msg, executed: true}
		a.words = contentWords(a.Text)
		ts.all = append(ts.all, a)
		slices.SortStableFunc(ts.all, func(a, b *try) int { return a.msg - b.msg })
	}
	a.Outcome, a.Why, a.advised = Worked, "the last thing done before it worked", false
	a.Sources = appendSource(a.Sources, t.sources[list[seen].msg])
	return true
}

// recovery is the first of the messages that see something work, after the last
// that sees it fail, up to the end; -1 for none.
func recovery(list []*sight, over int) int {
	first, last := -1, -1
	for i, o := range list {
		if over >= 0 && o.msg > over {
			break
		}
		if i > 0 && !o.is["ASKS"] && (o.is["GONE"] || o.is["GOOD"] || o.is["bot-clears"]) {
			if first < 0 {
				first = i
			}
			continue
		}
		if o.is["THERE"] || o.is["BAD"] {
			first = -1
		}
		if o.msg == over {
			last = i
		}
	}
	if first < 0 {
		return last
	}
	return first
}

// mends reports a message of a person that sounds like something done to a
// system, and not like a supposition, a wish, or what is wrong.
func (o *sight) mends() bool {
	if o.bot || o.msg == 0 || o.is["report"] || o.is["HEDGED"] || o.is["WISH"] || o.is["BAD"] || o.is["THERE"] || o.is["TAKES"] || o.is["RULED-OUT"] || o.is["IF"] {
		return false
	}
	return o.is["DID"] || o.is["ANNOUNCED"] || o.is["past"] && !o.is["CAUSE"] || o.is["doing"] && !o.is["FAILS"] || o.is["DONE"] && o.is["fix"]
}

// deed is the sentence of a message that sounds most like something done.
func (o *sight) deed() string {
	best, most := "", -1
	for _, s := range o.said {
		did, announced, _, _ := acts(s.text)
		n := 0
		switch {
		case s.asks:
		case did:
			n = 3
		case announced, throughRE.MatchString(s.lower):
			n = 2
		case anyDeed.MatchString(s.text):
			n = 1
		}
		if n > most {
			best, most = strings.TrimSpace(s.text), n
		}
	}
	return best
}

// toldIn is the deed that a message tells, nil for none.
func (ts *tries) toldIn(msg int) *try {
	for _, a := range ts.all {
		if a.Sources[0].TS == ts.t.sources[msg].TS || a.msg == msg {
			return a
		}
	}
	return nil
}

// failedAt reports whether people said of what a message tells that it failed.
func (ts *tries) failedAt(msg int) bool {
	a := ts.toldIn(msg)
	return a != nil && a.Outcome == Failed
}
