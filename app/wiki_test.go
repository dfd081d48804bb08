package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/client"
	"prunella/skill"
	"prunella/wiki"
)

const spike = "auth-jwks-rotation-spike"

// ownWiki is a folder with a copy of the shipped pages, kept in git.
func ownWiki(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, wiki.FS()); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "init", "-q")
	git(t, dir, "config", "user.name", "Sam")
	git(t, dir, "config", "user.email", "sam@acme.example")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "Begin")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// version is what the engine would use of a skill, "" for nothing.
func version(a *App, name prunella.SkillName) string {
	for _, s := range a.skills.list() {
		if s.Name == name {
			return s.Version
		}
	}
	return ""
}

// A changed file is in use without a restart; a broken one leaves the last
// usable version in use, says so, and does so over a restart; a removed one is
// gone.
func TestSkillsFollowTheirFiles(t *testing.T) {
	dir, data := ownWiki(t), t.TempDir()
	file := filepath.Join(dir, "skills", spike+skill.Suffix)
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: data, Wiki: dir})
	c := client.New(a.URL())
	good := strings.Replace(read(t, file), "version: v1.0.0", "version: v1.0.7", 1)
	write(t, file, good)
	deadline(t, "the new version to be in use", func() bool { return version(a, spike) == "v1.0.7" })

	write(t, file, strings.Replace(strings.Replace(good, "v1.0.7", "v1.0.8", 1), "kind: metric", "kind: nonsense", 1))
	broken := func() bool {
		v, err := c.Skill(t.Context(), spike)
		return err == nil && len(v.Broken) > 0 && v.Skill.Version == "v1.0.7" && strings.Contains(v.Broken[0].Text, "nonsense") && v.Broken[0].Line > 1
	}
	deadline(t, "the problem to be shown", broken)
	if got := version(a, spike); got != "v1.0.7" {
		t.Errorf("the engine uses %q", got)
	}
	stop()

	a, stop = serve(t, Config{Listen: "127.0.0.1:0", Data: data, Wiki: dir})
	defer stop()
	c = client.New(a.URL())
	if got := version(a, spike); got != "v1.0.7" {
		t.Errorf("after a restart the engine uses %q", got)
	}
	if !broken() {
		t.Error("after a restart the problem is not shown")
	}
	write(t, file, strings.Replace(good, "v1.0.7", "v1.0.9", 1))
	deadline(t, "the mended version to be in use", func() bool { return version(a, spike) == "v1.0.9" })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	deadline(t, "the removed skill to be gone", func() bool { return version(a, spike) == "" })
	if _, err := c.Skill(t.Context(), spike); prunella.KindOf(err) != prunella.NotFound {
		t.Errorf("a removed skill: %v", err)
	}
	if n := len(a.skills.list()); n != 3 {
		t.Errorf("%d skills are left", n)
	}
}

// A server that never saw a usable version of a file says so and does not
// start; a draft is never used, whatever stands in it.
func TestAFileThatWasNeverUsable(t *testing.T) {
	dir := ownWiki(t)
	if err := os.MkdirAll(filepath.Join(dir, "drafts"), 0o755); err != nil {
		t.Fatal(err)
	}
	shipped := read(t, filepath.Join(dir, "skills", spike+skill.Suffix))
	write(t, filepath.Join(dir, "drafts", "other"+skill.Suffix), strings.Replace(shipped, "name: "+spike, "name: other", 1))
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Wiki: dir})
	if got := version(a, "other"); got != "" {
		t.Errorf("a draft is in use: %s", got)
	}
	stop()
	write(t, filepath.Join(dir, "skills", spike+skill.Suffix), strings.Replace(shipped, "kind: metric", "kind: nonsense", 1))
	_, err := New(Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Wiki: dir}, "test", a.log)
	if prunella.KindOf(err) != prunella.Invalid || !strings.Contains(err.Error(), "skills/"+spike) || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("it says %v", err)
	}
}

// What an alert's runbook_url names is found by every name the skill has or had.
func TestRunbooksAreFoundByTheirNames(t *testing.T) {
	dir := ownWiki(t)
	git(t, dir, "mv", "skills/redis-cache-eviction.skill.md", "skills/redis-evicts.skill.md")
	file := filepath.Join(dir, "skills", "redis-evicts.skill.md")
	write(t, file, strings.Replace(strings.Replace(read(t, file), "name: redis-cache-eviction", "name: redis-evicts", 1), "metadata:\n", "metadata:\n  aliases: \"RedisMemoryHigh, cache-full\"\n", 1))
	git(t, dir, "commit", "-qam", "Rename")
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Wiki: dir})
	defer stop()
	for name, want := range map[string]prunella.SkillName{
		spike: spike, spike + ".skill.md": spike, "AuthJwksRotationSpike": spike, "auth/stale-jwks-cache": spike, "stale-jwks-cache": spike,
		"redis-evicts": "redis-evicts", "RedisMemoryHigh": "redis-evicts", "cache_full": "redis-evicts", "redis-cache-eviction": "redis-evicts",
		"nobody-knows": "", "": "", "..": "",
	} {
		got, err := backend{a}.Runbook(t.Context(), name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", name, got, err, want)
		}
	}
}

// A text is matched by the engine's rules and by its words.
func TestTextsAreMatchedToSkills(t *testing.T) {
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir()})
	defer stop()
	c := client.New(a.URL())
	m, err := c.MatchSkills(t.Context(), "order: Unable to find a signing key that matches kid=abc\norder: token verification failed: kid not found in local keystore\n")
	if err != nil || len(m.Matches) == 0 || m.Matches[0].Score == 0 || len(m.Matches[0].Because) == 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	m, err = c.MatchSkills(t.Context(), "redis evicts keys, memory is full")
	if err != nil || !slices.ContainsFunc(m.Matches, func(s client.SkillMatch) bool {
		return s.Name == "redis-cache-eviction" && s.URL == "/skills/redis-cache-eviction"
	}) {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := c.MatchSkills(t.Context(), " \n"); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("no text: %v", err)
	}
}

// The course shows what each outcome did and what age undid between them.
func TestConfidenceOverTime(t *testing.T) {
	now := time.Now()
	at := func(days int) time.Time { return now.Add(-time.Duration(days) * 24 * time.Hour) }
	outcomes := []prunella.Outcome{
		{Version: "v1.0.0", At: at(400), Kind: "run", X: 1, Ref: "a"}, {Version: "v1.0.0", At: at(300), Kind: "run", X: 1, Ref: "b"}, {Version: "v1.0.0", At: at(200), Kind: "run", X: 0, Ref: "c"}}
	points := course(outcomes, prunella.Skill{Version: "v1.0.0"}, now)
	var moved []client.TrustPoint
	for i, p := range points {
		if i > 0 && p.At.Before(points[i-1].At) {
			t.Errorf("point %d goes back in time", i)
		}
		if p.Outcome != nil {
			moved = append(moved, p)
			if before := points[i-1]; (p.Confidence > before.Confidence) != (p.Outcome.X == 1) || !before.At.Equal(p.At) {
				t.Errorf("%s moved it from %v to %v", p.Outcome.Ref, before.Confidence, p.Confidence)
			}
		}
	}
	last := points[len(points)-1]
	want := skill.Measure(outcomes, "v1.0.0", now, skill.Options{})
	if len(moved) != 3 || points[0].Confidence != 0.5 || last.Confidence != want.Confidence || last.Floor != want.Floor {
		t.Errorf("%d outcomes, from %v to %v", len(moved), points[0], last)
	}
	if course(nil, prunella.Skill{}, now) != nil {
		t.Error("without evidence there is a course")
	}
}
