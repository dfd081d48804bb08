package live_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"prunella"
	"prunella/thread"
	"prunella/thread/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf keeps messages in memory, as thread.Store does on disk; it can be made
// to fail or to hang.
type shelf struct {
	mu       sync.Mutex
	messages map[string]thread.Message // by channel/ts
	dir      thread.Directory
	puts     int
	fail     error
	hang     bool
	changed  chan struct{} // gets something after every change
}

func newShelf() *shelf {
	return &shelf{messages: map[string]thread.Message{}, changed: make(chan struct{}, 1),
		dir: thread.Directory{Users: map[string]thread.User{}, Channels: map[string]thread.Channel{}}}
}

func (s *shelf) tell() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *shelf) Put(ctx context.Context, messages []thread.Message) (thread.Put, error) {
	s.mu.Lock()
	fail, hang := s.fail, s.hang
	s.mu.Unlock()
	if hang {
		<-ctx.Done()
		return thread.Put{}, ctx.Err()
	}
	if fail != nil {
		return thread.Put{}, fail
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		s.puts++
		s.messages[m.Channel+"/"+m.TS] = m
	}
	s.tell()
	return thread.Put{Added: len(messages)}, nil
}

func (s *shelf) Delete(_ context.Context, channel, ts string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, m := range s.messages {
		if m.ChannelID == channel && m.TS == ts {
			delete(s.messages, key)
		}
	}
	s.tell()
	return nil
}

func (s *shelf) PutDirectory(_ context.Context, d *thread.Directory) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range d.Users {
		s.dir.Users[k] = v
	}
	for k, v := range d.Channels {
		s.dir.Channels[k] = v
	}
	if d.Workspace != "" {
		s.dir.Workspace = d.Workspace
	}
	s.tell()
	return nil
}

func (s *shelf) get(key string) (thread.Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.messages[key]
	return m, ok
}

// until waits for a condition on what is stored.
func (s *shelf) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		ok := is()
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-s.changed:
		case <-deadline:
			t.Fatalf("never came: %s", what)
		}
	}
}

const secret = "8f742231b10e8888abcd99yyyzzz85a5"

func sign(body string, at time.Time, key string) http.Header {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	io.WriteString(mac, "v0:"+stamp+":"+body)
	return http.Header{"X-Slack-Request-Timestamp": {stamp}, "X-Slack-Signature": {"v0=" + hex.EncodeToString(mac.Sum(nil))}, "Content-Type": {"application/json"}}
}

func send(l http.Handler, body string) *httptest.ResponseRecorder {
	return sendWith(l, body, sign(body, time.Now(), secret))
}

func sendWith(l http.Handler, body string, h http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/slack/events", strings.NewReader(body))
	r.Header = h
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w
}

func callback(eventID, event string) string {
	return fmt.Sprintf(`{"token":"x","team_id":"T1","api_app_id":"A1","type":"event_callback","event_id":%q,"event_time":1713527162,"event":%s}`, eventID, event)
}

func message(ts, extra string) string {
	return fmt.Sprintf(`{"type":"message","channel":"C1","channel_type":"channel","user":"U1","text":"401s on api-worker","ts":%q%s}`, ts, extra)
}

func open(t *testing.T, cfg live.Config, s live.Store) *live.Live {
	t.Helper()
	if cfg.SigningSecret == "" {
		cfg.SigningSecret = secret
	}
	l, err := live.New(cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSignatureDecides(t *testing.T) {
	body := callback("E1", message("1713527162.000100", ""))
	now := time.Now()
	changed := sign(body, now, secret)
	version := sign(body, now, secret)
	version.Set("X-Slack-Signature", strings.Replace(version.Get("X-Slack-Signature"), "v0=", "v1=", 1))
	for name, c := range map[string]struct {
		header http.Header
		body   string
		want   int
	}{
		"good":          {sign(body, now, secret), body, 200},
		"edge":          {sign(body, now.Add(-4*time.Minute), secret), body, 200},
		"another key":   {sign(body, now, "other"), body, 401},
		"old":           {sign(body, now.Add(-6*time.Minute), secret), body, 401},
		"from tomorrow": {sign(body, now.Add(6*time.Minute), secret), body, 401},
		"changed body":  {changed, strings.Replace(body, "401s", "402s", 1), 401},
		"raw body":      {sign(strings.ReplaceAll(body, ":", ": "), now, secret), body, 401},
		"unsigned":      {http.Header{}, body, 401},
		"version":       {version, body, 401},
		"no JSON":       {sign("{", now, secret), "{", 400},
		"no message id": {sign(callback("E2", message("x", "")), now, secret), callback("E2", message("x", "")), 400},
		"too large":     {sign(strings.Repeat("x", 2<<20), now, secret), strings.Repeat("x", 2<<20), 413},
	} {
		s := newShelf()
		l := open(t, live.Config{}, s)
		w := sendWith(l, c.body, c.header)
		if w.Code != c.want {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.want)
		}
		if stored := s.puts > 0; stored != (c.want == 200) {
			t.Errorf("%s: stored: %v", name, stored)
		}
		if c.want != 200 && (w.Header().Get("X-Slack-No-Retry") != "1" || l.Status().Refused != 1) {
			t.Errorf("%s: Slack is not told that sending it again is useless", name)
		}
	}
	w := httptest.NewRecorder()
	open(t, live.Config{}, newShelf()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
}

func TestURLVerificationIsSigned(t *testing.T) {
	l := open(t, live.Config{}, newShelf())
	body := `{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}`
	if w := send(l, body); w.Code != 200 || w.Body.String() != "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%d %q %q", w.Code, w.Body, w.Header())
	}
	if w := sendWith(l, body, sign(body, time.Now(), "other")); w.Code != 401 {
		t.Errorf("unsigned challenge was answered: %d", w.Code)
	}
}

func TestKindsOfMessages(t *testing.T) {
	s := newShelf()
	l := open(t, live.Config{}, s)
	ts := "1713527162.000100"
	for i, e := range []string{
		message(ts, ""),
		message("1713527170.000200", `,"thread_ts":"1713527162.000100","subtype":"thread_broadcast","root":{"ts":"1713527162.000100"}`),
		`{"type":"message","subtype":"bot_message","channel":"C1","channel_type":"channel","bot_id":"B1","username":"Datadog","text":"","ts":"1713527180.000300","attachments":[{"title":"Triggered: 401 rate","text":"auth.401 rate > 10x","color":"danger"}]}`,
		message("1713527190.000400", `,"subtype":"file_share","files":[{"id":"F1","name":"fix.sh","filetype":"shell","preview":"kubectl rollout restart deploy/api-worker"}]`),
		`{"type":"message","subtype":"message_changed","channel":"C1","channel_type":"channel","ts":"1713527200.000500","message":{"type":"message","user":"U1","text":"402s, sorry: 401s","ts":"1713527162.000100","edited":{"user":"U1","ts":"1713527199.000000"}}}`,
	} {
		if w := send(l, callback(fmt.Sprint("E", i), e)); w.Code != 200 {
			t.Fatalf("%d: %d %s", i, w.Code, w.Body)
		}
	}
	if m, _ := s.get("C1/" + ts); m.Text != "402s, sorry: 401s" || m.Edited != "1713527199.000000" {
		t.Errorf("edited: %+v", m)
	}
	if m, _ := s.get("C1/1713527170.000200"); m.ThreadTS != ts {
		t.Errorf("broadcast: %+v", m)
	}
	if m, _ := s.get("C1/1713527180.000300"); m.BotID != "B1" || m.Name != "Datadog" || len(m.Attachments) != 1 {
		t.Errorf("bot: %+v", m)
	}
	if m, _ := s.get("C1/1713527190.000400"); len(m.Files) != 1 || !strings.Contains(m.Files[0].Preview, "rollout") {
		t.Errorf("file: %+v", m)
	}
	deleted := callback("E9", `{"type":"message","subtype":"message_deleted","channel":"C1","channel_type":"channel","ts":"1713527210.000600","deleted_ts":"1713527162.000100","previous_message":{"ts":"1713527162.000100"}}`)
	if w := send(l, deleted); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	// A late edit of it, or a late delivery, does not bring it back.
	send(l, callback("E10", message(ts, "")))
	if _, ok := s.get("C1/" + ts); ok {
		t.Error("a deleted message came back")
	}
	before := s.puts
	for i, e := range []string{
		`{"type":"message","channel":"D1","channel_type":"im","user":"U1","text":"private","ts":"1713527220.000100"}`,
		`{"type":"message","channel":"G1","channel_type":"mpim","user":"U1","text":"private","ts":"1713527221.000100"}`,
		`{"type":"message","subtype":"message_replied","channel":"C1","channel_type":"channel","ts":"1713527222.000100","message":{"ts":"1713527162.000100"}}`,
		`{"type":"channel_rename","channel":{"id":"C1","name":"new"}}`,
		`{"type":"app_home_opened","user":"U1"}`,
	} {
		if w := send(l, callback(fmt.Sprint("I", i), e)); w.Code != 200 {
			t.Errorf("%s: %d", e, w.Code)
		}
	}
	if st := l.Status(); s.puts != before || st.Ignored != 5 || st.Deleted != 1 || st.Received != 12 {
		t.Errorf("stored %d more, status %+v", s.puts-before, st)
	}
}

func TestStoredBeforeAcknowledgedAndOnce(t *testing.T) {
	s := newShelf()
	l := open(t, live.Config{}, s)
	body := callback("Ev1", message("1713527162.000100", ""))
	for _, fail := range []error{errors.New("disk full"), prunella.Errorf(prunella.Invalid, "no database")} {
		s.fail = fail
		if w := send(l, body); w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("X-Slack-No-Retry") != "" {
			t.Errorf("not stored, and Slack was told %d %v", w.Code, w.Header())
		}
	}
	s.fail = nil
	for range 3 { // the retries
		if w := send(l, body); w.Code != 200 {
			t.Errorf("retry: %d", w.Code)
		}
	}
	if st := l.Status(); s.puts != 1 || st.Duplicates != 2 || st.Failed != 2 || st.Stored != 1 {
		t.Errorf("stored %d times, %+v", s.puts, st)
	}
}

// TestAnswersWithinThreeSeconds lets the store hang; Slack is told in time.
func TestAnswersWithinThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.hang = true
		l := open(t, live.Config{}, s)
		start := time.Now()
		w := send(l, callback("Ev1", message("1713527162.000100", "")))
		if took := time.Since(start); w.Code != 503 || took >= 3*time.Second {
			t.Errorf("%d after %s", w.Code, took)
		}
	})
}

func TestChannelsAreChosen(t *testing.T) {
	s := newShelf()
	l := open(t, live.Config{Channels: []string{"C2"}}, s)
	send(l, callback("Ev1", message("1713527162.000100", "")))
	send(l, callback("Ev2", strings.Replace(message("1713527163.000100", ""), `"C1"`, `"C2"`, 1)))
	if st := l.Status(); st.Stored != 1 || st.Ignored != 1 {
		t.Errorf("%+v", st)
	}
}

// TestChangedComesWhenItIsQuiet plays a busy channel against the clock.
func TestChangedComesWhenItIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var calls []string
		l := open(t, live.Config{Settle: 30 * time.Second, Changed: func(_ context.Context, channel string) error {
			calls = append(calls, fmt.Sprintf("%s after %s", channel, time.Since(start).Round(time.Second)))
			return errors.New("logged and not fatal")
		}}, newShelf())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		post := func(n int) { send(l, callback(fmt.Sprint("Ev", n), message(fmt.Sprintf("17135%05d.000100", n), ""))) }
		for n := range 3 { // a burst
			post(n)
			time.Sleep(10 * time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := strings.Join(calls, "; "); got != "C1 after 50s" {
			t.Errorf("burst: %s", got)
		}
		calls, start = nil, time.Now()
		for n := range 40 { // talk that does not stop
			post(100 + n)
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		if got := strings.Join(calls, "; "); got != "C1 after 5m0s" {
			t.Errorf("endless: %s", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestNeedsOneWay(t *testing.T) {
	if _, err := live.New(live.Config{BotToken: "xoxb-1"}, newShelf()); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("got %v", err)
	}
	l, err := live.New(live.Config{AppToken: "xapp-1"}, newShelf())
	if err != nil {
		t.Fatal(err)
	}
	if w := send(l, "{}"); w.Code != 404 {
		t.Errorf("an Events API without a secret answered %d", w.Code)
	}
}

// FuzzEvent sends signed nonsense: any answer but a panic, and no message
// stored that has no id.
func FuzzEvent(f *testing.F) {
	f.Add(callback("E1", message("1713527162.000100", "")))
	f.Add(callback("E1", `{"type":"message","subtype":"message_changed","channel":{"id":"C1"},"message":[]}`))
	f.Add(`{"type":"event_callback","event":null}`)
	f.Add(`{"type":"event_callback","event":{"type":"reaction_added","item":{"type":"message","ts":"1"}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		s := newShelf()
		l, err := live.New(live.Config{SigningSecret: secret}, s)
		if err != nil {
			t.Fatal(err)
		}
		send(l, body)
		for key, m := range s.messages {
			if thread.Time(m.TS).IsZero() {
				t.Errorf("stored %s without an id", key)
			}
		}
	})
}

// TestTooMuchToReadBackIsCounted lets more replies to unknown threads come than
// anybody reads back.
func TestTooMuchToReadBackIsCounted(t *testing.T) {
	l := open(t, live.Config{}, newShelf())
	for n := range 4000 { // Run is not there; each asks for a thread, a name and Changed
		send(l, callback(fmt.Sprint("Ev", n), message(fmt.Sprintf("17135%05d.000100", n), fmt.Sprintf(`,"thread_ts":"17134%05d.000100"`, n))))
	}
	if st := l.Status(); st.Stored != 4000 || st.Dropped != 2000 {
		t.Errorf("%+v", st)
	}
}
