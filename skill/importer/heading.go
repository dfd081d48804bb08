package importer

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"prunella/skill"
)

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
	if m := numberedHead.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	switch {
	case text == "" || len(text) > 70 || p.code[i] || i == 0 || strings.TrimSpace(p.lines[i-1]) != "" || next <= i+1:
		return ""
	case bareHeading(text) != "":
		return strings.TrimSpace(p.lines[i])
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
	return strings.TrimSpace(p.lines[i])
}

// numberedHead is a heading with its number: "2. Triage", "3.1 Rollback".
var numberedHead = regexp.MustCompile(`^\d{1,2}(?:\.\d{1,2})*[.)]?\s+(\p{Lu}.*)$`)

// common are headings that runbooks have besides those of the format.
var common = setOf("meaning|impact|overview|summary|description|background|verification|verify|validation|rollback|rollback plan|prerequisites|preconditions|" +
	"changelog|change log|revision history|notes|context|purpose|scope|dashboards|metrics|monitoring|alert behavior|alert behaviour|alert details|recent changes|dependencies|definitions|timeline|lessons learned|" +
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
	for i := start; p.spaced && i < len(p.lines) && skill.SectionNamed(p.lines[i]) == ""; i++ { // said again above the first section
		text := strings.TrimSpace(p.lines[i])
		if next := p.next(i); text != "" && next > 0 && skill.SectionNamed(p.spacedHeading(next)) != "" &&
			slices.ContainsFunc(p.lines[:i], func(line string) bool { return slug(line) == slug(text) }) {
			p.title = text
			p.settleTitle(i)
			return i
		}
	}
	for i, line := range p.lines { // headings of the site can stand above the title
		if text := strings.TrimSpace(line); strings.HasSuffix(text, ".md") && pagePath.MatchString(text) {
			for j := start + 1; j < len(p.lines); j++ {
				if j > i && titleLike(p.lines[j]) && slug(p.lines[j]) == slug(fileName(text)) {
					p.title = strings.TrimSpace(p.lines[j])
					p.settleTitle(j)
					return j
				}
			}
			break
		}
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
