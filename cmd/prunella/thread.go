package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"prunella"
	"prunella/action"
	"prunella/app"
	"prunella/thread"
	"prunella/thread/polish"
)

type threadCmd struct {
	Import  threadImportCmd  `cmd:"" help:"Read a Slack export into the data folder, redacted."`
	Extract threadExtractCmd `cmd:"" help:"Find the incidents among imported messages and draft skills from them."`
	List    threadListCmd    `cmd:"" help:"List the incidents found and the drafts that wait for a person."`
	Accept  threadAcceptCmd  `cmd:"" help:"Make a draft a skill as it was read, or apply the change that it proposes."`
}

// archive is where imported messages are kept.
type archive struct {
	Data string `help:"Folder for everything that is kept, as of serve." default:"data" env:"PRUNELLA_DATA" placeholder:"DIR"`
}

// folder is which wiki drafts are written to.
type folder struct {
	Wiki string `help:"Folder of the wiki: drafts/ and skills/ stand in it." default:"wiki" env:"PRUNELLA_WIKI" placeholder:"DIR"`
}

// importBatch is how many messages one transaction stores.
const importBatch = 2000

type threadImportCmd struct {
	archive
	Export    string `arg:"" help:"The ZIP file that Slack made, or the folder it unpacks to." placeholder:"EXPORT"`
	Workspace string `help:"Address of the workspace, for links: https://acme.slack.com. Default: learned from links in the messages."`
	JSON      bool   `help:"Print JSON." name:"json"`
}

// imported is what import prints.
type imported struct {
	thread.Report
	thread.Put
	Error string `json:"error,omitempty"` // reading ended early; what was read before is stored
}

func (cmd threadImportCmd) Run(c *console) error {
	e, err := thread.OpenExport(cmd.Export)
	if err != nil {
		return err
	}
	defer e.Close()
	s, err := thread.OpenStore(c.ctx, cmd.Data)
	if err != nil {
		return err
	}
	defer s.Close()
	e.Directory().Workspace = strings.TrimRight(cmp.Or(cmd.Workspace, e.Directory().Workspace), "/")
	if err := s.PutDirectory(c.ctx, e.Directory()); err != nil {
		return err
	}
	out, failed := imported{}, error(nil)
	var batch []thread.Message
	flush := func() error {
		p, err := s.Put(c.ctx, batch)
		out.Added, out.Updated, out.Unchanged = out.Added+p.Added, out.Updated+p.Updated, out.Unchanged+p.Unchanged
		batch = batch[:0]
		c.progress("%d messages", out.Added+out.Updated+out.Unchanged)
		return err
	}
	for m, err := range e.Messages() {
		if err != nil {
			failed = err
			break
		}
		if batch = append(batch, m); len(batch) == importBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	c.progressDone()
	out.Report = e.Report()
	if failed != nil {
		out.Error = failed.Error()
	}
	if cmd.JSON {
		return errors.Join(printJSON(c.out, out), failed)
	}
	fmt.Fprintf(c.out, "%d messages of %d channels and %d people: %d new, %d updated, %d known already.\n", out.Messages, out.Channels, out.Users, out.Added, out.Updated, out.Unchanged)
	for _, p := range out.Problems {
		fmt.Fprintf(c.out, "  %s: %s\n", p.File, p.Text)
	}
	for _, g := range out.Gaps {
		fmt.Fprintf(c.out, "  #%s %s: Slack counts %d replies and the export has %d\n", g.Channel, g.TS, g.Want, g.Have)
	}
	switch {
	case failed != nil:
	case out.Messages == 0:
		fmt.Fprintf(c.out, "Nothing to extract from. A Slack export has a folder for each channel and in it a file for each day: <channel>/2026-04-19.json\n")
	default:
		fmt.Fprintf(c.out, "Next: prunella thread extract\n")
	}
	return failed
}

// progress rewrites one line on a terminal.
func (c *console) progress(format string, args ...any) {
	if c.tty {
		fmt.Fprintf(c.err, "\r\x1b[K%s", fmt.Sprintf(format, args...))
	}
}

func (c *console) progressDone() {
	if c.tty {
		fmt.Fprint(c.err, "\r\x1b[K")
	}
}

type threadExtractCmd struct {
	archive
	folder
	Export  string `help:"Read this export directly, and store nothing." placeholder:"EXPORT"`
	Channel string `help:"Only this channel."`
	Since   string `help:"Only conversations that began on this day (2026-04-19) or later, or in the last so many days (30d)." placeholder:"DAY"`
	Dry     bool   `help:"Write no drafts."`
	Polish  bool   `help:"Let the language model that the configuration names under polish: smooth the prose. Off unless asked for: it sees the redacted text, and what it claims without a source is dropped and listed."`
	Config  string `help:"With --polish: the configuration file (docs/configuration.md)." short:"c" placeholder:"FILE"`
	JSON    bool   `help:"Print JSON: everything that was extracted." name:"json"`
}

// extracted is what extract prints.
type extracted struct {
	thread.Result
	Drafts []drafted `json:"drafts"`
}

// drafted is a draft and, with --polish, what the model made of it.
type drafted struct {
	thread.Drafted
	Polish     *polish.Report `json:"polish,omitempty"`
	Unpolished string         `json:"unpolished,omitempty"` // why the model could not be asked; the prose is as people wrote it
}

func (cmd threadExtractCmd) Run(c *console) error {
	since, err := day(cmd.Since, time.Now())
	if err != nil {
		return err
	}
	w := thread.Distiller{Wiki: cmd.Wiki, Dry: cmd.Dry}
	asked := map[string]drafted{} // by name of the draft
	if w.Smooth, err = cmd.smooth(asked); err != nil {
		return err
	}
	opt := thread.Options{Channel: cmd.Channel, Since: since, Progress: func(n int) { c.progress("%d messages", n) }}
	dir, messages, done, err := cmd.source(c.ctx)
	if err != nil {
		return err
	}
	defer done()
	r, drafts, err := w.Run(c.ctx, dir, messages, opt)
	c.progressDone()
	if err != nil {
		return err
	}
	out := extracted{Result: r, Drafts: []drafted{}}
	for _, d := range drafts {
		one := asked[d.Name]
		one.Drafted = d
		out.Drafts = append(out.Drafts, one)
	}
	if cmd.JSON {
		return printJSON(c.out, out)
	}
	c.tellExtracted(out)
	return nil
}

// smooth asks the configured model to go over a draft, and keeps what came of it
// under the draft's name. Without --polish there is none.
func (cmd threadExtractCmd) smooth(asked map[string]drafted) (func(context.Context, thread.Draft) thread.Draft, error) {
	if !cmd.Polish {
		if cmd.Config != "" {
			return nil, usage("--config goes with --polish")
		}
		return nil, nil
	}
	if cmd.Config == "" {
		return nil, usage("--polish needs --config FILE, which names the model under polish:")
	}
	cfg, err := app.LoadConfig(cmd.Config)
	if err != nil {
		return nil, err
	}
	p, err := cfg.Polish.Polisher()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, d thread.Draft) thread.Draft {
		smooth, report, err := p.Draft(ctx, d)
		one := drafted{Polish: &report}
		if err != nil {
			one = drafted{Unpolished: err.Error()}
		}
		asked[d.Name] = one
		return smooth
	}, nil
}

// source opens the export, or the store.
func (cmd threadExtractCmd) source(ctx context.Context) (*thread.Directory, iter.Seq2[thread.Message, error], func(), error) {
	if cmd.Export != "" {
		e, err := thread.OpenExport(cmd.Export)
		if err != nil {
			return nil, nil, nil, err
		}
		return e.Directory(), e.Messages(), func() { e.Close() }, nil
	}
	s, err := thread.OpenStore(ctx, cmd.Data)
	if err != nil {
		return nil, nil, nil, err
	}
	dir, err := s.Directory(ctx)
	if err != nil {
		return nil, nil, nil, errors.Join(err, s.Close())
	}
	return dir, s.Messages(ctx, cmd.Channel), func() { s.Close() }, nil
}

func day(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	var n int
	var unit string
	if _, err := fmt.Sscanf(text, "%d%s", &n, &unit); err == nil && unit == "d" && n > 0 {
		return now.AddDate(0, 0, -n), nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, prunella.Errorf(prunella.Invalid, "--since %q is no day (write 2026-04-19, or 30d for the last thirty days)", text)
	}
	return t, nil
}

func (c *console) tellExtracted(out extracted) {
	w := c.out
	for _, x := range out.Extractions {
		fmt.Fprintf(w, "%s\n", c.paint(bold, x.Title))
		fmt.Fprintf(w, "  #%s  %s  %d messages, reported by %s\n", x.Channel, x.Started.Format("2006-01-02 15:04"), len(x.Messages), x.Reporter)
		for _, m := range x.Times {
			fmt.Fprintf(w, "  %-10s %s  (%s)\n", m.Name, m.At.Format("15:04 UTC"), strings.TrimSuffix(m.Rule+": "+m.Why, ": "))
		}
		for _, a := range x.Tried {
			sign, style := "·", dim
			switch a.Outcome {
			case thread.Worked:
				sign, style = "✓", green
			case thread.Failed:
				sign, style = "✗", red
			}
			fmt.Fprintf(w, "  %s %s\n", c.paint(style, sign), wrap(a.Text+" ("+a.Outcome+": "+strings.TrimLeft(a.Why, " ,–-")+")", 90, 4))
		}
		fmt.Fprintf(w, "  %d symptoms, %d ruled out, %d commands, %d follow-ups; owners: %s\n", len(x.Symptoms), len(x.RuledOut), len(x.Commands), len(x.FollowUps), orDash(strings.Join(x.Owners, " ")))
		for _, r := range x.Recurrence {
			fmt.Fprintf(w, "  again (%d): %s\n", x.Occurrence, wrap(r.Text, 86, 4))
		}
		fmt.Fprintf(w, "  an incident because (%.1f, from %.1f):", x.Score, thread.Threshold)
		for _, r := range x.Reasons {
			fmt.Fprintf(w, " %s %s", r.Name, r.Operands["weight"])
		}
		fmt.Fprint(w, "\n\n")
	}
	for _, d := range out.Drafts {
		switch {
		case d.Problem != "":
			fmt.Fprintf(w, "Kept: %s\n", d.Problem)
		case d.Of != nil:
			fmt.Fprintf(w, "Change proposed to %s (%s): %s\n", d.Name, d.Version, orDash(d.Path))
			for _, t := range d.Changes {
				fmt.Fprintf(w, "    + %s\n", wrap(t, 90, 6))
			}
		default:
			fmt.Fprintf(w, "Draft: %s\n", cmp.Or(d.Path, d.Name))
		}
		if d.Unpolished != "" {
			fmt.Fprintf(w, "    not polished: %s\n", wrap(d.Unpolished, 90, 6))
		}
		if p := d.Polish; p != nil {
			fmt.Fprintf(w, "    polished by %s: %d of %d lines read otherwise now, %d claims dropped\n", p.Model, p.Changed, p.Lines, len(p.Dropped))
			for _, x := range p.Dropped {
				fmt.Fprintf(w, "    - %s\n", wrap(fmt.Sprintf("%s: “%s”: %s", x.Section, x.Claim, x.Reason), 90, 6))
			}
		}
	}
	fmt.Fprintf(w, "%d messages, %d incidents, %d drafts, %d conversations passed over.\n", out.Messages, len(out.Extractions), len(out.Drafts), len(out.Passed))
	if len(out.Drafts) > 0 {
		fmt.Fprintf(w, "Read a draft, then: prunella thread accept %s\n", out.Drafts[0].Name)
	}
}

type threadListCmd struct {
	archive
	folder
	JSON bool `help:"Print JSON." name:"json"`
}

// listed is what list prints.
type listed struct {
	Conversations []conversation   `json:"conversations"`
	Drafts        []thread.Written `json:"drafts"`
}

type conversation struct {
	Key          string    `json:"key"`
	Title        string    `json:"title"`
	Started      time.Time `json:"started"`
	Messages     int       `json:"messages"`
	Occurrence   int       `json:"occurrence"`
	RecurrenceOf string    `json:"recurrence_of"`
	State        string    `json:"state"` // new | drafted | skill
	In           string    `json:"in"`    // the draft or skill that holds it
}

func (cmd threadListCmd) Run(c *console) error {
	known, err := thread.KnownSkills(cmd.Wiki)
	if err != nil {
		return err
	}
	drafts, err := thread.ListDrafts(cmd.Wiki)
	if err != nil {
		return err
	}
	out := listed{Conversations: []conversation{}, Drafts: append([]thread.Written{}, drafts...)}
	if _, err := os.Stat(cmd.Data); err == nil {
		dir, messages, done, err := threadExtractCmd{archive: cmd.archive}.source(c.ctx)
		if err != nil {
			return err
		}
		defer done()
		r, err := thread.Extract(c.ctx, dir, messages, thread.Options{Known: known, Progress: func(n int) { c.progress("%d messages", n) }})
		c.progressDone()
		if err != nil {
			return err
		}
		for _, x := range r.Extractions {
			one := conversation{Key: x.Key(), Title: x.Title, Started: x.Started, Messages: len(x.Messages), Occurrence: x.Occurrence, RecurrenceOf: x.RecurrenceOf}
			one.State, one.In = stateOf(x, known, drafts)
			out.Conversations = append(out.Conversations, one)
		}
	}
	if cmd.JSON {
		return printJSON(c.out, out)
	}
	if len(out.Conversations)+len(out.Drafts) == 0 {
		_, err := fmt.Fprintln(c.out, "Nothing imported yet. Start with: prunella thread import EXPORT.zip")
		return err
	}
	t := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "STARTED\tSTATE\tTIME\tIN\tCONVERSATION\tTITLE")
	for _, x := range out.Conversations {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\n", x.Started.Format("2006-01-02 15:04"), x.State, x.Occurrence, orDash(x.In), x.Key, x.Title)
	}
	for _, d := range out.Drafts {
		kind := "draft"
		if d.Change {
			kind = "change"
		}
		if d.Edited {
			kind += ", edited"
		}
		fmt.Fprintf(t, "–\t%s\t–\t%s\t%s\t%s\n", kind, d.Name, d.Version, d.Title)
	}
	return t.Flush()
}

// stateOf tells where a conversation has got to.
func stateOf(x thread.Extraction, known []thread.Known, drafts []thread.Written) (state, in string) {
	for _, k := range known {
		if strings.Contains(k.Text, x.Key()) {
			return "skill", k.Name
		}
	}
	for _, d := range drafts {
		if b, err := os.ReadFile(d.Path); err == nil && strings.Contains(string(b), x.Key()) {
			return "drafted", d.Name
		}
	}
	return "new", ""
}

type threadAcceptCmd struct {
	folder
	Name string `arg:"" help:"Name of the draft, as list shows it."`
	As   string `help:"Who accepts it. Default: the user who is logged in." placeholder:"WHO"`
	JSON bool   `help:"Print JSON." name:"json"`
}

func (cmd threadAcceptCmd) Run(c *console) error {
	who := cmd.As
	if who == "" {
		if u, err := user.Current(); err == nil {
			who = u.Username
		}
	}
	a, err := thread.Accept(cmd.Wiki, cmd.Name, who, time.Now(), action.Catalog()...)
	if err != nil {
		return err
	}
	w, err := pages{Wiki: cmd.Wiki}.open(c)
	if err != nil {
		return err
	}
	defer w.Close()
	saved, err := app.Carry(c.ctx, w, cmd.Wiki, a)
	if err != nil {
		return err
	}
	out := acceptedDraft{Acceptance: a, Commit: saved.Commit, Uncommitted: saved.Uncommitted}
	if cmd.JSON {
		return printJSON(c.out, out)
	}
	what := "is a skill now"
	if a.Change {
		what = "has the change now"
	}
	if out.Uncommitted != "" {
		fmt.Fprintf(c.err, "Note: %s\n", out.Uncommitted)
	}
	_, err = fmt.Fprintf(c.out, "%s %s: %s, version %s, accepted by %s.\nNext: prunella skill lint %s\n", a.Name, what, a.Path, a.Version, a.By, a.Path)
	return err
}

// acceptedDraft is what accept prints.
type acceptedDraft struct {
	thread.Acceptance
	Commit      string `json:"commit,omitempty"`      // of the skill, where the wiki is kept in git
	Uncommitted string `json:"uncommitted,omitempty"` // why there is none
}
