package thread

import (
	"slices"
	"strings"
	"time"

	"prunella/thread/pattern"
)

// placeAfter places what is said after the deed that worked.
func (t *talk) placeAfter(i int, s said, low string, ts *tries, c turns) (place, rule string) {
	v, act := verdict(s.text), t.afterwards(i, ts, c)
	switch {
	case act == "manners" && v > 0 && !gratitude.MatchString(s.text):
		return "verification", "seen-after-the-fix"
	case act == "plan" || act == "done" || act == "pointer" || act == "manners":
		return "", ""
	case act == "escalation":
		return "escalation", "somebody-called"
	case act == "recurs":
		return "recurs", "why-again"
	case s.asks, polite.MatchString(s.text):
		return "", ""
	case act != "plan" && len(s.snippets()) > 0 && !slices.ContainsFunc(s.snippets(), snippet.surely) && looksWith.MatchString(withoutCode.ReplaceAllString(s.text, "")):
		return "verification", "checked"
	case act == "reading" && v >= 0:
		return "verification", "figures-after-the-fix"
	case v > 0 && (verified.MatchString(low) || figure.MatchString(s.text) || worked.MatchString(low)):
		return "verification", "seen-after-the-fix"
	case v >= 0 && observes.MatchString(low) && !startsAt.MatchString(low) && !failingNow(low) && !strong.MatchString(low) && !looksAround.MatchString(s.text) && !t.isDeed(s, ts):
		return "verification", "verified"
	case t.isDeed(s, ts):
		return "", ""
	case strong.MatchString(low) && !hedged.MatchString(low), causal.MatchString(low) && c.cause >= 0 && abs(s.msg-t.said[c.cause].msg) <= 1 && !hedged.MatchString(low):
		return "diagnosis", "cause-explained"
	case failing.MatchString(low) && c.cause >= 0 && i < c.cause && v <= 0 && !t.aboutDeed(s, ts) && !future.MatchString(low):
		return "symptom", "failing"
	case act == "remark":
		return "recurs", "said-afterwards"
	}
	return "", ""
}

var polite = pattern.MustCompile(`(?i)^\W*(?:kindly|please|pls|can (?:you|someone)|could (?:you|someone)|would you|let me know|tell me|shout)\b`)

// afterwards is what somebody does with a sentence after something helped:
// "reading" (looks at figures), "manners" (thanks, closes), "pointer" (to an
// earlier time), "escalation", "plan", "done" (of what was planned), "recurs"
// (why it will come back), "remark" (a statement of another kind about how
// things are), or "".
func (t *talk) afterwards(i int, ts *tries, c turns) string {
	s := t.said[i]
	low := strings.ToLower(maskCode(s.text))
	plan := s.label == "followup" || s.line.boxed || len(c.tickets(s.text)) > 0 && !again.MatchString(low)
	calls := whomToCall.MatchString(s.text) || nextLevel.MatchString(s.text) || wasCalled.MatchString(s.text) || escalates.MatchString(s.text)
	if bareNote(s) {
		return ""
	}
	late := c.over >= 0 && s.at.Sub(t.timeOf(c.over)) > 3*time.Hour
	words := len(contentWords(withoutCode.ReplaceAllString(hidden.ReplaceAllString(s.text, " "), " ")))
	switch {
	case plan && s.label == "followup":
		return "plan"
	case again.MatchString(low) && explicitRef(s.text) || points.MatchString(s.text) && explicitRef(s.text):
		return "pointer"
	case calls && !s.asks && s.label == "" && !assignsWork.MatchString(s.text):
		return "escalation"
	case ts.reported(s) && ts.figures.effect(s) <= 0, hidden.MatchString(s.text) && words < 5:
		return ""
	case overNow.MatchString(low) && words < 6 && !s.asks && s.label == "":
		return "manners"
	case s.listed && s.msg > c.end && !measured(s) && verdict(s.text) <= 0 && !takesOff(low):
		return "plan"
	case tookCare.MatchString(s.text) && words > 2, isDone(s.text) && doneLead.MatchString(s.text) && s.msg > c.end:
		return "done"
	case closing.MatchString(low) && words < 7 && !s.asks && s.label == "":
		return "manners"
	case late && words > 2 && !gratitude.MatchString(s.text) && !s.asks && s.label == "" && !isWish(s) && !listsFacts(t, s):
		return "done"
	case plan:
		return "plan"
	case measured(s) && verdict(s.text) >= 0 && (ts.figures.effect(s) > 0 && len(s.snippets()) == 0 || !t.isDeed(s, ts)) && !obliges.MatchString(low) && (ts.figures.effect(s) > 0 && len(meters(s.text)) > 0 || !looksAround.MatchString(s.text)):
		return "reading"
	case gratitude.MatchString(s.text) && !obliges.MatchString(low), overNow.MatchString(low) && words < 7, looksAround.MatchString(s.text) && waits.MatchString(s.text):
		return "manners"
	case iShall.MatchString(s.text) && words > 2 && !s.asks && !comesAgain.MatchString(low):
		return "plan"
	case preventing.MatchString(s.text):
		if lead, rest := leadOf(s.text); lead != "" && !orderText(rest) && !obliges.MatchString(rest) && len(contentWords(rest)) > 2 {
			return "recurs"
		}
		return "plan"
	case becauseRE.MatchString(s.text) && words > 2:
		return "recurs"
	case (deeper.MatchString(low) || recursAgain.MatchString(low) || recurring.MatchString(low)) && words > 2 && !s.asks && verdict(s.text) <= 0 && !measured(s):
		return "recurs"
	case isWish(s), obliges.MatchString(low) && words > 1 && (!s.asks || obligesAsk.MatchString(low)), words > 1 && !s.asks && verdict(s.text) == 0 && orderText(s.text) && s.msg > c.end:
		return "plan"
	}
	if i > 0 && asksWhy.MatchString(t.said[i-1].text) && t.said[i-1].by != s.by && words > 2 && !s.asks {
		return "recurs"
	}
	if lead, rest := leadOf(s.text); lead != "" && !s.asks && s.msg > c.end {
		switch {
		case orderText(rest):
			return "plan"
		case aside.MatchString(lead) && verdict(rest) == 0 && !measured(s) && len(contentWords(rest)) > 2 && len(s.snippets()) == 0:
			return "recurs"
		}
	}
	past := c.over >= 0 && s.msg >= c.over || c.over < 0 && s.msg > c.end+1
	if past && words > 2 && !s.asks && verdict(s.text) == 0 && generally.MatchString(low) && !mentionRE.MatchString(s.text) && len(s.snippets()) == 0 && (c.names(s) || t.shares(i, c)) {
		return "remark"
	}
	return ""
}

// bareNote reports a sentence that is little more than a piece of code that is
// no command: "request id `0a75f468`".
func bareNote(s said) bool {
	return strings.Contains(s.text, "`") && len(s.snippets()) == 0 && len(contentWords(withoutCode.ReplaceAllString(s.text, ""))) < 3
}

// shares reports whether a sentence takes up a word of the cause or the symptoms.
func (t *talk) shares(i int, c turns) bool {
	w := contentWords(t.said[i].text)
	if c.cause >= 0 && shared(w, contentWords(t.said[c.cause].text)) > 0 {
		return true
	}
	n := 0
	for _, s := range t.said[:i] {
		n += shared(w, contentWords(s.text))
	}
	return n > 1
}

// listsFacts reports a sentence of a message with headings: a report.
func listsFacts(t *talk, s said) bool {
	return slices.ContainsFunc(t.said, func(o said) bool { return o.msg == s.msg && o.label != "" })
}

// asksWhy is a question whether, or why, it will come back.
var asksWhy = pattern.MustCompile(`(?i)\b(?:come back|happen again|again|recur|return|bite us|next time|repeat|why (?:did|does|do|could|was|is|can))\b.*\?`)

var (
	iShall      = pattern.MustCompile(`(?i)^\W*(?:(?:me|mine|ok|sure|yes|fine|and|also|so|then)[,:. ]+)*(?:i|we)(?:'ll| will| shall|'m going to| am going to|'re going to) (?:also |then |just )?[a-z-]+`)
	comesAgain  = anyOf(`again`, `be back`, `next time`, `(?:see|meet|hit|have|get|face|repeat|suffer) (?:this|it|that|these)`, `keep \w+ing`, `regret`, `pay`)
	becauseRE   = pattern.MustCompile(`(?i)^\W*(?:and )?(?:because|since|as|reason being|that is because|the reason is)\b,? [a-z]`)
	aside       = pattern.MustCompile(`(?i)\b(?:off the record|between us|honestly|frankly|truth is|to be (?:fair|honest)|note|nb|n\.b\.?|remark|observation|comment|lesson|learning|thought|reminder|caveat|warning|mind you|by the way|btw|fun fact|sad truth|for the (?:record|retro|post-?mortem|review|book|books|write-up|next retro)|background|context|root|deeper|why|ps|p\.s\.?)\b`)
	hidden      = pattern.MustCompile(`\[redacted [^\]]*\]`)
	tookCare    = pattern.MustCompile(`(?i)\b(?:off|from|ticked off) (?:the|our|my) list\b|\bmeanwhile, so\b|^\W*(?:(?:ok|and|also|i|we|@[\w.-]+|update:?|fyi,?) )*(?:took care of|taken care of|already done|already in|done already|circling back|late update|closing the loop|as promised|as announced|the morning after|the next (?:day|morning)|day after|belated)\b`)
	preventing  = pattern.MustCompile(`(?i)^\W*(?:and |so |in order )?(?:to|for) (?:prevent|avoid|prevention|preventing|avoiding|stop|keep|make sure|the (?:post[- ]?mortem|retro\w*|review|backlog|list|record|next))\b`)
	points      = pattern.MustCompile(`(?i)\b(?:link(?:s|ed|ing)?|like|cf|see|twin|sibling|cousin|duplicat\w*|same|similar|again|second|first|repeat|déjà|deja|reminds?|matches|remember|recall|already|before|compare|related|identical|copy|all over|nor|echo)\b`)
	doneLead    = pattern.MustCompile(`(?i)^(?:already|took care|taken care|done|just (?:did|finished|merged|shipped)|also done|by the way|btw|fyi|meanwhile|update|late update|circling back|follow[- ]?up|as of|since|in the meantime|\S+-\d+)\b|\balready\b|\bnow\W*$`)
	assignsWork = pattern.MustCompile(`(?i)\b(?:follow[- ]?up|ticket|action item|todo|to-?do|alert (?:on|when|for|if|before|once|about)|page (?:on|when|for|if|before|once))\b`)
	obligesAsk  = anyOf(`who (?:can|could|will|wants|takes)`, `can (?:someone|somebody|anyone|we|you)`, `should we`, `could we`, `shall we`, `necessary`, `volunteers?`)
)
