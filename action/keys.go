package action

import (
	"context"
	"slices"
	"time"

	"prunella"
)

func keyOperations() []operation {
	kid := need("kid", "text", "key id")
	issuer := need("issuer", "text", "name of the issuer")
	return []operation{
		{
			spec:   does("keys.publish", prunella.Reversible, "Put a key into the published set; the signer stays.", issuer, kid),
			do:     changeKey(keyAdmin.publish),
			before: (*World).keyBefore,
			happened: keyHappened(func(_ string, m managedKey, _ map[string]any) (Happened, string) {
				if m.published {
					return Yes, "key " + m.kid + " is published"
				}
				return No, "key " + m.kid + " is not published"
			}),
		},
		{
			spec:   does("keys.activate", prunella.Reversible, "Make a key the signer; it is published, and the former signer stays published.", issuer, kid),
			do:     changeKey(keyAdmin.activate),
			before: (*World).keyBefore,
			happened: keyHappened(func(signer string, m managedKey, before map[string]any) (Happened, string) {
				switch signer {
				case m.kid:
					return Yes, "key " + m.kid + " signs"
				case before["signer"]:
					return No, "key " + signer + " still signs"
				}
				return Unclear, "neither key " + m.kid + " nor the former signer signs, but key " + signer
			}),
		},
		{
			spec:   does("keys.retire", prunella.Irreversible, "Take a key out of the published set (Auth0: revoke it); refused for the signer.", issuer, kid),
			do:     changeKey(keyAdmin.retire),
			before: (*World).keyBefore,
			happened: keyHappened(func(_ string, m managedKey, _ map[string]any) (Happened, string) {
				if !m.published && (m.state == stateRemoved || m.state == stateRevoked) {
					return Yes, "key " + m.kid + " is " + m.state
				}
				return No, "key " + m.kid + " is still " + m.state
			}),
		},
		{
			spec: does("keys.redeliver", prunella.Reversible, "Deliver a key once more to a service that lacks it.", issuer, kid,
				need("service", "text", "name of the service")),
			do:       (*World).redeliver,
			before:   (*World).deliveryBefore,
			happened: (*World).redelivered,
		},
		{
			spec: read("deliveries.failed", "Which services a key could not be delivered to, by the newest record for each service.",
				[]prunella.ParamSpec{issuerParam, may("kid", "text", "key id; by default the signer")},
				"known: the issuer delivers keys and its records could be read", "kid: the key the answer is about",
				"failed: services whose newest delivery failed", "delivered: services that have the key", "pending: services still waiting",
				"errors: for each failed service, why"),
			read: (*World).readDeliveries,
		},
	}
}

// managed returns the issuer and its key administration.
func (w *World) managed(name string) (keyAdmin, error) {
	i, err := w.issuer(name, nil)
	if err != nil {
		return nil, err
	}
	if i.Admin == nil {
		return nil, &prunella.Error{Kind: prunella.Invalid, Where: "issuers." + i.Name + ".admin", Reason: "the issuer's keys cannot be managed: no key administration is declared",
			Remedy: "declare admin with kind keys or auth0"}
	}
	return w.admin(i), nil
}

func changeKey(f func(a keyAdmin, ctx context.Context, key, kid string) (string, error)) func(*World, context.Context, string, params) (string, error) {
	return func(w *World, ctx context.Context, key string, p params) (string, error) {
		a, err := w.managed(p.text("issuer"))
		if err != nil {
			return "", err
		}
		return f(a, ctx, key, p.text("kid"))
	}
}

// lookUp returns the signer and one key.
func (w *World) lookUp(ctx context.Context, p params) (string, managedKey, error) {
	a, err := w.managed(p.text("issuer"))
	if err != nil {
		return "", managedKey{}, err
	}
	signer, keys, err := a.list(ctx)
	if err != nil {
		return "", managedKey{}, err
	}
	for _, m := range keys {
		if m.kid == p.text("kid") {
			return signer, m, nil
		}
	}
	return "", managedKey{}, prunella.Errorf(prunella.NotFound, "the issuer %s has no key %s", p.text("issuer"), p.text("kid"))
}

func (w *World) keyBefore(ctx context.Context, p params) (map[string]any, error) {
	signer, m, err := w.lookUp(ctx, p)
	if err != nil {
		return nil, err
	}
	return map[string]any{"signer": signer, "state": m.state, "published": m.published}, nil
}

func keyHappened(judge func(signer string, m managedKey, before map[string]any) (Happened, string)) func(*World, context.Context, string, params, map[string]any) (Happened, string, error) {
	return func(w *World, ctx context.Context, _ string, p params, before map[string]any) (Happened, string, error) {
		signer, m, err := w.lookUp(ctx, p)
		if err != nil {
			return Unclear, "", err
		}
		h, text := judge(signer, m, before)
		return h, text, nil
	}
}

func (w *World) redeliver(ctx context.Context, key string, p params) (string, error) {
	a, err := w.managed(p.text("issuer"))
	if err != nil {
		return "", err
	}
	return a.redeliver(ctx, key, p.text("kid"), p.text("service"))
}

// newest returns the newest delivery record of a key for each service.
func newest(ds []delivery, kid string) map[string]delivery {
	out := map[string]delivery{}
	for _, d := range ds {
		if kid != "" && d.Kid != "" && d.Kid != kid {
			continue
		}
		if had, ok := out[d.Service]; !ok || !d.At.Before(had.At) {
			out[d.Service] = d
		}
	}
	return out
}

func (w *World) lastDelivery(ctx context.Context, p params) (delivery, bool, error) {
	a, err := w.managed(p.text("issuer"))
	if err != nil {
		return delivery{}, false, err
	}
	known, ds, err := a.deliveries(ctx, p.text("kid"))
	if err != nil {
		return delivery{}, false, err
	}
	if !known {
		return delivery{}, false, prunella.Errorf(prunella.Invalid, "the issuer %s keeps no delivery records", p.text("issuer"))
	}
	d, ok := newest(ds, p.text("kid"))[p.text("service")]
	return d, ok, nil
}

func (w *World) deliveryBefore(ctx context.Context, p params) (map[string]any, error) {
	d, ok, err := w.lastDelivery(ctx, p)
	if err != nil {
		return nil, err
	}
	if !ok {
		return map[string]any{"status": "", "at": "", "attempts": 0}, nil
	}
	return map[string]any{"status": d.Status, "at": d.At, "attempts": d.Attempts}, nil
}

func (w *World) redelivered(ctx context.Context, _ string, p params, before map[string]any) (Happened, string, error) {
	d, ok, err := w.lastDelivery(ctx, p)
	if err != nil {
		return Unclear, "", err
	}
	what := "of key " + p.text("kid") + " to " + p.text("service")
	at, _ := time.Parse(time.RFC3339Nano, textOf(before["at"]))
	attempts, _ := number(before["attempts"])
	switch {
	case !ok || !d.At.After(at) && float64(d.Attempts) <= attempts:
		return No, "there is no delivery " + what + " since", nil
	case d.Status == "delivered":
		return Yes, "there is a delivery " + what + " since", nil
	case d.Status == "failed":
		return No, "the delivery " + what + " was tried since and failed: " + shorten(d.Error, 160), nil
	}
	return Unclear, "the delivery " + what + " is " + d.Status, nil
}

func textOf(v any) string {
	s, _ := v.(string)
	return s
}

func (w *World) readDeliveries(ctx context.Context, p params, inc Incident) (map[string]any, error) {
	i, err := w.issuer(p.text("issuer"), inc.Services)
	if err != nil {
		return nil, err
	}
	res := map[string]any{"known": false, "issuer": i.Name, "kid": p.text("kid"), "failed": []string{}, "delivered": []string{},
		"pending": []string{}, "errors": map[string]string{}, "reason": ""}
	if i.Admin == nil {
		res["reason"] = "no key administration is declared"
		return res, nil
	}
	kid := p.text("kid")
	if kid == "" {
		if kid, _, err = w.admin(i).list(ctx); err != nil {
			res["reason"] = err.Error()
			return res, nil
		}
		res["kid"] = kid
	}
	known, ds, err := w.admin(i).deliveries(ctx, kid)
	if err != nil {
		res["reason"] = err.Error()
		return res, nil
	}
	lists := map[string][]string{"failed": {}, "delivered": {}, "pending": {}}
	errs := map[string]string{}
	for service, d := range newest(ds, kid) {
		lists[d.Status] = append(lists[d.Status], service)
		if d.Status == "failed" {
			errs[service] = shorten(d.Error, 240)
		}
	}
	for _, status := range []string{"failed", "delivered", "pending"} {
		slices.Sort(lists[status])
		res[status] = lists[status]
	}
	res["known"], res["errors"] = known, errs
	return res, nil
}
