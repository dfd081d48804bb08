package monitor_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prunella"
	"prunella/action"
	"prunella/monitor"
)

var start = time.Date(2026, 4, 19, 11, 40, 0, 0, time.UTC)

// run looks once at a time after start and accepts, as the Runner does.
func run(t *testing.T, m monitor.Monitor, after time.Duration) []prunella.Signal {
	t.Helper()
	s, err := m.RunOnce(t.Context(), start.Add(after))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Accepted(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJWKSChanges(t *testing.T) {
	i := newIssuer(t, "k1", "k2")
	d, v := newDisk(), &views{}
	w := world(t, i, nil)
	m := monitor.NewJWKS("auth", w, v, d)
	attrs := []string{"outcome", "kid", "before", "after", "not_before"}
	step := func(m monitor.Monitor, after time.Duration, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, lines(run(t, m, after), attrs...)); diff != "" {
			t.Errorf("after %s: %s", after, diff)
		}
	}
	step(m, 0, "jwks auth outcome=ok kid= before= after= not_before=") // the first look is not a change
	step(m, 5*time.Second)
	i.change(func() { i.keys["k3"] = newKey(); delete(i.keys, "k1") })
	step(m, 10*time.Second,
		"keyset.key-added auth outcome= kid=k3 before=k1,k2 after=k2,k3 not_before=2026-04-19T11:40:05Z",
		"keyset.key-removed auth outcome= kid=k1 before=k1,k2 after=k2,k3 not_before=2026-04-19T11:40:05Z")
	step(m, 15*time.Second)

	// What cannot be read is not an empty set, and says so until it is right again.
	i.change(func() { i.broken = "down" })
	step(m, 20*time.Second, "jwks auth outcome=unreachable kid= before= after= not_before=")
	i.change(func() { i.broken = "nonsense" })
	step(m, 25*time.Second, "jwks auth outcome=invalid kid= before= after= not_before=")
	if v.keys.Reachable || len(v.keys.Keys) != 3 || v.keys.Error == "" {
		t.Errorf("the board shows %+v", v.keys)
	}
	i.change(func() { i.broken = "" })
	step(m, 30*time.Second, "jwks auth outcome=ok kid= before= after= not_before=")

	// The same kid with new material, found by the next process.
	i.change(func() { i.keys["k2"] = newKey() })
	again := monitor.NewJWKS("auth", w, v, d)
	got := run(t, again, 40*time.Second)
	if len(got) != 2 || got[1].Name != prunella.ChangeKeyMaterial || got[1].Attr("kid") != "k2" || got[1].Attr("before") == got[1].Attr("after") || got[1].Attr("issuer") != "auth" {
		t.Errorf("after the restart: %v", lines(got, attrs...))
	}
	for _, k := range v.keys.Keys {
		if k.Published != (k.Kid != "k1") || k.FirstSeen.IsZero() || k.FirstSeen.After(k.LastSeen) {
			t.Errorf("the board shows %+v", k)
		}
		if k.LastSigned.IsZero() != (k.Kid != "k1") {
			t.Errorf("only k1 has signed, and the board shows %+v", k)
		}
	}
}

// A name of the inventory is given to another issuer: the board shows its keys,
// and none of the former one's as if they were its own.
func TestANameGivenToAnotherIssuer(t *testing.T) {
	former, d, v := newIssuer(t, "k1", "k2"), newDisk(), &views{}
	run(t, monitor.NewJWKS("auth", world(t, former, nil), v, d), 0)
	now := newIssuer(t, "n1")
	got := run(t, monitor.NewJWKS("auth", world(t, now, nil), v, d), time.Minute)
	if len(v.keys.Keys) != 1 || v.keys.Keys[0].Kid != "n1" {
		t.Errorf("the board shows %+v", v.keys.Keys)
	}
	if len(got) < 3 { // that every key is another one is told all the same
		t.Errorf("told %v", lines(got, "kid"))
	}
}

// A key that left the set is not shown in the state it had in it.
func TestAKeyThatLeftIsRemoved(t *testing.T) {
	v, d := &views{}, newDisk()
	k1, k2 := prunella.PublicKey{Kid: "k1", State: "active", Published: true}, prunella.PublicKey{Kid: "k2", State: "next", Published: true}
	run(t, monitor.NewJWKS("auth", &told{keys: []prunella.PublicKey{k1, k2}, signer: "k1"}, v, d), 0)
	k2.State = "active"
	run(t, monitor.NewJWKS("auth", &told{keys: []prunella.PublicKey{k2}, signer: "k2"}, v, d), time.Minute)
	for _, k := range v.keys.Keys {
		if want := map[string]string{"k1": "removed", "k2": "active"}[k.Kid]; k.State != want {
			t.Errorf("the board shows %s as %s", k.Kid, k.State)
		}
	}
}

func TestAnUnpublishedChangeIsFoundAgainUnderTheSameID(t *testing.T) {
	i := newIssuer(t, "k1")
	d, w := newDisk(), world(t, i, nil)
	m := monitor.NewToken("auth", w, d)
	run(t, m, 0)
	i.change(func() { i.keys["k2"] = newKey(); i.signer = "k2" })
	first, err := m.RunOnce(t.Context(), start.Add(time.Second))
	if err != nil || len(first) != 1 {
		t.Fatalf("%v, %v", first, err)
	}
	if diff := cmp.Diff("keyset.signer-changed auth kid=k2 before=k1 issuer=auth", line(first[0], "kid", "before", "issuer")); diff != "" {
		t.Error(diff)
	}
	// Not accepted: publishing failed, or the process died.
	again := monitor.NewToken("auth", w, d)
	second := run(t, again, 2*time.Second)
	var change prunella.Signal
	for _, s := range second {
		if s.Kind == prunella.KindChange {
			change = s
		}
	}
	if change.ID != first[0].ID {
		t.Errorf("the id was %s and is %s", first[0].ID, change.ID)
	}
	if s := run(t, again, 3*time.Second); len(s) != 0 {
		t.Errorf("accepted, and said again: %v", s)
	}
	// Back and forth is two more changes, each with its own id.
	i.change(func() { i.signer = "k1" })
	back := run(t, again, 4*time.Second)
	i.change(func() { i.signer = "k2" })
	forth := run(t, again, 5*time.Second)
	if len(back) != 1 || len(forth) != 1 || forth[0].ID == change.ID {
		t.Errorf("back %v, forth %v", back, forth)
	}
	i.change(func() { i.noTokens = true })
	if s := run(t, again, 6*time.Second); len(s) != 1 || line(s[0], "outcome") != "token auth outcome=unreachable" || s[0].Kind != prunella.KindProbe {
		t.Errorf("no tokens: %v", s)
	}
}

func TestStateThatCannotBeSavedIsAnError(t *testing.T) {
	d := newDisk()
	m := monitor.NewToken("auth", world(t, newIssuer(t, "k1"), nil), d)
	if _, err := m.RunOnce(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	d.fails = true
	if err := m.Accepted(t.Context()); prunella.KindOf(err) != prunella.Unavailable {
		t.Errorf("a full disk: %v", err)
	}
}

func TestCanary(t *testing.T) {
	i := newIssuer(t, "k1")
	user, order, gone := newVerifier(t), newVerifier(t), newVerifier(t)
	gone.Close()
	v := &views{}
	m := monitor.NewCanary("auth", action.RefusedClaim, world(t, i, map[string]*verifier{"user": user, "order": order, "gone": gone}), v, newDisk())
	attrs := []string{"outcome", "kid", "http.response.status_code", "claim", "issuer"}
	run(t, m, 0)
	trusted := time.Time{}
	for _, c := range v.cells {
		if c.Service == "user" {
			trusted = c.LastTrusted
		}
	}
	user.answer(401, "unable to find a signing key that matches k1")
	order.answer(401, "token is expired")
	got := run(t, m, 5*time.Second)
	want := []string{
		"canary gone outcome=unreachable kid=k1 http.response.status_code= claim= issuer=auth",
		"canary order outcome=refused kid=k1 http.response.status_code=401 claim=exp issuer=auth",
		"canary user outcome=refused kid=k1 http.response.status_code=401 claim= issuer=auth",
	}
	if d := cmp.Diff(want, lines(got, attrs...)); d != "" {
		t.Error(d)
	}
	for _, s := range got {
		if s.Service == "user" && (s.Body != "unable to find a signing key that matches k1" || s.Attr(prunella.AttrSkewMillis) == "" || s.Severity != prunella.High) {
			t.Errorf("%+v", s)
		}
	}
	for _, c := range v.cells {
		if c.Service == "user" && (c.Trust != prunella.Rejects || trusted.IsZero() || !c.LastTrusted.Equal(trusted)) {
			t.Errorf("cell %+v, last trusted before: %s", c, trusted)
		}
	}
	user.answer(500, "")
	if s := lines(run(t, m, 10*time.Second), "outcome"); s[2] != "canary user outcome=unknown" {
		t.Errorf("a failing service: %v", s)
	}
	i.change(func() { i.noTokens = true })
	if s, err := m.RunOnce(t.Context(), start); len(s) != 0 || prunella.KindOf(err) != prunella.Unavailable {
		t.Errorf("without a token: %v, %v", s, err)
	}
}

func TestReleases(t *testing.T) {
	i := newIssuer(t, "k1")
	release := func(tag string, at time.Time) map[string]any {
		return map[string]any{"tag_name": tag, "published_at": at.Format(time.RFC3339), "author": map[string]string{"login": "maya"}}
	}
	i.releases = []map[string]any{release("v1", start.Add(-time.Hour))}
	d, w := newDisk(), world(t, i, nil)
	m := monitor.NewReleases(w, d)
	if s := run(t, m, 0); len(s) != 0 {
		t.Errorf("the first look: %v", s)
	}
	i.change(func() { i.releases = append(i.releases, release("v2", start.Add(3*time.Second))) })
	got := run(t, monitor.NewReleases(w, d), 10*time.Second)
	if len(got) != 1 || line(got[0], "version", "before", "author") != "deploy user version=v2 before=v1 author=maya" || !got[0].Time.Equal(start.Add(3*time.Second)) || got[0].Kind != prunella.KindChange {
		t.Errorf("%+v", got)
	}
	if s := run(t, monitor.NewReleases(w, d), 20*time.Second); len(s) != 0 {
		t.Errorf("said again: %v", s)
	}
	i.Close()
	if _, err := m.RunOnce(t.Context(), start.Add(time.Minute)); err == nil {
		t.Error("a list that does not answer is not an error")
	}
}

func TestBelievesTheKeyAPIAboutWhen(t *testing.T) {
	stated := start.Add(7 * time.Second)
	w := told{keys: []prunella.PublicKey{{Kid: "k2", State: "active", Since: stated, Published: true}}, signer: "k1"}
	m := monitor.NewToken("auth", &w, newDisk())
	run(t, m, 5*time.Second)
	w.signer = "k2"
	if s := run(t, m, 10*time.Second); len(s) != 1 || !s[0].Time.Equal(stated) || !s[0].Received.Equal(start.Add(10*time.Second)) {
		t.Errorf("%+v", s)
	}
	w.signer = "k1"
	run(t, m, 15*time.Second)
	w.signer = "k2" // the stated time is of the change before
	if s := run(t, m, 20*time.Second); len(s) != 1 || !s[0].Time.Equal(start.Add(20*time.Second)) {
		t.Errorf("%+v", s)
	}
}

// told is a remote world as an issuer tells it.
type told struct {
	keys   []prunella.PublicKey
	signer string
}

func (w *told) KeySet(context.Context, string) (prunella.KeySet, error) {
	return prunella.KeySet{Reachable: true, Keys: w.keys, Signer: w.signer}, nil
}

func (w *told) Token(context.Context, string) (string, time.Duration, error) {
	return w.signer, time.Hour, nil
}

func (w *told) Trust(context.Context, string) (string, []prunella.TrustCell, error) {
	return w.signer, nil, nil
}

func (w *told) Releases(context.Context) ([]prunella.Change, error) { return nil, nil }
