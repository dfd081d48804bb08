package thread

import (
	"strings"

	"prunella/thread/pattern"
)

// Labels of lists and lines, as people write them in summaries: what the whole
// of a heading is, and words that give away what a longer one is about. The
// words were collected from templates of incident reports (what happened, why,
// what we did about it, what we shall do) and from what stands for them in
// other trades: origin, chronology, measures, findings, lessons.
var labels = []struct{ name, whole, words string }{
	{"recurs", `why (?:it|this) (?:keeps happening|happened|recurs|will happen again|comes back|came back|keeps coming back)|(?:the )?(?:underlying|deeper|real|structural) (?:cause|problem|issue)|recurrence|contributing factors?|systemic(?: problem)?|root problem`,
		`weakness\w*|systemic|structural|recurr\w+|contribut\w+|underlying|latent|again|risks? (?:that )?remain\w*|keeps|organi[sz]ational|process gaps?|gaps?|what made it (?:possible|worse)|deeper`},
	{"result", `results?|outcome|effect|seen|observed`, ``},
	{"failed", `what did(?:n'?t| not) (?:work|help)|did(?:n'?t| not) (?:work|help)|no help`,
		`ineffective|unsuccessful|(?:did(?:n'?t| not)|without) (?:work|help|effect|success|result)\w*|failed (?:attempts?|measures?|tries|steps|actions?)|fruitless|to no avail|futile|in vain|tried without|discarded (?:attempts?|fixes)`},
	{"followup", `action items?|ais?|follow[- ]?ups?|to-?dos?|next steps?|prevention(?: follow-?ups)?|tasks?|action|open(?: points?| items?)?|left|owed`,
		`follow[- ]?ups?|to-?dos?|next steps?|agreed (?:measures|actions?|steps|work)|(?:corrective|preventive|preventative|remaining|further|future|long[- ]term|planned|open) (?:measures|actions?|steps|work|tasks?|items?|points?|issues?)|leftovers?|still to (?:do|come|be done)|left to do|what is left|what'?s left|what remains|remaining|homework|backlog|action (?:register|list|points?|log|items?)|actions|improvements?|prevention|preventing|recommendations?|review items?|learning items?|commitments?|owed|debts?|remediation items?|to be done|outstanding|loose ends|wish ?list|promises`},
	{"timeline", `timeline`, `timeline|chronology|sequence of events|course of events|log of events|history|what happened when|events|chronicle|times`},
	{"cause", `(?:root )?causes?|rc|rca|why|diagnosis|what (?:happened|broke|went wrong)|(?:confirmed )?root cause|reason|trigger`,
		`root causes?|causes?|causation|origin|reason|explanation|mechanism|rca|culprit|analysis|diagnosis|found|trigger|why it (?:happened|broke|failed)|what went wrong|source of (?:the|it)|finding|findings`},
	{"fix", `fix(?:ed by)?|resolution|what (?:worked|fixed it|helped)|solution|mitigation|remediation|mitigated by|resolved by`, ``},
	{"symptom", `symptoms?|what|impact|what we (?:saw|see|are seeing)|alert|problem|issue|summary of impact`,
		`symptoms?|impact|what (?:users|customers|people|clients|we|shoppers|patients|readers) (?:saw|see|noticed|felt|experienced|are seeing|report)|what breaks|what is broken|what'?s broken|how bad|effect|effects|extent|summary|title|abstract|synopsis|observed|observation|user view|blast radius|consequences?|problem statement`},
	{"commands", `commands?|cmds?|what (?:we|i) (?:ran|typed|executed|did)|steps(?: taken)?|procedure|how|(?:we|i) ran`, `commands?|cmds?|ran|typed|executed|steps taken|procedure|shell|console|terminal|actions taken|repair steps`},
	{"started", `start(?:ed)?(?: (?:at|time))?|begin|began|onset|first seen|impact start(?:ed)?|incident start|since`, `start(?:ed)?|began|beginning|onset|since|since when|first (?:noticed|seen|observed|error)`},
	{"diagnosed", `diagnosed(?: at)?|identified(?: at)?|cause (?:found|identified)(?: at)?|root cause found`, `diagnosed|identified|cause (?:known|found|understood)`},
	{"fixed", `fixed(?: at)|mitigated(?: at)?|fix (?:applied|deployed|time)(?: at)?|mitigation (?:time|applied)`, `fixed at|mitigated|repaired|remedied`},
	{"resolved", `resolved(?: at)?|end(?:ed)?(?: at| time)?|impact end(?:ed)?|recovered(?: at)?|closed(?: at)?|all clear`, `resolved|end|ended|recovered|closed|over`},
	{"owner", `owners?|owned by|service owner|(?:incident )?lead|ic|incident commander|commander|assignee|assigned(?: to)?|dri|responsible|who`, `owners?|commander|lead|assignee|responsible|dri|in charge|coordinator|responder|driver|incident manager|handler`},
	{"escalation", `escalation(?: path)?|escalate to|who to (?:call|page)|contacts?|(?:if|when|in case) (?:it|this) (?:returns|comes back|happens again|recurs|is back)`, `escalation|escalate|contacts?|who to (?:call|page|ask|wake)|call list|whom to (?:call|page|ask|wake)`},
	{"verification", `verif(?:ied|ication)|confirm(?:ed|ation)|how we know|checks?|checked|proof`, `verification|verified|how we (?:know|checked|verified)|proof|evidence that it works|after the fix|current state|state now`},
	{"ruledout", `ruled out|not the cause|excluded|what it (?:is|was)n'?t|not it`, `ruled out|excluded|not the cause|eliminated|cleared|innocent|dismissed|discarded (?:theories|ideas|hypotheses)|false leads?|dead ends?|wrong (?:theories|tracks?|leads?)`},
}

// labelled takes the label off a line: "Root cause: …", "Fix - …", or a line
// that is a heading. head is what the line shows in bold or italics; where a
// whole heading is no label, its words tell.
func labelled(text, head string) (name, rest string, ok bool) {
	at := strings.IndexAny(text, ":")
	dash := strings.Index(text, " - ")
	if em := strings.Index(text, " — "); em >= 0 && (dash < 0 || em < dash) {
		dash = em
	}
	if dash >= 0 && (at < 0 || dash < at) {
		at = dash
	}
	front := text
	if at >= 0 {
		front, rest = text[:at], strings.TrimSpace(strings.TrimLeft(text[at:], ":-— "))
	} else if head == "" && len(text) > 30 {
		return "", "", false
	}
	if head != "" && (at < 0 || at > len(head)+3 || bracketed.MatchString(text[min(len(head), len(text)):])) && strings.HasPrefix(strings.TrimLeft(text, " :"), head) {
		after := strings.TrimLeft(text, " :")[len(head):]
		if m := bracketed.FindString(after); m != "" {
			after = after[len(m):]
		}
		front, rest, at = head, strings.TrimSpace(strings.TrimLeft(after, ":-—– ")), len(head)
	}
	front = strings.ToLower(strings.Trim(bracketed.ReplaceAllString(withoutEmoji(front), ""), " #*_.?"))
	if withoutEmoji(rest) == "" {
		rest = ""
	}
	if len(front) > 48 || at < 0 && strings.Contains(front, " ") && !strings.HasSuffix(text, "s") {
		return "", "", false
	}
	moment := func(name string) bool { // a label of a time needs one
		return (name == "started" || name == "diagnosed" || name == "fixed" || name == "resolved") && rest != "" && !clockRE.MatchString(rest) && !agoRE.MatchString(rest)
	}
	for i, re := range labelREs {
		if re.MatchString(front) && len(front) <= 40 && !moment(labels[i].name) {
			if at < 0 && (labels[i].name == "resolved" || labels[i].name == "fixed" || labels[i].name == "verification" || labels[i].name == "cause" && front == "why") {
				return "", "", false // a word by itself: a statement, not a heading
			}
			return labels[i].name, rest, true
		}
	}
	if at < 0 || len(strings.Fields(front)) > 5 || told.MatchString(front) && !asksItself.MatchString(front) || rest != "" && head == "" && len(strings.Fields(front)) > 3 {
		return "", "", false
	}
	for i, re := range labelWords {
		if re != nil && re.MatchString(front) && !moment(labels[i].name) && (head != "" || rest == "" || labels[i].name == "followup" || labels[i].name == "symptom" && len(front) < 14) {
			return labels[i].name, rest, true
		}
	}
	return "", "", false
}

var (
	bracketed  = pattern.MustCompile(`^\s*\([^)]*\)\s*|\s*\([^)]*\)\s*$`)
	told       = pattern.MustCompile(`(?i)(?:^|\s)(?:i|we|you|he|she|they|it|is|are|was|were|has|have|had|been|be|'s|does|did|not|no|now)(?:\s|$)`) // of a sentence, not of a heading
	asksItself = pattern.MustCompile(`^(?:what|who|whom|how|why|when)\b`)
	labelREs   = compileLabels(func(whole, _ string) string { return `^(?:` + whole + `)$` })

	// What a longer heading is about; nil where its words say too little.
	labelWords = compileLabels(func(_, words string) string {
		if words == "" {
			return ""
		}
		return `(?:^|[^\w-])(?:` + words + `)(?:$|[^\w-])`
	})
)

func compileLabels(expr func(whole, words string) string) []*pattern.Pattern {
	var out []*pattern.Pattern
	for _, l := range labels {
		if e := expr(l.whole, l.words); e != "" {
			out = append(out, pattern.MustCompile(e))
		} else {
			out = append(out, nil)
		}
	}
	return out
}
