package keyset

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Source is one issuer whose tokens are accepted, and where its keys come from.
type Source struct {
	// Issuer is what iss must be, to the byte. When neither JWKS nor File is
	// set it is also the URL whose /.well-known/openid-configuration says where
	// the key set is. It may be empty only for a File that is the only source.
	Issuer string
	JWKS   string // URL of the key set, when there is no discovery document
	File   string // path of a key set on disk, watched; instead of a URL

	// Audience is who this service is: aud must hold one of these. A token that
	// names an audience is refused when none is set here (RFC 7519, 4.1.3),
	// unless AnyAudience says that other checks settle it.
	Audience    []string
	AnyAudience bool

	// Algorithms that are allowed; nil allows RS, PS and ES 256 to 512 and EdDSA.
	// An RSA key that states no algorithm is used with the first RSA one.
	Algorithms []string
	// Types that typ may be; nil allows "JWT", "at+jwt" and no typ.
	Types []string
}

// Config is what New takes. Issuer or File alone is a safe configuration.
type Config struct {
	// The first source; the fields mean what they mean in Source.
	Issuer, JWKS, File string
	Audience           []string
	AnyAudience        bool
	Algorithms, Types  []string

	Others []Source // further issuers

	MaxAge   time.Duration // a removed key is refused after at most this long while the issuer answers; default 15 m, at least 1 m
	MaxStale time.Duration // and after this long while it does not; then every token is refused; default 6 h
	Leeway   time.Duration // clock difference allowed in exp, nbf and iat; default 30 s

	HintSecrets []string     // Standard Webhooks secrets ("whsec_…") that may sign hints; see Set.Hints
	Acknowledge *Acknowledge // where to tell which keys this set holds; nil tells nobody

	Client  *http.Client          // for its transport; timeouts and redirects are ours
	Metrics prometheus.Registerer // nil counts nothing. Two sets in one process need a label each (prometheus.WrapRegistererWith)
	Log     *slog.Logger          // nil is slog.Default
}

// Acknowledge is where a set tells, under a lease, which keys it holds.
type Acknowledge struct {
	URL      string
	Secret   string        // Standard Webhooks secret that signs the message
	Instance string        // who this is; default the host name
	Lease    time.Duration // how long one acknowledgement counts; default 1 m
}

var (
	everyAlgorithm = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	usualTypes     = []string{"", "JWT", "at+jwt"}
)

const (
	defaultMaxAge   = 15 * time.Minute
	defaultMaxStale = 6 * time.Hour
	defaultLeeway   = 30 * time.Second
	defaultLease    = time.Minute
)

// settled returns cfg with its defaults, and its sources checked.
func (cfg Config) settled() (Config, []Source, error) {
	if cfg.MaxAge == 0 {
		cfg.MaxAge = defaultMaxAge
	}
	if cfg.MaxStale == 0 {
		cfg.MaxStale = defaultMaxStale
	}
	if cfg.Leeway == 0 {
		cfg.Leeway = defaultLeeway
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.MaxAge < leastLife || cfg.MaxStale < cfg.MaxAge || cfg.Leeway < 0 {
		return cfg, nil, fmt.Errorf("keyset: MaxAge must be at least %s, MaxStale at least MaxAge, Leeway not negative", leastLife)
	}
	sources := append([]Source{{
		Issuer: cfg.Issuer, JWKS: cfg.JWKS, File: cfg.File,
		Audience: cfg.Audience, AnyAudience: cfg.AnyAudience, Algorithms: cfg.Algorithms, Types: cfg.Types,
	}}, cfg.Others...)
	issuers := map[string]bool{}
	for i := range sources {
		if err := sources[i].settle(len(sources) == 1); err != nil {
			return cfg, nil, err
		}
		if issuers[sources[i].Issuer] {
			return cfg, nil, fmt.Errorf("keyset: the issuer %q is configured twice", sources[i].Issuer)
		}
		issuers[sources[i].Issuer] = true
	}
	for _, secret := range cfg.HintSecrets {
		if _, err := standardwebhooks.NewWebhook(secret); err != nil {
			return cfg, nil, errors.New("keyset: a hint secret is not base64 after whsec_")
		}
	}
	if cfg.Acknowledge != nil {
		ack := *cfg.Acknowledge
		if err := ack.settle(); err != nil {
			return cfg, nil, err
		}
		cfg.Acknowledge = &ack
	}
	return cfg, sources, nil
}

func (s *Source) settle(alone bool) error {
	switch {
	case s.JWKS != "" && s.File != "":
		return fmt.Errorf("keyset: the source %q has both a JWKS URL and a File; one must go", s.Issuer)
	case s.Issuer == "" && (!alone || s.File == ""):
		return errors.New("keyset: an Issuer is missing; only a File that is the one source can do without")
	}
	where := s.JWKS
	if where == "" && s.File == "" {
		where = s.Issuer
	}
	if where != "" {
		u, err := url.Parse(where)
		if err != nil {
			return fmt.Errorf("keyset: %q is not a URL: %w", where, err)
		}
		if err := secure(u); err != nil {
			return fmt.Errorf("keyset: %w", err)
		}
	}
	if s.Algorithms == nil {
		s.Algorithms = everyAlgorithm
	}
	for _, a := range s.Algorithms {
		if _, ok := algorithms[a]; !ok {
			return fmt.Errorf("keyset: the algorithm %q is not one of %s", a, strings.Join(everyAlgorithm, ", "))
		}
	}
	if s.Types == nil {
		s.Types = usualTypes
	}
	return nil
}

// allowsType compares as RFC 7515, 4.1.9 asks: without case, and with
// "application/" left out.
func allowsType(types []string, typ string) bool {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) {
		typ = typ[len(prefix):]
	}
	return slices.ContainsFunc(types, func(t string) bool { return strings.EqualFold(t, typ) })
}

func (a *Acknowledge) settle() error {
	u, err := url.Parse(a.URL)
	if err != nil {
		return fmt.Errorf("keyset: the acknowledge URL: %w", err)
	}
	if err := secure(u); err != nil {
		return fmt.Errorf("keyset: acknowledge: %w", err)
	}
	if _, err := standardwebhooks.NewWebhook(a.Secret); err != nil || a.Secret == "" {
		return errors.New("keyset: the acknowledge secret is missing or not base64 after whsec_")
	}
	if a.Lease == 0 {
		a.Lease = defaultLease
	}
	if a.Lease < time.Second {
		return errors.New("keyset: the acknowledge lease is under a second")
	}
	if a.Instance == "" {
		if a.Instance, err = os.Hostname(); err != nil {
			return fmt.Errorf("keyset: acknowledge without an Instance: %w", err)
		}
	}
	return nil
}

// secure refuses a URL that somebody on the way could answer.
func secure(u *url.URL) error {
	if u.Host == "" || u.User != nil {
		return fmt.Errorf("%q is not an absolute URL without credentials", u.Redacted())
	}
	if u.Scheme == "https" {
		return nil
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	if u.Scheme == "http" && (host == "localhost" || (ip != nil && ip.IsLoopback())) {
		return nil
	}
	return fmt.Errorf("%q must be https (http is for loopback only)", u.Redacted())
}
