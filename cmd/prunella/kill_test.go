package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"prunella"
	"prunella/client"
	"prunella/lab"
)

// idleBoundKiB is what an idle server may hold in memory: 120 MB.
const idleBoundKiB = 120_000_000 / 1024

// TestProcess runs the real program as a process of its own: idle, killed with
// SIGKILL at every step of a heal and of an undo, and restarted politely; and
// three nodes of a rotation server, of which those that take a step die of it.
// PRUNELLA_SOAK=1 also kills it at each step alone.
func TestProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts worlds and servers")
	}
	binary := build(t)
	t.Run("idle", func(t *testing.T) { idle(t, binary) })
	t.Run("killed", func(t *testing.T) {
		t.Run("at every step", func(t *testing.T) { t.Parallel(); killedAtEveryStep(t, binary) })
		t.Run("at every restart of a service", func(t *testing.T) { t.Parallel(); killedAtEveryRestart(t, binary) })
		t.Run("while it takes back", func(t *testing.T) { t.Parallel(); killedWhileItTakesBack(t, binary) })
		t.Run("nodes of a rotation", func(t *testing.T) { t.Parallel(); rotationNodes(t, binary) })
	})
	if os.Getenv("PRUNELLA_SOAK") != "" {
		t.Run("killed at each step alone", func(t *testing.T) { killedAtEachStepAlone(t, binary) })
	}
}

// idle measures a server that watches nothing. It has settled when ten seconds
// brought no more than one percent.
func idle(t *testing.T, binary string) {
	s := newServer(t, binary, map[string]any{})
	s.start()
	var samples []int
	s.until("the memory to settle", 60*time.Second, func(context.Context) error {
		kib, err := residentKiB(s.pid())
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, kib)
		const span = 200 // samples, ten seconds
		if n := len(samples); n < span || samples[n-1] > samples[n-span]*101/100 {
			return fmt.Errorf("%d KiB and growing", kib)
		}
		return nil
	})
	settled := slices.Max(samples)
	t.Logf("an idle server holds %.1f MB resident (bound 120 MB)", float64(settled)*1024/1e6)
	if settled > idleBoundKiB {
		t.Errorf("an idle server holds %d KiB resident, more than %d", settled, idleBoundKiB)
	}
	s.stop()
}

// missed are the parameters of a rotation that some services miss. Their ports
// open again before the heal comes to them, so that one delivery is enough.
func missed(services string) map[string]string {
	return map[string]string{"missed": services, "reopen_after": "200ms"}
}

// dropThenLose kills the server at each step twice: while the request is on its
// way and never arrives, and, when the step is tried again, after the world did
// it and before the server heard.
func dropThenLose(_ request, arrival int) fate {
	switch arrival {
	case 1:
		return drop
	case 2:
		return lose
	}
	return pass
}

// The main heal: keys are activated, published and delivered, with a person's
// approval. Killed while it diagnoses, while it waits for the person, twice at
// each change, and while it verifies.
func killedAtEveryStep(t *testing.T, binary string) {
	policy := unattended()
	policy["autonomy"], policy["generic"] = "approve", "approve"
	r := newRig(t, binary, lab.Spec{}, policy, "")

	r.gate.mu.Lock()
	r.gate.decide = dropThenLose
	r.gate.mu.Unlock()
	var diagnosing atomic.Bool
	r.gate.mu.Lock()
	r.gate.reads = func(req *http.Request) fate { // only a diagnosis asks for the deliveries of the signer
		if strings.HasSuffix(req.URL.Path, "/deliveries") && diagnosing.CompareAndSwap(false, true) {
			return drop
		}
		return pass
	}
	r.gate.mu.Unlock()
	before := r.signer()
	rec := r.inject("rotate-partial-distribution", missed("4"))
	rotated := r.signer()

	var asked prunella.Approval
	v := r.follow(1, 150*time.Second, func(v client.IncidentView) {
		switch v.Incident.State {
		case prunella.AwaitingApproval:
			asked = v.Approvals[0]
			r.die()
			r.start()
			r.approve(v.Incident.ID, asked)
		case prunella.Verifying:
			r.die()
		}
	})
	r.healed(v, 0)
	if !diagnosing.Load() {
		t.Error("it was never killed while it diagnosed")
	}
	if len(v.Approvals) != 1 || v.Approvals[0].By != "@kim" || v.Runs[0].Hash != asked.Hash {
		t.Errorf("approvals: %+v", v.Approvals)
	}
	if got := r.signer(); got != rotated || got == before {
		t.Errorf("%s signs, want %s", got, rotated)
	}
	sent := r.deliveries(rotated)
	for _, s := range r.inv.Services {
		want := 0
		if slices.Contains(strings.Split(rec.Params["missed"], ","), s.Name) {
			want = 1
		}
		if sent[s.Name+" failed"] != want || sent[s.Name+" delivered"] != 1 {
			t.Errorf("the new key was sent to %s: %d times in vain, %d times with success", s.Name, sent[s.Name+" failed"], sent[s.Name+" delivered"])
		}
	}
	steps := map[string]bool{}
	for _, q := range r.gate.requests {
		steps[q.Step] = true
	}
	if least := 2*len(steps) + 3 - 1; r.killed < least { // a published key is seen to be published, so that step dies once
		t.Errorf("killed %d times at %d steps, want %d", r.killed, len(steps), least)
	}
	r.nothingLost()
}

// approve answers the question that was asked before the server died: it is
// still the same question.
func (r *rig) approve(id prunella.IncidentID, asked prunella.Approval) {
	r.t.Helper()
	v, err := r.api.Incident(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(v.Approvals) != 1 || v.Approvals[0] != asked || v.Incident.State != prunella.AwaitingApproval {
		r.t.Fatalf("asked was %+v; after the restart the incident is %s and the questions are %+v", asked, v.Incident.State, v.Approvals)
	}
	if _, err := r.api.Decide(r.t.Context(), asked.ID, client.Decision{Decision: "approved", By: "@kim", Hash: asked.Hash}); err != nil {
		r.t.Fatalf("approve: %v", err)
	}
}

// Services with stale caches are restarted through Kubernetes: killed twice at
// each change of a ConfigMap and at each restart.
func killedAtEveryRestart(t *testing.T, binary string) {
	r := newRig(t, binary, lab.Spec{Profile: "cached"}, unattended(), "")
	r.gate.mu.Lock()
	r.gate.decide = dropThenLose
	r.gate.mu.Unlock()
	r.inject("stale-cache-double-rotation", nil)
	v := r.follow(1, 150*time.Second, func(client.IncidentView) {})
	r.healed(v, 0)
	restarts := map[string]int{}
	for _, e := range r.gate.effects() {
		if name, ok := strings.CutPrefix(e.What, "PATCH /apis/apps/v1/namespaces/prod/deployments/"); ok {
			restarts[name]++
		}
	}
	if len(restarts) < 2 {
		t.Errorf("restarted were only %v", restarts)
	}
	for name, n := range restarts {
		if n != 1 {
			t.Errorf("%s was restarted %d times", name, n)
		}
	}
	if least := 3 * len(restarts); r.killed < least {
		t.Errorf("killed %d times for %d restarts", r.killed, len(restarts))
	}
	r.nothingLost()
}

// A heal whose proof fails is taken back; the server is killed while it does,
// before that and after. Between the states it is restarted politely, which
// changes nothing either.
func killedWhileItTakesBack(t *testing.T, binary string) {
	policy := unattended()
	policy["autonomy"], policy["generic"] = "approve", "approve"
	r := newRig(t, binary, lab.Spec{}, policy, "search")

	r.stop()
	r.start()
	now, err := r.baselines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, have := range r.learned {
		if now[name] < have {
			t.Errorf("of %s %d buckets were learned, after a restart %d", name, have, now[name])
		}
	}

	var returned atomic.Bool // the old key signs again; from then on search answers nobody
	r.gate.mu.Lock()
	r.gate.reads = func(req *http.Request) fate {
		if returned.Load() && req.URL.Path == "/api/ping" {
			return deny
		}
		return pass
	}
	r.gate.mu.Unlock()
	r.gate.mu.Lock()
	r.gate.decide = func(q request, arrival int) fate {
		if strings.HasSuffix(q.Step, "-undo") {
			return dropThenLose(q, arrival)
		}
		returned.Store(true)
		return pass
	}
	r.gate.mu.Unlock()
	r.inject("rotate-partial-distribution", missed("user,order"))
	rotated := r.signer()
	v := r.follow(1, 150*time.Second, func(v client.IncidentView) {
		switch v.Incident.State {
		case prunella.Diagnosing:
			r.stop()
		case prunella.AwaitingApproval:
			r.stop()
			r.start()
			r.approve(v.Incident.ID, v.Approvals[0])
		case prunella.Healing:
			r.stop()
		}
	})
	if v.Incident.State != prunella.Escalated || v.Incident.Verdict != prunella.NotHealed || len(v.Runs) != 1 {
		t.Fatalf("it ended %s %s\n%s\nrequests:%s", v.Incident.State, v.Incident.Verdict, story(v), r.gate.all())
	}
	run := v.Runs[0]
	if run.State != prunella.RunFailed || run.Steps[0].State != prunella.StepUndone {
		t.Errorf("want a failed run whose first step is undone:\n%s", story(v))
	}
	r.once(run, 0)
	if e := r.gate.effects(); len(e) != 2 || !strings.HasSuffix(e[1].Step, "-undo") {
		t.Errorf("want the key activated and that undone, each once:%s", r.gate.all())
	}
	if got := r.signer(); got != rotated {
		t.Errorf("after the undo %s signs, want %s as before the heal", got, rotated)
	}
	if r.killed != 2 {
		t.Errorf("killed %d times, want 2", r.killed)
	}
	if len(v.Notifications) == 0 || !slices.ContainsFunc(v.Notifications, func(n prunella.Notification) bool { return n.Kind == "escalated" }) {
		t.Error("nobody was called")
	}
	r.nothingLost()
}

// killedAtEachStepAlone heals the same fault once for each change and each way
// to die at it.
func killedAtEachStepAlone(t *testing.T, binary string) {
	r := newRig(t, binary, lab.Spec{}, unattended(), "")
	r.inject("rotate-partial-distribution", missed("4"))
	v := r.follow(1, time.Minute, func(client.IncidentView) {})
	r.healed(v, 0)
	n := len(r.gate.effects())
	if n < 5 {
		t.Fatalf("an undisturbed heal changes the world %d times only", n)
	}
	for k := range n {
		for _, how := range []fate{drop, lose} {
			name := map[fate]string{drop: "request lost", lose: "answer lost"}[how]
			t.Run(fmt.Sprintf("change %d of %d, %s", k+1, n, name), func(t *testing.T) {
				r := newRig(t, binary, lab.Spec{}, unattended(), "")
				asked := map[string]bool{}
				r.gate.mu.Lock()
				r.gate.decide = func(q request, arrival int) fate {
					asked[q.Step] = true
					if len(asked) == k+1 && arrival == 1 {
						return how
					}
					return pass
				}
				r.gate.mu.Unlock()
				r.inject("rotate-partial-distribution", missed("4"))
				r.healed(r.follow(1, time.Minute, func(client.IncidentView) {}), 0)
				if r.killed != 1 {
					t.Errorf("killed %d times, want once", r.killed)
				}
				r.nothingLost()
			})
		}
	}
}
