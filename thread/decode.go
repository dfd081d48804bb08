package thread

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"

	"prunella"
)

// text is a JSON string, or a number as it is written; anything else is "".
// Slack's ids are strings, and tools between Slack and us are not always as careful.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case len(b) > 0 && b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
	case len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9'):
		*t = text(b)
	}
	return nil
}

// list is a JSON list whose elements of another shape are left out; anything
// else is empty.
type list[T any] []T

func (l *list[T]) UnmarshalJSON(b []byte) error {
	var raw []json.RawMessage
	if json.Unmarshal(b, &raw) != nil {
		return nil
	}
	for _, r := range raw {
		var v T
		if json.Unmarshal(r, &v) == nil {
			*l = append(*l, v)
		}
	}
	return nil
}

// object is a JSON object, or nothing when it has another shape.
type object[T any] struct{ v T }

func (o *object[T]) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &o.v) != nil {
		var none T
		o.v = none
	}
	return nil
}

type wireMessage struct {
	Type     text  `json:"type"`
	Subtype  text  `json:"subtype"`
	TS       text  `json:"ts"`
	ThreadTS text  `json:"thread_ts"`
	User     text  `json:"user"`
	BotID    text  `json:"bot_id"`
	Username text  `json:"username"`
	Text     text  `json:"text"`
	Replies  count `json:"reply_count"`
	Edited   object[struct {
		TS text `json:"ts"`
	}] `json:"edited"`
	Profile object[struct {
		Name    text `json:"name"`
		Display text `json:"display_name"`
		Real    text `json:"real_name"`
	}] `json:"user_profile"`
	BotProfile object[struct {
		Name text `json:"name"`
	}] `json:"bot_profile"`
	Attachments list[wireAttachment] `json:"attachments"`
	Blocks      list[block]          `json:"blocks"`
	Files       list[wireFile]       `json:"files"`
	File        object[wireFile]     `json:"file"`
	Reactions   list[struct {
		Name  text  `json:"name"`
		Count count `json:"count"`
	}] `json:"reactions"`
	PinnedTo list[text]      `json:"pinned_to"`
	Message  json.RawMessage `json:"message"` // of a message_changed
}

// count is a whole number that is not negative; anything else is 0.
type count int

func (c *count) UnmarshalJSON(b []byte) error {
	var n int
	if json.Unmarshal(b, &n) == nil && n > 0 {
		*c = count(n)
	}
	return nil
}

type wireAttachment struct {
	Title    text `json:"title"`
	Pretext  text `json:"pretext"`
	Text     text `json:"text"`
	Fallback text `json:"fallback"`
	Color    text `json:"color"`
	Footer   text `json:"footer"`
	FromURL  text `json:"from_url"`
	Unfurl   bool `json:"is_msg_unfurl"`
	Fields   list[struct {
		Title text `json:"title"`
		Value text `json:"value"`
	}] `json:"fields"`
	Blocks list[block] `json:"blocks"`
}

type wireFile struct {
	Name     text `json:"name"`
	Title    text `json:"title"`
	Type     text `json:"filetype"`
	Preview  text `json:"preview"`
	Plain    text `json:"plain_text"`
	Contents text `json:"content"`
}

// DecodeMessage reads one message in Slack's JSON, as exports, the Web API and
// message events hold it. ch is the channel that it was written in. A message
// without a valid ts is Invalid.
func DecodeMessage(ch Channel, b []byte) (Message, error) {
	var w wireMessage
	if err := json.Unmarshal(b, &w); err != nil {
		return Message{}, &prunella.Error{Kind: prunella.Invalid, Op: "decode message", Err: err}
	}
	if w.Subtype == "message_changed" && bytes.HasPrefix(bytes.TrimSpace(w.Message), []byte("{")) {
		outer := w
		w = wireMessage{}
		if err := json.Unmarshal(outer.Message, &w); err != nil {
			return Message{}, &prunella.Error{Kind: prunella.Invalid, Op: "decode message", Err: err}
		}
		if w.Edited.v.TS == "" {
			w.Edited.v.TS = outer.TS
		}
	}
	if Time(string(w.TS)).IsZero() {
		return Message{}, prunella.Errorf(prunella.Invalid, "ts %q is no message id", clip(string(w.TS), 40))
	}
	m := Message{
		Channel: cmp.Or(ch.Name, ch.ID), ChannelID: ch.ID,
		TS: string(w.TS), ThreadTS: string(w.ThreadTS), User: string(w.User), BotID: string(w.BotID), Subtype: string(w.Subtype),
		Name: string(cmp.Or(w.BotProfile.v.Name, w.Username, w.Profile.v.Name, w.Profile.v.Display, w.Profile.v.Real)),
		Text: string(w.Text), Edited: string(w.Edited.v.TS), Pinned: len(w.PinnedTo) > 0, Replies: int(w.Replies),
	}
	if w.BotID != "" && w.Username != "" {
		m.Name = string(w.Username)
	}
	if Time(m.ThreadTS).IsZero() {
		m.ThreadTS = ""
	}
	m.Text = withBlocks(m.Text, w.Blocks)
	for _, a := range w.Attachments {
		m.Attachments = append(m.Attachments, a.attachment(m.BotID != "" || m.Subtype == "bot_message"))
	}
	for _, f := range append(w.Files, w.File.v) {
		if f.Name == "" && f.Title == "" && f.Preview == "" {
			continue
		}
		m.Files = append(m.Files, File{Name: string(cmp.Or(f.Name, f.Title)), Type: string(f.Type), Preview: string(cmp.Or(f.Contents, f.Plain, f.Preview))})
	}
	for _, r := range w.Reactions {
		m.Reactions = append(m.Reactions, Reaction{Name: string(r.Name), Count: int(r.Count)})
	}
	return m, nil
}

func (a wireAttachment) attachment(bot bool) Attachment {
	out := Attachment{Title: string(a.Title), Pretext: string(a.Pretext), Text: string(a.Text), Color: string(a.Color), Footer: string(a.Footer),
		Quoted: a.Unfurl || !bot && a.FromURL != ""}
	for _, f := range a.Fields {
		out.Fields = append(out.Fields, Field{Title: string(f.Title), Value: string(f.Value)})
	}
	out.Text = withBlocks(out.Text, a.Blocks)
	if out.Title == "" && out.Pretext == "" && out.Text == "" && len(out.Fields) == 0 {
		out.Fallback = string(a.Fallback)
	}
	return out
}

// withBlocks is the text of a message, or of its blocks where they say more.
// People's clients send both with the same words; bots send a summary as text.
func withBlocks(text string, blocks []block) string {
	if len(blocks) == 0 {
		return text
	}
	var b strings.Builder
	for _, bl := range blocks {
		bl.render(&b, 0)
	}
	said := strings.TrimSpace(b.String())
	have := strings.TrimSpace(text)
	switch {
	case said == "":
		return text
	case have == "" || strings.Contains(said, "`") && !strings.Contains(have, "`") && strings.Contains(squeeze(said), squeeze(have)):
		return said
	case strings.Contains(squeeze(have), squeeze(said)):
		return text
	case strings.Contains(squeeze(said), squeeze(have)):
		return said
	}
	return have + "\n" + said
}

// squeeze leaves letters and digits only.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r > 127 {
			return r
		}
		return -1
	}, s)
}

// clip shortens a text to about n bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
