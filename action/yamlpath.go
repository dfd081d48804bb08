package action

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"prunella"
)

// yamlGet returns the scalar at a path; numbers as float64.
func yamlGet(text, path string) (any, error) {
	n, err := yamlFind(text, path)
	if err != nil {
		return nil, err
	}
	return scalar(n, path)
}

func scalar(n *yaml.Node, path string) (any, error) {
	if n.Kind != yaml.ScalarNode {
		return nil, prunella.Errorf(prunella.Invalid, "%s is not a single value", path)
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, prunella.Errorf(prunella.Invalid, "%s cannot be read: %w", path, err)
	}
	if f, ok := number(v); ok {
		return f, nil
	}
	switch v.(type) {
	case string, bool, nil:
		return v, nil
	}
	return n.Value, nil // a timestamp, or an integer too large for a double
}

// yamlSet returns text with the scalar at a path replaced and every other byte
// as it was. It edits values written on one line; it refuses what it cannot
// prove: the result is read again and compared with the document it came from.
func yamlSet(text, path string, value any) (string, error) {
	n, err := yamlFind(text, path)
	if err != nil {
		return "", err
	}
	if _, err := scalar(n, path); err != nil {
		return "", err
	}
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		return "", prunella.Errorf(prunella.Invalid, "%s is a block of text, or has an anchor or a tag; such a value is not edited", path)
	}
	start, ok := position(text, n.Line, n.Column)
	if !ok {
		return "", prunella.Errorf(prunella.Internal, "the place of %s was not found", path)
	}
	length := scalarLength(text[start:], n)
	if length < 0 {
		return "", prunella.Errorf(prunella.Invalid, "%s is written over several lines; such a value is not edited", path)
	}
	written, err := writeScalar(value, n.Style)
	if err != nil {
		return "", err
	}
	if length == 0 && start > 0 && text[start-1] == ':' {
		written = " " + written
	}
	out := text[:start] + written + text[start+length:]
	if err := proveEdit(text, out, path, value); err != nil {
		return "", err
	}
	return out, nil
}

// position turns the parser's line and column (from 1, in characters) into a byte offset.
func position(text string, line, column int) (int, bool) {
	offset := 0
	for ; line > 1; line-- {
		n := strings.IndexByte(text[offset:], '\n')
		if n < 0 {
			return 0, false
		}
		offset += n + 1
	}
	for ; column > 1; column-- {
		if offset >= len(text) {
			return offset, column == 2
		}
		_, size := utf8.DecodeRuneInString(text[offset:])
		offset += size
	}
	return offset, true
}

// scalarLength is how many bytes the scalar takes where it is written, -1 when
// that is more than one line.
func scalarLength(rest string, n *yaml.Node) int {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for i := 1; i < len(rest) && rest[i] != '\n'; i++ {
			switch rest[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return -1
	case n.Style&yaml.SingleQuotedStyle != 0:
		for i := 1; i < len(rest) && rest[i] != '\n'; i++ {
			if rest[i] != '\'' {
				continue
			}
			if i+1 < len(rest) && rest[i+1] == '\'' {
				i++
				continue
			}
			return i + 1
		}
		return -1
	case strings.HasPrefix(rest, n.Value):
		return len(n.Value)
	}
	return -1
}

// writeScalar writes a value on one line, texts in the quotes that were there.
func writeScalar(value any, style yaml.Style) (string, error) {
	if f, ok := number(value); ok {
		return plainNumber(f), nil
	}
	switch v := value.(type) {
	case bool:
		return strconv.FormatBool(v), nil
	case string:
		oneLine := !strings.ContainsAny(v, "\r\n\t")
		if style&yaml.SingleQuotedStyle != 0 && oneLine {
			return "'" + strings.ReplaceAll(v, "'", "''") + "'", nil
		}
		if style&yaml.DoubleQuotedStyle == 0 && oneLine {
			b, err := yaml.Marshal(v)
			if s := strings.TrimSuffix(string(b), "\n"); err == nil && !strings.Contains(s, "\n") {
				return s, nil
			}
		}
		var b bytes.Buffer // a JSON text is a YAML double-quoted scalar
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return "", prunella.Errorf(prunella.Invalid, "the value cannot be written: %w", err)
		}
		return strings.TrimSuffix(b.String(), "\n"), nil
	}
	return "", prunella.Errorf(prunella.Invalid, "the value is a %s; a text, number or bool can be set", typeName(value))
}

// proveEdit reads both texts and makes sure that the value and nothing else differs.
func proveEdit(before, after, path string, value any) error {
	failed := func(why string) error {
		return prunella.Errorf(prunella.Invalid, "%s cannot be set without changing something else: %s", path, why)
	}
	now, err := yamlGet(after, path)
	if err != nil {
		return failed(err.Error())
	}
	if !sameValue(now, value) {
		return failed("it would read " + show(now))
	}
	a, err := yamlNodes(before)
	if err != nil {
		return failed(err.Error())
	}
	b, err := yamlNodes(after)
	if err != nil {
		return failed(err.Error())
	}
	steps, err := parsePath(path)
	if err != nil {
		return err
	}
	for _, d := range b {
		var v any
		if err := d.Decode(&v); err != nil { // a key twice, a merge of nothing
			return failed(err.Error())
		}
	}
	for _, docs := range [][]*yaml.Node{a, b} {
		n, err := follow(docs, steps, path)
		if err != nil {
			return failed(err.Error())
		}
		n.Value, n.Tag, n.Style = "", "", 0
	}
	if !reflect.DeepEqual(flatten(a), flatten(b)) {
		return failed("other values would change with it")
	}
	return nil
}

// flatten lists every node's kind, tag, value, style and comments, without positions.
func flatten(docs []*yaml.Node) []string {
	var out []string
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		out = append(out, strconv.Itoa(int(n.Kind))+n.Tag+"\x00"+n.Value+"\x00"+n.Anchor+"\x00"+strconv.Itoa(int(n.Style)),
			n.HeadComment+"\x00"+n.LineComment+"\x00"+n.FootComment)
		for _, c := range n.Content {
			walk(c)
		}
	}
	for _, d := range docs {
		walk(d)
	}
	return out
}

func yamlNodes(text string) ([]*yaml.Node, error) {
	dec := yaml.NewDecoder(strings.NewReader(text))
	var docs []*yaml.Node
	for {
		var n yaml.Node
		switch err := dec.Decode(&n); err {
		case nil:
			docs = append(docs, &n)
		case io.EOF:
			return docs, nil
		default:
			return nil, prunella.Errorf(prunella.Invalid, "the file is not YAML: %w", err)
		}
	}
}

func yamlFind(text, path string) (*yaml.Node, error) {
	steps, err := parsePath(path)
	if err != nil {
		return nil, err
	}
	docs, err := yamlNodes(text)
	if err != nil {
		return nil, err
	}
	return follow(docs, steps, path)
}

// parsePath splits a.b[0]."c.d" into keys (string) and positions (int).
func parsePath(path string) ([]any, error) {
	bad := func() ([]any, error) {
		return nil, prunella.Errorf(prunella.Invalid, "%q is not a path; write auth.jwks.cache_ttl_seconds, list[0].name or \"a.b\".c", path)
	}
	var steps []any
	rest := path
	for first := true; rest != ""; first = false {
		switch {
		case rest[0] == '[':
			n, after, ok := strings.Cut(rest[1:], "]")
			i, err := strconv.Atoi(n)
			if !ok || err != nil || i < 0 {
				return bad()
			}
			steps, rest = append(steps, i), after
			continue
		case rest[0] == '.':
			if first {
				return bad()
			}
			rest = rest[1:]
		case !first:
			return bad()
		}
		if strings.HasPrefix(rest, `"`) {
			key, after, ok := strings.Cut(rest[1:], `"`)
			if !ok || key == "" {
				return bad()
			}
			steps, rest = append(steps, key), after
			continue
		}
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		if end == 0 {
			return bad()
		}
		steps, rest = append(steps, rest[:end]), rest[end:]
	}
	if len(steps) == 0 {
		return bad()
	}
	return steps, nil
}

// follow walks to the node in the first document that has it.
func follow(docs []*yaml.Node, steps []any, path string) (*yaml.Node, error) {
	err := error(prunella.Errorf(prunella.NotFound, "the file is empty, so it has no %s", path))
	for _, d := range docs {
		var n *yaml.Node
		if n, err = walkTo(d, steps, path); err == nil {
			return n, nil
		}
	}
	return nil, err
}

func walkTo(n *yaml.Node, steps []any, path string) (*yaml.Node, error) {
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	for at, step := range steps {
		if n.Kind == yaml.AliasNode {
			return nil, prunella.Errorf(prunella.Invalid, "%s goes through an alias (*%s); such a value is shared and not edited", path, n.Value)
		}
		var next *yaml.Node
		var has []string
		switch s := step.(type) {
		case int:
			if n.Kind == yaml.SequenceNode && s < len(n.Content) {
				next = n.Content[s]
			}
		case string:
			if n.Kind != yaml.MappingNode {
				break
			}
			for i := 0; i+1 < len(n.Content); i += 2 {
				has = append(has, n.Content[i].Value)
				if n.Content[i].Value == s {
					next = n.Content[i+1]
				}
			}
		}
		if next == nil {
			e := &prunella.Error{Kind: prunella.NotFound, Reason: "the file has no " + path + ": nothing at part " + strconv.Itoa(at+1) + " of the path"}
			if len(has) > 0 {
				e.Remedy = "there is " + strings.Join(has, ", ")
			}
			return nil, e
		}
		n = next
	}
	if n.Kind == yaml.AliasNode {
		return nil, prunella.Errorf(prunella.Invalid, "%s is an alias (*%s); such a value is shared and not edited", path, n.Value)
	}
	return n, nil
}
