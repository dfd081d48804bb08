package skill

import (
	"cmp"
	"fmt"
	"slices"
)

// Problem is one finding of lint.
type Problem struct {
	File     string `json:"file"`
	Line     int    `json:"line"`   // from 1
	Column   int    `json:"column"` // from 1, in characters
	Rule     string `json:"rule"`   // stable, kebab-case
	Text     string `json:"text"`
	Remedy   string `json:"remedy"`
	Severity string `json:"severity"` // error | warning | note
}

// Severities of a Problem. A skill with an error cannot be used.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
	SeverityNote    = "note"
)

func (p Problem) String() string {
	s := fmt.Sprintf("%s:%d:%d: %s: %s [%s]", p.File, p.Line, p.Column, p.Severity, p.Text, p.Rule)
	if p.Remedy != "" {
		s += "; " + p.Remedy
	}
	return s
}

// Errors returns the problems that are errors.
func Errors(problems []Problem) []Problem {
	var out []Problem
	for _, p := range problems {
		if p.Severity == SeverityError {
			out = append(out, p)
		}
	}
	return out
}

func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
