package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"prunella"
	"prunella/rotation/audit"
)

// looks are the flags of who audits.
type looks struct {
	Verifier []string `help:"URL of a service that verifies these tokens: a GET that answers 401 without one. NAME=URL names it." placeholder:"[NAME=]URL" sep:"none"`
	JWKS     string   `help:"URL of the key set, when there is no discovery document." name:"jwks" placeholder:"URL"`

	TokenURL     string `help:"Token endpoint (client credentials), for a token of the signer." name:"token-url" placeholder:"URL"`
	ClientID     string `help:"Client id." name:"client-id" placeholder:"ID"`
	ClientSecret string `help:"Client secret." name:"client-secret" env:"PRUNELLA_CLIENT_SECRET" placeholder:"SECRET"`
	Audience     string `help:"Audience to ask a token for (Auth0 wants one)." placeholder:"AUD"`
	Scope        string `help:"Scope to ask a token for." placeholder:"SCOPE"`

	CanaryToken []string `help:"File with a token of this issuer, of any of its keys; - reads it from standard input." name:"canary-token" placeholder:"FILE" sep:"none"`

	RotationPeriod time.Duration `help:"How often a new key signs, to hold Cache-Control against." name:"rotation-period" placeholder:"720h"`
	Overlap        time.Duration `help:"How long before it signs a new key is published, to hold Cache-Control against." placeholder:"24h"`
	TokenLifetime  time.Duration `help:"How long the longest token lives; default: learned from the tokens." name:"token-lifetime" placeholder:"1h"`
}

// config reads the flags for one issuer, given as URL or NAME=URL.
func (l looks) config(issuer string) (audit.Config, error) {
	cfg := audit.Config{Issuer: issuer, JWKS: l.JWKS, RotationPeriod: l.RotationPeriod, Overlap: l.Overlap, TokenLifetime: l.TokenLifetime}
	for _, v := range l.Verifier {
		name, u := named(v)
		cfg.Verifiers = append(cfg.Verifiers, audit.Verifier{Name: name, URL: u})
	}
	if l.TokenURL != "" {
		cfg.Source = &audit.Source{URL: l.TokenURL, ID: l.ClientID, Secret: l.ClientSecret, Audience: l.Audience, Scope: l.Scope}
	} else if l.ClientID != "" {
		return cfg, &prunella.Error{Kind: prunella.Invalid, Reason: "there is a client and no token endpoint", Remedy: "add --token-url URL"}
	}
	for _, file := range l.CanaryToken {
		var b []byte
		var err error
		if file == "-" {
			b, err = io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
		} else {
			b, err = os.ReadFile(file)
		}
		if err != nil {
			return cfg, &prunella.Error{Kind: prunella.Invalid, Op: "read token", Where: file, Reason: "the file cannot be read", Err: err, Remedy: "name a file that holds a token"}
		}
		for _, t := range strings.Fields(string(b)) {
			cfg.Tokens = append(cfg.Tokens, strings.TrimSpace(t))
		}
	}
	return cfg, nil
}

// named reads NAME=URL, or a URL alone.
func named(s string) (name, url string) {
	if name, url, ok := strings.Cut(s, "="); ok && !strings.ContainsAny(name, ":/?") {
		return name, url
	}
	return "", s
}

type keysCheckCmd struct {
	looks
	Issuer string   `arg:"" help:"The issuer's URL, as its tokens state it in iss." placeholder:"URL"`
	Since  string   `help:"When the signer began to sign, if you know (RFC 3339)." placeholder:"TIME"`
	Old    []string `help:"A kid that signed before, if you know: not the next key." placeholder:"KID" sep:"none"`
	Next   []string `help:"A kid that is to sign next, if you know." placeholder:"KID" sep:"none"`
	JSON   bool     `help:"Print JSON." name:"json"`
}

func (cmd keysCheckCmd) Run(c *console) error {
	cfg, err := cmd.config(cmd.Issuer)
	if err != nil {
		return err
	}
	cfg.Old, cfg.Next = cmd.Old, cmd.Next
	if cmd.Since != "" {
		if cfg.SignerSince, err = time.Parse(time.RFC3339, cmd.Since); err != nil {
			return &prunella.Error{Kind: prunella.Invalid, Where: "--since " + cmd.Since, Reason: "this is no time", Remedy: "write 2026-11-22T05:00:00Z"}
		}
	}
	r, err := audit.Run(c.ctx, cfg)
	if err != nil {
		return keysError(err)
	}
	if cmd.JSON {
		err = printJSON(c.out, struct {
			audit.Report
			Problems int `json:"problems"`
		}{r, r.Problems()})
	} else {
		err = c.audit(r)
	}
	if err == nil && r.Problems() > 0 {
		err = errFailed
	}
	return err
}

// audit prints a report in a screen.
func (c *console) audit(r audit.Report) error {
	fmt.Fprintf(c.out, "%s\n", c.paint(bold, r.Issuer))
	if r.JWKS != "" {
		fmt.Fprintf(c.out, "key set %s, %s\n", r.JWKS, cacheWords(r.Cache))
	}
	fmt.Fprintln(c.out)
	t := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tALG\tSTRENGTH\tROLE\tTHUMBPRINT")
	for _, k := range r.Keys {
		role := string(k.Role)
		if k.Role == audit.Other {
			role = "next or previous"
		}
		print := k.Thumbprint
		if len(print) > 12 {
			print = print[:12] + "…"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", cutText(k.ID, 48), orDash(k.Algorithm), orDash(k.Strength), role, orDash(print))
	}
	if len(r.Verifiers) > 0 {
		fmt.Fprintln(t)
		fmt.Fprintln(t, "VERIFIER\tKEY\tTRUST\tANSWER")
		for _, v := range r.Verifiers {
			if len(v.Trust) == 0 {
				fmt.Fprintf(t, "%s\t–\tnot shown a token\t%s\n", v.Name, v.Guard)
			}
			for _, one := range v.Trust {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", v.Name, cutText(one.Key, 48), one.Outcome, cutText(one.Detail, 80))
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Removal) > 0 {
		fmt.Fprintln(c.out, "\nMay it be removed now?")
		style := map[string]string{"yes": green, "no": red, "unknown": yellow}
		for _, v := range r.Removal {
			fmt.Fprintf(c.out, "  %s  %s\n", c.paint(style[v.Answer], cutText(v.Key, 48)), wrap(v.Text, 96, 4))
		}
	}
	fmt.Fprintln(c.out)
	style := map[audit.Severity]string{audit.Error: red, audit.Warning: yellow, audit.Note: dim}
	for _, f := range r.Findings {
		fmt.Fprintf(c.out, "%s %s [%s]\n    %s\n", c.paint(style[f.Severity], string(f.Severity)+":"), cutText(f.Subject, 80), f.Rule, wrap(cutText(f.Evidence, 400), 96, 4))
		if f.Remedy != "" {
			fmt.Fprintf(c.out, "    Next: %s\n", wrap(f.Remedy, 96, 10))
		}
	}
	_, err := fmt.Fprintf(c.out, "%d keys, %d verifiers, %d problems\n", len(r.Keys), len(r.Verifiers), r.Problems())
	return err
}

func cacheWords(c audit.Cache) string {
	if c.MaxAge < 0 {
		return "which does not say how long a copy may be used"
	}
	return "a copy may be used for " + (time.Duration(c.MaxAge) * time.Second).String()
}

// cutText shortens what somebody else wrote, for one line of a terminal.
func cutText(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) { // also what turns the direction of writing, or is a terminal's command in one rune
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
