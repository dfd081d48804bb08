package bus_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"prunella"
	"prunella/bus"
)

func TestMain(m *testing.M) {
	if childMain() {
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, cfg bus.Config) *bus.Bus {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b, err := bus.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func batch(id string, n int) []prunella.Signal {
	var out []prunella.Signal
	for i := range n {
		out = append(out, prunella.Signal{ID: prunella.SignalID(fmt.Sprintf("%s-%d", id, i)), Kind: prunella.KindLog,
			Time: time.Unix(1_700_000_000, int64(i)).UTC(), Body: "invalid signature", Attributes: map[string]string{"kid": "k1"}})
	}
	return out
}

// drain fetches until want messages have come or the deadline passes.
func drain(t *testing.T, c *bus.Consumer, want int) []bus.Message {
	t.Helper()
	return drainPast(t, c, want, func(error) bool { return false })
}

// drainPast goes on after the errors that it may pass over.
func drainPast(t *testing.T, c *bus.Consumer, want int, pass func(error) bool) []bus.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []bus.Message
	for len(out) < want {
		m, err := c.Fetch(ctx, want-len(out), 200*time.Millisecond)
		if err != nil && !pass(err) {
			t.Fatal(err)
		}
		if ctx.Err() != nil {
			t.Fatalf("got %d of %d messages", len(out), want)
		}
		out = append(out, m...)
	}
	return out
}

func consumer(t *testing.T, b *bus.Bus) *bus.Consumer {
	t.Helper()
	c, err := b.Consumer(t.Context(), "pipeline")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func publish(t *testing.T, b *bus.Bus, id string, n int) {
	t.Helper()
	if err := b.Publish(t.Context(), batch(id, n)); err != nil {
		t.Fatal(err)
	}
}

func first(m []bus.Message) string {
	var ids []string
	for _, m := range m {
		ids = append(ids, string(m.Signals[0].ID))
	}
	return strings.Join(ids, " ")
}

func TestUnackedComeAgainInOrderAfterRestart(t *testing.T) {
	dir := t.TempDir()
	b := open(t, bus.Config{Dir: dir})
	for i := range 6 {
		publish(t, b, fmt.Sprint("m", i), 3)
	}
	c := consumer(t, b)
	epoch := c.Epoch()
	got := drain(t, c, 4)
	if first(got) != "m0-0 m1-0 m2-0 m3-0" {
		t.Fatalf("order: %s", first(got))
	}
	if err := c.AckThrough(t.Context(), got[1].Seq); err != nil {
		t.Fatal(err)
	}
	b.Close()

	b = open(t, bus.Config{Dir: dir})
	publish(t, b, "new", 1)
	c = consumer(t, b)
	if c.Epoch() != epoch {
		t.Errorf("epoch changed from %s to %s", epoch, c.Epoch())
	}
	again := drain(t, c, 5)
	if first(again) != "m2-0 m3-0 m4-0 m5-0 new-0" {
		t.Errorf("after restart: %s", first(again))
	}
	if again[0].Seq != got[2].Seq {
		t.Errorf("sequence changed from %d to %d", got[2].Seq, again[0].Seq)
	}
	if err := c.AckThrough(t.Context(), again[4].Seq); err != nil {
		t.Fatal(err)
	}
	if d, err := b.Depth(t.Context()); err != nil || d.Messages != 0 || !d.Oldest.IsZero() {
		t.Errorf("depth %+v, %v; want nothing left", d, err)
	}
}

func TestFullRefusesAndLosesNothing(t *testing.T) {
	b := open(t, bus.Config{Dir: t.TempDir(), MaxBytes: 256 << 10})
	var err error
	stored := 0
	for err == nil && stored < 10_000 {
		if err = b.Publish(t.Context(), batch(fmt.Sprint("m", stored), 1)); err == nil {
			stored++
		}
	}
	if prunella.KindOf(err) != prunella.Unavailable || !strings.Contains(err.Error(), "full") {
		t.Fatalf("after %d messages: %v", stored, err)
	}
	c := consumer(t, b)
	got := drain(t, c, stored)
	if string(got[0].Signals[0].ID) != "m0-0" {
		t.Errorf("the oldest is %s", got[0].Signals[0].ID)
	}
	if err := c.AckThrough(t.Context(), got[stored/2].Seq); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), batch("later", 1)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestLargeBatchIsSplitInOrder(t *testing.T) {
	b := open(t, bus.Config{Dir: t.TempDir()})
	var all []prunella.Signal
	for i := range 45 {
		s := batch(fmt.Sprint("big", i), 1)[0]
		s.Body = strings.Repeat("x", 1<<20)
		all = append(all, s)
	}
	if err := b.Publish(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	c := consumer(t, b)
	var got []prunella.Signal
	messages := 0
	for len(got) < len(all) {
		m := drain(t, c, 1)[0]
		messages++
		got = append(got, m.Signals...)
	}
	for i := range all {
		if got[i].ID != all[i].ID {
			t.Fatalf("signal %d is %s, want %s", i, got[i].ID, all[i].ID)
		}
	}
	if messages < 2 {
		t.Errorf("45 MiB came as %d message", messages)
	}
}

func TestSignalLargerThanAMessage(t *testing.T) {
	b := open(t, bus.Config{Dir: t.TempDir()})
	s := batch("huge", 1)
	s[0].Body = strings.Repeat("x", 40<<20)
	err := b.Publish(t.Context(), s)
	if prunella.KindOf(err) != prunella.TooLarge {
		t.Fatalf("got %v", err)
	}
	if err := b.Publish(t.Context(), batch("next", 1)); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestFetchReturnsAtTheFirstMessageAndWhenNothingComes(t *testing.T) {
	b := open(t, bus.Config{Dir: t.TempDir()})
	c := consumer(t, b)
	if m, err := c.Fetch(t.Context(), 10, 20*time.Millisecond); err != nil || len(m) != 0 {
		t.Fatalf("empty stream: %v, %v", m, err)
	}
	got := make(chan int)
	go func() {
		m, err := c.Fetch(t.Context(), 10, time.Minute)
		if err != nil {
			t.Error(err)
		}
		got <- len(m)
	}()
	publish(t, b, "one", 2)
	select {
	case n := <-got:
		if n != 1 {
			t.Errorf("got %d messages", n)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Fetch waits although there is a message")
	}
}

func TestCancelledFetchLosesNothing(t *testing.T) {
	b := open(t, bus.Config{Dir: t.TempDir()})
	c := consumer(t, b)
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan []bus.Message)
		go func() {
			m, _ := c.Fetch(ctx, 1, time.Minute)
			done <- m
		}()
		go cancel()
		publish(t, b, fmt.Sprint("m", i), 1)
		m := <-done
		if len(m) == 0 {
			m = drain(t, c, 1)
		}
		if first(m) != fmt.Sprintf("m%d-0", i) {
			t.Fatalf("round %d: got %s", i, first(m))
		}
	}
}

func TestTakeoverByASecondConsumer(t *testing.T) {
	b := open(t, bus.Config{Dir: t.TempDir()})
	publish(t, b, "a", 1)
	publish(t, b, "b", 1)
	drain(t, consumer(t, b), 2)
	if got := first(drain(t, consumer(t, b), 2)); got != "a-0 b-0" {
		t.Errorf("the second consumer sees %s", got)
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	_, err := bus.Open(t.Context(), bus.Config{Dir: "/dev/null/bus"})
	if prunella.KindOf(err) != prunella.Invalid || !strings.Contains(err.Error(), "/dev/null/bus") {
		t.Errorf("got %v", err)
	}
}

func TestClusterThatDoesNotAnswer(t *testing.T) {
	_, err := bus.Open(t.Context(), bus.Config{URL: "nats://127.0.0.1:1"})
	if prunella.KindOf(err) != prunella.Unavailable || !strings.Contains(err.Error(), "bus.url") {
		t.Errorf("got %v", err)
	}
}

// An acknowledgement that was cut off half way is finished by the next one: a
// consumer that could not would soon hold all that it may, and read no more.
func TestAcknowledgementThatWasCutOffIsFinished(t *testing.T) {
	b := open(t, bus.Config{Dir: t.TempDir()})
	c := consumer(t, b)
	for i := range 3 {
		publish(t, b, fmt.Sprint(i), 1)
	}
	last := drain(t, c, 3)[2].Seq
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.AckThrough(over, last); err == nil {
		t.Fatal("acknowledged without an answer of the server")
	}
	if err := c.AckThrough(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if err := c.AckThrough(t.Context(), last); err != nil {
		t.Fatal("nothing is left to acknowledge: ", err)
	}
}
