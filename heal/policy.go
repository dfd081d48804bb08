package heal

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// Policy is what an operator allows. The zero value of a field means its default.
type Policy struct {
	Autonomy        string            `yaml:"autonomy"`         // off (advice only) | approve (always ask) | unattended (ask unless every gate passes); default approve
	Generic         string            `yaml:"generic"`          // the same for the generic remedy, which no runs have proven; default approve
	MinFloor        *float64          `yaml:"min_floor"`        // 5 % quantile of the skill's measured confidence; default 0.75
	MinEvidence     *float64          `yaml:"min_evidence"`     // weighted runs behind that number; default 5
	RequireFresh    *bool             `yaml:"require_fresh"`    // last verified within the fresh period; default true
	MinCause        float64           `yaml:"min_cause"`        // confidence in the cause; default 0.6
	MinSeverity     prunella.Severity `yaml:"min_severity"`     // below it a person is asked; default warning
	MaxTargets      int               `yaml:"max_targets"`      // blast radius of one run; default 20
	MaxAttempts     int               `yaml:"max_attempts"`     // heals per incident; default 2
	MaxPerTarget    int               `yaml:"max_per_target"`   // unattended changes to one target in an hour; default 3
	BreakerFailures int               `yaml:"breaker_failures"` // failed unattended runs in an hour that stop autonomy everywhere; default 3
	BreakerRuns     int               `yaml:"breaker_runs"`     // unattended runs in an hour, failed or not; default 10
	ApprovalTTL     prunella.Duration `yaml:"approval_ttl"`     // unanswered means denied; default 15m
}

// Trust is what a skill has earned. Zero for the generic remedy.
type Trust struct {
	Floor     float64
	Evidence  float64 // sum of the weights behind it
	Freshness string  // fresh | due | stale | never
}

// PastRun is an earlier run, for the bounds.
type PastRun struct {
	Incident   prunella.IncidentID
	Hash       string
	Unattended bool
	Verdict    prunella.Verdict
	State      prunella.RunState
	Targets    []string
	At         time.Time
}

// Ask is what policy is asked.
type Ask struct {
	Policy   Policy
	Run      prunella.Run
	Incident prunella.Incident
	Cause    prunella.Cause
	Trust    Trust
	Past     []PastRun                      // of the last hour everywhere, and all of this incident's
	Busy     map[string]prunella.IncidentID // targets that runs of other incidents hold, see Held
	Now      time.Time
}

// withheld are faults that no machine may answer by changing who is trusted.
var withheld = map[prunella.Fault]string{
	prunella.FaultForged:     "tokens are being forged; trusting more keys would let them in",
	prunella.FaultKidFlood:   "the unknown key ids are noise from outside; no verifier is wrong",
	prunella.FaultVendorDown: "the issuer itself is down; restarting verifiers would empty the caches that still work",
	prunella.FaultJWKSDown:   "the key set cannot be fetched; restarting verifiers would empty the caches that still work",
}

// doubtful are faults where a person must look before anything is trusted.
var doubtful = map[prunella.Fault]string{
	prunella.FaultSameKid: "a key id with new key material may be an attack on the issuer",
}

// rank orders answers from free to forbidden; a gate can only make it stricter.
var rank = map[prunella.Allowed]int{prunella.AllowUnattended: 0, prunella.AllowApproval: 1, prunella.AllowLater: 2, prunella.AllowAdvise: 3, prunella.AllowNothing: 4}

// Allow asks every gate and returns the strictest answer with the gate that gave it.
func Allow(a Ask) prunella.Decision {
	p := a.Policy.withDefaults()
	d := prunella.Decision{Allowed: prunella.AllowUnattended,
		Reason: prunella.Reason{Name: "all-gates-passed", Text: "every gate of the policy passed"}}
	gate := func(name string, ok bool, otherwise prunella.Allowed, format string, args []any, ops ...string) {
		r := prunella.Reason{Name: name, Text: fmt.Sprintf(format, args...), Operands: map[string]string{"passed": strconv.FormatBool(ok)}}
		for i := 0; i+1 < len(ops); i += 2 {
			r.Operands[ops[i]] = ops[i+1]
		}
		d.Gates = append(d.Gates, r)
		if !ok && rank[otherwise] > rank[d.Allowed] {
			d.Allowed, d.Reason = otherwise, r
		}
	}
	num := func(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }

	mode, key := p.Autonomy, "autonomy"
	if a.Run.Skill == "" && stricter(p.Autonomy, p.Generic) != mode {
		mode, key = p.Generic, "generic"
	}
	freedom := fmt.Sprintf("%s (policy.%s: %s)", freedoms[mode], key, mode)
	gate("plan-changes-something", Mutates(a.Run), prunella.AllowAdvise, "the plan has %d steps", []any{len(a.Run.Steps)})
	gate("world-is-reachable", a.Incident.Live, prunella.AllowAdvise, "what is known comes from %s", []any{liveness(a.Incident.Live)})
	gate("autonomy-on", mode != "off", prunella.AllowAdvise, "%s", []any{freedom}, "autonomy", mode)
	gate("autonomy-unattended", mode == "unattended" || mode == "off", prunella.AllowApproval, "%s", []any{freedom}, "autonomy", mode)
	why, held := withheld[a.Cause.Fault]
	gate("fault-may-be-acted-on", !held, prunella.AllowNothing, "%s", []any{cmp.Or(why, "nothing about "+string(a.Cause.Fault)+" forbids acting")}, "fault", string(a.Cause.Fault))
	why, doubt := doubtful[a.Cause.Fault]
	gate("fault-is-beyond-doubt", !doubt, prunella.AllowApproval, "%s", []any{cmp.Or(why, string(a.Cause.Fault)+" needs no second look")}, "fault", string(a.Cause.Fault))

	tried, runsHour, failedHour := 0, 0, 0
	perTarget := map[string]int{}
	same := false
	for _, r := range a.Past {
		if r.Incident == a.Incident.ID && r.State != prunella.RunProposed && r.State != prunella.RunRefused {
			tried++
			if r.Hash == a.Run.Hash && r.Verdict != prunella.Healed {
				same = true
			}
		}
		if !r.Unattended || a.Now.Sub(r.At) > time.Hour {
			continue
		}
		runsHour++
		if r.State == prunella.RunFailed || r.Verdict == prunella.NotHealed {
			failedHour++
		}
		for _, t := range r.Targets {
			perTarget[t]++
		}
	}
	gate("breaker-closed", failedHour < p.BreakerFailures && runsHour < p.BreakerRuns, prunella.AllowNothing,
		"%d unattended runs in the last hour, %d of them failed (the breaker opens at %d and %d)", []any{runsHour, failedHour, p.BreakerRuns, p.BreakerFailures},
		"runs", strconv.Itoa(runsHour), "failed", strconv.Itoa(failedHour))
	gate("attempts-left", tried < p.MaxAttempts, prunella.AllowNothing, "%d of %d heals of this incident are spent", []any{tried, p.MaxAttempts}, "tried", strconv.Itoa(tried))
	gate("heal-is-new", !same, prunella.AllowNothing, "%s", []any{tern(same, "exactly this heal was tried and did not help", "this heal was not tried before")})

	busiest, n := "", 0
	targets := Targets(a.Run)
	for _, t := range targets {
		if perTarget[t] > n {
			busiest, n = t, perTarget[t]
		}
	}
	taken := slices.IndexFunc(targets, func(t string) bool { return a.Busy[t] != "" })
	undoable, irreversible := true, ""
	for _, s := range a.Run.Steps {
		if s.Effect == prunella.Reads || s.State == prunella.StepSkipped {
			continue
		}
		if s.Effect == prunella.Irreversible || s.Undo == nil {
			undoable, irreversible = false, s.Name
		}
	}
	busy := []string{"", ""}
	if taken >= 0 {
		busy = []string{targets[taken], string(a.Busy[targets[taken]])}
	}
	gate("target-busy", taken < 0, prunella.AllowLater, "%s", []any{tern(taken < 0, "no other run holds a target of this one", busy[0]+" is being changed for "+busy[1]+"; two runs never change one target at once")}, "target", busy[0], "incident", busy[1])
	gate("targets-not-worn", n < p.MaxPerTarget, prunella.AllowApproval, "%s was changed %d times in the last hour (bound %d)", []any{cmp.Or(busiest, "no target"), n, p.MaxPerTarget}, "target", busiest)
	gate("blast-radius", len(targets) <= p.MaxTargets, prunella.AllowApproval, "%d targets (bound %d)", []any{len(targets), p.MaxTargets}, "targets", strconv.Itoa(len(targets)))
	gate("reversible", undoable, prunella.AllowApproval, "%s", []any{tern(undoable, "every step can be undone", "“"+irreversible+"” cannot be undone")})
	gate("cause-is-sure", a.Cause.Confidence >= p.MinCause, prunella.AllowApproval, "confidence in the cause %s (bound %s)", []any{num(a.Cause.Confidence), num(p.MinCause)}, "confidence", num(a.Cause.Confidence))
	gate("severe-enough", a.Incident.Severity.Rank() >= p.MinSeverity.Rank(), prunella.AllowApproval, "severity %s (bound %s)", []any{a.Incident.Severity, p.MinSeverity})
	if a.Run.Skill != "" {
		gate("trust-floor", a.Trust.Floor >= *p.MinFloor, prunella.AllowApproval, "the skill's measured floor is %s (bound %s)", []any{num(a.Trust.Floor), num(*p.MinFloor)}, "floor", num(a.Trust.Floor))
		gate("trust-evidence", a.Trust.Evidence >= *p.MinEvidence, prunella.AllowApproval, "%s weighted runs behind it (bound %s)", []any{num(a.Trust.Evidence), num(*p.MinEvidence)}, "evidence", num(a.Trust.Evidence))
		gate("trust-fresh", !*p.RequireFresh || a.Trust.Freshness == "fresh", prunella.AllowApproval, "the skill's last verified run is %s", []any{a.Trust.Freshness}, "freshness", a.Trust.Freshness)
	}
	return d
}

// Forbids tells whether a gate that does not pass keeps a plan from being run
// at all, also with a person's approval.
func Forbids(gate string) bool {
	return slices.Contains([]string{"plan-changes-something", "world-is-reachable", "autonomy-on", "fault-may-be-acted-on", "breaker-closed", "attempts-left", "heal-is-new"}, gate)
}

// Targets lists what a run would change, each once, in the order of its steps.
func Targets(run prunella.Run) []string {
	var out []string
	for _, s := range run.Steps {
		if s.Effect != prunella.Reads && s.State != prunella.StepSkipped && !slices.Contains(out, s.Target) {
			out = append(out, s.Target)
		}
	}
	return out
}

// Held lists the targets that runs of incidents other than mine hold: a run
// holds its targets from its start until it is judged or ended, because until
// then it may change them or take a change back, and its proof looks at them.
func Held(runs []prunella.Run, mine prunella.IncidentID) map[string]prunella.IncidentID {
	held := map[string]prunella.IncidentID{}
	for _, r := range runs {
		if r.Incident != mine && (r.State == prunella.RunRunning || r.State == prunella.RunUndoing || r.State == prunella.RunDone && r.Verdict == "") {
			for _, t := range Targets(r) {
				held[t] = r.Incident
			}
		}
	}
	return held
}

func liveness(live bool) string {
	return tern(live, "a world that can be probed", "texts only; there is nothing to probe and so nothing to prove a heal with")
}

// Validate returns an error that names the wrong field.
func (p Policy) Validate() error {
	for field, v := range map[string]string{"autonomy": p.Autonomy, "generic": p.Generic} {
		if v != "" && !strings.Contains(" off approve unattended ", " "+v+" ") {
			return prunella.Errorf(prunella.Invalid, "policy.%s is %q; write off, approve or unattended", field, v)
		}
	}
	if p.MinSeverity != "" && p.MinSeverity.Rank() == 0 {
		return prunella.Errorf(prunella.Invalid, "policy.min_severity is %q; write critical, high, warning, info or low", p.MinSeverity)
	}
	for field, v := range map[string]*float64{"min_floor": p.MinFloor, "min_cause": &p.MinCause} {
		if v != nil && (*v < 0 || *v > 1) {
			return prunella.Errorf(prunella.Invalid, "policy.%s is %v; it is a probability from 0 to 1", field, *v)
		}
	}
	return nil
}

// freedoms say what each kind of autonomy means.
var freedoms = map[string]string{"off": "it only advises", "approve": "a person is always asked", "unattended": "it may act alone"}

// NeededFloor is the measured floor from which a skill may run unattended, 0–1.
func (p Policy) NeededFloor() float64 { return *p.withDefaults().MinFloor }

func (p Policy) withDefaults() Policy {
	p.Autonomy = cmp.Or(p.Autonomy, "approve")
	p.Generic = cmp.Or(p.Generic, "approve")
	if p.MinFloor == nil {
		p.MinFloor = ptr(0.75)
	}
	if p.MinEvidence == nil {
		p.MinEvidence = ptr(5.0)
	}
	if p.RequireFresh == nil {
		p.RequireFresh = ptr(true)
	}
	if p.MinCause == 0 {
		p.MinCause = 0.6
	}
	if p.MinSeverity == "" {
		p.MinSeverity = prunella.Warning
	}
	for v, def := range map[*int]int{&p.MaxTargets: 20, &p.MaxAttempts: 2, &p.MaxPerTarget: 3, &p.BreakerFailures: 3, &p.BreakerRuns: 10} {
		if *v == 0 {
			*v = def
		}
	}
	if p.ApprovalTTL == 0 {
		p.ApprovalTTL = prunella.Duration(15 * time.Minute)
	}
	return p
}

// Expiry is when an approval asked for now lapses into a denial.
func (p Policy) Expiry(now time.Time) time.Time {
	return now.Add(time.Duration(p.withDefaults().ApprovalTTL))
}

func stricter(a, b string) string {
	order := map[string]int{"off": 0, "approve": 1, "unattended": 2}
	if order[a] < order[b] {
		return a
	}
	return b
}

func ptr[T any](v T) *T { return &v }

func tern(c bool, a, b string) string {
	if c {
		return a
	}
	return b
}
