// Command prunella is the incident engine, its lab, its scenarios and its client
// in one binary. main parses and exits; each subcommand has its own file.
//
// Exit codes: 0 passed, 1 failed (a scenario), 2 usage or bad input, 3 error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"prunella"
	"prunella/lab"
)

const (
	exitPassed = 0
	exitFailed = 1
	exitUsage  = 2
	exitError  = 3
)

// errFailed is a scenario that failed; it was told already.
var errFailed = errors.New("failed")

// errErrored is a scenario that proved nothing; it was told already.
var errErrored = errors.New("error")

// cli is the command line. Field order is the order of the help.
type cli struct {
	Demo     demoCmd     `cmd:"" help:"Break a small world at a key rotation, watch Prunella heal it, and read the report."`
	Serve    serveCmd    `cmd:"" help:"Run the incident engine with its API and pages."`
	Lab      labCmd      `cmd:"" help:"Run the world that scenarios break, and nothing else."`
	Scenario scenarioCmd `cmd:"" help:"List and run scenarios."`
	Incident incidentCmd `cmd:"" help:"Look at incidents of a running server, and answer its questions."`
	Skill    skillCmd    `cmd:"" help:"List, show, check, write, import, export and compare skills."`
	Wiki     wikiCmd     `cmd:"" help:"Check, search and rename pages of the wiki."`
	Thread   threadCmd   `cmd:"" help:"Turn incident conversations into drafts of skills."`
	Keys     keysCmd     `cmd:"" help:"Audit, watch and rotate signing keys."`
	MCP      mcpCmd      `cmd:"" name:"mcp" help:"Serve skills and incidents to other tools over the Model Context Protocol."`
	Version  versionCmd  `cmd:"" help:"Print the version."`

	Debug bool `help:"Log more, and print the stack if Prunella itself breaks." env:"PRUNELLA_DEBUG"`
}

// console is where a subcommand reads its surroundings and writes.
type console struct {
	ctx    context.Context
	out    io.Writer // results
	err    io.Writer // progress, logs and complaints
	tty    bool      // err is a terminal
	colour bool
	debug  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what does not heed the first
	if handled, err := lab.ChildMain(ctx, os.Args[1:]); handled {
		if err != nil {
			fmt.Fprintln(os.Stderr, "prunella:", err)
			os.Exit(exitError)
		}
		return
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, out, errw io.Writer) (code int) {
	c := &console{ctx: ctx, out: out, err: errw, tty: isTerminal(errw)}
	c.colour = c.tty && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	defer c.recovered(errw, &code)
	var root cli
	exited, status := false, 0
	parser, err := kong.New(&root, kong.Name("prunella"), kong.Writers(out, errw),
		kong.Description("An incident engine: it notices a failure, finds the cause, heals it with a runbook under a policy, and proves that it is healed.\n\nStart with: prunella demo"),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.ValueFormatter(valueHelp), kong.Exit(func(code int) { exited, status = true, code }))
	if err != nil {
		return c.complain(err)
	}
	if len(args) == 0 { // whoever asks nothing is shown what there is
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited { // --help
		return status
	}
	if err != nil {
		said := err.Error()
		if !strings.HasSuffix(said, "?") {
			said = strings.TrimSuffix(said, ".") + "."
		}
		fmt.Fprintf(errw, "prunella: %s Try: prunella %s--help\n", said, helpFor(err))
		return exitUsage
	}
	c.debug = root.Debug
	return c.complain(parsed.Run(c))
}

// valueHelp is the help of a flag, with the default that its placeholder hides.
func valueHelp(v *kong.Value) string {
	text := kong.DefaultHelpValueFormatter(v)
	if v.Flag == nil || v.Flag.PlaceHolder == "" || v.Default == "" || strings.Contains(strings.ToLower(text), "default") {
		return text
	}
	return text + " Default " + v.Default + "."
}

// recovered, deferred, turns a panic into a sentence and an exit code.
func (c *console) recovered(w io.Writer, code *int) {
	p := recover()
	if p == nil {
		return
	}
	fmt.Fprintf(w, "prunella: something that should not happen happened: %v. Please report it, with what you ran (--debug prints the stack).\n", p)
	if c.debug {
		fmt.Fprintf(w, "%s", debug.Stack())
	}
	*code = exitError
}

// helpFor is the subcommand whose help would have told.
func helpFor(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if cmd := strings.Join(commandWords(parse.Context), " "); cmd != "" {
			return cmd + " "
		}
	}
	return ""
}

func commandWords(ctx *kong.Context) []string {
	var words []string
	for _, p := range ctx.Path {
		if p.Command != nil {
			words = append(words, p.Command.Name)
		}
	}
	return words
}

// complain prints an error once, as sentences, and maps it to an exit code.
func (c *console) complain(err error) int {
	switch {
	case err == nil:
		return exitPassed
	case errors.Is(err, errErrored):
		return exitError
	case errors.Is(err, errFailed):
		return exitFailed
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(c.err, "prunella:", line)
	}
	switch prunella.KindOf(err) {
	case prunella.Invalid, prunella.NotFound, prunella.TooLarge:
		return exitUsage
	}
	return exitError
}
