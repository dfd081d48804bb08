package web

import (
	"bytes"
	"html/template"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	nodes "github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// A skill's text comes from people and imports, so it is not trusted: raw HTML
// is shown as text, pictures become links, and goldmark leaves out links with
// dangerous schemes.
var markdownEngine = goldmark.New(
	goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.TaskList),
	goldmark.WithParserOptions(parser.WithInlineParsers(util.Prioritized(wikiLinks{}, 150))),
	goldmark.WithRendererOptions(nodes.WithNodeRenderers(util.Prioritized(plainNodes{}, 10))),
)

// markdown renders the body of a wiki page below an <h1> that stands already;
// the page's own first heading, which says the same, is left out.
func markdown(source string) (template.HTML, error) {
	if first, rest, _ := strings.Cut(strings.TrimLeft(source, "\r\n"), "\n"); strings.HasPrefix(first, "# ") {
		source = rest
	}
	var out bytes.Buffer
	if err := markdownEngine.Convert([]byte(source), &out); err != nil {
		return "", err
	}
	return template.HTML(out.String()), nil
}

var kindWikiLink = ast.NewNodeKind("WikiLink")

// wikiLink is [[target]] or [[target|shown]].
type wikiLink struct {
	ast.BaseInline
	target, shown string
}

func (*wikiLink) Kind() ast.NodeKind { return kindWikiLink }

func (n *wikiLink) Dump(source []byte, level int) {
	ast.DumpHelper(n, source, level, map[string]string{"target": n.target}, nil)
}

type wikiLinks struct{}

func (wikiLinks) Trigger() []byte { return []byte{'['} }

var wikiSyntax = regexp.MustCompile(`^\[\[([^\[\]|\n]+)(?:\|([^\[\]\n]+))?\]\]`)

func (wikiLinks) Parse(_ ast.Node, block text.Reader, _ parser.Context) ast.Node {
	line, _ := block.PeekLine()
	m := wikiSyntax.FindSubmatch(line)
	if m == nil {
		return nil
	}
	block.Advance(len(m[0]))
	n := &wikiLink{target: strings.TrimSpace(string(m[1])), shown: strings.TrimSpace(string(m[2]))}
	if n.shown == "" {
		n.shown = n.target
	}
	return n
}

// skillPath is where a wiki link leads: only skills have a page here.
func skillPath(target string) (string, bool) {
	dir, name := path.Split(target)
	name, isSkill := strings.CutSuffix(strings.TrimSuffix(name, ".md"), ".skill")
	if name == "" || !isSkill && strings.Trim(dir, "/") != "skills" {
		return "", false
	}
	return "/skills/" + url.PathEscape(name), true
}

// plainNodes renders what goldmark would omit or load from elsewhere.
type plainNodes struct{}

func (plainNodes) RegisterFuncs(r nodes.NodeRendererFuncRegisterer) {
	r.Register(ast.KindRawHTML, rawInline)
	r.Register(ast.KindHTMLBlock, rawBlock)
	r.Register(ast.KindImage, imageAsLink)
	r.Register(ast.KindFencedCodeBlock, fenced)
	r.Register(kindWikiLink, renderWikiLink)
}

func rawInline(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		segments := node.(*ast.RawHTML).Segments
		for i := range segments.Len() {
			s := segments.At(i)
			template.HTMLEscape(w, s.Value(source))
		}
	}
	return ast.WalkSkipChildren, nil
}

func rawBlock(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	b := node.(*ast.HTMLBlock)
	if !entering {
		return ast.WalkContinue, nil
	}
	w.WriteString("<p>")
	writeLines(w, source, b.Lines())
	if b.HasClosure() {
		template.HTMLEscape(w, b.ClosureLine.Value(source))
	}
	w.WriteString("</p>\n")
	return ast.WalkSkipChildren, nil
}

func writeLines(w util.BufWriter, source []byte, lines *text.Segments) {
	for i := range lines.Len() {
		s := lines.At(i)
		template.HTMLEscape(w, s.Value(source))
	}
}

func imageAsLink(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		w.WriteString("</a>")
		return ast.WalkContinue, nil
	}
	target := node.(*ast.Image).Destination
	if html.IsDangerousURL(target) {
		target = nil
	}
	w.WriteString(`<a href="`)
	template.HTMLEscape(w, util.URLEscape(target, true))
	w.WriteString(`" rel="noopener noreferrer">picture: `)
	return ast.WalkContinue, nil
}

// engineBlocks are the fences that the engine runs. They are folded: who reads a
// runbook at night reads the prose beside them.
var engineBlocks = map[string]string{"signal": "what it looks like", "check": "read of the world", "action": "step", "escalate": "whom to call"}

func fenced(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	b := node.(*ast.FencedCodeBlock)
	if !entering {
		return ast.WalkContinue, nil
	}
	language := string(b.Language(source))
	says, runs := engineBlocks[language]
	if runs {
		w.WriteString(`<details class="engine"><summary><b>` + language + `</b> ` + says + `, run by the engine</summary>`)
	}
	w.WriteString(`<pre data-copy tabindex="0"><code>`)
	writeLines(w, source, b.Lines())
	w.WriteString("</code></pre>\n")
	if runs {
		w.WriteString("</details>\n")
	}
	return ast.WalkSkipChildren, nil
}

func renderWikiLink(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	n := node.(*wikiLink)
	if !entering {
		return ast.WalkContinue, nil
	}
	shown := template.HTMLEscapeString(n.shown)
	if href, ok := skillPath(n.target); ok {
		w.WriteString(`<a href="` + template.HTMLEscapeString(href) + `">` + shown + `</a>`)
	} else {
		w.WriteString(`<span class="ref">` + shown + `</span>`)
	}
	return ast.WalkContinue, nil
}
