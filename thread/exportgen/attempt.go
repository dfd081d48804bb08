package exportgen

import (
	"fmt"
	"strings"
	"time"
)

// deed is something to do, in the three forms that people need, and how.
type deed struct {
	do, ing, past string
	cmds          []Command
}

func (s *scene) deed(key string) deed {
	list := s.fam.values[key]
	raw := pick(s.r, list)
	f := parts(expand(s.r, raw, s.slots))
	d := deed{do: f[0], ing: f[1], past: f[2]}
	for _, c := range f[3:] {
		d.cmds = append(d.cmds, command(c))
	}
	return d
}

// command reads a command of the bank: a language before a colon, \n for a new
// line.
func command(c string) Command {
	lang, text, ok := strings.Cut(c, ":")
	if !ok || (lang != "yaml" && lang != "sql" && lang != "ini") {
		lang, text = "bash", c
	}
	return Command{Text: strings.ReplaceAll(text, `\n`, "\n"), Lang: lang}
}

// Ways to show a command.
const (
	inline = iota
	fence
	prompt
	bare
	snippet
	ways
)

// show builds the lines of a message that says something and shows commands.
// The template names the act of the bank for the inline form.
func (s *scene) show(who *person, said string, cmds []Command) (lines []line, files []map[string]any) {
	if len(cmds) == 0 {
		return []line{{text: said}}, nil
	}
	way := s.r.IntN(ways)
	one := cmds[0]
	multi := len(cmds) > 1 || strings.Contains(one.Text, "\n")
	if way == bare && (multi || one.Lang != "bash" || strings.Contains(one.Text, "{")) || way == snippet && !multi {
		way = inline
	}
	if way == inline && multi {
		way = fence
	}
	if way == prompt && one.Lang != "bash" {
		way = fence
	}
	switch way {
	case inline:
		t := s.act("cmd.inline", "said", said, "cmd", "\x001\x00")
		return []line{{text: s.codeStyled(who, t, one.Text), raw: true}}, nil
	case bare:
		t := s.act("cmd.bare", "said", said, "cmd", "\x001\x00")
		return []line{{text: s.codeStyled(who, t, one.Text), raw: true}}, nil
	case snippet:
		var b strings.Builder
		for _, c := range cmds {
			if c.Lang == "bash" {
				b.WriteString(c.Text + "\n")
			}
		}
		if b.Len() > 0 && strings.Count(b.String(), "\n") == len(cmds) {
			return []line{{text: said}}, []map[string]any{{"id": fmt.Sprintf("F%08X", s.r.Uint32()), "name": "steps.sh", "title": "steps.sh",
				"filetype": "shell", "mode": "snippet", "preview": b.String()}}
		}
	}
	lines = []line{{text: s.act("cmd.fence", "said", said)}}
	// One fence per language, in order.
	for i := 0; i < len(cmds); {
		j := i
		var body []string
		for j < len(cmds) && cmds[j].Lang == cmds[i].Lang && (cmds[i].Lang != "yaml" && cmds[i].Lang != "ini" || j == i) {
			text := cmds[j].Text
			if way == prompt && cmds[j].Lang == "bash" {
				text = "$ " + text
			}
			body = append(body, text)
			j++
		}
		open := "```"
		if chance(s.r, 0.2) {
			open += cmds[i].Lang
		}
		block := open + "\n" + strings.Join(body, "\n") + "\n```"
		if way == prompt && chance(s.r, 0.5) {
			block = open + "\n" + strings.Join(body, "\n") + "\n" + s.output() + "\n```"
		}
		lines = append(lines, line{text: block, raw: true})
		i = j
	}
	return lines, nil
}

// codeStyled restyles the prose around a command and puts the command in.
func (s *scene) codeStyled(who *person, t, cmd string) string {
	t = who.write(s.r, t)
	t = strings.TrimSuffix(t, "\x00.")
	if !strings.HasSuffix(t, "\x00") && strings.Count(t, "\x00") == 1 {
		t += "\x00"
	}
	return strings.Replace(t, "\x001\x00", cmd, 1)
}

// output is what a shell answers.
func (s *scene) output() string {
	return pick(s.r, []string{
		"deployment.apps/" + s.comp + " condition met",
		"NAME            READY   STATUS    AGE\n" + s.comp + "-7d9c-x2b   0/1     Running   " + fmt.Sprint(2+s.r.IntN(50)) + "m",
		"OK",
		s.take("err"),
		fmt.Sprintf("%d rows affected", 1+s.r.IntN(400)),
	})
}

// announceAct is "announce" the first time and mostly "again" after.
func (s *scene) announceAct() string {
	if len(s.in.Attempts) > 0 && chance(s.r, 0.6) {
		return "again"
	}
	return "announce"
}

// attempt plays one deed and returns when it was done. The first message
// begins with head, when there is one; the last may end with tail, which tells
// the outcome. told says that it did; first is the first message.
func (s *scene) attempt(d deed, outcome string, head, tail []line) (at time.Time, first *wire, told bool) {
	a := Attempt{Outcome: outcome, Commands: d.cmds}
	who := s.lead
	if outcome == "failed" && chance(s.r, 0.3) {
		who = s.other()
	}
	before, after := d.cmds, []Command(nil)
	switch n := s.r.IntN(10); {
	case n < 2: // done first, told with the commands
		before, after = nil, d.cmds
	case n < 4 && len(d.cmds) > 1:
		before, after = d.cmds[:1], d.cmds[1:]
	}
	announced := !(len(before) == 0 && chance(s.r, 0.4))
	if announced {
		lines, files := s.show(who, s.act(s.announceAct(), "do", d.do, "ing", d.ing), before)
		m := s.say(who, append(head, lines...)...)
		first = m
		m.Files = files
		a.TS = append(a.TS, m.TS)
		at = stamp(m)
		if chance(s.r, 0.1) {
			m.Edited = &edit{User: m.User, TS: fmt.Sprintf("%d.000000", m.at.Unix()+20)}
		}
		s.wait(40, 240)
		s.perhaps()
	}
	if !announced || len(after) > 0 || chance(s.r, 0.8) {
		name, extra := "done", []string{"past", d.past, "do", d.do}
		stated := time.Time{}
		if len(after) == 0 && outcome == "worked" && chance(s.r, 0.2) {
			name, stated = "done.at", s.now.Add(-time.Duration(s.r.IntN(5))*time.Minute).Truncate(time.Minute)
			if announced && stated.Before(at) {
				stated = s.now.Truncate(time.Minute)
			}
			extra = append(extra, "t", who.clock(s.r, stated, s.now))
		}
		said := s.act(name, extra...)
		if !announced && !strings.Contains(said, d.past) {
			said = d.past
		}
		lines, files := s.show(who, said, after)
		if first == nil {
			lines = append(head, lines...)
		}
		if told = chance(s.r, 0.25); told {
			lines = append(lines, tail...)
		}
		m := s.say(who, lines...)
		if first == nil {
			first = m
		}
		m.Files = files
		a.TS = append(a.TS, m.TS)
		at = stamp(m)
		if !stated.IsZero() {
			at = stated
		}
	}
	s.in.Attempts = append(s.in.Attempts, a)
	s.in.Commands = append(s.in.Commands, d.cmds...)
	return at, first, told
}

// look reads the world: a command that changes nothing, now and then its
// output.
func (s *scene) look() {
	c := command(s.take("look"))
	if s.r.IntN(12) == 0 {
		c = Command{Text: "PGPASSWORD=" + s.secretWord() + " psql -h db.prod -U app -c 'select 1'", Lang: "bash"}
		c.Secret = strings.TrimPrefix(firstWord(c.Text), "PGPASSWORD=")
	}
	lines, files := s.show(s.lead, s.act("look.said"), []Command{c})
	m := s.say(s.lead, lines...)
	m.Files = files
	if c.Secret != "" {
		s.truth.Secrets = append(s.truth.Secrets, Planted{"password", c.Secret, s.where.name, m.TS})
	}
	s.in.Commands = append(s.in.Commands, c)
	if chance(s.r, 0.4) {
		s.say(s.lead, line{text: s.act("paste")}, line{text: "```\n" + s.take("err") + "\n```", raw: true})
	}
}
