package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prunella/rotation"
	"prunella/rotation/issuer"
	"prunella/rotation/sqlstore"
)

// The gates guard an issuer of somebody else: its fleet is asked, refusals have
// names, an override is recorded, and what was intended stands before the effect.
func TestDesk(t *testing.T) {
	k := newRealm(t)
	o := open(t, issuer.Config{Kind: "keycloak", URL: k.server.URL + "/realms/shop", ClientID: "rotator", ClientSecret: "s3cret"})
	store, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ctx := t.Context()
	cfg := issuer.DeskConfig{Issuer: k.server.URL + "/realms/shop", At: o, Store: store, Policy: rotation.Policy{Stale: time.Second, Skew: time.Millisecond, MaxLifetime: time.Second, Quiet: time.Millisecond, Watch: time.Millisecond},
		Verifiers: []rotation.Verifier{{Name: "search", Class: rotation.Manual}, {Name: "user", Class: rotation.Timed, Within: 1500 * time.Millisecond}}}
	d, err := issuer.NewDesk(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	maya := rotation.Order{By: "maya"}
	reason, err := d.Rotate(ctx, maya)
	if !errors.Is(err, rotation.Refused) || strings.Join(reason.Names(), " ") != "search user" {
		t.Fatalf("%v %v", reason, err)
	}
	if got := states(t, o); got != "kid-0:active kid-2:next" {
		t.Errorf("%s", got)
	}
	if _, err := d.Promote(ctx, "", rotation.Order{By: "maya", Override: true}); !errors.Is(err, rotation.Invalid) {
		t.Errorf("without a reason: %v", err)
	}
	time.Sleep(3 * time.Second)
	api := httptest.NewServer(http.StripPrefix("/keys", d.API(rotation.BearerTokens(map[string]string{"t0ken": "sam"}))))
	defer api.Close()
	call := func(method, path, token, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, api.URL+"/keys"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var v any
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		b, _ := json.Marshal(v)
		return resp.StatusCode, string(b)
	}
	for _, c := range []struct {
		method, path, token, body string
		status                    int
		want                      string
	}{
		{"GET", "/status", "bad", "", 401, "operators"},
		{"POST", "/kid-2/promote", "t0ken", "{", 400, "not readable"},
		{"POST", "/kid-2/promote", "t0ken", "", 409, "not-confirmed"},
		{"POST", "/kid-0/retire", "t0ken", "", 409, "wrong-state"},
		{"POST", "/resume", "t0ken", "", 400, "nothing halts"},
		{"POST", "/ack/search", "t0ken", "{}", 404, "not-found"},
		{"POST", "/verifiers/search/confirm", "t0ken", `{"kid":"kid-2","note":"copied"}`, 200, "status"},
		{"GET", "/gates", "t0ken", "", 200, "may-promote"},
		{"POST", "/kid-2/promote", "t0ken", "", 200, `"kid":"kid-2"`},
		{"POST", "/kid-0/revoke", "t0ken", "", 409, "cannot-tell"},
		{"POST", "/return", "t0ken", "", 200, `"may-return"`},
		{"POST", "/publish", "t0ken", "", 200, "status"},
	} {
		if status, body := call(c.method, c.path, c.token, c.body); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
	}
	if got := states(t, o); !strings.HasPrefix(got, "kid-0:active kid-2:previous") {
		t.Errorf("after the return: %s", got)
	}
	if _, err := d.Revoke(ctx, "kid-2", rotation.Order{By: "maya", Override: true, Note: "leaked"}); err != nil {
		t.Error(err)
	}
	k.mu.Lock()
	k.add("rsa-generated", "RS256", 50) // somebody else is at work
	k.mu.Unlock()
	if err := d.Follow(ctx); err != nil {
		t.Error(err)
	}
	history, err := store.History(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range history {
		lines = append(lines, fmt.Sprintf("%s %s %s %v %s", e.By, e.Action, e.Key, e.Override, e.Note))
	}
	all := strings.Join(lines, "\n")
	for _, want := range []string{"maya revoke kid-2 true leaked; intended", "maya revoke kid-2 true leaked; seen at the issuer: kid-2 left the set", "observed publish kid-", "sam promote kid-2 false intended", "maya refuse kid-2"} {
		if !strings.Contains(all, want) {
			t.Errorf("the audit trail lacks %q:\n%s", want, all)
		}
	}
	k.refuse = 403
	if status, body := call("GET", "/status", "t0ken", ""); status != 502 || !strings.Contains(body, "manage-realm") {
		t.Errorf("%d %s", status, body)
	}
	watched := cfg
	watched.At = onlyObserved{o}
	k.refuse = 0
	if d, err = issuer.NewDesk(ctx, watched); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Promote(ctx, "", maya); !errors.Is(err, rotation.Invalid) || !strings.Contains(err.Error(), "only observed") {
		t.Errorf("%v", err)
	}
}

// Somebody rotates at the issuer itself: the trail says what its log says about him.
func TestAStrangersRotationIsAttributed(t *testing.T) {
	a := newTenant(t)
	o := open(t, issuer.Config{Kind: "auth0", URL: a.server.URL, ClientID: "rotator", ClientSecret: "s3cret"})
	store, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	d, err := issuer.NewDesk(t.Context(), issuer.DeskConfig{Issuer: a.server.URL, At: o, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	look := func(want string) {
		t.Helper()
		if err := d.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		trail, err := store.History(t.Context(), 1)
		if err != nil || !strings.Contains(trail[0].Note, want) {
			t.Errorf("%+v %v, want %q", trail, err, want)
		}
	}
	look("seen at the issuer")
	a.mu.Lock()
	a.current++
	a.made++
	a.logs = 100
	a.mu.Unlock()
	look("; its log: /api/v2/keys/signing/rotate by ci at 2026-11-22T05:00:00Z")
	a.mu.Lock()
	a.current++
	a.made++
	a.logs = 0
	a.mu.Unlock()
	look("signs")
}

// daily is an issuer that publishes another key at every look.
type daily struct{ day int }

func (d *daily) Observe(context.Context) ([]issuer.Key, error) {
	d.day++
	var list []issuer.Key
	for n, state := range []rotation.State{rotation.Previous, rotation.Active, rotation.Next} {
		id := fmt.Sprintf("day-%d", d.day+n)
		list = append(list, issuer.Key{ID: rotation.KeyID(id), Algorithm: "ES256", Thumbprint: rotation.Thumbprint(id), State: state})
	}
	return list, nil
}

// An issuer that rotates every day for years is remembered in bounded space.
func TestKeysThatAreGoneAreForgotten(t *testing.T) {
	store, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	d, err := issuer.NewDesk(t.Context(), issuer.DeskConfig{Issuer: "https://id.example.test", At: &daily{}, Store: store, Node: "n"})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := d.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ring, err := store.Ring(t.Context())
	if k, signs := ring.Signer(); err != nil || len(ring.Keys) != 64+3 || !signs || k.ID != "day-101" {
		t.Errorf("%d keys, %s signs, %v", len(ring.Keys), k.ID, err)
	}
}
