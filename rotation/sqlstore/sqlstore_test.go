package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"prunella/rotation"
	"prunella/rotation/signer"
	"prunella/rotation/sqlstore"
	"prunella/rotation/sqlstore/postgrestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dsn string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSQLite(t *testing.T) {
	conformance(t, func(t *testing.T) string { return filepath.Join(t.TempDir(), "keys", "keys.db") })
}

// Several processes on one machine may share a file, from its beginning on.
func TestSQLiteIsMadeOnce(t *testing.T) {
	for range 5 {
		file := filepath.Join(t.TempDir(), "keys.db")
		var done sync.WaitGroup
		for range 4 {
			done.Go(func() {
				s, err := sqlstore.Open(context.Background(), file)
				if err == nil {
					err = s.Close()
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
	}
}

func TestPostgreSQL(t *testing.T) {
	conformance(t, postgrestest.Start(t))
}

// conformance is what a store must do; each part gets an empty one.
func conformance(t *testing.T, dsn func(*testing.T) string) {
	part := func(name string, do func(t *testing.T, s *sqlstore.Store, dsn string)) {
		t.Run(name, func(t *testing.T) {
			d := dsn(t)
			do(t, open(t, d), d)
		})
	}
	part("one of many nodes commits", oneCommits)
	part("a change is whole or not at all", wholeOrNot)
	part("what was told", told)
	part("messages at once", toldAtOnce)
	part("forgetting", forgetting)
	part("probes", probes)
	part("deliveries", deliveries)
	part("claims", claims)
	part("vault", vault)
	part("the trail is in order", trail)
	part("everything is there after reopening", func(t *testing.T, s *sqlstore.Store, dsn string) {
		must(t, s.Commit(t.Context(), plan(rotation.Ring{}, "a")))
		must(t, s.Close())
		ring, err := open(t, dsn).Ring(t.Context())
		if err != nil || ring.Version != 1 || len(ring.Keys) != 1 || ring.Keys[0].ID != "a" {
			t.Errorf("%+v, %v", ring, err)
		}
	})
}

func plan(ring rotation.Ring, id rotation.KeyID) rotation.Change {
	next, entry, err := ring.Apply(rotation.Step{Action: rotation.Plan, Key: id, Alg: "ES256", By: "test"}, t0)
	if err != nil {
		panic(err)
	}
	return rotation.Change{Ring: next, Entry: entry}
}

func oneCommits(t *testing.T, s *sqlstore.Store, dsn string) {
	if ring, err := s.Ring(t.Context()); err != nil || ring.Version != 0 || len(ring.Keys) != 0 {
		t.Fatalf("an empty store has %+v, %v", ring, err)
	}
	nodes := []*sqlstore.Store{s, open(t, dsn), open(t, dsn)}
	for round := range 5 {
		ring, err := s.Ring(t.Context())
		must(t, err)
		var done sync.WaitGroup
		won := make(chan int, 12)
		for n := range 12 {
			done.Go(func() {
				err := nodes[n%3].Commit(context.Background(), plan(ring, rotation.KeyID(fmt.Sprintf("k%d-%d", round, n))))
				switch {
				case err == nil:
					won <- n
				case !errors.Is(err, rotation.Conflict):
					t.Errorf("who loses gets %v", err)
				}
			})
		}
		done.Wait()
		if len(won) != 1 {
			t.Fatalf("%d of 12 committed version %d", len(won), ring.Version+1)
		}
	}
	history, err := s.History(t.Context(), 100)
	if err != nil || len(history) != 5 || history[0].Seq != 5 || history[4].Seq != 1 {
		t.Errorf("history %+v, %v", history, err)
	}
}

func wholeOrNot(t *testing.T, s *sqlstore.Store, _ string) {
	c := plan(rotation.Ring{}, "a")
	d := rotation.Delivery{ID: "same", URL: "https://a.test", State: rotation.Pending, Created: t0, Next: t0}
	c.Deliveries = []rotation.Delivery{d, d} // the second cannot be stored
	if err := s.Commit(t.Context(), c); err == nil {
		t.Fatal("two deliveries of one id were stored")
	}
	ring, err := s.Ring(t.Context())
	must(t, err)
	history, err := s.History(t.Context(), 10)
	must(t, err)
	if ring.Version != 0 || len(history) != 0 {
		t.Errorf("half a change is there: version %d, %d entries", ring.Version, len(history))
	}
}

var who = rotation.Who{Verifier: "orders", Instance: "o1", Cache: "c1"}

func instance(w rotation.Who, at time.Time) rotation.Instance {
	return rotation.Instance{Who: w, Sent: at, Received: at, Lease: time.Minute,
		Held: []rotation.Held{{ID: "a", Thumbprint: "t", Seen: at}}, Refusals: []rotation.Refusal{{ID: "a", Count: 3, Base: 1}}}
}

func told(t *testing.T, s *sqlstore.Store, _ string) {
	tell := func(i rotation.Instance, wantOld *rotation.Instance) {
		t.Helper()
		must(t, s.Told(t.Context(), i.Who, func(old *rotation.Instance) (rotation.Instance, error) {
			if diff := cmp.Diff(wantOld, old); diff != "" {
				t.Errorf("what was there (-want +got):\n%s", diff)
			}
			return i, nil
		}))
	}
	first, second := instance(who, t0), instance(who, t0.Add(time.Second))
	tell(first, nil)
	tell(second, &first)
	sentinel := errors.New("not today")
	if err := s.Told(t.Context(), who, func(*rotation.Instance) (rotation.Instance, error) { return first, sentinel }); !errors.Is(err, sentinel) {
		t.Errorf("the error is %v", err)
	}
	other := instance(rotation.Who{Verifier: "orders", Instance: "o1", Cache: "c0"}, t0)
	if err := s.Told(t.Context(), other.Who, func(*rotation.Instance) (rotation.Instance, error) { return other, sentinel }); !errors.Is(err, sentinel) {
		t.Errorf("the error is %v", err)
	}
	tell(other, nil) // the refused one left nothing
	list, err := s.Instances(t.Context())
	if diff := cmp.Diff([]rotation.Instance{other, second}, list); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// Messages of one cache that come at once on several nodes are ordered.
func toldAtOnce(t *testing.T, s *sqlstore.Store, dsn string) {
	nodes := []*sqlstore.Store{s, open(t, dsn)}
	var done sync.WaitGroup
	for n := range 16 {
		done.Go(func() {
			err := nodes[n%2].Told(context.Background(), who, func(old *rotation.Instance) (rotation.Instance, error) {
				next := instance(who, t0)
				if old != nil {
					next.Refusals[0].Count = old.Refusals[0].Count + 1
				}
				return next, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	list, err := s.Instances(t.Context())
	if err != nil || len(list) != 1 || list[0].Refusals[0].Count != 3+15 {
		t.Errorf("%+v, %v", list, err)
	}
}

func forgetting(t *testing.T, s *sqlstore.Store, _ string) {
	put := func(instanceName, cache string, at time.Time, stays bool) {
		i := instance(rotation.Who{Verifier: "orders", Instance: instanceName, Cache: cache}, at)
		i.Stays = stays
		must(t, s.Told(t.Context(), i.Who, func(*rotation.Instance) (rotation.Instance, error) { return i, nil }))
	}
	put("old", "c", t0, false)
	put("agent", "c", t0, true)
	put("new", "c", t0.Add(time.Hour), false)
	put("new", "d", t0.Add(time.Hour), false)
	if n, err := s.Forget(t.Context(), t0.Add(time.Minute)); n != 1 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	entry := rotation.Entry{At: t0, By: "maya", Action: rotation.Forget}
	for _, c := range []struct {
		who  rotation.Who
		want int
	}{{rotation.Who{Verifier: "orders", Instance: "agent"}, 1}, {rotation.Who{Verifier: "orders", Instance: "new", Cache: "d"}, 1},
		{rotation.Who{Verifier: "orders", Instance: "new", Cache: "d"}, 0}, {rotation.Who{Verifier: "orders", Instance: "new"}, 1}} {
		if n, err := s.ForgetOne(t.Context(), c.who, entry); n != c.want || err != nil {
			t.Errorf("%s: forgot %d, %v; want %d", c.who, n, err, c.want)
		}
	}
	if history, err := s.History(t.Context(), 10); len(history) != 3 || err != nil {
		t.Errorf("%d entries, %v", len(history), err)
	}
	if list, err := s.Instances(t.Context()); len(list) != 0 || err != nil {
		t.Errorf("%+v, %v", list, err)
	}
}

func probes(t *testing.T, s *sqlstore.Store, _ string) {
	p := rotation.Probe{Who: rotation.Who{Verifier: "legacy"}, Thumbprint: "t", At: t0, Outcome: rotation.Rejected, Detail: "401"}
	must(t, s.Probed(t.Context(), p, nil))
	must(t, s.Probed(t.Context(), p, nil))
	got := func() rotation.Probe {
		t.Helper()
		list, err := s.Probes(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		return list[0]
	}
	if got().Streak != 2 {
		t.Errorf("%+v", got())
	}
	p.Outcome, p.At = rotation.Accepted, t0.Add(time.Second)
	must(t, s.Probed(t.Context(), p, &rotation.Entry{At: t0, By: "sam", Action: rotation.Confirm}))
	p.Streak = 1
	if diff := cmp.Diff(p, got()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if history, err := s.History(t.Context(), 10); len(history) != 1 || err != nil || history[0].By != "sam" {
		t.Errorf("%+v, %v", history, err)
	}
	must(t, s.Prune(t.Context(), t0.Add(time.Hour)))
	if list, err := s.Probes(t.Context()); len(list) != 0 || err != nil {
		t.Errorf("%+v, %v", list, err)
	}
}

func deliveries(t *testing.T, s *sqlstore.Store, _ string) {
	ring := rotation.Ring{}
	send := func(key rotation.KeyID, at time.Time, urls ...string) {
		c := plan(ring, key)
		for _, u := range urls {
			c.Deliveries = append(c.Deliveries, rotation.Delivery{ID: string(key) + u, Verifier: "orders", URL: u, Body: []byte(`{"type":"x"}`), Created: at, Next: at, State: rotation.Pending})
		}
		must(t, s.Commit(t.Context(), c))
		ring = c.Ring
	}
	send("a", t0, "1", "2")
	send("b", t0.Add(time.Second), "2")
	list, err := s.Claim(t.Context(), t0.Add(time.Minute), t0.Add(2*time.Minute), 10)
	if err != nil || len(list) != 2 {
		t.Fatalf("claimed %+v, %v", list, err)
	}
	send("c", t0.Add(time.Minute), "1") // while a1 is on its way
	for _, d := range list {
		d.State, d.Tries, d.Next = rotation.Pending, 1, t0.Add(3*time.Minute)
		must(t, s.Tried(t.Context(), d))
	}
	all, err := s.Deliveries(t.Context(), 10)
	must(t, err)
	states := ""
	for _, d := range all {
		states += d.ID + " " + string(d.State) + ", "
	}
	if states != "c1 pending, b2 pending, a1 superseded, a2 superseded, " {
		t.Errorf("deliveries: %s", states)
	}
	if diff := cmp.Diff(`{"type":"x"}`, string(all[0].Body)); diff != "" {
		t.Error(diff)
	}
	list, err = s.Claim(t.Context(), t0.Add(2*time.Minute), t0.Add(9*time.Minute), 10)
	if err != nil || len(list) != 1 || list[0].ID != "c1" {
		t.Fatalf("claimed %+v, %v", list, err)
	}
	list[0].State = rotation.Delivered
	must(t, s.Tried(t.Context(), list[0]))
	must(t, s.Prune(t.Context(), t0.Add(time.Hour)))
	if all, err = s.Deliveries(t.Context(), 10); err != nil || len(all) != 1 || all[0].ID != "b2" {
		t.Errorf("%+v, %v", all, err)
	}
}

func claims(t *testing.T, s *sqlstore.Store, dsn string) {
	c := plan(rotation.Ring{}, "a")
	for n := range 40 {
		id := fmt.Sprint("d", n)
		c.Deliveries = append(c.Deliveries, rotation.Delivery{ID: id, URL: id, Created: t0, Next: t0, State: rotation.Pending})
	}
	must(t, s.Commit(t.Context(), c))
	nodes := []*sqlstore.Store{s, open(t, dsn), open(t, dsn)}
	var done sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for n := range 12 {
		done.Go(func() {
			for {
				list, err := nodes[n%3].Claim(context.Background(), t0, t0.Add(time.Minute), 3)
				if err != nil {
					t.Error(err)
				}
				if len(list) == 0 {
					return
				}
				mu.Lock()
				for _, d := range list {
					seen[d.ID]++
				}
				mu.Unlock()
			}
		})
	}
	done.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was claimed %d times", id, n)
		}
	}
	if len(seen) != 40 {
		t.Errorf("%d of 40 were claimed", len(seen))
	}
	// Whoever claimed them died: they are claimed again when that is over.
	if list, err := s.Claim(t.Context(), t0.Add(time.Minute), t0.Add(2*time.Minute), 100); len(list) != 40 || err != nil {
		t.Errorf("%d, %v", len(list), err)
	}
}

func vault(t *testing.T, s *sqlstore.Store, dsn string) {
	var v signer.Vault = s.Vault()
	must(t, v.Put(t.Context(), "k", []byte("box\x00\xff")))
	if err := v.Put(t.Context(), "k", []byte("other")); !errors.Is(err, rotation.Conflict) {
		t.Errorf("a box was overwritten: %v", err)
	}
	if b, err := open(t, dsn).Vault().Get(t.Context(), "k"); string(b) != "box\x00\xff" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	must(t, v.Delete(t.Context(), "k"))
	must(t, v.Delete(t.Context(), "k"))
	if _, err := v.Get(t.Context(), "k"); !errors.Is(err, rotation.NotFound) {
		t.Errorf("%v", err)
	}
}

func trail(t *testing.T, s *sqlstore.Store, dsn string) {
	nodes := []*sqlstore.Store{s, open(t, dsn)}
	var done sync.WaitGroup
	for n := range 10 {
		done.Go(func() {
			if err := nodes[n%2].Log(context.Background(), rotation.Entry{At: t0, By: fmt.Sprint(n), Action: rotation.Refuse}); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	history, err := s.History(t.Context(), 4)
	must(t, err)
	for n, e := range history {
		if e.Seq != int64(10-n) {
			t.Errorf("entry %d has number %d", n, e.Seq)
		}
	}
	if len(history) != 4 {
		t.Errorf("%d entries", len(history))
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "text.db")
	must(t, os.WriteFile(file, []byte(strings.Repeat("no database ", 200)), 0o600))
	newer := filepath.Join(dir, "newer.db")
	must(t, open(t, newer).Close())
	db, err := sql.Open("sqlite", newer)
	must(t, err)
	_, err = db.Exec("INSERT INTO rotation_schema (version_id, is_applied) VALUES (9001, 1)")
	must(t, err)
	must(t, db.Close())
	for dsn, kind := range map[string]rotation.Kind{
		"": rotation.Invalid, "mysql://x": rotation.Invalid, filepath.Join(file, "below"): rotation.Invalid,
		file: rotation.Unavailable, newer: rotation.Conflict, "postgres://127.0.0.1:1/x?connect_timeout=1": rotation.Unavailable,
	} {
		s, err := sqlstore.Open(t.Context(), dsn)
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, kind) {
			t.Errorf("%s: %v, want %s", dsn, err, kind)
		}
	}
	if info, err := os.Stat(newer); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	s := open(t, filepath.Join(dir, "closed.db"))
	must(t, s.Close())
	if _, err := s.Ring(t.Context()); !errors.Is(err, rotation.Unavailable) {
		t.Errorf("a closed store says %v", err)
	}
}
