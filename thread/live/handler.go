package live

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"prunella"
)

const (
	maxBody = 1 << 20                 // bytes; Slack's largest events are below 100 kB
	window  = 5 * time.Minute         // between Slack's clock and ours
	budget  = 2500 * time.Millisecond // to store; Slack waits for 3 s
)

// ServeHTTP takes an event of the Events API. 200 means that it is stored or
// that nobody wants it; 503 asks Slack to send it again; other answers ask it
// not to.
func (l *Live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		l.refuse(w, http.StatusMethodNotAllowed, "events come by POST")
		return
	}
	if l.cfg.SigningSecret == "" {
		l.refuse(w, http.StatusNotFound, "the Events API is not configured; set slack.signing_secret")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			l.refuse(w, http.StatusRequestEntityTooLarge, "the event is larger than 1 MiB")
			return
		}
		l.refuse(w, http.StatusBadRequest, "the body ended early")
		return
	}
	if reason := l.verify(r.Header, body); reason != "" {
		l.refuse(w, http.StatusUnauthorized, reason)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), budget)
	defer cancel()
	challenge, err := l.accept(ctx, body)
	switch {
	case err == nil && challenge != "":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		io.WriteString(w, challenge)
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case prunella.KindOf(err) == prunella.Invalid:
		l.refuse(w, http.StatusBadRequest, err.Error())
	default:
		l.count(func(s *Status) { s.Failed++ })
		l.log.Error("event not stored; Slack will send it again", "err", err)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "not stored; send it again", http.StatusServiceUnavailable)
	}
}

// refuse answers that sending it again will not help.
func (l *Live) refuse(w http.ResponseWriter, status int, reason string) {
	l.count(func(s *Status) { s.Refused++ })
	w.Header().Set("X-Slack-No-Retry", "1")
	http.Error(w, reason, status)
}

// verify returns why a request is not Slack's, or "".
func (l *Live) verify(h http.Header, body []byte) string {
	stamp := h.Get("X-Slack-Request-Timestamp")
	sec, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return "no X-Slack-Request-Timestamp"
	}
	if d := l.cfg.Now().Sub(time.Unix(sec, 0)); d > window || d < -window {
		return "the request is older than five minutes, or a clock is wrong"
	}
	got, err := hex.DecodeString(trimVersion(h.Get("X-Slack-Signature")))
	if err != nil || len(got) == 0 {
		return "no X-Slack-Signature of version v0"
	}
	mac := hmac.New(sha256.New, []byte(l.cfg.SigningSecret))
	io.WriteString(mac, "v0:"+stamp+":")
	mac.Write(body)
	if !hmac.Equal(mac.Sum(nil), got) {
		return "the signature does not fit; check slack.signing_secret"
	}
	return ""
}

func trimVersion(s string) string {
	if len(s) > 3 && s[:3] == "v0=" {
		return s[3:]
	}
	return ""
}
