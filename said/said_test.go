package said_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"prunella/said"
)

// What one library calls a failure in one word, another says in a sentence;
// what nobody says of tokens, and what is only guessed, is nothing.
func TestIn(t *testing.T) {
	for text, want := range map[string]string{
		"NoMatchingKeyError": "unknown-kid",
		"no key found":       "",
		"token refused, no key found, the set was not refreshed": "unknown-kid",
		"bearer token expired": "expired",
		"trial expired":        "",
		"token not accepted; most likely it is expired":               "",
		"token is not expired, the signature is wrong":                "bad-signature",
		"X-Hub-Signature does not match":                              "",
		"could not verify the token":                                  "bad-signature",
		"could not verify the token: exp is in the past":              "expired",
		"could not verify the token: connection refused":              "connection-refused",
		"aud of the token is billing, expected orders":                "audience",
		"certificate has expired, issuer Example CA":                  "",
		"no recent deploy; clocks agree":                              "",
		"key q-7 pushed to 3 of 8 services only":                      "delivery-failed",
		"the key set of https://sso.example.com/jwks answered 503":    "fetch-failed",
		strings.Repeat("x ", 4000) + "jwt expired":                    "",
		"\xff\xfe jwt expired":                                        "expired",
		"Jwks doesn't have key to match kid or alg from Jwt; outcome": "unknown-kid",
	} {
		classes, denied := said.In(text)
		got := ""
		if len(classes) > 0 {
			got = string(classes[0])
		}
		if got != want {
			t.Errorf("%.60q says %v, denies %v, want %q", text, classes, denied, want)
		}
	}
	if _, denied := said.In("no recent deploy; clocks agree"); !slices.Equal(denied, []said.Class{said.Clock, said.Deploy}) {
		t.Errorf("denied: %v", denied)
	}
}

func BenchmarkIn(b *testing.B) {
	corpus, err := os.ReadFile("../diagnose/testdata/corpus.tsv")
	if err != nil {
		b.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(corpus)), "\n")
	for i := 0; b.Loop(); i++ {
		said.In(lines[i%len(lines)])
	}
}
