package bus

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"prunella"
)

const (
	// MaxUnacked bounds the messages that a consumer may hold without
	// acknowledging them; Fetch returns none beyond.
	MaxUnacked = 5000

	fetchBytes  = 16 << 20 // a Fetch stops after a message that takes it past this
	fetchAtOnce = 64
)

// Message is one stored batch.
type Message struct {
	Seq     uint64 // grows by one with each message of the stream
	Signals []prunella.Signal
}

// Consumer reads the stream in order. The stream has one consumer at a time:
// opening another one takes over from it. It is safe for concurrent use, but
// order is only kept for one caller.
type Consumer struct {
	bus  *Bus
	name string
	lost atomic.Bool // something may not have reached us: ask the server again

	mu      sync.Mutex
	pull    jetstream.Consumer
	last    uint64     // highest sequence returned
	fresh   bool       // nothing was read since the server was asked again, a gap is real
	unacked []delivery // in order of sequence
}

type delivery struct {
	seq uint64
	msg jetstream.Msg
}

// Consumer opens the reader of the stream. It begins with the oldest message
// that is not acknowledged.
func (b *Bus) Consumer(ctx context.Context, name string) (*Consumer, error) {
	c := &Consumer{bus: b, name: name}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ask(ctx); err != nil {
		return nil, err
	}
	b.consumer.Store(c)
	return c, nil
}

// Epoch tells one stream from another: sequences of different epochs cannot be
// compared. It changes when the bus's files were removed.
func (c *Consumer) Epoch() string {
	return c.bus.stream.CachedInfo().Created.UTC().Format(time.RFC3339Nano)
}

// ask makes the server's side of the consumer anew, so that it delivers
// everything that is not acknowledged from the first. The stream itself keeps
// what is acknowledged (it removes it), so nothing depends on the old one.
func (c *Consumer) ask(ctx context.Context) error {
	if err := c.bus.stream.DeleteConsumer(ctx, c.name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return unavailable("open consumer", err)
	}
	pull, err := c.bus.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: c.name, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait: 10 * time.Minute, MaxDeliver: -1, MaxAckPending: MaxUnacked, MemoryStorage: true,
	})
	if err != nil {
		return unavailable("open consumer", err)
	}
	c.pull, c.fresh = pull, true
	c.lost.Store(false)
	return nil
}

// Fetch returns the next messages, at most max, in order. It returns as soon as
// there is one, and none and no error when wait has passed. After an error, or
// a restart of a cluster, the next Fetch goes on where this one stopped.
func (c *Consumer) Fetch(ctx context.Context, max int, wait time.Duration) ([]Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost.Load() {
		if err := c.ask(ctx); err != nil {
			return nil, err
		}
	}
	out, err := c.ready(nil, max)
	if len(out) > 0 || err != nil {
		return out, err
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	batch, err := c.pull.Fetch(1, jetstream.FetchContext(waiting))
	if err != nil && waiting.Err() == nil {
		c.lost.Store(true)
		return nil, unavailable("fetch", err)
	}
	if err == nil {
		if out, _, err = c.take(out, batch); err != nil {
			return out, err
		}
	}
	if ctx.Err() != nil {
		c.lost.Store(true) // a message may have been on its way
		return out, nil
	}
	if len(out) == 0 {
		return nil, nil
	}
	return c.ready(out, max)
}

// ready appends what the server has at hand.
func (c *Consumer) ready(out []Message, max int) ([]Message, error) {
	size := 0
	for len(out) < max && size < fetchBytes && !c.lost.Load() {
		want := min(max-len(out), fetchAtOnce)
		if size == 0 {
			want = min(want, 4) // the first few show how large messages are
		}
		batch, err := c.pull.FetchNoWait(want)
		if err != nil {
			c.lost.Store(true)
			if len(out) > 0 {
				return out, nil
			}
			return nil, unavailable("fetch", err)
		}
		var n int
		before := len(out)
		if out, n, err = c.take(out, batch); err != nil {
			return out, err
		}
		size += n
		if len(out)-before < want {
			return out, nil
		}
	}
	return out, nil
}

// take appends a batch's messages and counts their bytes. It leaves out what
// was returned before, and stops at a gap, after which the server is asked again.
func (c *Consumer) take(out []Message, batch jetstream.MessageBatch) (_ []Message, size int, err error) {
	for msg := range batch.Messages() {
		meta, err := msg.Metadata()
		if err != nil {
			c.bus.log.Error("message without metadata", "err", err)
			continue
		}
		seq := meta.Sequence.Stream
		if seq <= c.last {
			c.renew(seq, msg)
			continue
		}
		if c.lost.Load() || seq > c.last+1 && !c.fresh && c.last > 0 {
			c.lost.Store(true)
			continue
		}
		c.fresh, c.last = false, seq
		size += len(msg.Data())
		signals, err := decode(msg.Data())
		if err != nil {
			// Nobody can read it, and keeping it would stop everything behind it.
			c.bus.log.Error("message dropped: it is not a batch of signals", "seq", seq, "bytes", len(msg.Data()), "err", err)
			if err := msg.Term(); err != nil {
				c.lost.Store(true)
			}
			continue
		}
		c.unacked = append(c.unacked, delivery{seq, msg})
		out = append(out, Message{Seq: seq, Signals: signals})
	}
	err = batch.Error()
	if err == nil || errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return out, size, nil
	}
	c.lost.Store(true)
	if len(out) > 0 {
		return out, size, nil
	}
	return out, size, unavailable("fetch", err)
}

// renew keeps the delivery by which an unacknowledged message is acknowledged now.
func (c *Consumer) renew(seq uint64, msg jetstream.Msg) {
	for i := range c.unacked {
		if c.unacked[i].seq == seq {
			c.unacked[i].msg = msg
			return
		}
	}
	// Acknowledged before, but the server did not hear of it.
	if err := msg.Ack(); err != nil {
		c.lost.Store(true)
	}
}

// AckThrough acknowledges every message up to and including seq, and returns
// when the server has noted it. After an error they may be delivered again.
func (c *Consumer) AckThrough(ctx context.Context, seq uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.unacked) && c.unacked[n].seq <= seq {
		n++
	}
	if n == 0 {
		return nil
	}
	// What a call before this one acknowledged, which then failed, is done: should
	// the server not have heard of it, it delivers it again and Fetch sees to it.
	for _, d := range c.unacked[:n-1] {
		if err := d.msg.Ack(); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
			return unavailable("acknowledge", err)
		}
	}
	if err := c.unacked[n-1].msg.DoubleAck(ctx); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
		return unavailable("acknowledge", err)
	}
	c.unacked = append(c.unacked[:0:0], c.unacked[n:]...)
	return nil
}
