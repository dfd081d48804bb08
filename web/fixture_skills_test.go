package web

import (
	"math"
	"time"

	"prunella"
	"prunella/client"
)

const partialMarkdown = `## Symptoms

Some services refuse every token, others none, and it began within seconds of a key rotation.
See [[people/sam]] and [[skills/auth-jwks-rotation-spike.skill|the stale-cache skill]]; [Auth0's status](https://status.auth0.com).

` + "```signal" + `
id: kid-not-found
kind: log
any: ["not found in local keystore", "unable to find a signing key that matches"]
weight: 1.5
` + "```" + `

## Diagnosis (3 min)

1. **Rule out a deploy.** A release within the last hour makes this unlikely.
2. **Ask every service** with a canary token of each key.

` + "```check" + `
id: who-lacks-it
read: trust.grid
for: size(result.lacking) > 0 && size(result.trusting) > 0
weight: 2.6
timeout: 20s
` + "```" + `

## Resolution (5 min)

Re-adding the old *public* key does not heal: make the previous key the **signer** again.

| step | undo |
|---|---|
| activate the previous key | activate the new one |
| redeliver the new key | none needed |

` + "```bash" + `
prunella incident list
` + "```" + `

## Escalation

Page @sam when a canary of the new key is still refused afterwards.
`

func partialSkill(now time.Time) client.SkillView {
	return client.SkillView{
		Skill: prunella.Skill{Name: "jwt-signing-key-partial-distribution", Title: "A new signing key did not reach every verifier", Description: "Use when some services refuse all new tokens right after a key rotation while others accept them.",
			Pattern: "auth/partial-key-distribution", Category: "security", Version: "v1.2.0", Hash: planHash, Owners: []string{"@sam", "@maya"}, Path: "skills/jwt-signing-key-partial-distribution.skill.md",
			Signals: make([]prunella.SignalRule, 4), Checks: make([]prunella.CheckRule, 3), Actions: make([]prunella.ActionRule, 5), Budgets: prunella.Budgets{Diagnosis: 3 * time.Minute, Resolution: 5 * time.Minute}, Alternates: []string{"auth-jwks-rotation-spike", "bad-deploy"}},
		Markdown: partialMarkdown, Claimed: 0.88,
		Trust: client.SkillTrust{Confidence: 0.917, Floor: 0.762, Needed: 0.75, Alpha: 11, Beta: 1, Terms: []client.TrustTerm{
			{At: now.Add(-48 * time.Hour), Kind: "run", Ref: "run-88", X: 1, Weight: 0.99}, {At: now.Add(-21 * 24 * time.Hour), Kind: "run", Ref: "run-61", X: 1, Weight: 0.92}, {At: now.Add(-30 * 24 * time.Hour), Kind: "scenario", Ref: "jwt-signing-key-rotation-failure, seed 7", X: 1, Weight: 0.18}}},
		Freshness: "fresh", LastVerified: now.Add(-48 * time.Hour), LastRun: now.Add(-76 * time.Second),
		Policy:    prunella.Decision{Allowed: prunella.AllowUnattended, Reason: why("floor", "floor 76 % is over 75 %, fresh, every step reversible"), Gates: []prunella.Reason{why("floor", "floor 0.76 ≥ 0.75"), why("fresh", "verified 2 days ago")}},
		Extracted: []client.SourceThread{{Text: "#incidents · 2026-03-29 · maya, sam", URL: "https://acme.slack.com/archives/C01/p1774793022000200"}, {Text: "#incidents · 2026-03-08 (referenced)"}},
		Backlinks: []client.WikiBacklink{{Path: "skills/auth-jwks-rotation-spike.skill.md", URL: "/skills/auth-jwks-rotation-spike", Title: "Verifiers hold a key set from before a rotation", Line: 40}, {Path: "people/sam.md", URL: "/people/sam", Title: "Sam", Line: 6}},
		Problems:  []client.SkillProblem{{File: "x", Line: 41, Severity: "warning", Text: "the action has no undo, so it never runs unattended", Remedy: "Add undo: with an action, or none-needed with a reason"}},
		Trigger:   "some services refuse every new token within seconds of a key rotation", Editable: true, Course: partialCourse(now),
		Reports: []client.SkillReport{{ID: "rep-01jq8k2v5n", Scenario: "jwt-signing-key-rotation-failure", Title: "A signing-key rotation misses four of seven services", Status: prunella.Passed, Ended: now.Add(-time.Hour)}},
		Runs:    []prunella.Run{{ID: "run-1", Incident: "inc-01jq8x4m2k", Created: now.Add(-76 * time.Second), Steps: make([]prunella.Step, 7)}, {ID: "run-88", Incident: "inc-01jq8e5r7w", Created: now.Add(-3 * time.Hour), Verdict: prunella.Healed, Steps: make([]prunella.Step, 7)}},
	}
}

func staleSkill(now time.Time) client.SkillView {
	v := partialSkill(now)
	v.Skill.Name, v.Skill.Title, v.Skill.Pattern, v.Skill.Version = "auth-jwks-rotation-spike", "Verifiers hold a key set from before a rotation", "auth/stale-jwks-cache", "v1.0.1"
	v.Skill.Description = "Use when 401s rise suddenly with no recent deploy and logs speak of an unknown kid."
	v.Trust = client.SkillTrust{Confidence: 0.806, Floor: 0.547, Terms: v.Trust.Terms[:2]}
	v.Skill.Path = "skills/auth-jwks-rotation-spike.skill.md"
	v.Broken = []client.SkillProblem{{File: v.Skill.Path, Line: 12, Severity: "error", Text: "nonsense is no kind of signal", Remedy: "write log, metric, alert or change"}}
	v.Course, v.Reports, v.Backlinks = nil, nil, nil
	v.Freshness, v.LastVerified, v.LastRun = "due", now.Add(-120*24*time.Hour), time.Time{}
	v.Policy.Allowed, v.Runs, v.Problems = prunella.AllowApproval, nil, nil
	return v
}

func (w *world) report() prunella.Report {
	v := w.healing()
	start := w.ago(22 * time.Minute)
	fault := start.Add(12 * time.Second)
	r := prunella.Report{ID: "rep-01jq8k2v5n", Scenario: "jwt-signing-key-rotation-failure", Title: "A signing-key rotation misses four of seven services", Category: "security",
		Description: "The auth service rotates its signing key. The new public key reaches three services; the key endpoints of the other four are closed. They refuse every new token while old tokens run out.",
		Status:      prunella.Passed, Seed: 7, Params: map[string]string{"missed": "4", "alg": "RS256", "token_lifetime": "1h"}, Started: start, Ended: start.Add(41 * time.Second), Version: "v0.1.0-test", TimeScale: 20,
		Checks: []prunella.ReportCheck{
			{Name: "Pattern", Expected: "auth/partial-key-distribution", Actual: "auth/partial-key-distribution", Result: prunella.Passed},
			{Name: "Severity", Expected: "critical", Actual: "critical", Result: prunella.Passed},
			{Name: "Correlation", Expected: "1 incident, ≥ 10 signals", Actual: "1 incident, 36 signals", Result: prunella.Passed},
			{Name: "Cascade", Expected: "escalating", Actual: "escalating, 100 % in 57 min", Result: prunella.Passed},
			{Name: "Cause", Expected: "partial-key-distribution in auth, ≥ 90 %", Actual: "partial-key-distribution in auth, 95 %", Result: prunella.Passed},
			{Name: "Remediation", Expected: "auto-heal", Actual: "auto-heal", Result: prunella.Passed, Note: "all 7 steps done, none undone"},
			{Name: "Detected within", Expected: "≤ 2 s", Actual: "0.9 s", Result: prunella.Passed},
			{Name: "Verified within", Expected: "≤ 15 s", Actual: "8.4 s", Result: prunella.Passed},
			{Name: "Failed after heal", Expected: "0", Actual: "0", Result: prunella.Passed}},
		Conditions: []string{"Seven services verify RS256 tokens of one issuer, each with its own kind of key source.", "Traffic of 80 requests per second, through gateway → order → payment among others.", "The key endpoints of user, order, search and notification are closed before the rotation."},
		Injected: []prunella.InjectedMsg{
			{Monitor: "otlp/user", Service: "user", At: fault.Add(time.Second), Text: "invalid signature: key ID key-2026-03-29 not found in local keystore"},
			{Monitor: "otlp/order", Service: "order", At: fault.Add(time.Second), Text: "unauthorized: token signature verification failed"},
			{Monitor: "otlp/search", Service: "search", At: fault.Add(2 * time.Second), Text: "unable to find a signing key that matches kid key-2026-03-29"}},
		Faults:  []prunella.FaultRecord{{Fault: "rotate-partial", Params: map[string]string{"missed": "4"}, At: fault, Proven: true, Proof: "fresh tokens carry key-2026-03-29; four services answered 401 to a fresh token, three answered 200"}},
		Pattern: "auth/partial-key-distribution", PatternConfidence: 0.91, Severity: prunella.Critical, SeverityReason: v.Incident.SeverityReason.Text, ServicesAffected: []string{"notification", "order", "search", "user"}, SignalsLinked: 36,
		Cascade: v.Incident.Cascade, Hypotheses: v.Incident.Causes, Remediation: "auto-heal", Plan: []string{"make the previous key the signer again"}, Verdict: prunella.Healed, VerdictReason: "held for 60 s of engine time",
		Timings: prunella.Timings{Detected: 900, Opened: 950, Diagnosed: 2100, Healed: 5200, Verified: 8400}, Requests: prunella.Requests{Total: 3312, Failed: 214}, Monitors: 6, Incidents: 1, Incident: "inc-01jq8x4m2k"}
	c := v.Incident.Causes[0]
	r.Cause = prunella.ReportCause{Service: c.Service, Fault: c.Fault, Confidence: c.Confidence, Summary: c.Summary, Kids: c.Kids, Services: c.Services}
	for _, e := range c.For {
		r.Cause.Evidence = append(r.Cause.Evidence, e.Text)
	}
	for _, e := range c.Against {
		r.Cause.Against = append(r.Cause.Against, e.Text)
	}
	for i, s := range v.Runs[0].Steps {
		at := fault.Add(time.Duration(2200+450*i) * time.Millisecond)
		r.Steps = append(r.Steps, prunella.ReportStep{Name: s.Name, Action: s.Action, Result: "done", Output: s.Output, Started: at, Ended: at.Add(400 * time.Millisecond)})
	}
	for _, e := range v.Events {
		e.At = fault.Add(e.At.Sub(v.Incident.Onset) / 10)
		r.Timeline = append(r.Timeline, e)
	}
	for ms := 0; ms <= 41000; ms += 500 {
		at := start.Add(time.Duration(ms) * time.Millisecond)
		since := at.Sub(fault).Seconds()
		rate := 0.05
		if since > 0 {
			rate = 48 * math.Min(1, since/1.5)
		}
		if since > 2.5 {
			rate = math.Max(0.05, 48-40*(since-2.5))
		}
		r.Series = append(r.Series, prunella.SeriesPoint{Service: "user", Name: "errors.401", At: at, Value: rate}, prunella.SeriesPoint{Service: "user", Name: "baseline.401", At: at, Value: 0.06})
	}
	return r
}

func failedReport(now time.Time) prunella.Report {
	return prunella.Report{ID: "rep-01jq8j0000", Scenario: "jwks-endpoint-down", Title: "The key set endpoint is closed", Category: "security", Status: prunella.Failed, Started: now.Add(-2 * time.Hour), Ended: now.Add(-2*time.Hour + time.Minute), Version: "v0.1.0-test", Seed: 3,
		Checks:  []prunella.ReportCheck{{Name: "Severity", Expected: "critical", Actual: "high", Result: prunella.Failed, Note: "share 0.41 at the time of judging"}},
		Timings: prunella.Timings{Detected: 1200, Opened: 1210, Diagnosed: 4000, Healed: -1, Verified: -1}, Requests: prunella.Requests{Total: 900, Failed: 30, FailedAfterHeal: -1}, Remediation: "escalated", Verdict: prunella.UnknownVerdict, Pattern: prunella.Unknown}
}

// partialCourse is a year of runs, drills and a failure.
func partialCourse(now time.Time) []client.TrustPoint {
	at := func(days int) time.Time { return now.Add(-time.Duration(days) * 24 * time.Hour) }
	out := []client.TrustPoint{{At: at(220), Confidence: 0.5, Floor: 0.05}}
	level, floor := 0.5, 0.05
	for i, o := range []prunella.Outcome{{At: at(200), Kind: "run", X: 1, Ref: "run-1"}, {At: at(180), Kind: "scenario", X: 1, Ref: "rep-01jq8k2v5n"}, {At: at(150), Kind: "run", X: 0, Ref: "run-3"}, {At: at(90), Kind: "person", X: 0.5, Ref: "maya"},
		{At: at(60), Kind: "run", X: 1, Ref: "run-61"}, {At: at(21), Kind: "thread", X: 1, Ref: "https://acme.slack.com/archives/C01/p1"}, {At: at(2), Kind: "run", X: 1, Ref: "run-88"}} {
		out = append(out, client.TrustPoint{At: o.At, Confidence: level - 0.03, Floor: floor - 0.02})
		level += (o.X - 0.3) * 0.15
		floor = level - 0.4 + 0.03*float64(i)
		out = append(out, client.TrustPoint{At: o.At, Confidence: level, Floor: floor, Outcome: &o})
	}
	return append(out, client.TrustPoint{At: now, Confidence: 0.917, Floor: 0.762})
}
