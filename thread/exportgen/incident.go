package exportgen

import (
	"fmt"
	"strings"
	"time"
)

// play performs an incident and returns its truth. first is the earlier
// conversation about the same failure, or nil.
func (g *generator) play(fam *family, comp string, where *room, start time.Time, first *Incident) *Incident {
	s := &scene{generator: g, fam: fam, comp: comp, where: where, now: start,
		threaded: where.threads || chance(g.r, 0.3),
		in:       &Incident{Channel: where.name, room: where.id, Family: fam.name, Component: comp}}
	if first != nil {
		s.in.RecurrenceOf = first.Key()
	}
	s.prepare()
	onset := start.Add(-time.Duration(2+g.r.IntN(28)) * time.Minute).Truncate(time.Minute)
	if len(s.words.scripts) > 0 {
		s.perform(s.nextScript(), onset, first)
		s.plant()
		s.decorate()
		return s.in
	}
	bot := s.open(onset)
	s.own()
	s.explore(first)
	s.cure()
	s.close(bot)
	s.learn()
	s.plant()
	s.decorate()
	return s.in
}

func (s *scene) prepare() {
	order := s.r.Perm(len(s.people))
	size := 3 + s.r.IntN(4)
	if len(s.words.scripts) > 0 {
		size = 5 // roles A to E
	}
	for _, i := range order[:size] {
		s.cast = append(s.cast, s.people[i])
	}
	s.lead = s.cast[1]
	minor := 1 + s.r.IntN(9)
	s.slots = map[string]string{
		"comp": s.comp, "sha": fmt.Sprintf("%07x", s.r.IntN(1<<28)), "vendor": strings.Join(s.fam.values["vendor"], ""),
		"ver": fmt.Sprintf("v%d.%d.%d", 1+s.r.IntN(4), minor, s.r.IntN(9)), "prev": fmt.Sprintf("v%d.%d.%d", 1, minor-1, s.r.IntN(9)),
	}
	if d := s.fam.values["dep"]; d != nil {
		s.slots["dep"] = d[0]
	}
	copy(s.metric[:], parts(s.fam.values["metric"][0]))
	s.slots["metric"] = s.metric[0]
}

// open reports the failure and its symptoms, and says since when.
func (s *scene) open(onset time.Time) (bot *person) {
	s.in.Started = onset
	reporter := s.cast[0]
	said := false // the onset was said
	tell := func(p *person) (line, bool) {
		said = true
		if chance(s.r, 0.45) {
			return line{text: s.act("onset.ago", "ago", since(s.r, s.now.Sub(onset)))}, true
		}
		return line{text: s.act("onset.abs", "t", p.clock(s.r, onset, s.now))}, true
	}
	if chance(s.r, 0.35) {
		bot = bots[s.r.IntN(4)]
		f := parts(expand(s.r, s.fam.values["alert"][0], s.slots))
		a := alert{name: f[0], summary: f[1], comp: s.comp}
		if chance(s.r, 0.6) {
			a.value = s.metric[0] + " " + s.figure(1)
		}
		if chance(s.r, 0.5) {
			a.since = onset.Add(time.Duration(s.r.IntN(50)) * time.Second)
		}
		m := fire(s.r, bot, a, false)
		s.post(m)
		s.in.Reporter = bot.real
		s.in.Symptoms = append(s.in.Symptoms, Said{m.TS, a.summary})
		s.allow("symptoms", m, a.name+" "+a.comp+" "+a.value+" firing triggered alerting prod critical service")
		told := !a.since.IsZero() && (bot.handle == "alertmanager" || bot.handle == "datadog")
		if !told {
			s.in.Started = m.at
		}
		s.wait(30, 200)
		if chance(s.r, 0.7) {
			lines := []line{{text: s.take("sym"), into: &s.in.Symptoms}}
			if chance(s.r, 0.5) {
				l, _ := tell(reporter)
				lines = append(lines, l)
			}
			s.say(reporter, lines...)
		}
	} else {
		s.in.Reporter = reporter.handle
		if reporter.gone {
			s.in.Reporter = reporter.id
		}
		lines := []line{{text: s.act("open.report", "sym", s.take("sym")), into: &s.in.Symptoms}}
		if chance(s.r, 0.4) {
			lines = append(lines, line{text: s.act("sym.more"), into: &s.in.Symptoms})
		}
		if chance(s.r, 0.4) {
			l, _ := tell(reporter)
			lines = append(lines, l)
		}
		m := s.say(reporter, lines...)
		if !said {
			s.in.Started = m.at
		}
	}
	if said {
		s.in.Started = onset
	}
	for range s.r.IntN(3) {
		s.say(s.other(reporter), line{text: s.act("ack")})
	}
	for range s.r.IntN(2) + 1 {
		s.say(s.other(), line{text: s.act("sym.more"), into: &s.in.Symptoms})
	}
	if !said && chance(s.r, 0.7) {
		p := s.other()
		l, _ := tell(p)
		s.say(p, l)
		s.in.Started = onset
	}
	if chance(s.r, 0.08) {
		p := s.other()
		earlier := onset.Add(-time.Duration(4+s.r.IntN(9)) * time.Minute)
		s.say(p, line{text: s.act("onset.fix", "t", p.clock(s.r, earlier, s.now))})
		s.in.Started = earlier
	}
	if chance(s.r, 0.35) {
		s.say(s.other(), line{text: s.act("ask.deploy")})
	}
	s.perhaps()
	return bot
}

// handle is the name of somebody in the truth.
func handle(p *person) string {
	if p.gone {
		return p.id
	}
	return p.handle
}

// own settles who is responsible.
func (s *scene) own() {
	owner := s.lead
	switch n := s.r.IntN(20); {
	case n < 7:
		s.say(owner, line{text: s.act("claim")})
		if chance(s.r, 0.15) {
			defer s.handOver(owner)
			return
		}
	case n < 11:
		s.say(s.other(owner), line{text: s.act("assign", "who", s.name(owner))})
		s.say(owner, line{text: s.act("accept")})
	case n < 13:
		asked := s.other(owner)
		s.say(s.other(owner, asked), line{text: s.act("ask.owner", "who", s.name(asked))})
		s.say(asked, line{text: s.act("decline", "other", s.name(owner))})
		s.say(owner, line{text: s.act("accept")})
	case n < 15:
		p := s.other()
		s.say(s.other(p), line{text: s.act("owned", "who", s.name(p))})
		owner = p
	case n < 16:
		s.say(s.other(owner), line{text: s.act("ic", "who", s.name(owner))})
	}
	s.in.Owners = []string{handle(owner)}
}

func (s *scene) handOver(from *person) {
	to := s.other(from)
	s.say(from, line{text: s.act("handover", "who", s.name(to))})
	s.say(to, line{text: s.act("handover.accept")})
	s.lead = to
	s.in.Owners = []string{handle(to)}
}

// explore looks, rules out, believes wrong things and tries what fails.
func (s *scene) explore(first *Incident) {
	steps := []func(){}
	for range 1 + s.r.IntN(2) {
		steps = append(steps, s.look)
	}
	for _, i := range s.r.Perm(len(s.fam.values["ruled"]))[:s.r.IntN(3)%(len(s.fam.values["ruled"])+1)] {
		x := parts(expand(s.r, s.fam.values["ruled"][i], s.slots))
		steps = append(steps, func() {
			s.say(s.other(), line{text: s.act("ruled", "x", x[0], "why", x[1]), into: &s.in.RuledOut})
		})
	}
	if chance(s.r, 0.5) {
		x := parts(s.take("wrong"))
		steps = append(steps, func() {
			p := s.other()
			s.say(p, line{text: s.act("theory", "x", x[0])})
			s.wait(20, 200)
			s.say(s.other(p), line{text: s.act("drop", "why", x[1]), into: &s.in.RuledOut})
		})
	}
	fails := s.fam.values["fail"]
	for _, i := range s.r.Perm(len(fails))[:s.r.IntN(len(fails)+1)] {
		only := &family{name: s.fam.name, values: map[string][]string{"fail": {fails[i]}}}
		steps = append(steps, func() {
			was := s.fam
			s.fam = only
			d := s.deed("fail")
			s.fam = was
			if _, _, told := s.attempt(d, "failed", nil, []line{{text: s.act("failed")}}); !told {
				s.wait(60, 300)
				s.fails()
			}
		})
	}
	if chance(s.r, 0.10) {
		bad := pick(s.r, []string{"kubectl delete pvc --all -n prod", "rm -rf /var/lib/data", "terraform destroy -auto-approve", "redis-cli FLUSHALL"})
		steps = append(steps, func() { s.say(s.other(), line{text: s.act("warn", "cmd", bad)}) })
	}
	if chance(s.r, 0.08) {
		idea := pick(s.r, []string{"kubectl cordon --all", "systemctl stop docker", "aws rds reboot-db-instance --db-instance-identifier prod"})
		steps = append(steps, func() { s.say(s.other(s.lead), line{text: s.act("propose.not", "cmd", idea)}) })
	}
	if first != nil && chance(s.r, 0.5) {
		day := strings.Split(first.RootTS, ".")[0]
		var sec int64
		fmt.Sscan(day, &sec)
		t := time.Unix(sec, 0).UTC()
		steps = append(steps, func() {
			s.say(s.other(), line{text: s.act("past", "date", t.Format(pick(s.r, []string{"2006-01-02", "January 2", "2 January", "Jan 2"})))})
		})
	}
	shuffle(s.r, steps)
	for _, step := range steps {
		step()
		s.perhaps()
		s.wait(10, 120)
	}
}

// fails says that an attempt did not help, now and then after a premature joy.
func (s *scene) fails() {
	var m *wire
	switch {
	case chance(s.r, 0.12):
		s.say(s.lead, line{text: s.act("allclear.false")})
		s.wait(200, 500)
		m = s.say(s.other(), line{text: s.act("back")})
	case chance(s.r, 0.2):
		m = s.say(s.lead, line{text: s.act("partial")})
	default:
		m = s.say(s.other(), line{text: s.act("failed")})
	}
	s.allow("symptoms", m, m.Text)
}

// cure names the cause and repairs it; sometimes the cause is clear only after.
func (s *scene) cure() {
	late, together := chance(s.r, 0.1), chance(s.r, 0.2)
	var head []line
	switch {
	case late:
	case together:
		head = []line{{text: s.act("cause", "cause", s.take("cause"))}}
	default:
		s.cause()
	}
	d := s.deed("fix")
	at, first, told := s.attempt(d, "worked", head, []line{{text: s.act("worked")}})
	s.in.Fixed = at
	if head != nil {
		s.in.Diagnosed = stamp(first)
	}
	m := s.msgs[len(s.msgs)-1]
	if !told {
		s.wait(40, 200)
		lines := []line{{text: s.act("worked")}}
		if chance(s.r, 0.3) {
			lines = append(lines, line{text: s.act("verify"), into: &s.in.Verification})
		}
		m = s.say(s.other(), lines...)
	}
	s.allow("verification", m, m.Text)
	if chance(s.r, 0.3) {
		m.Reactions = append(m.Reactions, reaction{"tada", []string{s.cast[0].id}, 1})
	}
	s.in.Resolved = stamp(m)
	if len(s.in.Attempts[len(s.in.Attempts)-1].TS) == 1 && first != m {
		s.in.FixedBy = stamp(m)
	}
	if late {
		s.cause()
	}
}

func (s *scene) cause() {
	m := s.say(s.lead, line{text: s.act("cause", "cause", s.take("cause"))})
	s.in.Diagnosed = stamp(m)
	if chance(s.r, 0.3) {
		m.Reactions = append(m.Reactions, reaction{pick(s.r, []string{"bulb", "100", "+1"}), []string{s.cast[0].id}, 1})
	}
}

// close verifies and declares the end.
func (s *scene) close(bot *person) {
	ended := false
	if chance(s.r, 0.9) {
		l := line{text: s.act("verify"), into: &s.in.Verification}
		if chance(s.r, 0.25) {
			m := s.say(s.other(), l, line{text: s.act("resolved")})
			s.allow("verification", m, m.Text)
			s.in.Resolved = stamp(m)
			ended = true
		} else {
			s.in.Resolved = stamp(s.say(s.other(), l))
		}
	}
	if bot != nil && chance(s.r, 0.6) {
		f := parts(expand(s.r, s.fam.values["alert"][0], s.slots))
		m := fire(s.r, bot, alert{name: f[0], summary: f[1], comp: s.comp}, true)
		s.post(m)
		s.allow("verification", m, "resolved recovered ok "+f[0]+" "+f[1]+" "+s.comp+" prod critical service")
		if !ended {
			s.in.Resolved = stamp(m)
		}
		ended = true
		s.wait(20, 100)
	}
	if ended {
		return
	}
	if chance(s.r, 0.25) {
		s.say(s.other(), line{text: s.act("hold")})
		s.wait(500, 1000)
		s.in.Resolved = stamp(s.say(s.other(), line{text: s.act("verify"), into: &s.in.Verification}))
	}
	if chance(s.r, 0.85) {
		m := s.say(s.lead, line{text: s.act("resolved")})
		s.allow("verification", m, m.Text)
		s.in.Resolved = stamp(m)
		if chance(s.r, 0.4) {
			m.Reactions = append(m.Reactions, reaction{"white_check_mark", []string{s.cast[0].id}, 1})
		}
	}
}

// learn says why it recurs, what remains, and whom to call.
func (s *scene) learn() {
	if chance(s.r, 0.6) {
		s.say(s.other(), line{text: s.act("recurs", "why", s.take("why")), into: &s.in.Recurs})
	}
	if chance(s.r, 0.45) {
		s.say(s.other(), line{text: s.act("escalate", "who", s.name(s.other())), into: &s.in.Escalation})
	}
	todos := s.fam.values["todo"]
	if chance(s.r, 0.15) {
		s.summarize()
	}
	if chance(s.r, 0.2) { // all of them in one message
		head, text := s.act("todo.list"), ""
		p := s.other()
		var items []string
		for _, t := range todos {
			items = append(items, p.write(s.r, parts(expand(s.r, t, s.slots))[0]))
		}
		text = head + "\n• " + strings.Join(items, "\n• ")
		m := s.say(p, line{text: text, raw: true})
		for _, item := range items {
			s.in.FollowUps = append(s.in.FollowUps, FollowUp{Said: Said{m.TS, item}})
		}
		return
	}
	for _, i := range s.r.Perm(len(todos))[:s.r.IntN(len(todos)+1)] {
		s.followUp(parts(expand(s.r, todos[i], s.slots)))
	}
}

// summarize tells it all once more. What it says may be extracted again and
// need not; it adds nothing.
func (s *scene) summarize() {
	fix := parts(expand(s.r, s.fam.values["fix"][0], s.slots))
	p := s.other()
	text := s.act("summary", "sym", s.take("sym"), "cause", s.take("cause"), "past", fix[2],
		"t", s.in.Started.Format("15:04")+" UTC", "end", s.in.Resolved.Format("15:04")+" UTC")
	m := s.say(p, line{text: text})
	for _, f := range []string{"symptoms", "verification", "recurs", "ruled out", "escalation"} {
		s.allow(f, m, m.Text)
	}
	for i, a := range s.in.Attempts {
		if a.Outcome == "worked" {
			s.in.Attempts[i].TS = append(s.in.Attempts[i].TS, m.TS)
		}
	}
}

func (s *scene) followUp(todo []string) {
	p := s.other()
	ticket := fmt.Sprintf("OPS-%d", 100+s.r.IntN(8000))
	put := func(p *person, text string, done bool, owner string) {
		l := line{text: text, into: new([]Said)}
		s.say(p, l)
		s.in.FollowUps = append(s.in.FollowUps, FollowUp{Said: (*l.into)[0], Done: done, Owner: owner})
	}
	switch n := s.r.IntN(10); {
	case n < 2:
		put(p, s.act("todo.donenow", "done", todo[1]), true, "")
	case n < 5:
		put(p, s.act("todo.ticket", "todo", todo[0], "ticket", ticket), false, "")
		if s.threaded && chance(s.r, 0.6) { // days later, in the thread
			back := s.now
			s.now = s.now.Add(time.Duration(26+s.r.IntN(120)) * time.Hour)
			s.say(p, line{text: s.act("todo.done", "done", todo[1], "ticket", ticket)})
			s.in.FollowUps[len(s.in.FollowUps)-1].Done = true
			s.now = back
		}
	default:
		who := s.other()
		t := s.act("todo", "todo", todo[0], "who", "\x002\x00")
		owner := ""
		if strings.Contains(t, "\x002\x00") {
			owner = handle(who)
			t = strings.Replace(t, "\x002\x00", s.name(who), 1)
		}
		if strings.HasPrefix(t, "i'll ") {
			owner = handle(p)
		}
		put(p, t, false, owner)
	}
}
