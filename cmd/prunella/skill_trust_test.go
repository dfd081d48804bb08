package main

import (
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/store"
)

// Every outcome is one row, whatever somebody wrote, and the versions of the caps
// stand in their order; a word at the command line is one more row.
func TestSkillTrustExplains(t *testing.T) {
	const name = "auth-jwks-rotation-spike"
	at := time.Now().Add(-time.Hour)
	url := serveOn(t, store.Batch{Outcomes: []prunella.Outcome{
		{Skill: name, Version: "v1.0.0", At: at, Kind: "person", X: 1, Ref: "person/sam", By: "@sam", Note: "did it\nby hand\ton Monday"},
		{Skill: name, Version: "v0.10.0", At: at, Kind: "scenario", X: 1, Ref: "report-1", Note: "jwks-stale-cache-spike"},
		{Skill: name, Version: "v0.9.0", At: at, Kind: "scenario", X: 0, Ref: "report-2", Note: "jwks-stale-cache-spike"},
	}})
	if code, out, complaint := command(t, "skill", "trust", name, "--server", url, "--vouch", "partial", "--as", "@kim", "--because", "it took two tries"); code != exitPassed || !strings.Contains(out, "person/kim: it took two tries") {
		t.Fatalf("exit %d: %s%s", code, out, complaint)
	}
	code, out, complaint := command(t, "skill", "trust", name, "--server", url)
	if code != exitPassed {
		t.Fatalf("exit %d: %s", code, complaint)
	}
	var caps []string
	rows := 0
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, at.Local().Format(time.DateOnly)) || strings.HasPrefix(line, time.Now().Format(time.DateOnly)) {
			rows++
		}
		if _, after, ok := strings.Cut(line, "people and scenarios on "); ok {
			caps = append(caps, strings.Fields(after)[0])
		}
	}
	if rows < 4 || !strings.Contains(out, "person/sam: did it by hand on Monday") {
		t.Errorf("%d rows:\n%s", rows, out)
	}
	if got := strings.Join(caps, " "); got != "v1.0.0: v0.10.0: v0.9.0:" {
		t.Errorf("the caps are of %s", got)
	}
	if code, _, complaint := command(t, "skill", "trust", name, "--server", url, "--vouch", "healed", "--as", "@kim"); code != exitUsage || !strings.Contains(complaint, "--because") {
		t.Errorf("a word without a reason: exit %d, %s", code, complaint)
	}
}
