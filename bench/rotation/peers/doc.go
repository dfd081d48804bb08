// Package peers holds the contestants: the JWKS clients that people use, each
// at its defaults, as its own documentation shows it in use, and ours.
//
// A contestant runs as a process of its own that speaks the contest's protocol,
// fresh for each row: what one row taught it, the next does not know. Those in
// Go live in a bubble of testing/synctest, whose clock stands still while a
// contestant works and jumps while the contest lets time pass; so an hour costs
// nothing, every timer of the library fires at its moment, and nothing is
// scaled. Only its transport reaches out of the bubble. Those in Node look at
// the clock when they are asked, and get a clock that can be set ahead.
package peers
