package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"prunella"
	"prunella/scenario"
	"prunella/scenarios"
	"prunella/web"
)

type scenarioCmd struct {
	List scenarioListCmd `cmd:"" help:"List the scenarios with their parameters."`
	Run  scenarioRunCmd  `cmd:"" help:"Run scenarios: break a world, compare what the engine does with what it must do."`
}

func loadCatalogue() (scenario.Catalogue, error) { return scenario.Load(scenarios.FS) }

type scenarioListCmd struct {
	JSON bool `help:"Print JSON." name:"json"`
}

func (cmd scenarioListCmd) Run(c *console) error {
	catalogue, err := loadCatalogue()
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(c.out, catalogue)
	}
	t := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tCATEGORY\tWORLD\tTITLE")
	for _, f := range catalogue {
		world := "live"
		if !f.Live {
			world = "messages"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.Name, f.Category, world, f.Title)
		for _, p := range f.Params {
			fmt.Fprintf(t, "  --set %s=%s\t\t\t%s\n", p.Name, p.Default, p.Doc)
		}
	}
	return t.Flush()
}

type scenarioRunCmd struct {
	Name   string            `arg:"" optional:"" help:"Name of a scenario that ships with Prunella."`
	File   string            `help:"Run a scenario file of your own (docs/scenarios.md)." short:"f" placeholder:"FILE"`
	All    bool              `help:"Run every scenario, one after the other."`
	Set    map[string]string `help:"Set a parameter; may be given several times." placeholder:"KEY=VALUE" mapsep:"none"`
	Seed   int64             `help:"Seed of everything random; default: a new one, printed." placeholder:"N"`
	Report string            `help:"Write the report as json, junit, md or html." enum:",json,junit,md,html" default:"" placeholder:"FORMAT"`
	Out    string            `help:"Write the report there instead of standard output; for --all with html a folder." short:"o" placeholder:"FILE"`
}

func usage(format string, args ...any) error {
	return prunella.Errorf(prunella.Invalid, format, args...)
}

func (cmd scenarioRunCmd) Run(c *console) error {
	chosen, err := cmd.choose()
	if err != nil {
		return err
	}
	if cmd.Out != "" && cmd.Report == "" {
		return usage("--out needs --report json, junit, md or html")
	}
	if cmd.All && cmd.Report == "html" && cmd.Out == "" {
		return usage("--all --report html writes a file for each scenario: add --out FOLDER")
	}
	seed := cmd.Seed
	if seed == 0 {
		seed = newSeed()
	}
	runner := scenario.Runner{World: scenario.StartLab, Engine: c.engines("127.0.0.1:0")}
	if c.tty {
		runner.Progress = c.narrator()
	}
	var reports []prunella.Report
	for _, s := range chosen {
		if c.tty {
			fmt.Fprintf(c.err, "\n%s  %s\n", c.paint(bold, s.Name), c.paint(dim, fmt.Sprintf("seed %d", seed)))
		}
		r := runner.Run(c.ctx, s, seed)
		reports = append(reports, r)
		if cmd.Report == "" {
			c.summary(c.out, r)
		} else if c.tty {
			c.summary(c.err, r)
		}
		if c.ctx.Err() != nil {
			break
		}
	}
	if err := cmd.write(c, reports); err != nil {
		return err
	}
	return verdictError(reports...)
}

// choose returns the scenarios asked for, their parameters set.
func (cmd scenarioRunCmd) choose() ([]scenario.Scenario, error) {
	asked := 0
	for _, given := range []bool{cmd.Name != "", cmd.File != "", cmd.All} {
		if given {
			asked++
		}
	}
	if asked != 1 {
		return nil, usage("say which scenario: a NAME (prunella scenario list shows them), --file FILE, or --all")
	}
	if cmd.File != "" {
		f, err := scenario.ReadFile(cmd.File)
		if err != nil {
			return nil, err
		}
		s, err := f.With(cmd.Set)
		return []scenario.Scenario{s}, err
	}
	catalogue, err := loadCatalogue()
	if err != nil {
		return nil, err
	}
	if cmd.Name != "" {
		f, err := catalogue.Find(cmd.Name)
		if err != nil {
			return nil, err
		}
		s, err := f.With(cmd.Set)
		return []scenario.Scenario{s}, err
	}
	var out []scenario.Scenario
	used := map[string]bool{}
	for _, f := range catalogue {
		// Of --set, each scenario takes what it declares.
		set := map[string]string{}
		for _, p := range f.Params {
			if v, ok := cmd.Set[p.Name]; ok {
				set[p.Name], used[p.Name] = v, true
			}
		}
		s, err := f.With(set)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		out = append(out, s)
	}
	for _, name := range slices.Sorted(maps.Keys(cmd.Set)) {
		if !used[name] {
			return nil, usage("no scenario has a parameter %q; prunella scenario list shows them", name)
		}
	}
	return out, nil
}

func (cmd scenarioRunCmd) write(c *console, reports []prunella.Report) error {
	if cmd.Report == "" {
		return nil
	}
	if cmd.All && cmd.Report == "html" {
		for _, r := range reports {
			if err := writeOut(filepath.Join(cmd.Out, r.Scenario+".html"), c.out, func(w io.Writer) error { return web.RenderReport(w, r, true) }); err != nil {
				return err
			}
		}
		return nil
	}
	return writeOut(cmd.Out, c.out, func(w io.Writer) error {
		switch {
		case cmd.Report == "junit":
			return scenario.WriteJUnit(w, reports)
		case cmd.Report == "md":
			return scenario.WriteMarkdown(w, reports)
		case cmd.Report == "html":
			return web.RenderReport(w, reports[0], true)
		case cmd.All:
			return scenario.WriteJSONList(w, reports)
		}
		return scenario.WriteJSON(w, reports[0])
	})
}

// writeOut writes a whole file or nothing; "" is standard output.
func writeOut(path string, stdout io.Writer, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if path == "" {
		_, err := stdout.Write(b.Bytes())
		return err
	}
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o644)
	}
	if err != nil {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "write the report", Where: path, Err: err, Remedy: "give another --out"}
	}
	return nil
}

// newSeed is positive and short enough to be typed again.
func newSeed() int64 {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return int64(binary.BigEndian.Uint32(b[:])) + 1
}
