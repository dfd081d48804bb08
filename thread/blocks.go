package thread

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
)

// maxDepth bounds blocks inside blocks; Slack nests three deep.
const maxDepth = 12

// block is any element of Block Kit. The shapes differ in few keys, so one
// struct holds them all.
type block struct {
	Type     text        `json:"type"`
	Text     words       `json:"text"`
	Fields   list[words] `json:"fields"`
	Elements list[block] `json:"elements"`
	Style    style       `json:"style"`
	Indent   count       `json:"indent"`
	Offset   count       `json:"offset"`
	URL      text        `json:"url"`
	UserID   text        `json:"user_id"`
	Channel  text        `json:"channel_id"`
	Group    text        `json:"usergroup_id"`
	Range    text        `json:"range"`
	Name     text        `json:"name"`
	Fallback text        `json:"fallback"`
	Alt      text        `json:"alt_text"`
	Title    words       `json:"title"`
}

// words is a text object {type, text}, or a text.
type words struct {
	Type text
	Text text
}

func (w *words) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var o struct {
			Type text `json:"type"`
			Text text `json:"text"`
		}
		if json.Unmarshal(b, &o) == nil {
			w.Type, w.Text = o.Type, o.Text
		}
		return nil
	}
	return w.Text.UnmarshalJSON(b)
}

// mrkdwn is a text object as mrkdwn.
func (w words) mrkdwn() string {
	if w.Type == "mrkdwn" {
		return string(w.Text)
	}
	return escape(string(w.Text))
}

// style is the look of a piece of rich text, or the kind of a list.
type style struct {
	Code, Strike bool
	Ordered      bool
}

func (s *style) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		s.Ordered = string(b) == `"ordered"`
		return nil
	}
	var o struct {
		Code   bool `json:"code"`
		Strike bool `json:"strike"`
	}
	if json.Unmarshal(b, &o) == nil {
		s.Code, s.Strike = o.Code, o.Strike
	}
	return nil
}

func escape(s string) string { return escaper.Replace(s) }

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// render writes a block as mrkdwn.
func (b block) render(w *strings.Builder, depth int) {
	if depth > maxDepth {
		return
	}
	all := func() {
		for _, e := range b.Elements {
			e.render(w, depth+1)
		}
	}
	switch b.Type {
	case "rich_text":
		all()
	case "rich_text_section":
		all()
		w.WriteByte('\n')
	case "rich_text_quote":
		var inner strings.Builder
		for _, e := range b.Elements {
			e.render(&inner, depth+1)
		}
		for line := range strings.SplitSeq(strings.TrimRight(inner.String(), "\n"), "\n") {
			w.WriteString("&gt; " + line + "\n")
		}
	case "rich_text_preformatted":
		w.WriteString("```\n")
		for _, e := range b.Elements {
			w.WriteString(escape(string(cmp.Or(e.Text.Text, e.URL))))
		}
		w.WriteString("\n```\n")
	case "rich_text_list":
		for i, e := range b.Elements {
			w.WriteString(strings.Repeat("  ", min(int(b.Indent), maxDepth)))
			if b.Style.Ordered {
				w.WriteString(strconv.Itoa(int(b.Offset)+i+1) + ". ")
			} else {
				w.WriteString("• ")
			}
			e.render(w, depth+1)
		}
	case "text":
		s := escape(string(b.Text.Text))
		switch {
		case b.Style.Code && strings.TrimSpace(s) != "":
			s = "`" + s + "`"
		case b.Style.Strike && strings.TrimSpace(s) != "":
			s = "~" + s + "~"
		}
		w.WriteString(s)
	case "link":
		w.WriteString("<" + string(b.URL))
		if b.Text.Text != "" {
			w.WriteString("|" + escape(string(b.Text.Text)))
		}
		w.WriteByte('>')
	case "user":
		w.WriteString("<@" + string(b.UserID) + ">")
	case "channel":
		w.WriteString("<#" + string(b.Channel) + ">")
	case "usergroup":
		w.WriteString("<!subteam^" + string(b.Group) + ">")
	case "broadcast":
		w.WriteString("<!" + string(b.Range) + ">")
	case "emoji":
		w.WriteString(":" + string(b.Name) + ":")
	case "date":
		w.WriteString(escape(string(b.Fallback)))
	case "context", "actions":
		if b.Type == "context" {
			all()
			w.WriteByte('\n')
		}
	case "mrkdwn":
		w.WriteString(string(b.Text.Text) + " ")
	case "plain_text":
		w.WriteString(escape(string(b.Text.Text)) + " ")
	case "image":
		if s := cmp.Or(b.Title.Text, b.Alt); s != "" {
			w.WriteString(escape(string(s)) + "\n")
		}
	default: // header, section, markdown, and what Slack adds later
		if s := b.Text.mrkdwn(); s != "" {
			w.WriteString(s + "\n")
		}
		for _, f := range b.Fields {
			w.WriteString(f.mrkdwn() + "\n")
		}
		all()
	}
}
