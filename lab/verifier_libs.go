package lab

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxt "github.com/lestrrat-go/jwx/v3/jwt"
)

// keyfuncVerifier is keyfunc as its README uses it: an hourly refresh, and one
// refresh for an unknown kid every five minutes.
type keyfuncVerifier struct {
	parser *jwt.Parser
	keys   keyfunc.Keyfunc
	client *http.Client
	cancel context.CancelFunc
}

func newKeyfuncVerifier(ctx context.Context, c verifierConfig) (verifier, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ends at close, not with the call that started us
	client := newClient(2 * time.Second)
	quiet := func(string) func(context.Context, error) { return func(context.Context, error) {} }
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{c.jwksURL}, keyfunc.Override{Client: client, RefreshErrorHandlerFunc: quiet})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start keyfunc: %w", err)
	}
	return &keyfuncVerifier{parser: c.parser(), keys: keys, client: client, cancel: cancel}, nil
}

func (v *keyfuncVerifier) verify(ctx context.Context, token string) error {
	_, err := v.parser.Parse(token, v.keys.KeyfuncCtx(ctx))
	return err
}

func (v *keyfuncVerifier) close(context.Context) error {
	v.cancel()
	v.client.CloseIdleConnections()
	return nil
}

// oidcVerifier is go-oidc's remote key set: cached without end, fetched anew
// for every kid or signature it does not know.
type oidcVerifier struct {
	v      *oidc.IDTokenVerifier
	client *http.Client
}

func newOIDCVerifier(ctx context.Context, c verifierConfig) verifier {
	client := newClient(2 * time.Second)
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(ctx, client), c.jwksURL)
	return &oidcVerifier{client: client, v: oidc.NewVerifier(c.issuer, keys, &oidc.Config{
		ClientID: c.audience, SupportedSigningAlgs: c.algs, Now: c.now,
	})}
}

func (v *oidcVerifier) verify(ctx context.Context, token string) error {
	_, err := v.v.Verify(ctx, token)
	return err
}

func (v *oidcVerifier) close(context.Context) error {
	v.client.CloseIdleConnections()
	return nil
}

// jwxVerifier is jwx's jwk.Cache: refreshed in the background every 15 minutes
// or later, never because of an unknown kid.
type jwxVerifier struct {
	cfg    verifierConfig
	cache  *jwk.Cache
	client *http.Client
	cancel context.CancelFunc

	set   atomic.Pointer[jwk.CachedSet] // nil until the first fetch succeeded
	mu    sync.Mutex                    // held during an attempt at it
	tried time.Time                     // last attempt
}

func newJWXVerifier(ctx context.Context, c verifierConfig) (verifier, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	client := newClient(2 * time.Second)
	cache, err := jwk.NewCache(ctx, httprc.NewClient())
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start jwk cache: %w", err)
	}
	v := &jwxVerifier{cfg: c, cache: cache, client: client, cancel: cancel}
	_, _ = v.ready(ctx) // a service starts without keys and says so when it needs them
	return v, nil
}

// ready registers the URL, which needs one good fetch, at most once a second;
// who comes meanwhile does not wait.
func (v *jwxVerifier) ready(ctx context.Context) (jwk.Set, error) {
	if set := v.set.Load(); set != nil {
		return *set, nil
	}
	if !v.mu.TryLock() {
		return nil, fmt.Errorf("key set %s is being loaded", v.cfg.jwksURL)
	}
	defer v.mu.Unlock()
	if time.Since(v.tried) < time.Second {
		return nil, fmt.Errorf("key set %s is not available yet", v.cfg.jwksURL)
	}
	v.tried = time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
	defer cancel()
	if err := v.register(ctx); err != nil {
		return nil, fmt.Errorf("key set %s cannot be loaded: %w", v.cfg.jwksURL, err)
	}
	set, err := v.cache.CachedSet(v.cfg.jwksURL)
	if err != nil {
		return nil, err
	}
	v.set.Store(&set)
	return set, nil
}

// register waits for the first fetch; when it was registered by an earlier
// attempt that failed, it asks for a fetch instead.
func (v *jwxVerifier) register(ctx context.Context) error {
	if v.cache.IsRegistered(ctx, v.cfg.jwksURL) {
		_, err := v.cache.Refresh(ctx, v.cfg.jwksURL)
		return err
	}
	return v.cache.Register(ctx, v.cfg.jwksURL, jwk.WithHTTPClient(v.client))
}

func (v *jwxVerifier) verify(ctx context.Context, token string) error {
	set, err := v.ready(ctx)
	if err != nil {
		return err
	}
	_, err = jwxt.Parse([]byte(token), jwxt.WithKeySet(set), jwxt.WithIssuer(v.cfg.issuer), jwxt.WithAudience(v.cfg.audience),
		jwxt.WithRequiredClaim("exp"), jwxt.WithClock(jwxt.ClockFunc(v.cfg.now)))
	return err
}

// close ends the cache. Its own shutdown can wait for ever for a fetch that
// never comes back while the set is away; cancelling its context ends it too.
func (v *jwxVerifier) close(ctx context.Context) error {
	limit, done := context.WithTimeout(ctx, time.Second)
	defer done()
	err := v.cache.Shutdown(limit)
	v.cancel()
	v.client.CloseIdleConnections()
	if limit.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}
