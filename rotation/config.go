package rotation

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Config is what New takes. Issuer, Store and Signer are needed.
type Config struct {
	Issuer    string    // iss of the tokens, and the URL below which discovery lives
	JWKS      string    // URL of the key set as verifiers see it; default Issuer + "/.well-known/jwks.json"
	Algorithm Algorithm // of new keys; default RS256
	Policy    Policy
	Verifiers []Verifier // who verifies these tokens. Every node must have the same list

	Store  Store
	Signer Signer

	Node    string                // who this is in the audit trail; default the host name
	Tick    time.Duration         // how often the loop looks; default 1 s, at most a quarter of Policy.Stale
	Client  *http.Client          // for its transport; timeouts and redirects are ours
	Metrics prometheus.Registerer // nil counts nothing
	Log     *slog.Logger          // nil is slog.Default
}

// declared is a verifier with its secrets ready.
type declared struct {
	Verifier
	hooks []*standardwebhooks.Webhook
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// settled returns cfg with its defaults, checked.
func (cfg Config) settled() (Config, map[string]*declared, error) {
	var err error
	if cfg.Policy, err = cfg.Policy.Settled(); err != nil {
		return cfg, nil, err
	}
	if cfg.Store == nil || cfg.Signer == nil {
		return cfg, nil, fault(Invalid, "the configuration has no Store or no Signer", "sqlstore.Open and package signer have some")
	}
	if err := checkURL("Issuer", cfg.Issuer); err != nil {
		return cfg, nil, err
	}
	if strings.Contains(cfg.Issuer, "?") {
		return cfg, nil, fault(Invalid, fmt.Sprintf("Issuer %.200q has a query", cfg.Issuer), "an issuer is a URL of scheme, host and path (OpenID Connect Discovery 1.0, section 3)")
	}
	if cfg.JWKS == "" {
		cfg.JWKS = strings.TrimSuffix(cfg.Issuer, "/") + "/.well-known/jwks.json"
	}
	if err := checkURL("JWKS", cfg.JWKS); err != nil {
		return cfg, nil, err
	}
	if cfg.JWKS == strings.TrimSuffix(cfg.Issuer, "/")+wellKnown {
		return cfg, nil, fault(Invalid, "JWKS is the URL of the discovery document", "the key set has a URL of its own: leave it out for "+strings.TrimSuffix(cfg.Issuer, "/")+"/.well-known/jwks.json")
	}
	cfg.Algorithm = cmp.Or(cfg.Algorithm, "RS256")
	if !slices.Contains(Algorithms, cfg.Algorithm) {
		return cfg, nil, fault(Invalid, fmt.Sprintf("there is no algorithm %q", cfg.Algorithm), "use one of RS, PS or ES with 256, 384 or 512, or EdDSA")
	}
	if cfg.Tick == 0 {
		cfg.Tick = min(time.Second, cfg.Policy.Stale/4)
	}
	if cfg.Tick < 0 || cfg.Tick > cfg.Policy.Stale/4 {
		return cfg, nil, fault(Invalid, "Tick is more than a quarter of Policy.Stale", "a node that looks less often would refuse to sign")
	}
	if cfg.Node == "" {
		if cfg.Node, err = os.Hostname(); err != nil {
			return cfg, nil, &Error{Kind: Invalid, Detail: "Node is missing, and this host has no name", Cause: err}
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	byName := map[string]*declared{}
	cfg.Verifiers = slices.Clone(cfg.Verifiers)
	for i, v := range cfg.Verifiers {
		d, err := v.declare()
		if err != nil {
			return cfg, nil, err
		}
		if byName[v.Name] != nil {
			return cfg, nil, fault(Invalid, fmt.Sprintf("the verifier %q is declared twice", v.Name), "name each once; one declaration covers every instance")
		}
		byName[v.Name] = d
		cfg.Verifiers[i] = d.Verifier
	}
	return cfg, byName, nil
}

func (v Verifier) declare() (*declared, error) {
	wrong := func(why string) error {
		return fault(Invalid, fmt.Sprintf("the verifier %.64q %s", v.Name, why), "correct its declaration; docs/rotation.md says what each class has")
	}
	switch {
	case !goodName.MatchString(v.Name):
		return nil, wrong("is not named with 1 to 64 letters, digits, dots, dashes and underscores")
	case v.Class != Answering && v.Class != Timed && v.Class != Manual:
		return nil, wrong(fmt.Sprintf("has the class %q, not answering, timed or manual", v.Class))
	case v.Class == Timed && v.Within <= 0:
		return nil, wrong("is timed and does not say Within what it refreshes")
	case v.Class != Timed && v.Within != 0:
		return nil, wrong("has a Within and is not timed")
	case v.Class != Answering && (v.Expect != 0 || v.Stays):
		return nil, wrong("has Expect or Stays and does not answer")
	case v.Expect < 0:
		return nil, wrong("expects a negative number of instances")
	case v.Class == Answering && len(v.Secrets) == 0:
		return nil, wrong("answers and has no secret to sign with")
	case len(v.Hooks) > 0 && len(v.Secrets) == 0:
		return nil, wrong("has hooks and no secret to sign hints with")
	case v.Class != Answering && strings.Contains(v.Probe, instancePlace):
		return nil, wrong("has a Probe for each instance and does not tell its instances")
	}
	v.Audience = cmp.Or(v.Audience, v.Name)
	d := &declared{Verifier: v}
	for _, secret := range v.Secrets {
		hook, err := standardwebhooks.NewWebhook(secret)
		if err != nil || secret == "" {
			return nil, wrong("has a secret that is not base64 after whsec_")
		}
		d.hooks = append(d.hooks, hook)
	}
	for _, u := range v.Hooks {
		if err := checkURL("Hooks of "+v.Name, u); err != nil {
			return nil, err
		}
	}
	if v.Probe != "" {
		if err := checkURL("Probe of "+v.Name, strings.ReplaceAll(v.Probe, instancePlace, "x")); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func checkURL(what, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return fault(Invalid, fmt.Sprintf("%s %.200q is not an absolute URL of http or https without credentials", what, text), "write https://HOST/PATH")
	}
	return nil
}
