package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"prunella/client"
)

// build makes the real program, as a user would, once for all tests.
func build(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// built is where the program is; its folder is removed by TestMain.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "prunella-built-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	path := filepath.Join(dir, "prunella")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

var builtIn string // "" until there is one

// server is one Prunella server as a process of its own, started again and
// again on one data folder and one address.
type server struct {
	t      *testing.T
	binary string
	verb   []string // of the command that serves
	config string
	data   string
	listen string
	api    *client.Client

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	log    bytes.Buffer  // of every process so far
	killed int
}

// newServer describes a server; config is what its configuration file says.
func newServer(t *testing.T, binary string, config any) *server {
	t.Helper()
	dir := t.TempDir()
	b, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, binary: binary, verb: []string{"serve"}, config: filepath.Join(dir, "prunella.yaml"), data: filepath.Join(dir, "data"), listen: freeAddress(t)}
	if err := os.WriteFile(s.config, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s.api = client.New("http://" + s.listen)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.tail(120))
		}
	})
	return s
}

// freeAddress is a loopback address that nobody listens on. The server keeps it
// over its restarts, so that who talks to it finds it again.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// start begins a process and returns when it is ready.
func (s *server) start() {
	s.t.Helper()
	s.begin()
	s.ready()
}

// begin begins a process.
func (s *server) begin() {
	s.t.Helper()
	s.mu.Lock()
	cmd := exec.Command(s.binary, append(slices.Clone(s.verb), "--config", s.config, "--data", s.data, "--listen", s.listen)...)
	cmd.Stderr = (*lockedLog)(s)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Start()
	exited := make(chan struct{})
	s.cmd, s.exited = cmd, exited
	s.mu.Unlock()
	if err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(exited)
		_ = cmd.Wait() // how it ended is looked at by who ended it
	}()
}

// ready returns when the process that begin began is ready.
func (s *server) ready() {
	s.t.Helper()
	exited := s.exited
	s.until("the server to be ready", 20*time.Second, func(ctx context.Context) error {
		select {
		case <-exited:
			s.t.Fatalf("the server ended by itself:\n%s", s.tail(20))
		default:
		}
		return s.api.Ready(ctx)
	})
}

// lockedLog takes what a process writes to standard error.
type lockedLog server

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(b)
}

// kill ends the process with SIGKILL and returns when it is gone.
func (s *server) kill() {
	s.mu.Lock()
	cmd, exited := s.cmd, s.exited
	s.killed++
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill() // it may be gone already
	<-exited
}

// stop ends the process as an operator does, who expects exit code 0.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		s.t.Fatal("the server does not end when it is asked to")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != exitPassed {
		s.t.Fatalf("a stopped server ends with %d", code)
	}
}

// alive says whether the process runs.
func (s *server) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// tail is the last lines of the log.
func (s *server) tail(n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// until looks every 50 ms until look has no complaint any more.
func (s *server) until(what string, within time.Duration, look func(context.Context) error) {
	s.t.Helper()
	if err := await(s.t, within, look); err != nil {
		s.t.Fatalf("waited %s for %s: %v", within, what, err)
	}
}

func await(t *testing.T, within time.Duration, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := look(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// residentKiB reads VmRSS of a process.
func residentKiB(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib, nil
		}
	}
	return 0, fmt.Errorf("no VmRSS in /proc/%d/status", pid)
}
