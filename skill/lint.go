package skill

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"prunella"
	"prunella/condition"
)

// Rules that stand between a skill and autonomy although they are no errors.
var autonomyRules = []string{"no-signals", "no-required-check", "no-actions", "no-undo", "irreversible", "no-budget", "no-pattern", "no-primary"}

// Autonomy lists what stands between the skill and acting without a person,
// from the file alone: what Lint finds that matters for it, errors first. Trust
// that it has yet to earn, and the policy, come on top.
func Autonomy(problems []Problem) []Problem {
	out := Errors(problems)
	for _, p := range problems {
		if p.Severity != SeverityError && slices.Contains(autonomyRules, p.Rule) {
			out = append(out, p)
		}
	}
	return out
}

// Lint returns everything that is wrong with a skill, in the order of the file.
// catalog lists the reads and actions there are; when it is empty, their names
// and parameters are not checked.
func Lint(d *Document, catalog []prunella.Spec) []Problem {
	s, problems := d.Skill()
	l := &linter{d: d, s: s, catalog: catalog, problems: problems}
	l.meta()
	l.sections()
	l.signals()
	l.checks()
	l.actions()
	l.escalations()
	l.unfinished()
	sortProblems(l.problems)
	return l.problems
}

// LintLinks returns the [[links]] of a page that name no page. exists is asked
// with the link's target without alias and heading: "people/sam".
func LintLinks(d *Document, exists func(page string) bool) []Problem {
	var out []Problem
	for _, at := range linkPattern.FindAllSubmatchIndex(d.src, -1) {
		target := strings.TrimSpace(string(d.src[at[2]:at[3]]))
		if exists(target) {
			continue
		}
		line, column := d.position(at[0])
		out = append(out, Problem{File: d.Path, Line: line, Column: column, Rule: "broken-link", Severity: SeverityWarning,
			Text: fmt.Sprintf("there is no page %s", target), Remedy: "write the page, or correct the link"})
	}
	return out
}

var linkPattern = regexp.MustCompile(`\[\[([^\[\]|#\n]+)(?:#[^\[\]|\n]*)?(?:\|[^\[\]\n]*)?\]\]`)

type linter struct {
	d        *Document
	s        prunella.Skill
	catalog  []prunella.Spec
	problems []Problem
}

func (l *linter) add(severity string, line int, rule, remedy, format string, args ...any) {
	l.problems = append(l.problems, Problem{File: l.d.Path, Line: max(line, 1), Column: 1, Rule: rule,
		Text: fmt.Sprintf(format, args...), Remedy: remedy, Severity: severity})
}

func (l *linter) meta() {
	d := l.d
	if d.front.stop == 0 {
		return
	}
	for _, e := range d.front.entries {
		switch {
		case !e.nested && !slices.Contains(standard, e.key):
			l.add(SeverityWarning, e.line, "top-level-key", "move it under metadata", "the Agent Skills standard has no top-level key %s", e.key)
		case e.nested && !e.isText:
			l.add(SeverityWarning, e.line, "metadata-text", fmt.Sprintf("write %s: %q", e.key, e.value), "metadata values are texts, and %s is not", e.key)
		}
	}
	if len(l.s.Owners) == 0 {
		l.add(SeverityWarning, 1, "owner", `add owners: "@name" under metadata`, "nobody owns the skill")
	}
	for _, o := range l.s.Owners {
		if !strings.HasPrefix(o, "@") {
			l.add(SeverityWarning, d.MetaLine("owners"), "owner", "write @"+o, "the owner %s has no @", o)
		}
	}
	if l.s.Category == "" {
		l.add(SeverityNote, 1, "category", "add category under metadata", "the skill has no category")
	}
	if l.s.Pattern == "" {
		severity := SeverityNote
		if len(l.s.Signals) > 0 {
			severity = SeverityWarning
		}
		l.add(severity, 1, "no-pattern", "add pattern: area/failure under metadata", "the skill has no pattern, so no incident is recognized as it")
	}
	if len(l.s.Signals) > 0 && len(l.s.Alternates) == 0 {
		l.add(SeverityNote, 1, "alternates", "add alternates: the skills that look alike", "the skill names nothing that it could be confused with")
	}
}

// homes are the sections that blocks belong to.
var homes = map[string]string{"signal": Symptoms, "check": Diagnosis, "action": Resolution, "escalate": Escalation}

func (l *linter) sections() {
	for _, name := range []string{Symptoms, Diagnosis, Resolution, Escalation} {
		s, ok := l.d.Section(name)
		switch {
		case !ok:
			l.add(SeverityWarning, 1, "section", "add ## "+name, "there is no section %s", name)
		case name == "Diagnosis" && s.Budget == 0 && len(l.s.Checks) > 0, name == "Resolution" && s.Budget == 0 && len(l.s.Actions) > 0:
			l.add(SeverityWarning, s.Line, "no-budget", fmt.Sprintf("write ## %s (5 min)", name), "%s names no time after which a person is called", name)
		}
	}
	for _, b := range l.d.Blocks {
		home, ours := homes[b.Language]
		switch {
		case ours && SectionNamed(b.Section) != home:
			l.add(SeverityWarning, b.Line, "block-section", "move it to "+home, "%s block stands outside %s", withArticle(b.Language), home)
		case !ours && b.Language != "":
			if near := condition.Closest(b.Language, []string{"signal", "check", "action", "escalate"}); near != "" {
				l.add(SeverityWarning, b.Line, "block-language", "did you mean ```"+near+"?", "a block %q is not executed", b.Language)
			}
		}
	}
}

func (l *linter) signals() {
	forIt := 0
	for _, r := range l.s.Signals {
		if !r.Against {
			forIt++
		}
		for _, phrase := range r.Any {
			if len([]rune(strings.TrimSpace(phrase))) < 4 {
				l.add(SeverityWarning, r.Line, "phrase-too-short", "write a longer phrase", "the phrase %q of signal %s occurs in many texts", phrase, r.ID)
			}
		}
	}
	if forIt == 0 {
		l.add(SeverityNote, l.line("Symptoms"), "no-signals", "add a ```signal block under Symptoms", "no signal speaks for the skill, so it is found by people only")
	}
}

func (l *linter) checks() {
	required := false
	for _, c := range l.s.Checks {
		required = required || c.Require
		spec, ok := l.spec(c.Read, false, c.Line, "check "+c.ID)
		if ok {
			l.params(spec, c.With, c.Line, "check "+c.ID)
		}
	}
	if !required && l.changes() {
		l.add(SeverityWarning, l.line("Diagnosis"), "no-required-check", "add require: true to the check without which acting would be wrong", "no check has to hold before the skill acts")
	}
}

func (l *linter) changes() bool {
	return slices.ContainsFunc(l.s.Actions, func(a prunella.ActionRule) bool { return a.Effect != prunella.Reads })
}

var severityOf = map[prunella.Effect]int{prunella.Reads: 0, prunella.Reversible: 1, prunella.Irreversible: 2}

func (l *linter) actions() {
	if len(l.s.Actions) == 0 {
		l.add(SeverityNote, l.line("Resolution"), "no-actions", "add an ```action block under Resolution", "the skill advises and cannot act")
	}
	for _, a := range l.s.Actions {
		who := "action " + a.ID
		spec, ok := l.spec(a.Do, true, a.Line, who)
		if ok {
			l.params(spec, a.With, a.Line, who)
			if severityOf[a.Effect] < severityOf[spec.Effect] {
				l.add(SeverityError, a.Line, "effect", "write effect: "+string(spec.Effect), "%s says %s, but %s is %s", who, a.Effect, a.Do, spec.Effect)
			}
		}
		if a.Effect != prunella.Reads {
			l.mutation(a, who)
		}
		if a.Verify != nil {
			if spec, ok := l.spec(a.Verify.Read, false, a.Line, "the verify of "+who); ok {
				l.params(spec, a.Verify.With, a.Line, "the verify of "+who)
			}
			l.until(a, who)
		}
		if a.Undo != nil && a.Undo.Do != NoneNeeded {
			if spec, ok := l.spec(a.Undo.Do, true, a.Line, "the undo of "+who); ok {
				l.params(spec, a.Undo.With, a.Line, "the undo of "+who)
			}
		}
	}
}

func (l *linter) mutation(a prunella.ActionRule, who string) {
	if a.Undo == nil {
		l.add(SeverityWarning, a.Line, "no-undo", "add undo, or undo: {do: none-needed, with: {because: …}}", "%s has no undo, so the skill can never run unattended", who)
	}
	if a.Effect == prunella.Irreversible {
		l.add(SeverityNote, a.Line, "irreversible", "nothing to mend when it has to be so", "%s cannot be taken back, so a person is asked whenever it is due", who)
	}
}

// until finds references to texts that are not in quotes: they would be read as names.
func (l *linter) until(a prunella.ActionRule, who string) {
	inQuotes := false
	source := a.Verify.Until
	for i := 0; i < len(source); i++ {
		switch {
		case source[i] == '\'' || source[i] == '"':
			inQuotes = !inQuotes
		case strings.HasPrefix(source[i:], "${") && !inQuotes:
			path := References(source[i:])
			if len(path) > 0 && !numeric[path[0]] {
				l.add(SeverityError, a.Line, "reference-quotes", fmt.Sprintf("write '${%s}'", path[0]), "${%s} in until of %s stands for a text and needs quotes", path[0], who)
			}
		}
	}
}

var numeric = map[string]bool{"now": true, "incident.onset_unix": true, "cause.confidence": true, "keys.previous_safe": true,
	"keys.previous_safe_at": true, "keys.token_lifetime_s": true}

func (l *linter) escalations() {
	for _, e := range l.s.Escalations {
		if e.Primary || e.When == "" {
			return
		}
	}
	severity := SeverityWarning
	if len(l.s.Actions) == 0 {
		severity = SeverityNote
	}
	l.add(severity, l.line("Escalation"), "no-primary", "add an ```escalate block with primary: true", "the skill says nobody to call when it does not work")
}

var todo = regexp.MustCompile(`\bTODO\b`)

// unfinished finds what was left to be written.
func (l *linter) unfinished() {
	if e := l.d.front.find("description"); e != nil && todo.MatchString(e.value) {
		l.add(SeverityWarning, e.line, "unfinished", "say when to use the skill", "the description is not written yet")
	}
	for _, s := range l.d.Sections {
		text := l.d.withoutBlocks(s.Body)
		at := todo.FindStringIndex(text)
		switch {
		case at != nil:
			line, _ := l.d.position(s.Body.Start + at[0])
			l.add(SeverityWarning, line, "unfinished", "write what stands behind TODO, or take it away", "%s has something left to be written", s.Name)
		case SectionNamed(s.Name) != "" && strings.TrimSpace(l.d.Text(s.Body)) == "":
			l.add(SeverityNote, s.Line, "empty-section", "write it, or take the heading away", "%s is empty", s.Name)
		}
	}
}

func (l *linter) line(section string) int {
	s, _ := l.d.Section(section)
	return s.Line
}

func (l *linter) spec(name string, action bool, line int, who string) (prunella.Spec, bool) {
	if len(l.catalog) == 0 || name == "" {
		return prunella.Spec{}, false
	}
	kind, other := "read", "action"
	if action {
		kind, other = other, kind
	}
	var all []string
	for _, s := range l.catalog {
		if s.Name == name && s.Action == action {
			return s, true
		}
		if s.Name == name {
			l.add(SeverityError, line, "unknown-"+kind, "use it where "+other+"s belong", "%s needs %s, and %s is %s", who, withArticle(kind), name, withArticle(other))
			return prunella.Spec{}, false
		}
		if s.Action == action {
			all = append(all, s.Name)
		}
	}
	remedy := fmt.Sprintf("known %ss: %s", kind, strings.Join(all, ", "))
	if near := condition.Closest(name, all); near != "" {
		remedy = "did you mean " + near + "?"
	}
	l.add(SeverityError, line, "unknown-"+kind, remedy, "%s: there is no %s %q", who, kind, name)
	return prunella.Spec{}, false
}

func withArticle(word string) string {
	if strings.HasPrefix(word, "a") || strings.HasPrefix(word, "e") {
		return "an " + word
	}
	return "a " + word
}

func (l *linter) params(spec prunella.Spec, with map[string]any, line int, who string) {
	var known []string
	for _, p := range spec.Params {
		known = append(known, p.Name)
		v, there := with[p.Name]
		if p.Required && !there {
			l.add(SeverityError, line, "missing-param", fmt.Sprintf("add %s under with: %s", p.Name, p.Doc), "%s: %s needs %s", who, spec.Name, p.Name)
		}
		if want := wrongType(p.Type, v); there && want != "" {
			l.add(SeverityError, line, "param-type", "write "+want, "%s: %s of %s cannot be %v", who, p.Name, spec.Name, v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(with)) {
		if slices.Contains(known, name) {
			continue
		}
		l.add(SeverityError, line, "unknown-param", hint(name, known), "%s: %s has no parameter %q", who, spec.Name, name)
	}
}

// wrongType says what to write when a value cannot have the type; a text that
// is one reference has the type of what it refers to.
func wrongType(typ string, v any) string {
	if s, ok := v.(string); ok && len(References(s)) > 0 {
		return ""
	}
	switch v := v.(type) {
	case float64:
		switch typ {
		case "bool":
			return "true or false"
		case "list":
			return "a list, […]"
		case "duration":
			return "a number with a unit: 90s, 15m or 24h"
		}
	case string:
		switch typ {
		case "number":
			return "a number without quotes"
		case "bool":
			return "true or false"
		case "list":
			return fmt.Sprintf("a list, [%q]", v)
		}
	case bool:
		if typ != "bool" && typ != "any" {
			return "a " + typ
		}
	case []any:
		if typ != "list" && typ != "any" {
			return "one " + typ + ", not a list"
		}
	case map[string]any:
		if typ != "any" {
			return "a " + typ
		}
	}
	return ""
}
