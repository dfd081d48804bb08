// Package pattern holds regular expressions whose answer "no" is cheap.
//
// The rules of package thread ask hundreds of expressions about every sentence,
// and nearly all of them answer no. Package regexp simulates a nondeterministic
// automaton for that, at some hundred nanoseconds a byte. A Pattern asks a
// deterministic one first, which is built while texts are read (lazily, as in
// RE2: Cox, "Regular Expression Matching in the Wild", 2010) and costs a table
// look-up a byte. Only where there is a match, and only to say where, package
// regexp is asked. The answers are those of package regexp, always.
//
// What is not here: a syntax of its own, and a guess. See machine for the bounds.
package pattern

import (
	"regexp"
	"sync"
)

// Pattern is an expression in the syntax of package regexp. It is safe for
// concurrent use. Its methods are those of regexp.Regexp of the same names.
type Pattern struct {
	full    func() *regexp.Regexp
	machine *machine
}

// MustCompile is regexp.MustCompile put off until the pattern is used: a program
// that reads no conversation does not pay for hundreds of them, and an expression
// that is none panics then.
func MustCompile(expr string) *Pattern {
	return &Pattern{full: sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) }), machine: &machine{expr: expr}}
}

// MatchString reports whether s contains a match.
func (p *Pattern) MatchString(s string) bool {
	if yes, known := p.machine.match(s); known {
		return yes
	}
	return p.full().MatchString(s)
}

// FindStringIndex is where the leftmost match stands, nil without one.
func (p *Pattern) FindStringIndex(s string) []int {
	if !p.MatchString(s) {
		return nil
	}
	return p.full().FindStringIndex(s)
}

// Split is what stands between matches, at most n pieces, all for n < 0.
func (p *Pattern) Split(s string, n int) []string { return p.full().Split(s, n) }

// SubexpIndex is the number of the group of that name, -1 without one.
func (p *Pattern) SubexpIndex(name string) int { return p.full().SubexpIndex(name) }

// FindString is the leftmost match, "" without one.
func (p *Pattern) FindString(s string) string {
	if !p.MatchString(s) {
		return ""
	}
	return p.full().FindString(s)
}

// FindStringSubmatch is the leftmost match and its groups, nil without one.
func (p *Pattern) FindStringSubmatch(s string) []string {
	if !p.MatchString(s) {
		return nil
	}
	return p.full().FindStringSubmatch(s)
}

// FindStringSubmatchIndex is where these stand, nil without a match.
func (p *Pattern) FindStringSubmatchIndex(s string) []int {
	if !p.MatchString(s) {
		return nil
	}
	return p.full().FindStringSubmatchIndex(s)
}

// FindAllString are the first n matches, all for n < 0.
func (p *Pattern) FindAllString(s string, n int) []string {
	if !p.MatchString(s) {
		return nil
	}
	return p.full().FindAllString(s, n)
}

// FindAllStringIndex is where these stand.
func (p *Pattern) FindAllStringIndex(s string, n int) [][]int {
	if !p.MatchString(s) {
		return nil
	}
	return p.full().FindAllStringIndex(s, n)
}

// FindAllStringSubmatch are the first n matches with their groups.
func (p *Pattern) FindAllStringSubmatch(s string, n int) [][]string {
	if !p.MatchString(s) {
		return nil
	}
	return p.full().FindAllStringSubmatch(s, n)
}

// FindAllStringSubmatchIndex is where these stand.
func (p *Pattern) FindAllStringSubmatchIndex(s string, n int) [][]int {
	if !p.MatchString(s) {
		return nil
	}
	return p.full().FindAllStringSubmatchIndex(s, n)
}

// ReplaceAllString replaces matches; $1 in with stands for a group.
func (p *Pattern) ReplaceAllString(s, with string) string {
	if !p.MatchString(s) {
		return s
	}
	return p.full().ReplaceAllString(s, with)
}

// ReplaceAllStringFunc replaces matches by what with makes of them.
func (p *Pattern) ReplaceAllStringFunc(s string, with func(string) string) string {
	if !p.MatchString(s) {
		return s
	}
	return p.full().ReplaceAllStringFunc(s, with)
}
