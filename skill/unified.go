package skill

import (
	"fmt"
	"strings"
)

// edit is a line that one text has and the other has not.
type edit struct {
	what string // added | removed
	text string
}

func edits(a, b []string) []edit {
	var out []edit
	for _, l := range align(a, b) {
		switch l.sign {
		case '-':
			out = append(out, edit{"removed", l.text})
		case '+':
			out = append(out, edit{"added", l.text})
		}
	}
	return out
}

type aligned struct {
	sign byte // ' ', '-' or '+'
	text string
}

// maxCells bounds the table of align; texts beyond it are shown as replaced.
const maxCells = 16 << 20

// align finds the longest common subsequence of lines.
func align(a, b []string) []aligned {
	var head, tail []aligned
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head = append(head, aligned{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append([]aligned{{' ', a[len(a)-1]}}, tail...)
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a)*len(b) <= maxCells {
		length := make([][]int32, len(a)+1)
		for i := range length {
			length[i] = make([]int32, len(b)+1)
		}
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				if a[i] == b[j] {
					length[i][j] = length[i+1][j+1] + 1
				} else {
					length[i][j] = max(length[i+1][j], length[i][j+1])
				}
			}
		}
		i, j := 0, 0
		for i < len(a) && j < len(b) {
			switch {
			case a[i] == b[j]:
				head = append(head, aligned{' ', a[i]})
				i, j = i+1, j+1
			case length[i+1][j] >= length[i][j+1]:
				head = append(head, aligned{'-', a[i]})
				i++
			default:
				head = append(head, aligned{'+', b[j]})
				j++
			}
		}
		a, b = a[i:], b[j:]
	}
	for _, l := range a {
		head = append(head, aligned{'-', l})
	}
	for _, l := range b {
		head = append(head, aligned{'+', l})
	}
	return append(head, tail...)
}

// Unified is the difference of two texts line by line, with three lines around
// each place, as diff -u writes it; "" when they are the same.
func Unified(nameA, nameB, a, b string) string {
	if a == b {
		return ""
	}
	lines := align(strings.SplitAfter(a, "\n"), strings.SplitAfter(b, "\n"))
	const around = 3
	near := make([]bool, len(lines))
	for i, l := range lines {
		for j := max(0, i-around); l.sign != ' ' && j < min(len(lines), i+around+1); j++ {
			near[j] = true
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", nameA, nameB)
	lineA, lineB := 1, 1
	for i := 0; i < len(lines); i++ {
		if !near[i] {
			lineA, lineB = lineA+1, lineB+1
			continue
		}
		var hunk strings.Builder
		countA, countB := 0, 0
		for ; i < len(lines) && near[i]; i++ {
			l := lines[i]
			if l.text == "" {
				continue
			}
			hunk.WriteByte(l.sign)
			hunk.WriteString(l.text)
			if !strings.HasSuffix(l.text, "\n") {
				hunk.WriteString("\n\\ No newline at end of file\n")
			}
			if l.sign != '+' {
				countA++
			}
			if l.sign != '-' {
				countB++
			}
		}
		i--
		fmt.Fprintf(&out, "@@ -%d,%d +%d,%d @@\n%s", lineA, countA, lineB, countB, hunk.String())
		lineA, lineB = lineA+countA, lineB+countB
	}
	return out.String()
}
