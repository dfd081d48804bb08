package thread

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"prunella/thread/pattern"
)

// What follows decides by the course of a conversation and not by its words:
// who ran something that changes the world, what was measured before and after,
// and where the next thing was tried. Words refine it where they are known.

// readings are the figures of a failure by the word they are told with ("%",
// "ms", "lag"): how they were while it was bad, and how they usually are.
type readings struct{ bad, good map[string]float64 }

var (
	readingRE = pattern.MustCompile(`(?i)([a-z]+)?[\s:=~(]*\b(\d+(?:[.,]\d+)*)\s?(%|[a-z]+)?`)
	notAMeter = setOf(`utc am pm at since until from to by on in of and min mins minutes hours ago back case line port v is are the a or than last`)
)

// meter is one figure and the words it is told with.
type meter struct {
	value float64
	words []string
}

// meters are the figures of a sentence, without times, names and code.
func meters(text string) []meter {
	text = clockRE.ReplaceAllString(" "+maskFigures(text)+" ", " ")
	text = notMeter.ReplaceAllString(text, " ")
	var out []meter
	for _, g := range readingRE.FindAllStringSubmatch(text, 8) {
		v, err := strconv.ParseFloat(strings.ReplaceAll(g[2], ",", ""), 64)
		if err != nil {
			continue
		}
		m := meter{value: v}
		for _, w := range []string{g[3], g[1]} {
			if w = strings.ToLower(w); w != "" && !notAMeter[w] {
				m.words = append(m.words, w)
			}
		}
		out = append(out, m)
	}
	return out
}

var notMeter = pattern.MustCompile(`\S*[A-Za-z]-?\d\S*|\d{4}-\d\d-\d\d|\d+(?:\.\d+){2,}\S*|https?:\S+`)

// measure learns from what is said before the first deed: the figures that are
// told again and again are bad, the ones they are set against are good.
func (t *talk) measure(until int) readings {
	r := readings{map[string]float64{}, map[string]float64{}}
	all := map[string][]float64{}
	for _, s := range t.said {
		if s.msg >= until && s.msg > 0 || s.line.quoted {
			continue
		}
		for _, m := range meters(s.text) {
			for _, w := range m.words {
				all[w] = append(all[w], m.value)
			}
		}
	}
	for w, list := range all {
		best, most := 0.0, 0
		for _, v := range list {
			n := 0
			for _, o := range list {
				if apart(v, o) < 3 {
					n++
				}
			}
			if n > most {
				best, most = v, n
			}
		}
		r.bad[w] = best
		for _, v := range list {
			if apart(v, best) >= 3 {
				r.good[w] = v
			}
		}
	}
	return r
}

// apart is how many times the greater of two figures is the lesser, 1 for equal.
func apart(a, b float64) float64 { return math.Exp(math.Abs(math.Log((a + 0.5) / (b + 0.5)))) }

// effect is what a sentence says of a failure: +1 gone, -1 there, 0 nothing.
func (r readings) effect(s said) int {
	v := verdict(s.text)
	list := meters(s.text)
	for i := len(list) - 1; i >= 0; i-- {
		for _, w := range list[i].words {
			bad, ok := r.bad[w]
			if !ok {
				if list[i].value == 0 && v >= 0 && w != "x" {
					return 1
				}
				continue
			}
			far := apart(list[i].value, bad)
			if good, known := r.good[w]; known {
				if apart(list[i].value, good) < far {
					return 1
				}
				return -1
			}
			switch {
			case far >= 4:
				return 1
			case far < 1.6:
				return -1
			}
		}
	}
	if s.bot && v == 0 && alertOver.MatchString(s.text) {
		return 1
	}
	return v
}

// plot puts the deeds in order: a message of a person with a command that
// changes something is one, whatever its words; what only words tell of stays
// when it names a thing and is not the announcement or the report of another.
func (ts *tries) plot() {
	t := ts.t
	var list []*try
	var last *try
	at := 0         // the sentence of last
	judged := false // the sentence with its command said that it failed
	for i, s := range t.said {
		codes := changing(s.snippets())
		if s.bot || s.line.quoted || len(codes) == 0 || s.label != "" && s.label != "fix" && s.label != "timeline" && s.label != "commands" || len(s.codes) > 0 && warned.MatchString(s.text+" ") || len(s.codes) == 0 && warnedOf.MatchString(s.text) || notNow.MatchString(s.text) || mayI.MatchString(s.text) || looksWith.MatchString(aroundCode(s.text)) && !slices.ContainsFunc(codes, snippet.surely) {
			continue
		}
		if last != nil && (last.msg == s.msg && !judged || sameCommand(last, codes) && !(addsTo(last, codes) && t.wentOn(at, i)) || last.By == s.by && last.msg != s.msg && !judged && !t.between(at, i)) {
			judged, at = verdict(s.text) < 0, i
			last.Commands = ts.withCodes(last.Commands, codes, s)
			last.Sources = appendSource(last.Sources, s.source)
			if last.msg != s.msg {
				last.msg, last.At = s.msg, s.at
			}
			continue
		}
		last = &try{Attempt: Attempt{Text: t.announced(i), Outcome: Unclear, Why: "nobody said", By: s.by, At: s.at, Sources: []Source{s.source}}, msg: s.msg, executed: true}
		last.Commands = ts.withCodes(nil, codes, s)
		if c := t.clocks(s); len(c) == 1 && c[0].After(s.at.Add(-time.Hour)) && c[0].Before(s.at) && !startsAt.MatchString(s.text) {
			last.At, last.timed = c[0], true // "went in at 08:56"
		}
		judged, at = verdict(s.text) < 0, i
		list = append(list, last)
	}
	if len(list) == 0 {
		ts.all = slices.DeleteFunc(ts.all, func(a *try) bool { return len(a.Commands) == 0 && a.weight < 2 && !objectOf(a.Text) })
		ts.figures = t.measure(len(t.c.Messages) / 3)
		return
	}
	ts.recall(list)
	first := list[0].msg
	figures := t.measure(first)
	for i, d := range list {
		limit := len(t.c.Messages)
		if i+1 < len(list) {
			limit = list[i+1].msg
		}
		if !ts.tellsAll(d) {
			ts.through(d, limit, figures)
		}
		ts.allParts(d, limit)
	}
	for _, a := range ts.all {
		if d := ts.partOf(a, list); d != nil {
			if d.Sources[0].TS == a.Sources[0].TS && len(a.Text) >= 12 || len(d.Text) < 12 && len(a.Text) > len(d.Text) {
				d.Text = a.Text
			}
			if a.weight > d.weight {
				d.Outcome, d.weight, d.Why = a.Outcome, a.weight, a.Why
			}
			for k := range a.words {
				if d.words == nil {
					d.words = map[string]bool{}
				}
				d.words[k] = true
			}
			continue
		}
		if !a.advised && a.executed && objectOf(a.Text) {
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(a, b *try) int { return cmp.Compare(a.msg, b.msg) })
	for _, d := range list {
		if d.words == nil {
			d.words = contentWords(d.Text)
		}
	}
	ts.all = list
	ts.figures = figures
}

// aroundCode is the part of a sentence that leads in its inline code: its clauses
// with code, with the one before where they have no words; all of it where it has none.
func aroundCode(text string) string {
	if !strings.Contains(text, "`") {
		return text
	}
	list := clauses(text)
	var out []string
	for i, c := range list {
		if !strings.Contains(c, "`") {
			continue
		}
		words := withoutCode.ReplaceAllString(c, "")
		if i > 0 && len(contentWords(words)) == 0 {
			words = withoutCode.ReplaceAllString(list[i-1], "")
		}
		out = append(out, words)
	}
	return strings.Join(out, " ")
}

// wentOn reports whether between two sentences other messages were written, the
// second of which is no report: what was run then is another deed, even where it
// runs something again.
func (t *talk) wentOn(from, i int) bool {
	return t.said[i].msg > t.said[from].msg+1 && !t.reports[t.said[i].msg]
}

// addsTo reports whether there are commands that a deed does not have yet.
func addsTo(a *try, codes []snippet) bool {
	return slices.ContainsFunc(codes, func(c snippet) bool { return !sameCommand(a, []snippet{c}) })
}

// looksWith is what leads in a command that looks, whatever it is called.
var looksWith = pattern.MustCompile(`(?i)\b(?:(?:spot|double|cross|re)[- ]?check\w*|re-?(?:verif|test)\w+|check(?:ed|ing|s)?|verif\w+|prob(?:e|es|ed|ing)|confirm\w*|from (?:the )?outside|proof|looked|look(?:s|ing)? (?:at|with|into|through|first)|first look|i look|to see|reading|read|pulled|pulling|evidence|for diagnosis|diagnos\w+|saw|sanity|inspect\w*|query|queried|peek\w*|digging|dug|gather\w*|see (?:more|what)|looking)\b`)

// warnedOf leads in a fence that nobody is to use.
var warnedOf = pattern.MustCompile(`(?i)\b(?:don'?t|do not|never|avoid|please no(?:t)?|hands off|not to|nobody should|we could also|you could)\b`)

// mayI is a question about a command, and not its use.
var mayI = pattern.MustCompile(`(?i)^\W*(?:so |and |hey,? |quick question:? )*(?:can|may|could|should) i\b.*\?|^\W*(?:is|are|does|do|did|what|how|why|which|where|when|who|has|have|any)\b[^.:]*\?\W*$`)

// recall gives a deed whose commands stand only in a report afterwards the
// moment at which it was done, where somebody said so in words.
func (ts *tries) recall(list []*try) {
	d := list[len(list)-1]
	if !ts.t.reports[d.msg] {
		return
	}
	before := said{msg: -1}
	for _, s := range ts.t.said {
		if s.msg > 0 && s.msg < d.msg && !s.bot && !s.asks && !s.line.quoted && !ts.vain(s) && (ts.t.isDeed(s, ts) || verdict(s.text) > 0 && worked.MatchString(s.text) || s.by == d.By && throughRE.MatchString(s.lower) && !failing.MatchString(s.lower)) {
			before = s
		}
		if before.msg >= 0 && s.msg > before.msg && s.msg < d.msg && (verdict(s.text) < 0 || terseNo.MatchString(s.text)) {
			before.msg = -1
		}
	}
	if before.msg < 0 {
		return
	}
	report := d.Sources[0]
	d.Text, d.By, d.At, d.msg = before.text, before.by, before.at, before.msg
	d.Sources = []Source{before.source, report}
}

// vain reports a sentence with a deed that a summary says did not help.
func (ts *tries) vain(s said) bool {
	return slices.ContainsFunc(ts.all, func(a *try) bool {
		return a.weight == summed && a.Outcome == Failed && a.Sources[0].TS == s.source.TS
	})
}

// terseNo is a whole answer that says that it did not help.
var terseNo = pattern.MustCompile(`(?i)^\W*(?:(?:hm+|well|and|sadly|still|ugh|argh|mm+|uh|oh|sorry|afraid|unfortunately)\W+)*(?:no|nope|nah|nothing|same|meh|zilch|nada|negative|unchanged|flat|zero|none|nein|njet|not really|not yet|still|identical)(?: (?:diff|change|dice|joy|luck|good|here|difference|effect|really|yet|for me|as before|again|either))?\W*$`)

var notNow = anyOf(`next time`, `todo`, `follow[- ]?up`, `we should`, `summary`, `recap`, `runbook`, `posterity`)

// between reports whether between two sentences somebody else spoke, in
// another message, or anybody told of an effect.
func (t *talk) between(from, i int) bool {
	for j := i - 1; j > from; j-- {
		s := t.said[j]
		if verdict(s.text) != 0 || terseNo.MatchString(s.text) || s.msg != t.said[i].msg && s.msg != t.said[from].msg {
			return true
		}
	}
	return false
}

// announced is the text that a command at sentence i stands with: of its own
// sentence or message, else what its author wrote before.
func (t *talk) announced(i int) string {
	s := t.said[i]
	best := ""
	for j := i; j >= 0 && t.said[j].msg == s.msg; j-- {
		text := strings.Trim(withoutCode.ReplaceAllString(t.said[j].text, ""), " ,;:–—-→>")
		if len(contentWords(text)) > len(contentWords(best)) && (best == "" || len(contentWords(best)) < 2) {
			best = text
		}
	}
	if len(contentWords(best)) > 0 {
		return best
	}
	for j := i - 1; j >= 0 && s.msg-t.said[j].msg <= 2; j-- {
		if t.said[j].by == s.by && t.said[j].text != "" {
			return t.said[j].text
		}
	}
	return "`" + strings.TrimSpace(firstOf(strings.Split(changing(s.snippets())[0].text, "\n"))) + "`"
}

// done notes the sentence that reports that a deed is through, and the time
// that it names.
func (ts *tries) done(d *try, s said) {
	d.complete, d.last = true, s.msg
	if !d.timed {
		d.At = s.at
	}
	if at, ok := lately(s, ts.t.clocks(s)); ok {
		d.At = at
	}
	d.Sources = appendSource(d.Sources, s.source)
}

// partOf is the deed with commands that a deed told in words belongs to: the
// same message, its report, or the announcement shortly before it.
func (ts *tries) partOf(a *try, list []*try) *try {
	for _, d := range list {
		if slices.ContainsFunc(d.Sources, func(h Source) bool { return h.TS == a.Sources[0].TS }) && !(a.weight == summed && a.Outcome == Failed && ts.t.reports[a.msg] && len(a.Commands) == 0) {
			return d
		}
	}
	for _, d := range list {
		if slices.ContainsFunc(a.Commands, func(c Command) bool {
			return slices.ContainsFunc(d.Commands, func(h Command) bool { return h.Text == c.Text })
		}) {
			return d
		}
	}
	for _, d := range list {
		gap := d.Sources[0].TS
		if a.Outcome == Failed && a.weight > 0 && a.msg < d.msg {
			continue // it had failed when the other was begun
		}
		if before := Time(gap).Sub(Time(a.Sources[0].TS)); before > 0 && before < 10*time.Minute && (a.By == d.By || !a.complete || strings.HasPrefix(a.Text, d.By+" ")) {
			return d
		}
		if after := Time(a.Sources[0].TS).Sub(Time(gap)); after > 0 && after < 12*time.Minute && a.By == d.By && len(a.Commands) == 0 && a.weight < 4 {
			return d
		}
	}
	return nil
}

var pronouns = setOf(`me my mine this that it here name there i we us you them hand hands look eye`)

// objectOf reports a text that names something that is done to.
func objectOf(text string) bool {
	m := anyDeed.FindStringIndex(maskCode(text))
	if m == nil {
		if past := anyPast.FindStringSubmatchIndex(maskCode(text)); past != nil && !noDeed[strings.ToLower(text[past[2]:past[3]])] {
			m = past[2:4]
		}
	}
	if m == nil {
		return false
	}
	for w := range contentWords(text[m[1]:]) {
		if !pronouns[w] {
			return true
		}
	}
	return false
}

// outcomes decides by position: what was tried before something else was tried
// had failed, and what came last before the end had worked, unless what people
// said or measured in between says otherwise.
func (ts *tries) outcomes(over int) {
	end := over
	if end < 0 {
		end = len(ts.t.c.Messages)
	}
	last := -1
	for i, d := range ts.all {
		if d.msg <= end && (len(d.Commands) > 0 || last < 0 || len(ts.all[last].Commands) == 0) {
			last = i
		}
	}
	helped := false
	for i, d := range ts.all {
		if d.weight >= 4 || i > last {
			helped = helped || d.Outcome == Worked
			continue
		}
		until := len(ts.t.c.Messages)
		if i+1 < len(ts.all) {
			until = ts.all[i+1].msg
		}
		good, bad := ts.told(d, until)
		switch {
		case i == last && helped && besides.MatchString(strings.ToLower(d.Text)):
		case i == last && (len(bad) == 0 || len(good) > 0 && good[len(good)-1].msg > bad[len(bad)-1].msg || over >= d.msg && (len(d.Commands) > 0 || len(good) > 0)):
			ts.decide(d, Worked, good, "the last thing done before it was over", over)
		case i == last:
			ts.decide(d, Failed, bad, "", -1)
		case len(good) > 0 && len(bad) == 0 && i+1 <= last && besides.MatchString(strings.ToLower(ts.all[i+1].Text)):
			ts.decide(d, Worked, good, "", -1)
			helped = true
		case len(d.Commands) > 0 || d.Outcome == Unclear && d.executed || d.executed && len(bad) > 0 && len(good) == 0:
			ts.decide(d, Failed, bad, "something else was tried after it", -1)
		}
	}
}

var besides = anyOf(`also`, `additionally`, `as well`, `too`, `for good measure`, `on top`, `besides`, `while (?:i\'?m|we\'?re) at it`)

// told are the sentences between a deed and another message that speak of a
// good and of a bad effect.
func (ts *tries) told(d *try, until int) (good, bad []said) {
	for _, s := range ts.t.said {
		if s.msg < max(d.msg, d.last) || s.msg >= until || s.asks || s.line.quoted || s.label != "" || s.pointsBack {
			continue
		}
		switch e := ts.figures.effect(s); {
		case e > 0:
			good = append(good, s)
		case e < 0 && looksAhead(s):
		case terseNo.MatchString(s.text) && s.msg > d.msg:
			bad = append(bad, s)
		case e < 0 && (s.msg > d.msg || len(bad) > 0 || len(s.snippets()) == 0 || verdict(s.text) < 0):
			bad = append(bad, s)
		}
	}
	return good, bad
}

// decide sets an outcome; the words that were said of it go before the rule.
func (ts *tries) decide(d *try, outcome string, words []said, rule string, source int) {
	if d.Outcome == outcome && d.weight > 0 {
		return
	}
	d.Outcome, d.Why = outcome, rule
	if len(words) > 0 {
		d.Why = words[0].text
		d.Sources = appendSource(d.Sources, words[0].source)
	} else if source >= 0 {
		d.Sources = appendSource(d.Sources, ts.t.sources[source])
	}
}

// claim reports a short sentence in which somebody takes something on: about
// themselves, in few words, without a figure, a command or a question.
func (s said) claim() bool {
	n := len(strings.Fields(s.text))
	return n > 0 && n <= 8 && !s.asks && !s.bot && len(s.snippets()) == 0 && !strings.ContainsAny(s.text, "0123456789`") && claimRE.MatchString(s.text)
}

var claimRE = pattern.MustCompile(`(?i)\b(?:(?:leave|assign|give|hand|route|send|pass) (?:it|this|that|these)(?: one)? (?:over )?(?:to|with) me|(?:my|our) (?:name|turn|service|area|problem)|(?:this|that|it)(?: one)?(?:'?s| is)? (?:for|on|with|to) me|(?:i|we)(?:'ll| will|'m| am| can| could)? (?:make this|care|drive|lead|run|own|coordinate|handle|deal|steer|take|look after|continue|see to)\b|happy to (?:lead|drive|own|take|run)|looking after (?:it|this|that)|on (?:the case|it)|i(?:'m| am) on\b|picking (?:it|this) up|baton received|continuing from (?:there|here)|(?:acked|ack),? mine|^mine\b|^i got (?:it|this)|will do\b)`)
