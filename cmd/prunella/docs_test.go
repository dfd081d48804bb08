package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Every command that the help, the README or a page of docs/ shows is one that
// this program takes: right words, right flags, right number of arguments.
func TestShownCommandsParse(t *testing.T) {
	shown := map[string]string{} // command line → where it stands
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md") {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(b), "\\\n", " ")
		for _, m := range regexp.MustCompile("(?m)^ *(?:\\$ )?(?:bin/)?prunella (.*)$|`prunella ([^`]+)`").FindAllStringSubmatch(text, -1) {
			for part := range strings.SplitSeq(m[1]+m[2], " && ") {
				shown[strings.TrimPrefix(strings.TrimPrefix(part, "bin/"), "prunella ")] = page
			}
		}
	}
	for _, h := range []kong.HelpProvider{serveCmd{}, labCmd{}, scenarioRunCmd{}, incidentCmd{}, skillCmd{}, wikiCmd{}, threadCmd{}, keysCmd{}, mcpCmd{}} {
		for line := range strings.SplitSeq(h.Help(), "\n") {
			if line, is := strings.CutPrefix(line, "    prunella "); is {
				shown[line] = "--help"
			}
		}
	}
	if len(shown) < 40 {
		t.Errorf("only %d commands were found", len(shown))
	}
	abbreviated := regexp.MustCompile(`[\[\]|…]|\.\.\.`) // a form for a reader, not a line to paste
	words := regexp.MustCompile(`"[^"]*"|\S+`)
	t.Setenv("USER", "maya")
	for line, where := range shown {
		line, _, _ = strings.Cut(line, " # ")
		if abbreviated.MatchString(line) {
			continue
		}
		args := words.FindAllString(line, -1)
		if len(args) == 1 && !strings.HasPrefix(args[0], "-") { // the name of a command in a sentence
			args = append(args, "--help")
		}
		for i, arg := range args {
			args[i] = strings.Trim(arg, `"`)
		}
		asked := false // --help
		parser, err := kong.New(&cli{}, kong.Name("prunella"), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) { asked = true }))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(args); err != nil && !asked {
			t.Errorf("%s: prunella %s: %v", filepath.Base(where), line, err)
		}
	}
}
