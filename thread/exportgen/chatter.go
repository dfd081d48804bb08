package exportgen

import (
	"fmt"
	"strings"
	"time"
)

// chatter fills the archive with what is no incident.
func (g *generator) chatter(o Options) {
	for n := 0; n < o.Chatter; {
		day := o.Start.AddDate(0, 0, g.r.IntN(o.Days))
		at := day.Add(time.Duration(6*3600+g.r.IntN(14*3600)) * time.Second)
		where := g.rooms[g.r.IntN(len(g.rooms))]
		busy := g.busy(where.name, at, 0)
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
	return g.fill(pick(g.r, g.words.acts[act]), p, at)
}

func (g *generator) fill(template string, p *person, at time.Time) string {
	return expand(g.r, template, map[string]string{
		"comp": g.anyComp(""), "ver": fmt.Sprintf("v%d.%d.%d", 1+g.r.IntN(4), g.r.IntN(12), g.r.IntN(9)),
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

// dialog posts texts by turns, in a thread or not.
func (g *generator) dialog(c *room, at time.Time, texts []string) int {
	a, b := pick(g.r, g.people), pick(g.r, g.people)
	threaded, root := chance(g.r, 0.5), ""
	for i, t := range texts {
		p := a
		if i%2 == 1 {
			p = b
		}
		m := &wire{User: p.id, Text: escape(p.write(g.r, t)), ThreadTS: root}
		c.post(at, m)
		if threaded && i == 0 {
			root = m.TS
			m.ThreadTS = root
		}
		at = at.Add(time.Duration(20+g.r.IntN(200)) * time.Second)
	}
	return len(texts)
}

func (g *generator) question(c *room, at time.Time) int {
	p := g.people[0]
	return g.dialog(c, at, []string{g.phrase("question", p, at), g.phrase("answer", p, at)})
}

// falseLead looks like the beginning of an incident and is taken back.
func (g *generator) falseLead(c *room, at time.Time) int {
	return g.dialog(c, at, strings.Split(g.fill(pick(g.r, g.words.acts["falselead"]), g.people[0], at), " > "))
}

// flap is an alert that goes by itself and that nobody takes up.
func (g *generator) flap(c *room, at time.Time) int {
	fam := pick(g.r, g.words.families)
	comp := pick(g.r, fam.comps)
	f := parts(expand(g.r, fam.values["alert"][0], map[string]string{"comp": comp}))
	bot := bots[g.r.IntN(4)]
	a := alert{name: f[0], summary: f[1], comp: comp}
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
