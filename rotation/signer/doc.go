// Package signer holds the private keys of a rotation: it implements
// rotation.Signer.
//
// Sealed keeps software keys encrypted at rest in a Vault: a folder (Dir), or
// the rotation's database (sqlstore.Store.Vault), which several nodes share.
// Memory keeps keys that come as PKCS#8 and are gone with the process. Remote
// asks another process over HTTP, and Serve is that process: the shape to follow
// for a KMS or an HSM.
//
// Not here: which key signs, and when one is made or destroyed; package rotation
// decides that.
//
// # How a key is sealed
//
// A box is JSON: a version, how its key is derived, and the PKCS#8 text under
// AES-256-GCM with a random nonce. Its key is HKDF-SHA-256 of the master key
// with the id and algorithm as info, and these two are also authenticated, so a
// box cannot be renamed into another. The master key is 32 random bytes, or
// scrypt (N = 2^15, r = 8, p = 1, random salt of 16 bytes in the box) of a
// passphrase of at least 12 bytes. A box is written whole or not at all and is
// never overwritten.
package signer
