package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"prunella"
	"prunella/lab"
	"prunella/scenario"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

func TestMain(m *testing.M) {
	if handled, err := lab.ChildMain(context.Background(), os.Args[1:]); handled {
		if err != nil {
			os.Exit(exitError)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if builtIn != "" {
			_ = os.RemoveAll(builtIn)
		}
		os.Exit(code)
	}))
}

// prunella runs a command line as main would.
func command(t *testing.T, args ...string) (code int, out, complaint string) {
	t.Helper()
	var o, e bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code = run(ctx, args, &o, &e)
	return code, o.String(), e.String()
}

// What does not heed the first Ctrl-C, as a read that never ends, the second ends.
func TestASecondSignalEnds(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	cmd := exec.Command(build(t), "skill", "import", "-")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(20 * time.Second); ; {
		select {
		case <-ended:
			return
		case <-tick.C:
			if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		case <-end:
			t.Error("it goes on after many signals")
			_ = cmd.Process.Kill()
			<-ended
			return
		}
	}
}

// Wrong usage and bad input are told in sentences, with the right exit code
// and nothing on standard output.
func TestComplaints(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	broken := write("broken.yaml", "name: broken\ntitel: T\n")
	config := write("prunella.yaml", "listen: 127.0.0.1:0\nlisten_to: x\n")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	taken := ln.Addr().String()
	file := write("file", "")

	var got strings.Builder
	for _, args := range [][]string{
		{"scenaro"},
		{"scenario", "run"},
		{"scenario", "run", "--bogus"},
		{"scenario", "run", "jwks-single-rotatio"},
		{"scenario", "run", "jwks-single-rotation", "--all"},
		{"scenario", "run", "jwks-single-rotation", "--set", "servces=3"},
		{"scenario", "run", "jwks-single-rotation", "--set", "alg=HS256"},
		{"scenario", "run", "--all", "--set", "colour=red"},
		{"scenario", "run", "jwks-single-rotation", "--out", "x.json"},
		{"scenario", "run", "jwks-single-rotation", "--report", "pdf"},
		{"scenario", "run", "--all", "--report", "html"},
		{"scenario", "run", "--file", filepath.Join(dir, "absent.yaml")},
		{"scenario", "run", "--file", broken},
		{"serve", "--config", config},
		{"serve", "--listen", taken, "--data", filepath.Join(dir, "data")},
		{"serve", "--listen", "127.0.0.1:0", "--data", file},
		{"incident", "list", "--server", "http://127.0.0.1:1"},
		{"incident", "show"},
		{"lab", "--profile", "mixed"},
		{"demo", "--listen", taken, "--exit"},
	} {
		code, out, complaint := command(t, args...)
		if code != exitUsage && code != exitError {
			t.Errorf("%v: exit code %d", args, code)
		}
		if strings.Contains(complaint, "goroutine ") || strings.Contains(complaint, ".go:") {
			t.Errorf("%v: a stack trace: %s", args, complaint)
		}
		if args = append([]string{"$ prunella"}, args...); args[len(args)-1] != "--exit" {
			fmt.Fprintf(&got, "%s\n%s%sexit %d\n\n", strings.Join(args, " "), out, complaint, code)
		} else if !strings.Contains(out+complaint, taken) || code != exitError {
			t.Errorf("demo on a taken port: exit %d, %s%s", code, out, complaint)
		}
	}
	text := strings.NewReplacer(dir, "DIR", taken, "127.0.0.1:TAKEN").Replace(got.String())
	path := "testdata/complaints.golden"
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("complaints differ (-want +got); -update rewrites them:\n%s", diff)
	}
}

func TestHelpEndsWithZero(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"scenario", "run", "--help"}, {"demo", "--help"}} {
		if code, out, _ := command(t, args...); code != 0 || !strings.Contains(out, "Usage: prunella") {
			t.Errorf("%v: exit %d, %q", args, code, out)
		}
	}
}

func TestScenarioListNamesParameters(t *testing.T) {
	code, out, _ := command(t, "scenario", "list")
	if code != 0 || !strings.Contains(out, "jwt-signing-key-rotation-failure") || !strings.Contains(out, "--set missed=4") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out, _ = command(t, "scenario", "list", "--json"); code != 0 || !strings.Contains(out, `"name": "jwks-single-rotation"`) {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestPanicIsASentence(t *testing.T) {
	c := &console{}
	code, complaint := exitPassed, &bytes.Buffer{}
	func() {
		defer c.recovered(complaint, &code)
		panic("boom")
	}()
	if code != exitError || !strings.Contains(complaint.String(), "boom") || strings.Contains(complaint.String(), "goroutine") {
		t.Errorf("exit %d: %s", code, complaint)
	}
}

func TestExitCodesOfVerdicts(t *testing.T) {
	c := &console{err: &bytes.Buffer{}}
	for want, statuses := range map[int][]prunella.Result{
		exitPassed: {prunella.Passed},
		exitFailed: {prunella.Passed, prunella.Failed},
		exitError:  {prunella.Errored, prunella.Failed},
	} {
		var reports []prunella.Report
		for _, s := range statuses {
			reports = append(reports, prunella.Report{Status: s})
		}
		if got := c.complain(verdictError(reports...)); got != want {
			t.Errorf("%v: exit %d, want %d", statuses, got, want)
		}
	}
}

// Progress is plain text without a terminal, tells waiting once, and does not
// repeat itself or spell thumbprints out.
func TestNarrator(t *testing.T) {
	var b bytes.Buffer
	tell := (&console{err: &b}).narrator()
	for _, p := range []scenario.Progress{
		{Stage: "steady", Kind: "wait", Text: "10 %"},
		{Stage: "steady", Kind: "wait", Text: "20 %"},
		{Stage: "watch", Kind: "step", Text: "let fchrZ2kRDhNYhuDH28Bjyv41TZvRgF_Gtj2B0H0iyLg sign: done", Elapsed: 1500 * time.Millisecond},
		{Stage: "watch", Kind: "step", Text: "let fchrZ2kRDhNYhuDH28Bjyv41TZvRgF_Gtj2B0H0iyLg sign: done"},
		{Stage: "watch", Kind: "step", Text: "not -4gpMrijMhdTXiWqJgeCQCzy1pbtq8qFA4Z15ikUfjc, nor [fchrZ2kRDhNYhuDH28Bjyv41TZvRgF_Gtj2B0H0iyL-]", Elapsed: 1500 * time.Millisecond},
	} {
		tell(p)
	}
	want := "\nWait until everything is normal\n     0.0 s … 10 %\n\nWatch what the engine makes of it\n     1.5 s ▸ let fchrZ2kR… sign: done\n     1.5 s ▸ not -4gpMrij…, nor [fchrZ2kR…]\n"
	if b.String() != want {
		t.Errorf("got %q", b.String())
	}
}
