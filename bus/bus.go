package bus

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"prunella"
)

const (
	streamName = "prunella-signals"
	subject    = "prunella.signals"

	// MaxMessage bounds one stored message, compressed, in bytes. A cluster's
	// own max_payload may lower it.
	MaxMessage = 8 << 20

	defaultMaxBytes = 1 << 30
	answerWithin    = 5 * time.Second
)

// Config says where the stream is.
type Config struct {
	Dir      string       // folder of the built-in server
	URL      string       // nats://… of a cluster; "" for the built-in server
	MaxBytes int64        // bound of what waits on disk; 0: 1 GiB
	Log      *slog.Logger // nil: slog.Default
}

// Bus is an open connection to the stream, and the built-in server when there
// is one. It is safe for concurrent use.
type Bus struct {
	server *server.Server // nil with a cluster
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	log    *slog.Logger
	limit  int // bytes of a message

	dir     string // of the built-in server
	options *server.Options
	hurt    atomic.Pointer[string] // why it takes nothing more; nil while all is well
	mending sync.Mutex
	tried   time.Time // when mending was tried last; under mending

	consumer atomic.Pointer[Consumer] // the last one opened
}

// Open starts the built-in server or connects to the cluster, and makes the
// stream when it is not there. Invalid: the folder cannot be written or the URL
// is wrong; Unavailable: the cluster does not answer.
func Open(ctx context.Context, cfg Config) (*Bus, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	b := &Bus{log: cfg.Log.With("component", "bus")}
	if err := b.connect(cfg); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.limit = int(min(b.conn.MaxPayload(), MaxMessage)) - 1024 // room for headers
	if err := b.prepare(ctx, cfg); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Bus) connect(cfg Config) (err error) {
	opts := []nats.Option{nats.Name("prunella"), nats.MaxReconnects(-1), nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectBufSize(-1), // what could not be sent is an error now, not a surprise later
		nats.ReconnectHandler(func(*nats.Conn) { b.reconnected() }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { b.log.Warn("nats", "err", err) }),
	}
	if cfg.URL == "" {
		if b.server, b.options, err = startServer(cfg, &serverLog{log: b.log, heard: b.hurtBy}); err != nil {
			return err
		}
		b.dir = b.options.StoreDir
		opts = append(opts, nats.InProcessServer(b.server))
	}
	if b.conn, err = nats.Connect(cfg.URL, opts...); err != nil {
		return &prunella.Error{Kind: prunella.Unavailable, Op: "open bus", Where: cfg.URL, Reason: "the NATS server does not answer",
			Remedy: "check bus.url in the configuration, or leave it out to use the built-in server", Err: err}
	}
	b.js, err = jetstream.New(b.conn, jetstream.WithDefaultTimeout(answerWithin))
	return err
}

// prepare creates the stream. Of one that is there only the bound is changed,
// so that an operator's replicas and placement stay.
func (b *Bus) prepare(ctx context.Context, cfg Config) error {
	stream, err := b.js.Stream(ctx, streamName)
	var want jetstream.StreamConfig
	switch {
	case err == nil:
		want = stream.CachedInfo().Config
		if want.Retention != jetstream.WorkQueuePolicy || want.Discard != jetstream.DiscardNew {
			return &prunella.Error{Kind: prunella.Invalid, Op: "open bus", Where: streamName,
				Reason: "the stream is not a work queue that refuses when it is full", Remedy: "delete the stream, or use another NATS account"}
		}
	case errors.Is(err, jetstream.ErrStreamNotFound):
		want = jetstream.StreamConfig{
			Name: streamName, Subjects: []string{subject}, Storage: jetstream.FileStorage,
			Retention: jetstream.WorkQueuePolicy, // holds exactly what is not acknowledged
			Discard:   jetstream.DiscardNew,      // full is an error, not a loss
		}
	default:
		return unavailable("open bus", err)
	}
	want.MaxBytes = cfg.MaxBytes
	if b.stream, err = b.js.CreateOrUpdateStream(ctx, want); err != nil {
		return unavailable("open bus", err)
	}
	return nil
}

// Close ends the connection and the built-in server. What is stored stays.
func (b *Bus) Close() error {
	if b.conn != nil {
		b.conn.Close()
	}
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
	return nil
}

// Publish stores signals; nil means that they are on disk. Unavailable: the
// stream is full or does not answer, so try again later.
func (b *Bus) Publish(ctx context.Context, signals []prunella.Signal) error {
	if len(signals) == 0 {
		return nil
	}
	parts, err := encode(signals, b.limit)
	if err != nil {
		return err
	}
	for _, data := range parts {
		if err := b.Writable(ctx); err != nil {
			return err
		}
		if _, err := b.js.Publish(ctx, subject, data, jetstream.WithExpectStream(streamName)); err != nil {
			if why := b.hurt.Load(); why != nil {
				return b.unwritable(errors.New(*why))
			}
			return unavailable("store signals", err)
		}
	}
	return nil
}

// Depth is what waits in the stream.
type Depth struct {
	Messages int
	Bytes    int64
	Oldest   time.Time // when the longest waiting one was stored; zero when none waits
}

// Depth asks how much is not acknowledged yet.
func (b *Bus) Depth(ctx context.Context) (Depth, error) {
	info, err := b.stream.Info(ctx)
	if err != nil {
		return Depth{}, unavailable("ask the bus for its depth", err)
	}
	d := Depth{Messages: int(info.State.Msgs), Bytes: int64(info.State.Bytes)}
	if d.Messages > 0 {
		d.Oldest = info.State.FirstTime
	}
	return d, nil
}

// reconnected makes the consumer ask again for what the old connection may have lost.
func (b *Bus) reconnected() {
	if c := b.consumer.Load(); c != nil {
		c.lost.Store(true)
	}
}

func unavailable(op string, err error) error {
	e := &prunella.Error{Kind: prunella.Unavailable, Op: op, Err: err}
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == 10077 && api.Description == server.ErrMaxBytes.Error() {
		e.Reason, e.Err = "the bus is full: signals arrive faster than they are worked on", nil
		e.Remedy = "try again later; if it stays so, look why the pipeline stands still or raise bus.max_bytes"
	}
	return e
}
