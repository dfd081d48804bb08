package thread

import (
	"strconv"
	"time"
)

// course is where a conversation turns, as indexes of its sights.
type course struct {
	list            []*sight
	looked          int // the first with code; len(list) when none has any
	begun, last     int // the first and the last command that changes something; len(list) and -1 for none
	worked, through int // what worked was begun, and was through; -1 for none
	person          int // the last message of a person
	doer            string

	latest, earliest map[string]int // where a kind comes last, and first since the last command
}

func (ts *tries) course(list []*sight) course {
	n := len(list)
	c := course{list: list, looked: n, begun: n, last: -1, worked: -1, through: -1, person: -1, latest: map[string]int{}, earliest: map[string]int{}}
	at := map[int]int{}
	for i, o := range list {
		at[o.msg] = i
		if o.bot {
			continue
		}
		c.person = i
		if c.looked == n && (o.is["code"] || o.is["look-up"] || o.is["command"]) {
			c.looked = i
		}
		if o.is["command"] && !o.is["report"] {
			c.begun, c.last, c.doer = min(c.begun, i), i, o.by
		}
	}
	for _, a := range ts.all {
		if a.Outcome == Worked {
			c.worked = at[a.msg]
			c.through = max(c.worked, at[a.last])
			if c.doer == "" {
				c.doer = a.By
			}
		}
	}
	for i, o := range list {
		for k := range o.is {
			c.latest[k] = i
			if _, known := c.earliest[k]; !known && i > c.last {
				c.earliest[k] = i
			}
		}
	}
	return c
}

// features are what speaks for and against each message, by names: its kinds,
// its kinds by where it stands ("good.after"), the kinds of its neighbours, and
// whether it is the first or the last of a kind in a stretch of the conversation.
func (c course) features() [][]string {
	out := make([][]string, len(c.list))
	for i := range c.list {
		out[i] = append(c.place(i), c.beside(i)...)
	}
	n := len(c.list)
	c.ends(out, "all", 0, n)
	if c.last >= 0 {
		c.ends(out, "before", 1, c.begun+1)
		c.ends(out, "after", c.last+1, n)
	}
	if c.worked >= 0 {
		c.ends(out, "until-worked", 1, c.worked+1)
		c.ends(out, "since-worked", c.worked+1, n)
	}
	return out
}

// place are the features of message i by where it stands.
func (c course) place(i int) []string {
	o, n := c.list[i], len(c.list)
	out := []string{"message"}
	where := []string{"", c.deeds(i), c.success(i)}
	if o.bot {
		where = append(where, ".of-bot")
	}
	if o.by == c.doer {
		where = append(where, ".of-doer")
	}
	if i > 0 && c.list[i-1].by == o.by {
		where = append(where, ".goes-on")
	}
	for _, w := range where {
		for _, k := range o.kinds {
			out = append(out, k+w)
		}
		if w != "" {
			out = append(out, w[1:])
		}
	}
	for _, w := range o.stems {
		out = append(out, "word:"+w)
	}
	from := func(name string, at int) {
		if at >= 0 && at < n {
			out = append(out, name+strconv.Itoa(max(-4, min(6, i-at))))
		}
	}
	from("first-command", c.begun)
	from("last-command", c.last)
	from("worked", c.worked)
	from("through", c.through)
	from("end", max(0, n-1))
	switch {
	case i == 0:
		out = append(out, "first-message")
	case i < c.looked:
		out = append(out, "before-look-up")
	}
	if i == c.person {
		out = append(out, "last-of-people")
	}
	if o.by == c.list[0].by {
		out = append(out, "reporter")
	}
	return append(out, "third"+strconv.Itoa(i*3/n))
}

func (c course) deeds(i int) string {
	switch {
	case c.last < 0:
		return ".no-command"
	case i < c.begun:
		return ".before"
	case i < c.last:
		return ".between"
	case i == c.last:
		return ".command"
	}
	return ".after"
}

func (c course) success(i int) string {
	switch {
	case c.worked < 0:
		return ".nothing-worked"
	case i < c.worked:
		return ".until-worked"
	case i <= c.through:
		return ".works"
	}
	return ".since-worked"
}

// beside are the features of message i by what stands before and after it.
func (c course) beside(i int) []string {
	o := c.list[i]
	var out []string
	neighbour := func(name string, p *sight, gap time.Duration) {
		for _, k := range p.kinds {
			out = append(out, name+":"+k)
		}
		if p.by == o.by {
			out = append(out, name+"-same-author")
		}
		switch {
		case gap < time.Minute:
			out = append(out, name+"-at-once")
		case gap > 15*time.Minute:
			out = append(out, name+"-far")
		}
	}
	if i > 0 {
		neighbour("prev", c.list[i-1], o.at.Sub(c.list[i-1].at))
	}
	if i+1 < len(c.list) {
		neighbour("next", c.list[i+1], c.list[i+1].at.Sub(o.at))
	}
	for _, k := range laterKinds {
		if at, ok := c.latest[k]; ok && at > i {
			out = append(out, "later:"+k)
		}
	}
	for _, k := range earlierKinds {
		if at, ok := c.earliest[k]; ok && at < i {
			out = append(out, "earlier:"+k)
		}
	}
	return out
}

// Kinds that matter wherever they come later, or earlier since the last command.
var (
	laterKinds   = []string{"BAD", "RETRACTS", "bad", "command", "bot-clears", "GOOD", "good-only", "CLOSES", "close", "CAUSAL", "THERE", "bye", "cause", "done"}
	earlierKinds = []string{"bot-clears", "GOOD", "good-only", "CLOSES", "close", "CAUSAL", "GONE", "done", "past"}
)

// ends marks the first and the last message of each kind that states something
// in a stretch of the conversation.
func (c course) ends(out [][]string, name string, from, to int) {
	for _, k := range endKinds {
		first, last := -1, -1
		for i := from; i < min(to, len(c.list)); i++ {
			if o := c.list[i]; o.is[k] && (!o.bot || k == "bot-clears") && !o.is["ASKS"] {
				if first < 0 {
					first = i
				}
				last = i
			}
		}
		if first >= 0 {
			out[first] = append(out[first], "first:"+k+"@"+name)
			out[last] = append(out[last], "last:"+k+"@"+name)
		}
	}
}

var endKinds = []string{"good", "good-only", "close", "bye", "cause", "find", "done", "past", "verify", "bot-clears", "GOOD", "WORKED", "GONE", "CLOSES", "OVER", "CAUSE", "CAUSAL", "DEFECT", "DONE", "DID", "relief", "follow", "figure", "look-up", "states"}
