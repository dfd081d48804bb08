package live

import (
	"context"
	"encoding/json"
	"slices"

	"prunella"
	"prunella/thread"
)

// envelope is what the Events API posts and what Socket Mode carries as
// payload.
type envelope struct {
	Type      string          `json:"type"` // event_callback, url_verification, app_rate_limited
	Challenge string          `json:"challenge"`
	EventID   string          `json:"event_id"`
	Event     json.RawMessage `json:"event"`
}

// event is what of an inner event says where it belongs.
type event struct {
	Type        string `json:"type"`
	Subtype     string `json:"subtype"`
	Channel     id     `json:"channel"`
	ChannelType string `json:"channel_type"` // channel, group, im, mpim
	DeletedTS   string `json:"deleted_ts"`
	Item        struct {
		Type    string `json:"type"`
		Channel string `json:"channel"`
		TS      string `json:"ts"`
	} `json:"item"`
	ChannelID string `json:"channel_id"` // of pin_added
	User      id     `json:"user"`
}

// id is an id where some events have an object.
type id string

func (i *id) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*i = id(s)
	}
	return nil
}

// accept stores what an envelope brings. nil means that Slack may forget it.
// An envelope that cannot be read is Invalid; sending it again will not help.
func (l *Live) accept(ctx context.Context, raw []byte) (challenge string, err error) {
	err = l.cfg.Caught.Contain("slack", func() (err error) {
		challenge, err = l.open(ctx, raw)
		return err
	})
	return challenge, err
}

func (l *Live) open(ctx context.Context, raw []byte) (challenge string, err error) {
	var env envelope
	if err := json.Unmarshal(raw, &env); err != nil {
		return "", &prunella.Error{Kind: prunella.Invalid, Op: "read event", Err: err}
	}
	switch env.Type {
	case "url_verification":
		return env.Challenge, nil
	case "app_rate_limited":
		l.count(func(s *Status) { s.Limited++ })
		l.log.Warn("Slack holds events back: more than 30,000 in an hour")
		return "", nil
	case "event_callback":
	default:
		l.count(func(s *Status) { s.Ignored++ })
		return "", nil
	}
	l.count(func(s *Status) { s.Received, s.LastEvent = s.Received+1, l.cfg.Now() })
	if env.EventID != "" && l.events.has(env.EventID) {
		l.count(func(s *Status) { s.Duplicates++ })
		return "", nil
	}
	if err := l.take(ctx, env.Event); err != nil {
		return "", err
	}
	if env.EventID != "" {
		l.events.add(env.EventID)
	}
	return "", nil
}

// take stores one inner event.
func (l *Live) take(ctx context.Context, raw json.RawMessage) error {
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		return &prunella.Error{Kind: prunella.Invalid, Op: "read event", Err: err}
	}
	switch e.Type {
	case "message":
	case "reaction_added", "reaction_removed", "pin_added", "pin_removed": // what they are about is read again
		if e.Item.Channel == "" {
			e.Item.Channel = e.ChannelID
		}
		if e.Item.Type == "message" && e.Item.TS != "" {
			l.push(job{kind: reread, channel: e.Item.Channel, ts: e.Item.TS})
			return nil
		}
		fallthrough
	default:
		l.count(func(s *Status) { s.Ignored++ })
		return nil
	}
	if e.ChannelType == "im" || e.ChannelType == "mpim" || e.Subtype == "message_replied" || e.Channel == "" {
		l.count(func(s *Status) { s.Ignored++ })
		return nil
	}
	ch, err := l.channel(ctx, string(e.Channel))
	if err != nil {
		return err
	}
	if !l.wanted(ch) {
		l.count(func(s *Status) { s.Ignored++ })
		return nil
	}
	if e.Subtype == "message_deleted" {
		if e.DeletedTS == "" {
			return prunella.Errorf(prunella.Invalid, "a message_deleted names no message")
		}
		l.gone.add(ch.ID + "/" + e.DeletedTS)
		if err := l.store.Delete(ctx, ch.ID, e.DeletedTS); err != nil {
			return notStored(err)
		}
		l.count(func(s *Status) { s.Deleted++ })
		l.push(job{kind: changed, channel: ch.ID})
		return nil
	}
	m, err := thread.DecodeMessage(ch, raw)
	if err != nil {
		return err
	}
	if err := l.keep(ctx, ch, []thread.Message{m}); err != nil {
		return err
	}
	l.after(ch, m)
	return nil
}

// keep stores messages that were not deleted meanwhile.
func (l *Live) keep(ctx context.Context, ch thread.Channel, messages []thread.Message) error {
	messages = slices.DeleteFunc(messages, func(m thread.Message) bool { return l.gone.has(ch.ID + "/" + m.TS) })
	if len(messages) == 0 {
		return nil
	}
	if _, err := l.store.Put(ctx, messages); err != nil {
		return notStored(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Stored += len(messages)
	for _, m := range messages {
		if thread.Time(m.TS).After(thread.Time(l.last[ch.ID])) {
			l.last[ch.ID] = m.TS
		}
		if m.ThreadTS == "" || m.ThreadTS == m.TS {
			l.roots.add(ch.ID + "/" + m.TS)
		}
	}
	return nil
}

// notStored says that trying again may help, whatever the store says: the event
// itself was fine.
func notStored(err error) error {
	return &prunella.Error{Kind: prunella.Unavailable, Op: "store what Slack sent", Err: err}
}

// after plans what a stored message asks for.
func (l *Live) after(ch thread.Channel, m thread.Message) {
	if m.User != "" {
		l.push(job{kind: name, user: m.User})
	}
	if root := m.ThreadTS; root != "" && root != m.TS {
		if l.roots.add(ch.ID + "/" + root) {
			l.push(job{kind: backfill, channel: ch.ID, ts: root})
		}
	}
	l.push(job{kind: changed, channel: ch.ID})
}

func (l *Live) wanted(ch thread.Channel) bool {
	return len(l.cfg.Channels) == 0 || slices.Contains(l.cfg.Channels, ch.ID) || slices.Contains(l.cfg.Channels, ch.Name)
}
