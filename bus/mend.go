package bus

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"prunella"
)

const (
	mendEvery = 2 * time.Second // between tries to write again
	probeSize = 1 << 20         // bytes that must be free before it is tried
)

// hurtBy keeps what the built-in server says of a file that it could not write:
// from then on it takes nothing more until its storage is opened anew.
func (b *Bus) hurtBy(text string) {
	const mark = "critical write error: "
	if at := strings.Index(strings.ToLower(text), mark); at >= 0 {
		why := text[at+len(mark):]
		b.hurt.Store(&why)
	}
}

// Writable says whether signals can be stored. When the storage of the built-in
// server has failed and its folder can be written again, it is opened anew first.
// Unavailable: it cannot be written yet.
func (b *Bus) Writable(ctx context.Context) error {
	if b.hurt.Load() == nil {
		return nil
	}
	b.mending.Lock()
	defer b.mending.Unlock()
	why := b.hurt.Load()
	if why == nil {
		return nil
	}
	if time.Since(b.tried) < mendEvery {
		return b.unwritable(errors.New(*why))
	}
	b.tried = time.Now()
	if err := probe(b.dir); err != nil {
		return b.unwritable(err)
	}
	if err := b.server.ShutdownJetStream(); err != nil {
		return b.unwritable(err)
	}
	o := b.options
	if err := b.server.EnableJetStream(&server.JetStreamConfig{StoreDir: o.StoreDir, SyncAlways: o.SyncAlways, MaxMemory: o.JetStreamMaxMemory, MaxStore: o.JetStreamMaxStore, Strict: true}); err != nil {
		return b.unwritable(err)
	}
	if _, err := b.stream.Info(ctx); err != nil {
		return unavailable("open bus", err)
	}
	b.reconnected()
	if !b.hurt.CompareAndSwap(why, nil) { // it was hurt again before anybody could write
		return b.unwritable(errors.New(*b.hurt.Load()))
	}
	b.log.Info("the bus can be written again", "dir", b.dir)
	return nil
}

func (b *Bus) unwritable(err error) error {
	return &prunella.Error{Kind: prunella.Unavailable, Op: "store signals", Where: b.dir, Reason: "the folder of the bus cannot be written", Err: err,
		Remedy: "make room on the disk; it goes on by itself then, and senders try again"}
}

// probe says whether there is room for more than a name.
func probe(dir string) error {
	file := filepath.Join(dir, ".probe")
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeSize))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(file))
}
