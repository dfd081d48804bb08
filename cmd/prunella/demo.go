package main

import (
	"context"
	"fmt"
	"net"

	"prunella"
	"prunella/scenario"
)

// demoScenario is the one that demo runs; any other by scenario run.
const demoScenario = "jwt-signing-key-rotation-failure"

type demoCmd struct {
	Exit   bool   `help:"End after the report instead of serving on."`
	NoUI   bool   `help:"Do not serve pages on a fixed port." name:"no-ui"`
	Listen string `help:"Address of the pages." default:"127.0.0.1:7070" placeholder:"HOST:PORT"`
	Seed   int64  `help:"Seed of everything random; default: a new one, printed." placeholder:"N"`
}

func (cmd demoCmd) Run(c *console) error {
	catalogue, err := loadCatalogue()
	if err != nil {
		return err
	}
	f, err := catalogue.Find(demoScenario)
	if err != nil {
		return err
	}
	s, err := f.With(nil)
	if err != nil {
		return err
	}
	listen := cmd.Listen
	if cmd.NoUI {
		listen = "127.0.0.1:0"
	}
	if err := portFree(listen); err != nil {
		return err
	}
	seed := cmd.Seed
	if seed == 0 {
		seed = newSeed()
	}
	fmt.Fprintf(c.err, "%s\n%s\n", c.paint(bold, s.Title), wrap(s.Description, 96, 0))
	if !cmd.NoUI {
		fmt.Fprintf(c.err, "\nWatch it live at %s\n", c.paint(cyan, "http://"+listen))
	}
	told := false
	runner := scenario.Runner{World: scenario.StartLab, Engine: c.engines(listen), Progress: c.narrator(),
		Linger: func(ctx context.Context, r prunella.Report) {
			if cmd.Exit || cmd.NoUI {
				return
			}
			told = true
			c.summary(c.out, r)
			fmt.Fprintf(c.err, "\nThe report:            %s\nThe incident:          %s\nWho trusts which key:  %s\n\nThe world keeps running; Ctrl-C ends it. After that:\n"+
				"  prunella scenario list               other ways to break it\n  prunella keys check ISSUER-URL       may the old signing key of your own issuer go?\n  prunella serve --config FILE         watch services of your own: docs/configuration.md\n",
				c.paint(cyan, "http://"+listen+"/reports/"+r.ID), c.paint(cyan, "http://"+listen+"/incidents/"+string(r.Incident)), c.paint(cyan, "http://"+listen+"/keys"))
			<-ctx.Done()
		}}
	report := runner.Run(c.ctx, s, seed)
	if !told {
		c.summary(c.out, report)
	}
	return verdictError(report)
}

// portFree tells of a taken port before a world is started.
func portFree(listen string) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "listen", Where: listen, Err: err,
			Remedy: "stop what uses it, or choose another address with --listen, or none with --no-ui"}
	}
	return ln.Close()
}

// verdictError is nil for PASSED.
func verdictError(reports ...prunella.Report) error {
	var worst error
	for _, r := range reports {
		switch r.Status {
		case prunella.Passed:
		case prunella.Failed:
			if worst == nil {
				worst = errFailed
			}
		default:
			worst = errErrored
		}
	}
	return worst
}
