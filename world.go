package prunella

import (
	"sort"
	"time"
)

// Inventory is what an operator declares about the watched world: services,
// issuers, and the control planes that heal them. It is part of the
// configuration file (docs/configuration.md); tags are its YAML keys.
type Inventory struct {
	Tenant     TenantID    `yaml:"tenant" json:"tenant"`
	Services   []Service   `yaml:"services" json:"services"`
	Issuers    []Issuer    `yaml:"issuers" json:"issuers"`
	Kubernetes *Kubernetes `yaml:"kubernetes" json:"kubernetes,omitempty"`
	Releases   []Releases  `yaml:"releases" json:"releases,omitempty"`
}

// Service is one watched service.
type Service struct {
	Name        string   `yaml:"name" json:"name"`
	URL         string   `yaml:"url" json:"url"`                 // base URL, "" when it cannot be probed
	Canary      string   `yaml:"canary" json:"canary,omitempty"` // path of a GET that needs a valid token and changes nothing
	Issuer      string   `yaml:"issuer" json:"issuer,omitempty"` // whose tokens it verifies
	Audience    string   `yaml:"audience" json:"audience,omitempty"`
	Deployment  string   `yaml:"deployment" json:"deployment,omitempty"` // Kubernetes Deployment, "" for none
	ConfigMap   string   `yaml:"configmap" json:"configmap,omitempty"`
	ConfigKey   string   `yaml:"config_key" json:"config_key,omitempty"`   // file inside the ConfigMap, "config.yaml"
	Criticality string   `yaml:"criticality" json:"criticality,omitempty"` // high | normal | low
	Calls       []string `yaml:"calls" json:"calls,omitempty"`
	Owner       string   `yaml:"owner" json:"owner,omitempty"` // "@sam"
}

// Issuer is one token issuer.
type Issuer struct {
	Name          string   `yaml:"name" json:"name"` // also the service name of its own signals
	URL           string   `yaml:"url" json:"url"`   // OIDC issuer; discovery is below it
	Audience      string   `yaml:"audience" json:"audience,omitempty"`
	ClientID      string   `yaml:"client_id" json:"client_id,omitempty"`
	ClientSecret  string   `yaml:"client_secret" json:"-"`
	Admin         *Admin   `yaml:"admin" json:"admin,omitempty"`
	Vendor        string   `yaml:"vendor" json:"vendor,omitempty"`                 // who runs it, when it is not us: "auth0"
	StatusPage    string   `yaml:"status_page" json:"status_page,omitempty"`       // Statuspage base URL
	TokenLifetime Duration `yaml:"token_lifetime" json:"token_lifetime,omitempty"` // learned from expires_in when 0
}

// Admin is how an issuer's keys are managed.
type Admin struct {
	Kind  string `yaml:"kind" json:"kind"` // "keys" (Prunella key API) | "auth0" (Auth0 Management API)
	URL   string `yaml:"url" json:"url"`
	Token string `yaml:"token" json:"-"`
}

// Kubernetes is the API server that runs the services.
type Kubernetes struct {
	Server    string `yaml:"server" json:"server"`
	Token     string `yaml:"token" json:"-"`
	Namespace string `yaml:"namespace" json:"namespace"`
}

// Releases is a GitHub-shaped list of releases: GET {URL}/releases.
type Releases struct {
	Service string `yaml:"service" json:"service"` // "" when one list covers all and tag names tell
	URL     string `yaml:"url" json:"url"`         // https://api.github.com/repos/OWNER/REPO
	Token   string `yaml:"token" json:"-"`
}

// Duration is a time.Duration written "90s", "24h" or a number of seconds in YAML and JSON.
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText and UnmarshalText serve YAML and JSON alike.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return Errorf(Invalid, "%q is not a duration; write 90s, 15m or 24h", b)
	}
	*d = Duration(v)
	return nil
}

// ServiceNamed returns the service of that name.
func (inv Inventory) ServiceNamed(name string) (Service, bool) {
	for _, s := range inv.Services {
		if s.Name == name {
			return s, true
		}
	}
	return Service{}, false
}

// IssuerOf returns the issuer whose tokens the service verifies: its own
// declaration, or the only issuer there is.
func (inv Inventory) IssuerOf(service string) (Issuer, bool) {
	s, _ := inv.ServiceNamed(service)
	for _, i := range inv.Issuers {
		if i.Name == s.Issuer || (s.Issuer == "" && len(inv.Issuers) == 1) {
			return i, true
		}
	}
	return Issuer{}, false
}

// Edges returns the declared service graph, sorted.
func (inv Inventory) Edges() []Edge {
	var out []Edge
	for _, s := range inv.Services {
		for _, to := range s.Calls {
			out = append(out, Edge{From: s.Name, To: to})
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].From < out[j].From || out[i].From == out[j].From && out[i].To < out[j].To
	})
	return out
}

// KeySet is what an issuer publishes and signs with, as seen from outside.
type KeySet struct {
	Issuer        string        `json:"issuer"`
	URL           string        `json:"url"` // jwks_uri
	At            time.Time     `json:"at"`
	Reachable     bool          `json:"reachable"`
	Error         string        `json:"error,omitempty"`
	Keys          []PublicKey   `json:"keys"`
	Signer        string        `json:"signer,omitempty"` // kid of a freshly issued token, "" when none could be had
	TokenLifetime time.Duration `json:"token_lifetime"`
	MaxAge        time.Duration `json:"max_age"` // Cache-Control of the set
}

// PublicKey is one published (or formerly published) key.
type PublicKey struct {
	Kid        string    `json:"kid"`
	Thumbprint string    `json:"thumbprint"` // RFC 7638, SHA-256, base64url
	Alg        string    `json:"alg,omitempty"`
	State      string    `json:"state,omitempty"` // from the key API when there is one: next | active | previous | removed | revoked
	FirstSeen  time.Time `json:"first_seen"`
	LastSeen   time.Time `json:"last_seen"`
	LastSigned time.Time `json:"last_signed,omitzero"` // a freshly issued token last carried it; its tokens live one lifetime longer
	Published  bool      `json:"published"`
	Since      time.Time `json:"since,omitzero"` // when it came into State, by the key API; zero when not told
}

// Trust says whether a verifier accepts tokens of a key.
type Trust string

const (
	Trusts       Trust = "trusts"
	Rejects      Trust = "rejects"
	TrustUnknown Trust = "unknown"
)

// TrustCell is one cell of the key board, from a canary token.
type TrustCell struct {
	Service     string        `json:"service"`
	Issuer      string        `json:"issuer"`
	Kid         string        `json:"kid"`
	Trust       Trust         `json:"trust"`
	Status      int           `json:"status,omitempty"` // HTTP status of the canary call, 0 when unreachable
	Reason      string        `json:"reason,omitempty"` // what the service said, shortened
	ClockOffset time.Duration `json:"clock_offset"`     // service's Date header minus ours, ±1 s
	At          time.Time     `json:"at"`
	LastTrusted time.Time     `json:"last_trusted,omitzero"`
}
