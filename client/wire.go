package client

import (
	"time"

	"prunella"
)

// Status is GET /api/v1/status: who serves, and how healthy intake is.
type Status struct {
	Version       string     `json:"version"`
	Started       time.Time  `json:"started"`
	Now           time.Time  `json:"now"`
	TimeScale     float64    `json:"time_scale"` // 1 in production
	Intake        Intake     `json:"intake"`
	Baselines     []Baseline `json:"baselines"`
	Monitors      []Monitor  `json:"monitors"`
	IncidentsOpen int        `json:"incidents_open"`
	Engine        Engine     `json:"engine"`

	Drill         *DrillStatus   `json:"drill,omitempty"` // when drills are on
	SkillProblems []SkillProblem `json:"skill_problems"`  // skill files that cannot be used as they are
}

// Intake is the health of the way in.
type Intake struct {
	SignalsTotal int64     `json:"signals_total"` // since start
	PerSecond    float64   `json:"per_second"`
	Rejected     int64     `json:"rejected"`  // refused with an error since start
	BusDepth     int64     `json:"bus_depth"` // durable but not yet worked on
	LagSeconds   float64   `json:"lag_s"`     // age of the oldest signal not yet worked on
	LastSignal   time.Time `json:"last_signal,omitzero"`
	Trouble      string    `json:"trouble,omitempty"` // why no signal can be taken now, and what to do
}

// Baseline says what is normal for a service, or that this is not known yet.
type Baseline struct {
	Service string  `json:"service"`
	Known   bool    `json:"known"`
	Have    int     `json:"have"`  // windows of history
	Need    int     `json:"need"`  // windows needed before Known
	Rate    float64 `json:"rate"`  // requests per second
	Share   float64 `json:"share"` // failing requests / requests in quiet times
}

// Monitor is one active check.
type Monitor struct {
	Name      string    `json:"name"`
	LastRun   time.Time `json:"last_run,omitzero"`
	LastError string    `json:"last_error,omitempty"`
}

// Engine is the durable loop.
type Engine struct {
	Owner    string    `json:"owner"` // holder of the lease
	LastTick time.Time `json:"last_tick,omitzero"`
}

// IncidentQuery selects incidents, newest first.
type IncidentQuery struct {
	States []prunella.State // nil for all
	Open   bool             // only those not resolved
	Limit  int              // 0 for the server's default, 100
}

// IncidentView is GET /api/v1/incidents/{id}.
type IncidentView struct {
	Incident      prunella.Incident       `json:"incident"`
	Runs          []prunella.Run          `json:"runs"`      // oldest first
	Events        []prunella.Event        `json:"events"`    // oldest first
	Approvals     []prunella.Approval     `json:"approvals"` // oldest first
	Notifications []prunella.Notification `json:"notifications"`
	SignalsTotal  int                     `json:"signals_total"`
}

// SignalPage is GET /api/v1/incidents/{id}/signals, newest first.
type SignalPage struct {
	Signals []prunella.Signal `json:"signals"`
	Total   int               `json:"total"`
	Limit   int               `json:"limit"`
	Offset  int               `json:"offset"`
}

// SeriesQuery selects stored points. Empty Name or Service means every one.
type SeriesQuery struct {
	Name    string
	Service string
	From    time.Time
	To      time.Time
}

// Graph is the service graph: what the operator declared and what calls taught.
type Graph struct {
	Services []GraphService  `json:"services"`
	Edges    []prunella.Edge `json:"edges"`
}

// GraphService is one node of the Graph.
type GraphService struct {
	Name        string `json:"name"`
	Criticality string `json:"criticality,omitempty"` // high | normal | low
	Owner       string `json:"owner,omitempty"`
	Issuer      bool   `json:"issuer,omitempty"` // it issues tokens
}

// KeyBoard is GET /api/v1/keys: who trusts which key.
type KeyBoard struct {
	Services []string             `json:"services"` // every declared service, also those never probed
	Sets     []prunella.KeySet    `json:"sets"`     // one an issuer
	Cells    []prunella.TrustCell `json:"cells"`
	Verdicts []KeyVerdict         `json:"verdicts"` // one an issuer and key; filled in by the server's edge
}

// KeyVerdict answers two questions about one key.
type KeyVerdict struct {
	Issuer     string          `json:"issuer"`
	Kid        string          `json:"kid"`
	MayRemove  bool            `json:"may_remove"`
	MayPromote bool            `json:"may_promote"` // may it become the signer?
	Reason     prunella.Reason `json:"reason"`
	BlockedBy  []string        `json:"blocked_by,omitempty"` // services that stand in the way of what may be done with it next
	NotBefore  time.Time       `json:"not_before,omitzero"`  // when the last token that it signed has expired
	Next       string          `json:"next,omitempty"`       // what to do, as a sentence; "" when there is nothing to do
}

// SkillView is a skill with the evidence about it. In a list Text, Course, Runs,
// Outcomes, Reports and Backlinks are empty.
type SkillView struct {
	Skill        prunella.Skill     `json:"skill"`
	Trigger      string             `json:"trigger,omitempty"`  // when to use it, in the words of the file
	Markdown     string             `json:"markdown,omitempty"` // the body, without front matter
	Text         string             `json:"text,omitempty"`     // the whole file, of the version in use
	Claimed      float64            `json:"claimed,omitempty"`  // as the file says, 0 when it does not
	Trust        SkillTrust         `json:"trust"`
	Freshness    string             `json:"freshness"` // fresh | due | stale | never
	LastVerified time.Time          `json:"last_verified,omitzero"`
	LastRun      time.Time          `json:"last_run,omitzero"`
	Policy       prunella.Decision  `json:"policy"` // what it would be allowed to do now, and why
	Extracted    []SourceThread     `json:"extracted,omitempty"`
	Problems     []SkillProblem     `json:"problems"`
	Broken       []SkillProblem     `json:"broken,omitempty"`   // errors of the file as it is now: an older version is in use, or none when Skill.Hash is empty
	Excluded     bool               `json:"excluded,omitempty"` // by the configuration: the engine does not use it
	Editable     bool               `json:"editable"`           // the server keeps its wiki in a folder
	Runs         []prunella.Run     `json:"runs,omitempty"`     // newest first
	Outcomes     []prunella.Outcome `json:"outcomes,omitempty"` // newest first
	Course       []TrustPoint       `json:"course,omitempty"`   // the confidence over time, oldest first
	Reports      []SkillReport      `json:"reports,omitempty"`  // scenarios of its pattern, newest first
	Backlinks    []WikiBacklink     `json:"backlinks,omitempty"`
}

// TrustPoint is the confidence at a moment, as the version in use would have
// had it.
type TrustPoint struct {
	At         time.Time         `json:"at"`
	Confidence float64           `json:"confidence"`
	Floor      float64           `json:"floor"`
	Outcome    *prunella.Outcome `json:"outcome,omitempty"` // what moved it at that moment
}

// SkillReport is a scenario that showed what a skill is worth.
type SkillReport struct {
	ID       string          `json:"id"`
	Scenario string          `json:"scenario"`
	Title    string          `json:"title"`
	Status   prunella.Result `json:"status"`
	Ended    time.Time       `json:"ended"`
}

// SkillTrust is the measured confidence: mean and 5 % floor of a Beta(Alpha,
// Beta), and the evidence that moved it.
type SkillTrust struct {
	Confidence float64     `json:"confidence"`
	Floor      float64     `json:"floor"`
	Needed     float64     `json:"needed"` // Floor from which the policy lets it act alone
	Alpha      float64     `json:"alpha"`
	Beta       float64     `json:"beta"`
	Evidence   float64     `json:"evidence"`       // Alpha + Beta − 2
	HalfLife   float64     `json:"half_life_days"` // of the evidence
	Gates      []TrustGate `json:"gates"`          // what it may do, from the most modest
	Terms      []TrustTerm `json:"terms"`          // newest first
}

// TrustGate is one degree of freedom that a skill may have earned.
type TrustGate struct {
	Name    string   `json:"name"` // advise | approve | unattended
	Passed  bool     `json:"passed"`
	Missing []string `json:"missing,omitempty"` // what keeps it from passing, as sentences
	Note    string   `json:"note,omitempty"`
}

// TrustTerm is one piece of evidence and what it weighs now.
type TrustTerm struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"` // run | person | scenario | thread
	Ref    string    `json:"ref"`
	X      float64   `json:"x"`      // healed 1, partial 0.5, failed 0
	Weight float64   `json:"weight"` // after version carry-over, cap and age: Base · Carry · Decay

	Base    float64 `json:"base"`             // for its kind, under the caps
	Capped  bool    `json:"capped,omitempty"` // Base is less than usual: there is enough of its kind
	Carry   float64 `json:"carry"`            // for the version it is about
	Decay   float64 `json:"decay"`            // for its age
	Version string  `json:"version"`          // of the skill then
	Hash    string  `json:"hash,omitempty"`   // of its file then
	By      string  `json:"by,omitempty"`
	Note    string  `json:"note,omitempty"`
}

// SkillProblem is one lint finding.
type SkillProblem struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Severity string `json:"severity"` // error | warning | note
	Text     string `json:"text"`
	Remedy   string `json:"remedy,omitempty"`
}

// Decision is the body of POST /api/v1/approvals/{id}.
type Decision struct {
	Decision string `json:"decision"` // approved | denied
	By       string `json:"by"`       // who decides; required
	Note     string `json:"note,omitempty"`
	Hash     string `json:"hash"` // of the run that was shown; another one is prunella.Conflict
}

// Note is the body of POST /api/v1/incidents/{id}/resolve, handback and escalate.
type Note struct {
	By   string `json:"by"` // required
	Note string `json:"note,omitempty"`
}

// Change is one event of GET /api/v1/events: something that a page may show
// has changed. It carries no content; read the thing again.
type Change struct {
	What string    `json:"what"` // incident | keys | status | skills | reports
	ID   string    `json:"id,omitempty"`
	At   time.Time `json:"at"`
}

// Envelopes of the lists.
type (
	// Incidents is GET /api/v1/incidents.
	Incidents struct {
		Incidents []prunella.Incident `json:"incidents"`
	}
	// Series is GET /api/v1/series.
	Series struct {
		Points []prunella.SeriesPoint `json:"points"`
	}
	// Skills is GET /api/v1/skills.
	Skills struct {
		Skills []SkillView `json:"skills"`
	}
	// Reports is GET /api/v1/reports, newest first.
	Reports struct {
		Reports []prunella.Report `json:"reports"`
	}
	// Signals is the body of POST /api/v1/signals.
	Signals struct {
		Signals []prunella.Signal `json:"signals"`
	}
)
