package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"prunella"
	"prunella/store"
	"prunella/thread"
	"prunella/thread/live"
	"prunella/thread/polish"
)

// Slack is the workspace whose incident conversations become drafts of skills as
// they are written (docs/threads.md). Empty: none.
type Slack struct {
	SigningSecret string   `yaml:"signing_secret"` // serves the Events API at /slack/events
	AppToken      string   `yaml:"app_token"`      // keeps a Socket Mode connection
	BotToken      string   `yaml:"bot_token"`      // reads threads back and people's names
	Channels      []string `yaml:"channels"`       // ids or names; empty: all that Slack sends events of
}

// Polish is a language model that smooths the prose of drafts. Empty: none.
type Polish struct {
	URL     string            `yaml:"url"` // of a server that speaks chat completions
	Model   string            `yaml:"model"`
	APIKey  string            `yaml:"api_key"`
	Timeout prunella.Duration `yaml:"timeout"` // of one request; default 60s
}

// Polisher is the model, ready to be asked. Invalid: none is configured.
func (p Polish) Polisher() (*polish.Polisher, error) {
	return polish.New(polish.Config{URL: p.URL, Model: p.Model, APIKey: p.APIKey, Timeout: time.Duration(p.Timeout)})
}

// slackWindow is how far back a conversation may have begun that is read again
// when somebody writes to it.
const slackWindow = 90 * 24 * time.Hour

func (s Slack) on() bool { return s.SigningSecret != "" || s.AppToken != "" }

// validateSlack says what is missing between the keys that belong together.
func (c Config) validateSlack() error {
	switch {
	case !c.Slack.on() && (c.Slack.BotToken != "" || len(c.Slack.Channels) > 0):
		return prunella.Errorf(prunella.Invalid, "slack has neither signing_secret nor app_token, so no message would come")
	case c.Slack.on() && c.Wiki == "":
		return prunella.Errorf(prunella.Invalid, "slack needs wiki: a folder to write drafts to (prunella wiki copy DIR makes one)")
	case (c.Polish.URL == "") != (c.Polish.Model == ""):
		return prunella.Errorf(prunella.Invalid, "polish needs both url and model")
	}
	if u, err := url.Parse(c.Polish.URL); c.Polish.URL != "" && (err != nil || u.Host == "") {
		return prunella.Errorf(prunella.Invalid, "polish.url %q is no address (write http://localhost:11434)", c.Polish.URL)
	}
	return nil
}

// openSlack opens the store of messages and the way in. It does nothing when no
// workspace is configured.
func (a *App) openSlack(ctx context.Context) (err error) {
	if !a.cfg.Slack.on() {
		return nil
	}
	if a.threads, err = thread.OpenStore(ctx, a.cfg.Data); err != nil {
		return err
	}
	a.undo("threads", a.threads.Close)
	if a.cfg.Polish.URL != "" {
		if a.polish, err = a.cfg.Polish.Polisher(); err != nil {
			return err
		}
	}
	s := a.cfg.Slack
	a.slack, err = live.New(live.Config{SigningSecret: s.SigningSecret, AppToken: s.AppToken, BotToken: s.BotToken, Channels: s.Channels,
		Changed: a.draft, Settle: a.cfg.scaled(prunella.Duration(30*time.Second), 200*time.Millisecond), Log: a.log, Caught: a.caught}, a.threads)
	return err
}

// readSlack is the loop of the live workspace. A token that Slack refuses ends it;
// the rest of the server goes on.
func (a *App) readSlack(ctx context.Context) {
	if err := a.catchUp(ctx); err != nil && ctx.Err() == nil {
		a.log.Error("what was written before the start waits for more", "component", "slack", "err", err)
	}
	if err := a.slack.Run(ctx); err != nil {
		a.log.Error("messages are not read from Slack any more", "component", "slack", "err", err)
	}
}

// draft extracts the incidents of a channel and writes drafts of skills: those
// that say something else than when they were last offered. So a draft that a
// person edited or discarded stays so until people write more about it, and the
// model is asked once.
func (a *App) draft(ctx context.Context, channel string) error {
	dir, err := a.threads.Directory(ctx)
	if err != nil {
		return err
	}
	now, failed := offer{Drafts: map[string]string{}}, error(nil)
	messages := func(yield func(thread.Message, error) bool) {
		for m, err := range a.threads.Messages(ctx, channel) {
			if now.Through = max(now.Through, m.TS); !yield(m, err) {
				return
			}
		}
	}
	_, drafts, err := thread.Distiller{Wiki: a.cfg.Wiki, Dry: true}.Run(ctx, dir, messages, thread.Options{Channel: channel, Since: time.Now().Add(-slackWindow)})
	if err != nil {
		return err
	}
	before, err := a.offered(ctx, channel)
	if err != nil {
		return err
	}
	for _, d := range drafts {
		text := hashOf(string(d.Markdown()))
		if now.Drafts[d.Name] = text; before.Drafts[d.Name] == text {
			continue
		}
		if a.polish != nil {
			d.Draft = a.smooth(ctx, d.Draft)
		}
		file, err := thread.WriteDraft(a.cfg.Wiki, d.Draft)
		switch {
		case prunella.KindOf(err) == prunella.Conflict:
			a.log.Info("a draft was edited and is kept", "component", "slack", "draft", d.Name)
		case err != nil:
			failed = errors.Join(failed, err)
			delete(now.Drafts, d.Name)
		default:
			a.log.Info("a draft waits for a person", "component", "slack", "draft", d.Name, "file", file)
		}
	}
	b, err := json.Marshal(now)
	if err == nil {
		err = a.store.Commit(ctx, store.Batch{State: map[string][]byte{"drafts/" + channel: b}})
	}
	return errors.Join(failed, err)
}

// offer is what the conversations of a channel gave last.
type offer struct {
	Through string            `json:"through"` // ts of the newest message that was looked at
	Drafts  map[string]string `json:"drafts"`  // hashes of the drafts as they were before the model, by name
}

// offered is the last offer of a channel, empty before the first.
func (a *App) offered(ctx context.Context, channel string) (o offer, err error) {
	b, err := never(a.store.LoadState(ctx, "drafts/"+channel))
	if err != nil || b == nil {
		return o, err
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return o, fmt.Errorf("the stored state of drafts is damaged: %w", err)
	}
	return o, nil
}

// fresh is how old the first message of a channel may be that is drafted at the
// start of the server; an archive that was imported is for its reader to extract.
const fresh = time.Hour

// catchUp drafts what was written to a channel after its last offer: the server
// was stopped before the conversation was quiet.
func (a *App) catchUp(ctx context.Context) error {
	newest := map[string]string{}
	for m, err := range a.threads.Messages(ctx, "") {
		if err != nil {
			return err
		}
		newest[m.Channel] = max(newest[m.Channel], m.TS)
	}
	var failed error
	for _, channel := range slices.Sorted(maps.Keys(newest)) {
		last, err := a.offered(ctx, channel)
		if err == nil && newest[channel] > cmp.Or(last.Through, fmt.Sprintf("%d", time.Now().Add(-fresh).Unix())) {
			err = a.draft(ctx, channel)
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// smooth lets the model go over a draft; when it cannot, the draft is as it was.
func (a *App) smooth(ctx context.Context, d thread.Draft) thread.Draft {
	smooth, report, err := a.polish.Draft(ctx, d)
	if err != nil {
		a.log.Warn("a draft stays unpolished", "component", "slack", "draft", d.Name, "err", err)
	}
	for _, claim := range report.Dropped {
		a.log.Info("a claim of the model has no source", "component", "slack", "draft", d.Name, "claim", claim.Claim, "why", claim.Reason)
	}
	return smooth
}
