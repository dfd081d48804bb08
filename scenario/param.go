package scenario

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"prunella"
)

// Param is a value of a scenario that whoever runs it may set.
type Param struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"` // text | integer | number | bool | duration | share | choice | services
	Default string   `json:"default"`
	Min     string   `json:"min,omitempty"`    // integer, number, duration; of services: how many at least
	Max     string   `json:"max,omitempty"`    // the same, at most
	Values  []string `json:"values,omitempty"` // choice
	Doc     string   `json:"doc"`
}

var paramTypes = []string{"text", "integer", "number", "bool", "duration", "share", "choice", "services"}

// reference finds ${name}; names with a dot are known only when the scenario runs.
var reference = regexp.MustCompile(`\$\{([^}]*)\}`)

var (
	paramName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	factName  = regexp.MustCompile(`^fault\.[a-z][a-z0-9_]{0,39}$`)
)

// readParams keeps the order of the file.
func (r *reader) readParams(n *yaml.Node) []Param {
	var out []Param
	byName := r.pairs(n, "params")
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		value, ok := byName[name]
		if !ok {
			continue
		}
		delete(byName, name)
		if !paramName.MatchString(name) {
			r.fail(n.Content[i], "use lower-case letters, digits and _, a letter first", "%q is not a parameter's name", name)
			continue
		}
		p := Param{Name: name}
		what := "params." + name
		seen := r.mapping(value, what, fields{
			"type":    func(n *yaml.Node) { p.Type = r.word(n, what+".type", paramTypes) },
			"default": func(n *yaml.Node) { p.Default, _ = r.scalar(n, what+".default") },
			"min":     func(n *yaml.Node) { p.Min, _ = r.scalar(n, what+".min") },
			"max":     func(n *yaml.Node) { p.Max, _ = r.scalar(n, what+".max") },
			"values":  func(n *yaml.Node) { p.Values = r.texts(n, what+".values") },
			"doc":     func(n *yaml.Node) { p.Doc = r.text(n, what+".doc") },
		})
		for _, key := range []string{"type", "default", "doc"} {
			if seen[key] == nil && value.Kind == yaml.MappingNode {
				r.fail(value, "add "+key+": …", "%s has no %s", what, key)
			}
		}
		if p.Type == "choice" && len(p.Values) == 0 {
			r.fail(value, "add values: [a, b]", "%s is a choice without values", what)
			continue
		}
		if seen["default"] != nil && slices.Contains(paramTypes, p.Type) {
			if err := p.Check(p.Default); err != nil {
				r.fail(seen["default"], "change the default or the bounds", "%v", err)
			}
		}
		out = append(out, p)
	}
	return out
}

// Check returns an Invalid error when the parameter cannot have that value.
func (p Param) Check(value string) error {
	bad := func(format string, args ...any) error {
		return prunella.Errorf(prunella.Invalid, "%s=%s: %s", p.Name, value, fmt.Sprintf(format, args...))
	}
	switch p.Type {
	case "integer", "number":
		v, err := strconv.ParseFloat(value, 64)
		if p.Type == "integer" {
			var n int
			n, err = strconv.Atoi(value)
			v = float64(n)
		}
		if err != nil || v != v {
			return bad("write a %s", tern(p.Type == "integer", "whole number", "number"))
		}
		return p.within(v, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }, bad)
	case "duration":
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return bad("write a duration like 90s, 10m or 1h")
		}
		return p.within(d.Seconds(), func(s string) (float64, error) {
			d, err := time.ParseDuration(s)
			return d.Seconds(), err
		}, bad)
	case "share":
		r := reader{}
		r.share(&yaml.Node{Kind: yaml.ScalarNode, Value: value}, p.Name)
		if len(r.problems) > 0 {
			return bad("write a share like 0.05 or 5%%")
		}
	case "bool":
		if value != "true" && value != "false" {
			return bad("write true or false")
		}
	case "choice":
		if !slices.Contains(p.Values, value) {
			return bad("write one of %s", strings.Join(p.Values, ", "))
		}
	case "services":
		n := len(strings.Split(value, ","))
		if count, err := strconv.Atoi(value); err == nil {
			n = count
		} else if slices.ContainsFunc(strings.Split(value, ","), func(s string) bool { return !serviceName.MatchString(s) }) {
			return bad("write how many services, or their names as user,order")
		}
		return p.within(float64(n), func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }, bad)
	case "text":
		if strings.TrimSpace(value) == "" {
			return bad("write a text")
		}
	}
	return nil
}

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

func (p Param) within(v float64, parse func(string) (float64, error), bad func(string, ...any) error) error {
	for _, bound := range []struct {
		text  string
		wrong func(limit float64) bool
		words string
	}{
		{p.Min, func(limit float64) bool { return v < limit }, "at least"},
		{p.Max, func(limit float64) bool { return v > limit }, "at most"},
	} {
		if bound.text == "" {
			continue
		}
		limit, err := parse(bound.text)
		if err != nil {
			return bad("its bound %q is not a %s", bound.text, p.Type)
		}
		if bound.wrong(limit) {
			return bad("write %s %s", bound.words, bound.text)
		}
	}
	return nil
}

// resolve gives every parameter its value, or an Invalid error that lists the
// parameters there are.
func resolve(params []Param, set map[string]string) (map[string]string, error) {
	out := map[string]string{}
	var names []string
	for _, p := range params {
		out[p.Name] = p.Default
		names = append(names, p.Name)
	}
	for name, value := range set {
		i := slices.IndexFunc(params, func(p Param) bool { return p.Name == name })
		if i < 0 {
			return nil, &prunella.Error{Kind: prunella.Invalid, Reason: fmt.Sprintf("this scenario has no parameter %q", name),
				Remedy: tern(len(names) == 0, "it has none", "it has "+strings.Join(names, ", "))}
		}
		if err := params[i].Check(value); err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

// substitute returns a copy of n with every ${param} replaced. ${fault.…} stays
// where facts may stand, and is a problem elsewhere.
func (r *reader) substitute(n *yaml.Node, values map[string]string, facts bool) *yaml.Node {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		r.fail(n, "write it out", "anchors and aliases are not part of the format")
		return &yaml.Node{Kind: yaml.ScalarNode, Value: "", Tag: "!!str", Line: n.Line}
	}
	if n.Style&yaml.TaggedStyle != 0 {
		r.fail(n, "leave the tag out", "%s is a YAML tag, which is not part of the format", n.Tag)
	}
	out := *n
	out.Content = nil
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			out.Content = append(out.Content, c)
			continue
		}
		out.Content = append(out.Content, r.substitute(c, values, facts))
	}
	if n.Kind != yaml.ScalarNode {
		return &out
	}
	out.Value = reference.ReplaceAllStringFunc(n.Value, func(ref string) string {
		name := ref[2 : len(ref)-1]
		if v, ok := values[name]; ok {
			return v
		}
		if facts && factName.MatchString(name) {
			return ref
		}
		remedy := "declare it under params"
		if strings.HasPrefix(name, "fault.") {
			remedy = "facts of a fault, like ${fault.new_kid}, are known in expect and after only"
		}
		r.fail(n, remedy, "%s refers to nothing", ref)
		return ref
	})
	return &out
}

func tern[T any](cond bool, yes, no T) T {
	if cond {
		return yes
	}
	return no
}
