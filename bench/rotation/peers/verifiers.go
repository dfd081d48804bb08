package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxt "github.com/lestrrat-go/jwx/v3/jwt"

	"prunella/keyset"
)

// Source is whose tokens a verifier judges, and where it gets the keys.
type Source struct {
	Issuer, JWKS, Audience string
}

// Verify judges one token.
type Verify func(ctx context.Context, token string) error

// Make makes a verifier that fetches with this transport. Its goroutines end
// with ctx.
type Make func(ctx context.Context, s Source, transport http.RoundTripper) (Verify, error)

// Contestant is one library as its users find it.
type Contestant struct {
	Name   string
	Module string // Go module or npm package whose version counts
	How    string // how it is used here
	Make   Make   // nil: it runs in Node
}

// Ours is the name of the contestant that is this project's.
const Ours = "keyset"

// All lists the contestants, ours first.
func All() []Contestant {
	return []Contestant{
		{Ours, "prunella", "keyset.New, Set.Verify", ours},
		{"keyfunc", "github.com/MicahParks/keyfunc/v3", "NewDefaultCtx with golang-jwt", withKeyfunc},
		{"go-oidc", "github.com/coreos/go-oidc/v3", "NewRemoteKeySet, NewVerifier", withOIDC},
		{"jwx", "github.com/lestrrat-go/jwx/v3", "jwk.Cache, Register, CachedSet", withJWX},
		{"go-jose", "github.com/go-jose/go-jose/v4", "a cache written by hand: the whole set, for five minutes", withJose},
		{"jose", "jose", "createRemoteJWKSet, jwtVerify (Node)", nil},
		{"jwks-rsa", "jwks-rsa", "getSigningKey with jsonwebtoken (Node)", nil},
	}
}

func ours(ctx context.Context, s Source, transport http.RoundTripper) (Verify, error) {
	set, err := keyset.New(ctx, keyset.Config{Issuer: s.Issuer, JWKS: s.JWKS, Audience: []string{s.Audience},
		Client: &http.Client{Transport: transport}, Log: quiet})
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, set.Close)
	return func(ctx context.Context, token string) error {
		_, err := set.Verify(ctx, token)
		return err
	}, nil
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func withKeyfunc(ctx context.Context, s Source, transport http.RoundTripper) (Verify, error) {
	silent := func(string) func(context.Context, error) { return func(context.Context, error) {} }
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{s.JWKS}, keyfunc.Override{
		Client: &http.Client{Transport: transport}, RefreshErrorHandlerFunc: silent}) // NewDefaultCtx, but for transport and log
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256", "ES256", "EdDSA"}), jwt.WithIssuer(s.Issuer),
		jwt.WithAudience(s.Audience), jwt.WithExpirationRequired())
	return func(ctx context.Context, token string) error {
		_, err := parser.Parse(token, keys.KeyfuncCtx(ctx))
		return err
	}, nil
}

func withOIDC(ctx context.Context, s Source, transport http.RoundTripper) (Verify, error) {
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(ctx, &http.Client{Transport: transport}), s.JWKS)
	verifier := oidc.NewVerifier(s.Issuer, keys, &oidc.Config{ClientID: s.Audience, SupportedSigningAlgs: []string{"RS256", "ES256", "EdDSA"}})
	return func(ctx context.Context, token string) error {
		_, err := verifier.Verify(ctx, token)
		return err
	}, nil
}

func withJWX(ctx context.Context, s Source, transport http.RoundTripper) (Verify, error) {
	ctx, cancel := context.WithCancel(ctx)
	cache, err := jwk.NewCache(ctx, httprc.NewClient())
	if err != nil {
		cancel()
		return nil, err
	}
	// It waits for a set that it can read; without an end, when there is none.
	first, done := context.WithTimeout(ctx, 5*time.Second)
	defer done()
	if err := cache.Register(first, s.JWKS, jwk.WithHTTPClient(&http.Client{Transport: transport})); err != nil {
		cancel()
		return nil, err
	}
	context.AfterFunc(ctx, cancel) // only a cache that failed is ended early
	set, err := cache.CachedSet(s.JWKS)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, token string) error {
		_, err := jwxt.Parse([]byte(token), jwxt.WithKeySet(set), jwxt.WithIssuer(s.Issuer), jwxt.WithAudience(s.Audience),
			jwxt.WithRequiredClaim("exp"))
		return err
	}, nil
}

// handCache is what teams write who know that the set must be cached: all of
// it, for a time, fetched again by the request that finds it too old.
type handCache struct {
	url    string
	client *http.Client

	mu      sync.Mutex
	set     jose.JSONWebKeySet
	fetched time.Time
}

const handTTL = 5 * time.Minute

func (c *handCache) current(ctx context.Context) (jose.JSONWebKeySet, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.fetched.IsZero() && time.Since(c.fetched) < handTTL {
		return c.set, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return c.set, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return c.set, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.set, fmt.Errorf("fetch keys: %s", resp.Status)
	}
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		return c.set, fmt.Errorf("fetch keys: %w", err)
	}
	c.set, c.fetched = set, time.Now()
	return set, nil
}

func withJose(_ context.Context, s Source, transport http.RoundTripper) (Verify, error) {
	cache := &handCache{url: s.JWKS, client: &http.Client{Transport: transport}}
	return func(ctx context.Context, token string) error {
		set, err := cache.current(ctx)
		if err != nil {
			return err
		}
		parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA})
		if err != nil {
			return err
		}
		var claims josejwt.Claims
		if err := parsed.Claims(set, &claims); err != nil {
			return err
		}
		if claims.Expiry == nil {
			return errors.New("no exp")
		}
		return claims.Validate(josejwt.Expected{Issuer: s.Issuer, AnyAudience: josejwt.Audience{s.Audience}})
	}, nil
}
