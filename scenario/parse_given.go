package scenario

import (
	"time"

	"go.yaml.in/yaml/v3"
)

func defaultGiven() Given {
	return Given{
		Steady:   Steady{Within: time.Minute, FailingMax: 0.02, Baselines: true, Canaries: true},
		Engine:   Engine{TimeScale: 20},
		Operator: "absent",
	}
}

func (r *reader) given(n *yaml.Node, g *Given) {
	r.mapping(n, "given", fields{
		"world":    func(n *yaml.Node) { r.world(n, &g.World) },
		"services": func(n *yaml.Node) { g.Services = r.services(n, false) },
		"steady":   func(n *yaml.Node) { r.steady(n, &g.Steady) },
		"engine":   func(n *yaml.Node) { r.engine(n, &g.Engine) },
		"operator": func(n *yaml.Node) { g.Operator = r.word(n, "operator", operators) },
	})
}

func (r *reader) world(n *yaml.Node, w *World) {
	r.mapping(n, "given.world", fields{
		"profile": func(n *yaml.Node) { w.Profile = r.word(n, "profile", profiles) },
		"services": func(n *yaml.Node) {
			if n.Kind == yaml.ScalarNode {
				w.Services = r.integer(n, "services", 1)
				return
			}
			w.Named = r.services(n, true)
		},
		"issuer":         func(n *yaml.Node) { w.Issuer = r.word(n, "issuer", []string{"manual", "rotation"}) },
		"keyset":         func(n *yaml.Node) { w.Keyset = r.text(n, "keyset") },
		"alg":            func(n *yaml.Node) { w.Alg = r.word(n, "alg", []string{"RS256", "ES256"}) },
		"token_lifetime": func(n *yaml.Node) { w.TokenLifetime = r.duration(n, "token_lifetime") },
		"next_published": func(n *yaml.Node) { w.NextPublished = new(r.boolean(n, "next_published")) },
		"rate":           func(n *yaml.Node) { w.Rate = r.number(n, "rate", 1) },
		"sessions":       func(n *yaml.Node) { w.Sessions = r.integer(n, "sessions", 1) },
		"noise":          func(n *yaml.Node) { w.Noise = r.share(n, "noise") },
		"processes":      func(n *yaml.Node) { w.Processes = r.boolean(n, "processes") },
	})
}

// services are those of a world, or those that an operator declared.
func (r *reader) services(n *yaml.Node, live bool) []Service {
	var out []Service
	for _, item := range r.items(n, "services") {
		if item.Kind == yaml.ScalarNode && !live {
			out = append(out, Service{Name: r.text(item, "a service's name")})
			continue
		}
		var v Service
		known := fields{
			"name":        func(n *yaml.Node) { v.Name = r.text(n, "name") },
			"criticality": func(n *yaml.Node) { v.Criticality = r.word(n, "criticality", []string{"high", "normal", "low"}) },
			"owner":       func(n *yaml.Node) { v.Owner = r.text(n, "owner") },
		}
		must := []string{"name"}
		if live {
			known["verifier"] = func(n *yaml.Node) { v.Verifier = r.word(n, "verifier", verifierKinds()) }
			known["cache_ttl"] = func(n *yaml.Node) { v.CacheTTL = r.duration(n, "cache_ttl") }
			must = append(must, "verifier")
		} else {
			known["calls"] = func(n *yaml.Node) { v.Calls = r.texts(n, "calls") }
		}
		seen := r.mapping(item, "a service", known)
		for _, key := range must {
			if seen[key] == nil && item.Kind == yaml.MappingNode {
				r.fail(item, "add "+key+": …", "a service has no %s", key)
			}
		}
		out = append(out, v)
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
