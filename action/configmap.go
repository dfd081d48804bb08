package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"prunella"
)

// previousMark holds, as JSON, what the values that we set were before:
// "config.yaml auth.jwks.cache_ttl_seconds" -> value.
const previousMark = "prunella.dev/previous"

func configOperations() []operation {
	path := need("path", "text", "dotted path of a value in that YAML file: auth.jwks.cache_ttl_seconds, servers[0].name")
	return []operation{
		{
			spec: read("verifier.config", "A value of a service's configuration file, from its ConfigMap.",
				[]prunella.ParamSpec{need("service", "text", "name of the service"), path},
				"known: the ConfigMap could be read and has the value", "value: as the file has it",
				"previous: what it was before Prunella last set it, null when it never did"),
			read: (*World).readConfig,
		},
		{
			spec: does("kubernetes.configmap-set", prunella.Reversible, "Set one existing value in a YAML file in a ConfigMap; every other byte of the file stays. Running pods see it after a restart.",
				need("configmap", "text", "name of the ConfigMap"), need("key", "text", "file inside the ConfigMap: config.yaml"), path,
				need("value", "any", "the new value: a text, number or bool"),
				may("if_present", "bool", "true: a file without this path is left alone, which is no failure")),
			do:       (*World).setConfig,
			before:   (*World).configBefore,
			happened: (*World).configSet,
		},
	}
}

// configFile returns a ConfigMap and the text of one file in it.
func (w *World) configFile(ctx context.Context, name, key string) (*kubeClient, *core.ConfigMap, string, error) {
	k, err := w.cluster()
	if err != nil {
		return nil, nil, "", err
	}
	cm, err := k.core.ConfigMaps(k.namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return nil, nil, "", kubeError("configmap "+name, err, false)
	}
	text, ok := cm.Data[key]
	if !ok {
		return nil, nil, "", prunella.Errorf(prunella.NotFound, "configmap %s has no file %s", name, key)
	}
	return k, cm, text, nil
}

func previousValues(cm *core.ConfigMap) map[string]any {
	out := map[string]any{}
	if err := json.Unmarshal([]byte(cm.Annotations[previousMark]), &out); err != nil {
		return map[string]any{} // absent, or somebody else's: then nothing is known
	}
	return out
}

func (w *World) readConfig(ctx context.Context, p params, _ Incident) (map[string]any, error) {
	unknown := func(err error) (map[string]any, error) {
		return map[string]any{"known": false, "reason": err.Error(), "value": nil, "previous": nil}, nil
	}
	s, ok := w.inv.ServiceNamed(p.text("service"))
	if !ok {
		return nil, prunella.Errorf(prunella.NotFound, "no service is called %q", p.text("service"))
	}
	if s.ConfigMap == "" {
		return unknown(errors.New("no ConfigMap is declared for " + s.Name))
	}
	_, cm, text, err := w.configFile(ctx, s.ConfigMap, s.ConfigKey)
	if err != nil {
		return unknown(err)
	}
	v, err := yamlGet(text, p.text("path"))
	if err != nil {
		return unknown(err)
	}
	return map[string]any{"known": true, "value": v, "previous": previousValues(cm)[s.ConfigKey+" "+p.text("path")]}, nil
}

func (w *World) configBefore(ctx context.Context, p params) (map[string]any, error) {
	_, _, text, err := w.configFile(ctx, p.text("configmap"), p.text("key"))
	if err != nil {
		return nil, err
	}
	v, err := yamlGet(text, p.text("path"))
	if absent(err, p) {
		return map[string]any{"value": p["value"], "absent": true}, nil // so that an undo leaves it alone too
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{"value": v}, nil
}

// absent says that the path is not there and need not be.
func absent(err error, p params) bool {
	return p["if_present"] == true && prunella.KindOf(err) == prunella.NotFound
}

// setConfig reads, edits one value and writes back under the resource version
// it read. Somebody else's change in between is a conflict, after which it
// starts again, at most three times.
func (w *World) setConfig(ctx context.Context, key string, p params) (string, error) {
	name, file, path := p.text("configmap"), p.text("key"), p.text("path")
	for try := 1; ; try++ {
		k, cm, text, err := w.configFile(ctx, name, file)
		if err != nil {
			return "", err
		}
		old, err := yamlGet(text, path)
		if absent(err, p) {
			return fmt.Sprintf("nothing to do: %s/%s has no %s", name, file, path), nil
		}
		if err != nil {
			return "", err
		}
		if sameValue(old, p["value"]) {
			return fmt.Sprintf("nothing to do: %s in %s/%s is %v already", path, name, file, show(old)), nil
		}
		edited, err := yamlSet(text, path, p["value"])
		if err != nil {
			return "", err
		}
		previous := previousValues(cm)
		previous[file+" "+path] = old
		mark, err := json.Marshal(previous)
		if err != nil {
			return "", prunella.Errorf(prunella.Internal, "write the previous values: %w", err)
		}
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"resourceVersion": cm.ResourceVersion,
				"annotations": map[string]string{stepMark: key, previousMark: string(mark)}},
			"data": map[string]string{file: edited},
		})
		if err != nil {
			return "", prunella.Errorf(prunella.Internal, "write the patch: %w", err)
		}
		traced, wrote := written(ctx)
		_, err = k.core.ConfigMaps(k.namespace).Patch(traced, name, types.MergePatchType, patch, meta.PatchOptions{FieldManager: "prunella"})
		if err == nil {
			return fmt.Sprintf("set %s in %s/%s to %v; it was %v", path, name, file, show(p["value"]), show(old)), nil
		}
		err = kubeError("configmap "+name, err, wrote.Load())
		if prunella.KindOf(err) != prunella.Conflict || try == 3 {
			return "", err
		}
	}
}

func (w *World) configSet(ctx context.Context, _ string, p params, before map[string]any) (Happened, string, error) {
	_, _, text, err := w.configFile(ctx, p.text("configmap"), p.text("key"))
	if err != nil {
		return Unclear, "", err
	}
	v, err := yamlGet(text, p.text("path"))
	if absent(err, p) {
		return Yes, "there is no " + p.text("path") + " to set", nil
	}
	if err != nil {
		return Unclear, "", err
	}
	seen := fmt.Sprintf("%s is %v", p.text("path"), show(v))
	switch {
	case sameValue(v, p["value"]):
		return Yes, seen, nil
	case sameValue(v, before["value"]):
		return No, seen + ", as before", nil
	}
	return Unclear, seen + ", neither the old value nor the new", nil
}

func show(v any) string {
	if f, ok := number(v); ok {
		return plainNumber(f)
	}
	return fmt.Sprint(v)
}

// sameValue compares values as YAML sees them: 3600 and 3600.0 are one number.
func sameValue(a, b any) bool {
	x, isX := number(a)
	y, isY := number(b)
	if isX || isY {
		return isX && isY && x == y
	}
	switch a.(type) {
	case string, bool, nil:
		return a == b
	}
	return false
}
