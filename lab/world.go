package lab

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"prunella"
)

// World is a running world. All methods may be called from any goroutine.
type World struct {
	spec     Spec
	dir      string
	nodes    map[string]*node
	order    []string // service names as in the Spec
	auth     process
	authLn   *net.TCPListener
	issuer   string
	jwks     string           // address of the key set's own port
	claims   []net.PacketConn // of the ports that faults close
	secrets  secrets
	control  *control
	admin    *adminClient
	traffic  *traffic
	client   *http.Client // reads the key set
	prober   *http.Client // the world's own probes
	operator *http.Client // of the key API: a busy machine may take seconds to make an RSA key
	mirrored *http.Client // of the agents' mirrors; nil unless the issuer is on rotation
	rng      *mrand.Rand  // faults pick with it; guarded by faultMu

	faultMu sync.Mutex // one fault at a time
	active  []activeFault
	planned []planned      // faults still to come
	bg      sync.WaitGroup // timers of faults
	ctx     context.Context
	cancel  context.CancelFunc
	ownDir  bool
}

type secrets struct {
	admin    string // of the key API and of the services' own administration
	kube     string
	operator string // client secret of the watcher
	customer string // client secret of the traffic
}

const (
	operatorID = "prunella"
	customerID = "shop-frontend"
	namespace  = "prod"
	repoOwner  = "acme"
	initialTag = "v1.8.2"
	vendorName = "auth0"
)

// Start builds a world and returns when every service has accepted a token and
// clients are calling. Stop ends it; so does the end of ctx, without waiting.
func Start(ctx context.Context, spec Spec) (*World, error) {
	spec, err := spec.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &World{spec: spec, nodes: map[string]*node{}, client: newClient(3 * time.Second), prober: newClient(patience), operator: newClient(30 * time.Second),
		rng:     mrand.New(mrand.NewPCG(uint64(spec.Seed), 0x6c6162)),
		secrets: secrets{newSecret(), newSecret(), newSecret(), newSecret()}}
	if spec.Keyset == keysetHealthy {
		if err := w.plan(); err != nil {
			return nil, fmt.Errorf("start lab: %w", err)
		}
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	if err := w.build(ctx); err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return nil, fmt.Errorf("start lab: %w", errors.Join(err, w.Stop(end)))
	}
	return w, nil
}

func newSecret() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return base64.StdEncoding.EncodeToString(b)
}

// build starts everything, in the order in which things need each other.
func (w *World) build(ctx context.Context) error {
	if err := w.makeDir(); err != nil {
		return err
	}
	subscribers, err := w.makeNodes()
	if err != nil {
		return err
	}
	if err := w.startAuth(ctx, subscribers); err != nil {
		return err
	}
	if err := w.configure(ctx); err != nil {
		return err
	}
	if w.control, err = startControl(w); err != nil {
		return err
	}
	if err := w.everyNode(func(n *node) error {
		return n.roll(ctx, image{version: initialTag}, w.control.kube.podName(n.spec.Name))
	}); err != nil {
		return err
	}
	if err := w.steady(ctx); err != nil {
		return err
	}
	w.traffic, err = startTraffic(w.ctx, w)
	return err
}

func (w *World) makeDir() (err error) {
	if w.spec.Dir == "" {
		w.ownDir = true
		w.dir, err = os.MkdirTemp("", "lab-")
		return err
	}
	w.dir = w.spec.Dir
	return os.MkdirAll(w.dir, 0o700)
}

// makeNodes gives every service its address and its folder.
func (w *World) makeNodes() ([]subscriber, error) {
	var subs []subscriber
	for i, s := range w.spec.Services {
		ln, err := listen()
		if err != nil {
			return nil, err
		}
		n := &node{spec: s, ln: ln, dir: filepath.Join(w.dir, s.Name), own: w.spec.Processes}
		w.nodes[s.Name], w.order = n, append(w.order, s.Name)
		if err := os.MkdirAll(n.dir, 0o700); err != nil {
			return nil, err
		}
		n.base = serviceConfig{Name: s.Name, Kind: s.Kind, Ordinal: i, ConfigPath: n.configPath(), AdminToken: w.secrets.admin,
			Algs: []string{w.spec.Alg}, MetricsEvery: w.spec.MetricsEvery}
		if !n.pushed() {
			continue
		}
		n.base.KeysFile, n.base.Secret = filepath.Join(n.dir, "keys.json"), newSecret()
		if n.base.WebhookAddr, err = w.reservePort(); err != nil {
			return nil, err
		}
		subs = append(subs, subscriber{Service: s.Name, URL: "http://" + n.base.WebhookAddr + "/keys", Secret: n.base.Secret})
	}
	for _, n := range w.nodes {
		n.base.Peers = map[string]string{}
		for _, to := range callsOf(n.spec.Name, w.spec.Services) {
			n.base.Peers[to] = w.nodes[to].url()
		}
	}
	return subs, nil
}

func listen() (*net.TCPListener, error) {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	return ln, nil
}

func (w *World) startAuth(ctx context.Context, subs []subscriber) (err error) {
	if w.authLn, err = listen(); err != nil {
		return err
	}
	if w.jwks, err = w.reservePort(); err != nil {
		return err
	}
	w.issuer = "http://" + w.authLn.Addr().String()
	w.admin = &adminClient{base: w.issuer, token: w.secrets.admin, client: w.operator}
	cfg := &authConfig{
		Issuer: w.issuer, JWKSAddr: w.jwks, Alg: w.spec.Alg, Audience: w.spec.Audience, Lifetime: w.spec.TokenLifetime,
		Clients:    map[string]string{operatorID: w.secrets.operator, customerID: w.secrets.customer},
		AdminToken: w.secrets.admin, Subscribers: subs, Next: *w.spec.NextPublished, MetricsEvery: w.spec.MetricsEvery,
	}
	if w.spec.Issuer == issuerRotation {
		if cfg.Rotation, err = w.joinRotation(ctx); err != nil {
			return err
		}
	}
	w.auth, err = launch(ctx, bootConfig{Auth: cfg}, w.authLn, w.spec.Processes)
	return err
}

// configure lays down what each service finds when it starts: its configuration
// and, for a static-file one, the keys of today.
func (w *World) configure(ctx context.Context) error {
	var set jose.JSONWebKeySet
	if err := w.admin.getJSON(ctx, w.jwksURL(), &set); err != nil {
		return err
	}
	for _, n := range w.nodes {
		if err := n.mount(configText(n.spec, w.issuer, w.jwksURL(), w.spec.Audience)); err != nil {
			return err
		}
		if n.spec.Kind == StaticFile {
			if err := writeJSON(n.base.KeysFile, set); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *World) jwksURL() string { return "http://" + w.jwks + "/.well-known/jwks.json" }

// everyNode runs f for all nodes at once.
func (w *World) everyNode(f func(*node) error) error {
	errs := make([]error, len(w.order))
	var wg sync.WaitGroup
	for i, name := range w.order {
		wg.Go(func() { errs[i] = f(w.nodes[name]) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// steady proves that every service accepts a token of the signer, which also
// fills their caches.
func (w *World) steady(ctx context.Context) error {
	_, signer, err := w.admin.keys(ctx)
	if err != nil {
		return err
	}
	cells, err := w.probe(ctx, signer, w.order)
	if err != nil {
		return err
	}
	if refused := refusing(cells); len(refused) > 0 {
		return fmt.Errorf("not in steady state: %s", describe(cells))
	}
	return nil
}

// ExportTo points the OTLP telemetry of auth and every service at a collector's
// base URL, now and for instances started later; an empty URL turns it off. A
// collector that does not answer is retried quietly.
func (w *World) ExportTo(url, token string) error {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	to := exportTarget{URL: strings.TrimRight(url, "/"), Token: token}
	return errors.Join(w.auth.call(ctx, "export", to, nil), w.everyNode(func(n *node) error { return n.exportTo(ctx, to) }))
}

// Inventory is what an operator would configure about this world.
func (w *World) Inventory() prunella.Inventory {
	inv := prunella.Inventory{
		Issuers: []prunella.Issuer{{
			Name: "auth", URL: w.issuer, Audience: w.spec.Audience, ClientID: operatorID, ClientSecret: w.secrets.operator,
			Admin:  &prunella.Admin{Kind: "keys", URL: w.issuer, Token: w.secrets.admin},
			Vendor: vendorName, StatusPage: w.control.url, TokenLifetime: prunella.Duration(w.spec.TokenLifetime),
		}},
		Kubernetes: &prunella.Kubernetes{Server: w.control.url, Token: w.secrets.kube, Namespace: namespace},
	}
	for _, name := range w.order {
		n := w.nodes[name]
		inv.Services = append(inv.Services, prunella.Service{
			Name: name, URL: n.url(), Canary: "/api/ping", Issuer: "auth", Audience: w.spec.Audience, Deployment: name,
			ConfigMap: configMapName(name), ConfigKey: configFileName, Criticality: n.spec.Criticality,
			Calls: callsOf(name, w.spec.Services), Owner: n.spec.Owner,
		})
		inv.Releases = append(inv.Releases, prunella.Releases{Service: name, URL: fmt.Sprintf("%s/repos/%s/%s", w.control.url, repoOwner, name)})
	}
	return inv
}

// Counts are the calls of the world's clients that began at since or later.
func (w *World) Counts(since time.Time) Counts { return w.traffic.counts.since(since) }

// Verifiers is how each service verifies tokens.
func (w *World) Verifiers() map[string]Kind {
	out := map[string]Kind{}
	for _, s := range w.spec.Services {
		out[s.Name] = s.Kind
	}
	return out
}

// servicesOf returns the services with one of the kinds, sorted.
func (w *World) servicesOf(kinds ...Kind) []string {
	var out []string
	for _, s := range w.spec.Services {
		if slices.Contains(kinds, s.Kind) {
			out = append(out, s.Name)
		}
	}
	sort.Strings(out)
	return out
}

// Stop ends clients, services, auth and control planes, in that order, and
// removes the world's files when they were its own.
func (w *World) Stop(ctx context.Context) error {
	w.cancel()
	w.bg.Wait()
	var errs []error
	if w.traffic != nil {
		w.traffic.stop()
	}
	if w.control != nil {
		errs = append(errs, w.control.stop(ctx))
	}
	errs = append(errs, w.everyNode(func(n *node) error { return n.stop(ctx) }))
	if w.auth != nil {
		errs = append(errs, w.auth.stop(ctx))
	}
	if w.authLn != nil {
		errs = append(errs, w.authLn.Close())
	}
	for _, c := range w.claims {
		errs = append(errs, c.Close())
	}
	w.client.CloseIdleConnections()
	w.prober.CloseIdleConnections()
	w.operator.CloseIdleConnections()
	if w.mirrored != nil {
		w.mirrored.CloseIdleConnections()
	}
	if w.ownDir {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}
