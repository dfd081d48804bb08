package action

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"prunella"
)

// tokenAge is how long a canary token is used again. An older one would hide a
// clock that lags, and one close to its end would look like a refusal.
const tokenAge = 10 * time.Second

// tokenKey identifies a canary token that may be used again. The thumbprint is
// part of it: the same kid with new material is another key.
type tokenKey struct{ issuer, kid, thumbprint, audience string }

// canary returns a token of that key for that audience.
func (w *World) canary(ctx context.Context, i prunella.Issuer, k tokenKey) (canaryToken, error) {
	now := w.opt.Now()
	w.mu.Lock()
	t, ok := w.tokens[k]
	for old, t := range w.tokens {
		if now.Sub(t.got) > tokenAge {
			delete(w.tokens, old)
		}
	}
	w.mu.Unlock()
	age := tokenAge
	if t.lifetime > 0 {
		age = min(age, t.lifetime/2)
	}
	if ok && now.Sub(t.got) < age {
		return t, nil
	}
	if i.Admin != nil {
		t, can, err := w.admin(i).canary(ctx, k.kid, k.audience)
		if can {
			if err == nil {
				w.mu.Lock()
				w.tokens[k] = t
				w.mu.Unlock()
			}
			return t, err
		}
	}
	t, err := w.issueToken(ctx, i, k.audience)
	if err != nil {
		return t, err
	}
	if t.kid != k.kid {
		return t, prunella.Errorf(prunella.Unavailable, "the issuer %s signs with key %s now, and no token of key %s can be had", i.Name, t.kid, k.kid)
	}
	return t, nil
}

// cell is one canary call.
type cell struct {
	prunella.TrustCell
	dated bool // the answer had a Date, so ClockOffset is known
}

// probe tries one kid on services. A kid whose token cannot be had gives no
// cells, only the error.
func (w *World) probe(ctx context.Context, i prunella.Issuer, kid, thumbprint string, services []prunella.Service) ([]cell, error) {
	tokens := map[string]canaryToken{}
	for _, s := range services {
		aud := audience(s, i)
		if _, ok := tokens[aud]; ok {
			continue
		}
		t, err := w.canary(ctx, i, tokenKey{i.Name, kid, thumbprint, aud})
		if err != nil {
			return nil, err
		}
		tokens[aud] = t
	}
	return w.tryAll(ctx, i, kid, tokens, services), nil
}

// probeSigner tries the signer's key with tokens such as clients get: a canary
// token would pass where the issuer writes wrong claims into all others. Only
// without a client, or when the signer changes meanwhile, is it a canary token.
func (w *World) probeSigner(ctx context.Context, i prunella.Issuer, v keySetView, thumbprint string, services []prunella.Service) ([]cell, error) {
	kid := v.signer()
	tokens := map[string]canaryToken{}
	for _, s := range services {
		aud := audience(s, i)
		if _, ok := tokens[aud]; ok {
			continue
		}
		t, err := v.token, error(nil)
		if aud != i.Audience && t.raw != "" {
			t, err = w.issueToken(ctx, i, aud)
		}
		if err != nil || t.kid != kid {
			return w.probe(ctx, i, kid, thumbprint, services)
		}
		tokens[aud] = t
	}
	return w.tryAll(ctx, i, kid, tokens, services), nil
}

// tryAll makes one canary call a service, opt.Parallel at a time.
func (w *World) tryAll(ctx context.Context, i prunella.Issuer, kid string, tokens map[string]canaryToken, services []prunella.Service) []cell {
	cells := make([]cell, len(services))
	var wg sync.WaitGroup
	slots := make(chan struct{}, w.opt.Parallel)
	for n, s := range services {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			cells[n] = w.tried(ctx, s, tokens[audience(s, i)].raw)
			cells[n].Issuer, cells[n].Kid = i.Name, kid
		})
	}
	wg.Wait()
	return cells
}

func audience(s prunella.Service, i prunella.Issuer) string {
	if s.Audience != "" {
		return s.Audience
	}
	return i.Audience
}

// tried is try on a goroutine of its own: its panic is no answer.
func (w *World) tried(ctx context.Context, s prunella.Service, token string) (c cell) {
	if err := w.opt.Caught.Contain("canary", func() error { c = w.try(ctx, s, token); return nil }); err != nil {
		return w.untold(s, err)
	}
	return c
}

// untold is the cell of a canary call that failed.
func (w *World) untold(s prunella.Service, err error) cell {
	return cell{TrustCell: prunella.TrustCell{Service: s.Name, Trust: prunella.TrustUnknown, At: w.opt.Now().UTC(), Reason: shorten(w.secrets.clean(err.Error()), 240)}}
}

// try makes one canary call, without a token when token is "".
func (w *World) try(ctx context.Context, s prunella.Service, token string) cell {
	a, err := w.exchange(ctx, call{method: "GET", url: join(s.URL, s.Canary), token: token}, w.opt.Probe)
	if err != nil {
		return w.untold(s, err)
	}
	c := cell{TrustCell: prunella.TrustCell{Service: s.Name, Trust: prunella.TrustUnknown, Status: a.status, At: w.opt.Now().UTC()}}
	c.ClockOffset, c.dated = a.clockOffset()
	switch {
	case a.status >= 200 && a.status < 300:
		c.Trust = prunella.Trusts
		c.LastTrusted = c.At
		return c
	case a.status == 401 || a.status == 403:
		c.Trust = prunella.Rejects
	}
	c.Reason = w.secrets.clean(refusalText(a))
	return c
}

// refusalText is what a service said when it refused: the description of its
// WWW-Authenticate challenge (RFC 6750), else its body.
func refusalText(a answer) string {
	for _, h := range a.header.Values("WWW-Authenticate") {
		code, text := challenge(h, "error"), challenge(h, "error_description")
		if text != "" {
			return shorten(text, 240)
		}
		if code != "" && len(a.body) == 0 {
			return code
		}
	}
	return problemText(a.body)
}

// challenge returns one parameter of a WWW-Authenticate challenge.
func challenge(h, name string) string {
	_, rest, ok := strings.Cut(" "+strings.ReplaceAll(h, ",", " , "), " "+name+"=")
	if !ok {
		return ""
	}
	if !strings.HasPrefix(rest, `"`) {
		v, _, _ := strings.Cut(rest, " ")
		return v
	}
	var b strings.Builder
	for n := 1; n < len(rest) && rest[n] != '"'; n++ {
		if rest[n] == '\\' && n+1 < len(rest) {
			n++
		}
		b.WriteByte(rest[n])
	}
	return strings.ReplaceAll(b.String(), " , ", ",")
}

// lacksKey tells a refusal for key or signature, or without a reason, from one
// for a claim.
func (c cell) lacksKey() bool { return c.Trust == prunella.Rejects && RefusedClaim(c.Reason) == "" }

func (w *World) prove(ctx context.Context, _ string, p params) (string, error) {
	i, err := w.issuer(p.text("issuer"), nil)
	if err != nil {
		return "", err
	}
	kid := p.text("kid")
	all := map[string]prunella.Service{}
	for _, s := range w.canaries(i) {
		all[s.Name] = s
	}
	names := p.list("services")
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(all))
	}
	var services []prunella.Service
	for _, n := range names {
		s, ok := all[n]
		if !ok {
			return "", prunella.Errorf(prunella.Invalid, "%s cannot be proven: it has no canary path or does not verify tokens of %s", n, i.Name)
		}
		services = append(services, s)
	}
	if len(services) == 0 {
		return "", prunella.Errorf(prunella.Invalid, "no service of %s has a canary path, so nothing can be proven", i.Name)
	}
	_, keys, _, err := w.fetchKeys(ctx, i)
	if err != nil {
		return "", err
	}
	n := slices.IndexFunc(keys, func(k prunella.PublicKey) bool { return k.Kid == kid })
	if n < 0 {
		return "", prunella.Errorf(prunella.Conflict, "key %s is not in the published set, and trying an unpublished key can use up a verifier's refresh; publish it first", kid)
	}
	cells, err := w.probe(ctx, i, kid, keys[n].Thumbprint, services)
	if err != nil {
		return "", err
	}
	var bad []string
	for _, c := range cells {
		switch c.Trust {
		case prunella.Rejects:
			bad = append(bad, c.Service+" rejects it ("+c.Reason+")")
		case prunella.TrustUnknown:
			bad = append(bad, c.Service+" gave no answer ("+c.Reason+")")
		}
	}
	if len(bad) > 0 {
		return "", prunella.Errorf(prunella.Unavailable, "key %s is not proven on %d of %d services: %s", kid, len(bad), len(cells), strings.Join(bad, "; "))
	}
	return "key " + kid + " is accepted by " + strings.Join(names, ", "), nil
}
