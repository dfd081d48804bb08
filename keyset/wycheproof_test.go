package keyset_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"prunella/keyset"
)

// vectors are C2SP Wycheproof's JOSE tests, which lie beside the project when
// they are there at all.
const vectors = "../../shared/data/jose"

// otherwise are the vectors whose signature is good and which this verifier
// refuses by policy: the token uses another algorithm than the one its key
// states (346, 350), or the key states an algorithm that does not exist (347, 351).
var otherwise = map[string]map[int]bool{"json_web_signature": {346: true, 347: true, 350: true, 351: true}}

func TestWycheproof(t *testing.T) {
	for _, name := range []string{"json_web_signature", "json_web_key"} {
		t.Run(name, func(t *testing.T) {
			in, err := os.Open(filepath.Join(vectors, name+".json.gz"))
			if errors.Is(err, os.ErrNotExist) {
				t.Skipf("THE PUBLIC JOSE VECTORS ARE NOT HERE: put Wycheproof's %s.json.gz into %s", name, vectors)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			plain, err := gzip.NewReader(in)
			if err != nil {
				t.Fatal(err)
			}
			var all struct {
				NumberOfTests int
				TestGroups    []struct {
					Comment         string
					Public, Private json.RawMessage
					Tests           []struct {
						TcID         int
						Comment, JWS string
						Result       string
					}
				}
			}
			if err := json.NewDecoder(plain).Decode(&all); err != nil {
				t.Fatal(err)
			}
			right, symmetric, policy := 0, 0, 0
			for _, g := range all.TestGroups {
				doc := g.Public
				if doc == nil {
					doc = g.Private // symmetric keys have no public half
				}
				var form struct {
					Keys []json.RawMessage
					Kty  string
				}
				if err := json.Unmarshal(doc, &form); err != nil {
					t.Fatal(err)
				}
				if form.Keys == nil {
					doc = json.RawMessage(`{"keys":[` + string(doc) + `]}`)
				}
				path := filepath.Join(t.TempDir(), "jwks.json")
				if err := os.WriteFile(path, doc, 0o600); err != nil {
					t.Fatal(err)
				}
				set, err := keyset.New(t.Context(), keyset.Config{File: path, Log: quiet})
				if err != nil {
					t.Fatal(err)
				}
				for _, one := range g.Tests {
					// These payloads are no claims. That is judged after the
					// signature and after nothing else, so it tells that the
					// signature was found good.
					_, err := set.Verify(t.Context(), one.JWS)
					good := err == nil || errors.Is(err, keyset.Payload) || errors.Is(err, keyset.Expired)
					switch {
					case good == (one.Result == "valid"):
						right++
					case g.Public == nil && !good:
						symmetric++ // HMAC: this verifier has none
					case otherwise[name][one.TcID] && !good:
						policy++
					default:
						t.Errorf("%s: test %d %q: %v, but it is %s", g.Comment, one.TcID, one.Comment, err, one.Result)
					}
				}
				set.Close()
			}
			if right+symmetric+policy != all.NumberOfTests {
				t.Errorf("judged %d of %d", right+symmetric+policy, all.NumberOfTests)
			}
			t.Logf("%d of %d as published; refused by design: %d valid HMAC tokens, %d whose key is for another algorithm",
				right, all.NumberOfTests, symmetric, policy)
		})
	}
}
