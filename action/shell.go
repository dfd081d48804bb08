package action

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"prunella"
)

func shellOperations() []operation {
	run := need("run", "list", "program and its arguments; no shell reads them")
	env := may("env", "any", "map of environment variables; besides them only PATH, HOME, LANG and PRUNELLA_STEP are set")
	return []operation{
		{
			spec: read("shell.run-read", "Run a program that only looks.", []prunella.ParamSpec{run, env},
				"known: it ran to its end", "exit: exit status, -1 when it did not run or was ended", "stdout: up to 64 KiB", "stderr: up to 64 KiB"),
			read: (*World).shellRead,
		},
		{
			spec: does("shell.run", prunella.Irreversible, "Run a program that may change something; fails on an exit status other than 0. Parameters travel as arguments or environment, never through a shell.", run, env),
			do:   (*World).shellRun,
		},
	}
}

// ran is the outcome of a program.
type ran struct {
	exit           int
	stdout, stderr string
	ended          bool // by us, because the time was over
}

// run starts a program in a process group of its own and ends the whole group
// when ctx ends. The error says that it could not be started.
func (w *World) run(ctx context.Context, op, key string, p params) (ran, error) {
	env, err := p.texts(op, "env")
	if err != nil {
		return ran{exit: -1}, err
	}
	argv := p.list("run")
	if argv[0] == "" || slices.ContainsFunc(argv, func(a string) bool { return strings.ContainsRune(a, 0) }) {
		return ran{exit: -1}, &prunella.Error{Kind: prunella.Invalid, Where: "run", Reason: "the program's name is empty, or an argument holds a zero byte"}
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	for _, name := range []string{"PATH", "HOME", "LANG"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	for name, v := range env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(v, 0) {
			return ran{exit: -1}, &prunella.Error{Kind: prunella.Invalid, Where: "env", Reason: quote(name) + " cannot be an environment variable"}
		}
		cmd.Env = append(cmd.Env, name+"="+v)
	}
	if key != "" {
		cmd.Env = append(cmd.Env, "PRUNELLA_STEP="+key)
	}
	var out, errs head
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return ran{exit: -1}, &prunella.Error{Kind: prunella.Invalid, Where: "run", Reason: quote(argv[0]) + " cannot be started", Err: err}
	}
	err = cmd.Wait()
	r := ran{exit: cmd.ProcessState.ExitCode(), stdout: out.String(), stderr: errs.String(), ended: ctx.Err() != nil && err != nil}
	if errors.Is(err, exec.ErrWaitDelay) {
		// The program ended and left children that hold its output: end them too.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	return r, nil
}

// head keeps the first bodyShown bytes written to it.
type head struct {
	kept bytes.Buffer
	cut  bool
}

func (h *head) Write(b []byte) (int, error) {
	room := bodyShown - h.kept.Len()
	h.cut = h.cut || room < len(b)
	h.kept.Write(b[:min(room, len(b))])
	return len(b), nil
}

func (h *head) String() string {
	s := strings.ToValidUTF8(h.kept.String(), "\uFFFD")
	if h.cut {
		s += "\n[cut after 64 KiB]"
	}
	return s
}

func (w *World) shellRead(ctx context.Context, p params, _ Incident) (map[string]any, error) {
	r, err := w.run(ctx, "shell.run-read", "", p)
	if err != nil {
		return nil, err
	}
	return map[string]any{"known": !r.ended, "exit": r.exit, "stdout": r.stdout, "stderr": r.stderr}, nil
}

func (w *World) shellRun(ctx context.Context, key string, p params) (string, error) {
	r, err := w.run(ctx, "shell.run", key, p)
	switch {
	case err != nil:
		return "", err
	case r.ended:
		return r.stdout, &prunella.Error{Kind: prunella.Unavailable, Where: p.list("run")[0], Reason: "the time was over and the program was ended", Err: ErrLost}
	case r.exit != 0:
		return r.stdout, &prunella.Error{Kind: prunella.Invalid, Where: p.list("run")[0], Reason: fmt.Sprintf("exit status %d: %s", r.exit, shorten(r.stderr, 500))}
	}
	return strings.TrimSpace(r.stdout), nil
}
