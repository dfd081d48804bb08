package action

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"prunella"
)

// Kinds of key administration (prunella.Admin.Kind).
const (
	adminKeys  = "keys"
	adminAuth0 = "auth0"
)

// States of a key.
const (
	stateNext     = "next"
	stateActive   = "active"
	statePrevious = "previous"
	stateRemoved  = "removed"
	stateRevoked  = "revoked"
)

// managedKey is a key as its administration knows it.
type managedKey struct {
	kid, alg, thumbprint, state string
	published                   bool
	since                       time.Time // when it came into its state, zero when not told
}

// delivery is one attempt to give a key to a service.
type delivery struct {
	Service  string    `json:"service"`
	Kid      string    `json:"kid"`
	Status   string    `json:"status"` // delivered | failed | pending
	Attempts int       `json:"attempts"`
	Error    string    `json:"last_error"`
	At       time.Time `json:"at"`
}

// keyAdmin manages the keys of one issuer.
type keyAdmin interface {
	list(ctx context.Context) (signer string, keys []managedKey, err error)
	publish(ctx context.Context, key, kid string) (string, error)
	activate(ctx context.Context, key, kid string) (string, error)
	retire(ctx context.Context, key, kid string) (string, error)
	redeliver(ctx context.Context, key, kid, service string) (string, error)
	deliveries(ctx context.Context, kid string) (known bool, ds []delivery, err error)
	// canary returns a short-lived token signed by the key; ok is false where
	// the administration cannot sign with a chosen key.
	canary(ctx context.Context, kid, audience string) (t canaryToken, ok bool, err error)
}

// admin returns the issuer's key administration. The issuer has one.
func (w *World) admin(i prunella.Issuer) keyAdmin {
	if i.Admin.Kind == adminAuth0 {
		return auth0{w, *i.Admin}
	}
	return keyAPI{w, *i.Admin}
}

// keyAPI speaks Prunella's key API.
type keyAPI struct {
	w *World
	a prunella.Admin
}

func (k keyAPI) url(parts ...string) string {
	u := join(k.a.URL, "keys/v1")
	if hasSuffixPath(k.a.URL, "keys/v1") {
		u = join(k.a.URL, "")
		u = u[:len(u)-1]
	}
	for _, p := range parts {
		u += "/" + url.PathEscape(p)
	}
	return u
}

func hasSuffixPath(address, suffix string) bool {
	u, err := url.Parse(address)
	return err == nil && len(u.Path) >= len(suffix) && join(u.Path, "") == join("/"+suffix, "")
}

// instant reads a time that older servers send as a bool or leave out.
type instant struct {
	at  time.Time
	set bool
}

func (i *instant) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case bool:
		i.set = v
	case string:
		if v == "" {
			return nil
		}
		at, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return err
		}
		i.at, i.set = at, !at.IsZero()
	}
	return nil
}

func (k keyAPI) list(ctx context.Context) (string, []managedKey, error) {
	var body struct {
		Signer string `json:"signer"`
		Keys   []struct {
			Kid        string  `json:"kid"`
			Alg        string  `json:"alg"`
			Thumbprint string  `json:"thumbprint"`
			State      string  `json:"state"`
			Published  instant `json:"published"`
			Created    instant `json:"created"`
			Activated  instant `json:"activated"`
			Removed    instant `json:"removed"`
		} `json:"keys"`
	}
	if _, err := k.w.getJSON(ctx, k.url("keys"), k.a.Token, &body); err != nil {
		return "", nil, err
	}
	var keys []managedKey
	for _, b := range body.Keys {
		m := managedKey{kid: b.Kid, alg: b.Alg, thumbprint: b.Thumbprint, state: b.State, published: b.Published.set}
		switch b.State {
		case stateNext:
			if m.since = b.Published.at; m.since.IsZero() {
				m.since = b.Created.at
			}
		case stateActive:
			m.since = b.Activated.at
		case stateRemoved, stateRevoked:
			m.since, m.published = b.Removed.at, false
		}
		keys = append(keys, m)
	}
	return body.Signer, keys, nil
}

// post performs one mutation and decodes its answer.
func (k keyAPI) post(ctx context.Context, key string, body, into any, parts ...string) error {
	return k.w.mutate(ctx, call{method: http.MethodPost, url: k.url(parts...), token: k.a.Token, key: key, body: body}, into)
}

// mutate performs one HTTP mutation under ctx alone: cutting it short would
// only turn a slow success into an unknown.
func (w *World) mutate(ctx context.Context, c call, into any) error {
	a, err := w.exchange(ctx, c, 0)
	if err != nil {
		return err
	}
	if a.status < 200 || a.status > 299 {
		return a.refusal(c.url, true)
	}
	if into == nil {
		return nil
	}
	if err := a.decode(c.url, into); err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return nil
}

func (k keyAPI) publish(ctx context.Context, key, kid string) (string, error) {
	if err := k.post(ctx, key, nil, nil, "keys", kid, "publish"); err != nil {
		return "", err
	}
	return "key " + kid + " is published", nil
}

func (k keyAPI) activate(ctx context.Context, key, kid string) (string, error) {
	if err := k.post(ctx, key, nil, nil, "keys", kid, "activate"); err != nil {
		return "", err
	}
	return "key " + kid + " signs now; the former signer stays published", nil
}

func (k keyAPI) retire(ctx context.Context, key, kid string) (string, error) {
	if err := k.post(ctx, key, nil, nil, "keys", kid, "retire"); err != nil {
		return "", err
	}
	return "key " + kid + " has left the published set", nil
}

func (k keyAPI) redeliver(ctx context.Context, key, kid, service string) (string, error) {
	var body struct {
		Deliveries []struct {
			Service string `json:"service"`
			Status  string `json:"status"`
			Error   string `json:"error"`
		} `json:"deliveries"`
	}
	err := k.post(ctx, key, map[string]any{"services": []string{service}}, &body, "keys", kid, "redeliver")
	if err != nil {
		return "", err
	}
	for _, d := range body.Deliveries {
		if d.Service != service {
			continue
		}
		if d.Status == "delivered" {
			return "key " + kid + " was delivered to " + service, nil
		}
		return "", &prunella.Error{Kind: prunella.Unavailable, Reason: "the delivery of key " + kid + " to " + service + " is " + d.Status + ": " + shorten(d.Error, 240)}
	}
	return "", prunella.Errorf(prunella.NotFound, "the key API delivers no keys to %s", service)
}

func (k keyAPI) deliveries(ctx context.Context, kid string) (bool, []delivery, error) {
	address := k.url("deliveries")
	if kid != "" {
		address += "?kid=" + url.QueryEscape(kid)
	}
	var body struct {
		Deliveries []delivery `json:"deliveries"`
	}
	_, err := k.w.getJSON(ctx, address, k.a.Token, &body)
	return true, body.Deliveries, err
}

func (k keyAPI) canary(ctx context.Context, kid, audience string) (canaryToken, bool, error) {
	address := k.url("keys", kid, "canary")
	a, err := k.w.exchange(ctx, call{method: http.MethodPost, url: address, token: k.a.Token,
		body: map[string]string{"audience": audience}}, k.w.opt.Timeout)
	if err != nil {
		return canaryToken{}, true, err
	}
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		return canaryToken{}, true, a.refusal(address, false)
	}
	t, err := k.w.tokenFrom(a, address)
	if err == nil && t.kid != kid {
		return t, true, prunella.Errorf(prunella.Invalid, "%s: the canary token names key %s, not %s", address, t.kid, kid)
	}
	return t, true, err
}
