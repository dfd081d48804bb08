package scenario

import (
	"slices"
	"strings"

	"prunella"
)

// Closed sets of words, so that a misspelt assertion is refused and does not
// hold by accident. A test compares the actions with package action.
var (
	actions = []string{
		"canary.prove", "http.request", "keys.activate", "keys.publish", "keys.redeliver", "keys.retire",
		"kubernetes.configmap-set", "kubernetes.rollout-restart", "kubernetes.rollout-undo", "shell.run",
	}
	severities   = []string{string(prunella.Critical), string(prunella.High), string(prunella.Warning), string(prunella.Info), string(prunella.Low)}
	verdicts     = []string{string(prunella.Healed), string(prunella.NotHealed), string(prunella.UnknownVerdict), "none"}
	remediations = []string{autoHeal, approved, proposed, escalated, nothing}
	stages       = []string{"detected", "opened", "diagnosed", "healed", "verified"}
	operators    = []string{"absent", "approve", "deny"}
	autonomies   = []string{"off", "approve", "unattended"}
	effects      = []string{"mutating", string(prunella.Irreversible)}
	causes       = []string{
		string(prunella.FaultStaleCache), string(prunella.FaultPartialKeys), string(prunella.FaultEarlyRemoval), string(prunella.FaultJWKSDown),
		string(prunella.FaultSameKid), string(prunella.FaultClockSkew), string(prunella.FaultWrongAudience), string(prunella.FaultWrongIssuer),
		string(prunella.FaultForged), string(prunella.FaultKidFlood), string(prunella.FaultBadDeploy), string(prunella.FaultVendorDown), string(prunella.FaultUnknown),
	}
)

// What was done about an incident, in prunella.Report.Remediation.
const (
	autoHeal  = "auto-heal" // executed without a person, and healed
	approved  = "approved"  // executed after a person said yes, and healed
	proposed  = "proposed"  // a plan waits; nothing was executed
	escalated = "escalated" // a person holds it
	nothing   = "none"
)

// actionKnown accepts a name, or a prefix like "keys.*".
func actionKnown(name string) bool {
	if prefix, ok := strings.CutSuffix(name, "*"); ok && strings.HasSuffix(prefix, ".") {
		return slices.ContainsFunc(actions, func(a string) bool { return strings.HasPrefix(a, prefix) })
	}
	return slices.Contains(actions, name)
}

func actionMatches(pattern, action string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(action, prefix)
	}
	return pattern == action
}
