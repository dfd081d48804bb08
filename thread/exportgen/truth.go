package exportgen

import "time"

// Truth is what an archive tells, as it was played.
type Truth struct {
	Incidents  []*Incident
	Secrets    []Planted // must not survive
	Lookalikes []Planted // must survive
	Gaps       map[string]int
}

// Planted is a text put into a message on purpose.
type Planted struct{ Kind, Value, Channel, TS string }

// Incident is the truth about one conversation. Times are UTC; a zero time was
// never said and cannot be known.
type Incident struct {
	Channel, RootTS string
	Family          string
	Component       string
	TS              []string // of every message of it
	Reporter        string   // handle, or the name of a bot
	Owners          []string // handles
	AlsoOwners      []string // handles of those who may be named as well
	Commands        []Command
	Attempts        []Attempt
	Symptoms        []Said
	RuledOut        []Said
	Verification    []Said
	Escalation      []Said
	Recurs          []Said
	FollowUps       []FollowUp
	Allowed         map[string][]Said // by field: sentences that may be extracted and need not be
	Started         time.Time
	Diagnosed       time.Time
	Fixed           time.Time
	FixedBy         time.Time // where nobody said that it was done: when it was said to have helped; as right as Fixed
	Resolved        time.Time
	RecurrenceOf    string // Key of the first conversation about the same failure
	Ticket          string // number of the incident, in banks that have one
	Ticketed        bool   // the number was said
	room            string // id of the channel
}

// Key names the conversation as package thread does.
func (i *Incident) Key() string { return i.Channel + "/" + i.RootTS }

// Command was run or applied; Secret is a part of it that must be redacted.
type Command struct{ Text, Lang, Secret string }

// Attempt is something tried. TS are the messages that announce it or say that
// it was done; Outcome is "worked" or "failed".
type Attempt struct {
	TS       []string
	Commands []Command
	Outcome  string
}

// Said is a sentence and the message it stands in.
type Said struct{ TS, Text string }

// FollowUp is work that remains, or was done since.
type FollowUp struct {
	Said
	Done  bool
	Owner string
}
