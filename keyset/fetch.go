package keyset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	fetchTimeout = 10 * time.Second // for a whole fetch, discovery included
	maxRedirects = 3
	leastLife    = time.Minute     // a set is not fetched again sooner, whatever Cache-Control says
	usualLife    = 5 * time.Minute // when Cache-Control says nothing
	rediscover   = 24 * time.Hour
	wholeEvery   = time.Hour        // how often the set is asked for whatever it was: a server that wrongly says that it is the same is found out
	filePoll     = 2 * time.Second  // how often a file is looked at
	fileReread   = 30 * time.Second // how often it is read even though it looks the same
)

// origin is where a key set comes from. fresh asks caches on the way to pass
// the request on.
type origin interface {
	fetch(ctx context.Context, fresh bool) (answer, error)
}

type answer struct {
	same   bool          // as the last one that was kept
	body   []byte        // when it is not
	next   time.Duration // when to ask again
	keep   func()        // remember this answer as the one that later ones are compared with
	source string        // URL or path, for the log
}

// web fetches over HTTP. It is used by one goroutine.
type web struct {
	issuer string // asked for its discovery document, or
	jwks   string // the key set itself
	maxAge time.Duration
	client *http.Client

	discovered time.Time
	fails      int       // of the key set, in a row
	whole      time.Time // when it last came with its text
	etag       string
	modified   string
	hash       [sha256.Size]byte
}

func newWeb(s Source, cfg Config) *web {
	w := &web{issuer: s.Issuer, jwks: s.JWKS, maxAge: cfg.MaxAge, client: ourClient(cfg.Client)}
	if s.JWKS != "" {
		w.issuer = ""
	}
	return w
}

// ourClient keeps a client's transport and sets everything else.
func ourClient(given *http.Client) *http.Client {
	transport := http.DefaultTransport
	if given != nil && given.Transport != nil {
		transport = given.Transport
	}
	return &http.Client{
		Transport: transport,
		Timeout:   fetchTimeout,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			first := via[0].URL
			switch {
			case len(via) > maxRedirects:
				return fmt.Errorf("more than %d redirects", maxRedirects)
			case req.URL.Host != first.Host || req.URL.Scheme != first.Scheme:
				return fmt.Errorf("redirected from %s to another host, %s", first.Host, req.URL.Host)
			}
			return nil
		},
	}
}

func (w *web) fetch(ctx context.Context, fresh bool) (answer, error) {
	// Perhaps the set has moved; but then, perhaps it is the discovery document
	// that has gone or is slow, so every other try goes without it.
	again := w.fails > 0 || time.Since(w.discovered) > rediscover
	if w.issuer != "" && (w.jwks == "" || again && w.fails%2 == 0) {
		if err := w.discover(ctx); err != nil && w.jwks == "" {
			return answer{}, err
		}
	}
	a, err := w.keys(ctx, fresh)
	if err != nil {
		w.fails++
		return answer{}, err
	}
	w.fails = 0
	return a, nil
}

// discover finds the key set by OpenID Connect Discovery 1.0, section 4.
func (w *web) discover(ctx context.Context) error {
	resp, body, err := w.get(ctx, strings.TrimSuffix(w.issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("discovery: %s answered %s", w.issuer, resp.Status)
	}
	var issuer, jwks string
	if err := members(string(body), func(name, value string) error {
		ok := true
		switch name {
		case "issuer":
			issuer, ok = stringValue(value)
		case "jwks_uri":
			jwks, ok = stringValue(value)
		}
		if !ok {
			return errType
		}
		return nil
	}); err != nil {
		return fmt.Errorf("discovery: the document is %w", err)
	}
	if issuer != w.issuer {
		return fmt.Errorf("discovery: the document is of the issuer %.100q, not %q", issuer, w.issuer)
	}
	u, err := url.Parse(jwks)
	if err != nil {
		return errors.New("discovery: jwks_uri is not a URL")
	}
	if err := secure(u); err != nil {
		return fmt.Errorf("discovery: jwks_uri: %w", err)
	}
	if jwks != w.jwks {
		w.jwks, w.etag, w.modified = jwks, "", ""
	}
	w.discovered = time.Now()
	return nil
}

func (w *web) keys(ctx context.Context, fresh bool) (answer, error) {
	header := http.Header{}
	conditional := false
	switch {
	case fresh:
		header.Set("Cache-Control", "no-cache")
	case time.Since(w.whole) < wholeEvery:
		if w.etag != "" {
			header.Set("If-None-Match", w.etag)
		}
		if w.modified != "" {
			header.Set("If-Modified-Since", w.modified)
		}
		conditional = len(header) > 0
	}
	resp, body, err := w.get(ctx, w.jwks, header)
	if err != nil {
		return answer{}, err
	}
	life := min(max(lifetime(resp.Header), leastLife), w.maxAge)
	a := answer{next: refreshAhead(life), source: w.jwks, keep: func() {}}
	switch resp.StatusCode {
	case http.StatusNotModified:
		if !conditional {
			return a, fmt.Errorf("%s answered 304 to an unconditional request", w.jwks)
		}
		a.same = true
	case http.StatusOK:
		hash := sha256.Sum256(body)
		a.same, a.body = hash == w.hash, body
		// An answer that is refused must not be remembered: a later 304 would
		// confirm it.
		a.keep = func() {
			w.whole, w.hash, w.etag, w.modified = time.Now(), hash, resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
		}
	default:
		return a, fmt.Errorf("%s answered %s", w.jwks, resp.Status)
	}
	return a, nil
}

func (w *web) get(ctx context.Context, address string, header http.Header) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", address, err)
	}
	if len(body) > maxDocument {
		return nil, nil, fmt.Errorf("%s sends more than %d bytes", address, maxDocument)
	}
	return resp, body, nil
}

// lifetime reads how long an answer may be used (RFC 9111, as a private cache).
func lifetime(h http.Header) time.Duration {
	life := time.Duration(-1)
	for _, line := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				if s := seconds(strings.Trim(value, `"`)); s >= 0 && (life < 0 || s < life) {
					life = s
				}
			}
		}
	}
	if life >= 0 {
		return life - max(0, seconds(h.Get("Age")))
	}
	if expires, err := http.ParseTime(h.Get("Expires")); err == nil {
		date, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			date = time.Now()
		}
		return expires.Sub(date)
	}
	return usualLife
}

// seconds reads a delta-seconds; -1 is none. A value too large is a long time.
func seconds(s string) time.Duration {
	const long = 365 * 24 * time.Hour
	n, err := strconv.ParseUint(s, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || (err == nil && n > uint64(long/time.Second)):
		return long
	case err != nil:
		return -1
	}
	return time.Duration(n) * time.Second
}

// refreshAhead picks when to fetch again: within the life of the set, early
// enough to try again, and at another moment in every process.
func refreshAhead(life time.Duration) time.Duration {
	return max(leastLife, time.Duration(float64(life)*(0.75+0.15*rand.Float64())))
}

// file reads a set from disk. It is used by one goroutine.
type file struct {
	path string
	info os.FileInfo
	read time.Time
	body []byte
}

func (f *file) fetch(_ context.Context, fresh bool) (answer, error) {
	a := answer{next: filePoll, source: f.path, keep: func() {}}
	info, err := os.Stat(f.path)
	if err != nil {
		return a, err
	}
	if !info.Mode().IsRegular() { // a pipe would never end
		return a, fmt.Errorf("%s is not a regular file", f.path)
	}
	looksSame := f.info != nil && info.Size() == f.info.Size() && info.ModTime().Equal(f.info.ModTime()) && os.SameFile(info, f.info)
	if looksSame && !fresh && time.Since(f.read) < fileReread {
		a.same = true
		return a, nil
	}
	in, err := os.Open(f.path)
	if err != nil {
		return a, err
	}
	defer in.Close()
	body, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
	if err != nil {
		return a, err
	}
	a.body, a.same = body, f.body != nil && bytes.Equal(body, f.body)
	a.keep = func() { f.info, f.read, f.body = info, time.Now(), body }
	return a, nil
}
