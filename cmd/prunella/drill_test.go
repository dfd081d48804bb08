package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/client"
	"prunella/store"
)

// TestProcessDrill is the weekly drill with the real program: the server was
// down when one was due, makes it up, breaks a lab in a process of its own, and
// the skill has earned something that the pages and the commands show.
func TestProcessDrill(t *testing.T) {
	if os.Getenv("PRUNELLA_SOAK") == "" {
		t.Skip("breaks a world, and its machine must not be busy; PRUNELLA_SOAK=1 runs it")
	}
	const name = "auth-jwks-rotation-spike"
	wiki := filepath.Join(t.TempDir(), "wiki")
	if code, _, complaint := command(t, "wiki", "copy", wiki); code != exitPassed {
		t.Fatal(complaint)
	}
	s := newServer(t, build(t), map[string]any{"wiki": wiki, "drill": map[string]any{"every": "168h"}, "skills_exclude": []string{"jwt-signing-key-partial-distribution"}})
	due, err := json.Marshal(client.DrillStatus{Next: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	state, err := store.Open(t.Context(), s.data)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(state.Commit(t.Context(), store.Batch{State: map[string][]byte{"drill": due}}), state.Close()); err != nil {
		t.Fatal(err)
	}
	s.start()
	var made client.DrillResult
	s.until("the drill to be made", 2*time.Minute, func(ctx context.Context) error {
		now, err := s.api.Status(ctx)
		switch {
		case err != nil:
			return err
		case now.Drill == nil || now.Drill.Last == nil:
			return errors.New("none yet")
		}
		made = *now.Drill.Last
		return nil
	})
	if len(made.Skills) != 1 || made.Skills[0].Name != name || made.Skills[0].Passed != 1 || made.Skills[0].Error != "" {
		t.Fatalf("%+v", made.Skills)
	}
	var trust trustView
	if code, out, complaint := command(t, "skill", "trust", name, "--server", "http://"+s.listen, "--json"); code != exitPassed {
		t.Fatal(complaint)
	} else if err := json.Unmarshal([]byte(out), &trust); err != nil {
		t.Fatal(err)
	}
	proven := trust.Outcomes[0]
	if proven.Kind != "scenario" || proven.X != 1 || proven.W != 0.2 || trust.LastVerified != nil {
		t.Errorf("%+v, last verified %v; a drill counts 0.2 and makes nothing fresh", proven, trust.LastVerified)
	}
	for path, want := range map[string]string{"/": name + "</a> v1.0.0: 1\u00a0scenario passed", "/skills/" + name: proven.Ref, "/reports/" + proven.Ref: "PASSED"} {
		if page := get(t, "http://"+s.listen+path); !strings.Contains(page, want) {
			t.Errorf("%s does not show %q", path, want)
		}
	}
	s.stop()
}

// A drill passes over a skill that no scenario is about, and over nothing else.
func TestDrillPassesOverOnlyWhatNoScenarioIsAbout(t *testing.T) {
	url := serveOn(t, store.Batch{})
	for name, want := range map[prunella.SkillName]prunella.Kind{"redis-cache-eviction": prunella.NotFound, "no-such-skill": prunella.NotFound} {
		if _, err := proveInChild(t.Context(), url, name); prunella.KindOf(err) != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if _, err := proveInChild(t.Context(), "http://127.0.0.1:1", "auth-jwks-rotation-spike"); prunella.KindOf(err) != prunella.Unavailable {
		t.Errorf("without a server: %v, want it told", err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return string(b)
}
