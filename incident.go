package prunella

import (
	"fmt"
	"strings"
	"time"
)

// State is where an Incident stands.
//
//	open ─> diagnosing ─> [awaiting-approval] ─> healing ─> verifying ─> resolved ─> (recurred ─> open)
//	any ─> escalated (a human holds it; automation stops until handed back) ─> resolved
type State string

const (
	Open             State = "open"
	Diagnosing       State = "diagnosing"
	AwaitingApproval State = "awaiting-approval"
	Healing          State = "healing"
	Verifying        State = "verifying"
	Resolved         State = "resolved"
	Escalated        State = "escalated"
)

var transitions = map[State][]State{
	Open:             {Diagnosing, Escalated, Resolved},
	Diagnosing:       {AwaitingApproval, Healing, Escalated, Open, Resolved},
	AwaitingApproval: {Healing, Escalated, Diagnosing},
	Healing:          {Verifying, Escalated, Diagnosing},
	Verifying:        {Resolved, Escalated, Diagnosing},
	Resolved:         {Open},
	Escalated:        {Resolved, Diagnosing},
}

// Transition returns nil when an incident may go from one state to another.
// Open to Resolved is a failure that went away by itself; Diagnosing back to
// Open is a diagnosis that lacked data; AwaitingApproval to Diagnosing is an
// incident that outgrew its plan; Escalated to Diagnosing is a hand-back.
func Transition(from, to State) error {
	for _, t := range transitions[from] {
		if t == to {
			return nil
		}
	}
	return Errorf(Conflict, "an incident cannot go from %s to %s", from, to)
}

// Incident is the Signals that share one cause. The pipeline writes impact,
// severity, pattern and cascade; the engine writes state, causes and verdict.
type Incident struct {
	ID             IncidentID `json:"id"`
	Tenant         TenantID   `json:"tenant,omitempty"`
	Title          string     `json:"title"`
	State          State      `json:"state"`
	StateReason    Reason     `json:"state_reason"`
	Severity       Severity   `json:"severity"`
	SeverityReason Reason     `json:"severity_reason"`
	Pattern        Match      `json:"pattern"`

	Onset      time.Time           `json:"onset"`       // when the failure began
	DetectedAt time.Time           `json:"detected_at"` // first Finding
	OpenedAt   time.Time           `json:"opened_at"`
	UpdatedAt  time.Time           `json:"updated_at"`
	ResolvedAt time.Time           `json:"resolved_at,omitzero"`
	StateAt    map[State]time.Time `json:"state_at"`        // last entry into each state since (re)opening
	DueAt      time.Time           `json:"due_at,omitzero"` // when the engine looks next

	Impact   []Impact       `json:"impact"`             // one row a service, worst first
	Monitors []string       `json:"monitors"`           // distinct Sources, sorted
	Statuses []string       `json:"statuses,omitempty"` // HTTP status classes that rose: "401", "403", "5xx"; sorted
	Tokens   []string       `json:"tokens"`             // what its signals share: "kid:…", "trace:…", "host:…"
	Signals  int            `json:"signals"`            // linked Signals
	Cascade  Cascade        `json:"cascade"`
	Causes   []Cause        `json:"causes"` // ranked, best first
	Checks   []CheckOutcome `json:"checks"` // of the skills considered, at the last diagnosis
	Related  []Related      `json:"related"`

	Verdict       Verdict   `json:"verdict,omitempty"`
	VerdictReason Reason    `json:"verdict_reason"`
	QuietSince    time.Time `json:"quiet_since,omitzero"` // while verifying: the last bad observation, or the last change to the world
	Attempts      int       `json:"attempts"`             // heals tried
	Recurrences   int       `json:"recurrences"`          // times reopened
	Live          bool      `json:"live"`                 // false: known from texts only, there is nothing of it we could probe
}

// TakenByPerson is the name of the reason for which a person holds an Incident.
const TakenByPerson = "taken-by-person"

// Holder is the person who took an escalated Incident, "" while it waits for
// one, and why the engine had given it up before, "" when it had not.
func (i Incident) Holder() (by, givenUp string) {
	if i.State != Escalated || i.StateReason.Name != TakenByPerson {
		return "", ""
	}
	return i.StateReason.Operands["by"], i.StateReason.Operands["given_up"]
}

// Impact is how one service is hit.
type Impact struct {
	Service     string    `json:"service"`
	Share       float64   `json:"share"`                 // failed / total in the last window, 0–1
	Peak        float64   `json:"peak"`                  // the largest Share so far
	Baseline    float64   `json:"baseline"`              // the same in quiet times
	Rate        float64   `json:"rate"`                  // failed requests per second
	Failed      int       `json:"failed"`                // since onset
	Total       int       `json:"total"`                 // since onset
	Criticality string    `json:"criticality,omitempty"` // high | normal | low
	Trend       string    `json:"trend,omitempty"`       // rising | steady | falling
	Since       time.Time `json:"since"`
	QuietSince  time.Time `json:"quiet_since,omitzero"` // back at its baseline since then
	Stated      bool      `json:"stated,omitempty"`     // taken from a text ("100% of requests"), not measured
}

// Match is which known failure an incident is.
type Match struct {
	Pattern    string      `json:"pattern"` // "auth/stale-jwks-cache" or Unknown
	Skill      SkillName   `json:"skill,omitempty"`
	Confidence float64     `json:"confidence"`
	Reason     Reason      `json:"reason"`
	Matched    []Reason    `json:"matched"`    // rules of the skill that hold, for or against
	Candidates []Candidate `json:"candidates"` // every skill considered, best first
}

// Candidate is one skill's score in a Match.
type Candidate struct {
	Skill   SkillName `json:"skill"`
	Pattern string    `json:"pattern"`
	Score   float64   `json:"score"` // 0–1
	Matched []Reason  `json:"matched"`
	Missing []Reason  `json:"missing"`
}

// Unknown is the pattern of a failure that no skill describes well enough.
const Unknown = "UNKNOWN"

// Cascade is the spread of an incident along the service graph.
type Cascade struct {
	Escalating bool      `json:"escalating"` // more services or a rising share are expected
	Hit        []string  `json:"hit"`
	Next       []NextHit `json:"next"`
	FullAt     time.Time `json:"full_at,omitzero"` // when failing requests are expected to reach 100 %
	FullReason Reason    `json:"full_reason"`
	Forecast   []ShareAt `json:"forecast"` // expected share of failing requests in the hit services
	Reason     Reason    `json:"reason"`
}

// NextHit is a service expected to be hit, when, and why.
type NextHit struct {
	Service string    `json:"service"`
	At      time.Time `json:"at,omitzero"`
	Reason  Reason    `json:"reason"`
}

// ShareAt is a point of a forecast.
type ShareAt struct {
	At    time.Time `json:"at"`
	Share float64   `json:"share"`
}

// Related links an incident to another and says why.
type Related struct {
	ID     IncidentID `json:"id"`
	Title  string     `json:"title"`
	Reason Reason     `json:"reason"` // same-pattern | same-token | same-service
}

// Event is one line of an incident's timeline.
type Event struct {
	Incident IncidentID `json:"incident"`
	At       time.Time  `json:"at"`
	Kind     string     `json:"kind"` // signal | change | state | severity | pattern | cause | step | approval | escalation | verdict
	Text     string     `json:"text"`
	Service  string     `json:"service,omitempty"`
	Reason   Reason     `json:"reason"`
}

// Verdict is the outcome of verification. UnknownVerdict is never healed.
type Verdict string

const (
	Healed         Verdict = "healed"
	NotHealed      Verdict = "not-healed"
	UnknownVerdict Verdict = "unknown"
)

// Fault is what is broken, by its standard name.
type Fault string

// Faults that diagnosis tells apart. A Skill's pattern is "auth/" + fault for
// the ones it heals; the others are named so that nothing is healed by mistake.
const (
	FaultStaleCache    Fault = "stale-jwks-cache"         // published set has the kid, a verifier's cache lacks it
	FaultPartialKeys   Fault = "partial-key-distribution" // the signer's key never reached some verifiers
	FaultEarlyRemoval  Fault = "premature-key-removal"    // a key still in use was taken from the published set
	FaultJWKSDown      Fault = "jwks-endpoint-down"
	FaultSameKid       Fault = "same-kid-new-material" // the kid is known everywhere, its public key changed
	FaultClockSkew     Fault = "clock-skew"
	FaultWrongAudience Fault = "wrong-audience"
	FaultWrongIssuer   Fault = "wrong-issuer"
	FaultForged        Fault = "forged-tokens" // known kid, signature by somebody else
	FaultKidFlood      Fault = "random-kid-flood"
	FaultBadDeploy     Fault = "bad-deploy"
	FaultVendorDown    Fault = "vendor-outage"
	FaultUnknown       Fault = "unknown"
)

// Cause is a ranked answer to "why".
type Cause struct {
	Service    string     `json:"service"`  // where the fault lies
	Services   []string   `json:"services"` // who suffers from it, sorted
	Fault      Fault      `json:"fault"`
	Kids       []string   `json:"kids,omitempty"`
	Confidence float64    `json:"confidence"`
	Summary    string     `json:"summary"` // two or three sentences for a person
	For        []Evidence `json:"for"`
	Against    []Evidence `json:"against"`
	Skill      SkillName  `json:"skill,omitempty"`  // the skill that heals it, if one does
	Change     *Change    `json:"change,omitempty"` // the change that preceded it, if one did
	Advice     string     `json:"advice,omitempty"` // what a person should do when no skill heals it
}

// CheckOutcome is what one check of a skill answered.
type CheckOutcome struct {
	Skill   SkillName `json:"skill"`
	ID      string    `json:"id"`
	Title   string    `json:"title"`
	Read    string    `json:"read"`
	For     bool      `json:"for"`             // it speaks for the skill
	Against bool      `json:"against"`         // it speaks against it
	Require bool      `json:"require"`         // the skill may not act unless it speaks for it
	Error   string    `json:"error,omitempty"` // it could not be answered: no evidence either way
}

// Evidence is one observation that speaks for or against a Cause.
type Evidence struct {
	Name    string     `json:"name"` // stable, kebab-case
	Text    string     `json:"text"`
	Weight  float64    `json:"weight"` // natural-log odds it adds; negative when against
	Source  string     `json:"source"` // check, monitor or signal it comes from
	Signals []SignalID `json:"signals,omitempty"`
	At      time.Time  `json:"at,omitzero"`
}

// Change is something that was changed in the world.
type Change struct {
	Name    string    `json:"name"` // one of the Change… names
	Service string    `json:"service"`
	Kid     string    `json:"kid,omitempty"`
	Before  string    `json:"before,omitempty"` // previous signer kid, previous version …
	Version string    `json:"version,omitempty"`
	Author  string    `json:"author,omitempty"`
	At      time.Time `json:"at"`
	Signal  SignalID  `json:"signal,omitempty"`
}

// Title is the default headline of an incident.
// status is the class of the errors, "401", or "" when it is not known.
func Title(status string, services []string) string {
	status = strings.TrimSpace(status + " errors")
	switch len(services) {
	case 0:
		return status
	case 1:
		return fmt.Sprintf("%s in %s", status, services[0])
	}
	return fmt.Sprintf("%s in %d services", status, len(services))
}
