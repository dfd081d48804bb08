package keyset

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

type claimsKey struct{}

// FromContext returns the claims of the token that Middleware verified.
func FromContext(ctx context.Context) (Claims, bool) {
	c, ok := ctx.Value(claimsKey{}).(Claims)
	return c, ok
}

// NewContext returns a context that carries verified claims, for middleware of
// other protocols.
func NewContext(ctx context.Context, c Claims) context.Context {
	return context.WithValue(ctx, claimsKey{}, c)
}

// Middleware lets requests through whose bearer token (RFC 6750, in the
// Authorization header) is good, with its claims in the context. Others get 401
// and a WWW-Authenticate that names the check, or 503 when the keys are
// Unavailable, which is not the client's fault.
func (s *Set) Middleware() func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, ok := Bearer(r.Header.Values("Authorization"))
			if !ok {
				w.Header().Set("WWW-Authenticate", "Bearer")
				http.Error(w, "a bearer token is missing", http.StatusUnauthorized)
				return
			}
			claims, err := s.Verify(r.Context(), token)
			if err != nil {
				deny(w, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), claims)))
		})
	}
}

// Bearer returns the token of the one Authorization value there must be.
func Bearer(values []string) (string, bool) {
	const scheme = "Bearer "
	if len(values) != 1 || len(values[0]) <= len(scheme) || !strings.EqualFold(values[0][:len(scheme)], scheme) {
		return "", false
	}
	token := strings.Trim(values[0][len(scheme):], " ") // RFC 9110, 11.4: one space or more
	return token, token != ""
}

func deny(w http.ResponseWriter, err error) {
	if errors.Is(err, Unavailable) {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "tokens cannot be verified now", http.StatusServiceUnavailable)
		return
	}
	why := Malformed
	var e *Error
	if errors.As(err, &e) {
		why = e.Check
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer error=%q, error_description=%q", "invalid_token", "token refused: "+string(why)))
	http.Error(w, "the bearer token is refused: "+string(why), http.StatusUnauthorized)
}

// Keyfunc lets golang-jwt verify with this set's keys:
//
//	token, err := jwt.Parse(text, set.Keyfunc())
//
// It refuses what Verify refuses, claims included, except that golang-jwt
// itself checks the signature: so, unlike Verify, it cannot notice that a known
// kid has new material before the next refresh, and Key.LastSeen does not count
// its tokens.
func (s *Set) Keyfunc() jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		w := scratches.Get().(*scratch)
		defer scratches.Put(w)
		var p parsed
		now := time.Now()
		src, k, err := s.explain(context.Background(), &p, token.Raw, w, profile{}, now)
		if err == nil {
			err = src.check(&p, profile{}, now)
		}
		if err != nil {
			return nil, s.refused(src, err)
		}
		return k.public, nil
	}
}
