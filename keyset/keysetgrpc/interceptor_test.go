package keysetgrpc_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"prunella/keyset"
	"prunella/keyset/keysetgrpc"
)

// who is a health service that tells the caller's name to a test.
type who struct {
	*health.Server
	subject chan string
}

func (w who) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	claims, _ := keyset.FromContext(ctx)
	w.subject <- claims.Subject
	return w.Server.Check(ctx, r)
}

func (w who) Watch(r *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	claims, _ := keyset.FromContext(stream.Context())
	w.subject <- claims.Subject
	return nil
}

func TestInterceptors(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jwks.json")
	doc := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(file string) (healthpb.HealthClient, chan string) {
		set, err := keyset.New(t.Context(), keyset.Config{File: file, AnyAudience: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer(grpc.UnaryInterceptor(keysetgrpc.Unary(set)), grpc.StreamInterceptor(keysetgrpc.Stream(set)))
		service := who{health.NewServer(), make(chan string, 1)}
		healthpb.RegisterHealthServer(server, service)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go server.Serve(listener)
		conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			conn.Close()
			server.Stop()
			set.Close()
		})
		return healthpb.NewHealthClient(conn), service.subject
	}
	token := func(life time.Duration) context.Context {
		tok := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "ada", "exp": time.Now().Add(life).Unix()})
		tok.Header["kid"] = "k"
		text, err := tok.SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+text)
	}
	both := func(client healthpb.HealthClient, ctx context.Context) [2]codes.Code {
		_, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
		stream, err2 := client.Watch(ctx, &healthpb.HealthCheckRequest{})
		if err2 == nil {
			_, err2 = stream.Recv()
		}
		if err2 == io.EOF {
			err2 = nil
		}
		return [2]codes.Code{status.Code(err), status.Code(err2)}
	}

	client, subject := start(path)
	if _, err := client.Check(token(time.Hour), &healthpb.HealthCheckRequest{}); err != nil || <-subject != "ada" {
		t.Errorf("a good token: %v", err)
	}
	stream, err := client.Watch(token(time.Hour), &healthpb.HealthCheckRequest{})
	if err != nil || <-subject != "ada" {
		t.Errorf("a stream with a good token: %v", err)
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("a stream with a good token: %v", err)
	}
	for name, ctx := range map[string]context.Context{"none": t.Context(), "expired": token(-time.Hour)} {
		if got := both(client, ctx); got != [2]codes.Code{codes.Unauthenticated, codes.Unauthenticated} {
			t.Errorf("%s: %v", name, got)
		}
	}
	client, _ = start(path + ".missing")
	if got := both(client, token(time.Hour)); got != [2]codes.Code{codes.Unavailable, codes.Unavailable} {
		t.Errorf("without keys: %v", got)
	}
}
