package scenario

import (
	"time"

	"go.yaml.in/yaml/v3"
)

func defaultGiven() Given {
	return Given{
		Steady:   Steady{Within: 30 * time.Second, FailingMax: 0.02, Baselines: true, Canaries: true},
		Engine:   Engine{TimeScale: 20},
		Operator: "absent",
	}
}

func (r *reader) given(n *yaml.Node, g *Given) {
	r.mapping(n, "given", fields{
		"world":    func(n *yaml.Node) { r.world(n, &g.World) },
		"services": func(n *yaml.Node) { g.Services = r.declared(n) },
		"steady":   func(n *yaml.Node) { r.steady(n, &g.Steady) },
		"engine":   func(n *yaml.Node) { r.engine(n, &g.Engine) },
		"operator": func(n *yaml.Node) { g.Operator = r.word(n, "operator", operators) },
	})
}

func (r *reader) world(n *yaml.Node, w *World) {
	r.mapping(n, "given.world", fields{
		"profile":        func(n *yaml.Node) { w.Profile = r.word(n, "profile", profiles) },
		"services":       func(n *yaml.Node) { w.Services = r.integer(n, "services", 1) },
		"verifiers":      func(n *yaml.Node) { w.Verifiers = r.verifiers(n) },
		"cache_ttl":      func(n *yaml.Node) { w.CacheTTL = r.duration(n, "cache_ttl") },
		"alg":            func(n *yaml.Node) { w.Alg = r.word(n, "alg", []string{"RS256", "ES256"}) },
		"token_lifetime": func(n *yaml.Node) { w.TokenLifetime = r.duration(n, "token_lifetime") },
		"next_published": func(n *yaml.Node) { w.NextPublished = new(r.boolean(n, "next_published")) },
		"rate":           func(n *yaml.Node) { w.Rate = r.number(n, "rate", 1) },
		"sessions":       func(n *yaml.Node) { w.Sessions = r.integer(n, "sessions", 1) },
		"noise":          func(n *yaml.Node) { w.Noise = r.share(n, "noise") },
		"processes":      func(n *yaml.Node) { w.Processes = r.boolean(n, "processes") },
	})
}

// verifiers is one kind for all services, or a mapping of service to kind.
func (r *reader) verifiers(n *yaml.Node) map[string]string {
	if n.Kind == yaml.ScalarNode {
		return map[string]string{"all": r.word(n, "verifiers", verifierKinds())}
	}
	out := map[string]string{}
	for service, kind := range r.pairs(n, "verifiers") {
		out[service] = r.word(kind, "verifiers."+service, verifierKinds())
	}
	return out
}

func (r *reader) declared(n *yaml.Node) []Declared {
	var out []Declared
	for _, item := range r.items(n, "given.services") {
		if item.Kind == yaml.ScalarNode {
			out = append(out, Declared{Name: r.text(item, "given.services")})
			continue
		}
		var d Declared
		seen := r.mapping(item, "a service", fields{
			"name":        func(n *yaml.Node) { d.Name = r.text(n, "name") },
			"criticality": func(n *yaml.Node) { d.Criticality = r.word(n, "criticality", []string{"high", "normal", "low"}) },
			"owner":       func(n *yaml.Node) { d.Owner = r.text(n, "owner") },
			"calls":       func(n *yaml.Node) { d.Calls = r.texts(n, "calls") },
		})
		if seen["name"] == nil && item.Kind == yaml.MappingNode {
			r.fail(item, "add name: …", "a service has no name")
		}
		out = append(out, d)
	}
	return out
}

func (r *reader) steady(n *yaml.Node, s *Steady) {
	r.mapping(n, "given.steady", fields{
		"within":            func(n *yaml.Node) { s.Within = r.duration(n, "steady.within") },
		"failing_share_max": func(n *yaml.Node) { s.FailingMax = r.share(n, "steady.failing_share_max") },
		"baselines":         func(n *yaml.Node) { s.Baselines = r.boolean(n, "steady.baselines") },
		"canaries":          func(n *yaml.Node) { s.Canaries = r.boolean(n, "steady.canaries") },
	})
}

func (r *reader) engine(n *yaml.Node, e *Engine) {
	r.mapping(n, "given.engine", fields{
		"time_scale": func(n *yaml.Node) { e.TimeScale = r.number(n, "time_scale", 1) },
		"policy": func(n *yaml.Node) {
			p := &e.Policy
			r.mapping(n, "policy", fields{
				"autonomy":      func(n *yaml.Node) { p.Autonomy = r.word(n, "policy.autonomy", autonomies) },
				"generic":       func(n *yaml.Node) { p.Generic = r.word(n, "policy.generic", autonomies) },
				"min_floor":     func(n *yaml.Node) { p.MinFloor = new(r.share(n, "policy.min_floor")) },
				"min_evidence":  func(n *yaml.Node) { p.MinEvidence = new(r.number(n, "policy.min_evidence", 0)) },
				"require_fresh": func(n *yaml.Node) { p.RequireFresh = new(r.boolean(n, "policy.require_fresh")) },
				"approval_ttl":  func(n *yaml.Node) { p.ApprovalTTL = r.duration(n, "policy.approval_ttl") },
			})
		},
	})
}
