package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"prunella"
	"prunella/client"
	"prunella/rotation/audit"
)

type keysWatchCmd struct {
	looks
	Issuer   []string      `arg:"" help:"Issuers. NAME=URL says under which name signals speak of it; default: the host." placeholder:"[NAME=]URL"`
	Server   string        `help:"Prunella server to send signals to; default: only print." env:"PRUNELLA_SERVER" placeholder:"URL"`
	Interval time.Duration `help:"Between two looks." default:"30s"`
	State    string        `help:"File that remembers what was seen, over restarts." default:"keys-watch.json" type:"path" placeholder:"FILE"`
	Once     bool          `help:"Look once, and end."`
	JSON     bool          `help:"Print one JSON object a change." name:"json"`
}

// watched is what the state file holds.
type watched struct {
	Issuers map[string]audit.Memory `json:"issuers"` // by URL
	Unsent  []prunella.Signal       `json:"unsent,omitempty"`
}

const (
	maxUnsent = 10_000 // signals kept for a server that does not answer
	batchSent = 500
)

func (cmd keysWatchCmd) Run(c *console) error {
	if cmd.Interval < time.Second {
		return &prunella.Error{Kind: prunella.Invalid, Reason: fmt.Sprintf("--interval is %s", cmd.Interval), Remedy: "look once a second at most"}
	}
	if (cmd.JWKS != "" || cmd.TokenURL != "" || len(cmd.CanaryToken) > 0) && len(cmd.Issuer) > 1 {
		return &prunella.Error{Kind: prunella.Invalid, Reason: "--jwks, --token-url and --canary-token are of one issuer, and several are named", Remedy: "run one watch for each"}
	}
	state, err := readWatched(cmd.State)
	if err != nil {
		return err
	}
	w := keyWatch{cmd: cmd, c: c, state: state}
	for _, one := range cmd.Issuer {
		name, issuer := named(one)
		cfg, err := cmd.config(issuer)
		if err != nil {
			return err
		}
		if u, err := url.Parse(issuer); err == nil && name == "" {
			name = u.Host
		}
		w.names = append(w.names, name)
		w.watches = append(w.watches, &audit.Watch{Config: cfg, Memory: state.Issuers[issuer]})
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := w.look(c.ctx); err != nil {
			return err
		}
		if cmd.Once {
			return nil
		}
		timer.Reset(cmd.Interval)
	}
}

func readWatched(file string) (watched, error) {
	w := watched{Issuers: map[string]audit.Memory{}}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	if err != nil {
		return w, &prunella.Error{Kind: prunella.Invalid, Op: "read state", Where: file, Reason: "the state file cannot be read", Err: err, Remedy: "name another with --state, or delete it: the watch then begins anew"}
	}
	if w.Issuers == nil {
		w.Issuers = map[string]audit.Memory{}
	}
	return w, nil
}

// write replaces the file whole.
func (w watched) write(file string) error {
	b, err := json.MarshalIndent(w, "", " ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".keys-watch-*")
	if err == nil {
		defer os.Remove(f.Name()) // gone already when all went well
		_, err = f.Write(b)
		if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
			err = os.Rename(f.Name(), file)
		}
	}
	if err != nil {
		return &prunella.Error{Kind: prunella.Invalid, Op: "write state", Where: file, Err: err, Remedy: "name a file that can be written with --state"}
	}
	return nil
}

type keyWatch struct {
	cmd     keysWatchCmd
	c       *console
	names   []string
	watches []*audit.Watch
	state   watched
	silent  bool // the server does not answer, and that was told
}

// look audits each issuer, says what changed, remembers it, and sends it. What
// is remembered is on disk before anything is sent, and what could not be sent is
// sent with the next look, also by another process.
func (w *keyWatch) look(ctx context.Context) error {
	for i, watch := range w.watches {
		_, changes, err := watch.Look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return keysError(err)
		}
		w.state.Issuers[watch.Config.Issuer] = watch.Memory
		for _, ch := range changes {
			if err := w.say(w.names[i], ch); err != nil {
				return err
			}
			if w.cmd.Server != "" {
				w.state.Unsent = append(w.state.Unsent, signalOf(w.names[i], ch))
			}
		}
	}
	if over := len(w.state.Unsent) - maxUnsent; over > 0 {
		fmt.Fprintf(w.c.err, "prunella: %d signals are given up: the server does not answer for too long\n", over)
		w.state.Unsent = w.state.Unsent[over:]
	}
	if err := w.state.write(w.cmd.State); err != nil {
		return err
	}
	return w.send(ctx)
}

func (w *keyWatch) say(name string, ch audit.Change) error {
	if w.cmd.JSON {
		return json.NewEncoder(w.c.out).Encode(ch)
	}
	_, err := fmt.Fprintf(w.c.out, "%s  %s  %s\n", utc(ch.At), name, cutText(ch.Text, 400))
	return err
}

func (w *keyWatch) send(ctx context.Context) error {
	if len(w.state.Unsent) == 0 {
		return nil
	}
	api := client.New(w.cmd.Server)
	for len(w.state.Unsent) > 0 {
		n := min(batchSent, len(w.state.Unsent))
		if err := api.SendSignals(ctx, w.state.Unsent[:n]); err != nil {
			if !w.silent && ctx.Err() == nil {
				fmt.Fprintln(w.c.err, "prunella: signals are kept and sent later:", err)
			}
			w.silent = true
			break
		}
		w.state.Unsent = w.state.Unsent[n:]
		w.silent = false
	}
	return w.state.write(w.cmd.State)
}

// signalOf is a change as the engine takes it: the same change gives the same
// Signal, so what is sent twice counts once.
func signalOf(name string, ch audit.Change) prunella.Signal {
	s := prunella.Signal{Source: "keys/" + name, Service: name, Time: ch.At, Kind: prunella.KindChange, Severity: prunella.Info, Body: ch.Text,
		Attributes: map[string]string{prunella.AttrIssuer: name}}
	for key, v := range map[string]string{prunella.AttrKid: ch.Key, "before": ch.Before, "after": ch.After} {
		if v != "" {
			s.Attributes[key] = v
		}
	}
	switch ch.What {
	case audit.KeyAdded:
		s.Name = prunella.ChangeKeyAdded
	case audit.KeyRemoved:
		s.Name = prunella.ChangeKeyRemoved
	case audit.MaterialChanged:
		s.Name = prunella.ChangeKeyMaterial
	case audit.SignerChanged:
		s.Name = prunella.ChangeSigner
	case audit.TrustChanged:
		s.Kind, s.Name, s.Service = prunella.KindProbe, "canary", ch.Verifier
		s.Attributes[prunella.AttrOutcome] = map[string]string{string(audit.Accepts): "ok", string(audit.Rejects): "refused"}[ch.After]
		if s.Attributes[prunella.AttrOutcome] == "" {
			s.Attributes[prunella.AttrOutcome] = "unknown"
		}
	case audit.OutcomeChanged:
		s.Kind, s.Name = prunella.KindProbe, "jwks"
		s.Attributes[prunella.AttrOutcome] = ch.After
	default:
		s.Name = "keyset." + string(ch.What)
	}
	if o := s.Attributes[prunella.AttrOutcome]; s.Kind == prunella.KindProbe && o != "ok" && o != "unknown" {
		s.Severity = prunella.High
	}
	if ch.What == audit.PublishedLate || ch.What == audit.ProblemFound {
		s.Severity = prunella.Warning
	}
	if ch.What == audit.ProblemFound || ch.What == audit.ProblemGone { // of a key, a URL or a verifier
		delete(s.Attributes, prunella.AttrKid)
		s.Attributes["subject"] = ch.Key
	}
	s.Fingerprint = s.Source + "/" + s.Name + "/" + s.Service + "/" + ch.Key
	sum := sha256.Sum256([]byte(s.Fingerprint + "/" + strconv.Itoa(ch.Number) + "/" + ch.At.UTC().Format(time.RFC3339Nano)))
	s.ID = prunella.SignalID("sig-" + hex.EncodeToString(sum[:12]))
	return s
}
