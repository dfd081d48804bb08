package thread

import (
	"slices"
	"strings"
	"time"

	"prunella/thread/pattern"
)

// How a conversation says that it is over, from what says it best to what is
// taken where nothing does.
const (
	endDeclared = iota // a person closes it, or stops working on it
	endCleared         // the bot that opened it closes it
	endMild            // somebody calls everything normal
	endSeen            // the last that saw it work
	endParting         // the last short word
	endings
)

// over is the message that says that it is over, -1 when none does. A person's
// closing and a bot's count where they come first; else it is over when it was
// last seen to work. What is taken back by a relapse was no end.
func (t *talk) over(ts *tries) int {
	begun := t.repaired(ts)
	var at [endings]int
	forget := func(kinds ...int) {
		for _, k := range kinds {
			at[k] = -1
		}
	}
	forget(endDeclared, endCleared, endMild, endSeen, endParting)
	good := false // something was seen to work
	deeds := map[int]bool{}
	for _, a := range ts.all {
		if !a.advised && len(a.Commands) > 0 && !besides.MatchString(strings.ToLower(a.Text)) {
			deeds[a.msg] = true
		}
	}
	for i, s := range t.said {
		if s.msg < begun || s.asks || s.line.quoted || s.label == "followup" || s.pointsBack || s.at.Sub(t.timeOf(begun)) > 12*time.Hour {
			continue
		}
		low := strings.ToLower(maskCode(s.text))
		if deeds[s.msg] && s.msg > max(at[endSeen], at[endMild]) { // what was tried again was not over
			if !good {
				forget(endDeclared) // nothing had helped yet
			}
			forget(endSeen, endMild)
			delete(deeds, s.msg)
		}
		v, effect := verdict(s.text), ts.figures.effect(s)
		good = good || effect > 0
		switch {
		case s.bot:
			if reopens.MatchString(low) {
				forget(endDeclared, endCleared, endMild, endSeen)
			} else if at[endCleared] < 0 && (v > 0 && worked.MatchString(low) || alertOver.MatchString(low)) && (!halfWay.MatchString(low) || toOver.MatchString(low)) {
				at[endCleared] = s.msg
			}
		case reopens.MatchString(low), v < 0 && effect <= 0 && !looksAhead(s) && !partly.MatchString(low) && s.label == "" && at[endDeclared] < s.msg && !ruledOut.MatchString(low):
			forget(endMild, endCleared, endSeen)
			if t.relapse(low) {
				forget(endDeclared)
			}
		case unsays.MatchString(low) || leftOpen.MatchString(low):
		case saysOver(low) && (letClose.MatchString(low) || !conditional.MatchString(low) && !negatedGood.MatchString(low)):
			if at[endDeclared] < 0 && len(foreignTickets(t, s, begun)) == 0 {
				at[endDeclared] = s.msg
			}
		case t.hopes(s, low, ts):
		case closing.MatchString(low) && !strong.MatchString(low):
			if at[endMild] < 0 {
				at[endMild] = s.msg
			}
		}
		if !s.bot && t.sawItWork(i, ts, v, effect) {
			at[endSeen] = s.msg
		}
	}
	at[endParting] = t.parting(ts)
	if at[endDeclared] >= 0 && at[endCleared] >= 0 {
		return min(at[endDeclared], at[endCleared])
	}
	if at[endDeclared] < 0 && at[endCleared] < 0 && at[endMild] < 0 && at[endParting] > at[endSeen] {
		return at[endParting]
	}
	for _, m := range at {
		if m >= 0 {
			return m
		}
	}
	return -1
}

// repaired is the message from which it may be over: the last deed with a
// command that worked was through, or something was done.
func (t *talk) repaired(ts *tries) int {
	begun := len(t.c.Messages)
	for _, a := range ts.all {
		if !a.advised {
			begun = min(begun, a.msg)
		}
	}
	for _, a := range ts.all {
		if a.Outcome == Worked && len(a.Commands) > 0 {
			begun = max(begun, a.msg, a.last)
		}
	}
	return begun
}

// hopes reports a sentence that speaks of an end that has not come.
func (t *talk) hopes(s said, low string, ts *tries) bool {
	return conditional.MatchString(low) || negatedGood.MatchString(low) || wish.MatchString(low) || ts.reported(s) && len(t.clocks(s)) > 0
}

// sawItWork reports a sentence of a person who sees that it works: in words, or
// by figures that are no longer those of the failure.
func (t *talk) sawItWork(i int, ts *tries, v, effect int) bool {
	s := t.said[i]
	if isWish(s) || s.label != "" && s.label != "verification" && s.label != "timeline" {
		return false
	}
	switch {
	case strong.MatchString(s.lower) && !measured(s):
		return false
	case v > 0 && worked.MatchString(s.lower), effect > 0:
		return true
	}
	return v >= 0 && effect == 0 && ticketRE.FindString(s.text) == "" && !obliges.MatchString(s.lower) && !recursAgain.MatchString(s.lower) && !t.isDeed(s, ts) && (measured(s) || !failingNow(s.lower)) &&
		(measured(s) && !looksAround.MatchString(s.text) || observes.MatchString(s.lower) && asExpected.MatchString(s.lower))
}

// asExpected is what somebody who looked after the repair says of what they saw.
var asExpected = anyOf(`fine`, `ok(?:ay)?`, `good`, `well`, `clean`, `green`, `pass(?:es|ed|ing)?`, `success\w*`, `as (?:it should|expected|usual|before)`, `expected`, `correct\w*`, `normal\w*`, `healthy`, `sane`, `intact`, `right`, `in order`, `nothing (?:odd|unusual|wrong|bad|new)`, `no (?:errors?|failures?|complaints|problems?|issues?)`, `smooth(?:ly)?`, `without (?:a |any )?(?:hitch|error|problem|retry|single \w+)s?`, `all (?:of them|there|in)`, `through`)

// foreignTickets are the tickets of a sentence that nobody named before the
// repair: closing one of them is work that was left.
func foreignTickets(t *talk, s said, begun int) []string {
	var out []string
	for _, k := range ticketRE.FindAllString(s.text, -1) {
		k = strings.TrimSpace(k)
		if !slices.ContainsFunc(t.said, func(o said) bool { return (o.msg < begun || o.bot) && strings.Contains(o.text, k) }) {
			out = append(out, k)
		}
	}
	return out
}

// saysOver reports a sentence with a short clause in which somebody ends it.
func saysOver(low string) bool {
	if bareEnd.MatchString(low) {
		return true
	}
	if !overNow.MatchString(low) && !shuts.MatchString(low) && !stopsWork.MatchString(low) {
		return false
	}
	for _, c := range clauses(low) {
		if len(strings.Fields(c)) < 13 && !undone.MatchString(c) && (overNow.MatchString(c) || shuts.MatchString(c) || stopsWork.MatchString(c)) && !againOver.MatchString(c) {
			return true
		}
	}
	return false
}

var (
	// undone is a clause about an end that is still to come.
	undone    = anyOf(`should`, `must`, `need(?:s|ed)? to`, `to-?do`, `have to`, `ought to`, `before`, `once`, `if`, `when`, `until`, `unless`, `as soon as`, `hope(?:fully)?`, `wait(?:ing)?`)
	bareEnd   = pattern.MustCompile(`^\W*(?:(?:ok(?:ay)?|and|so|great|good|right|now|all|alright|thanks|done)\W+)*(?:closed|closing|resolved|over|solved|ended|concluded|fin|eom|eof)\W*$`)
	againOver = pattern.MustCompile(`\ball over\b|\bover again\b|\bbefore (?:it|this|that|we|i)\b`)
	letClose  = pattern.MustCompile(`(?i)\b(?:you|we|one|they)(?: (?:may|can|could))(?: (?:now|then|please|just|go ahead and))* close\b`)
)

// parting is the last short message after what worked, before talk turns to
// what is to be done about it: where nobody says that it is over in words that
// are known, that is where they stop.
func (t *talk) parting(ts *tries) int {
	var fix *try
	for _, a := range ts.all {
		if a.Outcome == Worked && len(a.Commands) > 0 {
			fix = a
		}
	}
	best := -1
	for _, s := range t.said {
		if fix == nil || s.msg <= max(fix.msg, fix.last) || s.bot {
			continue
		}
		if s.at.Sub(fix.At) > 90*time.Minute || bareNote(s) || hidden.MatchString(s.text) || strings.Contains(s.text, "`") || leftOpen.MatchString(s.text) || comingTime.MatchString(s.lower) || recursAgain.MatchString(s.lower) || s.pointsBack || isWish(s) || tookCare.MatchString(s.text) || escalates.MatchString(s.text) || s.label != "" || mentionRE.MatchString(s.text) || recurring.MatchString(s.lower) {
			break
		}
		if n := len(strings.Fields(s.text)); n > 0 && n <= 8 && !s.asks && len(s.snippets()) == 0 && !strings.ContainsAny(s.text, "0123456789") {
			best = s.msg
		}
	}
	return best
}

var (
	alertOver = pattern.MustCompile(`(?i)^\W*(?:recovered|resolved|ok|closed|cleared|normal|up|healthy|green|back to normal|recovery|succeeded|passing|end(?:ed)?|inactive)\b|(?:→|->|=>|\bto\b|\bis\b|\bnow\b|:)\s*(?:resolved|closed|recovered|ok|healthy|operational|completed?|done)\b|\ball clear\b|\b(?:ended|closed|resolved) (?:\S+-\d+|the incident|it|this)\b|\bdeclared over\b|\bhas (?:now )?(?:ended|been (?:resolved|closed|completed))\b`)
	shuts     = anyOf(`clos(?:e|ed|es|ing) (?:out )?(?:the |this |our |my |your |all |its |their )?(?:incident |support )?(?:ticket|case|call|request|incident)s?`)
	toOver    = pattern.MustCompile(`(?i)(?:→|->|=>|\bto\b|\bis now\b)\W*(?:resolved|closed|over)\b`)
	leftOpen  = pattern.MustCompile(`(?i)\b(?:leav|keep|left|kept|stay|remain)\w*\b.{0,40}\bopen\b`)
	halfWay   = anyOf(`mitigated`, `monitoring`, `identified`, `cause known`, `stabili[sz]ed`, `acknowledged`)
)

// stopsWork says that people stop working on it: they end what they met in, let
// each other go, say that it is behind them, or turn to what they did before.
var stopsWork = anyOf(
	// verbs of ending, and what is ended
	`(?:clos(?:e|ed|es|ing)|end(?:ed|ing|s)?|wrap(?:ped|ping|s)?(?: up)?|finish(?:ed|ing)?|conclud(?:e|ed|ing)|adjourn(?:ed|ing)?|dissolv(?:e|ed|ing)|disband(?:ed|ing)?|shut(?:ting)?(?: down)?|archiv(?:e|ed|ing)|releas(?:e|ed|ing)|clear(?:ed|ing)|fil(?:e|ed|ing)|complet(?:e|ed|ing)|terminat(?:e|ed|ing)|leaving|dropping(?: off)?|hanging up|jumping off)(?: (?:out|up|off|down|on|from))?(?: (?:the|this|our|my|your|that|its|their|all|a|an))*(?: [\w-]+(?:'s)?)? (?:incident|outage|disruption|disturbance|fault|trouble|major|bridge|call|huddle|(?:war ?)?room|channel|thread|task|ticket|case|topic|matter|chapter|loop|meeting|zoom|one|this|that|it|shop|book|page|side|investigation|response|record|report|activity)`,
	`(?:incident|outage|disruption|disturbance|fault|trouble|major|bridge|call|huddle|(?:war ?)?room|channel|thread|task|ticket|case|topic|matter|chapter|loop|meeting|zoom|one|this|that|it|shop|book|page|side|investigation|response|record|report|activity)(?: [\w-]+)?(?:'s|(?: (?:is|are|was|has been|can be|may be|being|now|hereby|considered|marked|as|itself|all|officially))+)? (?:over|closed|ended|done with|settled|concluded|completed?|remedied|terminated|cleared|archived|solved|resolved|wrapped(?: up)?|adjourned|dismissed|dealt with|history|behind us|dead|put to (?:bed|rest))`,
	`(?:alarm|alert|incident|outage|disruption|emergency|major|sev\S*|red|warning)(?: (?:state|status|level|mode|condition))?(?: (?:is|was|has been|now|hereby))* (?:lifted|withdrawn|called off|cancelled|revoked|downgraded|stood down|removed)`, `(?:withdraw|lift|cancel|revok|call)(?:ing|e|s|ed)? (?:off )?(?:the |our |this |my )(?:alarm|alert|report|incident|request|emergency|call)(?: off)?`,
	`(?:you|we|one|they|everybody|please)(?: (?:may|can|could|should|now|please|then|just))* close(?: (?:it|this|the|that|our|up|out|now))*`,
	`st(?:and|ood|ands)(?:ing)?(?: [\w'-]+){1,3} down`, `stood down`,
	// who is let go
	`(?:you|everyone|everybody|all|we|people|folks)(?: (?:can|may|are|all|now|free))+ (?:go|leave|drop(?: off)?|relax|sleep|rest|dismissed|to go|stand easy)`, `releas(?:e|ing|ed) (?:the |all )?(?:responders|everyone|everybody|helpers)`, `at ease`, `as you were`,
	// what it is called
	`out of the woods`, `in the clear`, `(?:that'?s|that is|thats) (?:it|all|that)(?: then| folks| from (?:me|us|my side|here))?`, `call(?:ing|ed)? it(?: a (?:day|night)| done| fixed| closed| good| over)?`, `(?:consider|call|deem|declar|mark|treat|regard|file|sett?)(?:ing|ed|e)? (?:(?:this|it|that|ourselves|the \w+|our \w+)(?: as| to be)?|as) (?:done|over|closed|fixed|resolved|finished|solved|settled|sorted|good|history|clear|completed?|remedied|dealt with)`,
	`(?:crisis|storm|danger|emergency|excitement|panic|nightmare|saga|fun) (?:is |was |has )?(?:averted|over|passed|gone|past|ended)`, `all clear`, `(?:final|last|closing) (?:update|message|status|statement|word|sitrep|note)`, `no further (?:action|updates?|work|steps?)(?: \w+)?`, `nothing (?:left|more|further|else) (?:to do|for (?:us|me)|from (?:us|me))`,
	// where they turn to
	`(?:back|off|on) to (?:bed|sleep|work|lunch|dinner|breakfast|the (?:sofa|party|kids|family|movie|weekend|meeting)|my (?:\w+ )?\w+|what(?:ever)? (?:i|we) (?:was|were) (?:doing|at|up to)|normal operations?|business as usual|regular \w+)`, `(?:going|heading|gone|go) (?:home|to (?:bed|sleep)|back to (?:bed|sleep))`, `(?:have a|enjoy (?:the|your)|wish (?:you|everyone) a) (?:(?:good|nice|quiet|great|calm|lovely|pleasant|restful|rest of) )*(?:\w+ )?(?:night|evening|day|weekend|morning|afternoon|rest|one|lunch|holidays?)`, `sleep (?:well|tight)`, `laptop (?:closed|shut)`, `pack(?:ing)? up`, `clocking (?:out|off)`, `stepping away`,
	// and what is lifted
	`(?:tak(?:e|ing)|took|taken|pull(?:ing|ed)?|remov(?:e|ing|ed)|clear(?:ing|ed)?|lift(?:ing|ed)?)(?: [\w-]+){0,3} (?:banner|notice|maintenance page|sign|embargo|freeze)(?: (?:off|down|again))*`, `(?:banner|notice|maintenance page) (?:is |has been |was )?(?:down|off|removed|gone|cleared|lifted)`,
)

// reopens takes an end back, whatever was said before.
var reopens = anyOf(`re-?open(?:ed|s|ing)?`, `not over`, `(?:un|re)-?resolved`)

func (t *talk) relapse(low string) bool {
	return comesBack.MatchString(low) || corrects.MatchString(low)
}
