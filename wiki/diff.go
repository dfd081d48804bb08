package wiki

import (
	"slices"
	"strings"
)

// Line is one line of a comparison.
type Line struct {
	Op   string `json:"op"` // "=" in both, "-" only before, "+" only after
	Text string `json:"text"`
	Old  int    `json:"old,omitempty"` // line number before, 0 for an added one
	New  int    `json:"new,omitempty"`
}

// Compare gives both texts line by line.
func Compare(before, after string) []Line {
	a, b := splitLines(before), splitLines(after)
	var out []Line
	i, j := 0, 0
	same := func(until int) {
		for ; i < until; i, j = i+1, j+1 {
			out = append(out, Line{"=", bare(a[i]), i + 1, j + 1})
		}
	}
	for _, h := range hunks(a, b) {
		same(h.a0)
		for ; i < h.a1; i++ {
			out = append(out, Line{Op: "-", Text: bare(a[i]), Old: i + 1})
		}
		for ; j < h.b1; j++ {
			out = append(out, Line{Op: "+", Text: bare(b[j]), New: j + 1})
		}
	}
	same(len(a))
	return out
}

func bare(line string) string { return strings.TrimRight(line, "\r\n") }

func splitLines(s string) []string {
	lines := strings.SplitAfter(s, "\n")
	if n := len(lines) - 1; lines[n] == "" {
		lines = lines[:n]
	}
	return lines
}

// hunk says that lines a0 to a1 of one text became lines b0 to b1 of another.
type hunk struct{ a0, a1, b0, b1 int }

// mostEdits bounds the search for the shortest difference; beyond it everything
// between the first and the last differing line counts as replaced.
const mostEdits = 1500

// hunks is the shortest difference of two texts (Myers, An O(ND) difference
// algorithm, 1986).
func hunks(a, b []string) []hunk {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	x, y := a[head:len(a)-tail], b[head:len(b)-tail]
	if len(x)+len(y) == 0 {
		return nil
	}
	trace, found := shortest(x, y)
	if !found {
		return []hunk{{head, len(a) - tail, head, len(b) - tail}}
	}
	var out []hunk // backwards
	i, j := len(x), len(y)
	for d := len(trace) - 1; d > 0; d-- {
		pi, k := came(trace[d-1], d, i-j)
		pj := pi - k
		h := hunk{pi, pi, pj, pj}
		if k > i-j {
			h.b1++
		} else {
			h.a1++
		}
		if n := len(out); n > 0 && out[n-1].a0 == h.a1 && out[n-1].b0 == h.b1 {
			out[n-1].a0, out[n-1].b0 = h.a0, h.b0
		} else {
			out = append(out, h)
		}
		i, j = pi, pj
	}
	slices.Reverse(out)
	for n := range out {
		out[n].a0, out[n].a1, out[n].b0, out[n].b1 = out[n].a0+head, out[n].a1+head, out[n].b0+head, out[n].b1+head
	}
	return out
}

// shortest gives, for each number of edits d, how far along a the diagonals
// -d to d reach; false when mostEdits do not suffice.
func shortest(a, b []string) (trace [][]int, found bool) {
	for d := 0; d <= min(len(a)+len(b), mostEdits); d++ {
		v := make([]int, 2*d+1)
		for k := -d; k <= d; k += 2 {
			i := 0
			if d > 0 {
				from := 0
				if i, from = came(trace[d-1], d, k); from < k {
					i++
				}
			}
			for i < len(a) && i-k < len(b) && a[i] == b[i-k] {
				i++
			}
			v[d+k] = i
			if i >= len(a) && i-k >= len(b) {
				return append(trace, v), true
			}
		}
		trace = append(trace, v)
	}
	return nil, false
}

// came says from where along a, and from which diagonal, edit d reached diagonal
// k: by an insertion from k+1, or by a deletion from k-1.
func came(before []int, d, k int) (i, from int) {
	reach := func(k int) int {
		if k <= -d || k >= d {
			return -1
		}
		return before[d-1+k]
	}
	if k == -d || k != d && reach(k-1) < reach(k+1) {
		return reach(k + 1), k + 1
	}
	return reach(k - 1), k - 1
}

// merge3 joins two edits of one text; false when they touch the same lines, or
// lines beside each other, differently.
func merge3(base, mine, theirs string) (string, bool) {
	o := splitLines(base)
	type edit struct {
		hunk
		lines []string
	}
	edits := func(text string) []edit {
		lines := splitLines(text)
		var out []edit
		for _, h := range hunks(o, lines) {
			out = append(out, edit{h, lines[h.b0:h.b1]})
		}
		return out
	}
	m, t := edits(mine), edits(theirs)
	var b strings.Builder
	at := 0
	for len(m)+len(t) > 0 {
		var e edit
		switch {
		case len(m) > 0 && len(t) > 0 && m[0].a0 <= t[0].a1 && t[0].a0 <= m[0].a1:
			if m[0].a0 != t[0].a0 || m[0].a1 != t[0].a1 || !slices.Equal(m[0].lines, t[0].lines) {
				return "", false
			}
			e, m, t = m[0], m[1:], t[1:]
		case len(t) == 0 || len(m) > 0 && m[0].a0 < t[0].a0:
			e, m = m[0], m[1:]
		default:
			e, t = t[0], t[1:]
		}
		b.WriteString(strings.Join(o[at:e.a0], ""))
		b.WriteString(strings.Join(e.lines, ""))
		at = e.a1
	}
	b.WriteString(strings.Join(o[at:], ""))
	return b.String(), true
}
