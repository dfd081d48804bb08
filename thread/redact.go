package thread

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"
)

// Redactor replaces secrets and personal data by what they are: "[redacted
// e-mail 1]". The same value has the same number wherever one Redactor sees it.
// It keeps a keyed hash (HMAC-SHA-256) of what it replaced and never the value.
// It is safe for concurrent use.
type Redactor struct {
	key []byte

	mu   sync.Mutex
	tags map[tag]int    // number of a value
	next map[string]int // by kind: the highest number given
	new  []numbered     // since the last call of fresh
}

type tag struct{ kind, mac string }

type numbered struct {
	tag
	n int
}

// NewRedactor makes a Redactor with a random key, for one run.
func NewRedactor() *Redactor {
	return redactorWith(randomKey(), nil)
}

// redactorWith continues where one with the same key left off.
func redactorWith(key []byte, known []numbered) *Redactor {
	r := &Redactor{key: key, tags: map[tag]int{}, next: map[string]int{}}
	for _, k := range known {
		r.tags[k.tag] = k.n
		r.next[k.kind] = max(r.next[k.kind], k.n)
	}
	return r
}

// fresh returns the numbers given since it was last called.
func (r *Redactor) fresh() []numbered {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.new
	r.new = nil
	return out
}

// again makes numbers fresh once more that could not be kept.
func (r *Redactor) again(list []numbered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.new = append(list, r.new...)
}

const redacted = "[redacted "

// mark is what stands for a value.
func (r *Redactor) mark(kind, value string) string {
	h := hmac.New(sha256.New, r.key)
	h.Write([]byte(kind + "\x00" + value))
	t := tag{kind, hex.EncodeToString(h.Sum(nil)[:16])}
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.tags[t]
	if !ok {
		r.next[kind]++
		n = r.next[kind]
		r.tags[t] = n
		r.new = append(r.new, numbered{t, n})
	}
	return redacted + kind + " " + strconv.Itoa(n) + "]"
}

// Text redacts a text. What is redacted already stays as it is.
func (r *Redactor) Text(s string) string {
	if len(s) < 5 {
		return s
	}
	lower, many := strings.ToLower(s), len(digits(s)) >= 7
	for _, rule := range redactions {
		if !rule.needed(lower, many) {
			continue
		}
		next := rule.apply(r, s)
		if next != s {
			s, lower = next, strings.ToLower(next)
		}
	}
	return s
}

// Message redacts every text of a message.
func (r *Redactor) Message(m Message) Message {
	m.Text, m.Name = r.Text(m.Text), r.Text(m.Name)
	if len(m.Attachments) > 0 {
		list := make([]Attachment, len(m.Attachments))
		for i, a := range m.Attachments {
			a.Title, a.Pretext, a.Text, a.Fallback, a.Footer = r.Text(a.Title), r.Text(a.Pretext), r.Text(a.Text), r.Text(a.Fallback), r.Text(a.Footer)
			fields := make([]Field, len(a.Fields))
			for j, f := range a.Fields {
				fields[j] = r.field(f)
			}
			if len(fields) > 0 {
				a.Fields = fields
			}
			list[i] = a
		}
		m.Attachments = list
	}
	if len(m.Files) > 0 {
		files := make([]File, len(m.Files))
		for i, f := range m.Files {
			files[i] = File{Name: r.Text(f.Name), Type: f.Type, Preview: r.Text(f.Preview)}
		}
		m.Files = files
	}
	return m
}

// field redacts a titled value, whose title may be what gives it away.
func (r *Redactor) field(f Field) Field {
	title := r.Text(f.Title)
	if both := r.Text(f.Title + ": " + f.Value); strings.HasPrefix(both, f.Title+": ") {
		return Field{Title: title, Value: strings.TrimPrefix(both, f.Title+": ")}
	}
	return Field{Title: title, Value: r.Text(f.Value)}
}

// Directory redacts what people wrote about themselves and their channels.
func (r *Redactor) Directory(d *Directory) *Directory {
	out := &Directory{Users: make(map[string]User, len(d.Users)), Channels: make(map[string]Channel, len(d.Channels)), Workspace: d.Workspace}
	for id, u := range d.Users {
		u.Name, u.Display, u.Title = r.Text(u.Name), r.Text(u.Display), r.Text(u.Title)
		out.Users[id] = u
	}
	for id, c := range d.Channels {
		c.Topic, c.Purpose = r.Text(c.Topic), r.Text(c.Purpose)
		out.Channels[id] = c
	}
	return out
}
