package lab

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// serviceConfig is what the platform gives one instance of a service; what its
// team configures is in the YAML file at ConfigPath.
type serviceConfig struct {
	Name         string            `json:"name"`
	Kind         Kind              `json:"kind"`
	Ordinal      int               `json:"ordinal"` // position in the world: picks the service's wording
	ConfigPath   string            `json:"config_path"`
	KeysFile     string            `json:"keys_file"`    // static-file
	WebhookAddr  string            `json:"webhook_addr"` // static-file and keyset: where the issuer's webhooks arrive
	Rotation     *rotationMember   `json:"rotation"`     // nil unless the issuer runs on rotation
	Secret       string            `json:"secret"`       // Standard Webhooks secret
	AdminToken   string            `json:"admin_token"`
	Algs         []string          `json:"algs"`
	Peers        map[string]string `json:"peers"` // base URL of each service it calls
	Version      string            `json:"version"`
	Pod          string            `json:"pod"`
	Defect       bool              `json:"defect"` // this version is the broken one
	Skew         time.Duration     `json:"skew"`   // of the host's clock
	Export       exportTarget      `json:"export"`
	MetricsEvery time.Duration     `json:"metrics_every"`
}

// configFile is the service's YAML configuration, read once at start.
type configFile struct {
	Service string `yaml:"service"`
	Auth    struct {
		Issuer   string `yaml:"issuer"`
		Audience string `yaml:"audience"`
		JWKS     struct {
			URL             string `yaml:"url,omitempty"`
			CacheTTLSeconds int    `yaml:"cache_ttl_seconds,omitempty"`
			KeysFile        string `yaml:"keys_file,omitempty"`
		} `yaml:"jwks"`
	} `yaml:"auth"`
}

func readConfigFile(path string) (configFile, error) {
	var c configFile
	b, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("read configuration: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("read configuration: %w", err)
	}
	return c, nil
}

// configText writes the first configuration of a service as its team would.
func configText(s ServiceSpec, issuer, jwksURL, audience string) string {
	text := fmt.Sprintf("# %s: mounted from ConfigMap %s, read at start\nservice: %s\nauth:\n  issuer: %s\n  audience: %s\n  jwks:\n",
		s.Name, configMapName(s.Name), s.Name, issuer, audience)
	switch s.Kind {
	case StaticFile:
		return text + "    keys_file: keys.json # changed by the key webhook; no refresh\n"
	case KeySet:
		return strings.TrimSuffix(text, "  jwks:\n") + "  # the key set is found by discovery, and needs no setting\n"
	case WholeSet, PerKid:
		return text + fmt.Sprintf("    url: %s\n    cache_ttl_seconds: %d # how long keys are kept before they are fetched again\n", jwksURL, int(s.CacheTTL.Seconds()))
	}
	return text + fmt.Sprintf("    url: %s\n", jwksURL)
}

const configFileName = "config.yaml"

func configMapName(service string) string { return service + "-config" }
