package main

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"
	"time"

	"prunella/bench/rotation/contest"
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

// Result finds what a contestant did in a row.
func (r report) Result(row, who string) contest.Result {
	for _, one := range r.Results {
		if one.Row == row && one.Contestant == who {
			return one
		}
	}
	return contest.Result{Absent: "not played"}
}
