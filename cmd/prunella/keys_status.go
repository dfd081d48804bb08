package main

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"prunella/rotation"
)

type keysStatusCmd struct {
	keysTarget
	All bool `help:"Show every instance; default: at most 40, those who block first."`
}

// keysBoard is what status shows.
type keysBoard struct {
	Status    rotation.Status           `json:"status"`
	Verifiers []rotation.VerifierStatus `json:"verifiers"`
	Verdicts  []keyVerdict              `json:"verdicts"`
}

// keyVerdict is a gate's answer in words.
type keyVerdict struct {
	Gate  rotation.Gate  `json:"gate"`
	Key   rotation.KeyID `json:"kid"`
	Open  bool           `json:"open"`
	Text  string         `json:"text"`
	Names []string       `json:"names"`
	Next  []string       `json:"next"`
}

const shownRows = 40

func (cmd keysStatusCmd) Run(c *console) error {
	var b keysBoard
	if err := cmd.ask(c.ctx, http.MethodGet, "/status", nil, &b.Status); err != nil {
		return err
	}
	if err := cmd.ask(c.ctx, http.MethodGet, "/verifiers", nil, &b.Verifiers); err != nil {
		return err
	}
	for _, g := range b.Status.Gates {
		v := keyVerdict{Gate: g.Gate, Key: g.Key, Open: g.Open, Text: inWords(g, b.Status.Keys), Names: g.Names(), Next: []string{}}
		if v.Names == nil {
			v.Names = []string{}
		}
		if !g.Open && g.Gate != rotation.ShouldReturn {
			v.Next = nextSteps(g)
		}
		b.Verdicts = append(b.Verdicts, v)
	}
	if cmd.JSON {
		return printJSON(c.out, b)
	}
	return c.board(b, cmd.All)
}

func (c *console) board(b keysBoard, everybody bool) error {
	s := b.Status
	fmt.Fprintf(c.out, "%s\n", c.paint(bold, s.Issuer))
	line := fmt.Sprintf("version %d, node %s, %s", s.Version, s.Node, s.Now.UTC().Format(time.RFC3339))
	if !s.NextChange.IsZero() {
		line += ", next change " + away(s.NextChange.Sub(s.Now))
	}
	fmt.Fprintln(c.out, line)
	if s.Halted != "" {
		fmt.Fprintf(c.out, "%s %s. Then: prunella keys resume\n", c.paint(red, "HALTED:"), s.Halted)
	}
	fmt.Fprintln(c.out)
	t := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tALG\tSTATE\tSINCE\tTHUMBPRINT")
	var keys []rotation.Key
	for _, k := range s.Keys {
		if k.State == rotation.Removed || k.State == rotation.Revoked {
			continue
		}
		keys = append(keys, k)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Algorithm, k.State, ago(s.Now.Sub(k.Since)), orDash(shortPrint(k.Thumbprint)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := c.instances(b, keys, everybody); err != nil {
		return err
	}
	fmt.Fprintln(c.out)
	for _, k := range keys {
		for i, g := range s.Gates {
			if g.Key != k.ID && !(g.Gate == rotation.ShouldReturn && k.State == rotation.Active) || g.Gate == rotation.ShouldReturn && k.State != rotation.Active {
				continue
			}
			v := b.Verdicts[i]
			fmt.Fprintf(c.out, "%s  %s\n", c.paint(bold, string(k.ID)), wrap(question(g)+v.Text, 100, len(k.ID)+2))
			c.blockers(g)
			for _, step := range v.Next {
				fmt.Fprintf(c.out, "    Next: %s\n", wrap(step, 100, 10))
			}
		}
	}
	return nil
}

// instances prints who holds what: a row for each cache, a column for each key.
func (c *console) instances(b keysBoard, keys []rotation.Key, everybody bool) error {
	if len(b.Verifiers) == 0 {
		_, err := fmt.Fprintln(c.out, "\nNo verifiers are declared: nobody is waited for.")
		return err
	}
	blocks := map[rotation.Who]bool{}
	for _, g := range b.Status.Gates {
		for _, x := range g.Blockers {
			blocks[x.Who] = true
			blocks[rotation.Who{Verifier: x.Verifier}] = true
		}
	}
	type row struct {
		rank int
		text string
	}
	var rows []row
	for _, v := range b.Verifiers {
		if len(v.Instances) == 0 {
			note := string(v.Class)
			if v.Class == rotation.Answering {
				note = "none has told"
			}
			cells := strings.Repeat("\t?", len(keys))
			if v.Class == rotation.Timed {
				note = "within " + short(v.Within)
			}
			rows = append(rows, row{rank(blocks[rotation.Who{Verifier: v.Name}]), v.Name + "\t" + note + cells})
		}
		for _, i := range v.Instances {
			rows = append(rows, row{rank(blocks[i.Who]), shortWho(i.Who) + "\t" + leaseOf(i, b.Status.Now) + cellsOf(i, keys, b.Status)})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.rank, b.rank) })
	fmt.Fprintln(c.out)
	t := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprint(t, "VERIFIER\tLEASE")
	for _, k := range keys {
		fmt.Fprintf(t, "\t%s", k.ID)
	}
	fmt.Fprintln(t)
	for n, r := range rows {
		if n == shownRows && !everybody {
			break
		}
		fmt.Fprintln(t, r.text)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(rows) > shownRows && !everybody {
		fmt.Fprintf(c.out, "… and %d more (--all)\n", len(rows)-shownRows)
	}
	return nil
}

func rank(blocks bool) int {
	if blocks {
		return 0
	}
	return 1
}

func leaseOf(i rotation.Instance, now time.Time) string {
	left := i.Received.Add(i.Lease).Sub(now)
	if left < 0 {
		return "out since " + short(-left)
	}
	return "told " + short(now.Sub(i.Received)) + " ago, " + short(left) + " left"
}

// cellsOf is what an instance has of each key: no, other, holds, proven, seen.
func cellsOf(i rotation.Instance, keys []rotation.Key, s rotation.Status) string {
	text := ""
	for _, k := range keys {
		cell := "no"
		for _, h := range i.Held {
			switch {
			case h.ID != k.ID:
			case h.Thumbprint != k.Thumbprint:
				cell = "OTHER KEY"
			case h.Seen.IsZero():
				cell = "holds"
				if k.State == rotation.Proven {
					cell = "proven"
				}
			case k.State.Waiting():
				cell = "proven"
			default:
				cell = "seen " + ago(s.Now.Sub(h.Seen))
			}
		}
		text += "\t" + cell
	}
	return text
}

// blockers lists who is in the way of a gate, one a line.
func (c *console) blockers(r rotation.Reason) {
	const shown = 20
	width := 1
	for _, b := range r.Blockers[:min(shown, len(r.Blockers))] {
		width = max(width, len(shortWho(b.Who)))
	}
	for n, b := range r.Blockers {
		if n == shown {
			fmt.Fprintf(c.out, "    … and %d more\n", len(r.Blockers)-shown)
			return
		}
		who := "–"
		if b.Verifier != "" {
			who = shortWho(b.Who)
		}
		until := ""
		if !b.Until.IsZero() {
			until = " (until " + b.Until.UTC().Format(time.RFC3339) + ")"
		}
		fmt.Fprintf(c.out, "    %-*s  %-14s %s%s\n", width, who, b.Code, b.Detail, until)
	}
}

func (c *console) next(r rotation.Reason) {
	for _, step := range nextSteps(r) {
		fmt.Fprintf(c.out, "Next: %s\n", wrap(step, 100, 6))
	}
}

// shortWho leaves out a cache's long random name but for its beginning.
func shortWho(w rotation.Who) string {
	if len(w.Cache) > 14 {
		w.Cache = w.Cache[:14]
	}
	return w.String()
}

func shortPrint(t rotation.Thumbprint) string {
	if len(t) > 12 {
		return string(t[:12]) + "…"
	}
	return string(t)
}

func ago(d time.Duration) string { return short(d) + " ago" }

func away(d time.Duration) string {
	if d < 0 {
		return "due " + ago(-d) + ", see below"
	}
	return "in " + short(d)
}

// short is a duration as a person says it.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}
