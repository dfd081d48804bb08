package thread

import (
	"cmp"
	"context"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"prunella"
	"prunella/thread/pattern"
)

// Threshold is the score from which a conversation is an incident.
const Threshold = 3.0

// Options of Extract. The zero value means all messages.
type Options struct {
	Channel  string             // only this one, by name or id
	Since    time.Time          // only conversations that began then or later
	Known    []Known            // skills that a failure may have been seen with before
	Redactor *Redactor          // a fresh one when nil
	Progress func(messages int) // called now and then with how many were read
}

// Known is what is compared with of a skill that exists.
type Known struct {
	Name    string
	Title   string
	Version string
	Text    string // the whole file
	Path    string
}

// Conversation is a thread, or a run of messages outside threads that belong
// together, or all of a channel made for one incident.
type Conversation struct {
	Channel  Channel
	Kind     string    // thread | run | channel
	Messages []Message // by ts
	Score    float64
	Reasons  []prunella.Reason
}

// Passed is a conversation that was judged to be no incident.
type Passed struct {
	Channel  string            `json:"channel"`
	RootTS   string            `json:"root_ts"`
	Messages int               `json:"messages"`
	Score    float64           `json:"score"`
	Reasons  []prunella.Reason `json:"reasons"`
	Text     string            `json:"text"` // beginning of its first message
}

// Result is what Extract found.
type Result struct {
	Extractions []Extraction `json:"extractions"` // oldest first; recurrences linked to the first of their kind
	Passed      []Passed     `json:"passed"`      // no incidents, but with something that spoke for one
	Messages    int          `json:"messages"`
}

// Extract redacts messages (channel by channel, as Export and Store give them),
// finds the incidents among them and extracts each. It is deterministic. Of the
// messages it holds one channel at a time. Its error is one of messages, or of ctx.
func Extract(ctx context.Context, dir *Directory, messages iter.Seq2[Message, error], opt Options) (Result, error) {
	r := Result{Extractions: []Extraction{}, Passed: []Passed{}}
	red := opt.Redactor
	if red == nil {
		red = NewRedactor()
	}
	clean := *red.Directory(dir)
	var found []failure
	var channel []Message
	flush := func() {
		if len(channel) == 0 {
			return
		}
		if clean.Workspace == "" {
			clean.Workspace = workspaceOf(channel)
		}
		m := channel[0]
		ch, ok := clean.Channels[m.ChannelID]
		if !ok {
			ch = Channel{ID: m.ChannelID, Name: m.Channel}
		}
		var incidents []Conversation
		for _, c := range Conversations(ch, &clean, channel) {
			switch {
			case Time(c.Messages[0].TS).Before(opt.Since):
			case c.Score >= Threshold:
				incidents = append(incidents, c)
			case len(c.Reasons) > 0:
				r.Passed = append(r.Passed, passed(c, &clean))
			}
		}
		more := make([]failure, len(incidents))
		onAllCores(len(incidents), func(i int) {
			t := listen(incidents[i], &clean)
			x := t.extract()
			more[i] = failure{x: &x, refs: t.references(), names: t.subjects(), topic: t.topic, ids: t.ownIDs()}
		})
		found = append(found, more...)
		channel = nil
	}
	for m, err := range messages {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return r, err
		}
		if opt.Channel != "" && m.Channel != strings.TrimPrefix(opt.Channel, "#") && m.ChannelID != opt.Channel {
			continue
		}
		if len(channel) > 0 && (m.Channel != channel[0].Channel || m.ChannelID != channel[0].ChannelID) {
			flush()
		}
		if r.Messages++; opt.Progress != nil && r.Messages%1000 == 0 {
			opt.Progress(r.Messages)
		}
		channel = append(channel, red.Message(m))
	}
	flush()
	slices.SortStableFunc(found, func(a, b failure) int {
		return cmp.Or(compareTS(a.x.RootTS, b.x.RootTS), cmp.Compare(a.x.Channel, b.x.Channel))
	})
	link(found, opt.Known)
	for _, f := range found {
		r.Extractions = append(r.Extractions, *f.x)
	}
	return r, nil
}

// onAllCores calls f for 0 to n-1, in no order, and returns when all are done.
func onAllCores(n int, f func(int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	group.Wait()
}

func passed(c Conversation, dir *Directory) Passed {
	m := c.Messages[0]
	text := m.body()
	if list := pieces(clip(text, 400), dir); len(list) > 0 && list[0].fence == nil {
		text = list[0].line.text
	}
	return Passed{Channel: c.Channel.Name, RootTS: m.TS, Messages: len(c.Messages), Score: c.Score, Reasons: c.Reasons, Text: clip(text, 120)}
}

var workspaceRE = pattern.MustCompile(`https://[a-z0-9-]+\.(?:enterprise\.)?slack\.com/archives/`)

// workspaceOf learns the workspace's address from links that people posted.
func workspaceOf(list []Message) string {
	for _, m := range list {
		if at := workspaceRE.FindString(m.Text); at != "" {
			return strings.TrimSuffix(at, "/archives/")
		}
	}
	return ""
}
