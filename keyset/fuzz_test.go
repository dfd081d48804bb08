package keyset_test

import (
	"crypto"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
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
	set.Close() // it verifies on, and nothing runs beside the fuzzer
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
	set.Close() // it verifies on, and nothing runs beside the fuzzer
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

// FuzzHint sends hints that are signed, whatever they say, and event tokens
// that are not: no panic, and one of the documented answers.
func FuzzHint(f *testing.F) {
	set := fileSet(f, jwks(edSigner(f, "k")), withHints)
	set.Close() // nothing fetches beside the fuzzer
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
