package keyset_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

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
