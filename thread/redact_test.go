package thread_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"prunella/thread"
)

// TestSecretsAreRedacted reads testdata/redact/secrets.txt: kind, what must be
// gone, and the text it stands in, between tabs. \n stands for a line break.
func TestSecretsAreRedacted(t *testing.T) {
	for n, line := range corpus(t, "testdata/redact/secrets.txt") {
		kind, rest, _ := strings.Cut(line, "\t")
		secret, text, ok := strings.Cut(rest, "\t")
		if !ok {
			t.Fatalf("line %d has no two tabs", n)
		}
		text = strings.ReplaceAll(strings.ReplaceAll(text, `\n`, "\n"), "@@", secret)
		secret = strings.ReplaceAll(secret, `\n`, "\n")
		text = strings.ReplaceAll(text, `\n`, "\n")
		got := thread.NewRedactor().Text(text)
		if strings.Contains(got, secret) || !strings.Contains(got, "[redacted "+kind+" 1]") {
			t.Errorf("line %d: want %s gone from\n  %s\ngot\n  %s", n, kind, text, got)
		}
		if again := thread.NewRedactor().Text(got); again != got {
			t.Errorf("line %d: redacting again changes\n  %s\nto\n  %s", n, got, again)
		}
	}
}

// TestLookalikesSurvive reads testdata/redact/lookalikes.txt: every line must
// stay as it is.
func TestLookalikesSurvive(t *testing.T) {
	for n, line := range corpus(t, "testdata/redact/lookalikes.txt") {
		text := strings.ReplaceAll(line, `\n`, "\n")
		if got := thread.NewRedactor().Text(text); got != text {
			t.Errorf("line %d:\n  %s\nbecame\n  %s", n, text, got)
		}
	}
}

func corpus(t *testing.T, path string) map[int]string {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]string{}
	for i, line := range strings.Split(string(b), "\n") {
		if line != "" && !strings.HasPrefix(line, "## ") {
			out[i+1] = line
		}
	}
	return out
}

func TestOneValueHasOneNumber(t *testing.T) {
	r := thread.NewRedactor()
	first := r.Text("mail ada@example.com or bob@example.com")
	second := r.Text("Ada@example.com wrote, bob@example.com too")
	if first != "mail [redacted e-mail 1] or [redacted e-mail 2]" || second != "[redacted e-mail 1] wrote, [redacted e-mail 2] too" {
		t.Errorf("%s\n%s", first, second)
	}
}

func TestEveryTextOfAMessageIsRedacted(t *testing.T) {
	const s = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
	m := thread.Message{Text: s, Name: s, Attachments: []thread.Attachment{{Title: s, Pretext: s, Text: s, Fallback: s, Footer: s,
		Fields: []thread.Field{{Title: "password", Value: "hunter2!"}, {Title: s, Value: s}}}}, Files: []thread.File{{Name: s, Preview: s}}}
	got := fmt.Sprintf("%+v", thread.NewRedactor().Message(m))
	if strings.Contains(got, s) || strings.Contains(got, "hunter2") {
		t.Errorf("left over: %s", got)
	}
	if m.Attachments[0].Fields[0].Value != "hunter2!" || m.Files[0].Name != s {
		t.Error("the caller's message was changed")
	}
}

func FuzzRedact(f *testing.F) {
	for _, s := range []string{"password=x y", "Cookie: a=b; c=d", "call +49 30 1234567", "a@b.cc", "eyJhbGciOi.eyJzdWIi.x", "-----BEGIN PRIVATE KEY-----"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := thread.NewRedactor()
		once := r.Text(s)
		if r.Text(s) != once {
			t.Fatalf("%q is not redacted the same way twice", s)
		}
	})
}
