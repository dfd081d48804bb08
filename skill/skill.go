package skill

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"prunella"
	"prunella/condition"
)

// Suffix ends the name of every skill file.
const Suffix = ".skill.md"

var idPattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Skill returns the executable form of the document and what is wrong with it.
// With an error among the problems the Skill is incomplete and must not be used.
func (d *Document) Skill() (prunella.Skill, []Problem) {
	get := func(key string) string { v, _ := d.Meta(key); return strings.TrimSpace(v) }
	s := prunella.Skill{
		Name: prunella.SkillName(get("name")), Title: d.Title, Description: get("description"),
		Pattern: get("pattern"), Category: get("category"), Version: get("version"),
		Hash: d.Hash(), Owners: list(get("owners")), Path: d.Path, Alternates: list(get("alternates")),
	}
	if s.Title == "" {
		s.Title = titleFromName(string(s.Name))
	}
	for _, source := range d.Provenance() {
		s.Sources = append(s.Sources, prunella.SkillSource{Ref: cmp.Or(source.URL, source.Text), At: source.day()})
	}
	if get("infrastructure") != "" {
		s.HalfLife = InfrastructureHalfLife
	}
	s.Fault = prunella.Fault(s.Pattern[strings.LastIndexByte(s.Pattern, '/')+1:])
	if section, ok := d.Section("Diagnosis"); ok {
		s.Budgets.Diagnosis = section.Budget
	}
	if section, ok := d.Section("Resolution"); ok {
		s.Budgets.Resolution = section.Budget
	}
	problems := d.headProblems(s)
	seen := map[string]bool{}
	for _, b := range d.Blocks {
		if _, ours := fields[b.Language]; !ours || b.Language == "verify" || b.Language == "undo" {
			continue
		}
		r := &reader{file: d.Path, block: b, problems: &problems}
		for _, m := range r.mappings() {
			m.identify(seen)
			switch b.Language {
			case "signal":
				s.Signals = append(s.Signals, m.signal())
			case "check":
				s.Checks = append(s.Checks, m.check())
			case "action":
				s.Actions = append(s.Actions, m.action())
			case "escalate":
				s.Escalations = append(s.Escalations, m.escalation())
			}
		}
	}
	sortProblems(problems)
	return s, problems
}

func list(s string) []string {
	var out []string
	for _, part := range strings.Split(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func titleFromName(name string) string {
	words := strings.ReplaceAll(name, "-", " ")
	if words == "" {
		return ""
	}
	first, n := utf8.DecodeRuneInString(words)
	return string(unicode.ToUpper(first)) + words[n:]
}

func (m *mapping) identify(seen map[string]bool) {
	id := m.text("id")
	if id == "" {
		return
	}
	if !idPattern.MatchString(id) || len(id) > 64 {
		m.add(SeverityError, "id", m.values["id"], "use a-z, 0-9 and single -, at most 64", "%q cannot be an id", id)
	}
	if seen[m.kind+" "+id] {
		m.add(SeverityError, "duplicate-id", m.values["id"], "give it another id", "there are two %ss with the id %s", m.kind, id)
	}
	seen[m.kind+" "+id] = true
}

var changes = []string{prunella.ChangeKeyAdded, prunella.ChangeKeyRemoved, prunella.ChangeKeyMaterial,
	prunella.ChangeSigner, prunella.ChangeDeploy, prunella.ChangeConfig}

func (m *mapping) signal() prunella.SignalRule {
	kind := m.word("kind", "", "log", "alert", "metric", "change")
	r := prunella.SignalRule{ID: m.text("id"), Kind: prunella.SignalKind(kind), Any: m.texts("any"), Regex: m.text("regex"),
		Metric: m.text("metric"), Within: m.duration("within", 0), Weight: m.weight(), Against: m.boolean("against"), Line: m.line()}
	r.Change = m.word("change", "", changes...)
	scope := condition.SignalText
	if r.Kind == prunella.KindMetric {
		scope = condition.SignalMetric
	}
	r.When = m.condition("when", scope)
	if r.Regex != "" {
		re, err := regexp.Compile(r.Regex)
		if err == nil && re.MatchString("") {
			m.add(SeverityError, "regex", m.values["regex"], "let it need at least one character", "the regex of the %s matches every text", m.label())
		}
		if err != nil {
			m.add(SeverityError, "regex", m.values["regex"], "use RE2 syntax; a backslash needs no doubling outside double quotes", "the regex of the %s: %v", m.label(), err)
		}
	}
	m.signalParts(r)
	return r
}

// signalParts checks that a rule has what its kind needs and nothing else.
func (m *mapping) signalParts(r prunella.SignalRule) {
	text := r.Kind == prunella.KindLog || r.Kind == prunella.KindAlert
	belongs := map[string]bool{"any": text, "regex": text, "metric": r.Kind == prunella.KindMetric,
		"change": r.Kind == prunella.KindChange, "within": r.Kind == prunella.KindChange || r.Kind == prunella.KindAlert}
	for _, name := range []string{"any", "regex", "metric", "change", "within"} {
		if m.has(name) && r.Kind != "" && !belongs[name] {
			m.add(SeverityError, "misplaced-key", m.keys[name], "take it away, or change kind", "a %s rule has no %s", r.Kind, name)
		}
	}
	need := func(names ...string) {
		if !slices.ContainsFunc(names, m.has) {
			m.add(SeverityError, "missing-key", m.node, "add "+strings.Join(names, " or "), "the %s looks for nothing", m.label())
		}
	}
	switch {
	case text:
		need("any", "regex")
	case r.Kind == prunella.KindMetric:
		need("metric")
		need("when")
	case r.Kind == prunella.KindChange:
		need("change")
	}
}

func (m *mapping) check() prunella.CheckRule {
	r := prunella.CheckRule{ID: m.text("id"), Title: m.text("title"), Read: m.text("read"), With: m.mappingOf("with"),
		Timeout: m.duration("timeout", 10*time.Second), For: m.condition("for", condition.Check), Against: m.condition("against", condition.Check),
		Weight: m.weight(), Require: m.boolean("require"), Line: m.line()}
	m.checkReferences(m.values["with"], "", false)
	if r.Timeout == 0 {
		m.wrong("timeout", "more than 0s")
	}
	if !m.has("for") && !m.has("against") {
		m.add(SeverityError, "check-says-nothing", m.node, "add for, against or both", "the %s has neither for nor against", m.label())
	} else if r.Require && !m.has("for") {
		m.add(SeverityError, "require-without-for", m.values["require"], "add for: the answer without which the skill may not act", "the %s is required but has no for", m.label())
	}
	return r
}

func (m *mapping) action() prunella.ActionRule {
	r := prunella.ActionRule{ID: m.text("id"), Title: m.text("title"), Do: m.text("do"), With: m.mappingOf("with"),
		ForEach: m.forEach(), When: m.condition("when", condition.Plan), Timeout: m.duration("timeout", time.Minute), Line: m.line()}
	r.Effect = prunella.Effect(m.word("effect", string(prunella.Irreversible), "read", "reversible", "irreversible"))
	r.OnFailure = m.word("on_failure", "undo", "undo", "escalate", "continue")
	if n := m.number("attempts", 1); n >= 1 && n <= 10 && n == float64(int(n)) {
		r.Attempts = int(n)
	} else {
		r.Attempts = 1
		m.wrong("attempts", "a whole number from 1 to 10")
	}
	if r.Timeout == 0 {
		m.wrong("timeout", "more than 0s")
	}
	m.checkReferences(m.values["with"], r.ForEach, false)
	m.checkReferences(m.values["title"], r.ForEach, false)
	if !m.has("verify") && r.Effect != prunella.Reads {
		m.add(SeverityError, "no-verify", m.node, "add verify: {read, until, within}", "the %s changes the world and nothing shows that it worked", m.label())
	}
	if n := m.inner("verify"); n != nil {
		r.Verify = &prunella.VerifyRule{Read: n.text("read"), With: n.mappingOf("with"), Until: n.condition("until", condition.Check),
			Within: n.duration("within", 0), Hold: n.duration("hold", 0)}
		m.checkReferences(n.node, r.ForEach, false)
		if n.has("within") && r.Verify.Within == 0 {
			n.wrong("within", "more than 0s")
		}
	}
	if n := m.inner("undo"); n != nil {
		r.Undo = &prunella.UndoRule{Do: n.text("do"), With: n.mappingOf("with")}
		m.checkReferences(n.node, r.ForEach, true)
		if because, _ := r.Undo.With["because"].(string); r.Undo.Do == NoneNeeded && strings.TrimSpace(because) == "" {
			m.add(SeverityError, "undo-reason", n.node, "add with: {because: a sentence}", "the undo of the %s is not needed, but it does not say why", m.label())
		}
	}
	return r
}

// NoneNeeded is what an undo does when there is nothing to take back.
const NoneNeeded = "none-needed"

func (m *mapping) inner(name string) *mapping {
	n := m.values[name]
	if n == nil {
		return nil
	}
	if m.mappingOf(name) == nil {
		return nil
	}
	inner := m.reader.mapping(name, n)
	return inner
}

// forEach reads the list that an action goes through; ${…} around it is allowed.
func (m *mapping) forEach() string {
	path := m.text("for_each")
	if refs := References(path); len(refs) == 1 && strings.HasPrefix(path, "${") && strings.HasSuffix(path, "}") {
		path = refs[0]
	}
	if _, ok := lists[path]; !ok && path != "" {
		m.add(SeverityError, "for-each", m.values["for_each"], "known lists: keys.lacking, keys.verifiers, keys.failing, cause.services, cause.kids, incident.services",
			"the %s goes through %q, which is not a list", m.label(), path)
	}
	return path
}

var targetPattern = regexp.MustCompile(`^(@[A-Za-z0-9._-]+|(owner|vendor):[A-Za-z0-9._-]+)$`)

func (m *mapping) escalation() prunella.EscalationRule {
	r := prunella.EscalationRule{To: m.text("to"), When: m.condition("when", condition.Escalate), Reason: m.text("reason"),
		After: m.duration("after", 0), Primary: m.boolean("primary"), Line: m.line()}
	if r.To != "" && !targetPattern.MatchString(r.To) {
		m.add(SeverityError, "escalate-to", m.values["to"], `write "@name", "owner:service" or "vendor:name"`, "%q is not somebody to call", r.To)
	}
	return r
}

// LoadDir reads and lints every skill file (*.skill.md) below dir. Files that
// cannot be used, because something in them is an error or their name is taken,
// are left out and stand in the problems, beside the warnings of the others.
// Without a catalog, names and parameters of reads and actions are not checked.
// The error is for a folder that cannot be read.
func LoadDir(fsys fs.FS, dir string, catalog ...prunella.Spec) ([]prunella.Skill, []Problem, error) {
	var skills []prunella.Skill
	var problems []Problem
	first := map[prunella.SkillName]string{}
	err := fs.WalkDir(fsys, dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path.Base(file), Suffix) {
			return err
		}
		b, err := fs.ReadFile(fsys, file)
		if err != nil {
			return err
		}
		d, err := Parse(file, b)
		if err != nil {
			problems = append(problems, ProblemOf(file, err))
			return nil
		}
		s, _ := d.Skill()
		found := Lint(d, catalog)
		if other, taken := first[s.Name]; taken {
			found = append(found, Problem{File: file, Line: d.MetaLine("name"), Column: 1, Rule: "duplicate-name", Severity: SeverityError,
				Text: fmt.Sprintf("the name %s is taken by %s", s.Name, other), Remedy: "rename one of the two files and its name"})
		}
		problems = append(problems, found...)
		if len(Errors(found)) == 0 {
			first[s.Name] = file
			skills = append(skills, s)
		}
		return nil
	})
	if err != nil {
		return nil, nil, &prunella.Error{Kind: prunella.Invalid, Op: "read skills", Where: dir, Remedy: "name a folder that holds *.skill.md files", Err: err}
	}
	sortProblems(problems)
	return skills, problems, nil
}

var wherePattern = regexp.MustCompile(`^(.*?):(\d+):(\d+)$`)

// ProblemOf turns an error of Parse into a Problem.
func ProblemOf(file string, err error) Problem {
	p := Problem{File: file, Line: 1, Column: 1, Rule: "unreadable", Text: err.Error(), Severity: SeverityError}
	var e *prunella.Error
	if errors.As(err, &e) {
		p.Text, p.Remedy = e.Reason, e.Remedy
		if m := wherePattern.FindStringSubmatch(e.Where); m != nil {
			fmt.Sscan(m[2], &p.Line)
			fmt.Sscan(m[3], &p.Column)
		}
	}
	return p
}
