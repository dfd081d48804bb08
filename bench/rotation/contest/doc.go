// Package contest puts verifiers through rotations: the rows of the tournament,
// which contestants run side by side in virtual time, and the conformance suite,
// which anybody's verifier can run.
//
// A row is a story of one issuer (rotates, is flooded, goes away) told to one
// fresh verifier through the protocol. It decides which tokens are presented
// and when; what had to be done with each is decided by issuer.Judge alone, so
// that every verifier is judged by the same rules and no row knows any of them.
package contest
