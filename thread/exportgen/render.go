package exportgen

import (
	"fmt"
	"strings"
	"time"
)

// code shows commands in a form: inline, bare, fence or prompt (a fence with
// prompts and what the shell answered). What a form cannot show is fenced.
func (p *performance) code(cmds []Command, form string) string {
	multi := false
	for _, c := range cmds {
		multi = multi || c.Lang != "bash" || strings.Contains(c.Text, "\n")
	}
	switch {
	case form == "bare" && len(cmds) == 1 && !multi:
		return p.hold(cmds[0].Text)
	case (form == "inline" || form == "bare") && !multi:
		var list []string
		for _, c := range cmds {
			list = append(list, "`"+c.Text+"`")
		}
		return p.hold(strings.Join(list, pick(p.r, []string{" then ", ", ", " + "})))
	}
	prompt := ""
	if form == "prompt" {
		prompt = pick(p.r, []string{"$ ", "[ops@bastion-2 ~]$ ", "root@" + p.comp + "-1:~# ", "~ $ "})
	}
	out := ""
	for i := 0; i < len(cmds); {
		var body []string
		j := i
		for ; j < len(cmds) && cmds[j].Lang == cmds[i].Lang && (cmds[i].Lang == "bash" || j == i); j++ {
			if cmds[j].Lang != "bash" {
				body = append(body, cmds[j].Text)
				continue
			}
			body = append(body, prompt+cmds[j].Text)
			if prompt != "" && chance(p.r, 0.7) {
				body = append(body, p.output())
			}
		}
		out += "\n```\n" + strings.Join(body, "\n") + "\n```"
		i = j
	}
	return p.hold(out)
}

// moment is the time of something, for somebody who tells it. What nobody told
// before happens between the onset and now, and is true from then on.
func (p *performance) moment(name string) time.Time {
	at := map[string]*time.Time{"onset": &p.in.Started, "diag": &p.in.Diagnosed, "fixed": &p.in.Fixed, "end": &p.in.Resolved}[name]
	if name == "onset" {
		*at = p.onset
		return p.onset
	}
	if name == "now" {
		return p.now
	}
	known := p.said[name]
	if known.IsZero() && !at.IsZero() {
		known = *at // told by a message
		p.ended = p.ended || name == "end"
		if name == "fixed" {
			p.said[name] = known
		}
	}
	if !known.IsZero() {
		return known.Truncate(time.Minute)
	}
	from, to := p.onset, p.now
	if name == "diag" && !p.in.Fixed.IsZero() {
		to = p.in.Fixed
	}
	for _, t := range []time.Time{stamp(p.msgs[0]), p.in.Diagnosed, p.in.Fixed} {
		if t.After(from) && t.Before(to) {
			from = t
		}
	}
	if late := from.Add(20 * time.Minute); name == "end" && late.Before(to) {
		to = late
	}
	f := map[string]float64{"diag": 0.4, "fixed": 0.6, "end": 0.8}[name]
	t := from.Add(time.Duration(f * float64(to.Sub(from)))).Truncate(time.Minute)
	if t.Before(from) {
		t = t.Add(time.Minute)
	}
	p.said[name], *at = t, t
	if name == "end" {
		p.ended = true
	}
	return t
}

// clockForm says a moment in one of the forms people use.
func (p *performance) clockForm(who *person, name, form string) string {
	at := p.moment(name)
	local := who.local(at)
	minutes := int(at.Sub(p.onset) / time.Minute)
	switch form {
	case "z":
		return at.Format("15:04") + "Z"
	case "utc":
		return at.Format("15:04") + " UTC"
	case "hh":
		return at.Format("15:04") // under a heading that names UTC
	case "ampm":
		return local.Format("3:04pm")
	case "local":
		return local.Format("15:04")
	case "zone":
		return local.Format("15:04 ") + who.zoneName()
	case "past": // "10 past": the last time the clock showed that
		return fmt.Sprintf("%d past", local.Minute())
	case "plus":
		return fmt.Sprintf("T+%d", minutes)
	case "mins":
		return fmt.Sprintf("+%dm", minutes)
	case "ago":
		return since(p.r, p.now.Sub(at))
	case "iso":
		return at.Format("2006-01-02T15:04Z")
	}
	panic("no such form: " + form)
}
