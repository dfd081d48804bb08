package importer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"prunella"
	"prunella/skill"
)

var (
	htmlStart  = regexp.MustCompile(`(?i)^\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?s:.*?)-->\s*)*<(?:!doctype html|html|head|body|h[1-6]|p|div|section|article|main|header|table|ul|ol|dl|pre|blockquote|ac:[\w-]+|meta|title)[\s>/]`)
	wholeHTML  = regexp.MustCompile(`(?i)^\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?s:.*?)-->\s*)*<(?:!doctype html|html|head|body)[\s>/]`)
	verbatimIn = regexp.MustCompile(`(?is)<pre[\s>].*?</pre>|<ac:plain-text-body>.*?</ac:plain-text-body>|<!--.*?-->`)
	htmlBlock  = regexp.MustCompile(`(?i)</?(?:h[1-6]|p|div|section|article|table|tr|td|th|ul|ol|li|pre|br|body|html|dl|dt|dd|ac:[\w-]+)[\s>/]`)
	cdata      = regexp.MustCompile(`(?s)<!\[CDATA\[(.*?)\]\]>`)
	selfClosed = regexp.MustCompile(`<((?:ac|ri):[\w-]+)((?:\s[^<>]*?)?)/>`)
	siteName   = regexp.MustCompile(`\s+[|·–—-]\s+[^|·–—-]*$`)
	manyBlank  = regexp.MustCompile(`\n{3,}`)
)

// isHTML tells a page saved or copied as HTML from Markdown with some HTML in it.
func isHTML(text string) bool {
	if !htmlStart.MatchString(text) {
		return false
	}
	if !wholeHTML.MatchString(text) {
		for line := range strings.SplitSeq(verbatimIn.ReplaceAllString(text, ""), "\n") {
			if level, heading := hash(line); level > 0 && heading != "" || fenceLine.MatchString(line) {
				return false
			}
		}
	}
	return len(htmlBlock.FindAllStringIndex(text, 200)) >= 3
}

// fromHTML turns a page of HTML into Markdown. What stands around the text of
// the page, such as its navigation, comes before the title, where facts about
// the page are looked for; what is left of it is noted there. said is the text
// that a reader saw.
func fromHTML(source string) (markdown, said string, err error) {
	source = cdata.ReplaceAllStringFunc(source, func(s string) string { return html.EscapeString(s[len("<![CDATA[") : len(s)-len("]]>")]) })
	root, err := html.Parse(strings.NewReader(selfClosed.ReplaceAllString(source, "<$1$2></$1>")))
	if err != nil {
		return "", "", err
	}
	w := &htmlPage{blocks: map[*html.Node]bool{}, lines: map[*html.Node]bool{}}
	w.findBlocks(root)
	w.text = region(root)
	w.heading = first(w.text, func(n *html.Node) bool { return n.DataAtom == atom.H1 })
	if w.heading == nil {
		w.heading = first(root, func(n *html.Node) bool { return n.DataAtom == atom.H1 && flat(n) != "" })
	}
	if w.heading != nil && (flat(w.heading) == "" || skill.SectionNamed(flat(w.heading)) != "") { // sections have the level of titles
		w.heading = first(w.text, func(n *html.Node) bool { return hasClass(n, "MsoTitle") })
	}
	title, saidTitle := "", ""
	if w.heading != nil {
		title = headingText(w.heading)
	} else if t := first(root, func(n *html.Node) bool { return n.DataAtom == atom.Title }); t != nil {
		saidTitle = flat(t)
		title = siteName.ReplaceAllString(saidTitle, "")
	}
	body := strings.TrimSpace(w.children(w.text, false))
	var around strings.Builder
	w.around(root, &around)
	if rest := strings.TrimPrefix(saidTitle, title); rest != "" {
		around.WriteString(rest + "\n")
	}
	if w.large {
		return "", "", errLarge
	}
	var seen strings.Builder
	w.visibleText(root, &seen)
	out := body + "\n"
	if title != "" {
		out = "# " + title + "\n\n" + out
	}
	if head := strings.TrimSpace(around.String()); head != "" && title != "" {
		out = head + "\n\n" + out
	} else if head != "" {
		out += "\n## Around the page\n\n" + head + "\n"
	}
	return manyBlank.ReplaceAllString(out, "\n\n"), seen.String(), nil
}

// htmlPage is a page of HTML on its way to Markdown.
type htmlPage struct {
	text    *html.Node // the element that holds the text of the page
	heading *html.Node // its title, nil for none
	kept    []*html.Node
	blocks  map[*html.Node]bool // what is or holds a block
	lines   map[*html.Node]bool // what is or holds a block whose lines stay as they are
	large   bool                // as Markdown it is larger than a skill may be, and is not written to its end
}

// errLarge says that a page is too large only as Markdown, where what is nested is
// indented line by line.
var errLarge = &prunella.Error{Kind: prunella.TooLarge, Reason: fmt.Sprintf("as Markdown the page is larger than %d bytes", skill.MaxSize), Remedy: "a skill is one page; split it"}

// findBlocks looks through the page once; each level of it would be looked
// through by all levels around it otherwise.
func (w *htmlPage) findBlocks(n *html.Node) {
	block, lines := isBlock(n), n.Data == "pre" || n.Data == "table" || n.Data == "ac:plain-text-body"
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.findBlocks(c)
		block, lines = block || w.blocks[c], lines || w.lines[c]
	}
	if block {
		w.blocks[n] = true
	}
	if lines && n.Type != html.TextNode {
		w.lines[n] = true
	}
}

// region is the element that holds the text of the page, as the tools mark it
// that make such pages; else all of it.
func region(root *html.Node) *html.Node {
	for _, is := range []func(*html.Node) bool{
		func(n *html.Node) bool {
			return attr(n, "id") == "main-content" || hasClass(n, "wiki-content") || hasClass(n, "markdown-body") || hasClass(n, "page-body")
		},
		func(n *html.Node) bool { return n.DataAtom == atom.Main || attr(n, "role") == "main" },
		func(n *html.Node) bool { return n.DataAtom == atom.Article },
		func(n *html.Node) bool { return n.DataAtom == atom.Body },
	} {
		if n := first(root, is); n != nil && flat(n) != "" {
			return n
		}
	}
	return root
}

// silent elements show no text.
func silent(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Script, atom.Style, atom.Template, atom.Head, atom.Noscript, atom.Svg, atom.Iframe, atom.Object:
		return true
	}
	return n.Type == html.CommentNode || n.Type == html.DoctypeNode || n.Data == "ac:parameter" || n.Data == "ac:task-id" || n.Data == "ac:task-status" || n.Data == "ac:emoticon"
}

// aside tells what belongs to the site, not to the text.
func aside(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Nav, atom.Footer, atom.Button, atom.Select, atom.Aside, atom.Form:
		return true
	}
	switch attr(n, "role") {
	case "navigation", "banner", "contentinfo", "complementary", "search":
		return true
	}
	return hasClass(n, "breadcrumbs") || hasClass(n, "breadcrumb") || hasClass(n, "sidebar") || hasClass(n, "toc-macro")
}

// around writes, line by line, what stands outside the text of the page.
func (w *htmlPage) around(n *html.Node, b *strings.Builder) {
	if n == w.heading || silent(n) {
		return
	}
	if n == w.text {
		for _, k := range w.kept {
			b.WriteString(w.children(k, true) + "\n")
		}
		return
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type == html.ElementNode && !contains(c, w.text) && !contains(c, w.heading) && !silent(c) {
			if c.DataAtom == atom.H1 || isHeading(c) {
				b.WriteString(flat(c) + "\n")
			} else if s := strings.TrimSpace(w.block(c, true)); s != "" {
				b.WriteString(strings.TrimLeft(s, "# ") + "\n")
			}
			continue
		}
		if c.Type == html.TextNode && strings.TrimSpace(c.Data) != "" {
			b.WriteString(strings.Join(strings.Fields(c.Data), " ") + "\n")
		}
		w.around(c, b)
	}
}

func contains(n, inner *html.Node) bool {
	for p := inner; p != nil; p = p.Parent {
		if p == n {
			return true
		}
	}
	return false
}

// marking elements get marks of Markdown around them, which part a word.
var marking = setOf("br|img|code|kbd|samp|tt|strong|b|em|i|del|s|strike|ri:user|ri:page|ri:url")

// visibleText gathers every text that a reader of the page sees, words of
// neighbouring blocks apart.
func (w *htmlPage) visibleText(n *html.Node, b *strings.Builder) {
	if n.Type == html.TextNode {
		b.WriteString(n.Data)
		return
	}
	if silent(n) {
		return
	}
	apart := marking[n.Data] || n.DataAtom == atom.A && link(attr(n, "href"), "x") != "x" || w.blocks[n]
	if apart {
		b.WriteByte('\n')
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.visibleText(c, b)
	}
	if apart {
		b.WriteByte('\n')
	}
}

func first(n *html.Node, is func(*html.Node) bool) *html.Node {
	if n == nil {
		return nil
	}
	if n.Type == html.ElementNode && is(n) {
		return n
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if found := first(c, is); found != nil {
			return found
		}
	}
	return nil
}

func find(n *html.Node, key string) (string, bool) {
	i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
	if i < 0 {
		return "", false
	}
	return n.Attr[i].Val, true
}

func attr(n *html.Node, key string) string {
	v, _ := find(n, key)
	return v
}

func hasClass(n *html.Node, class string) bool {
	return slices.Contains(strings.Fields(attr(n, "class")), class)
}
