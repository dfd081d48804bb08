package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// node is the place where a service runs: its address, its files, its host's
// clock. Instances come and go on it; the address stays.
type node struct {
	spec ServiceSpec
	ln   *net.TCPListener
	dir  string
	base serviceConfig // what every instance gets, but for the fields below
	own  bool          // instances are OS processes

	mu       sync.Mutex // one change at a time
	instance process
	pod      string
	image    image
	skew     time.Duration
	export   exportTarget
	hookShut bool // a fault holds the webhook port closed

	// An issuer on rotation: where a static-file service's agent reads the key
	// set, and how the platform says that an instance is gone. Both may be nil.
	mirror *door
	left   func(ctx context.Context, pod string) error
}

// image is what a Deployment runs.
type image struct {
	version string
	defect  bool
}

func (n *node) url() string { return "http://" + n.ln.Addr().String() }

// pushed says whether the issuer's webhooks come to this node.
func (n *node) pushed() bool { return n.spec.Kind == StaticFile || n.spec.Kind == KeySet }

func (n *node) configPath() string { return filepath.Join(n.dir, configFileName) }

// mount writes the configuration file; instances read it when they start.
func (n *node) mount(text string) error {
	if err := os.WriteFile(n.configPath(), []byte(text), 0o600); err != nil {
		return fmt.Errorf("mount configuration of %s: %w", n.spec.Name, err)
	}
	return nil
}

// roll starts an instance of the image and, once it serves, stops the one
// before. When the new one does not start, the old one goes on.
func (n *node) roll(ctx context.Context, img image, pod string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	cfg := n.base
	cfg.Version, cfg.Defect, cfg.Pod, cfg.Skew, cfg.Export = img.version, img.defect, pod, n.skew, n.export
	next, err := launch(ctx, bootConfig{Service: &cfg}, n.ln, n.own)
	if err != nil {
		return err
	}
	old := n.instance
	n.instance, n.image = next, img
	if old != nil {
		_ = old.stop(ctx) // how a pod leaves is no matter of the rollout: the new one serves
		if n.left != nil {
			err = n.left(ctx, n.pod)
		}
	}
	n.pod = pod
	if n.pushed() && !n.hookShut {
		err = errors.Join(err, next.call(ctx, "open-webhook", nil, nil))
	}
	return err
}

// exportTo points the telemetry of this and every later instance.
func (n *node) exportTo(ctx context.Context, to exportTarget) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.export = to
	return n.instance.call(ctx, "export", to, nil)
}

// setSkew moves the clock of the node's host.
func (n *node) setSkew(ctx context.Context, d time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.skew = d
	return n.instance.call(ctx, "skew", d, nil)
}

// shutWebhook really closes the port of the key webhook, or opens it again, and
// with it the mirror that an agent reads from: nothing of a key gets there.
func (n *node) shutWebhook(ctx context.Context, shut bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hookShut = shut
	op := "open-webhook"
	if shut {
		op = "close-webhook"
	}
	err := n.instance.call(ctx, op, nil, nil)
	switch {
	case n.mirror == nil:
	case shut:
		err = errors.Join(err, n.mirror.close())
	default:
		err = errors.Join(err, n.mirror.open(ctx))
	}
	return err
}

func (n *node) running() image {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.image
}

func (n *node) stop(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var err error
	if n.instance != nil {
		err = n.instance.stop(ctx)
		n.instance = nil
	}
	if n.mirror != nil {
		err = errors.Join(err, n.mirror.close())
	}
	return errors.Join(err, n.ln.Close())
}

// config is the configuration file as it is mounted now.
func (n *node) config() (string, error) {
	b, err := os.ReadFile(n.configPath())
	return string(b), err
}
