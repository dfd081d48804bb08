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
	t.topic, t.firstLook = t.about(), 0
	for _, s := range t.said {
		if len(s.snippets()) > 0 && !s.bot {
			t.firstLook = s.msg
			break
		}
	}
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
		if s.bot && !t.botFound(i) || s.line.quoted || s.text == "" || s.label != "" && s.label != "cause" || i == 0 && s.label == "" {
			continue
		}
		if p := t.causeLike(i, s, ts, begin, limit); p > most || p == most && s.msg <= limit {
			best, most = i, p
		}
	}
	if i := t.lastWord(limit); i >= 0 && most < 3 {
		best = i
	}
	if best < 0 {
		best = t.together(ts)
	}
	if best < 0 {
		best = t.finding(limit)
	}
	return best
}

// together is the sentence that tells cause and repair in one breath: "the pool
// was exhausted, killed the session, errors are gone".
func (t *talk) together(ts *tries) int {
	for i, s := range t.said {
		if i == 0 || s.bot || s.asks || s.label != "" || !slices.ContainsFunc(ts.all, func(a *try) bool { return a.Outcome == Worked && a.msg == s.msg }) {
			continue
		}
		for _, c := range clauses(s.text) {
			low := strings.ToLower(maskCode(c))
			if did, announced, advised, _ := acts(c); did || announced || advised {
				break // the reason stands before the deed
			}
			if len(contentWords(low)) > 2 && (defect.MatchString(low) || causal.MatchString(low)) && verdict(c) == 0 && !hedged.MatchString(low) && !ruledOut.MatchString(low) && !future.MatchString(low) && !takeRE.MatchString(c) {
				return i
			}
		}
	}
	return -1
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
	add(1, defect.MatchString(low) && prose > 3)
	add(0.6, t.topic != nil && shared(contentWords(s.text), t.topic) > 0)
	add(-2.5, ownPlan.MatchString(low) && !strong.MatchString(low))
	add(-2, verdict(s.text) != 0 && !strong.MatchString(low) && !causal.MatchString(low))
	add(1.5, i > 0 && t.said[i-1].msg == s.msg && findsOut.MatchString(t.said[i-1].lower) && prose > 2)
	add(4, i > 0 && t.said[i-1].msg == s.msg && reasonNext.MatchString(t.said[i-1].text))
	add(-2.5, i > 0 && t.said[i-1].msg == s.msg && takesOff(t.said[i-1].lower) && !strong.MatchString(low))
	add(4, s.bot)
	add(-3, gratitude.MatchString(s.text) && prose < 5)
	timed := len(t.clocks(s)) > 0
	add(-3, timed && startsAt.MatchString(low) && prose < 5)
	add(3, s.msg > limit && prose > 3 && explains.MatchString(s.text))
	add(3, s.msg > limit && prose > 3 && i > 0 && t.said[i-1].msg == s.msg && asksFor.MatchString(t.said[i-1].text))
	add(-3, answers(s) && !strong.MatchString(low))
	add(-1.5, s.msg < t.firstLook && !strong.MatchString(low))
	add(0.7, s.msg >= limit-5 && s.msg <= limit)
	add(2, leadCause.MatchString(s.text))
	add(min(1, 0.2*float64(prose)), prose > 2)
	add(-2, prose < 3)
	add(-1, prose == 3)
	add(1.5, s.msg >= begin && s.msg <= limit)
	add(1, s.msg >= limit-2 && s.msg <= limit+1)
	add(-1, s.msg > limit+3)
	add(-2.5, s.msg > limit && !strong.MatchString(low) && !causal.MatchString(low) && s.label == "")
	add(-4, s.asks)
	add(-3, hedged.MatchString(low))
	add(-3, ruledOut.MatchString(low) || answersNo.MatchString(low) && !strong.MatchString(low) || lookedAt.MatchString(low) && !strong.MatchString(low))
	effect := ts.figures.effect(s) != 0
	add(-2.5, effect && s.label == "" && !strong.MatchString(low))
	add(-1, effect && strong.MatchString(low) && len(meters(s.text)) > 0)
	add(3, s.msg > limit && prose > 3 && defect.MatchString(low) && (hindsight.MatchString(low) || i > 0 && t.said[i-1].msg == s.msg && hindsight.MatchString(t.said[i-1].lower)))
	add(-3, ts.reported(s) && !strong.MatchString(low))
	add(0.7, leadsIn.MatchString(s.text) && prose > 4)
	add(-3, len(s.snippets()) > 0 && len(changing(s.snippets())) == 0 && prose < 5)
	add(-2.5, len(changing(s.snippets())) > 0 && !strong.MatchString(low) && !causal.MatchString(low))
	add(-2.5, s.msg < t.firstLook && confirms.MatchString(low))
	add(-3, takeRE.MatchString(s.text) || s.claim())
	add(-2.5, isWish(s) || escalates.MatchString(s.text))
	add(-2.5, t.isDeed(s, ts) && !strong.MatchString(low))
	add(-3, (deeper.MatchString(low) || recurring.MatchString(low)) && ts.worked(s.msg) && !strings.Contains(low, "root cause"))
	add(-3, retracts.MatchString(low) && !tooSoon.MatchString(low) && !gotIt.MatchString(low))
	add(-3, s.msg >= limit && !strong.MatchString(low) && !causal.MatchString(low) && (isPast(s.text) || doneWord.MatchString(low) || throughRE.MatchString(low)))
	add(-2, again.MatchString(low) && explicitRef(s.text))
	add(-1.5, timed && !strong.MatchString(low))
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

// gotIt takes nothing back: "nope, got it".
var gotIt = pattern.MustCompile(`\b(?:got|found|have) it\b|\bknow (?:what|why)\b`)

// botFound reports a sentence of a bot that hands on what was found: it says so
// itself, or right before.
func (t *talk) botFound(i int) bool {
	s := t.said[i]
	if len(contentWords(s.text)) < 3 || alertField.MatchString(s.text) {
		return false
	}
	return i > 0 && t.said[i-1].msg == s.msg && causeFound.MatchString(t.said[i-1].text) && len(contentWords(t.said[i-1].text)) < 6 || causeFound.MatchString(s.text) && leadsIn.MatchString(s.text)
}

var (
	causeFound = pattern.MustCompile(`(?i)\b(?:cause|reason|culprit|origin|fault|problem|issue|bug|source|trigger|diagnosis)(?: (?:is|was|has been|now))* (?:found|identified|known|located|determined|confirmed|isolated|established|clear|pinned|understood)\b|\b(?:found|identified|located|isolated|determined|know|understood) (?:the |our |a )?(?:root )?(?:cause|reason|culprit|origin|fault|problem|bug)\b`)
	// explains is how somebody begins to say why it happened, when it works again.
	explains = pattern.MustCompile(`(?i)^\W*(?:(?:ok|so|and|now|well|also|btw|fyi)\W+)*(?:for (?:the )?(?:curious|interested|record|completeness|history|those (?:who|asking)|anyone (?:curious|wondering|interested))|(?:as|now) (?:to|for) (?:the |its |what |why )?\w+|(?:in case|if) (?:you|anyone|anybody|somebody|someone)(?:'s| is| are|'re)? (?:wonder\w*|curious|interested|ask\w*)|post[- ]?(?:factum|mortem|scriptum)|post factum|after the fact|in (?:hindsight|retrospect)|(?:the )?(?:reason|cause|explanation|root cause|background|story|what (?:had )?happened|why it \w+|the why)(?: was| is)?|ps|p\.s\.?|it was because|because)\b[^.]{0,30}?[:,–—-]\s+\S`)
	// asksFor is a whole sentence that announces the reason.
	asksFor = pattern.MustCompile(`(?i)\b(?:asked|wondering|curious|promised|owe you|as to|about|now for|here(?:'s| is| comes)|explain)\b.*\b(?:reason|cause|why|explanation|what happened|background|story)\b`)
)

// answers reports a sentence that dismisses what was supposed, with its reason:
// it says what it is not.
func answers(s said) bool { return denies.MatchString(s.text) || notIt.MatchString(s.lower) }

// notIt dismisses what was supposed.
var notIt = anyOf(`(?:does|do|did|would|could|can)(?:n'?t| not) (?:fit|match|explain|add up|hold|apply)`, `(?:can(?:'?t|not| not)|could(?:n'?t| not)) be`, `without (?:findings|result)`, `nothing (?:found|there)`, `no findings`, `(?:good|nice|fair|reasonable) (?:guess|idea|thought|point) but`, `(?:thought so|my (?:first )?(?:thought|guess|idea|hunch)|suspected that)(?: exactly)?(?:,? too|,? as well|,? first)?,? but`, `thought so too`, `already (?:checked|looked|eliminated|excluded)`, `(?:eliminated|checked|excluded|verified) (?:that|it|this)(?: already)?`, `you lose`, `disagree`, `but no`, `also not`, `not (?:that|it|this) either`, `(?:don'?t|do not) think so`, `tak(?:e|ing) (?:it|that) back`, `dismissed`, `excludes?`, `(?:can'?t|cannot|can not) blame`, `(?:works?|runs?|behaves?) (?:to spec|as (?:it should|designed|intended|usual))`, `looked at (?:that|it|this)(?: already| first)?`, `answered in the negative`, `disproved`, `ruling (?:that |this |it )?out`)

// A cause says of a thing what state it is in, or what was done to it; not what
// somebody is about to do. Whoever found it often says that they did, first.
var (
	defect     = anyOf(`(?:is|are|was|were|has been|have been|had been|got|gets|being|been) (?:\w+ly |still |never |only |not |now |no longer |just |also |all )*\w+(?:ed|en|wn|pt|ft|lt|nt|st|ut|it|et|ought|aid|ung|ade|old|one|ept)`, `has (?:no|only|two|another|both|neither|the wrong|an old|a stale)`, `lacks?`, `without`, `no longer`, `never`, `nobody`, `only`, `instead of`, `although`, `while`, `since`, `because`, `so`, `stale`, `old`, `wrong`, `another`, `other`, `different`, `both`, `same`, `too (?:small|large|low|high|short|long|many|few|big|strict|old|new)`, `ran out`, `runs? out`, `expired`, `left`, `lost`, `forgot\w*`, `still`, `not`, `cannot`, `does(?:n'?t| not)`, `do(?:n'?t| not)`, `after the`, `by the`, `from the`, `was`, `were`, `keeps?`, `holds?`, `points? (?:to|at)`, `missing`, `empty`, `none`)
	ownPlan    = pattern.MustCompile(`(?i)^\W*(?:(?:ok|so|then|now|alright|right|well|and|but|yes|no|first|next|plan|proposal|idea|remedy|step \d|bandage|workaround|mitigation)[,.: ]+)*(?:i'?d (?:rather|like|go|say|suggest|propose)|i (?:would|will|am|want|can|could|have to|need to|propose|suggest)|i'?ll|i'?m|we'?ll|we (?:should|will|can|could|need|know what|have to|are)|let'?s|let me|give me|plan[: ]|propos\w+|decided|shall|going|trying|to \w+|can we|could we|may i|should)\b`)
	reasonNext = pattern.MustCompile(`(?i)\b(?:here is|here'?s|now for|the|for the record,? the) (?:the )?(?:reason|why|explanation|cause|story|background|diagnosis|what happened)\b[^.]{0,20}\W*$`)
	findsOut   = anyOf(`found`, `finally`, `spotted`, `understand`, `understood`, `got it`, `know (?:it|why|what|now)`, `aha`, `ah`, `oh+`, `eureka`, `bingo`, `heureka`, `voil[aà]`, `there`, `track`, `reason`, `explains?`, `explanation`, `see it`, `i see`, `clear now`, `makes sense`, `interesting`, `gotcha`, `yes`, `ha`, `look`, `truth`, `answer`, `story`, `solved`, `certain`, `so`, `cause`, `what (?:actually |really )?happen\w*`, `why`, `light`, `noticed`, `damn`, `facepalm`, `embarrass\w*`, `right (?:track|path|place|direction)`, `pointed (?:me|us)`, `tip(?:ped)?`, `hint(?:ed)?`)
	leadCause  = pattern.MustCompile(`(?i)^\W*(?:(?:ok|so|and|well|yes|ha|oh)[,. ]+)*(?:what (?:actually |really )?(?:happens|happened|broke|it is|we have)|the (?:reason|explanation|story|truth|answer|mechanism|point|thing|issue|problem|trouble|bug|fault|defect|cause|catch)|here is (?:the|why)|here'?s (?:the|why)|it is (?:because|the|that)|this|reason|explanation|finding|verdict|diagnosis|conclusion|in short|long story short|turns out|so it is)\b[^:.]{0,30}: \S`)
)

// confirms is said of the alarm, where nothing has been looked at yet.
var confirms = pattern.MustCompile(`(?i)^\W*(?:yes,? |ok,? |i |we )*(?:can )?confirm(?:ed|s|ing)?\b`)

// hindsight is said by who looks for the cause when it works again.
var hindsight = anyOf(`in hindsight`, `in retrospect`, `looking back`, `after the fact`, `now that (?:it|things|we|the)`, `(?:dug|dig|digging|went|going|combed|read|reading|looked|looking) (?:\w+ ){0,2}(?:into|through|back|deeper|further|around)`, `had time to (?:look|dig|think)`, `bisect\w*`, `reproduced (?:it|this)`, `for the curious`, `as to (?:why|the (?:cause|reason))`, `why it (?:happened|broke|failed)`, `what (?:had|has) happened`)

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
		if len(changing(s.snippets())) > 0 || answers(s) || gratitude.MatchString(s.text) || typing[strings.Trim(firstWord(low), "., ")] || forThat.MatchString(s.text) {
			continue
		}
		if failing.MatchString(low) || figure.MatchString(s.text) || strings.Contains(s.text, "`") || changedBefore.MatchString(low) {
			return i
		}
	}
	return -1
}

// lastWord is the last plain statement of whoever mended it, right before they
// did: no command, no figure, no plan and no answer.
func (t *talk) lastWord(limit int) int {
	by := ""
	for _, s := range t.said {
		if s.msg == limit && !s.bot {
			by = s.by
		}
	}
	for i := len(t.said) - 1; i > 0; i-- {
		s := t.said[i]
		switch {
		case s.msg > limit || s.bot || s.text == "" || s.label != "" || s.line.quoted:
		case s.msg < limit-4 || s.msg <= t.firstLook && len(s.snippets()) > 0:
			return -1
		case s.by != by || s.asks || len(s.snippets()) > 0 || len(meters(s.text)) > 0 || len(t.clocks(s)) > 0 || len(contentWords(s.text)) < 4,
			hedged.MatchString(s.lower) || takesOff(s.lower) || answers(s) || t.isDeed(s, nil) || ownPlan.MatchString(s.lower) || goingTo.MatchString(s.lower) || s.claim() || takeRE.MatchString(s.text) || gratitude.MatchString(s.text) || isWish(s) || verdict(s.text) < 0:
		default:
			return i
		}
	}
	return -1
}

// forThat names the command that something was done or seen with.
var forThat = pattern.MustCompile(`(?i)\b(?:that was|this is what|(?:used|ran|typed|did|entered)\b.*\bfor (?:that|this|it)|output of|i get from)\b`)

var changedBefore = anyOf(`was (?:disabled|removed|deleted|changed|rotated|never|set|upgraded|left)`, `were (?:disabled|removed|deleted|changed|never)`, `never`, `rotated`, `wasn'?t`, `old`, `since the`, `leftover`, `forgot\w*`)

// backing tells "confirmed, error rate is back" from "confirmed, it is the disk".
func (t *talk) backing(low string) bool {
	return worked.MatchString(low) && !strings.Contains(low, "cause") && !strings.Contains(low, "culprit") && !strings.Contains(low, "found") && !strings.Contains(low, "turn")
}
