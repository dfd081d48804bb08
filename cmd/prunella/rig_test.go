package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"prunella"
	"prunella/client"
	"prunella/lab"
	"prunella/store"
)

// rig is a world that lives in this test, a server process that watches it, and
// the gate between them.
type rig struct {
	*server
	world   *lab.World
	gate    *gate
	inv     prunella.Inventory // with the real addresses
	marks   int                // batches that were accepted right before the server died
	markMu  sync.Mutex
	learned map[string]int // service to buckets of history
}

// newRig starts a world and a server that has learned what is normal in it.
// behind names a service whose requests pass the gate, "" for none.
func newRig(t *testing.T, binary string, spec lab.Spec, policy map[string]any, behind string) *rig {
	t.Helper()
	spec.Rate, spec.Alg, spec.Seed = 90, "ES256", time.Now().UnixNano() // RSA keys take seconds to make on a busy machine
	world, err := lab.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := world.Stop(ctx); err != nil {
			t.Errorf("stop the world: %v", err)
		}
	})
	r := &rig{world: world, inv: world.Inventory(), gate: &gate{arrivals: map[string]int{}, decide: func(request, int) fate { return pass }}}

	inv := world.Inventory()
	inv.Issuers[0].Admin.URL = r.gate.front(t, inv.Issuers[0].Admin.URL)
	inv.Kubernetes.Server = r.gate.front(t, inv.Kubernetes.Server)
	for i := range inv.Services {
		if inv.Services[i].Name == behind {
			inv.Services[i].URL = r.gate.front(t, inv.Services[i].URL)
		}
	}
	r.server = newServer(t, binary, map[string]any{"time_scale": 20, "verify": map[string]any{"watch": "100s", "budget": "40m"}, "policy": policy, "world": inv})
	r.gate.die = r.die
	r.start()
	if err := world.ExportTo("http://"+r.listen, ""); err != nil {
		t.Fatal(err)
	}
	r.until("every baseline to be known", 90*time.Second, func(ctx context.Context) error {
		known, err := r.baselines(ctx)
		if err == nil && len(known) < len(inv.Services) {
			err = fmt.Errorf("%d of %d are", len(known), len(inv.Services))
		}
		r.learned = known
		return err
	})
	return r
}

// unattended lets every heal run without a question.
func unattended() map[string]any {
	return map[string]any{"autonomy": "unattended", "generic": "unattended", "min_floor": 0, "min_evidence": 0, "require_fresh": false,
		"max_per_target": 1000, "breaker_runs": 1000, "breaker_failures": 1000}
}

// baselines are the services whose normal is known, with how much was seen of it.
func (r *rig) baselines(ctx context.Context) (map[string]int, error) {
	status, err := r.api.Status(ctx)
	known := map[string]int{}
	for _, b := range status.Baselines {
		if b.Known && b.Service != "auth" {
			known[b.Service] = b.Have
		}
	}
	return known, err
}

// die has the server accept a batch of marked signals, and kills it at once.
func (r *rig) die() {
	r.markMu.Lock()
	defer r.markMu.Unlock()
	mark := fmt.Sprintf("marked batch %03d.", r.marks)
	var batch []prunella.Signal
	for i := range 3 {
		batch = append(batch, prunella.Signal{Service: r.inv.Services[0].Name, Source: "bystander", Severity: prunella.Info, Body: fmt.Sprintf("%s line %d", mark, i)})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := r.api.SendSignals(ctx, batch); err == nil {
		r.marks++ // acknowledged: from here on it must not be lost
	}
	r.kill()
}

// inject breaks the world.
func (r *rig) inject(fault string, params map[string]string) prunella.FaultRecord {
	r.t.Helper()
	rec, err := r.world.Inject(r.t.Context(), fault, params)
	if err != nil {
		r.t.Fatal(err)
	}
	if !rec.Proven {
		r.t.Fatalf("the fault did not act: %s", rec.Proof)
	}
	return rec
}

// follow watches the newest incident until it is resolved or escalated, and
// starts the server again whenever it is dead. at is called once at the first
// sight of each state; there must be exactly count incidents, and the newest
// stays the newest.
func (r *rig) follow(count int, within time.Duration, at func(client.IncidentView)) client.IncidentView {
	r.t.Helper()
	var last client.IncidentView
	var id prunella.IncidentID
	seen := map[prunella.State]bool{}
	err := await(r.t, within, func(ctx context.Context) error {
		if !r.alive() {
			r.start()
		}
		list, err := r.api.Incidents(ctx, client.IncidentQuery{})
		if err != nil {
			return err // it has just been killed
		}
		if len(list) > count {
			r.t.Fatalf("%d incidents, want %d: %s", len(list), count, told(list))
		}
		if len(list) < count {
			return fmt.Errorf("%d incidents so far", len(list))
		}
		if id == "" {
			id = list[0].ID
		}
		if list[0].ID != id {
			r.t.Fatalf("the incident was %s and is now %s", id, list[0].ID)
		}
		view, err := r.api.Incident(ctx, id)
		if err != nil {
			return err
		}
		last = view
		state := view.Incident.State
		if !seen[state] {
			seen[state] = true
			at(view)
		}
		if (state == prunella.Resolved || state == prunella.Escalated) && r.alive() {
			return nil
		}
		return fmt.Errorf("it is %s: %s", state, view.Incident.StateReason.Text)
	})
	if err != nil {
		r.t.Fatalf("after %s: %v\n%s\nrequests:%s", within, err, story(last), r.gate.all())
	}
	return last
}

func told(list []prunella.Incident) string {
	var out []string
	for _, i := range list {
		out = append(out, fmt.Sprintf("%s %s %s %s", i.ID, i.State, i.Pattern.Pattern, i.Title))
	}
	return strings.Join(out, "; ")
}

// story is an incident for a failure's message.
func story(v client.IncidentView) string {
	var b strings.Builder
	for _, e := range v.Events {
		fmt.Fprintf(&b, "  %s %-10s %s %s\n", e.At.Format("05.000"), e.Kind, e.Service, e.Text)
	}
	for _, run := range v.Runs {
		fmt.Fprintf(&b, "  run %s %s %s: %s\n", run.ID, run.State, run.Verdict, run.Reason.Text)
		for _, s := range run.Steps {
			fmt.Fprintf(&b, "    %d %-9s attempt %d/%d %s %s\n", s.Index, s.State, s.Attempt, s.Attempts, s.Name, s.Error)
		}
	}
	return b.String()
}

// keys asks the world's key API, past the gate.
func (r *rig) keys(path string, into any) {
	r.t.Helper()
	admin := r.inv.Issuers[0].Admin
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, admin.URL+"/keys/v1/"+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+admin.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("GET %s: %s %v", path, res.Status, err)
	}
}

func (r *rig) signer() string {
	var keys struct{ Signer string }
	r.keys("keys", &keys)
	return keys.Signer
}

// deliveries are the times that a key was sent to each service, by outcome:
// "search failed" or "search delivered".
func (r *rig) deliveries(kid string) map[string]int {
	var list struct {
		Deliveries []struct{ Service, Status, Event string }
	}
	r.keys("deliveries?kid="+kid, &list)
	out := map[string]int{}
	for _, d := range list.Deliveries {
		out[d.Service+" "+d.Status]++
	}
	return out
}

// healed checks what must hold after a heal that was cut off again and again:
// it is healed, its one run is finished, and everything it did was done once and
// in order.
func (r *rig) healed(v client.IncidentView, from int) {
	r.t.Helper()
	if v.Incident.State != prunella.Resolved || v.Incident.Verdict != prunella.Healed {
		r.t.Fatalf("it ended %s %s: %s\n%s\nrequests:%s", v.Incident.State, v.Incident.Verdict, v.Incident.StateReason.Text, story(v), r.gate.all())
	}
	if len(v.Runs) != 1 || v.Runs[0].State != prunella.RunDone {
		r.t.Fatalf("want one run that is done:\n%s", story(v))
	}
	for _, s := range v.Runs[0].Steps {
		if s.State != prunella.StepDone && s.State != prunella.StepSkipped {
			r.t.Errorf("step %d is %s\n%s", s.Index, s.State, story(v))
		}
	}
	r.once(v.Runs[0], from)
	r.until("no request to fail any more", 10*time.Second, func(context.Context) error {
		if c := r.world.Counts(time.Now().Add(-time.Second)); c.Failed > 0 || c.Total == 0 {
			return fmt.Errorf("%d of %d failed within a second", c.Failed, c.Total)
		}
		return nil
	})
}

// once checks that each step of a run reached the world at most once, that each
// that says it changed something did, and that they came in order. Requests of
// earlier runs are before from.
func (r *rig) once(run prunella.Run, from int) {
	r.t.Helper()
	effects := r.gate.effects()[from:]
	times := map[string]int{}
	var order []int
	for _, e := range effects {
		times[e.Step]++
		at := slices.IndexFunc(run.Steps, func(s prunella.Step) bool { return s.Key == strings.TrimSuffix(e.Step, "-undo") })
		if at < 0 {
			r.t.Errorf("the world was changed by something that is no step of this run: %+v", e)
		}
		if !strings.HasSuffix(e.Step, "-undo") {
			order = append(order, at)
		}
	}
	if !slices.IsSorted(order) {
		r.t.Errorf("steps reached the world in the order %v", order)
	}
	for _, s := range run.Steps {
		if s.Effect == prunella.Reads || s.State == prunella.StepSkipped {
			if times[s.Key] > 0 {
				r.t.Errorf("step %d changes nothing, yet it reached the world", s.Index)
			}
			continue
		}
		// What the world already is, or was seen to be, needs no request.
		least := 1
		if s.Attempt == 0 || s.Reason.Name == "observed-done" || strings.HasPrefix(s.Output, "nothing to do") || s.Action == "keys.publish" {
			least = 0
		}
		if n := times[s.Key]; n < least || n > 1 {
			r.t.Errorf("step %d (%s, %s) reached the world %d times\nrequests:%s\n%s", s.Index, s.Name, s.State, n, r.gate.all(), r.tail(40))
		}
	}
}

// nothingLost stops the server and looks for every batch that was acknowledged
// right before a kill: each line is there, once.
func (r *rig) nothingLost() {
	r.t.Helper()
	r.until("the intake to be worked off", 10*time.Second, func(ctx context.Context) error {
		status, err := r.api.Status(ctx)
		if err == nil && status.Intake.BusDepth > 50 {
			err = fmt.Errorf("%d messages wait", status.Intake.BusDepth)
		}
		return err
	})
	if err := r.world.ExportTo("", ""); err != nil {
		r.t.Fatal(err)
	}
	r.until("the intake to be empty", 10*time.Second, func(ctx context.Context) error {
		status, err := r.api.Status(ctx)
		if err == nil && status.Intake.BusDepth > 2 { // the monitors go on
			err = fmt.Errorf("%d messages wait", status.Intake.BusDepth)
		}
		return err
	})
	r.stop()
	s, err := store.Open(r.t.Context(), r.data)
	if err != nil {
		r.t.Fatal(err)
	}
	defer s.Close()
	found, err := s.SearchLogs(r.t.Context(), store.LogQuery{Any: []string{"marked batch"}, Limit: 10_000})
	if err != nil {
		r.t.Fatal(err)
	}
	lines := map[string]int{}
	for _, l := range found.Signals {
		lines[l.Body]++
	}
	for m := range r.marks {
		for i := range 3 {
			if line := fmt.Sprintf("marked batch %03d. line %d", m, i); lines[line] != 1 {
				r.t.Errorf("%q was acknowledged before a kill and is there %d times", line, lines[line])
			}
		}
	}
	if r.marks == 0 {
		r.t.Error("no batch was acknowledged before a kill: nothing was proven")
	}
	r.t.Logf("%d kills, %d batches acknowledged right before one, all there", r.killed, r.marks)
}
