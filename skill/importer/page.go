package importer

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"prunella/skill"
)

// page is a page on its way to a skill file.
type page struct {
	path     string
	lines    []string // without front matter
	first    int      // number of lines[0] in the page, from 1
	code     []bool   // the line belongs to a fenced block
	lost     bool     // headings lost their #
	spaced   bool     // and stand between blank lines, all of them
	facts    facts
	unplaced []Unplaced

	title      string
	titleAdded bool            // no line of the page is its title
	stepsAdded bool            // nor a heading above its steps
	head       []string        // lines before the title, verbatim
	below      []string        // lines about the page between title and text, verbatim
	body       []string        // the text, as it will stand in the file
	restored   map[string]bool // code whose indentation is back
}

func (p *page) read(text string) {
	p.lines, p.first, p.restored = strings.Split(text, "\n"), 1, map[string]bool{}
	p.frontMatter()
	p.confluence()
	p.code = fences(p.lines)
	p.spaced = p.headingsSpaced()
	p.lost = p.spaced || p.headingsLost()
	title := p.findTitle()
	from := title + 1
	if p.titleUnderlined(title) {
		from++
	}
	start := from
	for start < len(p.lines) && !p.isHeading(start) {
		start++
	}
	if title > 0 {
		p.readHead(title)
	}
	from = p.readBelow(from, start)
	p.readBody(from)
}

// file writes the skill file.
func (p *page) file() ([]byte, error) {
	body := strings.Trim(strings.Join(p.body, "\n"), "\n") + "\n"
	if p.title != "" {
		body = "# " + p.title + "\n\n" + body
	}
	d, err := skill.Parse(p.path, []byte(body))
	if err != nil {
		return nil, err
	}
	names := d.PageNames()
	for i := len(names) - 1; i >= 0; i-- {
		at := names[i]
		body = body[:at.Start] + "[[" + body[at.Start:at.Stop] + "]]" + body[at.Stop:]
	}
	p.facts.fromSections(d)
	symptom := ""
	if s, ok := d.Section(skill.Symptoms); ok {
		symptom = firstSentence(d.Items(s.Body))
	}
	return []byte(p.frontPart(symptom) + "\n" + body), nil
}

func (p *page) frontPart(symptom string) string {
	f := &p.facts
	name := f.name
	for _, candidate := range []string{slug(p.title), slug(fileName(p.path)), "imported-page"} {
		if !skill.ValidName(name) {
			name = candidate
		}
	}
	added := ""
	if p.titleAdded {
		added = "added"
	}
	pairs := []skill.Pair{{Key: "category", Value: f.category}, {Key: "trigger", Value: f.trigger}, {Key: "version", Value: f.version()},
		{Key: "claimed-confidence", Value: f.values["claimed-confidence"]}, {Key: "last-verified", Value: f.lastVerified()},
		{Key: "owners", Value: strings.Join(f.owners, ", ")}, {Key: "extracted-from", Value: strings.Join(f.sources, "; ")}}
	for _, key := range f.order {
		pairs = append(pairs, skill.Pair{Key: key, Value: f.values[key]})
	}
	steps := ""
	if p.stepsAdded {
		steps = "added"
	}
	pairs = append(pairs, skill.Pair{Key: "page-title", Value: added}, skill.Pair{Key: "page-steps", Value: steps}, skill.Pair{Key: "page-head", Value: verbatim(p.head)},
		skill.Pair{Key: "page-facts", Value: verbatim(p.below)})
	return skill.FrontMatter(name, describe(p.title, f.trigger, symptom), pairs)
}

func verbatim(lines []string) string {
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// describe writes the description: when to use the skill.
func describe(title, trigger, symptom string) string {
	trigger = strings.Join(strings.Fields(trigger), " ")
	if trigger == "" {
		trigger = strings.TrimSpace("Use for: " + title + ". " + symptom)
	}
	if !strings.Contains(trigger, " ") || len(strings.Fields(title)) == 1 && len(title) > 8 && !strings.Contains(trigger, title) {
		trigger = title + ": " + trigger
	}
	if r := []rune(trigger); len(r) > 1024 {
		trigger = string(r[:1023]) + "…"
	}
	return trigger
}

// Text gives back what an imported page said, word for word and in its order:
// what stood around the text, then the text. Of any other skill file it is the
// text without front matter.
func Text(d *skill.Document) string {
	body := d.Text(d.Body())
	head, _ := d.Meta("page-head")
	below, _ := d.Meta("page-facts")
	added, _ := d.Meta("page-title")
	lines := strings.SplitAfter(strings.TrimLeft(body, "\r\n"), "\n")
	var b strings.Builder
	if head != "" {
		b.WriteString(head + "\n")
	}
	if d.Title != "" && added == "" && len(lines) > 0 {
		b.WriteString(lines[0])
	}
	if below != "" {
		b.WriteString("\n" + below + "\n")
	}
	if d.Title != "" && len(lines) > 0 {
		lines = lines[1:]
	}
	text := strings.Join(lines, "")
	if steps, _ := d.Meta("page-steps"); steps != "" {
		text = strings.Replace(text, stepsHeading+"\n", "", 1)
	}
	b.WriteString(text)
	return b.String()
}

// headingsLost tells whether known headings stand as bare lines.
func (p *page) headingsLost() bool {
	bare, marked, known := 0, 0, false
	for i, line := range p.lines {
		switch {
		case p.code[i]:
		case p.underlined(i) > 0:
			marked++
		case bareHeading(line) != "":
			bare++
			known = known || skill.SectionNamed(bareHeading(line)) != ""
		default:
			if level, text := hash(line); level >= 2 && text != "" {
				marked++
			}
		}
	}
	return known && bare >= 2 && bare > marked
}

// headingsSpaced tells whether the page has no heading but lines in title case
// between blank lines, known ones among them, as text copied out of a web
// application has.
func (p *page) headingsSpaced() bool {
	spaced, known := 0, 0
	for i, line := range p.lines {
		if level, text := hash(line); level > 0 && text != "" || p.code[i] || p.underlined(i) > 0 {
			return false
		}
		if text := p.spacedHeading(i); text != "" {
			spaced++
			if skill.SectionNamed(text) != "" {
				known++
			}
		} else if next := p.next(i); next == i+1 && known == 0 && skill.SectionNamed(bareHeading(line)) != "" && i > 0 && strings.TrimSpace(p.lines[i-1]) == "" {
			return false // a known heading with its text right below
		}
	}
	return spaced >= 3 && known > 0
}

// spacedHeading is the text of a line in title case that stands alone above
// text, "" for any other.
func (p *page) spacedHeading(i int) string {
	text := strings.TrimSpace(p.lines[i])
	next := p.next(i)
	switch {
	case text == "" || len(text) > 70 || p.code[i] || i == 0 || strings.TrimSpace(p.lines[i-1]) != "" || next <= i+1:
		return ""
	case startsBlock.MatchString(text) || strings.ContainsAny(text, "`:=/@{}<>|$") || strings.ContainsAny(text[len(text)-1:], ".,;!?\"'") || isCommand(text) || isChrome(text):
		return ""
	}
	names := strings.Fields(text)
	for _, w := range names {
		if r := []rune(strings.TrimLeft(w, "(&")); len(r) > 3 && !unicode.IsUpper(r[0]) && !unicode.IsDigit(r[0]) {
			return ""
		}
	}
	if r := []rune(text)[0]; !unicode.IsUpper(r) || len(names) > 7 {
		return ""
	}
	return text
}

// common are headings that runbooks have besides those of the format.
var common = setOf("meaning|impact|overview|summary|description|background|verification|verify|validation|rollback|rollback plan|prerequisites|preconditions|" +
	"notes|context|purpose|scope|dashboards|metrics|monitoring|alert behavior|alert behaviour|alert details|recent changes|dependencies|definitions|timeline|lessons learned|" +
	"post-checks|when to use|when to use this|introduction|architecture|services|severities|full context|example|examples|appendix|tools|access|risks|caveats|limitations")

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for _, s := range strings.Split(words, "|") {
		set[s] = true
	}
	return set
}

// bareHeading is the text of a line that has the words of a known heading and
// no # before it, "" for any other line.
func bareHeading(line string) string {
	text := strings.TrimSpace(line)
	if text == "" || len(text) > 60 || len(line)-len(strings.TrimLeft(line, " ")) > 3 {
		return ""
	}
	if strings.ContainsAny(text[:1], "-+#>|0123456789`") || strings.HasPrefix(text, "* ") {
		return ""
	}
	text = strings.TrimRight(strings.Trim(text, "*_"), ": ")
	text = strings.Trim(text, "*_")
	first, _, _ := strings.Cut(text, " ")
	if r := []rune(first); len(r) == 0 || !unicode.IsUpper(r[0]) {
		return ""
	}
	if labelKey(text) == "" && (skill.SectionNamed(text) != "" || common[strings.ToLower(text)]) {
		return text
	}
	return ""
}

// hash takes a heading written with # apart; level 0 for any other line.
func hash(line string) (level int, text string) {
	m := hashHeading.FindStringSubmatch(line)
	if m == nil {
		return 0, ""
	}
	return len(m[1]), strings.TrimSpace(m[2])
}

// underlined is the level of a heading written over === or ---, else 0.
func (p *page) underlined(i int) int {
	if i+1 >= len(p.lines) || p.code[i] || p.code[i+1] || strings.TrimSpace(p.lines[i]) == "" || p.lost {
		return 0
	}
	m := underlinePattern.FindStringSubmatch(p.lines[i+1])
	if m == nil || len(m[1]) < 3 || startsBlock.MatchString(p.lines[i]) || i > 0 && strings.TrimSpace(p.lines[i-1]) != "" {
		return 0
	}
	if m[1][0] == '=' {
		return 1
	}
	return 2
}

func (p *page) titleUnderlined(i int) bool { return i >= 0 && p.underlined(i) == 1 }

// isHeading tells whether a section begins at a line.
func (p *page) isHeading(i int) bool {
	if p.code[i] {
		return false
	}
	if p.lost {
		return p.lostHeading(i) != ""
	}
	level, text := hash(p.lines[i])
	return level > 0 && text != "" || p.underlined(i) > 0
}

// lostHeading is the text of a heading in a page that lost the # of its
// headings: a known one, or a short line that stands like one.
func (p *page) lostHeading(i int) string {
	if p.spaced {
		return p.spacedHeading(i)
	}
	line := p.lines[i]
	if level, text := hash(line); level > 0 && text != "" && !p.besideCode(i) {
		return text
	}
	if text := bareHeading(line); text != "" && p.next(i) >= 0 {
		return text
	}
	text := strings.TrimSpace(line)
	if i == 0 || i+1 >= len(p.lines) || text == "" || strings.TrimSpace(p.lines[i-1]) != "" || strings.TrimSpace(p.lines[i+1]) == "" {
		return ""
	}
	if startsBlock.MatchString(line) || len(strings.Fields(text)) > 7 || strings.ContainsAny(text, "`:=/@{}<>|$") || strings.ContainsAny(text[len(text)-1:], ".,;!?)\"'") ||
		!unicode.IsUpper([]rune(text)[0]) || isCommand(text) || labelKey(text) != "" {
		return ""
	}
	for j := i - 1; j >= 0; j-- { // only below a known heading
		if bareHeading(p.lines[j]) != "" {
			return text
		}
	}
	return ""
}

// besideCode tells a comment of a shell, #, from a heading: a command stands
// next to it.
func (p *page) besideCode(i int) bool {
	if i > 0 && (isCommand(p.lines[i-1]) || languageLine(p.lines[i-1]) != "") {
		return true
	}
	for j := i + 1; j < len(p.lines); j++ {
		if level, _ := hash(p.lines[j]); level == 0 {
			return isCommand(p.lines[j])
		}
	}
	return false
}

// next is the line after i that is not blank, -1 for none.
func (p *page) next(i int) int {
	for i++; i < len(p.lines); i++ {
		if strings.TrimSpace(p.lines[i]) != "" {
			return i
		}
	}
	return -1
}

// findTitle finds the line of the title, -1 for none, and sets the title.
func (p *page) findTitle() int {
	if p.lost {
		return p.findLostTitle()
	}
	ones, first, lowest := 0, -1, 7
	for i := range p.lines {
		if p.code[i] {
			continue
		}
		level, text := hash(p.lines[i])
		if text == "" {
			level = p.underlined(i)
		}
		if level == 0 {
			continue
		}
		if lowest = min(lowest, level); first < 0 {
			first = i
		}
		if level == 1 {
			if ones++; ones == 1 {
				first = i
			}
		}
	}
	at := -1
	if first >= 0 {
		level, text := hash(p.lines[first])
		if text == "" {
			level, text = p.underlined(first), strings.TrimSpace(p.lines[first])
		}
		section := skill.SectionNamed(text) != "" || common[strings.ToLower(text)]
		alone := true // no other heading of its level
		for i := first + 1; i < len(p.lines); i++ {
			if other, t := hash(p.lines[i]); !p.code[i] && t != "" && other <= level {
				alone = false
			}
		}
		if level == 1 && (!section || alone) || level > 1 && alone && !section && p.before(first) == 0 {
			at, p.title = first, text
		}
	}
	if at < 0 {
		p.title = p.facts.title
		if i := p.next(-1); p.title == "" && i >= 0 && !p.code[i] && titleLike(p.lines[i]) && (first < 0 || i < first) {
			at, p.title = i, strings.TrimSpace(p.lines[i])
		}
	}
	p.settleTitle(at)
	return at
}

// settleTitle makes up a title when the page has none.
func (p *page) settleTitle(at int) {
	if p.title == "" {
		p.title = strings.TrimSpace(strings.NewReplacer("-", " ", "_", " ").Replace(fileName(p.path)))
	}
	p.title = strings.TrimRight(p.title, "\\ ")
	p.titleAdded = at < 0
}

// before counts the lines before i that are not blank.
func (p *page) before(i int) int {
	n := 0
	for _, line := range p.lines[:i] {
		if strings.TrimSpace(line) != "" {
			n++
		}
	}
	return n
}

// titleLike tells whether a line could be a title.
func titleLike(line string) bool {
	text := strings.TrimSpace(line)
	return text != "" && len(text) <= 120 && len(strings.Fields(text)) <= 14 && !startsBlock.MatchString(line) && !strings.ContainsAny(text[len(text)-1:], ".,;:!?") &&
		!isCommand(text) && !isChrome(text) && !crumbs.MatchString(text) && !pagePath.MatchString(text) && labelKey(text) == "" && len(pairs(line)) == 0 && words(text) != nil
}

// findLostTitle looks before the first section: a line with #, else the last
// line that says what the page's path says, else one right before the section
// that says what the first line says, else the first that could be a title.
func (p *page) findLostTitle() int {
	start := 0
	for start < len(p.lines) && (p.code[start] || p.spaced && p.spacedHeading(start) == "" || !p.spaced && bareHeading(p.lines[start]) == "") {
		start++
	}
	if p.spaced && start < len(p.lines) && p.before(start) <= 4 && skill.SectionNamed(p.lines[start]) == "" && !common[strings.ToLower(strings.TrimSpace(p.lines[start]))] &&
		!slices.ContainsFunc(p.lines[:start], titleLike) {
		p.title = strings.TrimSpace(p.lines[start])
		p.settleTitle(start)
		return start
	}
	var candidates []int
	name, value, last := "", false, -1
	for i, line := range p.lines[:start] {
		text := strings.TrimSpace(line)
		if level, heading := hash(line); level == 1 && heading != "" && !p.besideCode(i) {
			p.title = heading
			p.settleTitle(i)
			return i
		}
		if text == "" {
			continue
		}
		last = i
		if pagePath.MatchString(text) && name == "" {
			name = fileName(text)
		}
		if titleLike(line) && !value {
			candidates = append(candidates, i)
		}
		value = labelKey(unmarked(line)) != ""
	}
	at := -1
	for n, i := range candidates {
		switch text := p.lines[i]; {
		case name != "" && alike(name, text):
			at = i
		case name == "" && p.next(i) >= 0 && byline.MatchString(strings.TrimSpace(p.lines[p.next(i)])):
			p.title = strings.TrimSpace(text)
			p.settleTitle(i)
			return i
		case i == last && n > 0 && alike(p.lines[candidates[0]], text):
			at = i
		case at < 0 && (n > 0 || name == ""):
			at = i
		}
	}
	if at < 0 && len(candidates) > 0 {
		at = candidates[0]
	}
	if at >= 0 {
		p.title = strings.TrimSpace(p.lines[at])
	}
	p.settleTitle(at)
	return at
}

// alike tells whether half of the words of one title begin like words of the other.
func alike(a, b string) bool {
	x, y := words(strings.ToLower(a)), words(strings.ToLower(b))
	same := 0
	for _, v := range x {
		for _, w := range y {
			if strings.HasPrefix(v, w) || strings.HasPrefix(w, v) {
				same++
				break
			}
		}
	}
	return 2*same >= len(x) && same > 0
}

func (p *page) note(i int, text, reason string) {
	p.unplaced = append(p.unplaced, Unplaced{Line: p.first + i, Text: strings.TrimSpace(text), Reason: reason})
}

func number(n int) string { return strconv.Itoa(n) }
