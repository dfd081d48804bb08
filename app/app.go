package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"prunella"
	"prunella/action"
	"prunella/bus"
	"prunella/client"
	"prunella/correlate"
	"prunella/engine"
	"prunella/ingest"
	"prunella/match"
	"prunella/monitor"
	"prunella/notify"
	"prunella/store"
	"prunella/thread"
	"prunella/thread/live"
	"prunella/thread/polish"
	"prunella/web"
	"prunella/wiki"
)

// App is one Prunella server.
type App struct {
	cfg     Config
	version string
	log     *slog.Logger

	registry *prometheus.Registry
	panics   *prometheus.CounterVec
	hub      *hub
	wiki     *wiki.Wiki
	skills   *skills
	renamed  renamed
	store    *store.Store
	bus      *bus.Bus
	world    *action.World
	pipeline *engine.Pipeline
	engine   *engine.Engine
	monitors *monitor.Runner
	sender   *notify.Sender
	prover   Prover // nil: no drills
	listener net.Listener
	server   *http.Server

	threads  *thread.Store // nil, as slack and polish are, without a workspace
	slack    *live.Live
	polish   *polish.Polisher // nil without a model
	failed   chan error       // holds what ended the serving before Stop
	born     time.Time
	started  atomic.Bool
	stop     context.CancelFunc
	running  sync.WaitGroup
	cleanups []cleanup // in the order of building; undone in reverse
}

type cleanup struct {
	name string
	undo func() error
}

// New builds a server from a configuration. Every error names what to mend;
// nothing of a failed New stays open.
func New(cfg Config, version string, log *slog.Logger) (a *App, err error) {
	cfg = cfg.withDefaults()
	a = &App{cfg: cfg, version: version, log: log, registry: prometheus.NewRegistry(), hub: newHub(), failed: make(chan error, 1), born: time.Now().UTC()}
	defer func() {
		if err != nil {
			a.cleanup()
			a = nil
		}
	}()
	if err := cfg.validate(); err != nil {
		return a, err
	}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	if a.listener, err = Listen(cfg.Listen); err != nil {
		return a, err
	}
	a.undo("listener", a.listener.Close)
	if a.store, err = store.Open(ctx, cfg.Data); err != nil {
		return a, err
	}
	a.undo("store", a.store.Close)
	if a.bus, err = bus.Open(ctx, bus.Config{Dir: filepath.Join(cfg.Data, "bus"), URL: cfg.Bus.URL, MaxBytes: cfg.Bus.MaxBytes, Log: log}); err != nil {
		return a, err
	}
	a.undo("bus", a.bus.Close)
	if err := a.openWiki(ctx); err != nil {
		return a, err
	}
	if a.world, err = action.NewWorld(cfg.World, history{a.store}, action.Options{Log: log, TimeScale: cfg.TimeScale, Caught: a.caught}); err != nil {
		return a, err
	}
	a.undo("world", func() error { a.world.Close(); return nil })

	metrics := engine.NewMetrics(a.registry)
	a.panics = metrics.Panics
	state := engineStore{a.store, a.hub}
	detect := match.Default().Scaled(cfg.TimeScale)
	related := correlate.Default().Scaled(cfg.TimeScale)
	related.Recurrence = max(related.Recurrence, cfg.scaled(cfg.Verify.Watch, 0))
	a.engine = engine.New(engine.Config{
		Owner: owner(), Inventory: cfg.World, Skills: a.skills.list, Catalog: action.Catalog(), Policy: cfg.Policy, PublicURL: a.publicURL(),
		TimeScale: cfg.TimeScale, Settle: time.Duration(cfg.Verify.Settle), Hold: time.Duration(cfg.Verify.Hold), VerifyBudget: time.Duration(cfg.Verify.Budget),
		MinSamples: cfg.Verify.MinSamples, Bucket: detect.Bucket, Correlate: related,
	}, state, a.world, metrics, log)
	consumer, err := a.bus.Consumer(ctx, "pipeline")
	if err != nil {
		return a, err
	}
	if a.pipeline, err = engine.NewPipeline(ctx, engine.PipelineConfig{Inventory: cfg.World, Skills: a.skills.list, Detect: detect,
		Correlate: related, PublicURL: a.publicURL(), Changed: a.engine.Wake},
		source{consumer}, state, metrics, log); err != nil {
		return a, err
	}
	a.monitors = monitor.NewRunner(a.bus, a.jobs(), monitor.Config{Log: log, Metrics: a.registry, Caught: a.caught})
	if a.sender, err = notify.New(a.store, cfg.Notify.Webhooks, a.registry, log, a.caught); err != nil {
		return a, err
	}
	if err := a.openSlack(ctx); err != nil {
		return a, err
	}
	a.server = &http.Server{Handler: a.routes(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	return a, nil
}

// jobs are the active checks of the declared world.
func (a *App) jobs() []monitor.Job {
	views, state := recorder{a.store, a.hub}, monitorState{a.store}
	var jobs []monitor.Job
	every := func(d prunella.Duration) time.Duration { return a.cfg.scaled(d, 250*time.Millisecond) }
	for _, i := range a.cfg.World.Issuers {
		jobs = append(jobs, monitor.Job{Monitor: monitor.NewJWKS(i.Name, a.world, views, state), Every: every(a.cfg.Monitors.JWKS)})
		if i.ClientID != "" {
			jobs = append(jobs, monitor.Job{Monitor: monitor.NewToken(i.Name, a.world, state), Every: every(a.cfg.Monitors.JWKS)},
				monitor.Job{Monitor: monitor.NewCanary(i.Name, action.RefusedClaim, a.world, views, state), Every: every(a.cfg.Monitors.Canary)})
		}
	}
	if len(a.cfg.World.Releases) > 0 {
		jobs = append(jobs, monitor.Job{Monitor: monitor.NewReleases(a.world, state), Every: every(a.cfg.Monitors.Releases)})
	}
	return append(jobs, monitor.Job{Monitor: monitor.NewHeartbeat(a.cfg.Notify.Heartbeat, a.working, &http.Client{Timeout: 10 * time.Second}), Every: time.Minute})
}

// working says whether signals are taken and folded in, and incidents looked after.
func (a *App) working(ctx context.Context, now time.Time) error {
	if err := a.bus.Writable(ctx); err != nil {
		return err
	}
	if idle := now.Sub(a.engine.LastTick()); idle > time.Minute {
		return prunella.Errorf(prunella.Unavailable, "the engine has not looked at the incidents for %s", idle.Round(time.Second))
	}
	if idle := now.Sub(a.pipeline.LastPass()); idle > time.Minute {
		return prunella.Errorf(prunella.Unavailable, "no pass over the signals was committed for %s", idle.Round(time.Second))
	}
	return nil
}

func (a *App) routes() http.Handler {
	in := ingest.Handler(ingest.Config{MaxBody: a.cfg.Ingest.MaxBody, Tokens: a.cfg.Ingest.Tokens, DefaultTenant: a.cfg.World.Tenant, Log: a.log, Metrics: a.registry}, a.bus)
	mux := http.NewServeMux()
	for _, path := range []string{"/v1/", "/api/v1/alertmanager", "/api/v2/alerts", "/api/v1/signals"} {
		mux.Handle(path, in)
	}
	if a.slack != nil {
		mux.Handle("/slack/events", a.slack) // signed; called from outside under any name
	}
	known := prometheus.NewRegistry()
	known.MustRegister(knowledge{backend{a}})
	mux.Handle("/", a.ownHost(web.Handler(web.Config{Backend: backend{a}, Version: a.version, Log: a.log,
		Metrics: promhttp.HandlerFor(prometheus.Gatherers{a.registry, known}, promhttp.HandlerOpts{})})))
	return mux
}

// ownHost refuses requests to a loopback server under a foreign name: a page
// elsewhere could point its own name at this machine and press our buttons.
func (a *App) ownHost(next http.Handler) http.Handler {
	tcp, ok := a.listener.Addr().(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() {
		return next // reached through the operator's own network and names
	}
	own := ""
	if u, err := url.Parse(a.publicURL()); err == nil {
		own = u.Hostname()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); host != own && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "This server answers to localhost only, not to "+strconv.Quote(host)+". Set public_url in its configuration to allow another name.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Failed gives the error with which serving ended before Stop: the server takes
// nothing in any more, and should be stopped.
func (a *App) Failed() <-chan error { return a.failed }

// Start runs the server until Stop. It returns at once.
func (a *App) Start(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	loops := map[string]func(context.Context){"pipeline": a.pipeline.Run, "engine": a.engine.Run, "monitors": a.monitors.Run, "notify": a.sender.Run,
		"prune": a.prune, "wiki": a.followWiki, "drill": a.drills}
	if a.slack != nil {
		loops["slack"] = a.readSlack
	}
	for name, loop := range loops {
		a.running.Go(func() { a.keep(ctx, name, loop) })
	}
	a.running.Go(func() {
		if err := a.server.Serve(a.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.failed <- &prunella.Error{Kind: prunella.Internal, Op: "serve", Where: a.URL(), Err: err}
		}
	})
	a.started.Store(true)
	return nil
}

// Stop drains: no new requests, stages under way come to a safe point, what was
// accepted stays on disk.
func (a *App) Stop(ctx context.Context) error {
	a.started.Store(false)
	if a.stop != nil {
		a.stop()
	}
	a.hub.close()
	err := a.server.Shutdown(ctx)
	if err != nil { // the time is over: what is still open is cut off
		err = a.server.Close()
	}
	a.running.Wait()
	return errors.Join(err, a.cleanup())
}

// URL is where the server is reached.
func (a *App) URL() string { return "http://" + a.listener.Addr().String() }

func (a *App) publicURL() string {
	if a.cfg.PublicURL != "" {
		return a.cfg.PublicURL
	}
	return a.URL()
}

func (a *App) undo(name string, f func() error) {
	a.cleanups = append(a.cleanups, cleanup{name, f})
}

func (a *App) cleanup() error {
	var failed error
	for i := len(a.cleanups) - 1; i >= 0; i-- {
		if err := a.cleanups[i].undo(); err != nil && !errors.Is(err, net.ErrClosed) {
			failed = errors.Join(failed, fmt.Errorf("close %s: %w", a.cleanups[i].name, err))
		}
	}
	a.cleanups = nil
	return failed
}

// prune forgets what is older than the retention, once an hour.
func (a *App) prune(ctx context.Context) {
	t := time.NewTicker(time.Hour)
	defer t.Stop()
	for {
		if err := a.store.Prune(ctx, time.Now().Add(-time.Duration(a.cfg.Retention))); err != nil && ctx.Err() == nil {
			a.log.Error("prune", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Listen opens an address of a configuration, or says which one to choose.
func Listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "listen", Where: addr, Reason: "the port is taken by another program",
			Remedy: "choose another one with --listen or listen: in the configuration, or stop the other program"}
	case err != nil:
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "listen", Where: addr, Err: err, Remedy: "write host:port, such as 127.0.0.1:7070"}
	}
	return l, nil
}

// owner names this process in leases. No other has the name, also on the same
// host; what a process that has ended left behind is the store's to give free.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("node/%s/%d-%s", host, os.Getpid(), rand.Text()[:8])
}

// Status is the health of the server.
func (b backend) Status(ctx context.Context) (client.Status, error) {
	depth, err := b.bus.Depth(ctx)
	if err != nil {
		return client.Status{}, err
	}
	open, err := b.store.Incidents(ctx, store.IncidentFilter{Open: true})
	if err != nil {
		return client.Status{}, err
	}
	now := time.Now().UTC()
	total, newest := b.pipeline.Folded()
	s := client.Status{Version: b.version, Started: b.born, Now: now, TimeScale: b.cfg.TimeScale, IncidentsOpen: len(open),
		SkillProblems: b.skills.broken(),
		Engine:        client.Engine{Owner: b.engine.Owner(), LastTick: b.engine.LastTick()},
		Intake:        client.Intake{SignalsTotal: total, LastSignal: newest, BusDepth: int64(depth.Messages), Rejected: b.rejected()}}
	if err := b.bus.Writable(ctx); err != nil {
		s.Intake.Trouble = said(err)
	}
	if b.cfg.Drill.Every > 0 {
		d, err := b.drilled(ctx)
		if err != nil {
			return client.Status{}, err
		}
		s.Drill = &d
	}
	if depth.Messages > 0 && !newest.IsZero() {
		s.Intake.LagSeconds = now.Sub(newest).Seconds()
	}
	if up := now.Sub(b.born).Seconds(); up > 0 {
		s.Intake.PerSecond = float64(total) / up
	}
	for _, l := range b.pipeline.Learned() {
		if l.Status == "401" {
			s.Baselines = append(s.Baselines, client.Baseline{Service: l.Service, Known: l.Known, Have: l.Have, Need: l.Need, Rate: l.Rate, Share: l.Share})
		}
	}
	for _, m := range b.monitors.Status() {
		s.Monitors = append(s.Monitors, client.Monitor{Name: m.Name, LastRun: m.LastRun, LastError: m.LastError})
	}
	return s, nil
}

// rejected is how many signals the intake refused, from its own metric.
func (b backend) rejected() int64 {
	families, err := b.registry.Gather()
	if err != nil {
		return 0
	}
	var n float64
	for _, f := range families {
		if f.GetName() == "prunella_ingest_rejected_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return int64(n)
}
