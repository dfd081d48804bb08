// Package fleet lets procedures of key rotation loose on simulated fleets of
// verifiers and counts what each breaks.
//
// A World is a fleet with its troubles: instances that cache the key set, read
// a file, die or are cut off, hints that get lost, a CDN that serves old copies,
// clocks that differ. A Procedure says at each moment which keys are published
// and which one signs; those that look at the clock alone see nothing of the
// fleet, ours is asked for its real decisions (rotation.Decide, rotation.Ring)
// and sees what the fleet's acknowledgements and canaries would have told it.
// Everybody meets the same fleet, drawn from the same seed.
//
// At each step every instance that serves is shown a token that was signed just
// now and one that is about to expire. Both are good, so a refusal is the
// procedure's doing. Units: time in steps of Options.Step from the moment at
// which the rotation is asked for; keys are numbers, sets of keys bit masks.
package fleet
