package live

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"prunella"
	"prunella/thread"
)

// Kinds of a job.
const (
	backfill  = iota // read all of a thread
	reread           // read one message again: somebody reacted to it or pinned it
	catchUp          // read what a channel got since the newest message we have
	name             // learn who a user is
	changed          // tell Changed when the channel has settled
	workspace        // learn the base URL of permalinks
)

// job is something to do after an event was acknowledged. Jobs are lost with
// the process; the messages that asked for them are not.
type job struct {
	kind    int
	channel string // id
	ts      string
	user    string
}

// maxJobs bounds what waits; more means that Slack is away, and then reading
// back would fail too.
const maxJobs = 10_000

func (l *Live) push(j job) {
	l.mu.Lock()
	if len(l.todo) < maxJobs {
		l.todo = append(l.todo, j)
	} else {
		l.status.Dropped++
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Live) pop() (job, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.todo) == 0 {
		l.todo = nil
		return job{}, false
	}
	j := l.todo[0]
	l.todo = l.todo[1:]
	return j, true
}

// settling is a channel with news: when it was heard of first and last.
type settling struct{ first, last time.Time }

// work does jobs until ctx ends.
func (l *Live) work(ctx context.Context) {
	dirty := map[string]*settling{}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		for j, ok := l.pop(); ok && ctx.Err() == nil; j, ok = l.pop() {
			now := l.cfg.Now()
			if j.kind == changed {
				if d := dirty[j.channel]; d != nil {
					d.last = now
				} else {
					dirty[j.channel] = &settling{now, now}
				}
				continue
			}
			if err := l.cfg.Caught.Contain("slack", func() error { return l.do(ctx, j) }); err != nil && ctx.Err() == nil {
				l.log.Warn("reading back from Slack", "channel", j.channel, "ts", j.ts, "user", j.user, "err", err)
			}
		}
		timer.Reset(l.settle(ctx, dirty))
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-timer.C:
		}
	}
}

// settle calls Changed for channels that are quiet, and returns when to look
// again.
func (l *Live) settle(ctx context.Context, dirty map[string]*settling) time.Duration {
	next := time.Hour
	for id, d := range dirty {
		now := l.cfg.Now()
		due := min(d.last.Add(l.cfg.Settle).Sub(now), d.first.Add(10*l.cfg.Settle).Sub(now))
		if due > 0 {
			next = min(next, due)
			continue
		}
		delete(dirty, id)
		if l.cfg.Changed == nil {
			continue
		}
		ch, err := l.channel(ctx, id)
		if err == nil {
			err = l.cfg.Caught.Contain("slack", func() error { return l.cfg.Changed(ctx, ch.Name) })
		}
		if err != nil && ctx.Err() == nil {
			l.log.Error("a channel changed", "channel", id, "err", err)
		}
	}
	return next
}

func (l *Live) do(ctx context.Context, j job) error {
	if l.api == nil {
		return nil
	}
	switch j.kind {
	case name:
		return l.learn(ctx, j.user)
	case workspace:
		return l.whereAmI(ctx)
	}
	ch, err := l.channel(ctx, j.channel)
	if err != nil {
		return err
	}
	if !l.wanted(ch) {
		return nil
	}
	switch j.kind {
	case backfill:
		return l.pages(ctx, ch, func(cursor string) ([]slack.Message, string, error) {
			list, _, next, err := l.api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{ChannelID: ch.ID, Timestamp: j.ts, Cursor: cursor, Limit: 200})
			return list, next, err
		})
	case reread:
		return l.pages(ctx, ch, func(string) ([]slack.Message, string, error) {
			list, _, _, err := l.api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{ChannelID: ch.ID, Timestamp: j.ts, Latest: j.ts, Oldest: j.ts, Inclusive: true, Limit: 1})
			return list, "", err
		})
	}
	return l.pages(ctx, ch, func(cursor string) ([]slack.Message, string, error) {
		page, err := l.api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{ChannelID: ch.ID, Oldest: j.ts, Cursor: cursor, Limit: 200})
		if err != nil {
			return nil, "", err
		}
		return page.Messages, page.ResponseMetaData.NextCursor, nil
	})
}

// maxPages bounds one backfill: 20,000 messages.
const maxPages = 100

// pages stores all pages of an answer.
func (l *Live) pages(ctx context.Context, ch thread.Channel, get func(cursor string) ([]slack.Message, string, error)) error {
	cursor := ""
	for range maxPages {
		var list []slack.Message
		err := l.patiently(ctx, func() (err error) {
			list, cursor, err = get(cursor)
			return err
		})
		if err != nil {
			return err
		}
		var messages []thread.Message
		for _, s := range list {
			raw, err := json.Marshal(s)
			if err != nil {
				return err
			}
			m, err := thread.DecodeMessage(ch, raw)
			if err != nil {
				continue // Slack sent something that is no message
			}
			messages = append(messages, m)
			if m.User != "" {
				l.push(job{kind: name, user: m.User})
			}
		}
		if err := l.keep(ctx, ch, messages); err != nil {
			return err
		}
		l.count(func(s *Status) { s.Backfilled += len(messages) })
		if len(messages) > 0 {
			l.push(job{kind: changed, channel: ch.ID})
		}
		if cursor == "" {
			return nil
		}
	}
	return prunella.Errorf(prunella.TooLarge, "more than %d pages; the rest was left out", maxPages)
}

const (
	attempts = 6
	longest  = 5 * time.Minute // that we wait because Slack says so
)

// patiently repeats a call that Slack limits (for as long as Slack says) or
// that fails on Slack's side (twice as long each time, from half a second).
func (l *Live) patiently(ctx context.Context, call func() error) error {
	pause := 500 * time.Millisecond
	for n := 1; ; n++ {
		err := call()
		wait := pause
		var limited *slack.RateLimitedError
		var status slack.StatusCodeError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &limited):
			l.count(func(s *Status) { s.Limited++ })
			wait = min(max(limited.RetryAfter, time.Second), longest)
		case errors.As(err, &status) && status.Code >= 500:
		default:
			var api slack.SlackErrorResponse
			if errors.As(err, &api) || errors.As(err, &status) { // Slack's last word
				return err
			}
		}
		if n == attempts {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		pause *= 2
	}
}

// channel is what a channel is called. It asks Slack the first time; that
// cannot wait for a rate limit, because an event waits for it.
func (l *Live) channel(ctx context.Context, id string) (thread.Channel, error) {
	l.mu.Lock()
	ch, ok := l.channels[id]
	l.mu.Unlock()
	if ok {
		return ch, nil
	}
	ch = thread.Channel{ID: id, Name: id, Kind: "channel"}
	if l.api != nil {
		info, err := l.api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: id})
		if err != nil {
			return ch, &prunella.Error{Kind: prunella.Unavailable, Op: "ask Slack for the name of channel " + id, Err: err,
				Remedy: "The bot token needs channels:read, and groups:read for private channels."}
		}
		ch.Name, ch.Topic, ch.Purpose = info.Name, info.Topic.Value, info.Purpose.Value
		if info.IsPrivate {
			ch.Kind = "group"
		}
		if ch.Name == "" {
			ch.Name = id
		}
	}
	if err := l.store.PutDirectory(ctx, &thread.Directory{Channels: map[string]thread.Channel{id: ch}}); err != nil {
		return ch, notStored(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.channels[id]; ok {
		return known, nil
	}
	l.channels[id] = ch
	return ch, nil
}

// learn asks who a user is, once.
func (l *Live) learn(ctx context.Context, user string) error {
	l.mu.Lock()
	asked := l.users[user]
	l.users[user] = true
	l.mu.Unlock()
	if asked {
		return nil
	}
	var info *slack.User
	err := l.patiently(ctx, func() (err error) {
		info, err = l.api.GetUserInfoContext(ctx, user)
		return err
	})
	if err != nil {
		return err
	}
	u := thread.User{ID: user, Name: info.Name, Display: info.Profile.DisplayName, Title: info.Profile.Title, Bot: info.IsBot, Deleted: info.Deleted, Offset: info.TZOffset}
	return l.store.PutDirectory(ctx, &thread.Directory{Users: map[string]thread.User{user: u}})
}

// whereAmI asks for the workspace's URL, with which permalinks begin.
func (l *Live) whereAmI(ctx context.Context) error {
	var me *slack.AuthTestResponse
	err := l.patiently(ctx, func() (err error) {
		me, err = l.api.AuthTestContext(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return l.store.PutDirectory(ctx, &thread.Directory{Workspace: strings.TrimSuffix(me.URL, "/")})
}
