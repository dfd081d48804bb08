package scenario

import (
	"slices"
	"time"

	"prunella"
)

// Scenario is a file whose parameters are set: ready to run.
type Scenario struct {
	Name        string
	Title       string
	Category    string
	Description string
	Tags        []string
	Path        string            // file it came from
	Params      map[string]string // every parameter with the value it has
	Conditions  []string          // the given world in words, for the report

	Skills   Skills
	Given    Given
	Inject   []Injection // in order of At; empty when Messages is not
	Messages []Message   // in order of At
	Watch    Watch
	Expect   Expect
	After    After
}

// MessagesOnly reports whether there is no world, only what monitors say of one.
func (s Scenario) MessagesOnly() bool { return len(s.Messages) > 0 }

// About is the one skill that the scenario expects, "" when it expects none or
// leaves a choice.
func (s Scenario) About() prunella.SkillName {
	if len(s.Expect.Skill) != 1 || s.Expect.Skill[0] == "none" {
		return ""
	}
	return prunella.SkillName(s.Expect.Skill[0])
}

// Proves reports whether a run of the scenario is evidence about a skill: a live
// world breaks in the way that the skill is for, and is to be healed. A scenario
// names its skill, or its pattern is the skill's.
func (s Scenario) Proves(skill prunella.Skill) bool {
	if s.MessagesOnly() || !slices.Contains(s.Expect.Verdict, string(prunella.Healed)) || slices.Contains(s.Skills.Exclude, skill.Name) {
		return false
	}
	if s.Expect.Skill != nil {
		return s.About() == skill.Name
	}
	return skill.Pattern != "" && slices.Contains(s.Expect.Pattern, skill.Pattern)
}

// Skills says which of the engine's skills are not installed.
type Skills struct {
	Exclude []prunella.SkillName
}

// Given is the world and the engine before anything breaks.
type Given struct {
	World    World
	Services []Service // messages only: what the operator declared of a world that is not there
	Steady   Steady
	Engine   Engine
	Operator string // approve | deny | absent
}

// World describes a lab; package lab says what its zero values mean.
type World struct {
	Profile       string
	Services      int       // how many, of the profile
	Named         []Service // instead of a profile
	Alg           string
	TokenLifetime time.Duration
	NextPublished *bool
	Issuer        string      // manual | rotation
	Keyset        string      // healthy, all, none, how many or which services are on keyset whatever the profile
	Coming        []Injection // what the scenario injects; tells the lab who is healthy
	Rate          float64     // calls per second
	Sessions      int
	Noise         float64 // share of calls that fail in quiet times too
	Processes     bool
}

// Service is one service: of a world, or declared without a world behind it.
type Service struct {
	Name        string
	Verifier    string        // kind of verifier; worlds only
	CacheTTL    time.Duration // of a verifier that caches; worlds only
	Criticality string        // high | normal | low
	Owner       string
	Calls       []string // declared ones only; a lab's services call what their names say
}

// Steady is what must hold before the fault, or the run is an ERROR.
type Steady struct {
	Within     time.Duration // to become so; default 30 s
	FailingMax float64       // share of failing calls; default 0.02
	Baselines  bool          // the engine knows what is normal for every service; default true
	Canaries   bool          // every service accepts a token of the signer's key, as the engine sees it; default true
}

// Engine is what an operator configures.
type Engine struct {
	TimeScale float64 // every duration of the engine is divided by it; default 20
	Policy    Policy
}

// Policy is the part of the engine's policy that scenarios set; "" and nil are
// the engine's defaults.
type Policy struct {
	Autonomy     string // off | approve | unattended
	Generic      string // the same, for the remedy that no skill describes
	MinFloor     *float64
	MinEvidence  *float64
	RequireFresh *bool
	ApprovalTTL  time.Duration // before the time scale
}

// Injection is one fault, At after the steady state was reached.
type Injection struct {
	At    time.Duration
	Fault string
	With  map[string]string
}

// Message is what a monitor says, At on a virtual clock that the engine's time
// scale divides; the last message is said now, the others that much earlier.
type Message struct {
	At         time.Duration
	Monitor    string
	Service    string
	Severity   prunella.Severity
	Text       string
	Attributes map[string]string
}

// Watch bounds the observation.
type Watch struct {
	Bound time.Duration // longest wait for the incident to settle; default 60 s
	Hold  time.Duration // traffic and observation after it settled; default 3 s
	Quiet time.Duration // observation when no incident is expected; default 8 s
}

// Expect holds the assertions; a nil field asserts nothing. Lists of words are
// alternatives: one of them is enough.
type Expect struct {
	Incidents   *Range
	Pattern     []string
	Skill       []string // that the pattern names; "none" for none
	Severity    []string
	Correlation *Correlation
	Cascade     *Cascade
	Cause       *Cause
	Remediation []string
	Verdict     []string
	Steps       *Steps
	Within      []Bound
	Failed      *int     // requests that failed after the heal
	FailedMax   *int     // requests that failed since the fault
	Unharmed    []string // services that refused no customer since the fault
	Facts       []Fact
	Never       []Never
	EscalatedTo []string // all of them
}

// Fact is what a fault must have told of itself.
type Fact struct {
	Name string
	Is   []string // exactly these
}

// Range is a number with bounds, both included. Max < 0 means none.
type Range struct{ Min, Max int }

// Correlation is how well the signals were gathered.
type Correlation struct {
	LinkedMin   *int
	MonitorsMin *int
	OneIncident *bool
}

// Cascade is where the incident was expected to spread. Lists may hold
// ${fault.…} references until they are judged.
type Cascade struct {
	Escalating *bool
	Hit        []string // exactly these
	Next       []string // at least these
	FullAt     *FullAt
}

// FullAt is when failing requests reach 100 %, After the first fault.
type FullAt struct {
	After     time.Duration
	Tolerance float64 // share of After
}

// Cause is the best cause. Lists may hold ${fault.…} references.
type Cause struct {
	Fault         []string // one of them
	Not           []string // none of them
	Service       string
	Services      []string // exactly these
	Kids          []string // all of them named
	Evidence      []string // each a part of some line of evidence or of the summary, case folded
	ConfidenceMin *float64
}

// Steps are the actions executed.
type Steps struct {
	Includes []string
	Excludes []string
}

// Bound is a time that one stage may take from the first fault.
type Bound struct {
	Stage string // detected | opened | diagnosed | healed | verified
	Max   time.Duration
}

// Never is what must not have been executed: an action by its name, or by its
// prefix when it ends in ".*", or every action of an effect ("mutating").
type Never struct {
	Action string
	Effect string
}

// After is the steady state that must hold again at the end.
type After struct {
	FailingMax    *float64
	Canaries      *bool
	Trust         []TrustRule
	OpenIncidents *int
}

// TrustRule says that services accept tokens of a key.
type TrustRule struct {
	Kid      string
	Services []string // nil for all
}

func (e Expect) empty() bool {
	return e.Incidents == nil && e.Pattern == nil && e.Skill == nil && e.Severity == nil && e.Correlation == nil && e.Cascade == nil &&
		e.Cause == nil && e.Remediation == nil && e.Verdict == nil && e.Steps == nil && e.Within == nil && e.Failed == nil &&
		e.Never == nil && e.EscalatedTo == nil && e.FailedMax == nil && e.Facts == nil && e.Unharmed == nil
}

func (a After) empty() bool {
	return a.FailingMax == nil && a.Canaries == nil && a.Trust == nil && a.OpenIncidents == nil
}
