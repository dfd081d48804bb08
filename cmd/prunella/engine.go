package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"prunella"
	"prunella/app"
	"prunella/scenario"
)

// logger writes an engine's log to w; to nowhere when w is nil.
func logger(w io.Writer, debug bool) *slog.Logger {
	if w == nil {
		return slog.New(slog.DiscardHandler)
	}
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// engines makes engines for scenarios: each in its own temporary folder,
// listening on listen, with the configuration an operator would write.
func (c *console) engines(listen string) func(context.Context, scenario.EngineConfig) (scenario.RunningEngine, error) {
	return c.enginesWith(listen, "")
}

// enginesWith is engines that know the skills of a wiki; "" are the shipped ones.
func (c *console) enginesWith(listen, wiki string) func(context.Context, scenario.EngineConfig) (scenario.RunningEngine, error) {
	return func(ctx context.Context, ec scenario.EngineConfig) (scenario.RunningEngine, error) {
		data, err := os.MkdirTemp("", "prunella-")
		if err != nil {
			return scenario.RunningEngine{}, &prunella.Error{Kind: prunella.Unavailable, Op: "make a temporary folder", Err: err, Remedy: "set TMPDIR to a folder that can be written"}
		}
		cfg := app.Config{Listen: listen, Data: data, TimeScale: ec.TimeScale, World: ec.Inventory, Wiki: wiki}
		for _, name := range ec.Skills.Exclude {
			cfg.Exclude = append(cfg.Exclude, string(name))
		}
		p := ec.Policy
		cfg.Policy.Autonomy, cfg.Policy.Generic = p.Autonomy, p.Generic
		cfg.Policy.MinFloor, cfg.Policy.MinEvidence, cfg.Policy.RequireFresh = p.MinFloor, p.MinEvidence, p.RequireFresh
		cfg.Policy.ApprovalTTL = prunella.Duration(p.ApprovalTTL)
		var log io.Writer
		if c.debug {
			log = c.err
		}
		a, err := app.New(cfg, version(), logger(log, c.debug))
		if err == nil {
			err = a.Start(ctx)
		}
		if err != nil {
			return scenario.RunningEngine{}, errors.Join(err, os.RemoveAll(data))
		}
		return scenario.RunningEngine{URL: a.URL(), Stop: func(ctx context.Context) error {
			return errors.Join(a.Stop(ctx), os.RemoveAll(data))
		}}, nil
	}
}

type serveCmd struct {
	Config string  `help:"Configuration file (docs/configuration.md)." short:"c" placeholder:"FILE"`
	Data   string  `help:"Folder for everything it keeps; overrides the file." placeholder:"DIR"`
	Listen string  `help:"Address to serve on; overrides the file. Default 127.0.0.1:7070." placeholder:"HOST:PORT"`
	Scale  float64 `help:"Time scale for drills; overrides the file." name:"time-scale" placeholder:"N" hidden:""`
}

// startPercent is the garbage collector's percentage while a server is built:
// indexes and expressions leave more behind than they keep, and an idle server
// would hold on to that memory.
const startPercent = 20

func (cmd serveCmd) Run(c *console) error {
	var cfg app.Config
	if cmd.Config != "" {
		var err error
		if cfg, err = app.LoadConfig(cmd.Config); err != nil {
			return err
		}
	}
	if cmd.Data != "" {
		cfg.Data = cmd.Data
	}
	if cmd.Listen != "" {
		cfg.Listen = cmd.Listen
	}
	if cmd.Scale != 0 {
		cfg.TimeScale = cmd.Scale
	}
	log := logger(c.err, c.debug)
	percent := debug.SetGCPercent(startPercent)
	a, err := app.New(cfg, version(), log)
	if err != nil {
		return err
	}
	a.ProveWith(proveInChild)
	if err := a.Start(c.ctx); err != nil {
		return err
	}
	debug.SetGCPercent(percent)
	debug.FreeOSMemory()
	log.Info("serving", "url", a.URL(), "version", version())
	var failed error
	select {
	case <-c.ctx.Done():
	case failed = <-a.Failed():
	}
	log.Info("stopping")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 20*time.Second)
	defer cancel()
	return errors.Join(failed, a.Stop(ctx))
}
