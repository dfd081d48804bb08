package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"prunella/rotation"
)

// joinRotation declares every service to an issuer on rotation, and gives each
// what it needs to answer: keyset answers by itself, a static-file service has an
// agent beside it, which reads the key set from a mirror of its own host.
func (w *World) joinRotation(ctx context.Context) (*rotationConfig, error) {
	cfg := &rotationConfig{Dir: filepath.Join(w.dir, "auth"), Admins: map[string]string{w.secrets.admin: operatorName}}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	w.mirrored = newClient(2 * time.Second)
	for _, name := range w.order {
		n := w.nodes[name]
		m := rotationFleet{Name: name, Probe: n.url() + "/api/ping", Within: answersWithin(n.spec)}
		if n.pushed() {
			m.Secret, m.Hook, m.Probe, m.Within = n.base.Secret, "http://"+n.base.WebhookAddr+"/keys", "", 0
			n.base.Rotation = &rotationMember{AckURL: w.issuer + "/keys/ack/" + name}
		}
		switch n.spec.Kind {
		case KeySet:
			m.Probe = n.url() + "/api/ping?instance={instance}"
		case StaticFile:
			if err := w.addMirror(ctx, n); err != nil {
				return nil, err
			}
			n.left = func(ctx context.Context, pod string) error { return w.forget(ctx, name, pod) }
		}
		cfg.Members = append(cfg.Members, m)
	}
	return cfg, nil
}

func (w *World) addMirror(ctx context.Context, n *node) error {
	addr, err := w.reservePort()
	if err != nil {
		return err
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: w.jwks})
	proxy.Transport = w.mirrored.Transport
	proxy.ErrorHandler = func(rw http.ResponseWriter, _ *http.Request, err error) {
		problem(rw, http.StatusBadGateway, "the issuer does not answer the mirror", err.Error())
	}
	n.mirror = &door{addr: addr, handler: proxy}
	n.base.Rotation.JWKS = "http://" + addr + "/.well-known/jwks.json"
	return n.mirror.open(ctx)
}

// forget is the platform's word that a pod is gone: an agent says that its
// service stays in service, so its silence would be waited for. A pod that ended
// before its agent told anything is not known, and need not be forgotten.
func (w *World) forget(ctx context.Context, service, pod string) error {
	err := w.admin.do(ctx, http.MethodPost, "/keys/verifiers/"+service+"/forget", map[string]string{"instance": pod, "note": "the pod has ended"}, nil)
	if answer := (*answerError)(nil); errors.As(err, &answer) && answer.status == http.StatusNotFound {
		return nil
	}
	return err
}

// ordersWithin is how long an operator goes on asking for what rotation refuses.
const ordersWithin = 25 * time.Second

// promote asks rotation to let a key sign, and returns the gate's answer when it
// refuses.
func (w *World) promote(ctx context.Context, kid string) (refused *rotation.Reason, err error) {
	err = w.admin.do(ctx, http.MethodPost, "/keys/"+kid+"/promote", map[string]string{"note": "the quarterly rotation"}, nil)
	var answer *answerError
	if errors.As(err, &answer) && answer.reason != nil {
		return answer.reason, nil
	}
	return nil, err
}

// askUntil asks for a promotion until settled likes the answer (nil: it is
// granted), at most ordersWithin, and returns the last answer.
func (w *World) askUntil(ctx context.Context, kid string, settled func(*rotation.Reason) bool) (*rotation.Reason, error) {
	ctx, cancel := context.WithTimeout(ctx, ordersWithin)
	defer cancel()
	for {
		reason, err := w.promote(ctx, kid)
		if err != nil || reason == nil || settled(reason) {
			return reason, err
		}
		select {
		case <-ctx.Done():
			return reason, nil
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// refusedPromotion is the partial distribution against an issuer on rotation:
// the new key cannot reach some services, an operator orders it to sign, and
// rotation refuses and names them. It is left the order to rotate when all can.
func (w *World) refusedPromotion(ctx context.Context, p *faultParams, missed []string, early bool, reopen func(), restore func(context.Context) error) (injected, error) {
	_, old, err := w.admin.keys(ctx)
	if err != nil {
		return injected{}, err
	}
	kid, err := w.admin.create(ctx)
	if err != nil {
		return injected{revert: restore}, err
	}
	at := time.Now()
	reason, err := w.askUntil(ctx, kid, func(r *rotation.Reason) bool { return slices.Equal(slices.Sorted(slices.Values(r.Names())), missed) })
	if err != nil {
		return injected{revert: restore}, err
	}
	p.resolved["next_kid"] = kid
	if reason == nil {
		return injected{at: at, revert: restore, proof: "rotation let key " + kid + " sign"}, nil
	}
	names := slices.Sorted(slices.Values(reason.Names()))
	p.resolved["blocked"] = strings.Join(names, ",")
	removal := ""
	if early {
		if err := w.admin.post(ctx, old, "retire", nil); err != nil {
			removal = "; so is the removal of the old key"
		}
	}
	_, signer, err := w.admin.keys(ctx)
	if err != nil {
		return injected{revert: restore}, err
	}
	p.resolved["signer"] = signer
	cells, err := w.probe(ctx, signer, w.order)
	if err != nil {
		return injected{revert: restore}, err
	}
	if err := w.admin.do(ctx, http.MethodPost, "/keys/rotate", map[string]string{"note": "when everybody can"}, nil); err != nil {
		return injected{revert: restore}, err
	}
	reopen()
	return injected{at: at, revert: restore, proven: slices.Equal(names, missed) && signer == old && len(refusing(cells)) == 0,
		proof: fmt.Sprintf("key %s cannot reach %s; its promotion is refused (%s)%s; key %s signs on; its tokens: %s", kid, strings.Join(missed, ", "), reason, removal, old, describe(cells))}, nil
}

// rotateSafely asks rotation for a rotation and waits until it is done.
func (w *World) rotateSafely(ctx context.Context) (injected, error) {
	_, old, err := w.admin.keys(ctx)
	if err != nil {
		return injected{}, err
	}
	kid, err := w.admin.create(ctx)
	if err != nil {
		return injected{}, err
	}
	reason, err := w.askUntil(ctx, kid, func(*rotation.Reason) bool { return false })
	if err != nil {
		return injected{}, err
	}
	at := time.Now()
	if reason != nil {
		return injected{at: at, proof: reason.String()}, nil
	}
	withNew, err := w.probe(ctx, kid, w.order)
	if err != nil {
		return injected{}, err
	}
	withOld, err := w.probe(ctx, old, w.order)
	if err != nil {
		return injected{}, err
	}
	return injected{at: at, revert: func(context.Context) error { return nil }, proven: len(refusing(withNew)) == 0 && len(refusing(withOld)) == 0,
		proof: fmt.Sprintf("key %s signs instead of %s; its tokens: %s; tokens of the old key: %s", kid, old, describe(withNew), describe(withOld))}, nil
}
