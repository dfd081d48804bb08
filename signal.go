package prunella

import "time"

// Named identifiers, so that a signature explains itself.
type (
	SignalID   string // unique for ever; equal for a repeated delivery of the same observation
	IncidentID string // "inc-" and a time-ordered id
	RunID      string
	SkillName  string // 1–64 of a-z, 0-9 and '-'
	TenantID   string
)

// SignalKind says what sort of observation a Signal is.
type SignalKind string

const (
	KindLog    SignalKind = "log"
	KindMetric SignalKind = "metric"
	KindAlert  SignalKind = "alert"
	KindProbe  SignalKind = "probe"
	KindChange SignalKind = "change"
)

// Severity uses one set of words everywhere.
type Severity string

const (
	Critical Severity = "critical"
	High     Severity = "high"
	Warning  Severity = "warning"
	Info     Severity = "info"
	Low      Severity = "low"
)

// Rank orders severities: 5 for critical down to 1 for low, 0 for anything else.
func (s Severity) Rank() int {
	switch s {
	case Critical:
		return 5
	case High:
		return 4
	case Warning:
		return 3
	case Info:
		return 2
	case Low:
		return 1
	}
	return 0
}

// Signal is one observation from outside.
type Signal struct {
	ID          SignalID          `json:"id"`
	Tenant      TenantID          `json:"tenant,omitempty"`
	Source      string            `json:"source"`            // the Monitor that produced it: "otlp/user", "alertmanager", "jwks/auth"
	Service     string            `json:"service,omitempty"` // the service observed, "" when unknown
	Time        time.Time         `json:"time"`              // when it was so, by the observer's clock
	Received    time.Time         `json:"received"`          // when we took it in, by our clock
	Kind        SignalKind        `json:"kind"`
	Severity    Severity          `json:"severity"`
	Name        string            `json:"name,omitempty"` // metric, alert, probe or change name
	Body        string            `json:"body,omitempty"` // the text, verbatim
	Metric      *Metric           `json:"metric,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	Fingerprint string            `json:"fingerprint,omitempty"` // identity of what is observed, equal between repeats
}

// Attr returns an attribute, or "".
func (s Signal) Attr(key string) string { return s.Attributes[key] }

// Attribute keys that more than one room reads. HTTP keys are those of the
// OpenTelemetry semantic conventions.
const (
	AttrKid         = "kid"                       // key id a token or a log line names
	AttrTraceID     = "trace_id"                  // lower-case hex
	AttrHost        = "host.name"                 // OpenTelemetry resource attribute
	AttrPeer        = "peer.service"              // callee, on a client-side metric: an edge of the service graph
	AttrStatus      = "http.response.status_code" // "401"
	AttrOutcome     = "outcome"                   // of a probe: ok | refused | unreachable | invalid | unknown
	AttrIssuer      = "issuer"                    // issuer name, on key-set changes and canary probes
	AttrVersion     = "version"                   // release tag, on deploy changes
	AttrAlertStatus = "status"                    // firing | resolved
	AttrSkewMillis  = "clock_offset_ms"           // service clock minus ours, on canary probes
)

// Change names (Signal.Kind == KindChange, Signal.Name). AttrKid holds the key.
const (
	ChangeKeyAdded    = "keyset.key-added"        // a kid appeared in the published set
	ChangeKeyRemoved  = "keyset.key-removed"      // a kid left the published set
	ChangeKeyMaterial = "keyset.material-changed" // same kid, other thumbprint
	ChangeSigner      = "keyset.signer-changed"   // freshly issued tokens carry another kid
	ChangeDeploy      = "deploy"                  // a release was published; AttrVersion
	ChangeConfig      = "config"                  // a configuration object changed
)

// Metric is the number of a metric Signal, one data point.
type Metric struct {
	Unit       string    `json:"unit,omitempty"`
	Value      float64   `json:"value"`           // gauge value, sum, or histogram sum
	Count      uint64    `json:"count,omitempty"` // histogram count, else 0
	Histogram  bool      `json:"histogram,omitempty"`
	Monotonic  bool      `json:"monotonic,omitempty"`
	Cumulative bool      `json:"cumulative,omitempty"` // since Start; otherwise the delta since the last point
	Start      time.Time `json:"start,omitzero"`
}

// Finding is what detection makes of Signals: something is wrong, here, since
// then. Many Findings make one Incident.
type Finding struct {
	Rule     string            `json:"rule"` // one of the Rule… names
	Service  string            `json:"service"`
	Source   string            `json:"source"` // Monitor
	Onset    time.Time         `json:"onset"`  // best estimate of when it began
	Time     time.Time         `json:"time"`   // when it was found
	Severity Severity          `json:"severity"`
	Share    float64           `json:"share"`    // failed / total requests in the window, 0 when not a rate
	Baseline float64           `json:"baseline"` // same unit as Value
	Value    float64           `json:"value"`
	Status   string            `json:"status,omitempty"`   // HTTP status class that rose: "401", "5xx"
	Template string            `json:"template,omitempty"` // masked log line
	Tokens   []string          `json:"tokens,omitempty"`   // shared tokens: "kid:…", "trace:…", "host:…", "change:…"; "says:…" is what its texts blame
	Signals  []Signal          `json:"signals,omitempty"`  // the ones that decided it
	Attrs    map[string]string `json:"attrs,omitempty"`
	Reason   Reason            `json:"reason"`
}

// Rules of Findings.
const (
	RuleErrorRate    = "error-rate-spike" // failing requests over their baseline
	RuleErrorLog     = "error-log"        // a new or far more frequent error text; supports, opens nothing
	RuleAlert        = "alert-firing"     // an alert of another system
	RuleProbe        = "probe-failing"    // an active check of ours
	RuleErrorMessage = "error-message"    // a severe text of a monitor that counts no requests
	RuleRecovered    = "recovered"        // the end of one of the others, named in Attrs["of"]
)

// Reason is why something was decided: a stable name, the operands that decided
// it, and a sentence made of both. Tests compare names and operands.
type Reason struct {
	Name     string            `json:"name"` // kebab-case, stable
	Text     string            `json:"text"`
	Operands map[string]string `json:"operands,omitempty"`
}

// SeriesPoint is one sample of a stored series, for plots: Name is
// "requests", "errors.401", "errors.403", "errors.5xx" (per second) or "baseline.401".
type SeriesPoint struct {
	Service string    `json:"service"`
	Name    string    `json:"name"`
	At      time.Time `json:"at"`
	Value   float64   `json:"value"`
}

// Edge is a call from one service to another, declared or learned.
type Edge struct {
	From string `json:"from"`
	To   string `json:"to"`
}
