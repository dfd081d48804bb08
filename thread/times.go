package thread

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"prunella/thread/pattern"
)

var (
	clockRE = pattern.MustCompile(`(?i)(?:\b(\d{4}-\d\d-\d\d)[T ,]+(?:at )?)?(?:^|[^\d:.\w-]|T|\b)([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.\d+)?)?\s?(am|pm|a\.m\.|p\.m\.)?\s?(utc|gmt|z|cest|cet|bst|wet|eet|est|edt|cst|cdt|mst|mdt|pst|pdt|ist|jst|aest|aedt|sgt|[+-]\d\d:?\d\d)?(?:$|[^\d:\w]|[–-])`)
	hourRE  = pattern.MustCompile(`(?i)\b(?:at|around|about|since|~|from)\s?~?(\d{1,2})\s?(am|pm)\b\s?(utc|gmt|cest|cet|bst|est|edt|cst|cdt|mst|mdt|pst|pdt|ist|jst)?`)
	bareRE  = pattern.MustCompile(`(?i)\b(?:at|around|about|since|~|from)\s?~?([01]\d|2[0-3])([0-5]\d)\s?(utc|z|gmt|h)\b`)
	agoRE   = pattern.MustCompile(`(?i)\b(?:about |around |roughly |~ ?|some |approx\.? |like )?(\d+|an?|a few|a couple(?: of)?|two|three|five|ten|fifteen|twenty|thirty|half an)\s?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\s+(?:ago|back)\b`)
	forRE   = pattern.MustCompile(`(?i)\b(?:for|over the|in the|over about|over roughly) (?:the )?(?:last|past|about|around|roughly|~|like|at least)?\s*(?:the last |the past )?~?(\d+|an?|a few|ten|fifteen|twenty|thirty|half an)\s?(m|mins?|minutes?|h|hrs?|hours?)\b(?: now)?`)

	zoneOffset = map[string]int{"utc": 0, "gmt": 0, "z": 0, "h": 0, "wet": 0, "cet": 3600, "bst": 3600, "cest": 7200, "eet": 7200, "est": -18000, "edt": -14400, "cst": -21600, "cdt": -18000, "mst": -25200, "mdt": -21600, "pst": -28800, "pdt": -25200, "ist": 19800, "jst": 32400, "aest": 36000, "aedt": 39600, "sgt": 28800}
	numberWord = map[string]int{"a": 1, "an": 1, "a few": 3, "a couple": 2, "a couple of": 2, "two": 2, "three": 3, "five": 5, "ten": 10, "fifteen": 15, "twenty": 20, "thirty": 30}

	startsAt   = anyOf(`kicked in`, `first blip`, `earliest \w+`, `trouble since`, `dates back to`, `goes back to`, `going (?:on )?since`, `appeared`, `showed up`, `popped up`, `set in`, `hit us`, `start(?:ed|ing|s)?`, `beg[aiu]n(?:s|ning)?`, `since`, `first (?:error|seen|alert|report|occurr\w+|fail\w+|log|one|401|5xx|timeout|symptom|bad)\w*`, `onset`, `kicked off`, `went (?:down|bad|red|up|south|sideways)`, `from (?:about |around |~)?\d`, `broke`, `jumped`, `spiked`, `dropped`, `stopped`, `firing since`, `as of`, `ago`, `for (?:the )?(?:last|past|about|~)`, `starting (?:at|around)`, `impact`)
	resolvesAt = anyOf(`resolved`, `recover(?:ed|y)`, `back to normal`, `back (?:up|online)`, `all clear`, `ended`, `end`, `over`, `closed`, `clean since`, `stable since`, `healthy (?:again )?(?:since|at|as of)`, `green since`, `normal (?:since|at|as of)`, `cleared`, `fully recovered`, `no (?:more |new )?(?:errors?|5xx|401s|failures|timeouts) since`)
	diagnoseAt = anyOf(`diagnosed`, `identified`, `cause found`, `found (?:the|it|out)`, `figured out`, `root cause`, `pinned`, `traced`)
	fixesAt    = anyOf(`fixed`, `mitigated`, `fix (?:applied|deployed|went|landed|in|out|rolled|was)`, `applied`, `restarted`, `rolled (?:back|out)`, `reverted`, `deployed`, `completed?`, `finished`, `done`, `failed over`, `switched`, `renewed`, `scaled`)
	rangeRE    = pattern.MustCompile(`(?i)\b([01]?\d|2[0-3]):([0-5]\d)\s?(?:utc|z)?\s?(?:-|–|—|to|until|till|→|->)\s?([01]?\d|2[0-3]):([0-5]\d)\s?(utc|z|gmt|cest|cet|bst|est|edt|pst|pdt)?`)
)

// lately is the time of the last hour that times of a sentence are, when they are one.
func lately(s said, times []time.Time) (at time.Time, ok bool) {
	if len(times) != 1 || !times[0].After(s.at.Add(-time.Hour)) || times[0].After(s.at) {
		return at, false
	}
	return times[0], true
}

// clocks are the times that a sentence names, in its order. A time of day without a date is the
// last such time up to a little after the message; without a zone it is UTC
// unless only the author's own zone puts it near.
func (t *talk) clocks(s said) []time.Time {
	var out []time.Time
	text := maskFigures(s.text)
	offset := 0
	if m := t.c.Messages[s.msg]; m.User != "" && s.zone == "" {
		offset = t.dir.Users[m.User].Offset
	}
	for _, m := range clockRE.FindAllStringSubmatch(text, 4) {
		h, _ := strconv.Atoi(m[2])
		min, _ := strconv.Atoi(m[3])
		sec, _ := strconv.Atoi(m[4])
		if at := place(s.at, m[1], h, min, sec, m[5], cmp.Or(m[6], s.zone), offset); !at.IsZero() {
			out = append(out, at)
		}
	}
	for _, m := range hourRE.FindAllStringSubmatch(text, 2) {
		h, _ := strconv.Atoi(m[1])
		if at := place(s.at, "", h, 0, 0, m[2], m[3], offset); !at.IsZero() {
			out = append(out, at)
		}
	}
	for _, m := range bareRE.FindAllStringSubmatch(text, 2) {
		h, _ := strconv.Atoi(m[1])
		min, _ := strconv.Atoi(m[2])
		if at := place(s.at, "", h, min, 0, "", m[3], offset); !at.IsZero() {
			out = append(out, at)
		}
	}
	if m := pastHour.FindStringSubmatch(text); m != nil && len(out) == 0 {
		min, _ := strconv.Atoi(m[1])
		at := s.at.Truncate(time.Hour).Add(time.Duration(min) * time.Minute)
		if at.After(s.at) {
			at = at.Add(-time.Hour)
		}
		out = append(out, at)
	}
	if m := onlySpan.FindStringSubmatch(text); m != nil && len(out) == 0 {
		out = append(out, s.at.Add(-span(m[1], m[2])))
	}
	for _, re := range []*pattern.Pattern{agoRE, forRE} {
		if m := re.FindStringSubmatch(text); m != nil && len(out) == 0 && t.lasts(re, text) {
			out = append(out, s.at.Add(-span(m[1], m[2])))
		}
	}
	if m := spanRE.FindStringSubmatch(text); m != nil && len(out) == 0 && soLong.MatchString(text) && !looksAround.MatchString(s.text) && !future.MatchString(s.lower) && verdict(s.text) <= 0 {
		out = append(out, s.at.Add(-span(m[1], m[2])))
	}
	return out
}

// lasts reports a span that tells how long it has been like this.
func (t *talk) lasts(re *pattern.Pattern, text string) bool {
	if re == agoRE {
		return !compares.MatchString(text)
	}
	return !strings.Contains(text, "stable for") && failing.MatchString(text) || lasting.MatchString(text) && verdict(text) <= 0
}

// compares sets how it is against how it was: "22 against 3 an hour ago", "refuses
// what it took an hour ago".
var compares = pattern.MustCompile(`(?i)\b(?:vs\.?|versus|than|against|compared|from|up from|down from|was|were|what|which|that|who)\b[^,;]* (?:\d+|an?|half an|two|a few) ?(?:m|mins?|minutes?|h|hrs?|hours?) (?:ago|back)\b|\bof (?:\w+ )?(?:\d+|an?|half an|two|three|a few) ?(?:m|mins?|minutes?|h|hrs?|hours?|days?) ago\b`)

// A span that something has lasted for, without "ago" or "for": "it makes ten
// minutes that it is like this".
var (
	spanRE = pattern.MustCompile(`(?i)\b(\d+|an?|ten|fifteen|twenty|thirty|half an)\s?(m|mins?|minutes?|h|hrs?|hours?)\b`)
	soLong = pattern.MustCompile(`(?i)\b(?:makes|lasts?|lasted|(?:it'?s|its|it is|it has|this has|has) been|like (?:this|that)|since|already|going on|been (?:so|like|bad|down|this|that|going)|is so|exists?|continues?|persists?|and counting|straight)\b`)
)

var lasting = pattern.MustCompile(`(?i)\b(?:been|already|lasts|going)\b.*\bfor\b|\bfor\b.*\b(?:now|already)\b`)

var (
	pastHour = pattern.MustCompile(`(?i)(?:^|[ ~])([0-5]?\d) past(?:-?ish)?\b(?: the hour)?`)
	onlySpan = pattern.MustCompile(`(?i)^\W*(?:(?:\w+ ){1,2}(?:says?|said|thinks?|guess|reckons?),? )?(?:about |around |roughly |like |maybe )?~?(\d+) ?(m|mins?|minutes?|h|hrs?|hours?)(?: or so| now| give or take| ish| ago)?(?:,? (?:they|he|she|i) (?:says?|think|guess|reckon))?\W*$`)
)

var notClock = pattern.MustCompile(`\d+:\d\d:\d\d:\d\d|:\d{2,5}/|\b[\w.-]+:\d{2}\b/`)

func maskFigures(s string) string {
	return notClock.ReplaceAllString(spanOfDay.ReplaceAllString(maskCode(s), "$1$2 $3"), " ")
}

// spanOfDay is from one time to another, and no time with its zone.
var spanOfDay = pattern.MustCompile(`(^|[^\d:T])(\d\d:\d\d)-(\d\d:\d\d)\b`)

func span(n, unit string) time.Duration {
	n = strings.ToLower(n)
	v, ok := numberWord[n]
	if !ok {
		v, _ = strconv.Atoi(n)
	}
	d := time.Minute
	switch unit[0] | 0x20 {
	case 's':
		d = time.Second
	case 'h':
		d = time.Hour
	}
	if n == "half an" {
		return d / 2
	}
	return time.Duration(v) * d
}

func place(said time.Time, date string, h, min, sec int, half, zone string, own int) time.Time {
	switch half = strings.ToLower(strings.ReplaceAll(half, ".", "")); {
	case h > 12 && half != "":
		return time.Time{}
	case half == "pm" && h < 12:
		h += 12
	case half == "am" && h == 12:
		h = 0
	}
	zone = strings.ToLower(zone)
	at := func(offset int) time.Time {
		local := said.Add(time.Duration(offset) * time.Second)
		y, mo, d := local.Date()
		if date != "" {
			day, err := time.Parse(time.DateOnly, date)
			if err != nil {
				return time.Time{}
			}
			y, mo, d = day.Date()
		}
		v := time.Date(y, mo, d, h, min, sec, 0, time.UTC).Add(-time.Duration(offset) * time.Second)
		if date == "" && v.After(said.Add(10*time.Minute)) {
			v = v.AddDate(0, 0, -1)
		}
		return v
	}
	if zone != "" {
		offset, ok := zoneOffset[zone]
		if !ok {
			z := strings.ReplaceAll(zone[1:], ":", "")
			n, _ := strconv.Atoi(z)
			if offset = n/100*3600 + n%100*60; zone[0] == '-' {
				offset = -offset
			}
		}
		return at(offset)
	}
	utc := at(0)
	if own != 0 && date == "" {
		if local := at(own); said.Sub(utc) > 3*time.Hour && said.Sub(local) < 3*time.Hour {
			return local
		}
	}
	return utc
}

// moments finds the four times of an incident. A time that somebody names wins
// over the time of a message; a later, more exact statement over an earlier one.
func (t *talk) moments(x *Extraction, ts *tries, c choice) {
	stated := map[string]Moment{}
	state := func(name string, s said, at time.Time, rule string, strong bool) {
		first := t.said[0].at
		if name == "started" && at.After(first.Add(2*time.Minute)) {
			return // it had begun when it was reported
		}
		if at.IsZero() || at.Before(first.Add(-36*time.Hour)) || at.After(s.at.Add(15*time.Minute)) {
			return
		}
		if have, ok := stated[name]; ok && !strong && have.Rule != "stated" || ok && have.Rule == "labelled" && rule != "labelled" {
			return
		}
		stated[name] = Moment{Name: name, At: at, Stated: true, Source: s.source, Rule: rule}
	}
	begun := len(t.c.Messages)
	for _, a := range ts.all {
		if a.Outcome == Worked {
			begun = min(begun, a.msg)
		}
	}
	if len(ts.all) == 0 {
		begun = begun/3 + 1
	}
	t.chronicle(state)
	for i, s := range t.said {
		if s.label == "timeline" {
			continue
		}
		times := t.clocks(s)
		t.beside(s, times, state)
		if len(times) == 0 || s.line.quoted || s.label == "followup" {
			continue
		}
		if i > 0 && sinceWhen.MatchString(t.said[i-1].text) && t.said[i-1].by != s.by {
			state("started", s, times[0], "answered", true)
			continue
		}
		low := strings.ToLower(s.text)
		switch s.label {
		case "started", "diagnosed", "fixed", "resolved":
			state(s.label, s, times[0], "labelled", true)
			continue
		}
		if rangeRE.MatchString(s.text) && len(times) >= 2 && !strings.Contains(low, "deploy") {
			state("started", s, times[0], "stated-range", true)
			state("resolved", s, times[1], "stated-range", true)
			continue
		}
		for n, part := range timedParts(s.text) {
			if n >= len(times) {
				break
			}
			if s.msg > begun && !onsetWord.MatchString(part) && startsAt.MatchString(part) && !resolvesAt.MatchString(part) {
				continue // "live since 12:31"
			}
			t.stateOf(part, s, times[n], state)
			if _, told := stated["started"]; !told && s.msg < begun && !s.asks && !s.bot && !ts.reported(s) && !t.isDeed(s, ts) && times[n].Before(s.at) && !expiredOrChanged.MatchString(low) && !future.MatchString(low) {
				state("started", s, times[n], "time-before-anything-was-done", false)
			}
		}
	}
	set := func(name string, fallback Moment) time.Time {
		m, ok := stated[name]
		if !ok {
			m = fallback
		}
		if m.At.IsZero() {
			return m.At
		}
		m.Name = name
		x.Times = append(x.Times, m)
		return m.At
	}
	tells := func(w *weighed, named bool) Moment {
		if w == nil {
			return Moment{}
		}
		return Moment{At: w.when(named), Source: t.sources[w.msg], Rule: "weighed", Why: w.why}
	}
	x.Started = set("started", Moment{At: t.said[0].at, Source: t.said[0].source, Rule: "first-message"})
	x.Diagnosed = set("diagnosed", tells(c.diagnosed, false))
	x.Fixed = set("fixed", tells(c.fixed, true))
	x.Resolved = set("resolved", tells(c.resolved, false))
}

// liveSince is since when something that was done is in effect.
var liveSince = pattern.MustCompile(`(?i)\b(?:live|in|active|deployed|running|out|effective|place|on|up|applied|done|through|rolled out|stable|fine|ok|quiet|clean|good|green|normal) since\b`)

// sinceWhen is the question when it began.
var sinceWhen = pattern.MustCompile(`(?i)\b(?:since when|how long|when did|when has|when was|when (?:it|this|that) (?:start|began|begin)|from when|what time)\b|^\W*(?:and )?when\W*$`)

var (
	onsetWord   = anyOf(`start(?:ed|ing|s)?`, `began`, `begin\w*`, `onset`, `first`, `earliest`, `broke`, `goes back to`, `dates back to`, `kicked`, `fail\w*`, `error\w*`, `bad`, `down`, `trouble`, `impact`)
	startBeside = pattern.MustCompile(`(?i)\b(?:from|since|start(?:ed|ing|s)?(?: at)?|beg[au]n(?: at)?|onset(?: was| is| looks like)?(?: at)?|broke at|first seen(?: at)?|kicked in(?: at)?|dates back to|goes back to|as early as|(?:triggered|firing|noticed|seen|observed|detected|reported|commenced|turned|broke|tipped|bend|bends|visible|determined|kicked off|takes? off|took off)(?: at| from| since| as| is| was)+|(?:first|earliest|oldest|initial|start|onset|beginning) [\w ]{0,24}(?: is| was| at| from| dates from| came(?: in)? at|:)|beginning(?: at)?|set in(?: at)?|appeared(?: at)?|earliest \w+(?: is| was)?(?: at)?)\s+(?:about |around |~ ?|roughly |at )?$`)
	endBeside   = pattern.MustCompile(`(?i)\b(?:until|till|resolved(?: at)?|(?:over|fine|ok|normal|good|green|recovered|resolved|fixed) since|over(?: at| by)?|fixed at|recovered(?: at)?|back (?:at|since)|ended(?: at)?|all clear(?: at)?|closed(?: at)?|clean since|stable since|healthy since)\s+(?:about |around |~ ?|roughly |at )?$`)
)

// beside takes times by the words right before them: "from 16:09 utc", "until 16:52".
func (t *talk) beside(s said, times []time.Time, state func(string, said, time.Time, string, bool)) {
	text := maskFigures(s.text)
	for i, at := range clockRE.FindAllStringSubmatchIndex(text, 4) {
		if i >= len(times) || s.line.quoted {
			break
		}
		begin := at[4] // the hour
		if at[2] >= 0 {
			begin = at[2] // the date
		}
		before := text[:begin]
		switch {
		case fineUntil.MatchString(before):
			state("started", s, times[i], "stated", true)
		case expiredOrChanged.MatchString(strings.ToLower(before[max(0, len(before)-40):])) && !startBeside.MatchString(before):
		case endBeside.MatchString(before):
			state("resolved", s, times[i], "stated", true)
		case startBeside.MatchString(before) && !(liveSince.MatchString(before)):
			state("started", s, times[i], "stated", true)
		}
	}
}

// fineUntil stands before the time at which something ceased to be well.
var fineUntil = pattern.MustCompile(`(?i)\b(?:fine|ok(?:ay)?|good|clean|normal|worked|works|working|healthy|quiet|green|stable|up|flat|calm|running) (?:\w+ )?(?:until|till|up to|before)\s+(?:about |around |~ ?|roughly |at )?$`)

// timedParts cuts a sentence so that each part holds one of its times.
func timedParts(text string) []string {
	at := clockRE.FindAllStringIndex(maskFigures(text), 4)
	if len(at) < 2 {
		return []string{text}
	}
	var out []string
	start := 0
	for i := 1; i < len(at); i++ {
		cut := at[i][0]
		if comma := strings.LastIndexAny(text[at[i-1][1]:at[i][0]], ",;"); comma >= 0 {
			cut = at[i-1][1] + comma
		}
		out = append(out, text[start:cut])
		start = cut
	}
	return append(out, text[start:])
}

func (t *talk) stateOf(part string, s said, at time.Time, state func(string, said, time.Time, string, bool)) {
	low := strings.ToLower(maskCode(part))
	pos := verdict(part) > 0
	did, _, _, _ := acts(part)
	switch {
	case resolvesAt.MatchString(low) && (!startsAt.MatchString(low) || overAsOf.MatchString(low)), resolvesAt.MatchString(low) && pos, s.label == "timeline" && closing.MatchString(low):
		state("resolved", s, at, "stated", false)
	case diagnoseAt.MatchString(low) && !expiredOrChanged.MatchString(low):
		state("diagnosed", s, at, "stated", false)
	case did && s.label == "timeline":
		state("fixed", s, at, "stated", true)
	case fixesAt.MatchString(low) && !failing.MatchString(low) && fixStated.MatchString(low):
		state("fixed", s, at, "stated", false)
	case startsAt.MatchString(low) && !expiredOrChanged.MatchString(low) && !question.MatchString(part), s.label == "timeline" && failing.MatchString(low):
		if s.label == "timeline" && !startsAt.MatchString(low) {
			state("started", s, at, "stated", false)
			return
		}
		state("started", s, at, "stated", failing.MatchString(low) || strings.Contains(low, "start"))
	}
}

// overAsOf is an end with the time from which it holds.
var overAsOf = pattern.MustCompile(`\b(?:closed|resolved|over|ended|recovered|mitigated|green|clear|normal|good|fine) as of\b`)

var (
	expiredOrChanged = anyOf(`deploy\w*`, `release[ds]?`, `rolled out`, `merged`, `shipped`, `last (?:deploy|release|rotated|rotation|change|backup)`, `rotated`, `rotation`, `migration (?:started|ran)`, `backup (?:started|ran)`, `cron (?:started|ran)`, `job (?:started|ran)`, `uptime`, `restarted`, `stable`, `no (?:more |new )?errors?`, `clean`, `healthy`, `meeting`, `call`, `eta`, `updated?`)
	fixStated        = anyOf(`fixed (?:at|as of|by|since)`, `mitigated (?:at|as of|since)`, `fix (?:applied|deployed|went|landed|in|out|rolled|was)`, `(?:restart|rollout|rollback|failover|deploy|apply|revert)\w* (?:completed?|finished|done)`, `applied (?:at|the fix)`)
)
