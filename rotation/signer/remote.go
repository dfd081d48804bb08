package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"prunella/rotation"
)

const (
	maxMessage = 64 << 10 // bytes of a request or an answer
	remoteTime = 5 * time.Second
	createTime = time.Minute // an RSA key takes a while to find, on a busy machine a long one
)

// Remote is a signer in another process (see Serve). It checks every signature
// that it gets, so that a fault over there is an error here and not an outage.
type Remote struct {
	base, token string
	client      *http.Client

	mu     sync.Mutex
	public map[rotation.KeyID]crypto.PublicKey
}

var _ rotation.Signer = (*Remote)(nil)

// NewRemote returns a signer at a base URL. token is sent as a bearer token.
// client is used for its transport; nil is the default one.
func NewRemote(base, token string, client *http.Client) (*Remote, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, invalid("the remote signer's URL %.100q is not one of http or https", base)
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("a signer is not redirected")
	}}
	if client != nil {
		c.Transport = client.Transport
	}
	return &Remote{base: strings.TrimSuffix(base, "/"), token: token, client: c, public: map[rotation.KeyID]crypto.PublicKey{}}, nil
}

// message is the body of every request and answer; bytes are base64.
type message struct {
	Alg       rotation.Algorithm `json:"alg,omitempty"`
	Input     []byte             `json:"input,omitempty"`
	Public    []byte             `json:"public,omitempty"` // PKIX
	Signature []byte             `json:"signature,omitempty"`
	Error     string             `json:"error,omitempty"`
	Kind      rotation.Kind      `json:"kind,omitempty"`
}

func (r *Remote) ask(ctx context.Context, method string, id rotation.KeyID, path string, m message) (message, error) {
	if err := checkID(id); err != nil {
		return m, err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	limit := remoteTime
	if method == http.MethodPost && path == "" {
		limit = createTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.base+"/"+string(id)+path, bytes.NewReader(body))
	if err != nil {
		return m, err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return m, away("the remote signer does not answer", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
	if err != nil {
		return m, away("the remote signer's answer broke off", err)
	}
	var answer message
	if err := json.Unmarshal(b, &answer); err != nil || answer.Error == "" && resp.StatusCode != http.StatusOK {
		return m, away("the remote signer answered "+resp.Status, nil)
	}
	if answer.Error != "" {
		return m, &rotation.Error{Kind: answer.Kind, Detail: "signer: remote: " + answer.Error}
	}
	return answer, nil
}

func away(detail string, err error) error {
	return &rotation.Error{Kind: rotation.Unavailable, Detail: "signer: " + detail, Cause: err}
}

// Create implements rotation.Signer.
func (r *Remote) Create(ctx context.Context, id rotation.KeyID, alg rotation.Algorithm) (crypto.PublicKey, error) {
	answer, err := r.ask(ctx, http.MethodPost, id, "", message{Alg: alg})
	if err != nil {
		return nil, err
	}
	pub, err := x509.ParsePKIXPublicKey(answer.Public)
	if err != nil {
		return nil, away("the remote signer's public key is not readable", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.public[id] = pub
	return pub, nil
}

// Sign implements rotation.Signer.
func (r *Remote) Sign(ctx context.Context, id rotation.KeyID, alg rotation.Algorithm, input []byte) ([]byte, error) {
	answer, err := r.ask(ctx, http.MethodPost, id, "/sign", message{Alg: alg, Input: input})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	pub := r.public[id]
	r.mu.Unlock()
	if pub == nil { // made before this process began; the key is there, so this returns it
		if pub, err = r.Create(ctx, id, alg); err != nil {
			return nil, err
		}
	}
	if _, err := rotation.NewJWK(id, alg, pub); err != nil {
		return nil, err
	}
	if !verify(pub, alg, input, answer.Signature) {
		return nil, away(fmt.Sprintf("the remote signer's signature is not the key %s's", id), nil)
	}
	return answer.Signature, nil
}

// Destroy implements rotation.Signer.
func (r *Remote) Destroy(ctx context.Context, id rotation.KeyID) error {
	_, err := r.ask(ctx, http.MethodDelete, id, "", message{})
	if err == nil {
		r.mu.Lock()
		delete(r.public, id)
		r.mu.Unlock()
	}
	return err
}

// Serve lets Remotes that know the token use a signer. It speaks
//
//	POST   /{kid}       {"alg":"ES256"}                 -> {"public": PKIX}
//	POST   /{kid}/sign  {"alg":"ES256","input":"…"}     -> {"signature":"…"}
//	DELETE /{kid}
//
// An error is {"error":"…","kind":"…"} with status 4xx or 5xx.
func Serve(s rotation.Signer, token string) http.Handler {
	handle := func(do func(ctx context.Context, id rotation.KeyID, m message) (message, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var m message
			err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessage)).Decode(&m)
			var answer message
			switch {
			case token == "" || subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1:
				err = &rotation.Error{Kind: rotation.Unauthorized, Detail: "signer: the token is wrong"}
			case err != nil:
				err = invalid("the request is no JSON of bounded size")
			default:
				answer, err = do(r.Context(), rotation.KeyID(r.PathValue("kid")), m)
			}
			status := http.StatusOK
			if err != nil {
				answer, status = refusal(err)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(answer) // the caller is gone, or has it
		}
	}
	mux := http.NewServeMux()
	mux.Handle("POST /{kid}", handle(func(ctx context.Context, id rotation.KeyID, m message) (message, error) {
		pub, err := s.Create(ctx, id, m.Alg)
		if err != nil {
			return m, err
		}
		der, err := x509.MarshalPKIXPublicKey(pub)
		return message{Public: der}, err
	}))
	mux.Handle("POST /{kid}/sign", handle(func(ctx context.Context, id rotation.KeyID, m message) (message, error) {
		sig, err := s.Sign(ctx, id, m.Alg, m.Input)
		return message{Signature: sig}, err
	}))
	mux.Handle("DELETE /{kid}", handle(func(ctx context.Context, id rotation.KeyID, _ message) (message, error) {
		return message{}, s.Destroy(ctx, id)
	}))
	return mux
}

func refusal(err error) (message, int) {
	var e *rotation.Error
	if !errors.As(err, &e) {
		return message{Error: "the signer failed", Kind: rotation.Unavailable}, http.StatusInternalServerError
	}
	m := message{Error: e.Detail, Kind: e.Kind}
	switch e.Kind {
	case rotation.Unauthorized:
		return m, http.StatusUnauthorized
	case rotation.NotFound:
		return m, http.StatusNotFound
	case rotation.Invalid:
		return m, http.StatusBadRequest
	}
	return m, http.StatusServiceUnavailable
}
