package bus

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"prunella"
)

// startServer runs NATS inside this process, without a port, signal handlers
// or monitoring.
func startServer(cfg Config, lines *serverLog) (*server.Server, *server.Options, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err == nil {
		err = writable(dir)
	}
	if err != nil || cfg.Dir == "" {
		return nil, nil, &prunella.Error{Kind: prunella.Invalid, Op: "open bus", Where: cfg.Dir, Reason: "the folder cannot be written",
			Remedy: "choose another data folder or change its owner", Err: err}
	}
	options := &server.Options{
		ServerName: "prunella", DontListen: true, NoSigs: true, NoLog: true, DisableJetStreamBanner: true,
		MaxPayload: MaxMessage,
		JetStream:  true, StoreDir: dir,
		SyncAlways:         true, // the default flushes every two minutes
		JetStreamMaxMemory: 16 << 20,
		// Blocks are freed whole, so the files are a little larger than what waits.
		JetStreamMaxStore: cfg.MaxBytes + cfg.MaxBytes/4 + 64<<20,
	}
	srv, err := server.NewServer(options)
	if err != nil {
		return nil, nil, &prunella.Error{Kind: prunella.Internal, Op: "open bus", Err: err}
	}
	srv.SetLoggerV2(lines, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(10*time.Second) || !srv.JetStreamEnabled() {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, nil, &prunella.Error{Kind: prunella.Invalid, Op: "open bus", Where: dir, Reason: "the built-in NATS server does not start",
			Err: lines.failure(), Remedy: "look at the reason; if the files are damaged, move the folder away"}
	}
	return srv, options, nil
}

func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	f.Close()
	return os.Remove(f.Name())
}

// serverLog passes the server's warnings and errors on and keeps the last
// error, which explains a failed start.
type serverLog struct {
	log   *slog.Logger
	heard func(text string) // of an error

	mu   sync.Mutex
	last string
}

func (l *serverLog) Noticef(string, ...any) {}
func (l *serverLog) Debugf(string, ...any)  {}
func (l *serverLog) Tracef(string, ...any)  {}

func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("nats server", "text", fmt.Sprintf(format, v...))
}

func (l *serverLog) Errorf(format string, v ...any) { l.keep(fmt.Sprintf(format, v...)) }
func (l *serverLog) Fatalf(format string, v ...any) { l.keep(fmt.Sprintf(format, v...)) }

func (l *serverLog) keep(text string) {
	l.mu.Lock()
	l.last = strings.TrimSpace(text)
	l.mu.Unlock()
	l.log.Error("nats server", "text", text)
	l.heard(text)
}

func (l *serverLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == "" {
		return nil
	}
	return fmt.Errorf("%s", l.last)
}
