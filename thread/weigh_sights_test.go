package thread

import (
	"strings"
	"time"

	"prunella/thread/pattern"
)

// Weighable is a conversation as fitting sees it: its extraction, and each
// message with the time it would tell and its features.
type Weighable struct {
	X        Extraction
	At       []time.Time
	Named    []time.Time // the time for the repair
	Features [][]string
}

// Least is what a message must weigh to tell a time.
const Least = least

// Weigh gives the incidents among messages to fitting; of each also the
// beginning alone, up to a message that cut chooses of n.
func Weigh(dir *Directory, messages []Message, cut func(n int) int) (whole, begun []Weighable) {
	eachOf(dir, messages, func(c Conversation, clean *Directory) {
		if c.Score >= Threshold {
			whole = append(whole, weighable(c, clean))
			c.Messages = c.Messages[:cut(len(c.Messages))]
			begun = append(begun, weighable(c, clean))
		}
	})
	return whole, begun
}

// eachOf calls f with each conversation among messages, without secrets.
func eachOf(dir *Directory, messages []Message, f func(c Conversation, clean *Directory)) {
	red := NewRedactor()
	clean := *red.Directory(dir)
	channels := map[string][]Message{}
	var order []string
	for _, m := range messages {
		if channels[m.ChannelID] == nil {
			order = append(order, m.ChannelID)
		}
		channels[m.ChannelID] = append(channels[m.ChannelID], red.Message(m))
	}
	for _, id := range order {
		ch, ok := clean.Channels[id]
		if !ok {
			ch = Channel{ID: id, Name: channels[id][0].Channel}
		}
		for _, c := range Conversations(ch, &clean, channels[id]) {
			f(c, &clean)
		}
	}
}

// Impression is a conversation as fitting sees it when it is asked whether it
// is an incident.
type Impression struct {
	X        Extraction // of which only the messages are filled in
	Poorer   bool       // it is another one without its code, and without some of its messages
	Rules    float64    // what the rules say
	Features []string
}

// Impressions are the conversations that are worth reading; those that may
// confuse once more without their code and the messages that lose chooses:
// people elsewhere do not tell each other every command.
func Impressions(dir *Directory, messages []Message, loses func() bool) (list []Impression) {
	eachOf(dir, messages, func(c Conversation, clean *Directory) {
		if !c.worthReading() {
			return
		}
		one := impressionOf(c, clean)
		list = append(list, one)
		if poor := poorer(c, loses); one.Rules > 2*doubtful && len(poor.Messages) > 2 {
			one = impressionOf(poor, clean)
			one.Poorer = true
			list = append(list, one)
		}
	})
	return list
}

func impressionOf(c Conversation, clean *Directory) Impression {
	t := listen(c, clean)
	one := Impression{X: Extraction{Channel: c.Channel.Name, RootTS: c.Messages[0].TS, Messages: t.sources}, Rules: 2 * doubtful}
	if len(t.said) > 0 {
		one.Rules, one.Features = 0, t.impression()
		for _, f := range t.speaks() {
			one.Rules += f.weight
		}
	}
	return one
}

func poorer(c Conversation, loses func() bool) Conversation {
	var left []Message
	for i, m := range c.Messages {
		if i > 0 && loses() {
			continue
		}
		m.Files = nil
		m.Text = strings.TrimSpace(anyCode.ReplaceAllString(m.Text, ""))
		if m.Text != "" || len(m.Attachments) > 0 {
			left = append(left, m)
		}
	}
	c.Messages = left
	return c
}

var anyCode = pattern.MustCompile("(?s)```.*?```|`[^`\n]*`")

// Heard is the score of a conversation whose impression weighs sum.
func Heard(rules, sum float64) float64 {
	if rules < doubtful {
		return rules
	}
	return rules + withinBounds(sum)
}

func weighable(c Conversation, dir *Directory) Weighable {
	t := listen(c, dir)
	x, ts := t.read()
	w := Weighable{X: x}
	if len(t.said) == 0 {
		return w
	}
	list := t.sights(ts)
	w.Features = ts.course(list).features()
	for _, o := range list {
		chosen := weighed{sight: o}
		w.At = append(w.At, chosen.when(false))
		w.Named = append(w.Named, chosen.when(true))
	}
	return w
}
