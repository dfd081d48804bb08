package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"prunella"
	"prunella/app"
	"prunella/rotation"
	"prunella/rotation/agent"
	"prunella/rotation/issuer"
	"prunella/rotation/signer"
	"prunella/rotation/sqlstore"
)

type keysServeCmd struct {
	Config string `help:"Configuration file (docs/keys.md)." short:"c" placeholder:"FILE"`
	Data   string `help:"Folder for everything it keeps; overrides the file. Default ./keys-data." placeholder:"DIR"`
	Listen string `help:"Address to serve on; overrides the file. Default 127.0.0.1:7080." placeholder:"HOST:PORT"`
}

const (
	drainTime = 15 * time.Second // for requests that are under way when the process is told to stop
	maxClaims = 64 << 10         // bytes of a request to sign
)

func (cmd keysServeCmd) Run(c *console) error {
	cfg, err := readKeysConfig(cmd.Config)
	if err != nil {
		return err
	}
	cfg.Data, cfg.Listen = cmp.Or(cmd.Data, cfg.Data), cmp.Or(cmd.Listen, cfg.Listen)
	listener, err := app.Listen(cfg.Listen)
	if err != nil {
		return err
	}
	defer listener.Close() // again, when it was served: no harm
	if cfg.Drive != nil {
		cfg.Issuer = cfg.Drive.URL
	}
	cfg.Issuer = cmp.Or(cfg.Issuer, "http://"+listener.Addr().String())
	log := logger(c.err, c.debug)
	s, err := newKeyServer(c.ctx, cfg, log)
	if err != nil {
		return keysError(err)
	}
	return keysError(errors.Join(s.serve(c.ctx, listener, func() {
		fmt.Fprintf(c.out, "Rotation server of %s on http://%s\n", cfg.Issuer, listener.Addr())
	}), s.store.Close()))
}

// keyServer is one node of a rotation.
type keyServer struct {
	cfg      keysConfig
	store    *sqlstore.Store
	handler  http.Handler
	loop     func(context.Context) error // runs until its context ends
	ready    func(context.Context) error
	draining atomic.Bool
	log      *slog.Logger
}

func newKeyServer(ctx context.Context, cfg keysConfig, log *slog.Logger) (*keyServer, error) {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "open data folder", Where: cfg.Data, Err: errors.Unwrap(err), Remedy: "choose another folder with --data, or change its owner"}
	}
	s := &keyServer{cfg: cfg, log: log}
	if len(cfg.Operators) == 0 {
		token, err := kept(filepath.Join(cfg.Data, "operator.token"), func() string { return strings.ToLower(rand.Text()) })
		if err != nil {
			return nil, err
		}
		s.cfg.Operators = map[string]string{"operator": token}
		log.Info("no operators are configured; orders need the token that is kept here", "file", filepath.Join(cfg.Data, "operator.token"))
	}
	var err error
	if s.store, err = sqlstore.Open(ctx, cmp.Or(cfg.Store, filepath.Join(cfg.Data, "keys.db"))); err != nil {
		return nil, err
	}
	if cfg.Drive != nil {
		err = s.follow(ctx)
	} else {
		err = s.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.store.Close())
	}
	return s, nil
}

// kept returns what a file of mode 0600 holds, which is made when it is missing.
// It appears whole or not at all, and of several processes that make it one does:
// what is sealed with a secret that another then replaced would be lost.
func kept(file string, fresh func() string) (string, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err = made(file, fresh()); err == nil {
			b, err = os.ReadFile(file)
		}
	}
	if err != nil {
		return "", &prunella.Error{Kind: prunella.Invalid, Op: "keep", Where: file, Err: cmp.Or(errors.Unwrap(err), err), Remedy: "see that the folder can be written and its disk has room, or state the value in the configuration"}
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "", &prunella.Error{Kind: prunella.Invalid, Op: "read", Where: file, Reason: "the file is empty", Remedy: "restore it from a backup; if it never held anything, delete it and another is made"}
	}
	return text, nil
}

// made writes a file, and leaves it as it is when another process was first.
func made(file, text string) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".kept-*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // its other name stays
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Link(f.Name(), file); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// signer holds the keys: in another process, or sealed in the store.
func (s *keyServer) signer() (rotation.Signer, error) {
	if r := s.cfg.Signer; r != nil {
		return signer.NewRemote(r.URL, r.Token, nil)
	}
	where := s.cfg.Secret
	if where == "" {
		if strings.HasPrefix(s.cfg.Store, "postgres") {
			return nil, &prunella.Error{Kind: prunella.Invalid, Op: "read configuration", Reason: "the store is shared by several nodes and no secret is stated",
				Remedy: "give every node the same secret: env:NAME or file:PATH"}
		}
		file := filepath.Join(s.cfg.Data, "secret")
		if _, err := kept(file, newMasterKey); err != nil {
			return nil, err
		}
		where = "file:" + file
	}
	secret, err := signer.SecretFrom(where)
	if err != nil {
		return nil, err
	}
	return signer.NewSealed(s.store.Vault(), secret, s.cfg.RSABits)
}

func newMasterKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return "key:" + base64.StdEncoding.EncodeToString(key)
}

// start makes a node of our own rotation.
func (s *keyServer) start(ctx context.Context) error {
	keys, err := s.signer()
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	r, err := rotation.New(ctx, rotation.Config{Issuer: s.cfg.Issuer, JWKS: s.cfg.JWKS, Algorithm: rotation.Algorithm(s.cfg.Algorithm),
		Policy: s.cfg.Policy.policy(), Verifiers: verifiersOf(s.cfg.Verifiers), Store: s.store, Signer: keys, Node: s.cfg.Node, Metrics: registry, Log: s.log})
	if err != nil {
		return err
	}
	at, err := url.Parse(s.cfg.Issuer)
	if err != nil {
		return err
	}
	s.loop, s.ready = r.Run, r.Ready
	below, sign, path := r.Handler(byToken(s.cfg.Operators)), s.sign(r, byToken(s.cfg.Clients)), strings.TrimSuffix(at.Path, "/")+"/keys/sign"
	s.mux(registry).HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == path {
			sign.ServeHTTP(w, req)
			return
		}
		below.ServeHTTP(w, req)
	})
	return nil
}

const followEach = 15 * time.Second

// follow makes a desk for an issuer that another program runs.
func (s *keyServer) follow(ctx context.Context) error {
	desk, err := deskOf(ctx, s.cfg, s.store, s.log)
	if err != nil {
		return err
	}
	var last atomic.Pointer[error]
	s.ready = func(context.Context) error {
		if err := last.Load(); err != nil {
			return *err
		}
		return nil
	}
	s.loop = func(ctx context.Context) error {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
			err := desk.Follow(ctx)
			if err != nil && ctx.Err() == nil && last.Load() == nil {
				s.log.Error("the issuer cannot be observed", "error", err)
			}
			last.Store(nil)
			if err != nil {
				last.Store(&err)
			}
			timer.Reset(followEach)
		}
	}
	s.mux(prometheus.NewRegistry()).Handle("/keys/", http.StripPrefix("/keys", desk.API(byToken(s.cfg.Operators))))
	return nil
}

// deskOf opens the issuer that a configuration drives.
func deskOf(ctx context.Context, cfg keysConfig, store *sqlstore.Store, log *slog.Logger) (*issuer.Desk, error) {
	at, err := issuer.Open(*cfg.Drive)
	if err != nil {
		return nil, err
	}
	return issuer.NewDesk(ctx, issuer.DeskConfig{Issuer: cfg.Drive.URL, At: at, Store: store, Policy: cfg.Policy.policy(), Verifiers: verifiersOf(cfg.Verifiers), Node: cfg.Node, Log: log})
}

// byToken names people by the tokens that a configuration gives them.
func byToken(people map[string]string) func(*http.Request) (string, error) {
	names := map[string]string{}
	for name, token := range people {
		names[token] = name
	}
	return rotation.BearerTokens(names)
}

// mux serves what every node serves.
func (s *keyServer) mux(registry *prometheus.Registry) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		err := s.ready(r.Context())
		if s.draining.Load() {
			err = errors.New("stopping")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	s.handler = mux
	return mux
}

// sign signs tokens for the issuer's own services, which hold no key:
//
//	POST {issuer}/keys/sign  {"typ": "at+jwt", "claims": {…}}  ->  {"token": "…"}
func (s *keyServer) sign(rotator *rotation.Rotator, who func(*http.Request) (string, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := func(status int, v any) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(v) // the client is gone, or has it
		}
		wrong := func(status int, detail, remedy string) {
			answer(status, map[string]string{"detail": detail, "remedy": remedy})
		}
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			wrong(http.StatusMethodNotAllowed, "a token is asked for with POST", "use POST")
			return
		}
		if _, err := who(r); err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			wrong(http.StatusUnauthorized, "no client has this token", "send the token of one of clients: in the configuration, as Authorization: Bearer TOKEN")
			return
		}
		var ask struct {
			Type   string         `json:"typ"`
			Claims map[string]any `json:"claims"`
		}
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxClaims))
		dec.UseNumber()
		dec.DisallowUnknownFields() // claims under a wrong name would be left out of the token
		err := dec.Decode(&ask)
		if _, more := dec.Token(); err == nil && more != io.EOF {
			err = errors.New("there is more after the first value")
		}
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			wrong(http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is larger than %d bytes", maxClaims), "put less into a token")
			return
		}
		if err != nil {
			wrong(http.StatusBadRequest, "the request is not readable: "+err.Error(), `send {"typ": "at+jwt", "claims": {}}`)
			return
		}
		token, err := rotator.Token(r.Context(), ask.Type, ask.Claims)
		var e *rotation.Error
		switch {
		case errors.Is(err, rotation.Invalid) && errors.As(err, &e):
			wrong(http.StatusBadRequest, e.Detail, e.Remedy)
		case err != nil:
			s.log.Warn("a token could not be signed", "error", err)
			w.Header().Set("Retry-After", "5")
			wrong(http.StatusServiceUnavailable, "no token can be signed now", "ask again in some seconds, or another node")
		default:
			answer(http.StatusOK, map[string]string{"token": token})
		}
	})
}

// serve runs the loop and the server until ctx ends, and lets requests finish.
func (s *keyServer) serve(ctx context.Context, l net.Listener, ready func()) error {
	looping, stop := context.WithCancel(context.WithoutCancel(ctx))
	looped := make(chan error, 1)
	go func() { looped <- s.loop(looping) }()
	server := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	s.log.Info("serving", "issuer", s.cfg.Issuer, "listen", l.Addr().String(), "verifiers", len(s.cfg.Verifiers), "version", version())
	ready()
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-served:
	}
	s.draining.Store(true)
	s.log.Info("stopping")
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := server.Shutdown(deadline)
	stop()
	return errors.Join(failed, err, <-looped)
}

type keysAgentCmd struct {
	Config string `help:"Configuration file (docs/keys.md)." short:"c" required:"" placeholder:"FILE"`
	Once   bool   `help:"Look once, write, load, prove, acknowledge, and end."`
}

func (cmd keysAgentCmd) Run(c *console) error {
	var file agentConfig
	if err := readYAML(cmd.Config, &file); err != nil {
		return err
	}
	cfg, err := file.config(cmd.Config)
	if err != nil {
		return err
	}
	cfg.Log = logger(c.err, c.debug)
	a, err := agent.New(cfg)
	if err != nil {
		return keysError(err)
	}
	if cmd.Once {
		if err := a.RunOnce(c.ctx); err != nil {
			return &prunella.Error{Kind: prunella.Unavailable, Op: "update " + file.File, Err: err}
		}
		_, err := fmt.Fprintf(c.out, "%s is up to date\n", file.File)
		return err
	}
	if file.Hints.Listen == "" {
		return a.Run(c.ctx)
	}
	l, err := app.Listen(file.Hints.Listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: a.Hints(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	cfg.Log.Info("taking hints", "listen", l.Addr().String())
	ctx, stop := context.WithCancel(c.ctx)
	defer stop()
	looped := make(chan error, 1)
	go func() { looped <- a.Run(ctx) }()
	var failed error
	select {
	case <-c.ctx.Done():
	case failed = <-served:
	}
	stop()
	return errors.Join(failed, <-looped, server.Close())
}
