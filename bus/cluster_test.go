package bus_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"prunella"
	"prunella/bus"
)

// natsServer runs a server of the user's own; port 0 chooses one.
func natsServer(t *testing.T, dir string, port int) (url string, used int, stop func()) {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true, MaxPayload: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	stop = func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
	t.Cleanup(stop)
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return srv.ClientURL(), srv.Addr().(*net.TCPAddr).Port, stop
}

func TestClusterThatRestarts(t *testing.T) {
	dir := t.TempDir()
	url, port, stop := natsServer(t, dir, 0)
	b := open(t, bus.Config{URL: url})
	for i := range 5 {
		publish(t, b, fmt.Sprint("m", i), 2)
	}
	c := consumer(t, b)
	got := drain(t, c, 3)
	if err := c.AckThrough(t.Context(), got[0].Seq); err != nil {
		t.Fatal(err)
	}
	stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := b.Publish(ctx, batch("lost", 1)); prunella.KindOf(err) != prunella.Unavailable {
		t.Errorf("with the cluster down: %v", err)
	}

	natsServer(t, dir, port)
	var rest []bus.Message
	for deadline := time.Now().Add(20 * time.Second); len(rest) < 2 && time.Now().Before(deadline); {
		m, err := c.Fetch(t.Context(), 10, 100*time.Millisecond)
		if err != nil && prunella.KindOf(err) != prunella.Unavailable {
			t.Fatal(err)
		}
		rest = append(rest, m...)
	}
	if first(rest) != "m3-0 m4-0" {
		t.Fatalf("after the restart: %q, want what was not fetched before", first(rest))
	}
	if err := c.AckThrough(t.Context(), rest[1].Seq); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "next", 1)
	if got := first(drain(t, c, 1)); got != "next-0" {
		t.Errorf("then comes %s", got)
	}
}

func TestClustersPayloadBoundSplitsBatches(t *testing.T) {
	url, _, _ := natsServer(t, t.TempDir(), 0)
	b := open(t, bus.Config{URL: url})
	var all []prunella.Signal
	for i := range 40 {
		s := batch(fmt.Sprint("m", i), 1)[0]
		var noise strings.Builder
		for j := range 2000 {
			fmt.Fprintf(&noise, "%x", (i*7919+j*104729)%65521)
		}
		s.Body = noise.String()
		all = append(all, s)
	}
	if err := b.Publish(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	c := consumer(t, b)
	n := 0
	for n < len(all) {
		for _, s := range drain(t, c, 1)[0].Signals {
			if s.ID != all[n].ID || s.Body != all[n].Body {
				t.Fatalf("signal %d is %s", n, s.ID)
			}
			n++
		}
	}
}

// Somebody else on the cluster writes to our subject.
func TestMessageThatIsNoBatch(t *testing.T) {
	url, _, _ := natsServer(t, t.TempDir(), 0)
	var log bytes.Buffer
	b := open(t, bus.Config{URL: url, Log: slog.New(slog.NewTextHandler(&log, nil))})
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"hello", "\x1f\x8b\x00broken", `{"not":"a list"}`} {
		if _, err := js.Publish(t.Context(), "prunella.signals", []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, b, "good", 1)
	c := consumer(t, b)
	got := drain(t, c, 1)
	if first(got) != "good-0" {
		t.Errorf("got %s", first(got))
	}
	if err := c.AckThrough(t.Context(), got[0].Seq); err != nil {
		t.Fatal(err)
	}
	if d, err := b.Depth(t.Context()); err != nil || d.Messages != 0 {
		t.Errorf("%d messages stay, %v", d.Messages, err)
	}
	if n := strings.Count(log.String(), "not a batch of signals"); n != 3 {
		t.Errorf("%d of 3 dropped messages are in the log:\n%s", n, log.String())
	}
}

func TestStreamOfAnotherKindIsLeftAlone(t *testing.T) {
	url, _, _ := natsServer(t, t.TempDir(), 0)
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "prunella-signals", Subjects: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.Open(t.Context(), bus.Config{URL: url}); prunella.KindOf(err) != prunella.Invalid || !strings.Contains(err.Error(), "prunella-signals") {
		t.Errorf("got %v", err)
	}
}
