package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
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
	_, drafts, err := thread.Distiller{Wiki: a.cfg.Wiki, Dry: true}.Run(ctx, dir, a.threads.Messages(ctx, channel), thread.Options{Channel: channel, Since: time.Now().Add(-slackWindow)})
	if err != nil {
		return err
	}
	before, err := a.offered(ctx, channel)
	if err != nil {
		return err
	}
	now, failed := map[string]string{}, error(nil)
	for _, d := range drafts {
		text := hashOf(string(d.Markdown()))
		if now[d.Name] = text; before[d.Name] == text {
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
			delete(now, d.Name)
		default:
			a.log.Info("a draft waits for a person", "component", "slack", "draft", d.Name, "file", file)
		}
	}
	return errors.Join(failed, a.offer(ctx, channel, now))
}

// offered are the hashes of the drafts that a channel's conversations gave last,
// as they were before the model, by name.
func (a *App) offered(ctx context.Context, channel string) (out map[string]string, err error) {
	b, err := never(a.store.LoadState(ctx, "drafts/"+channel))
	if err != nil || b == nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("the stored state of drafts is damaged: %w", err)
	}
	return out, nil
}

func (a *App) offer(ctx context.Context, channel string, drafts map[string]string) error {
	b, err := json.Marshal(drafts)
	if err != nil {
		return err
	}
	return a.store.Commit(ctx, store.Batch{State: map[string][]byte{"drafts/" + channel: b}})
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
