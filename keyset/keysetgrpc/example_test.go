package keysetgrpc_test

import (
	"context"
	"fmt"
	"log/slog"

	"google.golang.org/grpc"

	"prunella/keyset"
	"prunella/keyset/keysetgrpc"
)

func Example() {
	set, err := keyset.New(context.Background(), keyset.Config{File: "keys.json", Audience: []string{"orders"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()
	server := grpc.NewServer(grpc.UnaryInterceptor(keysetgrpc.Unary(set)), grpc.StreamInterceptor(keysetgrpc.Stream(set)))
	defer server.Stop() // register services and serve; a handler reads keyset.FromContext
	fmt.Println(set.Ready())
	// Output:
	// keyset: no keys yet from keys.json
}
