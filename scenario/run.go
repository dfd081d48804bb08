package scenario

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"prunella"
	"prunella/client"
)

// LiveWorld is a running world that can be broken.
type LiveWorld interface {
	Inventory() prunella.Inventory // what an operator would write about it
	ExportTo(url string) error     // its telemetry goes there from now on
	Inject(ctx context.Context, fault string, with map[string]string) (prunella.FaultRecord, error)
	Requests(since time.Time) Tally // of the world's own clients, started at or after since
	Stop(ctx context.Context) error
}

// Tally counts requests as their senders saw them.
type Tally struct {
	Total, Failed int
	Said          []string // why the last ones failed, a few different answers
	Refused       []string // services that refused a customer's token, sorted
}

// Share is the failing share, 0 without requests.
func (t Tally) Share() float64 {
	if t.Total == 0 {
		return 0
	}
	return float64(t.Failed) / float64(t.Total)
}

// EngineConfig is all that an engine is told: what an operator would write.
type EngineConfig struct {
	Inventory prunella.Inventory
	TimeScale float64
	Policy    Policy
	Skills    Skills
}

// RunningEngine is an engine under test. Stop ends it.
type RunningEngine struct {
	URL  string
	Stop func(context.Context) error
}

// Progress is one line of what is going on.
type Progress struct {
	At      time.Time
	Elapsed time.Duration // since the run began
	Stage   string        // world | engine | steady | inject | watch | hold | judge
	Kind    string        // "", "wait" for a line that the next one replaces, "fault", or the Kind of the prunella.Event it tells of
	Text    string
}

// Runner runs scenarios, one at a time.
type Runner struct {
	World    func(ctx context.Context, w World, seed int64) (LiveWorld, error)
	Engine   func(ctx context.Context, cfg EngineConfig) (RunningEngine, error)
	Progress func(Progress)                               // nil for none
	Linger   func(ctx context.Context, r prunella.Report) // called with everything still running; nil for none
}

// tick is how often the engine is looked at.
const tick = 100 * time.Millisecond

// stopWithin bounds the end of a world and of an engine.
const stopWithin = 20 * time.Second

// Run runs a scenario and returns its report; what prevents a verdict is in the
// report, as ERROR. World and engine have ended when it returns, also when ctx
// was cancelled.
func (r *Runner) Run(ctx context.Context, s Scenario, seed int64) prunella.Report {
	d := &drill{Runner: r, s: s, seed: seed, told: map[string]int{}, answered: map[string]bool{}}
	d.report = prunella.Report{
		ID: newID(), Scenario: s.Name, Title: s.Title, Category: s.Category, Description: s.Description,
		Seed: seed, Params: s.Params, Started: time.Now().UTC(), TimeScale: s.Given.Engine.TimeScale,
		Conditions: s.Conditions, Requests: prunella.Requests{FailedAfterHeal: -1},
	}
	err := d.play(ctx)
	d.finish(ctx, err)
	if err := d.stop(ctx); err != nil && d.report.Status != prunella.Errored {
		d.report.Status, d.report.Error = prunella.Errored, "the run did not end cleanly: "+err.Error()
	}
	return d.report
}

// drill is one run under way.
type drill struct {
	*Runner
	s      Scenario
	seed   int64
	stage  string
	report prunella.Report

	world  LiveWorld // nil for messages
	engine RunningEngine
	api    *client.Client

	injected  time.Time // first fault or message; zero before
	views     []client.IncidentView
	told      map[string]int  // events of an incident that progress has told
	answered  map[string]bool // approvals
	settledAt time.Time       // since when every incident is settled; zero while one is not
	timedOut  bool
	stood     time.Duration // for so long nobody looked, though it was time to
	end       ending
	failed    Tally // requests since the fault
	afterHeal Tally // requests since the last change of the heal
}

// ending is what the world looks like after the hold.
type ending struct {
	looked  bool
	failing Tally // since the incident settled
	keys    client.KeyBoard
	open    int
}

func (d *drill) play(ctx context.Context) error {
	if d.s.Expect.empty() && d.s.After.empty() {
		return fmt.Errorf("the scenario asserts nothing; write expect or after")
	}
	for _, stage := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"world", d.startWorld},
		{"engine", d.startEngine},
		{"steady", d.awaitSteady},
		{"inject", d.inject},
		{"watch", d.watch},
		{"judge", d.look},
	} {
		d.stage = stage.name
		if err := stage.run(ctx); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("interrupted while at stage %s", stage.name)
			}
			return err
		}
	}
	return nil
}

func (d *drill) say(kind, format string, args ...any) {
	if d.Progress != nil {
		now := time.Now()
		d.Progress(Progress{At: now, Elapsed: now.Sub(d.report.Started), Stage: d.stage, Kind: kind, Text: fmt.Sprintf(format, args...)})
	}
}

func (d *drill) startWorld(ctx context.Context) error {
	if d.s.MessagesOnly() {
		d.say("", "no world: monitors will speak, nothing is behind them")
		return nil
	}
	given := d.s.Given.World
	given.Coming = d.s.Inject
	w, err := d.Runner.World(ctx, given, d.seed)
	if err != nil {
		return fmt.Errorf("start the world: %w", err)
	}
	d.world = w
	inv := w.Inventory()
	d.say("", "%s up: an issuer and %d services that verify its tokens", tern(d.s.Given.World.Processes, "processes", "world"), len(inv.Services))
	return nil
}

func (d *drill) inventory() prunella.Inventory {
	if d.world != nil {
		return d.world.Inventory()
	}
	var inv prunella.Inventory
	for _, s := range d.s.Given.Services {
		inv.Services = append(inv.Services, prunella.Service{Name: s.Name, Criticality: s.Criticality, Owner: s.Owner, Calls: s.Calls})
	}
	return inv
}

func (d *drill) startEngine(ctx context.Context) error {
	e, err := d.Runner.Engine(ctx, EngineConfig{
		Inventory: d.inventory(), TimeScale: d.s.Given.Engine.TimeScale, Policy: d.s.Given.Engine.Policy, Skills: d.s.Skills,
	})
	if err != nil {
		return fmt.Errorf("start the engine: %w", err)
	}
	d.engine, d.api = e, client.New(e.URL)
	status, err := d.api.Status(ctx)
	if err != nil {
		return fmt.Errorf("ask the engine: %w", err)
	}
	d.report.Version = status.Version
	d.say("", "engine %s up at %s", status.Version, e.URL)
	if d.world != nil {
		if err := d.world.ExportTo(e.URL); err != nil {
			return fmt.Errorf("send telemetry to the engine: %w", err)
		}
	}
	return nil
}

func (d *drill) inject(ctx context.Context) error {
	if d.s.MessagesOnly() {
		return d.sendMessages(ctx)
	}
	began := time.Now()
	if len(d.s.Inject) == 0 {
		d.injected = began.UTC()
		d.say("", "nothing is broken: this is a control")
	}
	for _, f := range d.s.Inject {
		if err := d.wait(ctx, time.Until(began.Add(f.At))); err != nil {
			return err
		}
		at := time.Now().UTC()
		rec, err := d.world.Inject(ctx, f.Fault, f.With)
		if err != nil {
			return fmt.Errorf("inject %s: %w", f.Fault, err)
		}
		if rec.At.IsZero() {
			rec.At = at
		}
		d.report.Faults = append(d.report.Faults, rec)
		if d.injected.IsZero() || rec.At.Before(d.injected) {
			d.injected = rec.At
		}
		if !rec.Proven {
			return fmt.Errorf("the fault %s was not observed to bite: %s", f.Fault, rec.Proof)
		}
		d.say("fault", "broken: %s; seen: %s", f.Fault, rec.Proof)
	}
	return nil
}

func (d *drill) sendMessages(ctx context.Context) error {
	now := time.Now().UTC()
	last := d.s.Messages[len(d.s.Messages)-1].At
	d.injected = now
	for _, m := range d.s.Messages {
		// The engine's windows are shorter by the time scale, and so are the gaps.
		at := now.Add(time.Duration(float64(m.At-last) / d.s.Given.Engine.TimeScale))
		sig := prunella.Signal{Source: m.Monitor, Service: m.Service, Time: at, Kind: prunella.KindLog,
			Severity: m.Severity, Body: m.Text, Attributes: m.Attributes}
		if err := d.api.SendSignals(ctx, []prunella.Signal{sig}); err != nil {
			return fmt.Errorf("hand in the message of %s: %w", m.Monitor, err)
		}
		d.report.Injected = append(d.report.Injected, prunella.InjectedMsg{Monitor: m.Monitor, Service: m.Service, At: at, Text: m.Text})
		d.say("fault", "%s says: %s", m.Monitor, shorten(m.Text, 110))
	}
	return nil
}

// stop ends the engine first, so that it does not see the world go.
func (d *drill) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	var errs []error
	if d.engine.Stop != nil {
		if err := d.engine.Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop the engine: %w", err))
		}
	}
	if d.world != nil {
		if err := d.world.Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop the world: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (d *drill) wait(ctx context.Context, t time.Duration) error {
	if t <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func newID() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails
	return "test-" + time.Now().UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b)
}

func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
