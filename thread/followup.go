package thread

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"prunella/thread/pattern"
)

var (
	mentionRE  = pattern.MustCompile(`@([A-Za-z0-9][\w.-]*[A-Za-z0-9]|[A-Za-z0-9])`)
	nobody     = setOf(`here channel everyone oncall on-call`)
	ownsRE     = pattern.MustCompile(`(?i)@([\w.-]+)(?:'s team)?[,]? (?:\([^)]*\) )?(?:\w+ )?(?:owns|own|maintains|is on the hook|is accountable|is in charge|has the lead|is the owner|is (?:the )?(?:service |primary )?owner|is responsible|runs (?:the|that|this)|looks after|is (?:the )?(?:on-?call|dri|poc))\b|@([\w.-]+) \([^)]*\bowns?\b[^)]*\)|\b(?:is|are) @([\w.-]+?)'s\b`)
	ownedByRE  = pattern.MustCompile(`(?i)\b(?:owned by|falls to|in the hands of|under|sits with|lives with|point person(?: is)?|lead(?: is|:)|owner(?:s)?(?: of [\w /-]+)?(?: is| are|:)?|belongs to|maintained by|responsible(?: for [\w./-]+)?(?: is|:)|in charge(?: of [\w./-]+)?(?: is|:)|dri(?: is|:)|primary(?: is|:)?)\s*@([\w.-]+)(?:(?:,? and |, ?| & )@([\w.-]+))?`)
	movedRE    = pattern.MustCompile(`(?i)\b(?:moved|went|handed over|transferred|belongs|reassigned)(?: over)?(?: now)? to @([\w.-]+)`)
	yoursRE    = pattern.MustCompile(`(?i)@([\w.-]+)[,:]? (?:is this|this is|that'?s|isn'?t this|i think this is|this one'?s) yours`)
	askedRE    = pattern.MustCompile(`(?i)@([\w.-]+)[,:]? (?:can|could|would|will) you (?:please )?(?:own|take|drive|lead|run|handle|pick) |(?:can|could) @([\w.-]+) (?:please )?(?:own|take|drive|lead|run|handle)`)
	iOwnRE     = pattern.MustCompile(`(?i)\b(?:i own|i maintain|(?:that'?s|this is|it'?s) (?:my|mine|our)(?: \w+)? ?(?:service|area|team|system|component|baby)|my (?:service|area|component|system) |we own|mine\b.*own)`)
	assignRE   = pattern.MustCompile(`(?i)\b(?:(?:on it|taken(?: by)?|handling|responder|picked up by|with)\W{1,3}|assign(?:ed|ing)? (?:this |it )?to|over to|yours|handing (?:this |it )?to|ic (?:is|:)|incident commander(?: is|:)?|lead (?:is|:)|driving:?)\s*@([\w.-]+)|@([\w.-]+)(?: is| will be|'s)? (?:handling (?:it|this)|ic|incident commander|lead(?:ing)?|driving|taking (?:this|it|lead|point)|on (?:it|point)|assigned|has it|handles (?:it|this))\b`)
	takeRE     = pattern.MustCompile(`(?i)^(?:(?:ok(?:ay)?|yep|yes|hi|sure|alright|yeah|mine|fine|np|no problem|@[\w.-]+)[,.:! ]*)*(?:i'?ll (?:take|own|drive|lead|handle) (?:this|it|point|lead|the lead|the incident|ic)|i(?:'ve| have)? got (?:this|it)\b|taking (?:this|it|point|over|lead|ic|the lead)|(?:let me|i'?ll|i will|i can|gonna|happy to) (?:own|run|drive|take|lead|handle)\b|mine,|(?:i'?ll |i )?(?:grab|pick)(?:bing|ing)? (?:this|it)(?: one)?(?: up)?|claiming (?:this|it)|i'?m (?:the |your |an? )?(?:lead|point|incident lead|responder|contact|person for (?:this|it))|i'?ll run point|(?:this|it)(?: one)?(?:'s| is) (?:mine|with me|on me)|leave (?:this|it) (?:to|with) me|count on me|got it,? mine|mine now|consider it mine|i'?m (?:ic|on (?:it|this)|driving|leading|taking|the owner|primary)|mine|on it\b|i'?ll (?:be )?ic\b|i can take)`)
	assigneeRE = pattern.MustCompile(`(?i)(?:owner|assignee|assigned(?: to)?|dri|who|@)\s*[:=]?\s*@([\w.-]+)|[(\[–—>-]\s*@([\w.-]+)\s*[)\]]?|@([\w.-]+)(?:\s+(?:to|will|is going to|can you|could you|please|owns|has|takes|is)\b|\s*[:–—-])|(?:^|\s)@([\w.-]+)\s*[.)]?$`)
	iWill      = pattern.MustCompile(`(?i)\b(?:i'?ll|i will|i'?m going to|i can|i have|i've|mine|me\b|i \w+ed|taking|i'?d)\b|^(?:filed|opened|created|raised|will (?:file|open|add|do|write))\b`)
	vague      = pattern.MustCompile(`(?i)^(?:follow[- ]?ups?|action items?|next steps?|todos?|to-?dos?|tasks?|prevention)[ :.\-–—]*$`)
	leadIn     = pattern.MustCompile(`(?i)^(?:follow[- ]?up|action item|ai|to-?do|next step|also|and|then|later|longer term|long[- ]term|for prevention)\s*(?:#?\d+)?\s*[:\-–—]\s*`)
	sinceRE    = pattern.MustCompile(`(?i)\b(?:since|from|on|in|opened|dated)\s+(?:early |late |mid-?)?(?:(\d{4})-(\d\d)(?:-(\d\d))?|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?(?: (\d{1,2})(?:st|nd|rd|th)?)?(?:,? (\d{4}))?|(\d{1,2})\.? (jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*(?: (\d{4}))?|(last (?:week|month|quarter|year)))`)
	statusRE   = pattern.MustCompile(`(?i)[(\[–—:-]\s*(?:already |now |all )?(done|open|shipped|merged|closed|pending|in progress|todo|completed?|landed|deployed)\b`)
)

var monthOf = map[string]time.Month{"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}

// dateIn is a day that a text names after since, on or in; a month without a
// year is the last such month before the message.
func dateIn(text string, said time.Time) time.Time {
	m := sinceRE.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}
	}
	atoi := func(s string, or int) int {
		n := 0
		for _, r := range s {
			n = n*10 + int(r-'0')
		}
		if n == 0 {
			return or
		}
		return n
	}
	switch {
	case m[1] != "":
		return time.Date(atoi(m[1], 1), time.Month(atoi(m[2], 1)), atoi(m[3], 1), 0, 0, 0, 0, time.UTC)
	case m[4] != "" || m[8] != "":
		name, day, year := m[4]+m[8], atoi(m[5]+m[7], 1), m[6]+m[9]
		month := monthOf[strings.ToLower(name)]
		y := atoi(year, said.Year())
		d := time.Date(y, month, day, 0, 0, 0, 0, time.UTC)
		if year == "" && d.After(said) {
			d = d.AddDate(-1, 0, 0)
		}
		return d
	}
	day := said.Truncate(24 * time.Hour)
	switch strings.ToLower(m[10]) {
	case "last week":
		return day.AddDate(0, 0, -7)
	case "last month":
		return day.AddDate(0, -1, 0)
	case "last quarter":
		return day.AddDate(0, -3, 0)
	}
	return day.AddDate(-1, 0, 0)
}

// isWish reports a sentence that says what should be done so that it does not
// come back.
func isWish(s said) bool {
	return s.label == "followup" || s.line.boxed || wishStart.MatchString(s.text) || wish.MatchString(strings.ToLower(s.text)) && !s.asks || s.asks && regexpShouldWe.MatchString(s.text)
}

var wishStart = pattern.MustCompile(`(?i)^(?:todo|to-do|action items?|follow[- ]?ups?|next steps?|already done|ai\b|[a-z]{2,9}-\d{2,6}\s*[:–—-]|[^()]*\((?:done|open|shipped|ticket open)\b[^)]*\)|fyi\b.*\bas of (?:today|now|yesterday))`)

var takeIt = pattern.MustCompile(`(?i)^(?:ok(?:ay)?[, ]+|sure[, ]+|@[\w.-]+[,:]? |i |i'?ll |can |could |will )*(?:you |i )?(?:take|own|do|handle|pick up|file|got|grab)(?:s|ing)? (?:it|this|that|those|these|them|this one|that one|the ticket)(?: up)?\??[.!]?$`)

var regexpShouldWe = pattern.MustCompile(`(?i)\bshould we (?:also )?(?:add|set up|have|alert|automate|document)\b`)

// nothingSaid is an emoji, or the heading of a report.
var nothingSaid = pattern.MustCompile(`(?i)^\W*[a-z0-9]+_\w+:\W*$|^\W*(?:incident|outage) report\W*[A-Z]+-\d+\W*$`)

// followUps collects what is to be done, and what later became of it.
func (t *talk) followUps(ts *tries, c turns, late []*try) []FollowUp {
	var out []FollowUp
	var words []map[string]bool
	for i, s := range t.said {
		if s.line.quoted || s.text == "" || nothingSaid.MatchString(s.text) || vague.MatchString(s.text) || i == c.cause || s.pointsBack || s.label == "" && saysOver(s.lower) && !isWish(s) {
			continue
		}
		w := contentWords(s.text)
		if i := t.update(out, words, s, w, c); i >= 0 {
			continue
		}
		if takes := takeIt.MatchString(s.text); takes && len(out) > 0 && out[len(out)-1].Owner == "" && t.assignee(s) != "" {
			out[len(out)-1].Owner = t.assignee(s)
			continue
		}
		act := ""
		switch {
		case s.label == "followup" || s.line.boxed && !s.bot:
			act = "plan"
		case s.label != "":
		case s.bot:
			if botPlans.MatchString(s.text) && strings.Contains(s.text, ":") {
				act = "plan"
			}
		case s.msg > c.fixed:
			act = t.afterwards(i, ts, c)
		case (ticketRE.MatchString(s.text) || followLater.MatchString(s.text)) && isWish(s):
			act = "plan"
		}
		if act != "plan" && act != "done" {
			continue
		}
		f := FollowUp{Text: strings.TrimSpace(leadIn.ReplaceAllString(s.text, "")), Since: stampOf(s), Source: s.source}
		f.Done = act == "done" || s.line.done || isDone(s.text) && !s.bot
		if d := dateIn(s.text, s.at); !d.IsZero() {
			f.Since = d
		}
		f.Owner = t.assignee(s)
		if len(contentWords(f.Text)) < 2 || bareTicket(s.text) {
			continue
		}
		out, words = append(out, f), append(words, w)
	}
	for _, a := range late {
		s := said{text: a.Text, source: a.Sources[0], by: a.By, at: a.At}
		if hidden.MatchString(a.Text) || slices.ContainsFunc(t.said, func(o said) bool { return o.pointsBack && o.source.TS == a.Sources[0].TS }) {
			continue
		}
		if i := t.update(out, words, s, a.words, c); i >= 0 || slices.ContainsFunc(out, func(f FollowUp) bool { return f.Source.TS == s.source.TS }) {
			continue
		}
		out = append(out, FollowUp{Text: a.Text, Done: a.executed, Since: stampOf(s), Owner: a.By, Source: a.Sources[0]})
		words = append(words, a.words)
	}
	return out
}

// bareTicket reports a sentence that is a ticket's number and no more: what is
// to be done stands beside it.
func bareTicket(text string) bool {
	return ticketRE.MatchString(text) && len(contentWords(ticketWord.ReplaceAllString(ticketRE.ReplaceAllString(text, " "), " "))) == 0
}

var ticketWord = pattern.MustCompile(`(?i)\b(?:tickets?|issues?|jira|cases?|number|no|ref|reference|id|see)\b`)

var asOf = pattern.MustCompile(`(?i)\bas of (?:today|now|yesterday|this (?:morning|week))\b`)

func isDone(text string) bool {
	if strings.HasPrefix(strings.ToLower(text), "already done") || asOf.MatchString(text) {
		return true
	}
	if m := statusRE.FindStringSubmatch(text); m != nil {
		switch strings.ToLower(m[1]) {
		case "open", "pending", "in progress", "todo":
			return false
		}
		return true
	}
	low := strings.ToLower(text)
	return doneMark.MatchString(low) && !openMark.MatchString(low) && !future.MatchString(low)
}

// update takes a later message about a follow-up as its new state: by its
// ticket, or by the words it shares.
func (t *talk) update(list []FollowUp, words []map[string]bool, s said, w map[string]bool, c turns) int {
	low := strings.ToLower(s.text)
	still := openMark.MatchString(low)
	finished := doneMark.MatchString(low) && !future.MatchString(low) && !openMark.MatchString(low) || s.line.done
	tickets := c.tickets(s.text)
	later := tookCare.MatchString(s.text) || c.over >= 0 && s.at.Sub(t.timeOf(c.over)) > 3*time.Hour
	finished = finished || later && !still && !s.asks
	for i := range list {
		if list[i].Source.TS == s.source.TS {
			continue
		}
		same := false
		for _, k := range tickets {
			same = same || strings.Contains(list[i].Text, k)
		}
		n := shared(w, words[i])
		if !same && !((n >= 3 || n == 2 && later) && n*2 >= min(len(w), len(words[i]))) {
			continue
		}
		if finished {
			list[i].Done = true
			list[i].Since = stampOf(s)
			if d := dateIn(s.text, s.at); !d.IsZero() {
				list[i].Since = d
			}
		} else if !still && len(tickets) == 0 {
			continue
		}
		if list[i].Owner == "" {
			list[i].Owner = t.assignee(s)
		}
		return i
	}
	return -1
}

// assignee is who a follow-up is given to, or who takes it.
func (t *talk) assignee(s said) string {
	if m := assigneeRE.FindStringSubmatch(s.text); m != nil {
		for _, name := range m[1:] {
			if name != "" && !nobody[strings.ToLower(name)] {
				return "@" + strings.TrimRight(name, ".")
			}
		}
	}
	if ms := mentionRE.FindAllStringSubmatch(s.text, -1); len(ms) == 1 && !nobody[strings.ToLower(ms[0][1])] {
		return "@" + ms[0][1]
	}
	if iWill.MatchString(s.text) && s.by != "" {
		return s.by
	}
	low := strings.ToLower(s.text)
	for _, name := range slices.Sorted(maps.Keys(t.names)) {
		if strings.Contains(low, name) && givenTo(name).MatchString(s.text) {
			return t.names[name]
		}
	}
	return ""
}

// givenTo matches where something is given to somebody by name.
func givenTo(name string) *regexp.Regexp {
	name = regexp.QuoteMeta(name)
	return regexp.MustCompile(`(?i)\b` + name + ` (?:will|to|is going to|has|takes)\b|\((?:owner: )?` + name + `\)|(?:owner|assignee): ?` + name + `\b`)
}

// owners are who the failing thing belongs to: who is said to own it, else who
// took the incident, else who did what worked.
func (t *talk) owners(x Extraction) []string {
	var own, take, asked, commands []string
	add := func(list []string, name string) []string {
		name = strings.TrimRight(name, ".")
		if name == "" || nobody[strings.ToLower(strings.TrimPrefix(name, "@"))] {
			return list
		}
		if !strings.HasPrefix(name, "@") {
			name = "@" + name
		}
		if slices.Contains(list, name) {
			return list
		}
		return append(list, name)
	}
	for _, s := range t.said {
		if s.bot && !botPlans.MatchString(s.text) {
			for _, m := range botNames.FindAllStringSubmatch(s.text, -1) {
				take = add(nil, m[1]+m[2])
			}
		}
		if s.bot || s.line.quoted || s.label == "followup" {
			continue
		}
		text := t.handles(s.text)
		if m := watch.FindStringSubmatch(text); m != nil && !s.asks {
			take = add(nil, m[1]+m[2])
		}
		if s.label == "owner" {
			for _, m := range mentionRE.FindAllStringSubmatch(text, -1) {
				own = add(own, m[1])
			}
			continue
		}
		for _, m := range movedRE.FindAllStringSubmatch(text, -1) {
			own = add(own, m[1])
		}
		for _, m := range yoursRE.FindAllStringSubmatch(text, -1) {
			asked = add(asked, m[1])
		}
		for _, m := range askedRE.FindAllStringSubmatch(text, -1) {
			asked = add(add(asked, m[1]), m[2])
		}
		for _, re := range []*pattern.Pattern{ownsRE, ownedByRE} {
			if s.asks || ownsWork.MatchString(text) {
				break
			}
			for _, m := range re.FindAllStringSubmatch(text, -1) {
				for _, name := range m[1:] {
					own = add(own, name)
				}
			}
		}
		if iOwnRE.MatchString(text) && !s.asks {
			own = add(own, s.by)
		}
		for _, m := range assignRE.FindAllStringSubmatch(text, -1) {
			take = add(add(take, m[1]), m[2])
		}
		if m := mentionRE.FindAllStringSubmatch(text, -1); len(m) == 1 && slices.Contains(take, s.by) && !s.asks && handsOver.MatchString(text) && "@"+m[0][1] != s.by {
			take = add(nil, m[0][1])
		}
		if commander.MatchString(text) && !s.asks {
			commands = add(commands, s.by)
		}
		if (takeRE.MatchString(text) && !ofAnother.MatchString(text) || s.claim() && !ofAnother.MatchString(text) && s.msg < (len(t.c.Messages)+1)/2) && !s.asks {
			take = add(take, s.by)
		}
	}
	switch {
	case len(own) > 0:
		return own
	case len(commands) == 1: // who commands, and who mended it
		for _, i := range x.Worked {
			if by := x.Tried[i].By; strings.HasPrefix(by, "@") && len(commands) < 2 {
				commands = add(commands, by)
			}
		}
		return commands
	case len(take) > 1: // of several, the one who mended it
		for _, i := range x.Worked {
			if slices.Contains(take, x.Tried[i].By) {
				return []string{x.Tried[i].By}
			}
		}
		return take
	case len(take) > 0:
		return take
	case len(asked) > 0:
		return asked
	}
	for _, i := range x.Worked {
		if by := x.Tried[i].By; strings.HasPrefix(by, "@") {
			take = add(take, by)
		}
	}
	if take == nil {
		take = []string{}
	}
	return take
}

// Who has the incident, as a bot that keeps it writes it down, and as people
// speak of watches, helms and pagers.
var (
	botNames = pattern.MustCompile(`(?i)@([\w.-]+) (?:is now |was |has been |is |has )?(?:(?:the )?(?:responsible|owner|lead|commander|in charge|incident (?:lead|commander|manager|owner|responder))|assigned|leads|leading|acknowledged|acked|took|taken|claimed|owns|handling|responding)\b|\b(?:assigned to|acknowledged by|acked by|claimed by|led by|owned by|handled by|picked up by|taken by|lead|commander|owner|responsible|assignee|responder|handler)\W{1,6}@([\w.-]+)`)
	watch    = pattern.MustCompile(`(?i)@([\w.-]+)\)? (?:has|have|carries|holds|got|you have|you've got|takes|is holding|is carrying) (?:the |our )?(?:\S+ )?(?:pager|conn|con|wheel|duty|watch|shift|helm|stick|ball|lead|baton)\b|@([\w.-]+)\)? (?:continues|takes over|is taking over|carries (?:it|this|on)|drives|is running (?:this|it|the)|is on duty|is on shift|is in the hot seat|has (?:it|this) from here)\b`)
)

// ownsWork gives somebody what remains to be done, and not the thing that failed.
var ownsWork = pattern.MustCompile(`(?i)\bowns?:|\bown(?:s|ed by)? (?:the |this |that )?(?:ticket|action|follow[- ]?up|item|task|to-?do|write-?up|post-?mortem|report|review)\b|\b(?:ticket|action|follow[- ]?up|item|task|to-?do)s?\b.{0,40}\bowned by\b`)

// commander is who says that they lead, which is not to repair.
var commander = pattern.MustCompile(`(?i)\b(?:i'?ll|i will|i'?m|i am|i can|let me)(?: be)?(?: the| your)? (?:ic|command(?:er|ing)?|incident (?:commander|manager|lead)|coordinat(?:e|or|ing)|lead(?:ing)?)\b|^\W*(?:taking|i take|i have) (?:ic|command)\b|^\W*(?:ic|incident commander|commander) (?:here|speaking|on (?:deck|the bridge|the call))\b`)

// ofAnother says of somebody else that they have it: "@sam is on it".
var ofAnother = pattern.MustCompile(`(?i)@[\w.-]+ (?:is|has|takes|took|will|got|leads|picked|drives|handles|assigned)\b|^\W*(?:on it|taken|mine|lead|leading|assigned|handling|taking (?:it|this))(?: by| to)?\W{1,3}@`)

var handsOver = pattern.MustCompile(`(?i)\b(?:hand\w*|over|baton|torch|relay|shift|continues?|takes?|off (?:now|for)|out (?:in|for|now)|end of (?:day|shift)|logging off|relieves?)\b`)

var capName = pattern.MustCompile(`(^|[^\w@])([A-Za-z][a-z]+)( (?:owns|own|maintains|is on the hook|is accountable|is in charge|has the lead|is the owner|is responsible|is ic\b|is on point|is driving|is leading|is taking|is incident commander|is on (?:it|this|the case)|(?:has|took|takes|picked up|got|handles|is handling) (?:it|this|the (?:incident|page|lead))|is (?:already )?looking|leads|drives)\b|\s*\([^)]*\bowns?\b)`)

// handles writes names of people in prose as handles where it is said that they own something.
func (t *talk) handles(text string) string {
	text = capName.ReplaceAllStringFunc(text, func(m string) string {
		g := capName.FindStringSubmatch(m)
		if h, ok := t.names[strings.ToLower(g[2])]; ok {
			return g[1] + h + g[3]
		}
		return m
	})
	return text
}
