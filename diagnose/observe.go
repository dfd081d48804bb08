package diagnose

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"prunella"
	"prunella/said"
)

// observation is one row of the table that holds, with how strongly it holds.
type observation struct {
	row      string
	strength float64 // 0 to 1.3
	text     string
	source   string
	signals  []prunella.SignalID
	at       time.Time
}

// observe returns every row of the table that the view supports, in a fixed order.
func observe(v *view) []observation {
	var out []observation
	out = append(out, v.observeKeys()...)
	out = append(out, v.observeKids()...)
	out = append(out, v.observeChanges()...)
	out = append(out, v.observeDeliveries()...)
	out = append(out, v.observeClocks()...)
	out = append(out, v.observeVendor()...)
	out = append(out, v.observeTexts()...)
	out = slices.DeleteFunc(out, func(o observation) bool { return o.strength <= 0 })
	sort.SliceStable(out, func(i, j int) bool { return out[i].row < out[j].row })
	return out
}

func (v *view) seen(row, read string, strength float64, format string, args ...any) observation {
	o := observation{row: row, strength: strength, text: fmt.Sprintf(format, args...), source: read}
	if r, ok := v.s.Reads[read]; ok {
		o.at = r.At
	}
	return o
}

// refusals are the services that refuse the signer, by what they say about it.
type refusals struct {
	key, signature, times, audience, issuer, fetch, server, vague []string
}

// classList is where a service goes whose refusal has a class.
type classList struct {
	class said.Class
	list  *[]string
}

// byClass is in the order in which a refusal of several classes is taken.
func (r *refusals) byClass() []classList {
	return []classList{
		{said.UnknownKid, &r.key},
		{said.BadSignature, &r.signature},
		{said.NotYetValid, &r.times}, {said.Expired, &r.times},
		{said.Audience, &r.audience},
		{said.Issuer, &r.issuer},
		{said.FetchFailed, &r.fetch}, {said.Refused, &r.fetch},
		{said.ServerError, &r.server},
	}
}

// refused sorts the services that refuse the signer by their reason; a reason
// without a meaning is looked up in the service's own texts.
func (v *view) refused() refusals {
	var r refusals
	material := v.materialChanged() != nil
	for _, s := range v.grid.refusing {
		classes, _ := said.In(v.grid.reasons[s])
		if len(classes) == 0 {
			classes = v.classesOf(s)
		}
		put := &r.vague
		if material {
			put = &r.signature
		}
		for _, to := range r.byClass() {
			if slices.Contains(classes, to.class) {
				put = to.list
				break
			}
		}
		*put = append(*put, s)
	}
	return r
}

// classesOf returns the classes of the texts of one service, most counted first.
func (v *view) classesOf(service string) []said.Class {
	count := map[said.Class]int{}
	for _, t := range v.facts.Texts {
		if slices.Contains(t.source.Services, service) {
			for _, c := range t.Classes {
				count[c] += t.Count
			}
		}
	}
	var out []said.Class
	for c := range count {
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool {
		return count[out[i]] > count[out[j]] || count[out[i]] == count[out[j]] && out[i] < out[j]
	})
	if len(out) > 1 {
		out = out[:1]
	}
	return out
}

// lacking are the services whose refusal of the signer is one of the key itself.
func (v *view) lacking() []string {
	r := v.refused()
	out := slices.Clone(r.key)
	for _, s := range slices.Concat(r.vague, r.fetch, r.signature) {
		signature := slices.Contains(r.signature, s)
		switch {
		case signature && v.materialChanged() != nil:
		case v.trustsOther(s): // some libraries call an unknown key a wrong signature
			out = append(out, s)
		case slices.Contains(r.vague, s) && !v.rejectsAll(s):
			out = append(out, s)
		}
	}
	return sorted(out)
}

func (v *view) trustsOther(service string) bool {
	for kid, services := range v.grid.trusts {
		if kid != v.grid.signer && slices.Contains(services, service) {
			return true
		}
	}
	return false
}

// rejectsAll says whether a service refused two kids or more and trusts none.
func (v *view) rejectsAll(service string) bool {
	n := 0
	for _, services := range v.grid.rejects {
		if slices.Contains(services, service) {
			n++
		}
	}
	for _, services := range v.grid.trusts {
		if slices.Contains(services, service) {
			return false
		}
	}
	return n >= 2
}

func (v *view) observeKeys() []observation {
	var out []observation
	if v.jwks.ok {
		if v.jwks.reachable {
			out = append(out, v.seen("jwks-reachable", readJWKS, 1, "The published key set answers with %s.", plural(len(v.jwks.kids), "key")))
		} else {
			out = append(out, v.seen("jwks-unreachable", readJWKS, 1, "The published key set cannot be fetched%s.", because(v.jwks.err)))
		}
	}
	if !v.grid.ok {
		return out
	}
	signer := v.signer()
	total := len(v.grid.refusing) + len(v.grid.trusting)
	if len(v.grid.refusing) == 0 {
		share := 1.0
		if len(v.failing) > 0 {
			if both := intersect(v.failing, v.grid.trusting); len(both) < len(v.failing) {
				share = float64(len(both)) / float64(len(v.failing))
			}
			if len(intersect(v.failing, append(slices.Clone(v.grid.trusting), v.grid.unknown...))) == 0 {
				share = 0.7 // those that fail have no canary, but everybody who has one trusts the signer
			}
		} else if len(v.grid.unknown) > 0 {
			share = float64(total) / float64(total+len(v.grid.unknown))
		}
		out = append(out, v.seen("canaries-pass", readGrid, share, "Canary tokens signed with %s are accepted by %s.", v.kid(signer), names3(v.grid.trusting)))
	}
	r, lack := v.refused(), v.lacking()
	part := func(s []string) float64 { return share(len(s), len(v.grid.refusing)) }
	if l := lack; len(l) > 0 {
		vague := intersect(l, r.vague)
		strength := part(l)
		if len(vague) == len(l) && len(intersect(l, v.olderTrusting(l))) == 0 {
			strength *= 0.6
		}
		switch {
		case v.jwks.ok && v.jwks.reachable && v.published(signer):
			out = append(out, v.seen("published-key-lacked", readGrid, strength, "The key set publishes %s, yet %d of %d services refuse it: %s.", v.kid(signer), len(l), total, names3(l)))
		case v.jwks.ok && v.jwks.reachable:
		default:
			out = append(out, v.seen("key-lacked-set-unseen", readGrid, strength, "%d of %d services refuse %s: %s. The published key set could not be compared.", len(l), total, v.kid(signer), names3(l)))
		}
		if older := v.olderTrusting(l); len(older) > 0 {
			out = append(out, v.seen("older-key-trusted", readGrid, share(len(older), len(l)), "%s still %s tokens of another key.", names3(older), verb(len(older), "accepts", "accept")))
		}
	}
	if v.jwks.ok && v.jwks.reachable && signer != "" && !v.published(signer) {
		if v.withdrawn(signer) != nil {
			out = append(out, v.seen("signer-withdrawn", readJWKS, 1, "Tokens are signed with %s, which was taken from the published key set.", v.kid(signer)))
		} else {
			out = append(out, v.seen("signer-unpublished", readJWKS, 1, "Tokens are signed with %s, which the published key set does not hold.", v.kid(signer)))
		}
	}
	r.signature = slices.DeleteFunc(r.signature, func(s string) bool { return slices.Contains(lack, s) })
	var all []string
	for _, s := range v.grid.refusing {
		if v.rejectsAll(s) {
			all = append(all, s)
		}
	}
	for _, x := range []struct {
		row  string
		who  []string
		what string
	}{
		{"every-key-rejected", all, "%s %s every key that was tried, not only the signer's."},
		{"canary-bad-signature", r.signature, "%s %s the signature of honest canary tokens."},
		{"canary-time-refused", r.times, "%s %s fresh canary tokens for their times."},
		{"canary-audience-refused", r.audience, "%s %s canary tokens for their audience."},
		{"canary-issuer-refused", r.issuer, "%s %s canary tokens for their issuer."},
		{"canary-fetch-refused", r.fetch, "%s %s canary tokens because the key set cannot be fetched."},
		{"canary-server-error", r.server, "%s %s canary tokens with a server error."},
	} {
		if len(x.who) > 0 {
			out = append(out, v.seen(x.row, readGrid, part(x.who), x.what, names3(x.who), verb(len(x.who), "refuses", "refuse")))
		}
	}
	return out
}

// olderTrusting returns those of the services that trust a kid other than the signer.
func (v *view) olderTrusting(services []string) []string {
	var out []string
	for _, s := range services {
		if v.trustsOther(s) {
			out = append(out, s)
		}
	}
	return out
}

// observeKids compares the kids of refused tokens with those the issuer had.
func (v *view) observeKids() []observation {
	var out []observation
	seen := v.everSeen()
	measured := len(v.jwks.kids)+len(v.grid.kids) > 0
	var foreign, gone, held []string
	for _, k := range v.kids {
		switch {
		case measured && !seen[k]:
			foreign = append(foreign, k)
		case v.jwks.ok && v.jwks.reachable && seen[k] && !v.published(k) && k != v.signer():
			gone = append(gone, k)
		case v.published(k) && (!v.grid.ok || len(v.grid.rejects[k]) == 0 && len(v.grid.trusts[k]) > 0):
			held = append(held, k)
		}
	}
	if len(gone) == 0 && v.grid.ok && len(v.grid.refusing) == 0 {
		// no text names the kid, but a key left the set and its tokens are refused
		for _, c := range v.changes {
			if c.Name == prunella.ChangeKeyRemoved && v.near(c) > 0.4 && !v.published(c.Kid) && len(v.grid.rejects[c.Kid]) > 0 {
				out = append(out, v.seen("used-key-withdrawn", readGrid, 0.7, "%s left the published key set and its tokens are now refused by %s.", v.kid(c.Kid), names3(v.grid.rejects[c.Kid])))
				break
			}
		}
	}
	if len(gone) > 0 {
		out = append(out, v.seen("used-key-withdrawn", readJWKS, 1, "Refused tokens carry %s, which the issuer had and no longer publishes.", v.kidList(gone)))
	}
	switch {
	case len(foreign) >= 4:
		out = append(out, v.seen("many-foreign-kids", readJWKS, min(1, 0.4+0.1*float64(len(foreign)-3)), "Refused tokens carry %d different kids, none of which the issuer ever had (%s).", len(foreign), v.kidList(foreign)))
	case len(foreign) > 0:
		out = append(out, v.seen("foreign-kid", readJWKS, 1, "Refused tokens carry %s, which the issuer never had.", v.kidList(foreign)))
	}
	if len(held) > 0 && v.facts.Classes()[said.BadSignature] > 0 {
		out = append(out, v.seen("known-kid-refused", readJWKS, 1, "Tokens are refused for their signature although %s is published%s.", v.kidList(held), map[bool]string{true: " and trusted", false: ""}[v.grid.ok]))
	}
	came, went := v.turnover()
	if fresh, gone := intersect(v.kids, came), intersect(v.kids, went); len(fresh) > 0 && len(gone) == 0 {
		out = append(out, v.seen("failing-kid-is-new", "kids", 1, "Refused tokens carry %s, the key that came last.", v.kidList(fresh)))
	} else if len(gone) > 0 && len(fresh) == 0 {
		out = append(out, v.seen("failing-kid-is-old", "kids", 1, "Refused tokens carry %s, the key that went.", v.kidList(gone)))
	}
	if signer := v.signer(); signer != "" && !v.jwks.named[signer] && len(v.jwks.named) > 1 {
		others := 0
		for kid, named := range v.jwks.named {
			if kid != signer && named {
				others++
			}
		}
		if _, told := v.jwks.named[signer]; told && others == len(v.jwks.named)-1 {
			out = append(out, v.seen("odd-kid-name", readJWKS, 1, "The kid %s is not its key's thumbprint, while those of all other keys are.", v.kid(signer)))
		}
	}
	return out
}

// turnover returns the kids that came and those that went around the onset, by
// the changes seen or, failing that, by what texts call them.
func (v *view) turnover() (came, went []string) {
	for _, c := range v.changes {
		switch {
		case v.near(c) == 0:
		case isRotation(c):
			came, went = append(came, c.Kid), append(went, c.Before)
		case isRemoval(c):
			went = append(went, c.Kid)
		}
	}
	if len(came)+len(went) == 0 {
		came = append(v.facts.KidsWith(RoleNew), v.facts.KidsWith(RoleActive)...)
		went = append(v.facts.KidsWith(RoleOld), v.facts.KidsWith(RoleRemoved)...)
	}
	both := intersect(came, went)
	apart := func(kids []string) []string {
		return slices.DeleteFunc(kids, func(k string) bool { return k == "" || slices.Contains(both, k) })
	}
	return apart(came), apart(went)
}

// materialChanged returns the change of a kid's material near the onset.
func (v *view) materialChanged() *prunella.Change {
	return v.best(func(c prunella.Change) bool { return c.Name == prunella.ChangeKeyMaterial })
}

// withdrawn returns the removal of a kid, however long ago.
func (v *view) withdrawn(kid string) *prunella.Change {
	for i := len(v.changes) - 1; i >= 0; i-- {
		if c := v.changes[i]; c.Name == prunella.ChangeKeyRemoved && c.Kid == kid {
			return &c
		}
	}
	return nil
}

func (v *view) observeDeliveries() []observation {
	var out []observation
	l := v.lacking()
	if !v.deliveries.ok {
		if i, ok := v.issuerOf(); ok && i.Admin != nil && i.Admin.Kind == "auth0" || ok && i.Admin == nil && i.Vendor != "" {
			out = append(out, v.seen("no-push", readDeliveries, 1, "%s pushes no keys: its verifiers fetch and cache the published set.", i.Name))
		}
		return out
	}
	d := v.deliveries
	hit := intersect(d.failed, l)
	if len(l) == 0 { // nobody probed: compare with who fails
		hit = intersect(d.failed, v.failing)
	}
	switch {
	case len(hit) > 0:
		n := len(l)
		if n == 0 {
			n = len(v.failing)
		}
		why := ""
		for _, s := range hit {
			if why = d.errors[s]; why != "" {
				break
			}
		}
		out = append(out, v.seen("delivery-failed-to-lacking", readDeliveries, max(0.5, share(len(hit), n)), "The delivery of the new key failed for %s%s.", names3(hit), because(why)))
	case len(d.failed) > 0:
		out = append(out, v.seen("delivery-failed-elsewhere", readDeliveries, 1, "A key delivery failed for %s, which %s not fail.", names3(d.failed), verb(len(d.failed), "does", "do")))
	case len(l) > 0 && len(intersect(l, d.delivered)) == 0:
		strength := 1.0
		if len(d.delivered) == 0 {
			strength = 0.6 // nobody is delivered to, or the deliveries were never tried
		}
		out = append(out, v.seen("fetched-not-delivered", readDeliveries, strength, "No delivery is recorded for %s: %s the key set.", names3(l), verb(len(l), "it fetches", "they fetch")))
	case len(d.delivered) > 0:
		out = append(out, v.seen("deliveries-complete", readDeliveries, 1, "Every recorded key delivery arrived."))
	}
	return out
}

func (v *view) issuerOf() (prunella.Issuer, bool) {
	name := v.issuer()
	for _, i := range v.s.Inventory.Issuers {
		if i.Name == name {
			return i, true
		}
	}
	return prunella.Issuer{}, false
}

const clockTolerance = 30.0 // seconds; libraries allow up to a minute, Date headers are exact to one

func (v *view) observeClocks() []observation {
	if !v.clocks.ok {
		return nil
	}
	var off, elsewhere, right []string
	for s, x := range v.clocks.offsets {
		fails := len(v.failing) == 0 || slices.Contains(v.failing, s)
		switch {
		case (x > clockTolerance || x < -clockTolerance) && fails:
			off = append(off, s)
		case x > clockTolerance || x < -clockTolerance:
			elsewhere = append(elsewhere, s)
		case fails:
			right = append(right, s)
		}
	}
	off, elsewhere, right = sorted(off), sorted(elsewhere), sorted(right)
	switch {
	case len(off) > 0:
		explained := 1.0
		if len(v.failing) > 0 {
			explained = max(0.4, share(len(v.explainedBy(off)), len(v.failing)))
		}
		return []observation{v.seen("clock-off", readClocks, explained, "The clock of %s.", v.offsets(off))}
	case len(elsewhere) > 0 && len(right) == 0:
		return []observation{v.seen("clock-off-other", readClocks, 1, "The clock of %s, though it is not where requests fail.", v.offsets(elsewhere))}
	case len(right) > 0:
		all := 1.0
		if len(v.failing) > 0 {
			all = share(len(right), len(v.failing))
		}
		return []observation{v.seen("clocks-agree", readClocks, all, "The clocks of %s are within %.0f s.", names3(right), clockTolerance)}
	}
	return nil
}

func (v *view) offsets(services []string) string {
	var parts []string
	for i, s := range services {
		if i == 3 {
			parts = append(parts, fmt.Sprintf("%d more", len(services)-3))
			break
		}
		x := v.clocks.offsets[s]
		side := "ahead"
		if x < 0 {
			side, x = "behind", -x
		}
		parts = append(parts, fmt.Sprintf("%s is %s %s", s, spell(seconds(x)), side))
	}
	return strings.Join(parts, ", ")
}

func (v *view) observeVendor() []observation {
	if !v.vendor.ok {
		return nil
	}
	what := first(v.vendor.description, v.vendor.indicator)
	switch {
	case v.vendor.indicator == "major" || v.vendor.indicator == "critical":
		return []observation{v.seen("vendor-major", readVendor, 1, "The vendor's status page reports a %s incident%s.", v.vendor.indicator, because(what))}
	case v.vendor.down:
		return []observation{v.seen("issuer-down", readVendor, 1, "The issuer does not answer; its status page reports %q.", what)}
	}
	return []observation{v.seen("vendor-healthy", readVendor, 1, "The vendor's status page reports no major incident.")}
}
