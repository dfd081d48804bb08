package importer

import (
	"regexp"
	"strings"
	"unicode"

	"prunella/skill"
)

var (
	itemLine    = regexp.MustCompile(`^( *)([-*+]|\d{1,9}[.)])([ \t]+)(\S.*)$`)
	oddBullet   = regexp.MustCompile(`^(\s*)[•◦▪‣●○∙·](\s+\S.*)$`)
	loneNumber  = regexp.MustCompile(`^\s*(\d{1,3}[.)])\s*$`)
	numbered    = regexp.MustCompile(`^ {0,3}\d{1,3}[.)]\s+\S`)
	pageTail    = regexp.MustCompile(`(?i)^(?:(?:no )?labels|like.*first to like this|(?:write|add|leave) a comment.*|\d+ comments?|powered by .*)$`)
	tightNumber = regexp.MustCompile(`^(\s*)(\d{1,2}[.)])(\p{Lu}.*|\*\*.*)$`)
)

// stepsHeading stands above the steps of a page that has no headings at all.
const stepsHeading = "## " + skill.Resolution

// bareSteps is the line of the first step of a page without headings, -1 when it
// has headings or no steps.
func (p *page) bareSteps(from int) int {
	at, steps := -1, 0
	for i := from; i < len(p.lines); i++ {
		if p.isHeading(i) {
			return -1
		}
		if !p.code[i] && numbered.MatchString(p.lines[i]) {
			if steps++; at < 0 {
				at = i
			}
		}
	}
	if steps < 2 {
		return -1
	}
	return at
}

// readBody writes the text from a line on, mending what a copy lost.
func (p *page) readBody(from int) {
	shift, bullets, steps := p.shift(from), false, p.bareSteps(from)
	for i := from; i < len(p.lines); i++ {
		line := p.lines[i]
		if i == steps {
			if n := len(p.body); n > 0 && strings.TrimSpace(p.body[n-1]) != "" {
				p.body = append(p.body, "")
			}
			p.body, p.stepsAdded = append(p.body, stepsHeading, ""), true
		}
		if p.code[i] {
			i = p.fencedBlock(i)
			continue
		}
		if p.isHeading(i) {
			i = p.heading(i, shift)
			bullets = p.lost && p.lostList(i)
			continue
		}
		if used := p.looseCode(i); used > 0 {
			i += used - 1
			continue
		}
		if used := p.indentedCode(i); used > 0 {
			i += used - 1
			continue
		}
		if used := p.stepCode(i); used > 0 {
			i += used - 1
			continue
		}
		if bullets && pageTail.MatchString(strings.TrimSpace(line)) {
			bullets = false // the list is over
		}
		if m := oddBullet.FindStringSubmatch(line); m != nil {
			line = m[1] + "-" + m[2]
		}
		if p.lost {
			if m := loneNumber.FindStringSubmatch(line); m != nil && i+1 < len(p.lines) && strings.TrimSpace(p.lines[i+1]) != "" && !startsBlock.MatchString(p.lines[i+1]) && !p.code[i+1] {
				line = m[1] + " " + strings.TrimSpace(p.lines[i+1])
				i++
			}
		}
		if m := tightNumber.FindStringSubmatch(line); m != nil {
			line = m[1] + m[2] + " " + m[3]
		}
		if steps := inlineSteps(line); steps != nil {
			p.body = append(append(p.body, steps...), "")
			continue
		}
		if strings.Contains(line, "{{<") || strings.Contains(line, "{{%") {
			p.note(i, line, "a shortcode of the other wiki; kept as text")
		}
		if p.lost && strings.TrimSpace(line) != "" && !startsBlock.MatchString(line) {
			if bullets {
				line = "- " + strings.TrimSpace(line)
			} else if n := len(p.body); n > 0 && strings.TrimSpace(p.body[n-1]) != "" && !startsBlock.MatchString(p.body[n-1]) {
				p.body = append(p.body, "") // each line of a copy is a paragraph
			}
		}
		p.body = append(p.body, line)
	}
}

// inlineSteps takes steps apart that a copy ran together in one paragraph: "1. …
// 2. … 3. …", at least three, each after the end of a sentence. Nil for any
// other line.
func inlineSteps(line string) []string {
	if !strings.HasPrefix(line, "1. ") && !strings.HasPrefix(line, "1) ") {
		return nil
	}
	mark := line[1:3]
	var steps []string
	for n := 2; ; n++ {
		at := stepAfter(line, number(n)+mark)
		if at < 0 {
			break
		}
		steps, line = append(steps, strings.TrimSpace(line[:at])), line[at:]
	}
	if len(steps) < 2 {
		return nil
	}
	return append(steps, line)
}

// stepAfter is where the next step begins in a line, -1 for nowhere.
func stepAfter(line, mark string) int {
	for from := 0; ; {
		at := strings.Index(line[from:], " "+mark)
		if at < 0 {
			return -1
		}
		at += from
		if rest := []rune(line[at+1+len(mark):]); sentence.MatchString(strings.TrimSpace(line[:at])) && len(rest) > 0 && (unicode.IsUpper(rest[0]) || rest[0] == '*' || rest[0] == '`') {
			return at + 1
		}
		from = at + 1
	}
}

// lostList tells whether the section whose heading stands at i consists of bare
// lines that were a list, by what such sections hold.
func (p *page) lostList(i int) bool {
	least := 2
	switch skill.SectionNamed(p.lostHeading(i)) {
	case skill.Symptoms, skill.Diagnosis, skill.Resolution:
	case skill.Escalation, skill.FollowUps, skill.SeeAlso:
		least = 1
	default:
		return false
	}
	bare := 0
	for j := i + 1; j < len(p.lines) && !p.isHeading(j); j++ {
		if stop := p.codeEnd(j, ""); stop > j {
			j = stop - 1
			continue
		}
		switch line := p.lines[j]; {
		case itemLine.MatchString(line) || oddBullet.MatchString(line) || loneNumber.MatchString(line) || tightNumber.MatchString(line):
			return false
		case strings.TrimSpace(line) != "" && !p.code[j] && !startsBlock.MatchString(line):
			bare++
		}
	}
	return bare >= least
}

// shift is what to take from the level of headings, so that sections have two #.
func (p *page) shift(from int) int {
	lowest := 7
	for i := from; i < len(p.lines); i++ {
		if p.code[i] {
			continue
		}
		level, text := hash(p.lines[i])
		if text == "" {
			level = p.underlined(i)
		}
		if level > 0 {
			lowest = min(lowest, level)
		}
	}
	if lowest == 7 || p.lost {
		return 0
	}
	return max(lowest-2, 0)
}

func (p *page) heading(i, shift int) int {
	level, text := hash(p.lines[i])
	used := i
	switch {
	case p.lost && level == 0:
		level, text = 2, p.lostHeading(i)
	case text == "":
		level, text = p.underlined(i), strings.TrimSpace(p.lines[i])
		used++
	}
	if n := len(p.body); n > 0 && strings.TrimSpace(p.body[n-1]) != "" {
		p.body = append(p.body, "")
	}
	p.body = append(p.body, strings.Repeat("#", max(level-shift, 1))+" "+text)
	if used+1 < len(p.lines) && strings.TrimSpace(p.lines[used+1]) != "" {
		p.body = append(p.body, "")
	}
	return used
}

// fencedBlock writes a fenced block: with its language where it can be told,
// its indentation where it was lost, below the step that it belongs to. It
// returns the block's last line.
func (p *page) fencedBlock(i int) int {
	stop := i + 1
	for stop < len(p.lines) && p.code[stop] && !p.closes(i, stop) {
		stop++
	}
	closed := stop < len(p.lines) && p.code[stop]
	m := fenceLine.FindStringSubmatch(p.lines[i])
	margin, info := m[1], m[3]
	if strings.TrimSpace(margin) != "" || !closed { // begins in the line of a list item, or never ends
		if !closed {
			stop = len(p.lines) - 1
		}
		p.body = append(p.body, p.lines[i:stop+1]...)
		return stop
	}
	code := strings.Join(p.lines[i+1:stop], "\n") + "\n"
	bare := outdent(code, margin)
	language, _, _ := strings.Cut(strings.TrimSpace(info), " ")
	if language == "" {
		if language = Language(bare); language != "" {
			info = language
		}
	}
	if isYAML(language) {
		if fixed, state := indent(bare); state == restored {
			bare = fixed
			code = indentBy(bare, margin)
			p.restored[bare] = true
		}
	}
	fence := m[2]
	pad := ""
	if margin == "" {
		if pad = p.stepIndent(i, stop); pad != "" {
			code = indentBy(bare, pad)
		}
	}
	p.body = append(p.body, pad+margin+fence+info)
	if stop > i+1 {
		p.body = append(p.body, strings.Split(strings.TrimSuffix(code, "\n"), "\n")...)
	}
	p.body = append(p.body, pad+p.lines[stop])
	return stop
}

func (p *page) closes(open, i int) bool {
	a, b := fenceLine.FindStringSubmatch(p.lines[open]), fenceLine.FindStringSubmatch(p.lines[i])
	return b != nil && strings.HasPrefix(b[2], a[2]) && strings.TrimSpace(b[3]) == ""
}

// stepIndent is the indentation of a block that a copy moved out of its step:
// the block follows a list item at once, or the next step follows the block.
func (p *page) stepIndent(i, stop int) string {
	at := len(p.body) - 1
	blank := at >= 0 && strings.TrimSpace(p.body[at]) == ""
	for at >= 0 && strings.TrimSpace(p.body[at]) == "" {
		at--
	}
	if at < 0 {
		return ""
	}
	m := itemLine.FindStringSubmatch(p.body[at])
	if m == nil || len(m[1]) > 3 {
		return ""
	}
	if blank {
		next := p.next(stop)
		if next < 0 || m[2][0] < '0' || m[2][0] > '9' {
			return ""
		}
		following := itemLine.FindStringSubmatch(p.lines[next])
		if following == nil || strings.TrimRight(following[2], ".)") != successor(strings.TrimRight(m[2], ".)")) {
			return ""
		}
	}
	return strings.Repeat(" ", len(m[1])+len(m[2])+1)
}

func successor(n string) string {
	v := 0
	for _, c := range n {
		v = 10*v + int(c-'0')
	}
	return number(v + 1)
}

// outdent takes a margin from the lines that have it.
func outdent(code, margin string) string {
	if margin == "" {
		return code
	}
	lines := strings.Split(code, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, margin)
	}
	return strings.Join(lines, "\n")
}

func indentBy(code, margin string) string {
	lines := strings.Split(strings.TrimSuffix(code, "\n"), "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = margin + line
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// indentedCode writes code that is set off by four spaces as a fenced block. It
// returns how many lines it took.
func (p *page) indentedCode(i int) int {
	if !isIndented(p.lines[i]) || p.inList() {
		return 0
	}
	if n := len(p.body) - 1; n >= 0 && strings.TrimSpace(p.body[n]) != "" {
		if level, _ := hash(p.body[n]); level == 0 || !bullet.MatchString(p.lines[i]) {
			return 0
		}
	}
	stop := i
	for j := i; j < len(p.lines) && !p.code[j] && (isIndented(p.lines[j]) || strings.TrimSpace(p.lines[j]) == ""); j++ {
		if isIndented(p.lines[j]) {
			stop = j + 1
		}
	}
	var code []string
	items, others := 0, 0
	for _, line := range p.lines[i:stop] {
		if rest, ok := strings.CutPrefix(line, "\t"); ok {
			code = append(code, rest)
		} else {
			code = append(code, strings.TrimPrefix(line, "    "))
		}
		if text := strings.TrimSpace(line); bullet.MatchString(text) {
			items++
		} else if text != "" {
			others++
		}
	}
	code = outdentAll(code)
	if items > 0 && others == 0 && !looksYAML(strings.Join(code, "\n")) { // a list that was pushed to the right
		copy(p.lines[i:stop], code)
		return 0
	}
	p.fence(code, "", "")
	return stop - i
}

// outdentAll takes the spaces from lines of code that all of them begin with.
func outdentAll(code []string) []string {
	least := len(code[0])
	for _, line := range code {
		if strings.TrimSpace(line) != "" {
			least = min(least, len(line)-len(strings.TrimLeft(line, " ")))
		}
	}
	out := make([]string, len(code))
	for i, line := range code {
		out[i] = line[min(least, len(line)):]
	}
	return out
}

// stepCode writes commands that stand indented below a step, without a fence, as
// a block of that step: after a colon, or with a prompt. It returns how many
// lines it took.
func (p *page) stepCode(i int) int {
	if strings.TrimLeft(p.lines[i], " \t") == p.lines[i] || strings.TrimSpace(p.lines[i]) == "" || len(p.body) < 2 || p.lost {
		return 0
	}
	above := p.body[len(p.body)-1]
	apart := strings.TrimSpace(above) == "" // set apart by blank lines, commands need nothing to call for them
	if apart {
		above = p.body[len(p.body)-2]
	}
	m := itemLine.FindStringSubmatch(above)
	if m == nil {
		return 0
	}
	stop := i
	for ; stop < len(p.lines) && !p.code[stop]; stop++ {
		text := strings.TrimSpace(p.lines[stop])
		if strings.TrimLeft(p.lines[stop], " \t") == p.lines[stop] || itemLine.MatchString(p.lines[stop]) ||
			!apart && !prompt.MatchString(text) && !(strings.HasSuffix(m[4], ":") || m[4][len(m[4])-1] == '\\') ||
			!prompt.MatchString(text) && !isCommand(text) && !(stop > i && strings.HasSuffix(strings.TrimSpace(p.lines[stop-1]), "\\")) {
			break
		}
	}
	if stop == i || apart && stop < len(p.lines) && strings.TrimSpace(p.lines[stop]) != "" && strings.TrimLeft(p.lines[stop], " \t") != p.lines[stop] {
		return 0 // nothing, or a paragraph that begins like a command
	}
	pad := strings.Repeat(" ", len(m[1])+len(m[2])+1)
	if !apart {
		p.body = append(p.body, "")
	}
	p.body = append(p.body, pad+"```bash")
	for _, line := range outdentAll(p.lines[i:stop]) {
		p.body = append(p.body, pad+line)
	}
	p.body = append(p.body, pad+"```")
	return stop - i
}

func isIndented(line string) bool {
	return strings.TrimSpace(line) != "" && (strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t"))
}

// admonition begins a note whose text is indented below it.
var admonition = regexp.MustCompile(`^\s*(?:!!!|\?\?\?\+?|===)\s+\S`)

// inList tells whether the last line without indentation is a list item, or
// begins a note.
func (p *page) inList() bool {
	for i := len(p.body) - 1; i >= 0; i-- {
		line := p.body[i]
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "\t") {
			continue
		}
		return itemLine.MatchString(line) || admonition.MatchString(line)
	}
	return false
}

// fence writes lines as a fenced block.
func (p *page) fence(code []string, language, note string) {
	text := strings.Join(code, "\n") + "\n"
	mark := "```"
	for strings.Contains(text, mark) {
		mark += "`"
	}
	if language == "" {
		language = Language(text)
	}
	if isYAML(language) {
		if fixed, state := indent(text); state == restored {
			text = fixed
			p.restored[text] = true
		}
	}
	pad := ""
	if n := len(p.body); n > 0 && p.lost {
		if m := itemLine.FindStringSubmatch(p.body[n-1]); m != nil {
			pad = strings.Repeat(" ", len(m[1])+len(m[2])+1)
			text = indentBy(text, pad)
		}
	}
	p.body = append(p.body, pad+mark+strings.TrimSpace(language+" "+note))
	p.body = append(p.body, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
	p.body = append(p.body, pad+mark)
}
