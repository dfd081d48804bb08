package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"prunella/keyset"
)

// write replaces the file by body, after keyset has accepted it under another
// name, and returns its keys.
func (a *Agent) write(ctx context.Context, body []byte) ([]keyset.Key, error) {
	dir := filepath.Dir(a.cfg.File)
	f, err := os.CreateTemp(dir, ".keys-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(body)
	if err = errors.Join(err, f.Chmod(a.cfg.Mode), f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	keys, err := a.accepted(ctx, f.Name())
	if err != nil {
		return nil, err
	}
	if old, err := os.ReadFile(a.cfg.File); err == nil && bytes.Equal(old, body) {
		return keys, nil
	}
	if err := os.Rename(f.Name(), a.cfg.File); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return keys, errors.Join(d.Sync(), d.Close())
}

// accepted returns the keys that keyset finds in a file.
func (a *Agent) accepted(ctx context.Context, file string) ([]keyset.Key, error) {
	set, err := keyset.New(ctx, keyset.Config{Issuer: a.cfg.Issuer, File: file, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer set.Close()
	if err := set.Ready(); err != nil {
		return nil, fmt.Errorf("agent: the document of %s has no key that may be used; the file stays as it is: %w", a.jwks, err)
	}
	return set.Keys(), nil
}

// Signal returns a Reload that sends a signal to the process whose id is in a
// file.
func Signal(pidFile string, s os.Signal) func(context.Context) error {
	return func(context.Context) error {
		text, err := os.ReadFile(pidFile)
		if err != nil {
			return err
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || pid < 2 {
			return fmt.Errorf("%s holds no process id", pidFile)
		}
		p, err := os.FindProcess(pid)
		if err != nil {
			return err
		}
		return p.Signal(s)
	}
}

// Call returns a Reload that POSTs to a URL of the service, which must answer
// 2xx. client may be nil.
func Call(url string, client *http.Client) func(context.Context) error {
	c := &http.Client{Timeout: askTime}
	if client != nil {
		c.Transport = client.Transport
	}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4096)) // so that the connection is used again
		if err := resp.Body.Close(); err != nil {
			return err
		}
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("%s answered %s", url, resp.Status)
		}
		return nil
	}
}

// Command returns a Reload that runs a program, without a shell.
func Command(argv ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		if len(argv) == 0 {
			return errors.New("no command is given")
		}
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %.200s", argv[0], err, bytes.TrimSpace(out))
		}
		return nil
	}
}
