package prunella

import "time"

// RunState is where a Run stands.
type RunState string

const (
	RunProposed RunState = "proposed" // waits for an approval, or is never to be executed
	RunRunning  RunState = "running"
	RunUndoing  RunState = "undoing"
	RunDone     RunState = "done" // all steps done; the verdict is separate
	RunFailed   RunState = "failed"
	RunRefused  RunState = "refused" // denied, expired, or forbidden by policy
)

// StepState follows
//
//	planned ─> intended ─> done | failed | unknown ─> undone
//
// plus skipped, for a step whose condition did not hold.
type StepState string

const (
	StepPlanned  StepState = "planned"
	StepIntended StepState = "intended" // committed to the store before the effect
	StepDone     StepState = "done"
	StepFailed   StepState = "failed"
	StepUnknown  StepState = "unknown" // an intent without a result after a crash, or a lost answer
	StepUndone   StepState = "undone"
	StepSkipped  StepState = "skipped"
)

var stepTransitions = map[StepState][]StepState{
	StepPlanned:  {StepIntended, StepSkipped},
	StepIntended: {StepDone, StepFailed, StepUnknown},
	StepUnknown:  {StepDone, StepFailed, StepIntended, StepUndone}, // by observation of the world only
	StepFailed:   {StepIntended, StepUndone},
	StepDone:     {StepUndone},
}

// StepTransition returns nil when a step may go from one state to another.
func StepTransition(from, to StepState) error {
	for _, t := range stepTransitions[from] {
		if t == to {
			return nil
		}
	}
	return Errorf(Conflict, "a step cannot go from %s to %s", from, to)
}

// Run is one durable execution of a skill (or of the generic remedy) against an
// incident. Its steps are rendered once, when it is planned, and never again.
type Run struct {
	ID       RunID      `json:"id"`
	Incident IncidentID `json:"incident"`
	Skill    SkillName  `json:"skill,omitempty"` // "" for the generic remedy
	Version  string     `json:"version,omitempty"`
	Pinned   string     `json:"pinned,omitempty"` // Skill.Hash of the file that the run was planned from; its outcome is about that text
	Hash     string     `json:"hash"`             // of the skill's bytes and the exact rendered steps; approvals bind to it
	Title    string     `json:"title"`
	Services []string   `json:"services,omitempty"` // those that were hit when it was planned
	State    RunState   `json:"state"`
	Policy   Decision   `json:"policy"`
	Steps    []Step     `json:"steps"`
	Created  time.Time  `json:"created"`
	Started  time.Time  `json:"started,omitzero"`
	Ended    time.Time  `json:"ended,omitzero"`
	Deadline time.Time  `json:"deadline,omitzero"` // the resolution budget
	Verdict  Verdict    `json:"verdict,omitempty"`
	Reason   Reason     `json:"reason"` // of the verdict or the refusal
}

// Step is one rendered action of a Run.
type Step struct {
	Index     int            `json:"index"`
	Name      string         `json:"name"`   // sentence a person reads: "restart search"
	Action    string         `json:"action"` // "kubernetes.rollout-restart"
	Params    map[string]any `json:"params"`
	Target    string         `json:"target"` // service or object it touches, for the per-target bound
	Effect    Effect         `json:"effect"`
	State     StepState      `json:"state"`
	Attempt   int            `json:"attempt"`
	Attempts  int            `json:"attempts"`
	Timeout   time.Duration  `json:"timeout"`
	Verify    *VerifyRule    `json:"verify,omitempty"` // With already rendered
	Undo      *UndoRule      `json:"undo,omitempty"`   // With already rendered
	OnFailure string         `json:"on_failure"`
	Key       string         `json:"key"`              // idempotency key, unique to this step of this run
	Before    map[string]any `json:"before,omitempty"` // what the world was before, recorded with the intent
	Output    string         `json:"output,omitempty"`
	Error     string         `json:"error,omitempty"`
	Reason    Reason         `json:"reason"`
	Started   time.Time      `json:"started,omitzero"`
	Ended     time.Time      `json:"ended,omitzero"`
}

// Allowed is what policy lets a Run do.
type Allowed string

const (
	AllowUnattended Allowed = "unattended"
	AllowApproval   Allowed = "needs-approval"
	AllowLater      Allowed = "not-now" // another run holds a target; it is asked again when that one has ended
	AllowAdvise     Allowed = "advise-only"
	AllowNothing    Allowed = "forbidden" // breaker, attempt bound, same heal already failed
)

// Decision is a policy's answer with every reason that shaped it.
type Decision struct {
	Allowed Allowed  `json:"allowed"`
	Reason  Reason   `json:"reason"`
	Gates   []Reason `json:"gates"` // each gate, passed or not
}

// Approval asks a person. It binds to Hash, expires to deny, and is decided once.
type Approval struct {
	ID       string     `json:"id"`
	Incident IncidentID `json:"incident"`
	Run      RunID      `json:"run"`
	Hash     string     `json:"hash"`
	Asked    time.Time  `json:"asked"`
	Expires  time.Time  `json:"expires"`
	Decision string     `json:"decision"` // "" | approved | denied | expired
	By       string     `json:"by,omitempty"`
	Note     string     `json:"note,omitempty"`
	Decided  time.Time  `json:"decided,omitzero"`
}

// Outcome is one piece of evidence about a skill, for its confidence.
type Outcome struct {
	Skill   SkillName `json:"skill"`
	Version string    `json:"version"`
	Hash    string    `json:"hash"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`           // run | person | scenario | thread
	X       float64   `json:"x"`              // healed 1, partial 0.5, failed or undone 0
	Ref     string    `json:"ref"`            // run, report or permalink
	By      string    `json:"by,omitempty"`   // who said it, of a person's word
	Note    string    `json:"note,omitempty"` // why, or which scenario
}

// Notification leaves through the outbox: written with the decision that caused
// it, delivered afterwards, retried until delivered or given up loudly.
type Notification struct {
	ID       string     `json:"id"` // idempotency key at the receiver
	Incident IncidentID `json:"incident"`
	To       string     `json:"to"`
	Kind     string     `json:"kind"` // opened | escalated | approval | resolved | heartbeat
	Severity Severity   `json:"severity"`
	Title    string     `json:"title"`
	Text     string     `json:"text"`
	Reason   Reason     `json:"reason"`
	Created  time.Time  `json:"created"`
	NextTry  time.Time  `json:"next_try"`
	Tries    int        `json:"tries"`
	Sent     time.Time  `json:"sent,omitzero"`
	LastErr  string     `json:"last_err,omitempty"`
}
