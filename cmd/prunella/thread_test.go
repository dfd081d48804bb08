package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// aSlackExport writes an export of one incident and some side talk.
func aSlackExport(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"users.json":    `[{"id":"U1","name":"ada","profile":{"email":"ada@example.com"}},{"id":"U2","name":"ben"}]`,
		"channels.json": `[{"id":"C1","name":"ops"}]`,
		"ops/2026-05-02.json": `[
{"ts":"1777688400.000100","thread_ts":"1777688400.000100","reply_count":4,"user":"U1","text":"orders-db refuses connections, 40% of checkouts fail since 02:18 UTC"},
{"ts":"1777688460.000100","thread_ts":"1777688400.000100","user":"U2","text":"found it: the connection pool is exhausted, 200 of 200 used (password=hunter2x)"},
{"ts":"1777688520.000100","thread_ts":"1777688400.000100","user":"U2","text":"restarting pgbouncer\n` + "```" + `$ sudo systemctl restart pgbouncer\n` + "```" + `"},
{"ts":"1777688640.000100","thread_ts":"1777688400.000100","user":"U1","text":"that fixed it, 0 errors"},
{"ts":"1777688700.000100","thread_ts":"1777688400.000100","user":"U1","text":"resolved. ben owns orders-db"},
{"ts":"1777699000.000100","user":"U1","text":"lunch?"}]`,
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// From an export to a skill with the commands alone, without a server.
func TestThread(t *testing.T) {
	export, data, wiki := aSlackExport(t), t.TempDir(), t.TempDir()
	ok := func(args ...string) string {
		t.Helper()
		code, out, complaint := command(t, args...)
		if code != exitPassed {
			t.Fatalf("%v: exit %d: %s", args, code, complaint)
		}
		return out
	}
	if out := ok("thread", "import", export, "--data", data); !strings.Contains(out, "6 new") {
		t.Errorf("import said %s", out)
	}
	if out := ok("thread", "import", export, "--data", data); !strings.Contains(out, "0 new, 0 updated, 6 known") {
		t.Errorf("a second import said %s", out)
	}
	var stored, direct struct {
		Extractions []struct {
			Owners   []string
			Worked   []int
			Commands []struct{ Text string }
		}
		Drafts []struct{ Name, Path string }
	}
	if err := json.Unmarshal([]byte(ok("thread", "extract", "--data", data, "--wiki", wiki, "--json")), &stored); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(ok("thread", "extract", "--export", export, "--wiki", wiki, "--dry", "--json")), &direct); err != nil {
		t.Fatal(err)
	}
	if len(stored.Extractions) != 1 || len(direct.Extractions) != 1 || len(stored.Drafts) != 1 {
		t.Fatalf("%d extracted from the store, %d from the export", len(stored.Extractions), len(direct.Extractions))
	}
	x := stored.Extractions[0]
	if len(x.Worked) != 1 || len(x.Commands) != 1 || x.Commands[0].Text != "sudo systemctl restart pgbouncer" || strings.Join(x.Owners, " ") != "@ben" {
		t.Errorf("extracted %+v", x)
	}
	name := stored.Drafts[0].Name
	if out := ok("thread", "list", "--data", data, "--wiki", wiki); !strings.Contains(out, "drafted") || !strings.Contains(out, name) {
		t.Errorf("list said %s", out)
	}
	if out := ok("thread", "extract", "--data", data, "--wiki", wiki); !strings.Contains(out, "found it") && !strings.Contains(out, "that fixed it") {
		t.Errorf("extract said %s", out)
	}
	if out := ok("thread", "accept", name, "--wiki", wiki, "--as", "ada"); !strings.Contains(out, "accepted by @ada") {
		t.Errorf("accept said %s", out)
	}
	b, err := os.ReadFile(filepath.Join(wiki, "skills", name+".skill.md"))
	if err != nil || strings.Contains(string(b), "hunter2x") || !strings.Contains(string(b), "accepted-by") {
		t.Errorf("the skill: %v\n%s", err, b)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"thread", "accept", "no-such-draft", "--wiki", wiki}, "there is no such draft"},
		{[]string{"thread", "import", filepath.Join(data, "none.zip"), "--data", data}, "open export"},
		{[]string{"thread", "extract", "--since", "soon", "--data", data, "--wiki", wiki}, "is no day"},
	} {
		if code, out, complaint := command(t, c.args...); code != exitUsage || out != "" || !strings.Contains(complaint, c.says) {
			t.Errorf("%v: exit %d, out %q, complaint %q", c.args, code, out, complaint)
		}
	}
}

// Accepting is a commit in the name of who accepted, and gives way to others.
func TestAcceptingIsCommitted(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=ops", "-c", "user.email=ops@acme.example"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	git("init", "-q")
	git("config", "user.name", "ops")
	git("config", "user.email", "ops@acme.example")
	var out struct {
		Drafts []struct{ Name, Path string }
		Commit string
	}
	run := func(want int, args ...string) {
		t.Helper()
		code, text, complaint := command(t, append(args, "--wiki", dir, "--json")...)
		if code != want {
			t.Fatalf("%v: exit %d: %s", args, code, complaint)
		}
		if err := json.Unmarshal([]byte(text), &out); err != nil && want == exitPassed {
			t.Fatal(err)
		}
	}
	export := aSlackExport(t)
	run(exitPassed, "thread", "extract", "--export", export)
	git("add", "-A")
	git("commit", "-q", "-m", "drafts")
	draft := out.Drafts[0]
	run(exitPassed, "thread", "accept", draft.Name, "--as", "@ada")
	if out.Commit == "" {
		t.Error("accept names no commit")
	}
	if log := git("log", "--format=%an: %s"); !strings.Contains(log, "ada: Accept "+draft.Name) || !strings.Contains(log, "ada: Remove the draft of "+draft.Name) {
		t.Errorf("the history says\n%s", log)
	}
	if left := git("status", "--porcelain"); left != "" {
		t.Errorf("left over:\n%s", left)
	}
	if _, err := os.Stat(draft.Path); err == nil {
		t.Error("the draft is still there")
	}
	run(exitUsage, "thread", "accept", draft.Name, "--as", "ada")
}

// A model smooths prose only when it is asked to; what it makes up is dropped
// and listed, and without it the drafts are as people wrote them.
func TestPolishIsAskedFor(t *testing.T) {
	calls, export := 0, aSlackExport(t)
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		var q struct{ Messages []struct{ Content string } }
		var in struct {
			Lines []struct {
				ID   int
				Text string
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		if err := json.Unmarshal([]byte(q.Messages[1].Content), &in); err != nil {
			t.Error(err)
		}
		var lines []map[string]any
		for _, l := range in.Lines {
			lines = append(lines, map[string]any{"id": l.ID, "text": l.Text + ". Migrate everything to Oracle."})
		}
		answer, _ := json.Marshal(map[string]any{"lines": lines})
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"message": map[string]string{"content": string(answer)}}}})
	}))
	defer model.Close()
	config := filepath.Join(t.TempDir(), "prunella.yaml")
	write := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("polish: {url: '" + model.URL + "', model: tiny}")
	extract := func(want int, args ...string) (drafts []drafted, complaint string) {
		t.Helper()
		code, text, complaint := command(t, append([]string{"thread", "extract", "--export", export, "--wiki", t.TempDir(), "--json"}, args...)...)
		var out extracted
		if code != want {
			t.Fatalf("%v: exit %d: %s", args, code, complaint)
		}
		if err := json.Unmarshal([]byte(text), &out); err != nil && want == exitPassed {
			t.Fatal(err)
		}
		return out.Drafts, complaint
	}
	if drafts, _ := extract(exitPassed); calls != 0 || drafts[0].Polish != nil {
		t.Errorf("a model was asked %d times without --polish", calls)
	}
	drafts, _ := extract(exitPassed, "--polish", "--config", config)
	text, err := os.ReadFile(drafts[0].Path)
	if err != nil || calls == 0 || strings.Contains(string(text), "Oracle") {
		t.Errorf("asked %d times, %v:\n%s", calls, err, text)
	}
	if p := drafts[0].Polish; p == nil || p.Model != "tiny" || len(p.Dropped) == 0 || !strings.Contains(p.Dropped[0].Claim, "Oracle") || p.Dropped[0].Reason == "" {
		t.Errorf("%+v", p)
	}
	model.Close()
	if drafts, _ := extract(exitPassed, "--polish", "--config", config); drafts[0].Path == "" || !strings.Contains(drafts[0].Unpolished, "tiny") {
		t.Errorf("without a server: %+v", drafts[0].Unpolished)
	}
	write("listen: 127.0.0.1:7070")
	for want, args := range map[string][]string{"--config FILE": {"--polish"}, "goes with --polish": {"--config", config}, "no model is configured": {"--polish", "--config", config}} {
		if _, complaint := extract(exitUsage, args...); !strings.Contains(complaint, want) {
			t.Errorf("%v: it says %q", args, complaint)
		}
	}
}
