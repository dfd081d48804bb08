package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"encoding/json"

	"prunella/keyset"
	"prunella/rotation"
	"prunella/rotation/agent"
	"prunella/rotation/signer"
	"prunella/rotation/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuerURL = "https://id.example.test"
	secret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

var quiet = slog.New(slog.DiscardHandler)

// hosts are servers that are reached through RoundTrip.
type hosts struct{ m sync.Map }

func (h *hosts) put(name string, host http.Handler) { h.m.Store(name, host) }

func (h *hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	found, _ := h.m.Load(r.URL.Host)
	host, _ := found.(http.Handler)
	if host == nil {
		return nil, errors.New("connection refused")
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	host.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// service verifies with the keys that were in a file when it was told to load it.
type service struct {
	file string
	mu   sync.Mutex
	set  jose.JSONWebKeySet
	deaf bool // says that it loads, and does not
	open bool // lets everybody in
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/reload" {
		b, err := os.ReadFile(s.file)
		if err == nil && !s.deaf {
			err = json.Unmarshal(b, &s.set)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		return
	}
	if !s.open && !s.accepts(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// takes asks the service from outside of it.
func (s *service) takes(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepts(token)
}

func (s *service) accepts(token string) bool {
	sig, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return false
	}
	for _, k := range s.set.Key(sig.Signatures[0].Header.KeyID) {
		if _, err := sig.Verify(k); err == nil {
			return true
		}
	}
	return false
}

func start(t *testing.T, s *service) (*rotation.Rotator, *hosts) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s.file = filepath.Join(t.TempDir(), "keys.json")
	h := &hosts{}
	h.put("orders-1", s)
	client := &http.Client{Transport: h}
	r, err := rotation.New(t.Context(), rotation.Config{Issuer: issuerURL, Algorithm: "EdDSA", Store: store, Signer: &signer.Memory{}, Node: "n", Tick: 15 * time.Second, Log: quiet, Client: client,
		Policy:    rotation.Policy{Period: 3 * time.Hour, MaxLifetime: 10 * time.Minute, Stale: time.Minute, Skew: 10 * time.Second, Watch: time.Minute, Quiet: time.Minute},
		Verifiers: []rotation.Verifier{{Name: "orders", Class: rotation.Answering, Secrets: []string{secret}, Hooks: []string{"https://agent/hints"}}}})
	if err != nil {
		t.Fatal(err)
	}
	h.put("id.example.test", r.Handler(nil))
	a, err := agent.New(agent.Config{Issuer: issuerURL, File: s.file, Reload: agent.Call("https://orders-1/reload", client), Probe: "https://orders-1/",
		Acknowledge: keyset.Acknowledge{URL: issuerURL + "/keys/ack/orders", Secret: secret, Instance: "orders-1"}, HintSecrets: []string{secret}, Client: client, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	h.put("agent", a.Hints())
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = r.Run(ctx) }) // nil
	time.Sleep(time.Second)
	done.Go(func() { _ = a.Run(ctx) }) // nil
	t.Cleanup(func() { cancel(); done.Wait() })
	time.Sleep(time.Second)
	return r, h
}

func signing(t *testing.T, r *rotation.Rotator) rotation.KeyID {
	t.Helper()
	s, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ring := rotation.Ring{Keys: s.Keys}
	k, _ := ring.Signer()
	return k.ID
}

func TestAStaticFileFollowsARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		r, _ := start(t, s)
		first := signing(t, r)
		if err := r.Rotate(t.Context(), rotation.Order{By: "maya"}); err != nil {
			t.Fatal(err)
		}
		old := ""
		for range 40 {
			token, err := r.Token(t.Context(), "", nil)
			if err != nil {
				t.Fatal(err)
			}
			if !s.takes(token) || old != "" && time.Now().Minute()%20 < 9 && !s.takes(old) {
				t.Fatal("a token was refused")
			}
			old = token
			time.Sleep(30 * time.Second)
		}
		if signing(t, r) == first {
			st, _ := r.Status(t.Context())
			t.Fatalf("not promoted: %v", st.Gates)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.file), ".keys-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// A file that is current proves nothing: the service must have loaded it.
func TestAServiceThatDoesNotLoadBlocks(t *testing.T) {
	for name, s := range map[string]*service{"deaf": {}, "open to all": {open: true}} {
		synctest.Test(t, func(t *testing.T) {
			r, _ := start(t, s)
			first := signing(t, r)
			s.mu.Lock()
			s.deaf = !s.open
			s.mu.Unlock()
			if err := r.Rotate(t.Context(), rotation.Order{By: "maya"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Minute)
			_, err := r.Promote(t.Context(), "", rotation.Order{By: "maya"})
			var e *rotation.Error
			if signing(t, r) != first || !errors.As(err, &e) || len(e.Reason.Blockers) != 1 || e.Reason.Blockers[0].Code != rotation.NotProven {
				t.Errorf("%s: %v", name, err)
			}
			s.mu.Lock()
			s.deaf, s.open = false, false
			s.mu.Unlock()
			rec := httptest.NewRecorder()
			s.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/reload", nil))
			time.Sleep(10 * time.Minute)
			if signing(t, r) == first {
				t.Errorf("%s: not promoted when it was healed", name)
			}
		})
	}
}

// The agent dies, the service serves on with its old file: the issuer waits.
func TestADeadAgentBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		r, h := start(t, s)
		first := signing(t, r)
		h.put("id.example.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
		time.Sleep(10 * time.Minute)
		if err := r.Rotate(t.Context(), rotation.Order{By: "maya"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		_, err := r.Promote(t.Context(), "", rotation.Order{By: "maya"})
		var e *rotation.Error
		if !errors.As(err, &e) || e.Reason.Blockers[0].Code != rotation.LeaseExpired || signing(t, r) != first {
			t.Errorf("%v", err)
		}
		h.put("id.example.test", r.Handler(nil))
		time.Sleep(10 * time.Minute)
		if signing(t, r) == first {
			t.Error("not promoted when it came back")
		}
	})
}

func TestABadDocumentDoesNotReachTheFile(t *testing.T) {
	good := `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	answer, status := good, http.StatusOK
	discovery := `{"issuer":"https://id.example.test","jwks_uri":"https://id.example.test/keys"}`
	told := ""
	h := &hosts{}
	h.put("id.example.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			fmt.Fprint(w, discovery)
		case "/ack":
			b, _ := io.ReadAll(r.Body)
			told = string(b)
			fmt.Fprint(w, "{}")
		default:
			w.WriteHeader(status)
			fmt.Fprint(w, answer)
		}
	}))
	file := filepath.Join(t.TempDir(), "keys.json")
	loads := 0
	a, err := agent.New(agent.Config{Issuer: issuerURL, File: file, Client: &http.Client{Transport: h}, Log: quiet, Mode: 0o640,
		Reload:      func(context.Context) error { loads++; return nil },
		Acknowledge: keyset.Acknowledge{URL: issuerURL + "/ack", Secret: secret, Instance: "i"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", info, err)
	}
	if !strings.Contains(told, `"kid":"a"`) || !strings.Contains(told, `"stays":true`) || loads != 1 {
		t.Errorf("told %s, %d loads", told, loads)
	}
	for name, bad := range map[string]string{
		"not JSON": "<html>", "empty": `{"keys":[]}`, "secret": strings.Replace(good, `"kid"`, `"d":"AAAA","kid"`, 1),
		"huge": strings.Repeat(" ", 300<<10) + good, "weak": `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","alg":"RS256","kid":"w"}]}`,
	} {
		answer = bad
		if err := a.RunOnce(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	answer, status = good, http.StatusServiceUnavailable
	if err := a.RunOnce(t.Context()); err == nil {
		t.Error("a failed fetch is no error")
	}
	status = http.StatusOK
	discovery = strings.Replace(discovery, "id.example", "evil.example", 1)
	if err := a.RunOnce(t.Context()); err == nil {
		t.Error("another issuer's discovery document was taken")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != good || loads != 1 {
		t.Errorf("the file has %q, %v; %d loads", b, err, loads)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	good := agent.Config{Issuer: issuerURL, File: "keys.json", Acknowledge: keyset.Acknowledge{URL: issuerURL, Secret: secret}}
	if _, err := agent.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*agent.Config){
		"issuer": func(c *agent.Config) { c.Issuer = "" }, "file": func(c *agent.Config) { c.File = "" }, "probe": func(c *agent.Config) { c.Probe = "/x" },
		"jwks": func(c *agent.Config) { c.JWKS = "ftp://x" }, "secret": func(c *agent.Config) { c.Acknowledge.Secret = "" },
		"lease": func(c *agent.Config) { c.Acknowledge.Lease = 1 }, "hints": func(c *agent.Config) { c.HintSecrets = []string{"%"} },
		"ack": func(c *agent.Config) { c.Acknowledge.URL = "" },
	} {
		cfg := good
		change(&cfg)
		if _, err := agent.New(cfg); !errors.Is(err, rotation.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHintsAreSigned(t *testing.T) {
	a, err := agent.New(agent.Config{Issuer: issuerURL, File: "keys.json", HintSecrets: []string{secret}, Acknowledge: keyset.Acknowledge{URL: issuerURL, Secret: secret}})
	if err != nil {
		t.Fatal(err)
	}
	hook, _ := standardwebhooks.NewWebhook(secret)
	for _, c := range []struct {
		method string
		age    time.Duration
		body   string
		want   int
	}{{"POST", 0, "{}", 202}, {"POST", time.Hour, "{}", 401}, {"GET", 0, "", 405}, {"POST", 0, strings.Repeat("x", 1<<20), 400}} {
		r := httptest.NewRequest(c.method, "/", strings.NewReader(c.body))
		at := time.Now().Add(-c.age)
		sig, _ := hook.Sign("id", at, []byte(c.body))
		r.Header.Set("webhook-id", "id")
		r.Header.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
		r.Header.Set("webhook-signature", sig)
		w := httptest.NewRecorder()
		a.Hints().ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s %.10q: %d, want %d", c.method, c.body, w.Code, c.want)
		}
	}
}

func TestReloads(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	pid := filepath.Join(dir, "pid")
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGHUP)
	defer signal.Stop(got)
	if err := os.WriteFile(pid, []byte(fmt.Sprintln(os.Getpid())), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := agent.Signal(pid, syscall.SIGHUP)(ctx); err != nil {
		t.Fatal(err)
	}
	<-got
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("-1"), 0o600); err != nil { // which would be everybody
		t.Fatal(err)
	}
	truth, err := exec.LookPath("true")
	if err != nil {
		t.Skip("there is no true")
	}
	if err := agent.Command(truth)(ctx); err != nil {
		t.Error(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer server.Close()
	if err := agent.Call(server.URL, server.Client())(ctx); err != nil {
		t.Error(err)
	}
	for name, reload := range map[string]func(context.Context) error{
		"bad pid": agent.Signal(bad, syscall.SIGHUP), "no file": agent.Signal(filepath.Join(dir, "none"), syscall.SIGHUP),
		"no command": agent.Command(), "failing command": agent.Command(truth + "-not"),
		"refused": agent.Call(server.URL+"/bad", nil), "unreachable": agent.Call("http://127.0.0.1:1/", nil),
	} {
		if err := reload(ctx); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
