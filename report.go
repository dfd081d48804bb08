package prunella

import "time"

// Result of one check of a scenario, and of the scenario.
type Result string

const (
	Passed  Result = "PASSED"
	Failed  Result = "FAILED"
	Errored Result = "ERROR" // the scenario proved nothing: no steady state, fault not injected, no assertion
)

// Report is a scenario's result: expected beside actual, and the story. Its
// JSON is a contract (docs/scenarios.md).
type Report struct {
	ID          string            `json:"id"` // test id
	Scenario    string            `json:"scenario"`
	Title       string            `json:"title"`
	Category    string            `json:"category"`
	Description string            `json:"description"`
	Status      Result            `json:"status"`
	Error       string            `json:"error,omitempty"`
	Seed        int64             `json:"seed"`
	Params      map[string]string `json:"params"`
	Started     time.Time         `json:"started"`
	Ended       time.Time         `json:"ended"`
	Version     string            `json:"engine_version"`
	TimeScale   float64           `json:"time_scale"`

	Checks            []ReportCheck `json:"checks"`
	Conditions        []string      `json:"conditions"`
	Injected          []InjectedMsg `json:"injected"` // messages given, or what the broken world said first
	Faults            []FaultRecord `json:"faults"`
	Pattern           string        `json:"pattern"`
	PatternConfidence float64       `json:"pattern_confidence"`
	Severity          Severity      `json:"severity"`
	SeverityReason    string        `json:"severity_reason"`
	ServicesAffected  []string      `json:"services_affected"`
	SignalsLinked     int           `json:"signals_linked"`
	Cascade           Cascade       `json:"cascade"`
	Cause             ReportCause   `json:"cause"`
	Hypotheses        []Cause       `json:"hypotheses"`
	Remediation       string        `json:"remediation"` // auto-heal | approved | proposed | escalated | none
	Plan              []string      `json:"plan"`
	Steps             []ReportStep  `json:"steps"`
	Escalations       []string      `json:"escalations"`
	Verdict           Verdict       `json:"verdict"`
	VerdictReason     string        `json:"verdict_reason"`
	Timings           Timings       `json:"timings_ms"`
	Requests          Requests      `json:"requests"`
	Monitors          int           `json:"monitors"`
	Incidents         int           `json:"incidents"`
	Timeline          []Event       `json:"timeline"`
	Series            []SeriesPoint `json:"series,omitempty"` // 401 rate and baseline, for the plot
	Incident          IncidentID    `json:"incident,omitempty"`

	// The skill that the scenario is about: the one it expects, or the one that
	// ran. A report of a live world that names one is evidence about it.
	Skill        SkillName `json:"skill,omitempty"`
	SkillVersion string    `json:"skill_version,omitempty"`
	SkillHash    string    `json:"skill_hash,omitempty"` // of the file that the engine under test used
}

// ReportCheck is one row of expected beside actual.
type ReportCheck struct {
	Name     string `json:"name"`
	Expected string `json:"expected"`
	Actual   string `json:"actual"`
	Result   Result `json:"result"`
	Note     string `json:"note,omitempty"`
}

// InjectedMsg is one message that the engine was shown.
type InjectedMsg struct {
	Monitor string    `json:"monitor"`
	Service string    `json:"service"`
	At      time.Time `json:"at"`
	Text    string    `json:"text"`
}

// FaultRecord says which fault was injected and how that was proven.
type FaultRecord struct {
	Fault  string            `json:"fault"`
	Params map[string]string `json:"params"`
	At     time.Time         `json:"at"`
	Proof  string            `json:"proof"` // what was observed in the world, not what was asked of it
	Proven bool              `json:"proven"`
}

// ReportCause is the best cause in the shape of the report's contract.
type ReportCause struct {
	Service    string   `json:"service"`
	Fault      Fault    `json:"fault"`
	Confidence float64  `json:"confidence"`
	Summary    string   `json:"summary"`
	Kids       []string `json:"kids"`
	Services   []string `json:"services"`
	Evidence   []string `json:"evidence"`
	Against    []string `json:"against"`
}

// ReportStep is one step as it ran.
type ReportStep struct {
	Name    string    `json:"name"`
	Action  string    `json:"action"`
	Result  string    `json:"result"` // a StepState
	Output  string    `json:"output,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
}

// Timings are milliseconds from the injection of the fault, -1 for what never came.
type Timings struct {
	Detected  int64 `json:"detected"`
	Opened    int64 `json:"opened"`
	Diagnosed int64 `json:"diagnosed"`
	Healed    int64 `json:"healed"`   // last mutating step done
	Verified  int64 `json:"verified"` // verdict
}

// Requests are counted by the world's own clients, not by the engine.
type Requests struct {
	Total           int `json:"total"`
	Failed          int `json:"failed"`
	FailedAfterHeal int `json:"failed_after_heal"`
}
