package scenario_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/client"
	"prunella/scenario"
)

const rotation = `
name: rotation
title: A rotation that half works
category: security
description: Two services never get the new key.
skills: {exclude: [some-skill]}
given:
  engine: {time_scale: 10, policy: {autonomy: unattended, min_floor: 0}}
inject:
  - {fault: rotate-partial-distribution}
watch: {bound: 2s, hold: 150ms}
expect:
  incidents: 1
  pattern: auth/partial-key-distribution
  skill: jwt-signing-key-partial-distribution
  severity: critical
  correlation: {linked_min: 10, monitors_min: 2, one_incident: true}
  cascade: {escalating: true, hit: "${fault.missed}", next: [payment], full_at: {after: 1h}}
  cause:
    fault: partial-key-distribution
    service: auth
    services: "${fault.missed}"
    kids: ["${fault.new_kid}"]
    evidence: ["signer changed to ${fault.new_kid}"]
    confidence_min: 0.6
  remediation: auto-heal
  verdict: healed
  steps: {includes: [keys.activate], excludes: [keys.retire]}
  within: {detected: 2s, verified: 15s}
  requests: {failed_after_heal: 0, failed_max: 0, unharmed: payment}
  facts: {missed: [user, order], new_kid: k-new}
  never: [keys.retire, {effect: irreversible}]
after: {failing_share_max: 0, open_incidents: 0, canaries: true, trust: [{kid: "${fault.old_kid}", services: all}]}
`

func TestRunPassesWhenEverythingIsAsExpected(t *testing.T) {
	e, w := healthy(), &fakeWorld{}
	w.onInject = func(string, map[string]string) { e.set(healed(time.Now())) }
	var told []string
	r := scenario.Runner{World: world(w), Engine: e.start(t), Progress: func(p scenario.Progress) { told = append(told, p.Stage+"/"+p.Kind) }}
	rep := r.Run(t.Context(), parse(t, rotation, nil), 7)
	for _, c := range rep.Checks {
		if c.Result != prunella.Passed {
			t.Errorf("%s: expected %s, got %s (%s)", c.Name, c.Expected, c.Actual, c.Note)
		}
	}
	if rep.Status != prunella.Passed || rep.Seed != 7 || rep.Version != "v0.0.0-test" || len(rep.Checks) < 24 {
		t.Errorf("status %s %s, seed %d, version %s, %d checks", rep.Status, rep.Error, rep.Seed, rep.Version, len(rep.Checks))
	}
	if len(e.reports) != 1 || e.reports[0].ID != rep.ID {
		t.Errorf("the engine was handed %d reports", len(e.reports))
	}
	if !e.stopped || !w.stopped || w.exported == "" {
		t.Errorf("engine stopped %v, world stopped %v, exports to %q", e.stopped, w.stopped, w.exported)
	}
	if len(rep.Injected) != 1 || rep.Injected[0].Text != "token refused" {
		t.Errorf("first words: %+v", rep.Injected)
	}
	if e.cfg.TimeScale != 10 || e.cfg.Policy.Autonomy != "unattended" || *e.cfg.Policy.MinFloor != 0 || e.cfg.Skills.Exclude[0] != "some-skill" {
		t.Errorf("the engine was told %+v", e.cfg)
	}
	for _, want := range []string{"world/", "engine/", "steady/", "inject/fault", "watch/cause", "hold/", "judge/"} {
		if !slices.Contains(told, want) {
			t.Errorf("progress tells %v, without %s", told, want)
		}
	}
}

func world(w scenario.LiveWorld) func(context.Context, scenario.World, int64) (scenario.LiveWorld, error) {
	return func(context.Context, scenario.World, int64) (scenario.LiveWorld, error) { return w, nil }
}

func TestEachCheckCanFail(t *testing.T) {
	for name, spoil := range map[string]func(v *client.IncidentView, w *fakeWorld){
		"pattern":            func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Pattern.Pattern = prunella.Unknown },
		"skill":              func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Pattern.Skill = "" },
		"severity":           func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Severity = prunella.High },
		"correlation.linked": func(v *client.IncidentView, _ *fakeWorld) { v.SignalsTotal = 9 },
		"cascade.hit":        func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Cascade.Hit = []string{"user"} },
		"cascade.next":       func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Cascade.Next = nil },
		"cascade.full-at":    func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Cascade.FullAt = time.Time{} },
		"cause.fault":        func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Causes = nil },
		"cause.services":     func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Causes[0].Services = []string{"user"} },
		"cause.kids":         func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Causes[0].Kids = nil },
		"cause.evidence":     func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Causes[0].For = nil },
		"cause.confidence":   func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Causes[0].Confidence = 0.59 },
		"remediation":        func(v *client.IncidentView, _ *fakeWorld) { v.Approvals = []prunella.Approval{{Decision: "approved"}} },
		"verdict":            func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Verdict = prunella.UnknownVerdict },
		"within.verified":    func(v *client.IncidentView, _ *fakeWorld) { v.Incident.Verdict = "" },
		"steps.includes":     func(v *client.IncidentView, _ *fakeWorld) { v.Runs[0].Steps[0].State = prunella.StepSkipped },
		"steps.excludes":     func(v *client.IncidentView, _ *fakeWorld) { v.Runs[0].Steps[0].Action = "keys.retire" },
		"never":              func(v *client.IncidentView, _ *fakeWorld) { v.Runs[0].Steps[0].Action = "keys.retire" },
		"requests.failed-after-heal": func(_ *client.IncidentView, w *fakeWorld) {
			w.afterHeal = 1
		},
		"requests.failed":     func(_ *client.IncidentView, w *fakeWorld) { w.afterHeal = 1 },
		"requests.unharmed":   func(_ *client.IncidentView, w *fakeWorld) { w.refused = []string{"payment"} },
		"facts.missed":        func(_ *client.IncidentView, w *fakeWorld) { w.missed = "order,payment" },
		"after.failing-share": func(_ *client.IncidentView, w *fakeWorld) { w.afterHeal = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, w := healthy(), &fakeWorld{}
			w.onInject = func(string, map[string]string) {
				v := healed(time.Now())
				w.mu.Lock()
				spoil(&v, w)
				w.mu.Unlock()
				e.set(v)
			}
			r := scenario.Runner{World: world(w), Engine: e.start(t)}
			rep := r.Run(t.Context(), parse(t, rotation, nil), 1)
			if rep.Status != prunella.Failed || check(t, rep, name).Result != prunella.Failed {
				t.Errorf("status %s, check %+v", rep.Status, check(t, rep, name))
			}
		})
	}
}

func TestRunIsErrorWhenItProvesNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		text  string
		world *fakeWorld
		spoil func(*fakeEngine)
		want  string
	}{
		"nothing asserted":   {text: rotation[:strings.Index(rotation, "expect:")], world: &fakeWorld{}, want: "asserts nothing"},
		"fault did not bite": {text: rotation, world: &fakeWorld{unproven: true}, want: "was not observed to bite"},
		"calls fail before":  {text: quick(rotation), world: &fakeWorld{failing: 9}, want: "no steady state within 200ms: 9.0 % of calls fail"},
		"baseline not known": {text: quick(rotation), world: &fakeWorld{}, spoil: func(e *fakeEngine) { e.learned = false }, want: "does not know yet what is normal for order, payment, user"},
		"canaries refused":   {text: quick(rotation), world: &fakeWorld{}, spoil: func(e *fakeEngine) { e.keys.Cells = e.keys.Cells[1:] }, want: "no canary token was accepted yet by order"},
		"incident before": {text: quick(rotation), world: &fakeWorld{}, spoil: func(e *fakeEngine) {
			e.views = []client.IncidentView{{Incident: prunella.Incident{ID: "inc-0", State: prunella.Open}}}
		}, want: "before anything was broken: 1 incident open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := healthy()
			if tc.spoil != nil {
				tc.spoil(e)
			}
			r := scenario.Runner{World: world(tc.world), Engine: e.start(t)}
			rep := r.Run(t.Context(), parse(t, tc.text, nil), 1)
			if rep.Status != prunella.Errored || !strings.Contains(rep.Error, tc.want) {
				t.Errorf("status %s, error %q; want ERROR with %q", rep.Status, rep.Error, tc.want)
			}
		})
	}
}

func quick(text string) string {
	return strings.Replace(text, "given:\n", "given:\n  steady: {within: 200ms}\n", 1)
}

func TestRunWithoutIncidentFailsAtTheBound(t *testing.T) {
	e := healthy()
	text := strings.Replace(rotation, "bound: 2s", "bound: 200ms", 1)
	r := scenario.Runner{World: world(&fakeWorld{}), Engine: e.start(t)}
	rep := r.Run(t.Context(), parse(t, text, nil), 1)
	if c := check(t, rep, "settled"); rep.Status != prunella.Failed || c.Actual != "no incident" {
		t.Errorf("status %s, settled %+v", rep.Status, c)
	}
	if c := check(t, rep, "pattern"); c.Actual != "no incident" {
		t.Errorf("pattern %+v", c)
	}
}

func TestAMissedBoundTellsOfAMachineThatStoodStill(t *testing.T) {
	t.Parallel()
	e, w := healthy(), &fakeWorld{}
	w.onInject = func(string, map[string]string) {
		v := healed(time.Now())
		v.Incident.ResolvedAt = v.Incident.OpenedAt.Add(time.Minute)
		e.set(v)
	}
	r := scenario.Runner{World: world(w), Engine: e.start(t), Progress: func(p scenario.Progress) {
		if p.Stage == "watch" && p.Kind == "cause" {
			time.Sleep(600 * time.Millisecond) // whoever is told holds the run up
		}
	}}
	rep := r.Run(t.Context(), parse(t, rotation, nil), 1)
	if c := check(t, rep, "within.verified"); c.Result != prunella.Failed || !strings.Contains(c.Note, "stood still for ") {
		t.Errorf("the bound that was missed: %+v", c)
	}
	if c := check(t, rep, "within.detected"); c.Result != prunella.Passed || c.Note != "" {
		t.Errorf("the bound that was kept: %+v", c)
	}
}

func TestControl(t *testing.T) {
	const control = `{name: control, title: T, category: security, description: D,
  watch: {quiet: 250ms}, expect: {incidents: 0, never: [{effect: mutating}]}}`
	e := healthy()
	r := scenario.Runner{World: world(&fakeWorld{}), Engine: e.start(t)}
	if rep := r.Run(t.Context(), parse(t, control, nil), 1); rep.Status != prunella.Passed {
		t.Errorf("a quiet world: %s %s %+v", rep.Status, rep.Error, rep.Checks)
	}
	alarm := healthy()
	time.AfterFunc(100*time.Millisecond, func() { alarm.set(healed(time.Now())) })
	r = scenario.Runner{World: world(&fakeWorld{}), Engine: alarm.start(t)}
	rep := r.Run(t.Context(), parse(t, control, nil), 1)
	if rep.Status != prunella.Failed || check(t, rep, "incidents").Actual != "1" {
		t.Errorf("a false alarm: %s %+v", rep.Status, rep.Checks)
	}
}

func TestOperatorApprovesOnceAndByTheHash(t *testing.T) {
	e, w := healthy(), &fakeWorld{}
	w.onInject = func(string, map[string]string) {
		v := healed(time.Now())
		v.Incident.State, v.Incident.Verdict, v.Runs[0].State = prunella.AwaitingApproval, "", prunella.RunProposed
		for i := range v.Runs[0].Steps {
			v.Runs[0].Steps[i].State = prunella.StepPlanned
		}
		v.Approvals = []prunella.Approval{{ID: "apr-1", Hash: "h1"}}
		e.set(v)
	}
	e.onDecide = func(client.Decision) { // called with the lock held
		v := healed(time.Now())
		v.Approvals = []prunella.Approval{{ID: "apr-1", Hash: "h1", Decision: "approved"}}
		e.views = []client.IncidentView{v}
	}
	text := strings.Replace(strings.Replace(rotation, "given:\n", "given:\n  operator: approve\n", 1), "remediation: auto-heal", "remediation: approved", 1)
	r := scenario.Runner{World: world(w), Engine: e.start(t)}
	rep := r.Run(t.Context(), parse(t, text, nil), 1)
	if rep.Status != prunella.Passed {
		t.Errorf("%s %s %+v", rep.Status, rep.Error, rep.Checks)
	}
	if len(e.decisions) != 1 || e.decisions[0].Hash != "h1" || e.decisions[0].Decision != "approved" || e.decisions[0].By == "" {
		t.Errorf("decisions %+v", e.decisions)
	}
}

func TestMessagesAreSaidOnAVirtualClock(t *testing.T) {
	const text = `{name: messages, title: T, category: security, description: D,
  given: {services: [user, {name: order, calls: [user], criticality: high}]},
  messages: [
    {at: 2m, monitor: second, service: order, text: later, severity: critical},
    {at: 0s, monitor: first, service: user, text: "kid ${kid} missing", attributes: {kid: "${kid}"}}],
  params: {kid: {type: text, default: k1, doc: the key}},
  watch: {bound: 2s, hold: 100ms}, expect: {remediation: proposed, incidents: 1, correlation: {monitors_min: 2}}}`
	e := &fakeEngine{}
	v := healed(time.Now())
	v.Incident.State, v.Incident.Verdict, v.Incident.Live = prunella.Escalated, "", false
	v.Runs[0].State, v.Runs[0].Policy.Allowed = prunella.RunProposed, prunella.AllowAdvise
	for i := range v.Runs[0].Steps {
		v.Runs[0].Steps[i].State = prunella.StepPlanned
	}
	start := e.start(t)
	r := scenario.Runner{Engine: start, Progress: func(p scenario.Progress) {
		if p.Stage == "watch" || p.Kind == "fault" {
			e.set(v)
		}
	}}
	rep := r.Run(t.Context(), parse(t, text, map[string]string{"kid": "k9"}), 1)
	if rep.Status != prunella.Passed {
		t.Fatalf("%s %s %+v", rep.Status, rep.Error, rep.Checks)
	}
	if len(e.signals) != 2 || e.signals[0].Body != "kid k9 missing" || e.signals[0].Attr("kid") != "k9" || e.signals[1].Severity != prunella.Critical {
		t.Fatalf("signals %+v", e.signals)
	}
	if gap := e.signals[1].Time.Sub(e.signals[0].Time); gap != 6*time.Second || e.signals[1].Time.After(time.Now()) {
		t.Errorf("gap %s, last at %s", gap, e.signals[1].Time)
	}
	if inv := e.cfg.Inventory; len(inv.Services) != 2 || inv.Services[1].Calls[0] != "user" || inv.Services[0].URL != "" {
		t.Errorf("inventory %+v", inv)
	}
	if rep.Params["kid"] != "k9" || len(rep.Injected) != 2 || rep.Requests.Total != 0 {
		t.Errorf("report %+v", rep)
	}
}

func TestCancelledRunStopsEverything(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e, w := healthy(), &fakeWorld{}
	w.onInject = func(string, map[string]string) { cancel() }
	r := scenario.Runner{World: world(w), Engine: e.start(t)}
	rep := r.Run(ctx, parse(t, rotation, nil), 1)
	if rep.Status != prunella.Errored || !strings.Contains(rep.Error, "interrupted") || !e.stopped || !w.stopped {
		t.Errorf("%s %q, engine stopped %v, world stopped %v", rep.Status, rep.Error, e.stopped, w.stopped)
	}
}
