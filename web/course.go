package web

import (
	"fmt"
	"time"

	"prunella/client"
)

// coursePlot draws the confidence of a skill over time, the floor under it, and
// one mark for each outcome that moved it, linked where it can be read; gate is
// the floor from which the skill may run alone.
func coursePlot(points []client.TrustPoint, gate float64, now time.Time, address func(kind, ref string) string) plot {
	p := plot{Title: "Confidence and its floor", Unit: "per cent", To: now}
	if len(points) < 2 {
		p.Empty = "Nothing has moved it yet: without evidence it stands at one half, which means that nobody knows."
		return p
	}
	p.From = points[0].At
	p.To = points[len(points)-1].At
	p.Top = 8
	p.Bottom = p.Top + plotHeight
	p.Height = p.Bottom + 26
	height := func(v float64) float64 { return float64(p.Bottom) - v*plotHeight }
	along := func(at time.Time) float64 { return float64(at.Sub(p.From)) / float64(p.To.Sub(p.From)) }
	confidence, floor := make([]sample, 0, len(points)), make([]sample, 0, len(points))
	for _, t := range points {
		confidence = append(confidence, sample{t.At, t.Confidence})
		floor = append(floor, sample{t.At, t.Floor})
		if o := t.Outcome; o != nil {
			word, class := outcomeWord(o.X)
			p.Dots = append(p.Dots, plotDot{X: 100 * along(t.At), Y: height(t.Confidence), Class: class, URL: address(o.Kind, o.Ref),
				Text: fmt.Sprintf("%s: %s %s; confidence then %s, floor %s", t.At.UTC().Format(time.DateOnly), kindWord(o.Kind), word, percent(t.Confidence), percent(t.Floor))})
		}
	}
	for v := 0.0; v <= 1; v += 0.25 {
		p.YTicks = append(p.YTicks, tick{Pos: height(v), Text: fmt.Sprintf("%.0f", v*100)})
	}
	p.XTicks = timeTicks(p.From, p.To)
	box := func(s sample) (x, y float64) {
		return along(s.at) * plotBox, plotBox * (1 - s.value)
	}
	p.Gate, p.GateText = height(gate), "floor needed to run alone: "+percent(gate)
	last := points[len(points)-1]
	p.Curves = []curve{{Class: "baseline", Name: "floor", Path: trace(floor, box), Last: percent(last.Floor)}, {Class: "sure", Name: "confidence", Path: trace(confidence, box), Last: percent(last.Confidence)}}
	p.Summary = fmt.Sprintf("Confidence from %s to %s, moved by %s: now %s with a floor of %s; %s is the floor needed to run alone.",
		p.From.UTC().Format(time.DateOnly), p.To.UTC().Format(time.DateOnly), count(len(p.Dots), "outcome"), percent(last.Confidence), percent(last.Floor), percent(gate))
	return p
}

// outcomeWord says a result, and the class of its mark.
func outcomeWord(x float64) (word, class string) {
	switch {
	case x <= 0:
		return "failed", "onset"
	case x < 1:
		return "helped in part", "change"
	}
	return "healed", "resolved"
}

func kindWord(kind string) string {
	switch kind {
	case "run":
		return "A run"
	case "scenario":
		return "A drill"
	case "person":
		return "A person says it"
	case "thread":
		return "A conversation tells that it"
	}
	return kind
}
