package condition

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// convert gives v the type of a variable's kind.
func convert(k Kind, v any) (any, error) {
	switch k {
	case Number:
		if f, ok := number(v); ok {
			return f, nil
		}
		return nil, fmt.Errorf("%T is not a number", v)
	case Text:
		if r := reflect.ValueOf(v); r.Kind() == reflect.String {
			return r.String(), nil
		}
		return nil, fmt.Errorf("%T is not a text", v)
	case Bool:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, fmt.Errorf("%T is not true or false", v)
	}
	c, err := plain(v)
	if err != nil {
		return nil, err
	}
	if _, ok := c.([]any); k == List && !ok {
		return nil, fmt.Errorf("%T is not a list", v)
	}
	return c, nil
}

// plain reduces a value to what JSON knows, with every number a float64.
func plain(v any) (any, error) {
	if f, ok := number(v); ok {
		return f, nil
	}
	switch x := v.(type) {
	case nil, bool, string:
		return x, nil
	case []string:
		out := make([]any, len(x))
		for i, s := range x {
			out[i] = s
		}
		return out, nil
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			c, err := plain(e)
			if err != nil {
				return nil, err
			}
			out[i] = c
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(x))
		for key, e := range x {
			c, err := plain(e)
			if err != nil {
				return nil, err
			}
			out[key] = c
		}
		return out, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%T has no JSON form: %w", v, err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("read %T back from JSON: %w", v, err)
	}
	return out, nil
}

func number(v any) (float64, bool) {
	if n, ok := v.(json.Number); ok {
		f, err := n.Float64()
		return f, err == nil
	}
	r := reflect.ValueOf(v)
	// A type that renders itself as text in JSON (a duration in a config) is text here too.
	if _, text := v.(json.Marshaler); text {
		return 0, false
	}
	switch {
	case !r.IsValid() || strings.Contains(r.Type().PkgPath(), "encoding"):
		return 0, false
	case r.CanInt():
		return float64(r.Int()), true
	case r.CanUint():
		return float64(r.Uint()), true
	case r.CanFloat():
		return r.Float(), true
	}
	return 0, false
}
