package skill

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"prunella"
)

// MaxSize bounds a skill file, in bytes.
const MaxSize = 4 << 20

// Span is a range of bytes of the file, [Start, Stop).
type Span struct{ Start, Stop int }

// Document is a parsed skill file. It is not safe for concurrent edits.
type Document struct {
	Path     string
	Title    string    // text of the first heading of level 1, "" when there is none
	Sections []Section // headings of level 1 and 2 after the title, in order
	Blocks   []Block   // every fenced block, in order
	Steps    []Step    // items of numbered lists, not of lists inside lists

	src   []byte
	lines []int // offset of each line's first byte
	front front
}

// Section is a heading and what follows it up to the next one.
type Section struct {
	Name    string        // heading without its time: "Diagnosis"
	Heading string        // as written: "Diagnosis (3 min)"
	Budget  time.Duration // 0 when the heading names no time
	Line    int
	Span    Span // from the heading's line to the next section
	Body    Span // without the heading

	known string // SectionNamed of it
}

// Block is a fenced code block. Code is its content without the indentation
// that the fence itself has.
type Block struct {
	Language string // first word after the fence, "signal", "bash", ""
	Info     string // everything after the fence
	Section  string // name of the section it stands in
	Code     string
	Line     int // of the opening fence
	Content  Span

	starts []origin // where each line of Code stands in the file
}

type origin struct{ line, column int } // from 1

// Step is an item of a numbered list, for people.
type Step struct {
	Section string
	Number  int
	Text    string // first paragraph, without indentation
	Line    int
	Span    Span
}

// Parse reads a skill file. Any UTF-8 text is a Document; only front matter
// that is not a YAML mapping is an error. Errors are Invalid, or TooLarge above
// MaxSize, and name file and line.
func Parse(path string, b []byte) (*Document, error) {
	if len(b) > MaxSize {
		return nil, &prunella.Error{Kind: prunella.TooLarge, Where: path,
			Reason: fmt.Sprintf("the file has %d bytes, more than %d", len(b), MaxSize), Remedy: "a skill is one page; split it"}
	}
	d := &Document{Path: path, src: bytes.Clone(b)}
	d.lines = lineStarts(d.src)
	if at := invalidUTF8(d.src); at >= 0 {
		line, column := d.position(at)
		return nil, &prunella.Error{Kind: prunella.Invalid, Where: fmt.Sprintf("%s:%d:%d", path, line, column),
			Reason: "the file is not UTF-8 text", Remedy: "save it as UTF-8"}
	}
	if err := d.checkDepth(); err != nil {
		return nil, err
	}
	if err := d.readFront(); err != nil {
		return nil, err
	}
	d.readBody()
	return d, nil
}

// Bytes returns a copy of the file's bytes.
func (d *Document) Bytes() []byte { return bytes.Clone(d.src) }

// Hash is the SHA-256 of the file's bytes, in hexadecimal.
func (d *Document) Hash() string {
	sum := sha256.Sum256(d.src)
	return hex.EncodeToString(sum[:])
}

// Text returns the bytes of a span as text.
func (d *Document) Text(s Span) string { return string(d.src[s.Start:s.Stop]) }

// markdown finds blocks only: what stands inside a paragraph does not matter here.
var markdown = parser.NewParser(
	parser.WithBlockParsers(parser.DefaultBlockParsers()...),
	parser.WithInlineParsers(util.Prioritized(noInlines{}, 1)),
)

type noInlines struct{}

func (noInlines) Trigger() []byte                                      { return nil }
func (noInlines) Parse(ast.Node, text.Reader, parser.Context) ast.Node { return nil }

func (d *Document) readBody() {
	d.Title, d.Sections, d.Blocks, d.Steps = "", nil, nil, nil
	offset := d.front.stop
	body := d.src[offset:]
	root := markdown.Parse(text.NewReader(body))
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok && h.Level <= 2 && h.Pos() >= 0 {
			d.addHeading(h, body, offset)
		}
	}
	for i := range d.Sections {
		stop := len(d.src)
		if i+1 < len(d.Sections) {
			stop = d.Sections[i+1].Span.Start
		}
		d.Sections[i].Span.Stop, d.Sections[i].Body.Stop = stop, max(stop, d.Sections[i].Body.Start)
	}
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.FencedCodeBlock:
			d.addBlock(n, body, offset)
		case *ast.List:
			if n.IsOrdered() && n.Parent() == root {
				d.addSteps(n, body, offset)
			}
		}
		return ast.WalkContinue, nil
	})
}

func (d *Document) addHeading(h *ast.Heading, body []byte, offset int) {
	name, end := "", h.Pos()
	if h.Lines().Len() > 0 {
		name = strings.TrimSpace(string(h.Lines().Value(body)))
		end = h.Lines().At(h.Lines().Len() - 1).Stop
	}
	if h.Level == 1 && d.Title == "" && len(d.Sections) == 0 {
		d.Title = name
		return
	}
	line, _ := d.position(h.Pos() + offset)
	start := d.lines[line-1]
	last, _ := d.position(end + offset)
	if underlined(body, h) {
		last++
	}
	s := Section{Heading: name, Line: line, Span: Span{Start: max(start, offset)}, Body: Span{Start: d.lineEnd(last)}}
	s.Name, s.Budget = splitBudget(name)
	s.known = SectionNamed(s.Name)
	d.Sections = append(d.Sections, s)
}

// underlined tells a heading written as text over === or --- from one with #.
func underlined(body []byte, h *ast.Heading) bool {
	return h.Pos() >= len(body) || body[h.Pos()] != '#'
}

var budgetPattern = regexp.MustCompile(`(?i)^(.*?)(?:\s*\(|\s+[–—-]\s+)(?:(?:~|≈|<|≤|about|approx\.?|first|in|max\.?|under|up to|within)\s*)?(?:\d+(?:\.\d+)?\s*[–—-]\s*)?(\d+(?:\.\d+)?)\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)(?:\s+max)?\)?$`)

// splitBudget takes the time from a heading: "Diagnosis (3 min)", and the longer
// one of "Triage (5–10 minutes)".
func splitBudget(heading string) (string, time.Duration) {
	m := budgetPattern.FindStringSubmatch(heading)
	if m == nil {
		return heading, 0
	}
	n, err := strconv.ParseFloat(m[2], 64)
	if err != nil || n > 1000 {
		return heading, 0
	}
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour}[m[3][0]|0x20]
	return m[1], time.Duration(n * float64(unit))
}

func (d *Document) addBlock(n *ast.FencedCodeBlock, body []byte, offset int) {
	b := Block{}
	if n.Info != nil {
		b.Info = strings.TrimSpace(string(n.Info.Segment.Value(body)))
		if f := strings.Fields(b.Info); len(f) > 0 {
			b.Language = f[0]
		}
	}
	if n.Pos() >= 0 {
		b.Line, _ = d.position(n.Pos() + offset)
		b.Section = d.sectionAt(n.Pos() + offset)
	}
	b.Content = Span{d.lineEnd(b.Line), d.lineEnd(b.Line)}
	var code strings.Builder
	for i := range n.Lines().Len() {
		seg := n.Lines().At(i)
		code.Write(seg.Value(body))
		line, column := d.position(seg.Start + offset)
		b.starts = append(b.starts, origin{line, column - seg.Padding})
		if i == 0 {
			b.Content.Start = seg.Start + offset
		}
		b.Content.Stop = seg.Stop + offset
	}
	b.Code = code.String()
	d.Blocks = append(d.Blocks, b)
}

func (d *Document) addSteps(list *ast.List, body []byte, offset int) {
	number := list.Start
	for item := list.FirstChild(); item != nil; item = item.NextSibling() {
		s := Step{Number: number}
		number++
		if p := item.Pos(); p >= 0 {
			s.Span = Span{p + offset, p + offset}
			s.Line, _ = d.position(p + offset)
			s.Section = d.sectionAt(p + offset)
		}
		for c := item.FirstChild(); c != nil; c = c.NextSibling() {
			if c.Type() == ast.TypeBlock && c.Lines() != nil && c.Lines().Len() > 0 {
				if s.Text == "" {
					s.Text = strings.TrimSpace(string(c.Lines().Value(body)))
				}
				s.Span.Stop = max(s.Span.Stop, c.Lines().At(c.Lines().Len()-1).Stop+offset)
			}
		}
		d.Steps = append(d.Steps, s)
	}
}

func (d *Document) sectionAt(offset int) string {
	i := sort.Search(len(d.Sections), func(i int) bool { return d.Sections[i].Span.Start > offset })
	if i == 0 {
		return ""
	}
	return d.Sections[i-1].Name
}

// place maps line and column of a block's code, from 1, to the file's.
func (b Block) place(line, column int) (int, int) {
	if len(b.starts) == 0 {
		return b.Line, 1
	}
	o := b.starts[min(max(line, 1), len(b.starts))-1]
	return o.line, max(o.column+column-1, 1)
}

// position gives line and column, from 1, of a byte; columns count characters.
func (d *Document) position(offset int) (line, column int) {
	line = sort.SearchInts(d.lines, offset+1)
	line = max(line, 1)
	start := d.lines[line-1]
	return line, utf8.RuneCount(d.src[start:min(max(offset, start), len(d.src))]) + 1
}

// lineEnd is the offset after a line and its line ending.
func (d *Document) lineEnd(line int) int {
	if line < len(d.lines) {
		return d.lines[line]
	}
	return len(d.src)
}

func lineStarts(b []byte) []int {
	starts := []int{0}
	for i, c := range b {
		if c == '\n' && i+1 < len(b) {
			starts = append(starts, i+1)
		}
	}
	return starts
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return -1
}
