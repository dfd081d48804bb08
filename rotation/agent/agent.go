package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"prunella/keyset"
	"prunella/rotation"
)

// Config is what New takes. Issuer, File and Acknowledge are needed.
type Config struct {
	Issuer string // iss of the tokens; also where discovery lives, unless JWKS is set
	JWKS   string // URL of the key set
	File   string // the service's key file
	Mode   os.FileMode

	// Reload makes the service load the file: Signal, Call, Command, or anything.
	// nil says that it watches the file.
	Reload func(ctx context.Context) error
	// Probe is a resource of the service that wants a bearer token. Without it the
	// agent can prove nothing, and the key is acknowledged but not proven.
	Probe string

	Acknowledge keyset.Acknowledge
	Every       time.Duration // between looks at the key set; default 30 s
	HintSecrets []string      // Standard Webhooks secrets that may sign hints

	Client *http.Client // for its transport
	Log    *slog.Logger // nil is slog.Default
}

const (
	maxDocument = 256 << 10 // bytes of a document
	askTime     = 10 * time.Second
	proveAgain  = 2 * time.Second // after a canary was refused: a service may take a while to load
)

// Agent keeps one service's key file.
type Agent struct {
	cfg    Config
	hook   *standardwebhooks.Webhook
	hooks  []*standardwebhooks.Webhook
	client *http.Client
	log    *slog.Logger
	cache  string
	nudge  chan struct{}

	mu      sync.Mutex // one look at a time; guards what follows
	jwks    string     // the URL, once discovered
	loaded  []keyset.Key
	current string               // the document that the service was made to load
	written string               // and the one that was put into the file
	seen    map[string]time.Time // by thumbprint: when the service accepted a canary
}

// New checks the configuration. It is rotation's Invalid when that is wrong.
func New(cfg Config) (*Agent, error) {
	ack := &cfg.Acknowledge
	ack.Lease = cmp.Or(ack.Lease, time.Minute)
	cfg.Every = cmp.Or(cfg.Every, 30*time.Second)
	cfg.Mode = cmp.Or(cfg.Mode, 0o644)
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	switch {
	case cfg.Issuer == "" || cfg.File == "":
		return nil, invalid("an Issuer or a File is missing")
	case ack.Lease < time.Second || cfg.Every < time.Second:
		return nil, invalid("the lease or Every is under a second")
	}
	for _, u := range []string{cfg.JWKS, cfg.Probe, ack.URL, cmp.Or(cfg.JWKS, cfg.Issuer)} {
		if parsed, err := url.Parse(u); u != "" && (err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http") {
			return nil, invalid("%.100q is not a URL of http or https", u)
		}
	}
	if ack.Instance == "" {
		var err error
		if ack.Instance, err = os.Hostname(); err != nil {
			return nil, invalid("Acknowledge.Instance is missing, and this host has no name")
		}
	}
	a := &Agent{cfg: cfg, log: cfg.Log.With("component", "agent", "file", cfg.File), cache: cacheOf(cfg.File),
		nudge: make(chan struct{}, 1), jwks: cfg.JWKS, seen: map[string]time.Time{}}
	var err error
	if a.hook, err = standardwebhooks.NewWebhook(ack.Secret); err != nil || ack.Secret == "" || ack.URL == "" {
		return nil, invalid("Acknowledge has no URL, or its secret is not base64 after whsec_")
	}
	for _, secret := range cfg.HintSecrets {
		hook, err := standardwebhooks.NewWebhook(secret)
		if err != nil || secret == "" {
			return nil, invalid("a hint secret is not base64 after whsec_")
		}
		a.hooks = append(a.hooks, hook)
	}
	a.client = &http.Client{Timeout: askTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if cfg.Client != nil {
		a.client.Transport = cfg.Client.Transport
	}
	return a, nil
}

// cacheOf names a file in acknowledgements: an agent that is started again speaks
// for the same one, and no silent one is left that would be waited for.
func cacheOf(file string) string {
	if whole, err := filepath.Abs(file); err == nil {
		file = whole
	}
	sum := sha256.Sum256([]byte(file))
	return "file_" + hex.EncodeToString(sum[:8])
}

func invalid(format string, args ...any) error {
	return &rotation.Error{Kind: rotation.Invalid, Detail: "agent: " + fmt.Sprintf(format, args...)}
}

// Run looks, and acknowledges three times in a lease, until ctx ends. It returns
// nil.
func (a *Agent) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	fails := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.nudge:
		case <-timer.C:
		}
		err := a.RunOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if fails++; fails == 1 {
				a.log.Warn("the keys are not up to date at the service", "error", err)
			}
		case fails > 0:
			a.log.Info("the keys are up to date at the service again", "failed_tries", fails)
			fails = 0
		}
		wait := min(a.cfg.Every, a.cfg.Acknowledge.Lease/3)
		if err != nil {
			wait = min(wait, proveAgain<<min(fails-1, 8))
		}
		timer.Reset(wait)
	}
}

// RunOnce brings the file up to date, makes the service load it, acknowledges,
// and proves what the issuer wants proven. When the issuer cannot be reached the
// file stays as it is.
func (a *Agent) RunOnce(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.update(ctx); err != nil {
		return errors.Join(err, a.tell(ctx, false))
	}
	return a.tell(ctx, true)
}

// update fetches, writes and reloads. The caller holds mu.
func (a *Agent) update(ctx context.Context) error {
	body, failed := a.fetch(ctx)
	intact := a.intact()
	switch {
	case failed == nil && intact && string(body) == a.current:
		return nil
	case failed != nil && (a.written == "" || intact && a.written == a.current):
		return failed
	case failed != nil: // what was there is better than what somebody else put there
		body = []byte(a.written)
	}
	if a.written != "" && !intact {
		a.log.Warn("somebody else changed the key file; it is written anew")
		a.loaded = nil // nobody knows what the service has loaded
	}
	keys, err := a.write(ctx, body)
	if err != nil {
		return errors.Join(failed, err)
	}
	a.written = string(body)
	if a.cfg.Reload != nil {
		if err := a.cfg.Reload(ctx); err != nil {
			return errors.Join(failed, fmt.Errorf("agent: the service does not load the file: %w", err))
		}
	}
	for _, k := range keys {
		a.log.Info("key in the file", "kid", k.ID, "alg", k.Algorithm, "thumbprint", k.Thumbprint)
	}
	a.current, a.loaded, a.seen = string(body), keys, map[string]time.Time{} // what was proven before, was of another file
	return failed
}

// intact says whether the file is as it was written.
func (a *Agent) intact() bool {
	b, err := os.ReadFile(a.cfg.File)
	return err == nil && string(b) == a.written
}

func (a *Agent) fetch(ctx context.Context) ([]byte, error) {
	if a.jwks == "" {
		var doc struct {
			Issuer string `json:"issuer"`
			JWKS   string `json:"jwks_uri"`
		}
		body, err := a.get(ctx, strings.TrimSuffix(a.cfg.Issuer, "/")+"/.well-known/openid-configuration")
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(body, &doc); err != nil || doc.Issuer != a.cfg.Issuer || doc.JWKS == "" {
			return nil, errors.New("agent: the discovery document is not this issuer's")
		}
		a.jwks = doc.JWKS
	}
	body, err := a.get(ctx, a.jwks)
	if err != nil && a.cfg.JWKS == "" {
		a.jwks = "" // it may have moved
	}
	return body, err
}

func (a *Agent) get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if host := req.URL.Hostname(); req.URL.Scheme != "https" && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return nil, fmt.Errorf("agent: %s is not https: anybody on the way could put a key into the file", url)
	}
	req.Header.Set("Cache-Control", "no-cache")
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("agent: %s answered %s", url, resp.Status)
	case len(body) > maxDocument:
		return nil, fmt.Errorf("agent: %s is larger than %d bytes", url, maxDocument)
	}
	return body, nil
}

// tell acknowledges. prove says that canaries that come back may be shown.
func (a *Agent) tell(ctx context.Context, prove bool) error {
	if a.loaded == nil {
		return nil // nothing is known about the service
	}
	granted, err := a.send(ctx)
	if err != nil || !prove || a.cfg.Probe == "" {
		return err
	}
	proven := false
	for _, c := range granted.Canaries {
		if err := a.show(ctx, c.Token); err != nil {
			return fmt.Errorf("agent: key %s: %w", c.Kid, err)
		}
		a.seen[string(c.Thumbprint)] = time.Now()
		a.log.Info("the service accepts a canary", "kid", c.Kid, "thumbprint", c.Thumbprint)
		proven = true
	}
	if proven {
		_, err = a.send(ctx)
	}
	return err
}

func (a *Agent) send(ctx context.Context) (granted rotation.Granted, err error) {
	ack := a.cfg.Acknowledge
	now := time.Now()
	told := rotation.Told{Stays: true, Plain: true, Acknowledgement: keyset.Acknowledgement{
		Instance: ack.Instance, Cache: a.cache, Sent: now.UTC(), Lease: int(ack.Lease / time.Second)}}
	for _, k := range a.loaded {
		k.Issuer, k.LastSeen = a.cfg.Issuer, a.seen[k.Thumbprint]
		told.Keys = append(told.Keys, k)
	}
	body, err := json.Marshal(told)
	if err != nil {
		return granted, err
	}
	id := "ack_" + rand.Text()
	signature, err := a.hook.Sign(id, now, body)
	if err != nil {
		return granted, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, ack.URL, bytes.NewReader(body))
	if err != nil {
		return granted, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	resp, err := a.client.Do(req)
	if err != nil {
		return granted, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return granted, fmt.Errorf("agent: %s answered %s", ack.URL, resp.Status)
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxDocument)).Decode(&granted)
	return granted, err
}

// show asks the service without a token, which it must refuse, and with one.
func (a *Agent) show(ctx context.Context, token string) error {
	ask := func(token string) (int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.cfg.Probe, nil)
		if err != nil {
			return 0, err
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := a.client.Do(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	status, err := ask("")
	if err != nil {
		return fmt.Errorf("the service does not answer: %w", err)
	}
	if status != http.StatusUnauthorized {
		return fmt.Errorf("without a token the service answered %d, not 401: %s proves nothing", status, a.cfg.Probe)
	}
	status, err = ask(token)
	switch {
	case err != nil:
		return fmt.Errorf("the service does not answer: %w", err)
	case status/100 == 2 || status == http.StatusForbidden:
		return nil
	}
	return fmt.Errorf("the service answered a canary with %d", status)
}

// Hints takes the issuer's signed hints and looks at once. It answers as
// keyset.Set.Hints does; a hint carries no keys.
func (a *Agent) Hints() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		switch {
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "a hint is a POST", http.StatusMethodNotAllowed)
			return
		case err != nil:
			http.Error(w, "the hint cannot be read", http.StatusBadRequest)
			return
		}
		for _, hook := range a.hooks {
			if hook.Verify(body, r.Header) == nil {
				select {
				case a.nudge <- struct{}{}:
				default:
				}
				w.WriteHeader(http.StatusAccepted)
				return
			}
		}
		http.Error(w, "the hint is stale or not signed by a secret that is configured", http.StatusUnauthorized)
	})
}
