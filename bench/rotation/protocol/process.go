package protocol

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Process is a verifier that runs as a child of this one. It says on its first
// line of output where it listens.
type Process struct {
	*Caller
	cmd *exec.Cmd
}

const startsWithin = 20 * time.Second

// Start runs a command and waits for its address.
func Start(ctx context.Context, cmd *exec.Cmd) (*Process, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	errs := &tail{}
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd}
	line := make(chan string, 1)
	go func() {
		r := bufio.NewReader(out)
		first, _ := r.ReadString('\n') // no line: told below
		line <- strings.TrimSpace(first)
		_, _ = io.Copy(io.Discard, r) // until it ends
	}()
	timer := time.NewTimer(startsWithin)
	defer timer.Stop()
	select {
	case url := <-line:
		if strings.HasPrefix(url, "http://") {
			p.Caller = NewCaller(url)
			return p, nil
		}
		err = fmt.Errorf("it said %q instead of where it listens: %s", url, errs)
	case <-timer.C:
		err = errors.New("it did not say where it listens")
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.Stop()
	return nil, fmt.Errorf("start %s: %w", strings.Join(cmd.Args, " "), err)
}

// Stop ends the process.
func (p *Process) Stop() {
	if p.Caller != nil {
		p.Close()
	}
	_ = p.cmd.Process.Kill() // it holds nothing that must be saved
	_ = p.cmd.Wait()         // killed: that is its exit
}

// PeakMemory is the most memory the process has had, in bytes; 0 where the
// system does not tell.
func (p *Process) PeakMemory() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// tail keeps the last of what a process complained about.
type tail struct{ text []byte }

func (t *tail) Write(b []byte) (int, error) {
	const kept = 2000
	t.text = append(t.text, b...)
	if len(t.text) > kept {
		t.text = t.text[len(t.text)-kept:]
	}
	return len(b), nil
}

func (t *tail) String() string { return string(t.text) }
