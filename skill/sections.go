package skill

import (
	"regexp"
	"strings"
)

// The sections that the format knows, in the order to write them.
const (
	Symptoms   = "Symptoms"
	Diagnosis  = "Diagnosis"
	Resolution = "Resolution"
	Escalation = "Escalation"
	Cause      = "Why this keeps happening"
	FollowUps  = "Prevention follow-ups"
	Source     = "Source"
	SeeAlso    = "See also"
)

// otherNames are what other people's pages call these sections, in lower case
// and without numbers. A page keeps its own headings; Section finds them.
var otherNames = map[string][]string{
	Symptoms: {"symptom", "signs", "detection", "how to recognise", "how to recognize", "what you see", "symptoms and checks",
		"common symptoms", "symptoms & checks", "indicators", "alert symptoms", "observed behaviour", "observed behavior"},
	Diagnosis: {"diagnostics", "diagnose", "diagnostic steps", "diagnosis steps", "investigation", "investigate", "investigation steps", "triage",
		"triage checklist", "triage steps", "troubleshooting", "troubleshooting steps", "pre-checks", "prechecks", "initial assessment",
		"analysis", "assessment", "identification", "initial checks", "initial triage", "first checks", "quick checks", "debugging", "how to investigate", "checks", "detection & analysis", "detection and analysis",
		"possible checks", "verification of the problem", "how to diagnose", "how to check", "check"},
	Resolution: {"mitigation", "mitigations", "mitigate", "mitigation steps", "remediation", "remediation steps", "remediate", "resolution steps", "resolve", "fix",
		"how to fix", "the fix", "solution", "solutions", "recovery", "recovery steps", "recovery procedure", "recovery procedures", "rollback / recovery",
		"immediate actions", "immediate action", "procedure", "steps", "response", "response steps", "response procedure", "actions", "action",
		"containment", "corrective actions", "quick mitigations", "runbook", "instructions", "what to do", "workaround", "workarounds", "how to resolve", "resolving", "repair", "repair steps"},
	Escalation: {"escalations", "escalation path", "escalation paths", "escalation policy", "escalation matrix", "escalate", "when to escalate",
		"who to call", "whom to call", "contacts", "contact", "points of contact", "communications / escalation", "communication", "on-call", "on call",
		"escalate to", "escalation contacts", "whom to contact", "who to contact", "getting help", "need help"},
	Cause: {"why does this keep happening", "why this happens", "why it happens", "why it recurs", "root cause", "root causes", "root cause analysis",
		"underlying cause", "cause", "causes", "possible causes", "common causes", "likely causes", "probable causes"},
	FollowUps: {"follow-ups", "follow ups", "followups", "follow-up", "follow up", "follow-up actions", "follow-up items", "prevention", "preventive actions",
		"preventative actions", "preventive measures", "action items", "next steps", "todo", "to do", "post-incident", "post-incident tasks", "post-incident actions",
		"post-incident activities", "post incident", "after the incident", "long-term fix", "long term fix", "long-term fixes", "permanent fix",
		"post-mortem actions", "postmortem actions", "post-mortem action items", "remaining work", "improvements", "open items", "outstanding items"},
	Source:  {"sources", "provenance", "origin", "extracted from", "history"},
	SeeAlso: {"see-also", "related", "related pages", "related runbooks", "related links", "related documents", "links", "useful links", "references", "reference", "further reading", "additional resources", "resources", "external links"},
}

var (
	headingNumber = regexp.MustCompile(`^(?:(?:step|part|phase|section)\s+)?(?:\d+(?:\.\d+)*|[ivx]+|[a-h])[.):]\s+|^(?:step|part|phase)\s+\d+\s*[-–—:]\s*`)
	notAWord      = regexp.MustCompile(`^[^\p{L}\p{N}]+|[^\p{L}\p{N})]+$`)
	spaces        = regexp.MustCompile(`\s+`)
)

// sections are the names of the format by all words for them.
var sections = func() map[string]string {
	out := map[string]string{}
	for known, others := range otherNames {
		out[strings.ToLower(known)] = known
		for _, other := range others {
			out[other] = known
		}
	}
	return out
}()

// SectionNamed gives the name that the format has for a section with that
// heading, "" when it has none: "Resolution" for "3. Mitigation (10 min)" and for
// "Remediation plan", "Why this keeps happening" for "Payments root cause analysis".
func SectionNamed(heading string) string {
	if len(heading) > 100 {
		return ""
	}
	name, _ := splitBudget(strings.TrimSpace(heading))
	name = spaces.ReplaceAllString(strings.ToLower(strings.Trim(strings.TrimSpace(name), "*_`#: ")), " ")
	name = headingNumber.ReplaceAllString(notAWord.ReplaceAllString(name, ""), "")
	if name == "" {
		return ""
	}
	if known, ok := sections[name]; ok {
		return known
	}
	if known, ok := sections[strings.TrimSuffix(strings.TrimSuffix(name, " plan"), " checklist")]; ok {
		return known
	}
	for rest, skipped := name, 0; skipped < 3; skipped++ { // words before a name of three words or more
		_, after, more := strings.Cut(rest, " ")
		if rest = after; !more || strings.Count(rest, " ") < 2 {
			break
		}
		if known, ok := sections[rest]; ok {
			return known
		}
	}
	return ""
}

// Section returns the first section of that name, in any case, or else the
// first that is another word for it: "Mitigation" for "Resolution".
func (d *Document) Section(name string) (Section, bool) {
	for _, s := range d.Sections {
		if strings.EqualFold(s.Name, name) {
			return s, true
		}
	}
	for _, s := range d.Sections {
		if s.known == name {
			return s, true
		}
	}
	return Section{}, false
}
