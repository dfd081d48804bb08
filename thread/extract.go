package thread

import (
	"context"
	"iter"
	"time"

	"prunella"
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

// Conversations divides the messages of one channel, ordered by ts, into
// conversations and scores each. Every message is in exactly one.
func Conversations(ch Channel, dir *Directory, messages []Message) []Conversation { return nil }

// Extract redacts messages (channel by channel, as Export and Store give them),
// finds the incidents among them and extracts each. It is deterministic.
func Extract(ctx context.Context, dir *Directory, messages iter.Seq2[Message, error], opt Options) (Result, error) {
	return Result{}, nil
}
