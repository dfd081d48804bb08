// Package action is what a step of a skill can do to the world: reads, which
// look and change nothing, and actions, which change something or prove it.
// One file holds one target (keys.go, kubernetes.go, releases.go, …).
//
// One table, built by operations, gives each read and action its name, its
// parameters, its result fields and its function. World.Read, Before, Do and
// Happened dispatch on it and Catalog lists it, so nothing can be run that is
// not described, and the other way round. docs/actions.md is its page.
//
// What is not here: whether an action may be run (package heal decides), when
// (package engine), conditions on results (package condition).
//
// # Outcomes of a mutation
//
// Do returns nil when the effect is known to have happened, an error that wraps
// ErrLost when the world may or may not have taken it (the request left us and
// no answer, or only a server's failure, came back), and any other error when
// the effect is known not to have happened. After ErrLost, or after a crash
// between intent and result, Happened looks at the world and says Yes, No or
// Unclear; only No makes repeating safe. Every HTTP mutation carries the step's
// key as its Idempotency-Key.
//
// # Units and shapes
//
// A result is JSON-like: map[string]any, []any, string, bool, and float64 for
// every number. Fields named *_s are seconds. A read of something that nobody
// declared, or that does not answer, is not an error: its result says
// known: false (or reachable: false) and why. Errors are for wrong parameters.
//
// # Secrets
//
// Tokens and client secrets travel in headers and bodies only. Every text that
// leaves this package (results, outputs, errors) has the inventory's secrets
// and anything shaped like a JWT replaced by "[secret]".
package action
