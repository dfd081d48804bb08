package skill

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"prunella"
)

// Level is how much a change matters to who trusts a skill: the part of the
// version that it raises.
type Level string

const (
	Major Level = "major" // another procedure: evidence of the old one says little
	Minor Level = "minor" // the same procedure with changed steps
	Patch Level = "patch" // wording
)

var levelOrder = map[Level]int{"": 0, Patch: 1, Minor: 2, Major: 3}

// Change is one difference between two versions of a skill.
type Change struct {
	Kind   string `json:"kind"`   // action | check | signal | escalate | code | step | section | fact
	Name   string `json:"name"`   // id of a rule, heading of a section, key of a fact, "Resolution 2"
	What   string `json:"what"`   // added | removed | changed
	Detail string `json:"detail"` // which keys, or the words before and after
	Level  Level  `json:"level"`
}

// Diff compares two versions by what they mean: facts, sections, steps, code
// for people, and the rules in the blocks, each by its id. A changed place is
// listed once, as the smallest thing that has a name.
func Diff(a, b *Document) []Change {
	c := &comparison{}
	before, _ := a.Skill()
	after, _ := b.Skill()
	c.facts(a, b)
	c.rules(before, after)
	c.code(a, b)
	c.steps(a, b)
	c.sections(a, b)
	return c.changes
}

// LevelOf is the highest level of the changes, "" for none.
func LevelOf(changes []Change) Level {
	var level Level
	for _, c := range changes {
		if levelOrder[c.Level] > levelOrder[level] {
			level = c.Level
		}
	}
	return level
}

// Covers tells whether raising one level is enough for a change of another.
func (l Level) Covers(other Level) bool { return levelOrder[l] >= levelOrder[other] }

type comparison struct{ changes []Change }

func (c *comparison) add(level Level, kind, name, what, format string, args ...any) {
	c.changes = append(c.changes, Change{Kind: kind, Name: name, What: what, Detail: fmt.Sprintf(format, args...), Level: level})
}

func (c *comparison) facts(a, b *Document) {
	if a.Title != b.Title {
		c.add(Patch, "fact", "title", "changed", "%q became %q", a.Title, b.Title)
	}
	for _, key := range a.MetaKeys() {
		before, _ := a.Meta(key)
		after, there := b.Meta(key)
		level := Patch
		if key == "pattern" {
			level = Major // it heals another failure
		}
		switch {
		case key == "version" || before == after && there:
		case !there:
			c.add(level, "fact", key, "removed", "was %q", before)
		default:
			c.add(level, "fact", key, "changed", "%q became %q", before, after)
		}
	}
	for _, key := range b.MetaKeys() {
		if _, there := a.Meta(key); !there && key != "version" {
			after, _ := b.Meta(key)
			c.add(Patch, "fact", key, "added", "%q", after)
		}
	}
}

// rules compares the blocks. Taking an action or a check away, making an action
// irreversible, or no longer requiring a check makes it another procedure.
func (c *comparison) rules(a, b prunella.Skill) {
	compareRules(c, "signal", a.Signals, b.Signals, func(r prunella.SignalRule) string { return r.ID }, Minor, func(_, _ prunella.SignalRule) Level { return Minor })
	compareRules(c, "check", a.Checks, b.Checks, func(r prunella.CheckRule) string { return r.ID }, Major, func(x, y prunella.CheckRule) Level {
		if x.Require && !y.Require {
			return Major
		}
		return Minor
	})
	compareRules(c, "action", a.Actions, b.Actions, func(r prunella.ActionRule) string { return r.ID }, Major, func(x, y prunella.ActionRule) Level {
		if y.Effect == prunella.Irreversible && x.Effect != prunella.Irreversible {
			return Major
		}
		return Minor
	})
	compareRules(c, "escalate", a.Escalations, b.Escalations, func(r prunella.EscalationRule) string { return r.To }, Minor, func(_, _ prunella.EscalationRule) Level { return Minor })
	if len(a.Actions) == len(b.Actions) {
		for i := range a.Actions {
			if a.Actions[i].ID != b.Actions[i].ID {
				if slices.ContainsFunc(b.Actions, func(r prunella.ActionRule) bool { return r.ID == a.Actions[i].ID }) {
					c.add(Minor, "action", a.Actions[i].ID, "changed", "it runs at another place of the order")
				}
				break
			}
		}
	}
}

func compareRules[R any](c *comparison, kind string, before, after []R, id func(R) string, removed Level, changed func(x, y R) Level) {
	find := func(list []R, name string) (R, bool) {
		for _, r := range list {
			if id(r) == name {
				return r, true
			}
		}
		var none R
		return none, false
	}
	for _, x := range before {
		y, there := find(after, id(x))
		if !there {
			c.add(removed, kind, id(x), "removed", "")
			continue
		}
		if keys := differing(x, y); len(keys) > 0 {
			c.add(changed(x, y), kind, id(x), "changed", "%s", strings.Join(keys, "; "))
		}
	}
	var none R
	for _, y := range after {
		if _, there := find(before, id(y)); !there {
			c.add(changed(none, y), kind, id(y), "added", "")
		}
	}
}

// differing lists the keys in which two rules differ, with both values.
func differing(x, y any) []string {
	var a, b map[string]any
	for _, p := range []struct {
		in  any
		out *map[string]any
	}{{x, &a}, {y, &b}} {
		text, err := json.Marshal(p.in)
		if err == nil {
			err = json.Unmarshal(text, p.out)
		}
		if err != nil { // rules are made of what JSON knows
			return []string{err.Error()}
		}
		delete(*p.out, "line")
	}
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	var out []string
	for k := range keys {
		if !reflect.DeepEqual(a[k], b[k]) {
			out = append(out, fmt.Sprintf("%s: %s became %s", k, compact(a[k]), compact(b[k])))
		}
	}
	slices.Sort(out)
	return out
}

func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil || v == nil {
		return "nothing"
	}
	return string(text)
}

// code compares the blocks that people run. A changed command is a changed step.
func (c *comparison) code(a, b *Document) {
	texts := func(d *Document) []string {
		var out []string
		for _, block := range d.Blocks {
			if _, ours := homes[block.Language]; !ours {
				out = append(out, block.Section+"\x00"+strings.TrimSpace(strings.ReplaceAll(block.Code, "\r\n", "\n")))
			}
		}
		return out
	}
	for _, e := range edits(texts(a), texts(b)) {
		section, text, _ := strings.Cut(e.text, "\x00")
		first, _, _ := strings.Cut(text, "\n")
		c.add(Minor, "code", section, e.what, "%s", first)
	}
}

func (c *comparison) steps(a, b *Document) {
	texts := func(d *Document) []string {
		var out []string
		for _, s := range d.Steps {
			out = append(out, fmt.Sprintf("%s\x00%s", s.Section, strings.Join(strings.Fields(s.Text), " ")))
		}
		return out
	}
	for _, e := range edits(texts(a), texts(b)) {
		section, text, _ := strings.Cut(e.text, "\x00")
		c.add(Patch, "step", section, e.what, "%s", text)
	}
}

// sections lists those that came, went, or differ in their prose.
func (c *comparison) sections(a, b *Document) {
	prose := func(d *Document, s Section) string {
		return strings.Join(strings.Fields(d.withoutBlocks(s.Body)), " ")
	}
	for _, s := range a.Sections {
		other, there := b.sectionNamed(s.Name)
		switch {
		case !there:
			c.add(Patch, "section", s.Name, "removed", "")
		case s.Budget != other.Budget:
			c.add(Minor, "section", s.Name, "changed", "its time of %v became %v", s.Budget, other.Budget)
		case prose(a, s) != prose(b, other) && !slices.ContainsFunc(c.changes, func(x Change) bool { return x.Kind == "step" && x.Name == s.Name }):
			c.add(Patch, "section", s.Name, "changed", "its wording")
		}
	}
	for _, s := range b.Sections {
		if _, there := a.sectionNamed(s.Name); !there {
			c.add(Patch, "section", s.Name, "added", "")
		}
	}
}

func (d *Document) sectionNamed(name string) (Section, bool) {
	for _, s := range d.Sections {
		if s.Name == name {
			return s, true
		}
	}
	return Section{}, false
}

// Bump raises one part of a version; a leading v stays, a pre-release goes. It
// is Invalid for what is no version.
func Bump(version string, level Level) (string, error) {
	part := parseVersion(version)
	if part == nil {
		return "", prunella.Errorf(prunella.Invalid, "%q is not a semantic version; write major.minor.patch, such as 1.0.0", version)
	}
	switch level {
	case Major:
		part[0], part[1], part[2] = part[0]+1, 0, 0
	case Minor:
		part[1], part[2] = part[1]+1, 0
	case Patch:
		part[2]++
	default:
		return "", prunella.Errorf(prunella.Invalid, "%q is not a part of a version; write major, minor or patch", level)
	}
	v := ""
	if strings.HasPrefix(version, "v") {
		v = "v"
	}
	return fmt.Sprintf("%s%d.%d.%d", v, part[0], part[1], part[2]), nil
}

// CompareVersions orders semantic versions as semver.org does, whether a v
// leads them or not; what is none comes first.
func CompareVersions(a, b string) int {
	with := func(v string) string { return "v" + strings.TrimPrefix(v, "v") }
	if !semver.IsValid(with(a)) && !semver.IsValid(with(b)) {
		return strings.Compare(a, b)
	}
	return semver.Compare(with(a), with(b))
}
