package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"prunella/keyset"
	"prunella/rotation"
)

const (
	operatorToken = "0perator-t0ken-of-maya"
	clientToken   = "cl1ent-t0ken-of-the-login"
	hookSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// shared is a writer that a test reads while a command writes.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// await reads until a text matches, and returns its first group.
func (s *shared) await(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if m := re.FindStringSubmatch(s.String()); m != nil {
			return m[len(m)-1]
		}
	}
	t.Fatalf("%q never came:\n%s", pattern, s.String())
	return ""
}

// background runs a command until the test ends, or stop is called, which
// returns its exit code.
func background(t *testing.T, args ...string) (out *shared, stop func() int) {
	t.Helper()
	out = &shared{}
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, out, out) }()
	ended := sync.OnceValue(func() int { cancel(); return <-code })
	t.Cleanup(func() { ended() })
	return out, ended
}

func keysFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// keysServer serves a rotation with times in seconds, and returns its URL.
func keysServer(t *testing.T, verifiers string, more ...string) (url string, stop func() int) {
	t.Helper()
	t.Setenv("KEYS_TEST_OPERATOR", operatorToken)
	config := keysFile(t, "keys.yaml", strings.Join(append([]string{
		"algorithm: ES256", "data: " + filepath.Join(t.TempDir(), "data"), "operators: {maya: \"${KEYS_TEST_OPERATOR}\"}", "clients: {login: " + clientToken + "}",
		"policy: {stale: 1s, skew: 100ms, max_lifetime: 1m, watch: 1s, period: 24h}", "verifiers: " + verifiers}, more...), "\n"))
	out, stop := background(t, "keys", "serve", "--config", config, "--listen", "127.0.0.1:0")
	url = out.await(t, `Rotation server of \S+ on (http\S+)`)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if resp, err := http.Get(url + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				t.Setenv("PRUNELLA_KEYS_SERVER", url)
				t.Setenv("PRUNELLA_KEYS_TOKEN", operatorToken)
				t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
				return url, stop
			}
		}
		if time.Now().After(end) {
			t.Fatalf("never ready:\n%s", out)
		}
	}
}

// tell acknowledges for an instance that holds the given keys.
func tell(t *testing.T, url, verifier string, seen bool, keys ...rotation.Key) {
	t.Helper()
	now := time.Now()
	told := rotation.Told{Acknowledgement: keyset.Acknowledgement{Instance: verifier + "-1", Cache: "c", Sent: now.UTC(), Lease: 60}}
	for _, k := range keys {
		one := keyset.Key{ID: string(k.ID), Thumbprint: string(k.Thumbprint), Algorithm: string(k.Algorithm)}
		if seen {
			one.LastSeen = now
		}
		told.Keys = append(told.Keys, one)
	}
	body, err := json.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	hook, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := hook.Sign("ack", now, body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, url+"/keys/ack/"+verifier, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("webhook-id", "ack")
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", signature)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, b)
	}
}

func boardOf(t *testing.T) keysBoard {
	t.Helper()
	code, out, complaint := command(t, "keys", "status", "--json")
	var b keysBoard
	if err := json.Unmarshal([]byte(out), &b); err != nil || code != 0 {
		t.Fatalf("exit %d: %v: %s%s", code, err, out, complaint)
	}
	return b
}

func minted(t *testing.T, url string) string {
	t.Helper()
	token, err := signedBy(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

const twoServices = `[{name: search, class: answering, secrets: [` + hookSecret + `]}, {name: user, class: answering, secrets: [` + hookSecret + `]}]`

// An unsafe promotion is refused with the names and the next step; it succeeds
// when they are ready; the old key stays while its tokens live; an override is
// recorded with its reason.
func TestOrdersNameWhoWouldBreak(t *testing.T) {
	url, _ := keysServer(t, twoServices)
	first := boardOf(t).Status.Keys[0]
	tell(t, url, "search", true, first)
	tell(t, url, "user", true, first)
	code, out, _ := command(t, "keys", "rotate", "--note", "quarterly")
	if code != exitPassed || !strings.Contains(out, "signs until then") {
		t.Errorf("exit %d: %s", code, out)
	}
	time.Sleep(1500 * time.Millisecond) // old copies of the set are past
	tell(t, url, "search", true, first)
	tell(t, url, "user", true, first)
	code, out, _ = command(t, "keys", "promote")
	if code != exitFailed || !strings.Contains(out, "not yet: search and user still verify only the old key") || !strings.Contains(out, "--override") ||
		!strings.Contains(out, "Next: let search and user fetch the key set") || !strings.Contains(out, "search/search-1#c") {
		t.Errorf("exit %d: %s", code, out)
	}
	code, out, _ = command(t, "keys", "status")
	if code != exitPassed || !strings.Contains(out, "search and user still verify only the old key ("+string(first.ID)+")") || !strings.Contains(out, "told ") {
		t.Errorf("exit %d: %s", code, out)
	}
	next := boardOf(t).Status.Keys[1]
	tell(t, url, "search", true, first, next)
	if code, out, _ = command(t, "keys", "promote", string(next.ID), "--json"); code != exitFailed || !strings.Contains(out, `"names": [
    "user"
  ]`) {
		t.Errorf("exit %d: %s", code, out)
	}
	tell(t, url, "user", true, first, next)
	for end := time.Now().Add(10 * time.Second); signerOf(boardOf(t).Status) != string(next.ID); time.Sleep(20 * time.Millisecond) { // the loop promotes: a rotation was asked for
		if time.Now().After(end) {
			t.Fatalf("not promoted: %+v", boardOf(t).Verdicts)
		}
	}
	code, out, _ = command(t, "keys", "retire", string(first.ID))
	if code != exitFailed || !strings.Contains(out, "tokens that it signed live") {
		t.Errorf("exit %d: %s", code, out)
	}
	code, out, _ = command(t, "keys", "revoke", string(first.ID), "--override", "the key leaked")
	if code != exitPassed || !strings.Contains(out, `recorded as "the key leaked"`) || !strings.Contains(out, "search, user") {
		t.Errorf("exit %d: %s", code, out)
	}
	code, out, _ = command(t, "keys", "history")
	if code != exitPassed || !strings.Contains(out, "OVERRIDE: the key leaked") || !strings.Contains(out, "refuse") || !strings.Contains(out, "maya") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out, _ = command(t, "keys", "return"); code != exitFailed || !strings.Contains(out, "Refused: return: no key signed before this one") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out, _ = command(t, "keys", "forget", "user/user-1#c"); code != exitPassed || !strings.Contains(out, "blocks nothing") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out, _ = command(t, "keys", "resume"); code != exitPassed {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestOrdersComplain(t *testing.T) {
	url, stop := keysServer(t, "[{name: batch, class: manual}]")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"keys", "promote", "none"}, exitUsage, "there is no key"},
		{[]string{"keys", "promote"}, exitUsage, "no key waits"},
		{[]string{"keys", "confirm", "orders", "k"}, exitUsage, "no manual verifier"},
		{[]string{"keys", "forget", "orders"}, exitUsage, "VERIFIER/INSTANCE"},
		{[]string{"keys", "rotate", "--override", "now"}, exitUsage, "no gate"},
		{[]string{"keys", "status", "--token", "wrong"}, exitError, "does not know this token"},
		{[]string{"keys", "status", "--server", "http://127.0.0.1:1"}, exitError, "does not answer"},
		{[]string{"keys", "status", "--server", "nowhere"}, exitUsage, "no URL"},
		{[]string{"keys", "status", "--server", url + "/elsewhere"}, exitError, "answers 404"},
	} {
		code, out, complaint := command(t, c.args...)
		if code != c.code || !strings.Contains(complaint, c.want) || out != "" {
			t.Errorf("%v: exit %d: %s%s", c.args, code, out, complaint)
		}
	}
	kid := string(boardOf(t).Status.Keys[0].ID)
	if code, out, _ := command(t, "keys", "confirm", "batch", kid, "--note", "copied by hand"); code != exitPassed {
		t.Errorf("exit %d: %s", code, out)
	}
	if code := stop(); code != exitPassed {
		t.Errorf("stopped with %d", code)
	}
}

// Configuration that is wrong, a port that is taken and a folder that cannot be
// written are sentences.
func TestKeysServeComplains(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := keysFile(t, "file", "")
	data := filepath.Join(t.TempDir(), "d")
	for text, want := range map[string]string{
		"issuers: x":                                  "keys.yaml:1: \"issuers\" is not a known key",
		"\npolicy: {stale: soon}":                     "keys.yaml",
		"secret: env:KEYS_TEST_MISSING":               "KEYS_TEST_MISSING",
		"operators: {maya: \"${KEYS_TEST_MISSING}\"}": "KEYS_TEST_MISSING is not set",
		"operators: {maya: short}":                    "fewer than 16",
		"operators: {maya: 0123456789abcdef}\nclients: {sam: 0123456789abcdef}": "the same token",
		"algorithm: HS256":                       "HS256",
		"verifiers: [{name: a, class: quick}]":   "quick",
		"verifiers: [{name: a, class: timed}]":   "Within",
		"policy: {period: 1h, ahead: 2h}":        "Ahead",
		"store: mysql://x":                       "PostgreSQL",
		"signer: {url: x}":                       "remote signer",
		"secret: env:A\nsigner: {url: http://x}": "both a signer and a secret",
		"issuer: id.example.com":                 "Issuer",
	} {
		code, _, complaint := command(t, "keys", "serve", "--config", keysFile(t, "keys.yaml", text), "--data", data, "--listen", "127.0.0.1:0")
		if code != exitUsage || !strings.Contains(complaint, want) {
			t.Errorf("%q: exit %d: %s", text, code, complaint)
		}
	}
	for want, args := range map[string][]string{
		"taken":       {"keys", "serve", "--data", data, "--listen", l.Addr().String()},
		"data folder": {"keys", "serve", "--data", filepath.Join(file, "d"), "--listen", "127.0.0.1:0"},
		"host:port":   {"keys", "serve", "--data", data, "--listen", "nowhere"},
		"the file":    {"keys", "serve", "--config", filepath.Join(data, "none.yaml")},
		"--config":    {"keys", "agent"},
	} {
		if want == "the file" {
			want = "give the right path"
		}
		if code, _, complaint := command(t, args...); code != exitUsage || !strings.Contains(complaint, want) {
			t.Errorf("%v: exit %d: %s", args, code, complaint)
		}
	}
}

// A server without a configuration works, and comes back with its keys.
func TestKeysServeNeedsNoConfiguration(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	kid := ""
	listen := freeAddress(t)
	for range 2 {
		out, stop := background(t, "keys", "serve", "--data", data, "--listen", listen)
		url := out.await(t, `Rotation server of \S+ on (http\S+)`)
		token, err := os.ReadFile(filepath.Join(data, "operator.token"))
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("PRUNELLA_KEYS_SERVER", url)
		t.Setenv("PRUNELLA_KEYS_TOKEN", strings.TrimSpace(string(token)))
		out.await(t, `key promote`+`|serving`)
		var keys []rotation.Key
		for end := time.Now().Add(20 * time.Second); len(keys) == 0 || keys[0].State != rotation.Active; keys = boardOf(t).Status.Keys {
			if time.Now().After(end) {
				t.Fatal("no key signs")
			}
			time.Sleep(10 * time.Millisecond)
		}
		if kid != "" && kid != string(keys[0].ID) {
			t.Errorf("%s became %s", kid, keys[0].ID)
		}
		kid = string(keys[0].ID)
		for path, want := range map[string]string{"/healthz": "ok", "/metrics": "rotation_keys", "/.well-known/openid-configuration": url, "/.well-known/jwks.json": kid} {
			resp, err := http.Get(url + path)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if !strings.Contains(string(b), want) {
				t.Errorf("%s: %s", path, b)
			}
		}
		resp, err := http.Post(url+"/keys/sign", "application/json", strings.NewReader("{}"))
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("anybody may sign: %v %v", resp, err)
		}
		resp.Body.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if code := stop(); code != exitPassed {
			t.Errorf("exit %d: %s", code, out)
		}
	}
}

// A service that reads a file joins by an agent.
func TestKeysAgent(t *testing.T) {
	url, _ := keysServer(t, "[{name: legacy, class: answering, secrets: ["+hookSecret+"], stays: true}]")
	file := filepath.Join(t.TempDir(), "keys.json")
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		b, err := os.ReadFile(file)
		kid := ""
		if tok, _, err := jwt.NewParser().ParseUnverified(raw, jwt.MapClaims{}); err == nil {
			kid, _ = tok.Header["kid"].(string)
		}
		if !ok || err != nil || kid == "" || !strings.Contains(string(b), kid) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer service.Close()
	config := keysFile(t, "agent.yaml", fmt.Sprintf("issuer: %s\nfile: %s\nmode: \"0600\"\nprobe: %s\nreload: {command: [\"true\"]}\nacknowledge: {url: %s/keys/ack/legacy, secret: %s, instance: legacy-1}\n", url, file, service.URL, url, hookSecret))
	if code, out, complaint := command(t, "keys", "agent", "--config", config, "--once"); code != exitPassed || !strings.Contains(out, "up to date") {
		t.Fatalf("exit %d: %s%s", code, out, complaint)
	}
	b := boardOf(t)
	if len(b.Verifiers) != 1 || b.Verifiers[0].Live != 1 || !b.Verifiers[0].Instances[0].Stays {
		t.Errorf("%+v", b.Verifiers)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	hints := freeAddress(t)
	withHints := keysFile(t, "agent.yaml", fmt.Sprintf("issuer: %s\nfile: %s\nacknowledge: {url: %s/keys/ack/legacy, secret: %s, instance: legacy-1}\nhints: {listen: \"%s\", secrets: [%s]}\n", url, file, url, hookSecret, hints, hookSecret))
	out, stop := background(t, "keys", "agent", "--config", withHints)
	out.await(t, "taking hints")
	if resp, err := http.Post("http://"+hints, "application/json", strings.NewReader("{}")); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("%v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	if code := stop(); code != exitPassed {
		t.Errorf("exit %d: %s", code, out)
	}
	for text, want := range map[string]string{
		"file: x\nreload: {url: http://x, command: [a]}": "more than one", "mode: rw": "octal", "reload: {signal: KILL, pid_file: x}": "HUP",
		"hints: {listen: x}": "both listen and secrets", "issuer: x": "Issuer or a File", "nofile: 1": "not a known key",
	} {
		if code, _, complaint := command(t, "keys", "agent", "--config", keysFile(t, "agent.yaml", text)); code != exitUsage || !strings.Contains(complaint, want) {
			t.Errorf("%q: exit %d: %s", text, code, complaint)
		}
	}
}
