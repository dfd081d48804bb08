package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/app"
	"prunella/store"
)

// serveOn runs a server whose data hold what a past left.
func serveOn(t *testing.T, past store.Batch) (url string) {
	t.Helper()
	data := t.TempDir()
	s, err := store.Open(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Commit(t.Context(), past), s.Close()); err != nil {
		t.Fatal(err)
	}
	a, err := app.New(app.Config{Listen: "127.0.0.1:0", Data: data}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a.URL()
}

// A person takes an incident from the engine while it asks, gives it back, takes
// it again and ends it; each says who and why, and what makes no sense is
// refused with what to do instead.
func TestIncidentIsHandedBackAndForth(t *testing.T) {
	now := time.Now()
	inc := prunella.Incident{ID: "inc-1", Title: "401 in payment", State: prunella.AwaitingApproval, Severity: prunella.High, Onset: now, OpenedAt: now, DueAt: now.Add(time.Hour)}
	plan := prunella.Run{ID: "run-1", Incident: inc.ID, Hash: "h", State: prunella.RunProposed, Created: now}
	ask := prunella.Approval{ID: "apr-1", Incident: inc.ID, Run: plan.ID, Hash: "h", Asked: now, Expires: now.Add(time.Hour)}
	url := serveOn(t, store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}, NewRuns: []prunella.Run{plan}, Approvals: []prunella.Approval{ask}})
	t.Setenv("USER", "kim")
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"show inc-1", exitPassed, "prunella incident approve inc-1"},
		{"hand-back inc-1 --reason go-on", exitError, "only one that a person holds can be handed back"},
		{"escalate inc-1", exitUsage, "missing flags: --reason=WHY"},
		{"escalate inc-1 --reason=", exitUsage, "--reason is empty"},
		{"escalate inc-7 --reason mine", exitUsage, "there is no incident inc-7"},
		{"escalate inc-1 --reason not-during-the-sale", exitPassed, "kim holds it now, and the engine does nothing more about it: 401 in payment"},
		{"approve inc-1", exitUsage, "nothing waits for an approval"},
		{"show inc-1", exitPassed, "prunella incident hand-back inc-1 --reason WHY"},
		{"escalate inc-1 --reason mine --by sam", exitError, "a person holds the incident already (kim: not-during-the-sale)"},
		{"hand-back inc-1 --reason the-sale-is-over --by sam", exitPassed, "handed back by sam; the engine looks at it anew: 401 in payment"},
		{"resolve inc-1 --reason rolled-back-by-hand", exitPassed, "resolved by kim: 401 in payment"},
		{"show inc-1", exitPassed, "resolved by kim: rolled-back-by-hand"},
		{"resolve inc-1 --reason again", exitError, "the incident is resolved already"},
		{"escalate inc-1 --reason again", exitError, "should the failure come back, it is opened again by itself"},
		{"list --open", exitPassed, "No incidents"},
	} {
		args := append([]string{"incident"}, strings.Fields(c.args)...)
		code, out, complaint := command(t, append(args, "--server", url)...)
		if code != c.code || !strings.Contains(out+complaint, c.says) {
			t.Errorf("%s: exit %d\n%s%s\nwant exit %d with %q", c.args, code, out, complaint, c.code, c.says)
		}
	}
}

// What an order answers as JSON is the incident as it is then.
func TestIncidentOrderAsJSON(t *testing.T) {
	now := time.Now()
	inc := prunella.Incident{ID: "inc-1", Title: "401 in payment", State: prunella.Escalated, Onset: now, OpenedAt: now}
	url := serveOn(t, store.Batch{Updates: []store.IncidentUpdate{{Create: &inc}}})
	code, out, complaint := command(t, "incident", "resolve", "inc-1", "--reason", "restarted it", "--by", "kim", "--json", "--server", url)
	var got prunella.Incident
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitPassed || got.State != prunella.Resolved || got.StateReason.Text != "kim: restarted it" {
		t.Errorf("exit %d, %v: %s%s", code, err, out, complaint)
	}
}

// docs/incidents.md lists the commands that there are.
func TestDocsListTheIncidentCommands(t *testing.T) {
	page, err := os.ReadFile("../../docs/incidents.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, real []string
	for _, m := range regexp.MustCompile("(?m)^\\| `prunella incident ([a-z-]+)").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, m[1])
	}
	for f := range reflect.TypeFor[incidentCmd]().Fields() {
		name := f.Tag.Get("name")
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		real = append(real, name)
	}
	slices.Sort(documented)
	slices.Sort(real)
	if diff := cmp.Diff(real, documented); diff != "" {
		t.Errorf("docs/incidents.md (-commands +documented):\n%s", diff)
	}
}
