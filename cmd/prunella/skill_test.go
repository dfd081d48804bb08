package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"prunella/skill"
)

const copiedPage = "../../skill/importer/testdata/copied.txt"

// The keys of the report are a contract, and so is that the skill lints.
func TestSkillImport(t *testing.T) {
	out := filepath.Join(t.TempDir(), "deep", "page.skill.md")
	code, text, complaint := command(t, "skill", "import", copiedPage, "--out", out, "--json")
	if code != 0 || complaint != "" {
		t.Fatalf("exit %d: %s", code, complaint)
	}
	var report map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatal(err)
	}
	want := []string{"title", "name", "version", "claimed_confidence", "last_verified", "owners", "provenance", "sections", "steps", "code_blocks", "escalation", "follow_ups", "links", "unplaced"}
	for _, key := range want {
		if _, ok := report[key]; !ok {
			t.Errorf("there is no %s", key)
		}
	}
	if len(report) != len(want) {
		t.Errorf("%d keys, want %d", len(report), len(want))
	}
	if string(report["unplaced"]) != "[]" || string(report["claimed_confidence"]) != "0.91" || string(report["last_verified"]) != `"2026-05-30"` {
		t.Errorf("%s", text)
	}
	if code, text, _ := command(t, "skill", "lint", out); code != 0 || !strings.Contains(text, "cannot act alone yet") {
		t.Errorf("lint: exit %d\n%s", code, text)
	}
	// Importing over an edited skill keeps the edit beside it.
	if err := os.WriteFile(out, []byte("edited by hand\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, text, _ := command(t, "skill", "import", copiedPage, "-o", out); code != 0 || !strings.Contains(text, "disk-fills-up v1.4.2, 8 sections, 2 + 3 steps, 2 code blocks") {
		t.Errorf("exit %d: %s", code, text)
	}
	if b, err := os.ReadFile(out + ".before"); err != nil || string(b) != "edited by hand\n" {
		t.Errorf("%v %q", err, b)
	}
	page, err := os.ReadFile(copiedPage)
	if err != nil {
		t.Fatal(err)
	}
	_, back, _ := command(t, "skill", "export", "--text", out)
	for _, line := range strings.Split(string(page), "\n") {
		if !strings.Contains(back, strings.TrimSpace(line)) {
			t.Errorf("%q does not come back", line)
		}
	}
}

// A page that a browser saved with its pictures may be larger than a skill, and
// one in UTF-16 has twice its bytes; the skill is that of the page.
func TestSkillImportOfSavedPages(t *testing.T) {
	dir := t.TempDir()
	page, err := os.ReadFile("../../skill/importer/testdata/gateway-certificate.mhtml")
	if err != nil {
		t.Fatal(err)
	}
	boundary := regexp.MustCompile(`boundary="(.+)"`).FindSubmatch(page)[1]
	picture := fmt.Sprintf("\r\n--%s\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n%s\r\n--%[1]s--\r\n", boundary, bytes.Repeat([]byte("pixel "), 1<<20))
	saved := filepath.Join(dir, "page.mhtml")
	if err := os.WriteFile(saved, append(bytes.TrimSuffix(bytes.TrimSpace(page), []byte("--")), picture[2+2+len(boundary):]...), 0o644); err != nil {
		t.Fatal(err)
	}
	wide := filepath.Join(dir, "wide.md")
	b := []byte{0xff, 0xfe}
	for _, c := range "# Stuck queue\r\n\r\n## Resolution\r\n\r\n1. Restart it\r\n" {
		b = append(b, byte(c), 0)
	}
	if err := os.WriteFile(wide, b, 0o644); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{saved: "kubectl rollout status deployment/gateway", wide: "# Stuck queue\n\n## Resolution\n\n1. Restart it\n"} {
		if code, out, complaint := command(t, "skill", "import", file); code != exitPassed || !strings.Contains(out, want) || complaint != "" {
			t.Errorf("%s: exit %d: %s%s", file, code, complaint, out)
		}
	}
}

func TestSkillCommandsRefuse(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	huge := write("huge.md", bytes.Repeat([]byte("words and words\n"), 50<<20/16))
	binary := write("binary.md", []byte("# T\n\xff\n"))
	plain := write("plain.md", []byte("# T\n\nwords\n"))
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"skill", "import", huge}, "more than 4194304"},
		{[]string{"skill", "import", binary}, "binary.md:2:1: the file is not UTF-8 text"},
		{[]string{"skill", "import", filepath.Join(dir, "absent")}, "there is no such file"},
		{[]string{"skill", "import", dir}, "it is a folder"},
		{[]string{"skill", "show", "no-such-skill"}, "there are auth-jwks-rotation-spike"},
		{[]string{"skill", "list", "--wiki", filepath.Join(dir, "absent")}, "there is no such folder"},
		{[]string{"skill", "lint", filepath.Join(dir, "absent")}, "there is no such file or folder"},
		{[]string{"skill", "new", "Bad Name"}, "cannot be the name of a skill"},
		{[]string{"skill", "new", "plain", "--out", plain}, "there is a file already"},
		{[]string{"skill", "export"}, "say what to write"},
		{[]string{"skill", "export", "--cacao", filepath.Join(dir, "x.json")}, "name the one skill"},
		{[]string{"skill", "export", "--cacao", filepath.Join(dir, "x.json"), plain}, "has no steps"},
		{[]string{"skill", "export", "--agent-skills", dir, plain}, "cannot be the name of an agent skill"},
		{[]string{"skill", "export", "--text", "--cacao", "x", "y"}, "can't be used together"},
		{[]string{"skill", "bump", plain, "patch"}, "is not a semantic version"},
		{[]string{"skill", "bump", plain, "huge"}, "must be one of"},
		{[]string{"skill", "diff", "auth-jwks-rotation-spike", "auth-jwks-rotation-spike@9.9.9"}, "was never at version 9.9.9"},
	} {
		code, out, complaint := command(t, c.args...)
		if code != exitUsage || !strings.Contains(complaint, c.says) || out != "" {
			t.Errorf("%v: exit %d %q, want %q", c.args, code, out+complaint, c.says)
		}
	}
	if b, err := os.ReadFile(plain); err != nil || string(b) != "# T\n\nwords\n" {
		t.Errorf("a refused command changed the file: %q, %v", b, err)
	}
}

func TestSkillListAndShow(t *testing.T) {
	code, out, _ := command(t, "skill", "list", "--json")
	var list []listedSkill
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 || len(list) < 4 {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	if s := list[0]; s.Name != "auth-jwks-rotation-spike" || !s.Acts || s.Errors != 0 || len(s.Hash) != 64 {
		t.Errorf("%+v", s)
	}
	if code, out, _ := command(t, "skill", "list"); code != 0 || !strings.Contains(out, "redis-cache-eviction") || !strings.Contains(out, "advises") {
		t.Errorf("exit %d: %s", code, out)
	}
	code, out, _ = command(t, "skill", "show", "auth-jwks-rotation-spike", "--json")
	var v skillView
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 {
		t.Fatalf("exit %d, %v", code, err)
	}
	if len(v.Steps.Diagnosis) != 6 || len(v.Steps.Resolution) != 3 || len(v.FollowUps) != 3 || len(v.Executable.Actions) != 3 || v.Sections[1].BudgetS != 180 {
		t.Errorf("%+v", v)
	}
	if code, out, _ := command(t, "skill", "show", "redis-cache-eviction"); code != 0 || !strings.Contains(out, "It advises and has no actions.") || !strings.Contains(out, "Redis is full") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestSkillNewLintsAndNamesWhatIsNext(t *testing.T) {
	dir := t.TempDir()
	code, out, _ := command(t, "skill", "new", "disk-full", "--wiki", dir, "--owner", "@ola")
	if code != 0 || !strings.Contains(out, "the description is not written yet") {
		t.Fatalf("exit %d: %s", code, out)
	}
	file := filepath.Join(dir, "skills", "disk-full.skill.md")
	code, out, _ = command(t, "skill", "lint", file, "--json")
	var r lintReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || r.Errors != 0 || r.Warnings == 0 || r.Autonomy[0].Unattended {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	for _, p := range r.Problems {
		if p.File == "" || p.Line < 1 || p.Column < 1 || p.Rule == "" || p.Remedy == "" {
			t.Errorf("%+v", p)
		}
	}
}

func TestSkillLintExitCodes(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "skills"), 0o755); err != nil {
		t.Fatal(err)
	}
	good := "---\nname: a\ndescription: When.\nmetadata:\n  version: 1.0.0\n---\n# A\n\nSee [[people/nobody]].\n"
	for name, text := range map[string]string{"a": good, "b": strings.Replace(good, "version: 1.0.0", "version: one", 1)} {
		if err := os.WriteFile(filepath.Join(dir, "skills", name+skill.Suffix), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, out, _ := command(t, "skill", "lint", dir, "--json")
	var r lintReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitFailed || r.Files != 2 {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	rules := map[string]bool{}
	for _, p := range r.Problems {
		rules[p.Rule] = true
	}
	for _, want := range []string{"version", "name-differs", "duplicate-name", "broken-link"} {
		if !rules[want] {
			t.Errorf("%s is not found: %s", want, out)
		}
	}
	if code, out, _ := command(t, "skill", "lint"); code != 0 || !strings.Contains(out, "0 errors") {
		t.Errorf("the shipped pages: exit %d\n%s", code, out)
	}
}

func TestSkillExports(t *testing.T) {
	dir := t.TempDir()
	if code, out, complaint := command(t, "skill", "export", "--agent-skills", dir); code != 0 || strings.Count(out, "wrote ") < 4 {
		t.Fatalf("exit %d: %s%s", code, out, complaint)
	}
	if code, out, _ := command(t, "skill", "lint", "--agent-skills", dir); code != 0 || !strings.Contains(out, " 0 errors, 0 warnings") {
		t.Errorf("exit %d: %s", code, out)
	}
	broken := filepath.Join(dir, ".agents/skills/slow-api-bad-deploy/SKILL.md")
	b, err := os.ReadFile(broken)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, bytes.Replace(b, []byte("metadata:"), []byte("version: 1\nmetadata:"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := command(t, "skill", "lint", "--agent-skills", dir); code != exitFailed || !strings.Contains(out, "[unknown-field]") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out, _ := command(t, "skill", "export", "--cacao", "-", "auth-jwks-rotation-spike"); code != 0 || !json.Valid([]byte(out)) || !strings.Contains(out, `"spec_version": "cacao-2.0"`) {
		t.Errorf("exit %d: %.200s", code, out)
	}
}

// Versions come from the git history of the wiki; bump changes the version's
// bytes and nothing else.
func TestSkillVersions(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git here")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "skills", "stuck-queue.skill.md")
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	first := "---\r\nname: stuck-queue\r\ndescription: When it stops.\r\nmetadata:\r\n  version:   v1.0.0   # mine\r\n---\r\n# Stuck\r\n\r\n## Resolution\r\n\r\n1. Restart.\r\n\t```bash\r\n\tqueuectl restart\r\n\t```"
	write(first)
	run("init", "-q")
	run("add", ".")
	run("commit", "-q", "-m", "one")

	if code, out, _ := command(t, "skill", "bump", file); code != 0 || !strings.Contains(out, "Nothing to compare with has changed") {
		t.Errorf("exit %d: %s", code, out)
	}
	changed := strings.Replace(first, "queuectl restart", "queuectl restart --all", 1)
	write(changed)
	code, out, _ := command(t, "skill", "bump", file, "--json")
	var v bumpView
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || v.Proposed != skill.Minor || v.To != "v1.1.0" || v.Written {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != changed {
		t.Errorf("a proposal wrote: %v", err)
	}
	if code, out, complaint := command(t, "skill", "bump", file, "patch"); code != 0 || !strings.Contains(out, "v1.0.0 → v1.0.1") || !strings.Contains(complaint, "asks for minor") {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}
	want := strings.Replace(changed, "v1.0.0", "v1.0.1", 1)
	if b, err := os.ReadFile(file); err != nil || string(b) != want {
		t.Errorf("%v\n%q\nwant\n%q", err, b, want)
	}
	code, out, complaint := command(t, "skill", "diff", "stuck-queue@1.0.0", "stuck-queue", "--wiki", dir, "--json")
	var diff diffView
	if err := json.Unmarshal([]byte(out), &diff); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, complaint)
	}
	if diff.Level != skill.Minor || diff.Old.Version != "v1.0.0" || diff.New.Version != "v1.0.1" || diff.Old.Hash == diff.New.Hash ||
		!slices.ContainsFunc(diff.Changes, func(c skill.Change) bool { return c.Kind == "code" }) || !strings.Contains(diff.Unified, "+\tqueuectl restart --all") {
		t.Errorf("%s", out)
	}
	if code, out, _ := command(t, "skill", "diff", fmt.Sprintf("stuck-queue@%s", diff.Old.Hash[:12]), file, "--wiki", dir); code != 0 || !strings.Contains(out, "Such a change raises the minor version.") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out, _ := command(t, "skill", "diff", file, file); code != 0 || !strings.Contains(out, "byte for byte") {
		t.Errorf("exit %d: %s", code, out)
	}

	// Under another name it has the history that it had.
	run("add", ".")
	run("commit", "-q", "-m", "two")
	run("mv", "skills/stuck-queue.skill.md", "skills/queue-hält.skill.md")
	run("commit", "-q", "-m", "three")
	file = filepath.Join(dir, "skills", "queue-hält.skill.md")
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"queue-hält v1.0.0 1.0.1", exitPassed, "+\tqueuectl restart --all"},
		{file + " 1.0.1 1.0.0", exitPassed, "-\tqueuectl restart --all"},
		{"queue-hält@1.0.0 1.0.1", exitPassed, "v1.0.0 (" + diff.Old.Hash[:12] + ") → v1.0.1"},
		{"queue-hält@" + diff.Old.Hash[:12] + " queue-hält@" + diff.New.Hash[:8], exitPassed, "v1.0.0 (" + diff.Old.Hash[:12] + ") → v1.0.1"},
		{"queue-hält 2.0.0 1.0.0", exitUsage, "queue-hält was never at version 2.0.0 (known are v1.0.1, v1.0.0)"},
		{"queue-hält@ queue-hält", exitUsage, "known are v1.0.1, v1.0.0"},
		{"queue-hält 1.0.0", exitUsage, "prunella skill diff queue-hält V1 V2"},
		{"queue-hält", exitUsage, "name two versions"},
		{"no-such 1.0.0 1.0.1", exitUsage, "there is no skill or file of that name (there are queue-hält)"},
	} {
		code, out, complaint := command(t, append([]string{"skill", "diff", "--wiki", dir}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(out+complaint, c.says) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s%s", c.args, code, c.code, c.says, out, complaint)
		}
	}
}

// Without git the version that an import replaced is still there to compare with.
func TestSkillDiffAfterAnImport(t *testing.T) {
	dir := t.TempDir()
	page, file := filepath.Join(dir, "page.md"), filepath.Join(dir, "skills", "stuck-queue.skill.md")
	for _, version := range []string{"1.0.0", "1.1.0"} {
		if err := os.WriteFile(page, []byte("# Stuck queue\n\nVersion: "+version+"\n\n## Resolution\n\n1. Restart "+version+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if code, _, complaint := command(t, "skill", "import", page, "--out", file); code != 0 {
			t.Fatalf("exit %d: %s", code, complaint)
		}
	}
	if code, out, complaint := command(t, "skill", "diff", "stuck-queue@1.0.0", "stuck-queue", "--wiki", dir); code != 0 || !strings.Contains(out, "+1. Restart 1.1.0") {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}
	if code, _, complaint := command(t, "skill", "diff", "stuck-queue@0.9.0", "stuck-queue", "--wiki", dir); code == 0 || !strings.Contains(complaint, "known are 1.1.0, 1.0.0, and there is no git history of it") {
		t.Errorf("exit %d: %s", code, complaint)
	}
}
