package app

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"prunella"
	"prunella/action"
	"prunella/correlate"
	"prunella/engine"
	"prunella/heal"
	"prunella/match"
	"prunella/wiki"
)

// halfHeld is a world in which a new signing key did not reach everybody.
type halfHeld struct {
	w *traffic

	mu     sync.Mutex
	missed []string
}

func (h *halfHeld) miss(services ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missed = append(h.missed, services...)
}

func (h *halfHeld) Read(_ context.Context, name string, _ map[string]any, _ action.Incident) (map[string]any, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	lacking, trusting, everybody, errs, reasons := []any{}, []any{}, []any{}, map[string]any{}, map[string]any{}
	for _, s := range h.w.services {
		everybody = append(everybody, s.name)
		if slices.Contains(h.missed, s.name) {
			lacking, errs[s.name], reasons[s.name] = append(lacking, s.name), "connection refused", "key not found"
		} else {
			trusting = append(trusting, s.name)
		}
	}
	signer, former := h.w.signer, h.w.former
	switch name {
	case "jwks.current":
		return map[string]any{"reachable": true, "signer": signer, "kids": []any{signer, former}}, nil
	case "trust.grid":
		return map[string]any{"signer": signer, "kids": []any{signer, former}, "lacking": lacking, "trusting": trusting, "reasons": reasons, "refusing_otherwise": []any{},
			"by_kid": map[string]any{signer: map[string]any{"trusts": trusting, "rejects": lacking, "unknown": []any{}},
				former: map[string]any{"trusts": everybody, "rejects": []any{}, "unknown": []any{}}}}, nil
	case "deliveries.failed":
		return map[string]any{"known": true, "failed": lacking, "delivered": trusting, "errors": errs}, nil
	}
	return nil, prunella.Errorf(prunella.Unavailable, "%s is not read here", name)
}

func (h *halfHeld) Before(context.Context, string, map[string]any) (map[string]any, error) {
	return map[string]any{}, nil
}

func (h *halfHeld) Do(context.Context, string, string, map[string]any) (string, error) {
	return "", nil
}

func (h *halfHeld) Happened(context.Context, string, string, map[string]any, map[string]any) (action.Happened, string, error) {
	return action.Unclear, "", nil
}

// watched is that world with everything that watches it but the bus, in virtual
// time: signals come every ten seconds, and questions wait for two hours.
type watched struct {
	*halfHeld
	t *testing.T
	s engineStore
	p *engine.Pipeline
	h *hung
}

// hung is a store that keeps the engine waiting now and then.
type hung struct {
	engineStore
	mu    sync.Mutex
	until time.Time
}

func (h *hung) OpenIncidents(ctx context.Context) ([]prunella.Incident, error) {
	h.mu.Lock()
	wait := time.Until(h.until)
	h.mu.Unlock()
	time.Sleep(wait)
	return h.engineStore.OpenIncidents(ctx)
}

// hangs keeps the engine's loop from coming round for a while.
func (x *watched) hangs(d time.Duration) {
	x.h.mu.Lock()
	x.h.until = time.Now().Add(d)
	x.h.mu.Unlock()
	x.last(d)
}

func watch(t *testing.T, skills func() []prunella.Skill, related correlate.Config) *watched {
	t.Helper()
	s := openStore(t, t.TempDir())
	t.Cleanup(func() { s.Close() })
	w := newTraffic(time.Now())
	metrics, log := engine.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler)
	p, err := engine.NewPipeline(t.Context(), engine.PipelineConfig{Inventory: w.inventory(), Skills: skills, Detect: match.Default(), Correlate: related}, &stream{}, s, metrics, log)
	if err != nil {
		t.Fatal(err)
	}
	h, held := &halfHeld{w: w}, &hung{engineStore: s}
	e := engine.New(engine.Config{Owner: "node/a", Inventory: w.inventory(), Skills: skills, Catalog: action.Catalog(), Bucket: match.Default().Bucket,
		Policy: heal.Policy{ApprovalTTL: prunella.Duration(2 * time.Hour)}}, held, h, metrics, log)
	_, stop := running(e)
	t.Cleanup(stop)
	return &watched{h, t, s, p, held}
}

// last lets time pass, with its traffic.
func (x *watched) last(d time.Duration) {
	x.t.Helper()
	for end := x.w.now.Add(d); x.w.now.Before(end); {
		time.Sleep(exportEvery)
		if err := x.p.Pass(x.t.Context(), x.w.tick(), x.w.now); err != nil {
			x.t.Fatal(err)
		}
	}
}

// tell brings signals besides the traffic's.
func (x *watched) tell(signals []prunella.Signal) {
	x.t.Helper()
	if err := x.p.Pass(x.t.Context(), []engine.Message{{Seq: x.w.next(), Signals: signals}}, x.w.now); err != nil {
		x.t.Fatal(err)
	}
}

// fail makes services miss the key and refuse most requests for it.
func (x *watched) fail(services ...string) {
	x.miss(services...)
	for _, name := range services {
		x.w.failing[name] = 0.6
	}
}

// shippedSkills are those that come with the program.
func shippedSkills(t *testing.T) func() []prunella.Skill {
	t.Helper()
	pages, err := wiki.Open(t.Context(), wiki.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pages.Close() })
	skills, err := openSkills(t.Context(), pages, nil, action.Catalog(), "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return skills.list
}
