package diagnose

import (
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"prunella"
)

// view is a Snapshot with its JSON-like reads turned into typed values and the
// changes of all sources merged.
type view struct {
	s     Snapshot
	facts Facts

	failing []string // services that fail, sorted
	kids    []string // kids of refused tokens, sorted

	jwks struct {
		ok, reachable bool
		err           string
		kids          []string
		signer        string
		named         map[string]bool // kid -> is its thumbprint
	}
	grid struct {
		ok                          bool
		signer                      string
		kids                        []string
		trusts, rejects             map[string][]string // kid -> services
		refusing, trusting, unknown []string            // who refuses a canary of the signer, for whatever reason
		reasons                     map[string]string
	}
	deliveries struct {
		ok                bool
		failed, delivered []string
		errors            map[string]string
	}
	releases struct{ ok bool }
	keys     struct{ ok bool }
	vendor   struct {
		ok, down               bool
		indicator, description string
	}
	clocks struct {
		ok      bool
		offsets map[string]float64
	}
	missing []gap // reads that say nothing
	changes []prunella.Change
}

// gap is a read that was wanted and says nothing.
type gap struct{ name, why string }

func look(s Snapshot) *view {
	v := &view{s: s, facts: s.Facts}
	if len(v.facts.Texts) == 0 && len(s.Texts) > 0 {
		v.facts = ExtractFacts(s.Texts, serviceNames(s.Inventory)...)
	}
	v.readAll()
	v.mergeChanges()
	v.findFailing()
	v.narrow()
	return v
}

func serviceNames(inv prunella.Inventory) []string {
	var out []string
	for _, s := range inv.Services {
		out = append(out, s.Name)
	}
	for _, i := range inv.Issuers {
		out = append(out, i.Name)
	}
	return sorted(out)
}

// measured says whether anything of the live world was looked at.
func (v *view) measured() bool { return v.s.Incident.Live || len(v.s.Reads) > 0 }

func (v *view) read(name string) (map[string]any, bool) {
	r, there := v.s.Reads[name]
	switch {
	case !there:
		if v.measured() {
			v.missing = append(v.missing, gap{name, "not read"})
		}
	case r.Err != "":
		v.missing = append(v.missing, gap{name, r.Err})
	default:
		if known, stated := r.Result["known"].(bool); stated && !known {
			v.missing = append(v.missing, gap{name, first(text(r.Result["reason"]), "does not know")})
			return nil, false
		}
		return r.Result, r.Result != nil
	}
	return nil, false
}

func (v *view) readAll() {
	if m, ok := v.read(readJWKS); ok {
		j := &v.jwks
		j.ok, j.reachable, j.err = true, flag(m["reachable"]), text(m["error"])
		j.kids, j.signer = list(m["kids"]), text(m["signer"])
		j.named = map[string]bool{}
		for kid, is := range dict(m["kid_is_thumbprint"]) {
			j.named[kid] = flag(is)
		}
	}
	if m, ok := v.read(readGrid); ok {
		g := &v.grid
		g.signer, g.kids = text(m["signer"]), list(m["kids"])
		g.refusing, g.trusting, g.unknown = list(m["lacking"]), list(m["trusting"]), list(m["unknown"])
		g.trusts, g.rejects = map[string][]string{}, map[string][]string{}
		for kid, cells := range dict(m["by_kid"]) {
			g.trusts[kid], g.rejects[kid] = list(dict(cells)["trusts"]), list(dict(cells)["rejects"])
		}
		g.reasons = map[string]string{}
		for service, why := range dict(m["reasons"]) {
			g.reasons[service] = text(why)
		}
		for service, why := range dict(m["refusing_otherwise"]) { // for a claim, not for the key
			g.refusing = append(g.refusing, service)
			g.reasons[service] = first(text(why), g.reasons[service])
		}
		g.refusing = sorted(g.refusing)
		g.ok = len(g.refusing)+len(g.trusting) > 0
		if !g.ok {
			v.missing = append(v.missing, gap{readGrid, first(text(m["error"]), "no verifier answered its canary")})
		}
	}
	if _, ok := v.read(readChanges); ok {
		v.keys.ok = true
	}
	if _, ok := v.read(readReleases); ok {
		v.releases.ok = true
	}
	if m, ok := v.read(readDeliveries); ok {
		d := &v.deliveries
		d.ok, d.failed, d.delivered = true, list(m["failed"]), list(m["delivered"])
		d.errors = map[string]string{}
		for service, why := range dict(m["errors"]) {
			d.errors[service] = text(why)
		}
	}
	if m, ok := v.read(readClocks); ok {
		v.clocks.offsets = map[string]float64{}
		for service, s := range dict(m["offsets_s"]) {
			if x, isNumber := number64(s); isNumber {
				v.clocks.offsets[service] = x
			}
		}
		v.clocks.ok = len(v.clocks.offsets) > 0
		if !v.clocks.ok {
			v.missing = append(v.missing, gap{readClocks, "no service told its time"})
		}
	}
	if m, ok := v.read(readVendor); ok {
		v.vendor.ok, v.vendor.down = true, flag(m["down"])
		v.vendor.indicator, v.vendor.description = text(m["indicator"]), text(m["description"])
	}
	v.read(readErrors)
}

// mergeChanges joins the changes of the snapshot with those of the reads, each
// once, oldest first.
func (v *view) mergeChanges() {
	onset := v.s.Incident.Onset
	type dated struct {
		prunella.Change
		slack time.Duration // how uncertain its time is
	}
	var all []dated
	if v.keys.ok {
		for _, e := range items(v.s.Reads[readChanges].Result["changes"]) {
			c := dated{prunella.Change{Name: text(e["name"]), Kid: text(e["kid"]), Before: text(e["before"]), Service: first(text(e["issuer"]), text(e["service"]))}, 0}
			at, ok := moment(e["at"])
			if before, isNumber := number64(e["before_onset_s"]); isNumber && !onset.IsZero() { // it allows for polling
				c.slack = at.Sub(onset.Add(-seconds(before))).Abs()
				if !ok {
					c.slack = 0
				}
				at, ok = onset.Add(-seconds(before)), true
			}
			if c.At = at; ok && c.Name != "" {
				all = append(all, c)
			}
		}
	}
	if v.releases.ok {
		for _, e := range items(v.s.Reads[readReleases].Result["releases"]) {
			c := prunella.Change{Name: prunella.ChangeDeploy, Service: text(e["service"]), Version: text(e["tag"]), Author: text(e["author"])}
			at, ok := moment(e["published_at"])
			if age, isNumber := number64(e["age_s"]); !ok && isNumber { // counted from the onset
				at, ok = onset.Add(-seconds(age)), !onset.IsZero()
			}
			if c.At = at; ok {
				all = append(all, dated{c, 0})
			}
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return changeLess(all[i].Change, all[j].Change) })
	reads := len(all)
	changes := slices.Clone(v.s.Changes)
	sort.SliceStable(changes, func(i, j int) bool { return changeLess(changes[i], changes[j]) })
	for _, c := range changes {
		all = append(all, dated{c, 0})
	}
	var kept []dated
	for i, c := range all {
		same := slices.IndexFunc(kept, func(o dated) bool {
			return o.Name == c.Name && o.Kid == c.Kid && o.Version == c.Version &&
				(o.Service == c.Service || o.Service == "" || c.Service == "") && o.At.Sub(c.At).Abs() < 3*time.Second+o.slack
		})
		if same < 0 || i < reads {
			kept = append(kept, c)
			continue
		}
		o := &kept[same]
		o.Service, o.Before, o.Author = first(o.Service, c.Service), first(o.Before, c.Before), first(o.Author, c.Author)
		if o.Signal == "" {
			o.Signal = c.Signal
		}
	}
	for _, c := range kept {
		v.changes = append(v.changes, c.Change)
	}
	sort.SliceStable(v.changes, func(i, j int) bool { return changeLess(v.changes[i], v.changes[j]) })
}

func changeLess(a, b prunella.Change) bool {
	if !a.At.Equal(b.At) {
		return a.At.Before(b.At)
	}
	ka := strings.Join([]string{a.Name, a.Kid, a.Service, a.Version, a.Before, a.Author, string(a.Signal)}, "\x00")
	kb := strings.Join([]string{b.Name, b.Kid, b.Service, b.Version, b.Before, b.Author, string(b.Signal)}, "\x00")
	return ka < kb
}

// findFailing collects who fails and the kids of the refused tokens.
func (v *view) findFailing() {
	for _, i := range v.s.Incident.Impact {
		// In a live world a row without counted requests is there because a probe said so.
		if i.Service != "" && (i.Share > i.Baseline || i.Failed > 0 || i.Stated || i.Total == 0 && v.s.Incident.Live) {
			v.failing = append(v.failing, i.Service)
		}
	}
	if len(v.failing) == 0 {
		for service, x := range dict(v.s.Reads[readErrors].Result["by_service"]) {
			if share, ok := number64(x); ok && share > 0.01 && v.s.Reads[readErrors].Err == "" {
				v.failing = append(v.failing, service)
			}
		}
	}
	if len(v.failing) == 0 || !v.measured() {
		v.failing = append(v.failing, v.facts.FailingServices()...)
	}
	if len(v.failing) == 0 && !v.measured() { // told of, in words that say nothing of how
		for _, i := range v.s.Incident.Impact {
			if i.Service != "" {
				v.failing = append(v.failing, i.Service)
			}
		}
	}
	v.failing = sorted(v.failing)

	v.kids = v.facts.KidsWith(RoleFailing)
	for _, t := range v.s.Incident.Tokens {
		if kid, ok := strings.CutPrefix(t, "kid:"); ok && kid != "" && !v.otherRole(kid) {
			v.kids = append(v.kids, kid)
		}
	}
	for _, results := range v.s.Checks {
		for _, c := range results {
			if c.Rule.Read == readLogs && c.Err == "" && c.Read.Err == "" {
				v.kids = append(v.kids, v.notOther(list(c.Read.Result["kids"]))...)
			}
		}
	}
	if r, ok := v.s.Reads[readLogs]; ok && r.Err == "" {
		v.kids = append(v.kids, v.notOther(list(r.Result["kids"]))...)
	}
	v.kids = sorted(v.kids)
}

// otherRole says whether texts give a kid a part, and not that of a failing one.
func (v *view) otherRole(kid string) bool {
	i := slices.IndexFunc(v.facts.Kids, func(k KidFact) bool { return k.Kid == kid })
	return i >= 0 && len(v.facts.Kids[i].Roles) > 0 && !slices.Contains(v.facts.Kids[i].Roles, RoleFailing)
}

func (v *view) notOther(kids []string) []string {
	return slices.DeleteFunc(slices.Clone(kids), v.otherRole)
}

// everSeen returns the kids that the issuer is known to have had.
func (v *view) everSeen() map[string]bool {
	seen := map[string]bool{}
	for _, k := range v.jwks.kids {
		seen[k] = true
	}
	for _, k := range v.grid.kids {
		seen[k] = true
	}
	for _, k := range []string{v.jwks.signer, v.grid.signer} {
		seen[k] = true
	}
	for _, c := range v.changes {
		seen[c.Kid], seen[c.Before] = true, true
	}
	for _, r := range []Role{RoleNew, RoleOld, RoleActive, RoleRemoved} {
		for _, k := range v.facts.KidsWith(r) {
			seen[k] = true
		}
	}
	delete(seen, "")
	return seen
}

func (v *view) signer() string { return first(v.grid.signer, v.jwks.signer) }

func (v *view) published(kid string) bool { return slices.Contains(v.jwks.kids, kid) }

// issuer names who issues the tokens that fail.
func (v *view) issuer() string {
	for _, s := range v.failing {
		if i, ok := v.s.Inventory.IssuerOf(s); ok {
			return i.Name
		}
	}
	if len(v.s.Inventory.Issuers) > 0 {
		return v.s.Inventory.Issuers[0].Name
	}
	for _, c := range v.changes {
		if isKeyChange(c) && c.Service != "" {
			return c.Service
		}
	}
	return v.facts.Issuer
}

func isKeyChange(c prunella.Change) bool { return strings.HasPrefix(c.Name, "keyset.") }

func first(in ...string) string {
	for _, s := range in {
		if s != "" {
			return s
		}
	}
	return ""
}

func seconds(x float64) time.Duration {
	const most = 1e9 // 31 years, far from overflow
	return time.Duration(math.Max(-most, math.Min(most, x)) * float64(time.Second))
}

// JSON-like values as typed ones; what has another shape is the zero value.

func text(x any) string { s, _ := x.(string); return s }

func flag(x any) bool { b, _ := x.(bool); return b }

func dict(x any) map[string]any {
	switch m := x.(type) {
	case map[string]any:
		return m
	case map[string]string:
		out := map[string]any{}
		for k, s := range m {
			out[k] = s
		}
		return out
	case map[string]float64:
		out := map[string]any{}
		for k, f := range m {
			out[k] = f
		}
		return out
	case map[string]bool:
		out := map[string]any{}
		for k, b := range m {
			out[k] = b
		}
		return out
	}
	return nil
}

func list(x any) []string {
	switch l := x.(type) {
	case []string:
		return sorted(l)
	case []any:
		var out []string
		for _, e := range l {
			if s := text(e); s != "" {
				out = append(out, s)
			}
		}
		return sorted(out)
	}
	return nil
}

func items(x any) []map[string]any {
	switch l := x.(type) {
	case []map[string]any:
		return l
	case []any:
		var out []map[string]any
		for _, e := range l {
			if m := dict(e); m != nil {
				out = append(out, m)
			}
		}
		return out
	}
	return nil
}

func number64(x any) (float64, bool) {
	switch n := x.(type) {
	case float64:
		return n, !math.IsNaN(n)
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	}
	return 0, false
}

func moment(x any) (time.Time, bool) {
	switch t := x.(type) {
	case time.Time:
		return t, !t.IsZero()
	case string:
		at, err := time.Parse(time.RFC3339Nano, t)
		return at, err == nil
	case float64:
		if t > 1e8 && t < 1e11 {
			return time.Unix(0, int64(t*1e9)).UTC(), true
		}
	}
	return time.Time{}, false
}

// narrow leaves out services that this incident does not hit and that refuse
// our canaries for another kind of reason than those that it hits: a claim (a
// time, an audience, an issuer) where it is about keys, a key where it is about
// claims. They are another incident's. Of the same kind all count, since the
// others may not have met such tokens yet.
func (v *view) narrow() {
	mine, r := intersect(v.failing, v.grid.refusing), v.refused()
	claims := slices.Concat(r.times, r.audience, r.issuer)
	inClaims := len(intersect(mine, claims))
	if inClaims > 0 && inClaims < len(mine) || len(mine) == 0 {
		return // one incident of both kinds, or of neither
	}
	v.grid.refusing = slices.DeleteFunc(slices.Clone(v.grid.refusing), func(s string) bool {
		return !slices.Contains(mine, s) && slices.Contains(claims, s) != (inClaims > 0)
	})
	if inClaims > 0 {
		v.deliveries.failed = intersect(v.deliveries.failed, v.failing)
	}
}
