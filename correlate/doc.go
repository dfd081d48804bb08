// Package correlate answers "which incident does it belong to, how bad is it,
// where will it spread, and what does it remind of?". Everything in it is a
// pure function of its arguments and returns a named Reason with the operands
// that decided it.
//
//	Assign        a Finding joins an incident, reopens one, opens one, or is ignored
//	Merge         an open incident turns out to be one failure with an older one
//	Severity      the published table of impact, breadth, criticality and trend
//	StatedImpacts impact from texts, where nothing can be measured
//	Cascade       who is hit, who is next, and when everything fails
//	Relate        links to earlier incidents
//
// Findings come from package match; what caused an incident is package
// diagnose's business. Shares are fractions from 0 to 1. Distances in time are
// between onsets, not between the times at which something was noticed, since
// a slow metric is noticed later than a fast log line.
package correlate
