package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"prunella/rotation/issuer"
)

// docs/keys.md names every key of the configurations, every code that a person
// may be told, and every rule of an audit.
func TestKeysDocsAreComplete(t *testing.T) {
	b, err := os.ReadFile("../../docs/keys.md")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, w := range regexp.MustCompile(`[a-z][a-z0-9_-]*`).FindAllString(string(b), -1) {
		words[w] = true
	}
	need := func(what, word string) {
		if !words[word] {
			t.Errorf("docs/keys.md does not name the %s %s", what, word)
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[keysConfig](), reflect.TypeFor[keysPolicy](), reflect.TypeFor[keysVerifier](), reflect.TypeFor[agentConfig](), reflect.TypeFor[issuer.Config]()} {
		for i := range typ.NumField() {
			if name := typ.Field(i).Tag.Get("yaml"); name != "-" {
				need("key", name)
			}
		}
	}
	for code := range gateWords {
		if code != "no-material" && code != "key-reused" && code != "too-many-keys" && code != "refuses-new" { // of publishing, which is nobody's order
			need("code", string(code))
		}
	}
	for _, file := range []string{"audit.go", "fetch.go", "set.go", "token.go", "verifier.go"} {
		src, err := os.ReadFile("../../rotation/audit/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`find\(\w+, "([a-z0-9-]+)"`).FindAllStringSubmatch(string(src), -1) {
			need("rule", strings.ToLower(m[1]))
		}
	}
}
