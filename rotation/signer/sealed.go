package signer

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/scrypt"

	"prunella/rotation"
)

// Vault keeps boxes. It sees no secret.
type Vault interface {
	// Put stores a box under a name that is not taken; else rotation's Conflict.
	Put(ctx context.Context, name string, box []byte) error
	// Get returns it, or rotation's NotFound.
	Get(ctx context.Context, name string) ([]byte, error)
	// Delete destroys it; no error when it is gone already.
	Delete(ctx context.Context, name string) error
}

// Secret is what boxes are sealed with: a master key or a passphrase.
type Secret struct {
	key        []byte
	passphrase []byte
}

// leastPassphrase is in bytes. scrypt makes a guess dear, not a short text long.
const leastPassphrase = 12

// ParseSecret reads a secret: "key:" and 32 bytes as base64, or else a passphrase.
// White space around it does not count.
func ParseSecret(text string) (Secret, error) {
	text = strings.TrimSpace(text)
	if encoded, ok := strings.CutPrefix(text, "key:"); ok {
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(key) != 32 {
			return Secret{}, wrongSecret("the master key is not 32 bytes of base64 after key:")
		}
		return Secret{key: key}, nil
	}
	if len(text) < leastPassphrase {
		return Secret{}, wrongSecret("the passphrase has fewer than %d bytes", leastPassphrase)
	}
	return Secret{passphrase: []byte(text)}, nil
}

func wrongSecret(format string, args ...any) error {
	return &rotation.Error{Kind: rotation.Invalid, Detail: "signer: " + fmt.Sprintf(format, args...),
		Remedy: `state env:NAME or file:PATH, which holds "key:" and 32 bytes as base64 (openssl rand -base64 32), or a passphrase`}
}

// SecretFrom reads a secret from "env:NAME" or "file:PATH". A file that others
// may read is refused.
func SecretFrom(where string) (Secret, error) {
	kind, name, _ := strings.Cut(where, ":")
	switch kind {
	case "env":
		text, ok := os.LookupEnv(name)
		if !ok {
			return Secret{}, wrongSecret("the environment has no %s", name)
		}
		return ParseSecret(text)
	case "file":
		info, err := os.Stat(name)
		if err != nil {
			return Secret{}, wrongSecret("the secret's file: %v", err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return Secret{}, invalid("the file %s is for more than its owner: run chmod 600 %s", name, name)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return Secret{}, wrongSecret("the secret's file: %v", err)
		}
		return ParseSecret(string(text))
	}
	return Secret{}, wrongSecret("a secret comes from env:NAME or file:PATH, not %q", kind)
}

// Sealed holds keys encrypted in a vault, and in memory those it has used.
type Sealed struct {
	vault   Vault
	secret  Secret
	rsaBits int

	mu      sync.Mutex
	open    map[rotation.KeyID]crypto.Signer
	salt    []byte
	masters map[string][]byte // by salt
}

var _ rotation.Signer = (*Sealed)(nil)

// NewSealed returns a signer whose keys are in a vault. rsaBits is the length of
// new RSA keys; 0 is DefaultRSABits.
func NewSealed(v Vault, s Secret, rsaBits int) (*Sealed, error) {
	if s.key == nil && s.passphrase == nil {
		return nil, invalid("a secret is missing")
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	return &Sealed{vault: v, secret: s, rsaBits: rsaBits, open: map[rotation.KeyID]crypto.Signer{}, salt: salt, masters: map[string][]byte{}}, nil
}

// box is a sealed key as it is stored.
type box struct {
	Version int                `json:"v"`
	ID      rotation.KeyID     `json:"kid"`
	Alg     rotation.Algorithm `json:"alg"`
	KDF     string             `json:"kdf"` // "key" or "scrypt-15"
	Salt    []byte             `json:"salt,omitempty"`
	Nonce   []byte             `json:"nonce"`
	Sealed  []byte             `json:"sealed"`
}

// master returns the master key for a box. The caller holds mu.
func (s *Sealed) master(b box) ([]byte, error) {
	switch {
	case b.KDF == "key" && s.secret.key != nil:
		return s.secret.key, nil
	case b.KDF == "scrypt-15" && s.secret.passphrase != nil:
		if m := s.masters[string(b.Salt)]; m != nil {
			return m, nil
		}
		m, err := scrypt.Key(s.secret.passphrase, b.Salt, 1<<15, 8, 1, 32)
		if err == nil {
			s.masters[string(b.Salt)] = m
		}
		return m, err
	}
	return nil, invalid("the key %s was sealed with another kind of secret (%.20q)", b.ID, b.KDF)
}

func (s *Sealed) aead(b box) (cipher.AEAD, []byte, error) {
	master, err := s.master(b)
	if err != nil {
		return nil, nil, err
	}
	about := fmt.Sprintf("prunella rotation box %d %s %s", b.Version, b.ID, b.Alg)
	key, err := hkdf.Key(sha256.New, master, nil, about, 32)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return aead, []byte(about), err
}

func (s *Sealed) seal(id rotation.KeyID, alg rotation.Algorithm, key crypto.Signer) ([]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	b := box{Version: 1, ID: id, Alg: alg, KDF: "key"}
	if s.secret.key == nil {
		b.KDF, b.Salt = "scrypt-15", s.salt
	}
	aead, about, err := s.aead(b)
	if err != nil {
		return nil, err
	}
	b.Nonce = make([]byte, aead.NonceSize())
	if _, err := rand.Read(b.Nonce); err != nil {
		return nil, err
	}
	b.Sealed = aead.Seal(nil, b.Nonce, plain, about)
	return json.Marshal(b)
}

func (s *Sealed) unseal(id rotation.KeyID, raw []byte) (crypto.Signer, error) {
	var b box
	damaged := func(why string) error {
		return &rotation.Error{Kind: rotation.Damaged, Detail: fmt.Sprintf("signer: the key %s cannot be unsealed: %s", id, why),
			Remedy: "is the secret the one it was sealed with? Else restore the box from a backup"}
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, damaged("its box is not readable")
	}
	if b.Version != 1 || b.ID != id {
		return nil, damaged("its box is of another version or another key")
	}
	aead, about, err := s.aead(b)
	if err != nil {
		return nil, err
	}
	if len(b.Nonce) != aead.NonceSize() {
		return nil, damaged("its box is cut off")
	}
	plain, err := aead.Open(nil, b.Nonce, b.Sealed, about)
	if err != nil {
		return nil, damaged("the secret or the box is wrong")
	}
	return parse(plain)
}

// key returns an unsealed key. The caller holds mu.
func (s *Sealed) key(ctx context.Context, id rotation.KeyID) (crypto.Signer, error) {
	if key := s.open[id]; key != nil {
		return key, nil
	}
	raw, err := s.vault.Get(ctx, string(id))
	if errors.Is(err, rotation.NotFound) {
		return nil, missing(id)
	}
	if err != nil {
		return nil, err
	}
	key, err := s.unseal(id, raw)
	if err == nil {
		s.open[id] = key
	}
	return key, err
}

// Create implements rotation.Signer. Of two nodes that create the same key, the
// first to store it made it.
func (s *Sealed) Create(ctx context.Context, id rotation.KeyID, alg rotation.Algorithm) (crypto.PublicKey, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key, err := s.key(ctx, id)
	if err == nil {
		return key.Public(), nil
	}
	if !errors.Is(err, rotation.NotFound) {
		return nil, err
	}
	if key, err = generate(alg, s.rsaBits); err != nil {
		return nil, err
	}
	raw, err := s.seal(id, alg, key)
	if err != nil {
		return nil, err
	}
	err = s.vault.Put(ctx, string(id), raw)
	if err != nil && !errors.Is(err, rotation.Conflict) {
		return nil, err
	}
	if key, err = s.key(ctx, id); err != nil { // what is stored is what signs
		return nil, err
	}
	return key.Public(), nil
}

// Sign implements rotation.Signer.
func (s *Sealed) Sign(ctx context.Context, id rotation.KeyID, alg rotation.Algorithm, input []byte) ([]byte, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	key, err := s.key(ctx, id)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return SignJWS(key, alg, input)
}

// Destroy implements rotation.Signer.
func (s *Sealed) Destroy(ctx context.Context, id rotation.KeyID) error {
	if err := checkID(id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.vault.Delete(ctx, string(id)); err != nil {
		return err
	}
	delete(s.open, id)
	return nil
}
