package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// pingEvery is how often an idle stream says that it is alive; prunella.js
// calls a page stale when two of them are missing.
const pingEvery = 10 * time.Second

// events streams changes as server-sent events: "changed" with a
// client.Change, "ping" with the server's time. It ends with the request or
// with the subscription.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	changes := s.backend.Subscribe(r.Context())
	out := http.NewResponseController(w)
	out.SetWriteDeadline(time.Time{}) // a stream outlives the server's write timeout; not every writer has one
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a buffering proxy would hold events back
	send := func(event string, data any) bool {
		b, err := json.Marshal(data)
		if err == nil {
			_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, b)
		}
		return err == nil && out.Flush() == nil
	}
	if _, err := fmt.Fprint(w, "retry: 2000\n\n"); err != nil || !send("ping", time.Now().UTC()) {
		return
	}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case ch, ok := <-changes:
			if !ok || !send("changed", ch) {
				return
			}
		case now := <-ping.C:
			if !send("ping", now.UTC()) {
				return
			}
		}
	}
}
