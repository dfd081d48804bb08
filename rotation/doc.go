// Package rotation rotates the signing keys of a JWT issuer and breaks no
// verifier by it: a key signs only when everybody who must accept its tokens has
// shown that he does, and leaves only when nobody needs it.
package rotation
