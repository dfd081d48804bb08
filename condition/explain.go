package condition

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
)

var (
	undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	overload   = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '\((.*)\)'$`)
	badToken   = regexp.MustCompile(`(?s)token recognition error at: '(.*)'$`)
	unexpected = regexp.MustCompile(`(?s)(?:mismatched|extraneous) input '(.*?)' expecting`)
	whole      = regexp.MustCompile(`^\s*(-?\d+)`)
	operator   = regexp.MustCompile(`^_(\S+)_$`)
	wholeLeft  = regexp.MustCompile(`(\d+)\s*$`)
)

// explain turns CEL's first complaint into a sentence and a remedy.
func explain(expr string, scope Scope, issues *cel.Issues) error {
	first := issues.Errors()[0]
	e := &SyntaxError{Source: expr, Line: max(first.Location.Line(), 1), Column: max(first.Location.Column()+1, 1)}
	msg := strings.TrimPrefix(first.Message, "Syntax error: ")
	e.Reason = msg
	if m := undeclared.FindStringSubmatch(msg); m != nil {
		e.Reason, e.Remedy = unknownName(m[1], scope)
	} else if m := overload.FindStringSubmatch(msg); m != nil {
		e.Reason, e.Remedy = mismatch(m[1], m[2], after(expr, e), before(expr, e))
	} else if m := badToken.FindStringSubmatch(msg); m != nil {
		e.Reason, e.Remedy = token(m[1])
	} else if m := unexpected.FindStringSubmatch(msg); m != nil {
		e.Reason, e.Remedy = misplaced(m[1], expr)
	} else if strings.Contains(msg, "does not support field selection") {
		e.Reason, e.Remedy = "a plain value has no fields", "use it by itself"
	} else if strings.Contains(msg, "expression code point size") {
		e.Reason, e.Remedy = fmt.Sprintf("it is longer than %d characters", maxSource), "split it into several rules"
	} else if strings.Contains(msg, "recursion") {
		e.Reason, e.Remedy = fmt.Sprintf("it is nested deeper than %d levels", maxDepth), "split it into several rules"
	}
	return e
}

func unknownName(name string, scope Scope) (string, string) {
	known := slices.Sorted(maps.Keys(scope))
	if near := Closest(name, known); near != "" {
		return name + " is not known here", "did you mean " + near + "?"
	}
	return name + " is not known here",
		fmt.Sprintf("write one of %s, or put text in quotes: '%s'", strings.Join(known, ", "), name)
}

func mismatch(op, args, right, left string) (string, string) {
	sign := op
	if m := operator.FindStringSubmatch(op); m != nil {
		sign = m[1]
	}
	reason := fmt.Sprintf("%s does not work on %s", sign, plainType(args))
	switch {
	case strings.HasPrefix(sign, "!"):
		return fmt.Sprintf("! needs true or false, not %s", plainType(args)), "compare it with something"
	case strings.Contains(args, "int") && strings.Contains(args, "double"):
		n, rest := "", right
		if m := wholeLeft.FindStringSubmatch(left); m != nil && strings.HasPrefix(args, "int") {
			n = m[1]
			rest = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(right), sign))
			word := firstWord(rest)
			return "a whole number cannot be used with " + sign,
				fmt.Sprintf("write %s.0 %s %s, not %s %s %s", n, sign, word, n, sign, word)
		}
		if m := whole.FindStringSubmatch(strings.TrimPrefix(strings.TrimSpace(right), sign)); m != nil {
			n = m[1]
			word := lastWord(left)
			return "a whole number cannot be used with " + sign,
				fmt.Sprintf("write %s %s %s.0, not %s %s %s", word, sign, n, word, sign, n)
		}
		return reason, "numbers are doubles: write 5.0, not 5"
	case strings.Contains(args, "string"):
		return reason, "put text in quotes and compare text with text"
	}
	return reason, ""
}

func token(t string) (string, string) {
	switch {
	case strings.HasPrefix(t, "="):
		return "= is not an operator", "write == to compare"
	case strings.HasPrefix(t, "&"):
		return "& is not an operator", "write && for and"
	case strings.HasPrefix(t, "|"):
		return "| is not an operator", "write || for or"
	case strings.HasPrefix(t, "'"), strings.HasPrefix(t, `"`):
		return "the text is not closed", "end it with the quote that it began with"
	}
	return fmt.Sprintf("%q cannot stand here", strings.TrimSpace(t)), "see docs/skills.md for what a condition may hold"
}

func misplaced(t, expr string) (string, string) {
	switch strings.ToLower(t) {
	case "<eof>":
		if strings.HasSuffix(strings.TrimSpace(expr), "%") {
			return "% is not a unit", "write a share from 0 to 1: 0.05 for 5 %"
		}
		return "it ends too early", "something is missing after the last operator, or a bracket is not closed"
	case "and":
		return "and is not an operator", "write &&"
	case "or":
		return "or is not an operator", "write ||"
	}
	if strings.HasPrefix(strings.TrimSpace(expr), "not ") {
		return "not is not an operator", "write !"
	}
	return fmt.Sprintf("%s cannot stand here", t), "an operator such as && or == may be missing before it"
}

// after and before split the source at the place of an error.
func after(expr string, e *SyntaxError) string {
	_, b := split(expr, e)
	return b
}

func before(expr string, e *SyntaxError) string {
	a, _ := split(expr, e)
	return a
}

func split(expr string, e *SyntaxError) (string, string) {
	lines := strings.Split(expr, "\n")
	if e.Line > len(lines) {
		return "", ""
	}
	runes := []rune(lines[e.Line-1])
	at := min(e.Column-1, len(runes))
	return string(runes[:at]), string(runes[at:])
}

func firstWord(s string) string {
	return strings.TrimRight(s[:wordEnd(s)], ".")
}

func wordEnd(s string) int {
	for i, r := range s {
		if !isWord(r) {
			return i
		}
	}
	return len(s)
}

func lastWord(s string) string {
	s = strings.TrimSpace(s)
	i := strings.LastIndexFunc(s, func(r rune) bool { return !isWord(r) })
	return s[i+1:]
}

func isWord(r rune) bool {
	return r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

var typeNames = strings.NewReplacer("double", "number", "int", "whole number", "string", "text", "bool", "true/false",
	"dyn", "any value", "(", "", ")", "", ", ", " and ")

func plainType(t string) string { return typeNames.Replace(t) }

func example(scope Scope) string {
	switch {
	case scope["baseline"] == Number && len(scope) > 4:
		return "value > 5.0 * baseline"
	case hasName(scope, "count"):
		return "count > 3"
	case hasName(scope, "result"):
		return "result.count == 0"
	case hasName(scope, "verdict"):
		return "verdict == 'not-healed'"
	case hasName(scope, "keys"):
		return "keys.previous_safe == true"
	}
	return "x > 1.0"
}

func hasName(scope Scope, name string) bool {
	_, ok := scope[name]
	return ok
}

// Closest returns the candidate that word was probably meant to be, or "" when
// none is near (Levenshtein distance; one edit in a short word, up to three in
// a long one).
func Closest(word string, candidates []string) string {
	best, distance := "", min(1+len(word)/5, 3)+1
	for _, c := range candidates {
		if d := levenshtein(strings.ToLower(word), strings.ToLower(c), distance); d < distance {
			best, distance = c, d
		}
	}
	return best
}

func levenshtein(a, b string, bound int) int {
	if len(a)-len(b) >= bound || len(b)-len(a) >= bound {
		return bound
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
