package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"prunella/keyset"
	"prunella/rotation"
)

const (
	askTime     = 10 * time.Second
	maxDocument = 256 << 10 // bytes that keyset, for one, accepts
	maxRead     = 1 << 20   // bytes read to see how large a document is
	maxHops     = 5
	slowAnswer  = 2 * time.Second // a request that brings a new kid waits for such a fetch
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
	took   time.Duration
}

// do sends a request. Redirects on the same host are followed if it says so.
func (w *web) do(req *http.Request, follow bool) (page, error) {
	p := page{}
	began := time.Now()
	client := &http.Client{Transport: w.transport, Timeout: askTime, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		switch {
		case !follow || next.URL.Host != via[0].URL.Host || next.URL.Scheme != via[0].URL.Scheme:
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
	p.took = time.Since(began)
	return p, err
}

// get asks for a document; header is name, value, and so on.
func (w *web) get(ctx context.Context, address string, header ...string) (page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return w.do(req, true)
}

// document fetches one of the issuer's documents and finds what is wrong with
// the way it comes. ok is false when there is nothing to read in it.
func (r *Report) document(ctx context.Context, w *web, name, address string, types ...string) (p page, ok bool, err error) {
	if u, err := url.Parse(address); err == nil && u.Scheme != "https" && !loopback(u) {
		r.find(Error, "not-https", address, "serve it over https only", "the %s is fetched over %s: anybody on the way can put a key in", name, u.Scheme)
	}
	p, err = w.get(ctx, address)
	if err != nil {
		remedy := "see that the address is right and that this machine may reach it"
		var authority x509.UnknownAuthorityError
		switch {
		case errors.As(err, &authority):
			remedy = "have its certificate signed by somebody whom verifiers know; if it is your own authority, name its file in SSL_CERT_FILE"
		case errors.As(err, new(*tls.CertificateVerificationError)):
			remedy = "renew its certificate, or name the host that it is for: verifiers fetch nothing there either"
		}
		return p, false, &rotation.Error{Kind: rotation.Unavailable, Detail: fmt.Sprintf("the %s %s cannot be fetched", name, address), Cause: err, Remedy: remedy}
	}
	rule := strings.ReplaceAll(name, " ", "-")
	switch {
	case p.away != "" && strings.TrimPrefix(p.away, "https://") == strings.TrimPrefix(address, "http://"):
		r.find(Error, "redirect-to-other-host", address, "announce it with https:// itself", "the %s redirects to https; a careful verifier does not follow, and who follows was told where by anybody on the way", name)
	case p.away != "":
		r.find(Error, "redirect-to-other-host", address, "serve it where it is announced", "the %s redirects to %s; a careful verifier does not follow", name, p.away)
	case p.status >= 500 || p.status == http.StatusTooManyRequests:
		return p, false, &rotation.Error{Kind: rotation.Unavailable, Detail: fmt.Sprintf("the %s %s answers %s", name, address, p.text), Remedy: "try again when the issuer is well"}
	case p.status == http.StatusUnauthorized || p.status == http.StatusForbidden:
		r.find(Error, rule+"-guarded", address, "let everybody read it: it holds nothing secret, and verifiers have no credentials (Kubernetes: bind the role system:service-account-issuer-discovery to the group system:unauthenticated)",
			"it answers %s to who has no credentials", p.text)
	case p.status == http.StatusNotModified:
		r.find(Error, "false-not-modified", address, "answer 304 only to a request whose If-None-Match has the present ETag", "it answers %s to who has asked for the first time, and so gives nobody a key", p.text)
	case p.status != http.StatusOK:
		remedy := "serve it there, or name the right URL"
		if name == "discovery document" {
			remedy = "name the issuer as its tokens do in iss; an issuer without this document is checked with --jwks URL"
		}
		r.find(Error, rule+"-missing", address, remedy, "it answers %s", p.text)
	default:
		ok = true
	}
	if !ok {
		return p, false, nil
	}
	if len(p.hops) > 0 {
		r.find(Warning, "redirect", address, "announce the last URL itself", "the %s redirects %d times, to %s; some verifiers do not follow", name, len(p.hops), p.hops[len(p.hops)-1])
	}
	if p.took > slowAnswer {
		r.find(Warning, "slow", address, "serve it from memory, or from a CDN", "the %s took %s; requests with a new kid wait for it, and many verifiers give up after 5 s or less", name, p.took.Round(100*time.Millisecond))
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
	var doc struct{ Issuer, JWKS string }
	var algs []string
	var members map[string]json.RawMessage
	if err := json.Unmarshal(p.body, &members); err != nil {
		remedy := "serve the provider metadata as a JSON object (OpenID Connect Discovery 1.0, section 4.2)"
		if text := bytes.TrimSpace(p.body); len(text) > 0 && text[0] == '<' {
			remedy = "it is a page for people: name the issuer as its tokens do in iss, or its key set with --jwks URL"
		}
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) {
			err = fmt.Errorf("it is a JSON %s", typed.Value)
		}
		r.find(Error, "discovery-unreadable", address, remedy, "it is not readable: %v", err)
		return nil
	}
	for name, into := range map[string]any{"issuer": &doc.Issuer, "jwks_uri": &doc.JWKS, "id_token_signing_alg_values_supported": &algs} {
		_ = json.Unmarshal(members[name], into) // of another type counts as missing
	}
	if doc.Issuer != issuer {
		hint := "make issuer and this URL the same, to the byte"
		switch {
		case strings.TrimSuffix(doc.Issuer, "/") == strings.TrimSuffix(issuer, "/"):
			hint = fmt.Sprintf("they differ in the slash at the end: use the issuer's own spelling here and in verifiers, %s", doc.Issuer)
		case strings.Contains(doc.Issuer, "{"):
			hint = "this is the document of many tenants: name one tenant's issuer, as its tokens state it in iss"
		}
		r.find(Error, "issuer-differs", address, hint, "the document is of the issuer %.200q; iss of its tokens would be refused", doc.Issuer)
	}
	for _, a := range algs {
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
	if age, err := strconv.ParseInt(p.header.Get("Age"), 10, 64); err == nil && r.Cache.MaxAge >= 0 && age > r.Cache.MaxAge {
		r.find(Warning, "copy-too-old", r.JWKS, "let the cache before the issuer obey max-age, or purge it with every change of the set",
			"a cache on the way answered with a copy that is %s old, and says that one may be used for %s", time.Duration(age)*time.Second, time.Duration(r.Cache.MaxAge)*time.Second)
	}
	r.again(ctx, w, p)
	if p.header.Get("ETag") == "" && p.header.Get("Last-Modified") == "" {
		r.find(Note, "not-conditional", r.JWKS, "send an ETag", "every fetch carries the whole document: there is neither ETag nor Last-Modified")
	}
	return p.body, nil
}

// again asks for the key set a second time, as a verifier does that looks for a
// new key: past all caches, and with an ETag that the set never had.
func (r *Report) again(ctx context.Context, w *web, first page) {
	p, err := w.get(ctx, r.JWKS, "Cache-Control", "no-cache", "If-None-Match", `"none-`+rand.Text()+`"`)
	switch {
	case err != nil || p.status >= 500 || p.status == http.StatusTooManyRequests:
		r.find(Warning, "second-answer", r.JWKS, "let it answer everybody, again and again: a rotation makes every verifier ask", "asked again at once it gives no answer: %s", either(err, p.text))
	case p.status == http.StatusNotModified:
		r.find(Error, "false-not-modified", r.JWKS, "answer 304 only to a request whose If-None-Match has the present ETag",
			"it says that nothing has changed since a copy that never was: who asks so, as verifiers do, never gets a new key")
	case p.status == http.StatusOK:
		before, _, _ := keyset.Inspect(first.body) // what is wrong with the sets is said elsewhere
		after, _, _ := keyset.Inspect(p.body)
		if slices.EqualFunc(before, after, func(a, b keyset.Key) bool { return a.ID == b.ID && a.Thumbprint == b.Thumbprint }) {
			return
		}
		r.find(Error, "copies-differ", r.JWKS, "let every node and every cache serve the same set before a key signs, and keep a key that left for as long as old copies live",
			"two requests in a row got different keys, %s and then %s: which verifier knows which key is luck", idsOf(before), idsOf(after))
	}
}

func either(err error, text string) string {
	if err != nil {
		return err.Error()
	}
	return text
}

func idsOf(keys []keyset.Key) string {
	var ids []string
	for _, k := range keys {
		ids = append(ids, k.ID)
	}
	return Names(ids)
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
			if (err == nil || errors.Is(err, strconv.ErrRange)) && n >= 0 { // too large a number is the largest
				c.MaxAge = max(c.MaxAge, min(n, int64(100*365*24*time.Hour/time.Second)))
			}
		}
	}
	if expires := h.Get("Expires"); c.MaxAge < 0 && expires != "" {
		c.Header = "Expires: " + expires
		c.MaxAge = 0 // what is no date is past (RFC 9111, 5.3)
		if at, err := http.ParseTime(expires); err == nil {
			from := time.Now()
			if date, err := http.ParseTime(h.Get("Date")); err == nil {
				from = date
			}
			c.MaxAge = max(0, int64(at.Sub(from)/time.Second))
		}
	}
	return c
}
