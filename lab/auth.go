package lab

import (
	"context"
	"crypto"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"

	"prunella"
)

// authConfig starts the auth service. Its issuer URL is where it is told to
// listen; the key set has a port of its own, as a set behind a CDN does.
type authConfig struct {
	Issuer       string            `json:"issuer"`
	JWKSAddr     string            `json:"jwks_addr"`
	Alg          string            `json:"alg"`
	Audience     string            `json:"audience"`
	Lifetime     time.Duration     `json:"lifetime"`
	Clients      map[string]string `json:"clients"` // client id to secret
	AdminToken   string            `json:"admin_token"`
	Subscribers  []subscriber      `json:"subscribers"`
	Next         bool              `json:"next"` // publish a next key from the start
	Export       exportTarget      `json:"export"`
	MetricsEvery time.Duration     `json:"metrics_every"`
	Rotation     *rotationConfig   `json:"rotation"` // nil for keys that an operator moves by hand
}

// jwksMaxAge is the Cache-Control of the key set.
const jwksMaxAge = 300 * time.Second

// canaryLifetime is how long a canary token lives.
const canaryLifetime = time.Minute

// auth is the token issuer.
type auth struct {
	cfg    authConfig
	ring   *keyRing // moved by hand
	push   *distributor
	otel   *telemetry
	jwks   *door
	server *http.Server
	once   *idempotency

	rotating *rotating // instead of ring and push; nil unless cfg.Rotation

	mu       sync.Mutex
	fault    authFault
	replaced map[string]crypto.Signer // material that a fault replaced, by kid
}

// authFault is what is wrong with the auth service at present.
type authFault struct {
	JWKS     string `json:"jwks"`     // "" | 500 | timeout | 503; refused closes the port instead
	Down     bool   `json:"down"`     // everything answers 503
	Audience string `json:"audience"` // tokens carry this audience instead of the one asked for
}

func startAuth(ctx context.Context, cfg authConfig, ln net.Listener) (*auth, error) {
	a := &auth{cfg: cfg, ring: &keyRing{}, once: newIdempotency(), replaced: map[string]crypto.Signer{}}
	var err error
	if a.otel, err = newTelemetry("auth", "v4.2.0", "auth-0", cfg.MetricsEvery, cfg.Export, time.Now); err != nil {
		return nil, fmt.Errorf("start auth: %w", err)
	}
	a.push = &distributor{subscribers: cfg.Subscribers, client: newClient(2 * time.Second), otel: a.otel}
	a.jwks = &door{addr: cfg.JWKSAddr, handler: a.measured("/.well-known/jwks.json", a.serveJWKS)}
	if cfg.Rotation != nil {
		a.rotating, err = startRotating(ctx, cfg, a.otel)
	} else {
		err = a.firstKeys(cfg)
	}
	if err := errors.Join(err, a.jwks.open(ctx)); err != nil {
		return nil, fmt.Errorf("start auth: %w", errors.Join(err, a.closeKeys(), a.otel.close(ctx)))
	}
	a.server = newServer(a.routes())
	go serve(a.server, ln)
	return a, nil
}

func (a *auth) firstKeys(cfg authConfig) error {
	first, err := a.ring.create(cfg.Alg)
	if err != nil {
		return err
	}
	if _, _, err := a.ring.activate(first.Kid); err != nil {
		return err
	}
	if !cfg.Next {
		return nil
	}
	next, err := a.ring.create(cfg.Alg)
	if err != nil {
		return err
	}
	_, _, err = a.ring.publish(next.Kid)
	return err
}

func (a *auth) close(ctx context.Context) error {
	err := errors.Join(a.jwks.close(), drain(ctx, a.server), a.closeKeys(), a.otel.close(ctx))
	a.push.client.CloseIdleConnections()
	return err
}

func (a *auth) closeKeys() error {
	if a.rotating == nil {
		return nil
	}
	return a.rotating.close()
}

// sign issues a token with the key of that kid, or with the signer when kid is
// empty.
func (a *auth) sign(ctx context.Context, kid string, m mint) (string, error) {
	if a.rotating != nil {
		return a.rotating.sign(ctx, kid, m)
	}
	return a.ring.sign(kid, m)
}

func (a *auth) broken() authFault {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fault
}

func (a *auth) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("GET /.well-known/openid-configuration", a.measured("/.well-known/openid-configuration", a.serveDiscovery))
	mux.Handle("GET /.well-known/jwks.json", http.RedirectHandler("http://"+a.cfg.JWKSAddr+"/.well-known/jwks.json", http.StatusTemporaryRedirect))
	mux.Handle("POST /oauth/token", a.measured("/oauth/token", a.serveToken))
	if a.rotating != nil {
		a.rotationAPI(mux)
	} else {
		a.keyAPI(mux)
		a.auth0API(mux)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.broken().Down {
			problem(w, http.StatusServiceUnavailable, "service unavailable", "the identity provider has an outage")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (a *auth) measured(route string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		h(rec, r)
		a.otel.Requests.Record(r.Context(), time.Since(began).Seconds(), metric.WithAttributes(
			attribute.String("http.request.method", r.Method), attribute.String("http.route", route), attribute.Int(prunella.AttrStatus, rec.status)))
	})
}

func (a *auth) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{
		"issuer": a.cfg.Issuer, "jwks_uri": "http://" + a.cfg.JWKSAddr + "/.well-known/jwks.json", "token_endpoint": a.cfg.Issuer + "/oauth/token",
		"grant_types_supported": []string{"client_credentials"}, "id_token_signing_alg_values_supported": []string{a.cfg.Alg},
		"response_types_supported": []string{"token"}, "subject_types_supported": []string{"public"},
	})
}

func (a *auth) serveJWKS(w http.ResponseWriter, r *http.Request) {
	f := a.broken()
	switch {
	case f.Down:
		problem(w, http.StatusServiceUnavailable, "service unavailable", "the identity provider has an outage")
		return
	case f.JWKS == "500":
		problem(w, http.StatusInternalServerError, "internal error", "the key set could not be read")
		return
	case f.JWKS == "timeout":
		select { // an answer that never comes: the caller gives up first
		case <-r.Context().Done():
		case <-time.After(30 * time.Second):
		}
		return
	}
	if a.rotating != nil {
		a.rotating.rotator.Keys().ServeHTTP(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(jwksMaxAge.Seconds())))
	reply(w, http.StatusOK, jose.JSONWebKeySet{Keys: a.ring.published()})
}

// serveToken is the client-credentials grant; the request is a form or JSON.
func (a *auth) serveToken(w http.ResponseWriter, r *http.Request) {
	req := struct {
		Grant    string `json:"grant_type"`
		ID       string `json:"client_id"`
		Secret   string `json:"client_secret"`
		Audience string `json:"audience"`
	}{}
	oauthError := func(status int, code, text string) {
		reply(w, status, map[string]string{"error": code, "error_description": text})
	}
	body := http.MaxBytesReader(w, r.Body, 16<<10)
	if isJSON(r) {
		if err := json.NewDecoder(body).Decode(&req); err != nil {
			oauthError(http.StatusBadRequest, "invalid_request", err.Error())
			return
		}
	} else {
		r.Body = body
		if err := r.ParseForm(); err != nil {
			oauthError(http.StatusBadRequest, "invalid_request", err.Error())
			return
		}
		req.Grant, req.ID, req.Secret, req.Audience = r.Form.Get("grant_type"), r.Form.Get("client_id"), r.Form.Get("client_secret"), r.Form.Get("audience")
	}
	if id, secret, ok := r.BasicAuth(); ok {
		req.ID, req.Secret = id, secret
	}
	if req.Grant != "client_credentials" {
		oauthError(http.StatusBadRequest, "unsupported_grant_type", "grant_type must be client_credentials")
		return
	}
	want, known := a.cfg.Clients[req.ID]
	if !known || subtle.ConstantTimeCompare([]byte(want), []byte(req.Secret)) != 1 {
		oauthError(http.StatusUnauthorized, "invalid_client", "client id or secret is wrong")
		return
	}
	token, err := a.sign(r.Context(), "", mint{issuer: a.cfg.Issuer, subject: req.ID + "@clients",
		audience: a.audience(req.Audience), issued: time.Now(), lifetime: a.cfg.Lifetime})
	if err != nil {
		oauthError(http.StatusInternalServerError, "server_error", err.Error())
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	reply(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(a.cfg.Lifetime.Seconds())})
}

func (a *auth) audience(asked string) string {
	if f := a.broken(); f.Audience != "" {
		return f.Audience
	}
	return orElse(asked, a.cfg.Audience)
}

// seedRequest asks for the tokens of sessions that began before the world did.
type seedRequest struct {
	Kid  string          `json:"kid"` // "" for the signer
	Ages []time.Duration `json:"ages"`
}

// handle serves the world: faults, and what happened before it began.
func (a *auth) handle(ctx context.Context, op string, in json.RawMessage) (any, error) {
	switch op {
	case "export":
		var to exportTarget
		if err := json.Unmarshal(in, &to); err != nil {
			return nil, err
		}
		return nil, a.otel.target.point(ctx, to)
	case "seed":
		return a.seed(ctx, in)
	case "fault":
		var f authFault
		if err := json.Unmarshal(in, &f); err != nil {
			return nil, err
		}
		a.mu.Lock()
		a.fault = f
		a.mu.Unlock()
		return nil, nil
	case "close-jwks":
		return nil, a.jwks.close()
	case "open-jwks":
		return nil, a.jwks.open(ctx)
	case "canary", "swap", "restore":
		var kid string
		if err := json.Unmarshal(in, &kid); err != nil {
			return nil, err
		}
		switch op {
		case "swap":
			return nil, a.swap(kid)
		case "restore":
			return nil, a.restore(kid)
		}
		return a.sign(ctx, kid, mint{issuer: a.cfg.Issuer, subject: "operator", audience: a.audience(""),
			issued: time.Now(), lifetime: canaryLifetime, canary: true})
	}
	return nil, fmt.Errorf("auth: unknown operation %q", op)
}

// swap puts new material under a kid, as a restore from the wrong backup does;
// restore brings back what was there.
func (a *auth) swap(kid string) error {
	private, err := newPrivateKey(a.cfg.Alg)
	if err != nil {
		return err
	}
	old, err := a.ring.swap(kid, private)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.replaced[kid] == nil {
		a.replaced[kid] = old
	}
	return nil
}

func (a *auth) restore(kid string) error {
	a.mu.Lock()
	old := a.replaced[kid]
	delete(a.replaced, kid)
	a.mu.Unlock()
	if old == nil {
		return nil
	}
	_, err := a.ring.swap(kid, old)
	return err
}

func (a *auth) seed(ctx context.Context, in json.RawMessage) ([]string, error) {
	var req seedRequest
	if err := json.Unmarshal(in, &req); err != nil {
		return nil, err
	}
	out := make([]string, len(req.Ages))
	for i, age := range req.Ages {
		var err error
		out[i], err = a.sign(ctx, req.Kid, mint{issuer: a.cfg.Issuer, subject: "session-" + strconv.Itoa(i),
			audience: a.cfg.Audience, issued: time.Now().Add(-age), lifetime: a.cfg.Lifetime})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tell pushes an event about a key to the named services, nil for all.
func (a *auth) tell(ctx context.Context, k signingKey, event string, services []string) ([]delivery, error) {
	jwk := k.jwk()
	if event == eventRemoved {
		return a.push.send(ctx, event, k.Kid, nil, services)
	}
	return a.push.send(ctx, event, k.Kid, &jwk, services)
}

func (a *auth) note(ctx context.Context, kid, text string) {
	a.otel.log(ctx, otellog.SeverityInfo, text, attribute.String(prunella.AttrKid, kid))
}
