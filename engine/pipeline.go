package engine

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"prunella"
	"prunella/correlate"
	"prunella/match"
)

// Source is the way signals arrive: in order, again and again until acknowledged.
type Source interface {
	Epoch() string
	Fetch(ctx context.Context, max int, wait time.Duration) ([]Message, error)
	AckThrough(ctx context.Context, seq uint64) error
}

// Message is one durable batch of signals; Seq grows within an epoch.
type Message struct {
	Seq     uint64
	Signals []prunella.Signal
}

// PipelineStore is what the pipeline remembers.
type PipelineStore interface {
	LoadState(ctx context.Context, name string) ([]byte, error)
	CommitBatch(ctx context.Context, b Batch) error
	OpenIncidents(ctx context.Context) ([]prunella.Incident, error)
	RecentlyResolved(ctx context.Context, since time.Time) ([]prunella.Incident, error)
	Earlier(ctx context.Context, since time.Time) ([]prunella.Incident, error) // in any state, newest first
	SignalsOf(ctx context.Context, id prunella.IncidentID, limit, offset int) ([]prunella.Signal, int, error)
	KeySets(ctx context.Context) ([]prunella.KeySet, error)
	Trust(ctx context.Context) ([]prunella.TrustCell, error)
}

// Batch is everything that one pass decided, committed as one.
type Batch struct {
	Linked        map[prunella.IncidentID][]prunella.Signal
	Changes       []prunella.Signal
	Logs          []prunella.Signal
	Updates       []Update
	Points        []prunella.SeriesPoint
	State         map[string][]byte
	Notifications []prunella.Notification
}

// Update creates or changes one incident.
type Update struct {
	ID     prunella.IncidentID
	Create *prunella.Incident
	Apply  func(*prunella.Incident) error
	Events []prunella.Event
}

// PipelineConfig is how signals become incidents.
type PipelineConfig struct {
	Inventory prunella.Inventory
	Skills    func() []prunella.Skill
	Detect    match.Config
	Correlate correlate.Config
	PublicURL string
	Changed   func() // called after incidents changed
}

// Pipeline folds signals into incidents.
type Pipeline struct {
	cfg      PipelineConfig
	source   Source
	store    PipelineStore
	metrics  *Metrics
	log      *slog.Logger
	detector *match.Detector

	seq    uint64 // highest message folded in
	epoch  string
	recent []prunella.Signal // interesting signals that may belong to an incident not opened yet
	texts  map[prunella.IncidentID]*linked

	compiled    *match.Recognizer
	compiledFor string // hashes of the skills it was compiled from

	mu        sync.Mutex // guards what the status page reads
	baselines []match.Baseline
	edges     []prunella.Edge
	folded    int64
	newest    time.Time
	passed    time.Time // when the last pass was committed
}

// linked is what is known in memory of an incident's signals.
type linked struct {
	seen   map[prunella.SignalID]bool
	texts  []prunella.Signal
	alerts []prunella.Signal
	shares []prunella.SeriesPoint // mean failing share of the hit services over time
}

// Bounds of what one incident keeps; the counts go on beyond them.
const (
	maxLinked   = 5000 // signals linked to one incident
	maxTexts    = 1000 // texts an incident's pattern is recognized from
	maxRecent   = 4000 // interesting signals held for incidents not opened yet
	maxMessages = 256  // messages of one pass
	maxTokens   = 64   // shared tokens of one incident
)

// NewPipeline restores what was learned before.
func NewPipeline(ctx context.Context, cfg PipelineConfig, source Source, store PipelineStore, metrics *Metrics, log *slog.Logger) (*Pipeline, error) {
	p := &Pipeline{cfg: cfg, source: source, store: store, metrics: metrics, log: log.With("component", "pipeline"),
		epoch: source.Epoch(), texts: map[prunella.IncidentID]*linked{}}
	if err := p.restore(ctx); err != nil {
		return nil, err
	}
	p.publish(match.Step{}, nil, time.Time{})
	return p, nil
}

// restore goes back to the last commit: what was learned, and how far the
// stream was folded in.
func (p *Pipeline) restore(ctx context.Context) error {
	learned, err := p.store.LoadState(ctx, "detector")
	if err != nil {
		return err
	}
	at, err := p.store.LoadState(ctx, "position")
	if err != nil {
		return err
	}
	p.detector = match.NewDetector(p.cfg.Detect)
	if len(learned) > 0 {
		if err := p.detector.Restore(learned); err != nil { // a newer or older format: learn anew, and say so
			p.log.Warn("what was learned about quiet times cannot be read; it is learned again", "err", err)
			p.detector = match.NewDetector(p.cfg.Detect)
		}
	}
	var pos position
	if len(at) > 0 && json.Unmarshal(at, &pos) == nil && pos.Epoch == p.epoch {
		p.seq = pos.Seq
	}
	return nil
}

// position is how far the stream was folded in.
type position struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// Interval is the time between two passes.
func (p *Pipeline) Interval() time.Duration {
	return max(min(p.cfg.Detect.Bucket/2, time.Second), 150*time.Millisecond)
}

// Run passes until ctx ends.
func (p *Pipeline) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := p.RunOnce(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("pass", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// RunOnce collects what arrives within one interval and passes it on.
func (p *Pipeline) RunOnce(ctx context.Context) error {
	messages, err := p.collect(ctx)
	if err != nil && len(messages) == 0 {
		return err
	}
	return errors.Join(err, p.Pass(ctx, messages, time.Now()))
}

// collect returns the messages of one interval, also beside an error: they will
// not be fetched again.
func (p *Pipeline) collect(ctx context.Context) (all []Message, err error) {
	end := time.Now().Add(p.Interval())
	for len(all) < maxMessages && ctx.Err() == nil {
		wait := time.Until(end)
		if wait < 10*time.Millisecond { // too short to ask for anything
			break
		}
		messages, err := p.source.Fetch(ctx, maxMessages-len(all), wait)
		all = append(all, messages...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// Pass folds messages in as of now, commits what that decides, and acknowledges
// them after that. Repeats of what was folded in before are only acknowledged.
// What was observed once is committed before anything newer is observed: while
// the store does not answer, Pass waits for it. When ctx ends before the commit
// nothing is acknowledged, and the Pipeline is of no more use: a new one gets
// the messages again.
//
// A panic takes nothing with it: the pass is made again from the last commit,
// message by message, and one that no pass survives is set aside, loudly.
func (p *Pipeline) Pass(ctx context.Context, messages []Message, now time.Time) error {
	err := p.try(ctx, messages, now)
	if !panicked(err) || len(messages) == 0 {
		return err
	}
	for _, m := range messages {
		one := []Message{m}
		for tries := 1; ; tries++ {
			if err = p.try(ctx, one, now); !panicked(err) {
				break
			}
			if len(one[0].Signals) == 0 { // it is not the message
				return err
			}
			if tries == maxPanics {
				p.metrics.SetAside.Inc()
				p.log.Error("a message that no pass survives is set aside", "seq", m.Seq, "signals", len(m.Signals), "first", m.Signals[0].ID, "source", m.Signals[0].Source, "err", err)
				one = []Message{{Seq: m.Seq}}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// try is a pass after whose panic the Pipeline is as it was before it.
func (p *Pipeline) try(ctx context.Context, messages []Message, now time.Time) error {
	err := guarded("pass", p.metrics, p.log, func() error { return p.pass(ctx, messages, now) })
	if !panicked(err) {
		return err
	}
	half := map[prunella.SignalID]bool{}
	for _, m := range messages {
		for _, s := range m.Signals {
			half[s.ID] = true
		}
	}
	p.recent = slices.DeleteFunc(p.recent, func(s prunella.Signal) bool { return half[s.ID] })
	clear(p.texts)
	p.compiled = nil
	for {
		rerr := p.restore(ctx)
		if rerr == nil {
			return err
		}
		p.log.Error("go back to the last commit", "err", rerr)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (p *Pipeline) pass(ctx context.Context, messages []Message, now time.Time) error {
	var signals []prunella.Signal
	seq, last := p.seq, uint64(0)
	for _, m := range messages {
		last = max(last, m.Seq)
		if m.Seq > seq {
			seq = m.Seq
			signals = append(signals, m.Signals...)
		}
	}
	step := p.detector.Observe(signals, now)
	p.hold(step.Interesting, now)
	var batch Batch
	for tries := 0; ; tries++ {
		var err error
		if batch, err = p.fold(ctx, step, signals, now); err == nil {
			err = p.commit(ctx, &batch, seq)
		}
		if err == nil {
			break
		}
		clear(p.texts) // holds what was not stored; it is read again
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if prunella.KindOf(err) == prunella.Conflict && tries == 0 { // an incident went on while this pass was decided
			continue
		}
		p.log.Error("commit; it is decided anew, nothing is acknowledged meanwhile", "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	p.seq = seq
	p.publish(step, signals, now)
	for _, u := range batch.Updates {
		if u.Create != nil {
			p.metrics.Opened.Inc()
		}
	}
	if len(batch.Updates) > 0 && p.cfg.Changed != nil {
		p.cfg.Changed()
	}
	if last == 0 {
		return nil
	}
	return p.source.AckThrough(ctx, last)
}

// commit stores a batch with what is needed to go on from it: what was learned,
// and how far the stream was folded in.
func (p *Pipeline) commit(ctx context.Context, b *Batch, seq uint64) error {
	snapshot, err := p.detector.Snapshot()
	if err != nil {
		return err
	}
	at, err := json.Marshal(position{p.epoch, seq})
	if err != nil {
		return err
	}
	b.State = map[string][]byte{"detector": snapshot, "position": at}
	return p.store.CommitBatch(ctx, *b)
}

// hold keeps interesting signals for incidents that are not opened yet.
func (p *Pipeline) hold(interesting []prunella.Signal, now time.Time) {
	p.recent = append(p.recent, interesting...)
	if n := len(p.recent) - maxRecent; n > 0 {
		p.recent = slices.Delete(p.recent, 0, n)
	}
	horizon := now.Add(-max(10*p.cfg.Detect.Window, 2*time.Minute))
	p.recent = slices.DeleteFunc(p.recent, func(s prunella.Signal) bool {
		return s.Received.Before(horizon) && s.Kind != prunella.KindChange
	})
}

// publish updates what the status page shows.
func (p *Pipeline) publish(step match.Step, signals []prunella.Signal, now time.Time) {
	p.metrics.Batches.Inc()
	p.metrics.Signals.Add(float64(len(signals)))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.folded += int64(len(signals))
	p.passed = time.Now()
	for _, s := range signals {
		if s.Received.After(p.newest) {
			p.newest = s.Received
		}
	}
	if len(signals) > 0 {
		p.metrics.Lag.Set(now.Sub(p.newest).Seconds())
	}
	p.baselines = p.detector.Baselines()
	if p.edges == nil || len(step.Edges) > 0 {
		seen := map[prunella.Edge]bool{}
		p.edges = p.cfg.Inventory.Edges()
		for _, e := range p.edges {
			seen[e] = true
		}
		for _, e := range p.detector.LearnedEdges() {
			if !seen[e] {
				p.edges = append(p.edges, e)
			}
		}
	}
}

// Edges is the service graph, declared and learned.
func (p *Pipeline) Edges() []prunella.Edge {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]prunella.Edge(nil), p.edges...)
}

// Learned is what is known of quiet times.
func (p *Pipeline) Learned() []match.Baseline {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]match.Baseline(nil), p.baselines...)
}

// LastPass is when a pass was last committed; a store that takes nothing holds
// it back. The heartbeat reads it.
func (p *Pipeline) LastPass() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed
}

// Folded is how many signals were folded in since the start, and when the
// newest of them was received.
func (p *Pipeline) Folded() (int64, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.folded, p.newest
}
