package rotation

import (
	"context"
	"crypto"
)

// Signer holds private keys and signs with them: software keys, a KMS, an HSM,
// a remote service. Package rotation/signer has some. Every method may be
// called again after a crash and must then do what is left to do.
type Signer interface {
	// Create makes the key id for alg, or returns the one made before.
	Create(ctx context.Context, id KeyID, alg Algorithm) (crypto.PublicKey, error)
	// Sign returns the JWS signature (RFC 7515: for ES algorithms r and s side by
	// side) of the signing input.
	Sign(ctx context.Context, id KeyID, alg Algorithm, input []byte) ([]byte, error)
	// Destroy makes the key unusable for ever; no error when it is gone already.
	Destroy(ctx context.Context, id KeyID) error
}
