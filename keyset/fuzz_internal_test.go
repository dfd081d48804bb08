package keyset

import (
	"encoding/json"
	"errors"
	"testing"
)

// FuzzJWKS reads key sets from outside. What is accepted is JSON without
// secrets, and each of its keys has a thumbprint and one algorithm.
func FuzzJWKS(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"r","use":"sig"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"e","alg":"ES256","key_ops":["verify"],` +
		`"x":"04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY","y":"UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw"},{"kty":"oct","k":""}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := readDocument(text, everyAlgorithm)
		if err != nil {
			return
		}
		var form map[string]json.RawMessage // encoding/json finds struct fields whatever their case
		var keys []map[string]any
		if err := errors.Join(json.Unmarshal(text, &form), json.Unmarshal(form["keys"], &keys)); err != nil {
			t.Fatalf("used what is not a key set: %v", err)
		}
		for _, k := range keys {
			if k["d"] != nil || k["k"] != nil {
				t.Errorf("used a set with a secret: %q", text)
			}
		}
		for kid, k := range doc.keys {
			if kid == "" || kid != k.kid || len(k.thumbprint) != 43 || algorithms[k.alg].kty == "" || k.public == nil {
				t.Errorf("key %q: %+v", kid, k)
			}
		}
	})
}
