package audit

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"prunella/rotation"
)

// Config is what Run takes. Issuer is needed.
type Config struct {
	Issuer string // as tokens state it in iss; discovery lives below it
	JWKS   string // URL of the key set, when there is no discovery document

	Verifiers []Verifier
	Source    *Source  // of a token of the signer
	Tokens    []string // compact tokens of this issuer, of any of its keys

	RotationPeriod time.Duration // how often a new key signs; 0 is not known
	Overlap        time.Duration // how long before it signs a new key is published; 0 is not known
	TokenLifetime  time.Duration // of the longest token; 0 learns it from the tokens
	SignerSince    time.Time     // when the signer began to sign; zero learns it from the tokens
	Old, Next      []string      // kids that are known to have signed before, and to come

	Client *http.Client // for its transport

	past *Memory // of a watch
}

// Verifier is a service to ask. URL answers a GET with a bearer token, and
// without one with 401.
type Verifier struct {
	Name string // default the host and path of URL
	URL  string
}

// Severity of a finding.
type Severity string

// The severities. The first two are problems.
const (
	Error   Severity = "error"   // breaks now, or lets an attacker in
	Warning Severity = "warning" // will break at some rotation
	Note    Severity = "note"    // worth knowing
)

// Finding is one thing that was found.
type Finding struct {
	Rule     string   `json:"rule"` // kebab-case, stable
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"` // a kid, a verifier, a URL
	Evidence string   `json:"evidence"`
	Remedy   string   `json:"remedy"`
}

// Key is a key of the published set.
type Key struct {
	ID         string `json:"kid"`
	Type       string `json:"kty"`
	Algorithm  string `json:"alg,omitempty"`
	Use        string `json:"use,omitempty"`
	Strength   string `json:"strength,omitempty"` // "2048 bits", "P-256"
	Thumbprint string `json:"thumbprint,omitempty"`
	Usable     bool   `json:"usable"`
	Why        string `json:"why,omitempty"` // it is not
	Role       Role   `json:"role"`
}

// Role is what a published key is for, as far as it was seen.
type Role string

// The roles.
const (
	Signer   Role = "signer"   // a fresh token carries it
	Previous Role = "previous" // a token of it was seen
	Next     Role = "next"     // it is known to come
	Other    Role = "other"    // next or previous: no token of it was seen
	NotUsed  Role = "not-used" // not for signatures, or no verifier should take it
)

// Outcome of showing a token to a verifier.
type Outcome string

// The outcomes.
const (
	Accepts Outcome = "accepts"
	Rejects Outcome = "rejects" // for its key or signature, or without saying why
	Unknown Outcome = "unknown"
)

// Trust is what one verifier made of a token of one key.
type Trust struct {
	Key     string  `json:"kid"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail,omitempty"`
}

// VerifierReport is what one verifier was seen to trust.
type VerifierReport struct {
	Name  string  `json:"name"`
	URL   string  `json:"url"`
	Guard string  `json:"without_token"` // what it answered without a token
	Trust []Trust `json:"trust"`

	guard page
	blind bool // it accepted a forgery
}

func (v VerifierReport) of(kid string) (Trust, bool) {
	for _, t := range v.Trust {
		if t.Key == kid {
			return t, true
		}
	}
	return Trust{}, false
}

// Verdict says whether a key may leave the set now.
type Verdict struct {
	Key       string    `json:"kid"`
	Answer    string    `json:"answer"`           // yes | no | unknown
	Breaks    []string  `json:"breaks,omitempty"` // verifiers
	NotBefore time.Time `json:"not_before,omitzero"`
	Text      string    `json:"text"`
}

// Cache is what the key set's answer says about keeping it.
type Cache struct {
	Header string `json:"header"`
	MaxAge int64  `json:"max_age_s"` // -1: it does not say
}

// Report is what was found.
type Report struct {
	Issuer    string           `json:"issuer"`
	JWKS      string           `json:"jwks_uri"`
	At        time.Time        `json:"at"`
	Signer    string           `json:"signer,omitempty"`
	Since     time.Time        `json:"signer_seen_since,omitzero"` // the earliest token of it that was seen
	Lifetime  int64            `json:"token_lifetime_s,omitempty"`
	Cache     Cache            `json:"cache"`
	Keys      []Key            `json:"keys"`
	Verifiers []VerifierReport `json:"verifiers"`
	Removal   []Verdict        `json:"removal"`
	Findings  []Finding        `json:"findings"`
	Usable    bool             `json:"usable"` // keyset would use this set

	tokens []token
}

// Problems counts errors and warnings.
func (r Report) Problems() int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity != Note {
			n++
		}
	}
	return n
}

func (r *Report) find(s Severity, rule, subject, remedy, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Rule: rule, Severity: s, Subject: subject, Evidence: fmt.Sprintf(format, args...), Remedy: remedy})
}

// Run audits once. It is rotation's Invalid when the configuration is wrong and
// Unavailable when the issuer does not answer; whatever else is wrong is in the
// report.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if err := cfg.check(); err != nil {
		return Report{}, err
	}
	r := Report{Issuer: cfg.Issuer, At: time.Now().UTC(), Keys: []Key{}, Verifiers: []VerifierReport{}, Removal: []Verdict{}, Findings: []Finding{}, Cache: Cache{MaxAge: -1}}
	web := newWeb(cfg.Client)
	r.JWKS = cfg.JWKS
	if r.JWKS == "" {
		if err := r.discover(ctx, web, cfg.Issuer); err != nil {
			return r, err
		}
	}
	if r.JWKS == "" {
		r.order()
		return r, nil
	}
	body, err := r.keySet(ctx, web)
	if err != nil {
		return r, err
	}
	if body != nil {
		r.judgeSet(body)
	}
	r.collect(ctx, web, cfg, body)
	r.roles(cfg)
	if body != nil {
		r.judgeCache(cfg)
	}
	r.ask(ctx, web, cfg)
	r.removal()
	r.order()
	return r, nil
}

func (cfg *Config) check() error {
	for what, text := range map[string]string{"the issuer": cfg.Issuer, "the key set's URL": cfg.JWKS} {
		if text == "" && what != "the issuer" {
			continue
		}
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
			return wrong("name it as its tokens do in iss, such as https://id.example.com", "%s %.200q is not an absolute URL of http or https without credentials", what, text)
		}
		if issuer, is := strings.CutSuffix(text, "/.well-known/openid-configuration"); is {
			return wrong("name the issuer: "+issuer, "%.200q is its discovery document, not the issuer", text)
		}
	}
	if s := cfg.Source; s != nil {
		if u, err := url.Parse(s.URL); err != nil || u.Host == "" || s.ID == "" {
			return wrong("", "a token needs the URL of the token endpoint and a client id")
		}
	}
	names := map[string]bool{}
	cfg.Verifiers = slices.Clone(cfg.Verifiers)
	for i := range cfg.Verifiers {
		v := &cfg.Verifiers[i]
		u, err := url.Parse(v.URL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return wrong("write NAME=https://HOST/PATH", "the verifier's URL %.200q is not one of http or https", v.URL)
		}
		if v.Name == "" {
			v.Name = strings.TrimSuffix(u.Host+u.Path, "/")
		}
		if names[v.Name] {
			return wrong("name each: NAME=URL", "the verifier %q is named twice", v.Name)
		}
		names[v.Name] = true
	}
	return nil
}

func wrong(remedy, format string, args ...any) error {
	return &rotation.Error{Kind: rotation.Invalid, Detail: fmt.Sprintf(format, args...), Remedy: remedy}
}

// roles says what each key is for.
func (r *Report) roles(cfg Config) {
	usable := 0
	for _, k := range r.Keys {
		if k.Usable {
			usable++
		}
	}
	for i := range r.Keys {
		k := &r.Keys[i]
		switch {
		case !k.Usable:
			k.Role = NotUsed
		case k.ID == r.Signer || r.Signer == "" && usable == 1:
			k.Role = Signer
			r.Signer = k.ID
		case slices.Contains(cfg.Old, k.ID) || slices.ContainsFunc(r.tokens, func(t token) bool { return t.kid == k.ID && !t.canary }):
			k.Role = Previous
		case slices.Contains(cfg.Next, k.ID):
			k.Role = Next
		default:
			k.Role = Other
		}
	}
	if r.Signer != "" && usable == 1 {
		r.find(Note, "no-next-key", r.Signer, "publish the next key before it signs, by at least as long as verifiers keep a copy",
			"only %s is published: a key that signs as soon as it is published is unknown to every copy of the set made before", r.Signer)
	}
}

func (r *Report) judgeCache(cfg Config) {
	age := time.Duration(r.Cache.MaxAge) * time.Second
	period := cfg.RotationPeriod
	switch {
	case r.Cache.MaxAge < 0:
		r.find(Note, "cache-unstated", r.JWKS, "send Cache-Control: max-age of some minutes", "the key set does not say how long a copy may be used, and verifiers guess, from seconds to days")
	case period > 0 && age >= period:
		r.find(Error, "cache-longer-than-rotation", r.JWKS, "lower max-age to a small part of the rotation period",
			"a copy may be used for %s and a new key signs every %s: a verifier can miss a key's whole life", age, period)
	case period > 0 && age > period/4:
		r.find(Warning, "cache-long", r.JWKS, "lower max-age below a quarter of the rotation period, and publish the next key that long before it signs",
			"a copy may be used for %s of a rotation period of %s", age, period)
	case cfg.Overlap > 0 && age >= cfg.Overlap:
		r.find(Error, "cache-longer-than-overlap", r.JWKS, "lower max-age, or publish the next key earlier", "a copy may be used for %s and a new key signs %s after it was published: who obeys refuses its tokens until his copy ends", age, cfg.Overlap)
	case period == 0 && age > 24*time.Hour:
		r.find(Warning, "cache-long", r.JWKS, "lower max-age: a key that is revoked is trusted for that long", "a copy may be used for %s", age)
	case age == 0:
		r.find(Note, "cache-none", r.JWKS, "send max-age of a minute or more: verifiers that obey fetch with every look", "the answer says %q", r.Cache.Header)
	}
}

// order sorts findings by weight; what is equally heavy stays as it was found.
func (r *Report) order() {
	rank := map[Severity]int{Error: 0, Warning: 1, Note: 2}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return rank[a.Severity] - rank[b.Severity] })
}
