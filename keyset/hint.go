package keyset

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	maxHint    = 64 << 10        // bytes of a hint's body
	hintWindow = 5 * time.Minute // a security event token older than this is stale
	maxReplays = 1024            // ids of hints remembered in one generation
)

var eventProfile = profile{types: []string{"secevent+jwt"}, noExpiry: true}

// Hints receives what an issuer pushes when its keys change, and answers it by
// fetching the set from where it is configured to be. A hint never carries
// keys, so a stolen secret buys a fetch each ten seconds and nothing else.
//
// Two kinds of POST are taken, and answered 202. A JSON object with Standard
// Webhooks headers, signed by one of Config.HintSecrets; it concerns the issuer
// that it names in "issuer", or in "data"."issuer", or all of them. One that is
// stale, unsigned, unreadable or sent before gets 401, 400, 413 or 409; a
// sender's own retry, which has a new timestamp, is taken.
//
// And a security event token (RFC 8417, application/secevent+jwt) that this set
// itself verifies, answered as RFC 8935 says: a bad one with 400 and the error
// as JSON, one that came before with 202 and no further effect.
func (s *Set) Hints() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "a hint is a POST", http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHint))
		if err != nil {
			status := http.StatusBadRequest
			if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
				status = http.StatusRequestEntityTooLarge
			}
			http.Error(w, "the hint cannot be read", status)
			return
		}
		h := hinter{set: s, now: time.Now()}
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // what has no type is a webhook
		if kind == "application/secevent+jwt" {
			err = h.event(r.Context(), string(body))
		} else {
			err = h.webhook(r.Header, body)
		}
		var bad *badHint
		switch {
		case errors.As(err, &bad) && bad.code != "":
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Language", "en")
			w.WriteHeader(bad.status)
			_ = json.NewEncoder(w).Encode(map[string]string{"err": bad.code, "description": bad.text}) // the sender is gone, or has it
			return
		case bad != nil:
			http.Error(w, bad.text, bad.status)
			return
		}
		for _, src := range s.sources {
			if !h.again && (h.issuer == "" || h.issuer == src.Issuer) {
				src.hint(h.now)
			}
		}
		w.WriteHeader(http.StatusAccepted)
	})
}

type badHint struct {
	status int
	text   string
	code   string // of RFC 8935, 2.4, for an event; "" for a webhook
}

func (b *badHint) Error() string { return b.text }

// hinter reads one hint.
type hinter struct {
	set    *Set
	now    time.Time
	issuer string // whom it concerns; "" is everybody
	again  bool   // it was received before
}

func (h *hinter) webhook(header http.Header, body []byte) error {
	signed := false
	for _, hook := range h.set.hooks {
		signed = signed || hook.Verify(body, header) == nil // five minutes old at most
	}
	if !signed {
		return &badHint{http.StatusUnauthorized, "the hint is stale or not signed by a secret that is configured", ""}
	}
	if err := members(string(body), h.about); err != nil {
		return &badHint{http.StatusBadRequest, "the hint is no JSON object: " + err.Error(), ""}
	}
	id := "webhook " + header.Get(standardwebhooks.HeaderWebhookID) + " " + header.Get(standardwebhooks.HeaderWebhookTimestamp)
	if !h.set.replays.first(id, h.now) {
		return &badHint{http.StatusConflict, "this hint was received before", ""}
	}
	return nil
}

// about finds the issuer that a webhook concerns.
func (h *hinter) about(name, value string) error {
	switch {
	case name == "issuer":
		issuer, ok := stringValue(value)
		if !ok {
			return errType
		}
		h.issuer = issuer
	case name == "data" && value[0] == '{':
		return members(value, func(name, value string) error {
			if name != "issuer" {
				return nil
			}
			return h.about(name, value)
		})
	}
	return nil
}

func (h *hinter) event(ctx context.Context, token string) error {
	claims, err := h.set.verify(ctx, token, eventProfile)
	if err != nil {
		code := "invalid_request"
		switch {
		case errors.Is(err, Signature) || errors.Is(err, UnknownKey):
			code = "invalid_key"
		case errors.Is(err, Issuer):
			code = "invalid_issuer"
		case errors.Is(err, Audience):
			code = "invalid_audience"
		}
		return &badHint{http.StatusBadRequest, err.Error(), code}
	}
	events := false
	_ = members(claims.payload, func(name, value string) error { // verified: it is an object
		events = events || (name == "events" && value[0] == '{')
		return nil
	})
	switch age := h.now.Sub(claims.IssuedAt); {
	case !events || claims.ID == "" || claims.IssuedAt.IsZero():
		return &badHint{http.StatusBadRequest, "a security event token has events, jti and iat", "invalid_request"}
	case age > hintWindow || age < -hintWindow:
		return &badHint{http.StatusBadRequest, "the security event token is stale", "invalid_request"}
	}
	h.issuer = claims.Issuer
	h.again = !h.set.replays.first("event "+claims.Issuer+" "+claims.ID, h.now)
	return nil
}

// replays remembers the ids of good hints, in two generations that bound it.
type replays struct {
	mu               sync.Mutex
	recent, previous map[string]bool
	since            time.Time
}

func (r *replays) first(id string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.recent[id] || r.previous[id] {
		return false
	}
	if len(r.recent) >= maxReplays || now.Sub(r.since) > 2*hintWindow {
		r.previous, r.recent, r.since = r.recent, map[string]bool{}, now
	}
	r.recent[id] = true
	return true
}
