package importer

import (
	"slices"
	"strconv"
	"strings"

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
		pair := skill.Pair{Key: key, Value: f.values[key]}
		if taken[key] {
			pair.Key = "said-" + key
		}
		if !slices.ContainsFunc(pairs, func(other skill.Pair) bool { return other.Key == pair.Key }) {
			pairs = append(pairs, pair)
		}
	}
	steps := ""
	if p.stepsAdded {
		steps = "added"
	}
	pairs = append(pairs, skill.Pair{Key: "page-title", Value: added}, skill.Pair{Key: "page-steps", Value: steps}, skill.Pair{Key: "page-head", Value: verbatim(p.head)},
		skill.Pair{Key: "page-facts", Value: verbatim(p.below)})
	return skill.FrontMatter(name, describe(p.title, f.trigger, symptom), pairs)
}

// taken are keys that the file itself gives a meaning.
var taken = setOf("name|description|metadata|page-title|page-steps|page-head|page-facts")

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

// next is the line after i that is not blank, -1 for none.
func (p *page) next(i int) int {
	for i++; i < len(p.lines); i++ {
		if strings.TrimSpace(p.lines[i]) != "" {
			return i
		}
	}
	return -1
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

func (p *page) note(i int, text, reason string) {
	p.unplaced = append(p.unplaced, Unplaced{Line: p.first + i, Text: strings.TrimSpace(text), Reason: reason})
}

func number(n int) string { return strconv.Itoa(n) }
