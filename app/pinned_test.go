package app

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/heal"
	"prunella/skill"
	"prunella/store"
)

// What a run proves is told of the text that it was planned from, also when the
// skill was edited while it ran.
func TestAnOutcomeIsAboutTheTextThatWasPlanned(t *testing.T) {
	dir := ownWiki(t)
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Wiki: dir})
	defer stop()
	before, ok := a.skills.find(spike)
	if !ok {
		t.Fatal("it is not in use")
	}
	now := time.Now()
	inc := prunella.Incident{ID: "inc-1", Title: "401 in payment", State: prunella.Healing, Onset: now, OpenedAt: now, DueAt: now.Add(time.Hour)}
	planned := before.skill
	planned.Actions = nil
	run, err := heal.Plan(heal.Input{Run: "run-1", Incident: inc, Now: now, Skill: &planned})
	if err != nil {
		t.Fatal(err)
	}
	run.Steps = []prunella.Step{{Name: "tell", Action: "http.request", State: prunella.StepPlanned}}
	run.State, run.Started, run.Deadline = prunella.RunRunning, now.Add(-time.Hour), now.Add(-time.Minute) // its time is up
	if err := a.store.Commit(t.Context(), store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}, NewRuns: []prunella.Run{run}}); err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(dir, "skills", spike+skill.Suffix)
	write(t, file, strings.Replace(read(t, file), "version: v1.0.0", "version: v1.0.1", 1))
	deadline(t, "the new version to be in use", func() bool { return version(a, spike) == "v1.0.1" })
	if _, err := a.store.UpdateIncident(t.Context(), inc.ID, func(i *prunella.Incident) error { i.DueAt = time.Time{}; return nil }); err != nil {
		t.Fatal(err)
	}
	a.engine.Wake()
	var outcomes []prunella.Outcome
	deadline(t, "the run to be judged", func() bool {
		outcomes, err = a.store.Outcomes(t.Context(), spike)
		return err == nil && len(outcomes) == 1
	})
	if o := outcomes[0]; o.Hash != before.skill.Hash || o.Version != "v1.0.0" || o.X != 0 || o.Ref != "run-1" {
		t.Errorf("the outcome is about %s %s; it was planned from %s %s", o.Version, o.Hash, before.skill.Version, before.skill.Hash)
	}
}
