package thread

import (
	"time"

	"prunella"
)

// Source is where a sentence was written.
type Source struct {
	Channel   string `json:"channel"` // name without '#'
	TS        string `json:"ts"`
	Author    string `json:"author"` // "@sam"; a bot's name without '@'
	Permalink string `json:"permalink"`
}

// Sentence is something that somebody wrote, as plain text, redacted.
type Sentence struct {
	Text   string `json:"text"`
	Source Source `json:"source"`
	Rule   string `json:"rule"` // name of the rule that chose it
}

// Kinds of a Command.
const (
	KindCommand = "command" // typed into a shell: kubectl rollout restart …
	KindConfig  = "config"  // a piece of configuration: YAML, JSON, TOML, INI, HCL
	KindQuery   = "query"   // asked of a database or a metrics system: SQL, PromQL
)

// Command is something that was run or written, without prompt and output.
type Command struct {
	Text   string `json:"text"` // may have several lines
	Lang   string `json:"lang"` // for a fence: bash, yaml, sql, promql, json, toml, ini, hcl
	Kind   string `json:"kind"` // command | config | query
	Source Source `json:"source"`
}

// Outcomes of an Attempt.
const (
	Worked  = "worked"
	Failed  = "failed"
	Unclear = "unclear" // nobody said
)

// Attempt is something that people did against the failure. Looking is no
// attempt: what only reads stands in Commands.
type Attempt struct {
	Text     string    `json:"text"`
	Commands []Command `json:"commands,omitempty"`
	Outcome  string    `json:"outcome"` // worked | failed | unclear
	Why      string    `json:"why"`     // the words that decided the outcome, or the rule
	By       string    `json:"by"`      // "@sam"
	At       time.Time `json:"at,omitzero"`
	Sources  []Source  `json:"sources"` // the attempt itself first, then what told its outcome
}

// FollowUp is something to do so that the failure does not come back.
type FollowUp struct {
	Text   string    `json:"text"`
	Done   bool      `json:"done"`
	Since  time.Time `json:"since,omitzero"` // open since, or done when; the day it was said where nobody told
	Owner  string    `json:"owner"`          // "@sam", "" when nobody took it
	Source Source    `json:"source"`
}

// Moment is one of the times of an incident and where it comes from.
type Moment struct {
	Name   string    `json:"name"` // started | diagnosed | fixed | resolved
	At     time.Time `json:"at"`
	Stated bool      `json:"stated"` // somebody named the time; otherwise it is the time of the message
	Source Source    `json:"source"`
	Rule   string    `json:"rule"`
	Why    string    `json:"why,omitempty"` // of a message that was weighed: what weighed most, "last:OVER@after +1.02"
}

// Extraction is what one incident conversation tells.
type Extraction struct {
	Channel      string            `json:"channel"`
	RootTS       string            `json:"root_ts"` // TS of the first message
	Kind         string            `json:"kind"`    // thread | run | channel
	Title        string            `json:"title"`
	Score        float64           `json:"score"`   // how sure that it is an incident; at least Threshold
	Reasons      []prunella.Reason `json:"reasons"` // what the score is made of
	Reporter     string            `json:"reporter"`
	People       []string          `json:"people"`   // who wrote in it, in order: "@maya"
	Services     []string          `json:"services"` // named in it, most named first
	Codes        []string          `json:"codes"`    // error codes and identifiers that name the failure: "401", "ECONNREFUSED", "ORA-00257"
	Symptoms     []Sentence        `json:"symptoms"`
	RuledOut     []Sentence        `json:"ruled_out"`
	Diagnosis    []Sentence        `json:"diagnosis"` // what was looked at and what the cause was said to be, without theories that were dropped
	Tried        []Attempt         `json:"tried"`
	Worked       []int             `json:"worked"`            // indexes into Tried
	Commands     []Command         `json:"commands"`          // what was run and written, in order; no output, no queries
	Queries      []Command         `json:"queries,omitempty"` // what was asked of databases and metrics
	Logs         []Sentence        `json:"logs,omitempty"`    // lines of output that tell of the failure
	Verification []Sentence        `json:"verification"`
	Owners       []string          `json:"owners"` // "@sam", the first is the primary one
	Escalation   []Sentence        `json:"escalation"`
	Recurs       []Sentence        `json:"recurs"` // why it keeps happening
	FollowUps    []FollowUp        `json:"follow_ups"`
	Started      time.Time         `json:"started,omitzero"`   // the failure began
	Diagnosed    time.Time         `json:"diagnosed,omitzero"` // the cause was named
	Fixed        time.Time         `json:"fixed,omitzero"`     // what worked was done
	Resolved     time.Time         `json:"resolved,omitzero"`  // somebody said that it is over
	Times        []Moment          `json:"times"`              // where those four come from
	RecurrenceOf string            `json:"recurrence_of"`      // Key of the first conversation about it, or "skills/NAME"; "" when this is the first or the first is not here
	Occurrence   int               `json:"occurrence"`         // 1, 2, …
	FirstSeen    time.Time         `json:"first_seen,omitzero"`
	Recurrence   []prunella.Reason `json:"recurrence,omitempty"` // why it is thought to be the same failure
	Messages     []Source          `json:"messages"`             // all of the conversation, in order
	Missing      int               `json:"missing,omitempty"`    // replies that Slack counts and the archive lacks
}

// Key names a conversation: "incidents/1713527162.000200".
func (x Extraction) Key() string { return x.Channel + "/" + x.RootTS }
