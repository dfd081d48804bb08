package exportgen

import (
	"fmt"
	"strings"
	"time"
)

// chatter fills the archive with what is no incident.
func (g *generator) chatter(o Options) {
	talks := g.words.discussions()
	for n := 0; n < o.Chatter; {
		day := o.Start.AddDate(0, 0, g.r.IntN(o.Days))
		at := day.Add(time.Duration(6*3600+g.r.IntN(14*3600)) * time.Second)
		where := g.rooms[g.r.IntN(len(g.rooms))]
		busy := g.busy(where.name, at, 0)
		if len(talks) > 0 && !busy && chance(g.r, 0.3) {
			n += g.discuss(where, at, pick(g.r, talks))
			continue
		}
		switch k := g.r.IntN(100); {
		case k < 20:
			n += g.talk(where, at, "standup")
		case k < 35:
			n += g.talk(where, at, "deploychat")
		case k < 50:
			n += g.talk(where, at, "lunch")
		case k < 62:
			n += g.talk(where, at, "joke")
		case k < 65:
			n += g.lookalikes(where, at)
		case busy:
		case k < 80:
			n += g.question(where, at)
		case k < 90:
			n += g.falseLead(where, at)
		case k < 98:
			n += g.flap(where, at)
		default:
			n += g.talk(where, at, "drill")
		}
	}
}

// phrase is a template of the bank with the slots of talk.
func (g *generator) phrase(act string, p *person, at time.Time) string {
	return g.fill(pick(g.r, g.words.acts[act]), g.anyComp(""), p, at)
}

func (g *generator) fill(template, comp string, p *person, at time.Time) string {
	return expand(g.r, template, map[string]string{
		"comp": comp, "ver": fmt.Sprintf("v%d.%d.%d", 1+g.r.IntN(4), g.r.IntN(12), g.r.IntN(9)),
		"thing": pick(g.r, g.words.acts["thing"]), "name": pick(g.r, g.people).handle, "t": p.clock(g.r, at.Add(20*time.Minute), at),
		"benign": pick(g.r, []string{"kubectl get pods", "make up", "psql -l", "docker compose up"}),
	})
}

func (g *generator) talk(c *room, at time.Time, act string) int {
	p := pick(g.r, g.people)
	m := &wire{User: p.id, Text: escape(p.write(g.r, g.phrase(act, p, at)))}
	c.post(at, m)
	if chance(g.r, 0.15) {
		m.Reactions = append(m.Reactions, reaction{pick(g.r, []string{"joy", "+1", "heart"}), []string{pick(g.r, g.people).id}, 1})
	}
	if chance(g.r, 0.02) {
		m.Subtype, m.User, m.Text = "tombstone", "USLACKBOT", "This message was deleted."
	}
	return 1
}

// dialog posts texts by turns, in a thread or not. A text that begins with ^
// is another one by whoever spoke before. ALERT and OVER are an alert and its
// end.
func (g *generator) dialog(c *room, at time.Time, texts []string, a alert) int {
	pair, turn := []*person{pick(g.r, g.people), pick(g.r, g.people)}, 1
	var bot *person
	threaded, root := chance(g.r, 0.5), ""
	for i, t := range texts {
		var m *wire
		switch {
		case t == "ALERT" || t == "OVER":
			if bot == nil {
				bot = bots[g.r.IntN(4)]
			}
			m = fire(g.r, bot, a, t == "OVER")
		default:
			t, same := strings.CutPrefix(t, "^")
			if !same {
				turn = 1 - turn
			}
			m = &wire{User: pair[turn].id, Text: escape(pair[turn].write(g.r, t))}
		}
		m.ThreadTS = root
		c.post(at, m)
		if threaded && i == 0 {
			root = m.TS
			m.ThreadTS = root
		}
		at = at.Add(time.Duration(20+g.r.IntN(200)) * time.Second)
	}
	return len(texts)
}

// discuss plays a conversation of the bank that is no incident: a review, a
// plan, a drill, a look back at an incident.
func (g *generator) discuss(c *room, at time.Time, template string) int {
	fam := pick(g.r, g.words.families)
	comp := pick(g.r, fam.comps)
	texts := strings.Split(g.fill(template, comp, g.people[0], at), " > ")
	return g.dialog(c, at, texts, g.alertOf(fam, comp))
}

// alertOf is what fires when a component of the family fails.
func (g *generator) alertOf(fam *family, comp string) alert {
	f := parts(expand(g.r, fam.values["alert"][0], map[string]string{"comp": comp, "vendor": strings.Join(fam.values["vendor"], "")}))
	return alert{name: f[0], summary: f[1], comp: comp}
}

func (g *generator) question(c *room, at time.Time) int {
	p := g.people[0]
	return g.dialog(c, at, []string{g.phrase("question", p, at), g.phrase("answer", p, at)}, alert{})
}

// falseLead looks like the beginning of an incident and is taken back.
func (g *generator) falseLead(c *room, at time.Time) int {
	return g.dialog(c, at, strings.Split(g.phrase("falselead", g.people[0], at), " > "), alert{})
}

// flap is an alert that goes by itself and that nobody takes up.
func (g *generator) flap(c *room, at time.Time) int {
	fam := pick(g.r, g.words.families)
	a := g.alertOf(fam, pick(g.r, fam.comps))
	bot := bots[g.r.IntN(4)]
	c.post(at, fire(g.r, bot, a, false))
	if chance(g.r, 0.85) {
		c.post(at.Add(time.Duration(60+g.r.IntN(400))*time.Second), fire(g.r, bot, a, true))
		return 2
	}
	return 1
}

// lookalikes posts what only looks like a secret.
func (g *generator) lookalikes(c *room, at time.Time) int {
	kind, value := g.lookalike()
	p := pick(g.r, g.people)
	m := &wire{User: p.id, Text: escape(p.write(g.r, fmt.Sprintf("%s `%s`", kind, value)))}
	c.post(at, m)
	g.truth.Lookalikes = append(g.truth.Lookalikes, Planted{kind, value, c.name, m.TS})
	return 1
}
