package correlate

import (
	"slices"
	"sort"

	"prunella"
)

// Graph is who calls whom, how much each service matters, and whose tokens it
// verifies. Build it with NewGraph; it is not changed afterwards.
type Graph struct {
	callers     map[string][]string
	callees     map[string][]string
	criticality map[string]string
	issuer      map[string]string
	issuers     []string
	services    []string // declared, sorted; without issuers
	declared    bool
}

// NewGraph joins the declared graph and the calls that were observed.
func NewGraph(inv prunella.Inventory, learned []prunella.Edge) Graph {
	g := Graph{callers: map[string][]string{}, callees: map[string][]string{}, criticality: map[string]string{}, issuer: map[string]string{},
		declared: len(inv.Services) > 0}
	for _, i := range inv.Issuers {
		g.issuers = append(g.issuers, i.Name)
	}
	for _, s := range inv.Services {
		g.services = append(g.services, s.Name)
		g.criticality[s.Name] = s.Criticality
		if i, ok := inv.IssuerOf(s.Name); ok {
			g.issuer[s.Name] = i.Name
		}
	}
	sort.Strings(g.services)
	for _, e := range append(inv.Edges(), learned...) {
		if e.From == "" || e.To == "" || e.From == e.To || slices.Contains(g.callees[e.From], e.To) {
			continue
		}
		g.callees[e.From] = append(g.callees[e.From], e.To)
		g.callers[e.To] = append(g.callers[e.To], e.From)
	}
	for _, m := range []map[string][]string{g.callers, g.callees} {
		for k := range m {
			sort.Strings(m[k])
		}
	}
	return g
}

// Services returns the declared services, sorted.
func (g Graph) Services() []string { return g.services }

// Edges returns every call, sorted.
func (g Graph) Edges() []prunella.Edge {
	var out []prunella.Edge
	for from, tos := range g.callees {
		for _, to := range tos {
			out = append(out, prunella.Edge{From: from, To: to})
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].From < out[j].From || out[i].From == out[j].From && out[i].To < out[j].To
	})
	return out
}

// Callers returns who calls the service, Callees whom it calls; both sorted.
func (g Graph) Callers(service string) []string { return g.callers[service] }

// Callees returns whom the service calls, sorted.
func (g Graph) Callees(service string) []string { return g.callees[service] }

// Criticality returns high, normal or low; normal when it is not declared.
func (g Graph) Criticality(service string) string {
	if c := g.criticality[service]; c != "" {
		return c
	}
	return "normal"
}

// Issuer returns whose tokens a service verifies, "" when unknown. An issuer
// verifies its own.
func (g Graph) Issuer(service string) string {
	if slices.Contains(g.issuers, service) {
		return service
	}
	return g.issuer[service]
}

// Path returns the shortest way between two services along calls in either
// direction, both ends included, nil when there is none of at most that many
// hops.
func (g Graph) Path(from, to string, hops int) []string {
	if from == to {
		return []string{from}
	}
	before := map[string]string{from: ""}
	edge := []string{from}
	for ; hops > 0 && len(edge) > 0; hops-- {
		var next []string
		for _, at := range edge {
			for _, list := range [][]string{g.callers[at], g.callees[at]} {
				for _, n := range list {
					if _, seen := before[n]; seen {
						continue
					}
					before[n] = at
					if n == to {
						var path []string
						for s := to; s != ""; s = before[s] {
							path = append(path, s)
						}
						slices.Reverse(path)
						return path
					}
					next = append(next, n)
				}
			}
		}
		edge = next
	}
	return nil
}
