package web

import (
	"strings"

	"prunella"
)

// mark is a word with the shape and the tone that go with it, so that nothing
// is said by colour alone.
type mark struct{ Shape, Word, Tone string }

// marks are how the words of a closed set are shown. What is not in the set is
// shown as "" is; where that has no entry, as itself.
type marks[K ~string] map[K]mark

func (m marks[K]) of(k K) mark {
	if found, ok := m[k]; ok {
		return found
	}
	if other, ok := m[""]; ok {
		return other
	}
	return mark{"○", string(k), "plain"}
}

var severityMarks = marks[prunella.Severity]{
	prunella.Critical: {"■", "critical", "bad"},
	prunella.High:     {"▲", "high", "bad"},
	prunella.Warning:  {"◆", "warning", "warn"},
	prunella.Info:     {"●", "info", "plain"},
	prunella.Low:      {"○", "low", "plain"},
	"":                {"○", "not judged yet", "plain"},
}

var stateMarks = marks[prunella.State]{
	prunella.Open:             {"●", "open", "plain"},
	prunella.Diagnosing:       {"●", "diagnosing", "plain"},
	prunella.AwaitingApproval: {"◆", "awaiting approval", "warn"},
	prunella.Healing:          {"●", "healing", "plain"},
	prunella.Verifying:        {"●", "verifying", "plain"},
	prunella.Resolved:         {"✓", "resolved", "good"},
	prunella.Escalated:        {"▲", "escalated", "bad"},
}

var stepMarks = marks[prunella.StepState]{
	prunella.StepPlanned:  {"○", "planned", "plain"},
	prunella.StepIntended: {"●", "running", "live"},
	prunella.StepDone:     {"✓", "done", "good"},
	prunella.StepFailed:   {"✕", "failed", "bad"},
	prunella.StepUnknown:  {"?", "unknown", "warn"},
	prunella.StepUndone:   {"↶", "undone", "plain"},
	prunella.StepSkipped:  {"–", "skipped", "plain"},
	"":                    {"○", "planned", "plain"},
}

var resultMarks = marks[prunella.Result]{
	prunella.Passed:  {"✓", "PASSED", "good"},
	prunella.Failed:  {"✕", "FAILED", "bad"},
	prunella.Errored: {"!", "ERROR", "warn"},
	"":               {"!", "ERROR", "warn"},
}

var verdictMarks = marks[prunella.Verdict]{
	prunella.Healed:         {"✓", "healed", "good"},
	prunella.NotHealed:      {"✕", "not healed", "bad"},
	prunella.UnknownVerdict: {"?", "unknown", "warn"},
	"":                      {"○", "no verdict yet", "plain"},
}

var trustMarks = marks[prunella.Trust]{
	prunella.Trusts:       {"✓", "trusts", "plain"},
	prunella.Rejects:      {"✕", "rejects", "bad"},
	prunella.TrustUnknown: {"?", "unknown", "warn"},
	"":                    {"?", "unknown", "warn"},
}

var freshMarks = marks[string]{
	"fresh": {"✓", "fresh", "plain"},
	"due":   {"◆", "due", "warn"},
	"stale": {"▲", "stale", "warn"},
	"":      {"○", "never verified", "plain"},
}

var lintMarks = marks[string]{
	"error":   {"✕", "error", "bad"},
	"warning": {"◆", "warning", "warn"},
}

var allowedWords = map[prunella.Allowed]string{
	prunella.AllowUnattended: "runs alone",
	prunella.AllowApproval:   "asks first",
	prunella.AllowLater:      "waits for another run",
	prunella.AllowAdvise:     "advises only",
	prunella.AllowNothing:    "forbidden",
}

func allowedWord(a prunella.Allowed) string {
	if w := allowedWords[a]; w != "" {
		return w
	}
	return "not decided"
}

// failuresAfter is how many requests failed after a heal; negative when nothing
// was healed.
func failuresAfter(n int) string {
	if n < 0 {
		return "nothing was healed"
	}
	return thousands(int64(n))
}

// monitorWord says what one of our own monitors looks at, "" for another's.
func monitorWord(name string) string {
	what, issuer, _ := strings.Cut(name, "/")
	switch what {
	case "jwks":
		return "the keys that " + issuer + " publishes"
	case "token":
		return "which key signs a fresh token of " + issuer
	case "canary":
		return "whether each service takes tokens of " + issuer
	case "releases":
		return "what was released"
	case "heartbeat":
		return "that we are well ourselves"
	}
	return ""
}

var faultWords = map[prunella.Fault]string{
	prunella.FaultStaleCache:    "verifiers hold an old key set",
	prunella.FaultPartialKeys:   "new key missing at some verifiers",
	prunella.FaultEarlyRemoval:  "key removed while in use",
	prunella.FaultJWKSDown:      "key set cannot be fetched",
	prunella.FaultSameKid:       "same kid, different key",
	prunella.FaultClockSkew:     "a clock is wrong",
	prunella.FaultWrongAudience: "tokens for another audience",
	prunella.FaultWrongIssuer:   "tokens of another issuer",
	prunella.FaultForged:        "tokens signed by somebody else",
	prunella.FaultKidFlood:      "flood of made-up key ids",
	prunella.FaultBadDeploy:     "a bad deploy",
	prunella.FaultVendorDown:    "the vendor is down",
	prunella.FaultUnknown:       "cause not known",
}

// faultWord says a fault in about five words.
func faultWord(f prunella.Fault) string {
	if w := faultWords[f]; w != "" {
		return w
	}
	if f == "" {
		return "cause not known yet"
	}
	return strings.ReplaceAll(string(f), "-", " ")
}
