package contest_test

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"prunella/bench/rotation/contest"
	"prunella/bench/rotation/peers"
)

// TestMain lets this binary be started as a contestant, as the command is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		f := flag.NewFlagSet("serve", flag.ExitOnError)
		virtual := f.Bool("virtual", false, "")
		_ = f.Parse(os.Args[2:]) // exits
		if err := peers.Serve(context.Background(), f.Arg(0), "127.0.0.1:0", *virtual, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

func start(t *testing.T) *peers.Stable {
	t.Helper()
	t.Setenv("PATH", "") // no Node
	stable, err := peers.Ready(t.Context(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if stable.Absent == "" {
		t.Fatal("the contestants in Node are there without a PATH")
	}
	return stable
}

// TestRows holds the rows against verifiers whose behaviour is known: each must
// be seen to do what it does.
func TestRows(t *testing.T) {
	wanted := []struct {
		row, who          string
		refuses, accepts  bool
		breaks, isNotHere bool
	}{
		{row: "new-kid", who: "keyset"},
		{row: "new-kid", who: "jwx", refuses: true},
		{row: "revoke-unseen", who: "keyset"},
		{row: "revoke-unseen", who: "go-oidc", accepts: true},
		{row: "flood", who: "keyset"},
		{row: "flood", who: "go-oidc", breaks: true},
		{row: "flood", who: "jose", isNotHere: true},
	}
	results, err := contest.Run(t.Context(), start(t), contest.Options{Fast: true, Progress: func(string) {}, Only: func(row, who string) bool {
		for _, w := range wanted {
			if w.row == row && w.who == who {
				return true
			}
		}
		return false
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wanted {
		for _, r := range results {
			if r.Row != w.row || r.Contestant != w.who {
				continue
			}
			if (r.WronglyRefused > 0) != w.refuses || (r.WronglyAccepted > 0) != w.accepts || (len(r.Broken) > 0) != w.breaks || (r.Absent != "") != w.isNotHere {
				t.Errorf("%s %s: %+v", w.row, w.who, r)
			}
			if r.Holds == (w.refuses || w.accepts || w.breaks || w.isNotHere) {
				t.Errorf("%s %s: holds is %v", w.row, w.who, r.Holds)
			}
		}
	}
	if len(results) != len(wanted) {
		t.Errorf("%d results for %d turns", len(results), len(wanted))
	}
}

// TestSuite puts ours through the whole suite, in virtual time.
func TestSuite(t *testing.T) {
	stable := start(t)
	process, err := stable.Start(t.Context(), peers.All()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer process.Stop()
	suite := contest.Suite{Listen: "127.0.0.1:0", Fast: true, Progress: func(string) {}}
	outcomes, err := suite.Conform(t.Context(), process.URL())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, o := range outcomes {
		if o.Result != contest.Pass {
			t.Errorf("%s: %s %s", o.ID, o.Result, o.Detail)
		}
		if ids[o.ID] || o.Holds == "" || o.Why == "" || strings.Contains(o.Holds, "|") {
			t.Errorf("the case %+v is not well described", o.Case)
		}
		ids[o.ID] = true
	}
}

// TestSuiteSeesAFool runs it against a server that accepts whatever it is shown.
func TestSuiteSeesAFool(t *testing.T) {
	fool := newFool(t)
	outcomes, err := contest.Suite{Listen: "127.0.0.1:0", Fast: true, Progress: func(string) {}}.Conform(t.Context(), fool)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outcomes {
		refuse := strings.HasPrefix(o.Holds, "refuses") || o.ID == "redirect" || o.ID == "flood"
		if refuse && o.Result != contest.Fail {
			t.Errorf("%s: %s", o.ID, o.Result)
		}
	}
}
