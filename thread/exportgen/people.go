package exportgen

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"
)

// person is somebody who writes, with habits.
type person struct {
	id, handle, real, title, email string
	zone                           string // of users.json, "Europe/Berlin"
	abbr                           string // "CEST"
	offset                         int    // seconds east of UTC, summer
	bot, gone                      bool
	lower, stops, emoji            bool
	british, foreign, ampm, terse  bool
}

var handles = []string{"maya", "sam", "deepak", "ines", "tomasz", "yuki", "olu", "greta", "marek", "li.wei", "fatima", "jon", "svenja",
	"pablo", "anneke", "ravi", "chloe", "dmitri", "noor", "kofi", "brigid", "hugo", "aiko", "zoltan", "emre", "lucia"}

var surnames = []string{"Ferrer", "Okafor", "Lindqvist", "Rao", "Novak", "Brandt", "Castellano", "Haddad", "Mori", "Whitfield", "Sarr", "Keane"}

var titles = []string{"platform engineer", "backend lead", "SRE", "support", "data engineer", "frontend", "product manager", "security", "network", "DBA"}

var zones = []struct {
	name, abbr string
	offset     int
	ampm       bool
}{
	{"UTC", "UTC", 0, false},
	{"Europe/Berlin", "CEST", 7200, false},
	{"Europe/London", "BST", 3600, false},
	{"America/New_York", "EDT", -14400, true},
	{"America/Los_Angeles", "PDT", -25200, true},
	{"Asia/Kolkata", "IST", 19800, false},
	{"Europe/Madrid", "CEST", 7200, false},
}

func makePeople(r *rand.Rand, n int) []*person {
	order := r.Perm(len(handles))
	var list []*person
	for i := range n {
		z := pick(r, zones)
		h := handles[order[i%len(order)]]
		p := &person{
			id: fmt.Sprintf("U%08X", r.Uint32()), handle: h, title: pick(r, titles),
			real: strings.ToUpper(h[:1]) + h[1:] + " " + pick(r, surnames), email: h + "@acme-logistics.example",
			zone: z.name, abbr: z.abbr, offset: z.offset, ampm: z.ampm,
			lower: chance(r, 0.45), stops: chance(r, 0.35), emoji: chance(r, 0.2),
			british: !z.ampm && chance(r, 0.3), foreign: !z.ampm && chance(r, 0.25), terse: chance(r, 0.3),
		}
		list = append(list, p)
	}
	return list
}

// held are the parts of a message that no habit of writing touches.
var held = regexp.MustCompile("(?s)```.*?```|`[^`]*`|<[^>]*>|:[a-z_]+:|https?://\\S+|\x00\\d+\x00|@[a-z.]+")

var toBritish = strings.NewReplacer("canceled", "cancelled", "behavior", "behaviour", "analyze", "analyse", "color", "colour", "looks like", "seems like")

var articles = regexp.MustCompile(`\b(the|a|an) `)

// write puts a text into the person's own way of writing.
func (p *person) write(r *rand.Rand, s string) string { return p.writePart(r, s, true, true) }

// writePart does so with a text that need not begin or end a sentence.
func (p *person) writePart(r *rand.Rand, s string, begins, ends bool) string {
	marks := held.FindAllStringIndex(s, -1)
	var b strings.Builder
	at := 0
	for _, m := range append(marks, []int{len(s), len(s)}) {
		b.WriteString(p.prose(r, s[at:m[0]]))
		b.WriteString(s[m[0]:m[1]])
		at = m[1]
	}
	out := b.String()
	if p.stops && out != "" {
		if c := out[0]; begins && c >= 'a' && c <= 'z' && !strings.Contains(firstWord(out), "-") {
			out = strings.ToUpper(out[:1]) + out[1:]
		}
		if last := out[len(out)-1]; ends && (last >= 'a' && last <= 'z' || last >= '0' && last <= '9' || last == '%') {
			out += "."
		}
	}
	if p.emoji && chance(r, 0.2) {
		if emoji := pick(r, []string{" :sweat_smile:", " :fire:", " :thinking_face:", " :pray:", " :ok_hand:"}); ends {
			out += emoji
		}
	}
	return out
}

func (p *person) prose(r *rand.Rand, s string) string {
	if p.lower {
		s = strings.ToLower(s)
	}
	if p.british {
		s = toBritish.Replace(s)
	}
	if p.foreign && chance(r, 0.5) {
		s = articles.ReplaceAllString(s, "")
	}
	return s
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	return w
}

// clock says a moment of the recent past as the person would, seen from now.
func (p *person) clock(r *rand.Rand, at, now time.Time) string {
	utc, local := at.UTC(), p.local(at)
	spoken := func(t time.Time) string {
		if p.ampm && chance(r, 0.7) {
			return t.Format(pick(r, []string{"3:04pm", "3:04 PM"}))
		}
		return t.Format("15:04")
	}
	switch n := r.IntN(10); {
	case n < 4:
		return utc.Format("15:04") + pick(r, []string{" UTC", "Z", " utc", " UTC"})
	case n < 6:
		return spoken(local) + " " + p.zoneName()
	case n < 9 && now.Sub(at) < 50*time.Minute:
		return spoken(local) // no zone: theirs
	case now.Sub(at) < 50*time.Minute:
		return utc.Format("15:04") // no zone: UTC
	}
	return utc.Format("15:04:05") + " UTC"
}

// since says how long ago it was.
func since(r *rand.Rand, d time.Duration) string {
	n := int(d.Round(time.Minute) / time.Minute)
	switch {
	case n >= 29 && n <= 31 && chance(r, 0.6):
		return "half an hour"
	case n >= 59 && n <= 61:
		return "an hour"
	case n == 1:
		return "a minute"
	}
	return fmt.Sprintf("%d %s", n, pick(r, []string{"min", "minutes", "mins"}))
}

// local is the time on the person's clock. Those who left write UTC: nobody
// could know their zone.
func (p *person) local(at time.Time) time.Time {
	if p.gone {
		return at.UTC()
	}
	return at.UTC().Add(time.Duration(p.offset) * time.Second)
}

func (p *person) zoneName() string {
	if p.gone {
		return "UTC"
	}
	return p.abbr
}
