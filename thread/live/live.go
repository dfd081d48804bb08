package live

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"prunella"
	"prunella/thread"
)

// Store keeps messages; nil means that they are on disk. *thread.Store is one.
// Delete is given the channel's id.
type Store interface {
	Put(ctx context.Context, messages []thread.Message) (thread.Put, error)
	Delete(ctx context.Context, channel, ts string) error
	PutDirectory(ctx context.Context, dir *thread.Directory) error
}

// Config says how to reach Slack and what to do with it. With a SigningSecret
// the handler serves the Events API; with an AppToken Run keeps a Socket Mode
// connection. At least one of them is needed.
type Config struct {
	SigningSecret string   // of the app, "Basic Information"
	AppToken      string   // "xapp-…", scope connections:write
	BotToken      string   // "xoxb-…"; without it nothing is read back and ids stay ids
	Channels      []string // ids or names without '#'; empty: all that Slack sends events of

	// Changed is called after messages of a channel were stored and none came
	// for Settle, or after ten times Settle when they do not stop coming.
	Changed func(ctx context.Context, channel string) error
	Settle  time.Duration // 0: 30 s

	APIURL string           // 0: Slack's
	Client *http.Client     // nil: one with a timeout of 30 s
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: slog.Default
	Caught prunella.Caught  // is told when an event or a job panics; the next one goes on
}

// Status counts what happened since the start.
type Status struct {
	Received   int       `json:"received"`   // events with a good signature
	Duplicates int       `json:"duplicates"` // delivered before
	Stored     int       `json:"stored"`     // messages, edits included
	Deleted    int       `json:"deleted"`
	Ignored    int       `json:"ignored"` // of other kinds, other channels, direct messages
	Refused    int       `json:"refused"` // bad signature, too old, not readable
	Failed     int       `json:"failed"`  // not stored; Slack was told to come again
	Backfilled int       `json:"backfilled"`
	Limited    int       `json:"limited"` // times that Slack told us to wait
	Dropped    int       `json:"dropped"` // backfills and names left out because too many waited
	Connected  bool      `json:"connected"`
	Reconnects int       `json:"reconnects"`
	LastEvent  time.Time `json:"last_event,omitzero"`
}

// Live is a running connection to one workspace. It is an http.Handler for the
// Events API's request URL. It is safe for concurrent use.
type Live struct {
	cfg   Config
	store Store
	api   *slack.Client // nil without a bot token
	log   *slog.Logger

	events recent // event ids that were stored
	gone   recent // channel/ts that were deleted
	roots  recent // channel/ts of threads that need no backfill

	mu       sync.Mutex
	status   Status
	channels map[string]thread.Channel // by id
	users    map[string]bool           // asked for
	last     map[string]string         // by channel id: the newest ts stored
	todo     []job
	wake     chan struct{}
}

// New makes a Live that does nothing yet: mount it and call Run.
func New(cfg Config, store Store) (*Live, error) {
	if cfg.SigningSecret == "" && cfg.AppToken == "" {
		return nil, &prunella.Error{Kind: prunella.Invalid, Op: "connect to Slack", Reason: "neither a signing secret nor an app token is set",
			Remedy: "Set slack.signing_secret for the Events API or slack.app_token for Socket Mode."}
	}
	if cfg.Settle <= 0 {
		cfg.Settle = 30 * time.Second
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: 30 * time.Second}
	}
	if cfg.APIURL == "" {
		cfg.APIURL = slack.APIURL
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	l := &Live{cfg: cfg, store: store, log: cfg.Log.With("component", "slack"), channels: map[string]thread.Channel{},
		users: map[string]bool{}, last: map[string]string{}, wake: make(chan struct{}, 1)}
	if cfg.BotToken != "" {
		l.api = slack.New(cfg.BotToken, slack.OptionAPIURL(cfg.APIURL), slack.OptionHTTPClient(cfg.Client))
	}
	return l, nil
}

// Run does what comes after acknowledging, and keeps the Socket Mode
// connection when there is an app token, until ctx ends, which is no error. A
// token that Slack does not accept is Unauthorized.
func (l *Live) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.push(job{kind: workspace})
	var wg sync.WaitGroup
	wg.Go(func() { l.work(ctx) })
	defer wg.Wait()
	defer cancel()
	if l.cfg.AppToken == "" {
		<-ctx.Done()
		return nil
	}
	return l.socket(ctx)
}

// Status returns a copy of the counters.
func (l *Live) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

func (l *Live) count(change func(*Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.status)
}

// recent remembers the last few thousand texts. The zero value is empty.
type recent struct {
	mu   sync.Mutex
	set  map[string]bool
	ring []string
	next int
}

const remembered = 20_000

func (r *recent) has(s string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set[s]
}

// add remembers s and returns whether it is new.
func (r *recent) add(s string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set == nil {
		r.set = map[string]bool{}
	}
	if r.set[s] {
		return false
	}
	r.set[s] = true
	if len(r.ring) < remembered {
		r.ring = append(r.ring, s)
		return true
	}
	delete(r.set, r.ring[r.next])
	r.ring[r.next] = s
	r.next = (r.next + 1) % remembered
	return true
}
