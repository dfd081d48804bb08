package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"prunella"
	"prunella/client"
)

// remote is a running server.
type remote struct {
	Server string `help:"Base URL of the server." default:"http://127.0.0.1:7070" env:"PRUNELLA_SERVER" placeholder:"URL"`
}

type incidentCmd struct {
	List     incidentListCmd `cmd:"" help:"List incidents, newest first."`
	Show     incidentShowCmd `cmd:"" help:"Show one incident: what, how bad, why, what is being done."`
	Approve  approveCmd      `cmd:"" help:"Say yes to the plan that waits for an approval."`
	Deny     denyCmd         `cmd:"" help:"Say no to the plan that waits for an approval."`
	Escalate escalateCmd     `cmd:"" help:"Take an incident from the engine: it does nothing more about it, and you hold it."`
	HandBack handBackCmd     `cmd:"" name:"hand-back" help:"Give an incident that a person holds back to the engine, which diagnoses it anew."`
	Resolve  resolveCmd      `cmd:"" help:"Say that an incident is over."`
}

type incidentListCmd struct {
	remote
	Open  bool `help:"Only those not resolved."`
	Limit int  `help:"At most so many." default:"50"`
	JSON  bool `help:"Print JSON." name:"json"`
}

func (cmd incidentListCmd) Run(c *console) error {
	list, err := client.New(cmd.Server).Incidents(c.ctx, client.IncidentQuery{Open: cmd.Open, Limit: cmd.Limit})
	if err != nil {
		return err
	}
	return printList(c.out, cmd.JSON, list, "No incidents. To see one: prunella demo", "ID\tSEVERITY\tSTATE\tPATTERN\tCAUSE\tOPENED\tTITLE", func(i prunella.Incident) []string {
		cause := "–"
		if len(i.Causes) > 0 {
			cause = string(i.Causes[0].Fault)
		}
		return []string{string(i.ID), string(i.Severity), string(i.State), i.Pattern.Pattern, cause, utc(i.OpenedAt), i.Title}
	})
}

type incidentShowCmd struct {
	remote
	ID   string `arg:"" help:"The incident's id, as list shows it."`
	JSON bool   `help:"Print JSON." name:"json"`
}

func (cmd incidentShowCmd) Run(c *console) error {
	v, err := client.New(cmd.Server).Incident(c.ctx, prunella.IncidentID(cmd.ID))
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(c.out, v)
	}
	c.incident(v)
	return nil
}

func (c *console) incident(v client.IncidentView) {
	i, w := v.Incident, c.out
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-10s %s\n", name, wrap(fmt.Sprintf(format, args...), 88, 13))
	}
	fmt.Fprintf(w, "%s  %s\n", i.ID, i.Title)
	row("state", "%s: %s", i.State, brief(i.StateReason.Text))
	if _, givenUp := i.Holder(); givenUp != "" {
		row("given up", "%s", brief(givenUp))
	}
	row("severity", "%s: %s", i.Severity, i.SeverityReason.Text)
	row("pattern", "%s (%.0f %%)", i.Pattern.Pattern, 100*i.Pattern.Confidence)
	row("onset", "%s, %d signals from %d monitors", utc(i.Onset), v.SignalsTotal, len(i.Monitors))
	if i.Verdict != "" {
		row("verdict", "%s: %s", i.Verdict, i.VerdictReason.Text)
	}
	for n, cause := range i.Causes {
		fmt.Fprintf(w, "\n  %d. %s in %s (%.0f %%)\n", n+1, cause.Fault, orDash(cause.Service), 100*cause.Confidence)
		if cause.Summary != "" {
			fmt.Fprintf(w, "     %s\n", wrap(brief(cause.Summary), 90, 5))
		}
		for _, e := range cause.For {
			fmt.Fprintf(w, "     + %s\n", wrap(brief(e.Text), 88, 7))
		}
		for _, e := range cause.Against {
			fmt.Fprintf(w, "     - %s\n", wrap(brief(e.Text), 88, 7))
		}
	}
	for _, run := range v.Runs {
		fmt.Fprintf(w, "\n  Run %s: %s (%s, policy: %s)\n", run.ID, run.Title, run.State, run.Policy.Reason.Text)
		for _, s := range run.Steps {
			fmt.Fprintf(w, "     %-9s %s\n", s.State, s.Name)
		}
	}
	for _, a := range v.Approvals {
		if a.Decision == "" {
			fmt.Fprintf(w, "\n  This waits for you until %s:\n     prunella incident approve %s\n     prunella incident deny %s\n", utc(a.Expires), i.ID, i.ID)
		}
	}
	switch i.State {
	case prunella.Escalated:
		if by, _ := i.Holder(); by != "" {
			fmt.Fprintf(w, "\n  %s is on it, and the engine leaves it alone. ", by)
		} else {
			fmt.Fprintf(w, "\n  It waits for a person, and the engine leaves it alone. To take it:\n     prunella incident escalate %s --reason WHY\n  ", i.ID)
		}
		fmt.Fprintf(w, "When it is over, or the engine may go on:\n     prunella incident resolve %s --reason WHY\n     prunella incident hand-back %s --reason WHY\n", i.ID, i.ID)
	case prunella.Healing, prunella.Verifying:
		fmt.Fprintf(w, "\n  The engine is at it. To stop it and take over:\n     prunella incident escalate %s --reason WHY\n", i.ID)
	}
	fmt.Fprintln(w, "\n  Timeline, in UTC")
	for _, e := range v.Events {
		fmt.Fprintf(w, "  %s  %-10s %s\n", e.At.UTC().Format(time.TimeOnly), e.Kind, wrap(brief(e.Text), 78, 22))
	}
}

// word is who says something about an incident.
type word struct {
	remote
	ID string `arg:"" help:"The incident's id, as list shows it."`
	By string `help:"Who says so." env:"USER" required:"" placeholder:"NAME"`
}

// answer is what approve and deny have in common.
type answer struct {
	word
	Reason string `help:"Why, for the timeline." aliases:"note" placeholder:"WHY"`
	Hash   string `help:"Hash of the plan that you read; another plan is refused. Default: of the plan that waits now." placeholder:"HASH"`
}

type (
	approveCmd struct{ answer }
	denyCmd    struct{ answer }
)

func (cmd approveCmd) Run(c *console) error { return cmd.decide(c, "approved") }
func (cmd denyCmd) Run(c *console) error    { return cmd.decide(c, "denied") }

func (a answer) decide(c *console, decision string) error {
	api := client.New(a.Server)
	v, err := api.Incident(c.ctx, prunella.IncidentID(a.ID))
	if err != nil {
		return err
	}
	for _, ask := range v.Approvals {
		if ask.Decision != "" {
			continue
		}
		hash := a.Hash
		if hash == "" {
			hash = ask.Hash
		}
		if _, err := api.Decide(c.ctx, ask.ID, client.Decision{Decision: decision, By: a.By, Note: a.Reason, Hash: hash}); err != nil {
			return err
		}
		_, err := fmt.Fprintf(c.out, "%s by %s: %s\n", decision, a.By, v.Incident.Title)
		return err
	}
	return &prunella.Error{Kind: prunella.NotFound, Where: a.ID, Reason: "nothing waits for an approval", Remedy: "prunella incident show " + a.ID + " says where it stands"}
}

// order is what escalate, hand-back and resolve have in common.
type order struct {
	word
	Reason string `help:"Why, for the timeline and for whoever comes next." required:"" placeholder:"WHY"`
	JSON   bool   `help:"Print the incident as JSON." name:"json"`
}

type (
	escalateCmd struct{ order }
	handBackCmd struct{ order }
	resolveCmd  struct{ order }
)

func (cmd escalateCmd) Run(c *console) error {
	return cmd.give(c, (*client.Client).Escalate, "%s holds it now, and the engine does nothing more about it: %s\n")
}

func (cmd handBackCmd) Run(c *console) error {
	return cmd.give(c, (*client.Client).HandBack, "handed back by %s; the engine looks at it anew: %s\n")
}

func (cmd resolveCmd) Run(c *console) error {
	return cmd.give(c, (*client.Client).Resolve, "resolved by %s: %s\n")
}

// give carries an order out and tells in a format of who and the incident's title.
func (o order) give(c *console, act func(*client.Client, context.Context, prunella.IncidentID, client.Note) (prunella.Incident, error), told string) error {
	if strings.TrimSpace(o.Reason) == "" {
		return usage("--reason is empty; say why in a few words")
	}
	inc, err := act(client.New(o.Server), c.ctx, prunella.IncidentID(o.ID), client.Note{By: o.By, Note: o.Reason})
	if err != nil {
		return err
	}
	if o.JSON {
		return printJSON(c.out, inc)
	}
	_, err = fmt.Fprintf(c.out, told, o.By, inc.Title)
	return err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printList prints a list as JSON, or as a table with a row for each; none says
// what to do when there is nothing.
func printList[T any](w io.Writer, asJSON bool, list []T, none, head string, row func(T) []string) error {
	switch {
	case asJSON:
		return printJSON(w, list)
	case len(list) == 0:
		_, err := fmt.Fprintln(w, none)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, head)
	for _, one := range list {
		fmt.Fprintln(t, strings.Join(row(one), "\t"))
	}
	return t.Flush()
}
