package main

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"
	"time"

	"prunella/bench/rotation/contest"
	"prunella/bench/rotation/fleet"
	"prunella/bench/rotation/peers"
	"prunella/bench/rotation/speed"
)

//go:embed page.md.tmpl
var pageText string

// page renders docs/tournament.md.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"ms":         func(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/float64(time.Millisecond)) },
	"algorithms": func() []string { return speed.Algorithms },
	"join":       strings.Join,
	"cell":       cell,
	"cost":       func(c speed.Cost) string { return fmt.Sprintf("%.1f (%.2f ×), %.0f", c.Micros, c.OfBare, c.Allocs) },
	"example":    func() string { return peers.Example },
	"duration":   duration,
	"fleet":      fleetCell,
	"fixed":      func(digits int, v float64) string { return fmt.Sprintf("%.*f", digits, v) },
}).Parse(pageText))

// cell is a result in the table: what was wrong, or nothing.
func cell(r contest.Result) string {
	if r.Absent != "" {
		return "not measured"
	}
	var wrong []string
	if r.WronglyRefused > 0 {
		wrong = append(wrong, fmt.Sprintf("%d refused", r.WronglyRefused))
	}
	if r.WronglyAccepted > 0 {
		wrong = append(wrong, fmt.Sprintf("**%d accepted**", r.WronglyAccepted))
	}
	wrong = append(wrong, r.Broken...)
	if len(wrong) == 0 {
		return "holds"
	}
	return strings.Join(wrong, "; ")
}

func duration(seconds float64) string {
	switch d := time.Duration(seconds) * time.Second; {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", seconds)
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	default:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
}

// fleetCell is what a procedure did to a fleet, in the table.
func fleetCell(f fleet.Result) string {
	end := "never done"
	switch {
	case f.Finished >= 0:
		end = "done after " + duration(f.Finished)
	case len(f.Blocked) > 0:
		end = "stopped; names " + strings.Join(f.Blocked, ", ")
	}
	if f.Refused == 0 {
		return "none refused; " + end
	}
	return fmt.Sprintf("**%s of outage**, %.2g %% refused, %d services; %s", duration(f.Outage), 100*float64(f.Refused)/float64(f.Tokens), f.Broken, end)
}

// Fleet finds what a procedure did to a fleet; nil when it was not played.
func (r report) Fleet(world, rule string) *fleet.Result {
	for n := range r.Fleets {
		if r.Fleets[n].World == world && r.Fleets[n].Rule == rule {
			return &r.Fleets[n]
		}
	}
	return nil
}

// Case finds what became of a case with a contestant.
func (r report) Case(n int, who string) string {
	for _, s := range r.Suites {
		if s.Contestant == who {
			if s.Outcomes[n].Result == contest.Fail {
				return "**fail**"
			}
			return s.Outcomes[n].Result
		}
	}
	return ""
}

// Result finds what a contestant did in a row.
func (r report) Result(row, who string) contest.Result {
	for _, one := range r.Results {
		if one.Row == row && one.Contestant == who {
			return one
		}
	}
	return contest.Result{Absent: "not played"}
}
