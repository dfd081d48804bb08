package lab

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"strings"
	"time"

	"prunella"
)

// auth0Key is a signing key in the shape of Auth0's Management API.
type auth0Key struct {
	Kid          string     `json:"kid"`
	Cert         string     `json:"cert"`
	PKCS7        string     `json:"pkcs7"`
	Fingerprint  string     `json:"fingerprint"`
	Thumbprint   string     `json:"thumbprint"` // of the certificate, not RFC 7638
	Current      bool       `json:"current,omitempty"`
	CurrentSince *time.Time `json:"current_since,omitempty"`
	CurrentUntil *time.Time `json:"current_until,omitempty"`
	Next         bool       `json:"next,omitempty"`
	Previous     bool       `json:"previous,omitempty"`
	Revoked      bool       `json:"revoked,omitempty"`
	RevokedAt    *time.Time `json:"revoked_at,omitempty"`
}

func (k *signingKey) auth0() auth0Key {
	sum := sha1.Sum(k.cert)
	fingerprint := make([]string, len(sum))
	for i, b := range sum {
		fingerprint[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	out := auth0Key{
		Kid: k.Kid, Cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.cert})),
		Fingerprint: strings.Join(fingerprint, ":"), Thumbprint: strings.ToUpper(hex.EncodeToString(sum[:])),
		Current: k.State == stateActive, Next: k.State == stateNext, Previous: k.State == statePrevious, Revoked: k.State == stateRevoked,
	}
	if !k.Activated.IsZero() {
		out.CurrentSince = &k.Activated
	}
	if out.Revoked {
		out.RevokedAt = &k.Removed
	}
	return out
}

// auth0API mounts the signing-key calls of the Auth0 Management API on the same
// keys.
func (a *auth) auth0API(mux *http.ServeMux) {
	mux.Handle("GET /api/v2/keys/signing", a.admin(func(*http.Request) (int, any, error) {
		keys, _ := a.ring.list()
		out := []auth0Key{}
		for _, k := range keys {
			full, err := a.ring.get(k.Kid)
			if err != nil {
				return 0, nil, err
			}
			if full.State != stateRemoved {
				out = append(out, full.auth0())
			}
		}
		return http.StatusOK, out, nil
	}))
	mux.Handle("GET /api/v2/keys/signing/{kid}", a.admin(func(r *http.Request) (int, any, error) {
		k, err := a.ring.get(r.PathValue("kid"))
		return http.StatusOK, k.auth0(), err
	}))
	mux.Handle("POST /api/v2/keys/signing/rotate", a.admin(func(r *http.Request) (int, any, error) {
		k, err := a.rotate(r.Context())
		return http.StatusCreated, struct {
			Kid  string `json:"kid"`
			Cert string `json:"cert"`
		}{k.Kid, k.auth0().Cert}, err
	}))
	mux.Handle("PUT /api/v2/keys/signing/{kid}/revoke", a.admin(func(r *http.Request) (int, any, error) {
		k, err := a.ring.leave(r.PathValue("kid"), stateRevoked)
		if err != nil {
			return 0, nil, err
		}
		a.note(r.Context(), k.Kid, "signing key "+k.Kid+" revoked")
		if _, err := a.tell(r.Context(), k, eventRemoved, nil); err != nil {
			return 0, nil, err
		}
		return http.StatusOK, struct {
			Kid  string `json:"kid"`
			Cert string `json:"cert"`
		}{k.Kid, k.auth0().Cert}, nil
	}))
}

// rotate makes the next key current and publishes a new next one, as Auth0
// does; without a next key it makes one first.
func (a *auth) rotate(ctx context.Context) (signingKey, error) {
	next := func() (signingKey, error) {
		created, err := a.ring.create(a.cfg.Alg)
		if err != nil {
			return signingKey{}, err
		}
		k, _, err := a.ring.publish(created.Kid)
		if err == nil {
			_, err = a.tell(ctx, k, eventPublished, nil)
		}
		return k, err
	}
	kid := ""
	keys, _ := a.ring.list()
	for _, k := range keys {
		if k.State == stateNext && !k.Published.IsZero() {
			kid = k.Kid
			break
		}
	}
	if kid == "" {
		k, err := next()
		if err != nil {
			return signingKey{}, err
		}
		kid = k.Kid
	}
	k, _, err := a.ring.activate(kid)
	if err != nil {
		return signingKey{}, err
	}
	a.note(ctx, kid, "signing key "+kid+" signs from now on")
	if _, err := next(); err != nil {
		return signingKey{}, prunella.Errorf(prunella.Internal, "publish a new next key: %w", err)
	}
	return k, nil
}
