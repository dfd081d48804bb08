package importer

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"prunella/skill"
)

var (
	languageName = regexp.MustCompile(`(?i)(?:^|[\s;])(?:language-|lang-|brush:\s*|highlight-source-|sourceCode\s+|hljs\s+)([\w+#-]+)`)
	blanks       = regexp.MustCompile(`[ \t\r\n\f\x{a0}]+`)
	blankLines   = regexp.MustCompile(`\n\n+`)
	tagLike      = regexp.MustCompile(`<([A-Za-z/!?])`)
	blockLike    = regexp.MustCompile(`^(?:#{1,6}\s|>\s|={3,}$|-{3,}$|` + "```" + `|~~~)`)
)

// children writes what stands in an element: blocks apart by blank lines, runs
// of text as paragraphs. Outside the text of the page, nothing is set aside.
func (w *htmlPage) children(n *html.Node, outside bool) string {
	var b, run strings.Builder
	flush := func() {
		if text := tidy(run.String()); text != "" {
			b.WriteString(text + "\n\n")
		}
		run.Reset()
	}
	for c := n.FirstChild; c != nil && !w.large; c = c.NextSibling {
		switch {
		case silent(c) || c == w.heading:
		case c.Type == html.ElementNode && aside(c) && !outside && !contains(c, w.heading):
			flush()
			w.kept = append(w.kept, c)
		case c.Type == html.ElementNode && w.blocks[c]:
			flush()
			b.WriteString(w.block(c, outside) + "\n\n")
		default:
			run.WriteString(w.inline(c))
		}
	}
	flush()
	w.large = w.large || b.Len() > skill.MaxSize
	return strings.TrimRight(b.String(), "\n")
}

var blockElements = setOf("p|div|section|article|main|header|footer|nav|aside|h1|h2|h3|h4|h5|h6|ul|ol|li|dl|dt|dd|table|tr|td|th|thead|tbody|pre|blockquote|hr|figure|figcaption|details|summary|form|fieldset|address|center|" +
	"ac:structured-macro|ac:rich-text-body|ac:plain-text-body|ac:task-list|ac:task|ac:task-body|ac:layout|ac:layout-section|ac:layout-cell|body|html")

func isBlock(n *html.Node) bool { return n.Type == html.ElementNode && blockElements[n.Data] }

func isHeading(n *html.Node) bool {
	return n.Type == html.ElementNode && len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6'
}

func (w *htmlPage) block(n *html.Node, outside bool) string {
	switch n.Data {
	case "h1", "h2", "h3", "h4", "h5", "h6":
		if text := headingText(n); text != "" {
			return strings.Repeat("#", int(n.Data[1]-'0')) + " " + text
		}
		return ""
	case "pre", "ac:plain-text-body":
		return codeBlock(n)
	case "ul", "ol", "ac:task-list":
		return w.list(n, outside)
	case "table":
		return w.table(n, outside)
	case "hr":
		return "---"
	case "blockquote":
		return "> " + strings.ReplaceAll(w.children(n, outside), "\n", "\n> ")
	case "dl":
		return w.terms(n, outside)
	case "summary", "figcaption":
		return "**" + flat(n) + "**"
	case "ac:structured-macro":
		if t := first(n, func(c *html.Node) bool { return c.Data == "ac:parameter" && attr(c, "ac:name") == "title" }); t != nil {
			return "**" + flat(t) + "**\n\n" + w.children(n, outside)
		}
	}
	return w.children(n, outside)
}

// list writes a list, what is nested below its items indented.
func (w *htmlPage) list(n *html.Node, outside bool) string {
	number, _ := strconv.Atoi(attr(n, "start"))
	number = max(number, 1)
	var b strings.Builder
	for c := n.FirstChild; c != nil && !w.large; c = c.NextSibling {
		if silent(c) || c.Type == html.TextNode && strings.TrimSpace(c.Data) == "" {
			continue
		}
		if c.DataAtom == atom.Ul || c.DataAtom == atom.Ol { // nested beside the items, as some editors write it
			b.WriteString(strings.ReplaceAll("\n"+w.list(c, outside), "\n", "\n   ")[1:] + "\n")
			continue
		}
		marker := "- "
		if n.DataAtom == atom.Ol {
			marker = fmt.Sprintf("%d. ", number)
			number++
		}
		text := w.children(c, outside)
		if w.large {
			break
		}
		if c.Type == html.TextNode {
			text = tidy(w.inline(c))
		}
		text = strings.TrimLeft(box(c)+text, "\n ")
		pad := "\n" + strings.Repeat(" ", len(marker))
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\n", pad), pad+"\n", "\n\n")
		if c.FirstChild != nil && !w.lines[c] {
			text = blankLines.ReplaceAllString(text, "\n")
		}
		b.WriteString(marker + text + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// box is the check box of a task, not one of a list inside it.
func box(n *html.Node) string {
	state := own(n, func(c *html.Node) bool {
		return c.DataAtom == atom.Input && attr(c, "type") == "checkbox" || c.Data == "ac:task-status" || hasClass(c, "checkbox") || attr(c, "data-inline-task-id") != ""
	})
	if state == nil {
		return ""
	}
	_, checked := find(state, "checked")
	if checked || hasClass(state, "checked") || hasClass(state, "checkbox-on") || state.Data == "ac:task-status" && flat(state) == "complete" {
		return "[x] "
	}
	return "[ ] "
}

// own is the first element of an item that is such, without those of the items
// inside it.
func own(n *html.Node, is func(*html.Node) bool) *html.Node {
	if n.Type == html.ElementNode && is(n) {
		return n
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.DataAtom == atom.Li || c.Data == "ac:task" {
			continue
		}
		if found := own(c, is); found != nil {
			return found
		}
	}
	return nil
}

// table writes a table; one that has a block of code or a list in a cell is
// written cell by cell.
func (w *htmlPage) table(n *html.Node, outside bool) string {
	var rows [][]*html.Node
	var caption string
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			switch c.DataAtom {
			case atom.Tr:
				var row []*html.Node
				for d := c.FirstChild; d != nil; d = d.NextSibling {
					if d.DataAtom == atom.Td || d.DataAtom == atom.Th {
						row = append(row, d)
					}
				}
				rows = append(rows, row)
			case atom.Caption:
				caption = flat(c) + "\n\n"
			default:
				walk(c)
			}
		}
	}
	walk(n)
	columns := 0
	for _, row := range rows {
		columns = max(columns, len(row))
	}
	if nested := first(n, func(c *html.Node) bool {
		return c != n && (c.Data == "pre" || c.DataAtom == atom.Table || c.Data == "ac:plain-text-body")
	}); nested != nil || columns == 0 {
		var cells []string
		for _, row := range rows {
			for _, cell := range row {
				cells = append(cells, w.children(cell, outside))
			}
		}
		return caption + strings.Join(cells, "\n\n")
	}
	var b strings.Builder
	for i, row := range rows {
		b.WriteString("|")
		for _, cell := range row {
			text := strings.Join(strings.Fields(strings.ReplaceAll(w.children(cell, outside), "\n", " ")), " ")
			b.WriteString(" " + strings.ReplaceAll(text, "|", `\|`) + " |")
		}
		b.WriteString(strings.Repeat("  |", columns-len(row)) + "\n")
		if i == 0 {
			b.WriteString("|" + strings.Repeat(" --- |", columns) + "\n")
		}
	}
	return caption + strings.TrimRight(b.String(), "\n")
}

// terms writes a list of terms, such as the facts about a page.
func (w *htmlPage) terms(n *html.Node, outside bool) string {
	var lines []string
	term := ""
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			switch {
			case silent(c):
			case c.DataAtom == atom.Dt:
				if term != "" {
					lines = append(lines, "- **"+term+"**")
				}
				term = strings.TrimRight(flat(c), ": ")
			case c.DataAtom == atom.Dd && term != "":
				lines = append(lines, "- **"+term+":** "+strings.ReplaceAll(w.children(c, outside), "\n", "\n  "))
				term = ""
			case c.DataAtom == atom.Dd:
				lines = append(lines, "- "+strings.ReplaceAll(w.children(c, outside), "\n", "\n  "))
			case c.Type == html.TextNode:
				if text := strings.TrimSpace(c.Data); text != "" {
					lines = append(lines, text)
				}
			default:
				walk(c)
			}
		}
	}
	walk(n)
	if term != "" {
		lines = append(lines, "- **"+term+"**")
	}
	return strings.Join(lines, "\n")
}

// codeBlock writes text as it is, with the language that its element names.
func codeBlock(n *html.Node) string {
	var b strings.Builder
	verbatimText(n, &b)
	text := strings.Trim(strings.ReplaceAll(b.String(), "\u00a0", " "), "\n")
	if text == "" {
		return ""
	}
	language := ""
	for c := n; c != nil && language == "" && c.DataAtom != atom.Body; c = c.Parent {
		language = named(c)
		if c.Data == "ac:structured-macro" {
			if p := first(c, func(c *html.Node) bool { return c.Data == "ac:parameter" && attr(c, "ac:name") == "language" }); p != nil {
				language = flat(p)
			}
			break
		}
		if c != n && (c.DataAtom == atom.Li || c.DataAtom == atom.Td) {
			break
		}
	}
	if code := first(n, func(c *html.Node) bool { return c.DataAtom == atom.Code }); language == "" && code != nil {
		language = named(code)
	}
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + language + "\n" + text + "\n" + fence
}

func named(n *html.Node) string {
	for _, key := range []string{"data-lang", "data-language"} {
		if v := attr(n, key); v != "" {
			return v
		}
	}
	for _, key := range []string{"class", "data-syntaxhighlighter-params"} {
		if m := languageName.FindStringSubmatch(attr(n, key)); m != nil {
			return strings.ToLower(m[1])
		}
	}
	return ""
}

// verbatimText writes the text inside an element as it stands there.
func verbatimText(n *html.Node, b *strings.Builder) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		switch {
		case c.Type == html.TextNode:
			b.WriteString(c.Data)
		case c.DataAtom == atom.Br:
			b.WriteByte('\n')
		case !silent(c):
			if isBlock(c) && b.Len() > 0 && !strings.HasSuffix(b.String(), "\n") {
				b.WriteByte('\n')
			}
			verbatimText(c, b)
			if isBlock(c) && c.NextSibling != nil && !strings.HasSuffix(b.String(), "\n") {
				b.WriteByte('\n')
			}
		}
	}
}

// inline writes text with its emphasis, code and links.
func (w *htmlPage) inline(n *html.Node) string {
	if n.Type == html.TextNode {
		return tagLike.ReplaceAllString(blanks.ReplaceAllString(n.Data, " "), `\<$1`)
	}
	if silent(n) {
		return ""
	}
	inside := func() string {
		var b strings.Builder
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			b.WriteString(w.inline(c))
		}
		return b.String()
	}
	switch n.Data {
	case "br":
		return "\n"
	case "code", "kbd", "samp", "tt":
		var b strings.Builder
		verbatimText(n, &b)
		return codeSpan(blanks.ReplaceAllString(b.String(), " "))
	case "strong", "b":
		return emphasized(inside(), "**")
	case "em", "i":
		return emphasized(inside(), "_")
	case "del", "s", "strike":
		return emphasized(inside(), "~~")
	case "a":
		return link(strings.TrimSpace(attr(n, "href")), inside())
	case "img":
		alt := strings.Join(strings.Fields(attr(n, "alt")), " ")
		if src := attr(n, "src"); src != "" && !strings.HasPrefix(src, "data:") && !strings.HasPrefix(src, "cid:") && !strings.ContainsAny(src, " ()<>") {
			return "![" + alt + "](" + src + ")"
		}
		return alt
	case "ri:user":
		return "@" + attr(n, "ri:username") + attr(n, "ri:account-id") + inside()
	case "ri:page":
		return attr(n, "ri:content-title") + inside()
	case "ri:url":
		return attr(n, "ri:value") + inside()
	}
	return inside()
}

func codeSpan(text string) string {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return " "
	case strings.Contains(text, "`"):
		return "`` " + text + " ``"
	}
	return "`" + text + "`"
}

// emphasized puts marks around a text, not around the spaces at its ends.
func emphasized(text, mark string) string {
	inner := strings.TrimSpace(text)
	if inner == "" || strings.Contains(inner, "\n") {
		return " " + text + " "
	}
	at := strings.Index(text, inner)
	return text[:at] + mark + inner + mark + text[at+len(inner):]
}

func link(href, text string) string {
	inner := strings.TrimSpace(text)
	switch {
	case inner == "" || href == "" || strings.HasPrefix(href, "#") || strings.HasPrefix(href, "javascript:"):
		return text
	case href == inner || href == "mailto:"+inner:
		return " " + inner + " "
	case strings.ContainsAny(href, " ()<>") || strings.Contains(inner, "\n"):
		return text + " <" + strings.NewReplacer(" ", "%20", "<", "%3C", ">", "%3E", "\n", "").Replace(href) + ">"
	}
	return strings.Replace(text, inner, "["+inner+"]("+href+")", 1)
}

// tidy folds the spaces of a paragraph, line by line.
func tidy(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.Trim(line, " "); line != "" {
			if blockLike.MatchString(line) { // text, not Markdown
				line = `\` + line
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// headingText is a heading without the sign of its permalink.
func headingText(n *html.Node) string { return strings.TrimRight(flat(n), "#¶🔗 ") }

// flat is the text of an element on one line.
func flat(n *html.Node) string {
	var b strings.Builder
	verbatimText(n, &b)
	return strings.Join(strings.Fields(b.String()), " ")
}
