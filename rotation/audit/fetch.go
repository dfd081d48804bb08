package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"prunella/rotation"
)

const (
	askTime     = 10 * time.Second
	maxDocument = 256 << 10 // bytes that keyset, for one, accepts
	maxRead     = 1 << 20   // bytes read to see how large a document is
	maxHops     = 5
)

// web asks over HTTP and remembers where it was sent.
type web struct{ transport http.RoundTripper }

func newWeb(given *http.Client) *web {
	w := &web{transport: http.DefaultTransport}
	if given != nil && given.Transport != nil {
		w.transport = given.Transport
	}
	return w
}

// page is an answer with how it was come by.
type page struct {
	status int
	text   string // "200 OK"
	header http.Header
	body   []byte
	hops   []string // where it redirected to
	away   string   // the redirect that was not followed, for it leads to another host
}

func (w *web) do(req *http.Request) (page, error) {
	p := page{}
	client := &http.Client{Transport: w.transport, Timeout: askTime, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		switch {
		case next.URL.Host != via[0].URL.Host || next.URL.Scheme != via[0].URL.Scheme:
			p.away = next.URL.Redacted()
			return http.ErrUseLastResponse
		case len(via) > maxHops:
			return fmt.Errorf("more than %d redirects", maxHops)
		}
		p.hops = append(p.hops, next.URL.Redacted())
		return nil
	}}
	resp, err := client.Do(req)
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	p.status, p.text, p.header = resp.StatusCode, resp.Status, resp.Header
	p.body, err = io.ReadAll(io.LimitReader(resp.Body, maxRead))
	return p, err
}

func (w *web) get(ctx context.Context, address string) (page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	return w.do(req)
}

// document fetches one of the issuer's documents and finds what is wrong with
// the way it comes. ok is false when there is nothing to read in it.
func (r *Report) document(ctx context.Context, w *web, name, address string, types ...string) (p page, ok bool, err error) {
	if u, err := url.Parse(address); err == nil && u.Scheme != "https" && !loopback(u) {
		r.find(Error, "not-https", address, "serve it over https only", "the %s is fetched over %s: anybody on the way can put a key in", name, u.Scheme)
	}
	p, err = w.get(ctx, address)
	if err != nil {
		return p, false, &rotation.Error{Kind: rotation.Unavailable, Detail: fmt.Sprintf("the %s %s cannot be fetched", name, address), Cause: err,
			Remedy: "see that the address is right and that this machine may reach it"}
	}
	if p.away != "" {
		r.find(Error, "redirect-to-other-host", address, "serve it where it is announced", "the %s redirects to %s; a careful verifier does not follow", name, p.away)
		return p, false, nil
	}
	if p.status >= 500 || p.status == http.StatusTooManyRequests {
		return p, false, &rotation.Error{Kind: rotation.Unavailable, Detail: fmt.Sprintf("the %s %s answers %s", name, address, p.text), Remedy: "try again when the issuer is well"}
	}
	if p.status != http.StatusOK {
		r.find(Error, strings.ReplaceAll(name, " ", "-")+"-missing", address, "serve it there, or name the right URL", "it answers %s", p.text)
		return p, false, nil
	}
	if len(p.hops) > 0 {
		r.find(Warning, "redirect", address, "announce the last URL itself", "the %s redirects %d times, to %s; some verifiers do not follow", name, len(p.hops), p.hops[len(p.hops)-1])
	}
	if len(p.body) > maxDocument {
		r.find(Error, "too-large", address, "remove old keys", "the %s has more than %d bytes, which verifiers refuse", name, maxDocument)
		return p, false, nil
	}
	kind, _, _ := mime.ParseMediaType(p.header.Get("Content-Type"))
	fits := false
	for _, t := range types {
		fits = fits || kind == t
	}
	if !fits {
		r.find(Warning, "content-type", address, "send Content-Type: "+types[0], "the %s comes as %q", name, p.header.Get("Content-Type"))
	}
	return p, true, nil
}

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// discover reads the provider metadata (OpenID Connect Discovery 1.0, section 4).
func (r *Report) discover(ctx context.Context, w *web, issuer string) error {
	address := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	p, ok, err := r.document(ctx, w, "discovery document", address, "application/json")
	if err != nil || !ok {
		return err
	}
	var doc struct {
		Issuer string   `json:"issuer"`
		JWKS   string   `json:"jwks_uri"`
		Algs   []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := json.Unmarshal(p.body, &doc); err != nil {
		r.find(Error, "discovery-unreadable", address, "serve the provider metadata as JSON", "it is not readable: %v", err)
		return nil
	}
	if doc.Issuer != issuer {
		hint := "make issuer and this URL the same, to the byte"
		if strings.TrimSuffix(doc.Issuer, "/") == strings.TrimSuffix(issuer, "/") {
			hint = "they differ in the slash at the end: use the issuer's own spelling, in verifiers too"
		}
		r.find(Error, "issuer-differs", address, hint, "the document is of the issuer %.200q; iss of its tokens would be refused", doc.Issuer)
	}
	for _, a := range doc.Algs {
		if a == "none" || strings.HasPrefix(a, "HS") {
			r.find(Warning, "weak-algorithm-offered", address, "take it out of id_token_signing_alg_values_supported", "the issuer offers %s, which nobody else can verify", a)
		}
	}
	u, err := url.Parse(doc.JWKS)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		r.find(Error, "jwks-uri", address, "state jwks_uri as an absolute URL", "jwks_uri is %.200q", doc.JWKS)
		return nil
	}
	r.JWKS = doc.JWKS
	return nil
}

// keySet fetches the key set; nil when there is nothing to judge.
func (r *Report) keySet(ctx context.Context, w *web) ([]byte, error) {
	p, ok, err := r.document(ctx, w, "key set", r.JWKS, "application/json", "application/jwk-set+json")
	if err != nil || !ok {
		return nil, err
	}
	r.Cache = cacheOf(p.header)
	if p.header.Get("ETag") == "" && p.header.Get("Last-Modified") == "" {
		r.find(Note, "not-conditional", r.JWKS, "send an ETag", "every fetch carries the whole document: there is neither ETag nor Last-Modified")
	}
	return p.body, nil
}

// cacheOf reads how long a shared or private copy may be used (RFC 9111).
func cacheOf(h http.Header) Cache {
	c := Cache{Header: strings.Join(h.Values("Cache-Control"), ", "), MaxAge: -1}
	for directive := range strings.SplitSeq(c.Header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			c.MaxAge = 0
			return c
		case "max-age", "s-maxage":
			n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 64)
			if err == nil && n >= 0 {
				c.MaxAge = max(c.MaxAge, min(n, int64(100*365*24*time.Hour/time.Second)))
			}
		}
	}
	if c.MaxAge < 0 {
		if at, err := http.ParseTime(h.Get("Expires")); err == nil {
			c.Header = "Expires: " + h.Get("Expires")
			from := time.Now()
			if date, err := http.ParseTime(h.Get("Date")); err == nil {
				from = date
			}
			c.MaxAge = max(0, int64(at.Sub(from)/time.Second))
		}
	}
	return c
}
