package keysetgrpc_test

import (
	"context"
	"log"

	"google.golang.org/grpc"

	"prunella/keyset"
	"prunella/keyset/keysetgrpc"
)

func Example() {
	set, err := keyset.New(context.Background(), keyset.Config{Issuer: "https://id.example.com", Audience: []string{"orders"}})
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	server := grpc.NewServer(grpc.UnaryInterceptor(keysetgrpc.Unary(set)), grpc.StreamInterceptor(keysetgrpc.Stream(set)))
	defer server.Stop() // register services and serve; a handler reads keyset.FromContext
}
