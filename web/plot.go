package web

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"prunella"
)

// A plot is drawn by the template as SVG whose x positions are percentages and
// whose heights are pixels, so that it fits any width and its text keeps its
// size. Curves live in a stretched inner box of plotBox units each way.
const (
	plotBox    = 1000
	plotHeight = 188 // px of the curves' area
	laneHeight = 22  // px of one row of marks above it
	laneGap    = 6.5 // % of the width that two marks in one lane need between them
)

type plot struct {
	Empty   string // why there is nothing to draw; then all else is empty
	Title   string
	Summary string // for those who do not see it
	Unit    string
	From    time.Time
	To      time.Time
	Top     int // px of the marks' lanes
	Bottom  int // px where the curves end and the time axis begins
	Height  int // px in all
	Curves  []curve
	XTicks  []tick
	YTicks  []tick
	Signs   []plotMark // drawn above the curves; steps that follow each other closely share one
	Marks   []plotMark // listed below
	Shade   string     // area between measured and baseline, in box units
	PerS    bool       // the values are rates
	Dots    []plotDot

	Gate     float64 // px of a line that must be passed, 0 for none
	GateText string
}

// listed is how many steps are listed below a plot before they are folded: the
// plan says the same at length.
const listed = 3

// Turns are the marks that are always listed.
func (p plot) Turns() []plotMark {
	if len(p.Acts()) == 0 {
		return p.Marks
	}
	return p.marked(func(m plotMark) bool { return m.Class != "action" })
}

// Acts are the steps among the marks where there are too many to list.
func (p plot) Acts() []plotMark {
	acts := p.marked(func(m plotMark) bool { return m.Class == "action" })
	if len(acts) <= listed {
		return nil
	}
	return acts
}

func (p plot) marked(as func(plotMark) bool) []plotMark {
	var out []plotMark
	for _, m := range p.Marks {
		if as(m) {
			out = append(out, m)
		}
	}
	return out
}

type curve struct {
	Class string // measured | baseline | other
	Name  string
	Path  string
	Last  string
}

type tick struct {
	Pos   float64 // % for x, px for y
	Text  string
	Minor bool // left out where there is little room
}

type plotMark struct {
	X     float64 // %
	Y     int     // px of its sign
	Wide  int     // px of half its sign
	Sign  string  // what stands at the line: "!", "∆", "1", "2–5"
	Class string  // onset | change | action | resolved
	At    time.Time
	Text  string
}

// plotDot is a mark on a curve.
type plotDot struct {
	X     float64 // %
	Y     float64 // px
	Class string  // resolved | change | onset; each has its shape
	Text  string
	URL   string // where it can be looked at, may be ""
}

// Span is the width of the sign in px.
func (m plotMark) Span() int { return 2 * m.Wide }

// sample is a point of a summed series.
type sample struct {
	at    time.Time
	value float64
}

// addUp sums a series over services. Points are gathered into steps of the
// reporting interval; a service silent for a step or two counts with its last
// value, and longer silence of all of them is a gap (a NaN), never a zero.
func addUp(points []prunella.SeriesPoint, name string, step time.Duration) []sample {
	type cell struct {
		sum float64
		n   int
	}
	byService := map[string]map[int64]cell{}
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, p := range points {
		if p.Name != name {
			continue
		}
		k := p.At.UnixNano() / int64(step)
		first, last = min(first, k), max(last, k)
		if byService[p.Service] == nil {
			byService[p.Service] = map[int64]cell{}
		}
		c := byService[p.Service][k]
		byService[p.Service][k] = cell{c.sum + p.Value, c.n + 1}
	}
	var out []sample
	for k := first; k <= last; k++ {
		sum, heard := 0.0, false
		for _, cells := range byService {
			for back := int64(0); back <= 2; back++ {
				if c, ok := cells[k-back]; ok {
					sum, heard = sum+c.sum/float64(c.n), true
					break
				}
			}
		}
		if !heard {
			sum = math.NaN()
		}
		out = append(out, sample{time.Unix(0, k*int64(step)), sum})
	}
	return out
}

// interval is the usual distance of the points of one service, at least a 240th of the range.
func interval(points []prunella.SeriesPoint, span time.Duration) time.Duration {
	last := map[string]time.Time{}
	var gaps []time.Duration
	for _, p := range points {
		key := p.Name + "\x00" + p.Service
		if t, ok := last[key]; ok && p.At.After(t) {
			gaps = append(gaps, p.At.Sub(t))
		}
		last[key] = p.At
	}
	step := max(span/240, time.Second/4)
	if len(gaps) > 0 {
		sort.Slice(gaps, func(i, j int) bool { return gaps[i] < gaps[j] })
		step = max(step, gaps[len(gaps)/2])
	}
	return step
}

// ratePlot draws the 401 rate of the services, summed, against what is normal
// for them, and the 5xx rate where that is what rose. No services means all.
func ratePlot(points []prunella.SeriesPoint, services []string, from, to time.Time, marks []plotMark) plot {
	p := plot{Title: "401 responses, all services together", Unit: "per second", PerS: true, From: from, To: to}
	if len(services) > 0 {
		points = ofServices(points, services)
		p.Title = "401 responses of " + services[0]
		if len(services) > 1 {
			p.Title = "401 responses of the " + count(len(services), "affected service")
		}
	}
	step := interval(points, to.Sub(from))
	measured, baseline, other := addUp(points, "errors.401", step), addUp(points, "baseline.401", step), addUp(points, "errors.5xx", step)
	if len(measured) < 2 && len(other) < 2 {
		p.Empty = "No series is stored for this time. It is drawn from the request metrics that services send to /v1/metrics; an incident known from texts only has none."
		return p
	}
	top := math.Max(peak(measured), peak(baseline))
	showOther := peak(other) > 0.05*top && peak(other) > 0
	if showOther {
		top = math.Max(top, peak(other))
	}
	step2 := niceStep(top/4, []float64{1, 2, 5})
	ceiling := math.Max(step2, math.Ceil(top/step2)*step2)
	p.Signs, p.Marks, p.Top = lanes(marks, from, to)
	p.Bottom = p.Top + plotHeight
	p.Height = p.Bottom + 26
	for v := 0.0; v <= ceiling+step2/2; v += step2 {
		p.YTicks = append(p.YTicks, tick{Pos: float64(p.Bottom) - v/ceiling*plotHeight, Text: tickNumber(v, step2)})
	}
	p.XTicks = timeTicks(from, to)
	box := func(s sample) (x, y float64) {
		return float64(s.at.Sub(from)) / float64(to.Sub(from)) * plotBox, plotBox * (1 - s.value/ceiling)
	}
	if len(baseline) > 1 {
		p.Curves = append(p.Curves, curve{Class: "baseline", Name: "normal", Path: trace(baseline, box), Last: number(lastValue(baseline))})
	}
	if showOther {
		p.Curves = append(p.Curves, curve{Class: "other", Name: "5xx", Path: trace(other, box), Last: number(lastValue(other))})
	}
	if len(measured) > 1 {
		p.Shade = area(measured, box)
		p.Curves = append(p.Curves, curve{Class: "measured", Name: "401", Path: trace(measured, box), Last: number(lastValue(measured))})
	}
	p.Summary = fmt.Sprintf("401 responses from %s to %s UTC: peak %s per second, normally %s, at last %s.",
		from.UTC().Format("15:04:05"), to.UTC().Format("15:04:05"), number(peak(measured)), number(lastValue(baseline)), number(lastValue(measured)))
	return p
}

func ofServices(points []prunella.SeriesPoint, services []string) []prunella.SeriesPoint {
	wanted := map[string]bool{}
	for _, s := range services {
		wanted[s] = true
	}
	var out []prunella.SeriesPoint
	for _, p := range points {
		if wanted[p.Service] {
			out = append(out, p)
		}
	}
	return out
}

func peak(s []sample) float64 {
	top := 0.0
	for _, v := range s {
		if !math.IsNaN(v.value) {
			top = math.Max(top, v.value)
		}
	}
	return top
}

func lastValue(s []sample) float64 {
	for i := len(s) - 1; i >= 0; i-- {
		if !math.IsNaN(s[i].value) {
			return s[i].value
		}
	}
	return 0
}

func trace(s []sample, box func(sample) (float64, float64)) string {
	var b strings.Builder
	pen := "M"
	for _, v := range s {
		if math.IsNaN(v.value) {
			pen = "M"
			continue
		}
		x, y := box(v)
		fmt.Fprintf(&b, "%s%.1f %.1f", pen, x, y)
		pen = "L"
	}
	return b.String()
}

// area closes each unbroken piece of a curve down to zero.
func area(s []sample, box func(sample) (float64, float64)) string {
	var b strings.Builder
	start, end := 0.0, 0.0
	open := false
	closeIt := func() {
		if open {
			fmt.Fprintf(&b, "L%.1f %d L%.1f %dZ", end, plotBox, start, plotBox)
		}
		open = false
	}
	for _, v := range s {
		if math.IsNaN(v.value) {
			closeIt()
			continue
		}
		x, y := box(v)
		if !open {
			fmt.Fprintf(&b, "M%.1f %.1f", x, y)
			start, open = x, true
		} else {
			fmt.Fprintf(&b, "L%.1f %.1f", x, y)
		}
		end = x
	}
	closeIt()
	return b.String()
}

// niceStep rounds up to 1, 2 or 5 times a power of ten.
func niceStep(x float64, steps []float64) float64 {
	if x <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, s := range steps {
		if s*power >= x*0.999 {
			return s * power
		}
	}
	return 10 * power
}

func tickNumber(v, step float64) string {
	digits := 0
	if step < 1 {
		digits = int(math.Ceil(-math.Log10(step) - 0.001))
	}
	return fmt.Sprintf("%.*f", digits, v)
}

var timeSteps = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 28 * 24 * time.Hour, 91 * 24 * time.Hour, 364 * 24 * time.Hour}

func timeTicks(from, to time.Time) []tick {
	span := to.Sub(from)
	step := timeSteps[len(timeSteps)-1]
	for _, s := range timeSteps {
		if span/s <= 8 {
			step = s
			break
		}
	}
	layout := "15:04"
	switch {
	case step < time.Minute:
		layout = "15:04:05"
	case step >= 28*24*time.Hour && span > 300*24*time.Hour:
		layout = "2006-01"
	case step >= 24*time.Hour:
		layout = "01-02"
	}
	var out []tick
	for t := from.UTC().Truncate(step).Add(step); t.Before(to); t = t.Add(step) {
		pos := float64(t.Sub(from)) / float64(span) * 100
		if pos < 3 || pos > 97 {
			continue
		}
		out = append(out, tick{Pos: pos, Text: t.Format(layout), Minor: len(out)%2 == 1 || pos < 9 || pos > 91})
	}
	return out
}

// lanes places marks by time, lets steps that follow each other closely share
// a sign, and puts signs that would still overlap into rows. It returns the
// signs, every mark in the range, and the height of the rows in px.
func lanes(marks []plotMark, from, to time.Time) (signs, listed []plotMark, height int) {
	sort.SliceStable(marks, func(i, j int) bool { return marks[i].At.Before(marks[j].At) })
	first := "" // sign of the first step of the shared one
	last := -laneGap
	for _, m := range marks {
		if m.At.Before(from) || m.At.After(to) {
			continue
		}
		m.X = float64(m.At.Sub(from)) / float64(to.Sub(from)) * 100
		listed = append(listed, m)
		if m.Class == "action" {
			if n := len(signs) - 1; n >= 0 && signs[n].Class == "action" && m.X-last < laneGap {
				signs[n].Sign = first + "–" + m.Sign
				signs[n].Text += ", " + m.Text
				last = m.X
				continue
			}
			first, last = m.Sign, m.X
		}
		signs = append(signs, m)
	}
	var ends []float64
	for i := range signs {
		m := &signs[i]
		m.Wide = 9 + 3*max(0, len([]rune(m.Sign))-1)
		lane := 0
		for lane < len(ends) && m.X-ends[lane] < laneGap {
			lane++
		}
		if lane == len(ends) {
			ends = append(ends, 0)
		}
		ends[lane] = m.X
		m.Y = lane*laneHeight + laneHeight/2
	}
	return signs, listed, max(1, len(ends))*laneHeight + 6
}

// Learned is how much of the quiet history is there that a baseline takes.
func (s spark) Learned() string { return percent(float64(s.Have) / float64(max(1, s.Need))) }

// spark is a small multiple: one service's requests and how many fail.
type spark struct {
	Service  string
	Path     string // requests, box units
	Failing  string // failing requests on the same scale
	Rate     float64
	Share    float64
	Baseline float64
	Known    bool
	Have     int
	Need     int
	Hit      bool
	Silent   bool // no point in the window
}

func sparkOf(points []prunella.SeriesPoint, from, to time.Time) spark {
	step := max(interval(points, to.Sub(from)), to.Sub(from)/90)
	requests, failing := addUp(points, "requests", step), addUp(points, "errors.401", step)
	s := spark{Silent: len(requests) < 2}
	if s.Silent {
		return s
	}
	top := math.Max(peak(requests), 0.001) * 1.1
	box := func(v sample) (float64, float64) {
		return float64(v.at.Sub(from)) / float64(to.Sub(from)) * plotBox, plotBox * (1 - v.value/top)
	}
	s.Path, s.Rate = trace(requests, box), lastValue(requests)
	if peak(failing) > 0 {
		s.Failing = area(failing, box)
	}
	if s.Rate > 0 {
		s.Share = lastValue(failing) / s.Rate
	}
	return s
}
