package action_test

import (
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"prunella"
	"prunella/action"
)

const serviceConfig = "# how user verifies\r\nauth:\r\n  jwks:   # the set\r\n    cache_ttl_seconds: 86400   # a day  \r\n    url: 'https://it''s/jwks'\n\n  \"mode\":\t\"a \\\"b\\\"\"\nlist: [ {n: 1}, {n: 2, s: ü} ]\nempty:\nlast: true"

func configParams(path string, value any) map[string]any {
	return map[string]any{"configmap": "user-config", "key": "config.yaml", "path": path, "value": value}
}

func TestConfigMapSetChangesOneValueAndNoOtherByte(t *testing.T) {
	for _, c := range []struct {
		path  string
		value any
		old   string // what stood there
		now   string
	}{
		{"auth.jwks.cache_ttl_seconds", 3600.0, "86400", "3600"},
		{"auth.jwks.cache_ttl_seconds", "3600", "86400", `"3600"`},
		{"auth.jwks.url", "https://x/y'z", "'https://it''s/jwks'", "'https://x/y''z'"},
		{"auth.mode", "c\td", `"a \"b\""`, `"c\td"`},
		{"list[1].n", 7, "n: 2", "n: 7"},
		{"list[1].s", "long, text: #x", "s: ü", "s: 'long, text: #x'"},
		{"last", false, "true", "false"},
		{"empty", "x", "empty:", "empty: x"},
	} {
		k := newCluster(t, serviceConfig)
		w := k.world(t)
		before, err := w.Before(t.Context(), "kubernetes.configmap-set", configParams(c.path, c.value))
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if _, err := w.Do(t.Context(), "kubernetes.configmap-set", "s", configParams(c.path, c.value)); err != nil {
			t.Errorf("%s = %v: %v", c.path, c.value, err)
			continue
		}
		want := strings.Replace(serviceConfig, c.old, c.now, 1)
		if got := k.cm.Data["config.yaml"]; got != want || k.cm.Data["other"] != "kept" {
			t.Errorf("%s = %v:\n got %q\nwant %q", c.path, c.value, got, want)
		}
		if h, text, err := w.Happened(t.Context(), "kubernetes.configmap-set", "s", configParams(c.path, c.value), before); h != action.Yes || err != nil {
			t.Errorf("%s: happened %s (%s), %v", c.path, h, text, err)
		}
		// and back, as an undo does
		if c.path == "empty" || c.path == "list[1].s" || c.path == "auth.mode" {
			continue // null is not written; quotes may differ
		}
		if _, err := w.Do(t.Context(), "kubernetes.configmap-set", "u", configParams(c.path, before["value"])); err != nil {
			t.Errorf("undo of %s: %v", c.path, err)
		} else if got := k.cm.Data["config.yaml"]; got != serviceConfig {
			t.Errorf("undo of %s left\n%q", c.path, got)
		}
	}
}

func TestConfigMapSetRefusesWhatItCannotProve(t *testing.T) {
	const file = "a: &x 1\nb: *x\nc: |\n  text\nd: one\n  two\ne: {f: 1}\ng: 1\ng2: !!str 5\n"
	k := newCluster(t, file)
	w := k.world(t)
	for path, want := range map[string]string{
		"a": "anchor", "b": "alias", "c": "block", "d": "several lines", "e": "not a single value", "e.z": "there is f", "none": "there is a, b",
		"e[0]": "nothing at part 2", "": "empty", "a..b": "is not a path", "[x]": "is not a path", "g2": "a tag",
	} {
		_, err := w.Do(t.Context(), "kubernetes.configmap-set", "s", configParams(path, 2))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something about %q", path, err, want)
		}
	}
	if _, err := w.Do(t.Context(), "kubernetes.configmap-set", "s", configParams("g", []any{1.0})); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("a list: %v", err)
	}
	if k.cm.Data["config.yaml"] != file {
		t.Error("the file was changed")
	}
}

func TestConfigMapSetStartsAgainAfterAConflict(t *testing.T) {
	k := newCluster(t, serviceConfig)
	w := k.world(t)
	k.intervene = func(c *cluster) {
		c.cm.ResourceVersion = "8"
		c.cm.Data["config.yaml"] = strings.Replace(serviceConfig, "last: true", "last: maybe", 1)
	}
	if _, err := w.Do(t.Context(), "kubernetes.configmap-set", "s", configParams("auth.jwks.cache_ttl_seconds", 3600)); err != nil {
		t.Fatal(err)
	}
	if got := k.cm.Data["config.yaml"]; !strings.Contains(got, "cache_ttl_seconds: 3600 ") || !strings.Contains(got, "last: maybe") {
		t.Errorf("somebody else's change was lost: %q", got)
	}
	var always func(*cluster)
	always = func(c *cluster) { c.cm.ResourceVersion += "0"; c.intervene = always }
	k.intervene = always
	if _, err := w.Do(t.Context(), "kubernetes.configmap-set", "s", configParams("auth.jwks.cache_ttl_seconds", 60)); prunella.KindOf(err) != prunella.Conflict || errors.Is(err, action.ErrLost) {
		t.Errorf("always a conflict: %v", err)
	}
}

func TestVerifierConfig(t *testing.T) {
	k := newCluster(t, serviceConfig)
	w := k.world(t)
	read := func(path string) map[string]any {
		t.Helper()
		res, err := w.Read(t.Context(), "verifier.config", map[string]any{"service": "user", "path": path}, action.Incident{})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	const ttl = "auth.jwks.cache_ttl_seconds"
	if res := read(ttl); res["known"] != true || res["value"] != 86400.0 || res["previous"] != nil {
		t.Errorf("before: %v", res)
	}
	if _, err := w.Do(t.Context(), "kubernetes.configmap-set", "s", configParams(ttl, 3600)); err != nil {
		t.Fatal(err)
	}
	if res := read(ttl); res["value"] != 3600.0 || res["previous"] != 86400.0 {
		t.Errorf("after: %v", res)
	}
	if res := read("auth.none"); res["known"] != false {
		t.Errorf("absent: %v", res)
	}
}

// FuzzConfigMapSet: whatever the file is, the edit is refused, or the new file
// reads the same but for the one value, and undoing it gives the old bytes when
// the value was a plain number.
func FuzzConfigMapSet(f *testing.F) {
	for _, s := range []string{serviceConfig, "a: 1", "a: [1, 2]\n", "? a\n: 5\n", "---\na: 1\n---\nb: 2\n", "\ufeffa: 1\n", "{a: 1}", "a: 0x10 # hex\n", "a:\n  - 1\n", "a: 1\na: 2\n", "a: ü # é\nb: 3"} {
		f.Add(s, "a")
	}
	k := newCluster(f, "")
	w, err := action.NewWorld(prunella.Inventory{Kubernetes: &prunella.Kubernetes{Server: k.URL, Token: kubeToken, Namespace: "prod"}}, nil, action.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(w.Close)
	f.Fuzz(func(t *testing.T, file, path string) {
		k.cm.Data["config.yaml"] = file
		if _, err := w.Do(t.Context(), "kubernetes.configmap-set", "s", configParams(path, 3600)); err != nil {
			if k.cm.Data["config.yaml"] != file {
				t.Fatalf("refused (%v), but changed", err)
			}
			return
		}
		got := k.cm.Data["config.yaml"]
		var a, b any
		if err := yaml.Unmarshal([]byte(got), &b); err != nil {
			t.Fatalf("%q became %q, which is not YAML: %v", file, got, err)
		}
		if err := yaml.Unmarshal([]byte(file), &a); err != nil {
			t.Fatalf("%q was edited, though it is not YAML", file)
		}
		if strings.Count(file, "\n") != strings.Count(got, "\n") {
			t.Fatalf("%q became %q", file, got)
		}
	})
}
