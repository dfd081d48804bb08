package keyset_test

import (
	"crypto"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prunella/keyset"
)

// FuzzToken holds Verify against tokens from outside: it never panics, refuses
// with a typed error, and lets nothing through but what the signer signed.
func FuzzToken(f *testing.F) {
	s := edSigner(f, "k")
	set := fileSet(f, jwks(s))
	claims := usual()
	claims["exp"] = time.Now().Add(1000 * time.Hour).Unix()
	good := s.token(claims)
	f.Add(good)
	f.Add(s.token(claims, "crit", "exp"))
	f.Add(forge("k"))
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		_, err := set.Verify(t.Context(), token)
		var typed *keyset.Error
		switch {
		case err == nil && token != good && token != s.token(claims, "crit", "exp"):
			t.Errorf("accepted %q", token)
		case err != nil && !errors.As(err, &typed):
			t.Errorf("an error without a check: %v", err)
		}
	})
}

// FuzzTokenParts gets past the encoding: header and payload are free text.
func FuzzTokenParts(f *testing.F) {
	s := edSigner(f, "k")
	set := fileSet(f, jwks(s))
	f.Add(`{"alg":"EdDSA","kid":"k"}`, `{"iss":"https://id.example.test","exp":1e99}`)
	f.Add(`{"alg":"EdDSA","kid":"\ud800","crit":[]}`, `{"aud":["a",{}]}`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		signed := encode([]byte(header)) + "." + encode([]byte(payload))
		sig, err := s.private.Sign(nil, []byte(signed), crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		_, err = set.Verify(t.Context(), signed+"."+encode(sig))
		if err == nil && (!json.Valid([]byte(header)) || !json.Valid([]byte(payload))) {
			t.Errorf("accepted what is not JSON: %q %q", header, payload)
		}
	})
}

// FuzzJWKS reads key sets from outside. What is accepted is JSON without
// secrets, and each of its keys has a thumbprint.
func FuzzJWKS(f *testing.F) {
	f.Add(jwks(edSigner(f, "k"), ecSigner(f, "e", "ES256"), rsaSigner(0, "r")))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQ"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":""}]}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, doc []byte) {
		path := filepath.Join(dir, "jwks.json")
		if err := os.WriteFile(path, doc, 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := keyset.New(t.Context(), keyset.Config{File: path, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		if set.Ready() == nil && !json.Valid(doc) {
			t.Errorf("used what is not JSON: %q", doc)
		}
		for _, k := range set.Keys() {
			if len(k.Thumbprint) != 43 || k.ID == "" {
				t.Errorf("key %+v", k)
			}
		}
	})
}

// FuzzHint sends hints that are signed, whatever they say, and event tokens
// that are not: no panic, and one of the documented answers.
func FuzzHint(f *testing.F) {
	set := fileSet(f, jwks(edSigner(f, "k")), withHints)
	f.Add("m1", `{"type":"key.added","data":{"issuer":"https://id.example.test"}}`)
	f.Add("m2", `{"data":{"data":[]}}`)
	f.Fuzz(func(t *testing.T, id, body string) {
		if strings.ContainsAny(id, "\r\n") || id == "" {
			t.Skip()
		}
		event := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		event.Header.Set("Content-Type", "application/secevent+jwt")
		for _, code := range []int{push(t, set, id, time.Now(), secret, body), answerTo(set, event)} {
			switch code {
			case http.StatusAccepted, http.StatusBadRequest, http.StatusUnauthorized, http.StatusConflict, http.StatusRequestEntityTooLarge:
			default:
				t.Errorf("answered %d", code)
			}
		}
	})
}
