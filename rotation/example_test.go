package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"prunella/rotation"
	"prunella/rotation/signer"
	"prunella/rotation/sqlstore"
)

// An issuer that signs with a rotation, and is refused a promotion that its one
// verifier is not ready for.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "issuer-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := sqlstore.Open(ctx, filepath.Join(dir, "keys.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	r, err := rotation.New(ctx, rotation.Config{
		Issuer: "https://id.example.com", Algorithm: "ES256", Store: store, Signer: &signer.Memory{}, Log: quiet,
		Verifiers: []rotation.Verifier{{Name: "orders", Class: rotation.Answering, Secrets: []string{secret1}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := r.RunOnce(ctx, time.Now()); err != nil { // a service runs r.Run(ctx)
		fmt.Println(err)
		return
	}
	http.Handle("/", r.Handler(rotation.BearerTokens(map[string]string{"s3cret": "maya"})))

	token, err := r.Token(ctx, "at+jwt", map[string]any{"sub": "ada", "aud": "orders"})
	fmt.Println(len(token) > 0, err)

	maya := rotation.Order{By: "maya", Note: "quarterly"}
	if _, err := r.Publish(ctx, maya); err != nil {
		fmt.Println(err)
	}
	reason, err := r.Promote(ctx, "", maya)
	fmt.Println(errors.Is(err, rotation.Refused), reason.Names(), reason.Blockers[1].Code)
	// Output:
	// true <nil>
	// true [orders] too-few
}

// Where a key is in its life decides what may be done with it.
func ExampleTransition() {
	fmt.Println(rotation.Transition(rotation.Proven, rotation.Active, false))
	fmt.Println(rotation.Transition(rotation.Next, rotation.Active, false))
	// Output:
	// <nil>
	// rotation: a key that is next cannot become active
}
