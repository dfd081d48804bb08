package correlate

import (
	"slices"
	"strings"

	"prunella"
)

// sureCause is the confidence from which on a cause counts as found.
const sureCause = 0.5

// keyBond ties a later victim of a key or of its issuer to the open incident
// that blames them. Verifiers notice a key change when the first token of it
// reaches them, or when their copy of the set ends, and that may be hours apart.
// So no window bounds it, only an incident that has been still for
// Config.Recurrence takes nobody in any more. Another kid, another issuer, or
// another wording of the blame keep apart what has no onset in common.
func keyBond(f prunella.Finding, inc prunella.Incident, g Graph, cfg Config) bond {
	b, blames := blameOf(inc)
	if !blames || !mayBeVictim(f, inc, g, cfg) {
		return bond{}
	}
	strength := sameHost // what its texts blame may still come
	if blamesKey(f.Tokens) || f.Rule == prunella.RuleProbe {
		strength = sameToken
	}
	if t := shared(f.Tokens, b.kids, "kid:"); t != "" {
		return say(strength, f, inc, "same-key", "the incident blames the key "+strings.TrimPrefix(t, "kid:")+", and so does this", "token", t)
	}
	if otherKey(f.Tokens, inc.Tokens) || otherKey(f.Tokens, b.kids) {
		return bond{}
	}
	if t := shared(f.Tokens, inc.Tokens, "change:"); t != "" && (blamesKey(f.Tokens) || slices.Contains(b.changes, t)) {
		return say(strength, f, inc, "same-key-change", "the incident blames a key, and both have "+t, "token", t)
	}
	if b.issuer != "" && b.issuer == g.Issuer(f.Service) && blamesKey(f.Tokens) {
		return say(strength, f, inc, "same-issuer-fault", "it lacks a key of "+b.issuer+", whose keys are the cause of the incident", "issuer", b.issuer)
	}
	if f.Service != "" && slices.Contains(b.services, f.Service) {
		return say(strength, f, inc, "named-by-cause", "the cause of the incident names "+f.Service+" as one that it hits", "service", f.Service)
	}
	return bond{}
}

// foundCause is the cause of an incident, when one was found.
func foundCause(inc prunella.Incident) (c prunella.Cause, found bool) {
	if len(inc.Causes) == 0 || inc.Causes[0].Fault == prunella.FaultUnknown || inc.Causes[0].Confidence < sureCause {
		return c, false
	}
	return inc.Causes[0], true
}

// keyBlame is what an incident holds against keys: the kids, as tokens; the
// changes of them that a found cause lies in, as tokens; the services that it
// hits; the issuer whose keys they are.
type keyBlame struct {
	kids     []string
	changes  []string
	services []string
	issuer   string
}

// blameOf says which keys an open incident blames: by its cause where one was
// found, else by its texts as long as they name a key or two; more are a flood
// or a mix.
func blameOf(inc prunella.Incident) (keyBlame, bool) {
	if inc.State == prunella.Resolved {
		return keyBlame{}, false
	}
	if c, found := foundCause(inc); found {
		b := keyBlame{services: c.Services, issuer: c.Service}
		switch c.Fault {
		case prunella.FaultJWKSDown, prunella.FaultVendorDown:
		case prunella.FaultStaleCache, prunella.FaultPartialKeys, prunella.FaultEarlyRemoval, prunella.FaultSameKid:
			for _, kid := range c.Kids {
				b.kids = append(b.kids, "kid:"+kid)
				b.changes = append(b.changes, "change:"+c.Service+"/"+kid)
			}
		default:
			return keyBlame{}, false
		}
		return b, true
	}
	b := keyBlame{kids: withPrefix(inc.Tokens, "kid:")}
	slices.Sort(b.kids)
	if b.kids = slices.Compact(b.kids); len(b.kids) > fewKids {
		b.kids = nil
	}
	return b, blamesKey(inc.Tokens)
}

// mayBeVictim reports that nothing speaks against a finding being hit by the
// keys that an open incident blames.
func mayBeVictim(f prunella.Finding, inc prunella.Incident, g Graph, cfg Config) bool {
	switch {
	case f.Status != "" && family(f.Status) != "auth", contradict(f, inc) != "":
		return false
	case quiet(inc) && f.Onset.Sub(lastOf(inc)) > cfg.Recurrence:
		return false
	}
	mine := g.Issuer(f.Service)
	return mine == "" || !slices.ContainsFunc(servicesOf(inc), func(s string) bool {
		theirs := g.Issuer(s)
		return theirs != "" && theirs != mine
	})
}

// toBeTold reports that what a failure blames may still come, and may then be
// the key that an open incident blames. The finding is repeated while it holds.
func toBeTold(f prunella.Finding, inc prunella.Incident, g Graph, cfg Config) bool {
	if f.Attrs["blame"] != "pending" || family(f.Status) != "auth" || otherKey(f.Tokens, inc.Tokens) {
		return false
	}
	_, blames := blameOf(inc)
	return blames && mayBeVictim(f, inc, g, cfg)
}

// blamesKey reports texts that blame a key, in either wording.
func blamesKey(tokens []string) bool {
	return slices.Contains(tokens, "says:key") || slices.Contains(tokens, "says:signature")
}
