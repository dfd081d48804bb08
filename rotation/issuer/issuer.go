package issuer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"prunella/rotation"
	"prunella/rotation/audit"
)

// Config is how an issuer is reached.
type Config struct {
	Kind string `yaml:"kind"` // oidc | auth0 | keycloak | dex | kubernetes
	URL  string `yaml:"url"`  // iss of its tokens
	JWKS string `yaml:"jwks"` // of the key set, when there is no discovery document

	// Admin is the base URL of the API: Auth0 https://TENANT.auth0.com (default URL),
	// Keycloak https://HOST (default what is before /realms/ in URL), Kubernetes the
	// API server (default URL).
	Admin string `yaml:"admin"`
	// A client of the API that may use client credentials, or a Token. For oidc and
	// dex the client only gets tokens, at TokenURL, to see which key signs.
	TokenURL     string `yaml:"token_url"`
	ClientID     string `yaml:"client_id"`
	ClientSecret string `yaml:"client_secret"`
	Token        string `yaml:"token"`
	TokenFile    string `yaml:"token_file"` // read anew for each request
	CA           string `yaml:"ca"`         // file of PEM certificates that sign the server's

	Algorithm string `yaml:"algorithm"` // Keycloak: of new keys; default RS256

	Client *http.Client `yaml:"-"` // for its transport
}

// Key is a key of an issuer as it was seen.
type Key struct {
	ID         rotation.KeyID
	Algorithm  rotation.Algorithm
	Thumbprint rotation.Thumbprint
	State      rotation.State // next, active, previous or revoked; "" is not known
	Until      time.Time      // when it stopped signing, if the issuer says so
}

// Observer reads an issuer's keys. Errors are rotation's Unavailable,
// Unauthorized, NotFound or Invalid.
type Observer interface {
	Observe(ctx context.Context) ([]Key, error)
}

// Driver also changes them. Each call may be repeated. What an issuer cannot do
// is Invalid, with what it can do instead.
type Driver interface {
	Observer
	Stage(ctx context.Context) error                      // publish a next key
	Promote(ctx context.Context, id rotation.KeyID) error // make it the signer
	Retire(ctx context.Context, id rotation.KeyID) error  // publish it no more
	Revoke(ctx context.Context, id rotation.KeyID) error  // take it out at once
}

// Open returns an Observer, which is a Driver for auth0 and keycloak.
func Open(cfg Config) (Observer, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, invalid("", "the issuer's url %.200q is not one of http or https", cfg.URL)
	}
	transport := http.RoundTripper(http.DefaultTransport)
	if cfg.Client != nil && cfg.Client.Transport != nil {
		transport = cfg.Client.Transport
	}
	if cfg.CA != "" {
		pem, err := os.ReadFile(cfg.CA)
		pool := x509.NewCertPool()
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			return nil, invalid("name a file of PEM certificates", "the ca %s cannot be used", cfg.CA)
		}
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{RootCAs: pool}
		transport = t
	}
	if cfg.ClientID == "" && cfg.Token == "" && cfg.TokenFile == "" && (cfg.Kind == "auth0" || cfg.Kind == "keycloak") {
		return nil, invalid("give a client_id and client_secret that may use the API, or a token", "%s is driven by its API, which wants a token", cfg.Kind)
	}
	a := &api{cfg: cfg, client: &http.Client{Transport: transport, Timeout: askTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	switch cfg.Kind {
	case "oidc", "dex":
		return &published{a: a, first: cfg.Kind == "dex"}, nil
	case "kubernetes":
		base := strings.TrimSuffix(orElse(cfg.Admin, cfg.URL), "/")
		a.cfg.JWKS = orElse(cfg.JWKS, base+"/openid/v1/jwks")
		return &published{a: a, bearer: true}, nil
	case "auth0":
		a.base = strings.TrimSuffix(orElse(cfg.Admin, cfg.URL), "/")
		a.tokens = a.base + "/oauth/token"
		a.audience = a.base + "/api/v2/"
		return &auth0{a}, nil
	case "keycloak":
		base, realm, ok := strings.Cut(strings.TrimSuffix(cfg.URL, "/"), "/realms/")
		if !ok || strings.Contains(realm, "/") {
			return nil, invalid("write https://HOST/realms/REALM", "the url %s is not of a Keycloak realm", cfg.URL)
		}
		base = strings.TrimSuffix(orElse(cfg.Admin, base), "/")
		a.base = base + "/admin/realms/" + realm
		a.tokens = base + "/realms/" + realm + "/protocol/openid-connect/token"
		return &keycloak{a, rotation.Algorithm(orElse(cfg.Algorithm, "RS256"))}, nil
	}
	return nil, invalid("write oidc, auth0, keycloak, dex or kubernetes", "there is no kind of issuer %q", cfg.Kind)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func invalid(remedy, format string, args ...any) error {
	return &rotation.Error{Kind: rotation.Invalid, Detail: "issuer: " + fmt.Sprintf(format, args...), Remedy: remedy}
}

// published observes by what everybody can see.
type published struct {
	a      *api
	first  bool // the first key of the set signs
	bearer bool // the key set wants the token; and the token is one of the issuer
}

// Observe implements Observer.
func (p *published) Observe(ctx context.Context) ([]Key, error) {
	cfg := audit.Config{Issuer: p.a.cfg.URL, JWKS: p.a.cfg.JWKS, Client: p.a.client}
	if p.bearer {
		token, err := p.a.bearer(ctx)
		if err != nil {
			return nil, err
		}
		if token != "" {
			cfg.Tokens = []string{token}
		}
		cfg.Client = &http.Client{Transport: withBearer{p.a.client.Transport, token}}
	} else if p.a.cfg.TokenURL != "" {
		cfg.Source = &audit.Source{URL: p.a.cfg.TokenURL, ID: p.a.cfg.ClientID, Secret: p.a.cfg.ClientSecret}
	}
	r, err := audit.Run(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if !r.Usable {
		why := "nothing of it can be used"
		if len(r.Findings) > 0 {
			why = r.Findings[0].Rule + ": " + r.Findings[0].Evidence
		}
		return nil, &rotation.Error{Kind: rotation.Unavailable, Detail: "issuer: the key set of " + p.a.cfg.URL + " is refused: " + why, Remedy: "prunella keys check says all about it"}
	}
	var list []Key
	for i, k := range r.Keys {
		if !k.Usable {
			continue
		}
		one := Key{ID: rotation.KeyID(k.ID), Algorithm: rotation.Algorithm(k.Algorithm), Thumbprint: rotation.Thumbprint(k.Thumbprint)}
		switch {
		case p.first && i == 0, !p.first && k.Role == audit.Signer:
			one.State = rotation.Active
		case p.first, k.Role == audit.Previous:
			one.State = rotation.Previous
		}
		list = append(list, one)
	}
	return list, nil
}

type withBearer struct {
	next  http.RoundTripper
	token string
}

func (w withBearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+w.token)
	}
	return w.next.RoundTrip(r)
}
