package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"

	"prunella"
	"prunella/keyset"
)

// service is one running instance of a service.
type service struct {
	cfg      serviceConfig
	verifier verifier
	keys     *keyFile // static-file only
	otel     *telemetry
	metrics  *prometheus.Registry
	requests *prometheus.HistogramVec
	client   *http.Client
	webhooks *standardwebhooks.Webhook
	hook     *door // static-file and keyset: where the issuer's webhooks arrive
	server   *http.Server
	skew     atomic.Int64 // ns
	served   atomic.Uint64

	ready     func() error // nil is always ready
	stopAgent func()       // nil when there is none
}

func startService(ctx context.Context, cfg serviceConfig, ln net.Listener) (*service, error) {
	file, err := readConfigFile(cfg.ConfigPath)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Name, err)
	}
	s := &service{cfg: cfg, client: newClient(patience - 2*time.Second), metrics: prometheus.NewRegistry()}
	s.skew.Store(int64(cfg.Skew))
	if s.otel, err = newTelemetry(cfg.Name, cfg.Version, cfg.Pod, cfg.MetricsEvery, cfg.Export, s.now); err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Name, err)
	}
	if err := s.startVerifier(ctx, file, "http://"+ln.Addr().String()); err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Name, errors.Join(err, s.closeVerifier(ctx), s.otel.close(ctx)))
	}
	s.server = newServer(s.routes())
	s.otel.log(ctx, otellog.SeverityInfo, fmt.Sprintf("%s %s listening, token verification: %s", cfg.Name, cfg.Version, cfg.Kind))
	go serve(s.server, ln)
	return s, nil
}

// startVerifier starts what checks tokens and what keeps its keys current.
func (s *service) startVerifier(ctx context.Context, file configFile, url string) (err error) {
	cfg := s.cfg
	if cfg.Kind == KeySet {
		v, err := s.newKeysetVerifier(ctx, file)
		if err != nil {
			return err
		}
		s.verifier, s.ready = v, v.set.Ready
		s.hook = &door{addr: cfg.WebhookAddr, handler: v.set.Hints()}
		return s.awaitReady(ctx)
	}
	s.verifier, err = newVerifier(ctx, verifierConfig{
		kind: cfg.Kind, issuer: file.Auth.Issuer, audience: file.Auth.Audience, jwksURL: file.Auth.JWKS.URL,
		ttl:      time.Duration(file.Auth.JWKS.CacheTTLSeconds) * time.Second,
		keysFile: cfg.KeysFile, algs: cfg.Algs, now: s.now,
	})
	if err != nil {
		return err
	}
	if f, ok := s.verifier.(*fileVerifier); ok {
		s.keys = f.keyFile
		if cfg.Rotation != nil {
			return s.startAgent(ctx, file, url)
		}
		if s.webhooks, err = standardwebhooks.NewWebhook(cfg.Secret); err != nil {
			return err
		}
		s.hook = &door{addr: cfg.WebhookAddr, handler: http.HandlerFunc(s.keyWebhook)}
	}
	return nil
}

func (s *service) closeVerifier(ctx context.Context) error {
	var err error
	if s.hook != nil {
		err = s.hook.close()
	}
	if s.stopAgent != nil {
		s.stopAgent()
	}
	if s.verifier != nil {
		err = errors.Join(err, s.verifier.close(ctx))
	}
	return err
}

func (s *service) close(ctx context.Context) error {
	err := errors.Join(drain(ctx, s.server), s.closeVerifier(ctx), s.otel.close(ctx))
	s.client.CloseIdleConnections()
	return err
}

// now is the time by the clock of this service's host.
func (s *service) now() time.Time { return time.Now().Round(0).Add(time.Duration(s.skew.Load())) }

// handle serves the world: what a platform or a fault does to an instance.
func (s *service) handle(ctx context.Context, op string, in json.RawMessage) (any, error) {
	switch op {
	case "export":
		var to exportTarget
		if err := json.Unmarshal(in, &to); err != nil {
			return nil, err
		}
		return nil, s.otel.target.point(ctx, to)
	case "skew":
		var d time.Duration
		if err := json.Unmarshal(in, &d); err != nil {
			return nil, err
		}
		s.skew.Store(int64(d))
		return nil, nil
	case "open-webhook":
		return nil, s.hook.open(ctx)
	case "close-webhook":
		return nil, s.hook.close()
	}
	return nil, fmt.Errorf("%s: unknown operation %q", s.cfg.Name, op)
}

func (s *service) routes() http.Handler {
	s.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "Duration of requests served.",
		Buckets:     []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		ConstLabels: prometheus.Labels{"service": s.cfg.Name},
	}, []string{"method", "route", "code"})
	s.metrics.MustRegister(s.requests)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	mux.Handle("GET /api/ping", s.route("/api/ping", s.ping))
	mux.Handle("GET /api/{what}", s.route("/api/{what}", s.list))
	mux.Handle("GET /api/checkout", s.route("/api/checkout", s.forward))
	if s.keys != nil {
		mux.Handle("POST /admin/keys/reload", s.route("/admin/keys/reload", s.reloadKeys))
	}
	return mux
}

// route measures and authenticates; the Date header is by the service's clock.
func (s *service) route(route string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		r = r.WithContext(ctx)
		rec := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		if strings.HasPrefix(route, "/admin/") || s.authenticated(rec, r, route) {
			h(rec, r)
		}
		took := time.Since(began).Seconds()
		code := strconv.Itoa(rec.status)
		s.requests.WithLabelValues(r.Method, route, code).Observe(took)
		s.otel.Requests.Record(ctx, took, metric.WithAttributes(attribute.String("http.request.method", r.Method),
			attribute.String("http.route", route), attribute.Int(prunella.AttrStatus, rec.status), attribute.String("url.scheme", "http")))
	})
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(code int) {
	r.status = code
	r.ResponseWriter.WriteHeader(code)
}

// authenticated answers the request itself when it is not.
func (s *service) authenticated(w http.ResponseWriter, r *http.Request, route string) bool {
	n := s.served.Add(1)
	if s.cfg.Defect && s.misbehave(w, r, route, n) {
		return false
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		s.refuse(w, "no bearer token")
		return false
	}
	if err := s.verifier.verify(r.Context(), token); err != nil {
		attrs := []attribute.KeyValue{attribute.String("http.route", route)}
		if namesKid(s.cfg.Ordinal) {
			attrs = append(attrs, attribute.String(prunella.AttrKid, peekKid(token)))
		}
		s.otel.log(r.Context(), otellog.SeverityWarn, refusalText(s.cfg.Ordinal, r.URL.Path, err), attrs...)
		if errors.Is(err, keyset.Unavailable) { // not the caller's fault
			w.Header().Set("Retry-After", "1")
			problem(w, http.StatusServiceUnavailable, "tokens cannot be verified now", err.Error())
			return false
		}
		s.refuse(w, err.Error())
		return false
	}
	if pod := r.URL.Query().Get("instance"); pod != "" && pod != s.cfg.Pod {
		problem(w, http.StatusMisdirectedRequest, "another instance", "this is "+s.cfg.Pod)
		return false
	}
	return true
}

// refuse answers 401 as RFC 6750 has it.
func (s *service) refuse(w http.ResponseWriter, reason string) {
	quoted := strings.NewReplacer(`"`, "'", "\n", " ", `\`, "").Replace(reason)
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q, error="invalid_token", error_description="%s"`, s.cfg.Name, quoted))
	reply(w, http.StatusUnauthorized, map[string]string{"error": "unauthorized", "message": reason})
}

// misbehave is what the broken release does: of ten requests four crash and
// three are refused for a reason that has nothing to do with keys.
func (s *service) misbehave(w http.ResponseWriter, r *http.Request, route string, n uint64) bool {
	at := attribute.String("http.route", route)
	switch m := n % 10; {
	case m < 4:
		s.otel.log(r.Context(), otellog.SeverityError, fmt.Sprintf("unhandled error in %s: runtime error: invalid memory address or nil pointer dereference (session.Scopes)", route), at)
		reply(w, http.StatusInternalServerError, map[string]string{"error": "internal"})
	case m < 7:
		s.otel.log(r.Context(), otellog.SeverityWarn, fmt.Sprintf("session of caller could not be built for %s: claim 'scope' has unexpected type string, want array", route), at)
		s.refuse(w, "claim 'scope' has an unexpected type")
	default:
		return false
	}
	return true
}

func (s *service) ping(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]string{"service": s.cfg.Name, "version": s.cfg.Version})
}

func (s *service) list(w http.ResponseWriter, r *http.Request) {
	n := s.served.Load()
	if n%97 == 0 {
		s.otel.log(r.Context(), otellog.SeverityInfo, businessText(s.cfg.Name, n))
	}
	reply(w, http.StatusOK, map[string]any{"service": s.cfg.Name, "items": []uint64{n}})
}

// forward does a piece of business that needs every service this one calls, in
// the caller's name.
func (s *service) forward(w http.ResponseWriter, r *http.Request) {
	peers := make([]string, 0, len(s.cfg.Peers))
	for p := range s.cfg.Peers {
		peers = append(peers, p)
	}
	slices.Sort(peers)
	for _, peer := range peers {
		if answer, ok := s.callPeer(r, peer); !ok {
			s.otel.log(r.Context(), otellog.SeverityError, upstreamText(s.cfg.Ordinal, peer, answer),
				attribute.String("http.route", "/api/checkout"), attribute.String(prunella.AttrPeer, peer))
			reply(w, http.StatusBadGateway, map[string]string{"error": "bad gateway", "message": peer + ": " + answer})
			return
		}
	}
	s.list(w, r)
}

func (s *service) callPeer(r *http.Request, peer string) (answer string, ok bool) {
	began := time.Now()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, s.cfg.Peers[peer]+"/api/checkout", nil)
	if err != nil {
		return err.Error(), false
	}
	req.Header.Set("Authorization", r.Header.Get("Authorization"))
	propagation.TraceContext{}.Inject(r.Context(), propagation.HeaderCarrier(req.Header))
	attrs := []attribute.KeyValue{attribute.String("http.request.method", "GET"), attribute.String(prunella.AttrPeer, peer)}
	res, err := s.client.Do(req)
	if err != nil {
		answer = "no answer: " + err.Error()
		attrs = append(attrs, attribute.String("error.type", "connection"))
	} else {
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		answer, ok = res.Status, res.StatusCode == http.StatusOK
		attrs = append(attrs, attribute.Int(prunella.AttrStatus, res.StatusCode))
	}
	s.otel.Calls.Record(r.Context(), time.Since(began).Seconds(), metric.WithAttributes(attrs...))
	return answer, ok
}

// reloadKeys re-reads the key file; it needs the service's admin token.
func (s *service) reloadKeys(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+s.cfg.AdminToken {
		s.refuse(w, "admin token required")
		return
	}
	if err := s.keys.reload(); err != nil {
		problem(w, http.StatusInternalServerError, "key file not readable", err.Error())
		return
	}
	s.otel.log(r.Context(), otellog.SeverityInfo, fmt.Sprintf("key file %s read again: %d keys", filepath.Base(s.cfg.KeysFile), len(s.keys.kids())))
	reply(w, http.StatusOK, map[string]any{"kids": s.keys.kids()})
}

// keyEvent is the body of a key webhook.
type keyEvent struct {
	Type      string       `json:"type"` // key.published | key.removed
	Timestamp time.Time    `json:"timestamp"`
	Data      keyEventData `json:"data"`
}

type keyEventData struct {
	Kid string           `json:"kid"`
	JWK *jose.JSONWebKey `json:"jwk,omitempty"`
}

func (s *service) keyWebhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		problem(w, http.StatusRequestEntityTooLarge, "body too large", err.Error())
		return
	}
	if err := s.webhooks.Verify(body, r.Header); err != nil {
		problem(w, http.StatusUnauthorized, "signature not valid", err.Error())
		return
	}
	var e keyEvent
	if err := json.Unmarshal(body, &e); err != nil || e.Data.Kid == "" {
		problem(w, http.StatusBadRequest, "not a key event", "a key event has type and data.kid")
		return
	}
	err = s.keys.change(func(keys []jose.JSONWebKey) []jose.JSONWebKey {
		keys = slices.DeleteFunc(keys, func(k jose.JSONWebKey) bool { return k.KeyID == e.Data.Kid })
		if e.Type == eventPublished && e.Data.JWK != nil {
			keys = append(keys, *e.Data.JWK)
		}
		return keys
	})
	if err != nil {
		problem(w, http.StatusInternalServerError, "key file not writable", err.Error())
		return
	}
	s.otel.log(r.Context(), otellog.SeverityInfo, fmt.Sprintf("%s received for key %s", e.Type, e.Data.Kid), attribute.String(prunella.AttrKid, e.Data.Kid))
	w.WriteHeader(http.StatusNoContent)
}

func reply(w http.ResponseWriter, status int, v any) { replyAs(w, "application/json", status, v) }

// replyAs answers with JSON of that content type.
func replyAs(w http.ResponseWriter, contentType string, status int, v any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller has gone when this fails
}

// problem answers as RFC 9457 has it.
func problem(w http.ResponseWriter, status int, title, detail string) {
	replyAs(w, "application/problem+json", status, map[string]any{"type": "about:blank", "title": title, "status": status, "detail": detail})
}
