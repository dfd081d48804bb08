// Package condition compiles and evaluates the conditions of skills: CEL
// expressions (the Common Expression Language, https://cel.dev) over a named,
// typed set of variables, the Scope.
//
// A condition is compiled once and evaluated many times, also concurrently. It
// has no side effects, cannot loop without bound, and its cost is limited: a
// condition that is too expensive for its input is an error, never a stall.
//
// Numbers are CEL doubles wherever they come from, so "5.0 * baseline" is right
// and "5 * baseline" is a compile error that says so; comparing with a whole
// number ("count > 3") is fine. There are no timestamps and no durations:
// times are Unix seconds.
//
// What the variables of each Scope mean is written in docs/skills.md.
package condition
