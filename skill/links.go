package skill

import (
	"regexp"
	"slices"
	"strings"
)

var (
	wikilink = regexp.MustCompile(`\[\[([^\[\]|\n]+?)(?:\|[^\[\]\n]*)?\]\]`)
	urlLink  = regexp.MustCompile(`https?://[^\s<>()\[\]"'` + "`" + `|\\]+(?:\([^\s<>()]*\)[^\s<>()\[\]"'` + "`" + `|\\]*)*`)
	mdLink   = regexp.MustCompile(`\]\(\s*<?([^()\s<>]+(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s+["'(][^)]*)?\)`)
	refLink  = regexp.MustCompile(`(?m)^ {0,3}\[[^\]\n^][^\]\n]*\]:\s+<?(\S+?)>?(?:\s|$)`)
	hostLink = regexp.MustCompile(`(?:^|[\s(,])((?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|cloud|app|ai|co|eu|de|uk|gov|edu)\b(?:/[^\s)>,]*)?)`)
	goesOn   = regexp.MustCompile(`^[.-]?[\w-]`) // the name of a file, not of a host
	hrefLink = regexp.MustCompile(`(?i)\b(?:href|src)\s*=\s*["']([^"']+)["']`)
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	pageName = regexp.MustCompile(`^(?:skills|people|companies)/[\w.-]*\w$`)
)

// Links lists what the page refers to, each once, in order: targets of
// [[links]] with their heading and without their alias, addresses, host names,
// files, and what the items of See also begin with.
func (d *Document) Links() []string {
	type found struct {
		at   int
		text string
	}
	var all []found
	text := d.withoutBlocks(Span{d.front.stop, len(d.src)})
	plain := codeSpan.ReplaceAllStringFunc(text, func(s string) string {
		if strings.Contains(s, "://") {
			return s
		}
		return strings.Repeat(" ", len(s))
	})
	covered := map[int]bool{}
	collect := func(re *regexp.Regexp, in string) {
		for _, m := range re.FindAllStringSubmatchIndex(in, -1) {
			i := len(m) - 2
			start, stop := m[i], m[i+1]
			if start < 0 || covered[start] || re == hostLink && goesOn.MatchString(in[stop:]) {
				continue
			}
			target := strings.TrimRight(strings.TrimSpace(in[start:stop]), ".,;:!?*_")
			for p := start; p < stop; p++ {
				covered[p] = true
			}
			if target != "" && !strings.EqualFold(strings.Trim(target, "_"), "toc") { // a table of contents
				all = append(all, found{start, target})
			}
		}
	}
	collect(wikilink, plain)
	collect(mdLink, plain)
	collect(refLink, plain)
	collect(hrefLink, plain)
	collect(urlLink, plain)
	collect(hostLink, plain)
	slices.SortStableFunc(all, func(a, b found) int { return a.at - b.at })
	out := []string{}
	add := func(target string) {
		if !slices.Contains(out, target) {
			out = append(out, target)
		}
	}
	for _, f := range all {
		add(f.text)
	}
	for _, i := range d.itemsOf(SeeAlso) {
		if name, ok := namedPage(i); ok {
			add(name)
		}
	}
	return out
}

var dash = regexp.MustCompile(`\s+(?:[-–—]|→|:)\s+|:\s|\s\(`)

// namedPage is the page that an item of See also names without a link.
func namedPage(i Item) (string, bool) {
	if i.Marker == "" || i.Marker == "|" || strings.Contains(i.Text, "[[") || strings.Contains(i.Text, "](") || strings.Contains(i.Text, "][") || strings.Contains(i.Text, "://") {
		return "", false
	}
	name := strings.TrimSpace(emphasis.Replace(i.Text))
	if at := dash.FindStringIndex(name); at != nil {
		name = name[:at[0]]
	}
	name = strings.TrimRight(name, ".,;:")
	return name, name != "" && len(strings.Fields(name)) <= 8
}

// PageNames are the places of names of wiki pages, such as people/sam, with
// which items of See also begin without being linked.
func (d *Document) PageNames() []Span {
	var out []Span
	for _, i := range d.itemsOf(SeeAlso) {
		name, _, _ := strings.Cut(i.Text, " ")
		name = strings.TrimRight(name, ":,;.")
		if i.Marker == "" || !pageName.MatchString(name) {
			continue
		}
		start := d.lines[i.Line-1]
		if at := strings.Index(string(d.src[start:d.lineEnd(i.Line)]), name); at >= 0 {
			out = append(out, Span{start + at, start + at + len(name)})
		}
	}
	return out
}
