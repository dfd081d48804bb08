package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack/slacktest"

	"prunella"
	"prunella/thread/live"
)

// slackd is slack-go's fake server with the calls and the socket that it
// lacks.
type slackd struct {
	*slacktest.Server
	mu      sync.Mutex
	calls   []string // "conversations.replies C1 1713527162.000100 cursor"
	limited int      // how many calls of conversations.replies get 429
	broken  int      // how many get 500 and a page of HTML
	auth    string   // what apps.connections.open says when it refuses
	acks    chan string
	conns   chan *websocket.Conn
}

func fake(t *testing.T) *slackd {
	d := &slackd{acks: make(chan string, 100), conns: make(chan *websocket.Conn, 10)}
	d.Server = slacktest.NewTestServer(func(c slacktest.Customize) {
		c.Handle("/conversations.info", func(w http.ResponseWriter, r *http.Request) {
			d.note(r, "conversations.info")
			fmt.Fprintf(w, `{"ok":true,"channel":{"id":%q,"name":"incidents","is_channel":true}}`, r.FormValue("channel"))
		})
		c.Handle("/users.info", func(w http.ResponseWriter, r *http.Request) {
			d.note(r, "users.info")
			fmt.Fprintf(w, `{"ok":true,"user":{"id":%q,"name":"sam","profile":{"display_name":"sam","title":"platform"},"tz_offset":7200}}`, r.FormValue("user"))
		})
		c.Handle("/conversations.replies", d.replies)
		c.Handle("/conversations.history", func(w http.ResponseWriter, r *http.Request) {
			d.note(r, "conversations.history")
			fmt.Fprint(w, `{"ok":true,"messages":[{"type":"message","user":"U2","text":"written while nobody listened","ts":"1713527300.000100"}],"has_more":false}`)
		})
		c.Handle("/apps.connections.open", func(w http.ResponseWriter, r *http.Request) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.auth != "" {
				fmt.Fprintf(w, `{"ok":false,"error":%q}`, d.auth)
				return
			}
			fmt.Fprintf(w, `{"ok":true,"url":"ws://%s/ws"}`, d.ServerAddr)
		})
		c.Handle("/ws", slacktest.Websocket(d.socket))
	})
	d.Start()
	t.Cleanup(d.Stop)
	return d
}

func (d *slackd) note(r *http.Request, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, strings.TrimSpace(strings.Join([]string{what, r.FormValue("channel"), r.FormValue("ts"), r.FormValue("cursor"), r.FormValue("user")}, " ")))
}

func (d *slackd) called(prefix string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, c := range d.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// replies answers a thread of three messages on two pages.
func (d *slackd) replies(w http.ResponseWriter, r *http.Request) {
	d.note(r, "conversations.replies")
	d.mu.Lock()
	limited, broken := d.limited, d.broken
	if d.limited > 0 {
		d.limited--
	} else if d.broken > 0 {
		d.broken--
	}
	d.mu.Unlock()
	switch {
	case limited > 0:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case broken > 0:
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "<html>oops</html>")
	case r.FormValue("cursor") == "":
		fmt.Fprint(w, `{"ok":true,"messages":[
			{"type":"message","user":"U1","text":"root","ts":"1713527000.000100","thread_ts":"1713527000.000100","reply_count":2,"reactions":[{"name":"eyes","users":["U1"],"count":1}],"pinned_to":["C1"]},
			{"type":"message","user":"U2","text":"first reply","ts":"1713527001.000100","thread_ts":"1713527000.000100"}],
			"has_more":true,"response_metadata":{"next_cursor":"page2"}}`)
	default:
		fmt.Fprint(w, `{"ok":true,"messages":[{"type":"message","subtype":"bot_message","bot_id":"B1","username":"Datadog","text":"","ts":"1713527002.000100","thread_ts":"1713527000.000100",
			"blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*Recovered*: auth.401 rate"}}]}],"has_more":false}`)
	}
}

// socket hands the connection to the test and collects acknowledgements.
func (d *slackd) socket(c *websocket.Conn) {
	d.conns <- c
	for {
		var ack struct {
			EnvelopeID string `json:"envelope_id"`
		}
		if err := c.ReadJSON(&ack); err != nil {
			return
		}
		d.acks <- ack.EnvelopeID
	}
}

func (d *slackd) deliver(t *testing.T, c *websocket.Conn, envelope, payload string) {
	t.Helper()
	if err := c.WriteJSON(map[string]any{"type": "events_api", "envelope_id": envelope, "payload": json.RawMessage(payload), "accepts_response_payload": false}); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, l *live.Live) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func (d *slackd) ack(t *testing.T) string {
	t.Helper()
	select {
	case id := <-d.acks:
		return id
	case <-time.After(20 * time.Second):
		t.Fatal("no acknowledgement")
		return ""
	}
}

func (d *slackd) conn(t *testing.T) *websocket.Conn {
	t.Helper()
	select {
	case c := <-d.conns:
		return c
	case <-time.After(20 * time.Second):
		t.Fatal("no connection")
		return nil
	}
}

func client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// TestBackfill answers a reply to a thread that was never seen: its beginning
// is read, on two pages, through a rate limit and a failure of Slack's.
func TestBackfill(t *testing.T) {
	d := fake(t)
	d.limited, d.broken = 1, 1
	s := newShelf()
	l := open(t, live.Config{BotToken: "xoxb-1", APIURL: d.GetAPIURL(), Client: client(t)}, s)
	stop := run(t, l)
	start := time.Now()
	for n := range 3 { // several replies ask for the thread once
		if w := send(l, callback(fmt.Sprint("Ev", n), message(fmt.Sprintf("17135272%02d.000100", n), `,"thread_ts":"1713527000.000100"`))); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
	}
	s.until(t, "the thread and its people", func() bool { return len(s.messages) == 6 && len(s.dir.Users) == 2 && s.dir.Workspace != "" })
	stop()
	if took := time.Since(start); took < time.Second {
		t.Errorf("Retry-After of one second was not waited for: %s", took)
	}
	if n := d.called("conversations.replies C1 1713527000.000100"); n != 4 {
		t.Errorf("%d calls of conversations.replies, want a limited one, a broken one and two pages: %v", n, d.calls)
	}
	if n := d.called("conversations.info"); n != 1 {
		t.Errorf("asked %d times what the channel is called", n)
	}
	root, _ := s.get("incidents/1713527000.000100")
	if !root.Pinned || root.Replies != 2 || len(root.Reactions) != 1 {
		t.Errorf("root: %+v", root)
	}
	if bot, _ := s.get("incidents/1713527002.000100"); bot.Name != "Datadog" || !strings.Contains(bot.Text, "Recovered") {
		t.Errorf("bot: %+v", bot)
	}
	if u := s.dir.Users["U1"]; u.Name != "sam" || u.Title != "platform" || u.Offset != 7200 {
		t.Errorf("user: %+v", u)
	}
	if s.dir.Workspace == "" || strings.HasSuffix(s.dir.Workspace, "/") {
		t.Errorf("workspace %q", s.dir.Workspace)
	}
	if st := l.Status(); st.Limited != 1 || st.Backfilled != 3 {
		t.Errorf("%+v", st)
	}
}

// TestReactionsAreReadAgain takes a pin, whose event has no message in it.
func TestReactionsAreReadAgain(t *testing.T) {
	d := fake(t)
	s := newShelf()
	l := open(t, live.Config{BotToken: "xoxb-1", APIURL: d.GetAPIURL(), Client: client(t)}, s)
	stop := run(t, l)
	defer stop()
	send(l, callback("Ev1", `{"type":"reaction_added","user":"U1","reaction":"eyes","item":{"type":"message","channel":"C1","ts":"1713527000.000100"},"event_ts":"1713527300.000100"}`))
	s.until(t, "the message with its reaction", func() bool { return len(s.messages["incidents/1713527000.000100"].Reactions) == 1 })
}

func TestSocketMode(t *testing.T) {
	d := fake(t)
	s := newShelf()
	l, err := live.New(live.Config{AppToken: "xapp-1", BotToken: "xoxb-1", APIURL: d.GetAPIURL(), Client: client(t)}, s)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, l)
	c := d.conn(t)
	if err := c.WriteJSON(map[string]any{"type": "hello", "num_connections": 1}); err != nil {
		t.Fatal(err)
	}
	d.deliver(t, c, "env-1", callback("Ev1", message("1713527162.000100", "")))
	if id := d.ack(t); id != "env-1" {
		t.Errorf("acknowledged %s", id)
	}
	if m, ok := s.get("incidents/1713527162.000100"); !ok || m.User != "U1" {
		t.Errorf("acknowledged and not stored: %+v", m)
	}
	// Not stored: not acknowledged; the retry is.
	s.mu.Lock()
	s.fail = prunella.Errorf(prunella.Unavailable, "disk full")
	s.mu.Unlock()
	d.deliver(t, c, "env-2", callback("Ev2", message("1713527163.000100", "")))
	d.deliver(t, c, "env-3", callback("Ev3", `{"type":"team_icon_of_the_future","x":1}`)) // unknown to slack-go
	if id := d.ack(t); id != "env-3" {
		t.Errorf("acknowledged %s, which was not stored", id)
	}
	s.mu.Lock()
	s.fail = nil
	s.mu.Unlock()
	d.deliver(t, c, "env-4", callback("Ev2", message("1713527163.000100", "")))
	if id := d.ack(t); id != "env-4" {
		t.Errorf("acknowledged %s", id)
	}
	// Slack asks to reconnect; what was written meanwhile is read back.
	if err := c.WriteJSON(map[string]any{"type": "disconnect", "reason": "refresh_requested"}); err != nil {
		t.Fatal(err)
	}
	c = d.conn(t)
	s.until(t, "what was missed", func() bool { _, ok := s.messages["incidents/1713527300.000100"]; return ok })
	d.deliver(t, c, "env-5", callback("Ev5", message("1713527400.000100", "")))
	if id := d.ack(t); id != "env-5" {
		t.Errorf("acknowledged %s", id)
	}
	// And the connection breaks.
	c.Close()
	c = d.conn(t)
	d.deliver(t, c, "env-6", callback("Ev6", message("1713527500.000100", "")))
	d.ack(t)
	if st := l.Status(); !st.Connected || st.Reconnects != 2 || st.Stored < 4 || st.Failed != 1 {
		t.Errorf("%+v", st)
	}
	stop()
	if l.Status().Connected {
		t.Error("still connected after Run")
	}
}

func TestSocketModeWithABadToken(t *testing.T) {
	d := fake(t)
	d.auth = "invalid_auth"
	l, err := live.New(live.Config{AppToken: "xapp-bad", APIURL: d.GetAPIURL(), Client: client(t)}, newShelf())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Run(t.Context()); prunella.KindOf(err) != prunella.Unauthorized || !strings.Contains(err.Error(), "app_token") {
		t.Errorf("got %v", err)
	}
}
