package thread

import (
	"cmp"
	"strings"
	"time"

	"prunella/thread/pattern"
)

// said is one sentence of a conversation with what the rules see in it.
type said struct {
	msg    int // index of its message
	text   string
	lower  string
	label  string // what kind of list or line it stands in: "cause", "followup", …; "" when nothing says
	line   line
	at     time.Time
	by     string // "@sam", or a bot's name
	bot    bool
	asks   bool
	codes  []snippet // inline code that is a command, configuration or query
	fences []snippet // of the fences that follow it
	source Source
}

// talk is a conversation prepared for the rules.
type talk struct {
	c       Conversation
	dir     *Directory
	said    []said
	people  []string           // who wrote, in order
	names   map[string]string  // how people are called in prose (lower case): "@handle"
	cheers  map[int][]Reaction // by message
	struck  []string           // what authors struck out
	sources []Source           // by message
	logs    []Sentence         // output in fences: log lines, errors
}

// subtypes that tell of the channel and not of the world.
var bookkeeping = setOf(`channel_join channel_leave channel_topic channel_purpose channel_name channel_archive channel_unarchive group_join group_leave group_topic group_purpose group_name group_archive group_unarchive pinned_item unpinned_item bot_add bot_remove reminder_add reminder_delete tombstone channel_convert_to_private channel_posting_permissions sh_room_created huddle_thread joiner_notification app_conversation_join`)

func (m Message) bot() bool {
	return m.BotID != "" || m.Subtype == "bot_message" || m.User == "USLACKBOT" || m.User == "" && m.Name != ""
}

// author is how the writer of a message is called.
func (d *Directory) author(m Message) string {
	if u, ok := d.Users[m.User]; ok && !u.Bot {
		return d.person(m.User)
	}
	if m.bot() {
		return cmp.Or(m.Name, d.Users[m.User].Display, d.Users[m.User].Name, m.BotID, "bot")
	}
	if u, ok := d.Users[m.User]; ok {
		return cmp.Or(u.Display, u.Name)
	}
	if m.Name != "" {
		return "@" + strings.ToLower(strings.ReplaceAll(m.Name, " ", "."))
	}
	return "@" + cmp.Or(m.User, "unknown")
}

func (d *Directory) source(ch Channel, m Message) Source {
	s := Source{Channel: cmp.Or(ch.Name, m.Channel), TS: m.TS, Author: d.author(m)}
	id := cmp.Or(ch.ID, m.ChannelID, m.Channel)
	s.Permalink = cmp.Or(d.Workspace, "https://slack.com") + "/archives/" + id + "/p" + strings.ReplaceAll(m.TS, ".", "")
	if m.ThreadTS != "" && m.ThreadTS != m.TS {
		s.Permalink += "?thread_ts=" + m.ThreadTS + "&cid=" + id
	}
	return s
}

// body is all that a message says itself: text, what a bot attached, snippets.
func (m Message) body() string {
	var b strings.Builder
	b.WriteString(m.Text)
	for _, a := range m.Attachments {
		if a.Quoted {
			continue
		}
		for _, s := range []string{a.Pretext, a.Title, a.Text, a.Fallback} {
			if s != "" {
				b.WriteString("\n" + s)
			}
		}
		for _, f := range a.Fields {
			b.WriteString("\n" + f.Title + ": " + f.Value)
		}
	}
	for _, f := range m.Files {
		if strings.TrimSpace(f.Preview) != "" && f.Type != "png" && f.Type != "jpg" {
			lang := f.Type
			if lang == "shell" {
				lang = "bash"
			}
			b.WriteString("\n```" + lang + "\n" + escape(f.Preview) + "\n```")
		}
	}
	return b.String()
}

func listen(c Conversation, dir *Directory) *talk {
	t := &talk{c: c, dir: dir, names: map[string]string{}, cheers: map[int][]Reaction{}}
	seen := map[string]bool{}
	for _, u := range c.Messages {
		if user, ok := dir.Users[u.User]; ok && !user.Bot {
			h := "@" + handle(user)
			t.names[strings.ToLower(handle(user))] = h
			if first, _, _ := strings.Cut(user.Display, " "); len(first) > 2 {
				t.names[strings.ToLower(first)] = h
			}
		}
	}
	for i, m := range c.Messages {
		src := dir.source(c.Channel, m)
		t.sources = append(t.sources, src)
		if len(m.Reactions) > 0 {
			t.cheers[i] = m.Reactions
		}
		if bookkeeping[m.Subtype] {
			continue
		}
		if !m.bot() && !seen[src.Author] {
			seen[src.Author] = true
			t.people = append(t.people, src.Author)
		}
		t.hear(i, m, src)
	}
	return t
}

func (t *talk) hear(i int, m Message, src Source) {
	label := ""
	first := len(t.said)
	base := said{msg: i, at: Time(m.TS), by: src.Author, bot: m.bot(), source: src}
	for _, p := range pieces(m.body(), t.dir) {
		if p.fence != nil {
			t.attach(first, base, *p.fence)
			continue
		}
		l := p.line
		t.struck = append(t.struck, l.struck...)
		if l.text == "" {
			continue
		}
		text := l.text
		if name, rest, ok := labelled(text); ok {
			label = name
			if rest == "" {
				continue
			}
			text = rest
		} else if !l.item && label != "" {
			label = ""
		}
		if !strings.Contains(text, "`") {
			if before, cmd, ok := unquoted(text); ok {
				text = before + "`" + cmd + "`"
			}
		}
		for _, s := range sentences(text) {
			clean := withoutEmoji(s)
			if clean == "" && !strings.Contains(s, ":") && pictures.FindString(s) == "" {
				continue
			}
			one := base
			one.text, one.lower, one.line, one.label = cmp.Or(clean, s), strings.ToLower(s), l, label
			one.asks = question.MatchString(maskCode(one.text))
			one.codes = inlineCodes(one.text)
			t.said = append(t.said, one)
		}
	}
}

// attach gives a fence to the sentence before it in the message, or to one of its own.
func (t *talk) attach(first int, base said, f fence) {
	list := f.snippets()
	for _, s := range list {
		if s.kind == kindOutput {
			for l := range strings.SplitSeq(s.text, "\n") {
				if failing.MatchString(l) && len(t.logs) < 200 {
					t.logs = append(t.logs, Sentence{Text: strings.TrimSpace(clip(l, 400)), Source: base.source, Rule: "log-line"})
				}
			}
		}
	}
	if len(t.said) == first {
		t.said = append(t.said, base)
	}
	last := &t.said[len(t.said)-1]
	last.fences = append(last.fences, list...)
}

func inlineCodes(text string) []snippet {
	parts := strings.Split(text, "`")
	if len(parts) < 3 {
		return nil
	}
	var out []snippet
	for i := 1; i < len(parts)-1; i += 2 {
		if s, ok := inline(parts[i], parts[i-1], parts[i+1]); ok {
			out = append(out, s)
		}
	}
	return out
}

// snippets are all of a sentence's, inline first.
func (s said) snippets() []snippet { return append(append([]snippet(nil), s.codes...), s.fences...) }

// Labels of lists and lines, as people write them in summaries.
var labels = []struct {
	name string
	re   string
}{
	{"cause", `(?:root )?causes?|rca|why|diagnosis|what (?:happened|broke|went wrong)|(?:confirmed )?root cause|reason|trigger`},
	{"fix", `fix(?:ed by)?|resolution|what (?:worked|fixed it|helped)|solution|mitigation|remediation|mitigated by|resolved by`},
	{"failed", `what did(?:n'?t| not) (?:work|help)|did(?:n'?t| not) (?:work|help)|no help`},
	{"symptom", `symptoms?|impact|what we (?:saw|see|are seeing)|alert|problem|issue|summary of impact`},
	{"started", `start(?:ed)?(?: (?:at|time))?|begin|began|onset|first seen|impact start(?:ed)?|incident start|since`},
	{"diagnosed", `diagnosed(?: at)?|identified(?: at)?|cause (?:found|identified)(?: at)?|root cause found`},
	{"fixed", `fixed(?: at)|mitigated(?: at)?|fix (?:applied|deployed|time)(?: at)?|mitigation (?:time|applied)`},
	{"resolved", `resolved(?: at)?|end(?:ed)?(?: at| time)?|impact end(?:ed)?|recovered(?: at)?|closed(?: at)?|all clear`},
	{"owner", `owners?|owned by|service owner|(?:incident )?lead|ic|incident commander|commander|assignee|assigned(?: to)?|dri|responsible`},
	{"followup", `action items?|ais?|follow[- ]?ups?|to-?dos?|next steps?|prevention(?: follow-?ups)?|tasks?|action`},
	{"escalation", `escalation(?: path)?|escalate to|who to (?:call|page)|contacts?`},
	{"verification", `verif(?:ied|ication)|confirm(?:ed|ation)|how we know|checks?`},
	{"recurs", `why (?:it|this) (?:keeps happening|happened|recurs|will happen again|comes back|came back|keeps coming back)|(?:the )?(?:underlying|deeper|real|structural) (?:cause|problem|issue)|recurrence|contributing factors?|systemic(?: problem)?|root problem`},
	{"ruledout", `ruled out|not the cause|excluded|what it (?:is|was)n'?t`},
	{"timeline", `timeline`},
}

func labelled(text string) (name, rest string, ok bool) {
	at := strings.IndexAny(text, ":")
	dash := strings.Index(text, " - ")
	if em := strings.Index(text, " — "); em >= 0 && (dash < 0 || em < dash) {
		dash = em
	}
	if dash >= 0 && (at < 0 || dash < at) {
		at = dash
	}
	head := text
	if at >= 0 {
		head, rest = text[:at], strings.TrimSpace(strings.TrimLeft(text[at:], ":-— "))
	} else if len(text) > 30 {
		return "", "", false
	}
	head = strings.ToLower(strings.Trim(withoutEmoji(head), " #*_."))
	if len(head) > 40 || at < 0 && strings.Contains(head, " ") && !strings.HasSuffix(text, "s") {
		return "", "", false
	}
	for i, re := range labelREs {
		if re.MatchString(head) {
			if at < 0 && (labels[i].name == "resolved" || labels[i].name == "fixed" || labels[i].name == "verification" || labels[i].name == "cause" && head == "why") {
				return "", "", false // a word by itself: a statement, not a heading
			}
			return labels[i].name, rest, true
		}
	}
	return "", "", false
}

var labelREs = func() []*pattern.Pattern {
	var out []*pattern.Pattern
	for _, l := range labels {
		out = append(out, pattern.MustCompile(`^(?:`+l.re+`)$`))
	}
	return out
}()
