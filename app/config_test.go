package app

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"prunella"
)

// TestDocumentedConfigurationIsTheRealOne reads the two examples of
// docs/configuration.md: every key exists, and every default is the one that
// the code has.
func TestDocumentedConfigurationIsTheRealOne(t *testing.T) {
	b, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AUTH_SECRET", "KEY_ADMIN_TOKEN", "KUBE_TOKEN", "GITHUB_TOKEN"} {
		t.Setenv(name, "x")
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(b), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d YAML examples, want 2", len(blocks))
	}
	documented, err := ParseConfig("docs/configuration.md", []byte(blocks[0][1]))
	if err != nil {
		t.Fatal(err)
	}
	world, err := ParseConfig("docs/configuration.md", []byte(blocks[1][1]))
	if err != nil || len(world.World.Services) != 1 || world.World.Kubernetes == nil {
		t.Fatalf("world example: %v %+v", err, world.World)
	}
	defaults := Config{}.withDefaults()
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"listen", documented.Listen, defaults.Listen}, {"data", documented.Data, defaults.Data}, {"time_scale", documented.TimeScale, defaults.TimeScale},
		{"max_body", documented.Ingest.MaxBody, defaults.Ingest.MaxBody}, {"monitors", documented.Monitors, defaults.Monitors},
		{"bus", documented.Bus, defaults.Bus}, {"retention", documented.Retention, defaults.Retention},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: documented %v, real %v", c.name, c.got, c.want)
		}
	}
	// A key of the structs that the page does not name is a page that drifted.
	var visit func(typ reflect.Type)
	visit = func(typ reflect.Type) {
		for i := range typ.NumField() {
			tag := typ.Field(i).Tag.Get("yaml")
			if !regexp.MustCompile(`(?m)\b` + tag + `:`).Match(b) {
				t.Errorf("docs/configuration.md does not name the key %q", tag)
			}
			if f := typ.Field(i).Type; f.Kind() == reflect.Struct && strings.Contains(f.PkgPath(), "prunella") && f.NumField() > 0 && f.Field(0).Tag.Get("yaml") != "" {
				visit(f)
			}
		}
	}
	visit(reflect.TypeFor[Config]())
}

func TestBadConfigurationNamesLineAndRemedy(t *testing.T) {
	for text, want := range map[string][]string{
		"listen: x\nlisten_adr: y\n":                                        {"bad.yaml:2", `"listen_adr" is not a known key`, "docs/configuration.md"},
		"monitors:\n  jwks: soon\n":                                         {"bad.yaml", "soon", "90s, 15m or 24h"},
		"policy:\n  autonomy: yolo\n":                                       {"bad.yaml", "policy.autonomy", "off, approve or unattended"},
		"policy:\n  min_floor: 75\n":                                        {"bad.yaml", "policy.min_floor", "probability"},
		"world:\n  services:\n    - {name: a}\n    - {name: a}\n":           {"bad.yaml", `"a" is there twice`},
		"world:\n  services:\n    - {name: a, issuer: nobody}\n":            {"bad.yaml", "nobody", "world.issuers"},
		"world:\n  issuers:\n    - {name: a, url: u, admin: {kind: magic}}": {"bad.yaml", "magic", "keys or auth0"},
		"data: ${PRUNELLA_TEST_NOT_SET}\n":                                  {"bad.yaml", "PRUNELLA_TEST_NOT_SET", "export"},
		"listen: [\n":                                                       {"bad.yaml:"},
		"time_scale: -3\n":                                                  {"bad.yaml", "time_scale"},
	} {
		_, err := ParseConfig("bad.yaml", []byte(text))
		if err == nil || prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("%q: error %v", text, err)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %q does not say %q", text, err, w)
			}
		}
	}
	if _, err := LoadConfig("/nowhere/prunella.yaml"); err == nil || !strings.Contains(err.Error(), "/nowhere/prunella.yaml") {
		t.Errorf("missing file: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:0\nworld:\n  services: [{name: a}]\n"))
	f.Add([]byte("policy: {min_floor: .nan}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := ParseConfig("f.yaml", b); err != nil && prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("kind %s: %v", prunella.KindOf(err), err)
		}
	})
}
