// Package exportgen writes Slack export archives whose truth is known, and
// scores what package thread extracts from them.
//
// Generate plays incidents in several channels, each by a script: somebody (or
// a bot) reports, people look, rule out, believe wrong things, try what does
// not help, find the cause, repair, check, close, and come back days later.
// Around them is the talk of a company: deployments, stand-ups, lunch,
// questions, alerts that mean nothing, and false leads. The same seed gives the
// same bytes. What was played is the Truth, written down while the messages are
// made; nothing is read back from the text.
//
// Wording comes from a Bank: templates for what people do in an incident and
// failure families with their own figures, commands, causes and cures. They are
// made apart from each other, so that rules that were written against one can be
// measured on another. The first two fill the plot of this package; the others
// bring scripts, each a way to run an incident: by terse lines, by a commander's
// reports, by a bot, by a report afterwards.
// Every person has a way to write on top of that (lower case, no full stops,
// British or American, a foreign tongue, emoji), and a clock.
//
// Compare matches extractions with the truth field by field and counts hits,
// misses and inventions; docs/extraction.md holds the rules of matching and the
// figures, which `go test ./thread/exportgen -run TestExtraction -update`
// writes anew.
//
// It is for tests and measurements; no command of Prunella uses it.
package exportgen
