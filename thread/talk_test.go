package thread_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prunella/thread"
)

var update = flag.Bool("update", false, "rewrite what the transcripts want")

// TestTalk runs every conversation in testdata/talk. A file holds messages, one
// a line ("2026-04-19 11:42 maya: text", replies indented, further lines of a
// message after "|", bots with a '!' before their name, a channel after '#'),
// and after "-- want --" what is extracted.
func TestTalk(t *testing.T) {
	files, err := filepath.Glob("testdata/talk/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(b), "-- want --\n")
			e, err := thread.OpenExport(exportOf(t, in))
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			r, err := thread.Extract(context.Background(), e.Directory(), e.Messages(), thread.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := tell(r)
			if *update {
				if err := os.WriteFile(file, []byte(in+"-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// tell writes what was extracted, one fact a line.
func tell(r thread.Result) string {
	var b strings.Builder
	list := func(name string, s []thread.Sentence) {
		for _, one := range s {
			fmt.Fprintf(&b, "%s: %s  <%s, %s>\n", name, one.Text, one.Source.Author, one.Rule)
		}
	}
	for _, x := range r.Extractions {
		fmt.Fprintf(&b, "== %s %s (%s, %d messages)\n", x.Channel, x.Title, x.Kind, len(x.Messages))
		fmt.Fprintf(&b, "reporter: %s\nowners: %s\n", x.Reporter, strings.Join(x.Owners, " "))
		for _, m := range x.Times {
			fmt.Fprintf(&b, "%s: %s (%s)\n", m.Name, m.At.Format("2006-01-02 15:04"), m.Rule)
		}
		list("symptom", x.Symptoms)
		list("ruled out", x.RuledOut)
		list("diagnosis", x.Diagnosis)
		for _, a := range x.Tried {
			fmt.Fprintf(&b, "tried: %s  => %s (%s)\n", a.Text, a.Outcome, a.Why)
		}
		for _, c := range x.Commands {
			fmt.Fprintf(&b, "%s %s: %s\n", c.Kind, c.Lang, strings.ReplaceAll(c.Text, "\n", "⏎"))
		}
		for _, c := range x.Queries {
			fmt.Fprintf(&b, "query %s: %s\n", c.Lang, strings.ReplaceAll(c.Text, "\n", "⏎"))
		}
		list("verification", x.Verification)
		list("escalation", x.Escalation)
		list("recurs", x.Recurs)
		for _, f := range x.FollowUps {
			fmt.Fprintf(&b, "follow-up: %s  done=%v %s %s\n", f.Text, f.Done, f.Since.Format(time.DateOnly), f.Owner)
		}
		if x.Occurrence > 1 {
			fmt.Fprintf(&b, "occurrence: %d of %q first %s\n", x.Occurrence, x.RecurrenceOf, x.FirstSeen.Format(time.DateOnly))
		}
	}
	for _, p := range r.Passed {
		fmt.Fprintf(&b, "passed: %s %.1f\n", p.Text, p.Score)
	}
	return b.String()
}

// exportOf writes a transcript as an export folder.
func exportOf(t *testing.T, in string) string {
	t.Helper()
	dir := t.TempDir()
	type object = map[string]any
	users, days := map[string]object{}, map[string][]object{}
	channels := map[string]bool{}
	channel, root, n := "incidents", "", 0
	var last object
	for line := range strings.SplitSeq(in, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "//"):
			continue
		case strings.HasPrefix(trimmed, "#"):
			channel = trimmed[1:]
			continue
		case strings.HasPrefix(trimmed, "|"):
			last["text"] = last["text"].(string) + "\n" + strings.TrimPrefix(trimmed[1:], " ")
			continue
		}
		var day, clock string
		var rest string
		if _, err := fmt.Sscanf(trimmed, "%s %s", &day, &clock); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		rest = strings.TrimPrefix(trimmed, day+" "+clock+" ")
		who, text, ok := strings.Cut(rest, ": ")
		at, err := time.Parse("2006-01-02 15:04", day+" "+clock)
		if err != nil || !ok {
			t.Fatalf("line %q: %v", line, err)
		}
		n++
		ts := fmt.Sprintf("%d.%06d", at.Unix(), n)
		m := object{"type": "message", "ts": ts, "text": text}
		if bot, is := strings.CutPrefix(who, "!"); is {
			m["subtype"], m["bot_id"], m["username"], m["text"] = "bot_message", "B"+strings.ToUpper(bot), bot, ""
			m["attachments"] = []object{{"title": text, "color": "danger"}}
		} else {
			id := "U" + strings.ToUpper(who)
			m["user"] = id
			users[id] = object{"id": id, "name": who, "profile": object{"display_name": who, "email": who + "@example.com"}}
		}
		if strings.HasPrefix(line, " ") {
			m["thread_ts"] = root
		} else {
			root = ts
		}
		channels[channel] = true
		key := channel + "/" + day
		days[key] = append(days[key], m)
		last = m
	}
	write := func(name string, v any) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var us, cs []object
	for _, u := range users {
		us = append(us, u)
	}
	for c := range channels {
		cs = append(cs, object{"id": "C" + strings.ToUpper(strings.ReplaceAll(c, "-", "")), "name": c})
	}
	write("users.json", us)
	write("channels.json", cs)
	for key, list := range days {
		write(key+".json", list)
	}
	return dir
}
