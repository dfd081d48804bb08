package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"prunella"
	"prunella/skill"
	"prunella/wiki"
)

type wikiCmd struct {
	Check  wikiCheckCmd  `cmd:"" help:"Look for broken links, orphans, stale pages, duplicates and faulty skills. Exit 1 when a link or a page is broken."`
	Search wikiSearchCmd `cmd:"" help:"Search pages for words, identifiers and \"phrases\"."`
	Rename wikiRenameCmd `cmd:"" help:"Rename a page and update the links to it."`
	Copy   wikiCopyCmd   `cmd:"" help:"Copy the pages that come with Prunella into a folder of your own."`
}

// pages is which wiki is meant.
type pages struct {
	Wiki string `help:"Folder of the wiki. Default: the pages that come with Prunella." env:"PRUNELLA_WIKI" placeholder:"DIR"`
}

// open opens the wiki. The index of a folder is kept in the user's cache; it is
// held against the files each time.
func (p pages) open(c *console) (*wiki.Wiki, error) {
	config := wiki.Config{Dir: p.Wiki, Commit: true}
	if full, err := filepath.Abs(p.Wiki); err == nil && p.Wiki != "" {
		if cache, err := os.UserCacheDir(); err == nil {
			sum := sha256.Sum256([]byte(full))
			config.Index = filepath.Join(cache, "prunella", "wiki-"+hex.EncodeToString(sum[:8])+".db")
		}
	}
	w, err := wiki.Open(c.ctx, config)
	if err != nil && prunella.KindOf(err) == prunella.Unavailable && config.Index != "" {
		config.Index = "" // a cache that cannot be written is done without
		w, err = wiki.Open(c.ctx, config)
	}
	return w, err
}

type wikiCheckCmd struct {
	pages
	JSON bool `help:"Print JSON." name:"json"`
}

func (cmd wikiCheckCmd) Run(c *console) error {
	w, err := cmd.open(c)
	if err != nil {
		return err
	}
	defer w.Close()
	r := w.Check(time.Now())
	if cmd.JSON {
		err = printJSON(c.out, r)
	} else {
		c.wikiReport(r)
	}
	if err == nil && (len(r.Broken) > 0 || len(skill.Errors(r.Problems)) > 0) {
		err = errFailed
	}
	return err
}

// wikiReport prints what is wrong, worst first, and a line of sums.
func (c *console) wikiReport(r wiki.Report) {
	line := func(style, where, rule, text, remedy string) {
		if remedy != "" {
			text += "; " + remedy
		}
		fmt.Fprintf(c.out, "%s: %s: %s\n", where, c.paint(style, rule), text)
	}
	for _, p := range r.Problems {
		style := yellow
		if p.Severity == skill.SeverityError {
			style = red
		}
		line(style, fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column), p.Rule, p.Text, p.Remedy)
	}
	for _, b := range r.Broken {
		line(red, fmt.Sprintf("%s:%d:%d", b.From, b.Link.Line, b.Link.Column), b.Rule, b.Reason, b.Remedy)
	}
	for _, d := range r.Duplicates {
		line(yellow, strings.Join(d.Pages, ", "), d.Rule, d.Reason, "")
	}
	for _, o := range r.Orphans {
		line(yellow, o, "orphan", "no other page links to it", "")
	}
	for _, s := range r.Stale {
		line(yellow, s.Path, "stale", s.Reason, "")
	}
	for _, p := range r.Lint.Problems {
		line(yellow, fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column), p.Rule, p.Text, p.Remedy)
	}
	fmt.Fprintf(c.out, "%d pages, %d links: %d broken, %d orphans, %d stale, %d duplicates. %d skills: %d errors, %d warnings.\n",
		r.Pages, r.Links, len(r.Broken), len(r.Orphans), len(r.Stale), len(r.Duplicates), r.Lint.Skills, r.Lint.Errors, r.Lint.Warnings)
}

type wikiSearchCmd struct {
	pages
	Query     []string `arg:"" help:"What to look for. The last word may be half typed; quotes keep words together."`
	Kind      string   `help:"Only pages of a kind: skill, person, company, draft or page." enum:",skill,person,company,draft,page" default:""`
	Category  string   `help:"Only pages of a category."`
	Owner     string   `help:"Only pages of an owner."`
	Freshness string   `help:"Only fresh, due, stale or never verified pages." enum:",fresh,due,stale,never" default:""`
	Limit     int      `help:"At most so many." default:"20"`
	JSON      bool     `help:"Print JSON." name:"json"`
}

func (cmd wikiSearchCmd) Run(c *console) error {
	w, err := cmd.open(c)
	if err != nil {
		return err
	}
	defer w.Close()
	r, err := w.Search(c.ctx, wiki.Query{Text: strings.Join(cmd.Query, " "), Limit: cmd.Limit,
		Filter: wiki.Filter{Kind: wiki.PageKind(cmd.Kind), Category: cmd.Category, Owner: cmd.Owner, Freshness: cmd.Freshness}})
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(c.out, r)
	}
	switch {
	case len(r.Hits) == 0:
		fmt.Fprintln(c.err, "No page has that.")
	case r.Loose:
		fmt.Fprintln(c.err, "No page has all of these words; these have some:")
	}
	for _, h := range r.Hits {
		fmt.Fprintf(c.out, "%s  %s\n", c.pieces(h.Marked), c.paint(dim, h.Path))
		if len(h.Excerpt) > 0 {
			where := fmt.Sprintf("line %d", h.Line)
			if h.Heading != "" {
				where = h.Heading
			}
			fmt.Fprintf(c.out, "    %s %s\n", c.paint(dim, where+":"), c.pieces(h.Excerpt))
		}
	}
	if r.More {
		fmt.Fprintf(c.err, "There are more; see them with --limit %d.\n", 5*cmd.Limit)
	}
	return nil
}

// pieces shows what matched in bold.
func (c *console) pieces(list []wiki.Piece) string {
	var b strings.Builder
	for _, p := range list {
		if p.Mark {
			b.WriteString(c.paint(bold, p.Text))
		} else {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

type wikiRenameCmd struct {
	pages
	From   string `arg:"" help:"The page: its path, with or without ending, or its name."`
	To     string `arg:"" help:"Its new path, or a new name in the same folder."`
	DryRun bool   `help:"Only show what would change."`
	Author string `help:"Who renames, for git: 'Name <address>'. Default: git's own user." placeholder:"WHO"`
	Reason string `help:"Why, for git."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

func (cmd wikiRenameCmd) Run(c *console) error {
	if cmd.Wiki == "" {
		return &prunella.Error{Kind: prunella.Invalid, Op: "rename page", Reason: "the pages that come with Prunella cannot be renamed", Remedy: "name your own with --wiki DIR"}
	}
	w, err := cmd.open(c)
	if err != nil {
		return err
	}
	defer w.Close()
	r, err := w.Rename(c.ctx, wiki.Rename{From: cmd.From, To: cmd.To, Author: cmd.Author, Reason: cmd.Reason, DryRun: cmd.DryRun})
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(c.out, struct {
			wiki.Renamed
			DryRun      bool   `json:"dry_run"`
			Commit      string `json:"commit,omitempty"`
			Uncommitted string `json:"uncommitted,omitempty"`
		}{r, cmd.DryRun, r.Commit, r.Uncommitted})
	}
	verb := "Renamed"
	if cmd.DryRun {
		verb = "Would rename"
	}
	fmt.Fprintf(c.out, "%s %s to %s; pages with changes: %d\n", verb, r.From, r.To, len(r.Pages))
	for _, p := range r.Pages {
		for _, change := range p.Changes {
			fmt.Fprintf(c.out, "  %s:%d: %s -> %s\n", p.Path, change.Line, change.Old, change.New)
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintln(c.err, "prunella:", note)
	}
	switch {
	case r.Uncommitted != "":
		fmt.Fprintln(c.err, "prunella:", r.Uncommitted)
	case r.Commit != "":
		fmt.Fprintf(c.out, "Committed as %s.\n", r.Commit[:min(12, len(r.Commit))])
	}
	return nil
}
