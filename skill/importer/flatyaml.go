package importer

import (
	"regexp"
	"slices"
	"strings"
)

// A copy from a browser can lose the indentation of YAML. Of a text whose lines
// all begin in the first column, the ways to indent it are counted under these
// rules: a key without a value holds what follows, a key with a value holds
// nothing, a mapping has each key once. With exactly one way, that is what was
// copied.

// FlatYAML says why the indentation of a block of YAML is lost and cannot be
// restored, "" when nothing is wrong with it.
func FlatYAML(language, code string) string {
	if !isYAML(language) {
		return ""
	}
	_, state := indent(code)
	if state == ambiguous {
		return "its indentation was lost, and more than one way to restore it is possible"
	}
	return ""
}

func isYAML(language string) bool { return language == "yaml" || language == "yml" }

type indentation int

const (
	intact    indentation = iota // nothing was lost
	restored                     // only one way was possible
	ambiguous                    // lost, with several ways or none
)

type yamlLine struct {
	text  string
	key   string // of a mapping entry, "" for a scalar
	item  bool   // begins with "- "
	opens bool   // a key without value
	note  bool   // blank or a comment
}

var (
	yamlKey  = regexp.MustCompile(`^(- )?("[^"]*"|'[^']*'|[A-Za-z0-9_./$<{][^:#"'\[\]]*?):(?:\s+(.*))?$`)
	yamlItem = regexp.MustCompile(`^-(?: (.*))?$`)
	onlyNote = regexp.MustCompile(`^\s*(#.*)?$`)
)

// indent restores the indentation of a text that has none.
func indent(code string) (string, indentation) {
	lines, flat := readYAML(code)
	if !flat {
		return code, intact
	}
	if lines == nil {
		return code, ambiguous
	}
	s := &search{lines: lines, columns: make([]int, len(lines)), budget: 20000}
	s.place(0, nil)
	if s.found != 1 {
		return code, ambiguous
	}
	var b strings.Builder
	for i, l := range lines {
		column := s.best[i]
		if l.note { // a comment stands with what it is about
			for j := i; j < len(lines); j++ {
				if !lines[j].note {
					column = s.best[j]
					break
				}
			}
		}
		if strings.TrimSpace(l.text) != "" {
			b.WriteString(strings.Repeat(" ", column))
		}
		b.WriteString(l.text + "\n")
	}
	return b.String(), restored
}

// readYAML takes the lines apart, nil when they are not all of the kinds that
// are understood, and tells whether an indentation was lost: something follows
// a key without value in the same column.
func readYAML(code string) (lines []yamlLine, lost bool) {
	all := strings.Split(strings.TrimSuffix(code, "\n"), "\n")
	understood := len(all) <= 400
	open := false
	for _, text := range all {
		l := yamlLine{text: text}
		if onlyNote.MatchString(text) && text == strings.TrimLeft(text, " \t") {
			l.note = true
			lines = append(lines, l)
			continue
		}
		if strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\t") {
			return nil, false // it has an indentation
		}
		if m := yamlKey.FindStringSubmatch(text); m != nil {
			value, _, _ := strings.Cut(" "+m[3], " #")
			l.item, l.key, l.opens = m[1] != "", m[2], strings.TrimSpace(value) == ""
			if v := strings.TrimSpace(value); strings.HasPrefix(v, "|") || strings.HasPrefix(v, ">") || strings.HasPrefix(v, "&") || strings.HasPrefix(v, "*") {
				understood = false
				lost = lost || !strings.HasPrefix(v, "&") && !strings.HasPrefix(v, "*")
			}
			lost = lost || open && !l.item
			open = l.opens
		} else if m := yamlItem.FindStringSubmatch(text); m != nil {
			l.item = true
			open = false
		} else {
			if text == "---" || text == "..." {
				return nil, false
			}
			understood = false
		}
		lines = append(lines, l)
	}
	// Below an item's first key, a second key in the first column is lost too.
	for i := 1; i < len(lines) && !lost; i++ {
		lost = lines[i-1].item && lines[i-1].key != "" && !lines[i].item && lines[i].key != "" && !lines[i].note && inList(lines[:i])
	}
	if !understood {
		return nil, lost
	}
	return lines, lost
}

// inList tells whether a list is what the text consists of: its first line is
// an item, so a key in the first column would stand in no mapping.
func inList(lines []yamlLine) bool {
	for _, l := range lines {
		if !l.note {
			return l.item
		}
	}
	return false
}

type container struct {
	column int
	list   bool
	keys   []string
}

// search counts the ways to place the lines, up to two.
type search struct {
	lines   []yamlLine
	columns []int
	best    []int
	found   int
	budget  int
}

func (s *search) place(i int, stack []container) {
	if s.budget--; s.budget < 0 {
		s.found = 2
	}
	if s.found > 1 {
		return
	}
	for i < len(s.lines) && s.lines[i].note {
		i++
	}
	if i == len(s.lines) {
		s.found++
		s.best = slices.Clone(s.columns)
		return
	}
	l := s.lines[i]
	previous := -1
	for j := i - 1; j >= 0 && previous < 0; j-- {
		if !s.lines[j].note {
			previous = j
		}
	}
	if previous < 0 || s.lines[previous].opens {
		column := 0
		if previous >= 0 {
			column = stack[len(stack)-1].column + 2
		}
		s.put(i, append(slices.Clone(stack), container{column: column, list: l.item}))
		return
	}
	for depth := len(stack); depth > 0; depth-- {
		if top := stack[depth-1]; top.list == l.item && (l.item || !slices.Contains(top.keys, l.key)) {
			s.put(i, slices.Clone(stack[:depth]))
		}
	}
}

// put places a line into the innermost container.
func (s *search) put(i int, stack []container) {
	l := s.lines[i]
	top := &stack[len(stack)-1]
	s.columns[i] = top.column
	switch {
	case l.item && l.key != "":
		stack = append(stack, container{column: top.column + 2, keys: []string{l.key}})
	case l.key != "":
		top.keys = append(slices.Clone(top.keys), l.key)
	}
	last := true
	for _, rest := range s.lines[i+1:] {
		last = last && rest.note
	}
	if l.opens && last {
		return // a key without value at the end holds nothing
	}
	s.place(i+1, stack)
}
