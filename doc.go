// Package prunella holds the nouns of the incident engine and the rules that
// belong to them: Signal, Finding, Incident, Cause, Skill, Run, Step, Verdict,
// the kinds of error, and one transition function for each state machine.
//
// It imports the standard library only, and everything else imports it. What a
// noun promises stands in its doc comment; how it is stored, shown or carried
// is the business of the folder that adapts it (store, web, bus, …).
//
// Units: durations are time.Duration, shares are fractions from 0 to 1,
// confidence is a probability from 0 to 1, times are UTC.
package prunella
