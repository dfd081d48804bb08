package exportgen_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// page is where what was measured is published.
var page = filepath.Join("..", "..", "docs", "extraction.md")

// The tables of the page, each by the command that measures it.
const (
	accuracy = "go test ./thread/exportgen -run TestExtraction -update"
	size     = "go test ./thread/exportgen -run xxx -bench Extract100k -benchtime 1x -update"
)

// cut splits the page at one of its tables.
func cut(t testing.TB, command string) (before, table, after string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const end = "<!-- end of what was measured -->"
	begin := "<!-- measured: " + command + " -->\n"
	before, rest, ok := strings.Cut(string(b), begin)
	table, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("%s has no table that begins with %s", page, begin)
	}
	return before + begin, table, end + after
}

func published(t testing.TB, command string) string {
	t.Helper()
	_, table, _ := cut(t, command)
	return table
}

func publish(t testing.TB, command, table string) {
	t.Helper()
	before, _, after := cut(t, command)
	if err := os.WriteFile(page, []byte(before+table+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
