// Package engine is the durable loop of Prunella. It has two halves that meet
// only in the store:
//
//   - Pipeline takes Signals off the bus and folds them into incidents:
//     match ─> correlate ─> store. It acknowledges a message only after what it
//     decided is committed.
//   - Engine takes each open incident under a lease through its stages:
//     diagnose ─> plan ─> policy ─> heal ─> verify. Every step's intent is
//     committed before its effect and its result after, so that a crash at any
//     moment leaves a state from which the next process can go on or ask.
//
// What is decided is decided by the pure packages match, correlate, diagnose
// and heal. What is done to the world goes through the World interface, what is
// remembered through the Store interface, both declared here.
package engine
