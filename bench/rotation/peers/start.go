package peers

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"

	"prunella/bench/rotation/protocol"
)

//go:embed node/contestant.mjs node/package.json node/package-lock.json
var nodeFiles embed.FS

// Example is the source of a client of the conformance suite, for its page.
//
//go:embed node/example.mjs
var Example string

// Stable are the contestants that can run on this machine, ready to start.
type Stable struct {
	self string // this program, which serves the ones in Go
	node string // folder with the ones in Node and their modules
	// Absent says why the contestants in Node cannot run; "" when they can.
	Absent string
}

// Ready finds out what can run. The first time it installs the Node modules
// into the user's cache folder, from the lockfile that is built in.
func Ready(ctx context.Context, progress func(string)) (*Stable, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &Stable{self: self}
	if s.node, err = installNode(ctx, progress); err != nil {
		s.Absent = err.Error()
	}
	return s, nil
}

func installNode(ctx context.Context, progress func(string)) (string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%s is not installed", program)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	files := map[string][]byte{}
	for _, name := range []string{"contestant.mjs", "package.json", "package-lock.json"} {
		b, err := nodeFiles.ReadFile("node/" + name)
		if err != nil {
			return "", err
		}
		sum.Write(b)
		files[name] = b
	}
	dir := filepath.Join(cache, "prunella", "contest-node-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	if _, err := os.Stat(filepath.Join(dir, "installed")); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return "", err
		}
	}
	progress("installing the Node contestants (once) into " + dir)
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return dir, os.WriteFile(filepath.Join(dir, "installed"), nil, 0o644)
}

// Start starts a contestant afresh, in virtual time.
func (s *Stable) Start(ctx context.Context, c Contestant) (*protocol.Process, error) {
	if c.Make != nil {
		return protocol.Start(ctx, exec.CommandContext(ctx, s.self, "serve", "--virtual", c.Name))
	}
	cmd := exec.CommandContext(ctx, "node", "contestant.mjs", c.Name)
	cmd.Dir = s.node
	return protocol.Start(ctx, cmd)
}

// Version is the contestant's version in this run.
func (s *Stable) Version(c Contestant) string {
	if c.Make == nil {
		return s.nodeVersion(c)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, d := range info.Deps {
		if d.Path == c.Module && c.Name != Ours {
			return d.Version
		}
	}
	return "this tree"
}

func (s *Stable) nodeVersion(c Contestant) string {
	var p struct{ Version string }
	b, err := os.ReadFile(filepath.Join(s.node, "node_modules", c.Module, "package.json"))
	if err != nil || json.Unmarshal(b, &p) != nil {
		return ""
	}
	return p.Version
}
