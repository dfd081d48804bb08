package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"prunella/rotation"
)

// auth0Like answers as a tenant's Management API does, with Ed25519 keys.
func auth0Like(t *testing.T) *httptest.Server {
	var mu sync.Mutex
	var set []rotation.JWK
	for n := range 4 {
		pub, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		j, err := rotation.NewJWK(rotation.KeyID(fmt.Sprintf("kid-%d", n)), "EdDSA", pub)
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, j)
	}
	current := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/.well-known/jwks.json":
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": set[max(0, current-1) : current+2]})
		case r.Header.Get("Authorization") != "Bearer management":
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"statusCode":401,"error":"Unauthorized","message":"Invalid token"}`)
		case r.URL.Path == "/api/v2/keys/signing":
			var list []map[string]any
			for n := max(0, current-1); n < current+2; n++ {
				list = append(list, map[string]any{"kid": set[n].ID, "current": n == current, "next": n == current+1, "previous": n < current})
			}
			_ = json.NewEncoder(w).Encode(list)
		case r.Method == http.MethodPost && r.URL.Path == "/api/v2/keys/signing/rotate":
			current++
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{}`)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// A team with Auth0 gets the same refusals, with and without a server.
func TestKeysOfAnIssuerOfSomebodyElse(t *testing.T) {
	tenant := auth0Like(t)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	text := func(token string) string {
		return fmt.Sprintf("drive: {kind: auth0, url: %q, token: %s}\ndata: %s\npolicy: {stale: 1s, skew: 1ms}\noperators: {maya: %s}\nverifiers: [{name: search, class: manual}, {name: user, class: timed, within: 24h}]\n",
			tenant.URL, token, filepath.Join(t.TempDir(), "data"), operatorToken)
	}
	config := keysFile(t, "auth0.yaml", text("management"))
	code, out, complaint := command(t, "keys", "rotate", "--issuer-config", config, "--by", "maya")
	if code != exitFailed || !strings.Contains(out, "nobody has confirmed search; user may not have refreshed yet") || !strings.Contains(out, "prunella keys confirm") {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}
	if code, out, complaint = command(t, "keys", "confirm", "search", "kid-1", "--issuer-config", config, "--by", "maya"); code != exitPassed {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}
	code, out, complaint = command(t, "keys", "promote", "kid-1", "--override", "user was restarted", "--issuer-config", config, "--by", "maya")
	if code != exitPassed || !strings.Contains(out, "kid-1 signs now") || !strings.Contains(out, "user") {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}
	if code, _, complaint = command(t, "keys", "return", "--issuer-config", config, "--by", "maya"); code != exitUsage || !strings.Contains(complaint, "only ever makes its next key current") {
		t.Errorf("exit %d: %s", code, complaint)
	}
	if code, _, complaint = command(t, "keys", "status", "--issuer-config", keysFile(t, "bad.yaml", text("wrong")), "--by", "maya"); code != exitError || !strings.Contains(complaint, "Invalid token") {
		t.Errorf("exit %d: %s", code, complaint)
	}
	for want, args := range map[string][]string{"no drive:": {"--issuer-config", keysFile(t, "none.yaml", ""), "--by", "x"}, "nobody gives": {"--issuer-config", config, "--by", ""}} {
		if code, _, complaint := command(t, append([]string{"keys", "status"}, args...)...); code != exitUsage || !strings.Contains(complaint, want) {
			t.Errorf("%s: exit %d: %s", want, code, complaint)
		}
	}
	log, stop := background(t, "keys", "serve", "--config", config, "--listen", "127.0.0.1:0")
	url := log.await(t, `Rotation server of \S+ on (http\S+)`)
	code, out, complaint = command(t, "keys", "status", "--server", url, "--token", operatorToken)
	if code != exitPassed || !strings.Contains(out, "kid-1") || !strings.Contains(out, "active") || !strings.Contains(out, "within 24 h") {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}
	if code, out, _ = command(t, "keys", "history", "--issuer-config", config, "--by", "maya"); code != exitPassed || !strings.Contains(out, "OVERRIDE: user was restarted") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code := stop(); code != exitPassed {
		t.Errorf("exit %d: %s", code, log)
	}
}
