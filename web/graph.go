package web

import (
	"fmt"
	"sort"
	"time"

	"prunella"
	"prunella/client"
)

// Sizes of the drawn service graph, in px.
const (
	nodeWidth  = 152
	nodeHeight = 50
	columnGap  = 60
	rowGap     = 14
)

type graphView struct {
	Width, Height int
	Nodes         []node
	Edges         []drawnEdge
}

type node struct {
	Name   string
	X, Y   int
	Class  string // hit | next | calm | unknown
	Sign   string
	Line   string // how it is hit, in words
	Issuer bool
	Title  string
}

type drawnEdge struct {
	Path  string
	Class string // hit: both ends are; else calm
}

// drawGraph places callers left of whom they call, in columns by the longest
// path; edges that close a cycle do not count for that. Services that nobody
// calls and that call nobody stand below the first column.
func drawGraph(g client.Graph, inc prunella.Incident, now time.Time) graphView {
	names, issuers, owners := graphNames(g, inc)
	depth := columns(names, g.Edges)
	byColumn := map[int][]string{}
	deepest := 0
	for _, n := range names {
		byColumn[depth[n]] = append(byColumn[depth[n]], n)
		deepest = max(deepest, depth[n])
	}
	row := order(byColumn, deepest, g.Edges)
	rows := 1
	for _, c := range byColumn {
		rows = max(rows, len(c))
	}
	height := rows*(nodeHeight+rowGap) - rowGap + 4
	v := graphView{Width: (deepest+1)*(nodeWidth+columnGap) - columnGap + 4, Height: height}
	at := map[string]node{}
	for _, n := range names {
		column := byColumn[depth[n]]
		free := height - (len(column)*(nodeHeight+rowGap) - rowGap)
		nd := node{Name: n, Issuer: issuers[n], X: 2 + depth[n]*(nodeWidth+columnGap), Y: free/2 + row[n]*(nodeHeight+rowGap)}
		impactOn(&nd, inc, now)
		if owners[n] != "" {
			nd.Title += ", owner " + owners[n]
		}
		at[n] = nd
		v.Nodes = append(v.Nodes, nd)
	}
	for _, e := range g.Edges {
		a, b := at[e.From], at[e.To]
		class := "calm"
		if a.Class == "hit" && b.Class == "hit" {
			class = "hit"
		}
		v.Edges = append(v.Edges, drawnEdge{Path: bend(a, b), Class: class})
	}
	sort.SliceStable(v.Edges, func(i, j int) bool { return v.Edges[i].Class < v.Edges[j].Class }) // hit ones on top
	return v
}

func graphNames(g client.Graph, inc prunella.Incident) (names []string, issuers map[string]bool, owners map[string]string) {
	issuers, owners = map[string]bool{}, map[string]string{}
	seen := map[string]bool{}
	add := func(n string) {
		if n != "" && !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	for _, s := range g.Services {
		add(s.Name)
		issuers[s.Name] = s.Issuer
		owners[s.Name] = s.Owner
	}
	for _, e := range g.Edges {
		add(e.From)
		add(e.To)
	}
	for _, i := range inc.Impact {
		add(i.Service)
	}
	for _, n := range inc.Cascade.Next {
		add(n.Service)
	}
	return names, issuers, owners
}

// columns is the longest path from a caller that nobody calls.
func columns(names []string, edges []prunella.Edge) map[string]int {
	callers := map[string][]string{}
	for _, e := range edges {
		if e.From != e.To {
			callers[e.To] = append(callers[e.To], e.From)
		}
	}
	depth := map[string]int{}
	open := map[string]bool{}
	var visit func(n string) int
	visit = func(n string) int {
		if d, ok := depth[n]; ok {
			return d
		}
		if open[n] {
			return -1 // a cycle: this edge does not count
		}
		open[n] = true
		d := 0
		for _, c := range callers[n] {
			d = max(d, visit(c)+1)
		}
		open[n] = false
		depth[n] = d
		return d
	}
	for _, n := range names {
		visit(n)
	}
	return depth
}

// order sets each column's rows by the mean row of its callers, which keeps
// most edges from crossing.
func order(byColumn map[int][]string, deepest int, edges []prunella.Edge) map[string]int {
	row := map[string]int{}
	linked := map[string]bool{}
	for _, e := range edges {
		linked[e.From], linked[e.To] = true, true
	}
	for c := 0; c <= deepest; c++ {
		mean := map[string]float64{}
		for _, n := range byColumn[c] {
			sum, k := 0.0, 0
			for _, e := range edges {
				if r, ok := row[e.From]; ok && e.To == n {
					sum, k = sum+float64(r), k+1
				}
			}
			if k > 0 {
				mean[n] = sum / float64(k)
			}
			if !linked[n] {
				mean[n] = 1e6
			}
		}
		sort.SliceStable(byColumn[c], func(i, j int) bool { return mean[byColumn[c][i]] < mean[byColumn[c][j]] })
		for i, n := range byColumn[c] {
			row[n] = i
		}
	}
	return row
}

func impactOn(n *node, inc prunella.Incident, now time.Time) {
	n.Class, n.Sign, n.Line = "calm", "", "not affected"
	if n.Issuer {
		n.Line = "issues tokens"
	}
	n.Title = n.Name + ": " + n.Line
	for _, i := range inc.Impact {
		if i.Service != n.Name {
			continue
		}
		if inc.State == prunella.Resolved || recovered(i) {
			n.Class, n.Sign, n.Line = "healed", "✓", "recovered"
			n.Title = fmt.Sprintf("%s: recovered; %s of %s requests failed", n.Name, thousands(int64(i.Failed)), thousands(int64(i.Total)))
			return
		}
		if i.Total == 0 && !i.Stated {
			n.Class, n.Sign, n.Line = "hit", "✕", "failing"
			n.Title = n.Name + ": failing, share not measured yet"
			return
		}
		n.Class, n.Sign, n.Line = "hit", "✕", percent(i.Share)+" failing"
		n.Title = fmt.Sprintf("%s: %s of requests fail, normally %s", n.Name, percent(i.Share), percent(i.Baseline))
		return
	}
	if inc.State == prunella.Resolved {
		return
	}
	for _, next := range inc.Cascade.Next {
		if next.Service != n.Name {
			continue
		}
		n.Class, n.Sign, n.Line = "next", "◆", "expected next"
		if !next.At.IsZero() {
			n.Line = "next, " + relative(now, next.At)
		}
		n.Title = n.Name + ": " + next.Reason.Text
		return
	}
	for _, s := range inc.Cascade.Hit {
		if s == n.Name {
			n.Class, n.Sign, n.Line = "hit", "✕", "failing"
			n.Title = n.Name + ": failing, share not measured"
		}
	}
}

// bend leaves a on its right side and enters b on its left; inside one column
// or backwards it goes around the right.
func bend(a, b node) string {
	x1, y1, x2, y2 := a.X+nodeWidth, a.Y+nodeHeight/2, b.X, b.Y+nodeHeight/2
	if x2 > x1 {
		m := columnGap / 2
		return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+m, y1, x2-m, y2, x2-3, y2)
	}
	x2 = b.X + nodeWidth
	out := max(x1, x2) + columnGap/2
	return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, out, y1, out, y2, x2+3, y2)
}
