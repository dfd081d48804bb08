package action

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"prunella"
)

// World is the watched world as an operator declared it: what reads look at and
// actions change. It is safe for concurrent use. Close it to end its connections.
type World struct {
	inv     prunella.Inventory
	history History
	opt     Options
	log     *slog.Logger
	secrets secrets
	ops     map[string]operation

	transport *http.Transport
	once      *http.Transport // for mutations: net/http sends a request again by itself only on a used connection
	kube      *kubeClient     // nil without a declared API server

	mu     sync.Mutex
	tokens map[tokenKey]canaryToken
	cells  map[cellKey]cell     // of keys that do not sign
	meta   map[string]discovery // by issuer name
}

// Options tune a World. The zero value is what production uses.
type Options struct {
	Log       *slog.Logger          // nil: slog.Default
	Now       func() time.Time      // nil: time.Now
	Timeout   time.Duration         // of one HTTP call of a read; 0: 5 s
	Probe     time.Duration         // of one canary call; 0: 2 s
	Parallel  int                   // canary calls in flight; 0: 16
	TimeScale float64               // divides the averaging window of requests.errors; 0: 1
	Transport func(*http.Transport) // adjusts the transport (private CA, proxy); may be nil
	Caught    prunella.Caught       // is told of a panic of one of several calls at once, which answers nothing then; nil: Log is
}

// History is what was seen before: changes, log lines and series. A nil History
// makes the reads that need it answer known: false.
type History interface {
	// Changes returns the change Signals since then, oldest first.
	Changes(ctx context.Context, since time.Time) ([]prunella.Signal, error)
	// SearchLogs returns the newest log Signals that match, at most q.Limit, and
	// how many log Signals the time range holds, matching or not.
	SearchLogs(ctx context.Context, q LogQuery) (found []prunella.Signal, total int, err error)
	// Series returns the points of one stored series in time order.
	Series(ctx context.Context, name, service string, from, to time.Time) ([]prunella.SeriesPoint, error)
}

// LogQuery selects log Signals: those that hold any of the phrases (case and
// white space folded) or match the regular expression.
type LogQuery struct {
	Any          []string
	Regex        string
	Since, Until time.Time
	Limit        int
}

// Incident is the context of a read: what the question is about.
type Incident struct {
	Onset    time.Time // zero: Now
	Services []string  // affected
	Now      time.Time // zero: the world's clock
}

// NewWorld checks the inventory's addresses and returns its World. It calls
// nobody: an unreachable world is for the reads to report.
func NewWorld(inv prunella.Inventory, h History, opt Options) (*World, error) {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Caught == nil {
		opt.Caught = func(p *prunella.Panic) {
			opt.Log.Error("panic", "component", "action", "in", p.In, "value", fmt.Sprint(p.Value), "stack", string(p.Stack))
		}
	}
	opt.Timeout = orDefault(opt.Timeout, 5*time.Second)
	opt.Probe = orDefault(opt.Probe, 2*time.Second)
	opt.Parallel = orDefault(opt.Parallel, 16)
	opt.TimeScale = orDefault(opt.TimeScale, 1)
	if err := checkInventory(inv); err != nil {
		return nil, err
	}
	t := newTransport()
	if opt.Transport != nil {
		opt.Transport(t)
	}
	once := t.Clone()
	once.DisableKeepAlives = true
	w := &World{
		once: once, inv: inv, history: h, opt: opt, log: opt.Log.With("component", "action"),
		secrets: secretsOf(inv), ops: map[string]operation{}, transport: t,
		tokens: map[tokenKey]canaryToken{}, cells: map[cellKey]cell{}, meta: map[string]discovery{},
	}
	for _, op := range operations() {
		w.ops[op.spec.Name] = op
	}
	if inv.Kubernetes != nil {
		k, err := newKubeClient(*inv.Kubernetes, t, opt.Timeout)
		if err != nil {
			return nil, err
		}
		w.kube = k
	}
	return w, nil
}

// Close ends the World's idle connections.
func (w *World) Close() {
	w.transport.CloseIdleConnections()
	w.once.CloseIdleConnections()
}

// Read looks at the world. The error is prunella.NotFound for an unknown read
// and prunella.Invalid for wrong parameters; see the package comment for what
// is not an error.
func (w *World) Read(ctx context.Context, name string, with map[string]any, inc Incident) (map[string]any, error) {
	op, p, err := w.prepare(name, false, with)
	if err != nil {
		return nil, err
	}
	if inc.Now.IsZero() {
		inc.Now = w.opt.Now()
	}
	if inc.Onset.IsZero() {
		inc.Onset = inc.Now
	}
	res, err := op.read(w, ctx, p, inc)
	if err != nil {
		return nil, w.failed(name, err)
	}
	return w.cleanResult(res), nil
}

// Before returns what the world is like before an action: what undoing it needs
// and what Happened compares with. It is recorded with the step's intent.
func (w *World) Before(ctx context.Context, name string, params map[string]any) (map[string]any, error) {
	op, p, err := w.prepare(name, true, params)
	if err != nil {
		return nil, err
	}
	if op.before == nil {
		return map[string]any{}, nil
	}
	res, err := op.before(w, ctx, p)
	if err != nil {
		return nil, w.failed(name, err)
	}
	return w.cleanResult(res), nil
}

// Do performs an action and returns a sentence about what was done. key is the
// step's idempotency key: repeating Do with the same key does not repeat an
// effect that the target can recognize. See the package comment for ErrLost.
func (w *World) Do(ctx context.Context, name, key string, params map[string]any) (output string, err error) {
	op, p, err := w.prepare(name, true, params)
	if err != nil {
		return "", err
	}
	if key == "" {
		return "", w.failed(name, prunella.Errorf(prunella.Invalid, "a step needs a key"))
	}
	out, err := op.do(w, ctx, key, p)
	if op.spec.Effect != prunella.Reads {
		w.forgetCells()
	}
	if err != nil {
		return w.secrets.clean(out), w.failed(name, err)
	}
	return w.secrets.clean(out), nil
}

// Happened answers whether an earlier Do took effect, by looking at the world.
type Happened string

const (
	Yes     Happened = "yes"
	No      Happened = "no" // repeating it is safe
	Unclear Happened = "unclear"
)

// Happened looks whether the action with that key took effect, and says what it
// saw. before is what Before returned. An error means it could not look.
func (w *World) Happened(ctx context.Context, name, key string, params, before map[string]any) (Happened, string, error) {
	op, p, err := w.prepare(name, true, params)
	if err != nil {
		return Unclear, "", err
	}
	if op.happened == nil {
		return Unclear, "nothing in the world tells whether " + name + " was carried out", nil
	}
	h, text, err := op.happened(w, ctx, key, p, before)
	if err != nil {
		return Unclear, w.secrets.clean(text), w.failed(name, err)
	}
	return h, w.secrets.clean(text), nil
}

// prepare finds the operation and checks its parameters.
func (w *World) prepare(name string, action bool, with map[string]any) (operation, params, error) {
	op, ok := w.ops[name]
	if !ok {
		return op, params{}, unknownOperation(name, action, w.ops)
	}
	if op.spec.Action != action {
		is, should := "a read", "an action"
		if op.spec.Action {
			is, should = should, is
		}
		return op, params{}, &prunella.Error{Kind: prunella.Invalid, Op: name, Reason: "it is " + is + ", not " + should}
	}
	p, err := checkParams(op.spec, with)
	return op, p, err
}

// failed names the operation in an error that has no Op yet and takes the
// secrets out of what will be shown.
func (w *World) failed(name string, err error) error {
	return &cleanError{op: name, text: w.secrets.clean(err.Error()), err: err}
}

// cleanError shows a text without secrets while errors.Is and As still see the
// cause.
type cleanError struct {
	op, text string
	err      error
}

func (e *cleanError) Error() string { return e.op + ": " + e.text }
func (e *cleanError) Unwrap() error { return e.err }

// checkInventory refuses addresses that would carry a secret in clear text
// over a network.
func checkInventory(inv prunella.Inventory) error {
	check := func(where, u string) error {
		if u == "" {
			return nil
		}
		if _, err := safeURL(u); err != nil {
			return &prunella.Error{Kind: prunella.Invalid, Op: "read inventory", Where: where, Err: err}
		}
		return nil
	}
	var where []string
	var urls []string
	add := func(w, u string) { where, urls = append(where, w), append(urls, u) }
	for _, i := range inv.Issuers {
		add("issuers."+i.Name+".url", i.URL)
		add("issuers."+i.Name+".status_page", i.StatusPage)
		if a := i.Admin; a != nil {
			add("issuers."+i.Name+".admin.url", a.URL)
			if a.Kind != adminKeys && a.Kind != adminAuth0 {
				return &prunella.Error{Kind: prunella.Invalid, Op: "read inventory", Where: "issuers." + i.Name + ".admin.kind",
					Reason: "unknown kind " + quote(a.Kind), Remedy: "write keys or auth0"}
			}
		}
	}
	for _, s := range inv.Services {
		if s.Canary != "" {
			add("services."+s.Name+".url", s.URL)
		}
	}
	for _, r := range inv.Releases {
		add("releases."+r.Service+".url", r.URL)
	}
	if inv.Kubernetes != nil {
		add("kubernetes.server", inv.Kubernetes.Server)
	}
	for i := range urls {
		if err := check(where[i], urls[i]); err != nil {
			return err
		}
	}
	return nil
}

func orDefault[T int | float64 | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

func (w *World) cleanResult(res map[string]any) map[string]any {
	out, _ := w.cleanValue(maps.Clone(res)).(map[string]any)
	return out
}

// cleanValue brings a result into its JSON-like shape without secrets.
func (w *World) cleanValue(v any) any {
	switch v := v.(type) {
	case string:
		return w.secrets.clean(v)
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339Nano)
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = w.secrets.clean(s)
		}
		return out
	case []any:
		for i := range v {
			v[i] = w.cleanValue(v[i])
		}
		return v
	case []map[string]any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = w.cleanValue(v[i])
		}
		return out
	case map[string]any:
		if v == nil {
			return map[string]any{}
		}
		for k := range v {
			v[k] = w.cleanValue(v[k])
		}
		return v
	case map[string]string:
		out := map[string]any{}
		for k, s := range v {
			out[k] = w.secrets.clean(s)
		}
		return out
	case map[string]float64:
		out := map[string]any{}
		for k, f := range v {
			out[k] = f
		}
		return out
	case map[string]bool:
		out := map[string]any{}
		for k, b := range v {
			out[k] = b
		}
		return out
	}
	return v
}
