package thread

import (
	"strconv"
	"strings"
	"time"
)

// Message is one message of a channel. (Channel, TS) is its identity.
type Message struct {
	Channel     string       `json:"channel"`              // name without '#'; the id where no name is known
	ChannelID   string       `json:"channel_id,omitempty"` // "C024BE91L"; "" where none is known
	TS          string       `json:"ts"`                   // "1713527162.000200"
	ThreadTS    string       `json:"thread_ts,omitempty"`  // TS of the root; equal to TS at the root itself; "" outside threads
	User        string       `json:"user,omitempty"`       // id of a person, "U…"
	BotID       string       `json:"bot_id,omitempty"`     // id of a bot, "B…"
	Name        string       `json:"name,omitempty"`       // what the message itself says its author is called (bots, people who left)
	Subtype     string       `json:"subtype,omitempty"`    // "bot_message", "channel_join", "tombstone", …
	Text        string       `json:"text"`                 // mrkdwn as sent; made from blocks where it was empty or poorer
	Attachments []Attachment `json:"attachments,omitempty"`
	Reactions   []Reaction   `json:"reactions,omitempty"`
	Files       []File       `json:"files,omitempty"`
	Edited      string       `json:"edited,omitempty"` // TS of the last edit
	Pinned      bool         `json:"pinned,omitempty"`
	Replies     int          `json:"replies,omitempty"` // reply_count of a root, as Slack says
}

// Attachment is what bots put beside or instead of the text.
type Attachment struct {
	Title    string  `json:"title,omitempty"`
	Pretext  string  `json:"pretext,omitempty"`
	Text     string  `json:"text,omitempty"`
	Fallback string  `json:"fallback,omitempty"`
	Fields   []Field `json:"fields,omitempty"`
	Color    string  `json:"color,omitempty"` // "danger", "good", "#a30200"
	Footer   string  `json:"footer,omitempty"`
	Quoted   bool    `json:"quoted,omitempty"` // what a link leads to, not what the author wrote
}

// Field is a titled value in an attachment.
type Field struct {
	Title string `json:"title"`
	Value string `json:"value"`
}

// Reaction is an emoji under a message.
type Reaction struct {
	Name  string `json:"name"` // without colons
	Count int    `json:"count"`
}

// File is a shared file or snippet; Preview is what the export holds of its text.
type File struct {
	Name    string `json:"name"`
	Type    string `json:"type,omitempty"` // "text", "yaml", "png"
	Preview string `json:"preview,omitempty"`
}

// Time is the moment of a message id, UTC; the zero time when it is no id.
func Time(ts string) time.Time {
	sec, frac, _ := strings.Cut(ts, ".")
	s, err := strconv.ParseInt(sec, 10, 64)
	if err != nil || s <= 0 || s > 1<<40 {
		return time.Time{}
	}
	var nanos int64
	if frac != "" {
		n, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		if err != nil || n < 0 {
			return time.Time{}
		}
		nanos = n
	}
	return time.Unix(s, nanos).UTC()
}

// User is a person or a bot as an export lists it, without e-mail and phone.
type User struct {
	ID      string `json:"id"`
	Name    string `json:"name"` // handle, "sam"
	Display string `json:"display,omitempty"`
	Title   string `json:"title,omitempty"` // what they do: "platform engineer"
	Bot     bool   `json:"bot,omitempty"`
	Deleted bool   `json:"deleted,omitempty"`
	Offset  int    `json:"offset,omitempty"` // seconds east of UTC where they live
}

// Channel is a place where people talk.
type Channel struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Kind    string `json:"kind"` // channel | group | dm | mpim
	Topic   string `json:"topic,omitempty"`
	Purpose string `json:"purpose,omitempty"`
}

// Directory says who and what the ids in messages stand for. The zero value
// knows nobody: ids stay ids.
type Directory struct {
	Users     map[string]User    // by id
	Channels  map[string]Channel // by id
	Workspace string             // base URL of permalinks, "https://acme.slack.com"; "" when not known
}
