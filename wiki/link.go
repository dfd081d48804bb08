package wiki

import (
	"regexp"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark/text"
)

// Link is a reference from one page to another, or to a heading.
type Link struct {
	Markdown bool   `json:"markdown,omitempty"` // [text](target), not [[target]]
	Target   string `json:"target"`             // as written, without heading; "" is the page itself
	Heading  string `json:"heading,omitempty"`
	Text     string `json:"text,omitempty"` // what is shown instead of the target
	Line     int    `json:"line"`
	Column   int    `json:"column"` // from 1, in characters

	Start int `json:"start"` // bytes of the file that hold Target
	Stop  int `json:"stop"`
}

// stretch is the text of a block, and where each part of it stands in the file.
type stretch struct {
	text   string
	starts []int // offsets in text
	origin []int // offsets in the file
}

func newStretch(src string, lines *text.Segments, at int) stretch {
	var s stretch
	var b strings.Builder
	for i := range lines.Len() {
		line := lines.At(i)
		s.starts = append(s.starts, b.Len())
		s.origin = append(s.origin, line.Start+at)
		b.WriteString(src[line.Start+at : line.Stop+at])
	}
	s.text = b.String()
	return s
}

// file is the offset in the file of an offset in the text.
func (s stretch) file(i int) int {
	k := sort.SearchInts(s.starts, i+1) - 1
	return s.origin[k] + i - s.starts[k]
}

var (
	definition = regexp.MustCompile(`^ {0,3}\[([^\[\]\n]+)\]:[ \t]*(?:<([^<>\n]*)>|([^\s<]\S*))`)
	angle      = regexp.MustCompile(`^<(?:[A-Za-z][A-Za-z0-9+.-]*:[^\s<>]*|[^\s<>@]+@[^\s<>]+|/?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*)?/?|!--(?s:.*?)--)>`)
	scheme     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)
)

// inline reads the links and code spans of a block.
func (m *marks) inline(s stretch) {
	t, open, from := s.text, 0, 0
	prose := func(until int) {
		if until > from {
			m.prose = append(m.prose, t[from:until])
		}
	}
	i := m.definitions(s)
	for i < len(t) {
		switch t[i] {
		case '\\':
			i++
			if i < len(t) && t[i] < utf8.RuneSelf && unicode.In(rune(t[i]), unicode.Punct, unicode.Symbol) {
				i++
			}
		case '`':
			n := run(t[i:], '`')
			if end := closing(t[i+n:], n); end >= 0 {
				prose(i)
				m.code = append(m.code, t[i+n:i+n+end])
				i += n + end + n
				from = i
			} else {
				i += n
			}
		case '<':
			i += max(1, len(angle.FindString(t[i:])))
		case '[':
			if n := m.wikiLink(s, i); n > 0 {
				i += n
			} else {
				open++
				i++
			}
		case ']':
			i++
			if open > 0 {
				open--
				if i < len(t) && t[i] == '(' {
					i += m.markdownLink(s, i)
				}
			}
		default:
			i++
		}
	}
	prose(len(t))
}

func run(s string, c byte) int {
	n := 0
	for n < len(s) && s[n] == c {
		n++
	}
	return n
}

// closing is where a run of exactly n backticks begins, -1 when there is none.
func closing(s string, n int) int {
	for i := 0; i < len(s); {
		if s[i] != '`' {
			i++
			continue
		}
		if k := run(s[i:], '`'); k == n {
			return i
		} else {
			i += k
		}
	}
	return -1
}

// wikiParts splits the inside of [[…]]: offsets of the path, heading and text.
// The path ends at #, the target at | (written \| inside a table).
func wikiParts(inside string) (path, heading, shown string) {
	target := inside
	if i := strings.IndexByte(inside, '|'); i >= 0 {
		target, shown = strings.TrimSuffix(inside[:i], `\`), inside[i+1:]
	}
	path, heading, _ = strings.Cut(target, "#")
	return path, heading, strings.TrimSpace(shown)
}

// wikiLink reads [[…]] at i and returns its length, 0 when there is none.
func (m *marks) wikiLink(s stretch, i int) int {
	rest := s.text[i:]
	if !strings.HasPrefix(rest, "[[") {
		return 0
	}
	end := strings.IndexAny(rest[2:], "[]\n")
	if end <= 0 || !strings.HasPrefix(rest[2+end:], "]]") {
		return 0
	}
	path, heading, shown := wikiParts(rest[2 : 2+end])
	l := Link{Target: strings.TrimSpace(path), Heading: strings.TrimSpace(heading), Text: shown}
	if l.Target == "" && l.Heading == "" || strings.ContainsRune(l.Target, 0) {
		return 0
	}
	lead := 0
	if l.Target != "" {
		lead = len(path) - len(strings.TrimLeftFunc(path, unicode.IsSpace))
	}
	m.place(&l, s.file(i), s.file(i+2+lead))
	return end + 4
}

func (m *marks) place(l *Link, at, target int) {
	l.Line, l.Column = m.position(at)
	l.Start, l.Stop = target, target+len(l.Target)
	l.Target, l.Heading, l.Text = strings.Clone(l.Target), strings.Clone(l.Heading), strings.Clone(l.Text) // else each holds the whole page in memory
	m.page.Links = append(m.page.Links, *l)
}

// markdownLink reads (destination "title") at i, which follows [text], and
// returns its length, 0 when it is no such thing.
func (m *marks) markdownLink(s stretch, i int) int {
	t := s.text
	at := i + 1 + len(t[i+1:]) - len(strings.TrimLeft(t[i+1:], " \t\n"))
	start, stop := at, at
	if at < len(t) && t[at] == '<' {
		end := strings.IndexAny(t[at+1:], "<>\n")
		if end < 0 || t[at+1+end] != '>' {
			return 0
		}
		start, stop, at = at+1, at+1+end, at+2+end
	} else {
		depth := 0
	scan:
		for ; at < len(t); at++ {
			switch c := t[at]; {
			case c == '\\' && at+1 < len(t) && t[at+1] > ' ':
				at++
			case c == '(':
				depth++
			case c == ')' && depth == 0, c <= ' ':
				break scan
			case c == ')':
				depth--
			}
		}
		stop = min(at, len(t))
	}
	end := linkEnd(t, min(at, len(t)))
	if end < 0 {
		return 0
	}
	m.destination(s, start, stop)
	return end - i
}

// linkEnd skips an optional title and the closing parenthesis.
func linkEnd(t string, at int) int {
	skip := func() {
		at += len(t[at:]) - len(strings.TrimLeft(t[at:], " \t\n"))
	}
	skip()
	if at < len(t) && (t[at] == '"' || t[at] == '\'' || t[at] == '(') {
		quote := t[at]
		if quote == '(' {
			quote = ')'
		}
		end := at + 1
		for end < len(t) && t[end] != quote {
			if t[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(t) {
			return -1
		}
		at = end + 1
		skip()
	}
	if at < len(t) && t[at] == ')' {
		return at + 1
	}
	return -1
}

// destination records where a Markdown link leads, when that is a page.
func (m *marks) destination(s stretch, start, stop int) {
	path, heading, _ := strings.Cut(s.text[start:stop], "#")
	l := Link{Markdown: true, Target: path, Heading: heading}
	if !leadsToPage(l) {
		return
	}
	m.place(&l, s.file(start), s.file(start))
}

// leadsToPage tells links between pages from those to the world outside, to
// Prunella's own web pages ("/incidents/1") and to other files.
func leadsToPage(l Link) bool {
	if l.Target == "" {
		return l.Heading != ""
	}
	if scheme.MatchString(l.Target) || strings.HasPrefix(l.Target, "//") || strings.ContainsAny(l.Target, "?\x00\n") {
		return false
	}
	base := l.Target[strings.LastIndexByte(l.Target, '/')+1:]
	if strings.HasSuffix(strings.ToLower(base), ".md") {
		return true
	}
	dot := strings.LastIndexByte(base, '.')
	return l.Target[0] != '/' && base != "" && (dot < 0 || base[dot:] == ".skill")
}

// definitions reads the [label]: destination lines that a paragraph begins with
// and returns where the rest begins.
func (m *marks) definitions(s stretch) int {
	i := 0
	for i < len(s.text) {
		p := definition.FindStringSubmatchIndex(s.text[i:])
		if p == nil {
			break
		}
		start, stop := p[4], p[5]
		if start < 0 {
			start, stop = p[6], p[7]
		}
		m.destination(s, i+start, i+stop)
		end := strings.IndexByte(s.text[i:], '\n')
		if end < 0 {
			return len(s.text)
		}
		i += end + 1
	}
	return i
}

// position gives line and column, from 1, of a byte; columns count characters.
func (m *marks) position(offset int) (line, column int) {
	line = max(sort.SearchInts(m.lines, offset+1), 1)
	start := m.lines[line-1]
	return line, utf8.RuneCountInString(m.src[start:min(max(offset, start), len(m.src))]) + 1
}

func lineStarts(s string) []int {
	starts := []int{0}
	for i := range len(s) {
		if s[i] == '\n' && i+1 < len(s) {
			starts = append(starts, i+1)
		}
	}
	return starts
}

var (
	shownWiki     = regexp.MustCompile(`!?\[\[([^\[\]\n]+)\]\]`)
	shownMarkdown = regexp.MustCompile(`!?\[([^\[\]\n]*)\]\((?:[^()\n]|\([^()\n]*\))*\)`)
	shownMarkup   = strings.NewReplacer("`", "", "**", "", "~~", "", "\\", "")
)

// plain is Markdown as it reads: links as their text, no signs of emphasis or
// code. It is for headings and excerpts, not for rendering.
func plain(s string) string {
	if strings.Contains(s, "[") {
		s = shownWiki.ReplaceAllStringFunc(s, func(link string) string {
			path, heading, shown := wikiParts(strings.TrimSuffix(link[strings.Index(link, "[[")+2:], "]]"))
			switch {
			case shown != "":
				return shown
			case path == "":
				return heading
			}
			return nameOf(strings.TrimSpace(path))
		})
		s = shownMarkdown.ReplaceAllString(s, "$1")
	}
	return shownMarkup.Replace(s)
}

// slug is the anchor that GitHub gives a heading.
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
