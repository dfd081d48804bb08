package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"prunella"
)

// Key states, as the key API shows them.
const (
	stateNext     = "next"
	stateActive   = "active"
	statePrevious = "previous"
	stateRemoved  = "removed"
	stateRevoked  = "revoked"
)

// keyInfo is a key as the key API shows it.
type keyInfo struct {
	Kid        string    `json:"kid"`
	Alg        string    `json:"alg"`
	Thumbprint string    `json:"thumbprint"`
	State      string    `json:"state"`
	Published  time.Time `json:"published,omitzero"` // when it entered the set it is still in
	Created    time.Time `json:"created"`
	Activated  time.Time `json:"activated,omitzero"`
	Removed    time.Time `json:"removed,omitzero"` // when it left the set
}

// signingKey is a key whose private part the auth service holds, whatever its
// state.
type signingKey struct {
	keyInfo
	private    crypto.Signer
	cert       []byte // DER, for the Auth0 calls
	lastIssued time.Time
	lastExpiry time.Time
}

// keyRing holds every key. Its methods are the moves of the key state machine;
// each returns the key as it is afterwards.
type keyRing struct {
	mu   sync.Mutex
	keys []*signingKey // oldest first
}

func newPrivateKey(alg string) (crypto.Signer, error) {
	if alg == "ES256" {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

func (k *signingKey) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.Kid, Algorithm: k.Alg, Use: "sig"}
}

// thumbprint is RFC 7638 with SHA-256, base64url.
func thumbprint(public crypto.PublicKey) (string, error) {
	jwk := jose.JSONWebKey{Key: public}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

// create makes a key that is not published yet. Its kid is its thumbprint.
func (r *keyRing) create(alg string) (keyInfo, error) {
	private, err := newPrivateKey(alg)
	if err != nil {
		return keyInfo{}, err
	}
	k := &signingKey{private: private, keyInfo: keyInfo{Alg: alg, State: stateNext, Created: time.Now().UTC()}}
	if k.Thumbprint, err = thumbprint(private.Public()); err != nil {
		return keyInfo{}, err
	}
	k.Kid = k.Thumbprint
	template := &x509.Certificate{SerialNumber: big.NewInt(k.Created.UnixNano()), Subject: pkix.Name{CommonName: "acme.lab"},
		NotBefore: k.Created, NotAfter: k.Created.AddDate(10, 0, 0)}
	if k.cert, err = x509.CreateCertificate(rand.Reader, template, template, private.Public(), private); err != nil {
		return keyInfo{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = append(r.keys, k)
	return k.keyInfo, nil
}

func (r *keyRing) find(kid string) (*signingKey, error) {
	for _, k := range r.keys {
		if k.Kid == kid {
			return k, nil
		}
	}
	return nil, &prunella.Error{Kind: prunella.NotFound, Op: "keys", Reason: "there is no key " + kid}
}

func (r *keyRing) signer() *signingKey {
	for _, k := range r.keys {
		if k.State == stateActive {
			return k
		}
	}
	return nil
}

// list returns every key, and the signer's kid.
func (r *keyRing) list() (keys []keyInfo, signer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.keys {
		keys = append(keys, k.keyInfo)
	}
	if s := r.signer(); s != nil {
		signer = s.Kid
	}
	return keys, signer
}

func (r *keyRing) get(kid string) (signingKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, err := r.find(kid)
	if err != nil {
		return signingKey{}, err
	}
	return *k, nil
}

// publish puts a key into the set; entered is false when it was there already.
func (r *keyRing) publish(kid string) (k signingKey, entered bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.find(kid)
	if err != nil {
		return signingKey{}, false, err
	}
	entered, err = p.publish()
	return *p, entered, err
}

func (k *signingKey) publish() (entered bool, err error) {
	if k.State == stateRevoked {
		return false, prunella.Errorf(prunella.Conflict, "key %s is revoked and will not be published again", k.Kid)
	}
	if !k.Published.IsZero() {
		return false, nil
	}
	k.Published, k.Removed = time.Now().UTC(), time.Time{}
	if k.State == stateRemoved {
		k.State = statePrevious
	}
	return true, nil
}

// activate makes a key the signer and publishes it; the former signer becomes
// previous and stays published.
func (r *keyRing) activate(kid string) (k signingKey, entered bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.find(kid)
	if err != nil {
		return signingKey{}, false, err
	}
	if entered, err = p.publish(); err != nil {
		return signingKey{}, false, err
	}
	if old := r.signer(); old != nil && old != p {
		old.State = statePrevious
	}
	if p.State != stateActive {
		p.State, p.Activated = stateActive, time.Now().UTC()
	}
	return *p, entered, nil
}

// leave takes a key out of the set, as removed or revoked. The private part is
// kept, so that a removed key can come back.
func (r *keyRing) leave(kid, state string) (signingKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.find(kid)
	if err != nil {
		return signingKey{}, err
	}
	if p.State == stateActive {
		return signingKey{}, prunella.Errorf(prunella.Conflict, "key %s signs now; activate another key first", kid)
	}
	p.State, p.Published, p.Removed = state, time.Time{}, time.Now().UTC()
	return *p, nil
}

// swap replaces the material under a kid and returns what was there.
func (r *keyRing) swap(kid string, private crypto.Signer) (crypto.Signer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.find(kid)
	if err != nil {
		return nil, err
	}
	old := p.private
	p.private = private
	p.Thumbprint, err = thumbprint(private.Public())
	return old, err
}

func (r *keyRing) published() []jose.JSONWebKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []jose.JSONWebKey{}
	for _, k := range r.keys {
		if !k.Published.IsZero() {
			out = append(out, k.jwk())
		}
	}
	return out
}

// mint is a token to be signed.
type mint struct {
	issuer, subject, audience string
	issued                    time.Time
	lifetime                  time.Duration
	canary                    bool // not counted as usage of the key
}

// sign issues a token with the key of that kid, or with the signer when kid is
// empty.
func (r *keyRing) sign(kid string, m mint) (string, error) {
	r.mu.Lock()
	k := r.signer()
	if kid != "" {
		var err error
		if k, err = r.find(kid); err != nil {
			r.mu.Unlock()
			return "", err
		}
	}
	if k == nil {
		r.mu.Unlock()
		return "", prunella.Errorf(prunella.Conflict, "no key signs at present")
	}
	expiry := m.issued.Add(m.lifetime)
	if !m.canary {
		k.lastIssued = later(k.lastIssued, m.issued)
		k.lastExpiry = later(k.lastExpiry, expiry)
	}
	private, kid, alg := k.private, k.Kid, k.Alg
	r.mu.Unlock()

	t := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims{
		"iss": m.issuer, "sub": m.subject, "aud": m.audience, "jti": newID("tok"),
		"iat": m.issued.Unix(), "nbf": m.issued.Unix(), "exp": expiry.Unix(),
	})
	t.Header["kid"] = kid
	signed, err := t.SignedString(private)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b.UTC()
	}
	return a
}

// newID returns a random identifier with a prefix.
func newID(prefix string) string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + "_" + base64.RawURLEncoding.EncodeToString(b[:])
}
