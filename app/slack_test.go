package app

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"prunella/client"
)

const slackSecret = "8f742231b10e8888abcd99yyyzzz85a5"

// say sends one message as Slack's Events API does, and returns the status.
func say(t *testing.T, server, secret, ts, thread, user, text string) int {
	t.Helper()
	message := map[string]any{"type": "message", "channel": "C01", "channel_type": "channel", "ts": ts, "user": user, "text": text}
	if thread != "" {
		message["thread_ts"] = thread
	}
	body, err := json.Marshal(map[string]any{"type": "event_callback", "team_id": "T1", "event_id": "Ev" + ts, "event_time": 1, "event": message})
	if err != nil {
		t.Fatal(err)
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "v0:%s:%s", at, body)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+"/slack/events", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Slack-Request-Timestamp", at)
	req.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// What people write in an incident becomes a draft of a skill that waits for a
// person; the engine does not have it.
func TestSlackBecomesADraft(t *testing.T) {
	dir := ownWiki(t)
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Wiki: dir, TimeScale: 60, Slack: Slack{SigningSecret: slackSecret}})
	defer stop()
	start := time.Now().Add(-time.Hour).Truncate(time.Minute)
	root := fmt.Sprintf("%d.000100", start.Unix())
	for i, m := range []struct{ user, text string }{
		{"U01", ":rotating_light: checkout is down, 38% of requests return 503 since " + start.Add(-5*time.Minute).UTC().Format("15:04") + " UTC. Logs say `remaining connection slots are reserved`"},
		{"U02", "looking. I'll take this one. No deploy since yesterday, so it is not a release"},
		{"U02", "tried restarting the pods with `kubectl rollout restart deployment/checkout -n shop`, that did not help, still 503s"},
		{"U02", "root cause: the report job holds 400 idle connections to postgres, the pool is exhausted"},
		{"U02", "running `psql -c \"select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'report'\"` now. my mail is dana@shop.example if it pages"},
		{"U01", "that fixed it: error rate is back to 0.1%, checkout works again. Confirmed, resolved"},
		{"U01", "follow-up: limit the report job to 20 connections (ticket SHOP-812)"},
	} {
		ts, thread := root, ""
		if i > 0 {
			ts, thread = fmt.Sprintf("%d.000100", start.Add(time.Duration(i)*3*time.Minute).Unix()), root
		}
		if got := say(t, a.URL(), slackSecret, ts, thread, m.user, m.text); got != http.StatusOK {
			t.Fatalf("message %d was answered %d", i, got)
		}
	}
	if got := say(t, a.URL(), "another secret", "1.1", "", "U09", "forged"); got != http.StatusUnauthorized {
		t.Errorf("a message with a wrong signature was answered %d", got)
	}
	var drafts []string
	deadline(t, "a draft", func() bool {
		drafts, _ = filepath.Glob(filepath.Join(dir, "drafts", "*.skill.md"))
		return len(drafts) == 1
	})
	text := read(t, drafts[0])
	for _, want := range []string{"pg_terminate_backend", "that did not help", "SHOP-812"} {
		if !strings.Contains(text, want) {
			t.Errorf("the draft lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "dana@") {
		t.Errorf("the draft has a mail address:\n%s", text)
	}
	skills, err := client.New(a.URL()).Skills(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(skills) != 4 {
		t.Errorf("%d skills are installed; a draft is none", len(skills))
	}
}

// incident tells a conversation of an outage from its first message on: a
// reporter, a cause, a command that helped, an end.
func incident(t *testing.T, server string, start time.Time, service, cause, command string) {
	t.Helper()
	root := fmt.Sprintf("%d.000100", start.Unix())
	for i, text := range []string{
		":rotating_light: " + service + " is down, 40% of requests return 503 since " + start.Add(-5*time.Minute).UTC().Format("15:04") + " UTC",
		"looking. I'll take this one",
		"root cause: " + cause,
		"running `" + command + "` now",
		"that fixed it: error rate is back to 0.1%, " + service + " works again. Confirmed, resolved",
	} {
		ts, thread := root, ""
		if i > 0 {
			ts, thread = fmt.Sprintf("%d.000100", start.Add(time.Duration(i)*3*time.Minute).Unix()), root
		}
		if got := say(t, server, slackSecret, ts, thread, "U0"+strconv.Itoa(1+i%2), text); got != http.StatusOK {
			t.Fatalf("message %d was answered %d", i, got)
		}
	}
}

// A draft that a person discarded stays away when people write about something
// else, and the model is asked about it once.
func TestADiscardedDraftStaysAway(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{} // times that the model saw a cause
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, cause := range []string{"idle connections", "expired certificate"} {
			if bytes.Contains(b, []byte(cause)) {
				asked[cause]++
			}
		}
		http.Error(w, "no model today", http.StatusBadRequest)
	}))
	defer model.Close()
	dir := ownWiki(t)
	a, stop := serve(t, Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Wiki: dir, TimeScale: 60, Slack: Slack{SigningSecret: slackSecret}, Polish: Polish{URL: model.URL, Model: "m"}})
	defer stop()
	drafts := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "drafts", "*.skill.md"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	start := time.Now().Add(-3 * time.Hour).Truncate(time.Minute)
	incident(t, a.URL(), start, "checkout", "the report job holds 400 idle connections to postgres", "kubectl delete job report -n shop")
	deadline(t, "a draft", func() bool { return len(drafts()) == 1 })
	name := strings.TrimSuffix(filepath.Base(drafts()[0]), ".skill.md")
	if err := a.wiki.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := backend{a}
	v, err := b.Draft(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.DiscardDraft(t.Context(), name, v.Page.Hash, "kim", ""); err != nil {
		t.Fatal(err)
	}
	incident(t, a.URL(), start.Add(2*time.Hour), "search", "an expired certificate on the ingress", "kubectl rollout restart deployment/ingress -n edge")
	deadline(t, "the draft of the other incident", func() bool { return len(drafts()) > 0 })
	if left := drafts(); len(left) != 1 || strings.Contains(left[0], name) {
		t.Errorf("after %s was discarded there are %v", name, left)
	}
	mu.Lock()
	defer mu.Unlock()
	if asked["idle connections"] != 1 || asked["expired certificate"] != 1 {
		t.Errorf("the model was asked %v", asked)
	}
}

// A server that was stopped before a conversation was quiet drafts it after the
// next start, and not a second time after the one after that.
func TestAConversationOutlivesAStop(t *testing.T) {
	dir, data := ownWiki(t), t.TempDir()
	cfg := Config{Listen: "127.0.0.1:0", Data: data, Wiki: dir, Slack: Slack{SigningSecret: slackSecret}} // quiet is half a minute
	a, stop := serve(t, cfg)
	incident(t, a.URL(), time.Now().Add(-30*time.Minute).Truncate(time.Minute), "checkout", "the report job holds 400 idle connections to postgres", "kubectl delete job report -n shop")
	stop()
	drafts := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "drafts", "*.skill.md"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if left := drafts(); len(left) != 0 {
		t.Fatalf("it did not wait until it was quiet: %v", left)
	}
	a, stop = serve(t, cfg)
	defer func() { stop() }()
	deadline(t, "the draft", func() bool { return len(drafts()) == 1 })
	deadline(t, "that to be kept", func() bool {
		o, err := a.offered(t.Context(), "C01")
		return err == nil && len(o.Drafts) == 1 && o.Through != ""
	})
	stop()
	if err := os.Remove(drafts()[0]); err != nil {
		t.Fatal(err)
	}
	a, stop = serve(t, cfg)
	if err := a.catchUp(t.Context()); err != nil || len(drafts()) != 0 {
		t.Errorf("drafted again: %v, %v", drafts(), err)
	}
}

// What of the configuration belongs together is said before anything starts.
func TestSlackNeedsItsParts(t *testing.T) {
	for text, want := range map[string]string{
		"slack: {bot_token: x}":                   "neither signing_secret nor app_token",
		"slack: {signing_secret: x}":              "a folder to write drafts to",
		"polish: {url: 'http://localhost:11434'}": "both url and model",
		"polish: {url: 'nowhere', model: m}":      "is no address",
	} {
		if _, err := ParseConfig("p.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; it should say %q", text, err, want)
		}
	}
}
