package thread

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"prunella/thread/pattern"
)

// Draft is a skill file to be, or a change to one.
type Draft struct {
	Name        string         `json:"name"`
	Title       string         `json:"title"`
	Description string         `json:"description"`
	Category    string         `json:"category"`
	Version     string         `json:"version"` // "1.0.0-draft"
	Owners      []string       `json:"owners"`
	Of          *Known         `json:"of,omitempty"` // the skill that this would change
	From        []Extraction   `json:"-"`            // newest first
	Sections    []DraftSection `json:"sections"`
	Changes     []string       `json:"changes,omitempty"` // what is proposed to change in Of, one sentence each
}

// DraftSection is a section of the file in order. Of a change, it is what is
// added at the end of that section.
type DraftSection struct {
	Name   string        `json:"name"` // "Symptoms"
	Budget time.Duration `json:"budget,omitempty"`
	Lines  []DraftLine   `json:"lines"`
}

// Kinds of a DraftLine.
const (
	LineItem = "item"
	LineStep = "step" // numbered
	LineText = "text" // a paragraph
	LineCode = "code" // a fence, below the step before it
)

// DraftLine is one item, step, paragraph or fence, with where it comes from.
type DraftLine struct {
	Text    string   `json:"text"`
	Kind    string   `json:"kind"` // item | step | text | code
	Lang    string   `json:"lang,omitempty"`
	Sources []Source `json:"sources,omitempty"`
}

// Drafts makes one draft for each failure: of all conversations about it, or as
// a change to the skill that it was seen with before. A known skill that holds
// all of its conversations already gets none.
func Drafts(extractions []Extraction, known []Known) []Draft {
	families := map[string][]Extraction{}
	var order []string
	for _, x := range extractions {
		key := cmp.Or(x.RecurrenceOf, x.Key())
		if families[key] == nil {
			order = append(order, key)
		}
		families[key] = append(families[key], x)
	}
	taken := map[string]bool{}
	for _, k := range known {
		taken[k.Name] = true
	}
	var out []Draft
	for _, key := range order {
		list := families[key]
		slices.Reverse(list)
		if name, ok := strings.CutPrefix(key, "skills/"); ok {
			if i := slices.IndexFunc(known, func(k Known) bool { return k.Name == name }); i >= 0 {
				if d, ok := change(known[i], list); ok {
					out = append(out, d)
				}
				continue
			}
		}
		d := fresh(list)
		for n := 2; taken[d.Name]; n++ {
			d.Name = fmt.Sprintf("%s-%d", strings.TrimRight(clip(nameOf(list[0]), 58), "-…"), n)
		}
		taken[d.Name] = true
		out = append(out, d)
	}
	return out
}

// fresh drafts a new skill. The newest conversation tells it; the others add
// what it lacks.
func fresh(list []Extraction) Draft {
	x := list[0]
	d := Draft{Name: nameOf(x), Title: x.Title, Category: category(x), Version: "1.0.0-draft", From: list}
	for _, e := range list {
		for _, o := range e.Owners {
			if !slices.Contains(d.Owners, o) && len(d.Owners) < 4 {
				d.Owners = append(d.Owners, o)
			}
		}
	}
	d.Description = "Use when " + lowerFirst(x.Title)
	if len(x.Codes) > 0 {
		d.Description += " (" + strings.Join(x.Codes[:min(4, len(x.Codes))], ", ") + ")"
	}
	d.Description = clip(strings.ReplaceAll(d.Description, "---", "–"), 1000) + ". Drafted from " + plural(len(list), "conversation") + "."
	d.Sections = []DraftSection{symptoms(list), diagnosis(x), resolution(list), escalation(d.Owners, list), recurs(x, list), followUps(list), d.source(), seeAlso(d)}
	d.Sections = slices.DeleteFunc(d.Sections, func(s DraftSection) bool { return len(s.Lines) == 0 })
	return d
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func lowerFirst(s string) string {
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

var slugWord = pattern.MustCompile(`[a-z0-9]+`)

// nameOf makes a file name from what failed.
func nameOf(x Extraction) string {
	var words []string
	put := func(text string) {
		for _, w := range slugWord.FindAllString(strings.ToLower(text), -1) {
			if len(words) < 6 && !empty[w] && len(w) > 1 && !slices.Contains(words, w) && !slugNoise[w] && !allDigits(w) {
				words = append(words, w)
			}
		}
	}
	if len(x.Services) > 0 {
		put(x.Services[0])
	}
	put(variable.ReplaceAllStringFunc(x.Title, func(m string) string {
		if codeRE.MatchString(m) {
			return m
		}
		return " "
	}))
	for _, c := range x.Codes {
		if len(words) < 3 {
			put(c)
		}
	}
	name := strings.Join(words, "-")
	if name == "" {
		name = "incident-" + x.Started.Format(time.DateOnly)
	}
	return strings.Trim(clip(name, 58), "-…")
}

func allDigits(w string) bool { return len(digits(w)) == len(w) && len(w) != 3 }

var slugNoise = setOf(`firing alerting alert utc way am pm since around about roughly suddenly started seeing baseline requests request return returns burst minute minutes min https http com www customers users users'`)

// category is a rough guess, for the list of skills.
func category(x Extraction) string {
	text := strings.ToLower(x.Title + " " + strings.Join(x.Codes, " "))
	for _, s := range x.Diagnosis {
		text += " " + strings.ToLower(s.Text)
	}
	best, most := "engineering", 0
	for _, c := range categories {
		if n := len(c.re.FindAllString(text, -1)); n > most {
			best, most = c.name, n
		}
	}
	return best
}

var categories = []struct {
	name string
	re   *pattern.Pattern
}{
	{"security", pattern.MustCompile(`\b(?:401|403|auth\w*|jwt|jwks|token|cert\w*|tls|x509|oidc|login|permission|iam)\b`)},
	{"database", pattern.MustCompile(`\b(?:postgres\w*|mysql|db|database|replica\w*|sql|deadlock\w*|vacuum|wal|mongo\w*|connection pool|pgbouncer)\b`)},
	{"storage", pattern.MustCompile(`\b(?:disk|inode\w*|volume|space|s3|nfs|filesystem|enospc)\b`)},
	{"network", pattern.MustCompile(`\b(?:dns|nxdomain|servfail|network|packet|firewall|load ?balancer|route\w*|vpn|cdn|bgp)\b`)},
	{"messaging", pattern.MustCompile(`\b(?:queue\w*|kafka|rabbit\w*|consumer\w*|lag|topic|sqs|nats|broker\w*)\b`)},
	{"kubernetes", pattern.MustCompile(`\b(?:pod\w*|node\w*|oomkilled|crashloop\w*|kubelet|evict\w*|deployment|hpa)\b`)},
	{"release", pattern.MustCompile(`\b(?:deploy\w*|release\w*|rollback|migration|feature flag|regression|version)\b`)},
}

func symptoms(list []Extraction) DraftSection {
	s := DraftSection{Name: "Symptoms"}
	seen := map[string]bool{}
	for _, x := range list {
		for _, one := range x.Symptoms {
			if k := mask(one.Text); !seen[k] && len(s.Lines) < 12 {
				seen[k] = true
				s.Lines = append(s.Lines, item(one))
			}
		}
	}
	if len(s.Lines) == 0 {
		s.Lines = append(s.Lines, DraftLine{Text: "Nobody wrote down what was seen.", Kind: LineText})
	}
	if b := signals(list); b != "" {
		s.Lines = append(s.Lines, DraftLine{Text: b, Kind: LineCode, Lang: "signal"})
	}
	return s
}

func item(s Sentence) DraftLine {
	return DraftLine{Text: s.Text, Kind: LineItem, Sources: []Source{s.Source}}
}

var quotedError = pattern.MustCompile("`([^`]{8,120})`")

// signals suggests what to look for in logs: the parts of log lines and of
// quoted messages that do not change.
func signals(list []Extraction) string {
	var phrases []string
	put := func(text string) {
		best := ""
		for _, part := range strings.Split(variable.ReplaceAllString(logHead.ReplaceAllString(text, ""), "\x00"), "\x00") {
			part = strings.Trim(part, " '\"`,;:=()[]{}<>-*.|")
			if len(part) > len(best) && strings.Contains(part, " ") {
				best = part
			}
		}
		best = strings.ToLower(strings.Join(strings.Fields(strings.Trim(clip(best, 80), "…")), " "))
		if len(best) >= 10 && !strings.ContainsAny(best, "\"\\") && !strings.Contains(best, redacted) && !slices.Contains(phrases, best) && len(phrases) < 5 {
			phrases = append(phrases, best)
		}
	}
	for _, x := range list {
		for _, l := range x.Logs {
			put(l.Text)
		}
		for _, s := range append(slices.Clone(x.Symptoms), x.Diagnosis...) {
			for _, m := range quotedError.FindAllStringSubmatch(s.Text, -1) {
				if _, isCode := inline(m[1], "", ""); !isCode && failing.MatchString(m[1]) {
					put(m[1])
				}
			}
		}
	}
	if len(phrases) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("- id: log-text\n  kind: log\n  any:\n")
	for _, p := range phrases {
		fmt.Fprintf(&b, "    - %q\n", p)
	}
	b.WriteString("  weight: 2")
	return b.String()
}

var logHead = pattern.MustCompile(`^(?:\S*\d[\d:.TZ/-]+\S*\s+)*(?:\[?(?:ERROR|WARN(?:ING)?|INFO|FATAL|CRITICAL|PANIC|LOG|E)\]?[: ]+)?(?:\[[^\]]*\]\s*)*`)

func diagnosis(x Extraction) DraftSection {
	s := DraftSection{Name: "Diagnosis", Budget: budget(x.Diagnosed.Sub(x.Started))}
	used := map[string]bool{}
	code := func(ts string) {
		for _, c := range slices.Concat(x.Commands, x.Queries) {
			if c.Source.TS == ts && !used[c.Text] && !(snippet{c.Text, c.Lang, c.Kind}).changes() {
				used[c.Text] = true
				s.Lines = append(s.Lines, DraftLine{Text: c.Text, Kind: LineCode, Lang: c.Lang, Sources: []Source{c.Source}})
			}
		}
	}
	for _, one := range x.RuledOut {
		s.Lines = append(s.Lines, DraftLine{Text: "**Rule out**: " + one.Text, Kind: LineStep, Sources: []Source{one.Source}})
		code(one.Source.TS)
	}
	for _, one := range x.Diagnosis {
		s.Lines = append(s.Lines, DraftLine{Text: one.Text, Kind: LineStep, Sources: []Source{one.Source}})
		code(one.Source.TS)
	}
	for _, c := range slices.Concat(x.Commands, x.Queries) {
		if !used[c.Text] && !(snippet{c.Text, c.Lang, c.Kind}).changes() && (x.Fixed.IsZero() || Time(c.Source.TS).Before(x.Fixed)) {
			s.Lines = append(s.Lines, DraftLine{Text: "Look:", Kind: LineStep, Sources: []Source{c.Source}})
			code(c.Source.TS)
		}
	}
	if len(s.Lines) == 0 {
		s.Lines = append(s.Lines, DraftLine{Text: "The conversation does not say how the cause was found.", Kind: LineText})
	}
	return s
}

// budget is a round time for a section's heading, from how long it took.
func budget(took time.Duration) time.Duration {
	if took <= 0 || took > 6*time.Hour {
		return 0
	}
	for _, b := range []time.Duration{3, 5, 10, 15, 20, 30, 45, 60} {
		if took <= b*time.Minute {
			return b * time.Minute
		}
	}
	return 60 * time.Minute
}

func resolution(list []Extraction) DraftSection {
	x := list[0]
	s := DraftSection{Name: "Resolution", Budget: budget(x.Resolved.Sub(x.Fixed))}
	seen := map[string]bool{}
	step := func(a Attempt, note string) {
		s.Lines = append(s.Lines, DraftLine{Text: upperFirst(a.Text) + note, Kind: LineStep, Sources: a.Sources[:1]})
		for _, c := range a.Commands {
			seen[c.Text] = true
			s.Lines = append(s.Lines, DraftLine{Text: c.Text, Kind: LineCode, Lang: c.Lang, Sources: []Source{c.Source}})
		}
	}
	worked := false
	for _, a := range x.Tried {
		if a.Outcome == Worked {
			worked = true
			step(a, "")
		} else if a.Outcome == Unclear && worked && len(a.Commands) > 0 {
			step(a, " (what it did, nobody said)")
		}
	}
	for _, old := range list[1:] {
		for _, i := range old.Worked {
			a := old.Tried[i]
			if len(a.Commands) > 0 && !slices.ContainsFunc(a.Commands, func(c Command) bool { return seen[c.Text] }) {
				step(a, " (worked on "+old.Started.Format(time.DateOnly)+")")
			}
		}
	}
	if !worked {
		s.Lines = append(s.Lines, DraftLine{Text: "The conversation does not say what worked.", Kind: LineText})
	}
	for _, v := range x.Verification[:min(3, len(x.Verification))] {
		s.Lines = append(s.Lines, DraftLine{Text: "**Verify**: " + v.Text, Kind: LineStep, Sources: []Source{v.Source}})
	}
	first := true
	for _, e := range list {
		for _, a := range e.Tried {
			if a.Outcome != Failed {
				continue
			}
			if first {
				s.Lines = append(s.Lines, DraftLine{Text: "Tried without success:", Kind: LineText})
				first = false
			}
			s.Lines = append(s.Lines, DraftLine{Text: upperFirst(a.Text) + ": " + strings.TrimLeft(a.Why, " ,–—-"), Kind: LineItem, Sources: a.Sources})
		}
	}
	return s
}

func upperFirst(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func escalation(owners []string, list []Extraction) DraftSection {
	s := DraftSection{Name: "Escalation"}
	if len(owners) > 0 {
		s.Lines = append(s.Lines, DraftLine{Text: "**Primary**: `" + owners[0] + "`", Kind: LineItem})
	}
	for _, x := range list {
		for _, e := range x.Escalation {
			s.Lines = append(s.Lines, item(e))
		}
	}
	if len(s.Lines) == 0 {
		s.Lines = append(s.Lines, DraftLine{Text: "The conversation names nobody to call.", Kind: LineText})
	}
	return s
}

func recurs(x Extraction, list []Extraction) DraftSection {
	s := DraftSection{Name: "Why this keeps happening"}
	if x.Occurrence > 1 {
		s.Lines = append(s.Lines, DraftLine{Text: fmt.Sprintf("This was occurrence %d (first: **%s**).", x.Occurrence, x.FirstSeen.Format(time.DateOnly)), Kind: LineText})
	}
	for _, e := range list {
		for _, r := range e.Recurs {
			s.Lines = append(s.Lines, item(r))
		}
	}
	return s
}

func followUps(list []Extraction) DraftSection {
	s := DraftSection{Name: "Prevention follow-ups"}
	for _, x := range list {
		for _, f := range x.FollowUps {
			mark, state := "[ ] ", "open since "
			if f.Done {
				mark, state = "[x] ", "done "
			}
			text := mark + f.Text + " (" + state + f.Since.Format(time.DateOnly)
			if f.Owner != "" && !strings.Contains(f.Text, f.Owner) {
				text += ", " + f.Owner
			}
			s.Lines = append(s.Lines, DraftLine{Text: text + ")", Kind: LineItem, Sources: []Source{f.Source}})
		}
	}
	return s
}

func (d Draft) source() DraftSection {
	s := DraftSection{Name: "Source"}
	for _, x := range d.From {
		text := fmt.Sprintf("`#%s` on **%s**", x.Channel, x.Started.Format("2006-01-02 15:04"))
		if !x.Resolved.IsZero() {
			text += "–" + x.Resolved.Format("15:04")
		}
		text += " UTC, " + plural(len(x.Messages), "message")
		if took := x.Resolved.Sub(x.Started); !x.Resolved.IsZero() && took > 0 {
			text += ", over in " + took.Round(time.Minute).String()
		}
		if x.Missing > 0 {
			text += fmt.Sprintf(" (%d replies are missing in the export)", x.Missing)
		}
		s.Lines = append(s.Lines, DraftLine{Text: strings.ReplaceAll(text, "m0s", "m"), Kind: LineItem, Sources: x.Messages[:1]})
	}
	if day := d.lacking(); day != "" {
		s.Lines = append(s.Lines, DraftLine{Text: "An earlier conversation of **" + day + "** is referred to and is not in the archive.", Kind: LineItem})
	}
	return s
}

// lacking is the day of a conversation that people refer to and that is neither
// among those of the draft nor in the skill that it changes, "" when there is none.
func (d Draft) lacking() string {
	x := d.From[len(d.From)-1]
	if x.Occurrence < 2 || !x.FirstSeen.Before(x.Started.Add(-24*time.Hour)) {
		return ""
	}
	day := x.FirstSeen.Format(time.DateOnly)
	if d.Of != nil && strings.Contains(d.Of.Text, day) {
		return ""
	}
	return day
}

// seeAlso links the owners' pages; WriteDraft leaves out those that do not exist.
func seeAlso(d Draft) DraftSection {
	s := DraftSection{Name: "See also"}
	for i, o := range d.Owners {
		what := "took part in it"
		if i == 0 {
			what = "owner"
		}
		s.Lines = append(s.Lines, DraftLine{Text: "[[people/" + strings.TrimPrefix(o, "@") + "]]: " + what, Kind: LineItem})
	}
	return s
}
