package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"prunella"
	"prunella/condition"
)

// escalate hands an incident to people, with the evidence so far. Automation
// stops until they hand it back.
func (e *Engine) escalate(ctx context.Context, inc prunella.Incident, run *prunella.Run, why prunella.Reason, also func(*prunella.Incident) error) error {
	return e.escalateWith(ctx, inc, run, why, Change{Apply: also})
}

func (e *Engine) escalateWith(ctx context.Context, inc prunella.Incident, run *prunella.Run, why prunella.Reason, c Change) error {
	verdict := prunella.Verdict("")
	if run != nil {
		verdict = run.Verdict
	}
	calls := e.whom(inc, run, verdict)
	also := c.Apply
	c.Apply = func(i *prunella.Incident) error {
		if verdict != "" {
			i.Verdict, i.VerdictReason = verdict, why
		}
		if also != nil {
			return also(i)
		}
		return nil
	}
	now := time.Now()
	for _, call := range calls {
		text := why.Text + "\n\n" + summary(inc)
		if call.reason != "" {
			text = call.reason + "\n\n" + text
		}
		r := prunella.Reason{Name: why.Name, Text: strings.TrimSpace(call.reason + " " + why.Text), Operands: why.Operands}
		c.Notifications = append(c.Notifications, e.notification(inc, "escalated", call.to, "Needs you: "+inc.Title, text, r))
		c.Events = append(c.Events, prunella.Event{Incident: inc.ID, At: now, Kind: "escalation", Text: fmt.Sprintf("%s was called: %s", call.to, r.Text), Reason: r})
	}
	_, err := e.move(ctx, inc, prunella.Escalated, why, c)
	return err
}

type call struct{ to, reason string }

// whom lists who must know: the skill's rules whose condition holds, its
// primary otherwise, the owner of the service at fault, and the on-call person
// when nobody else is named. Never nobody.
func (e *Engine) whom(inc prunella.Incident, run *prunella.Run, verdict prunella.Verdict) []call {
	name := inc.Pattern.Skill
	if run != nil && run.Skill != "" {
		name = run.Skill
	}
	var calls, primary []call
	seen := map[string]bool{}
	add := func(list *[]call, to, reason string) {
		if to != "" && !seen[to] {
			seen[to] = true
			*list = append(*list, call{to, reason})
		}
	}
	if s, ok := e.skill(name); ok && name != "" {
		vars := map[string]any{"incident": incidentVars(inc), "cause": causeVars(inc), "checks": checkVars(inc, s.Name),
			"verdict": string(verdict), "state": string(inc.State)}
		for _, r := range s.Escalations {
			if r.When != "" {
				p, err := condition.Compile(r.When, condition.Escalate)
				if err != nil {
					e.log.Warn("escalation rule", "skill", s.Path, "line", r.Line, "err", err)
					continue
				}
				if holds, err := p.Eval(vars); err != nil || !holds {
					continue
				}
			}
			if r.Primary || r.When == "" {
				primary = append(primary, call{addressee(r.To, inc), r.Reason})
				continue
			}
			add(&calls, addressee(r.To, inc), r.Reason)
		}
	}
	if len(inc.Causes) > 0 {
		c := inc.Causes[0]
		if c.Change != nil && c.Change.Name == prunella.ChangeDeploy && c.Change.Author != "" {
			add(&calls, "@"+strings.TrimPrefix(c.Change.Author, "@"), "your release "+c.Change.Version+" came before this failure.")
		}
		if iss, ok := e.cfg.Inventory.IssuerOf(c.Service); ok && iss.Vendor != "" && (c.Fault == prunella.FaultVendorDown || c.Fault == prunella.FaultJWKSDown) {
			add(&calls, "vendor:"+iss.Vendor, "the issuer does not answer.")
		}
	}
	for _, p := range primary {
		add(&calls, p.to, p.reason)
	}
	if len(inc.Causes) > 0 {
		if s, ok := e.cfg.Inventory.ServiceNamed(inc.Causes[0].Service); ok {
			add(&calls, s.Owner, "")
		}
	}
	if len(calls) == 0 {
		add(&calls, "@oncall", "")
	}
	return calls
}

// addressee resolves a role to a person where the incident tells who that is.
func addressee(to string, inc prunella.Incident) string {
	if to == "owner:release" && len(inc.Causes) > 0 {
		if c := inc.Causes[0].Change; c != nil && c.Name == prunella.ChangeDeploy && c.Author != "" {
			return "@" + strings.TrimPrefix(c.Author, "@")
		}
	}
	return to
}

// checkVars are a skill's check outcomes by id, as conditions see them.
func checkVars(inc prunella.Incident, name prunella.SkillName) map[string]any {
	out := map[string]any{}
	for _, c := range inc.Checks {
		if c.Skill == name {
			out[c.ID] = map[string]any{"for": c.For, "against": c.Against, "error": c.Error}
		}
	}
	return out
}

func (e *Engine) notification(inc prunella.Incident, kind, to, title, text string, why prunella.Reason) prunella.Notification {
	now := time.Now()
	if e.cfg.PublicURL != "" {
		text += "\n\n" + e.cfg.PublicURL + "/incidents/" + string(inc.ID)
	}
	return prunella.Notification{
		// One per incident, kind, addressee and stage, so that a stage that runs
		// again after a crash does not call twice. A stage entered anew, after a
		// recurrence or a hand-back, calls again.
		ID:       fmt.Sprintf("%s/%s/%s/%d/%s/%s", inc.ID, kind, to, inc.Recurrences, why.Name, entered(inc)),
		Incident: inc.ID, To: to, Kind: kind, Severity: inc.Severity, Title: title, Text: text, Reason: why, Created: now, NextTry: now,
	}
}

// entered names the moment at which an incident came to its present state.
func entered(inc prunella.Incident) string {
	if at := inc.StateAt[inc.State]; !at.IsZero() {
		return base36(at.UnixMilli())
	}
	return "0"
}

// summary is the evidence so far in a few lines, for a person's phone.
func summary(inc prunella.Incident) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s since %s.", inc.Title, inc.Severity, inc.Onset.UTC().Format("15:04:05 UTC"))
	if len(inc.Causes) > 0 {
		c := inc.Causes[0]
		fmt.Fprintf(&b, "\nCause (%.0f %%): %s", 100*c.Confidence, c.Summary)
		for i, ev := range c.For {
			if i == 4 {
				break
			}
			fmt.Fprintf(&b, "\n+ %s", ev.Text)
		}
		for i, ev := range c.Against {
			if i == 2 {
				break
			}
			fmt.Fprintf(&b, "\n- %s", ev.Text)
		}
		if c.Advice != "" {
			fmt.Fprintf(&b, "\nNext: %s", c.Advice)
		}
	} else {
		b.WriteString("\nNo cause was found yet.")
	}
	return b.String()
}

// incidentVars and causeVars are what conditions see of an incident.
func incidentVars(inc prunella.Incident) map[string]any {
	services := make([]any, 0, len(inc.Impact))
	for _, i := range inc.Impact {
		services = append(services, i.Service)
	}
	return map[string]any{"id": string(inc.ID), "onset_unix": float64(inc.Onset.Unix()), "severity": string(inc.Severity),
		"services": services, "pattern": inc.Pattern.Pattern, "state": string(inc.State), "attempts": float64(inc.Attempts)}
}

func causeVars(inc prunella.Incident) map[string]any {
	if len(inc.Causes) == 0 {
		return map[string]any{"service": "", "fault": "", "services": []any{}, "kids": []any{}, "confidence": 0.0}
	}
	c := inc.Causes[0]
	list := func(in []string) []any {
		out := make([]any, 0, len(in))
		for _, s := range in {
			out = append(out, s)
		}
		return out
	}
	return map[string]any{"service": c.Service, "fault": string(c.Fault), "services": list(c.Services), "kids": list(c.Kids), "confidence": c.Confidence}
}
