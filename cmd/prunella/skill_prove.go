package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"prunella"
	"prunella/client"
	"prunella/scenario"
	"prunella/skill"
)

type skillProveCmd struct {
	evidence
	Name  string `arg:"" help:"Name of the skill."`
	Times int    `help:"How often each scenario is run." default:"1" placeholder:"N"`
	Seed  int64  `help:"Seed of the first run; the next ones count up. Default: a new one, printed." placeholder:"N"`
	JSON  bool   `help:"Print JSON." name:"json"`
}

// proof is what prove --json prints.
type proof struct {
	Name    string     `json:"name"`
	Version string     `json:"version"`
	Hash    string     `json:"hash"`
	Runs    []proofRun `json:"runs"`
	Before  trustView  `json:"before"`
	After   trustView  `json:"after"`
}

type proofRun struct {
	Scenario string          `json:"scenario"`
	Seed     int64           `json:"seed"`
	Status   prunella.Result `json:"status"`
	Report   string          `json:"report"`
	Counted  bool            `json:"counted"` // as evidence; an ERROR proves nothing
	Error    string          `json:"error,omitempty"`
	Why      []string        `json:"why,omitempty"` // what was not as expected
}

func (cmd skillProveCmd) Run(c *console) error {
	if cmd.Times < 1 || cmd.Times > 100 {
		return usage("--times is %d; it is from 1 to 100", cmd.Times)
	}
	k, done, err := cmd.open(c)
	if err != nil {
		return err
	}
	defer done()
	name := prunella.SkillName(cmd.Name)
	before, err := k.Skill(c.ctx, name)
	if err != nil {
		return err
	}
	chosen, err := proving(before.Skill)
	if err != nil {
		return err
	}
	dir, err := wikiOf(c.ctx, k)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	seed := cmd.Seed
	if seed == 0 {
		seed = newSeed()
	}
	runner := scenario.Runner{World: scenario.StartLab, Engine: c.enginesWith("127.0.0.1:0", dir)}
	if c.tty {
		runner.Progress = c.narrator()
	}
	p := proof{Name: cmd.Name, Version: before.Skill.Version, Hash: before.Skill.Hash, Runs: []proofRun{}, Before: trusted(before, time.Now())}
	var reports []prunella.Report
	for n := range cmd.Times {
		for _, s := range chosen {
			fmt.Fprintf(c.err, "%s, seed %d …\n", s.Name, seed+int64(n))
			r := runner.Run(c.ctx, s, seed+int64(n))
			if c.ctx.Err() != nil {
				return &prunella.Error{Kind: prunella.Unavailable, Op: "prove " + cmd.Name, Reason: "it was interrupted", Err: c.ctx.Err()}
			}
			// It is about this skill also where it did not get so far as to say so.
			r.Skill, r.SkillVersion, r.SkillHash = name, before.Skill.Version, before.Skill.Hash
			if err := k.PutReport(c.ctx, r); err != nil {
				return err
			}
			reports = append(reports, r)
			one := proofRun{Scenario: r.Scenario, Seed: r.Seed, Status: r.Status, Report: r.ID, Error: r.Error, Why: unexpected(r)}
			p.Runs = append(p.Runs, one)
			fmt.Fprintf(c.err, "%s, seed %d: %s (report %s)\n", s.Name, r.Seed, r.Status, r.ID)
			for _, why := range one.Why {
				fmt.Fprintf(c.err, "  %s\n", why)
			}
		}
	}
	after, err := k.Skill(c.ctx, name)
	if err != nil {
		return err
	}
	for i := range p.Runs {
		for _, o := range after.Outcomes {
			p.Runs[i].Counted = p.Runs[i].Counted || o.Kind == "scenario" && o.Ref == p.Runs[i].Report
		}
	}
	p.After = trusted(after, time.Now())
	if cmd.JSON {
		err = printJSON(c.out, p)
	} else {
		fmt.Fprintf(c.out, "%s %s: confidence %.1f %% → %.1f %%, floor %.1f %% → %.1f %%, %d of %d runs passed\n", p.Name, p.Version,
			100*p.Before.Confidence, 100*p.After.Confidence, 100*p.Before.Floor, 100*p.After.Floor, passed(reports), len(reports))
		fmt.Fprintln(c.out, "Drills prove that it works in a lab; only runs in production make it fresh.")
	}
	return errors.Join(err, verdictError(reports...))
}

// proveInChild proves a skill in a process of its own, so that nothing of a lab
// is in the server: what it takes or breaks ends with it. NotFound: no scenario is
// about the skill, or it is gone.
func proveInChild(ctx context.Context, url string, name prunella.SkillName) (client.DrilledSkill, error) {
	v, err := client.New(url).Skill(ctx, name)
	if err == nil {
		_, err = proving(v.Skill)
	}
	if err != nil {
		return client.DrilledSkill{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return client.DrilledSkill{}, &prunella.Error{Kind: prunella.Internal, Op: "prove " + string(name), Err: err}
	}
	child := exec.CommandContext(ctx, self, "skill", "prove", string(name), "--server", url, "--json")
	child.Cancel = func() error { return child.Process.Signal(os.Interrupt) }
	child.WaitDelay = 30 * time.Second
	var complaint bytes.Buffer
	child.Stderr = &complaint
	out, ended := child.Output()
	var p proof
	if json.Unmarshal(out, &p) != nil {
		lines := strings.Split(strings.TrimSpace(complaint.String()), "\n")
		return client.DrilledSkill{}, &prunella.Error{Kind: prunella.Unavailable, Op: "prove " + string(name), Reason: lines[len(lines)-1], Err: ended}
	}
	var d client.DrilledSkill
	for _, r := range p.Runs {
		switch r.Status {
		case prunella.Passed:
			d.Passed++
		case prunella.Failed:
			d.Failed++
			for _, why := range r.Why {
				d.Why = append(d.Why, r.Scenario+": "+why)
			}
		default:
			err = &prunella.Error{Kind: prunella.Unavailable, Op: "prove " + string(name), Where: r.Scenario, Reason: r.Error}
		}
	}
	return d, err
}

// unexpected are the checks of a report that did not pass, in words.
func unexpected(r prunella.Report) []string {
	var out []string
	for _, c := range r.Checks {
		if c.Result != prunella.Passed {
			out = append(out, fmt.Sprintf("%s is %s, expected %s", c.Name, orDash(c.Actual), c.Expected))
		}
	}
	return out
}

func passed(reports []prunella.Report) int {
	n := 0
	for _, r := range reports {
		if r.Status == prunella.Passed {
			n++
		}
	}
	return n
}

// proving are the scenarios that are evidence about a skill.
func proving(s prunella.Skill) ([]scenario.Scenario, error) {
	catalogue, err := loadCatalogue()
	if err != nil {
		return nil, err
	}
	var out []scenario.Scenario
	for _, f := range catalogue {
		one, err := f.With(nil)
		if err != nil {
			return nil, err
		}
		if one.Proves(s) {
			out = append(out, one)
		}
	}
	if len(out) == 0 {
		reason := "no live scenario heals " + s.Pattern
		if s.Pattern == "" {
			reason = "it names no pattern, and no live scenario expects it by its name"
		}
		return nil, &prunella.Error{Kind: prunella.NotFound, Op: "prove " + string(s.Name), Reason: reason,
			Remedy: "write one that expects this skill and the verdict healed (docs/scenarios.md)"}
	}
	return out, nil
}

// wikiOf writes the skills as they are in use into a folder, so that what is
// tried in the lab is what would act.
func wikiOf(ctx context.Context, k knowledge) (dir string, err error) {
	list, err := k.Skills(ctx)
	if err != nil {
		return "", err
	}
	failed := func(err error) (string, error) {
		return "", errors.Join(&prunella.Error{Kind: prunella.Unavailable, Op: "copy the skills", Err: err, Remedy: "set TMPDIR to a folder that can be written"}, os.RemoveAll(dir))
	}
	if dir, err = os.MkdirTemp("", "prunella-wiki-"); err != nil {
		return failed(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "skills"), 0o700); err != nil {
		return failed(err)
	}
	for _, one := range list {
		if one.Skill.Hash == "" || one.Excluded {
			continue
		}
		v, err := k.Skill(ctx, one.Skill.Name)
		if err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
		if err := os.WriteFile(filepath.Join(dir, "skills", filepath.Base(string(v.Skill.Name))+skill.Suffix), []byte(v.Text), 0o600); err != nil {
			return failed(err)
		}
	}
	return dir, nil
}
