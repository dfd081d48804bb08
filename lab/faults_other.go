package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"prunella"
)

func otherFaults() []Fault {
	expire := prunella.ParamSpec{Name: "expire", Type: "bool", Doc: "the services that fetch the key set are restarted, so that they need it now; default true"}
	attackParams := func(rate string) []prunella.ParamSpec {
		return []prunella.ParamSpec{
			{Name: "rate", Type: "number", Doc: "calls per second; default " + rate},
			{Name: "services", Type: "text", Doc: "how many services are called, picked by the seed, or their names; default all"},
		}
	}
	return []Fault{
		{Name: "jwks-down", Doc: "The key set's endpoint stops answering.", Params: []prunella.ParamSpec{
			{Name: "mode", Type: "text", Doc: "refused (the port is closed), 500 or timeout; default refused"}, expire}, about: aboutKinds(fetching...), inject: injectJWKSDown},
		{Name: "vendor-down", Doc: "The identity vendor has an outage: its status page says so, and every endpoint of the issuer answers 503.",
			Params: []prunella.ParamSpec{expire}, about: aboutKinds(fetching...), inject: injectVendorDown},
		{Name: "clock-skew", Doc: "The clock of one service's host is wrong.", Params: []prunella.ParamSpec{
			{Name: "service", Type: "text", Doc: "which; default one picked by the seed"},
			{Name: "skew", Type: "duration", Doc: "by how much, ahead is positive; default -10m"}}, about: aboutService, inject: injectSkew},
		{Name: "wrong-audience", Doc: "One service is configured to expect another audience, or the issuer writes another one into its tokens.", Params: []prunella.ParamSpec{
			{Name: "service", Type: "text", Doc: "which; default one picked by the seed"},
			{Name: "issuer", Type: "bool", Doc: "it is the issuer that is wrong; default false"},
			{Name: "audience", Type: "text", Doc: "the wrong audience; default https://legacy-api.acme.example"}}, about: aboutAudience, inject: injectAudience},
		{Name: "forged-tokens", Doc: "Somebody sends tokens with the signer's kid and a signature that is not its own.", Params: attackParams("40"),
			inject: func(ctx context.Context, w *World, p *faultParams) (injected, error) {
				return injectAttack(ctx, w, p, 40, func(signer string) string { return w.forge(signer) }, "tokens with the signer's kid and a false signature")
			}},
		{Name: "random-kid-flood", Doc: "Somebody sends tokens with a different made-up kid each time.", Params: attackParams("100"),
			inject: func(ctx context.Context, w *World, p *faultParams) (injected, error) {
				return injectAttack(ctx, w, p, 100, func(string) string { return w.forge(newID("k")) }, "tokens with made-up kids")
			}},
		{Name: "bad-deploy", Doc: "A release of one service is published and rolled out, and answers some requests with 500 and some with 401. A rollout undo mends it.",
			Params: []prunella.ParamSpec{{Name: "service", Type: "text", Doc: "which; default one picked by the seed"}}, about: aboutService, inject: injectBadDeploy},
	}
}

func injectJWKSDown(ctx context.Context, w *World, p *faultParams) (injected, error) {
	mode, err := p.oneOf("mode", "refused", "500", "timeout")
	if err != nil {
		return injected{}, err
	}
	if len(w.fetches())+len(w.servicesOf(KeySet)) == 0 {
		return injected{}, cannot("no service of this world fetches the key set", "use profile cached")
	}
	expire, err := p.bool("expire", true)
	if err != nil {
		return injected{}, err
	}
	at := time.Now()
	revert := func(ctx context.Context) error {
		return errors.Join(w.auth.call(ctx, "fault", authFault{}, nil), w.auth.call(ctx, "open-jwks", nil, nil))
	}
	if mode == "refused" {
		err = w.auth.call(ctx, "close-jwks", nil, nil)
	} else {
		err = w.auth.call(ctx, "fault", authFault{JWKS: mode}, nil)
	}
	if err != nil {
		return injected{revert: revert}, err
	}
	return w.unreachable(ctx, at, expire, revert)
}

// unreachable makes caches due when expire, and observes the key set and the
// services.
func (w *World) unreachable(ctx context.Context, at time.Time, expire bool, revert func(context.Context) error) (injected, error) {
	said := ""
	if expire {
		if err := w.restart(ctx, w.fetches()); err != nil {
			return injected{revert: revert}, err
		}
		if held := w.servicesOf(KeySet); len(held) > 0 {
			// A new instance is not ready without keys, so the one before serves on.
			if err := w.restart(ctx, held); err != nil {
				said = "; new instances of " + strings.Join(held, ", ") + " do not become ready and take over nothing"
				back := revert
				revert = func(ctx context.Context) error { return errors.Join(back(ctx), w.restart(ctx, held)) }
			}
		}
	}
	_, err := (&fetcher{url: w.jwksURL(), client: w.client}).get(ctx)
	if err == nil {
		return injected{revert: revert, at: at, proof: "the key set still answers"}, nil
	}
	cells, probeErr := w.probe(ctx, "", w.order)
	if probeErr != nil {
		return injected{revert: revert}, probeErr
	}
	return injected{at: at, revert: revert, proven: !expire || len(refusing(cells)) > 0 || w.ridesOut(),
		proof: fmt.Sprintf("%v; a good token: %s%s", err, describe(cells), said)}, nil
}

func injectVendorDown(ctx context.Context, w *World, p *faultParams) (injected, error) {
	expire, err := p.bool("expire", true)
	if err != nil {
		return injected{}, err
	}
	at := time.Now()
	revert := func(ctx context.Context) error {
		w.control.vendor.set(false)
		return w.auth.call(ctx, "fault", authFault{}, nil)
	}
	w.control.vendor.set(true)
	if err := w.auth.call(ctx, "fault", authFault{Down: true}, nil); err != nil {
		return injected{revert: revert}, err
	}
	in, err := w.unreachable(ctx, at, expire, revert)
	if err != nil {
		return in, err
	}
	_, status, err := w.traffic.requestToken(ctx)
	in.proven = err != nil && status == http.StatusServiceUnavailable && strings.Contains(in.proof, "503")
	in.proof = fmt.Sprintf("the token endpoint answers %d; %s", status, in.proof)
	return in, nil
}

func injectSkew(ctx context.Context, w *World, p *faultParams) (injected, error) {
	// keyset reads the clock of this machine, which is not moved.
	movable := slices.DeleteFunc(w.spec.names(), func(name string) bool { return w.nodes[name].spec.Kind == KeySet })
	if len(movable) == 0 {
		return injected{}, cannot("every service is on keyset, whose clock is the machine's", "leave one on another kind of verifier")
	}
	service, err := p.service("service", movable)
	if err != nil {
		return injected{}, err
	}
	skew, err := p.duration("skew", -10*time.Minute)
	if err != nil {
		return injected{}, err
	}
	n := w.nodes[service]
	at := time.Now()
	revert := func(ctx context.Context) error { return n.setSkew(ctx, 0) }
	if err := n.setSkew(ctx, skew); err != nil {
		return injected{revert: revert}, err
	}
	cells, err := w.probe(ctx, "", []string{service})
	if err != nil {
		return injected{revert: revert}, err
	}
	offset := time.Until(cells[0].date).Round(time.Second)
	return injected{at: at, revert: revert, proven: (offset-skew).Abs() <= 3*time.Second && len(refusing(cells)) == 1,
		proof: fmt.Sprintf("the Date header of %s is off by %s; a token issued just now: %s", service, offset, describe(cells))}, nil
}

// aboutAudience is about everybody when it is the issuer that is wrong.
func aboutAudience(w *World, p *faultParams) ([]string, error) {
	if atIssuer, err := p.bool("issuer", false); err != nil || atIssuer {
		return w.spec.names(), err
	}
	return aboutService(w, p)
}

func injectAudience(ctx context.Context, w *World, p *faultParams) (injected, error) {
	atIssuer, err := p.bool("issuer", false)
	if err != nil {
		return injected{}, err
	}
	wrong := p.text("audience", "https://legacy-api.acme.example")
	if wrong == w.spec.Audience || strings.ContainsAny(wrong, " \n#:{}") && !strings.HasPrefix(wrong, "https://") {
		return injected{}, p.invalid("audience", "write an https URL other than "+w.spec.Audience)
	}
	at := time.Now()
	affected := w.order
	var revert func(ctx context.Context) error
	if atIssuer {
		revert = func(ctx context.Context) error { return w.auth.call(ctx, "fault", authFault{}, nil) }
		err = w.auth.call(ctx, "fault", authFault{Audience: wrong}, nil)
	} else {
		var service string
		if service, err = p.service("service", w.order); err != nil {
			return injected{}, err
		}
		affected = []string{service}
		revert, err = w.reconfigure(ctx, service, "audience: "+w.spec.Audience, "audience: "+wrong)
	}
	if err != nil {
		return injected{revert: revert}, err
	}
	cells, err := w.probe(ctx, "", w.order)
	if err != nil {
		return injected{revert: revert}, err
	}
	return injected{at: at, revert: revert, proven: slices.Equal(refusing(cells), slices.Sorted(slices.Values(affected))),
		proof: fmt.Sprintf("a token issued just now: %s", describe(cells))}, nil
}

// reconfigure replaces text in a service's ConfigMap and restarts it; revert
// puts the text back.
func (w *World) reconfigure(ctx context.Context, service, from, to string) (revert func(context.Context) error, err error) {
	change := func(ctx context.Context, from, to string) error {
		if err := w.control.kube.editConfig(configMapName(service), from, to); err != nil {
			return err
		}
		return w.control.kube.restart(ctx, service)
	}
	return func(ctx context.Context) error { return change(ctx, to, from) }, change(ctx, from, to)
}

func injectAttack(ctx context.Context, w *World, p *faultParams, rate int, token func(signer string) string, what string) (injected, error) {
	rate, err := p.number("rate", rate, 1, 1000)
	if err != nil {
		return injected{}, err
	}
	targets, err := p.services("services", len(w.order), w.order)
	if err != nil {
		return injected{}, err
	}
	_, signer, err := w.admin.keys(ctx)
	if err != nil {
		return injected{}, err
	}
	a := &attack{w: w, rate: rate, target: targets, token: func() string { return token(signer) }, answers: map[string]map[int]int{}}
	run, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	at := time.Now()
	w.bg.Go(func() { a.run(run); close(done) })
	revert := func(context.Context) error { cancel(); <-done; return nil }

	wait, stop := context.WithTimeout(ctx, 2*patience)
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for wait.Err() == nil {
		if services, _ := a.refused(); services == len(targets) {
			break
		}
		select {
		case <-tick.C:
		case <-wait.Done():
		}
	}
	services, refusals := a.refused()
	cells, err := w.probe(ctx, "", w.order)
	if err != nil {
		return injected{revert: revert}, err
	}
	return injected{at: at, revert: revert, proven: services == len(targets),
		proof: fmt.Sprintf("%d %s refused by %d of %d services called; a good token: %s", refusals, what, services, len(targets), describe(cells))}, nil
}

// badTag is the release that bad-deploy rolls out.
const badTag = "v1.9.0"

func injectBadDeploy(ctx context.Context, w *World, p *faultParams) (injected, error) {
	service, err := p.service("service", w.order)
	if err != nil {
		return injected{}, err
	}
	k := w.control.kube
	at := time.Now()
	revert := func(ctx context.Context) error {
		w.control.releases.withdraw(service, badTag)
		return k.setImage(ctx, service, imageName(service, initialTag), "")
	}
	k.push(imageName(service, badTag), image{version: badTag, defect: true})
	w.control.releases.add(service, badTag, strings.TrimPrefix(w.nodes[service].spec.Owner, "@"), at)
	if err := k.setImage(ctx, service, imageName(service, badTag), "deploy "+service+" "+badTag); err != nil {
		return injected{revert: revert}, err
	}
	cells := make([]cell, 0, 20)
	for range cap(cells) {
		more, err := w.probe(ctx, "", []string{service})
		if err != nil {
			return injected{revert: revert}, err
		}
		cells = append(cells, more...)
	}
	crashed, refused := withStatus(cells, http.StatusInternalServerError), withStatus(cells, http.StatusUnauthorized)
	running := w.nodes[service].running().version
	return injected{at: at, revert: revert, proven: crashed > 0 && refused > 0 && running == badTag,
		proof: fmt.Sprintf("%s runs %s, released %s; of %d calls with a good token %d were answered 500 and %d 401",
			service, running, at.UTC().Format(time.RFC3339), len(cells), crashed, refused)}, nil
}

// setImage changes what a Deployment runs and waits for the rollout.
func (k *kube) setImage(ctx context.Context, name, img, cause string) error {
	return k.edit(ctx, name, func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Image = img
		if cause != "" {
			d.Annotations = map[string]string{revisionKey: d.Annotations[revisionKey], changeCauseKey: cause}
		}
	})
}
