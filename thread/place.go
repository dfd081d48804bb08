package thread

import (
	"slices"
	"strings"

	"prunella/thread/pattern"
)

// turns are where the course of a conversation turns, as indexes of messages;
// cause is one of sentences. -1, or the number of messages, for what never came.
type turns struct {
	cause int // sentence that names it
	begun int // something was first looked up, done or taken on
	fixed int // the last deed that worked was begun
	over  int // it was said to be over
	end   int // last of fixed and of the effect: what follows looks back
	about map[string]bool
	ids   map[string]bool // of the incident itself: named before it was mended
}

// tickets are the numbers in a text that are not the incident's own.
func (c turns) tickets(text string) []string {
	var out []string
	for _, k := range ticketRE.FindAllString(text, -1) {
		if k = strings.TrimSpace(k); !c.ids[k] {
			out = append(out, k)
		}
	}
	return out
}

func (t *talk) turnsOf(ts *tries, cause, over int) turns {
	n := len(t.c.Messages)
	c := turns{cause: cause, begun: n, fixed: n, over: over, end: n}
	for _, s := range t.said {
		if s.msg > 0 && !s.bot && (len(s.snippets()) > 0 || s.claim() || takeRE.MatchString(s.text)) {
			c.begun = s.msg
			break
		}
	}
	for _, a := range ts.all {
		if a.Outcome == Worked {
			c.fixed, c.end = a.msg, max(a.msg, a.last)
		}
	}
	if t.reports[c.fixed] { // told afterwards: people saw it work before
		for _, s := range t.said {
			if s.msg < c.fixed && s.msg > 0 && verdict(s.text) > 0 && worked.MatchString(s.text) {
				c.fixed, c.end = s.msg, s.msg
				break
			}
		}
	}
	if c.fixed == n && over >= 0 {
		c.fixed, c.end = over, over
	}
	c.about, c.ids = t.topic, map[string]bool{}
	for _, s := range t.said {
		if s.msg < c.fixed && !isWish(s) || s.bot && botState.MatchString(s.lower) {
			for _, k := range ticketRE.FindAllString(s.text, -1) {
				c.ids[strings.TrimSpace(k)] = true
			}
		}
	}
	return c
}

// about are the words that the conversation is about: of its first sentences
// and of what was typed.
func (t *talk) about() map[string]bool {
	first, typed := map[string]bool{}, map[string]bool{}
	for _, s := range t.said {
		for _, c := range s.snippets() {
			for w := range contentWords(c.text) {
				typed[w] = true
			}
		}
		if s.msg < 2 || s.bot {
			for w := range contentWords(s.text) {
				first[w] = true
			}
		}
	}
	out := map[string]bool{}
	for w := range first {
		if typed[w] || kebab.MatchString(" "+w+" ") {
			out[w] = true
		}
	}
	return out
}

// names reports a sentence that names what the conversation is about.
func (c turns) names(s said) bool { return shared(contentWords(s.text), c.about) > 0 }

// sort gives each sentence its place. A sentence has one place; the first rule
// that fits decides.
func (t *talk) sort(x *Extraction, ts *tries, c turns) {
	for i, s := range t.said {
		for _, code := range s.snippets() {
			cmd := Command{Text: code.text, Lang: code.lang, Kind: code.kind, Source: s.source}
			switch {
			case s.line.quoted || code.kind == kindOutput:
			case code.kind == KindQuery && code.lang != "sql":
				x.Queries = append(x.Queries, cmd)
			case !slices.ContainsFunc(x.Commands, func(have Command) bool { return sameText(have.Text, code.text) }):
				x.Commands = append(x.Commands, cmd)
			}
		}
		if s.text == "" || s.line.quoted {
			continue
		}
		place, rule := t.placeOf(i, ts, c)
		sentence := Sentence{Text: s.text, Source: s.source, Rule: rule}
		switch place {
		case "symptom":
			x.Symptoms = append(x.Symptoms, sentence)
		case "ruledout":
			x.RuledOut = append(x.RuledOut, sentence)
		case "diagnosis":
			x.Diagnosis = append(x.Diagnosis, sentence)
		case "verification":
			x.Verification = append(x.Verification, sentence)
		case "escalation":
			x.Escalation = append(x.Escalation, sentence)
		case "recurs":
			x.Recurs = append(x.Recurs, sentence)
		}
	}
	seen := map[string]bool{}
	for _, l := range t.logs {
		if k := mask(l.Text); !seen[k] && len(x.Logs) < 10 {
			seen[k] = true
			x.Logs = append(x.Logs, l)
		}
	}
}

func sameText(a, b string) bool { return slices.Equal(strings.Fields(a), strings.Fields(b)) }

var labelPlace = map[string]string{"symptom": "symptom", "ruledout": "ruledout", "cause": "diagnosis", "escalation": "escalation", "verification": "verification", "recurs": "recurs"}

// placeOf decides where a sentence belongs. Labels and bots tell it themselves;
// of the others, what can be meant depends on where it stands: before something
// helped people report, doubt and search, afterwards they see that it works,
// close, explain, plan and refer.
func (t *talk) placeOf(i int, ts *tries, c turns) (place, rule string) {
	s := t.said[i]
	if p, ok := labelPlace[s.label]; ok {
		if s.label == "symptom" && s.msg > c.fixed && (ts.figures.effect(s) > 0 || noImpact.MatchString(s.text)) {
			p = "verification"
		}
		return p, "labelled-" + s.label
	}
	low := strings.ToLower(maskCode(s.text))
	switch {
	case s.label != "":
		return "", ""
	case s.bot:
		return t.placeOfBot(i, s, low)
	case i == c.cause:
		return "diagnosis", "cause-named"
	case s.msg > c.fixed || s.msg == c.fixed && len(meters(s.text)) > 0 && ts.figures.effect(s) > 0 && !t.isDeed(s, ts):
		return t.placeAfter(i, s, low, ts, c)
	}
	return t.placeBefore(i, s, low, ts, c)
}

func (t *talk) placeOfBot(i int, s said, low string) (place, rule string) {
	switch {
	case botPlans.MatchString(low), halfWay.MatchString(low):
		return "", ""
	case verdict(s.text) > 0 && s.msg > 0:
		return "verification", "alert-cleared"
	case alertField.MatchString(s.text), s.msg == 0 && alertOver.MatchString(s.text), botState.MatchString(low):
		return "", ""
	case failing.MatchString(low) || i == 0 || s.msg == 0 && len(contentWords(s.text)) > 2:
		return "symptom", "alert"
	}
	return "", ""
}

// underway is the beginning of a sentence about a deed that reads like a failure
// or has no verb of its own.
var underway = pattern.MustCompile(`(?i)^\W*(?:(?:so|then|ok|now|bandage|workaround|mitigation|plan)[,:]? )*(?:fail(?:ing|ed) over|tr(?:ied|ying)\b)`)

var noImpact = pattern.MustCompile(`(?i)^\W*(?:none|nil|no (?:more|longer|customer|user|further)|resolved|mitigated|ended|over|gone)\b`)

var (
	alertField = pattern.MustCompile(`(?i)^(?:service|urgency|priority|severity|status|environment|cluster|region|started|starts at|triggered at|monitor triggered|assigned|team|runbook|dashboard|source|labels?|tags?|host|link|view|silence|fingerprint|notified|escalation policy)\b\s*[:=]?|^monitor (?:triggered|status)`)
	botState   = pattern.MustCompile(`(?i)\b(?:status|state|severity|sev-?\d|role|lead|commander|assigned|acknowledged|acked|declared|created|opened|updated|changed|joined|channel|reporter|exit \d+|run finished|job (?:finished|started)|→|->)\b`)
	botPlans   = pattern.MustCompile(`(?i)\b(?:task|action item|action|follow[- ]?up|to-?do|reminder|item|ticket|issue|jira|homework|improvement)s?\b(?: \S+){0,8}?(?: (?:added|created|opened|filed|assigned|logged|recorded|noted|tracked|raised|new|registered)\b|:)|\b(?:added|created|opened|filed|logged|recorded|noted|tracked|registered|new) (?:an? |the |new )?(?:task|action item|action|follow[- ]?up|to-?do|reminder|item)\b`)
)

// measured reports a sentence with a figure that is no time, no span of waiting
// and no number of a thing.
func measured(s said) bool {
	text := s.text
	if soLong.MatchString(text) {
		text = spanRE.ReplaceAllString(text, " ")
	}
	text = ordinal.ReplaceAllString(agoRE.ReplaceAllString(text, " "), " ")
	text = ticketRE.ReplaceAllString(hidden.ReplaceAllString(waits.ReplaceAllString(mentionRE.ReplaceAllString(text, " "), " "), " "), " ")
	return slices.ContainsFunc(meters(text), func(m meter) bool { return len(m.words) > 0 })
}

// ordinal is a number that tells one thing of a kind from another.
var ordinal = pattern.MustCompile(`(?i)\b(?:cell|step|node|host|pod|shard|zone|region|attempt|try|update|phase|part|round|case|sev|line|version|batch|wave|group|rack|site|disk|core|tier|stage|cluster|replica|row|page|item|point|option|plan|day|week|sprint|q|pr|issue|room)s?[ #]\d+(?:(?:,| and| to| or|-) ?\d+)*\b`)

// placeBefore places what is said before something helped.
func (t *talk) placeBefore(i int, s said, low string, ts *tries, c turns) (place, rule string) {
	did, v := t.isDeed(s, ts) && !earlier.MatchString(low), verdict(s.text)
	words := len(contentWords(s.text))
	told := len(contentWords(clockRE.ReplaceAllString(agoRE.ReplaceAllString(s.text, " "), " "))) // without when
	switch {
	case nothingYet.MatchString(s.text), i > 0 && underway.MatchString(s.text), ts.reported(s), i > 0 && len(t.clocks(s)) < 2 && doneFirst.MatchString(low):
		return "", ""
	case words < 4 && i > 0 && len(s.fences) > 0 && s.fences[0].kind == kindOutput:
		return "", "" // "this is in the log:"
	case deeper.MatchString(low) && ts.worked(s.msg):
		return "recurs", "why-again"
	case (escalates.MatchString(s.text) || wasCalled.MatchString(s.text)) && mentionRE.MatchString(s.text) && !s.asks && !isWish(s), wasCalled.MatchString(s.text) && !s.asks:
		return "escalation", "somebody-called"
	case s.asks && !(measured(s) && ts.figures.effect(s) < 0) && !(s.msg == 0 && failing.MatchString(low) && words > 3):
		return "", ""
	case again.MatchString(low) && i > 0 && explicitRef(s.text), isWish(s) && ticketRE.MatchString(s.text):
		return "", ""
	case recurring.MatchString(low) && !did && i > 0 && words > 2 && !denies.MatchString(s.text) && v <= 0 && (s.msg >= t.causeMsg(c.cause) || strongRecur.MatchString(low)):
		return "recurs", "why-again"
	case !did && s.msg > 0 && t.rulesOut(i, s, low, v, ts):
		return "ruledout", "ruled-out"
	case did || t.aboutDeed(s, ts) && v != 0, i > 0 && len(changing(s.snippets())) > 0 && !strong.MatchString(low):
		return "", ""
	case relays.MatchString(s.text) && words > 2 && s.msg < c.fixed && len(s.snippets()) == 0:
		return "symptom", "relayed"
	case strong.MatchString(low) && !hedged.MatchString(low), causal.MatchString(low) && c.cause >= 0 && abs(s.msg-t.said[c.cause].msg) <= 1 && !hedged.MatchString(low):
		return "diagnosis", "cause-explained"
	case hedged.MatchString(low) && i > 0:
		return "", ""
	case s.claim(), takeRE.MatchString(s.text), greeting.MatchString(s.text) && !failing.MatchString(low), performs.MatchString(s.text) && !figure.MatchString(s.text) && !(strings.Contains(s.text, ",") && c.names(s) && words > 4):
		return "", ""
	case measured(s) && len(s.snippets()) == 0 && !future.MatchString(low) && (ts.figures.effect(s) < 0 || ts.figures.effect(s) == 0 && (c.names(s) || failing.MatchString(low))):
		return "symptom", "failing-with-figure"
	case len(t.clocks(s)) > 0 && (told < 4 || !c.names(s) && onsetOnly.MatchString(low)) && !measured(s):
		return "", "" // when it began
	case failing.MatchString(low) && !future.MatchString(low):
		if i < 4 || c.cause < 0 || i < c.cause {
			return "symptom", "failing"
		}
	case quotesError(s):
		return "symptom", "quoted-error"
	case i == 0 && words > 1:
		return "symptom", "first-sentence"
	case len(s.snippets()) > 0:
		return "diagnosis", "looked"
	case (s.msg == 0 || s.msg < c.begun && (c.names(s) || s.by == t.said[0].by && s.msg < 4)) && words > 2 && !mentionRE.MatchString(s.text):
		return "symptom", "reported"
	}
	return "", ""
}

var (
	doneFirst  = pattern.MustCompile(`^\W*(?:ok(?:ay)?,? )?(?:done|that'?s done|it'?s done|finished|complete[d]?|through)\b`)
	nothingYet = pattern.MustCompile(`(?i)^\W*(?:\w+ ){0,2}(?:hunch|theory|cause|suspicion|suspects?|eta|ideas?|leads?)\W+(?:none|unknown|tbd|nothing|no|not yet|unclear)\b|\b(?:can(?:'t| ?not)|cannot|too early to|hard to) (?:tell|say|know|judge|rule)\b|^\W*(?:no idea|not sure|don'?t know|dunno)\b`)
	relays     = pattern.MustCompile(`(?i)^\W*(?:confirme?d?|same here|me too|i confirm|can confirm|seeing (?:it|this) too|yep|yes)\b[^:,]{0,20}[:,] \S+ \S|\b(?:support|sales|customers?|users?|clients?|partners?|callers?|business(?: side)?|desk|finance|marketing|the (?:field|shop|floor|store)|\w+ team) (?:says?|reports?|tells? (?:me|us)|told (?:me|us)|hears?|complains?|sees?|writes?|claims?|is saying|are saying|keeps? asking)\b|\b(?:hearing|heard|word) from \w+`)
	onsetOnly  = anyOf(`start(?:ed|s)?`, `began`, `begins?`, `since`, `onset`, `first`, `earliest`, `goes back`, `dates back`, `clean until`, `went (?:bad|south|red)`, `kicked off`, `bends?`, `takes? off`, `trouble`, `like this`)
	statusAsk  = pattern.MustCompile(`(?i)\b(?:any (?:update|news|progress|change|luck|better|idea)s?|eta|better|how (?:long|bad|is|are|many)|do we know|know why|what'?s next|status|working|now|did (?:it|that)|does (?:it|that)|impact|since when|sure|again|known|help)\b[^?]*\?|^\W*(?:and|so|well|ok|anything)\W*\?`)
)

// quotesError reports a sentence that quotes what failed: "logs say `broken pipe`".
func quotesError(s said) bool {
	parts := strings.Split(s.text, "`")
	for i := 1; i < len(parts)-1; i += 2 {
		if len(s.snippets()) == 0 && strings.Contains(parts[i], " ") && (failing.MatchString(parts[i]) || logLine.MatchString(parts[i]) || reported.MatchString(parts[i-1])) {
			return true
		}
	}
	return false
}

// rulesOut reports a sentence that takes something off the list of what it
// could be: in words, as the answer to a supposition, or as the reason that is
// given for one before it in the same message.
func (t *talk) rulesOut(i int, s said, low string, v int, ts *tries) bool {
	if len(changing(s.snippets())) > 0 || len(s.snippets()) > 0 && !takesOff(low) || strong.MatchString(low) && !retracts.MatchString(low) || s.claim() {
		return false
	}
	if v < 0 && len(contentWords(s.text)) < 3 {
		return false
	}
	if t.sinceDeed(s, ts) && (v < 0 || t.aboutDeed(s, ts)) && !ruledOut.MatchString(low) || failing.MatchString(low) && stillBad.MatchString(low) {
		return false // of what was tried
	}
	if i > 0 && t.said[i-1].by != s.by && statusAsk.MatchString(t.said[i-1].text) {
		return false
	}
	switch words := len(contentWords(s.text)); {
	case politeNo.MatchString(low), v > 0 && worked.MatchString(low) && t.sinceDeed(s, ts), answersNo.MatchString(low) && (gotIt.MatchString(low) || failing.MatchString(low) && stillBad.MatchString(low)):
		return false
	case takesOff(low), notIt.MatchString(low) && words > 1:
		return true
	case saysOver(low), ownPlan.MatchString(low), v < 0 && failedTo.MatchString(low):
		return false
	}
	if (lookedAt.MatchString(low) && v <= 0 || healthy.MatchString(low)) && !failingNow(low) {
		return true
	}
	if i == 0 {
		return false
	}
	before := t.said[i-1]
	switch {
	case before.bot || v < 0 && !denies.MatchString(s.text):
		return false
	case before.msg == s.msg && !before.asks: // the reason
		return (takesOff(before.lower) || notIt.MatchString(before.lower)) && !failingNow(low) && len(contentWords(s.text)) > 1
	}
	return s.msg-before.msg <= 1 && denies.MatchString(s.text) && (before.asks || supposes.MatchString(before.lower)) && len(contentWords(s.text)) > 1
}

// politeNo begins like a denial and is none.
var politeNo = pattern.MustCompile(`^\W*(?:no (?:worries|problem|rush|hurry|objections?|idea|eta)|none(?: heard| so far)?|not yet|nothing yet|nevermind)\b`)

var stillBad = anyOf(`still`, `continues?`, `keeps?`, `remains?`, `persists?`)

// takesOff reports words that say that something is not the cause.
func takesOff(low string) bool {
	return answersNo.MatchString(low) || ruledOut.MatchString(low) || excludes.MatchString(low) || cleared.MatchString(low)
}

// sinceDeed reports whether something was tried shortly before a sentence.
func (t *talk) sinceDeed(s said, ts *tries) bool {
	return slices.ContainsFunc(ts.all, func(a *try) bool { return a.msg <= s.msg && s.msg-max(a.msg, a.last) <= 2 })
}

var (
	answersNo   = pattern.MustCompile(`(?i)^(?:no|nope|nah|negative|theory (?:dead|is dead|busted|out)|dead end)\b[,.:! ]+\S`)
	lookedAt    = pattern.MustCompile(`(?i)^(?:i )?(?:checked|looked at|double checked|ruled out|excluded) (?:the |our )?[\w /-]+[,:;] `)
	strongRecur = anyOf(`keep(?:s)? happening`, `why (?:this|it)`, `until we`, `underlying`, `second (?:time|occurrence)`, `every time`, `third time`, `will happen again`, `happen again`)
	goodWord    = pattern.MustCompile(`(?i)\b(?:errors?|failures?|5xx|alerts?)\b`)
)

func (t *talk) causeMsg(cause int) int {
	if cause < 0 {
		return 0
	}
	return t.said[cause].msg
}

// failingNow reports a clause that says that something is bad, besides one that says it is not.
func failingNow(low string) bool {
	for _, c := range clauses(low) {
		if failing.MatchString(c) && !healthy.MatchString(c) && !ruledOut.MatchString(c) && !goodWord.MatchString(c) {
			return true
		}
	}
	return false
}

func (t *talk) isDeed(s said, ts *tries) bool {
	for _, c := range clauses(s.text) {
		if did, announced, _, _ := acts(c); did || announced {
			return true
		}
	}
	return false
}

// aboutDeed reports a sentence that tells what came of a deed.
func (t *talk) aboutDeed(s said, ts *tries) bool {
	return slices.ContainsFunc(ts.all, func(a *try) bool { return a.Why != "" && a.msg < s.msg && strings.Contains(s.text, a.Why) })
}
