package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"prunella"
	"prunella/keyset"
)

// check audits our own server as it would any issuer.
func TestKeysCheck(t *testing.T) {
	url, _ := keysServer(t, "[]")
	kid := string(boardOf(t).Status.Keys[0].ID)
	set, err := keyset.New(t.Context(), keyset.Config{Issuer: url, Audience: []string{"orders"}})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	trusting := httptest.NewServer(set.Middleware()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer trusting.Close()
	deaf := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer deaf.Close()
	token := keysFile(t, "token", minted(t, url))
	code, out, complaint := command(t, "keys", "check", url, "--canary-token", token, "--verifier", "orders="+trusting.URL)
	if code != exitPassed || !strings.Contains(out, "accepts") || !strings.Contains(out, kid) || !strings.Contains(out, "0 problems") {
		t.Errorf("exit %d: %s%s", code, out, complaint)
	}
	code, out, _ = command(t, "keys", "check", url, "--canary-token", token, "--verifier", "orders="+trusting.URL, "--verifier", "search="+deaf.URL, "--json")
	var report struct {
		Problems int
		Findings []struct{ Rule, Severity, Subject, Evidence, Remedy string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitFailed || report.Problems != 1 || report.Findings[0].Rule != "verifier-rejects-signer" || report.Findings[0].Subject != "search" {
		t.Errorf("exit %d: %v: %s", code, err, out)
	}
	stable := map[string]string{
		"":          "at cache findings issuer jwks_uri keys problems removal signer signer_seen_since token_lifetime_s usable verifiers",
		"cache":     "header max_age_s",
		"keys":      "alg kid kty role strength thumbprint usable use",
		"verifiers": "name trust url without_token",
		"findings":  "evidence remedy rule severity subject",
	}
	var all map[string]any
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	for part, want := range stable {
		var v any = all
		if part != "" {
			v = all[part]
		}
		if list, ok := v.([]any); ok {
			v = list[0]
		}
		if got := strings.Join(slices.Sorted(maps.Keys(v.(map[string]any))), " "); got != want {
			t.Errorf("tools that read %q find %s, and were promised %s", part, got, want)
		}
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"keys", "check"}, exitUsage}, {[]string{"keys", "check", "nowhere"}, exitUsage}, {[]string{"keys", "check", "http://127.0.0.1:1"}, exitError},
		{[]string{"keys", "check", url + "/other"}, exitFailed}, {[]string{"keys", "check", url, "--canary-token", "none"}, exitUsage},
		{[]string{"keys", "check", url, "--client-id", "x"}, exitUsage}, {[]string{"keys", "check", url, "--since", "noon"}, exitUsage},
		{[]string{"keys", "check", url, "--verifier", "x"}, exitUsage}, {[]string{"keys", "check", url, "--rotation-period", "1m"}, exitFailed},
	} {
		if code, out, complaint := command(t, c.args...); code != c.code || (code > 1) != (complaint != "") {
			t.Errorf("%v: exit %d: %s%s", c.args, code, out, complaint)
		}
	}
}

// A watch tells each change once, over restarts, and keeps what the server did
// not take.
func TestKeysWatch(t *testing.T) {
	url, _ := keysServer(t, "[]")
	var mu sync.Mutex
	var got []prunella.Signal
	down := true
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var body struct{ Signals []prunella.Signal }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || down || r.URL.Path != "/api/v1/signals" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		got = append(got, body.Signals...)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{}`)
	}))
	defer engine.Close()
	state := filepath.Join(t.TempDir(), "watch.json")
	look := func() (string, string) {
		t.Helper()
		code, out, complaint := command(t, "keys", "watch", "auth="+url, "--once", "--state", state, "--server", engine.URL)
		if code != exitPassed {
			t.Fatalf("exit %d: %s%s", code, out, complaint)
		}
		return out, complaint
	}
	if out, _ := look(); out != "" {
		t.Errorf("the first look tells %s", out)
	}
	if code, out, _ := command(t, "keys", "rotate"); code != exitPassed {
		t.Fatal(out)
	}
	if out, complaint := look(); !strings.Contains(out, "auth  key ") || !strings.Contains(out, "appeared in the set") || !strings.Contains(complaint, "sent later") {
		t.Errorf("%s%s", out, complaint)
	}
	mu.Lock()
	down = false
	mu.Unlock()
	if out, _ := look(); strings.Contains(out, "appeared") {
		t.Errorf("told twice: %s", out)
	}
	look()
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 1 || got[0].Name != prunella.ChangeKeyAdded || got[0].Service != "auth" || got[0].Attr(prunella.AttrKid) == "" || got[0].Source != "keys/auth" {
		t.Errorf("%+v", got)
	}
	for _, args := range [][]string{{"keys", "watch"}, {"keys", "watch", "a=" + url, "b=" + url, "--jwks", url}, {"keys", "watch", url, "--interval", "1ms"}, {"keys", "watch", "nowhere", "--once", "--state", state},
		{"keys", "watch", url, "--state", keysFile(t, "bad", "{")}, {"keys", "watch", url, "--once", "--state", filepath.Join(state, "x")}} {
		if code, _, complaint := command(t, args...); code != exitUsage || complaint == "" {
			t.Errorf("%v: exit %d: %s", args, code, complaint)
		}
	}
}
