package rotation

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

const maxOrder = 16 << 10 // bytes of an order's body

// orderBody is what a POST of the API carries.
type orderBody struct {
	Note     string `json:"note"`
	Override bool   `json:"override"`
	Heir     KeyID  `json:"heir,omitempty"`     // revoke
	Key      KeyID  `json:"kid,omitempty"`      // confirm
	Instance string `json:"instance,omitempty"` // forget
	Cache    string `json:"cache,omitempty"`    // forget
}

// API serves what a person or a tool asks, as JSON; an error is problem+json
// (RFC 9457) with the members kind, remedy and reason.
//
//	GET  /status                       where the rotation is, and every gate's answer
//	GET  /gates                        the gates alone
//	GET  /verifiers                    who is declared, and what its instances told last
//	GET  /deliveries?limit=100         hints and what came of them
//	GET  /history?limit=100            the audit trail
//	POST /rotate                       ask for a rotation now
//	POST /publish                      make and publish the next key
//	POST /resume                       let the schedule run again
//	POST /{kid}/promote|retire|remove|revoke
//	POST /return                       make the previous key the signer again
//	POST /verifiers/{name}/confirm     {"kid": …}: a manual verifier holds it
//	POST /verifiers/{name}/forget      {"instance": …}: it serves no more
//
// The body of a POST is {"note": "why", "override": false}; a POST that a gate
// refuses is 409 with the reason. who names the operator, for the audit trail,
// or refuses with an error, which is told as 401; nil refuses everybody.
func (r *Rotator) API(who func(*http.Request) (string, error)) http.Handler {
	mux := http.NewServeMux()
	get := func(path string, read func(ctx context.Context, limit int) (any, error)) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, req *http.Request) {
			limit, err := limitOf(req)
			if err == nil {
				var v any
				if v, err = read(req.Context(), limit); err == nil {
					answer(w, http.StatusOK, v)
					return
				}
			}
			problem(w, statusOf(err), err)
		})
	}
	get("/status", func(ctx context.Context, _ int) (any, error) { return r.Status(ctx) })
	get("/gates", func(ctx context.Context, _ int) (any, error) {
		s, err := r.Status(ctx)
		return s.Gates, err
	})
	get("/verifiers", func(ctx context.Context, _ int) (any, error) { return r.Verifiers(ctx) })
	get("/deliveries", func(ctx context.Context, limit int) (any, error) { return r.cfg.Store.Deliveries(ctx, limit) })
	get("/history", func(ctx context.Context, limit int) (any, error) { return r.cfg.Store.History(ctx, limit) })

	post := func(path string, do func(ctx context.Context, req *http.Request, b orderBody, o Order) (Reason, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, req *http.Request) {
			var b orderBody
			raw, err := readBody(w, req, maxOrder)
			if err == nil && len(raw) > 0 {
				if err = json.Unmarshal(raw, &b); err != nil {
					err = &Error{Kind: Invalid, Detail: "the order is not readable", Cause: err, Remedy: `send {"note": "why", "override": false} as JSON`}
				}
			}
			var reason Reason
			if err == nil {
				by, _ := req.Context().Value(operatorKey{}).(string)
				reason, err = do(req.Context(), req, b, Order{By: by, Note: b.Note, Override: b.Override})
			}
			if err != nil {
				problem(w, statusOf(err), err)
				return
			}
			s, err := r.Status(req.Context())
			if err != nil {
				problem(w, statusOf(err), err)
				return
			}
			done := struct {
				Reason *Reason `json:"reason,omitempty"`
				Status Status  `json:"status"`
			}{Status: s}
			if reason.Gate != "" {
				done.Reason = &reason
			}
			answer(w, http.StatusOK, done)
		})
	}
	kid := func(req *http.Request) KeyID { return KeyID(req.PathValue("kid")) }
	post("/rotate", func(ctx context.Context, _ *http.Request, _ orderBody, o Order) (Reason, error) {
		return Reason{}, r.Rotate(ctx, o)
	})
	post("/publish", func(ctx context.Context, _ *http.Request, _ orderBody, o Order) (Reason, error) {
		_, err := r.Publish(ctx, o)
		return Reason{}, err
	})
	post("/resume", func(ctx context.Context, _ *http.Request, _ orderBody, o Order) (Reason, error) {
		return Reason{}, r.Resume(ctx, o)
	})
	post("/return", func(ctx context.Context, _ *http.Request, _ orderBody, o Order) (Reason, error) {
		return r.Return(ctx, o)
	})
	post("/{kid}/promote", func(ctx context.Context, req *http.Request, _ orderBody, o Order) (Reason, error) {
		return r.Promote(ctx, kid(req), o)
	})
	post("/{kid}/retire", func(ctx context.Context, req *http.Request, _ orderBody, o Order) (Reason, error) {
		return r.Retire(ctx, kid(req), o)
	})
	post("/{kid}/remove", func(ctx context.Context, req *http.Request, _ orderBody, o Order) (Reason, error) {
		return r.Remove(ctx, kid(req), o)
	})
	post("/{kid}/revoke", func(ctx context.Context, req *http.Request, b orderBody, o Order) (Reason, error) {
		return r.Revoke(ctx, kid(req), b.Heir, o)
	})
	post("/verifiers/{name}/confirm", func(ctx context.Context, req *http.Request, b orderBody, o Order) (Reason, error) {
		return Reason{}, r.Confirm(ctx, req.PathValue("name"), b.Key, o)
	})
	post("/verifiers/{name}/forget", func(ctx context.Context, req *http.Request, b orderBody, o Order) (Reason, error) {
		return Reason{}, r.Forget(ctx, Who{Verifier: req.PathValue("name"), Instance: b.Instance, Cache: b.Cache}, o)
	})
	return known(who, mux)
}

type operatorKey struct{}

// known lets requests through that who names an operator for.
func known(who func(*http.Request) (string, error), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		name, err := "", errors.New("nobody may use it")
		if who != nil {
			name, err = who(req)
		}
		if err != nil || name == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(w, http.StatusUnauthorized, &Error{Kind: Unauthorized, Detail: "this is for operators", Cause: err, Remedy: "send an operator's token: Authorization: Bearer TOKEN"})
			return
		}
		next.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), operatorKey{}, name)))
	})
}

// BearerTokens names operators by their bearer tokens, for Rotator.API.
func BearerTokens(byToken map[string]string) func(*http.Request) (string, error) {
	return func(req *http.Request) (string, error) {
		given := []byte(req.Header.Get("Authorization"))
		name := ""
		for token, who := range byToken { // all of them, so that time tells nothing
			if token != "" && subtle.ConstantTimeCompare(given, []byte("Bearer "+token)) == 1 {
				name = who
			}
		}
		if name == "" {
			return "", errors.New("no operator has this token")
		}
		return name, nil
	}
}

func limitOf(req *http.Request) (int, error) {
	text := req.URL.Query().Get("limit")
	if text == "" {
		return 100, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 10000 {
		return 0, fault(Invalid, fmt.Sprintf("limit %.20q is not 1 to 10000", text), "ask for 1 to 10000")
	}
	return n, nil
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader is gone, or has it
}

func problem(w http.ResponseWriter, status int, err error) {
	p := struct {
		Title  string  `json:"title"`
		Status int     `json:"status"`
		Detail string  `json:"detail"`
		Kind   Kind    `json:"kind,omitempty"`
		Remedy string  `json:"remedy,omitempty"`
		Reason *Reason `json:"reason,omitempty"`
	}{Title: http.StatusText(status), Status: status, Detail: "the request failed", Kind: Unavailable}
	var e *Error
	if errors.As(err, &e) {
		p.Detail, p.Kind, p.Remedy = e.Detail, e.Kind, e.Remedy
		if e.Kind == Invalid && e.Cause != nil { // what was sent is known to who sent it
			p.Detail += fmt.Sprintf(": %.200s", e.Cause)
		}
		if e.Reason.Gate != "" {
			p.Reason = &e.Reason
		}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p) // the reader is gone, or has it
}

func statusOf(err error) int {
	var e *Error
	if !errors.As(err, &e) {
		return http.StatusInternalServerError
	}
	switch e.Kind {
	case Invalid:
		return http.StatusBadRequest
	case Unauthorized:
		return http.StatusUnauthorized
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case NotFound:
		return http.StatusNotFound
	case Refused, Conflict:
		return http.StatusConflict
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
