package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"prunella"
	"prunella/rotation"
	"prunella/rotation/sqlstore"
)

// keysTarget is where orders go: to a rotation server, or to an issuer that
// another program runs.
type keysTarget struct {
	Server string `help:"URL of the rotation server: the issuer's." default:"http://127.0.0.1:7080" env:"PRUNELLA_KEYS_SERVER" placeholder:"URL"`
	Token  string `help:"Bearer token of an operator." env:"PRUNELLA_KEYS_TOKEN" placeholder:"TOKEN"`
	Drive  string `help:"Configuration with drive: to give the order to that issuer from here, without a server." name:"issuer-config" placeholder:"FILE"`
	By     string `help:"Who gives the order, with --issuer-config." env:"USER" placeholder:"NAME"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// keysOrder is what every order takes.
type keysOrder struct {
	keysTarget
	Note     string `help:"Why, for the audit trail." placeholder:"TEXT"`
	Override string `help:"Do it although somebody would break. The reason is recorded, with their names." placeholder:"REASON"`
}

func (o keysOrder) body(more map[string]any) map[string]any {
	b := map[string]any{"note": cmp.Or(o.Override, o.Note), "override": o.Override != ""}
	for k, v := range more {
		b[k] = v
	}
	return b
}

const (
	deskTime  = 30 * time.Second
	maxAnswer = 64 << 20
)

// refused is an order that a gate refused.
type refused struct {
	detail, remedy string
	reason         rotation.Reason
}

func (r *refused) Error() string { return r.detail }

// ask calls the server's API below /keys.
func (t keysTarget) ask(ctx context.Context, method, path string, body, into any) error {
	base := strings.TrimSuffix(t.Server, "/")
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return &prunella.Error{Kind: prunella.Invalid, Where: t.Server, Reason: "this is no URL", Remedy: "write --server http://HOST:PORT"}
	}
	ctx, cancel := context.WithTimeout(ctx, deskTime)
	defer cancel()
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, base+"/keys"+path, send)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+t.Token)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	if t.Drive != "" {
		store, desk, err := t.desk(ctx)
		if err != nil {
			return keysError(err)
		}
		defer store.Close()
		client.Transport = desk
	}
	resp, err := client.Do(req)
	if err != nil {
		return &prunella.Error{Kind: prunella.Unavailable, Where: base, Reason: "the rotation server does not answer", Err: err, Remedy: "start it with: prunella keys serve"}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return &prunella.Error{Kind: prunella.Unavailable, Where: base, Reason: "the answer broke off", Err: err}
	}
	if resp.StatusCode != http.StatusOK {
		return problemOf(base, resp, b)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return &prunella.Error{Kind: prunella.Unavailable, Where: base, Reason: "the answer is not a rotation server's", Err: err, Remedy: "--server is the issuer's URL"}
	}
	return nil
}

// desk is the API of an issuer that is driven from this process.
func (t keysTarget) desk(ctx context.Context) (*sqlstore.Store, http.RoundTripper, error) {
	cfg, err := readKeysConfig(t.Drive)
	switch {
	case err != nil:
		return nil, nil, err
	case cfg.Drive == nil:
		return nil, nil, &prunella.Error{Kind: prunella.Invalid, Where: t.Drive, Reason: "the configuration has no drive:", Remedy: "for a rotation server use --server"}
	case t.By == "":
		return nil, nil, &prunella.Error{Kind: prunella.Invalid, Reason: "nobody gives the order", Remedy: "say who with --by; it is recorded"}
	}
	store, err := sqlstore.Open(ctx, cmp.Or(cfg.Store, filepath.Join(cfg.Data, "keys.db")))
	if err != nil {
		return nil, nil, err
	}
	desk, err := deskOf(ctx, cfg, store, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return store, inside{http.StripPrefix("/keys", desk.API(func(*http.Request) (string, error) { return t.By, nil }))}, nil
}

// inside answers requests by a handler of this process.
type inside struct{ handler http.Handler }

func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &recorded{header: http.Header{}, status: http.StatusOK}
	i.handler.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), Header: w.header, Body: io.NopCloser(&w.body), Request: r}, nil
}

// recorded is an answer in memory.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorded) Header() http.Header         { return r.header }
func (r *recorded) WriteHeader(status int)      { r.status = status }
func (r *recorded) Write(b []byte) (int, error) { return r.body.Write(b) }

func problemOf(base string, resp *http.Response, b []byte) error {
	var p struct {
		Detail string           `json:"detail"`
		Kind   rotation.Kind    `json:"kind"`
		Remedy string           `json:"remedy"`
		Reason *rotation.Reason `json:"reason"`
	}
	if err := json.Unmarshal(b, &p); err != nil || p.Kind == "" {
		return &prunella.Error{Kind: prunella.Unavailable, Where: base, Reason: "it answers " + resp.Status, Remedy: "--server is the issuer's URL"}
	}
	switch p.Kind {
	case rotation.Refused:
		r := &refused{detail: p.Detail, remedy: p.Remedy}
		if p.Reason != nil {
			r.reason = *p.Reason
		}
		return r
	case rotation.Unauthorized:
		if resp.StatusCode != http.StatusUnauthorized { // the issuer does not know ours
			break
		}
		return &prunella.Error{Kind: prunella.Unauthorized, Where: base, Reason: "the server does not know this token", Remedy: "give an operator's with --token or PRUNELLA_KEYS_TOKEN"}
	}
	if p.Kind == rotation.NotFound && p.Remedy == "" {
		p.Remedy = "prunella keys status lists keys, verifiers and their instances"
	}
	return keysError(&rotation.Error{Kind: p.Kind, Detail: p.Detail, Remedy: p.Remedy})
}

// done is what the server answers to an order.
type done struct {
	Reason *rotation.Reason `json:"reason,omitempty"`
	Status rotation.Status  `json:"status"`
}

// give gives an order and says what came of it: done, or refused with the names
// of those who would break and the next step, which is exit code 1.
func (o keysOrder) give(c *console, what, path string, more map[string]any, say func(done) string) error {
	var d done
	err := o.ask(c.ctx, http.MethodPost, path, o.body(more), &d)
	var no *refused
	if errors.As(err, &no) {
		return o.explain(c, what, no)
	}
	if err != nil {
		return err
	}
	if o.JSON {
		return printJSON(c.out, d)
	}
	fmt.Fprintln(c.out, say(d))
	if o.Override != "" && d.Reason != nil && !d.Reason.Open {
		fmt.Fprintf(c.out, "Done against the gate, and recorded as %q. This may break: %s\n", o.Override, orDash(strings.Join(d.Reason.Names(), ", ")))
	}
	return nil
}

func (o keysOrder) explain(c *console, what string, no *refused) error {
	if o.JSON {
		if err := printJSON(c.out, map[string]any{"refused": what, "reason": no.reason, "names": no.reason.Names(), "text": inWords(no.reason, nil), "next": nextSteps(no.reason)}); err != nil {
			return err
		}
		return errFailed
	}
	if no.reason.Gate == "" {
		fmt.Fprintf(c.out, "Refused: %s: %s\nNext: %s\n", what, no.detail, orDash(no.remedy))
		return errFailed
	}
	fmt.Fprintf(c.out, "Refused: %s: %s\n", what, inWords(no.reason, nil))
	c.blockers(no.reason)
	c.next(no.reason)
	if len(no.reason.Blockers) > 0 {
		fmt.Fprintf(c.out, "To do it all the same: --override \"REASON\". It is recorded, with these names.\n")
	}
	return errFailed
}

func signerOf(s rotation.Status) string {
	ring := rotation.Ring{Keys: s.Keys}
	k, ok := ring.Signer()
	if !ok {
		return "no key"
	}
	return string(k.ID)
}

type keysRotateCmd struct{ keysOrder }

func (cmd keysRotateCmd) Run(c *console) error {
	if cmd.Override != "" {
		return &prunella.Error{Kind: prunella.Invalid, Reason: "a rotation has no gate to override", Remedy: "prunella keys promote --override REASON makes the waiting key sign at once"}
	}
	return cmd.give(c, "rotate", "/rotate", nil, func(d done) string {
		for _, g := range d.Status.Gates {
			if g.Gate == rotation.MayPromote && !g.Open {
				return fmt.Sprintf("The next key is %s. It signs as soon as everybody is ready; %s signs until then.\n%s: %s", g.Key, signerOf(d.Status), g.Key, inWords(g, d.Status.Keys))
			}
		}
		return fmt.Sprintf("%s signs.", signerOf(d.Status))
	})
}

type keysPromoteCmd struct {
	keysOrder
	Key string `arg:"" optional:"" help:"The key; default: the one that waits." name:"kid"`
}

func (cmd keysPromoteCmd) Run(c *console) error {
	if cmd.Key == "" {
		var s rotation.Status
		if err := cmd.ask(c.ctx, http.MethodGet, "/status", nil, &s); err != nil {
			return err
		}
		ring := rotation.Ring{Keys: s.Keys}
		k, coming := ring.Coming()
		if !coming {
			return &prunella.Error{Kind: prunella.NotFound, Reason: "no key waits to be promoted", Remedy: "prunella keys rotate publishes the next one"}
		}
		cmd.Key = string(k.ID)
	}
	return cmd.give(c, "promote "+cmd.Key, "/"+url.PathEscape(cmd.Key)+"/promote", nil, func(d done) string {
		return signerOf(d.Status) + " signs now. The key before it stays published until nobody needs it."
	})
}

type keysReturnCmd struct{ keysOrder }

func (cmd keysReturnCmd) Run(c *console) error {
	return cmd.give(c, "return", "/return", nil, func(d done) string { return signerOf(d.Status) + " signs again." })
}

type keysRetireCmd struct {
	keysOrder
	Key string `arg:"" help:"The key." name:"kid"`
}

func (cmd keysRetireCmd) Run(c *console) error {
	return cmd.give(c, "retire "+cmd.Key, "/"+url.PathEscape(cmd.Key)+"/retire", nil, func(d done) string {
		ring := rotation.Ring{Keys: d.Status.Keys}
		k, _ := ring.Key(rotation.KeyID(cmd.Key))
		return fmt.Sprintf("%s is %s; %s signs.", cmd.Key, k.State, signerOf(d.Status))
	})
}

type keysRevokeCmd struct {
	keysOrder
	Key  string `arg:"" help:"The key." name:"kid"`
	Heir string `help:"Which key signs instead, when it is the signer; default: the one that breaks the fewest." placeholder:"KID"`
}

func (cmd keysRevokeCmd) Run(c *console) error {
	return cmd.give(c, "revoke "+cmd.Key, "/"+url.PathEscape(cmd.Key)+"/revoke", map[string]any{"heir": cmd.Heir}, func(d done) string {
		return fmt.Sprintf("%s is revoked; %s signs. Tokens of %s are refused as soon as each verifier has fetched the key set.", cmd.Key, signerOf(d.Status), cmd.Key)
	})
}

type keysConfirmCmd struct {
	keysOrder
	Verifier string `arg:"" help:"The manual verifier."`
	Key      string `arg:"" help:"The key that it holds." name:"kid"`
}

func (cmd keysConfirmCmd) Run(c *console) error {
	return cmd.give(c, "confirm", "/verifiers/"+url.PathEscape(cmd.Verifier)+"/confirm", map[string]any{"kid": cmd.Key}, func(done) string {
		return fmt.Sprintf("It is recorded that %s holds %s.", cmd.Verifier, cmd.Key)
	})
}

type keysForgetCmd struct {
	keysOrder
	Instance string `arg:"" help:"The instance, as status shows it." placeholder:"VERIFIER/INSTANCE"`
}

func (cmd keysForgetCmd) Run(c *console) error {
	verifier, rest, ok := strings.Cut(cmd.Instance, "/")
	if !ok || rest == "" {
		return &prunella.Error{Kind: prunella.Invalid, Where: cmd.Instance, Reason: "this is no VERIFIER/INSTANCE", Remedy: "copy it from: prunella keys status"}
	}
	instance, _, _ := strings.Cut(rest, "#") // status shows the cache too; a process has all of its caches or none
	return cmd.give(c, "forget", "/verifiers/"+url.PathEscape(verifier)+"/forget", map[string]any{"instance": instance}, func(done) string {
		return fmt.Sprintf("%s blocks nothing any more. If it still serves, it is not counted.", cmd.Instance)
	})
}

type keysResumeCmd struct{ keysOrder }

func (cmd keysResumeCmd) Run(c *console) error {
	return cmd.give(c, "resume", "/resume", nil, func(done) string { return "The schedule runs again." })
}

type keysHistoryCmd struct {
	keysTarget
	Limit int `help:"At most so many." default:"30"`
}

func (cmd keysHistoryCmd) Run(c *console) error {
	var list []rotation.Entry
	if err := cmd.ask(c.ctx, http.MethodGet, fmt.Sprintf("/history?limit=%d", cmd.Limit), nil, &list); err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(c.out, list)
	}
	t := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "WHEN\tBY\tWHAT\tKEY\tABOUT\tSTATE\tWHY")
	for _, e := range list {
		state, why := string(e.To), e.Note
		if e.From != "" && e.From != e.To {
			state = string(e.From) + " → " + state
		}
		if e.Override {
			why = "OVERRIDE: " + why
		}
		if e.Reason != nil && !e.Reason.Open {
			why = strings.TrimSpace(why + " (" + inWords(*e.Reason, nil) + ")")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", utc(e.At), cutText(e.By, 200), e.Action, orDash(string(e.Key)), orDash(cutText(e.Who, 200)), orDash(state), orDash(cutText(why, 4000)))
	}
	return t.Flush()
}
