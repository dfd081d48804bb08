package exportgen

import (
	"archive/zip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// wire is a message as Slack exports it.
type wire struct {
	Type        string           `json:"type"`
	Subtype     string           `json:"subtype,omitempty"`
	User        string           `json:"user,omitempty"`
	BotID       string           `json:"bot_id,omitempty"`
	Username    string           `json:"username,omitempty"`
	Text        string           `json:"text"`
	TS          string           `json:"ts"`
	ThreadTS    string           `json:"thread_ts,omitempty"`
	ReplyCount  int              `json:"reply_count,omitempty"`
	Edited      *edit            `json:"edited,omitempty"`
	Attachments []map[string]any `json:"attachments,omitempty"`
	Blocks      []map[string]any `json:"blocks,omitempty"`
	Reactions   []reaction       `json:"reactions,omitempty"`
	Files       []map[string]any `json:"files,omitempty"`
	PinnedTo    []string         `json:"pinned_to,omitempty"`
	at          time.Time
}

type edit struct {
	User string `json:"user"`
	TS   string `json:"ts"`
}

type reaction struct {
	Name  string   `json:"name"`
	Users []string `json:"users"`
	Count int      `json:"count"`
}

type room struct {
	id, name string
	threads  bool // people answer in threads here
	msgs     []*wire
	used     map[int64]bool // microseconds taken
}

// post adds a message at about that time; ids are unique in a channel.
func (c *room) post(at time.Time, m *wire) *wire {
	micro := at.UnixMicro()
	for c.used[micro] {
		micro++
	}
	c.used[micro] = true
	m.Type, m.at = "message", time.UnixMicro(micro).UTC()
	m.TS = strconv.FormatInt(micro/1e6, 10) + "." + leftPad(micro%1e6)
	c.msgs = append(c.msgs, m)
	return m
}

func leftPad(n int64) string {
	s := strconv.FormatInt(n, 10)
	return strings.Repeat("0", 6-len(s)) + s
}

// Archive is a finished export with its truth.
type Archive struct {
	Truth    *Truth
	Messages int
	rooms    []*room
	people   []*person
}

// WriteZip writes the archive as Slack hands it out.
func (a *Archive) WriteZip(w io.Writer) error {
	z := zip.NewWriter(w)
	err := a.write(func(name string, v any) error {
		f, err := z.Create(name)
		if err != nil {
			return err
		}
		return json.NewEncoder(f).Encode(v)
	})
	if err != nil {
		return err
	}
	return z.Close()
}

// WriteDir writes it unpacked.
func (a *Archive) WriteDir(dir string) error {
	return a.write(func(name string, v any) error {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return os.WriteFile(path, b, 0o644)
	})
}

func (a *Archive) write(put func(name string, v any) error) error {
	type m = map[string]any
	var users, channels []m
	for _, p := range a.people {
		if p.gone {
			continue
		}
		users = append(users, m{"id": p.id, "name": p.handle, "real_name": p.real, "is_bot": p.bot, "deleted": false,
			"tz": p.zone, "tz_label": p.abbr, "tz_offset": p.offset,
			"profile": m{"real_name": p.real, "display_name": p.handle, "title": p.title, "email": p.email}})
	}
	for _, c := range a.rooms {
		channels = append(channels, m{"id": c.id, "name": c.name, "created": 1700000000, "is_archived": false, "members": []string{}})
	}
	if err := put("users.json", users); err != nil {
		return err
	}
	if err := put("channels.json", channels); err != nil {
		return err
	}
	for _, c := range a.rooms {
		for start := 0; start < len(c.msgs); {
			day := c.msgs[start].at.Format(time.DateOnly)
			end := start
			for end < len(c.msgs) && c.msgs[end].at.Format(time.DateOnly) == day {
				end++
			}
			if err := put(c.name+"/"+day+".json", c.msgs[start:end]); err != nil {
				return err
			}
			start = end
		}
	}
	return nil
}

// finish puts messages in order, counts replies, and drops those that the
// archive is to lack.
func (a *Archive) finish(lost map[*wire]bool) {
	for _, c := range a.rooms {
		slices.SortFunc(c.msgs, func(x, y *wire) int { return x.at.Compare(y.at) })
		roots := map[string]*wire{}
		for _, m := range c.msgs {
			if m.ThreadTS == m.TS {
				roots[m.TS] = m
			}
		}
		for _, m := range c.msgs {
			if root := roots[m.ThreadTS]; root != nil && root != m {
				root.ReplyCount++
				if lost[m] {
					a.Truth.Gaps[c.name+"/"+root.TS]++
				}
			}
		}
		c.msgs = slices.DeleteFunc(c.msgs, func(m *wire) bool { return lost[m] })
		a.Messages += len(c.msgs)
	}
}
