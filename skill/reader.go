package skill

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"prunella/condition"
)

// reader turns the YAML of one block into rules, noting problems at their
// place in the file.
type reader struct {
	file     string
	block    Block
	problems *[]Problem
}

func (r *reader) add(severity, rule string, n *yaml.Node, remedy, format string, args ...any) {
	line, column := r.block.Line, 1
	if n != nil {
		line, column = r.block.place(n.Line, n.Column)
	}
	*r.problems = append(*r.problems, Problem{File: r.file, Line: line, Column: column, Rule: rule,
		Text: fmt.Sprintf(format, args...), Remedy: remedy, Severity: severity})
}

// mappings parses the block: one mapping, or a list of them.
func (r *reader) mappings() []*mapping {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(r.block.Code), &root); err != nil {
		at := &yaml.Node{Line: yamlErrorLine(r.block.Code, err), Column: 1}
		remedy := "check the indentation, and put texts with : # { [ @ or ` in quotes"
		if strings.Contains(r.block.Code, "\t") {
			remedy = "indent with spaces, not with tabs"
		}
		r.add(SeverityError, "yaml-syntax", at, remedy, "this is not YAML: %s", yamlMessage(err))
		return nil
	}
	if len(root.Content) == 0 {
		r.add(SeverityError, "empty-block", nil, "write its keys, or take the block away", "the %s block is empty", r.block.Language)
		return nil
	}
	top := root.Content[0]
	if n := findAlias(top); n != nil {
		r.add(SeverityError, "yaml-alias", n, "write the value out", "anchors and aliases are not supported")
		return nil
	}
	var out []*mapping
	switch top.Kind {
	case yaml.MappingNode:
		out = append(out, r.mapping(r.block.Language, top))
	case yaml.SequenceNode:
		for _, n := range top.Content {
			if n.Kind != yaml.MappingNode {
				r.add(SeverityError, "not-a-mapping", n, "write - id: …", "each element of the list must be keys with values")
				continue
			}
			out = append(out, r.mapping(r.block.Language, n))
		}
	default:
		r.add(SeverityError, "not-a-mapping", top, "write id: … on a line of its own", "the block must be keys with values, or a list of them")
	}
	return out
}

// mapping is one rule of a block as written.
type mapping struct {
	*reader
	kind   string // block, "verify" or "undo"
	node   *yaml.Node
	values map[string]*yaml.Node
	keys   map[string]*yaml.Node
}

func (r *reader) mapping(kind string, n *yaml.Node) *mapping {
	m := &mapping{reader: r, kind: kind, node: n, values: map[string]*yaml.Node{}, keys: map[string]*yaml.Node{}}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if _, ok := known(kind, key.Value); !ok || key.Kind != yaml.ScalarNode {
			remedy := "known keys: " + strings.Join(names(kind), ", ")
			if near := condition.Closest(key.Value, names(kind)); near != "" {
				remedy = "did you mean " + near + "?"
			}
			r.add(SeverityError, "unknown-key", key, remedy, "a %s has no key %q", kind, key.Value)
			continue
		}
		if m.values[key.Value] != nil {
			r.add(SeverityError, "duplicate-key", key, "keep one of them", "%s is written twice", key.Value)
			continue
		}
		m.values[key.Value], m.keys[key.Value] = value, key
	}
	for _, f := range fields[kind] {
		if f.Required && m.values[f.Name] == nil {
			r.add(SeverityError, "missing-key", n, fmt.Sprintf("add %s: %s", f.Name, f.Doc), "the %s has no %s", m.label(), f.Name)
		}
	}
	return m
}

// label names the rule in messages: "action restart".
func (m *mapping) label() string {
	if id := m.values["id"]; id != nil && id.Value != "" {
		return m.kind + " " + id.Value
	}
	return m.kind
}

func (m *mapping) line() int {
	line, _ := m.block.place(m.node.Line, m.node.Column)
	return line
}

func (m *mapping) has(name string) bool { return m.values[name] != nil }

func (m *mapping) wrong(name, want string) {
	n := m.values[name]
	m.add(SeverityError, "wrong-type", n, "write "+want, "%s of the %s cannot be used: %s", name, m.label(), short(n))
}

func short(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "it is a mapping"
	case yaml.SequenceNode:
		return "it is a list"
	}
	if n.Value == "" {
		return "it is empty"
	}
	return fmt.Sprintf("%q", n.Value)
}

func (m *mapping) text(name string) string {
	n := m.values[name]
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || strings.TrimSpace(n.Value) == "" {
		m.wrong(name, "a text")
		return ""
	}
	return strings.TrimSpace(n.Value)
}

func (m *mapping) texts(name string) []string {
	n := m.values[name]
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		return []string{n.Value}
	}
	var out []string
	for _, c := range n.Content {
		if n.Kind != yaml.SequenceNode || c.Kind != yaml.ScalarNode || strings.TrimSpace(c.Value) == "" {
			m.wrong(name, "a list of texts, [\"…\", \"…\"]")
			return nil
		}
		out = append(out, c.Value)
	}
	if len(out) == 0 {
		m.wrong(name, "a list of texts, [\"…\", \"…\"]")
	}
	return out
}

func (m *mapping) word(name, standard string, allowed ...string) string {
	if !m.has(name) {
		return standard
	}
	s := m.text(name)
	if s == "" || slices.Contains(allowed, s) {
		return s
	}
	remedy := "write one of " + strings.Join(allowed, ", ")
	if near := condition.Closest(s, allowed); near != "" {
		remedy = "did you mean " + near + "?"
	}
	m.add(SeverityError, "unknown-word", m.values[name], remedy, "%s of the %s cannot be %q", name, m.label(), s)
	return standard
}

func (m *mapping) number(name string, standard float64) float64 {
	n := m.values[name]
	if n == nil {
		return standard
	}
	var f float64
	if n.Kind != yaml.ScalarNode || n.Decode(&f) != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		m.wrong(name, "a number")
		return standard
	}
	return f
}

func (m *mapping) weight() float64 {
	w := m.number("weight", 1)
	if w <= 0 {
		m.add(SeverityError, "weight", m.values["weight"], "write a weight above 0; use against for what speaks against the skill", "the weight of the %s is %g", m.label(), w)
		return 1
	}
	return w
}

func (m *mapping) boolean(name string) bool {
	n := m.values[name]
	if n == nil {
		return false
	}
	var b bool
	if n.Kind != yaml.ScalarNode || n.Decode(&b) != nil {
		m.wrong(name, "true or false")
	}
	return b
}

var bareNumber = regexp.MustCompile(`^\d+$`)

func (m *mapping) duration(name string, standard time.Duration) time.Duration {
	n := m.values[name]
	if n == nil {
		return standard
	}
	if bareNumber.MatchString(n.Value) && n.Value != "0" {
		m.wrong(name, "the unit too: "+n.Value+"s or "+n.Value+"m")
		return standard
	}
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d < 0 {
		m.wrong(name, "90s, 15m or 24h")
		return standard
	}
	return d
}

func (m *mapping) mappingOf(name string) map[string]any {
	n := m.values[name]
	if n == nil {
		return nil
	}
	v, ok := value(n).(map[string]any)
	if !ok {
		m.wrong(name, "keys with values")
		return nil
	}
	return v
}

// value turns YAML into what JSON knows, with every number a float64.
func value(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = value(n.Content[i+1])
		}
		return out
	case yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			out = append(out, value(c))
		}
		return out
	}
	var f float64
	var b bool
	switch {
	case n.Tag == "!!null":
		return nil
	case n.Tag == "!!bool" && n.Decode(&b) == nil:
		return b
	case (n.Tag == "!!int" || n.Tag == "!!float") && n.Decode(&f) == nil && !math.IsNaN(f) && !math.IsInf(f, 0):
		return f
	}
	return n.Value
}

// condition compiles the condition of a key and returns its source.
func (m *mapping) condition(name string, scope condition.Scope) string {
	n := m.values[name]
	if n == nil {
		return ""
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!bool" {
		return n.Value
	}
	source := m.text(name)
	if source == "" {
		return ""
	}
	program := source
	if name == "until" {
		program, scope = withoutReferences(source, scope)
	}
	if _, err := condition.Compile(program, scope); err != nil {
		m.conditionProblem(name, n, err)
	}
	return source
}
