package wiki

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"prunella"
	"prunella/skill"
)

// MaxPage bounds a page, in bytes. A larger file is listed with a problem and
// not read.
const MaxPage = skill.MaxSize

// PageKind says what a page is about, by the folder it stands in.
type PageKind string

const (
	Skill   PageKind = "skill"   // skills/
	Person  PageKind = "person"  // people/
	Company PageKind = "company" // companies/
	Draft   PageKind = "draft"   // drafts/: not accepted yet
	Other   PageKind = "page"
)

var folders = map[string]PageKind{"skills": Skill, "people": Person, "companies": Company, "drafts": Draft}

// Page is what the index knows about one file.
type Page struct {
	Path        string            `json:"path"` // from the wiki's folder, with slashes: "people/sam.md"
	Name        string            `json:"name"` // of the file, without .md or .skill.md
	Kind        PageKind          `json:"kind"`
	Title       string            `json:"title"` // the first heading of level 1, metadata title, or the name in words
	Description string            `json:"description,omitempty"`
	Category    string            `json:"category,omitempty"`
	Owners      []string          `json:"owners,omitempty"` // as written, "@sam"
	Meta        map[string]string `json:"meta,omitempty"`   // the whole front matter; metadata without its prefix
	Verified    time.Time         `json:"verified,omitzero"`
	Headings    []Heading         `json:"headings,omitempty"`
	Links       []Link            `json:"links,omitempty"`
	Hash        string            `json:"hash"` // SHA-256 of the file, in hexadecimal
	Size        int64             `json:"size"`
	Modified    time.Time         `json:"modified"`
	Problems    []skill.Problem   `json:"problems,omitempty"` // with an error among them the page cannot be shown
}

// Heading is a heading of any level.
type Heading struct {
	Level int    `json:"level"`
	Text  string `json:"text"` // without markup
	Slug  string `json:"slug"` // the anchor that GitHub would give it
	Line  int    `json:"line"`
}

// Err is why the page cannot be shown, nil when it can.
func (p *Page) Err() error {
	for _, q := range p.Problems {
		kind, fatal := fatalRules[q.Rule]
		if fatal {
			return &prunella.Error{Kind: kind, Op: "read page", Where: fmt.Sprintf("%s:%d:%d", q.File, q.Line, q.Column), Reason: q.Text, Remedy: q.Remedy}
		}
	}
	return nil
}

// Rules of problems that keep a page from being shown, and the error they are.
var fatalRules = map[string]prunella.Kind{"too-large": prunella.TooLarge, "not-utf8": prunella.Invalid, "unreadable": prunella.Unavailable}

func kindOf(file string) PageKind {
	folder, _, _ := strings.Cut(file, "/")
	if k, ok := folders[folder]; ok && folder != file {
		return k
	}
	return Other
}

// nameOf is a file's name without folder and ending.
func nameOf(file string) string {
	return stem(path.Base(file))
}

// stem is a path or link target without .md or .skill.md.
func stem(file string) string {
	return strings.TrimSuffix(strings.TrimSuffix(file, ".md"), ".skill")
}

var unhyphened = strings.NewReplacer("-", " ", "_", " ")

func newPage(file string) *Page {
	p := &Page{Path: file, Name: strings.ToValidUTF8(nameOf(file), "\uFFFD"), Kind: kindOf(file)}
	if words := unhyphened.Replace(p.Name); words != "" {
		first, n := utf8.DecodeRuneInString(words)
		p.Title = string(unicode.ToUpper(first)) + words[n:]
	}
	return p
}

func (p *Page) add(severity, rule string, line, column int, text, remedy string) {
	p.Problems = append(p.Problems, skill.Problem{File: p.Path, Line: line, Column: column, Rule: rule, Text: text, Remedy: remedy, Severity: severity})
}

// contents is a page with the tokens that the index is made of.
type contents struct {
	*Page
	title, heads, body, ids string
	forms                   map[string]string // see stems
}

// readPage takes a file apart. It does not fail: what is wrong stands in the
// page's Problems.
func readPage(file string, b []byte, s *stems) contents {
	p := newPage(file)
	p.Hash, p.Size = hashOf(b), int64(len(b))
	c := contents{Page: p}
	if len(b) > MaxPage {
		p.tooLarge(int64(len(b)))
		return c
	}
	if !utf8.Valid(b) {
		line, column := invalidAt(b)
		p.add(skill.SeverityError, "not-utf8", line, column, "the file is not UTF-8 text", "save it as UTF-8")
		return c
	}
	m := &marks{src: string(b), page: p}
	at := bodyStart(m.src)
	p.front(b[:at])
	m.read(b[at:])
	p.Headings, p.Links = slices.Clip(slices.Clone(p.Headings)), slices.Clip(slices.Clone(p.Links)) // they stay as long as the wiki is open
	var heads strings.Builder
	for _, h := range p.Headings {
		heads.WriteString(h.Text + "\n")
	}
	for _, key := range []string{"description", "trigger", "pattern", "category", "owners"} {
		heads.WriteString(p.Meta[key] + "\n")
	}
	c.title, c.heads, c.body = s.tokens(p.Title+"\n"+p.Name), s.tokens(heads.String()), s.tokens(m.src[at:])
	c.ids, c.forms = s.identifiers(m), s.told()
	return c
}

func (p *Page) tooLarge(size int64) {
	p.add(skill.SeverityError, "too-large", 1, 1, fmt.Sprintf("the page has %d bytes, more than %d", size, MaxPage), "split it")
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func invalidAt(b []byte) (line, column int) {
	line, column = 1, 1
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			return line, column
		case r == '\n':
			line, column = line+1, 1
		default:
			column++
		}
		b = b[n:]
	}
	return line, column
}

// bodyStart is the offset after the front matter, 0 without one.
func bodyStart(src string) int {
	rest := strings.TrimPrefix(src, "\uFEFF")
	at := len(src) - len(rest)
	for n := 0; at < len(src); n++ {
		end := strings.IndexByte(src[at:], '\n')
		if end < 0 {
			end = len(src) - at - 1
		}
		fence := strings.TrimRight(src[at:at+end+1], " \t\r\n") == "---"
		at += end + 1
		switch {
		case n == 0 && !fence:
			return 0
		case n > 0 && fence:
			return at
		}
	}
	return 0
}

// front reads the front matter, which is all of b.
func (p *Page) front(b []byte) {
	d, err := skill.Parse(p.Path, b)
	if err != nil {
		q := skill.Problem{File: p.Path, Line: 1, Column: 1, Rule: "front-matter", Text: err.Error(), Severity: skill.SeverityError}
		var e *prunella.Error
		if errors.As(err, &e) {
			q.Text, q.Remedy = e.Reason, e.Remedy
			if i := strings.LastIndex(e.Where, ".md:"); i >= 0 {
				fmt.Sscanf(e.Where[i+4:], "%d:%d", &q.Line, &q.Column)
			}
		}
		p.Problems = append(p.Problems, q)
		return
	}
	for _, key := range d.MetaKeys() {
		if p.Meta == nil {
			p.Meta = map[string]string{}
		}
		p.Meta[key], _ = d.Meta(key)
	}
	p.Description, p.Category = p.Meta["description"], p.Meta["category"]
	if t := p.Meta["title"]; t != "" {
		p.Title = t
	}
	for owner := range strings.SplitSeq(p.Meta["owners"], ",") {
		if owner = strings.TrimSpace(owner); owner != "" {
			p.Owners = append(p.Owners, owner)
		}
	}
	if v := strings.TrimSpace(p.Meta["last-verified"]); v != "" {
		at, err := time.Parse(time.DateOnly, v)
		if err != nil {
			at, err = time.Parse(time.RFC3339, v)
		}
		if err != nil {
			p.add(skill.SeverityWarning, "last-verified", d.MetaLine("last-verified"), 1, fmt.Sprintf("last-verified is %q, which is no date", v), "write it as 2026-04-19")
			return
		}
		p.Verified = at
	}
}

// blocks finds blocks only; what stands inside a paragraph is read by marks.
var blocks = parser.NewParser(
	parser.WithBlockParsers(parser.DefaultBlockParsers()...),
	parser.WithInlineParsers(util.Prioritized(noInlines{}, 1)),
)

type noInlines struct{}

func (noInlines) Trigger() []byte                                      { return nil }
func (noInlines) Parse(ast.Node, text.Reader, parser.Context) ast.Node { return nil }

// marks reads headings, links and code from a page's body.
type marks struct {
	src   string
	page  *Page
	lines []int    // offset of each line's first byte
	code  []string // contents of code blocks and spans
	prose []string // everything else
	slugs map[string]int
}

func (m *marks) read(body []byte) {
	at := len(m.src) - len(body)
	m.lines, m.slugs = lineStarts(m.src), map[string]int{}
	root := blocks.Parse(text.NewReader(body))
	titled := m.page.Meta["title"] != ""
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering || n.Type() != ast.TypeBlock || n.Lines() == nil {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			m.code = append(m.code, string(n.Lines().Value(body)))
		case *ast.HTMLBlock:
		case *ast.Heading:
			s := newStretch(m.src, n.Lines(), at)
			m.inline(s)
			m.heading(n, s, at, &titled)
		default:
			m.inline(newStretch(m.src, n.Lines(), at))
		}
		return ast.WalkContinue, nil
	})
}

func (m *marks) heading(n *ast.Heading, s stretch, at int, titled *bool) {
	h := Heading{Level: n.Level, Text: strings.Clone(strings.Join(strings.Fields(plain(s.text)), " ")), Line: 1}
	if n.Pos() >= 0 {
		h.Line, _ = m.position(n.Pos() + at)
	}
	h.Slug = slug(h.Text)
	if seen := m.slugs[h.Slug]; seen > 0 {
		m.slugs[h.Slug]++
		h.Slug = fmt.Sprintf("%s-%d", h.Slug, seen)
	} else {
		m.slugs[h.Slug] = 1
	}
	if n.Level == 1 && h.Text != "" && !*titled {
		m.page.Title, *titled = h.Text, true
	}
	m.page.Headings = append(m.page.Headings, h)
}
