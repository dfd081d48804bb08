package rotation_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"prunella/rotation"
)

var t0 = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// fleet is a snapshot that a test changes. In it the key "old" signs since an
// hour ago and the key "new" was published then too.
type fleet struct {
	rotation.Snapshot
	now time.Time
}

func policy(t *testing.T) rotation.Policy {
	t.Helper()
	p, err := rotation.Policy{Period: 10 * time.Hour, MaxLifetime: time.Hour, Skew: time.Minute, Stale: time.Minute,
		Grace: time.Minute, Quiet: time.Minute, Watch: 15 * time.Minute, Hold: 10 * time.Minute}.Settled()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newFleet(t *testing.T, verifiers ...rotation.Verifier) *fleet {
	t.Helper()
	f := &fleet{now: t0}
	f.Policy, f.Verifiers = policy(t), verifiers
	f.step(t, rotation.Step{Action: rotation.Plan, Key: "old", Alg: "ES256"})
	f.step(t, rotation.Step{Action: rotation.Create, Key: "old", Public: key("old")})
	f.step(t, rotation.Step{Action: rotation.Publish, Key: "old"})
	f.step(t, rotation.Step{Action: rotation.Promote, Key: "old", Due: t0.Add(time.Hour)})
	f.step(t, rotation.Step{Action: rotation.Plan, Key: "new", Alg: "ES256"})
	f.step(t, rotation.Step{Action: rotation.Create, Key: "new", Public: key("new")})
	f.step(t, rotation.Step{Action: rotation.Publish, Key: "new"})
	f.now = t0.Add(time.Hour)
	return f
}

// key is some public key, told apart by its name.
func key(name string) rotation.JWK {
	return rotation.JWK{Type: "OKP", Curve: "Ed25519", ID: rotation.KeyID(name), Algorithm: "EdDSA", Use: "sig", X: name}
}

func (f *fleet) step(t *testing.T, s rotation.Step) {
	t.Helper()
	next, _, err := f.Ring.Apply(s, f.now)
	if err != nil {
		t.Fatalf("%s %s: %v", s.Action, s.Key, err)
	}
	f.Ring = next
}

// promoted makes "new" the signer, whatever the gates say.
func (f *fleet) promoted(t *testing.T) *fleet {
	t.Helper()
	f.step(t, rotation.Step{Action: rotation.Judge, Key: "new", State: rotation.Acknowledged})
	f.step(t, rotation.Step{Action: rotation.Judge, Key: "new", State: rotation.Proven})
	f.step(t, rotation.Step{Action: rotation.Promote, Key: "new", Due: f.now.Add(f.Policy.Period)})
	return f
}

// tells lets an instance acknowledge keys; "!" after a name says that it has
// verified a token of it just now.
func (f *fleet) tells(verifier, instance string, keys ...string) *rotation.Instance {
	i := rotation.Instance{Who: rotation.Who{Verifier: verifier, Instance: instance, Cache: "c"}, Sent: f.now, Received: f.now, Lease: time.Minute}
	for _, k := range keys {
		name, seen := strings.CutSuffix(k, "!")
		h := rotation.Held{ID: rotation.KeyID(name), Thumbprint: key(name).Thumbprint()}
		if seen {
			h.Seen = f.now
		}
		i.Held = append(i.Held, h)
	}
	f.Instances = slices.DeleteFunc(f.Instances, func(o rotation.Instance) bool { return o.Who == i.Who })
	f.Instances = append(f.Instances, i)
	return &f.Instances[len(f.Instances)-1]
}

func (f *fleet) probed(verifier, instance, keyName string, o rotation.Outcome, streak int) {
	f.Probes = append(f.Probes, rotation.Probe{Who: rotation.Who{Verifier: verifier, Instance: instance},
		Thumbprint: key(keyName).Thumbprint(), At: f.now, Outcome: o, Streak: streak, Detail: "as the test says"})
}

// closed checks that a gate is closed with exactly these blockers,
// "code" or "who code".
func closed(t *testing.T, r rotation.Reason, want ...string) {
	t.Helper()
	got := []string{}
	for _, b := range r.Blockers {
		if b.Verifier == "" {
			got = append(got, string(b.Code))
		} else {
			got = append(got, b.Who.String()+" "+string(b.Code))
		}
	}
	if len(got) == 0 {
		got = append(got, string(r.Code))
	}
	slices.Sort(got)
	slices.Sort(want)
	if r.Open || !slices.Equal(got, want) {
		t.Errorf("%s\n got  %q\n want %q", r, got, want)
	}
}

func opens(t *testing.T, r rotation.Reason, code rotation.Code) {
	t.Helper()
	if !r.Open || r.Code != code {
		t.Errorf("want open, %s: %s", code, r)
	}
}

var (
	orders   = rotation.Verifier{Name: "orders", Class: rotation.Answering}
	payments = rotation.Verifier{Name: "payments", Class: rotation.Answering, Expect: 2}
	legacy   = rotation.Verifier{Name: "legacy", Class: rotation.Timed, Within: 2 * time.Hour}
	vault    = rotation.Verifier{Name: "vault", Class: rotation.Manual}
)

func TestPromotionNamesEverybodyWhoBlocks(t *testing.T) {
	f := newFleet(t, orders, payments, legacy, vault)
	f.tells("orders", "o1", "old!", "new!")
	f.tells("orders", "o2", "old!", "new")
	f.tells("orders", "o3", "old!")
	f.tells("payments", "p1", "old!", "new!")
	r := rotation.CanPromote(f.Snapshot, "new", f.now)
	closed(t, r, "orders/o2#c not-proven", "orders/o3#c not-held", "payments too-few", "legacy not-yet", "vault not-confirmed")
	if got := strings.Join(r.Names(), " "); got != "orders payments legacy vault" {
		t.Errorf("names: %s", got)
	}
	f.tells("orders", "o2", "old!", "new!")
	f.tells("orders", "o3", "old!", "new!")
	f.tells("payments", "p2", "old!", "new!")
	f.probed("vault", "", "new", rotation.Accepted, 1)
	r = rotation.CanPromote(f.Snapshot, "new", f.now)
	closed(t, r, "legacy not-yet")
	if want := t0.Add(2*time.Hour + 2*time.Minute); !r.Again.Equal(want) {
		t.Errorf("again at %s, want %s", r.Again, want)
	}
	f.now = r.Again
	for _, who := range []string{"orders o1", "orders o2", "orders o3", "payments p1", "payments p2"} {
		v, i, _ := strings.Cut(who, " ")
		f.tells(v, i, "old!", "new!")
	}
	opens(t, rotation.CanPromote(f.Snapshot, "new", f.now), rotation.Clear)
}

func TestPromotionTrustsNoOldCopyAndNoKid(t *testing.T) {
	f := newFleet(t, orders)
	f.now = t0.Add(90 * time.Second) // within Stale and Skew
	f.tells("orders", "o1", "old!", "new!")
	closed(t, rotation.CanPromote(f.Snapshot, "new", f.now), "copies-old", "orders/o1#c told-too-early")
	f.now = t0.Add(2 * time.Minute)
	closed(t, rotation.CanPromote(f.Snapshot, "new", f.now), "orders/o1#c told-too-early")
	i := f.tells("orders", "o1", "old!", "new!")
	opens(t, rotation.CanPromote(f.Snapshot, "new", f.now), rotation.Clear)
	i.Held[1].Thumbprint = "another"
	closed(t, rotation.CanPromote(f.Snapshot, "new", f.now), "orders/o1#c other-material")
}

func TestSilenceBlocksUntilItIsDeath(t *testing.T) {
	f := newFleet(t, orders)
	f.tells("orders", "o1", "old!", "new!")
	f.tells("orders", "o2", "old!")
	at := func(d time.Duration) rotation.Reason {
		f.now = t0.Add(time.Hour + d)
		f.tells("orders", "o1", "old!", "new!")
		return rotation.CanPromote(f.Snapshot, "new", f.now)
	}
	closed(t, at(60*time.Second), "orders/o2#c not-held")
	closed(t, at(61*time.Second), "orders/o2#c lease-expired")
	opens(t, at(121*time.Second), rotation.Clear)
	f.Instances[0].Stays = true // an agent's: the service outlives it
	closed(t, at(100*time.Hour), "orders/o2#c lease-expired")
	f.Instances = nil
	closed(t, rotation.CanPromote(f.Snapshot, "new", f.now), "orders too-few")
}

func TestTwoCachesInOneProcessAreProvenEach(t *testing.T) {
	f := newFleet(t, orders)
	f.tells("orders", "o1", "old!", "new")
	closed(t, rotation.CanPromote(f.Snapshot, "new", f.now), "orders/o1#c not-proven")
	f.probed("orders", "o1", "new", rotation.Accepted, 1)
	opens(t, rotation.CanPromote(f.Snapshot, "new", f.now), rotation.Clear)
	second := f.tells("orders", "o1", "old!", "new")
	second.Cache = "d"
	f.tells("orders", "o1", "old!", "new!")
	closed(t, rotation.CanPromote(f.Snapshot, "new", f.now), "orders/o1#d not-proven") // which of them did the probe meet?
}

func TestAFirstKeyHasNobodyToBreak(t *testing.T) {
	f := newFleet(t, orders)
	f.Ring.Keys = f.Ring.Keys[1:]
	opens(t, rotation.CanPromote(f.Snapshot, "new", f.now), rotation.NoSigner)
}

func TestPublishGate(t *testing.T) {
	f := newFleet(t)
	f.step(t, rotation.Step{Action: rotation.Plan, Key: "third", Alg: "ES256"})
	closed(t, rotation.CanPublish(f.Snapshot, "third"), "no-material")
	f.step(t, rotation.Step{Action: rotation.Create, Key: "third", Public: key("old")})
	closed(t, rotation.CanPublish(f.Snapshot, "third"), "key-reused")
	f.Ring.Keys[2].Thumbprint = "third"
	closed(t, rotation.CanPublish(f.Snapshot, "third"), "one-coming")
	f.promoted(t)
	opens(t, rotation.CanPublish(f.Snapshot, "third"), rotation.Clear)
	closed(t, rotation.CanPublish(f.Snapshot, "fourth"), "no-such-key")
	closed(t, rotation.CanPublish(f.Snapshot, "old"), "wrong-state")
}

func TestRemovalWaitsForTheLastTokenAndTheLastWitness(t *testing.T) {
	f := newFleet(t, orders, legacy)
	f.tells("orders", "o1", "old!", "new!")
	f.promoted(t)
	promoted := f.now
	closed(t, rotation.CanRemove(f.Snapshot, "new", f.now), "wrong-state")
	closed(t, rotation.CanRemove(f.Snapshot, "old", f.now), "tokens-live", "legacy cannot-tell", "orders/o1#c sees-tokens", "watching")

	expiry := promoted.Add(time.Hour + 2*time.Minute)
	f.now = expiry
	i := f.tells("orders", "o1", "old", "new!")
	i.Held[0].Seen = expiry.Add(-5 * time.Minute)
	closed(t, rotation.CanRemove(f.Snapshot, "old", f.now), "orders/o1#c told-too-early")
	f.now = expiry.Add(time.Minute)
	f.tells("orders", "o1", "old", "new!").Held[0].Seen = expiry.Add(-5 * time.Minute)
	opens(t, rotation.CanRemove(f.Snapshot, "old", f.now), rotation.Clear)

	// A token that should be dead was seen: lifetimes are not what was declared.
	f.tells("orders", "o1", "old!", "new!")
	r := rotation.CanRemove(f.Snapshot, "old", f.now)
	closed(t, r, "orders/o1#c seen-late")
	if want := f.now.Add(61 * time.Minute); !r.Again.Equal(want) {
		t.Errorf("again at %s, want %s", r.Again, want)
	}
	// Who lacks the signer lives by the old key, even if it is unseen.
	f.tells("orders", "o1", "old")
	closed(t, rotation.CanRemove(f.Snapshot, "old", f.now), "orders/o1#c lacks-signer")
	// Who is silent may still serve.
	f.tells("orders", "o1", "old", "new!").Received = f.now.Add(-61 * time.Second)
	closed(t, rotation.CanRemove(f.Snapshot, "old", f.now), "orders/o1#c lease-expired")

	f.step(t, rotation.Step{Action: rotation.Plan, Key: "third"})
	opens(t, rotation.CanRemove(f.Snapshot, "third", f.now), rotation.NeverSigned)
}

func TestReturnNeedsMoreThanARefusedToken(t *testing.T) {
	f := newFleet(t, orders, legacy)
	closed(t, rotation.MustReturn(f.Snapshot, f.now), "no-previous")
	f.promoted(t)
	f.now = f.now.Add(time.Second)
	i := f.tells("orders", "o1", "old!", "new!")
	closed(t, rotation.MustReturn(f.Snapshot, f.now), "no-evidence")

	i.Refusals = []rotation.Refusal{{ID: "new", Count: 12, Base: 10}}
	closed(t, rotation.MustReturn(f.Snapshot, f.now), "no-evidence") // two since the promotion
	i.Refusals[0].Count = 13
	opens(t, rotation.MustReturn(f.Snapshot, f.now), rotation.RefusesNew)

	f.tells("orders", "o1", "old!")
	r := rotation.MustReturn(f.Snapshot, f.now)
	opens(t, r, rotation.RefusesNew)
	if r.Key != "old" || strings.Join(r.Names(), " ") != "orders" {
		t.Errorf("%s", r)
	}
	opens(t, rotation.CanReturn(f.Snapshot, f.now), rotation.Clear)
	f.tells("orders", "o2", "new!") // whom a return would break
	closed(t, rotation.MustReturn(f.Snapshot, f.now), "orders/o1#c refuses-new")
	if r := rotation.MustReturn(f.Snapshot, f.now); r.Code != rotation.Worse {
		t.Errorf("%s", r)
	}
	closed(t, rotation.CanReturn(f.Snapshot, f.now), "orders/o2#c lacks-target")

	f.Ring.Keys[1].Forced = true
	closed(t, rotation.MustReturn(f.Snapshot, f.now), "insisted")
	f.Ring.Keys[1].Forced = false

	f.Instances = nil
	f.probed("legacy", "", "new", rotation.Rejected, 1)
	closed(t, rotation.MustReturn(f.Snapshot, f.now), "no-evidence")
	f.Probes[0].Streak = 2
	opens(t, rotation.MustReturn(f.Snapshot, f.now), rotation.RefusesNew)
	f.now = f.now.Add(15 * time.Minute)
	closed(t, rotation.MustReturn(f.Snapshot, f.now), "watch-over")
}

func TestRevocationSaysWhoBreaks(t *testing.T) {
	f := newFleet(t, orders, legacy)
	f.tells("orders", "o1", "old!", "new!")
	opens(t, rotation.CanRevoke(f.Snapshot, "new", "", f.now), rotation.Clear) // it never signed
	r := rotation.CanRevoke(f.Snapshot, "old", "", f.now)
	closed(t, r, "legacy cannot-tell", "orders/o1#c sees-tokens", "legacy not-yet")
	if r.Operands["heir"] != "new" {
		t.Errorf("the heir is %q", r.Operands["heir"])
	}
	f.promoted(t)
	f.tells("orders", "o2", "old!")
	r = rotation.CanRevoke(f.Snapshot, "new", "", f.now)
	if r.Operands["heir"] != "old" { // everybody holds it
		t.Errorf("the heir is %q", r.Operands["heir"])
	}
	f.step(t, rotation.Step{Action: rotation.Revoke, Key: "new", Heir: "old"})
	if k, ok := f.Ring.Signer(); !ok || k.ID != "old" {
		t.Errorf("the signer is %+v", k)
	}
	closed(t, rotation.CanRevoke(f.Snapshot, "new", "", f.now), "wrong-state")
	if r := rotation.CanRevoke(f.Snapshot, "old", "", f.now); r.Open || r.Code != rotation.NoPrevious {
		t.Errorf("%s", r)
	}
}

// That nobody has told of a token of the signer does not mean that there is none.
func TestRevokingTheSignerIsNeverHarmless(t *testing.T) {
	f := newFleet(t, orders)
	f.tells("orders", "o1", "old", "new")
	r := rotation.CanRevoke(f.Snapshot, "old", "new", f.now)
	if r.Open || r.Blockers[0].Code != rotation.TokensLive {
		t.Errorf("unseen: %s", r)
	}
	for n := range f.Instances {
		f.Instances[n].Stays = true // an agent: it knows of no token
	}
	if r = rotation.CanRevoke(f.Snapshot, "old", "new", f.now); r.Open || r.Blockers[0].Code != rotation.CannotTell || r.Names()[0] != "orders" {
		t.Errorf("beside a file: %s", r)
	}
}

// TestTransitions holds the table of docs/rotation.md against Transition.
func TestTransitions(t *testing.T) {
	want := map[string]string{
		"planned": "next removed revoked", "next": "acknowledged previous removed revoked",
		"acknowledged": "next proven previous removed revoked", "proven": "next acknowledged active previous removed revoked",
		"active": "next previous revoked", "previous": "active removed revoked", "removed": "", "revoked": "",
	}
	for from := range want {
		var may, forced []string
		for _, to := range slices.Sorted(maps.Keys(want)) {
			if rotation.Transition(rotation.State(from), rotation.State(to), false) == nil {
				may = append(may, to)
			} else if rotation.Transition(rotation.State(from), rotation.State(to), true) == nil {
				forced = append(forced, to)
			}
		}
		wanted := strings.Fields(want[from])
		slices.Sort(wanted)
		if !slices.Equal(may, wanted) {
			t.Errorf("%s may become %q, want %q", from, may, wanted)
		}
		if got := fmt.Sprint(forced); got != "[]" && (got != "[active]" || from != "next" && from != "acknowledged") {
			t.Errorf("%s can be forced to %s", from, got)
		}
	}
}

func TestDecideGoesThroughARotation(t *testing.T) {
	f := newFleet(t, orders)
	f.now = t0.Add(time.Hour)
	f.tells("orders", "o1", "old!", "new!")
	var did []string
	run := func() {
		for range 20 {
			s, ok := rotation.Decide(f.Snapshot, f.now)
			if !ok {
				return
			}
			switch s.Action {
			case rotation.Plan:
				s.Key = rotation.KeyID(fmt.Sprintf("k%d", len(f.Ring.Keys)))
			case rotation.Create:
				s.Public = key(string(s.Key))
			}
			f.step(t, s)
			did = append(did, string(s.Action)+" "+string(s.Key))
		}
		t.Fatal("it does not come to rest")
	}
	check := func(want string) {
		t.Helper()
		run()
		if got := strings.Join(did, ", "); got != want {
			t.Errorf("did %q, want %q", got, want)
		}
		did = nil
	}
	check("judge new, judge new, promote new")
	if next := rotation.NextChange(f.Snapshot); !next.Equal(f.Ring.Due.Add(-f.Policy.Ahead)) {
		t.Errorf("the next change is at %s", next)
	}
	f.now = f.now.Add(time.Minute)
	f.tells("orders", "o1", "old!") // it lost the key
	check("return old")
	returned := f.now
	f.now = f.now.Add(9 * time.Minute)
	f.tells("orders", "o1", "old!", "new").Held[1].Seen = returned.Add(59 * time.Second)
	check("judge new") // held; the canary must be newer than the return by Skew
	f.Ring.Due = f.now
	f.tells("orders", "o1", "old!", "new!")
	check("judge new") // and there is a hold
	f.now = f.now.Add(time.Minute)
	f.tells("orders", "o1", "old!", "new!")
	check("promote new")
	f.now = f.now.Add(time.Minute)
	f.tells("orders", "o1", "old!")
	check("return old")
	if f.Ring.Halted == "" || !rotation.NextChange(f.Snapshot).IsZero() {
		t.Error("two returns did not halt the schedule")
	}
	f.now = f.now.Add(2 * time.Hour)
	f.tells("orders", "o1", "old!", "new!")
	f.Ring.Due = f.now
	check("judge new, judge new")
	f.step(t, rotation.Step{Action: rotation.Resume})
	check("promote new")
	f.now = f.now.Add(2 * time.Hour)
	f.tells("orders", "o1", "old", "new!")
	check("remove old, destroy old")
	if _, _, err := f.Ring.Apply(rotation.Step{Action: rotation.Revoke, Key: "new", Heir: "new"}, f.now); err == nil {
		t.Error("a signer was revoked in favour of itself")
	}
}

// A decision about ten thousand instances.
func BenchmarkDecide10000(b *testing.B) {
	f := &fleet{now: t0.Add(time.Hour)}
	for _, s := range []rotation.Step{{Action: rotation.Plan, Key: "old"}, {Action: rotation.Create, Key: "old", Public: key("old")}, {Action: rotation.Publish, Key: "old"},
		{Action: rotation.Promote, Key: "old", Due: t0}, {Action: rotation.Plan, Key: "new"}, {Action: rotation.Create, Key: "new", Public: key("new")}, {Action: rotation.Publish, Key: "new"}} {
		f.Ring, _, _ = f.Ring.Apply(s, t0)
	}
	f.Policy, _ = rotation.Policy{}.Settled()
	f.Verifiers = []rotation.Verifier{orders}
	for n := range 10000 {
		i := rotation.Instance{Who: rotation.Who{Verifier: "orders", Instance: fmt.Sprintf("o%05d", n), Cache: "c"}, Sent: f.now, Received: f.now, Lease: time.Minute}
		for _, k := range []string{"old", "new"} {
			i.Held = append(i.Held, rotation.Held{ID: rotation.KeyID(k), Thumbprint: key(k).Thumbprint(), Seen: f.now})
		}
		f.Instances = append(f.Instances, i)
	}
	for b.Loop() {
		if s, ok := rotation.Decide(f.Snapshot, f.now); !ok || s.State != rotation.Acknowledged {
			b.Fatal(s)
		}
	}
}
