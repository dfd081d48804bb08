package exportgen

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// scene is one incident being played.
type scene struct {
	*generator
	fam      *family
	comp     string
	slots    map[string]string
	in       *Incident
	where    *room
	threaded bool
	now      time.Time // of the next message
	cast     []*person // who takes part; the first reports
	msgs     []*wire
	metric   [4]string // name, bad, good, unit
	lead     *person   // who does things
	idle     []*wire   // asides of the thread that say nothing about the failure
}

// line is a sentence of a message and what it is in the truth.
type line struct {
	text string
	into *[]Said // where the truth keeps it, or nil
	raw  bool    // not to be restyled: a block of code, a bot's text
}

// take chooses one of the family's templates and puts the slots in.
func (s *scene) take(key string) string {
	list := s.fam.values[key]
	if len(list) == 0 {
		panic("family " + s.fam.name + " has no " + key)
	}
	return expand(s.r, pick(s.r, list), s.slots)
}

// act chooses a template of the bank; extra slots stand before the scene's.
func (s *scene) act(name string, extra ...string) string {
	slots := s.slots
	if len(extra) > 0 {
		slots = map[string]string{}
		for k, v := range s.slots {
			slots[k] = v
		}
		for i := 0; i < len(extra); i += 2 {
			slots[extra[i]] = extra[i+1]
		}
	}
	slots["bad"], slots["mid"], slots["good"] = s.figure(1), s.between(), s.figure(2)
	return expand(s.r, pick(s.r, s.words.acts[name]), slots)
}

// figure draws a value of the metric from its range: 1 is bad, 2 good.
func (s *scene) figure(i int) string { return unit(s.number(i, 0.5+s.r.Float64()/2), s.metric[3]) }

func (s *scene) between() string {
	return unit((s.number(1, 0)*2+s.number(2, 1))/3, s.metric[3])
}

func (s *scene) number(i int, f float64) int {
	var lo, hi int
	fmt.Sscanf(s.metric[i], "%d-%d", &lo, &hi)
	return lo + int(f*float64(hi-lo))
}

func unit(n int, u string) string {
	switch u {
	case "":
		return fmt.Sprint(n)
	case "%", "s", "ms":
		return fmt.Sprint(n) + u
	}
	return fmt.Sprint(n) + " " + u
}

// wait lets time pass: lo to hi seconds.
func (s *scene) wait(lo, hi int) {
	s.now = s.now.Add(time.Duration(lo+s.r.IntN(hi-lo+1))*time.Second + time.Duration(s.r.IntN(1e6))*time.Microsecond)
}

// say posts a message of several lines by p, writes its truth down, and lets
// some time pass.
func (s *scene) say(p *person, lines ...line) *wire {
	var texts []string
	for i := range lines {
		if !lines[i].raw {
			lines[i].text = p.write(s.r, lines[i].text)
		}
		texts = append(texts, lines[i].text)
	}
	text := texts[0]
	for i, t := range texts[1:] {
		sep := ". "
		if lines[i].raw || lines[i+1].raw || chance(s.r, 0.3) {
			sep = "\n"
		} else if c := text[len(text)-1]; strings.IndexByte(".?!:)", c) >= 0 {
			sep = " "
		}
		text += sep + t
	}
	m := &wire{Text: escape(text)}
	if p.bot {
		m.Subtype, m.BotID, m.Username = "bot_message", p.id, p.real
	} else {
		m.User = p.id
	}
	s.post(m)
	for _, l := range lines {
		if l.into != nil {
			*l.into = append(*l.into, Said{m.TS, l.text})
		}
	}
	s.wait(15, 150)
	return m
}

// allow notes a sentence that may stand under a field and need not.
func (s *scene) allow(field string, m *wire, text string) {
	if s.in.Allowed == nil {
		s.in.Allowed = map[string][]Said{}
	}
	s.in.Allowed[field] = append(s.in.Allowed[field], Said{m.TS, text})
}

// escape writes & as Slack does; < and > that are no links as well.
func escape(s string) string {
	s = strings.ReplaceAll(s, "&", "&amp;")
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '<' && i+2 < len(s) && (s[i+1] == '@' || s[i+1] == '#' || s[i+1] == '!' || strings.HasPrefix(s[i+1:], "http")):
			end := strings.IndexByte(s[i:], '>')
			b.WriteString(s[i : i+end+1])
			i += end
		case c == '<':
			b.WriteString("&lt;")
		case c == '>':
			b.WriteString("&gt;")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (s *scene) post(m *wire) {
	if s.threaded && s.in.RootTS != "" {
		m.ThreadTS = s.in.RootTS
	}
	s.where.post(s.now, m)
	if s.in.RootTS == "" {
		s.in.RootTS = m.TS
		if s.threaded {
			m.ThreadTS = m.TS
		}
	}
	s.in.TS = append(s.in.TS, m.TS)
	s.msgs = append(s.msgs, m)
}

// other picks somebody of the cast who is not one of those.
func (s *scene) other(not ...*person) *person {
	for range 50 {
		if p := pick(s.r, s.cast); !slices.Contains(not, p) {
			return p
		}
	}
	return s.cast[0]
}

// name is how people call somebody: mostly a mention.
func (s *scene) name(p *person) string {
	if p.gone || chance(s.r, 0.75) {
		return "<@" + p.id + ">"
	}
	return "@" + p.handle
}

// perhaps adds an aside now and then.
func (s *scene) perhaps() {
	switch {
	case chance(s.r, 0.10):
		s.idle = append(s.idle, s.say(s.other(), line{text: s.act("joke")}))
	case chance(s.r, 0.06):
		s.say(s.other(), line{text: s.act("ack")})
	case !s.threaded && chance(s.r, 0.08):
		s.aside()
	}
}

// aside is a message of somebody else in the channel that belongs to nothing.
func (s *scene) aside() {
	p := pick(s.r, s.people)
	m := &wire{User: p.id, Text: escape(p.write(s.r, s.act(pick(s.r, []string{"lunch", "deploychat", "joke"}), "comp", s.anyComp(s.comp))))}
	s.where.post(s.now, m)
	s.wait(10, 60)
}

// stamp is the time of a message, as the truth keeps it.
func stamp(m *wire) time.Time { return m.at.Truncate(time.Second) }

func shuffle[T any](r *rand.Rand, list []T) {
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}
