package thread

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/thread/pattern"
)

// How alike two failures must be to be the same, by the cosine of what was
// extracted from them; less when somebody says that it happened before, little
// when somebody says when or links to it.
const (
	alikeAlone   = 0.32
	alikeApart   = 0.5 // of failures of services that have no name in common
	alikeSaid    = 0.15
	alikeUnnamed = 0.25 // said, of failures whose things are not called by the same name
	alikePointed = 0.06
)

var (
	permalinkRE = pattern.MustCompile(`/archives/([A-Z0-9]+)/p(\d{10})(\d{6})`)
	dayRE       = pattern.MustCompile(`\b(\d{4})-(\d\d)-(\d\d)\b`)
	monthDayRE  = pattern.MustCompile(`(?i)\b(?:(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? (\d{1,2})(?:st|nd|rd|th)?|(\d{1,2})(?:st|nd|rd|th)?\.? (?:of )?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)\b`)
	monthRE     = pattern.MustCompile(`(?i)\b(?:in|from|of|back in|last|since) (january|february|march|april|may|june|july|august|september|october|november|december)\b`)
	ordinalRE   = pattern.MustCompile(`(?i)\b(?:(second|2nd|third|3rd|fourth|4th|fifth|5th|sixth|6th)|(\d{1,2})th) (?:time|occurrence|incident|instance|one)\b`)
	agoRef      = pattern.MustCompile(`(?i)\blast (week|month|quarter|year|time)\b|\b(\d+|two|three|a few|a couple of) (days|weeks|months) ago\b`)
	incidentID  = pattern.MustCompile(`(?i)\b(?:inc|incident|sev|pm)[-_ #]?\d[\d-]{1,12}\b`)
	ordinalOf   = map[string]int{"second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4, "fifth": 5, "5th": 5, "sixth": 6, "6th": 6}
)

// reference is what a conversation says of an earlier time.
type reference struct {
	said    Sentence
	ts      string    // of a linked message
	day     time.Time // named day
	month   time.Time // named month, when no day
	id      string    // "inc-4711"
	nth     int       // "third time": 3
	vaguely bool      // only "again"
}

// explicitRef reports a sentence that points at an earlier incident.
func explicitRef(text string) bool {
	return permalinkRE.MatchString(text) || dayRE.MatchString(text) || monthDayRE.MatchString(text) || monthRE.MatchString(text) || ordinalRE.MatchString(text) || incidentID.MatchString(text)
}

// findEarlier marks the sentences that point to an earlier time: by a link, or
// by a day or number with a word of likeness. What they say of success or failure
// is not of this one, nor what else a short message with one says.
func (t *talk) findEarlier() {
	words, refers := map[int]int{}, map[int]bool{}
	for i, s := range t.said {
		words[s.msg] += len(strings.Fields(s.text))
		if s.msg > 0 && !s.bot && s.label == "" && (permalinkRE.MatchString(s.text) || explicitRef(s.text) && (again.MatchString(s.lower) || points.MatchString(s.text)) && len(t.clocks(s)) == 0) {
			t.said[i].pointsBack, refers[s.msg] = true, true
		}
	}
	for i, s := range t.said {
		t.said[i].pointsBack = s.pointsBack || refers[s.msg] && words[s.msg] < 12
	}
}

// references finds where people say that it happened before.
func (t *talk) references() []reference {
	var out []reference
	for _, s := range t.said {
		low := strings.ToLower(s.text)
		if !again.MatchString(low) && !permalinkRE.MatchString(s.text) || s.bot || s.label == "followup" {
			continue
		}
		if justAgain.MatchString(low) && (verdict(s.text) != 0 || !onceMore.MatchString(low)) && !explicitRef(s.text) {
			continue // "creeping up again" is of this time
		}
		r := reference{said: Sentence{Text: s.text, Source: s.source, Rule: "said-again"}}
		if m := permalinkRE.FindStringSubmatch(s.text); m != nil && m[2]+"."+m[3] < s.source.TS {
			r.ts = m[2] + "." + m[3]
		}
		if m := dayRE.FindStringSubmatch(s.text); m != nil {
			r.day, _ = time.Parse(time.DateOnly, m[0])
		} else if m := monthDayRE.FindStringSubmatch(s.text); m != nil {
			d := 0
			fmt.Sscan(m[2]+m[3], &d)
			r.day = time.Date(s.at.Year(), monthOf[strings.ToLower(m[1]+m[4])], d, 0, 0, 0, 0, time.UTC)
			if r.day.After(s.at) {
				r.day = r.day.AddDate(-1, 0, 0)
			}
		} else if m := monthRE.FindStringSubmatch(s.text); m != nil {
			r.month = time.Date(s.at.Year(), monthOf[strings.ToLower(m[1][:3])], 1, 0, 0, 0, 0, time.UTC)
			if r.month.After(s.at) {
				r.month = r.month.AddDate(-1, 0, 0)
			}
		}
		if r.day.After(s.at.Add(-12*time.Hour)) || s.at.Sub(r.day) > 5*365*24*time.Hour {
			r.day = time.Time{}
		}
		if m := ordinalRE.FindStringSubmatch(s.text); m != nil {
			if r.nth = ordinalOf[strings.ToLower(m[1])]; m[2] != "" {
				fmt.Sscan(m[2], &r.nth)
			}
		}
		r.id = strings.ToLower(incidentID.FindString(s.text))
		r.vaguely = r.ts == "" && r.day.IsZero() && r.month.IsZero() && r.nth == 0 && !agoRef.MatchString(s.text) && r.id == ""
		out = append(out, r)
	}
	return out
}

var (
	justAgain = pattern.MustCompile(`\bagain\b`)
	onceMore  = pattern.MustCompile(`^(?:\W|ugh|oh|no|not|hm+|wait|sigh|really|this|that|one|here we go|happening|it'?s happening)*again\W*$|\b(?:not this|this|here we go|happened|happening|seeing this|saw this) again\b|\bsame\b|\blike\b|\btime\b|\boccurrence\b`)
)

// failure is an extraction as recurrence looks at it.
type failure struct {
	x     *Extraction
	refs  []reference
	names map[string]bool // names of things that people call it by; see talk.subjects
	topic map[string]bool // words of its beginning that were typed as well
	ids   map[string]bool // numbers that it goes by: "inc-4711"
	terms map[string]float64
	norm  float64
}

// link finds which extractions (oldest first) tell of the same failure, and
// which of a skill that is known.
func link(list []failure, known []Known) {
	weigh(list, known)
	for i := range list {
		x := list[i].x
		var best *failure
		why := prunella.Reason{}
		most := 0.0
		for j := range i {
			if r, s := list[i].sameAs(&list[j]); s > most || s == most && s > 0 {
				best, why, most = &list[j], r, s
			}
		}
		switch {
		case best != nil:
			first := best.x
			x.RecurrenceOf, x.FirstSeen = cmp.Or(first.RecurrenceOf, first.Key()), first.FirstSeen
			x.Occurrence = first.Occurrence + 1
			for j := range i { // the count goes on from the latest of the family
				if o := list[j].x; (o.RecurrenceOf == x.RecurrenceOf || o.Key() == x.RecurrenceOf) && o.Occurrence >= x.Occurrence {
					x.Occurrence = o.Occurrence + 1
				}
			}
			x.Recurrence = append(x.Recurrence, why)
		default:
			list[i].byWordAlone()
		}
		if k, why := list[i].skill(known); k != "" && (best == nil || strings.HasPrefix(best.x.RecurrenceOf, "skills/")) {
			x.RecurrenceOf = "skills/" + k
			if !slices.ContainsFunc(known, func(s Known) bool { return s.Name == k && s.tells(*x) }) { // it came after what the skill tells
				x.Occurrence = max(x.Occurrence, 2)
			}
			x.Recurrence = append(x.Recurrence, why)
		}
	}
}

// byWordAlone takes the word of people for an earlier time that the archive lacks.
func (f *failure) byWordAlone() {
	for _, r := range f.refs {
		if r.vaguely || r.nth == 0 && r.day.IsZero() && r.month.IsZero() && r.ts == "" {
			continue
		}
		f.x.Occurrence = max(f.x.Occurrence, max(2, r.nth))
		first := r.day
		if first.IsZero() {
			first = r.month
		}
		if first.IsZero() {
			first = Time(r.ts)
		}
		if !first.IsZero() && first.Before(f.x.FirstSeen) {
			f.x.FirstSeen = first
		}
		f.x.Recurrence = append(f.x.Recurrence, prunella.Reason{Name: "said-by-people", Text: "somebody says that it happened before, and the earlier conversation is not here: " + r.said.Text,
			Operands: map[string]string{"author": r.said.Source.Author, "permalink": r.said.Source.Permalink}})
	}
}

// sameAs compares with an earlier failure: the score is above 0 when it is the same.
func (f *failure) sameAs(old *failure) (prunella.Reason, float64) {
	alike := cosine(f.terms, old.terms, f.norm, old.norm)
	reason := func(name, format string, args ...any) prunella.Reason {
		return prunella.Reason{Name: name, Text: fmt.Sprintf(format, args...), Operands: map[string]string{"of": old.x.Key(), "alike": fmt.Sprintf("%.2f", alike), "shared": strings.Join(f.sharedTerms(old, 6), ", ")}}
	}
	vague := false
	for _, r := range f.refs {
		switch {
		case r.ts != "" && slices.ContainsFunc(old.x.Messages, func(s Source) bool { return s.TS == r.ts }):
			return reason("linked", "somebody links to it: %s", r.said.Text), 3 + alike
		case r.id != "" && (old.ids[idOf(r.id)] && !f.ids[idOf(r.id)] || strings.Contains(strings.ToLower(old.x.Channel), idOf(r.id)) && old.x.Channel != f.x.Channel):
			return reason("incident-named", "somebody names its id: %s", r.said.Text), 2 + alike
		case !r.day.IsZero() && near(old.x.Started, r.day, 36*time.Hour) && alike >= alikePointed:
			return reason("day-named", "somebody names its day, and they are alike: %s", r.said.Text), 2 + alike
		case !r.month.IsZero() && old.x.Started.Year() == r.month.Year() && old.x.Started.Month() == r.month.Month() && alike >= alikeSaid/2:
			return reason("month-named", "somebody names its month, and they are alike: %s", r.said.Text), 1 + alike
		}
		vague = true
	}
	if old.x.Kind == "channel" && old.x.Channel == f.x.Channel {
		return prunella.Reason{}, 0
	}
	switch {
	case alike < alikeApart && f.ofAnother(old):
	case vague && (alike >= alikeSaid && shared(f.topic, old.topic)+shared(f.names, old.names) > 0 || alike >= alikeUnnamed):
		return reason("said-and-alike", "somebody says that it happened before, and they are alike"), alike
	case alike >= alikeAlone:
		return reason("alike", "symptoms, cause and remedy are alike"), alike
	}
	return prunella.Reason{}, 0
}

// ofAnother reports whether the two are about different things: by the names
// that people call them by, or where one has none, by what they begin with.
func (f *failure) ofAnother(old *failure) bool {
	if len(f.names) > 0 && len(old.names) > 0 {
		return shared(f.names, old.names) == 0
	}
	return len(f.topic) > 0 && len(old.topic) > 0 && shared(f.topic, old.topic) == 0
}

// subjects are the names of things, such as api-worker, that people speak of
// more than once, without those in commands.
func (t *talk) subjects() map[string]bool {
	n := map[string]int{}
	for _, s := range t.said {
		for _, m := range svcRE.FindAllString(strings.ToLower(maskCode(s.text)), -1) {
			if !notSvc[m] && !strings.HasPrefix(m, "re-") && !strings.HasPrefix(m, "non-") && !strings.HasPrefix(m, "pre-") && !podName.MatchString(m) {
				n[m]++
			}
		}
	}
	out := map[string]bool{}
	for _, name := range mostNamed(n, 2) {
		out[name] = true
	}
	return out
}

// ownIDs are the numbers that the conversation itself goes by: those that a bot
// or whoever opened it gives it.
func (t *talk) ownIDs() map[string]bool {
	out := map[string]bool{}
	for _, s := range t.said {
		if s.pointsBack || !s.bot && s.msg > 1 {
			continue
		}
		for _, id := range incidentID.FindAllString(s.text, -1) {
			out[idOf(id)] = true
		}
	}
	return out
}

// idOf writes the number of an incident in one way.
func idOf(id string) string { return strings.Map(idRune, strings.ToLower(id)) }

func idRune(r rune) rune {
	switch {
	case r == ' ' || r == '#' || r == '_':
		return '-'
	}
	return r
}

func near(a, day time.Time, within time.Duration) bool {
	return a.Sub(day) < within && a.Sub(day) > -within/3
}

// skill finds the known skill that the failure is.
func (f *failure) skill(known []Known) (string, prunella.Reason) {
	best, most := "", 0.0
	for _, k := range known {
		named := slices.ContainsFunc(f.refs, func(r reference) bool { return strings.Contains(r.said.Text, k.Name) })
		pointed := slices.ContainsFunc(f.x.Messages, func(s Source) bool { return strings.Contains(k.Text, s.Permalink) })
		t := k.terms()
		alike := cosine(f.terms, t, f.norm, norm(t))
		if named || pointed {
			alike += 1
		}
		if alike > most {
			best, most = k.Name, alike
		}
	}
	if most < alikeAlone*0.8 {
		return "", prunella.Reason{}
	}
	return best, prunella.Reason{Name: "known-skill", Text: "it is like the skill " + best, Operands: map[string]string{"skill": best, "alike": fmt.Sprintf("%.2f", most)}}
}

// tells reports whether the skill names the conversation among those that it
// was made from.
func (k Known) tells(x Extraction) bool {
	return len(x.Messages) > 0 && (strings.Contains(k.Text, x.Messages[0].Permalink) || strings.Contains(k.Text, x.Key()))
}

func (k Known) terms() map[string]float64 {
	t := map[string]float64{}
	for w := range contentWords(k.Title + " " + mask(k.Text)) {
		if len(w) > 2 {
			t[w] = 1
		}
	}
	return t
}

// weigh gives every failure its terms: what occurs in few failures weighs more.
// Codes, services and the remedy weigh most.
func weigh(list []failure, known []Known) {
	df := map[string]int{}
	for i := range list {
		f := &list[i]
		f.terms = map[string]float64{}
		put := func(text string, w float64) {
			for word := range contentWords(mask(text)) {
				if len(word) > 2 && word != "*" {
					f.terms[word] = max(f.terms[word], w)
				}
			}
		}
		x := f.x
		put(x.Title, 1)
		for _, s := range x.Symptoms {
			put(s.Text, 1)
		}
		for _, s := range x.Logs {
			put(s.Text, 1.2)
		}
		for _, s := range x.Diagnosis {
			put(s.Text, 1)
		}
		for _, a := range x.Tried {
			put(a.Text, 0.5) // what was tried in vain tells a little
		}
		for _, i := range x.Worked {
			put(x.Tried[i].Text, 1.2)
			for _, c := range x.Tried[i].Commands {
				put(c.Text, 1.2)
			}
		}
		for _, c := range x.Codes {
			f.terms[strings.ToLower(c)] = 2
		}
		for _, s := range x.Services {
			f.terms[s] = 1.6
		}
		for _, p := range x.People {
			delete(f.terms, stem(strings.TrimPrefix(p, "@")))
		}
		for w := range f.terms {
			df[w]++
		}
	}
	n := float64(len(list) + len(known) + 4)
	for i := range list {
		for w := range list[i].terms {
			list[i].terms[w] *= math.Log(n / float64(df[w]+0))
		}
		list[i].norm = norm(list[i].terms)
	}
}

func norm(t map[string]float64) float64 {
	s := 0.0
	for _, k := range sortedKeys(t) {
		s += t[k] * t[k]
	}
	return math.Sqrt(s)
}

func sortedKeys(t map[string]float64) []string {
	keys := make([]string, 0, len(t))
	for k := range t {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func cosine(a, b map[string]float64, na, nb float64) float64 {
	if na == 0 || nb == 0 {
		return 0
	}
	s := 0.0
	for _, k := range sortedKeys(a) {
		s += a[k] * b[k]
	}
	return s / na / nb
}

func (f *failure) sharedTerms(old *failure, n int) []string {
	var out []string
	for k := range f.terms {
		if old.terms[k] > 0 {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(cmp.Compare(f.terms[b]*old.terms[b], f.terms[a]*old.terms[a]), cmp.Compare(a, b))
	})
	return out[:min(n, len(out))]
}
