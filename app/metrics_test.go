package app

import (
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/skill"
	"prunella/store"
)

// What Prometheus scrapes about skills, pages and drills is what they are at
// that moment.
func TestMetricsOfKnowledge(t *testing.T) {
	dir := ownWiki(t)
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Wiki: dir})
	defer stop()
	scrape := func() string {
		t.Helper()
		resp, err := http.Get(a.URL() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want := func(text string, lines ...string) {
		t.Helper()
		for _, l := range lines {
			if !strings.Contains(text, l+"\n") {
				t.Errorf("/metrics does not say %s", l)
			}
		}
	}
	before := scrape()
	page := read(t, filepath.Join("..", "docs", "metrics.md"))
	for l := range strings.Lines(before) {
		if name, ok := strings.CutPrefix(l, "# TYPE prunella_"); ok && !strings.Contains(page, "`prunella_"+strings.Fields(name)[0]+"`") {
			t.Errorf("docs/metrics.md does not tell of prunella_%s", strings.Fields(name)[0])
		}
	}
	want(before, `prunella_skill_usable{skill="`+spike+`"} 1`, `prunella_wiki_pages{kind="skill"} 4`, `prunella_wiki_pages{kind="draft"} 0`, `prunella_scrape_errors 0`,
		`prunella_bus_messages 0`, `prunella_bus_writable 1`, `prunella_incidents_open{state="escalated"} 0`, `prunella_incidents_open{state="awaiting-approval"} 0`)
	for _, absent := range []string{"prunella_skill_last_verified", "prunella_drill_last", "prunella_slack"} {
		if strings.Contains(before, absent) {
			t.Errorf("/metrics tells of %s before there is any", absent)
		}
	}

	for _, name := range []string{"pipeline_last_pass", "engine_last_tick"} {
		line := regexp.MustCompile(`(?m)^prunella_` + name + `_timestamp_seconds (\S+)$`).FindStringSubmatch(before)
		if line == nil {
			t.Fatalf("/metrics does not say %s", name)
		}
		at, err := strconv.ParseFloat(line[1], 64)
		if ago := time.Since(time.UnixMilli(int64(1000 * at))); err != nil || ago < 0 || ago > time.Minute {
			t.Errorf("%s was %s ago, %v", name, ago, err)
		}
	}
	if err := a.store.Commit(t.Context(), store.Batch{Updates: []store.IncidentUpdate{{Create: &prunella.Incident{ID: "inc-1", State: prunella.Escalated, OpenedAt: time.Now()}}}}); err != nil {
		t.Fatal(err)
	}
	want(scrape(), `prunella_incidents_open{state="escalated"} 1`)

	at := time.Now().UTC().Truncate(time.Second)
	f, _ := a.skills.find(spike)
	if err := a.store.AddOutcome(t.Context(), prunella.Outcome{Skill: spike, Version: f.skill.Version, Hash: f.skill.Hash, At: at, Kind: "run", X: 1, Ref: "run/1"}); err != nil {
		t.Fatal(err)
	}
	view, err := backend{a}.Skill(t.Context(), spike)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "skills", spike+skill.Suffix)
	write(t, file, strings.Replace(read(t, file), "kind: metric", "kind: nonsense", 1))
	deadline(t, "the broken file to be seen", func() bool { return strings.Contains(scrape(), `prunella_skill_usable{skill="`+spike+`"} 0`) })
	after := scrape()
	if view.Trust.Confidence <= 0.6 || !strings.Contains(after, `prunella_skill_confidence{skill="`+spike+`"} 0.`) || !strings.Contains(after, `prunella_skill_last_verified_timestamp_seconds{skill="`+spike+`"} 1.`) {
		t.Errorf("a verified run moved nothing: confidence %v\n%s", view.Trust.Confidence, grep(after, "prunella_skill_"))
	}
}

// A skill file whose name is no text is one unusable skill; the rest of the
// answer is as ever.
func TestMetricsOfAFileWithoutAName(t *testing.T) {
	dir := ownWiki(t)
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Wiki: dir})
	defer stop()
	write(t, filepath.Join(dir, "skills", "bro\xffken"+skill.Suffix), "# Broken\n")
	deadline(t, "the file to be seen", func() bool { return len(a.skills.broken()) > 0 })
	resp, err := http.Get(a.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), "prunella_skill_usable{skill=\"bro\uFFFDken\"} 0\n") || !strings.Contains(string(text), `prunella_skill_usable{skill="`+spike+`"} 1`) {
		t.Errorf("%s, %v\n%s", resp.Status, err, grep(string(text), "prunella_skill_usable"))
	}
	if p := a.skills.broken()[0]; !strings.Contains(p.Text, "not UTF-8") || p.Remedy != "rename the file" {
		t.Errorf("%+v", p)
	}
}

func grep(text, what string) string {
	var out []string
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, what) {
			out = append(out, l)
		}
	}
	return strings.Join(out, "")
}
