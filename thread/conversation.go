package thread

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"prunella/thread/pattern"
)

// Bounds of a run: messages outside threads that belong together.
const (
	runGap  = 40 * time.Minute // of silence end a run, unless what follows takes it up by name
	runLong = 8 * time.Hour    // no run is longer
)

var incidentChannel = pattern.MustCompile(`(?i)^(?:inc(?:ident)?|sev|outage|war-?room|p[0-2])[-_]?(?:\d|[a-z]*-?\d{2,}|[\w-]*\d{3,})`)

// Conversations divides the messages of one channel, ordered by ts, into
// conversations and scores each. Every message is in exactly one. Replies
// belong to their thread whenever they were written; a channel made for one
// incident (#inc-4711) is one conversation; other messages outside threads are
// joined into runs by who speaks to whom of what.
func Conversations(ch Channel, dir *Directory, messages []Message) []Conversation {
	if len(messages) == 0 {
		return nil
	}
	if incidentChannel.MatchString(ch.Name) {
		c := Conversation{Channel: ch, Kind: "channel", Messages: messages}
		c.judge(dir)
		return []Conversation{c}
	}
	threads := map[string][]Message{}
	var order []string
	roots := map[string]bool{}
	for _, m := range messages {
		if m.ThreadTS != "" && m.ThreadTS != m.TS {
			roots[m.ThreadTS] = true
		}
	}
	var loose []Message
	for _, m := range messages {
		root := m.ThreadTS
		if root == "" && roots[m.TS] {
			root = m.TS
		}
		if root == "" || root == m.TS && !roots[m.TS] {
			loose = append(loose, m)
			continue
		}
		if threads[root] == nil {
			order = append(order, root)
		}
		threads[root] = append(threads[root], m)
	}
	var out []Conversation
	for _, root := range order {
		list := threads[root]
		slices.SortStableFunc(list, func(a, b Message) int { return compareTS(a.TS, b.TS) })
		out = append(out, Conversation{Channel: ch, Kind: "thread", Messages: list})
	}
	for _, r := range runs(loose, dir) {
		out = append(out, Conversation{Channel: ch, Kind: "run", Messages: r})
	}
	slices.SortStableFunc(out, func(a, b Conversation) int { return compareTS(a.Messages[0].TS, b.Messages[0].TS) })
	onAllCores(len(out), func(i int) { out[i].judge(dir) })
	return out
}

// run is a conversation outside threads while it is put together.
type run struct {
	messages []Message
	last     time.Time
	users    map[string]time.Time // when each last spoke in it
	called   map[string]bool      // who was mentioned
	words    map[string]int       // names of things: services, codes, numbers
	tense    bool                 // it began with something that fails
	spent    bool                 // its alert cleared before anybody did anything about it
	handled  bool                 // somebody did something about it
}

// runs joins messages outside threads. Each message goes to the open run that
// it is closest to, by who writes, who is addressed, and which names of things
// it shares; one that is close to none begins a new run.
func runs(loose []Message, dir *Directory) [][]Message {
	var open, closed []*run
	tickets := map[string]*run{}
	for _, m := range loose {
		at := Time(m.TS)
		if r := taken(tickets, m, at); r != nil && !slices.Contains(open, r) { // days later, by its ticket
			r.messages = append(r.messages, m)
			continue
		}
		still := open[:0]
		for _, r := range open {
			if at.Sub(r.last) > 2*runGap || at.Sub(Time(r.messages[0].TS)) > runLong {
				closed = append(closed, r)
			} else {
				still = append(still, r)
			}
		}
		open = still
		who := cmp.Or(m.User, m.BotID, m.Name)
		names := thingsIn(m)
		var best *run
		most := 0.0
		for i, r := range open {
			if s := r.affinity(m, at, who, names, i == len(open)-1 || newest(open, r)); s > most {
				best, most = r, s
			}
		}
		if most < 1 && !m.bot() && !tense(m) && !offTopic.MatchString(m.Text) && !atOwnDesk(m) && !otherWork.MatchString(m.Text) { // nobody's: it may well be about what is burning
			for _, r := range open {
				if gap := at.Sub(r.last); (r.tense || takesOn(m)) && !r.spent && (gap < 10*time.Minute || gap < runGap && aboutWork(m)) && (most < 1 || r.last.After(best.last)) {
					best, most = r, 1
				}
			}
		}
		if best == nil || most < 1 {
			best = &run{users: map[string]time.Time{}, called: map[string]bool{}, words: map[string]int{}, tense: warm(m)}
			open = append(open, best)
		}
		best.take(m, at, who, names)
		if best.tense {
			for _, k := range ticketRE.FindAllString(m.Text, -1) {
				if k = strings.TrimSpace(k); tickets[k] == nil {
					tickets[k] = best
				}
			}
		}
	}
	closed = append(closed, open...)
	slices.SortStableFunc(closed, func(a, b *run) int { return compareTS(a.messages[0].TS, b.messages[0].TS) })
	out := make([][]Message, len(closed))
	for i, r := range closed {
		out[i] = r.messages
	}
	return out
}

// taken is the run that first named a ticket which a message names, within a month.
func taken(tickets map[string]*run, m Message, at time.Time) *run {
	if len(tickets) == 0 || m.bot() {
		return nil
	}
	for _, k := range ticketRE.FindAllString(m.Text, -1) {
		if r := tickets[strings.TrimSpace(k)]; r != nil && at.Sub(r.last) < 31*24*time.Hour {
			return r
		}
	}
	return nil
}

// aboutWork reports a message that only makes sense where something is being mended.
func aboutWork(m Message) bool {
	return strings.Contains(m.Text, "`") || takeRE.MatchString(m.Text) || ruledOut.MatchString(m.Text) || verdict(m.Text) != 0 || anyDeed.MatchString(m.Text)
}

// takesOn reports a message in which somebody takes on what was just said.
func takesOn(m Message) bool { return !m.bot() && len(m.Text) < 80 && takeRE.MatchString(m.Text) }

// atOwnDesk reports a message about somebody's own machine, and not about the
// way to it.
func atOwnDesk(m Message) bool {
	return ownDesk.MatchString(m.Text) && ownDesk.MatchString(toTheDesk.ReplaceAllString(m.Text, " "))
}

func newest(open []*run, r *run) bool {
	for _, o := range open {
		if o.last.After(r.last) {
			return false
		}
	}
	return true
}

// firstLine is the text of a message, or the title of what a bot attached,
// without decoration.
func firstLine(m Message) string {
	text := m.Text
	for _, a := range m.Attachments {
		if strings.TrimSpace(text) == "" && !a.Quoted {
			text = cmp.Or(a.Title, a.Fallback, a.Text)
		}
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimLeft(text, "*_[ :")
}

func (r *run) take(m Message, at time.Time, who string, names map[string]bool) {
	r.messages = append(r.messages, m)
	r.last = at
	r.tense = r.tense || strings.Contains(m.Text, "```") || len(r.messages) > 1 && takesOn(m)
	if !m.bot() {
		r.handled = r.handled || takeRE.MatchString(m.Text) || strings.Contains(m.Text, "`")
	} else if !r.handled && len(r.messages) > 1 && r.messages[0].bot() && alertOver.MatchString(firstLine(m)) {
		r.spent = true
	}
	r.users[who] = at
	for _, id := range mentioned(m) {
		r.called[id] = true
	}
	for n := range names {
		r.words[n]++
	}
}

// affinity is how strongly a message belongs to a run; from 1 it may join.
func (r *run) affinity(m Message, at time.Time, who string, names map[string]bool, latest bool) float64 {
	gap := at.Sub(r.last)
	s := 0.0
	if last, ok := r.users[who]; ok && at.Sub(last) < runGap {
		s += 1
	}
	for _, id := range mentioned(m) {
		if _, ok := r.users[id]; ok {
			s += 1
		}
	}
	if r.called[who] {
		s += 0.9
	}
	common := 0
	for n := range names {
		if r.words[n] > 0 {
			common++
		}
	}
	s += min(1.6, 0.7*float64(common))
	if latest {
		s += 0.35
	}
	switch {
	case gap < 5*time.Minute:
		s += 0.4
	case gap < 15*time.Minute:
		s += 0.2
	case gap > runGap:
		s -= 0.8
	}
	if r.tense && common == 0 && (!tense(m) && offTopic.MatchString(m.Text) || atOwnDesk(m)) {
		s -= 1.5
	}
	if r.tense && latest && gap < 10*time.Minute && (verdict(m.Text) != 0 || anyDeed.MatchString(m.Text) || tense(m)) {
		s += 0.6
	}
	if latest && r.tense && common == 0 && gap < 6*time.Minute && !m.bot() && len(m.Text) < 60 && !offTopic.MatchString(m.Text) {
		s += 0.3 // a short word right after
	}
	if r.tense && gap < 10*time.Minute && !m.bot() && !tense(m) && len(r.users) == 1 && r.messages[0].bot() {
		s += 0.5 // the first to answer an alert
	}
	if _, in := r.users[who]; r.spent && !in && common == 0 {
		s -= 1.5 // what comes next is something else
	}
	if !r.tense && tense(m) && common == 0 {
		s -= 0.8
	}
	if m.bot() && common > 1 {
		s += 0.5 // the alert clears
	}
	if m.bot() && common == 0 && latest && gap < 4*time.Minute && r.messages[0].bot() && len(r.users) < 3 && strings.Contains(m.Text, "<@") {
		s += 0.5 // another bot says who was called
	} else if m.bot() && common == 0 {
		s -= 0.5
	}
	return s
}

var offTopic = pattern.MustCompile(`(?i)\b(?:lunch|coffee|pizza|standup|stand-up|birthday|congrats|weekend|design|mockup|figma|roadmap|review (?:my|this|the) pr|lgtm|retro|sprint|ooo|wfh|pto|vacation|movie|game|offsite|meeting|calendar|survey|welcome|onboarding|interview|blog)\b`)

// warm reports a message that may begin an incident, or names a thing that has
// a name of its own: a service, a host.
func warm(m Message) bool {
	return tense(m) || m.bot() || kebab.MatchString(m.Text) || offNorm.MatchString(m.Text)
}

// offNorm is a figure that is set against what it should be.
var offNorm = pattern.MustCompile(`(?i)\d.*\b(?:should be|normal(?:ly)?|usual(?:ly)?|norm|expected|instead of|against|vs|baseline|average|forecast)\b`)

var kebab = pattern.MustCompile(`(?:^|[\s*(])[a-z][a-z0-9]+(?:-[a-z0-9]+)+(?:$|[\s*),.:])`)

// tense reports a message that may begin an incident.
func tense(m Message) bool {
	return hasWord(m, urgentWords)
}

var urgentWords = setOf(`error errors 5xx 500 500s 502 502s 503 503s 504 504s 401 401s 403 403s 429 429s failing fails failed failure failures timeout timeouts timing latency slow spike spiking spiked down outage refused rejected rejecting unavailable unreachable crash crashing crashed crashloop crashloopbackoff oom oomkilled oomkill stuck backlog lag lagging full expired expiring denied exhausted saturated throttled throttling stale degraded broken panic evicted elevated space unresponsive hung hanging deadlock deadlocks alert firing triggered critical sev1 sev2 sev-1 sev-2 p1 p0 incident unauthorized nxdomain servfail x509 tls certificate handshake unhealthy notready replication queue depth undelivered dead corrupt corrupted leak leaking dropping drops dropped missing can't cannot unable bouncing blank duplicates lost red paging page paged`)

func hasWord(m Message, set map[string]bool) bool {
	found := false
	eachWord(m.Text, func(w string) bool { found = set[w]; return !found })
	if found {
		return true
	}
	for _, a := range m.Attachments {
		if a.Quoted {
			continue
		}
		for _, s := range []string{a.Title, a.Pretext, a.Text, a.Fallback} {
			eachWord(s, func(w string) bool { found = set[w]; return !found })
			if found {
				return true
			}
		}
	}
	return false
}

// eachWord calls f with lower-cased words until it returns false.
func eachWord(s string, f func(string) bool) {
	var buf [40]byte
	n := 0
	flush := func() bool {
		if n == 0 || n > len(buf) {
			n = 0
			return true
		}
		w := string(buf[:n])
		n = 0
		return f(w)
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || (c == '-' || c == '\'') && n > 0 {
			if n < len(buf) {
				buf[n] = c
			}
			n++
			continue
		}
		if !flush() {
			return
		}
	}
	flush()
}

var mentionID = pattern.MustCompile(`<@([UW][A-Z0-9]+)`)

func mentioned(m Message) []string {
	if !strings.Contains(m.Text, "<@") {
		return nil
	}
	var out []string
	for _, g := range mentionID.FindAllStringSubmatch(m.Text, -1) {
		out = append(out, g[1])
	}
	return out
}

// thingsIn are names that tell one topic from another: what has a hyphen, a
// digit, an underscore or capitals inside, and rarer longer words.
func thingsIn(m Message) map[string]bool {
	out := map[string]bool{}
	text := m.Text
	for _, a := range m.Attachments {
		if !a.Quoted {
			text += " " + a.Title + " " + a.Text
		}
	}
	for _, w := range strings.FieldsFunc(clip(text, 4000), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}) {
		w = strings.Trim(strings.ToLower(w), "-_.")
		if len(w) < 3 || empty[w] {
			continue
		}
		if strings.ContainsAny(w, "-_") || len(w) >= 5 && !chatter[w] {
			out[stem(w)] = true
		}
	}
	return out
}

var chatter = setOf(`thanks thank please looks looking going there where which would could should about again after before right really think still today tomorrow yesterday minutes minute seconds hours morning everyone someone anyone something anything nothing maybe probably actually great sounds never always other another first second every these those their since until without within around because better worse getting having doing being error errors check checking checked update works working worked fixed start started service services issue issues problem problems alert alerts incident production normal`)
