package lab

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// verifier checks one token: signature, issuer, audience and times. Its error
// is what the library says, unchanged.
type verifier interface {
	verify(ctx context.Context, token string) error
	close(ctx context.Context) error
}

// verifierConfig is what every kind needs to know.
type verifierConfig struct {
	kind     Kind
	issuer   string
	audience string
	jwksURL  string
	ttl      time.Duration
	keysFile string
	algs     []string
	now      func() time.Time // the service's clock
}

func newVerifier(ctx context.Context, c verifierConfig) (verifier, error) {
	switch c.kind {
	case StaticFile:
		k := &keyFile{path: c.keysFile}
		if err := k.reload(); err != nil {
			return nil, err
		}
		return &fileVerifier{keyFile: k, parser: c.parser()}, nil
	case WholeSet:
		return &wholeSetVerifier{parser: c.parser(), fetch: newFetcher(c.jwksURL), ttl: c.ttl}, nil
	case PerKid:
		return &perKidVerifier{parser: c.parser(), fetch: newFetcher(c.jwksURL), ttl: c.ttl, keys: map[string]cachedKey{}}, nil
	case Keyfunc:
		return newKeyfuncVerifier(ctx, c)
	case GoOIDC:
		return newOIDCVerifier(ctx, c), nil
	case JWX:
		return newJWXVerifier(ctx, c)
	}
	return nil, fmt.Errorf("unknown verifier kind %q", c.kind)
}

// parser is golang-jwt's with the claims this service expects.
func (c verifierConfig) parser() *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods(c.algs), jwt.WithIssuer(c.issuer), jwt.WithAudience(c.audience),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(c.now))
}

func kidOf(t *jwt.Token) string {
	kid, _ := t.Header["kid"].(string)
	return kid
}

func verifyWith(p *jwt.Parser, token string, key func(kid string) (any, error)) error {
	_, err := p.Parse(token, func(t *jwt.Token) (any, error) { return key(kidOf(t)) })
	return err
}

// keyFile is a JWKS file on disk and its keys as last read.
type keyFile struct {
	path string
	mu   sync.RWMutex
	set  jose.JSONWebKeySet
}

// reload reads the file again; on an error the keys stay as they were.
func (k *keyFile) reload() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, err := os.ReadFile(k.path)
	if err != nil {
		return fmt.Errorf("read key store: %w", err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(b, &set); err != nil {
		return fmt.Errorf("read key store %s: %w", filepath.Base(k.path), err)
	}
	k.set = set
	return nil
}

// change edits the file in one rename and then takes it over.
func (k *keyFile) change(edit func([]jose.JSONWebKey) []jose.JSONWebKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	set := jose.JSONWebKeySet{Keys: edit(slices.Clone(k.set.Keys))}
	if err := writeJSON(k.path, set); err != nil {
		return err
	}
	k.set = set
	return nil
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func (k *keyFile) kids() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return kidsOf(k.set.Keys)
}

func (k *keyFile) key(kid string) (any, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if found := k.set.Key(kid); len(found) > 0 {
		return found[0].Key, nil
	}
	return nil, fmt.Errorf("%s has no key %s, only %v", filepath.Base(k.path), kid, kidsOf(k.set.Keys))
}

func kidsOf(keys []jose.JSONWebKey) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.KeyID
	}
	return out
}

type fileVerifier struct {
	*keyFile
	parser *jwt.Parser
}

func (v *fileVerifier) verify(_ context.Context, token string) error {
	return verifyWith(v.parser, token, v.key)
}

func (v *fileVerifier) close(context.Context) error { return nil }

// fetcher gets a JWKS over HTTP.
type fetcher struct {
	url    string
	client *http.Client
}

func newFetcher(url string) *fetcher { return &fetcher{url: url, client: newClient(2 * time.Second)} }

func (f *fetcher) get(ctx context.Context) ([]jose.JSONWebKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return nil, err
	}
	res, err := f.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot fetch signing keys: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot fetch signing keys: GET %s answered %s", f.url, res.Status)
	}
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("cannot fetch signing keys: %w", err)
	}
	return set.Keys, nil
}

func (f *fetcher) close() { f.client.CloseIdleConnections() }

// wholeSetVerifier caches the set as one thing. A kid that is not in a set still
// within its TTL is refused without asking; a set past its TTL is not used.
type wholeSetVerifier struct {
	parser *jwt.Parser
	fetch  *fetcher
	ttl    time.Duration

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time
	failed  time.Time // last failed fetch; not tried again within a second
	failure error
}

func (v *wholeSetVerifier) verify(ctx context.Context, token string) error {
	return verifyWith(v.parser, token, func(kid string) (any, error) {
		keys, age, err := v.current(ctx)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if k.KeyID == kid {
				return k.Key, nil
			}
		}
		return nil, fmt.Errorf("no key in cached JWKS for kid=%s (cached %s ago, %d keys, ttl %s)", kid, age.Round(time.Second), len(keys), v.ttl)
	})
}

func (v *wholeSetVerifier) current(ctx context.Context) ([]jose.JSONWebKey, time.Duration, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.fetched.IsZero() && time.Since(v.fetched) < v.ttl {
		return v.keys, time.Since(v.fetched), nil
	}
	if time.Since(v.failed) < time.Second {
		return nil, 0, v.failure
	}
	keys, err := v.fetch.get(context.WithoutCancel(ctx))
	if err != nil {
		v.failed, v.failure = time.Now(), err
		return nil, 0, err
	}
	v.keys, v.fetched = keys, time.Now()
	return keys, 0, nil
}

func (v *wholeSetVerifier) close(context.Context) error {
	v.fetch.close()
	return nil
}

// perKidVerifier caches each key by itself and asks the issuer for every kid it
// does not hold, without a limit, as jwks-rsa does by default.
type perKidVerifier struct {
	parser *jwt.Parser
	fetch  *fetcher
	ttl    time.Duration

	mu   sync.Mutex
	keys map[string]cachedKey
}

type cachedKey struct {
	key     crypto.PublicKey
	expires time.Time
}

var errNoSigningKey = errors.New("signing key lookup failed")

func (v *perKidVerifier) verify(ctx context.Context, token string) error {
	return verifyWith(v.parser, token, func(kid string) (any, error) {
		v.mu.Lock()
		c, ok := v.keys[kid]
		v.mu.Unlock()
		if ok && time.Now().Before(c.expires) {
			return c.key, nil
		}
		keys, err := v.fetch.get(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if k.KeyID == kid {
				v.mu.Lock()
				v.keys[kid] = cachedKey{k.Key, time.Now().Add(v.ttl)}
				v.mu.Unlock()
				return k.Key, nil
			}
		}
		return nil, fmt.Errorf("%w: issuer publishes none with id %s", errNoSigningKey, kid)
	})
}

func (v *perKidVerifier) close(context.Context) error {
	v.fetch.close()
	return nil
}

// peekKid reads the kid of a token without checking anything, for log lines.
func peekKid(token string) string {
	head, _, ok := strings.Cut(token, ".")
	if !ok {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return ""
	}
	var h struct {
		Kid string `json:"kid"`
	}
	if json.Unmarshal(b, &h) != nil {
		return ""
	}
	return h.Kid
}
