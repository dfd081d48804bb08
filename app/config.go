package app

import (
	"errors"
	"os"
	"strings"
	"time"

	"prunella"
	"prunella/heal"
	"prunella/notify"
)

// Config is the configuration file (docs/configuration.md). The zero value of a
// field means its default.
type Config struct {
	Listen    string             `yaml:"listen"`     // default 127.0.0.1:7070
	PublicURL string             `yaml:"public_url"` // of links in notifications; default http://Listen
	Data      string             `yaml:"data"`       // folder of the store and the bus; default ./data
	TimeScale float64            `yaml:"time_scale"` // 1; more only in drills: waits and windows are divided by it
	World     prunella.Inventory `yaml:"world"`
	Ingest    Ingest             `yaml:"ingest"`
	Wiki      string             `yaml:"wiki"`           // folder of skills/, people/, companies/, drafts/; default: the pages shipped, which cannot be edited
	Exclude   []string           `yaml:"skills_exclude"` // names of skills not to use
	Monitors  Monitors           `yaml:"monitors"`
	Policy    heal.Policy        `yaml:"policy"`
	Verify    Verify             `yaml:"verify"`
	Slack     Slack              `yaml:"slack"`
	Polish    Polish             `yaml:"polish"`
	Notify    Notify             `yaml:"notify"`
	Bus       Bus                `yaml:"bus"`
	Drill     Drill              `yaml:"drill"`
	Retention prunella.Duration  `yaml:"retention"` // of signals and closed incidents; default 720h
}

// Ingest is the way in.
type Ingest struct {
	MaxBody int64                        `yaml:"max_body"` // bytes after decompression; default 8 MiB
	Tokens  map[string]prunella.TenantID `yaml:"tokens"`   // bearer token: tenant; empty lets everybody in
}

// Monitors are the active checks.
type Monitors struct {
	JWKS     prunella.Duration `yaml:"jwks"`     // default 10s
	Canary   prunella.Duration `yaml:"canary"`   // default 10s
	Releases prunella.Duration `yaml:"releases"` // default 60s
}

// Verify is how a heal is proven.
type Verify struct {
	Hold       prunella.Duration `yaml:"hold"`        // default 60s
	MinSamples int               `yaml:"min_samples"` // per service that was hit; default 20
	Watch      prunella.Duration `yaml:"watch"`       // default and least 30m
	Settle     prunella.Duration `yaml:"settle"`      // from opening to diagnosis; default 15s
	Budget     prunella.Duration `yaml:"budget"`      // default 5m
}

// Notify is who is told.
type Notify struct {
	Webhooks  []notify.Webhook `yaml:"webhooks"`
	Heartbeat string           `yaml:"heartbeat"` // URL that is called every minute while all is well; empty: none
}

// Bus is where signals are kept until they are worked on.
type Bus struct {
	URL      string `yaml:"url"`       // of a NATS cluster; empty: embedded
	MaxBytes int64  `yaml:"max_bytes"` // default 1 GiB
}

// LoadConfig reads a file strictly: an unknown key or a wrong value is an error
// that names file, line and remedy. ${NAME} takes an environment variable.
func LoadConfig(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, &prunella.Error{Kind: prunella.Invalid, Op: "read configuration", Where: path, Err: errors.Unwrap(err),
			Remedy: "give the right path with --config, or start without one"}
	}
	return ParseConfig(path, b)
}

// ParseConfig is LoadConfig on bytes.
func ParseConfig(path string, b []byte) (Config, error) {
	var c Config
	if err := ParseYAML(path, b, "docs/configuration.md", &c); err != nil {
		return Config{}, err
	}
	if err := c.validate(); err != nil {
		return Config{}, &prunella.Error{Kind: prunella.Invalid, Op: "read configuration", Where: path, Err: err, Remedy: "see docs/configuration.md"}
	}
	return c, nil
}

func (c Config) validate() error {
	if c.TimeScale < 0 || c.TimeScale > 1000 {
		return prunella.Errorf(prunella.Invalid, "time_scale is %v; it is from 1 (production) to 1000", c.TimeScale)
	}
	for _, d := range []struct {
		name string
		d    prunella.Duration
	}{{"retention", c.Retention}, {"monitors.jwks", c.Monitors.JWKS}, {"monitors.canary", c.Monitors.Canary}, {"monitors.releases", c.Monitors.Releases},
		{"verify.settle", c.Verify.Settle}, {"verify.hold", c.Verify.Hold}, {"verify.budget", c.Verify.Budget}, {"verify.watch", c.Verify.Watch}, {"polish.timeout", c.Polish.Timeout}} {
		if d.d < 0 { // a retention that is would forget everything
			return prunella.Errorf(prunella.Invalid, "%s is %s; it cannot be negative", d.name, time.Duration(d.d))
		}
	}
	if c.Bus.MaxBytes < 0 || c.Ingest.MaxBody < 0 || c.Verify.MinSamples < 0 {
		return prunella.Errorf(prunella.Invalid, "bus.max_bytes, ingest.max_body and verify.min_samples cannot be negative")
	}
	if err := c.Policy.Validate(); err != nil {
		return err
	}
	if err := c.validateSlack(); err != nil {
		return err
	}
	if err := c.Drill.validate(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, s := range c.World.Services {
		switch {
		case s.Name == "":
			return prunella.Errorf(prunella.Invalid, "world.services[%d] has no name", i)
		case seen[s.Name]:
			return prunella.Errorf(prunella.Invalid, "world.services: %q is there twice", s.Name)
		case s.Criticality != "" && !strings.Contains(" high normal low ", " "+s.Criticality+" "):
			return prunella.Errorf(prunella.Invalid, "world.services: criticality of %s is %q; write high, normal or low", s.Name, s.Criticality)
		case s.URL != "" && !strings.HasPrefix(s.URL, "https://") && !strings.HasPrefix(s.URL, "http://"):
			return prunella.Errorf(prunella.Invalid, "world.services: the url of %s is %q; it begins with https:// or http://", s.Name, s.URL)
		}
		seen[s.Name] = true
	}
	for i, iss := range c.World.Issuers {
		if iss.Name == "" || iss.URL == "" {
			return prunella.Errorf(prunella.Invalid, "world.issuers[%d] needs a name and a url", i)
		}
		if iss.Admin != nil && iss.Admin.Kind != "keys" && iss.Admin.Kind != "auth0" {
			return prunella.Errorf(prunella.Invalid, "world.issuers: admin.kind of %s is %q; write keys or auth0", iss.Name, iss.Admin.Kind)
		}
	}
	for _, s := range c.World.Services {
		if s.Issuer != "" {
			if i, ok := c.World.IssuerOf(s.Name); !ok || i.Name != s.Issuer {
				return prunella.Errorf(prunella.Invalid, "world.services: %s verifies tokens of %q, which is not under world.issuers", s.Name, s.Issuer)
			}
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:7070"
	}
	if c.Data == "" {
		c.Data = "data"
	}
	if c.TimeScale == 0 {
		c.TimeScale = 1
	}
	if c.Ingest.MaxBody == 0 {
		c.Ingest.MaxBody = 8 << 20
	}
	for p, d := range map[*prunella.Duration]time.Duration{
		&c.Monitors.JWKS: 10 * time.Second, &c.Monitors.Canary: 10 * time.Second, &c.Monitors.Releases: time.Minute, &c.Retention: 720 * time.Hour, &c.Polish.Timeout: time.Minute,
	} {
		if *p == 0 {
			*p = prunella.Duration(d)
		}
	}
	if c.Bus.MaxBytes == 0 {
		c.Bus.MaxBytes = 1 << 30
	}
	return c
}

// scaled divides a wait by the time scale, but never below a floor at which the
// machine itself would be the limit.
func (c Config) scaled(d prunella.Duration, floor time.Duration) time.Duration {
	return max(time.Duration(float64(d)/c.TimeScale), floor)
}
