package ingest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"prunella"
)

// Sink takes signals; nil means that they survive a crash. *bus.Bus is one.
type Sink interface {
	Publish(ctx context.Context, signals []prunella.Signal) error
}

const (
	// DefaultMaxBody bounds a request body in bytes, as sent and decompressed.
	DefaultMaxBody = 8 << 20

	// Decoding takes many times a body's memory, so few do it at once; the
	// others wait for patience, then they are told to come again.
	atOnce     = 16
	patience   = 2 * time.Second
	retryAfter = 5 * time.Second
)

// Config of the intake. The zero value takes everything without a token.
type Config struct {
	MaxBody       int64                        // bytes, as sent and decompressed; 0: DefaultMaxBody
	Tokens        map[string]prunella.TenantID // bearer token to tenant; empty: no token is asked for
	DefaultTenant prunella.TenantID            // when no token is asked for
	Now           func() time.Time             // nil: time.Now
	Log           *slog.Logger                 // nil: slog.Default
	Metrics       prometheus.Registerer        // nil: not exported
}

type intake struct {
	cfg     Config
	tokens  map[[sha256.Size]byte]prunella.TenantID
	sink    Sink
	metrics metrics
	slots   chan struct{}
}

// Handler serves every inbound protocol below its usual path.
func Handler(cfg Config, sink Sink) http.Handler {
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	cfg.Log = cfg.Log.With("component", "ingest")
	in := &intake{cfg: cfg, sink: sink, metrics: newMetrics(cfg.Metrics), slots: make(chan struct{}, atOnce),
		tokens: map[[sha256.Size]byte]prunella.TenantID{}}
	for token, tenant := range cfg.Tokens {
		in.tokens[sha256.Sum256([]byte(token))] = tenant
	}
	mux := http.NewServeMux()
	for _, p := range []protocol{
		{name: "otlp-logs", path: "/v1/logs", types: otlpTypes, read: readLogs, answer: answerLogs, fail: failOTLP},
		{name: "otlp-metrics", path: "/v1/metrics", types: otlpTypes, read: readMetrics, answer: answerMetrics, fail: failOTLP},
		{name: "alertmanager", path: "/api/v1/alertmanager", types: jsonTypes, read: readWebhook, answer: answerJSON, fail: failJSON},
		{name: "alertmanager-v2", path: "/api/v2/alerts", types: jsonTypes, read: readAlerts, answer: answerJSON, fail: failJSON},
		{name: "signals", path: "/api/v1/signals", types: jsonTypes, read: readSignals, answer: answerJSON, fail: failJSON},
	} {
		mux.HandleFunc(p.path, func(w http.ResponseWriter, r *http.Request) { in.serve(w, r, p) })
	}
	return mux
}

// protocol is one way in.
type protocol struct {
	name  string
	path  string
	types []string // accepted media types; the first is the answer's when none was understood

	// read turns a body into signals. An error refuses the request whole.
	read   func(request) (result, error)
	answer func(w http.ResponseWriter, mediaType string, res result)
	fail   func(w http.ResponseWriter, mediaType string, status int, text string)
}

// request is what a protocol reads.
type request struct {
	body      []byte
	mediaType string
	tenant    prunella.TenantID
	now       time.Time // received
}

// result is what a protocol has read.
type result struct {
	signals  []prunella.Signal
	rejected map[string]int // by reason, kebab-case
	examples []string       // the first few rejections, as sentences
	skipped  map[string]int // rightly not a signal, by reason; the sender is not told
	lost     int            // alerts that the sender itself left out
}

const maxExamples = 5

func (r *result) reject(reason, format string, args ...any) {
	if r.rejected == nil {
		r.rejected = map[string]int{}
	}
	r.rejected[reason]++
	if len(r.examples) < maxExamples {
		r.examples = append(r.examples, fmt.Sprintf(format, args...))
	}
}

func (r *result) skip(reason string) {
	if r.skipped == nil {
		r.skipped = map[string]int{}
	}
	r.skipped[reason]++
}

func (r *result) refused() (n int) {
	for _, c := range r.rejected {
		n += c
	}
	return n
}

// serve answers one request; every way out is counted.
func (in *intake) serve(w http.ResponseWriter, r *http.Request, p protocol) {
	mediaType, res, err := in.take(w, r, p)
	if err == nil {
		in.metrics.taken(p.name, res)
		p.answer(w, mediaType, res)
		in.metrics.requests.WithLabelValues(p.name, "200").Inc()
		return
	}
	status := http.StatusInternalServerError
	var he *httpError
	if errors.As(err, &he) {
		status = he.status
	}
	in.metrics.requests.WithLabelValues(p.name, strconv.Itoa(status)).Inc()
	for reason, n := range res.rejected {
		in.metrics.rejected.WithLabelValues(p.name, reason).Add(float64(n))
	}
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="prunella"`)
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	p.fail(w, mediaType, status, err.Error())
}

// take reads a request and gives its signals to the sink.
func (in *intake) take(w http.ResponseWriter, r *http.Request, p protocol) (mediaType string, res result, err error) {
	mediaType, known := mediaTypeOf(r, p.types)
	if r.Method != http.MethodPost {
		return mediaType, res, refuse(http.StatusMethodNotAllowed, "%s takes POST, not %s", p.path, r.Method)
	}
	tenant, ok := in.tenant(r)
	if !ok {
		return mediaType, res, refuse(http.StatusUnauthorized, "the request has no valid token: send Authorization: Bearer with a token of ingest.tokens")
	}
	if len(in.tokens) == 0 && byPage(r) {
		return mediaType, res, refuse(http.StatusForbidden, "a page in a browser may not send signals here without a token: configure ingest.tokens, or send through an OpenTelemetry Collector")
	}
	if !known {
		return mediaType, res, refuse(http.StatusUnsupportedMediaType, "the content type is %q: send %s", r.Header.Get("Content-Type"), strings.Join(p.types, " or "))
	}
	body, err := readBody(w, r, in.cfg.MaxBody)
	if err != nil {
		return mediaType, res, err
	}
	if !in.enter(r.Context()) {
		return mediaType, res, refuse(http.StatusTooManyRequests, "%d requests are in work and this one has waited %s: send again later", atOnce, patience)
	}
	defer func() { <-in.slots }()
	res, err = p.read(request{body: body, mediaType: mediaType, tenant: tenant, now: in.cfg.Now().UTC()})
	if err != nil {
		return mediaType, res, err
	}
	if len(res.signals) == 0 {
		return mediaType, res, nil
	}
	if err := in.sink.Publish(r.Context(), res.signals); err != nil {
		if prunella.KindOf(err) == prunella.TooLarge {
			return mediaType, result{}, refuse(http.StatusRequestEntityTooLarge, "%v", err)
		}
		in.cfg.Log.Warn("signals not taken", "protocol", p.name, "signals", len(res.signals), "err", err)
		return mediaType, result{}, refuse(http.StatusServiceUnavailable, "the signals cannot be stored now: %v", err)
	}
	return mediaType, res, nil
}

// enter waits for one of the places in which a body is decoded and stored.
func (in *intake) enter(ctx context.Context) bool {
	select {
	case in.slots <- struct{}{}:
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case in.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// tenant looks the bearer token up by its hash, so that the time it takes says
// nothing about the token.
func (in *intake) tenant(r *http.Request) (prunella.TenantID, bool) {
	if len(in.tokens) == 0 {
		return in.cfg.DefaultTenant, true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	tenant, ok := in.tokens[sha256.Sum256([]byte(strings.TrimSpace(token)))]
	return tenant, ok
}

// byPage says whether a page in a browser made the request: every browser adds
// these headers to a POST and lets no page leave them out, and no agent sends
// them. A page elsewhere cannot post the content types taken here without asking
// first, which is refused; but one that points its own name at this machine (DNS
// rebinding) need not ask. The name in Host is no help: agents reach us by any.
func byPage(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
}

// httpError is an answer other than 200.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

func refuse(status int, format string, args ...any) error {
	return &httpError{status, fmt.Sprintf(format, args...)}
}

// signalID makes an id of what identifies an observation.
func signalID(parts ...string) prunella.SignalID {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return prunella.SignalID(hex.EncodeToString(h.Sum(nil)[:16]))
}

// numbering gives ids to the records of one request. A record with a time of
// its own has the same id when the same bytes are sent again; one without is a
// new observation each time.
type numbering struct {
	tenant string
	bytes  string
	unique string
	next   int
}

func number(r request) *numbering {
	sum := sha256.Sum256(r.body)
	return &numbering{tenant: string(r.tenant), bytes: string(sum[:]), unique: rand.Text()}
}

func (n *numbering) id(timed bool) prunella.SignalID {
	n.next++
	unique := ""
	if !timed {
		unique = n.unique
	}
	return signalID(n.tenant, n.bytes, unique, strconv.Itoa(n.next))
}
