package export_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/skill"
	"prunella/skill/export"
	"prunella/wiki"
)

var at = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

func shipped(t testing.TB) []*skill.Document {
	t.Helper()
	files, err := fs.Glob(wiki.FS(), "skills/*"+skill.Suffix)
	if err != nil || len(files) < 4 {
		t.Fatal(len(files), err)
	}
	var out []*skill.Document
	for _, file := range files {
		b, err := fs.ReadFile(wiki.FS(), file)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, parse(t, file, string(b)))
	}
	return out
}

func parse(t testing.TB, file, text string) *skill.Document {
	t.Helper()
	d, err := skill.Parse(file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func page(name string) (string, bool) {
	b, err := fs.ReadFile(wiki.FS(), name+".md")
	return string(b), err == nil
}

const queue = "---\nname: stuck-queue\ndescription: Use when the queue stops --- and nobody deployed.\nlicense: Apache-2.0\nmetadata:\n  version: 1.2.0\n  owners: \"@ada\"\n---\n\n# Stuck queue\n\n" +
	"## Diagnosis (3 min)\n\n1. Look at it.\n   ```console\n   $ queuectl status <queue name>\n   stuck\n   ```\n2. Think.\n\n" +
	"## Resolution (5 min)\n\n1. **Restart** it:\n   ```bash\n   kubectl delete pod <pod> -n \"prod\"\n   ```\n2. Wait.\n\n```signal\nid: lag\nkind: log\nany: [consumer lag]\n```\n\n" +
	"## Escalation\n\n- **Primary**: `@ada`\n\n## See also\n\n- [[people/sam]]\n- [[skills/slow-api-bad-deploy.skill]]\n"

// Every shipped skill becomes an agent skill that the validator accepts, with
// every word of its text in one of the files.
func TestShippedSkillsAreAgentSkills(t *testing.T) {
	dir := t.TempDir()
	for _, d := range append(shipped(t), parse(t, "stuck-queue.skill.md", queue)) {
		s, _ := d.Skill()
		files, err := export.AgentSkill(d, page)
		if err != nil {
			t.Fatal(err)
		}
		if err := export.WriteAgentSkill(dir, string(s.Name), files); err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, f := range files {
			all.Write(f.Text)
		}
		for _, word := range strings.Fields(d.Text(d.Body())) {
			if word = strings.Trim(word, "`"); !strings.Contains(all.String(), word) {
				t.Errorf("%s: %q is in none of the files", s.Name, word)
			}
		}
		info, err := os.Stat(filepath.Join(dir, ".agents/skills", string(s.Name), "SKILL.md"))
		if err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	problems, err := export.ValidateAgentSkills(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
	script, err := os.ReadFile(filepath.Join(dir, ".agents/skills/stuck-queue/scripts/02-resolution.sh"))
	want := "#!/usr/bin/env bash\n# Stuck queue\n# Section: Resolution\nset -euo pipefail\n: \"${POD:?set POD first}\"\n\nkubectl delete pod ${POD} -n \"prod\"\n"
	if err != nil || string(script) != want {
		t.Errorf("%v\n%s", err, cmp.Diff(want, string(script)))
	}
	session, err := os.ReadFile(filepath.Join(dir, ".agents/skills/stuck-queue/scripts/01-diagnosis.sh"))
	if err != nil || strings.Contains(string(session), "stuck\n") || !strings.Contains(string(session), "queuectl status ${QUEUE_NAME}") {
		t.Errorf("%v\n%s", err, session)
	}
}

// A link to a file that is not exported stays as text; code stays as it is.
func TestLinksToFilesBesideThePage(t *testing.T) {
	const own = "\n[Queues](../queues.md#lag), ![plot](lag.png), [site](https://example.com/x)\n\n```js\nhandlers[kind](event)\n```\n"
	files, err := export.AgentSkill(parse(t, "stuck-queue.skill.md", queue+own), page)
	if err != nil {
		t.Fatal(err)
	}
	if want := "\n[Queues] (../queues.md#lag), ![plot] (lag.png), [site](https://example.com/x)\n\n```js\nhandlers[kind](event)\n```\n"; !strings.Contains(string(files[0].Text), want) {
		t.Errorf("%s", files[0].Text)
	}
	if err := export.WriteAgentSkill(t.TempDir(), "stuck-queue", files); err != nil {
		t.Error(err)
	}
}

func TestAgentSkillNeedsNameAndDescription(t *testing.T) {
	for _, text := range []string{"# T\n", "---\nname: Bad Name\ndescription: x\n---\n", "---\nname: ok\ndescription: " + strings.Repeat("x", 1025) + "\n---\n"} {
		if _, err := export.AgentSkill(parse(t, "x", text), page); prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("%.30q: %v", text, err)
		}
	}
}

func TestValidatorHoldsThePublishedRules(t *testing.T) {
	long := strings.Repeat("x", 65)
	for name, c := range map[string]struct{ dir, text, rule string }{
		"good":                 {"pdf-forms", "---\nname: pdf-forms\ndescription: Fills forms. Use for PDFs.\nlicense: MIT\ncompatibility: needs git\nmetadata:\n  version: \"1.0\"\nallowed-tools: Read Bash(git:*)\n---\n# Do\n", ""},
		"tools as a list":      {"a", "---\nname: a\ndescription: d\nallowed-tools:\n  - Read\n  - Write\n---\nx\n", ""},
		"CRLF":                 {"a", "---\r\nname: a\r\ndescription: d\r\n---\r\nx\r\n", ""},
		"description is 1024":  {"a", "---\nname: a\ndescription: " + strings.Repeat("é", 1024) + "\n---\nx\n", ""},
		"no front matter":      {"a", "# A\n", "front-matter"},
		"not closed":           {"a", "---\nname: a\n", "front-matter"},
		"dashes inside":        {"a", "---\nname: a\ndescription: one --- two\n---\nx\n", "front-matter-dashes"},
		"not a mapping":        {"a", "---\n- a\n---\nx\n", "front-matter"},
		"capitals":             {"PDF", "---\nname: PDF\ndescription: d\n---\nx\n", "name"},
		"leading hyphen":       {"-a", "---\nname: -a\ndescription: d\n---\nx\n", "name"},
		"trailing hyphen":      {"a-", "---\nname: a-\ndescription: d\n---\nx\n", "name"},
		"two hyphens":          {"a--b", "---\nname: a--b\ndescription: d\n---\nx\n", "name"},
		"long name":            {long, "---\nname: " + long + "\ndescription: d\n---\nx\n", "name"},
		"no name":              {"a", "---\ndescription: d\n---\nx\n", "name"},
		"name is a number":     {"1", "---\nname: 1\ndescription: d\n---\nx\n", "name"},
		"another folder":       {"b", "---\nname: a\ndescription: d\n---\nx\n", "name-differs"},
		"no description":       {"a", "---\nname: a\n---\nx\n", "description"},
		"blank description":    {"a", "---\nname: a\ndescription: \" \"\n---\nx\n", "description"},
		"long description":     {"a", "---\nname: a\ndescription: " + strings.Repeat("é", 1025) + "\n---\nx\n", "description"},
		"long compatibility":   {"a", "---\nname: a\ndescription: d\ncompatibility: " + strings.Repeat("x", 501) + "\n---\nx\n", "compatibility"},
		"empty compatibility":  {"a", "---\nname: a\ndescription: d\ncompatibility: \"\"\n---\nx\n", "compatibility"},
		"unknown field":        {"a", "---\nname: a\ndescription: d\nversion: \"1\"\n---\nx\n", "unknown-field"},
		"metadata is a number": {"a", "---\nname: a\ndescription: d\nmetadata:\n  version: 1.0\n---\nx\n", "metadata"},
		"metadata is nested":   {"a", "---\nname: a\ndescription: d\nmetadata:\n  a:\n    b: c\n---\nx\n", "metadata"},
		"metadata is a text":   {"a", "---\nname: a\ndescription: d\nmetadata: x\n---\nx\n", "metadata"},
		"braces":               {"a", "---\nname: a\ndescription: d\nmetadata: {a: b}\n---\nx\n", "flow-style"},
		"anchor":               {"a", "---\nname: &n a\ndescription: d\n---\nx\n", "yaml-alias"},
		"tag":                  {"a", "---\nname: !!str a\ndescription: d\n---\nx\n", "yaml-tag"},
		"tools as numbers":     {"a", "---\nname: a\ndescription: d\nallowed-tools:\n  - 1\n---\nx\n", "allowed-tools"},
		"license is empty":     {"a", "---\nname: a\ndescription: d\nlicense:\n---\nx\n", "license"},
		"missing file":         {"a", "---\nname: a\ndescription: d\n---\n[x](references/X.md)\n", "file-missing"},
		"file outside":         {"a", "---\nname: a\ndescription: d\n---\n[x](../b/X.md)\n", "file-outside"},
		"not UTF-8":            {"a", "---\nname: a\ndescription: \xff\n---\nx\n", "utf-8"},
	} {
		problems := skill.Errors(export.ValidateAgentSkill(fstest.MapFS{c.dir + "/SKILL.md": {Data: []byte(c.text)}}, c.dir))
		switch {
		case c.rule == "" && len(problems) > 0:
			t.Errorf("%s: %v", name, problems)
		case c.rule != "" && (len(problems) == 0 || problems[0].Rule != c.rule):
			t.Errorf("%s: %v, want %s", name, problems, c.rule)
		}
	}
	if p := export.ValidateAgentSkill(fstest.MapFS{"a/skill.txt": {}}, "a"); len(p) != 1 || p[0].Rule != "skill-md" {
		t.Errorf("without SKILL.md: %v", p)
	}
	if p, err := export.ValidateAgentSkills(fstest.MapFS{"readme": {}}); err != nil || len(p) != 1 {
		t.Errorf("a folder without skills: %v %v", p, err)
	}
	many := "---\nname: a\ndescription: d\n---\n" + strings.Repeat("x\n", 600)
	if p := export.ValidateAgentSkill(fstest.MapFS{"a/SKILL.md": {Data: []byte(many)}}, "a"); len(p) != 1 || p[0].Rule != "length" {
		t.Errorf("a long one: %v", p)
	}
}

func TestShippedSkillsAreCACAOPlaybooks(t *testing.T) {
	for _, d := range append(shipped(t), parse(t, "stuck-queue.skill.md", queue)) {
		b, err := export.CACAO(d, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range export.ValidatePlaybook(b) {
			t.Errorf("%s: %s", d.Path, wrong)
		}
		again, err := export.CACAO(d, at)
		if err != nil || !bytes.Equal(b, again) {
			t.Errorf("%s: another export differs: %v", d.Path, err)
		}
	}
	if _, err := export.CACAO(parse(t, "x", "# T\n\nwords\n"), at); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("a skill without steps: %v", err)
	}
}

func TestPlaybookHasTheSteps(t *testing.T) {
	b, err := export.CACAO(parse(t, "stuck-queue.skill.md", queue), at)
	if err != nil {
		t.Fatal(err)
	}
	var p export.Playbook
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	var got []string
	for id := p.Workflow[p.WorkflowStart].OnCompletion; id != ""; id = p.Workflow[id].OnSuccess {
		for _, c := range p.Workflow[id].Commands {
			text := c.Command
			if c.CommandB64 != "" {
				plain, err := base64.StdEncoding.DecodeString(c.CommandB64)
				if err != nil {
					t.Fatal(err)
				}
				text = string(plain)
			}
			got = append(got, c.Type+" "+text)
		}
	}
	want := []string{"manual Look at it.", "bash queuectl status __queue_name__:value\nstuck", "manual Think.", "manual **Restart** it:",
		"bash kubectl delete pod __pod__:value -n \"prod\"", "manual Wait."}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v := p.PlaybookVariables["__pod__"]; !v.External || v.Type != "string" {
		t.Errorf("%+v", p.PlaybookVariables)
	}
	if e := p.Workflow[p.WorkflowException]; !strings.Contains(e.Commands[0].Command+e.Commands[0].CommandB64, "@ada") && e.Commands[0].CommandB64 == "" {
		t.Errorf("%+v", e)
	}
}

// A check that must hold guards what follows: when it does not, the playbook escalates.
func TestRequiredChecksBecomeConditions(t *testing.T) {
	for _, d := range shipped(t) {
		s, _ := d.Skill()
		required := 0
		for _, c := range s.Checks {
			if c.Require {
				required++
			}
		}
		b, err := export.CACAO(d, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Count(b, []byte(`"type": "if-condition"`)); got != required {
			t.Errorf("%s: %d conditions for %d required checks", s.Name, got, required)
		}
	}
}

// A step that fails leads to the undo of its action, on, or to the escalation.
func TestFailureHasItsBranch(t *testing.T) {
	undone, further, escalated := 0, 0, 0
	for _, d := range shipped(t) {
		b, err := export.CACAO(d, at)
		if err != nil {
			t.Fatal(err)
		}
		var p export.Playbook
		if err := json.Unmarshal(b, &p); err != nil {
			t.Fatal(err)
		}
		for id, s := range p.Workflow {
			switch next := p.Workflow[s.OnFailure]; {
			case s.Type != "action":
				if s.OnFailure != "" {
					t.Errorf("%s of %s has on_failure", s.Type, d.Path)
				}
			case strings.HasPrefix(next.Name, "Undo: "):
				if undone++; next.OnSuccess != p.WorkflowException || next.OnFailure != p.WorkflowException {
					t.Errorf("%s: after the undo comes %+v", d.Path, next)
				}
			case s.OnFailure == p.WorkflowException:
				escalated++
			case s.OnFailure == s.OnSuccess:
				further++
			default:
				t.Errorf("%s: when %s fails, %q", d.Path, id, s.OnFailure)
			}
		}
	}
	if undone == 0 || further == 0 || escalated == 0 {
		t.Errorf("%d undone, %d go on, %d escalated", undone, further, escalated)
	}
}

// The validator notices each rule that is broken.
func TestPlaybookRules(t *testing.T) {
	good, err := export.CACAO(parse(t, "stuck-queue.skill.md", queue), at)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new string }{
		{`"cacao-2.0"`, `"cacao-1.1"`},
		{`"type": "playbook"`, `"type": "play"`},
		{`"name": "Stuck queue",`, ``},
		{`"id": "playbook--`, `"id": "book--`},
		{`.000Z"`, `Z"`},
		{`"created_by": "identity--`, `"created_by": "`},
		{`"on_success": "end--`, `"on_success": "end--0`},
		{`"on_failure": "action--`, `"on_failure": "action--0`},
		{`"type": "end"`, `"type": "end", "on_failure": "end--0"`},
		{`"analyze-collected-data",`, `"scan-system",`},
		{`"agent": "individual--`, `"agent": "group--`},
		{`"type": "manual"`, `"type": "shout"`},
		{`"workflow_start": "start--`, `"workflow_start": "end--`},
		{`"__pod__": {`, `"pod": {`},
		{`"on_completion": "action--`, `"on_success": "action--`},
		{`"labels"`, `"label"`},
		{`"spec_version"`, `"extra": 1, "spec_version"`},
	} {
		changed := bytes.Replace(good, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(changed, good) {
			if c.old != `"labels"` { // this one has no category
				t.Errorf("%s is not there", c.old)
			}
			continue
		}
		if len(export.ValidatePlaybook(changed)) == 0 {
			t.Errorf("%s → %s is not noticed", c.old, c.new)
		}
	}
	if len(export.ValidatePlaybook([]byte("{"))) == 0 {
		t.Error("not JSON")
	}
}
