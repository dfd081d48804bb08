package importer

import (
	"regexp"
	"strings"
	"unicode"

	"prunella/skill"
)

var (
	pagePath   = regexp.MustCompile(`^\S*[\w-]\.(?:skill\.)?mdx?$|^(?:wiki|docs|runbooks|skills)/\S+$`)
	backLink   = regexp.MustCompile(`^(?:←|‹|«|<-|⟵|⬅)\s*(.*)$|^(Back to .*|All (?:skills|runbooks|playbooks|pages|docs|articles|documents)(?:\p{Lu}.*)?)$`)
	gluedBadge = regexp.MustCompile(`^((?:Back to )?All [a-z]+)(\p{Lu}[\p{L} &-]*)$`)
	crumbs     = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} _.-]*(?:\s*[/>›»→]\s*[\p{L}\p{N}][\p{L}\p{N} _.-]*)+$`)
	chromeLine = regexp.MustCompile(`(?i)^(?:edit|edit page|edit this page.*|share|copy|copied!?|copy link|print|export|history|star|watch|unwatch|comments?|like|save for later|skip to .*content.*|skip to .*|table of contents|on this page|in this article|contents|search(?:\.\.\.|…| (?:the |this )?(?:wiki|docs|site|pages|runbooks|skills).*)?|sign in|log in|menu|home|view source|toggle .*|last edited.*|\d+ min(?:ute)?s? read|jump to .*|page tree.*|pages|spaces|\[\[?_?toc_?\]?\]|<!--.*-->|!\[.*\]\(.*\)|\[!\[.*|={3,}|-{3,}|\*{3,}|\|?[\s|:-]+\|?)$`)
	sentence   = regexp.MustCompile(`[.!?…)]["'”]?$`)
	sourceLine = regexp.MustCompile(`^\s*(?:[-*+•]\s*)?(?:→|->|=>)|#[\p{L}][\w-]+|\b(?:19|20)\d\d-\d\d-\d\d\b|https?://`)
	tableHead  = regexp.MustCompile(`(?i)^\|*\s*(?:\*\*)?(?:field|key|item|property|attribute|name|label|metadata)(?:\*\*)?\s*(?:\||\t)+\s*(?:\*\*)?(?:value|details?|description|info(?:rmation)?)(?:\*\*)?\s*\|*$`)
)

func isChrome(text string) bool {
	return chromeLine.MatchString(text) || backLink.MatchString(text) || tableHead.MatchString(text)
}

// readHead reads what stands before the title and keeps it verbatim.
func (p *page) readHead(stop int) {
	p.classify(0, stop, true)
	p.head = append(p.head, p.lines[:stop]...)
}

// readBelow reads what stands between the title and the first section. Facts on
// loose lines leave the text, up to the last of them, and are kept verbatim;
// facts in Markdown of their own stay where they are. It returns where the text
// begins.
func (p *page) readBelow(from, start int) int {
	loose := p.lost || p.looseFacts(from, start)
	last := p.classify(from, start, loose)
	if !loose || last < 0 {
		return from
	}
	p.below = p.lines[from : last+1]
	return last + 1
}

// looseFacts tells whether labels stand on lines of their own, apart from their values.
func (p *page) looseFacts(from, stop int) bool {
	n := 0
	for i := from; i < stop; i++ {
		text := unmarked(p.lines[i])
		if !p.code[i] && labelKey(text) != "" && p.next(i) >= 0 && p.next(i) < stop || glued(text) != nil {
			n++
		}
	}
	return n > 0
}

// classify reads the facts of some lines and returns the last line that held
// one, -1 for none. Among loose lines every line must be something; what is
// not is noted as unplaced.
func (p *page) classify(from, stop int, loose bool) int {
	last, named := -1, 0
	fact := func(i int, key, value string) {
		p.fact(i, key, value)
		last = i
	}
	for i := from; i < stop; i++ {
		line, text := p.lines[i], unmarked(p.lines[i])
		if text == "" || p.code[i] {
			continue
		}
		if used := p.row(i, stop); used > 0 {
			i += used - 1
			last = i
			continue
		}
		if found := pairs(line); len(found) > 0 && (loose || marked(line)) {
			for _, one := range found {
				fact(i, one.key, one.value)
			}
			if len(found) == 1 && (found[0].key == "extracted-from" || found[0].key == "owners") && loose {
				i = p.more(i, stop, found[0].key, fact)
			}
			continue
		}
		if !loose {
			continue
		}
		if key := labelKey(text); key != "" {
			if j := p.next(i); j > 0 && j < stop && labelKey(unmarked(p.lines[j])) == "" {
				value := unmarked(p.lines[j])
				if shape := typed[key]; shape == nil || shape.MatchString(value) || key == "owners" || key == "claimed-confidence" || key == "extracted-from" || key == "version" {
					fact(j, key, value)
					i = p.more(j, stop, key, fact)
					continue
				}
			}
			p.note(i, text, "a label without a value")
			continue
		}
		last = max(last, p.other(i, text, &named))
	}
	return last
}

// marked tells a fact in Markdown of its own from prose with a colon.
func marked(line string) bool {
	text := strings.TrimSpace(line)
	return bullet.MatchString(line) || strings.HasPrefix(text, "**") || strings.HasPrefix(text, "__") || strings.HasPrefix(text, "|") || strings.HasPrefix(text, ">") ||
		len(strings.Fields(text)) <= 8
}

// more takes the further lines of a value that is a list.
func (p *page) more(i, stop int, key string, fact func(int, string, string)) int {
	for j := i + 1; j < stop && key != ""; j++ {
		line, text := p.lines[j], unmarked(p.lines[j])
		switch {
		case key == "extracted-from" && text != "" && labelKey(text) == "" && len(pairs(line)) == 0 && sourceLine.MatchString(line):
		case key == "owners" && strings.HasPrefix(text, "@") && len(pairs(line)) == 0:
		default:
			return i
		}
		fact(j, key, text)
		i = j
	}
	return i
}

func (p *page) fact(i int, key, value string) {
	switch {
	case key == "last-verified" && skill.ReadDate(value) == "":
		p.note(i, p.lines[i], "a day that cannot be told")
	case key == "version" && number3.FindStringSubmatch(value) == nil:
		p.note(i, p.lines[i], "not a version")
	case key == "claimed-confidence":
		if _, ok := skill.ReadConfidence(value); !ok {
			p.note(i, p.lines[i], "a confidence that is no number")
		}
	}
	p.facts.put(key, value)
}

// row reads a table whose header names facts: the row below has their values.
// It returns how many lines that took.
func (p *page) row(i, stop int) int {
	split := func(line string) []string {
		if text := strings.TrimSpace(line); strings.HasPrefix(text, "|") {
			return cells.Split(strings.Trim(text, "| \t"), -1)
		}
		return strings.Split(strings.TrimSpace(line), "\t")
	}
	head := split(p.lines[i])
	if len(head) < 2 {
		return 0
	}
	for _, h := range head {
		if labelKey(unmarked(h)) == "" {
			return 0
		}
	}
	j := i + 1
	if j < stop && chromeLine.MatchString(strings.TrimSpace(p.lines[j])) {
		j++
	}
	if j >= stop {
		return 0
	}
	values := split(p.lines[j])
	if len(values) != len(head) {
		return 0
	}
	for k := range head {
		if v := unmarked(values[k]); v != "" {
			p.fact(j, labelKey(unmarked(head[k])), v)
		}
	}
	return j - i + 1
}

// other reads a loose line that is no fact of its own: a piece of the other
// wiki's page, the path, the name of the page, the trigger. It returns i when
// the line told something.
func (p *page) other(i int, text string, named *int) int {
	switch {
	case backLink.MatchString(text):
		m := backLink.FindStringSubmatch(text)
		if badge := gluedBadge.FindStringSubmatch(m[1] + m[2]); badge != nil {
			p.facts.put("category", badge[2])
		} else if j := p.next(i); j > 0 && len(strings.Fields(p.lines[j])) <= 2 && pagePath.MatchString(strings.TrimSpace(p.lines[max(p.next(j), 0)])) && !pagePath.MatchString(strings.TrimSpace(p.lines[j])) {
			p.facts.put("category", strings.TrimSpace(p.lines[j]))
			*named-- // the badge is not the name of the page
		}
	case isChrome(text):
	case pagePath.MatchString(text):
		if name := slug(fileName(text)); p.facts.name == "" {
			p.facts.name = name
		}
	case crumbs.MatchString(text) && len(text) < 100 && !sentence.MatchString(text):
	case separated.MatchString(text) && len(strings.Fields(text)) <= 12:
		m := separated.FindStringSubmatch(text)
		if key := slug(m[1]); skill.ValidName(key) && len(strings.Fields(m[1])) <= 4 && unicode.IsLetter(rune(key[0])) {
			p.facts.put(key, m[2])
			return i
		}
		p.note(i, text, "a line before the text that could not be read")
	case len(strings.Fields(text)) >= 5 && p.facts.trigger == "" && (sentence.MatchString(text) || len(strings.Fields(text)) >= 8):
		p.facts.put("trigger", text)
	case *named <= 0 && titleLike(text):
		*named++
	case strings.EqualFold(text, p.title) || slug(text) == p.facts.name:
	default:
		p.note(i, text, "a line before the text that could not be read")
	}
	return -1
}
