package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"prunella"
	"prunella/diagnose"
	"prunella/heal"
	"prunella/skill"
)

// diagnose gathers evidence, ranks causes, and decides what follows: a heal, a
// question to a person, another look, or a call for help.
func (e *Engine) diagnose(ctx context.Context, inc prunella.Incident, fence int64, now time.Time) (bool, error) {
	if err := e.abandon(ctx, inc.ID, fence, TakenByPerson); err != nil { // handed back while a run had no end
		return false, err
	}
	if since, quiet := recovered(inc); quiet {
		if over := since.Add(e.cfg.scaled(e.cfg.Hold)); now.Before(over) { // it may come back; nothing is changed while it is quiet
			return false, e.due(ctx, inc, over)
		}
		why := prunella.Reason{Name: "recovered-by-itself", Text: "every service is back at its usual error share, and nothing was done",
			Operands: map[string]string{"since": since.UTC().Format(time.RFC3339)}}
		_, err := e.move(ctx, inc, prunella.Resolved, why, Change{
			Apply: func(i *prunella.Incident) error {
				if i.Verdict == "" { // what an earlier heal is worth stays
					i.VerdictReason = why
				}
				return nil
			},
			Notifications: []prunella.Notification{e.notification(inc, "resolved", "@oncall", "Over: "+inc.Title,
				fmt.Sprintf("%s\n\n%s", why.Text, summary(inc)), why)}, // they were told that it began
		})
		return false, err
	}
	skills := e.cfg.Skills()
	snap, err := e.snapshot(ctx, inc, skills, now)
	if err != nil {
		return false, err
	}
	causes := diagnose.Diagnose(snap)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	inc.Causes, inc.Checks = causes, outcomesOf(snap.Checks)
	began := inc.StateAt[prunella.Diagnosing]
	budget := e.budget(inc, skills)
	sure := len(causes) > 0 && causes[0].Fault != prunella.FaultUnknown && causes[0].Confidence >= e.cfg.MinCause
	if !sure && e.waited(began, now) < budget { // more evidence may come
		return false, e.lookAgain(ctx, inc, now)
	}
	if len(causes) == 0 {
		causes = []prunella.Cause{{Fault: prunella.FaultUnknown, Summary: "Nothing that was read explains this failure."}}
		inc.Causes = causes
	}
	cause := causes[0]
	pattern := settle(inc.Pattern, cause, skills)
	inc.Pattern = pattern
	record := func(i *prunella.Incident) error {
		i.Causes, i.Checks, i.Pattern = causes, inc.Checks, pattern
		return nil
	}
	events := []prunella.Event{{Incident: inc.ID, At: now, Kind: "cause", Service: cause.Service,
		Text:   fmt.Sprintf("cause: %s (%.0f %%). %s", cause.Fault, 100*cause.Confidence, cause.Summary),
		Reason: prunella.Reason{Name: string(cause.Fault), Text: cause.Summary, Operands: map[string]string{"confidence": fmt.Sprintf("%.2f", cause.Confidence), "pattern": pattern.Pattern}}}}
	found := Change{Apply: record, Events: events}
	if merged, err := e.merge(ctx, inc, found); merged || err != nil {
		return false, err
	}
	return e.decide(ctx, inc, cause, snap, now, found)
}

// decide plans and asks the policy; c carries what the diagnosis found.
func (e *Engine) decide(ctx context.Context, inc prunella.Incident, cause prunella.Cause, snap diagnose.Snapshot, now time.Time, c Change) (bool, error) {
	in := e.planFor(inc, cause, snap, now)
	run, err := heal.Plan(in)
	if err != nil {
		return false, e.escalateWith(ctx, inc, nil, prunella.Reason{Name: "plan-failed", Text: "the plan could not be made: " + err.Error()}, c)
	}
	sure := cause.Fault != prunella.FaultUnknown && cause.Confidence >= e.cfg.MinCause
	if len(run.Steps) == 0 && sure && cause.Confidence < evident && cause.Change == nil && diagnose.ComesOfChange(cause.Fault) &&
		e.waited(inc.StateAt[prunella.Diagnosing], now) < e.budget(inc, e.cfg.Skills())/3 {
		return false, e.lookAgain(ctx, inc, now) // the change behind it may not have been heard of yet
	}
	if run.Policy, err = e.policy(ctx, inc, run, cause, in.Skill, now); err != nil {
		return false, err
	}
	run.Reason = run.Policy.Reason
	e.metrics.Policy.WithLabelValues(string(run.Policy.Allowed)).Inc()
	switch {
	case len(run.Steps) == 0:
		why := prunella.Reason{Name: "no-remedy", Text: "no skill heals this, and no change that could be undone preceded it"}
		if !sure {
			why = prunella.Reason{Name: "cause-unsure", Text: "the time for the diagnosis is spent and no cause is sure enough to act on"}
			if cause.Fault != prunella.FaultUnknown && cause.Advice != "" {
				why.Text += fmt.Sprintf("; the likeliest is %s. %s", cause.Fault, cause.Advice)
			}
		} else if cause.Advice != "" {
			why.Text = cause.Advice
		}
		return false, e.escalateWith(ctx, inc, nil, why, c)
	case run.Policy.Allowed == prunella.AllowLater:
		return false, e.later(ctx, inc, run.Policy.Reason, c.Apply)
	case run.Policy.Allowed == prunella.AllowUnattended:
		e.start(&run, now)
		c.Run, c.Admit = &run, alone(run)
		record := c.Apply
		c.Apply = func(i *prunella.Incident) error { i.Attempts++; return record(i) }
		_, err := e.move(ctx, inc, prunella.Healing, run.Policy.Reason, c)
		if errors.Is(err, errBusy) {
			return false, e.later(ctx, inc, busy(err), record)
		}
		return err == nil, err
	case run.Policy.Allowed == prunella.AllowApproval:
		a := prunella.Approval{ID: newID("apr"), Incident: inc.ID, Run: run.ID, Hash: run.Hash, Asked: now, Expires: e.cfg.Policy.Expiry(now)}
		c.Run, c.Approval = &run, &a
		again, err := e.outgrown(ctx, inc.ID)
		if err != nil {
			return false, err
		}
		n := e.notification(inc, "approval", "@oncall", "May I? "+run.Title, again+planText(run)+"\n\n"+summary(inc), run.Policy.Reason)
		n.ID += "/" + a.ID
		c.Notifications = append(c.Notifications, n)
		c.Events = append(c.Events, prunella.Event{Incident: inc.ID, At: now, Kind: "approval", Text: "asked: " + run.Title + " (" + run.Policy.Reason.Text + ")", Reason: run.Policy.Reason})
		_, err = e.move(ctx, inc, prunella.AwaitingApproval, run.Policy.Reason, c)
		return err == nil, err
	}
	if run.Policy.Allowed == prunella.AllowNothing {
		run.State, run.Ended = prunella.RunRefused, now
	}
	c.Run = &run // shown as advice, never executed
	why := run.Policy.Reason
	if cause.Advice != "" {
		why.Text += ". " + cause.Advice
	}
	return false, e.escalateWith(ctx, inc, nil, why, c)
}

// evident is the confidence from which one more look would not change a cause.
const evident = 0.9

// lookAgain keeps the diagnosis going, with what it has found so far.
func (e *Engine) lookAgain(ctx context.Context, inc prunella.Incident, now time.Time) error {
	wait := max(e.cfg.scaled(5*time.Second), 300*time.Millisecond)
	return e.stay(ctx, inc, func(i *prunella.Incident) {
		i.Causes, i.Checks, i.DueAt = inc.Causes, inc.Checks, now.Add(wait)
	})
}

// planFor is what the plan against a cause is made from.
func (e *Engine) planFor(inc prunella.Incident, cause prunella.Cause, snap diagnose.Snapshot, now time.Time) heal.Input {
	in := heal.Input{Run: prunella.RunID(newID("run")), Incident: inc, Cause: cause, Services: e.cfg.Inventory.Services,
		Keys: e.keys(cause, snap), Catalog: e.catalog, Now: now}
	if s, ok := e.skill(cause.Skill); ok && cause.Skill != "" {
		in.Skill = &s
	}
	return in
}

// policy asks what a plan may do: by the trust its skill has earned, by what was
// done lately, and by what is being done now.
func (e *Engine) policy(ctx context.Context, inc prunella.Incident, run prunella.Run, cause prunella.Cause, s *prunella.Skill, now time.Time) (d prunella.Decision, err error) {
	past, err := e.past(ctx, inc.ID, now)
	if err != nil {
		return d, err
	}
	trust, err := e.trust(ctx, s, now)
	if err != nil {
		return d, err
	}
	open, err := e.store.OpenRuns(ctx)
	if err != nil {
		return d, err
	}
	return heal.Allow(heal.Ask{Policy: e.cfg.Policy, Run: run, Incident: inc, Cause: cause, Trust: trust, Past: past,
		Busy: heal.Held(open, inc.ID), Now: now}), nil
}

func outcomesOf(checks map[prunella.SkillName][]diagnose.CheckResult) []prunella.CheckOutcome {
	var out []prunella.CheckOutcome
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		for _, c := range checks[name] {
			out = append(out, prunella.CheckOutcome{Skill: name, ID: c.Rule.ID, Title: c.Rule.Title, Read: c.Rule.Read,
				For: c.For != nil && *c.For, Against: c.Against != nil && *c.Against, Require: c.Rule.Require, Error: c.Err})
		}
	}
	return out
}

// recovered says since when every hit service has been quiet again, for an
// incident that nothing was done about since it was opened, or opened again.
func recovered(inc prunella.Incident) (since time.Time, ok bool) {
	if _, healing := inc.StateAt[prunella.Healing]; healing || !inc.Live || len(inc.Impact) == 0 {
		return since, false
	}
	for _, i := range inc.Impact {
		if i.Trend != TrendRecovered {
			return since, false
		}
		if i.QuietSince.After(since) {
			since = i.QuietSince
		}
	}
	return since, true
}

// TrendRecovered is Impact.Trend of a service whose finding ended.
const TrendRecovered = "recovered"

// settle gives the final pattern once the cause is known: the pattern of the
// skill whose fault it is, and UNKNOWN when the recognized one is another fault.
func settle(m prunella.Match, cause prunella.Cause, skills []prunella.Skill) prunella.Match {
	for _, s := range skills {
		if s.Fault != cause.Fault || s.Pattern == "" {
			continue
		}
		if m.Pattern != s.Pattern {
			m.Reason = prunella.Reason{Name: "checks-decided", Text: fmt.Sprintf("the evidence is that of %s; the first signals alone said %s", s.Pattern, m.Pattern)}
		}
		m.Pattern, m.Skill, m.Confidence = s.Pattern, s.Name, cause.Confidence
		return m
	}
	if m.Pattern == prunella.Unknown {
		return m
	}
	m.Reason = prunella.Reason{Name: "checks-spoke-against", Text: fmt.Sprintf("the first signals looked like %s, but the cause is %s, which no installed skill describes", m.Pattern, cause.Fault)}
	m.Pattern, m.Skill, m.Confidence = prunella.Unknown, "", cause.Confidence
	return m
}

// budget is how long the diagnosis may take: the likely skill's, or the patience.
func (e *Engine) budget(inc prunella.Incident, skills []prunella.Skill) time.Duration {
	for _, s := range skills {
		if s.Name == inc.Pattern.Skill && s.Budgets.Diagnosis > 0 {
			return e.cfg.scaled(s.Budgets.Diagnosis)
		}
	}
	return e.cfg.scaled(e.cfg.Patience)
}

func (e *Engine) past(ctx context.Context, id prunella.IncidentID, now time.Time) ([]heal.PastRun, error) {
	recent, err := e.store.RecentRuns(ctx, now.Add(-time.Hour))
	if err != nil {
		return nil, err
	}
	mine, err := e.store.Runs(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []heal.PastRun
	seen := map[prunella.RunID]bool{}
	for _, r := range append(mine, recent...) {
		if seen[r.ID] {
			continue
		}
		seen[r.ID] = true
		p := heal.PastRun{Incident: r.Incident, Hash: r.Hash, Unattended: r.Policy.Allowed == prunella.AllowUnattended && !r.Started.IsZero(),
			Verdict: r.Verdict, State: r.State, At: r.Created}
		for _, s := range r.Steps {
			if s.Attempt > 0 && s.Effect != prunella.Reads {
				p.Targets = append(p.Targets, s.Target)
			}
		}
		out = append(out, p)
	}
	return out, nil
}

func (e *Engine) trust(ctx context.Context, s *prunella.Skill, now time.Time) (heal.Trust, error) {
	if s == nil {
		return heal.Trust{}, nil
	}
	outcomes, err := e.store.Outcomes(ctx, s.Name)
	if err != nil {
		return heal.Trust{}, err
	}
	t := skill.TrustIn(*s, outcomes, now)
	return heal.Trust{Floor: t.Floor, Evidence: t.Alpha + t.Beta - 2, Freshness: t.Freshness}, nil
}

// keys is what the evidence says of the issuer's keys.
func (e *Engine) keys(cause prunella.Cause, snap diagnose.Snapshot) heal.Keys {
	k := heal.Keys{Issuer: e.issuerOf(cause)}
	grid := snap.Reads["trust.grid"].Result
	jwks := snap.Reads["jwks.current"].Result
	k.Signer = text(jwks["signer"])
	if k.Signer == "" {
		k.Signer = text(grid["signer"])
	}
	if len(cause.Kids) > 0 {
		k.Failing = cause.Kids[0]
	}
	if s, ok := jwks["token_lifetime_s"].(float64); ok {
		k.TokenLifetime = time.Duration(s * float64(time.Second))
	}
	for i := len(snap.Changes) - 1; i >= 0; i-- { // newest first
		c := snap.Changes[i]
		if c.Name == prunella.ChangeSigner && (c.Kid == k.Signer || k.Signer == "") && c.Before != "" {
			k.Previous, k.PreviousLastIssued = c.Before, c.At
			break
		}
		if c.Name == prunella.ChangeSigner && c.Service == k.Issuer && k.Signer != "" && c.Kid != "" {
			k.Previous = c.Kid // signed last, as far as was told; the change to today's signer is still on its way
			break
		}
	}
	if k.Previous == "" { // no change was seen; a key that signed before and that most verifiers trust
		best := 0
		states, _ := jwks["states"].(map[string]any)
		byKid, _ := grid["by_kid"].(map[string]any)
		kids := make([]string, 0, len(byKid))
		for kid := range byKid {
			kids = append(kids, kid)
		}
		sort.Strings(kids)
		for _, kid := range kids {
			row, _ := byKid[kid].(map[string]any)
			if was := text(states[kid]); was != "" && was != "previous" && was != "removed" {
				continue // it has never signed, or must not any more
			}
			if n := len(list(row["trusts"])); kid != k.Signer && n > best {
				best, k.Previous = n, kid
			}
		}
	}
	if c := cause.Change; !snap.Incident.Live && c != nil { // known from texts only
		k.Signer, k.Previous = cmp.Or(k.Signer, c.Kid), cmp.Or(k.Previous, c.Before)
	}
	if !snap.Incident.Live && k.Issuer == "" {
		k.Issuer, k.Signer = cause.Service, cmp.Or(k.Signer, k.Failing)
	}
	lacking, failed := set(grid["lacking"]), set(snap.Reads["deliveries.failed"].Result["failed"])
	refused := cause.Kids
	if c := cause.Change; c != nil && c.Name == prunella.ChangeKeyRemoved {
		refused = []string{c.Kid}
	}
	refusing := map[string]bool{}
	for _, kid := range refused {
		byKid, _ := grid["by_kid"].(map[string]any)
		row, _ := byKid[kid].(map[string]any)
		for s := range set(row["rejects"]) {
			refusing[s] = true
		}
	}
	for _, s := range e.cfg.Inventory.Services {
		if refusing[s.Name] {
			k.Refusing = append(k.Refusing, s)
		}
		if lacking[s.Name] {
			k.Lacking = append(k.Lacking, s)
		}
		if lacking[s.Name] && failed[s.Name] {
			k.Undelivered = append(k.Undelivered, s)
		}
		if iss, ok := e.cfg.Inventory.IssuerOf(s.Name); ok && iss.Name == k.Issuer && s.Canary != "" {
			k.Verifiers = append(k.Verifiers, s)
		}
	}
	if !snap.Incident.Live {
		for _, name := range cause.Services {
			s, ok := e.cfg.Inventory.ServiceNamed(name)
			if !ok {
				s = prunella.Service{Name: name}
			}
			k.Lacking = append(k.Lacking, s)
		}
		if len(k.Verifiers) == 0 {
			k.Verifiers = k.Lacking
		}
	}
	return k
}

func set(v any) map[string]bool {
	out := map[string]bool{}
	for _, s := range list(v) {
		out[text(s)] = true
	}
	return out
}

func (e *Engine) issuerOf(cause prunella.Cause) string {
	for _, i := range e.cfg.Inventory.Issuers {
		if i.Name == cause.Service {
			return i.Name
		}
	}
	for _, s := range append([]string{cause.Service}, cause.Services...) {
		if i, ok := e.cfg.Inventory.IssuerOf(s); ok {
			return i.Name
		}
	}
	return ""
}

func text(v any) string { s, _ := v.(string); return s }

func list(v any) []any { l, _ := v.([]any); return l }

func planText(run prunella.Run) string {
	var b strings.Builder
	for _, s := range run.Steps {
		if s.State == prunella.StepSkipped {
			continue
		}
		fmt.Fprintf(&b, "%d. %s (%s, %s)\n", s.Index+1, s.Name, s.Action, s.Effect)
	}
	return strings.TrimSpace(b.String())
}
