package scenario

import (
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

func (r *reader) expect(n *yaml.Node) Expect {
	var e Expect
	r.mapping(n, "expect", fields{
		"incidents":   func(n *yaml.Node) { e.Incidents = r.countRange(n, "incidents") },
		"pattern":     func(n *yaml.Node) { e.Pattern = r.texts(n, "pattern") },
		"skill":       func(n *yaml.Node) { e.Skill = r.texts(n, "skill") },
		"severity":    func(n *yaml.Node) { e.Severity = r.words(n, "severity", severities) },
		"correlation": func(n *yaml.Node) { e.Correlation = r.correlation(n) },
		"cascade":     func(n *yaml.Node) { e.Cascade = r.cascade(n) },
		"cause":       func(n *yaml.Node) { e.Cause = r.cause(n) },
		"remediation": func(n *yaml.Node) { e.Remediation = r.words(n, "remediation", remediations) },
		"verdict":     func(n *yaml.Node) { e.Verdict = r.words(n, "verdict", verdicts) },
		"steps":       func(n *yaml.Node) { e.Steps = r.steps(n) },
		"within":      func(n *yaml.Node) { e.Within = r.within(n) },
		"requests": func(n *yaml.Node) {
			r.mapping(n, "requests", fields{
				"failed_after_heal": func(n *yaml.Node) { e.Failed = new(r.integer(n, "failed_after_heal", 0)) },
				"failed_max":        func(n *yaml.Node) { e.FailedMax = new(r.integer(n, "failed_max", 0)) },
				"unharmed":          func(n *yaml.Node) { e.Unharmed = r.texts(n, "unharmed") },
			})
		},
		"facts":        func(n *yaml.Node) { e.Facts = r.facts(n) },
		"never":        func(n *yaml.Node) { e.Never = r.never(n) },
		"escalated_to": func(n *yaml.Node) { e.EscalatedTo = r.texts(n, "escalated_to") },
	})
	return e
}

// facts are names that only a running fault knows, so that none is refused here.
func (r *reader) facts(n *yaml.Node) []Fact {
	var out []Fact
	byName := r.pairs(n, "facts")
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, Fact{name, r.texts(byName[name], "facts."+name)})
	}
	if len(out) == 0 && n.Kind == yaml.MappingNode {
		r.fail(n, "write a fact, or leave the key out", "facts is empty and would assert nothing")
	}
	return out
}

func (r *reader) countRange(n *yaml.Node, what string) *Range {
	if n.Kind == yaml.ScalarNode {
		v := r.integer(n, what, 0)
		return &Range{v, v}
	}
	out := &Range{Max: -1}
	seen := r.mapping(n, what, fields{
		"min": func(n *yaml.Node) { out.Min = r.integer(n, what+".min", 0) },
		"max": func(n *yaml.Node) { out.Max = r.integer(n, what+".max", 0) },
	})
	if len(seen) == 0 && n.Kind == yaml.MappingNode || out.Max >= 0 && out.Max < out.Min {
		r.fail(n, "write a number, or {min: 1, max: 2}", "%s holds for no number or for every number", what)
	}
	return out
}

func (r *reader) correlation(n *yaml.Node) *Correlation {
	var c Correlation
	r.asserting(n, "correlation", fields{
		"linked_min":   func(n *yaml.Node) { c.LinkedMin = new(r.integer(n, "linked_min", 1)) },
		"monitors_min": func(n *yaml.Node) { c.MonitorsMin = new(r.integer(n, "monitors_min", 1)) },
		"one_incident": func(n *yaml.Node) { c.OneIncident = new(r.boolean(n, "one_incident")) },
	})
	return &c
}

func (r *reader) cascade(n *yaml.Node) *Cascade {
	var c Cascade
	r.asserting(n, "cascade", fields{
		"escalating": func(n *yaml.Node) { c.Escalating = new(r.boolean(n, "escalating")) },
		"hit":        func(n *yaml.Node) { c.Hit = r.texts(n, "hit") },
		"next":       func(n *yaml.Node) { c.Next = r.texts(n, "next") },
		"full_at": func(n *yaml.Node) {
			c.FullAt = &FullAt{Tolerance: 0.1}
			seen := r.mapping(n, "full_at", fields{
				"after":     func(n *yaml.Node) { c.FullAt.After = r.duration(n, "full_at.after") },
				"tolerance": func(n *yaml.Node) { c.FullAt.Tolerance = r.share(n, "full_at.tolerance") },
			})
			if seen["after"] == nil {
				r.fail(n, "add after: 1h", "full_at does not say when")
			}
		},
	})
	return &c
}

func (r *reader) cause(n *yaml.Node) *Cause {
	var c Cause
	r.asserting(n, "cause", fields{
		"fault":          func(n *yaml.Node) { c.Fault = r.words(n, "cause.fault", causes) },
		"not":            func(n *yaml.Node) { c.Not = r.words(n, "cause.not", causes) },
		"service":        func(n *yaml.Node) { c.Service = r.text(n, "cause.service") },
		"services":       func(n *yaml.Node) { c.Services = r.texts(n, "cause.services") },
		"kids":           func(n *yaml.Node) { c.Kids = r.texts(n, "cause.kids") },
		"evidence":       func(n *yaml.Node) { c.Evidence = r.texts(n, "cause.evidence") },
		"confidence_min": func(n *yaml.Node) { c.ConfidenceMin = new(r.share(n, "confidence_min")) },
	})
	return &c
}

func (r *reader) steps(n *yaml.Node) *Steps {
	var s Steps
	r.asserting(n, "steps", fields{
		"includes": func(n *yaml.Node) { s.Includes = r.actionNames(n, "steps.includes") },
		"excludes": func(n *yaml.Node) { s.Excludes = r.actionNames(n, "steps.excludes") },
	})
	return &s
}

func (r *reader) actionNames(n *yaml.Node, what string) []string {
	names := r.texts(n, what)
	for _, name := range names {
		r.actionName(n, name)
	}
	return names
}

func (r *reader) actionName(n *yaml.Node, name string) {
	if !actionKnown(name) {
		r.fail(n, "docs/scenarios.md lists the actions; keys.* means all that begin so", "there is no action %q", name)
	}
}

func (r *reader) within(n *yaml.Node) []Bound {
	bounds := map[string]time.Duration{}
	known := fields{}
	for _, stage := range stages {
		known[stage] = func(n *yaml.Node) { bounds[stage] = r.duration(n, "within."+stage) }
	}
	r.asserting(n, "within", known)
	var out []Bound
	for _, stage := range stages {
		if d, ok := bounds[stage]; ok {
			out = append(out, Bound{stage, d})
		}
	}
	return out
}

func (r *reader) never(n *yaml.Node) []Never {
	var out []Never
	for _, item := range r.items(n, "never") {
		var v Never
		if item.Kind == yaml.ScalarNode {
			v.Action = r.text(item, "never")
			r.actionName(item, v.Action)
		} else {
			r.asserting(item, "never", fields{
				"action": func(n *yaml.Node) { v.Action = r.text(n, "never.action"); r.actionName(n, v.Action) },
				"effect": func(n *yaml.Node) { v.Effect = r.word(n, "never.effect", effects) },
			})
			if v.Action != "" && v.Effect != "" {
				r.fail(item, "write two items", "an item of never has action or effect, not both")
			}
		}
		out = append(out, v)
	}
	if len(out) == 0 && n.Kind == yaml.SequenceNode {
		r.fail(n, "write an item, or leave the key out", "never is an empty list and would assert nothing")
	}
	return out
}

func (r *reader) after(n *yaml.Node) After {
	var a After
	r.asserting(n, "after", fields{
		"failing_share_max": func(n *yaml.Node) { a.FailingMax = new(r.share(n, "failing_share_max")) },
		"canaries":          func(n *yaml.Node) { a.Canaries = new(r.boolean(n, "canaries")) },
		"open_incidents":    func(n *yaml.Node) { a.OpenIncidents = new(r.integer(n, "open_incidents", 0)) },
		"trust": func(n *yaml.Node) {
			for _, item := range r.items(n, "trust") {
				var t TrustRule
				seen := r.mapping(item, "trust", fields{
					"kid": func(n *yaml.Node) { t.Kid = r.text(n, "kid") },
					"services": func(n *yaml.Node) {
						if t.Services = r.texts(n, "services"); len(t.Services) == 1 && t.Services[0] == "all" {
							t.Services = nil
						}
					},
				})
				if seen["kid"] == nil {
					r.fail(item, "add kid: ${fault.new_kid}", "trust has no kid")
				}
				a.Trust = append(a.Trust, t)
			}
		},
	})
	return a
}

// asserting is a mapping that must say something.
func (r *reader) asserting(n *yaml.Node, what string, known fields) {
	if seen := r.mapping(n, what, known); len(seen) == 0 && n.Kind == yaml.MappingNode {
		r.fail(n, "write a key, or leave it out", "%s is empty and would assert nothing", what)
	}
}
