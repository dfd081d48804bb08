// Package speed measures what a verification costs with each library, beside
// the bare crypto, in one process and one run.
//
// The machine may be shared and busy. So everything that is compared is measured
// in turns of a few milliseconds, each turn by all that are compared, and what
// counts of each is its best turn: load can only make a turn slower. A ratio is
// of best turns. Tokens are verified in full: signature, issuer, audience, times.
package speed
