package web

import (
	"bytes"
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	nodes "github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"prunella/client"
)

// A page's text comes from people and imports, so it is not trusted: raw HTML
// is shown as text, pictures become links, and goldmark leaves out links with
// dangerous schemes.
var markdownEngine = goldmark.New(
	goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.TaskList),
	goldmark.WithParserOptions(parser.WithInlineParsers(util.Prioritized(wikiLinks{}, 150)), parser.WithASTTransformers(util.Prioritized(pageShape{}, 900))),
	goldmark.WithRendererOptions(nodes.WithNodeRenderers(util.Prioritized(plainNodes{}, 10))),
)

// resolver says where [[inside]] leads.
type resolver func(inside string) client.WikiLink

var resolverKey = parser.NewContextKey()

// markdown renders the body of a wiki page below an <h1> that stands already;
// the page's own first heading, which says the same, is left out. Headings get
// the ids that links to them have.
func markdown(source string, resolve resolver) (template.HTML, error) {
	var out bytes.Buffer
	pc := parser.NewContext()
	pc.Set(resolverKey, resolve)
	if err := markdownEngine.Convert([]byte(source), &out, parser.WithContext(pc)); err != nil {
		return "", err
	}
	return template.HTML(out.String()), nil
}

// pageShape gives headings their ids, leaves the title out and finds the pages
// that ordinary links name.
type pageShape struct{}

func (pageShape) Transform(doc *ast.Document, reader text.Reader, pc parser.Context) {
	source, resolve := reader.Source(), pc.Get(resolverKey).(resolver)
	seen := map[string]int{}
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			id := slug(spoken(n, source))
			again := seen[id]
			seen[id]++
			if again > 0 {
				id += "-" + strconv.Itoa(again)
			}
			if id != "" {
				n.SetAttributeString("id", []byte(id))
			}
		case *ast.Link:
			target := string(n.Destination)
			if file, _, _ := strings.Cut(target, "#"); strings.HasSuffix(file, ".md") && !strings.Contains(file, ":") {
				if l := resolve(target); l.URL != "" {
					n.Destination = []byte(l.URL)
				} else {
					n.SetAttributeString("class", []byte("broken"))
					n.SetAttributeString("title", []byte(l.Broken))
				}
			}
		}
		return ast.WalkContinue, nil
	})
	if first, ok := doc.FirstChild().(*ast.Heading); ok && first.Level == 1 {
		doc.RemoveChild(doc, first)
	}
}

// spoken is the text of a heading without its marks.
func spoken(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			switch n := n.(type) {
			case *ast.Text:
				b.Write(n.Value(source))
			case *ast.String:
				b.Write(n.Value)
			case *wikiLink:
				b.WriteString(n.link.Text)
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// slug is the anchor that GitHub gives to a heading, as package wiki knows it.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.M, r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

var kindWikiLink = ast.NewNodeKind("WikiLink")

// wikiLink is [[target]] or [[target|shown]], found.
type wikiLink struct {
	ast.BaseInline
	link client.WikiLink
}

func (*wikiLink) Kind() ast.NodeKind { return kindWikiLink }

func (n *wikiLink) Dump(source []byte, level int) {
	ast.DumpHelper(n, source, level, map[string]string{"target": n.link.Target}, nil)
}

type wikiLinks struct{}

func (wikiLinks) Trigger() []byte { return []byte{'['} }

var wikiSyntax = regexp.MustCompile(`^\[\[([^\[\]\n]+)\]\]`)

func (wikiLinks) Parse(_ ast.Node, block text.Reader, pc parser.Context) ast.Node {
	line, _ := block.PeekLine()
	m := wikiSyntax.FindSubmatch(line)
	if m == nil {
		return nil
	}
	block.Advance(len(m[0]))
	return &wikiLink{link: pc.Get(resolverKey).(resolver)(strings.TrimSpace(string(m[1])))}
}

// plainNodes renders what goldmark would omit or load from elsewhere.
type plainNodes struct{}

func (plainNodes) RegisterFuncs(r nodes.NodeRendererFuncRegisterer) {
	r.Register(ast.KindRawHTML, rawInline)
	r.Register(ast.KindHTMLBlock, rawBlock)
	r.Register(ast.KindImage, imageAsLink)
	r.Register(ast.KindFencedCodeBlock, fenced)
	r.Register(kindWikiLink, renderWikiLink)
	r.Register(extast.KindTaskCheckBox, checkBox)
}

// checkBox says in words whether an item is done: its box cannot be ticked here.
func checkBox(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	switch {
	case !entering:
	case node.(*extast.TaskCheckBox).IsChecked:
		w.WriteString(`<input type="checkbox" aria-label="done" checked disabled> `)
	default:
		w.WriteString(`<input type="checkbox" aria-label="open" disabled> `)
	}
	return ast.WalkContinue, nil
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
	shown := template.HTMLEscapeString(n.link.Text)
	if n.link.URL == "" {
		w.WriteString(`<span class="broken" title="` + template.HTMLEscapeString(n.link.Broken) + `">` + shown + `<span class="unseen"> (broken link: ` + template.HTMLEscapeString(n.link.Broken) + `)</span></span>`)
		return ast.WalkContinue, nil
	}
	w.WriteString(`<a href="` + template.HTMLEscapeString(n.link.URL) + `"`)
	if n.link.Broken != "" { // the page is there, the heading is not
		w.WriteString(` class="broken" title="` + template.HTMLEscapeString(n.link.Broken) + `"`)
	}
	w.WriteString(`>` + shown + `</a>`)
	return ast.WalkContinue, nil
}
