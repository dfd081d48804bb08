package thread

import (
	"slices"
	"strings"

	"prunella/thread/pattern"
)

// try is an Attempt while the conversation is read.
type try struct {
	Attempt
	words    map[string]bool
	verb     string
	msg      int  // of the message in which it was done, or announced
	executed bool // done, and not only announced
	complete bool // somebody said that it was through
	advised  bool // somebody should; dropped unless somebody did
	weight   int  // of the evidence for the outcome
	calm     bool // something that was done before had worked when this was begun
	timed    bool // somebody named the time at which it was done
	last     int  // of the message that said that it was through
}

// tries follows what people do through a conversation, and what came of it.
type tries struct {
	t       *talk
	all     []*try
	figures readings
}

var (
	conditional = anyOf(`if`, `should (?:recover|be back|clear|drop|fix|help|work|resolve|come back|do it|be (?:ok|good|fine|better))`, `hopefully`, `would`, `once`, `until`, `wait(?:ing)? (?:for|to|until)`, `let'?s see`, `let me see`, `fingers crossed`, `expect(?:ed|ing)?`, `hoping`, `unless`, `to see (?:if|whether)`, `see (?:if|whether)`, `whether`, `might`, `may`, `could`, `does (?:that|this|it)`, `did (?:that|this|it)`, `will (?:that|this|it|be|help|fix|work)`, `anyone seeing`)
	explicit    = pattern.MustCompile(`(?i)\b(?:(?:it|that|this) was (?:the |my |our |really the )|what (?:actually |really |finally )?(?:fixed|worked|helped|did it|solved|resolved)|the (?:actual |real )?fix (?:was|is)|fixed (?:it )?by|resolved by|solved by|(?:was|is) what (?:fixed|did|solved|worked|helped)|fixed it|did it|did the trick|was the fix|is the fix|that'?s the fix|worked|helped|(?:didn'?t|did not|never|wasn'?t|not) (?:really |actually )?(?:help|work|fix|it|the fix)|made (?:it|no|things)|had no|no (?:effect|change|help|luck)|useless|red herring|solved|cured)`)
	partly      = anyOf(`a (?:few|couple|handful|little)`, `some`, `one (?:pod|node|host|region|service)`, `only (?:one|on)`, `just (?:one|a)`, `residual`, `stragglers?`, `trickle`, `partially`, `mostly`)
	holdsOff    = anyOf(`hold(?:ing)? off`, `not (?:doing|going to|gonna)`, `won'?t (?:do|restart|roll)`, `don'?t do`, `let'?s not`, `aborted`, `changed my mind`, `didn'?t (?:end up|actually) (?:do|run|restart|roll)`)
	callsOff    = pattern.MustCompile(`(?i)^\W*(?:(?:ok(?:ay)?|fine|right|alright|good point|true|then|so|no|i'?m|we'?re)\W+)*(?:not (?:` + formsOf(func(d deed) string { return d.ing }) + `)|(?:holding|held) off|aborted|scrap that)\b`)
	notDone     = pattern.MustCompile(`(?i)^(?:i |we |i'm |we're )?(?:did(?:n'?t| not)|have(?:n'?t| not)|not|never|no need to|instead of|before|without|after) `)
)

// follow reads a conversation for what was tried. The figures of the failure are
// known before its first deed is looked for.
func (t *talk) follow() *tries {
	ts := &tries{t: t}
	first := len(t.c.Messages) / 3
	for _, s := range t.said {
		if !s.bot && len(changing(s.snippets())) > 0 {
			first = s.msg
			break
		}
	}
	ts.figures = t.measure(first)
	for _, s := range t.said {
		ts.hear(s)
	}
	return ts
}

// hear reads one sentence: deeds first, then outcomes, clause by clause.
func (ts *tries) hear(s said) {
	if s.bot || s.line.quoted || s.label == "followup" || s.label == "recurs" || s.label == "escalation" || s.label == "ruledout" {
		return
	}
	switch s.label {
	case "probe":
		return
	case "fix":
		ts.named(s, Worked)
		return
	case "failed":
		ts.named(s, Failed)
		return
	}
	list := clauses(s.text)
	if s.text == "" {
		list = []string{""}
	}
	codes := changing(s.snippets())
	fresh := false
	bad := slices.ContainsFunc(list, func(c string) bool { return verdict(c) < 0 })
	for _, c := range list {
		done := ts.deed(s, c, &codes)
		fresh = fresh || done
		if bad && verdict(c) > 0 && !fixedBy.MatchString(c) {
			continue // "down to 13, but still not gone"
		}
		if !done || strings.Contains(strings.ToLower(c), "tried") || explicit.MatchString(c) {
			ts.outcome(s, c, fresh && !done)
		}
	}
	if len(codes) > 0 && !fresh { // commands that no verb announces
		switch {
		case s.asks || mayI.MatchString(s.text) || warned.MatchString(s.text+" "):
		case adviseRE.MatchString(maskCode(s.text)):
			ts.add(s, s.text, "", codes, false, true)
		case !laterThing.MatchString(s.text):
			ts.add(s, s.text, "", codes, true, false)
		}
	}
}

var laterThing = anyOf(`for next time`, `next time`, `for the record`, `for (?:the )?(?:runbook|docs?|posterity|future)`, `todo`, `follow[- ]?up`, `we should`, `currently`, `right now it(?:'?s| is)`, `config (?:is|has|says|was)`, `it(?:'?s| is| was) (?:currently )?(?:set|configured)`, `is currently`, `has been`, `the (?:bad|old|current|broken|offending) (?:config|setting|value|line)`, `summary`, `recap`, `for reference`)

// fixedBy names what worked, whatever else the sentence says did not.
var fixedBy = pattern.MustCompile(`(?i)\b(?:what (?:actually |really |finally )?(?:fixed|worked|helped|did it|solved|resolved)|the (?:actual |real )?fix (?:was|is)|fixed (?:it|by)|did it|did the trick|was the fix|worked)\b`)

// changing are the snippets that do something to the world.
func changing(list []snippet) []snippet {
	var out []snippet
	for _, s := range list {
		if s.changes() {
			out = append(out, s)
		}
	}
	return out
}

// deed looks for something that was done in a clause.
func (ts *tries) deed(s said, c string, codes *[]snippet) bool {
	low := strings.ToLower(c)
	bareText := strings.TrimSpace(withoutCode.ReplaceAllString(low, ""))
	if said := doneWord.MatchString(bareText); (said || throughRE.MatchString(bareText) && verdict(c) <= 0) && len(bareText) < 70 && !recursAgain.MatchString(low) && !overNow.MatchString(low) && !s.asks && !earlier.MatchString(low) {
		if last := ts.pending(s); last != nil && last.msg != s.msg && (said || last.By == s.by) && !another.MatchString(low) {
			last.executed, last.complete, last.advised, last.msg = true, true, false, s.msg
			last.At = s.at
			if at, ok := lately(s, ts.t.clocks(s)); ok {
				last.At = at
			}
			last.Sources = appendSource(last.Sources, s.source)
			last.Commands = ts.withCodes(last.Commands, *codes, s)
			*codes = nil
			return !worked.MatchString(low) || !strings.Contains(low, " ")
		}
	}
	if callsOff.MatchString(c) {
		if last := ts.pending(s); last != nil && !last.executed {
			ts.drop(last)
		}
		return false
	}
	did, announced, advised, verb := acts(c)
	if (typing[verb] || len(s.snippets()) > 0 && looksWith.MatchString(withoutCode.ReplaceAllString(c, ""))) && len(*codes) == 0 && len(changing(s.snippets())) == 0 {
		return false // looked, with a command that only reads
	}
	switch {
	case !did && !announced && !advised, notDone.MatchString(c), s.asks && !advised:
		return false
	case wishFirst.MatchString(s.text), takeRE.MatchString(s.text) && len(*codes) == 0:
		return false
	case did && earlier.MatchString(c), did && future.MatchString(c) && followLater.MatchString(c):
		return false
	case holdsOff.MatchString(c):
		if last := ts.pending(s); last != nil {
			ts.drop(last)
		}
		return false
	case (announced || advised) && (followLater.MatchString(s.text) || wish.MatchString(s.text) && ts.ended()):
		return false
	case hedged.MatchString(c) && did && !strings.Contains(low, "i "):
		return false
	}
	ts.add(s, c, verb, *codes, did, advised)
	*codes = nil
	return !advised
}

var withoutCode = pattern.MustCompile("`[^`]*`|\\s*(?:with this|via|using|with|watching|waiting|:)\\s*[.:]?$|[.,:]\\s*(?:watching|waiting|let'?s see|monitoring)\\.?$")

// typing are the verbs of entering a command, which alone do nothing to a system.
var typing = setOf(`run ran running execute executed executing type typed typing use used using enter entered entering issue issued issuing do did doing`)

// followLater tells a plan for after the incident from a deed in it.
var followLater = anyOf(`ticket`, `jira`, `tomorrow`, `next (?:week|sprint|quarter|month|time)`, `later`, `monday`, `after (?:this|the incident)`, `follow[- ]?up`, `long[- ]term`, `permanent(?:ly)? fix`, `post-?mortem`, `runbook`, `alert (?:on|for|when)`, `so (?:this|it|that) (?:doesn'?t|won'?t|never)`, `in (?:the )?future`, `next to do`, `todo`, `eventually`, `some day`, `backlog`)

var wishFirst = pattern.MustCompile(`(?i)^(?:todo|to-do|action items?|follow[- ]?ups?|next steps?|already done|ai|fyi)\b`)

// ended reports whether something has worked already.
func (ts *tries) ended() bool {
	return slices.ContainsFunc(ts.all, func(a *try) bool { return a.Outcome == Worked })
}

// calm reports whether what was done last, of what has an outcome, worked.
func (ts *tries) calm() bool {
	for i := len(ts.all) - 1; i >= 0; i-- {
		if ts.all[i].Outcome != Unclear {
			return ts.all[i].Outcome == Worked
		}
	}
	return false
}

// pending is the latest deed that nobody said was through, and that has no
// outcome yet.
func (ts *tries) pending(s said) *try {
	for i := len(ts.all) - 1; i >= 0 && i >= len(ts.all)-3; i-- {
		if a := ts.all[i]; !a.complete && a.weight == 0 {
			return a
		}
	}
	return nil
}

func (ts *tries) drop(a *try) {
	ts.all = slices.DeleteFunc(ts.all, func(b *try) bool { return a == b })
}

func appendSource(list []Source, s Source) []Source {
	if slices.ContainsFunc(list, func(have Source) bool { return have.TS == s.TS }) {
		return list
	}
	return append(list, s)
}

func (ts *tries) withCodes(list []Command, codes []snippet, s said) []Command {
	for _, c := range codes {
		if !slices.ContainsFunc(list, func(have Command) bool { return have.Text == c.text }) {
			list = append(list, Command{Text: c.text, Lang: c.lang, Kind: c.kind, Source: s.source})
		}
	}
	return list
}

// add takes a deed in, or joins it with one that was announced before.
func (ts *tries) add(s said, text, verb string, codes []snippet, executed, advised bool) {
	text = strings.Trim(text, " ,;:–—-")
	w := contentWords(text)
	for _, c := range codes {
		for k := range contentWords(c.text) {
			w[k] = true
		}
	}
	key := stem(verb)
	for i := len(ts.all) - 1; i >= 0 && i >= len(ts.all)-4; i-- {
		a := ts.all[i]
		same := shared(w, a.words)
		sameVerb := key != "" && (a.verb == key || a.words[key])
		open := a.Outcome == Unclear && a.weight == 0
		switch {
		case a.executed && !open:
			continue
		case sameVerb && (same >= 2 || len(w) <= 2 || len(a.words) <= 2), same >= 3 && len(w) <= same*3, sameCommand(a, codes):
		case key == "" && open && !a.complete && s.by == a.By && !another.MatchString(text): // "restarting the workers", and then the command
		case a.msg == s.msg && len(a.Commands) == 0 && len(codes) > 0 && key == "":
		default:
			continue
		}
		if !advised && executed && (!a.executed || !a.complete && past(verb)) {
			a.executed, a.advised, a.msg, a.At = true, false, s.msg, s.at
			a.complete = past(verb) || verb == ""
		} else if !advised && a.advised {
			a.advised, a.msg, a.At, a.By = false, s.msg, s.at, s.by
		}
		if len(a.Text) < 12 && len(text) > len(a.Text) {
			a.Text = text
		}
		a.Sources = appendSource(a.Sources, s.source)
		a.Commands = ts.withCodes(a.Commands, codes, s)
		for k := range w {
			a.words[k] = true
		}
		return
	}
	if text == "" && len(codes) > 0 {
		text = "`" + strings.TrimSpace(firstOf(strings.Split(codes[0].text, "\n"))) + "`"
	}
	a := &try{Attempt: Attempt{Text: text, Outcome: Unclear, Why: "nobody said", By: s.by, At: s.at, Sources: []Source{s.source}}, words: w, verb: key, msg: s.msg, executed: executed, complete: executed && past(verb), advised: advised, calm: ts.calm()}
	a.Commands = ts.withCodes(nil, codes, s)
	ts.all = append(ts.all, a)
}

// past reports a verb that says that it is through.
func past(verb string) bool { return verb != "" && !strings.HasSuffix(strings.Fields(verb)[0], "ing") }

var another = anyOf(`next`, `second`, `third`, `instead`, `also`, `another`, `different`, `other`, `now`, `then`, `plan b`)

func sameCommand(a *try, codes []snippet) bool {
	return slices.ContainsFunc(codes, func(c snippet) bool {
		return slices.ContainsFunc(a.Commands, func(have Command) bool { return have.Text == c.text })
	})
}

// verdict reads an outcome from a clause: +1, -1 or 0.
func verdict(c string) int {
	low := strings.ToLower(maskCode(c))
	if strings.Contains(low, ":") {
		low = since.ReplaceAllString(clockRE.ReplaceAllString(low, " then "), "began then") // "goes back to 06:33" is no recovery
	}
	if conditional.MatchString(low) && !strings.Contains(low, "helped") && !strings.Contains(low, "fixed it") {
		return 0
	}
	switch {
	case failedTo.MatchString(low), comesBack.MatchString(low) && !strings.Contains(low, "back to normal") && !strings.Contains(low, "back to baseline") && !goodBack.MatchString(low):
		return -1
	case worked.MatchString(low) && !negatedGood.MatchString(low):
		return 1
	case mild.MatchString(low) && !negatedGood.MatchString(low) && !ruledOut.MatchString(low):
		return 1
	case strings.Contains(c, ":tada:"), strings.Contains(c, "🎉"):
		return 1
	}
	return 0
}

var (
	goodBack    = pattern.MustCompile(`(?i)back (?:to|at|under|below|down|within|up and|online)`)
	since       = pattern.MustCompile(`\b(?:goes|go|dates?|traces?) back to +then\b`)
	negatedGood = pattern.MustCompile(`(?i)\b(?:not|isn'?t|aren'?t|n'?t|never|no longer|won'?t be|nowhere near|far from)\s+(?:\w+ ){0,2}(?:back|recover\w*|resolved|fixed|healthy|stable|working|clear\w*|down|better|green|good)\b|\b(?:went|go(?:es|ing)?|is|are|was|were|came|brought|taken|took|take|shut|all|still|site|api|service|prod|db|cluster|app|it'?s) down\b(?: (?:for|again|since|in|hard|completely)|$|[,.!])|\bdown (?:for|since|in)\b`)
)

// outcome gives what a clause says of success to the deed that it speaks of:
// the one it names, or the latest.
func (ts *tries) outcome(s said, c string, inSentence bool) {
	v := verdict(c)
	if v < 0 && len(meters(c)) > 0 && ts.figures.effect(s) > 0 {
		v = 1 // "failures is 0% again"
	}
	if v == 0 && terseNo.MatchString(s.text) {
		v = -1
	}
	if v == 0 || len(ts.all) == 0 || s.asks || s.pointsBack || v < 0 && looksAhead(s) {
		return
	}
	if v > 0 && explicit.MatchString(c) {
		ts.credit(s, c)
	}
	a, named := ts.meant(c, s)
	if a == nil || v > 0 && a.calm && !named && !inSentence && !explicit.MatchString(c) {
		return
	}
	if v > 0 && a.Outcome == Failed && mild.MatchString(c) {
		return
	}
	fix := corrects.MatchString(c) || corrects.MatchString(s.text) || s.line.struck != nil
	weight := 2
	if named {
		weight = 4
	} else if inSentence {
		weight = 3
	}
	switch {
	case v > 0 && a.Outcome == Failed && a.weight >= 4 && !fix && !named:
		return // it was said of this one that it failed: the recovery is another's
	case v < 0 && a.Outcome == Worked && partly.MatchString(c) && !named:
		return
	case v < 0 && a.Outcome == Worked && a.weight > weight && !fix && !comesBack.MatchString(strings.ToLower(c)):
		return
	}
	next := Worked
	if v < 0 {
		next = Failed
	}
	a.executed, a.advised = true, false
	a.Sources = appendSource(a.Sources, s.source)
	if next == a.Outcome && weight <= a.weight {
		return
	}
	a.Outcome, a.weight, a.Why = next, weight, strings.TrimLeft(c, " ,;:–—-")
}

// looksAhead reports a sentence about another time to come: its failures are
// not of what was tried.
func looksAhead(s said) bool {
	return recursAgain.MatchString(s.lower) && !comesBack.MatchString(s.lower) || comingTime.MatchString(s.lower)
}

var comingTime = anyOf(`(?:stops?|stopping|prevents?|preventing|keeps?|keeping) (?:it|this|that) (?:all )?(?:from )?(?:happening|recurring|coming back|returning)(?: again)?`, `tomorrow`, `next (?:time|week|month|year|release|patch|quarter|season)`, `one (?:fine )?day`, `some ?day`, `any (?:day|time|moment)`, `in (?:the )?future`, `sooner or later`, `eventually`, `(?:won'?t|will not|not) be the (?:last|only)`, `the (?:first|last) time`)

var joined = pattern.MustCompile(`(?i)\s(?:plus|and|\+|then|followed by|together with)\s|,\s`)

// credit shares a statement that names several deeds among them: "what fixed
// it was the renewal plus the copy".
func (ts *tries) credit(s said, c string) {
	parts := joined.Split(c, -1)
	if len(parts) < 2 {
		return
	}
	for _, p := range parts {
		if failedTo.MatchString(strings.ToLower(p)) {
			continue
		}
		if a, named := ts.closest(p); named && a.Outcome != Failed {
			a.Outcome, a.weight, a.executed, a.Why = Worked, 4, true, c
			a.Sources = appendSource(a.Sources, s.source)
		}
	}
}

// meant is the deed that a clause about success speaks of.
func (ts *tries) meant(c string, s said) (*try, bool) {
	if explicit.MatchString(c) {
		if best, named := ts.closest(c); named {
			return best, true
		}
	}
	for i := len(ts.all) - 1; i >= 0; i-- {
		if a := ts.all[i]; !a.advised {
			return a, false
		}
	}
	return nil, false
}

// closest is the deed that shares most words with a text.
func (ts *tries) closest(c string) (*try, bool) {
	w := contentWords(c)
	var best *try
	most := 0
	for _, a := range ts.all {
		n := shared(w, a.words)
		if a.verb != "" && w[a.verb] {
			n += 2
		}
		if n > most || n == most && n > 0 && !a.advised {
			best, most = a, n
		}
	}
	return best, best != nil
}

// summed is the weight of what a summary says under a heading of its own.
const summed = 5

// named takes a line of a summary under "fix:" or "didn't help:".
func (ts *tries) named(s said, outcome string) {
	w := contentWords(s.text)
	var best *try
	most := 1
	for _, a := range ts.all {
		n := shared(w, a.words)
		if a.verb != "" && w[a.verb] {
			n++
		}
		if n > most {
			best, most = a, n
		}
	}
	codes := changing(s.snippets())
	if best == nil {
		if done, announced, advised, _ := acts(s.text); !done && !announced && !advised && !anyDeed.MatchString(s.text) && len(codes) == 0 {
			return
		}
		best = &try{Attempt: Attempt{Text: s.text, By: s.by, At: s.at, Sources: []Source{s.source}}, words: w, msg: s.msg}
		ts.all = append(ts.all, best)
	}
	best.Outcome, best.weight, best.executed, best.advised, best.Why = outcome, summed, true, false, s.text
	best.Sources = appendSource(best.Sources, s.source)
	best.Commands = ts.withCodes(best.Commands, codes, s)
}

// settle decides what nobody said: when the failure was declared over and
// nothing is known to have worked, the last deed before that did.
func (ts *tries) settle(over int) {
	ts.all = slices.DeleteFunc(ts.all, func(a *try) bool { return a.advised })
	if over < 0 || ts.ended() {
		return
	}
	for i := len(ts.all) - 1; i >= 0; i-- {
		a := ts.all[i]
		if a.msg <= over && a.Outcome == Unclear {
			a.Outcome, a.Why = Worked, "the last thing done before it was over"
			a.Sources = appendSource(a.Sources, ts.t.sources[over])
			return
		}
	}
}
