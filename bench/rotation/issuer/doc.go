// Package issuer is the other side of every contest: an issuer that rotates,
// revokes, floods, falls over and lies, over real HTTP, and that can say of any
// token what a verifier has to do with it.
//
// A Hub is one HTTP server that holds any number of issuers, each under a path
// of its own with a discovery document and a key set, and a second server under
// another host name for what must not be trusted. Time is the contest's, which
// may be virtual: a verifier that has a clock of its own says what it reads in
// the header ClockHeader of a fetch.
//
// The oracle is here, next to the history that it judges by: Issuer.Judge knows
// what was published when, and nothing about the verifier.
package issuer
