package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"prunella"
	"prunella/said"
)

// complete fills in what follows from the fault: where it lies, who suffers,
// which keys, the change, the skill, and the words.
func (v *view) complete(c *prunella.Cause) {
	c.Change = v.changeFor(c.Fault)
	c.Services = v.sufferers(c.Fault)
	c.Kids = v.kidsOf(c.Fault, c.Change)
	c.Service = v.placeOf(c)
	if c.Fault != unknown {
		var why []prunella.Evidence
		c.Skill, why = v.skillFor(c.Fault)
		c.Against = append(c.Against, why...)
	}
	c.Summary = v.summary(c)
	c.Advice = v.advice(c)
	if lacks := v.lacks(c); !v.measured() && c.Fault != unknown && len(lacks) > 0 {
		c.Advice = fmt.Sprintf("Messages do not say %s: find that out first. %s", strings.Join(lacks, ", nor "), c.Advice)
		if ch := c.Change; ch != nil && ch.Before == "" && (ch.Name == prunella.ChangeSigner || ch.Name == prunella.ChangeKeyAdded) {
			c.Advice += fmt.Sprintf(" If the failure began with %s and the key before it is still held by the verifiers, undoing that change (signing with the key before it) stops the failure.", v.kid(ch.Kid))
		}
	}
}

// lacks is what a remedy needs and no message tells.
func (v *view) lacks(c *prunella.Cause) []string {
	var out []string
	switch c.Fault {
	case partial, stale, removal, sameKid:
		if len(c.Kids) == 0 {
			out = append(out, "which key the refused tokens carry")
		}
		if c.Change == nil {
			out = append(out, "which change of keys preceded it")
		} else if c.Change.Before == "" && c.Change.Name == prunella.ChangeSigner {
			out = append(out, "which key signed before "+v.kid(c.Change.Kid))
		}
		if c.Service == "" {
			out = append(out, "who issues the tokens")
		}
	case deploy:
		if c.Change == nil || c.Change.Version == "" {
			out = append(out, "which release preceded it")
		}
	}
	if len(c.Services) == 0 {
		out = append(out, "which services fail")
	}
	return out
}

// sufferers returns who suffers from a fault: for a key that verifiers lack,
// those verifiers; for a claim, those that refuse our canaries for it; otherwise
// all that fail.
func (v *view) sufferers(f prunella.Fault) []string {
	var out []string
	switch f {
	case stale, partial:
		out = v.lacking()
		if len(out) == 0 && v.deliveries.ok {
			out = intersect(v.deliveries.failed, v.failing)
		}
	case sameKid:
		out = v.refused().signature
	case skew:
		out = v.refused().times
	case audience:
		out = v.refused().audience
	case issuer:
		out = v.refused().issuer
	}
	if len(out) == 0 {
		out = v.failing
	}
	return sorted(slices.DeleteFunc(slices.Clone(out), func(s string) bool { return s == "" || v.isIssuer(s) && len(out) > 1 }))
}

// placeOf names the service where the fault lies: the issuer for faults of
// keys that it manages and for caches of several verifiers; the service itself
// when only one is at fault. It is "" when texts name no issuer to blame.
func (v *view) placeOf(c *prunella.Cause) string {
	worst := ""
	if len(c.Services) > 0 {
		worst = c.Services[0]
	}
	for _, i := range v.s.Incident.Impact { // worst first
		if slices.Contains(c.Services, i.Service) {
			worst = i.Service
			break
		}
	}
	switch c.Fault {
	case jwksDown, vendor:
		return v.issuer() // a verifier is never to blame for these
	case partial, removal, sameKid:
		return first(v.issuer(), worst)
	case stale, audience, issuer:
		several := slices.ContainsFunc(v.facts.Counts, func(n CountFact) bool { return n.Failing && n.N > 1 })
		if len(c.Services) == 1 && (v.measured() || !several) {
			return c.Services[0]
		}
		return first(v.issuer(), worst)
	case skew:
		most := 0.0
		place := ""
		for _, s := range sorted(keys(v.clocks.offsets)) {
			if x := abs(v.clocks.offsets[s]); x > clockTolerance && x > most {
				most, place = x, s
			}
		}
		return first(place, worst)
	case deploy:
		if c.Change != nil {
			return first(c.Change.Service, worst)
		}
	case unknown:
		if c.Change != nil && len(c.Services) != 1 {
			return first(c.Change.Service, worst)
		}
	}
	return worst
}

func keys(m map[string]float64) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

// kidsOf returns the keys that a cause is about, the failing one first.
func (v *view) kidsOf(f prunella.Fault, c *prunella.Change) []string {
	var out []string
	put := func(kids ...string) {
		for _, k := range kids {
			if k != "" && !slices.Contains(out, k) && len(out) < 8 {
				out = append(out, k)
			}
		}
	}
	switch f {
	case stale, partial:
		if len(v.grid.refusing) > 0 {
			put(v.signer())
		}
		if c != nil {
			put(c.Kid)
		}
		if !v.measured() {
			put(v.newKid())
		}
		if len(out) == 0 {
			put(v.kids...)
		}
	case removal:
		if c != nil && isRemoval(*c) {
			put(c.Kid)
		}
		if len(out) == 0 {
			put(v.facts.KidsWith(RoleRemoved)...)
		}
		put(v.kids...)
	case sameKid:
		if c != nil {
			put(c.Kid)
		}
		if len(out) == 0 {
			put(v.kids...)
		}
		if len(out) == 0 && len(v.facts.Kids) == 1 { // there is no other that it could be
			put(v.facts.Kids[0].Kid)
		}
	case forged, flood:
		put(v.kids...)
	case unknown:
		put(v.kids...)
		if c != nil {
			put(c.Kid)
		}
	}
	return out
}

// headlines take {who}, {kid}, and a {many|one} form for the number of services.
var headlines = map[prunella.Fault]string{
	stale:    "{who} {hold|holds} a stale copy of the key set and {refuse|refuses} tokens signed with {kid}, which the issuer publishes.",
	partial:  "The key {kid} that signs tokens never reached {who}, so {they refuse|it refuses} every token signed with it.",
	removal:  "The key {kid} was taken out of use while tokens signed with it were still valid; {who} {refuse|refuses} those tokens.",
	jwksDown: "The published key set cannot be fetched, so {who} cannot verify tokens of keys that {they do|it does} not hold yet.",
	sameKid:  "The kid {kid} now names another public key than before; {who} still {verify|verifies} with the old one.",
	skew:     "Clocks disagree, so {who} {refuse|refuses} good tokens as expired or not yet valid; no key is at fault.",
	audience: "Tokens reach {who} with an audience that is not accepted there; no key is at fault.",
	issuer:   "Tokens reach {who} from an issuer that is not accepted there; no key is at fault.",
	forged:   "Somebody sends {who} tokens with a known kid and a signature that the issuer did not make; honest tokens are accepted.",
	flood:    "Somebody sends {who} tokens with invented kids; honest tokens are accepted.",
	deploy:   "A release broke {who}.",
	vendor:   "The vendor that issues tokens is down, and {who} with it.",
	unknown:  "What broke {who} is not known: no fault explains what was seen well enough.",
}

var numbered = regexp.MustCompile(`\{([^{}|]+)\|([^{}|]+)\}`)

func (v *view) headline(c *prunella.Cause) string {
	line, ok := headlines[c.Fault]
	if !ok {
		line = string(c.Fault) + " at {who}."
	}
	pick := "$1"
	if len(c.Services) == 1 {
		pick = "$2"
	}
	line = numbered.ReplaceAllString(line, pick)
	who := names4(c.Services)
	if who == "" {
		who = "some services"
		if strings.HasPrefix(line, "{who}") {
			who = "Some services"
		}
	}
	kid := "in question"
	if len(c.Kids) > 0 {
		kid = v.kid(c.Kids[0])
	}
	return strings.NewReplacer("{who}", who, "{kid}", kid).Replace(line)
}

// summary says in two or three sentences what happened, to whom, and when.
func (v *view) summary(c *prunella.Cause) string {
	out := []string{v.headline(c)}
	if c.Change != nil {
		out = append(out, v.told(*c.Change)+" "+v.when(*c.Change)+".")
	}
	if extra := v.extra(c); extra != "" {
		out = append(out, extra)
	}
	if len(v.missing) > 0 && c.Fault != unknown {
		var names []string
		for _, g := range v.missing {
			names = append(names, g.name)
		}
		out = append(out, fmt.Sprintf("Not known, and so not counted: %s.", strings.Join(names, ", ")))
	}
	if !v.measured() {
		out = append(out, "This is known from messages only; nothing was measured.")
	}
	return strings.Join(out, " ")
}

// extra is the third sentence: what a person would ask next.
func (v *view) extra(c *prunella.Cause) string {
	classes := v.facts.Classes()
	switch c.Fault {
	case partial, stale:
		var parts []string
		for _, n := range v.facts.Counts {
			if n.Failing && n.M > n.N && !v.measured() {
				parts = append(parts, fmt.Sprintf("%d of %d services are said to lack it", n.N, n.M))
				break
			}
		}
		if r := v.best(isRemoval); r != nil {
			parts = append(parts, fmt.Sprintf("the previous key %s was removed %s, so no tokens of it are left to fall back on", v.kid(r.Kid), v.when(*r)))
		} else if classes[said.KeyRemoved] > 0 && !v.measured() {
			if old := v.oldKid(); old != "" {
				parts = append(parts, fmt.Sprintf("the old key %s was removed prematurely, before they had the new one", v.kid(old)))
			} else {
				parts = append(parts, "the old key was removed prematurely, before they had the new one")
			}
		}
		if len(parts) > 0 {
			return capital(strings.Join(parts, "; ")) + "."
		}
	case skew:
		if len(v.clocks.offsets) > 0 && c.Service != "" {
			if _, told := v.clocks.offsets[c.Service]; told {
				return "The clock of " + v.offsets([]string{c.Service}) + "."
			}
		}
	case deploy:
		if c.Change != nil {
			return fmt.Sprintf("The released service is %s.", first(c.Change.Service, "not named"))
		}
	case unknown:
		var parts []string
		for i, k := range c.Kids {
			if i == 2 {
				break
			}
			parts = append(parts, v.kid(k))
		}
		if len(parts) > 0 {
			return "Refused tokens or changes name " + strings.Join(parts, " and ") + "."
		}
	}
	return ""
}

// advice is what a person should do when no skill heals the fault.
func (v *view) advice(c *prunella.Cause) string {
	who := names3(c.Services)
	if who == "" {
		who = "the failing services"
	}
	kid := "the new key"
	if len(c.Kids) > 0 {
		kid = v.kid(c.Kids[0])
	}
	switch c.Fault {
	case stale:
		return fmt.Sprintf("Restart or refresh %s one at a time so that they fetch the key set again, prove each with a canary token of %s, and lower the cache time.", who, kid)
	case partial:
		return fmt.Sprintf("Sign with the previous key again and keep both published: putting the old key back without signing with it does not help. Then deliver %s to %s, prove each verifier with a canary token, and only then sign with it.", kid, who)
	case removal:
		return fmt.Sprintf("Publish %s again until the last token signed with it has expired. If it was withdrawn because it leaked, leave it out and have clients fetch new tokens.", kid)
	case jwksDown:
		return fmt.Sprintf("Bring the key set of %s back. Do not restart verifiers meanwhile: they would lose the keys they still hold.", first(v.issuer(), "the issuer"))
	case sameKid:
		return fmt.Sprintf("Give the new key a kid of its own and sign with that; until then return to the old material of %s. Have verifiers drop their cached copy, and compare thumbprints, not kids.", kid)
	case skew:
		return fmt.Sprintf("Correct the clock of %s and check its time service. Touch no key and flush no cache.", first(c.Service, who))
	case audience:
		return fmt.Sprintf("Compare the audience that clients ask for with the one expected by %s, and undo the change of the wrong side. Touch no key.", who)
	case issuer:
		return fmt.Sprintf("Compare the issuer in the refused tokens with the one configured at %s. Touch no key.", who)
	case forged:
		return "Call security. Block the senders; trust no key because of these tokens, and restart nothing."
	case flood:
		return "Call security. Limit the senders and the key fetches that unknown kids cause; trust no key because of these tokens."
	case deploy:
		if c.Change != nil && c.Change.Version != "" {
			return fmt.Sprintf("Roll %s back to the version before %s, or call who released it%s.", first(c.Change.Service, who), c.Change.Version, by(c.Change.Author))
		}
		return fmt.Sprintf("Roll %s back to the version before, or call who released it.", first(c.Service, who))
	case vendor:
		return "Open a case with the vendor and follow its status page. Verifiers that still hold keys go on working: do not restart them."
	case unknown:
		if c.Change != nil {
			return fmt.Sprintf("Undo the change that preceded the failure (%s) and see whether it stops; otherwise hand this to the owners of %s with what is known.", v.told(*c.Change), who)
		}
		return fmt.Sprintf("Hand this to the owners of %s with what is known.", who)
	}
	return fmt.Sprintf("Follow the runbook for %s, or call the owners of %s.", c.Fault, who)
}

// Explain tells a cause in plain text, with every piece of evidence and its
// weight, for a log, a page or a terminal.
func Explain(c prunella.Cause) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%.0f %%)", c.Fault, 100*c.Confidence)
	if c.Service != "" {
		fmt.Fprintf(&b, " at %s", c.Service)
	}
	fmt.Fprintf(&b, "\n%s\n", c.Summary)
	for _, part := range []struct {
		title string
		es    []prunella.Evidence
	}{{"For", c.For}, {"Against", c.Against}} {
		if len(part.es) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s:\n", part.title)
		for _, e := range part.es {
			if e.Weight == 0 {
				fmt.Fprintf(&b, "       %s [%s]\n", e.Text, e.Source)
			} else {
				fmt.Fprintf(&b, "  %+.1f %s [%s]\n", e.Weight, e.Text, e.Source)
			}
		}
	}
	if c.Skill != "" {
		fmt.Fprintf(&b, "Skill: %s\n", c.Skill)
	}
	if c.Advice != "" {
		fmt.Fprintf(&b, "Advice: %s\n", c.Advice)
	}
	return b.String()
}
