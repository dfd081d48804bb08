package skill_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prunella/skill"
)

const healer = "---\nname: stuck-queue\ndescription: When it stops.\nmetadata:\n  version: v1.2.3\n  pattern: queue/stuck\n---\n# Stuck\n\n" +
	"## Symptoms\nIt stops.\n\n## Diagnosis (3 min)\n```check\nid: look\nread: trust.grid\nfor: size(result.lacking) > 0\nrequire: true\n```\n\n" +
	"## Resolution (5 min)\n1. Restart it.\n   ```bash\n   systemctl restart q\n   ```\n2. Watch.\n\n```action\nid: restart\ndo: kubernetes.rollout-restart\nwith: {deployment: q}\neffect: reversible\n" +
	"verify: {read: trust.grid, until: size(result.lacking) == 0, within: 1m}\n```\n"

func TestDiffNamesWhatChangedAndHowMuch(t *testing.T) {
	for _, c := range []struct {
		old, new string
		want     []string
		level    skill.Level
	}{
		{"It stops.", "It stops often.", []string{"patch section Symptoms changed: its wording"}, skill.Patch},
		{"2. Watch.", "2. Watch it.", []string{"patch step Resolution removed: Watch.", "patch step Resolution added: Watch it."}, skill.Patch},
		{"version: v1.2.3", "version: v1.2.4", nil, ""},
		{"restart q\n   ", "restart q2\n   ", []string{"minor code Resolution removed: systemctl restart q", "minor code Resolution added: systemctl restart q2"}, skill.Minor},
		{"within: 1m", "within: 2m", []string{`minor action restart changed: verify: {"hold":0,"read":"trust.grid","until":"size(result.lacking) == 0","within":60000000000} became {"hold":0,"read":"trust.grid","until":"size(result.lacking) == 0","within":120000000000}`}, skill.Minor},
		{"effect: reversible", "effect: irreversible", []string{`major action restart changed: effect: "reversible" became "irreversible"`}, skill.Major},
		{"id: restart", "id: start", []string{"major action restart removed: ", "minor action start added: "}, skill.Major},
		{"require: true\n", "", []string{"major check look changed: require: true became nothing"}, skill.Major},
		{"(5 min)", "(9 min)", []string{"minor section Resolution changed: its time of 5m0s became 9m0s"}, skill.Minor},
		{"queue/stuck", "queue/slow", []string{`major fact pattern changed: "queue/stuck" became "queue/slow"`}, skill.Major},
		{"## Symptoms\nIt stops.\n\n", "", []string{"patch section Symptoms removed: "}, skill.Patch},
	} {
		changed := strings.Replace(healer, c.old, c.new, 1)
		if changed == healer {
			t.Fatalf("%q is not there", c.old)
		}
		changes := skill.Diff(parse(t, healer), parse(t, changed))
		var got []string
		for _, x := range changes {
			got = append(got, fmt.Sprintf("%s %s %s %s: %s", x.Level, x.Kind, x.Name, x.What, x.Detail))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q: %s", c.new, diff)
		}
		if level := skill.LevelOf(changes); level != c.level || !skill.Major.Covers(level) || level == skill.Major && skill.Minor.Covers(level) {
			t.Errorf("%q: level %s", c.new, level)
		}
	}
}

func TestBump(t *testing.T) {
	for in, want := range map[string]string{"v1.2.3 patch": "v1.2.4", "1.2.3 minor": "1.3.0", "0.9.9-rc.1+x major": "1.0.0"} {
		version, level, _ := strings.Cut(in, " ")
		if got, err := skill.Bump(version, skill.Level(level)); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"1.2 patch", "1.2.3 tiny"} {
		version, level, _ := strings.Cut(in, " ")
		if got, err := skill.Bump(version, skill.Level(level)); err == nil {
			t.Errorf("%s gives %s", in, got)
		}
	}
	if skill.CompareVersions("v1.10.0", "1.9.0") <= 0 || skill.CompareVersions("1.0.0-rc.1", "v1.0.0") >= 0 || skill.CompareVersions("v1.0.0", "1.0.0") != 0 || skill.CompareVersions("draft", "1.0.0") >= 0 {
		t.Error("versions are out of order")
	}
}

// The unified form is one that patch applies.
func TestUnifiedApplies(t *testing.T) {
	if _, err := exec.LookPath("patch"); err != nil {
		t.Skip("no patch here")
	}
	a := strings.Repeat("one\ntwo\nthree\nfour\nfive\n", 4)
	for _, b := range []string{"", a + "end", strings.Replace(a, "three\n", "3\n", 2), "start\n" + a, strings.TrimSuffix(a, "\n"), "x"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "f")
		if err := os.WriteFile(file, []byte(a), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("patch", "-p0", file)
		cmd.Stdin = strings.NewReader(skill.Unified("a", "b", a, b))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%q: %v %s", b, err, out)
		}
		got, err := os.ReadFile(file)
		if err != nil && b != "" || string(got) != b {
			t.Errorf("%q became %q", b, got)
		}
	}
	if skill.Unified("a", "b", a, a) != "" {
		t.Error("the same text differs")
	}
}
