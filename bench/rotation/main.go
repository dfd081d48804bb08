// Command rotation is the contest of JWKS clients and of key rotations: it puts
// the verifiers that people use, and ours, through the same rotations, floods
// and outages, measures what a verification costs with each, lets procedures of
// rotation loose on simulated fleets, and writes docs/tournament.md.
//
//	go run ./bench/rotation                          the whole contest, a table on stdout
//	go run ./bench/rotation --fast                   in a minute or so
//	go run ./bench/rotation --json                   the same as JSON
//	go run ./bench/rotation --out docs/tournament.md write the page
//	go run ./bench/rotation --client URL             put your own verifier through the conformance suite
//	go run ./bench/rotation serve NAME               run one of the Go contestants as a server of that protocol
//
// It is a module of its own so that the peers do not become dependencies of
// Prunella. Progress goes to stderr. Exit codes: 0 ours holds every bar (or the
// client passed), 1 it does not, 2 usage, 3 error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"prunella/bench/rotation/contest"
	"prunella/bench/rotation/peers"
)

const (
	exitPassed = 0
	exitFailed = 1
	exitUsage  = 2
	exitError  = 3
)

// errFailed is a bar that was not reached; it was told already.
var errFailed = errors.New("failed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil:
		os.Exit(exitPassed)
	case errors.Is(err, errFailed):
		os.Exit(exitFailed)
	case errors.Is(err, flag.ErrHelp):
		os.Exit(exitUsage)
	}
	fmt.Fprintln(os.Stderr, "rotation:", err)
	os.Exit(exitError)
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) > 0 && args[0] == "serve" {
		return serve(ctx, args[1:], out)
	}
	var o options
	flags := flag.NewFlagSet("rotation", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.BoolVar(&o.fast, "fast", false, "shorter stories and measurements, several at a time")
	flags.BoolVar(&o.json, "json", false, "JSON on stdout instead of Markdown")
	flags.StringVar(&o.out, "out", "", "also write the page into this `file` (docs/tournament.md)")
	flags.StringVar(&o.only, "only", "", "only the rows ROW/CONTESTANT that match this `regexp`, and no other part")
	flags.Uint64Var(&o.seed, "seed", 1, "of the simulated fleets; the same seed gives the same result")
	flags.StringVar(&o.client, "client", "", "run the conformance suite against the verifier at this `URL`")
	flags.StringVar(&o.suite.Listen, "listen", "127.0.0.1:0", "`address` at which the suite's issuer listens")
	flags.BoolVar(&o.suite.OneIssuer, "one-issuer", false, "the client knows one issuer only: http://LISTEN/issuer")
	flags.DurationVar(&o.suite.Patience, "patience", 2*time.Minute, "do not measure longer cases with a client in real time")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(progress, "rotation: %q is not understood; see --help\n", flags.Arg(0))
		return flag.ErrHelp
	}
	say := func(line string) { fmt.Fprintln(progress, line) }
	if o.client != "" {
		return conform(ctx, o, out, say)
	}
	return compete(ctx, o, out, say)
}

type options struct {
	fast, json        bool
	out, only, client string
	seed              uint64
	suite             contest.Suite
}

func serve(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:0", "where to listen")
	virtual := flags.Bool("virtual", false, "live in virtual time")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	return peers.Serve(ctx, flags.Arg(0), *addr, *virtual, out)
}
