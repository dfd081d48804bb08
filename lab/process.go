package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"time"
)

// program is what runs in a process of the world: the auth service or one
// instance of a service. The world steers it by named operations with JSON
// arguments, the same way whether it runs here or in a child.
type program interface {
	handle(ctx context.Context, op string, in json.RawMessage) (any, error)
	close(ctx context.Context) error
}

// bootConfig starts a program; exactly one of the two is set. The program
// serves on the listener that comes with it.
type bootConfig struct {
	Auth    *authConfig    `json:"auth,omitempty"`
	Service *serviceConfig `json:"service,omitempty"`
}

func boot(ctx context.Context, cfg bootConfig, ln net.Listener) (program, error) {
	if cfg.Auth != nil {
		return startAuth(ctx, *cfg.Auth, ln)
	}
	return startService(ctx, *cfg.Service, ln)
}

// process is a running program seen from the world.
type process interface {
	call(ctx context.Context, op string, in, out any) error
	stop(ctx context.Context) error
}

// launch starts a program on a duplicate of ln, so that an old and a new
// instance can share one port while one takes over from the other.
func launch(ctx context.Context, cfg bootConfig, ln *net.TCPListener, ownProcess bool) (process, error) {
	f, err := ln.File()
	if err != nil {
		return nil, fmt.Errorf("share listener: %w", err)
	}
	defer f.Close()
	if ownProcess {
		return launchChild(ctx, cfg, f)
	}
	shared, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("share listener: %w", err)
	}
	p, err := boot(ctx, cfg, shared)
	if err != nil {
		return nil, errors.Join(err, shared.Close())
	}
	return inProcess{p}, nil
}

type inProcess struct{ p program }

func (l inProcess) call(ctx context.Context, op string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	res, err := l.p.handle(ctx, op, b)
	if err != nil || out == nil {
		return err
	}
	if b, err = json.Marshal(res); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return json.Unmarshal(b, out)
}

func (l inProcess) stop(ctx context.Context) error { return l.p.close(ctx) }

// A child speaks one JSON object a line: requests on its standard input,
// replies on its standard output, in order. The first line is its bootConfig,
// answered by an empty reply when it serves. End of input ends it.
type childRequest struct {
	Op string          `json:"op"`
	In json.RawMessage `json:"in"`
}

type childReply struct {
	Out   json.RawMessage `json:"out,omitempty"`
	Error string          `json:"error,omitempty"`
}

// childArgs are the arguments that make this binary a child; see ChildMain.
var childArgs = []string{"lab", "child"}

type child struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	replies *bufio.Reader
	mu      sync.Mutex // one exchange at a time
}

func launchChild(ctx context.Context, cfg bootConfig, ln *os.File) (process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	cmd := exec.Command(self, childArgs...)
	cmd.ExtraFiles = []*os.File{ln}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	c := &child{cmd: cmd, in: in, replies: bufio.NewReader(out)}
	if err := c.exchange(ctx, cfg, nil); err != nil {
		return nil, errors.Join(err, c.stop(ctx))
	}
	return c, nil
}

func (c *child) call(ctx context.Context, op string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return c.exchange(ctx, childRequest{Op: op, In: b}, out)
}

func (c *child) exchange(ctx context.Context, request, out any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := json.NewEncoder(c.in).Encode(request); err != nil {
		return fmt.Errorf("write to child %d: %w", c.cmd.Process.Pid, err)
	}
	line, err := c.replies.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read from child %d: %w", c.cmd.Process.Pid, err)
	}
	var r childReply
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("read from child %d: %w", c.cmd.Process.Pid, err)
	}
	if r.Error != "" {
		return errors.New(r.Error)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(r.Out, out)
}

// stop closes the child's input, which ends it, and kills it when it has not
// ended after three seconds.
func (c *child) stop(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.in.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	kill := time.AfterFunc(3*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	var exit *exec.ExitError
	if err := c.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("end child: %w", err)
	}
	return nil
}

// ChildMain runs this process as one program of a lab when args (without the
// program's name) say so, until its standard input ends; an interrupt or the end
// of ctx does not end it. Every main and
// TestMain whose binary may start a lab with Spec.Processes calls it first and
// exits when handled is true.
func ChildMain(ctx context.Context, args []string) (handled bool, err error) {
	if len(args) < len(childArgs) || args[0] != childArgs[0] || args[1] != childArgs[1] {
		return false, nil
	}
	signal.Ignore(os.Interrupt) // Ctrl-C reaches the whole group; the parent decides when we end
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var cfg bootConfig
	if err := in.Decode(&cfg); err != nil {
		return true, fmt.Errorf("lab child: read configuration: %w", err)
	}
	ln, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return true, fmt.Errorf("lab child: take over listener: %w", err)
	}
	p, err := boot(ctx, cfg, ln)
	if err != nil {
		return true, out.Encode(childReply{Error: err.Error()})
	}
	if err := out.Encode(childReply{}); err != nil {
		return true, errors.Join(err, p.close(ctx))
	}
	for {
		var req childRequest
		if err := in.Decode(&req); err != nil {
			end, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return true, errors.Join(err, p.close(end))
		}
		var reply childReply
		res, err := p.handle(ctx, req.Op, req.In)
		if err == nil {
			reply.Out, err = json.Marshal(res)
		}
		if err != nil {
			reply = childReply{Error: err.Error()}
		}
		if err := out.Encode(reply); err != nil {
			return true, errors.Join(err, p.close(ctx))
		}
	}
}
