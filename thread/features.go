package thread

import (
	"fmt"
	"strings"

	"prunella"
	"prunella/thread/pattern"
)

// features of a conversation that speak for or against an incident.
type feature struct {
	name   string
	weight float64
	text   string
}

// judge scores the conversation. Reasons carry the weight as operand.
func (c *Conversation) judge(dir *Directory) {
	add := func(name string, weight float64, format string, args ...any) {
		c.Score += weight
		c.Reasons = append(c.Reasons, prunella.Reason{Name: name, Text: fmt.Sprintf(format, args...), Operands: map[string]string{"weight": fmt.Sprintf("%+.1f", weight)}})
	}
	if !c.worthReading() {
		return
	}
	for _, f := range c.features(dir) {
		add(f.name, f.weight, "%s", f.text)
	}
	c.Score = float64(int(c.Score*100+0.5)) / 100
}

// worthReading is a quick look that spares most talk the full one.
func (c *Conversation) worthReading() bool {
	bad, n := false, 0
	for _, m := range c.Messages {
		if bookkeeping[m.Subtype] {
			continue
		}
		n++
		bad = bad || tense(m) || strings.Contains(m.Text, "`")
	}
	return bad && n >= 2
}

func (c *Conversation) features(dir *Directory) []feature {
	t := listen(*c, dir)
	if len(t.said) == 0 {
		return nil
	}
	var out []feature
	add := func(name string, weight float64, format string, args ...any) {
		out = append(out, feature{name, weight, fmt.Sprintf(format, args...)})
	}
	ts := &tries{t: t}
	var bad, figures, good, cause, commands, calm, daily, side, early, persons int
	alert, dramatic := false, false
	for i, s := range t.said {
		ts.hear(s)
		low := strings.ToLower(maskCode(s.text))
		isBad := failing.MatchString(low)
		if isBad && s.msg < 4 {
			early++
		}
		if isBad {
			bad++
			if figure.MatchString(s.text) {
				figures++
			}
		}
		if s.bot && isBad && s.msg == 0 {
			alert = true
		}
		dramatic = dramatic || drama.MatchString(low) && s.msg < 3
		if v := verdict(s.text); v != 0 && i > 0 {
			good++
		}
		if strong.MatchString(low) && !s.bot {
			cause++
		}
		if noise.MatchString(low) {
			calm++
		}
		if standup.MatchString(low) {
			daily++
		}
		if featureTalk.MatchString(low) {
			side++
		}
		for _, sn := range s.snippets() {
			if sn.kind == KindCommand {
				commands++
			}
		}
	}
	ts.plot()
	persons = len(t.people)
	deeds, outcomes, done := 0, 0, 0
	for _, a := range ts.all {
		if a.advised || len(a.Commands) == 0 && routine.MatchString(a.Text) {
			continue
		}
		deeds++
		if len(a.Commands) > 0 {
			done++
		}
		if a.Outcome != Unclear {
			outcomes++
		}
	}
	over := t.over(ts)
	if early > 0 {
		add("something-fails", min(1.5, 0.8+0.2*float64(bad)), "%d sentences speak of failing, %d of them at the beginning", bad, early)
	}
	if figures > 0 {
		add("figures", min(0.8, 0.4+0.2*float64(figures)), "%d of them with figures", figures)
	}
	if alert {
		add("alert", 0.5, "an alert began it")
	}
	if dramatic {
		add("urgent", 0.4, "it was called an incident, or urgent, or about production")
	}
	if deeds > 0 {
		add("something-was-done", min(1.6, 0.8+0.4*float64(deeds)), "%d things were done against it", deeds)
	} else {
		add("nothing-done", -1.5, "nobody did anything against it")
	}
	if outcomes > 0 {
		add("outcome", 0.6, "people said what came of %d of them", outcomes)
	}
	if cause > 0 {
		add("cause", 0.6, "a cause was named")
	}
	if commands > 0 {
		add("commands", 0.4, "%d commands were run", commands)
	}
	if over >= 0 && deeds > 0 {
		add("came-to-an-end", 0.6, "it was declared over, or seen to be")
	} else if over < 0 && deeds > 0 {
		add("no-end", -0.6, "nobody said that it was over")
	}
	if persons > 1 {
		add("several-people", 0.3, "%d people took part", persons)
	}
	if n := len(t.c.Messages); n < 3 {
		add("short", -1, "it has %d messages", n)
	}
	if opsChannel.MatchString(c.Channel.Name) {
		add("channel", 0.3, "the channel is one for operations")
	}
	if c.Kind == "channel" {
		add("channel-of-its-own", 1, "a channel was made for it")
	}
	if calm > 0 {
		w := -0.9 * float64(min(calm, 3))
		if outcomes > 0 && deeds > 1 {
			w /= 3
		}
		add("came-to-nothing", w, "%d sentences call it noise, planned or no problem", calm)
	}
	if daily > 1 && deeds < 3 || daily > 3 {
		add("stand-up", -2.5, "it reads like a stand-up")
	}
	if side > 0 && early == 0 || side > 2 {
		add("other-talk", -0.7*float64(min(side, 4)), "%d sentences speak of features, plans or people", side)
	}
	repair := done > 0 && persons > 1 && (commands > 1 || len(ts.figures.good) > 0 || len(t.logs) > 0 || t.c.Messages[0].bot())
	if repair {
		add("looks-like-repair", 1.4, "%d persons, %d commands of which %d change something, %d figures set against their usual ones", persons, commands, done, len(ts.figures.good))
	}
	if early == 0 && !repair {
		add("nothing-fails", -2, "nothing at its beginning speaks of failing")
	}
	if review.MatchString(strings.ToLower(t.said[0].text)) {
		add("looking-back", -2, "it looks back at something that was over")
	}
	return out
}

// routine is a release that is announced and mends nothing.
var routine = pattern.MustCompile(`(?i)\b(?:releas|deploy|shipp|roll|promot|merg)\w*\b.*\bv?\d+\.\d+\.\d+`)

var opsChannel = pattern.MustCompile(`(?i)inc|alert|ops|sre|on-?call|outage|prod|infra|emergency|war`)

var review = anyOf(`post-?mortem (?:for|of|doc|review|draft|is)`, `retro(?:spective)? (?:for|of|notes)`, `lessons learned`, `write-?up (?:for|of)`, `incident review`, `last (?:week|month|quarter|year)'?s? (?:incident|outage)`, `remember (?:when|the|that)`, `changelog`, `release notes`, `weekly (?:report|summary)`, `capacity planning`, `design (?:doc|review)`, `rfc`, `proposal`)
