package heal

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"prunella"
)

// variables are what ${…} references, for_each and when see; docs/skills.md lists them.
func variables(in Input) map[string]any {
	safeAt := in.Keys.PreviousSafeAt()
	return map[string]any{
		"incident": map[string]any{
			"id": string(in.Incident.ID), "onset_unix": float64(in.Incident.Onset.Unix()),
			"severity": string(in.Incident.Severity), "services": impacted(in.Incident),
		},
		"cause": map[string]any{
			"service": in.Cause.Service, "fault": string(in.Cause.Fault), "services": texts(in.Cause.Services),
			"kids": texts(in.Cause.Kids), "confidence": in.Cause.Confidence,
		},
		"keys": map[string]any{
			"issuer": in.Keys.Issuer, "signer": in.Keys.Signer, "previous": in.Keys.Previous, "failing": in.Keys.Failing,
			"lacking": objects(in.Keys.Lacking), "undelivered": objects(in.Keys.Undelivered), "refusing": objects(in.Keys.Refusing), "verifiers": objects(in.Keys.Verifiers),
			"previous_safe":    !safeAt.IsZero() && in.Now.After(safeAt) && in.Keys.PreviousUnseen,
			"previous_safe_at": unix(safeAt),
			"token_lifetime_s": in.Keys.TokenLifetime.Seconds(),
		},
		"now": float64(in.Now.Unix()),
	}
}

func unix(t interface {
	IsZero() bool
	Unix() int64
}) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}

func impacted(inc prunella.Incident) []any {
	var out []any
	for _, i := range inc.Impact {
		out = append(out, i.Service)
	}
	return out
}

func texts(in []string) []any {
	out := make([]any, 0, len(in))
	for _, s := range in {
		out = append(out, s)
	}
	return out
}

func objects(in []prunella.Service) []any {
	out := make([]any, 0, len(in))
	for _, s := range in {
		out = append(out, map[string]any{"name": s.Name, "deployment": s.Deployment, "configmap": s.ConfigMap,
			"config_key": s.ConfigKey, "owner": s.Owner})
	}
	return out
}

var refRE = regexp.MustCompile(`\$\{\s*([a-zA-Z_][\w.]*)\s*\}`)

// reference resolves a dotted path, with or without ${ }. A path that goes on
// through a list gives the list of that field of its elements.
func reference(path string, vars map[string]any) (any, error) {
	if m := refRE.FindStringSubmatch(path); m != nil {
		path = m[1]
	}
	var cur any = vars
	for _, part := range strings.Split(path, ".") {
		switch v := cur.(type) {
		case map[string]any:
			next, ok := v[part]
			if !ok {
				return nil, prunella.Errorf(prunella.Invalid, "${%s} is not known: no %q there", path, part)
			}
			cur = next
		case []any:
			var list []any
			for _, e := range v {
				if m, ok := e.(map[string]any); ok {
					list = append(list, m[part])
				}
			}
			cur = list
		default:
			return nil, prunella.Errorf(prunella.Invalid, "${%s} is not known: %q has no fields", path, part)
		}
	}
	return cur, nil
}

func renderMap(in map[string]any, vars map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(in))
	for k, v := range in {
		r, err := renderValue(v, vars)
		if err != nil {
			return nil, err
		}
		out[k] = r
	}
	return out, nil
}

func renderValue(v any, vars map[string]any) (any, error) {
	switch v := v.(type) {
	case string:
		if m := refRE.FindString(v); m != "" && m == strings.TrimSpace(v) && !late(m, vars) {
			return reference(v, vars)
		}
		return renderText(v, vars)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			r, err := renderValue(v[i], vars)
			if err != nil {
				return nil, err
			}
			out[i] = r
		}
		return out, nil
	case map[string]any:
		return renderMap(v, vars)
	}
	return v, nil
}

// late references (${before.…}) name what is only known when a step begins.
func late(ref string, vars map[string]any) bool {
	m := refRE.FindStringSubmatch(ref)
	_, have := vars["before"]
	return m != nil && (m[1] == "before" || strings.HasPrefix(m[1], "before.")) && !have
}

func renderText(s string, vars map[string]any) (string, error) {
	var failed error
	out := refRE.ReplaceAllStringFunc(s, func(m string) string {
		if late(m, vars) {
			return m
		}
		v, err := reference(m, vars)
		if err != nil {
			failed = err
			return m
		}
		return textOf(v)
	})
	return out, failed
}

func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = textOf(v[i])
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		b, err := json.Marshal(v)
		if err == nil {
			return string(b)
		}
	}
	return fmt.Sprint(v)
}

// UndoParams renders an undo's parameters with what was recorded before the step.
func UndoParams(s prunella.Step) (map[string]any, error) {
	return renderMap(s.Undo.With, map[string]any{"before": s.Before})
}
