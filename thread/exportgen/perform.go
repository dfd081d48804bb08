package exportgen

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// performance is a script being played in a scene.
type performance struct {
	*scene
	first *Incident // about the same failure, or nil
	onset time.Time
	flags map[string]bool
	deeds map[string]*deed
	tried map[string]int // deed -> index in the truth's attempts
	lists map[string][]string
	held  []string // what stands for \x00N\x00 in the text being made
	ended bool
	said  map[string]time.Time // moments that somebody named
	bot   *person
	alarm alert
}

// perform plays a script. What it does not say is not in the truth.
func (s *scene) perform(sc *script, onset time.Time, first *Incident) {
	p := &performance{scene: s, first: first, onset: onset, flags: map[string]bool{}, deeds: map[string]*deed{},
		tried: map[string]int{}, said: map[string]time.Time{}, lists: map[string][]string{}}
	s.in.Ticket = fmt.Sprintf("INC-%d", 1000+s.r.IntN(8000))
	for _, c := range sc.lines {
		if slices.ContainsFunc(c.need, func(n string) bool { return p.flag(strings.TrimPrefix(n, "!")) == strings.HasPrefix(n, "!") }) {
			continue
		}
		if !chance(s.r, float64(c.odds)/100) {
			continue
		}
		if len(s.msgs) > 0 {
			wait := c.wait
			if wait == 0 {
				wait = sc.pace
			}
			if !s.threaded { // else the run would be over
				wait = min(wait, 900)
			}
			s.wait(max(3, wait/2), max(4, wait))
		}
		switch c.role {
		case "Alert":
			p.fire(false)
		case "Over":
			p.fire(true)
		default:
			p.speak(c.role, pick(s.r, c.alts))
		}
	}
	if s.in.Started.IsZero() {
		s.in.Started = stamp(s.msgs[0])
	}
	if len(s.in.Owners) == 0 {
		s.in.Owners = []string{handle(s.lead)}
	}
}

// flag is drawn when it is first asked for and stays.
func (p *performance) flag(name string) bool {
	if name == "again" {
		return p.first != nil
	}
	if _, ok := p.flags[name]; !ok {
		odds := 0.5
		switch name {
		case "f1", "r1":
			odds = 0.65
		case "f2":
			odds = 0.5
			if !p.flag("f1") {
				odds = 0
			}
		}
		p.flags[name] = chance(p.r, odds)
	}
	return p.flags[name]
}

// fire posts the family's alert, or its end.
func (p *performance) fire(over bool) {
	if p.bot == nil {
		p.bot = bots[p.r.IntN(4)]
		f := parts(expand(p.r, p.fam.values["alert"][0], p.slots))
		p.alarm = alert{name: f[0], summary: f[1], comp: p.comp}
		if chance(p.r, 0.5) {
			p.alarm.value = p.metric[0] + " " + p.figure(1)
		}
		if chance(p.r, 0.5) {
			p.alarm.since = p.onset
		}
	}
	m := fire(p.r, p.bot, p.alarm, over)
	p.post(m)
	words := p.alarm.name + " " + p.alarm.summary + " " + p.comp + " " + p.alarm.value + " firing triggered alerting resolved recovered ok prod critical service"
	if over {
		p.allow("verification", m, words)
		p.end(stamp(m))
		return
	}
	p.in.Symptoms = append(p.in.Symptoms, Said{m.TS, p.alarm.summary})
	p.allow("symptoms", m, words)
	if p.in.Reporter == "" {
		p.in.Reporter = p.bot.real
	}
	if p.in.Started.IsZero() && !p.alarm.since.IsZero() && (p.bot.handle == "alertmanager" || p.bot.handle == "datadog") {
		p.in.Started = p.onset
	}
}

// who plays a role: a letter of the cast, or the bot that keeps the incident.
func (p *performance) who(role string) *person {
	if role == "Bot" {
		return p.keeper
	}
	return p.cast[role[0]-'A']
}

// speak posts a message and marks what its sentences are.
func (p *performance) speak(role string, list []segment) {
	who := p.who(role)
	p.held = nil
	texts := make([]string, len(list))
	for i, seg := range list {
		t := specialSlot.ReplaceAllStringFunc(seg.text, func(m string) string { return p.value(who, m[1:len(m)-1]) })
		t = expand(p.r, t, p.slots)
		if !who.bot {
			t = who.writePart(p.r, t, i == 0 || list[i].join != " ", i == len(list)-1 || list[i+1].join != " ")
		}
		texts[i] = t
	}
	text := ""
	for i, t := range texts {
		switch {
		case i == 0:
		case list[i].join != ".":
			text += list[i].join
		case strings.IndexByte(".?!:),;\x00", text[len(text)-1]) >= 0:
			text += " "
		default:
			text += ". "
		}
		text += t
		texts[i] = p.restore(t)
	}
	m := &wire{Text: escape(strings.TrimSpace(p.restore(text)))}
	if who.bot {
		m.Subtype, m.BotID, m.Username = "bot_message", who.id, who.real
	} else {
		m.User = who.id
	}
	p.post(m)
	if p.in.Reporter == "" && !who.bot {
		p.in.Reporter = handle(who)
	}
	for i, seg := range list {
		for _, tag := range seg.tags {
			p.mark(m, texts[i], tag)
		}
	}
}

func (p *performance) restore(s string) string {
	for i, h := range p.held {
		s = strings.ReplaceAll(s, fmt.Sprintf("\x00%d\x00", i), h)
	}
	return s
}

// hold keeps a text away from the habits of whoever writes it.
func (p *performance) hold(s string) string {
	p.held = append(p.held, s)
	return fmt.Sprintf("\x00%d\x00", len(p.held)-1)
}

// mark writes down what a sentence is.
func (p *performance) mark(m *wire, text string, tag []string) {
	said := Said{m.TS, strings.TrimSpace(text)}
	switch tag[0] {
	case "sym":
		p.in.Symptoms = append(p.in.Symptoms, said)
	case "ruled":
		p.in.RuledOut = append(p.in.RuledOut, said)
	case "verify":
		p.in.Verification = append(p.in.Verification, said)
		p.helped(stamp(m))
		if !p.ended && p.in.Fixed.Before(stamp(m).Add(time.Second)) {
			p.in.Resolved = stamp(m)
		}
	case "esc":
		p.in.Escalation = append(p.in.Escalation, said)
	case "recurs":
		p.in.Recurs = append(p.in.Recurs, said)
	case "todo", "done":
		p.in.FollowUps = append(p.in.FollowUps, FollowUp{Said: said, Done: tag[0] == "done"})
	case "did": // what remained is done
		n, _ := strconv.Atoi(tag[1])
		p.in.FollowUps[n-1].Done = true
	case "by": // a bot writes down who reported
		p.in.Reporter = handle(p.who(tag[1]))
	case "own":
		p.in.Owners = []string{handle(p.who(tag[1]))}
	case "also": // repairs it while another one commands
		p.in.AlsoOwners = []string{handle(p.who(tag[1]))}
	case "cause":
		if p.in.Diagnosed.IsZero() {
			p.in.Diagnosed = stamp(m)
		}
		p.allow("recurs", m, m.Text)
	case "try":
		i := p.attempted(tag[1])
		p.in.Attempts[i].TS = append(p.in.Attempts[i].TS, m.TS)
		if tag[1] == "x" && p.said["fixed"].IsZero() {
			p.in.Fixed = stamp(m)
		}
	case "ok": // tells that it helped
		p.allow("verification", m, said.Text)
		p.helped(stamp(m))
		if !p.ended {
			p.in.Resolved = stamp(m)
		}
	case "fail":
		p.allow("symptoms", m, said.Text)
		p.allow("verification", m, said.Text)
	case "end":
		p.allow("verification", m, said.Text)
		p.end(stamp(m))
	case "sum": // tells again what was told
		for _, f := range []string{"symptoms", "verification", "recurs", "ruled out", "escalation"} {
			p.allow(f, m, m.Text)
		}
		if i, ok := p.tried["x"]; ok {
			p.in.Attempts[i].TS = append(p.in.Attempts[i].TS, m.TS)
		}
	case "may": // may stand under that field and need not
		p.allow(tag[1], m, said.Text)
	case "idle":
		p.idle = append(p.idle, m)
	case "react":
		m.Reactions = append(m.Reactions, reaction{tag[1], []string{p.cast[2].id}, 1})
	default:
		panic("no such tag: " + tag[0])
	}
}

// helped notes when the repair was first said to have helped, where only one
// message tells of the repair: that may be before it was done or after.
func (p *performance) helped(at time.Time) {
	if i, ok := p.tried["x"]; ok && p.in.FixedBy.IsZero() && len(p.in.Attempts[i].TS) == 1 && p.said["fixed"].IsZero() && at.After(p.in.Fixed) {
		p.in.FixedBy = at
	}
}

// end closes the incident, the first time it is said.
func (p *performance) end(at time.Time) {
	if !p.ended {
		p.in.Resolved, p.ended = at, true
	}
}

// attempted is the index of a deed among the attempts.
func (p *performance) attempted(key string) int {
	if i, ok := p.tried[key]; ok {
		return i
	}
	outcome := "failed"
	if key == "x" {
		outcome = "worked"
	}
	p.in.Attempts = append(p.in.Attempts, Attempt{Outcome: outcome})
	p.tried[key] = len(p.in.Attempts) - 1
	return p.tried[key]
}

var specialSlot = regexp.MustCompile(`\{(@?[A-Za-z]+[0-9]*(?:[.:][a-z0-9]+)?)\}`)

// value fills a slot of a script; what is not the script's stays for expand.
func (p *performance) value(who *person, name string) string {
	if strings.HasPrefix(name, "@") {
		return p.hold(p.name(p.who(name[1:])))
	}
	if moment, form, ok := strings.Cut(name, ":"); ok {
		return p.hold(p.clockForm(who, moment, form))
	}
	if key, form, ok := strings.Cut(name, "."); ok {
		return p.part(key, form)
	}
	switch name {
	case "err":
		return p.hold(p.take(name))
	case "sym", "cause", "why":
		if len(p.lists[name]) == 0 {
			p.lists[name] = slices.Clone(p.fam.values[name])
			shuffle(p.r, p.lists[name])
		}
		t := expand(p.r, p.lists[name][0], p.slots)
		p.lists[name] = p.lists[name][1:]
		return t
	case "bad":
		return p.figure(1)
	case "good":
		return p.figure(2)
	case "mid":
		return p.between()
	case "log":
		return p.hold("\n```\n" + p.take("err") + "\n```")
	case "inc":
		p.in.Ticketed = true
		return p.hold(p.in.Ticket)
	case "ticket":
		return p.hold(fmt.Sprintf("OPS-%d", 100+p.r.IntN(8000)))
	case "jira": // the same number each time
		if p.lists[name] == nil {
			p.lists[name] = []string{fmt.Sprintf("PLAT-%d", 1000+p.r.IntN(8000))}
		}
		return p.hold(p.lists[name][0])
	case "team":
		if p.lists["team"] == nil {
			p.lists["team"] = []string{fmt.Sprintf("<!subteam^S%08X|@%s>", p.r.Uint32(), p.fam.values["team"][0])}
		}
		return p.hold(p.lists["team"][0])
	case "past":
		return p.hold(p.reference())
	}
	return "{" + name + "}"
}

// reference names the earlier conversation: by its number if that was said
// there, by its link, or by its day.
func (p *performance) reference() string {
	if p.first.Ticketed && chance(p.r, 0.6) {
		return p.first.Ticket
	}
	if chance(p.r, 0.5) {
		return "<https://acme.slack.com/archives/" + p.first.room + "/p" + strings.ReplaceAll(p.first.RootTS, ".", "") + ">"
	}
	var sec int64
	fmt.Sscan(p.first.RootTS[:strings.IndexByte(p.first.RootTS, '.')], &sec)
	return time.Unix(sec, 0).UTC().Format(pick(p.r, []string{"2006-01-02", "2 Jan", "Jan 2"}))
}

// part fills a slot with a part of something: of a deed (f1.past, x.fence), a
// look (l1.inline), a thing ruled out (r1.why), a follow-up (todo1.done).
func (p *performance) part(key, form string) string {
	n := int(key[len(key)-1] - '1')
	pair := func(list, first string) string {
		if p.lists[list] == nil {
			for _, t := range p.fam.values[list] {
				p.lists[list] = append(p.lists[list], expand(p.r, t, p.slots))
			}
			shuffle(p.r, p.lists[list])
		}
		f := parts(p.lists[list][n%len(p.lists[list])])
		if form == first {
			return f[0]
		}
		return f[1]
	}
	switch {
	case key == "w":
		n = 0
		return pair("wrong", "x")
	case key[0] == 'r':
		return pair("ruled", "x")
	case strings.HasPrefix(key, "todo"):
		return pair("todo", "do")
	case key[0] == 'l':
		c := command(p.lookAt(n))
		p.in.Commands = append(p.in.Commands, c)
		return p.code([]Command{c}, form)
	case key == "proof":
		return p.proof(form)
	}
	d := p.deeds[key]
	if d == nil {
		if key == "x" {
			got := p.deed("fix")
			d = &got
		} else {
			got := p.nthFailure(n)
			d = &got
		}
		p.deeds[key] = d
	}
	switch form {
	case "do":
		return d.do
	case "ing":
		return d.ing
	case "past":
		return d.past
	}
	i := p.attempted(key)
	p.in.Attempts[i].Commands = d.cmds
	p.in.Commands = append(p.in.Commands, d.cmds...)
	return p.code(d.cmds, form)
}

// proof is a command that shows the repair, with what it answers.
func (p *performance) proof(form string) string {
	f := parts(p.take("proof"))
	c := command(f[0])
	p.in.Commands = append(p.in.Commands, c)
	if form == "inline" {
		return p.hold("`" + c.Text + "` -> `" + f[1] + "`")
	}
	return p.hold("\n```\n$ " + c.Text + "\n" + f[1] + "\n```")
}

func (p *performance) lookAt(n int) string {
	if p.lists["look"] == nil {
		for _, t := range p.fam.values["look"] {
			p.lists["look"] = append(p.lists["look"], expand(p.r, t, p.slots))
		}
		shuffle(p.r, p.lists["look"])
	}
	return p.lists["look"][n%len(p.lists["look"])]
}

// nthFailure is the deed of the n-th line that fails, in an order of its own.
func (p *performance) nthFailure(n int) deed {
	if p.lists["fail"] == nil {
		p.lists["fail"] = slices.Clone(p.fam.values["fail"])
		shuffle(p.r, p.lists["fail"])
	}
	was := p.fam
	p.fam = &family{name: was.name, values: map[string][]string{"fail": {p.lists["fail"][n%len(p.lists["fail"])]}}}
	defer func() { p.fam = was }()
	return p.deed("fail")
}

// nextScript goes through the bank's scripts in an order drawn once, so that
// an archive has all of them.
func (g *generator) nextScript() *script {
	if len(g.queue) == 0 {
		g.queue = g.r.Perm(len(g.words.scripts))
	}
	sc := g.words.scripts[g.queue[0]]
	g.queue = g.queue[1:]
	return sc
}
