package lab

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"

	"prunella"
	"prunella/rotation"
)

// operatorName is who gives the orders that come in by the key API.
const operatorName = "operator"

// rotationAPI mounts rotation's own API below /keys, where verifiers acknowledge
// too, and below /keys/v1 and /api/v2 those calls of the lab's own key API and
// of Auth0's that mean something here. What a gate refuses is 409 with the names
// of those who would break.
func (a *auth) rotationAPI(mux *http.ServeMux) {
	handle := func(pattern string, h func(*http.Request) (int, any, error)) { mux.Handle(pattern, a.admin(h)) }
	handle("GET /keys/v1/keys", func(r *http.Request) (int, any, error) {
		keys, signer, err := a.rotating.list(r.Context())
		return http.StatusOK, map[string]any{"signer": signer, "keys": keys}, kinded(err)
	})
	handle("POST /keys/v1/keys", func(r *http.Request) (int, any, error) {
		k, err := a.rotating.rotator.Publish(r.Context(), rotation.Order{By: operatorName})
		a.note(r.Context(), string(k.ID), "signing key "+string(k.ID)+" created and published")
		return http.StatusCreated, infoOf(k), kinded(err)
	})
	handle("POST /keys/v1/keys/{kid}/publish", func(r *http.Request) (int, any, error) {
		k, err := a.rotating.find(r.Context(), r.PathValue("kid"))
		if err == nil && !k.State.Published() {
			err = prunella.Errorf(prunella.Conflict, "key %s is %s and will not be published again", k.ID, k.State)
		}
		return http.StatusOK, infoOf(k), kinded(err)
	})
	handle("POST /keys/v1/keys/{kid}/activate", a.promoteKey)
	handle("POST /keys/v1/keys/{kid}/retire", func(r *http.Request) (int, any, error) {
		kid := rotation.KeyID(r.PathValue("kid"))
		_, err := a.rotating.rotator.Retire(r.Context(), kid, rotation.Order{By: operatorName})
		return a.ordered(r.Context(), string(kid), "is retired", err)
	})
	handle("POST /keys/v1/keys/{kid}/redeliver", func(r *http.Request) (int, any, error) {
		list, err := a.rotating.deliveries(r.Context(), r.PathValue("kid")) // it tries again by itself
		return http.StatusOK, map[string]any{"deliveries": list}, kinded(err)
	})
	handle("POST /keys/v1/keys/{kid}/canary", a.canary)
	handle("GET /keys/v1/keys/{kid}/usage", func(r *http.Request) (int, any, error) {
		return http.StatusOK, a.rotating.usage(r.PathValue("kid")), nil
	})
	handle("GET /keys/v1/deliveries", func(r *http.Request) (int, any, error) {
		list, err := a.rotating.deliveries(r.Context(), r.URL.Query().Get("kid"))
		return http.StatusOK, map[string]any{"deliveries": list}, kinded(err)
	})
	handle("GET /api/v2/keys/signing", func(r *http.Request) (int, any, error) {
		keys, _, err := a.rotating.list(r.Context())
		out := []auth0Key{}
		for _, k := range keys {
			if k.State != stateRemoved {
				out = append(out, auth0Key{Kid: k.Kid, Current: k.State == stateActive, Next: k.State == stateNext,
					Previous: k.State == statePrevious, Revoked: k.State == stateRevoked})
			}
		}
		return http.StatusOK, out, kinded(err)
	})
	handle("POST /api/v2/keys/signing/rotate", func(r *http.Request) (int, any, error) {
		k, err := a.rotating.rotator.Publish(r.Context(), rotation.Order{By: operatorName})
		if err == nil {
			_, err = a.rotating.rotator.Promote(r.Context(), k.ID, rotation.Order{By: operatorName})
		}
		return a.ordered(r.Context(), string(k.ID), "signs from now on", err)
	})
	handle("PUT /api/v2/keys/signing/{kid}/revoke", func(r *http.Request) (int, any, error) {
		kid := rotation.KeyID(r.PathValue("kid"))
		_, err := a.rotating.rotator.Revoke(r.Context(), kid, "", rotation.Order{By: operatorName})
		return a.ordered(r.Context(), string(kid), "is revoked", err)
	})
	mux.Handle("POST /keys/ack/", a.rotating.rotator.Acknowledgements())
	mux.Handle("/keys/", http.StripPrefix("/keys", a.rotating.rotator.API(rotation.BearerTokens(a.cfg.Rotation.Admins))))
}

// promoteKey makes a waiting key the signer, or goes back to the one before.
func (a *auth) promoteKey(r *http.Request) (int, any, error) {
	k, err := a.rotating.find(r.Context(), r.PathValue("kid"))
	order := rotation.Order{By: operatorName}
	switch {
	case err != nil || k.State == rotation.Active:
		return http.StatusOK, infoOf(k), kinded(err)
	case k.State == rotation.Previous:
		_, err = a.rotating.rotator.Return(r.Context(), order)
	default:
		_, err = a.rotating.rotator.Promote(r.Context(), k.ID, order)
	}
	return a.ordered(r.Context(), string(k.ID), "signs from now on", err)
}

// ordered answers an order and tells the log what came of it.
func (a *auth) ordered(ctx context.Context, kid, what string, err error) (int, any, error) {
	var refused *rotation.Error
	switch {
	case errors.As(err, &refused) && refused.Kind == rotation.Refused:
		a.otel.log(ctx, otellog.SeverityWarn, refused.Detail, attribute.String(prunella.AttrKid, kid))
	case err == nil:
		a.note(ctx, kid, "signing key "+kid+" "+what)
	}
	if err != nil {
		return 0, nil, kinded(err)
	}
	k, err := a.rotating.find(ctx, kid)
	return http.StatusOK, infoOf(k), kinded(err)
}

// kinded gives rotation's errors the kinds that the key API answers by.
func kinded(err error) error {
	var e *rotation.Error
	if !errors.As(err, &e) {
		return err
	}
	kind := prunella.Internal
	switch e.Kind {
	case rotation.Invalid:
		kind = prunella.Invalid
	case rotation.NotFound:
		kind = prunella.NotFound
	case rotation.Refused, rotation.Conflict:
		kind = prunella.Conflict
	}
	return prunella.Errorf(kind, "%w", err)
}

// maxHints bounds how many delivery records are looked through.
const maxHints = 500

// deliveries are rotation's records in the shape of the lab's, oldest first.
func (r *rotating) deliveries(ctx context.Context, kid string) ([]delivery, error) {
	list, err := r.store.Deliveries(ctx, maxHints)
	out := []delivery{}
	for i := len(list) - 1; i >= 0; i-- {
		d := list[i]
		var body struct {
			Type string `json:"type"`
			Data struct {
				Kid string `json:"kid"`
			} `json:"data"`
		}
		if json.Unmarshal(d.Body, &body) != nil || kid != "" && body.Data.Kid != kid {
			continue
		}
		rec := delivery{ID: d.ID, Service: d.Verifier, URL: d.URL, Kid: body.Data.Kid, Event: body.Type, Status: "pending", Attempts: d.Tries, At: d.Created}
		switch d.State {
		case rotation.Delivered, rotation.Superseded:
			rec.Status = "delivered"
		default:
			if d.Tries > 0 {
				rec.Status, rec.LastError = "failed", d.Last
			}
		}
		if !d.Ended.IsZero() {
			rec.At = d.Ended
		}
		out = append(out, rec)
	}
	return out, err
}

// answersWithin is how soon a verifier that cannot answer surely knows a new
// key, by its kind.
func answersWithin(s ServiceSpec) time.Duration {
	switch s.Kind {
	case Keyfunc:
		return time.Hour
	case JWX:
		return 15 * time.Minute
	case PerKid, GoOIDC:
		return time.Second // they fetch for a kid that they do not know
	}
	return s.CacheTTL
}
