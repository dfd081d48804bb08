package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"prunella/keyset"
	"prunella/rotation"
	"prunella/rotation/sqlstore"
	"prunella/rotation/sqlstore/postgrestest"
)

// front is the load balancer before the nodes: who does not answer in time is
// passed over. It is the issuer's URL.
type front struct {
	mu    sync.Mutex
	nodes []string // host:port
	next  int
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	f.mu.Lock()
	first, nodes := f.next, f.nodes
	f.next++
	f.mu.Unlock()
	for n := range nodes {
		if f.pass(w, r, nodes[(first+n)%len(nodes)], body) {
			return
		}
	}
	http.Error(w, "no node answers", http.StatusBadGateway)
}

func (f *front) pass(w http.ResponseWriter, r *http.Request, node string, body []byte) bool {
	patience := time.Second
	if r.URL.Path == "/keys/rotate" { // takes the steps that are due before it answers
		patience = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	req := r.Clone(ctx)
	req.RequestURI, req.URL.Scheme, req.URL.Host = "", "http", node
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusServiceUnavailable {
		return false
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer) // the client is gone, or has it
	return true
}

// nodes is a rotation server of three processes on one PostgreSQL, and those who
// live by its tokens.
type nodes struct {
	t     *testing.T
	all   map[string]*server
	url   string // of the front
	store *sqlstore.Store
	db    *sql.DB
}

// The trigger stops the transaction that writes a given line into the audit trail
// until the advisory lock is free: then the ring has been changed and nothing is
// committed.
const (
	pausing = 4711
	pause   = `CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF NEW.doc LIKE '%"action":"' || (SELECT action FROM paused) || '"%' THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF;
			RETURN NEW;
		END $$;
		CREATE TABLE paused (action text); INSERT INTO paused VALUES ('nothing');
		CREATE TRIGGER pause BEFORE INSERT ON rotation_history FOR EACH ROW EXECUTE FUNCTION pause()`
)

// rotationNodes rotates twice. Of three nodes, the one that publishes is killed in
// the middle of its transaction, then the one that promotes; in the second
// rotation the one that promotes freezes there. Another goes on each time, each
// key is promoted once, and no token is refused or unsigned meanwhile.
func rotationNodes(t *testing.T, binary string) {
	var sets [2]atomic.Pointer[keyset.Set]
	n := startNodes(t, binary, hints(t, sets[:]))
	n.verifiers(sets[:])
	ended, watch := context.WithCancel(t.Context())
	var bearer bearers
	done := make(chan struct{})
	go func() { defer close(done); bearer.run(ended, n.url, sets[:]) }()

	first := n.signer()
	publisher := n.during("publish", func() { n.order("rotate") }, (*server).kill)
	promoter := n.during("promote", func() {}, (*server).kill)
	second := n.rotated(first, publisher, promoter)
	n.all[publisher].start()
	n.all[promoter].start()

	frozen := n.during("promote", func() { n.order("rotate") }, func(s *server) { must(t, s.cmd.Process.Signal(syscall.SIGSTOP)) })
	third := n.rotated(second, frozen)
	must(t, n.all[frozen].cmd.Process.Signal(syscall.SIGCONT))
	thawed := minted(t, "http://"+n.all[frozen].listen)
	for i := range sets {
		if claims, err := sets[i].Load().Verify(t.Context(), thawed); err != nil || claims.KeyID != third {
			t.Errorf("the node that froze signs with %s, the signer is %s: %v", claims.KeyID, third, err)
		}
	}

	watch()
	<-done
	t.Logf("%d tokens shown to %d verifiers in three reigns; killed: %s, %s; froze: %s", bearer.shown.Load(), len(sets), publisher, promoter, frozen)
	for what, all := range map[string][]string{"refused": bearer.refused, "not signed": bearer.unsigned} {
		if len(all) > 0 {
			t.Errorf("%d tokens were %s, the first: %s", len(all), what, all[0])
		}
	}
	if bearer.shown.Load() < 50 {
		t.Errorf("only %d tokens were shown", bearer.shown.Load())
	}
	for _, s := range n.all {
		s.stop()
	}
}

// hints takes hints for each of the sets that will be, and returns the URLs.
func hints(t *testing.T, sets []atomic.Pointer[keyset.Set]) (hooks []string) {
	for i := range sets {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if set := sets[i].Load(); set != nil {
				set.Hints().ServeHTTP(w, r)
			}
		}))
		t.Cleanup(s.Close)
		hooks = append(hooks, s.URL)
	}
	return hooks
}

func startNodes(t *testing.T, binary string, hooks []string) *nodes {
	dsn := postgrestest.Start(t)(t)
	f := &front{}
	gate := httptest.NewServer(f)
	t.Cleanup(gate.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	n := &nodes{t: t, all: map[string]*server{}, url: gate.URL}
	secret := keysFile(t, "secret", newMasterKey())
	for _, name := range []string{"keys-a", "keys-b", "keys-c"} {
		s := newServer(t, binary, map[string]any{
			"issuer": gate.URL, "node": name, "store": dsn + "?application_name=" + name, "secret": "file:" + secret, "algorithm": "ES256",
			"operators": map[string]string{"maya": operatorToken}, "clients": map[string]string{"login": clientToken},
			"policy":    map[string]string{"stale": "1s", "skew": "100ms", "max_lifetime": "1m", "watch": "1s", "period": "24h"},
			"verifiers": []any{map[string]any{"name": "orders", "class": "answering", "secrets": []string{hookSecret}, "expect": 2, "hooks": hooks}},
		})
		s.verb, s.data = []string{"keys", "serve"}, filepath.Join(t.TempDir(), name)
		n.all[name], f.nodes = s, append(f.nodes, s.listen)
		s.begin() // all at once, on an empty database
	}
	for _, s := range n.all {
		s.ready()
	}
	var err error
	if n.store, err = sqlstore.Open(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.store.Close() })
	if n.db, err = sql.Open("pgx", dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.db.Close() })
	_, err = n.db.Exec(pause)
	must(t, err)
	return n
}

// verifiers are the instances of a service.
func (n *nodes) verifiers(sets []atomic.Pointer[keyset.Set]) {
	for i := range sets {
		set, err := keyset.New(n.t.Context(), keyset.Config{Issuer: n.url, Audience: []string{"orders"}, HintSecrets: []string{hookSecret}, Log: slog.New(slog.DiscardHandler),
			Acknowledge: &keyset.Acknowledge{URL: n.url + "/keys/ack/orders", Secret: hookSecret, Instance: fmt.Sprintf("orders-%d", i+1), Lease: 3 * time.Second}})
		must(n.t, err)
		n.t.Cleanup(set.Close)
		sets[i].Store(set)
	}
}

// signer waits until a key signs and returns it.
func (n *nodes) signer() (kid string) {
	n.t.Helper()
	n.until("a key that signs", func(ring rotation.Ring) bool {
		k, signs := ring.Signer()
		kid = string(k.ID)
		return signs
	})
	return kid
}

func (n *nodes) until(what string, so func(rotation.Ring) bool) {
	n.t.Helper()
	err := await(n.t, time.Minute, func(ctx context.Context) error {
		ring, err := n.store.Ring(ctx)
		if err == nil && !so(ring) {
			err = fmt.Errorf("the keys are %+v", ring.Keys)
		}
		return err
	})
	if err != nil {
		n.t.Fatalf("waited for %s: %v", what, err)
	}
}

func (n *nodes) order(what string) {
	n.t.Helper()
	if code, out, complaint := command(n.t, "keys", what, "--server", n.url, "--token", operatorToken); code != exitPassed {
		n.t.Errorf("keys %s: exit %d: %s%s", what, code, out, complaint)
	}
}

// during waits until a node is in the middle of the transaction of an action that
// cause brings about, does something to that node, lets the transaction go on,
// and returns the node's name.
func (n *nodes) during(action string, cause func(), do func(*server)) (name string) {
	n.t.Helper()
	ctx := n.t.Context()
	conn, err := n.db.Conn(ctx)
	must(n.t, err)
	defer conn.Close()
	_, err = conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, pausing)
	must(n.t, err)
	_, err = conn.ExecContext(ctx, `UPDATE paused SET action = $1`, action)
	must(n.t, err)
	caused := make(chan struct{})
	go func() { defer close(caused); cause() }()
	err = await(n.t, 20*time.Second, func(ctx context.Context) error {
		return conn.QueryRowContext(ctx, `SELECT application_name FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'`).Scan(&name)
	})
	if err != nil {
		_, out, complaint := command(n.t, "keys", "status", "--server", n.url, "--token", operatorToken)
		n.t.Fatalf("no node came to %s: %v\n%s%s", action, err, out, complaint)
	}
	do(n.all[name])
	_, err = conn.ExecContext(ctx, `UPDATE paused SET action = 'nothing'`)
	must(n.t, err)
	_, err = conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, pausing)
	must(n.t, err)
	<-caused
	return name
}

// rotated waits until another key signs, and sees that it was promoted once, by
// none of those who died of it.
func (n *nodes) rotated(from string, dead ...string) (kid string) {
	n.t.Helper()
	n.until("another signer", func(ring rotation.Ring) bool {
		k, signs := ring.Signer()
		kid = string(k.ID)
		return signs && kid != from
	})
	trail, err := n.store.History(n.t.Context(), 100)
	must(n.t, err)
	trail = slices.DeleteFunc(trail, func(e rotation.Entry) bool { return string(e.Key) != kid || e.Action != rotation.Promote })
	if len(trail) != 1 || slices.Contains(dead, trail[0].By) {
		n.t.Errorf("%s was promoted by %+v; %s died of it", kid, trail, dead)
	}
	return kid
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bearers have tokens signed and show each to every verifier, at once and again
// later, while it lives.
type bearers struct {
	shown             atomic.Int64
	refused, unsigned []string
}

func (b *bearers) run(ctx context.Context, url string, sets []atomic.Pointer[keyset.Set]) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var earlier []string
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		token, err := signedBy(ctx, url)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			b.unsigned = append(b.unsigned, err.Error())
			continue
		}
		if earlier = append(earlier, token); len(earlier) > 500 {
			earlier = earlier[1:]
		}
		for i := range sets {
			for _, one := range []string{token, earlier[0], earlier[len(earlier)/2]} {
				if _, err := sets[i].Load().Verify(ctx, one); err != nil && ctx.Err() == nil {
					b.refused = append(b.refused, err.Error())
				}
				b.shown.Add(1)
			}
		}
	}
}

func signedBy(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/keys/sign", strings.NewReader(`{"claims":{"sub":"ada","aud":"orders"}}`))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+clientToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		return "", errors.Join(errors.New(resp.Status), err)
	}
	return answer.Token, nil
}
