package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"prunella"
)

func keyFaults() []Fault {
	return []Fault{
		{Name: "rotate", Doc: "A healthy rotation: the new key is published, delivered and accepted everywhere before it signs. Nothing breaks.",
			inject: injectRotate},
		{Name: "rotate-partial-distribution", Doc: "A rotation whose key webhook cannot reach some services: their ports are really closed while the new key is delivered, and it signs all the same.",
			Params: []prunella.ParamSpec{
				{Name: "missed", Type: "text", Doc: "how many services miss the key, picked by the seed, or their names separated by commas; default 4, or all but one in a smaller world"},
				{Name: "early_removal", Type: "bool", Doc: "the old key leaves the published set at once (its private part is kept); default true"},
				{Name: "reopen_after", Type: "duration", Doc: "when the closed ports open again; default 3s"},
				{Name: "stay_closed", Type: "bool", Doc: "the ports stay closed; default false"},
			}, about: missedOf, inject: injectPartial},
		{Name: "remove-old-key-early", Doc: "A rotation after which the old key leaves the set, and its removal is announced, while its tokens live.",
			Params: []prunella.ParamSpec{
				{Name: "restart", Type: "bool", Doc: "services that fetch the set are restarted, so that they see it without the key; default true"},
			}, about: aboutEverybody, inject: injectEarlyRemoval},
		{Name: "stale-cache-double-rotation", Doc: "Rotations inside the cache TTL of verifiers: the signer is in no set that they hold.",
			Params: []prunella.ParamSpec{{Name: "rotations", Type: "number", Doc: "how many; default 2"}}, about: aboutKinds(WholeSet, JWX), inject: injectDouble},
		{Name: "rotate-and-revoke", Doc: "An emergency: a key made just now signs, the old signer is revoked, and so is the next key that lay beside it.",
			about: aboutEverybody, inject: injectRevoke},
		{Name: "same-kid-new-material", Doc: "The signing key is replaced under its kid, as by a restore from the wrong backup; verifiers hold the old material.",
			about: aboutKinds(StaticFile, WholeSet, PerKid, Keyfunc, JWX), inject: injectSameKid},
	}
}

// byHand refuses what an issuer on rotation does not do.
func (w *World) byHand() error {
	if w.spec.Issuer == issuerRotation {
		return cannot("the issuer runs on rotation, which does no such thing", "use issuer "+issuerManual)
	}
	return nil
}

// keysBefore is the state that a key fault's revert goes back to.
func (w *World) keysBefore(ctx context.Context) (restore func(context.Context) error, signer string, err error) {
	before, signer, err := w.admin.keys(ctx)
	if err != nil {
		return nil, "", err
	}
	return func(ctx context.Context) error { return w.restoreKeys(ctx, before, signer) }, signer, nil
}

// restoreKeys publishes what was published and lets the former signer sign
// again, unless it was revoked meanwhile, and delivers every published key to
// every subscriber.
func (w *World) restoreKeys(ctx context.Context, before []keyInfo, signer string) error {
	for _, n := range w.nodes {
		if n.pushed() {
			if err := n.shutWebhook(ctx, false); err != nil {
				return err
			}
		}
	}
	now, _, err := w.admin.keys(ctx)
	if err != nil {
		return err
	}
	revoked := func(kid string) bool {
		return slices.ContainsFunc(now, func(k keyInfo) bool { return k.Kid == kid && k.State == stateRevoked })
	}
	for _, k := range before {
		if k.Published.IsZero() || revoked(k.Kid) {
			continue
		}
		if err := w.admin.post(ctx, k.Kid, "publish", nil); err != nil {
			return err
		}
	}
	if !revoked(signer) {
		if err := w.admin.post(ctx, signer, "activate", nil); err != nil {
			return err
		}
	}
	if now, _, err = w.admin.keys(ctx); err != nil {
		return err
	}
	for _, k := range now {
		if k.Published.IsZero() {
			continue
		}
		if err := w.admin.post(ctx, k.Kid, "redeliver", nil); err != nil {
			return err
		}
	}
	return nil
}

// newSigner creates a key, publishes it and lets it sign.
func (w *World) newSigner(ctx context.Context) (kid string, err error) {
	if kid, err = w.admin.create(ctx); err != nil {
		return "", err
	}
	if err := w.admin.post(ctx, kid, "publish", nil); err != nil {
		return "", err
	}
	return kid, w.admin.post(ctx, kid, "activate", nil)
}

func injectRotate(ctx context.Context, w *World, _ *faultParams) (injected, error) {
	if w.spec.Issuer == issuerRotation {
		return w.rotateSafely(ctx)
	}
	restore, old, err := w.keysBefore(ctx)
	if err != nil {
		return injected{}, err
	}
	keys, _, err := w.admin.keys(ctx)
	if err != nil {
		return injected{}, err
	}
	next := ""
	for _, k := range keys {
		if k.State == stateNext && !k.Published.IsZero() {
			next = k.Kid
		}
	}
	if next == "" {
		if next, err = w.admin.create(ctx); err != nil {
			return injected{}, err
		}
		if err := w.admin.post(ctx, next, "publish", nil); err != nil {
			return injected{}, err
		}
	}
	cells, err := w.probe(ctx, next, w.order)
	if err != nil {
		return injected{}, err
	}
	if blind := refusing(cells); len(blind) > 0 {
		return injected{revert: restore}, cannot("the next key is not known to "+strings.Join(blind, ", "), "start the world with a next key published")
	}
	at := time.Now()
	if err := w.admin.post(ctx, next, "activate", nil); err != nil {
		return injected{revert: restore}, err
	}
	if *w.spec.NextPublished {
		kid, err := w.admin.create(ctx)
		if err == nil {
			err = w.admin.post(ctx, kid, "publish", nil)
		}
		if err != nil {
			return injected{revert: restore}, err
		}
	}
	withNew, err := w.probe(ctx, next, w.order)
	if err != nil {
		return injected{revert: restore}, err
	}
	withOld, err := w.probe(ctx, old, w.order)
	if err != nil {
		return injected{revert: restore}, err
	}
	return injected{at: at, revert: restore, proven: len(refusing(withNew)) == 0 && len(refusing(withOld)) == 0,
		proof: fmt.Sprintf("key %s signs instead of %s; its tokens: %s; tokens of the old key: %s", next, old, describe(withNew), describe(withOld))}, nil
}

// told are the services that the issuer's webhooks come to.
func (w *World) told() []string { return w.servicesOf(StaticFile, KeySet) }

// missedOf are the services that a key does not reach; none when nobody is told.
func missedOf(w *World, p *faultParams) ([]string, error) {
	told := w.told()
	if len(told) == 0 {
		return nil, nil
	}
	return p.services("missed", max(1, min(4, len(told)-1)), told)
}

func injectPartial(ctx context.Context, w *World, p *faultParams) (injected, error) {
	missed, err := missedOf(w, p)
	if err != nil {
		return injected{}, err
	}
	if len(missed) == 0 {
		return injected{}, cannot("no service of this world gets the issuer's webhooks", "use profile distributed")
	}
	early, err := p.bool("early_removal", true)
	if err != nil {
		return injected{}, err
	}
	reopenAfter, err := p.duration("reopen_after", 3*time.Second)
	if err != nil {
		return injected{}, err
	}
	stay, err := p.bool("stay_closed", false)
	if err != nil {
		return injected{}, err
	}
	restore, old, err := w.keysBefore(ctx)
	if err != nil {
		return injected{}, err
	}
	for _, name := range missed {
		if err := w.nodes[name].shutWebhook(ctx, true); err != nil {
			return injected{revert: restore}, err
		}
	}
	if w.spec.Issuer == issuerRotation {
		revert := func(ctx context.Context) error {
			return w.everyNode(func(n *node) error {
				if !n.pushed() {
					return nil
				}
				return n.shutWebhook(ctx, false)
			})
		}
		later, cancel := context.WithCancel(w.ctx)
		return w.refusedPromotion(ctx, p, missed, early, func() {
			if !stay {
				w.bg.Go(func() { w.reopen(later, missed, reopenAfter) })
			}
		}, func(ctx context.Context) error { cancel(); return revert(ctx) })
	}
	// Who can be reached has the key, beside the old one, before it signs.
	kid, err := w.admin.create(ctx)
	if err == nil {
		err = w.admin.post(ctx, kid, "publish", nil)
	}
	if err != nil {
		return injected{revert: restore}, err
	}
	reached := slices.DeleteFunc(w.told(), func(name string) bool { return slices.Contains(missed, name) })
	if _, err := w.probe(ctx, kid, reached); err != nil {
		return injected{revert: restore}, err
	}
	err = w.admin.post(ctx, kid, "activate", nil)
	at := time.Now()
	if err != nil {
		return injected{revert: restore}, err
	}
	if early {
		if err := w.admin.post(ctx, old, "retire", map[string]bool{"notify": false}); err != nil {
			return injected{revert: restore}, err
		}
	}
	if !stay {
		later, cancel := context.WithCancel(w.ctx)
		back := restore
		restore = func(ctx context.Context) error { cancel(); return back(ctx) }
		w.bg.Go(func() { w.reopen(later, missed, reopenAfter) })
	}
	cells, err := w.probe(ctx, kid, w.order)
	if err != nil {
		return injected{revert: restore}, err
	}
	failed, said, err := w.failedDeliveries(ctx, kid)
	if err != nil {
		return injected{revert: restore}, err
	}
	// Who fetches the set lacks nothing for want of a webhook: at its first token
	// of the key, or in a flood at the second.
	fetches := func(name string) bool { return w.nodes[name].spec.Kind == KeySet }
	lacking := slices.DeleteFunc(slices.Clone(missed), fetches)
	refused := slices.DeleteFunc(refusing(cells), fetches)
	return injected{at: at, revert: restore, proven: slices.Equal(refused, lacking) && slices.Equal(failed, missed),
		proof: fmt.Sprintf("key %s signs instead of %s; its tokens: %s; deliveries that failed: %s", kid, old, describe(cells), said)}, nil
}

// reopen opens webhook ports again after a while, unless ctx ends before.
func (w *World) reopen(ctx context.Context, names []string, after time.Duration) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(after):
	}
	for _, name := range names {
		if err := w.nodes[name].shutWebhook(ctx, false); err != nil && ctx.Err() == nil {
			w.spec.Log.Error("webhook port stays closed", "component", "lab", "service", name, "error", err)
		}
	}
}

func (w *World) failedDeliveries(ctx context.Context, kid string) (services []string, said string, err error) {
	records, err := w.admin.deliveries(ctx, kid)
	if err != nil {
		return nil, "", err
	}
	var parts []string
	for _, d := range records {
		if d.Status == "failed" {
			services = append(services, d.Service)
			parts = append(parts, d.Service+" ("+shorten(d.LastError, 120)+")")
		}
	}
	sort.Strings(services)
	return services, strings.Join(parts, ", "), nil
}

func injectEarlyRemoval(ctx context.Context, w *World, p *faultParams) (injected, error) {
	if err := w.byHand(); err != nil {
		return injected{}, err
	}
	again, err := p.bool("restart", true)
	if err != nil {
		return injected{}, err
	}
	restore, old, err := w.keysBefore(ctx)
	if err != nil {
		return injected{}, err
	}
	kid, err := w.newSigner(ctx)
	if err != nil {
		return injected{revert: restore}, err
	}
	at := time.Now()
	if err := w.admin.post(ctx, old, "retire", nil); err != nil {
		return injected{revert: restore}, err
	}
	if again {
		if err := w.restart(ctx, w.fetches()); err != nil {
			return injected{revert: restore}, err
		}
	}
	cells, err := w.probe(ctx, old, w.order)
	if err != nil {
		return injected{revert: restore}, err
	}
	set := w.saysSet(ctx)
	return injected{at: at, revert: restore, proven: len(refusing(cells)) > 0 || w.ridesOut() && !strings.Contains(set, old),
		proof: fmt.Sprintf("key %s signs and %s left the set while its tokens live; these are: %s; %s", kid, old, describe(cells), set)}, nil
}

func injectDouble(ctx context.Context, w *World, p *faultParams) (injected, error) {
	if err := w.byHand(); err != nil {
		return injected{}, err
	}
	n, err := p.number("rotations", 2, 1, 5)
	if err != nil {
		return injected{}, err
	}
	stale := w.servicesOf(WholeSet, JWX)
	if len(stale) == 0 && len(w.servicesOf(KeySet)) == 0 {
		return injected{}, cannot("no service of this world caches the whole key set", "use profile cached")
	}
	restore, old, err := w.keysBefore(ctx)
	if err != nil {
		return injected{}, err
	}
	at := time.Now()
	for range n {
		if err := w.admin.rotate(ctx); err != nil {
			return injected{revert: restore}, err
		}
		at = time.Now()
	}
	_, signer, err := w.admin.keys(ctx)
	if err != nil {
		return injected{revert: restore}, err
	}
	cells, err := w.probe(ctx, signer, w.order)
	if err != nil {
		return injected{revert: restore}, err
	}
	return injected{at: at, revert: restore, proven: len(refusing(cells)) > 0 || len(stale) == 0 && signer != old,
		proof: fmt.Sprintf("after %d rotations key %s signs instead of %s; its tokens: %s; %s", n, signer, old, describe(cells), w.saysSet(ctx))}, nil
}

func injectRevoke(ctx context.Context, w *World, _ *faultParams) (injected, error) {
	if err := w.byHand(); err != nil {
		return injected{}, err
	}
	restore, old, err := w.keysBefore(ctx)
	if err != nil {
		return injected{}, err
	}
	before, _, err := w.admin.keys(ctx)
	if err != nil {
		return injected{}, err
	}
	kid, err := w.newSigner(ctx)
	at := time.Now()
	if err != nil {
		return injected{revert: restore}, err
	}
	revoked := []string{}
	for _, k := range before {
		if k.State != stateActive && (k.State != stateNext || k.Published.IsZero()) {
			continue
		}
		if err := w.admin.revoke(ctx, k.Kid); err != nil {
			return injected{revert: restore}, err
		}
		revoked = append(revoked, k.Kid)
	}
	withNew, err := w.probe(ctx, kid, w.order)
	if err != nil {
		return injected{revert: restore}, err
	}
	withOld, err := w.probe(ctx, old, w.order)
	if err != nil {
		return injected{revert: restore}, err
	}
	set := w.saysSet(ctx)
	return injected{at: at, revert: restore, proven: len(refusing(withNew))+len(refusing(withOld)) > 0 || w.ridesOut() && !strings.Contains(set, old),
		proof: fmt.Sprintf("key %s signs, %s are revoked; its tokens: %s; tokens of the old signer: %s; %s", kid, strings.Join(revoked, " and "), describe(withNew), describe(withOld), set)}, nil
}

func injectSameKid(ctx context.Context, w *World, _ *faultParams) (injected, error) {
	if err := w.byHand(); err != nil {
		return injected{}, err
	}
	restore, signer, err := w.keysBefore(ctx)
	if err != nil {
		return injected{}, err
	}
	revert := func(ctx context.Context) error {
		return errors.Join(w.auth.call(ctx, "restore", signer, nil), restore(ctx))
	}
	at := time.Now()
	if err := w.auth.call(ctx, "swap", signer, nil); err != nil {
		return injected{}, err
	}
	keys, _, err := w.admin.keys(ctx)
	if err != nil {
		return injected{revert: revert}, err
	}
	now := ""
	for _, k := range keys {
		if k.Kid == signer {
			now = k.Thumbprint
		}
	}
	cells, err := w.probe(ctx, signer, w.order)
	if err != nil {
		return injected{revert: revert}, err
	}
	return injected{at: at, revert: revert, proven: now != signer && (len(refusing(cells)) > 0 || len(w.servicesOf(KeySet)) > 0),
		proof: fmt.Sprintf("kid %s is published with thumbprint %s; its tokens: %s", signer, now, describe(cells))}, nil
}
