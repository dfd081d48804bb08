package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"prunella"
	"prunella/store"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("PRUNELLA_STORE_CHILD"); dir != "" {
		commitForEver(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSQLite(t *testing.T) {
	conformance(t, func(t *testing.T) *store.Store { return open(t, t.TempDir()) })
}

func TestEverythingIsThereAfterReopening(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	incident(t, s, "inc-1")
	must(t, s.Commit(t.Context(), store.Batch{State: map[string][]byte{"detector": []byte("learned")}}))
	fence, ok, err := s.AcquireLease(t.Context(), "inc-1", "a", t0, time.Hour)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	must(t, s.Close())
	s = open(t, dir)
	if inc, err := s.Incident(t.Context(), "inc-1"); err != nil || inc.Title != "401 errors in user" {
		t.Errorf("%+v, %v", inc, err)
	}
	if b, err := s.LoadState(t.Context(), "detector"); err != nil || string(b) != "learned" {
		t.Errorf("%q, %v", b, err)
	}
	// Whoever held a lease has ended, for the folder was free: it is given away at
	// once, and the fences go on rising.
	next, ok, err := s.AcquireLease(t.Context(), "inc-1", "b", t0, time.Hour)
	if !ok || err != nil || next <= fence {
		t.Errorf("fence %d after %d, %v %v", next, fence, ok, err)
	}
	wantKind(t, s.RenewLease(t.Context(), "inc-1", fence, t0, time.Hour), prunella.Conflict)
}

func refused(t *testing.T, dsn string, kind prunella.Kind, says ...string) {
	t.Helper()
	s, err := store.Open(t.Context(), dsn)
	if err == nil {
		s.Close()
		t.Fatalf("%s was opened", dsn)
	}
	if prunella.KindOf(err) != kind {
		t.Errorf("kind %s, want %s: %v", prunella.KindOf(err), kind, err)
	}
	for _, text := range append(says, "(") { // every one has a remedy
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Run("folder below a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(file, nil, 0o600))
		refused(t, filepath.Join(file, "data"), prunella.Invalid, "cannot be written", file)
	})
	t.Run("folder without permission", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.Chmod(dir, 0o500))
		if os.WriteFile(filepath.Join(dir, "probe"), nil, 0o600) == nil {
			t.Log("permissions do not bind root; a read-only file system stands in")
			dir = "/proc"
		}
		refused(t, dir, prunella.Invalid, "cannot be written", dir)
	})
	t.Run("no database", func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, "prunella.db")
		text := strings.Repeat("just a text. ", 500)
		must(t, os.WriteFile(file, []byte(text), 0o600))
		refused(t, dir, prunella.Invalid, "not a database", file)
		if b, _ := os.ReadFile(file); string(b) != text {
			t.Error("the file was changed")
		}
	})
	t.Run("short file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "notes.db")
		must(t, os.WriteFile(file, []byte("hello"), 0o600))
		refused(t, file, prunella.Invalid, "not a database", file)
	})
	t.Run("another program's database", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "other.db")
		execSQL(t, file, "CREATE TABLE photos (id INTEGER)")
		before, _ := os.ReadFile(file)
		refused(t, file, prunella.Invalid, "another program", file)
		if after, _ := os.ReadFile(file); string(after) != string(before) {
			t.Error("the file was changed")
		}
	})
	t.Run("newer schema", func(t *testing.T) {
		dir := t.TempDir()
		must(t, open(t, dir).Close())
		execSQL(t, filepath.Join(dir, "prunella.db"), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9001, 1)")
		refused(t, dir, prunella.Conflict, "9001", "newer version")
	})
	t.Run("held by this process", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir)
		refused(t, dir, prunella.Conflict, "this process already")
	})
	t.Run("no folder", func(t *testing.T) { refused(t, "", prunella.Invalid, "no data folder") })
	t.Run("PostgreSQL", func(t *testing.T) { refused(t, "postgres://localhost/x", prunella.Invalid, "postgres") })
}

func execSQL(t *testing.T, file, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// commitForEver is what the test binary does when a test started it to be
// killed: each line it prints is a commit that was acknowledged.
func commitForEver(dir string) {
	ctx := context.Background()
	s, err := store.Open(ctx, dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	start := 0
	if b, err := s.LoadState(ctx, "count"); err == nil {
		fmt.Sscan(string(b), &start)
	}
	for i := start + 1; ; i++ {
		id := prunella.IncidentID(fmt.Sprintf("inc-%d", i))
		err := s.Commit(ctx, store.Batch{
			Updates:       []store.IncidentUpdate{{Create: &prunella.Incident{ID: id, State: prunella.Open}, Events: []prunella.Event{{Text: "opened"}}}},
			Linked:        map[prunella.IncidentID][]prunella.Signal{id: {{ID: prunella.SignalID(id) + "-a"}, {ID: prunella.SignalID(id) + "-b"}}},
			Notifications: []prunella.Notification{{ID: string(id), Incident: id}},
			State:         map[string][]byte{"count": fmt.Append(nil, i)},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(i)
	}
}

func TestAcknowledgedCommitsSurviveKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "PRUNELLA_STORE_CHILD="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		must(t, cmd.Start())
		if round == 0 { // wait for the first commit: then the folder is held
			lines := bufio.NewReader(out)
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			refused(t, dir, prunella.Conflict, fmt.Sprintf("(pid %d)", cmd.Process.Pid))
		}
		acknowledged, seen := 0, 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, err := fmt.Sscan(lines.Text(), &acknowledged); err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
			if seen++; seen == 25+13*round {
				cmd.Process.Kill() // SIGKILL; what was still in the pipe counts too
			}
		}
		if cmd.Wait() == nil {
			t.Fatal("the child ended by itself")
		}

		s := open(t, dir)
		b, err := s.LoadState(t.Context(), "count")
		if err != nil {
			t.Fatal(err)
		}
		var count int
		fmt.Sscan(string(b), &count)
		if count != acknowledged && count != acknowledged+1 { // the last answer may have been cut off
			t.Fatalf("round %d: %d commits found, %d were acknowledged", round, count, acknowledged)
		}
		all, err := s.Incidents(t.Context(), store.IncidentFilter{Limit: 100_000})
		if err != nil || len(all) != count {
			t.Fatalf("%d incidents of %d commits, %v", len(all), count, err)
		}
		for _, inc := range all { // each commit is there whole
			events, _ := s.Events(t.Context(), inc.ID)
			notes, _ := s.Notifications(t.Context(), inc.ID)
			_, total, _ := s.SignalsOf(t.Context(), inc.ID, 0, 0)
			if inc.Signals != 2 || total != 2 || len(events) != 1 || len(notes) != 1 {
				t.Fatalf("%s is there in part: %d signals, %d links, %d events, %d notifications", inc.ID, inc.Signals, total, len(events), len(notes))
			}
		}
		must(t, s.Close())
	}
}

func TestPruneGivesSpaceBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var changes []prunella.Signal
	for i := range 2000 {
		changes = append(changes, prunella.Signal{ID: prunella.SignalID(fmt.Sprint(i)), Kind: prunella.KindChange, Time: t0, Body: strings.Repeat("x", 1000)})
	}
	must(t, s.Commit(t.Context(), store.Batch{Changes: changes}))
	must(t, s.Close())
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, "prunella.db"))
		must(t, err)
		return info.Size()
	}
	before := size()
	s = open(t, dir)
	must(t, s.Prune(t.Context(), t0.Add(time.Hour)))
	must(t, s.Close())
	if after := size(); after > before/4 {
		t.Errorf("the file has %d bytes after pruning everything, %d before", after, before)
	}
}
