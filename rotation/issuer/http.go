package issuer

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"prunella/rotation"
)

const maxOrder = 16 << 10 // bytes of an order's body

// API serves the same paths as rotation.Rotator.API, so that one client gives
// orders to both, and takes acknowledgements at POST /ack/{verifier}. Rotate asks
// the gate at once, since nobody waits here. There is no resume: nothing halts.
func (d *Desk) API(who func(*http.Request) (string, error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", d.rotator.API(who)) // verifiers, history, confirm, forget: what needs no issuer
	operator := func(w http.ResponseWriter, r *http.Request) (string, bool) {
		name, err := "", errors.New("nobody may use it")
		if who != nil {
			name, err = who(r)
		}
		if err != nil || name == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(w, http.StatusUnauthorized, &rotation.Error{Kind: rotation.Unauthorized, Detail: "this is for operators", Cause: err})
			return "", false
		}
		return name, true
	}
	status := func(pick func(rotation.Status) any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if _, ok := operator(w, r); ok {
				s, err := d.Status(r.Context())
				answer(w, pick(s), err)
			}
		}
	}
	mux.Handle("GET /status", status(func(s rotation.Status) any { return s }))
	mux.Handle("GET /gates", status(func(s rotation.Status) any { return s.Gates }))
	post := func(path string, do func(r *http.Request, o rotation.Order) (rotation.Reason, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			name, ok := operator(w, r)
			if !ok {
				return
			}
			var body struct {
				Note     string `json:"note"`
				Override bool   `json:"override"`
			}
			b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
			if err == nil && len(b) > 0 {
				err = json.Unmarshal(b, &body)
			}
			if err != nil {
				answer(w, nil, &rotation.Error{Kind: rotation.Invalid, Detail: "the order is not readable", Cause: err})
				return
			}
			var done struct {
				Reason *rotation.Reason `json:"reason,omitempty"`
				Status rotation.Status  `json:"status"`
			}
			reason, err := do(r, rotation.Order{By: name, Note: body.Note, Override: body.Override})
			if reason.Gate != "" {
				done.Reason = &reason
			}
			if err == nil {
				done.Status, err = d.Status(r.Context())
			}
			answer(w, done, err)
		})
	}
	kid := func(r *http.Request) rotation.KeyID { return rotation.KeyID(r.PathValue("kid")) }
	post("/publish", func(r *http.Request, o rotation.Order) (rotation.Reason, error) {
		return rotation.Reason{}, d.Stage(r.Context(), o)
	})
	post("/rotate", func(r *http.Request, o rotation.Order) (rotation.Reason, error) { return d.Rotate(r.Context(), o) })
	post("/return", func(r *http.Request, o rotation.Order) (rotation.Reason, error) { return d.Return(r.Context(), o) })
	post("/resume", func(*http.Request, rotation.Order) (rotation.Reason, error) {
		return rotation.Reason{}, invalid("", "nothing halts here: this issuer has its own schedule")
	})
	post("/{kid}/promote", func(r *http.Request, o rotation.Order) (rotation.Reason, error) {
		return d.Promote(r.Context(), kid(r), o)
	})
	retire := func(r *http.Request, o rotation.Order) (rotation.Reason, error) {
		return d.Retire(r.Context(), kid(r), o)
	}
	post("/{kid}/retire", retire)
	post("/{kid}/remove", retire)
	post("/{kid}/revoke", func(r *http.Request, o rotation.Order) (rotation.Reason, error) {
		return d.Revoke(r.Context(), kid(r), o)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/ack/") {
			d.rotator.Acknowledgements().ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// answer writes a value, or an error. An issuer that does not know our client is
// 502: whoever asks us is known.
func answer(w http.ResponseWriter, v any, err error) {
	var e *rotation.Error
	switch {
	case err == nil:
		write(w, "application/json", http.StatusOK, v)
	case errors.As(err, &e):
		status := map[rotation.Kind]int{rotation.Invalid: http.StatusBadRequest, rotation.Unauthorized: http.StatusBadGateway, rotation.NotFound: http.StatusNotFound,
			rotation.Refused: http.StatusConflict, rotation.Conflict: http.StatusConflict, rotation.Unavailable: http.StatusServiceUnavailable}[e.Kind]
		problem(w, cmp.Or(status, http.StatusInternalServerError), e)
	default:
		problem(w, http.StatusInternalServerError, &rotation.Error{Kind: rotation.Unavailable, Detail: "the request failed"})
	}
}

// problem writes problem+json (RFC 9457).
func problem(w http.ResponseWriter, status int, e *rotation.Error) {
	p := struct {
		Title  string           `json:"title"`
		Status int              `json:"status"`
		Detail string           `json:"detail"`
		Kind   rotation.Kind    `json:"kind"`
		Remedy string           `json:"remedy,omitempty"`
		Reason *rotation.Reason `json:"reason,omitempty"`
	}{http.StatusText(status), status, e.Detail, e.Kind, e.Remedy, nil}
	if e.Cause != nil {
		p.Detail += ": " + e.Cause.Error()
	}
	if e.Reason.Gate != "" {
		p.Reason = &e.Reason
	}
	write(w, "application/problem+json", status, p)
}

func write(w http.ResponseWriter, kind string, status int, v any) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader is gone, or has it
}
