// Package scenario is the proof: it reads a described world with something
// that breaks it, runs that against a real engine, and sets what happened beside
// what was expected.
//
//	File      one YAML file of scenarios/<category>/<name>.yaml, read strictly (Parse)
//	Scenario  a File with its parameters set (File.With)
//	Runner    world up, engine up, steady state, inject, watch, hold, judge (Run)
//	Report    prunella.Report; written as JSON, JUnit XML or Markdown here
//
// The engine under test is reached through its HTTP API only (package client),
// and is told what an operator would write in a configuration file: never the
// scenario's name, the fault or the seed.
//
// Outcomes: PASSED when every check holds; FAILED when one does not, where a
// check that could not be observed does not hold; ERROR when the run proves
// nothing: the world was not steady before, a fault was not observed to bite,
// nothing was asserted, or the machinery broke.
//
// Not here: how a world breaks (package lab), how an engine is started (the
// command hands in a factory), how a report looks as a page (package web).
// The format is described for people in docs/scenarios.md.
package scenario
