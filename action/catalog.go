package action

import (
	"context"
	"slices"
	"strings"

	"prunella"
)

// operation is one row of the table: a read has read; an action has do, and
// before and happened when the world can be asked about its effect.
type operation struct {
	spec     prunella.Spec
	read     func(w *World, ctx context.Context, p params, inc Incident) (map[string]any, error)
	do       func(w *World, ctx context.Context, key string, p params) (string, error)
	before   func(w *World, ctx context.Context, p params) (map[string]any, error)
	happened func(w *World, ctx context.Context, key string, p params, before map[string]any) (Happened, string, error)
}

// operations is the table: every read and action there is.
func operations() []operation {
	return slices.Concat(
		issuerOperations(), keyOperations(), trustOperations(), kubernetesOperations(), configOperations(),
		releaseOperations(), vendorOperations(), historyOperations(), httpOperations(), shellOperations(),
	)
}

// Catalog describes every read and action, reads first, each part by name.
func Catalog() []prunella.Spec {
	var out []prunella.Spec
	for _, op := range operations() {
		out = append(out, op.spec)
	}
	slices.SortFunc(out, func(a, b prunella.Spec) int {
		if a.Action != b.Action {
			if b.Action {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

func read(name, doc string, params []prunella.ParamSpec, results ...string) prunella.Spec {
	return prunella.Spec{Name: name, Effect: prunella.Reads, Doc: doc, Params: params, Results: results}
}

func does(name string, effect prunella.Effect, doc string, params ...prunella.ParamSpec) prunella.Spec {
	return prunella.Spec{Name: name, Action: true, Effect: effect, Doc: doc, Params: params}
}

func need(name, typ, doc string) prunella.ParamSpec {
	return prunella.ParamSpec{Name: name, Type: typ, Required: true, Doc: doc}
}

func may(name, typ, doc string) prunella.ParamSpec {
	return prunella.ParamSpec{Name: name, Type: typ, Doc: doc}
}

func unknownOperation(name string, action bool, ops map[string]operation) error {
	kind := "read"
	if action {
		kind = "action"
	}
	var near []string
	target, _, _ := strings.Cut(name, ".")
	for n, op := range ops {
		if t, _, _ := strings.Cut(n, "."); op.spec.Action == action && t == target {
			near = append(near, n)
		}
	}
	slices.Sort(near)
	remedy := "docs/actions.md lists them"
	if len(near) > 0 {
		remedy = "there is " + strings.Join(near, ", ")
	}
	return &prunella.Error{Kind: prunella.NotFound, Reason: "no " + kind + " is called " + quote(name), Remedy: remedy}
}
