package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"prunella"
	"prunella/app"
	"prunella/keyset"
	"prunella/rotation"
	"prunella/rotation/agent"
	"prunella/rotation/issuer"
)

// keysReference lists every key of the files that are read here.
const keysReference = "docs/keys.md"

// keysConfig is the configuration of a rotation server, and of orders to an
// issuer that another program runs.
type keysConfig struct {
	Issuer    string            `yaml:"issuer"`    // iss of the tokens; default http://LISTEN
	JWKS      string            `yaml:"jwks"`      // URL of the key set; default below the issuer
	Listen    string            `yaml:"listen"`    // default 127.0.0.1:7080
	Data      string            `yaml:"data"`      // default ./keys-data
	Store     string            `yaml:"store"`     // PostgreSQL URL or SQLite file; default DATA/keys.db
	Secret    string            `yaml:"secret"`    // env:NAME or file:PATH that seals the keys; default file:DATA/secret, which is made
	Signer    *remoteSigner     `yaml:"signer"`    // another process that holds the keys; instead of secret
	Algorithm string            `yaml:"algorithm"` // default RS256
	RSABits   int               `yaml:"rsa_bits"`  // default 2048
	Node      string            `yaml:"node"`      // default the host name
	Operators map[string]string `yaml:"operators"` // name: bearer token; default one, whose token is in DATA/operator.token
	Clients   map[string]string `yaml:"clients"`   // name: bearer token of who may have tokens signed; default nobody
	Policy    keysPolicy        `yaml:"policy"`
	Verifiers []keysVerifier    `yaml:"verifiers"`
	Drive     *issuer.Config    `yaml:"drive"` // an issuer that another program runs; then nothing is signed here
}

type remoteSigner struct {
	URL   string `yaml:"url"`
	Token string `yaml:"token"`
}

// keysPolicy is rotation.Policy as it is written.
type keysPolicy struct {
	Period      prunella.Duration `yaml:"period"`
	Ahead       prunella.Duration `yaml:"ahead"`
	MaxLifetime prunella.Duration `yaml:"max_lifetime"`
	Skew        prunella.Duration `yaml:"skew"`
	Stale       prunella.Duration `yaml:"stale"`
	Grace       prunella.Duration `yaml:"grace"`
	MaxLease    prunella.Duration `yaml:"max_lease"`
	Quiet       prunella.Duration `yaml:"quiet"`
	Watch       prunella.Duration `yaml:"watch"`
	Hold        prunella.Duration `yaml:"hold"`
	Returns     int               `yaml:"returns"`
	Refusals    int               `yaml:"refusals"`
	MinAge      prunella.Duration `yaml:"min_age"`
	MaxAge      prunella.Duration `yaml:"max_age"`
}

func (p keysPolicy) policy() rotation.Policy {
	d := func(v prunella.Duration) time.Duration { return time.Duration(v) }
	return rotation.Policy{Period: d(p.Period), Ahead: d(p.Ahead), MaxLifetime: d(p.MaxLifetime), Skew: d(p.Skew), Stale: d(p.Stale), Grace: d(p.Grace),
		MaxLease: d(p.MaxLease), Quiet: d(p.Quiet), Watch: d(p.Watch), Hold: d(p.Hold), Returns: p.Returns, Refusals: p.Refusals, MinAge: d(p.MinAge), MaxAge: d(p.MaxAge)}
}

// keysVerifier is rotation.Verifier as it is written.
type keysVerifier struct {
	Name     string            `yaml:"name"`
	Class    string            `yaml:"class"`
	Secrets  []string          `yaml:"secrets"`
	Expect   int               `yaml:"expect"`
	Stays    bool              `yaml:"stays"`
	Within   prunella.Duration `yaml:"within"`
	Hooks    []string          `yaml:"hooks"`
	Probe    string            `yaml:"probe"`
	Audience string            `yaml:"audience"`
}

func verifiersOf(list []keysVerifier) []rotation.Verifier {
	out := make([]rotation.Verifier, 0, len(list))
	for _, v := range list {
		out = append(out, rotation.Verifier{Name: v.Name, Class: rotation.Class(v.Class), Secrets: v.Secrets, Expect: v.Expect, Stays: v.Stays,
			Within: time.Duration(v.Within), Hooks: v.Hooks, Probe: v.Probe, Audience: v.Audience})
	}
	return out
}

// readYAML reads a file of this room strictly.
func readYAML(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return &prunella.Error{Kind: prunella.Invalid, Op: "read configuration", Where: path, Err: errors.Unwrap(err), Remedy: "give the right path"}
	}
	return app.ParseYAML(path, b, keysReference, into)
}

func readKeysConfig(path string) (keysConfig, error) {
	var cfg keysConfig
	if path != "" {
		if err := readYAML(path, &cfg); err != nil {
			return cfg, err
		}
	}
	names := map[string]string{}
	for what, people := range map[string]map[string]string{"operators": cfg.Operators, "clients": cfg.Clients} {
		for name, token := range people {
			switch {
			case len(token) < 16:
				return cfg, &prunella.Error{Kind: prunella.Invalid, Op: "read configuration", Where: path, Reason: fmt.Sprintf("%s: the token of %s has fewer than 16 characters", what, name), Remedy: "make a long random one"}
			case names[token] != "":
				return cfg, &prunella.Error{Kind: prunella.Invalid, Op: "read configuration", Where: path, Reason: fmt.Sprintf("%s and %s have the same token", name, names[token]), Remedy: "give everybody a token of his own; the audit trail goes by it"}
			}
			names[token] = name
		}
	}
	if cfg.Drive != nil && (cfg.Signer != nil || cfg.Secret != "" || len(cfg.Clients) > 0 || cfg.Issuer != "") {
		return cfg, &prunella.Error{Kind: prunella.Invalid, Op: "read configuration", Where: path, Reason: "drive: is about an issuer of somebody else, which has its own url and signs by itself", Remedy: "leave out issuer, secret, signer and clients"}
	}
	if cfg.Signer != nil && cfg.Secret != "" {
		return cfg, &prunella.Error{Kind: prunella.Invalid, Op: "read configuration", Where: path, Reason: "there is both a signer and a secret", Remedy: "keys are either in a remote signer or sealed here"}
	}
	cfg.Listen = cmp.Or(cfg.Listen, "127.0.0.1:7080")
	cfg.Data = cmp.Or(cfg.Data, "keys-data")
	return cfg, nil
}

// agentConfig is the configuration of prunella keys agent.
type agentConfig struct {
	Issuer string            `yaml:"issuer"`
	JWKS   string            `yaml:"jwks"`
	File   string            `yaml:"file"`
	Mode   string            `yaml:"mode"` // octal; default 0644
	Probe  string            `yaml:"probe"`
	Every  prunella.Duration `yaml:"every"`
	Reload struct {
		PIDFile string   `yaml:"pid_file"`
		Signal  string   `yaml:"signal"` // HUP, USR1 or USR2; default HUP
		URL     string   `yaml:"url"`
		Command []string `yaml:"command"`
	} `yaml:"reload"`
	Acknowledge struct {
		URL      string            `yaml:"url"`
		Secret   string            `yaml:"secret"`
		Instance string            `yaml:"instance"`
		Lease    prunella.Duration `yaml:"lease"`
	} `yaml:"acknowledge"`
	Hints struct {
		Listen  string   `yaml:"listen"` // where hints are taken; empty takes none
		Secrets []string `yaml:"secrets"`
	} `yaml:"hints"`
}

func (a agentConfig) config(path string) (agent.Config, error) {
	wrong := func(reason, remedy string) error {
		return &prunella.Error{Kind: prunella.Invalid, Op: "read configuration", Where: path, Reason: reason, Remedy: remedy}
	}
	cfg := agent.Config{Issuer: a.Issuer, JWKS: a.JWKS, File: a.File, Probe: a.Probe, Every: time.Duration(a.Every), HintSecrets: a.Hints.Secrets,
		Acknowledge: keyset.Acknowledge{URL: a.Acknowledge.URL, Secret: a.Acknowledge.Secret, Instance: a.Acknowledge.Instance, Lease: time.Duration(a.Acknowledge.Lease)}}
	if a.Mode != "" {
		var mode uint32
		if n, err := fmt.Sscanf(a.Mode, "%o", &mode); n != 1 || err != nil || mode > 0o777 {
			return cfg, wrong(fmt.Sprintf("mode is %q", a.Mode), "write it in octal and in quotes: \"0640\"")
		}
		cfg.Mode = fs.FileMode(mode)
	}
	ways := 0
	for _, given := range []bool{a.Reload.PIDFile != "", a.Reload.URL != "", len(a.Reload.Command) > 0} {
		if given {
			ways++
		}
	}
	signals := map[string]syscall.Signal{"": syscall.SIGHUP, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2}
	signal, known := signals[a.Reload.Signal]
	switch {
	case ways > 1:
		return cfg, wrong("reload has more than one of pid_file, url and command", "name the one way in which the service loads the file; leave all out when it watches it")
	case !known || a.Reload.Signal != "" && a.Reload.PIDFile == "":
		return cfg, wrong(fmt.Sprintf("reload.signal is %q", a.Reload.Signal), "write HUP, USR1 or USR2, with a pid_file")
	case a.Reload.PIDFile != "":
		cfg.Reload = agent.Signal(a.Reload.PIDFile, signal)
	case a.Reload.URL != "":
		cfg.Reload = agent.Call(a.Reload.URL, nil)
	case len(a.Reload.Command) > 0:
		cfg.Reload = agent.Command(a.Reload.Command...)
	}
	if (a.Hints.Listen == "") != (len(a.Hints.Secrets) == 0) {
		return cfg, wrong("hints needs both listen and secrets", "give both, or leave hints out")
	}
	return cfg, nil
}

// keysError gives an error of the libraries the kind that decides the exit code.
func keysError(err error) error {
	var e *rotation.Error
	if !errors.As(err, &e) || prunella.KindOf(err) != prunella.Internal {
		return err
	}
	kinds := map[rotation.Kind]prunella.Kind{rotation.Invalid: prunella.Invalid, rotation.Unauthorized: prunella.Unauthorized, rotation.TooLarge: prunella.TooLarge,
		rotation.NotFound: prunella.NotFound, rotation.Refused: prunella.Conflict, rotation.Conflict: prunella.Conflict, rotation.Unavailable: prunella.Unavailable}
	return &prunella.Error{Kind: cmp.Or(kinds[e.Kind], prunella.Internal), Reason: e.Detail, Remedy: e.Remedy, Err: e.Cause}
}
