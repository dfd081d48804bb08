package signer

import (
	"context"
	"crypto"
	"crypto/x509"
	"sync"

	"prunella/rotation"
)

// Memory holds keys in this process only. The zero value is ready.
type Memory struct {
	RSABits int // of new RSA keys; default DefaultRSABits

	mu   sync.Mutex
	keys map[rotation.KeyID]crypto.Signer
}

var _ rotation.Signer = (*Memory)(nil)

// Import adds a key that was made elsewhere, as PKCS#8 (DER).
func (m *Memory) Import(id rotation.KeyID, pkcs8 []byte) error {
	if err := checkID(id); err != nil {
		return err
	}
	key, err := parse(pkcs8)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(id, key)
	return nil
}

func (m *Memory) put(id rotation.KeyID, key crypto.Signer) {
	if m.keys == nil {
		m.keys = map[rotation.KeyID]crypto.Signer{}
	}
	m.keys[id] = key
}

func parse(pkcs8 []byte) (crypto.Signer, error) {
	any, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, invalid("the key is not PKCS#8: %v", err)
	}
	key, ok := any.(crypto.Signer)
	if !ok {
		return nil, invalid("a %T cannot sign", any)
	}
	return key, nil
}

// Create implements rotation.Signer.
func (m *Memory) Create(_ context.Context, id rotation.KeyID, alg rotation.Algorithm) (crypto.PublicKey, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := m.keys[id]
	if key == nil {
		var err error
		if key, err = generate(alg, m.RSABits); err != nil {
			return nil, err
		}
		m.put(id, key)
	}
	return key.Public(), nil
}

// Sign implements rotation.Signer.
func (m *Memory) Sign(_ context.Context, id rotation.KeyID, alg rotation.Algorithm, input []byte) ([]byte, error) {
	m.mu.Lock()
	key := m.keys[id]
	m.mu.Unlock()
	if key == nil {
		return nil, missing(id)
	}
	return SignJWS(key, alg, input)
}

// Destroy implements rotation.Signer.
func (m *Memory) Destroy(_ context.Context, id rotation.KeyID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, id)
	return nil
}
