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
	for _, name := range []string{"AUTH_SECRET", "KEY_ADMIN_TOKEN", "KUBE_TOKEN", "GITHUB_TOKEN", "HOOK_SECRET"} {
		t.Setenv(name, "x")
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(b), -1)
	if len(blocks) != 3 {
		t.Fatalf("%d YAML examples, want 3", len(blocks))
	}
	small, err := ParseConfig("docs/configuration.md", []byte(blocks[0][1]))
	if err != nil || len(small.World.Services) != 1 || len(small.Notify.Webhooks) != 1 {
		t.Fatalf("small example: %v %+v", err, small)
	}
	documented, err := ParseConfig("docs/configuration.md", []byte(blocks[1][1]))
	if err != nil {
		t.Fatal(err)
	}
	world, err := ParseConfig("docs/configuration.md", []byte(blocks[2][1]))
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
		"listen: x\ndata: ${PRUNELLA_TEST_NOT_SET}\n":                       {"bad.yaml:2", "PRUNELLA_TEST_NOT_SET", "export"},
		"world:\n  issuers:\n    - name: a\n      admin: {kynd: keys}\n":    {"bad.yaml:4", `"kynd" is not a known key`, "did you mean kind?"},
		"polcy: {}\n": {"bad.yaml:1", "did you mean policy?"},
		"world:\n  services:\n    - {name: a, url: a.example.com}\n": {"bad.yaml", "the url of a", "https://"},
		"data: a\ndata: b\n":                {"bad.yaml", "already defined"},
		"listen: [\n":                       {"bad.yaml:"},
		"time_scale: -3\n":                  {"bad.yaml", "time_scale"},
		"retention: -1h\n":                  {"bad.yaml", "retention", "negative"},
		"drill: {at: '03:30'}\n":            {"bad.yaml", "drill.every is 0s", "at least 24h"},
		"drill: {every: 6h, at: '03:30'}\n": {"bad.yaml", "drill.every is 6h", "at least 24h"},
		"bus: {max_bytes: -1}\n":            {"bad.yaml", "bus.max_bytes", "negative"},
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

// What an environment variable holds is a value and nothing else, wherever its
// name stands; a comment that names one asks for none.
func TestASecretIsAValueWhateverItConsistsOf(t *testing.T) {
	awkward := "a: b # c \"d\" 'e' {f} [g], *h &i !j | k > l % m @ n `o\nsecond line"
	t.Setenv("PRUNELLA_TEST_SECRET", awkward)
	t.Setenv("PRUNELLA_TEST_SCALE", "20")
	t.Setenv("PRUNELLA_TEST_HOLD", "90s")
	t.Setenv("PRUNELLA_TEST_HOST", "auth.example.com")
	c, err := ParseConfig("good.yaml", []byte(`# ${PRUNELLA_TEST_NOT_SET} is not asked for
time_scale: ${PRUNELLA_TEST_SCALE}
verify: {hold: ${PRUNELLA_TEST_HOLD}}
ingest: {tokens: {"${PRUNELLA_TEST_SECRET}": acme}}
world:
  issuers:
    - {name: auth, url: https://${PRUNELLA_TEST_HOST}:8443/x, client_secret: ${PRUNELLA_TEST_SECRET}}
    - name: other
      url: u
      client_secret: "${PRUNELLA_TEST_SECRET}"
      admin: {kind: keys, url: u, token: '<${PRUNELLA_TEST_SECRET}>'}
`))
	if err != nil {
		t.Fatal(err)
	}
	i := c.World.Issuers
	if i[0].ClientSecret != awkward || i[1].ClientSecret != awkward || i[1].Admin.Token != "<"+awkward+">" || c.Ingest.Tokens[awkward] != "acme" {
		t.Errorf("%q %q %q %q", i[0].ClientSecret, i[1].ClientSecret, i[1].Admin.Token, c.Ingest.Tokens)
	}
	if i[0].URL != "https://auth.example.com:8443/x" || c.TimeScale != 20 || c.Verify.Hold.String() != "1m30s" {
		t.Errorf("%q %v %s", i[0].URL, c.TimeScale, c.Verify.Hold)
	}
	_, err = ParseConfig("bad.yaml", []byte("verify:\n  hold: 1s\nmonitors:\n  jwks: ${PRUNELLA_TEST_SECRET}\n  nope: 1\n"))
	if err == nil || !strings.Contains(err.Error(), "bad.yaml:5") {
		t.Errorf("the line after a secret of two lines: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:0\nworld:\n  services: [{name: a}]\n"))
	f.Add([]byte("policy: {min_floor: .nan}"))
	f.Add([]byte("a: &a {data: ${HOME}}\n<<: *a\nworld: *a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := ParseConfig("f.yaml", b); err != nil && prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("kind %s: %v", prunella.KindOf(err), err)
		}
	})
}
