package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"prunella"
	"prunella/lab"
)

type labCmd struct {
	Profile  string            `help:"How services get their keys: distributed (by webhook) or cached (fetched)." default:"distributed" enum:"distributed,cached"`
	Keyset   string            `help:"Services that verify with keyset instead: healthy (all that the fault is not about; the default with --fault), all, none, how many, or names." placeholder:"WHICH"`
	Issuer   string            `help:"Who moves the signing keys: manual (an operator, by hand) or rotation (package rotation, which refuses what would break a verifier)." default:"manual" enum:"manual,rotation"`
	Services int               `help:"How many services." default:"7" placeholder:"N"`
	Alg      string            `help:"Algorithm of the signing keys." default:"RS256" enum:"RS256,ES256"`
	Lifetime time.Duration     `help:"Lifetime of tokens." default:"1h" name:"token-lifetime"`
	Process  bool              `help:"Run every service as a process of its own." name:"processes"`
	Export   string            `help:"Send OTLP telemetry to this base URL." placeholder:"URL"`
	Config   string            `help:"Write the configuration that a server needs to watch this world." placeholder:"FILE"`
	Kube     string            `help:"Write a configuration with which kubectl reaches this world." name:"kubeconfig" placeholder:"FILE"`
	Fault    string            `help:"Break it in this way once it runs; --faults lists them." placeholder:"NAME"`
	Set      map[string]string `help:"Set a parameter of the fault." placeholder:"KEY=VALUE" mapsep:"none"`
	Faults   bool              `help:"List the faults with their parameters, and end."`
	Seed     int64             `help:"Seed of everything random; default: a new one, printed." placeholder:"N"`
}

func (cmd labCmd) Run(c *console) (err error) {
	if cmd.Faults {
		for _, f := range lab.Faults() {
			fmt.Fprintf(c.out, "%s\n    %s\n", f.Name, wrap(f.Doc, 92, 4))
			for _, p := range f.Params {
				fmt.Fprintf(c.out, "    --set %s=…  %s\n", p.Name, wrap(p.Doc, 80, 6))
			}
		}
		return nil
	}
	if cmd.Seed == 0 {
		cmd.Seed = newSeed()
	}
	var coming []lab.Coming
	if cmd.Fault != "" {
		coming = append(coming, lab.Coming{Name: cmd.Fault, Params: cmd.Set})
	}
	w, err := lab.Start(c.ctx, lab.Spec{Profile: cmd.Profile, Keyset: cmd.Keyset, Issuer: cmd.Issuer, Faults: coming, ServiceCount: cmd.Services, Alg: cmd.Alg, TokenLifetime: cmd.Lifetime,
		Processes: cmd.Process, Seed: cmd.Seed, Log: logger(c.err, c.debug)})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 20*time.Second)
		defer cancel()
		err = errors.Join(err, w.Stop(ctx))
	}()
	inv := w.Inventory()
	fmt.Fprintf(c.out, "A world with seed %d. Its issuer: %s\n", cmd.Seed, inv.Issuers[0].URL)
	for _, s := range inv.Services {
		fmt.Fprintf(c.out, "  %-14s %s%s  %s\n", s.Name, s.URL, s.Canary, w.Verifiers()[s.Name])
	}
	if cmd.Config != "" {
		if err := writeConfig(cmd.Config, inv); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "Watch it with: prunella serve --config %s\n", cmd.Config)
	}
	if cmd.Kube != "" {
		b, err := w.Kubeconfig()
		if err == nil {
			err = writeSecret("--kubeconfig", cmd.Kube, b)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "Reach it with: kubectl --kubeconfig %s get deployments\n", cmd.Kube)
	}
	if cmd.Export != "" {
		if err := w.ExportTo(strings.TrimRight(cmd.Export, "/"), ""); err != nil {
			return err
		}
	}
	if cmd.Fault != "" {
		rec, err := w.Inject(c.ctx, cmd.Fault, cmd.Set)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "Injected: %s. Seen: %s\n", rec.Fault, rec.Proof)
	}
	fmt.Fprintln(c.out, "Ctrl-C ends it.")
	<-c.ctx.Done()
	return nil
}

// writeConfig writes what an operator would write; it holds the world's secrets.
func writeConfig(path string, inv prunella.Inventory) error {
	b, err := yaml.Marshal(map[string]any{"world": inv})
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return writeSecret("--config", path, b)
}

// writeSecret writes a file that nobody else may read.
func writeSecret(flag, path string, b []byte) error {
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "write the configuration", Where: path, Err: err, Remedy: "give another path to " + flag}
	}
	return nil
}
