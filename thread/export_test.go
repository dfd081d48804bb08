package thread_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"prunella"
	"prunella/thread"
)

// zipOf writes an archive with these entries, name and content in turn.
func zipOf(t testing.TB, entries ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		f, err := w.Create(entries[i])
		if err == nil {
			_, err = f.Write([]byte(entries[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "export.zip")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	usersJSON    = `[{"id":"U1","name":"ada","profile":{"display_name":"Ada","email":"ada@example.com","phone":"+49 30 1234567"},"tz_offset":7200}]`
	channelsJSON = `[{"id":"C1","name":"ops","pins":[{"id":"1700000001.000100"}]}]`
)

func read(t testing.TB, path string) ([]thread.Message, thread.Report, error) {
	t.Helper()
	e, err := thread.OpenExport(path)
	if err != nil {
		return nil, thread.Report{}, err
	}
	defer e.Close()
	var list []thread.Message
	for m, err := range e.Messages() {
		if err != nil {
			return list, e.Report(), err
		}
		list = append(list, m)
	}
	return list, e.Report(), nil
}

func TestExportIsRead(t *testing.T) {
	list, report, err := read(t, zipOf(t, "users.json", usersJSON, "channels.json", channelsJSON, "dms.json", `[{"id":"D1","members":["U1"]}]`,
		"ops/2023-11-15.json", `[{"type":"message","ts":"1700050000.000200","thread_ts":"1700000001.000100","user":"U1","text":"a reply, days later"}]`,
		"ops/2023-11-14.json", `[
			{"type":"message","ts":"1700000001.000100","thread_ts":"1700000001.000100","reply_count":3,"user":"U1","text":"disk &lt;full&gt;","reactions":[{"name":"eyes","count":2}],"edited":{"ts":"1700000009.000000"}},
			{"type":"message","ts":"1700000001.000100","user":"U1","text":"disk"},
			{"subtype":"bot_message","ts":"1700000002.000000","bot_id":"B1","username":"pager","text":"","attachments":[{"title":"CPU high","color":"danger","fields":[{"title":"host","value":"db-1"}]}]},
			{"ts":"1700000003.000000","user":"U9","text":"","blocks":[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"run "},{"type":"text","text":"df -h","style":{"code":true}},{"type":"user","user_id":"U1"}]},{"type":"rich_text_preformatted","elements":[{"type":"text","text":"df -h\n/dev/sda 99%"}]}]}]},
			{"ts":"1700000004.000000","subtype":"tombstone","text":"This message was deleted."},
			{"ts":1700000005.000500,"user":"U1","text":"a number for an id","files":[{"name":"a.yaml","filetype":"yaml","preview":"a: 1"}]},
			{"user":"U1","text":"no id"}]`,
		"D1/2023-11-14.json", `[{"ts":"1700000006.000000","user":"U1","text":"psst"}]`))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, m := range list {
		fmt.Fprintf(&got, "%s %s %s %q pinned=%v edited=%s files=%d attached=%d\n", m.Channel, m.TS, m.ThreadTS, m.Text, m.Pinned, m.Edited, len(m.Files), len(m.Attachments))
	}
	want := `D1 1700000006.000000  "psst" pinned=false edited= files=0 attached=0
ops 1700000001.000100 1700000001.000100 "disk &lt;full&gt;" pinned=true edited=1700000009.000000 files=0 attached=0
ops 1700000002.000000  "" pinned=false edited= files=0 attached=1
ops 1700000003.000000  "run ` + "`df -h`<@U1>\\n```\\ndf -h\\n/dev/sda 99%\\n```" + `" pinned=false edited= files=0 attached=0
ops 1700000004.000000  "This message was deleted." pinned=false edited= files=0 attached=0
ops 1700000005.000500  "a number for an id" pinned=false edited= files=1 attached=0
ops 1700050000.000200 1700000001.000100 "a reply, days later" pinned=false edited= files=0 attached=0
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	if len(report.Gaps) != 1 || report.Gaps[0].Want != 3 || report.Gaps[0].Have != 1 {
		t.Errorf("gaps %+v", report.Gaps)
	}
	if report.Duplicates != 1 || report.Messages != 7 || len(report.Problems) != 1 {
		t.Errorf("report %+v", report)
	}
}

// TestBadExports: a clear error or a named problem, and what can be read is read.
func TestBadExports(t *testing.T) {
	good := `{"ts":"1700000001.000000","user":"U1","text":"before"}`
	whole := zipOf(t, "channels.json", channelsJSON, "ops/2023-11-14.json", "["+good+"]")
	b, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.zip")
	if err := os.WriteFile(cut, b[:len(b)-30], 0o600); err != nil {
		t.Fatal(err)
	}
	after := `{"ts":"1700000002.000000","user":"U1","text":"after"}`
	for _, c := range []struct {
		name, path string
		kind       prunella.Kind
		messages   int
		says       string // in the error or a problem
	}{
		{"truncated archive", cut, prunella.Invalid, 0, "cut off"},
		{"no archive", filepath.Join(t.TempDir(), "none.zip"), prunella.NotFound, 0, "no such file"},
		{"not an export", zipOf(t, "readme.txt", "hello"), prunella.Invalid, 0, "no Slack export"},
		{"a way out of the folder", zipOf(t, "channels.json", channelsJSON, "../evil/2023-11-14.json", "["+good+"]", "ops/2023-11-14.json", "["+good+"]"), "", 1, "leads out"},
		{"a bomb", zipOf(t, "channels.json", channelsJSON, "ops/2023-11-14.json", "["+good+"]", "ops/2023-11-15.json", "["+strings.Repeat(good+","+strings.Repeat(" ", 7<<20), 5)+good+"]"), prunella.TooLarge, 0, "ZIP bomb"},
		{"no UTF-8", zipOf(t, "channels.json", channelsJSON, "ops/2023-11-14.json", "[{\"ts\":\"1700000001.000000\",\"text\":\"a\xff\xfeb\"}]"), "", 1, "UTF-8"},
		{"deep JSON", zipOf(t, "channels.json", channelsJSON, "ops/2023-11-14.json", "["+good+","+strings.Repeat("[", 200000)+"]"), "", 1, "before that were read"},
		{"half a file", zipOf(t, "channels.json", channelsJSON, "ops/2023-11-14.json", "["+good+","+after[:20]), "", 1, "ends in the middle"},
		{"a huge message", zipOf(t, "channels.json", channelsJSON, "ops/2023-11-14.json", "["+good+`,{"ts":"1700000002.000000","text":"`+strings.Repeat("ab c", 1<<19)+`"}]`), "", 2, "cut off"},
		{"a wrong element", zipOf(t, "channels.json", channelsJSON, "ops/2023-11-14.json", `[42,`+good+`,"x",null]`), "", 1, "message 1"},
		{"a channel without a list", zipOf(t, "users.json", usersJSON, "ops/2023-11-14.json", "["+good+"]"), "", 1, "no list of channels"},
		{"wrapped in a folder", zipOf(t, "acme/channels.json", channelsJSON, "acme/ops/2023-11-14.json", "["+good+"]"), "", 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, report, err := read(t, c.path)
			if prunella.KindOf(err) != c.kind || len(list) != c.messages {
				t.Fatalf("%d messages, error %v, want %d and kind %q", len(list), err, c.messages, c.kind)
			}
			if all := fmt.Sprintf("%v %+v", err, report.Problems); !strings.Contains(all, c.says) {
				t.Errorf("nothing says %q: %s", c.says, all)
			}
		})
	}
}

func TestFolderLinksLeadNowhereElse(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(secret, []byte(`[{"ts":"1700000001.000000","text":"outside"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "ops"), 0o755),
		os.WriteFile(filepath.Join(dir, "channels.json"), []byte(channelsJSON), 0o600),
		os.Symlink(secret, filepath.Join(dir, "ops", "2023-11-14.json")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	list, report, err := read(t, dir)
	if err != nil || len(list) != 0 || len(report.Problems) != 1 {
		t.Errorf("%d messages, %v, %+v", len(list), err, report.Problems)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for _, s := range []string{
		`{"ts":"1700000001.000000","text":"<@U1> *hi* ` + "```a```" + `","blocks":[{"type":"rich_text","elements":[{"type":"rich_text_list","elements":[{"type":"rich_text_section","elements":[]}]}]}]}`,
		`{"ts":"1700000001.000000","subtype":"message_changed","message":{"ts":"1700000001.000000","text":"x"}}`,
		`{"ts":"1700000001.000000","attachments":[{"text":"a","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"b"}}]}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := thread.DecodeMessage(thread.Channel{ID: "C1", Name: "ops"}, b)
		if err == nil && thread.Time(m.TS).IsZero() {
			t.Fatalf("a message without an id: %+v", m)
		}
		if err != nil && prunella.KindOf(err) != prunella.Invalid {
			t.Fatalf("%v is no Invalid", err)
		}
	})
}

// FuzzConversations gives the mrkdwn parser and all the rules arbitrary text.
func FuzzConversations(f *testing.F) {
	f.Add("errors are up, 5xx 12%", "restarted api\n```\n$ kubectl get pods\n```", "that fixed it at 12:03 UTC. TODO: add alert")
	f.Add("<@U1> `` ` ~x~ *a* _b_ <http://a|b>", "```", "> quoted\n- [x] done")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		list := []thread.Message{{Channel: "inc-1234", TS: "1700000001.000000", User: "U1", Text: a}, {Channel: "inc-1234", TS: "1700000061.000000", User: "U2", Text: b}, {Channel: "inc-1234", TS: "1700000121.000000", User: "U1", Text: c}}
		n := 0
		for _, conv := range thread.Conversations(thread.Channel{Name: "inc-1234"}, &thread.Directory{}, list) {
			n += len(conv.Messages)
		}
		if n != len(list) {
			t.Fatalf("%d of %d messages are in a conversation", n, len(list))
		}
	})
}
