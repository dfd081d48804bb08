package thread_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"prunella"
	"prunella/thread"
)

func TestStoreIsIdempotentAndTakesEdits(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	open := func() *thread.Store {
		s, err := thread.OpenStore(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	list := []thread.Message{
		{Channel: "ops", ChannelID: "C1", TS: "1700000002.000000", User: "U1", Text: "mail ada@example.com"},
		{Channel: "ops", ChannelID: "C1", TS: "1700000001.000000", User: "U1", Text: "first"},
	}
	put := func(s *thread.Store, list []thread.Message) thread.Put {
		p, err := s.Put(ctx, list)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := put(s, list); p != (thread.Put{Added: 2}) {
		t.Errorf("first time: %+v", p)
	}
	if p := put(s, list); p != (thread.Put{Unchanged: 2}) {
		t.Errorf("again: %+v", p)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	edit := list[1]
	edit.Text, edit.Edited = "edited, bob@example.com and ada@example.com", "1700000009.000000"
	if p := put(s, []thread.Message{edit}); p != (thread.Put{Updated: 1}) {
		t.Errorf("edit: %+v", p)
	}
	if p := put(s, list[1:]); p != (thread.Put{Unchanged: 1}) {
		t.Errorf("the older text came after the edit: %+v", p)
	}
	var texts []string
	for m, err := range s.Messages(ctx, "#ops") {
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, m.Text)
	}
	if len(texts) != 2 || texts[0] != "edited, [redacted e-mail 2] and [redacted e-mail 1]" || texts[1] != "mail [redacted e-mail 1]" {
		t.Errorf("stored %q", texts)
	}
	if err := s.Delete(ctx, "C1", "1700000001.000000"); err != nil {
		t.Fatal(err)
	}
	if p := put(s, list[1:]); p.Added != 1 {
		t.Errorf("after deleting: %+v", p)
	}
}

func TestNoSecretReachesTheDisk(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	s, err := thread.OpenStore(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "hunter2hunter2"
	err = s.PutDirectory(ctx, &thread.Directory{Users: map[string]thread.User{"U1": {ID: "U1", Name: "ada", Title: "password: " + secret}}, Channels: map[string]thread.Channel{"C1": {ID: "C1", Name: "ops", Topic: "password=" + secret}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(ctx, []thread.Message{{Channel: "ops", TS: "1700000001.000000", Text: "password=" + secret, Files: []thread.File{{Name: "x", Preview: "DB_PASSWORD=" + secret}}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s holds the secret", f)
		}
	}
}

func TestStoreThatIsNone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "threads.db"), bytes.Repeat([]byte("no database "), 500), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := thread.OpenStore(context.Background(), dir); prunella.KindOf(err) != prunella.Invalid {
		t.Errorf("opened %v, %v", s, err)
	}
}
