package thread

import "time"

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
			if c.Score < Threshold {
				continue
			}
			whole = append(whole, weighable(c, &clean))
			c.Messages = c.Messages[:cut(len(c.Messages))]
			begun = append(begun, weighable(c, &clean))
		}
	}
	return whole, begun
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
