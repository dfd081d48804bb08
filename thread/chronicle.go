package thread

import (
	"strings"
	"time"

	"prunella/thread/pattern"
)

// entry is a line of a timeline.
type entry struct {
	s  said
	at time.Time
}

// chronicle reads a timeline: it begins with the first sign and ends with the
// end; of what stands between, words tell finding from mending. What stands
// right before the last thing done, and is no deed, is what was found.
func (t *talk) chronicle(state func(string, said, time.Time, string, bool)) {
	var list []entry
	for _, s := range t.said {
		if s.label != "timeline" && !t.narrated[s.msg] || s.line.quoted {
			continue
		}
		if times := t.clocks(s); len(times) > 0 {
			list = append(list, entry{s, times[0]})
		}
	}
	if len(list) < 2 {
		return
	}
	last := len(list) - 1
	end := last
	for i := last; i > 0; i-- {
		if low := strings.ToLower(list[i].s.text); endsWith.MatchString(low) || closing.MatchString(low) || overNow.MatchString(low) {
			end = i
			break
		}
	}
	fixed, found := -1, -1
	for i, e := range list {
		low := strings.ToLower(e.s.text)
		switch {
		case i == 0 && !finds.MatchString(low):
			state("started", e.s, e.at, "stated", true)
		case i == end && (i == last || endsWith.MatchString(low) || closing.MatchString(low)):
			state("resolved", e.s, e.at, "stated", true)
		case finds.MatchString(low) && fixed < 0:
			found = i
		case i > 0 && i < end && (mends.MatchString(low) || t.isDeed(withoutClock(e.s), nil) || i == end-1):
			fixed = i
		}
	}
	if found < 0 && fixed > 1 && !t.isDeed(withoutClock(list[fixed-1].s), nil) {
		found = fixed - 1
	}
	if found >= 0 {
		state("diagnosed", list[found].s, list[found].at, "stated", false)
	}
	if fixed >= 0 {
		state("fixed", list[fixed].s, list[fixed].at, "stated", false)
	}
}

// withoutClock is an entry without the time that it begins with.
func withoutClock(s said) said {
	s.text = clockLead.ReplaceAllString(s.text, "")
	return s
}

// clockLead is the time that a line of a log begins with, as people write it.
var clockLead = pattern.MustCompile(`(?i)^\W*(?:at |around |about |~ ?)?(?:T ?\+ ?)?[012]?\d:[0-5]\d(?::[0-5]\d)?\s?(?:utc|z|gmt|h|[a-z]{3,4}t)?\s?(?:am|pm)?\]?\s*(?:[-–—:|,>]+|\s)\s*`)

// findNarrated marks the messages that tell the whole course with its times,
// under whatever heading or none: three sentences or more that name a time,
// each no earlier than the one before.
func (t *talk) findNarrated() {
	t.narrated = map[int]bool{}
	times := map[int][]time.Time{}
	for _, s := range t.said {
		if s.bot || s.line.quoted || s.label == "followup" {
			continue
		}
		if at := t.clocks(s); len(at) > 0 {
			times[s.msg] = append(times[s.msg], at[0])
		}
	}
	for msg, list := range times {
		ordered := len(list) > 2 && list[len(list)-1].Sub(list[0]) > 2*time.Minute
		for i := 1; i < len(list); i++ {
			ordered = ordered && !list[i].Before(list[i-1])
		}
		t.narrated[msg] = ordered && msg > 0
	}
}

var (
	finds    = anyOf(`(?:root )?cause`, `origin`, `culprit`, `reason`, `source`, `identified`, `found`, `finding`, `understood`, `diagnos\w+`, `traced`, `located`, `pinpoint\w*`, `isolated`, `spotted`, `figured out`, `discovered`, `narrowed`, `tracked down`, `suspicion confirmed`, `hypothesis confirmed`, `explained`)
	mends    = anyOf(`fix\w*`, `mitigat\w+`, `remed\w+`, `repair\w*`, `workaround`, `roll(?:ed|ing)? ?(?:back|out|forward)`, `revert\w*`, `appl(?:ied|y|ying)`, `deployed`, `restored`, `replaced`, `patched`, `hot ?fix\w*`, `correct(?:ed|ion)`, `countermeasure`, `fail(?:ed)? ?over`, `switched`, `restarted`, `change (?:in|made|applied)`)
	endsWith = anyOf(`resolved`, `recover(?:ed|y)`, `normal`, `closed`, `over`, `ended`, `end`, `all clear`, `clear`, `no (?:more|longer|further)`, `last (?:customer|user|error|failure|alert)`, `healthy`, `green`, `stable`, `confirmed (?:ok|good|fixed|working)`, `service restored`, `back`, `nominal`, `stood down`, `standing down`)
)
