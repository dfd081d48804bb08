package skill

import (
	"fmt"
	"regexp"

	"prunella"
)

// maxDepth bounds how deep quotes and lists stand in one another: reading them
// takes time that grows with the third power of it.
const maxDepth = 64

var containers = regexp.MustCompile(`^[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])(?:[ \t]+|$)|>)+`)

// rule is a line across the page, written with spaces between.
var rule = regexp.MustCompile(`^ {0,3}(?:(?:\*[ \t]*)+|(?:-[ \t]*)+)[\r\n]*$`)

// CheckDepth refuses a text, Invalid, whose lists and quotes are nested too deep
// to be read quickly.
func CheckDepth(path string, b []byte) error {
	return (&Document{Path: path, src: b, lines: lineStarts(b)}).checkDepth()
}

func (d *Document) checkDepth() error {
	var stack []int // columns of the list items that are open
	for n := range d.lines {
		line := d.src[d.lines[n]:d.lineEnd(n+1)]
		at := containers.FindIndex(line)
		if at == nil || rule.Match(line) {
			continue
		}
		marks, column, space := 0, 0, true
		for _, c := range line[:at[1]] {
			if blank := c == ' ' || c == '\t' || c == '\n' || c == '\r'; !blank && (space || c == '>') {
				marks++
				space = false
			} else {
				space = blank
			}
			if marks == 0 {
				column++
			}
		}
		for len(stack) > 0 && stack[len(stack)-1] >= column {
			stack = stack[:len(stack)-1]
		}
		stack = append(stack, column)
		if depth := len(stack) + marks - 1; depth > maxDepth {
			return &prunella.Error{Kind: prunella.Invalid, Where: fmt.Sprintf("%s:%d:1", d.Path, n+1),
				Reason: fmt.Sprintf("lists and quotes are nested more than %d deep", maxDepth), Remedy: "write it flatter"}
		}
	}
	return nil
}
