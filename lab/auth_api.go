package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"

	"prunella"
)

// keyAPI mounts the key administration below /keys/v1: bearer admin token,
// Idempotency-Key on every POST, problem+json errors.
func (a *auth) keyAPI(mux *http.ServeMux) {
	handle := func(pattern string, h func(*http.Request) (int, any, error)) {
		mux.Handle(pattern, a.admin(h))
	}
	handle("GET /keys/v1/keys", func(*http.Request) (int, any, error) {
		keys, signer := a.ring.list()
		return http.StatusOK, map[string]any{"signer": signer, "keys": keys}, nil
	})
	handle("POST /keys/v1/keys", a.createKey)
	handle("POST /keys/v1/keys/{kid}/publish", a.publishKey)
	handle("POST /keys/v1/keys/{kid}/activate", a.activateKey)
	handle("POST /keys/v1/keys/{kid}/retire", a.retireKey)
	handle("POST /keys/v1/keys/{kid}/redeliver", a.redeliverKey)
	handle("POST /keys/v1/keys/{kid}/canary", a.canary)
	handle("GET /keys/v1/keys/{kid}/usage", a.usage)
	handle("GET /keys/v1/deliveries", func(r *http.Request) (int, any, error) {
		return http.StatusOK, map[string]any{"deliveries": a.push.list(r.URL.Query().Get("kid"))}, nil
	})
}

// admin authenticates, answers errors, and repeats the answer of a request that
// was made before with the same Idempotency-Key.
func (a *auth) admin(h func(*http.Request) (int, any, error)) http.Handler {
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, v, err := h(r)
		if err != nil {
			problem(w, statusOf(err), http.StatusText(statusOf(err)), err.Error())
			return
		}
		reply(w, status, v)
	})
	repeatable := a.once.wrap(inner)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+a.cfg.AdminToken {
			w.Header().Set("WWW-Authenticate", `Bearer realm="keys"`)
			problem(w, http.StatusUnauthorized, "Unauthorized", "the admin token is missing or wrong")
			return
		}
		repeatable.ServeHTTP(w, r)
	})
}

func statusOf(err error) int {
	switch prunella.KindOf(err) {
	case prunella.Invalid:
		return http.StatusBadRequest
	case prunella.NotFound:
		return http.StatusNotFound
	case prunella.Conflict:
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

func isJSON(r *http.Request) bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && t == "application/json"
}

// decodeBody reads an optional JSON body.
func decodeBody(r *http.Request, v any) error {
	err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(v)
	if err != nil && !errors.Is(err, io.EOF) {
		return prunella.Errorf(prunella.Invalid, "the body is not the JSON this call takes: %w", err)
	}
	return nil
}

func (a *auth) createKey(r *http.Request) (int, any, error) {
	req := struct {
		Alg string `json:"alg"`
	}{}
	if err := decodeBody(r, &req); err != nil {
		return 0, nil, err
	}
	alg := orElse(req.Alg, a.cfg.Alg)
	if alg != "RS256" && alg != "ES256" {
		return 0, nil, prunella.Errorf(prunella.Invalid, "%q is not supported; alg is RS256 or ES256", alg)
	}
	k, err := a.ring.create(alg)
	if err != nil {
		return 0, nil, err
	}
	a.note(r.Context(), k.Kid, "signing key "+k.Kid+" created")
	return http.StatusCreated, k, nil
}

func (a *auth) publishKey(r *http.Request) (int, any, error) {
	k, entered, err := a.ring.publish(r.PathValue("kid"))
	if err != nil {
		return 0, nil, err
	}
	return a.afterEntering(r, k, entered, "published")
}

func (a *auth) activateKey(r *http.Request) (int, any, error) {
	k, entered, err := a.ring.activate(r.PathValue("kid"))
	if err != nil {
		return 0, nil, err
	}
	return a.afterEntering(r, k, entered, "signs from now on")
}

// afterEntering tells the subscribers about a key that was not in the set
// before; failed deliveries are in the records, not in the answer.
func (a *auth) afterEntering(r *http.Request, k signingKey, entered bool, what string) (int, any, error) {
	a.note(r.Context(), k.Kid, "signing key "+k.Kid+" "+what)
	if entered {
		if _, err := a.tell(r.Context(), k, eventPublished, nil); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusOK, k.keyInfo, nil
}

// retireKey takes a key out of the set. The subscribers are told unless the
// body says {"notify": false}.
func (a *auth) retireKey(r *http.Request) (int, any, error) {
	req := struct {
		Notify *bool `json:"notify"`
	}{}
	if err := decodeBody(r, &req); err != nil {
		return 0, nil, err
	}
	k, err := a.ring.leave(r.PathValue("kid"), stateRemoved)
	if err != nil {
		return 0, nil, err
	}
	a.note(r.Context(), k.Kid, "signing key "+k.Kid+" left the key set")
	if req.Notify == nil || *req.Notify {
		if _, err := a.tell(r.Context(), k, eventRemoved, nil); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusOK, k.keyInfo, nil
}

// redeliverKey sends the key's present state again: published or removed.
func (a *auth) redeliverKey(r *http.Request) (int, any, error) {
	req := struct {
		Services []string `json:"services"`
	}{}
	if err := decodeBody(r, &req); err != nil {
		return 0, nil, err
	}
	k, err := a.ring.get(r.PathValue("kid"))
	if err != nil {
		return 0, nil, err
	}
	event := eventPublished
	if k.Published.IsZero() {
		event = eventRemoved
	}
	sent, err := a.tell(r.Context(), k, event, req.Services)
	if err != nil {
		return 0, nil, err
	}
	type result struct {
		Service string `json:"service"`
		Status  string `json:"status"`
		Error   string `json:"error,omitempty"`
	}
	out := make([]result, len(sent))
	for i, d := range sent {
		out[i] = result{d.Service, d.Status, d.LastError}
	}
	return http.StatusOK, map[string]any{"deliveries": out}, nil
}

// canary issues a short-lived token signed by that very key.
func (a *auth) canary(r *http.Request) (int, any, error) {
	req := struct {
		Audience string `json:"audience"`
	}{}
	if err := decodeBody(r, &req); err != nil {
		return 0, nil, err
	}
	token, err := a.sign(r.Context(), r.PathValue("kid"), mint{issuer: a.cfg.Issuer, subject: "canary",
		audience: a.audience(req.Audience), issued: time.Now(), lifetime: canaryLifetime, canary: true})
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(canaryLifetime.Seconds())}, nil
}

// usage says when the key last signed and when the last of its tokens expires.
func (a *auth) usage(r *http.Request) (int, any, error) {
	k, err := a.ring.get(r.PathValue("kid"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, struct {
		Kid        string    `json:"kid"`
		LastIssued time.Time `json:"last_issued,omitzero"`
		LastExpiry time.Time `json:"last_expiry,omitzero"`
	}{k.Kid, k.lastIssued, k.lastExpiry}, nil
}

// idempotency remembers the answers to mutations by their Idempotency-Key.
type idempotency struct {
	mu      sync.Mutex
	answers map[string]*answer
}

type answer struct {
	done   chan struct{}
	what   string // method and path
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
func (a *answer) WriteHeader(status int)      { a.status = status }

func newIdempotency() *idempotency { return &idempotency{answers: map[string]*answer{}} }

// wrap runs h once for each key; who comes again gets the first answer, also
// when the first is still on its way.
func (i *idempotency) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if key == "" || r.Method == http.MethodGet {
			h.ServeHTTP(w, r)
			return
		}
		what := r.Method + " " + r.URL.Path
		i.mu.Lock()
		first, known := i.answers[key]
		if !known {
			first = &answer{done: make(chan struct{}), what: what, status: http.StatusOK, header: http.Header{}}
			i.answers[key] = first
		}
		i.mu.Unlock()
		if !known {
			h.ServeHTTP(first, r)
			close(first.done)
		} else if first.what != what {
			problem(w, http.StatusUnprocessableEntity, "Idempotency-Key used before", "this key was used for "+first.what)
			return
		}
		select {
		case <-first.done:
		case <-r.Context().Done():
			return
		}
		for k, v := range first.header {
			w.Header()[k] = v
		}
		if known {
			w.Header().Set("Idempotency-Replayed", "true")
		}
		w.WriteHeader(first.status)
		_, _ = w.Write(first.body.Bytes())
	})
}
