package action

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"prunella"
)

// ErrLost says that a mutation's answer was lost: whether the world took it is
// not known. Look with World.Happened before doing it again.
var ErrLost = errors.New("the answer was lost, whether it took effect is not known")

const maxBody = 1 << 20 // bytes read of any answer

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
	}
}

// safeURL accepts https anywhere and http on loopback only.
func safeURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, prunella.Errorf(prunella.Invalid, "%q is not a URL; write https://host/path", shorten(raw, 80))
	}
	switch u.Scheme {
	case "https":
		return u, nil
	case "http":
		host := u.Hostname()
		if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
			return u, nil
		}
		return nil, prunella.Errorf(prunella.Invalid, "%s would travel in clear text; use https (http is for loopback only)", place(u))
	}
	return nil, prunella.Errorf(prunella.Invalid, "the scheme of %s is not http or https", place(u))
}

// place names a URL without its user, query and fragment, which may hold secrets.
func place(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// call is one HTTP exchange.
type call struct {
	method string
	url    string
	token  string // Bearer
	key    string // Idempotency-Key; set exactly on mutations
	header map[string]string
	body   any // nil, url.Values (form), string (as it is), or a value sent as JSON
}

// answer is what came back, of any status.
type answer struct {
	status       int
	header       http.Header
	body         []byte
	truncated    bool
	sent, headed time.Time // the middle of the two is when Date was written
}

// exchange sends the call and reads the whole answer, of at most maxBody bytes. An error
// wraps ErrLost when a mutation may have reached its target.
func (w *World) exchange(ctx context.Context, c call, timeout time.Duration) (answer, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	u, err := safeURL(c.url)
	if err != nil {
		return answer{}, err
	}
	var wrote atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }}
	req, err := c.request(httptrace.WithClientTrace(ctx, trace))
	if err != nil {
		return answer{}, err
	}
	mutates := c.key != ""
	hc := &http.Client{Transport: w.transport, CheckRedirect: redirects(mutates)}
	if mutates {
		hc.Transport = w.once
	}
	a := answer{sent: w.opt.Now()}
	resp, err := hc.Do(req)
	a.headed = w.opt.Now()
	if err != nil {
		return a, callError(u, err, mutates && wrote.Load())
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return a, callError(u, err, mutates)
	}
	if len(a.body) > maxBody {
		a.body, a.truncated = a.body[:maxBody], true
	}
	return a, nil
}

// redirects follows at most three, to the same host only, and never a mutation's.
func redirects(mutates bool) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		first := via[0].URL
		switch {
		case mutates:
			return http.ErrUseLastResponse
		case req.URL.Host != first.Host || req.URL.Scheme != first.Scheme:
			return fmt.Errorf("it redirects to another host, %s, which is not followed", req.URL.Host)
		case len(via) > 3:
			return errors.New("it redirects more than three times")
		}
		return nil
	}
}

func (c call) request(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	contentType := ""
	switch b := c.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	case url.Values:
		body, contentType = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return nil, prunella.Errorf(prunella.Invalid, "the body cannot be written as JSON: %w", err)
		}
		body, contentType = bytes.NewReader(raw), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return nil, prunella.Errorf(prunella.Invalid, "the request cannot be made: %w", bare(err))
	}
	req.Header.Set("User-Agent", "prunella")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for k, v := range c.header {
		req.Header.Set(k, v)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.key != "" {
		req.Header.Set("Idempotency-Key", c.key)
	}
	return req, nil
}

// bare removes the URL that net/http puts into its errors: queries hold secrets.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

func callError(u *url.URL, err error, lost bool) error {
	err = bare(err)
	reason := "no answer"
	var refused *net.OpError
	switch {
	case errors.As(err, &refused) && refused.Op == "dial":
		reason = "no connection"
	case errors.Is(err, context.DeadlineExceeded):
		reason = "no answer in time"
	}
	if lost {
		err = fmt.Errorf("%w: %w", ErrLost, err)
	}
	return &prunella.Error{Kind: prunella.Unavailable, Where: place(u), Reason: reason, Err: err}
}

// getJSON reads a JSON document with the read timeout; a status other than 200
// is an error.
func (w *World) getJSON(ctx context.Context, address, token string, into any) (answer, error) {
	a, err := w.exchange(ctx, call{method: http.MethodGet, url: address, token: token,
		header: map[string]string{"Accept": "application/json"}}, w.opt.Timeout)
	if err != nil {
		return a, err
	}
	if a.status != http.StatusOK {
		return a, a.refusal(address, false)
	}
	return a, a.decode(address, into)
}

func (a answer) decode(address string, into any) error {
	u, _ := url.Parse(address)
	if a.truncated {
		return &prunella.Error{Kind: prunella.TooLarge, Where: place(u), Reason: "the answer is larger than 1 MiB"}
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return &prunella.Error{Kind: prunella.Invalid, Where: place(u), Reason: "the answer is not the JSON it should be", Err: err}
	}
	return nil
}

// refusal turns a status that is not a success into an error: 4xx is a definite
// failure; a server's own failure leaves a mutation's outcome open.
func (a answer) refusal(address string, mutates bool) error {
	u, _ := url.Parse(address)
	e := &prunella.Error{Where: place(u), Kind: prunella.Invalid,
		Reason: strings.TrimSuffix(fmt.Sprintf("%d %s: %s", a.status, http.StatusText(a.status), problemText(a.body)), ": ")}
	switch s := a.status; {
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		e.Kind, e.Remedy = prunella.Unauthorized, "check the token in the inventory"
	case s == http.StatusNotFound || s == http.StatusGone:
		e.Kind = prunella.NotFound
	case s == http.StatusConflict || s == http.StatusPreconditionFailed:
		e.Kind = prunella.Conflict
	case s == http.StatusRequestEntityTooLarge:
		e.Kind = prunella.TooLarge
	case s == http.StatusTooManyRequests:
		e.Kind = prunella.Unavailable
	case s >= 500:
		e.Kind = prunella.Unavailable
		if mutates && s != http.StatusNotImplemented {
			e.Err = ErrLost
		}
	}
	return e
}

// problemText takes the sentence out of an error body: problem+json, OAuth, or plain text.
func problemText(body []byte) string {
	var p struct {
		Detail      string `json:"detail"`
		Title       string `json:"title"`
		Message     string `json:"message"`
		Description string `json:"error_description"`
		Error       any    `json:"error"`
	}
	if json.Unmarshal(body, &p) == nil {
		code, _ := p.Error.(string)
		for _, s := range []string{p.Detail, p.Description, p.Message, p.Title, code} {
			if s != "" {
				return shorten(s, 240)
			}
		}
	}
	return shorten(string(body), 240)
}

// clockOffset is the server's clock minus ours. Date is cut to a second, so
// half a second is added and the error is at most ± 0.5 s and half the exchange.
func (a answer) clockOffset() (time.Duration, bool) {
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return 0, false
	}
	middle := a.sent.Add(a.headed.Sub(a.sent) / 2)
	return date.Add(500 * time.Millisecond).Sub(middle), true
}

func maxAge(h http.Header) time.Duration {
	for part := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		if v, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(part)), "max-age="); ok {
			if n, err := strconv.Atoi(strings.Trim(v, `"`)); err == nil && n >= 0 {
				return time.Duration(n) * time.Second
			}
		}
	}
	return 0
}

// plainNumber writes a number as a person would: 3600, not 3.6e+03.
func plainNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func join(base, path string) string {
	return strings.TrimRight(base, "/") + "/" + strings.TrimLeft(path, "/")
}
