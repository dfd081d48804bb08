package lab

import (
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// Kind is the way a service verifies tokens.
type Kind string

const (
	StaticFile Kind = "static-file" // a JWKS file on disk, changed by signed key webhooks and re-read on request
	WholeSet   Kind = "whole-set"   // the whole JWKS cached for a TTL; a kid that is not in it is refused until then
	PerKid     Kind = "per-kid"     // each key cached for a TTL under its kid; an unknown kid is fetched
	Keyfunc    Kind = "keyfunc"     // MicahParks/keyfunc v3 at its defaults
	GoOIDC     Kind = "go-oidc"     // coreos/go-oidc v3 remote key set at its defaults
	JWX        Kind = "jwx"         // lestrrat-go/jwx v3 jwk.Cache at its defaults
	KeySet     Kind = "keyset"      // package keyset at its defaults, with the issuer's webhooks as hints
)

// Kinds lists every Kind.
func Kinds() []Kind { return []Kind{StaticFile, WholeSet, PerKid, Keyfunc, GoOIDC, JWX, KeySet} }

// ServiceSpec describes one service of the world.
type ServiceSpec struct {
	Name        string
	Kind        Kind
	CacheTTL    time.Duration // whole-set and per-kid; default a day
	Criticality string        // high | normal | low
	Owner       string
}

// Spec describes a world. The zero value is a good one.
type Spec struct {
	Profile       string        // "distributed" (default) or "cached": which Kinds the services get
	ServiceCount  int           // default 7, at most 16; ignored when Services is set
	Keyset        string        // services that are on KeySet whatever the profile says: "healthy" (those that no fault of Faults is about), "all", "none", how many (the last ones), or names as "user,order"; default healthy when Faults are known and Services is not set, else none
	Faults        []Coming      // what will be injected, as far as it is known
	Services      []ServiceSpec // overrides Profile and ServiceCount
	Issuer        string        // "manual" (default): an operator moves the keys by hand; "rotation": package rotation does
	Alg           string        // RS256 (default) or ES256
	TokenLifetime time.Duration // default 1 h
	NextPublished *bool         // whether a next key is published from the start, as Auth0 does; default true for "cached"
	Audience      string        // default https://api.acme.example
	Rate          float64       // client calls per second over all services, default 140; negative for none
	Sessions      int           // clients with long-lived tokens, default 120
	NoiseShare    float64       // share of calls with an expired token, default 0.005; negative for none
	Seed          int64
	Processes     bool          // every service and auth as its own OS process
	Dir           string        // key and configuration files go below it; default a temporary folder, removed at Stop
	MetricsEvery  time.Duration // OTLP metric interval, default 500 ms
	Log           *slog.Logger  // the lab's own log, default none
}

// serviceNames are the names of a world's services in order: the first seven
// are the default world.
var serviceNames = []string{
	"user", "order", "payment", "inventory", "notification", "search", "gateway",
	"catalog", "shipping", "billing", "review", "analytics", "pricing", "loyalty", "support", "media",
}

// owners, criticalities and calls of the services known by name.
var (
	criticality = map[string]string{"payment": "high", "order": "high", "gateway": "high", "user": "high", "billing": "high",
		"notification": "low", "search": "low", "analytics": "low", "review": "low", "media": "low"}
	owner = map[string]string{"user": "@priya", "order": "@deepak", "payment": "@deepak", "inventory": "@lena",
		"notification": "@lena", "search": "@tomas", "gateway": "@sam"}
	calls = map[string][]string{"gateway": {"order"}, "order": {"payment", "inventory"}}
)

const (
	profileDistributed = "distributed"
	profileCached      = "cached"

	issuerManual   = "manual"
	issuerRotation = "rotation"
)

// withDefaults returns a complete copy of s, or an Invalid error that names the
// field.
func (s Spec) withDefaults() (Spec, error) {
	bad := func(field, format string, args ...any) (Spec, error) {
		return Spec{}, &prunella.Error{Kind: prunella.Invalid, Op: "start lab", Where: field, Reason: fmt.Sprintf(format, args...)}
	}
	if s.Profile == "" {
		s.Profile = profileDistributed
	}
	if s.Profile != profileDistributed && s.Profile != profileCached {
		return bad("profile", "%q is not a profile; write %s or %s", s.Profile, profileDistributed, profileCached)
	}
	if s.Issuer == "" {
		s.Issuer = issuerManual
	}
	if s.Issuer != issuerManual && s.Issuer != issuerRotation {
		return bad("issuer", "%q is not a kind of issuer; write %s or %s", s.Issuer, issuerManual, issuerRotation)
	}
	if s.Alg == "" {
		s.Alg = "RS256"
	}
	if s.Alg != "RS256" && s.Alg != "ES256" {
		return bad("alg", "%q is not a signing algorithm of the lab; write RS256 or ES256", s.Alg)
	}
	if s.ServiceCount == 0 {
		s.ServiceCount = 7
	}
	if s.ServiceCount < 1 || s.ServiceCount > len(serviceNames) {
		return bad("services", "%d services; write 1 to %d", s.ServiceCount, len(serviceNames))
	}
	if s.TokenLifetime == 0 {
		s.TokenLifetime = time.Hour
	}
	if s.TokenLifetime < 5*time.Second {
		return bad("token_lifetime", "%s is too short; write 5s or more", s.TokenLifetime)
	}
	if s.NextPublished == nil {
		next := s.Profile == profileCached && s.Issuer == issuerManual
		s.NextPublished = &next
	}
	if s.Audience == "" {
		s.Audience = "https://api.acme.example"
	}
	s.Rate = defaulted(s.Rate, 140)
	s.NoiseShare = defaulted(s.NoiseShare, 0.005)
	if s.Sessions == 0 {
		s.Sessions = 120
	}
	if s.MetricsEvery == 0 {
		s.MetricsEvery = 500 * time.Millisecond
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Keyset == "" && len(s.Faults) > 0 && s.Services == nil {
		s.Keyset = keysetHealthy
	}
	if s.Services == nil {
		s.Services = profileServices(s.Profile, s.ServiceCount)
	}
	s.Services = slices.Clone(s.Services)
	if err := s.onKeyset(); err != nil {
		return bad("keyset", "%v", err)
	}
	seen := map[string]bool{"auth": true}
	for i := range s.Services {
		v := &s.Services[i]
		where := fmt.Sprintf("services[%d]", i)
		if v.Name == "" || strings.ContainsAny(v.Name, " /\t\n") {
			return bad(where, "%q is not a service name; write lower-case letters and dashes", v.Name)
		}
		if seen[v.Name] {
			return bad(where, "%q is there twice (the issuer is named auth)", v.Name)
		}
		seen[v.Name] = true
		if !slices.Contains(Kinds(), v.Kind) {
			return bad(where, "%q is not a kind of verifier; write one of %v", v.Kind, Kinds())
		}
		if v.CacheTTL == 0 {
			v.CacheTTL = 24 * time.Hour
		}
		if v.CacheTTL < time.Second {
			return bad(where, "cache TTL %s is too short; write 1s or more", v.CacheTTL)
		}
		if v.Criticality == "" {
			v.Criticality = orElse(criticality[v.Name], "normal")
		}
		if v.Owner == "" {
			v.Owner = orElse(owner[v.Name], "@sam")
		}
	}
	return s, nil
}

// profileServices gives the first n services their kinds.
func profileServices(profile string, n int) []ServiceSpec {
	cached := []Kind{WholeSet, WholeSet, WholeSet, PerKid, Keyfunc, GoOIDC, JWX}
	out := make([]ServiceSpec, n)
	for i := range out {
		out[i] = ServiceSpec{Name: serviceNames[i], Kind: StaticFile}
		if profile == profileCached {
			out[i].Kind = cached[i%len(cached)]
		}
	}
	return out
}

// onKeyset gives the services that Keyset means this kind.
func (s Spec) onKeyset() error {
	n, err := strconv.Atoi(s.Keyset)
	switch {
	case s.Keyset == "" || s.Keyset == "none" || s.Keyset == keysetHealthy: // who is healthy is settled with the faults
		return nil
	case s.Keyset == "all":
		n = len(s.Services)
	case err != nil:
		for name := range strings.SplitSeq(s.Keyset, ",") {
			i := slices.IndexFunc(s.Services, func(v ServiceSpec) bool { return v.Name == strings.TrimSpace(name) })
			if i < 0 {
				return fmt.Errorf("there is no service %q; write healthy, all, none, how many, or names as user,order", name)
			}
			s.Services[i].Kind = KeySet
		}
		return nil
	case n < 0 || n > len(s.Services):
		return fmt.Errorf("%d of %d services; write 0 to %d", n, len(s.Services), len(s.Services))
	}
	for i := range s.Services[len(s.Services)-n:] {
		s.Services[len(s.Services)-n+i].Kind = KeySet
	}
	return nil
}

func (s Spec) names() []string {
	out := make([]string, len(s.Services))
	for i, v := range s.Services {
		out[i] = v.Name
	}
	return out
}

// callsOf returns the services that name calls in a world of these services.
func callsOf(name string, services []ServiceSpec) []string {
	var out []string
	for _, to := range calls[name] {
		if slices.ContainsFunc(services, func(s ServiceSpec) bool { return s.Name == to }) {
			out = append(out, to)
		}
	}
	sort.Strings(out)
	return out
}

func defaulted(v, otherwise float64) float64 {
	switch {
	case v == 0:
		return otherwise
	case v < 0:
		return 0
	}
	return v
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
