package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"prunella/bench/rotation/contest"
	"prunella/bench/rotation/fleet"
	"prunella/bench/rotation/peers"
	"prunella/bench/rotation/speed"
)

// report is everything one run found; it is what --json prints.
type report struct {
	Date        time.Time        `json:"date"`
	Took        float64          `json:"took_s"`
	Fast        bool             `json:"fast"`
	Machine     machine          `json:"machine"`
	Contestants []contestant     `json:"contestants"`
	Absent      string           `json:"absent,omitempty"` // why the ones in Node did not run
	Rows        []contest.Row    `json:"rows"`
	Results     []contest.Result `json:"results"`
	Speed       *speed.Report    `json:"speed,omitempty"`
	Suites      []suite          `json:"conformance,omitempty"`
	Seed        uint64           `json:"seed"`
	Rules       []fleet.Rule     `json:"procedures"`
	Worlds      []fleet.World    `json:"fleets"`
	Fleets      []fleet.Result   `json:"rotations,omitempty"`
	Bars        []bar            `json:"bars,omitempty"`
}

// suite is what the conformance suite found of a contestant.
type suite struct {
	Contestant string            `json:"contestant"`
	Outcomes   []contest.Outcome `json:"cases"`
}

type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	System string `json:"system"`
	Load   string `json:"load"` // when the run began: one, five and fifteen minutes
	Go     string `json:"go"`
	Node   string `json:"node,omitempty"`
	Commit string `json:"commit,omitempty"` // of this tree
}

type contestant struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	How     string `json:"how"`
}

// bar is something that must be reached.
type bar struct {
	What     string `json:"what"`
	Bar      string `json:"bar"`
	Measured string `json:"measured"`
	Reached  bool   `json:"reached"`
}

func compete(ctx context.Context, o options, out io.Writer, say func(string)) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	stable, err := peers.Ready(ctx, say)
	if err != nil {
		return err
	}
	if stable.Absent != "" {
		say("SKIPPED: the contestants in Node (jose, jwks-rsa) do not run: " + stable.Absent)
	}
	start := time.Now()
	r := report{Date: start.UTC(), Fast: o.fast, Machine: thisMachine(ctx), Rows: contest.Rows(), Absent: stable.Absent,
		Seed: o.seed, Rules: fleet.Rules(), Worlds: fleet.Worlds()}
	for _, c := range peers.All() {
		r.Contestants = append(r.Contestants, contestant{c.Name, stable.Version(c), c.How})
	}
	rows := func() (err error) {
		r.Results, err = contest.Run(ctx, stable, contest.Options{Fast: o.fast, Progress: say,
			Only: func(row, who string) bool { return only.MatchString(row + "/" + who) }})
		return err
	}
	suites := func() error { return r.conformance(ctx, stable, o.fast, say) }
	fleets := func() (err error) {
		r.Fleets, err = fleet.Run(ctx, fleet.Options{Seed: o.seed, Fast: o.fast, Progress: say})
		return err
	}
	parts := []func() error{rows, suites, fleets}
	if o.only != "" {
		parts = parts[:1]
	} else { // by itself, and before documents of 100 MB have been through this process
		measured, err := speed.Measure(ctx, o.fast, say)
		if err != nil {
			return err
		}
		r.Speed = &measured
	}
	if err := inTurn(o.fast, parts); err != nil {
		return err
	}
	if o.only == "" {
		r.Bars = bars(r)
	}
	r.Took = time.Since(start).Seconds()
	return publish(r, o, out, say)
}

// inTurn runs the parts one after another, or all at once.
func inTurn(atOnce bool, parts []func() error) error {
	errs := make([]error, len(parts))
	var done sync.WaitGroup
	for n, part := range parts {
		done.Go(func() { errs[n] = part() })
		if !atOnce {
			done.Wait()
		}
	}
	done.Wait()
	return errors.Join(errs...)
}

// conformance runs the suite against every contestant in virtual time; in a
// fast run against ours.
func (r *report) conformance(ctx context.Context, stable *peers.Stable, fast bool, say func(string)) error {
	var players []peers.Contestant
	for _, c := range peers.All() {
		if (c.Make != nil || stable.Absent == "") && (!fast || c.Name == peers.Ours) {
			players = append(players, c)
		}
	}
	r.Suites = make([]suite, len(players))
	errs := make([]error, len(players))
	var done sync.WaitGroup
	for n, c := range players {
		done.Go(func() {
			outcomes, err := suiteOf(ctx, stable, c, fast)
			if err != nil {
				errs[n] = fmt.Errorf("conformance of %s: %w", c.Name, err)
				return
			}
			r.Suites[n] = suite{c.Name, outcomes}
			must, should, all := failures(outcomes)
			say(fmt.Sprintf("conformance: %-9s fails %d MUST and %d SHOULD of %d cases", c.Name, must, should, all))
		})
		if n%2 == 1 {
			done.Wait()
		}
	}
	done.Wait()
	return errors.Join(errs...)
}

func suiteOf(ctx context.Context, stable *peers.Stable, c peers.Contestant, fast bool) ([]contest.Outcome, error) {
	process, err := stable.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	defer process.Stop()
	s := contest.Suite{Listen: "127.0.0.1:0", Fast: fast, Progress: func(string) {}}
	return s.Conform(ctx, process.URL())
}

func failures(outcomes []contest.Outcome) (must, should, all int) {
	for _, o := range outcomes {
		switch {
		case o.Result == contest.Pass:
		case o.Level == contest.Must:
			must++
		default:
			should++
		}
	}
	return must, should, len(outcomes)
}

func publish(r report, o options, out io.Writer, say func(string)) error {
	var text bytes.Buffer
	if err := page.Execute(&text, r); err != nil {
		return err
	}
	if o.out != "" {
		if err := os.WriteFile(o.out, text.Bytes(), 0o644); err != nil {
			return err
		}
		say("wrote " + o.out)
	}
	if o.json {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		text.Reset()
		text.Write(append(b, '\n'))
	}
	if _, err := out.Write(text.Bytes()); err != nil {
		return err
	}
	failed := false
	for _, b := range r.Bars {
		if !b.Reached {
			say(fmt.Sprintf("NOT REACHED: %s: %s, not %s", b.What, b.Measured, b.Bar))
			failed = true
		}
	}
	if failed {
		return errFailed
	}
	return nil
}

// bars holds what was found against what must be so.
func bars(r report) []bar {
	refused, accepted, broken, flood := 0, 0, 0, ""
	held := map[string]int{}
	played := map[string]int{}
	for _, result := range r.Results {
		if result.Absent == "" {
			played[result.Contestant]++
		}
		if result.Holds {
			held[result.Contestant]++
		}
		if result.Contestant != peers.Ours {
			continue
		}
		refused, accepted, broken = refused+result.WronglyRefused, accepted+result.WronglyAccepted, broken+len(result.Broken)
		if result.Absent != "" {
			broken++
		}
		if result.Row == "flood" && len(result.Notes) > 0 {
			flood = result.Notes[0]
		}
	}
	best, equal := "", 0
	for _, c := range r.Contestants {
		if c.Name != peers.Ours && played[c.Name] > 0 && (best == "" || held[c.Name] > held[best]) {
			best = c.Name
		}
		if c.Name != peers.Ours && held[c.Name] == len(r.Rows) {
			equal++
		}
	}
	s := r.Speed
	rsa := s.Of("RS256", peers.Ours)
	fewest := true
	for _, alg := range speed.Algorithms {
		for _, c := range s.Verify[alg] {
			fewest = fewest && (c.Name == speed.Bare || c.Name == peers.Ours || c.Allocs > s.Of(alg, peers.Ours).Allocs)
		}
	}
	failing, cases := 0, 0
	for _, one := range r.Suites {
		if one.Contestant == peers.Ours {
			must, should, all := failures(one.Outcomes)
			failing, cases = must+should, all
		}
	}
	right, fleets, lost := 0, 0, int64(0)
	for _, f := range r.Fleets {
		if f.Rule == fleet.Ours {
			fleets++
			lost += f.Refused
			if f.Right {
				right++
			}
		}
	}
	return []bar{
		{"tokens wrongly refused by keyset, all rows", "0", fmt.Sprint(refused), refused == 0},
		{"tokens wrongly accepted by keyset, all rows", "0", fmt.Sprint(accepted), accepted == 0},
		{"fetches, spread and memory of keyset, all rows", "as each row says", flood, broken == 0},
		{"peers that do as well in every row", "0", fmt.Sprintf("%d; next is %s with %d of %d rows", equal, best, held[best], len(r.Rows)), equal == 0},
		{"conformance cases that keyset fails", "0", fmt.Sprintf("%d of %d", failing, cases), failing == 0 && cases > 0},
		{"tokens refused by fleets under rotation", "0", fmt.Sprint(lost), lost == 0},
		{"fleets in which rotation finished, or named exactly who blocks", "all", fmt.Sprintf("%d of %d", right, fleets), right == fleets},
		{"RS256-2048 verification over bare crypto", "≤ 1.10", fmt.Sprintf("%.2f", rsa.OfBare), rsa.OfBare <= 1.10},
		{"allocations of a verification", "fewest of all", fmt.Sprintf("%.0f of RS256, of which bare crypto makes %.0f", rsa.Allocs, s.Of("RS256", speed.Bare).Allocs), fewest},
		{"unknown kid refused", "≤ 1 µs", fmt.Sprintf("%.2f µs", s.Refuses(peers.Ours).Micros), s.Refuses(peers.Ours).Micros <= 1},
		{"slowest request, added by a rotation under full load", "≤ 1 ms", fmt.Sprintf("%.2f ms", s.Rotation.AddedMS), s.Rotation.AddedMS <= 1 && s.Rotation.WrongRefused == 0},
		{"two workers over one, by the clock", "≥ 1.9", fmt.Sprintf("%.2f (bare crypto %.2f)", s.Scales(peers.Ours).Clock, s.Scales(speed.Bare).Clock), s.Scales(peers.Ours).Clock >= 1.9},
		{"two workers over one, by processor time", "≥ 1.9", fmt.Sprintf("%.2f (bare crypto %.2f)", s.Scales(peers.Ours).CPU, s.Scales(speed.Bare).CPU), s.Scales(peers.Ours).CPU >= 1.9},
	}
}

func thisMachine(ctx context.Context) machine {
	m := machine{Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), CPU: "unknown", Load: "unknown"}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		if f := strings.Fields(string(b)); len(f) >= 3 {
			m.Load = strings.Join(f[:3], " ")
		}
	}
	if b, err := exec.CommandContext(ctx, "node", "--version").Output(); err == nil {
		m.Node = strings.TrimSpace(string(b))
	}
	if b, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(b))
	}
	return m
}
