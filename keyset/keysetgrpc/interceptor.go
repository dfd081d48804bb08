// Package keysetgrpc lets gRPC calls through whose bearer token a keyset.Set
// verifies. It is apart from keyset so that who does not speak gRPC does not
// link it. The handler reads the claims with keyset.FromContext.
package keysetgrpc

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"prunella/keyset"
)

// Unary refuses calls without a good token in their "authorization" metadata:
// Unauthenticated, with the check that refused it, or Unavailable when the keys
// are, which is not the client's fault.
func Unary(set *keyset.Set) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, err := verified(ctx, set)
		if err != nil {
			return nil, err
		}
		return next(ctx, req)
	}
}

// Stream does the same for streams, when they open.
func Stream(set *keyset.Set) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, err := verified(stream.Context(), set)
		if err != nil {
			return err
		}
		return next(srv, &withClaims{stream, ctx})
	}
}

type withClaims struct {
	grpc.ServerStream
	ctx context.Context
}

func (w *withClaims) Context() context.Context { return w.ctx }

func verified(ctx context.Context, set *keyset.Set) (context.Context, error) {
	token, ok := keyset.Bearer(metadata.ValueFromIncomingContext(ctx, "authorization"))
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "a bearer token is missing")
	}
	claims, err := set.Verify(ctx, token)
	var why *keyset.Error
	switch {
	case err == nil:
		return keyset.NewContext(ctx, claims), nil
	case errors.Is(err, keyset.Unavailable):
		return nil, status.Error(codes.Unavailable, "tokens cannot be verified now")
	case errors.As(err, &why):
		return nil, status.Error(codes.Unauthenticated, "the bearer token is refused: "+string(why.Check))
	}
	return nil, status.FromContextError(err).Err()
}
