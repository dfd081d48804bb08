package thread

import (
	"cmp"
	"strings"
	"time"

	"prunella/thread/pattern"
)

// said is one sentence of a conversation with what the rules see in it.
type said struct {
	msg        int // index of its message
	text       string
	lower      string
	label      string // what kind of list or line it stands in: "cause", "followup", …; "" when nothing says
	line       line
	at         time.Time
	by         string // "@sam", or a bot's name
	bot        bool
	asks       bool
	codes      []snippet // inline code that is a command, configuration or query
	fences     []snippet // of the fences that follow it
	source     Source
	pointsBack bool   // it speaks of an earlier time
	listed     bool   // an item under a heading that is no label
	zone       string // that times of its message are said to be in; "" where nothing says
}

// talk is a conversation prepared for the rules.
type talk struct {
	c         Conversation
	dir       *Directory
	said      []said
	people    []string           // who wrote, in order
	names     map[string]string  // how people are called in prose (lower case): "@handle"
	cheers    map[int][]Reaction // by message
	struck    []string           // what authors struck out
	sources   []Source           // by message
	logs      []Sentence         // output in fences: log lines, errors
	topic     map[string]bool    // words that it is about; see about
	firstLook int                // message with the first command
	reports   map[int]bool       // messages that tell it all afterwards, under headings
	narrated  map[int]bool       // messages that tell the course of it with its times
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
	t.findNarrated()
	t.findEarlier()
	t.findReports()
	return t
}

// findReports marks the messages that are reports: with headings for when and
// why, or for why and what follows from it.
func (t *talk) findReports() {
	t.reports = map[int]bool{}
	has := map[int]map[string]bool{}
	for _, s := range t.said {
		if has[s.msg] == nil {
			has[s.msg] = map[string]bool{}
		}
		has[s.msg][s.label] = true
	}
	for msg, labels := range has {
		t.reports[msg] = t.narrated[msg] || msg > 0 && (labels["timeline"] && len(labels) > 2 || labels["cause"] && (labels["followup"] || labels["recurs"] || labels["fix"]))
	}
}

func (t *talk) hear(i int, m Message, src Source) {
	zone, unnamed := "", false
	label, under := "", false // under: label is of a heading, and holds until the next
	first := len(t.said)
	base := said{msg: i, at: Time(m.TS), by: src.Author, bot: m.bot(), source: src}
	list := pieces(m.body(), t.dir)
	for n, p := range list {
		if p.fence != nil {
			if len(t.said) > first && t.said[len(t.said)-1].label != label {
				own := base // below a heading of its own
				own.label = label
				t.said = append(t.said, own)
			}
			t.attach(first, base, *p.fence)
			continue
		}
		l := p.line
		l.quoted = l.quoted && !m.bot() // bots set their fields off like that
		if m := inZone.FindStringSubmatch(l.text); m != nil {
			zone = strings.ToLower(m[1] + m[2])
		}
		t.struck = append(t.struck, l.struck...)
		if l.text == "" {
			continue
		}
		text := l.text
		if l.head == "" && !l.item && n+1 < len(list) && list[n+1].line.item && len(strings.Fields(text)) < 6 {
			l.head = strings.TrimRight(text, " :") // what a list stands under
		}
		name, rest, ok := labelled(text, l.head)
		if !l.item {
			unnamed = !ok && strings.HasSuffix(strings.TrimSpace(withoutEmoji(text)), ":") && n+1 < len(list) && list[n+1].line.item
		}
		if ok && name == "followup" && rest != "" && !l.item && !l.boxed && actionLead.MatchString(text) && (doesNow(rest) || n+1 < len(list) && list[n+1].fence != nil) {
			ok, text = false, rest // "action: restarting the workers"
		}
		switch {
		case ok && rest == "":
			label, under = name, true
			continue
		case ok && name == "result": // of what was done before: prose
			label, under, text = "", false, rest
		case ok:
			label, under, text = name, false, rest
		case strings.HasPrefix(text, l.head+" ") && l.head == strings.ToUpper(l.head) && len(strings.Fields(l.head)) < 4:
			label, under, text = "", false, text[len(l.head)+1:] // "*DONE* added pods"
		case l.head != "" && len(l.head) >= len(strings.TrimRight(text, " :")):
			label, under = "", false
			if n+1 < len(list) && list[n+1].fence == nil && len(strings.Fields(text)) < 5 && !failing.MatchString(text) {
				label = "heading" // that says nothing to the rules
			}
		case !under && (!l.item || label == "heading"):
			label = ""
		}
		if label == "commands" && len(t.said) > first && t.said[len(t.said)-1].label == "verification" {
			label = "probe" // how it was checked
		}
		text = t.withoutNow(text, base, zone, list)
		if m := roleLead.FindString(text); m != "" && len(m) < len(text) {
			text = text[len(m):]
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
			one.zone, one.listed = zone, unnamed && l.item
			one.asks = question.MatchString(maskCode(one.text))
			one.codes = inlineCodes(one.text)
			t.said = append(t.said, one)
		}
	}
}

// actionLead is a label that may stand before what is being done as well as
// before what is to be done.
var actionLead = pattern.MustCompile(`(?i)^\W*(?:action|next|step|task)(?: taken| now)?(?: \d+)?\s*[:–—-]+\s*[^@\s]`)

// withoutNow takes off the time that a line of a log begins with where it is the
// time of its message: whoever keeps the log as it happens names no other.
func (t *talk) withoutNow(text string, base said, zone string, list []piece) string {
	lead := clockLead.FindString(text)
	if lead == "" || len(lead) == len(text) {
		return text
	}
	stamped := 0
	for _, p := range list {
		if clockLead.MatchString(p.line.text) {
			stamped++
		}
	}
	base.text, base.lower, base.zone = lead, lead, zone
	if at := t.clocks(base); stamped > 1 || len(at) != 1 || at[0].Sub(base.at).Abs() > 3*time.Minute {
		return text
	}
	return text[len(lead):]
}

// doesNow reports whether what follows a label tells of a deed, or holds a
// command that changes something.
func doesNow(rest string) bool {
	did, _, _, _ := acts(rest)
	return did || len(changing(inlineCodes(rest))) > 0 || doneWord.MatchString(strings.ToLower(rest))
}

// roleLead is in whose role somebody writes: it is not part of what they say.
var roleLead = pattern.MustCompile(`^(?i:scribe|scribing|ic|comms|ops|ops lead|commander|notes?|minutes|log|for the (?:log|record|timeline|notes))(?:: | - | – )`)

// inZone says which zone the times that follow are in: "(all UTC)", "times below are CET".
var inZone = pattern.MustCompile(`(?i)(?:\((?:all |all times |times )?(?:are )?(?:in )?|\b(?:all )?times?(?: \w+){0,2} (?:are |is )?(?:in )?)(utc|gmt|cest|cet|bst|est|edt|pst|pdt|ist|jst)\b|\b(?:timeline|chronology|notes|clock|log)\W+(?:is |are )?(?:in )?(utc|gmt|cet|cest)\b`)

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
