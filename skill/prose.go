package skill

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Item is a bullet, a numbered step, a table row or, where a section has none
// of these, a paragraph. What is nested below it belongs to it.
type Item struct {
	Text   string // without the marker and the check box, white space folded
	Marker string // "-", "1.", "|" for a row, "" for a paragraph
	Box    string // "x", " " or "" without a check box
	Head   string // of a row: the header of its table, "" without one
	Line   int    // in the file
}

var (
	itemPattern  = regexp.MustCompile(`^( {0,3})([-*+•]|\d{1,9}[.)])(?:[ \t]+|$)(.*)$`)
	boxPattern   = regexp.MustCompile(`^\[([ xX])\]\s+`)
	rowPattern   = regexp.MustCompile(`^\s*\|.*\|\s*$`)
	rulesPattern = regexp.MustCompile(`^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)+\|?\s*$`) // of a table that may have no | around it
	rulePattern  = regexp.MustCompile(`^[\s|:+-]+$`)
	fencePattern = regexp.MustCompile("^\\s*(`{3,}|~{3,})")
)

// Items returns the items of a part of the file, in order; headings below it
// end an item and are none themselves.
func (d *Document) Items(part Span) []Item {
	var lists, paragraphs []Item
	var current *Item
	add := func(to *[]Item, i Item) {
		*to = append(*to, i)
		current = &(*to)[len(*to)-1]
	}
	first, _ := d.position(part.Start)
	fence, head, blank, margin, table := "", "", true, 0, false
	all := strings.Split(strings.TrimSuffix(d.Text(part), "\n"), "\n")
	for n, line := range all {
		line = strings.TrimSuffix(line, "\r")
		table = strings.Contains(line, "|") && (table || n+1 < len(all) && rulesPattern.MatchString(strings.TrimSuffix(all[n+1], "\r")))
		if m := fencePattern.FindStringSubmatch(line); m != nil && (fence == "" || strings.HasPrefix(m[1], fence)) {
			if fence == "" {
				fence = m[1]
			} else {
				fence = ""
			}
			continue
		}
		text := strings.TrimSpace(line)
		switch m := itemPattern.FindStringSubmatch(line); {
		case fence != "":
		case text == "":
			blank = true
			continue
		case strings.HasPrefix(text, "#") && strings.HasPrefix(strings.TrimLeft(text, "#"), " "):
			current, head = nil, ""
		case m != nil && (len(m[1]) < margin+2 || current == nil):
			margin = len(m[1])
			i := Item{Text: m[3], Marker: m[2], Line: first + n}
			if b := boxPattern.FindStringSubmatch(i.Text); b != nil {
				i.Box, i.Text = strings.ToLower(b[1]), i.Text[len(b[0]):]
			}
			add(&lists, i)
		case rowPattern.MatchString(line) || table:
			if rulePattern.MatchString(line) {
				if len(lists) > 0 && lists[len(lists)-1].Marker == "|" {
					head = lists[len(lists)-1].Text // what stood above
					lists = lists[:len(lists)-1]
				}
			} else {
				add(&lists, Item{Text: text, Marker: "|", Head: head, Line: first + n})
			}
			current = nil
		case current != nil && (!blank || strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "\t")):
			current.Text += " " + text
		default:
			add(&paragraphs, Item{Text: text, Line: first + n})
		}
		blank = false
	}
	if len(lists) == 0 {
		lists = paragraphs
	}
	for i := range lists {
		lists[i].Text = strings.Join(strings.Fields(lists[i].Text), " ")
	}
	return lists
}

// itemsOf are the items of all sections that the format knows by that name.
func (d *Document) itemsOf(name string) []Item {
	var out []Item
	for _, s := range d.Sections {
		if s.known == name {
			out = append(out, d.Items(s.Body)...)
		}
	}
	return out
}

var stepHeading = regexp.MustCompile(`(?i)^#{3,6}\s+(?:step\s+)?\d+(?:\.\d+)*\s*[.):–—-]?\s+(.*?)[ #]*$`)

// StepsOf are the texts of the steps in the sections of that name: numbered
// items, or else sub-headings with a number, or else bullets.
func (d *Document) StepsOf(name string) []string {
	out := []string{}
	for _, s := range d.Steps {
		if SectionNamed(s.Section) == name {
			out = append(out, strings.Join(strings.Fields(s.Text), " "))
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, s := range d.Sections {
		if s.known != name {
			continue
		}
		for _, line := range strings.Split(d.withoutBlocks(s.Body), "\n") {
			if m := stepHeading.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
				out = append(out, m[1])
			}
		}
	}
	if len(out) == 0 {
		out = d.spokenSteps(name)
	}
	if len(out) > 0 {
		return out
	}
	for _, i := range d.itemsOf(name) {
		if i.Marker != "" && i.Marker != "|" {
			out = append(out, i.Text)
		}
	}
	return out
}

// keycaps are the numbers that people write as one letter.
var keycaps = func() *strings.Replacer {
	var pairs []string
	for n := 1; n <= 20; n++ {
		number := strconv.Itoa(n)
		if n < 10 {
			pairs = append(pairs, number+"\uFE0F\u20E3", number+". ", number+"\u20E3", number+". ")
		}
		pairs = append(pairs, string(rune('①'+n-1)), number+". ")
	}
	return strings.NewReplacer(append(pairs, "🔟", "10. ")...)
}()

var spokenStep = regexp.MustCompile(`^ {0,3}(?:[-*+•]\s+)?(?:\*\*|__)?(?:(?:(?i:step)\s+|\(?)(\d{1,2})|\(?([A-Za-z]))(?:\s*[.):]{1,2}|\s+[–—-])(?:\*\*|__)?:?\s+(\S.*)$`)

// spokenSteps are the steps of sections whose lines count them in words or by
// letters: Step 1:, a), A. They count from the first on, without a gap.
func (d *Document) spokenSteps(name string) []string {
	out := []string{}
	for _, s := range d.Sections {
		if s.known != name {
			continue
		}
		var steps []string
		goesOn := false
		for _, line := range strings.Split(d.withoutBlocks(s.Body), "\n") {
			text := strings.TrimSpace(line)
			m := spokenStep.FindStringSubmatch(keycaps.Replace(strings.TrimRight(line, "\r")))
			switch {
			case m != nil && (m[1] != "" && m[1] == strconv.Itoa(len(steps)+1) || m[2] != "" && int(m[2][0]|0x20-'a') == len(steps)):
				steps, goesOn = append(steps, m[3]), true
			case text == "" || fencePattern.MatchString(line):
				goesOn = false
			case goesOn:
				steps[len(steps)-1] += " " + text
			}
		}
		if len(steps) > 1 {
			out = append(out, steps...)
		}
	}
	for i := range out {
		out[i] = strings.Join(strings.Fields(out[i]), " ")
	}
	return out
}

// withoutBlocks is a part of the file with its fenced blocks blanked out, so
// that places stay what they are.
func (d *Document) withoutBlocks(part Span) string {
	text := []byte(d.Text(part))
	for _, b := range d.Blocks {
		for i := max(b.Content.Start, part.Start); i < min(b.Content.Stop, part.Stop); i++ {
			if c := &text[i-part.Start]; *c != '\n' {
				*c = ' '
			}
		}
	}
	return string(text)
}

// Contact is whom to call, and when, as the prose says it.
type Contact struct {
	To      string   `json:"to"`             // "@sam", "people/sam", "#channel", "vendor support"; "" when the text names nobody
	Also    []string `json:"also,omitempty"` // further ones in the same sentence
	When    string   `json:"when"`           // the condition, "" for always
	Primary bool     `json:"primary,omitempty"`
	Text    string   `json:"text"` // the whole item
	Line    int      `json:"line"`
}

var (
	mention     = regexp.MustCompile(`(?:^|[^\p{L}\p{N}_@./])(@[\p{L}\p{N}](?:[\p{L}\p{N}_.-]*[\p{L}\p{N}_])?)|\[\[((?:people|companies)/[^\]|#]+)[^\]]*\]\]|(?:^|\s|` + "`" + `|\()(#\p{L}[\p{L}\p{N}_-]+)|\[~([^\]\s]+)\]|\b([\w.+-]+@[\w-]+\.[\w.-]*\w)`)
	calls       = regexp.MustCompile(`(?i)\b(?:escalate(?:s|d)?(?: it| this)? to|page|call|contact|notify|ping|inform|involve|engage|alert(?:\s+the)?|reach out to|hand (?:it |this )?over to|open an? (?:ticket|case|issue)(?: with| for| at| in)|raise an? (?:ticket|case|issue)(?: with| for| at| in))\s+(?:the\s+)?([^.,;:()→]+)`)
	label       = regexp.MustCompile(`^(?:\*\*|__)(.+?)(?:\*\*|__)\s*(?::|→|->|=>|–|—|-)?\s*(.*)$|^([^:→.]{2,80}?)\s*(?::\s|→|->|=>|\s[–—]\s)\s*(.*)$`)
	ifLeading   = regexp.MustCompile(`(?i)^(?:if|when|whenever|in case|after|once|unless|for)\b\s*(.*)$`)
	ifSentence  = regexp.MustCompile(`(?i)^((?:if|when|whenever|in case|after|once|unless)\b[^,;:→]*?)\s*(?:,|:|→|->|=>|;|\s[–—]\s|\bthen\b)\s*`)
	ifTrailing  = regexp.MustCompile(`(?i)[\s,(]((?:if|when|whenever|in case|unless)\s+[^.;)]+)[.;)]*$`)
	primaryWord = regexp.MustCompile(`(?i)^(?:the\s+)?(?:primary|first(?:\s+(?:line|call|contact|responder))?|l1|level 1|tier 1|1st|owner)\b`)
	primaryLast = regexp.MustCompile(`(?i)\((?:the\s+)?(?:primary|first(?:\s+(?:line|call|contact|responder))?|l1|level 1|tier 1|1st)\)[\s.]*$`)
	emphasis    = strings.NewReplacer("**", "", "__", "", "`", "")
)

// Contacts reads the sections about escalation.
func (d *Document) Contacts() []Contact {
	out := []Contact{}
	for _, i := range bySentence(d.itemsOf(Escalation)) {
		c := Contact{Text: i.Text, Line: i.Line}
		rest := i.Text
		if i.Marker == "|" {
			c.row(i)
			out = append(out, c)
			continue
		}
		if m := label.FindStringSubmatch(i.Text); m != nil {
			head := strings.TrimRight(emphasis.Replace(m[1]+m[3]), ": ")
			c.head(head)
			rest = m[2] + m[4]
			if !c.Primary && c.When == "" && len(targets(head)) > 0 {
				rest = i.Text
			}
		}
		if m := ifSentence.FindStringSubmatch(rest); m != nil && c.When == "" {
			c.When = spoken(m[1])
		}
		c.targets(rest)
		if c.To == "" && rest != i.Text {
			c.named(i.Text, rest)
		}
		c.Primary = c.Primary || primaryLast.MatchString(rest)
		if m := ifTrailing.FindStringSubmatch(rest); m != nil && c.When == "" {
			c.When = spoken(m[1])
		}
		if c.To == "" {
			if c.targets(i.Text); c.To == "" && c.Primary {
				c.To = strings.TrimSpace(emphasis.Replace(rest))
			}
		}
		out = append(out, c)
	}
	return out
}

// head reads what stands before the colon: a condition, a rank, or a name.
func (c *Contact) head(text string) {
	if m := ifLeading.FindStringSubmatch(text); m != nil {
		c.When = spoken(text)
	} else if primaryWord.MatchString(text) {
		c.Primary = true
	}
}

var sentenceEnd = regexp.MustCompile(`([.!?])\s+(\p{Lu})`)

// bySentence takes paragraphs apart of which several sentences name somebody.
func bySentence(items []Item) []Item {
	var out []Item
	for _, i := range items {
		parts := strings.Split(sentenceEnd.ReplaceAllString(i.Text, "$1\n$2"), "\n")
		naming := 0
		for _, part := range parts {
			if len(targets(part)) > 0 {
				naming++
			}
		}
		if i.Marker != "" || naming < 2 {
			out = append(out, i)
			continue
		}
		for _, part := range parts {
			out = append(out, Item{Text: part, Line: i.Line})
		}
	}
	return out
}

var (
	whenColumn = regexp.MustCompile(`(?i)\b(?:when|if|condition|trigger|situation|scenario|case|after|threshold)\b`)
	whomColumn = regexp.MustCompile(`(?i)\b(?:who|whom|contact|escalate to|notify|page|name|person|owner|team|call)\b`)
)

// row reads a row of a table: the cell that names somebody, and the condition,
// by the headers of the columns or by what the cells say.
func (c *Contact) row(i Item) {
	split := func(text string) []string { return strings.Split(strings.Trim(strings.TrimSpace(text), "|"), "|") }
	heads := split(i.Head)
	row := split(i.Text)
	whom := ""
	for k, cell := range row {
		cell = strings.TrimSpace(emphasis.Replace(cell))
		head := ""
		if primaryLast.MatchString(cell) {
			c.Primary, cell = true, strings.TrimSpace(primaryLast.ReplaceAllString(cell, ""))
		}
		if k < len(heads) {
			head = heads[k]
		}
		switch found := targets(cell); {
		case whenColumn.MatchString(head) && c.When == "":
			c.When = spoken(cell)
		case whomColumn.MatchString(head) && whom == "" && len(found) == 0:
			whom = cell
		case len(found) > 0 && c.To == "":
			c.To, c.Also = found[0], found[1:]
		case len(found) > 0:
			c.Also = append(c.Also, found...)
		case primaryWord.MatchString(cell):
			c.Primary = true
		case ifLeading.MatchString(cell) && c.When == "":
			c.When = spoken(cell)
		case k == 0:
		case c.To == "" && k == len(row)-1:
			c.To = cell
		}
	}
	if whom != "" {
		if primaryWord.MatchString(whom) {
			c.Primary = true
		} else if c.To != "" && !strings.HasPrefix(c.To, "@") {
			c.To, c.Also = whom, append([]string{c.To}, c.Also...)
		} else if c.To == "" {
			c.To = whom
		}
	}
}

func spoken(text string) string {
	text = strings.TrimSpace(emphasis.Replace(text))
	if strings.EqualFold(text, "always") {
		return ""
	}
	for _, word := range []string{"if ", "when ", "whenever ", "in case "} {
		if len(text) > len(word) && strings.EqualFold(text[:len(word)], word) {
			return strings.TrimSpace(text[len(word):])
		}
	}
	return text
}

func (c *Contact) targets(text string) {
	if found := targets(text); len(found) > 0 {
		c.To, c.Also = found[0], found[1:]
		return
	}
	if m := calls.FindAllStringSubmatch(emphasis.Replace(text), -1); len(m) > 0 {
		to := m[len(m)-1][1]
		if at := ifTrailing.FindStringIndex(to); at != nil {
			to = to[:at[0]]
		}
		c.To = strings.TrimSpace(to)
	}
}

var (
	reached = regexp.MustCompile(`^(?:https?://\S+|tel:|\+?\d[\d ()/.-]{5,}\d)`)
	whom    = regexp.MustCompile(`(?i)^(?:the\s+)?(?:[\w&'/-]+\s+){0,4}(?:team|support|on-?call|lead|manager|engineers?|vendor|owners?|commander|director|desk|admins?|administrators?|dbas?|sres?|cto|ciso|ceo|soc|noc)\b[^.;:]{0,40}$`)
)

// named reads who stands beside an address, as in "Vendor: +1 555 0100", or
// without any below a condition, as in "If the region is down: AWS Support".
func (c *Contact) named(text, rest string) {
	rest = strings.TrimRight(strings.TrimSpace(emphasis.Replace(rest)), ".")
	switch head, _, _ := strings.Cut(emphasis.Replace(text), ":"); {
	case c.When == "" && reached.MatchString(rest) && len(strings.Fields(head)) <= 4:
		c.To, c.Also = strings.TrimSpace(head), []string{rest}
	case c.When != "" && whom.MatchString(rest):
		c.To = rest
	}
}

// targets are the people, channels and addresses that a text names.
func targets(text string) []string {
	var out []string
	for _, m := range mention.FindAllStringSubmatch(text, -1) {
		for _, s := range m[1:] {
			if s = strings.TrimSpace(s); s != "" && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}
