package importer

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	fenceLine        = regexp.MustCompile("^(\\s*(?:[-*+]\\s+|\\d+[.)]\\s+|>\\s?)*)(`{3,}|~{3,})([^`]*)$")
	hashHeading      = regexp.MustCompile(`^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$`)
	underlinePattern = regexp.MustCompile(`^ {0,3}(=+|-+)[ \t]*$`)
	startsBlock      = regexp.MustCompile("^\\s*(?:[-*+•◦▪‣]\\s|\\d{1,9}[.)]\\s|>|\\||```|~~~|#{1,6}\\s|<|→|->|\\{\\{|!\\[|\\[)|^(?: {4}|\t)")
	tomlEntry        = regexp.MustCompile(`^\s*([A-Za-z0-9_-]+)\s*=\s*"?(.*?)"?\s*$`)
	tomlList         = strings.NewReplacer(`["`, "", `"]`, "", `", "`, ", ", `","`, ", ")
	wikiHeading      = regexp.MustCompile(`^h([1-6])\.\s+(.*)$`)
	wikiCode         = regexp.MustCompile(`^\s*\{(?:code|noformat)(?::([^}]*))?\}\s*$`)
	wikiItem         = regexp.MustCompile(`^([#*-]{1,6})\s+(\S.*)$`)
	wikiHead         = regexp.MustCompile(`^\|\|(.*?)\|*\s*$`)
	wikiCell         = regexp.MustCompile(`\|{1,2}`)
)

// fences marks the lines of fenced blocks, fences included.
func fences(lines []string) []bool {
	out := make([]bool, len(lines))
	open := ""
	for i, line := range lines {
		m := fenceLine.FindStringSubmatch(line)
		switch {
		case open == "" && m != nil:
			open, out[i] = m[2], true
		case open != "":
			out[i] = true
			if m != nil && strings.HasPrefix(m[2], open) && strings.TrimSpace(m[3]) == "" {
				open = ""
			}
		}
	}
	return out
}

// frontMatter takes the front matter of another tool apart: YAML between ---,
// TOML between +++.
func (p *page) frontMatter() {
	fence := strings.TrimRight(p.lines[0], " \t")
	if fence != "---" && fence != "+++" {
		return
	}
	for i, line := range p.lines[1:] {
		if end := strings.TrimRight(line, " \t"); end != fence && (end != "..." || fence != "---") {
			continue
		}
		inside := p.lines[1 : i+1]
		if !p.frontFacts(fence, inside) {
			return // a rule between paragraphs
		}
		p.head = append(p.head, inside...)
		p.lines, p.first = p.lines[i+2:], i+3
		if len(p.lines) == 0 {
			p.lines = []string{""}
		}
		return
	}
}

func (p *page) frontFacts(fence string, inside []string) bool {
	if fence == "+++" {
		for _, line := range inside {
			if m := tomlEntry.FindStringSubmatch(line); m != nil {
				p.facts.front(m[1], tomlList.Replace(m[2]))
			}
		}
		return true
	}
	var root yaml.Node
	source := strings.Join(inside, "\n")
	if len(source) > maxFront {
		return false
	}
	if err := yaml.Unmarshal([]byte(source), &root); err != nil {
		if len(inside) == 0 || !strings.Contains(inside[0], ":") {
			return false
		}
		p.unplaced = append(p.unplaced, Unplaced{Line: 1, Text: source, Reason: "front matter that is not YAML; kept as page-head"})
		return true
	}
	if len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return len(inside) == 0
	}
	p.facts.frontNode("", root.Content[0], 0)
	return true
}

const maxFront = 64 << 10 // bytes of front matter

func (f *facts) frontNode(prefix string, n *yaml.Node, depth int) {
	for i := 0; i+1 < len(n.Content) && depth < 4; i += 2 {
		key, value := prefix+n.Content[i].Value, n.Content[i+1]
		switch value.Kind {
		case yaml.ScalarNode:
			f.front(key, value.Value)
		case yaml.SequenceNode:
			var parts []string
			for _, c := range value.Content {
				if c.Kind == yaml.ScalarNode {
					parts = append(parts, c.Value)
				}
			}
			f.front(key, strings.Join(parts, ", "))
		case yaml.MappingNode:
			f.frontNode(key+"-", value, depth+1)
		}
	}
}

// confluence turns the headings, numbers and code of Confluence's wiki markup
// into Markdown's.
func (p *page) confluence() {
	if !isConfluence(p.lines) {
		return
	}
	open, count := false, [7]int{} // items counted so far, by their depth
	var lines []string
	for _, line := range p.lines {
		code, heading, item, head := wikiCode.FindStringSubmatch(line), wikiHeading.FindStringSubmatch(line), wikiItem.FindStringSubmatch(line), wikiHead.FindStringSubmatch(line)
		switch {
		case code != nil && open:
			line, open = "```", false
		case code != nil:
			line, open = "```"+strings.TrimPrefix(code[1], "language="), true
		case open:
		case heading != nil:
			line, count = strings.Repeat("#", int(heading[1][0]-'0'))+" "+heading[2], [7]int{}
		case item != nil:
			depth := len(item[1])
			count[depth]++
			clear(count[depth+1:])
			mark := "- "
			if item[1][depth-1] == '#' {
				mark = number(count[depth]) + ". "
			}
			line = strings.Repeat("   ", depth-1) + mark + item[2]
		case head != nil:
			cells := wikiCell.Split(strings.TrimSpace(head[1]), -1)
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			lines = append(lines, "| "+strings.Join(cells, " | ")+" |")
			line = "|" + strings.Repeat("---|", len(cells))
		}
		lines = append(lines, line)
	}
	p.lines = lines
}

func isConfluence(lines []string) bool {
	marked := 0
	for _, line := range lines {
		if wikiHeading.MatchString(line) {
			marked++
		}
	}
	return marked >= 2
}

// visible is a page without the markup that the importer replaces by Markdown's.
func visible(text string) string {
	lines := strings.Split(text, "\n")
	if !isConfluence(lines) {
		return text
	}
	for i, line := range lines {
		if m := wikiHeading.FindStringSubmatch(strings.TrimSuffix(line, "\r")); m != nil {
			lines[i] = m[2]
		} else if m := wikiCode.FindStringSubmatch(strings.TrimSuffix(line, "\r")); m != nil {
			lines[i] = strings.TrimPrefix(m[1], "language=")
		}
	}
	return strings.Join(lines, "\n")
}
