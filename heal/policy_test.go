package heal

import (
	"testing"
	"time"

	"prunella"
)

var noon = time.Date(2026, 3, 30, 12, 0, 0, 0, time.UTC)

func sure() Ask {
	undo := &prunella.UndoRule{Do: "none-needed"}
	return Ask{
		Policy:   Policy{Autonomy: "unattended", Generic: "unattended"},
		Run:      prunella.Run{Skill: "s", Hash: "h1", Steps: []prunella.Step{{Name: "restart a", Effect: prunella.Reversible, Undo: undo, Target: "deployment/a"}}},
		Incident: prunella.Incident{ID: "inc-1", Live: true, Severity: prunella.Critical},
		Cause:    prunella.Cause{Fault: prunella.FaultStaleCache, Confidence: 0.9},
		Trust:    Trust{Floor: 0.8, Evidence: 9, Freshness: "fresh"},
		Now:      noon,
	}
}

func TestPolicy(t *testing.T) {
	past := func(n int, p PastRun) (out []PastRun) {
		p.At = noon.Add(-10 * time.Minute)
		for range n {
			out = append(out, p)
		}
		return out
	}
	zero, off := 0.0, false
	for name, c := range map[string]struct {
		change func(*Ask)
		want   prunella.Allowed
		reason string
	}{
		"every gate passes":   {func(a *Ask) {}, prunella.AllowUnattended, "all-gates-passed"},
		"unproven skill asks": {func(a *Ask) { a.Trust = Trust{Floor: 0.05, Freshness: "never"} }, prunella.AllowApproval, "trust-floor"},
		"thin evidence asks":  {func(a *Ask) { a.Trust.Evidence = 4.9 }, prunella.AllowApproval, "trust-evidence"},
		"stale skill asks":    {func(a *Ask) { a.Trust.Freshness = "stale" }, prunella.AllowApproval, "trust-fresh"},
		"operator waives trust": {func(a *Ask) {
			a.Trust = Trust{}
			a.Policy.MinFloor, a.Policy.MinEvidence, a.Policy.RequireFresh = &zero, &zero, &off
		}, prunella.AllowUnattended, "all-gates-passed"},
		"texts only are advice":           {func(a *Ask) { a.Incident.Live = false }, prunella.AllowAdvise, "world-is-reachable"},
		"autonomy off is advice":          {func(a *Ask) { a.Policy.Autonomy = "off" }, prunella.AllowAdvise, "autonomy-on"},
		"default autonomy asks":           {func(a *Ask) { a.Policy.Autonomy = "" }, prunella.AllowApproval, "autonomy-unattended"},
		"generic remedy asks by default":  {func(a *Ask) { a.Run.Skill = ""; a.Policy.Generic = "" }, prunella.AllowApproval, "autonomy-unattended"},
		"generic remedy may be let loose": {func(a *Ask) { a.Run.Skill = ""; a.Trust = Trust{} }, prunella.AllowUnattended, "all-gates-passed"},
		"generic is never freer":          {func(a *Ask) { a.Run.Skill = ""; a.Policy.Autonomy = "approve" }, prunella.AllowApproval, "autonomy-unattended"},
		"irreversible asks":               {func(a *Ask) { a.Run.Steps[0].Effect = prunella.Irreversible }, prunella.AllowApproval, "reversible"},
		"no undo asks":                    {func(a *Ask) { a.Run.Steps[0].Undo = nil }, prunella.AllowApproval, "reversible"},
		"a skipped step does not count": {func(a *Ask) {
			a.Run.Steps = append(a.Run.Steps, prunella.Step{Effect: prunella.Irreversible, State: prunella.StepSkipped})
		}, prunella.AllowUnattended, "all-gates-passed"},
		"reads only are advice":          {func(a *Ask) { a.Run.Steps[0].Effect = prunella.Reads }, prunella.AllowAdvise, "plan-changes-something"},
		"unsure cause asks":              {func(a *Ask) { a.Cause.Confidence = 0.59 }, prunella.AllowApproval, "cause-is-sure"},
		"low severity asks":              {func(a *Ask) { a.Incident.Severity = prunella.Info }, prunella.AllowApproval, "severe-enough"},
		"forged tokens are never healed": {func(a *Ask) { a.Cause.Fault = prunella.FaultForged }, prunella.AllowNothing, "fault-may-be-acted-on"},
		"a kid flood is never healed":    {func(a *Ask) { a.Cause.Fault = prunella.FaultKidFlood }, prunella.AllowNothing, "fault-may-be-acted-on"},
		"a dead issuer is not restarted": {func(a *Ask) { a.Cause.Fault = prunella.FaultJWKSDown }, prunella.AllowNothing, "fault-may-be-acted-on"},
		"same kid new material asks":     {func(a *Ask) { a.Cause.Fault = prunella.FaultSameKid }, prunella.AllowApproval, "fault-is-beyond-doubt"},
		"attempts are bounded":           {func(a *Ask) { a.Past = past(2, PastRun{Incident: "inc-1", Hash: "other", State: prunella.RunDone}) }, prunella.AllowNothing, "attempts-left"},
		"the same heal is not tried again": {func(a *Ask) {
			a.Past = past(1, PastRun{Incident: "inc-1", Hash: "h1", State: prunella.RunFailed, Verdict: prunella.NotHealed})
		}, prunella.AllowNothing, "heal-is-new"},
		"a refused plan is not an attempt": {func(a *Ask) { a.Past = past(5, PastRun{Incident: "inc-1", Hash: "h1", State: prunella.RunRefused}) }, prunella.AllowUnattended, "all-gates-passed"},
		"three failures open the breaker":  {func(a *Ask) { a.Past = past(3, PastRun{Incident: "x", Unattended: true, State: prunella.RunFailed}) }, prunella.AllowNothing, "breaker-closed"},
		"ten runs open the breaker": {func(a *Ask) {
			a.Past = past(10, PastRun{Incident: "x", Unattended: true, State: prunella.RunDone, Verdict: prunella.Healed})
		}, prunella.AllowNothing, "breaker-closed"},
		"the breaker forgets after an hour": {func(a *Ask) {
			a.Past = past(10, PastRun{Incident: "x", Unattended: true})
			a.Now = noon.Add(51 * time.Minute)
		}, prunella.AllowUnattended, "all-gates-passed"},
		"a worn target asks": {func(a *Ask) {
			a.Past = past(3, PastRun{Incident: "x", Unattended: true, Targets: []string{"deployment/a"}})
		}, prunella.AllowApproval, "targets-not-worn"},
		"a target that another run changes is waited for":    {func(a *Ask) { a.Busy = map[string]prunella.IncidentID{"deployment/a": "x"} }, prunella.AllowLater, "target-busy"},
		"what another run changes elsewhere is no hindrance": {func(a *Ask) { a.Busy = map[string]prunella.IncidentID{"deployment/b": "x"} }, prunella.AllowUnattended, "all-gates-passed"},
		"nobody is asked about a target that is busy": {func(a *Ask) {
			a.Busy, a.Trust = map[string]prunella.IncidentID{"deployment/a": "x"}, Trust{}
		}, prunella.AllowLater, "target-busy"},
		"reading what another run changes is advice": {func(a *Ask) {
			a.Busy, a.Run.Steps[0].Effect = map[string]prunella.IncidentID{"deployment/a": "x"}, prunella.Reads
		}, prunella.AllowAdvise, "plan-changes-something"},
		"blast radius asks": {func(a *Ask) {
			a.Policy.MaxTargets = 1
			s := a.Run.Steps[0]
			s.Target = "deployment/b"
			a.Run.Steps = append(a.Run.Steps, s)
		}, prunella.AllowApproval, "blast-radius"},
		"the strictest gate wins": {func(a *Ask) { a.Trust.Floor = 0; a.Cause.Fault = prunella.FaultForged; a.Incident.Live = false }, prunella.AllowNothing, "fault-may-be-acted-on"},
	} {
		t.Run(name, func(t *testing.T) {
			a := sure()
			c.change(&a)
			d := Allow(a)
			if d.Allowed != c.want || d.Reason.Name != c.reason {
				t.Errorf("got %s (%s: %s), want %s (%s)", d.Allowed, d.Reason.Name, d.Reason.Text, c.want, c.reason)
			}
			if len(d.Gates) < 12 {
				t.Errorf("only %d gates are shown", len(d.Gates))
			}
		})
	}
}

func TestARunHoldsItsTargetsUntilItIsJudged(t *testing.T) {
	for name, c := range map[string]struct {
		run  prunella.Run
		held bool
	}{
		"running":            {prunella.Run{Incident: "other", State: prunella.RunRunning}, true},
		"undoing":            {prunella.Run{Incident: "other", State: prunella.RunUndoing}, true},
		"being verified":     {prunella.Run{Incident: "other", State: prunella.RunDone}, true},
		"judged":             {prunella.Run{Incident: "other", State: prunella.RunDone, Verdict: prunella.Healed}, false},
		"failed":             {prunella.Run{Incident: "other", State: prunella.RunFailed}, false},
		"only proposed":      {prunella.Run{Incident: "other", State: prunella.RunProposed}, false},
		"the incident's own": {prunella.Run{Incident: "mine", State: prunella.RunRunning}, false},
	} {
		c.run.Steps = []prunella.Step{{Target: "deployment/a", Effect: prunella.Reversible}, {Target: "deployment/b", Effect: prunella.Reads},
			{Target: "deployment/c", Effect: prunella.Reversible, State: prunella.StepSkipped}}
		got := Held([]prunella.Run{c.run}, "mine")
		if (got["deployment/a"] == "other") != c.held || got["deployment/b"] != "" || got["deployment/c"] != "" {
			t.Errorf("%s: holds %v", name, got)
		}
	}
}

func TestVerify(t *testing.T) {
	well := Health{Service: "user", Hit: true, Requests: 200, Failed: 1, Baseline: 0.005, CanaryOK: 4, Probed: true, Counted: noon.Add(50 * time.Second)}
	base := Verification{Services: []Health{well}, Since: noon, Now: noon.Add(61 * time.Second), Hold: time.Minute, Deadline: noon.Add(5 * time.Minute), MinSamples: 20, Fresh: 30 * time.Second}
	for name, c := range map[string]struct {
		change  func(*Verification)
		verdict prunella.Verdict
		reason  string
	}{
		"quiet for the hold is healed":      {func(v *Verification) {}, prunella.Healed, "quiet-held"},
		"not long enough waits":             {func(v *Verification) { v.Now = noon.Add(59 * time.Second) }, "", "holding"},
		"no service is never healed":        {func(v *Verification) { v.Services = nil }, "", "not-enough-data"},
		"no data at the end is unknown":     {func(v *Verification) { v.Services[0].Requests = 0; v.Now = v.Deadline }, prunella.UnknownVerdict, "not-enough-data"},
		"few samples wait":                  {func(v *Verification) { v.Services[0].Requests = 15 }, "", "not-enough-data"},
		"no canary answer waits":            {func(v *Verification) { v.Services[0].CanaryOK = 0 }, "", "not-enough-data"},
		"a refused canary is bad":           {func(v *Verification) { v.Services[0].CanaryRefused = 1 }, "", "canary-refused"},
		"still failing at the end":          {func(v *Verification) { v.Services[0].Failed = 60; v.Now = v.Deadline }, prunella.NotHealed, "error-share-above-baseline"},
		"two of five are":                   {func(v *Verification) { v.Services[0].Requests, v.Services[0].Failed, v.Services[0].CanaryOK = 5, 2, 30 }, "", "error-share-above-baseline"},
		"two expired tokens are no relapse": {func(v *Verification) { v.Services[0].Requests, v.Services[0].Failed = 40, 2 }, prunella.Healed, "quiet-held"},
		"four of five hundred come by chance where nobody knows what is usual": {func(v *Verification) {
			v.Services[0].Requests, v.Services[0].Failed, v.Services[0].Baseline = 522, 4, 0
		}, prunella.Healed, "quiet-held"},
		"eight of five hundred do not": {func(v *Verification) {
			v.Services[0].Requests, v.Services[0].Failed, v.Services[0].Baseline = 522, 8, 0
		}, "", "error-share-above-baseline"},
		"three of sixty do not": {func(v *Verification) {
			v.Services[0].Requests, v.Services[0].Failed, v.Services[0].Baseline = 60, 3, 0
		}, "", "error-share-above-baseline"},
		"a verifier that was not hit needs only its canary": {func(v *Verification) {
			v.Services = append(v.Services, Health{Service: "search", Probed: true, CanaryOK: 1})
		}, prunella.Healed, "quiet-held"},
		"a verifier that was not hit and is silent": {func(v *Verification) { v.Services = append(v.Services, Health{Service: "search", Probed: true}) }, "", "not-enough-data"},
		"a service that answered and fell silent": {func(v *Verification) {
			v.Services[0].Answered, v.Services[0].Unanswered = noon.Add(20*time.Second), noon.Add(50*time.Second)
		}, "", "not-enough-data"},
		"one probe that was lost meanwhile": {func(v *Verification) {
			v.Services[0].Answered, v.Services[0].Unanswered = noon.Add(50*time.Second), noon.Add(20*time.Second)
		}, prunella.Healed, "quiet-held"},
		"telemetry that stopped in the hold waits": {func(v *Verification) { v.Services[0].Counted = noon.Add(20 * time.Second) }, "", "fell-silent"},
		"telemetry that stopped and has no canary": {func(v *Verification) {
			v.Services[0].Counted, v.Services[0].Probed, v.Services[0].CanaryOK = noon.Add(20*time.Second), false, 0
		}, "", "fell-silent"},
		"telemetry that never came back is unknown": {func(v *Verification) { v.Now = v.Deadline }, prunella.UnknownVerdict, "fell-silent"},
		"a verifier that was not hit may have no traffic": {func(v *Verification) {
			v.Services = append(v.Services, Health{Service: "search", Probed: true, CanaryOK: 9})
		}, prunella.Healed, "quiet-held"},
		"the hold did not fit": {func(v *Verification) {
			v.Since, v.Now, v.Services[0].Counted = noon.Add(4*time.Minute+30*time.Second), v.Deadline, v.Deadline
		}, prunella.UnknownVerdict, "hold-not-reached"},
	} {
		t.Run(name, func(t *testing.T) {
			v := base
			v.Services = append([]Health(nil), base.Services...)
			c.change(&v)
			verdict, why := Verify(v)
			if verdict != c.verdict || why.Name != c.reason {
				t.Errorf("got %q (%s: %s), want %q (%s)", verdict, why.Name, why.Text, c.verdict, c.reason)
			}
		})
	}
}
