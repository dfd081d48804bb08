package skill

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"prunella"
	"prunella/condition"
)

// A reference is ${root.field…} in a text; the whole text may be one reference,
// which then keeps the type of what it refers to.
var referencePattern = regexp.MustCompile(`\$\{([^{}]*)\}`)

// References lists the paths that a text refers to: "item.name" for "${item.name}".
func References(text string) []string {
	var out []string
	for _, m := range referencePattern.FindAllStringSubmatch(text, -1) {
		out = append(out, strings.TrimSpace(m[1]))
	}
	return out
}

// PlanFields are the fields of the plan's variables, which references and
// conditions may use. A field of a list of objects gives the list of that field.
var PlanFields = map[string][]string{
	"incident": {"id", "onset_unix", "severity", "services"},
	"cause":    {"service", "fault", "services", "kids", "confidence"},
	"keys":     {"issuer", "signer", "previous", "failing", "lacking", "undelivered", "refusing", "verifiers", "previous_safe", "previous_safe_at", "token_lifetime_s"},
	"item":     {"name", "deployment", "configmap", "config_key", "owner"},
	"now":      {},
}

// lists are the plan's fields that for_each may go through, with true for
// lists of services.
var lists = map[string]bool{
	"keys.lacking": true, "keys.undelivered": true, "keys.refusing": true, "keys.verifiers": true, "keys.failing": false, "cause.services": false, "cause.kids": false, "incident.services": false,
}

// checkReferences notes the references of a rule's texts that cannot be
// resolved. item is the list that ${item} goes through, "" for none.
func (m *mapping) checkReferences(n *yaml.Node, item string, before bool) {
	if n == nil {
		return
	}
	for _, c := range n.Content {
		m.checkReferences(c, item, before)
	}
	if n.Kind != yaml.ScalarNode {
		return
	}
	if rest := referencePattern.ReplaceAllString(n.Value, ""); strings.Contains(rest, "${") {
		m.add(SeverityError, "reference", n, "write ${keys.signer}", "a ${ is not closed in %q", n.Value)
	}
	for _, path := range References(n.Value) {
		if reason, remedy := referenceProblem(path, item, before); reason != "" {
			m.add(SeverityError, "reference", n, remedy, "${%s} %s", path, reason)
		}
	}
}

func referenceProblem(path, item string, before bool) (reason, remedy string) {
	root, rest, _ := strings.Cut(path, ".")
	field, _, _ := strings.Cut(rest, ".")
	switch {
	case root == "before" && before:
		return "", ""
	case root == "before":
		return "cannot be used here", "before is known to an undo only"
	case root == "item" && item == "":
		return "cannot be used here", "add for_each, which says what item is"
	case root == "item" && field == "" && lists[item]:
		return "is a whole service", "write ${item.name} or another of its fields: " + strings.Join(PlanFields["item"], ", ")
	case root == "item" && (field == "" || !lists[item]):
		if field != "" {
			return "is a text without fields", "write ${item}"
		}
		return "", ""
	}
	allowed, ok := PlanFields[root]
	if !ok {
		return "is not known", hint(root, slices.Sorted(maps.Keys(PlanFields)))
	}
	if field == "" && root != "now" || field != "" && !slices.Contains(allowed, field) {
		return "is not known", hint(field, allowed)
	}
	return "", ""
}

func hint(word string, allowed []string) string {
	if near := condition.Closest(word, allowed); near != "" {
		return "did you mean " + near + "?"
	}
	return "known: " + strings.Join(allowed, ", ")
}

// withoutReferences replaces references in a condition by variables of the same
// length, so that it can be compiled and columns stay true.
func withoutReferences(source string, scope condition.Scope) (string, condition.Scope) {
	wide := maps.Clone(scope)
	n := 0
	out := referencePattern.ReplaceAllStringFunc(source, func(m string) string {
		n++
		name := fmt.Sprintf("r%d", n)
		name += strings.Repeat("_", max(0, len([]rune(m))-len(name)))
		wide[name] = condition.Any
		return name
	})
	return out, wide
}

func (m *mapping) conditionProblem(name string, n *yaml.Node, err error) {
	var s *condition.SyntaxError
	if !errors.As(err, &s) {
		m.add(SeverityError, "condition", n, "", "%s of the %s: %v", name, m.label(), err)
		return
	}
	at := *n
	switch n.Style &^ yaml.TaggedStyle {
	case yaml.LiteralStyle, yaml.FoldedStyle:
		at.Line, at.Column = m.inFolded(n.Line, n.Style, s)
	case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
		at.Column += s.Column
	default:
		at.Column += s.Column - 1
	}
	var e *prunella.Error
	errors.As(err, &e)
	m.add(SeverityError, "condition", &at, e.Remedy, "%s of the %s: %s", name, m.label(), e.Reason)
}

// inFolded finds a place of a text that stands on the lines below a | or >.
func (m *mapping) inFolded(line int, style yaml.Style, s *condition.SyntaxError) (int, int) {
	lines := strings.Split(m.block.Code, "\n")
	column := s.Column
	if style == yaml.LiteralStyle {
		line += s.Line - 1
	}
	for ; line < len(lines); line++ {
		text := strings.TrimRight(lines[line], " \r")
		indent := len(text) - len(strings.TrimLeft(text, " "))
		if width := len([]rune(text)) - indent; column <= width || style == yaml.LiteralStyle || line == len(lines)-1 {
			return line + 1, indent + column
		} else {
			column -= width + 1
		}
	}
	return line, column
}
