package prunella

import "time"

// Skill is the executable part of a runbook file; package skill reads it from
// Markdown and writes it back.
type Skill struct {
	Name        SkillName        `json:"name"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	Pattern     string           `json:"pattern"` // "auth/stale-jwks-cache"
	Fault       Fault            `json:"fault"`   // the part of Pattern after the last '/'
	Category    string           `json:"category"`
	Version     string           `json:"version"` // SemVer, a leading v allowed
	Hash        string           `json:"hash"`    // sha256 of the file's bytes, hex; a Run is pinned to it
	Owners      []string         `json:"owners"`
	Path        string           `json:"path"` // file it came from
	Signals     []SignalRule     `json:"signals"`
	Checks      []CheckRule      `json:"checks"`
	Actions     []ActionRule     `json:"actions"`
	Escalations []EscalationRule `json:"escalations"`
	Budgets     Budgets          `json:"budgets"`
	Alternates  []string         `json:"alternates"` // skills and faults that look alike
	Sources     []SkillSource    `json:"sources,omitempty"`
	HalfLife    time.Duration    `json:"half_life,omitempty"` // of the evidence about it; 0 for the usual one
}

// SkillSource is one conversation that a skill was learned from.
type SkillSource struct {
	Ref string    `json:"ref"`         // permalink, or the line that names it
	At  time.Time `json:"at,omitzero"` // its day; zero when it is not told
}

// Budgets are the times a person would allow; a spent budget escalates.
type Budgets struct {
	Diagnosis  time.Duration `json:"diagnosis"`
	Resolution time.Duration `json:"resolution"`
}

// SignalRule says what a failure looks like (a ```signal block).
type SignalRule struct {
	ID      string        `json:"id"`
	Kind    SignalKind    `json:"kind"`
	Any     []string      `json:"any,omitempty"`    // log, alert: phrases, case-insensitive, white space folded
	Regex   string        `json:"regex,omitempty"`  // log, alert
	Metric  string        `json:"metric,omitempty"` // metric: "401.rate", "5xx.rate"
	Change  string        `json:"change,omitempty"` // change: one of the Change… names
	When    string        `json:"when,omitempty"`   // CEL; see package condition for the variables of each kind
	Within  time.Duration `json:"within,omitempty"` // change, alert: at most this long before the onset
	Weight  float64       `json:"weight"`           // > 0
	Against bool          `json:"against,omitempty"`
	Line    int           `json:"line"` // in the file
}

// CheckRule is one read of the world (a ```check block).
type CheckRule struct {
	ID      string         `json:"id"`
	Title   string         `json:"title,omitempty"`
	Read    string         `json:"read"` // name of a read in package action: "releases.recent"
	With    map[string]any `json:"with,omitempty"`
	Timeout time.Duration  `json:"timeout"`
	For     string         `json:"for,omitempty"`     // CEL over result and incident
	Against string         `json:"against,omitempty"` // CEL
	Weight  float64        `json:"weight"`
	Require bool           `json:"require,omitempty"` // without a positive answer this skill may not act
	Line    int            `json:"line"`
}

// Effect is what an action does to the world.
type Effect string

const (
	Reads        Effect = "read"
	Reversible   Effect = "reversible"
	Irreversible Effect = "irreversible"
)

// ActionRule is one step that changes the world or proves it (an ```action block).
type ActionRule struct {
	ID        string         `json:"id"`
	Title     string         `json:"title,omitempty"`
	Do        string         `json:"do"`                 // name of an action: "kubernetes.rollout-restart"
	With      map[string]any `json:"with,omitempty"`     // strings may hold ${…} references, see docs/skills.md
	ForEach   string         `json:"for_each,omitempty"` // reference to a list: one step per element, in order
	When      string         `json:"when,omitempty"`     // CEL over plan variables; false skips the step, with its reason
	Effect    Effect         `json:"effect"`
	Verify    *VerifyRule    `json:"verify,omitempty"`
	Undo      *UndoRule      `json:"undo,omitempty"`
	OnFailure string         `json:"on_failure"` // undo | escalate | continue
	Attempts  int            `json:"attempts"`   // ≥ 1; a mutating step is retried only when its effect is known not to have happened
	Timeout   time.Duration  `json:"timeout"`
	Line      int            `json:"line"`
}

// VerifyRule proves that a step did what it should.
type VerifyRule struct {
	Read   string         `json:"read"`
	With   map[string]any `json:"with,omitempty"`
	Until  string         `json:"until"` // CEL over result
	Within time.Duration  `json:"within"`
	Hold   time.Duration  `json:"hold"`
}

// UndoRule takes a step back.
type UndoRule struct {
	Do   string         `json:"do"` // action name, or "none-needed" with a reason in With["because"]
	With map[string]any `json:"with,omitempty"`
}

// EscalationRule says whom to call (an ```escalate block).
type EscalationRule struct {
	To      string        `json:"to"`             // "@sam", "vendor:auth0", "owner:search"
	When    string        `json:"when,omitempty"` // CEL over incident, cause, checks; empty means always
	Reason  string        `json:"reason,omitempty"`
	After   time.Duration `json:"after,omitempty"`
	Primary bool          `json:"primary,omitempty"`
	Line    int           `json:"line"`
}
