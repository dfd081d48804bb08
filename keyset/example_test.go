package keyset_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"prunella/keyset"
)

// A service that accepts one issuer's tokens for itself.
func Example() {
	ctx := context.Background()
	current, next := rsaSigner(0, "2026-10"), rsaSigner(1, "2026-11")
	issuer := newIssuer(current) // stands for https://id.example.test

	set, err := keyset.New(ctx, keyset.Config{
		Issuer: "https://id.example.test", Audience: []string{"orders"},
		Client: &http.Client{Transport: issuer}, Log: quiet,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()

	claims, err := set.Verify(ctx, current.fresh())
	fmt.Println(claims.Subject, claims.KeyID, err)

	issuer.publish(next) // rotated, without a word
	claims, err = set.Verify(ctx, next.fresh())
	fmt.Println(claims.Subject, claims.KeyID, err)

	_, err = set.Verify(ctx, current.fresh())
	fmt.Println(errors.Is(err, keyset.UnknownKey), err)
	// Output:
	// ada 2026-10 <nil>
	// ada 2026-11 <nil>
	// true token refused: unknown-key: no key with this kid (kid "2026-10")
}

// A key set that something else keeps on disk; it is read again when it changes.
func ExampleNew_file() {
	s := rsaSigner(0, "2026-10")
	path := filepath.Join(os.TempDir(), "keyset-example.json")
	defer os.Remove(path)
	if err := os.WriteFile(path, jwks(s), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	set, err := keyset.New(context.Background(), keyset.Config{File: path, Issuer: issuerURL, Audience: []string{"orders"}, Log: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()
	claims, err := set.Verify(context.Background(), s.fresh())
	fmt.Println(claims.Subject, err, set.Ready())
	// Output:
	// ada <nil> <nil>
}

// People and partners come from two issuers. A token is only ever verified with the
// keys of the issuer that it names.
func ExampleNew_severalIssuers() {
	people, partners := rsaSigner(0, "p"), rsaSigner(1, "q")
	id, hub := newIssuer(people), newIssuer(partners)
	hub.url = "https://hub.example.test"
	set, err := keyset.New(context.Background(), keyset.Config{
		Issuer: "https://id.example.test", Audience: []string{"orders"},
		Others: []keyset.Source{{Issuer: "https://hub.example.test", Audience: []string{"shop"}, Algorithms: []string{"RS256"}}},
		Client: &http.Client{Transport: byHost{"id.example.test": id, "hub.example.test": hub}}, Log: quiet,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()
	order := map[string]any{"iss": "https://hub.example.test", "aud": "shop", "sub": "acme", "exp": time.Now().Add(time.Minute).Unix()}
	for _, token := range []string{people.fresh(), partners.token(order), people.token(order)} {
		claims, err := set.Verify(context.Background(), token)
		fmt.Println(claims.Issuer, claims.Subject, err)
	}
	// Output:
	// https://id.example.test ada <nil>
	// https://hub.example.test acme <nil>
	//   token refused: unknown-key: no key with this kid (kid "p")
}

// A service that has its own way with golang-jwt changes one argument.
func ExampleSet_Keyfunc() {
	s := rsaSigner(0, "2026-10")
	set, err := keyset.New(context.Background(), keyset.Config{
		Issuer: issuerURL, Audience: []string{"orders"}, Client: &http.Client{Transport: newIssuer(s)}, Log: quiet,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()
	for _, token := range []string{s.fresh(), s.token(with("iss", "https://evil.example"))} {
		parsed, err := jwt.Parse(token, set.Keyfunc())
		fmt.Println(parsed.Valid, errors.Is(err, keyset.Issuer))
	}
	// Output:
	// true false
	// false true
}

// What would become of a key set in a verifier, before it is published.
func ExampleInspect() {
	weak := rsaSigner(1, "short").jwk()
	weak["n"] = encode(rsaKeys()[1].N.Bytes()[:128])
	doc, _ := json.Marshal(map[string]any{"keys": []any{rsaSigner(0, "2026-10").jwk(), weak}})
	keys, skipped, err := keyset.Inspect(doc)
	fmt.Println(len(keys), keys[0].ID, keys[0].Algorithm)
	fmt.Println(skipped[0].ID+":", skipped[0].Why)
	fmt.Println(err)

	_, _, err = keyset.Inspect([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`))
	fmt.Println(err != nil)
	// Output:
	// 1 2026-10 RS256
	// short: its modulus has 1024 bits, fewer than 2048
	// <nil>
	// true
}

func ExampleSet_Middleware() {
	s := rsaSigner(0, "2026-10")
	set, err := keyset.New(context.Background(), keyset.Config{
		Issuer: issuerURL, Audience: []string{"orders"}, Client: &http.Client{Transport: newIssuer(s)}, Log: quiet,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()
	orders := set.Middleware()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := keyset.FromContext(r.Context())
		fmt.Fprint(w, "orders of ", claims.Subject)
	}))

	for _, token := range []string{s.fresh(), s.token(with("aud", "payments"))} {
		r := httptest.NewRequest(http.MethodGet, "/orders", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		orders.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 orders of ada
	// 401 the bearer token is refused: audience
}
