package live

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"prunella"
)

// socket keeps a Socket Mode connection until ctx ends. slack-go connects
// again by itself, with growing pauses, when the connection is lost or Slack
// asks for it; each time what was written meanwhile is read back.
func (l *Live) socket(ctx context.Context) error {
	api := slack.New(l.cfg.BotToken, slack.OptionAppLevelToken(l.cfg.AppToken), slack.OptionAPIURL(l.cfg.APIURL), slack.OptionHTTPClient(l.cfg.Client))
	smc := socketmode.New(api, socketmode.OptionReadLimit(4*maxBody), socketmode.OptionLog(slog.NewLogLogger(l.log.Handler(), slog.LevelDebug)))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { l.listen(ctx, smc) })
	err := smc.RunContext(ctx)
	stopped := ctx.Err() != nil
	cancel()
	wg.Wait()
	l.count(func(s *Status) { s.Connected = false })
	if stopped || errors.Is(err, context.Canceled) {
		return nil
	}
	return &prunella.Error{Kind: prunella.Unauthorized, Op: "connect to Slack by Socket Mode", Err: err,
		Remedy: "Check slack.app_token (xapp-…, scope connections:write) and that Socket Mode is on for the app."}
}

// listen takes events one after the other: in order, as they were written.
func (l *Live) listen(ctx context.Context, smc *socketmode.Client) {
	connections := 0 // before this one
	for {
		var e socketmode.Event
		select {
		case <-ctx.Done():
			return
		case e = <-smc.Events:
		}
		switch e.Type {
		case socketmode.EventTypeConnected:
			l.connected(connections)
			connections++
		case socketmode.EventTypeConnectionError, socketmode.EventTypeConnecting:
			l.count(func(s *Status) { s.Connected = false })
		case socketmode.EventTypeEventsAPI:
			l.envelope(ctx, smc, e.Request.EnvelopeID, e.Request.Payload)
		case socketmode.EventTypeErrorBadMessage:
			// A kind of event that slack-go does not know: ours to judge.
			bad, ok := e.Data.(*socketmode.ErrorBadMessage)
			var req socketmode.Request
			if ok && json.Unmarshal(bad.Message, &req) == nil && req.EnvelopeID != "" {
				l.envelope(ctx, smc, req.EnvelopeID, req.Payload)
			}
		}
	}
}

// envelope stores an event and acknowledges it. One that was not stored is not
// acknowledged, and Slack sends it again.
func (l *Live) envelope(ctx context.Context, smc *socketmode.Client, id string, payload json.RawMessage) {
	deadline, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	switch _, err := l.accept(deadline, payload); {
	case err == nil:
	case prunella.KindOf(err) == prunella.Invalid:
		l.count(func(s *Status) { s.Refused++ })
		l.log.Warn("an event that cannot be read", "err", err)
	default:
		l.count(func(s *Status) { s.Failed++ })
		l.log.Error("event not stored; Slack will send it again", "err", err)
		return
	}
	if err := smc.AckCtx(ctx, id, nil); err != nil && ctx.Err() == nil {
		l.log.Warn("acknowledging an event", "err", err)
	}
}

// connected reads what the channels got while nobody listened; before counts
// the connections that there were.
func (l *Live) connected(before int) {
	l.mu.Lock()
	l.status.Reconnects, l.status.Connected = before, true
	missed := make([]job, 0, len(l.last))
	for id, ts := range l.last {
		missed = append(missed, job{kind: catchUp, channel: id, ts: ts})
	}
	l.mu.Unlock()
	for _, j := range missed {
		l.push(j)
	}
}
