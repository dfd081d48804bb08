package skill

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"prunella"
)

// standard are the keys that the Agent Skills standard puts at the top level of
// the front matter; every other key belongs under metadata.
var standard = []string{"name", "description", "license", "compatibility", "metadata", "allowed-tools"}

// front is the front matter: where it stands and what it says.
type front struct {
	stop        int // where the body begins, 0 without front matter
	open, close int // of the YAML between the fences
	entries     []entry
	values      map[string]any
}

// entry is one key of the front matter that holds a plain value.
type entry struct {
	key    string
	nested bool // under metadata
	value  string
	isText bool // a YAML string, as the standard wants it
	line   int
	column int
	node   *yaml.Node // value
	keyAt  int        // offset of the key
	limit  int        // offset of the line that the entry cannot reach
	braces bool       // it stands inside {…}
}

// Meta returns a value of the front matter, from the top level or from
// metadata, and whether it is there. A list is joined with ", ".
func (d *Document) Meta(key string) (string, bool) {
	if e := d.front.find(key); e != nil {
		return e.value, true
	}
	return "", false
}

// MetaKeys lists the keys of the front matter in order, those under metadata
// without that prefix.
func (d *Document) MetaKeys() []string {
	var keys []string
	for _, e := range d.front.entries {
		keys = append(keys, e.key)
	}
	return keys
}

// MetaLine is the line of a key, 1 when it is not there.
func (d *Document) MetaLine(key string) int {
	if e := d.front.find(key); e != nil {
		return e.line
	}
	return 1
}

func (f *front) find(key string) *entry {
	for i := range f.entries {
		if f.entries[i].key == key {
			return &f.entries[i]
		}
	}
	return nil
}

// fences finds the lines "---" around the front matter; "...", as YAML ends, ends
// it too.
func (d *Document) fences() (open, closing int, ok bool) {
	at := 0
	if bytes.HasPrefix(d.src, []byte("\uFEFF")) {
		at = 3
	}
	first := d.src[at:d.lineEnd(1)]
	if strings.TrimRight(string(first), " \t\r\n") != "---" {
		return 0, 0, false
	}
	for line := 2; line <= len(d.lines); line++ {
		text := string(d.src[d.lines[line-1]:d.lineEnd(line)])
		if end := strings.TrimRight(text, " \t\r\n"); end == "---" || end == "..." {
			return 1, line, true
		}
	}
	return 0, 0, false
}

func (d *Document) readFront() error {
	d.front = front{values: map[string]any{}}
	open, closing, ok := d.fences()
	if !ok {
		return nil
	}
	f := &d.front
	f.open, f.close, f.stop = d.lineEnd(open), d.lines[closing-1], d.lineEnd(closing)
	source := d.src[f.open:f.close]
	var root yaml.Node
	if err := yaml.Unmarshal(source, &root); err != nil {
		line := yamlErrorLine(string(source), err)
		return d.frontError(line+open, 1, yamlMessage(err), "")
	}
	if len(root.Content) == 0 {
		return nil
	}
	top := root.Content[0]
	if n := findAlias(top); n != nil {
		return d.frontError(n.Line+open, n.Column, "anchors and aliases are not supported", "write the value out")
	}
	if top.Kind != yaml.MappingNode {
		return d.frontError(top.Line+open, top.Column, "the front matter is not a list of keys and values", "write name: value, one a line")
	}
	if err := top.Decode(&f.values); err != nil {
		return d.frontError(yamlNumber(err)+open, 1, yamlMessage(err), "")
	}
	f.collect(d, top, false, open, f.close)
	return nil
}

func (d *Document) frontError(line, column int, reason, remedy string) error {
	return &prunella.Error{Kind: prunella.Invalid, Where: fmt.Sprintf("%s:%d:%d", d.Path, line, column),
		Reason: "front matter: " + reason, Remedy: remedy}
}

func (f *front) collect(d *Document, m *yaml.Node, nested bool, before, limit int) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		end := limit
		if i+3 < len(m.Content) {
			end = d.offset(m.Content[i+2].Line+before, 1)
		}
		if !nested && key.Value == "metadata" && value.Kind == yaml.MappingNode {
			f.collect(d, value, true, before, end)
			continue
		}
		e := entry{key: key.Value, nested: nested, line: key.Line + before, column: key.Column,
			node: value, keyAt: d.offset(key.Line+before, key.Column), limit: end,
			braces: m.Style&yaml.FlowStyle != 0}
		e.value, e.isText = flat(value)
		f.entries = append(f.entries, e)
	}
}

func flat(n *yaml.Node) (string, bool) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "", false
		}
		return n.Value, n.Tag == "!!str"
	case yaml.SequenceNode:
		var parts []string
		for _, c := range n.Content {
			s, _ := flat(c)
			parts = append(parts, s)
		}
		return strings.Join(parts, ", "), false
	}
	return "", false
}

// offset is the byte at a line and a column that counts characters.
func (d *Document) offset(line, column int) int {
	if line > len(d.lines) {
		return len(d.src)
	}
	at := d.lines[line-1]
	for ; column > 1 && at < len(d.src); column-- {
		_, size := utf8.DecodeRune(d.src[at:])
		at += size
	}
	return at
}

// SetMeta gives a key of the front matter a new value by replacing the bytes of
// the old one, or adds the key (under metadata, unless the Agent Skills
// standard has it at the top level). No other byte of the file changes. It
// fails, and changes nothing, when that is not possible: Invalid.
func (d *Document) SetMeta(key, value string) error {
	if !keyPattern.MatchString(key) || key == "metadata" {
		return prunella.Errorf(prunella.Invalid, "%q cannot be a key of the front matter; use letters, digits, - and _", key)
	}
	if !utf8.ValidString(value) {
		return prunella.Errorf(prunella.Invalid, "the value of %s is not UTF-8 text", key)
	}
	at, edited, err := d.splice(key, value)
	if err != nil {
		return err
	}
	src := slices.Concat(d.src[:at.Start], edited, d.src[at.Stop:])
	next, err := Parse(d.Path, src)
	if err != nil || !sameExcept(d.front, next.front, key, value) {
		return &prunella.Error{Kind: prunella.Invalid, Op: "set " + key, Where: fmt.Sprintf("%s:%d", d.Path, d.MetaLine(key)),
			Reason: "the front matter is written in a way that cannot be edited safely", Remedy: "edit this line by hand", Err: err}
	}
	*d = *next
	return nil
}

var keyPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// splice says which bytes to replace with what.
func (d *Document) splice(key, value string) (Span, []byte, error) {
	f := &d.front
	newline := "\n"
	if end := d.lineEnd(1); end > 1 && d.src[end-2] == '\r' {
		newline = "\r\n"
	}
	e := f.find(key)
	if e != nil {
		span, style, err := d.valueSpan(e)
		if err != nil {
			return Span{}, nil, err
		}
		text := quote(value, style)
		if span.Start == span.Stop {
			text = " " + text
		}
		return span, []byte(text), nil
	}
	line := key + ": " + quote(value, 0) + newline
	if f.stop == 0 {
		start := 0
		if bytes.HasPrefix(d.src, []byte("\uFEFF")) {
			start = 3
		}
		head := "---" + newline
		if !slices.Contains(standard, key) {
			head += "metadata:" + newline + "  "
		}
		return Span{start, start}, []byte(head + line + "---" + newline + newline), nil
	}
	if slices.Contains(standard, key) {
		return Span{f.open, f.open}, []byte(line), nil
	}
	last := -1
	for i := range f.entries {
		if f.entries[i].nested {
			last = i
		}
	}
	if last < 0 {
		if _, there := f.values["metadata"]; there {
			return Span{}, nil, &prunella.Error{Kind: prunella.Invalid, Op: "set " + key, Where: d.Path,
				Reason: "metadata is there but empty, or not a mapping", Remedy: "write its first entry by hand"}
		}
		return Span{f.close, f.close}, []byte("metadata:" + newline + "  " + line), nil
	}
	n := f.entries[last]
	if n.braces {
		return Span{}, nil, &prunella.Error{Kind: prunella.Invalid, Op: "set " + key, Where: fmt.Sprintf("%s:%d", d.Path, n.line),
			Reason: "metadata is written in braces", Remedy: "write one key a line"}
	}
	start := d.lines[n.line-1]
	at := d.lastText(n)
	return Span{at, at}, []byte(string(d.src[start:n.keyAt]) + line), nil
}

// lastText is the offset after the last line of an entry that is not blank.
func (d *Document) lastText(e entry) int {
	line, _ := d.position(max(e.limit-1, 0))
	for line > e.line && strings.TrimSpace(string(d.src[d.lines[line-1]:d.lineEnd(line)])) == "" {
		line--
	}
	return d.lineEnd(line)
}

// valueSpan is where the value of an entry stands, and its YAML style.
func (d *Document) valueSpan(e *entry) (Span, yaml.Style, error) {
	n := e.node
	start := d.offset(n.Line+1, n.Column)
	if n.Kind != yaml.ScalarNode || n.Style&yaml.TaggedStyle != 0 || e.braces || start > e.limit {
		return Span{}, 0, &prunella.Error{Kind: prunella.Invalid, Op: "set " + e.key, Where: fmt.Sprintf("%s:%d", d.Path, e.line),
			Reason: "its value is not a plain text on a line of its own", Remedy: "edit this line by hand"}
	}
	rest := d.src[start:e.limit]
	switch {
	case n.Tag == "!!null" && n.Value == "":
		colon := bytes.IndexByte(d.src[e.keyAt:e.limit], ':')
		at := e.keyAt + colon + 1
		return Span{at, at}, 0, nil
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			if rest[i] == '\\' {
				i++
			} else if rest[i] == '"' {
				return Span{start, start + i + 1}, n.Style, nil
			}
		}
	case n.Style&yaml.SingleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			if rest[i] == '\'' && i+1 < len(rest) && rest[i+1] == '\'' {
				i++
			} else if rest[i] == '\'' {
				return Span{start, start + i + 1}, n.Style, nil
			}
		}
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return Span{start, start + len(strings.TrimRight(within(string(rest), e.column-1, false), " \t\r\n"))}, n.Style, nil
	}
	return Span{start, start + len(strings.TrimRight(within(string(rest), e.column-1, true), " \t\r\n"))}, n.Style, nil
}

// within is the part of a text, from the value of a key on, that belongs to the
// value: the lines below that are blank or begin right of the key's column, and of
// a plain value none after a comment.
func within(text string, column int, plain bool) string {
	lines := strings.SplitAfter(text, "\n")
	end := 0
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		if i > 0 && trimmed != "" && (len(line)-len(strings.TrimLeft(line, " ")) <= column || plain && trimmed[0] == '#') {
			break
		}
		if at := comment.FindStringIndex(line); plain && at != nil {
			return text[:end+at[0]]
		}
		end += len(line)
	}
	return text[:end]
}

var comment = regexp.MustCompile(`[ \t]#`)

var plainText = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._/+()-]*$`)

// quote writes a value as YAML on one line: plain when that is a text for
// every YAML reader and the old value was plain too, in single quotes when the old
// value was and they can hold it, else in double quotes.
func quote(value string, style yaml.Style) string {
	if style&yaml.SingleQuotedStyle != 0 && !strings.Contains(value, "---") && !strings.ContainsFunc(value, unicode.IsControl) && utf8.ValidString(value) {
		var n yaml.Node
		if single := "'" + strings.ReplaceAll(value, "'", "''") + "'"; yaml.Unmarshal([]byte(single), &n) == nil && len(n.Content) == 1 && n.Content[0].Value == value {
			return single
		}
	}
	quoted := style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0
	if !quoted && plainText.MatchString(value) && !strings.HasSuffix(value, " ") && !strings.Contains(value, "---") {
		var n yaml.Node
		if yaml.Unmarshal([]byte(value), &n) == nil && len(n.Content) == 1 && n.Content[0].Tag == "!!str" {
			return value
		}
	}
	return `"` + escape(value, false) + `"`
}

// escape is what stands between the double quotes: on one line, or, folded, in
// a way that keeps words apart from the letters of an escape.
func escape(value string, folded bool) string {
	var b strings.Builder
	dashes := 0 // readers of the standard take any --- for the end of the front matter
	for _, r := range value {
		if r != '-' {
			dashes = 0
		} else if dashes++; dashes == 3 {
			if dashes = 0; folded {
				b.WriteString("\\\n" + deep + "-")
				dashes = 1
			} else {
				b.WriteString(`\x2d`)
			}
			continue
		}
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t' && folded:
			b.WriteString("\\\t")
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffe || r == 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// sameExcept tells whether two front matters differ in one key only, which has
// the value in the second.
func sameExcept(a, b front, key, value string) bool {
	e := b.find(key)
	if e == nil || !e.isText || e.value != value {
		return false
	}
	return reflect.DeepEqual(without(a.values, key, e.nested), without(b.values, key, e.nested))
}

func without(values map[string]any, key string, nested bool) map[string]any {
	out := map[string]any{}
	for k, v := range values {
		if m, ok := v.(map[string]any); ok && k == "metadata" && nested {
			inner := without(m, key, false)
			if len(inner) > 0 {
				out[k] = inner
			}
			continue
		}
		if k != key || nested {
			out[k] = v
		}
	}
	return out
}

func findAlias(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return n
	}
	for _, c := range n.Content {
		if a := findAlias(c); a != nil {
			return a
		}
	}
	return nil
}

// yamlErrorLine finds the line of a syntax error, from 1: the first one after
// the longest beginning of the text that is YAML. (The reader's own number is
// that of the enclosing mapping, and off by one for some errors; it has to do
// beyond the first 400 lines, and for more than 64 KB.)
func yamlErrorLine(source string, err error) int {
	lines := strings.SplitAfter(source, "\n")
	if len(source) > maxSearchedBytes {
		return min(yamlNumber(err), len(lines))
	}
	good := 0
	for i := 1; i <= min(len(lines), maxSearched); i++ {
		var n yaml.Node
		if yaml.Unmarshal([]byte(strings.Join(lines[:i], "")), &n) == nil {
			good = i
		}
	}
	if good == maxSearched {
		return min(max(yamlNumber(err), good+1), len(lines))
	}
	return min(good+1, len(lines))
}

// The search is quadratic.
const (
	maxSearched      = 400 // lines
	maxSearchedBytes = 64 << 10
)

var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlNumber is the line that a decoding error names, 1 when it names none.
func yamlNumber(err error) int {
	line := 1
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		fmt.Sscan(m[1], &line)
	}
	return line
}

// yamlMessage is the reader's message without its prefix and line.
func yamlMessage(err error) string {
	s := err.Error()
	var t *yaml.TypeError
	if errors.As(err, &t) && len(t.Errors) > 0 {
		s = t.Errors[0]
	}
	return yamlLine.ReplaceAllString(strings.TrimPrefix(s, "yaml: "), "")
}
