package action

import (
	"context"
	"net/http"
	"net/url"

	"prunella"
)

// auth0 manages keys through the Auth0 Management API. Auth0 always publishes
// the current and the next key, and rotation has one direction: next becomes
// current. What the key API can do beyond that is refused with a sentence.
type auth0 struct {
	w *World
	a prunella.Admin
}

func (k auth0) url(parts ...string) string {
	u := join(k.a.URL, "api/v2/keys/signing")
	for _, p := range parts {
		u += "/" + url.PathEscape(p)
	}
	return u
}

func (k auth0) list(ctx context.Context) (string, []managedKey, error) {
	var body []struct {
		Kid       string  `json:"kid"`
		Current   bool    `json:"current"`
		Next      bool    `json:"next"`
		Previous  bool    `json:"previous"`
		Since     instant `json:"current_since"`
		Until     instant `json:"current_until"`
		Revoked   bool    `json:"revoked"`
		RevokedAt instant `json:"revoked_at"`
	}
	if _, err := k.w.getJSON(ctx, k.url(), k.a.Token, &body); err != nil {
		return "", nil, err
	}
	signer := ""
	var keys []managedKey
	for _, b := range body {
		m := managedKey{kid: b.Kid, published: !b.Revoked}
		switch {
		case b.Revoked:
			m.state, m.since = stateRevoked, b.RevokedAt.at
		case b.Current:
			m.state, m.since, signer = stateActive, b.Since.at, b.Kid
		case b.Next:
			m.state = stateNext
		case b.Previous:
			m.state, m.since = statePrevious, b.Until.at
		}
		keys = append(keys, m)
	}
	return signer, keys, nil
}

// key returns the key of that kid.
func (k auth0) key(ctx context.Context, kid string) (managedKey, error) {
	_, keys, err := k.list(ctx)
	if err != nil {
		return managedKey{}, err
	}
	for _, m := range keys {
		if m.kid == kid {
			return m, nil
		}
	}
	return managedKey{}, prunella.Errorf(prunella.NotFound, "Auth0 has no signing key %s", kid)
}

func (k auth0) publish(ctx context.Context, _, kid string) (string, error) {
	m, err := k.key(ctx, kid)
	if err != nil {
		return "", err
	}
	if m.state == stateRevoked {
		return "", &prunella.Error{Kind: prunella.Invalid, Reason: "Auth0 cannot publish the revoked key " + kid + " again",
			Remedy: "tokens signed with it stay refused; have them issued anew"}
	}
	return "nothing to do: Auth0 publishes key " + kid + " already (it is its " + m.state + " key)", nil
}

func (k auth0) activate(ctx context.Context, key, kid string) (string, error) {
	m, err := k.key(ctx, kid)
	if err != nil {
		return "", err
	}
	switch m.state {
	case stateActive:
		return "nothing to do: key " + kid + " signs already", nil
	case stateNext:
	default:
		return "", &prunella.Error{Kind: prunella.Invalid, Reason: "Auth0 cannot return the signer to a previous key (" + kid + " is " + m.state + ")",
			Remedy: "make the verifiers fetch the current set instead: restart them or have their caches refreshed"}
	}
	if err := k.w.mutate(ctx, call{method: http.MethodPost, url: k.url("rotate"), token: k.a.Token, key: key}, nil); err != nil {
		return "", err
	}
	// Rotation names no key: look whether the one that was meant became current.
	signer, _, err := k.list(ctx)
	if err != nil {
		return "", &prunella.Error{Kind: prunella.Unavailable, Reason: "Auth0 rotated, but could not be asked which key signs now: " + err.Error(), Err: ErrLost}
	}
	if signer != kid {
		return "", prunella.Errorf(prunella.Conflict, "Auth0 rotated, but key %s signs now, not %s: somebody else rotated at the same time", signer, kid)
	}
	return "Auth0 rotated: key " + kid + " signs now", nil
}

func (k auth0) retire(ctx context.Context, key, kid string) (string, error) {
	m, err := k.key(ctx, kid)
	if err != nil {
		return "", err
	}
	switch m.state {
	case stateRevoked:
		return "nothing to do: key " + kid + " is revoked already", nil
	case statePrevious:
	default:
		return "", prunella.Errorf(prunella.Conflict, "key %s is Auth0's %s key and cannot be revoked; only a previous key can", kid, m.state)
	}
	if err := k.w.mutate(ctx, call{method: http.MethodPut, url: k.url(kid, "revoke"), token: k.a.Token, key: key}, nil); err != nil {
		return "", err
	}
	return "Auth0 revoked key " + kid, nil
}

func (k auth0) redeliver(context.Context, string, string, string) (string, error) {
	return "", &prunella.Error{Kind: prunella.Invalid, Reason: "Auth0 delivers keys to nobody: verifiers fetch the set",
		Remedy: "restart the verifier, or have its cache refreshed"}
}

func (k auth0) deliveries(context.Context, string) (bool, []delivery, error) { return false, nil, nil }

func (k auth0) canary(context.Context, string, string) (canaryToken, bool, error) {
	return canaryToken{}, false, nil
}
