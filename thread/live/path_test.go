package live_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prunella/thread"
	"prunella/thread/exportgen"
	"prunella/thread/live"
)

// workspace serves the names of an exported workspace.
func workspace(t *testing.T, dir string) *httptest.Server {
	read := func(file string) map[string]json.RawMessage {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		var list []json.RawMessage
		if err := json.Unmarshal(b, &list); err != nil {
			t.Fatal(err)
		}
		by := map[string]json.RawMessage{}
		for _, raw := range list {
			var x struct{ ID string }
			json.Unmarshal(raw, &x)
			by[x.ID] = raw
		}
		return by
	}
	users, channels := read("users.json"), read("channels.json")
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, key string, v json.RawMessage) {
		w.Header().Set("Content-Type", "application/json")
		if v == nil {
			fmt.Fprintf(w, `{"ok":false,"error":%q}`, key+"_not_found")
			return
		}
		fmt.Fprintf(w, `{"ok":true,%q:%s}`, key, v)
	}
	mux.HandleFunc("/users.info", func(w http.ResponseWriter, r *http.Request) { answer(w, "user", users[r.FormValue("user")]) })
	mux.HandleFunc("/conversations.info", func(w http.ResponseWriter, r *http.Request) {
		answer(w, "channel", channels[r.FormValue("channel")])
	})
	mux.HandleFunc("/auth.test", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"ok":true,"url":"https://acme.slack.com/"}`)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// TestLiveIsTheExport delivers an exported workspace message by message, some
// of it twice, into a real store, and extracts the same as from the export.
func TestLiveIsTheExport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "export")
	archive := exportgen.Generate(exportgen.Options{Seed: 12, Incidents: 5, Days: 20, Chatter: 60})
	if err := archive.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	e, err := thread.OpenExport(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	fromExport, err := thread.Extract(t.Context(), e.Directory(), e.Messages(), thread.Options{})
	if err != nil {
		t.Fatal(err)
	}

	store, err := thread.OpenStore(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	l := open(t, live.Config{BotToken: "xoxb-1", APIURL: workspace(t, dir).URL + "/", Client: client(t)}, store)
	stop := run(t, l)
	type delivery struct{ ts, body string }
	var all []delivery
	for _, ch := range e.Directory().Channels {
		days, err := filepath.Glob(filepath.Join(dir, ch.Name, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, day := range days {
			b, err := os.ReadFile(day)
			if err != nil {
				t.Fatal(err)
			}
			var list []map[string]any
			if err := json.Unmarshal(b, &list); err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				m["channel"], m["channel_type"] = ch.ID, "channel"
				raw, err := json.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, delivery{m["ts"].(string), callback("Ev"+ch.ID+m["ts"].(string), string(raw))})
			}
		}
	}
	slices.SortFunc(all, func(a, b delivery) int { return strings.Compare(a.ts, b.ts) })
	for i, d := range all {
		for range 1 + i%7/6 {
			if w := send(l, d.body); w.Code != 200 {
				t.Fatalf("%d %s: %s", w.Code, w.Body, d.body)
			}
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for { // names are learned after
		known, err := store.Directory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(known.Users) == len(writers(t, e)) && known.Workspace != "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d people known", len(known.Users), len(writers(t, e)))
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if st := l.Status(); st.Stored < archive.Messages || st.Duplicates == 0 {
		t.Errorf("%d messages, %+v", archive.Messages, st)
	}
	known, err := store.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fromLive, err := thread.Extract(t.Context(), known, store.Messages(t.Context(), ""), thread.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(fromExport.Extractions) < 3 {
		t.Fatalf("only %d extractions", len(fromExport.Extractions))
	}
	// Where a message stands is known better live: the export names no workspace.
	for _, x := range [][]thread.Extraction{fromExport.Extractions, fromLive.Extractions} {
		slices.SortFunc(x, func(a, b thread.Extraction) int { return strings.Compare(a.Key(), b.Key()) })
	}
	if d := cmp.Diff(fromExport.Extractions, fromLive.Extractions, cmp.FilterPath(func(p cmp.Path) bool {
		last := p.Last().String()
		return last == ".Permalink" || last == ".Missing"
	}, cmp.Ignore())); d != "" {
		t.Error(d)
	}
}

// writers are the people of the directory who wrote something.
func writers(t *testing.T, e *thread.Export) map[string]bool {
	known := map[string]bool{}
	for m, err := range e.Messages() {
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := e.Directory().Users[m.User]; ok {
			known[m.User] = true
		}
	}
	return known
}
