package action

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"prunella"
)

// params are the checked parameters of one call: present, known and of their
// declared type, with the list, duration and number types normalized.
type params map[string]any

// checkParams compares what was given with the spec.
func checkParams(spec prunella.Spec, with map[string]any) (params, error) {
	out := params{}
	bad := func(name, reason, remedy string) error {
		return &prunella.Error{Kind: prunella.Invalid, Op: spec.Name, Where: name, Reason: reason, Remedy: remedy}
	}
	var known []string
	for _, ps := range spec.Params {
		known = append(known, ps.Name)
		v, ok := with[ps.Name]
		if !ok || v == nil {
			if ps.Required {
				return nil, bad(ps.Name, "the parameter is missing", "give "+ps.Name+", a "+ps.Type+": "+ps.Doc)
			}
			continue
		}
		n, err := normalize(ps.Type, v)
		if err != nil {
			return nil, bad(ps.Name, err.Error(), "")
		}
		if ps.Required && (n == "" || isEmptyList(n)) {
			return nil, bad(ps.Name, "the parameter is empty", "give "+ps.Doc)
		}
		out[ps.Name] = n
	}
	for name := range with {
		if !slices.Contains(known, name) {
			remedy := "it takes none"
			if len(known) > 0 {
				remedy = "it takes " + strings.Join(known, ", ")
			}
			return nil, bad(name, "there is no such parameter", remedy)
		}
	}
	return out, nil
}

func isEmptyList(v any) bool {
	l, ok := v.([]string)
	return ok && len(l) == 0
}

func normalize(typ string, v any) (any, error) {
	switch typ {
	case "text":
		if s, ok := v.(string); ok {
			return s, nil
		}
		if f, ok := number(v); ok {
			return plainNumber(f), nil
		}
	case "number":
		if f, ok := number(v); ok {
			return f, nil
		}
	case "bool":
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case "duration":
		if d, ok := v.(time.Duration); ok {
			return d, nil
		}
		if s, ok := v.(string); ok {
			d, err := time.ParseDuration(s)
			if err != nil || d < 0 {
				return nil, fmt.Errorf("%q is not a duration; write 90s, 15m or 24h", s)
			}
			return d, nil
		}
		if f, ok := number(v); ok && f >= 0 {
			return time.Duration(f * float64(time.Second)), nil
		}
	case "list":
		switch l := v.(type) {
		case []string:
			return slices.Clone(l), nil
		case []any:
			out := make([]string, len(l))
			for i, e := range l {
				s, err := normalize("text", e)
				if err != nil {
					return nil, fmt.Errorf("element %d is a %s, not a text", i+1, typeName(e))
				}
				out[i] = s.(string)
			}
			return out, nil
		}
	case "any":
		return v, nil
	}
	return nil, fmt.Errorf("a %s is wanted, not a %s", typ, typeName(v))
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	}
	return 0, false
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "text"
	case bool:
		return "bool"
	case []any, []string:
		return "list"
	case map[string]any:
		return "map"
	}
	if _, ok := number(v); ok {
		return "number"
	}
	return fmt.Sprintf("%T", v)
}

func (p params) text(name string) string {
	s, _ := p[name].(string)
	return s
}

func (p params) list(name string) []string {
	l, _ := p[name].([]string)
	return l
}

func (p params) duration(name string, def time.Duration) time.Duration {
	if d, ok := p[name].(time.Duration); ok {
		return d
	}
	return def
}

// texts returns a map parameter whose values are texts, such as headers.
func (p params) texts(op, name string) (map[string]string, error) {
	switch m := p[name].(type) {
	case nil:
		return nil, nil
	case map[string]string:
		return m, nil
	case map[string]any:
		out := map[string]string{}
		for k, v := range m {
			s, err := normalize("text", v)
			if err != nil {
				return nil, &prunella.Error{Kind: prunella.Invalid, Op: op, Where: name + "." + k, Err: err}
			}
			out[k] = s.(string)
		}
		return out, nil
	}
	return nil, &prunella.Error{Kind: prunella.Invalid, Op: op, Where: name,
		Reason: "a map of texts is wanted, not a " + typeName(p[name])}
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

// shorten cuts a text to at most n bytes at a rune boundary and folds its white space.
func shorten(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
