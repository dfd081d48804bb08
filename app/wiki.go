package app

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"prunella"
	"prunella/action"
	"prunella/client"
	"prunella/match"
	"prunella/skill"
	"prunella/wiki"
)

// openWiki opens the pages and loads the skills among them.
func (a *App) openWiki(ctx context.Context) error {
	verified := &lastVerified{outcomes: a.store.Outcomes}
	cfg := wiki.Config{Dir: a.cfg.Wiki, Index: filepath.Join(a.cfg.Data, "wiki.db"), Watch: true, Commit: true, Verified: verified.of, Log: a.log}
	good := ""
	if a.cfg.Wiki != "" {
		good = filepath.Join(a.cfg.Data, "skills")
	}
	var err error
	if a.wiki, err = wiki.Open(ctx, cfg); err != nil {
		return err
	}
	a.undo("wiki", a.wiki.Close)
	a.skills, err = openSkills(ctx, a.wiki, a.cfg.Exclude, action.Catalog(), good, a.log)
	return err
}

// followWiki takes changed skills into use and tells the pages.
func (a *App) followWiki(ctx context.Context) {
	changes := a.wiki.Changes(ctx)
	a.takeSkills(ctx) // what changed since they were loaded
	for batch := range changes {
		a.takeSkills(ctx)
		for _, c := range batch {
			a.hub.announce("wiki", c.Path)
		}
	}
}

func (a *App) takeSkills(ctx context.Context) {
	changed, err := a.skills.reload(ctx)
	if err != nil && ctx.Err() == nil {
		a.log.Error("take changed skills into use; those in use stay", "err", err)
	}
	for _, name := range changed {
		a.hub.announce("skills", string(name))
	}
}

// lastVerified says when runs last verified each skill. Searches ask it for
// every page they look at, so it is read anew at most every two seconds.
type lastVerified struct {
	outcomes func(context.Context, prunella.SkillName) ([]prunella.Outcome, error)

	mu   sync.Mutex
	read time.Time
	at   map[string]time.Time
}

func (l *lastVerified) of(name string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.read) > 2*time.Second {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		all, err := l.outcomes(ctx, "")
		if err != nil {
			return l.at[name] // the page that asks fails with the store itself
		}
		l.read, l.at = time.Now(), map[string]time.Time{}
		for _, o := range all {
			if o.Kind == "run" && o.X >= 1 && o.At.After(l.at[string(o.Skill)]) {
				l.at[string(o.Skill)] = o.At
			}
		}
	}
	return l.at[name]
}

// pageURL is where the page of a file is shown.
func (b backend) pageURL(file string) string {
	if f, ok := b.skills.byPath(file); ok {
		return "/skills/" + url.PathEscape(string(f.skill.Name))
	}
	folder, name := path.Split(file)
	bare := strings.TrimSuffix(name, ".md")
	switch {
	case folder == "people/" || folder == "companies/":
		return "/" + folder + url.PathEscape(bare)
	case folder == "drafts/" && strings.HasSuffix(name, skill.Suffix):
		return "/drafts/" + url.PathEscape(strings.TrimSuffix(name, skill.Suffix))
	}
	return (&url.URL{Path: "/wiki/page/" + file}).EscapedPath()
}

func anchored(address, anchor string) string {
	if anchor == "" {
		return address
	}
	return address + "#" + url.PathEscape(anchor)
}

func (b backend) ref(file string) client.WikiRef {
	r := client.WikiRef{Path: file, URL: b.pageURL(file), Title: file}
	if p, err := b.wiki.Find(file); err == nil {
		r.Title = p.Title
	}
	return r
}

func (b backend) Editable() bool { return b.wiki.Editable() }

func (b backend) WikiSearch(ctx context.Context, q client.WikiQuery) (client.WikiResult, error) {
	found, err := b.wiki.Search(ctx, wiki.Query{Text: q.Text, Limit: q.Limit, Filter: wiki.Filter{Kind: wiki.PageKind(q.Kind), Category: q.Category,
		Owner: q.Owner, Freshness: q.Freshness, Now: time.Now()}})
	if err != nil {
		return client.WikiResult{}, err
	}
	out := client.WikiResult{Hits: []client.WikiHit{}, Loose: found.Loose, More: found.More}
	for _, h := range found.Hits {
		out.Hits = append(out.Hits, client.WikiHit{Path: h.Path, URL: anchored(b.pageURL(h.Path), h.Anchor), Name: h.Name, Kind: string(h.Kind), Title: h.Title,
			Marked: pieces(h.Marked), Category: h.Category, Owners: h.Owners, Freshness: h.Freshness, Verified: h.Verified, Heading: h.Heading, Line: h.Line, Excerpt: pieces(h.Excerpt)})
	}
	return out, nil
}

func pieces(in []wiki.Piece) []client.WikiPiece {
	out := make([]client.WikiPiece, 0, len(in))
	for _, p := range in {
		out = append(out, client.WikiPiece(p))
	}
	return out
}

func (b backend) WikiPage(ctx context.Context, name string) (client.WikiPage, error) {
	p, text, err := b.wiki.Page(ctx, name)
	if err != nil {
		return client.WikiPage{}, err
	}
	now := time.Now()
	v := client.WikiPage{Path: p.Path, URL: b.pageURL(p.Path), Name: p.Name, Kind: string(p.Kind), Title: p.Title, Description: p.Description, Category: p.Category,
		Owners: p.Owners, Freshness: b.wiki.Freshness(p, now), Verified: b.wiki.Verified(p), Modified: p.Modified, Hash: p.Hash, Text: text, Body: text,
		Links: []client.WikiLink{}, Backlinks: b.backlinks(p.Path), Problems: problems(p.Problems), Editable: b.wiki.Editable()}
	if d, err := skill.Parse(p.Path, []byte(text)); err == nil {
		for _, key := range d.MetaKeys() {
			value, _ := d.Meta(key)
			v.Meta = append(v.Meta, client.WikiFact{Key: key, Value: value})
		}
		v.Body = d.Text(d.Body())
		v.Sources = sources(d)
	}
	if strings.HasSuffix(p.Path, skill.Suffix) {
		v.Problems = b.WikiLint(p.Path, text)
	}
	for _, l := range p.Links {
		if l.Markdown {
			continue
		}
		inside := l.Target
		if l.Heading != "" {
			inside += "#" + l.Heading
		}
		link := b.WikiLink(p.Path, inside)
		link.Line, link.Text = l.Line, cmp.Or(l.Text, link.Text)
		v.Links = append(v.Links, link)
	}
	return v, nil
}

func (b backend) backlinks(file string) []client.WikiBacklink {
	out := []client.WikiBacklink{}
	for _, l := range b.wiki.Backlinks(file) {
		if n := len(out); n > 0 && out[n-1].Path == l.From {
			continue // the first of a page stands for all
		}
		out = append(out, client.WikiBacklink{Path: l.From, URL: b.pageURL(l.From), Title: l.Title, Line: l.Link.Line})
	}
	return out
}

// sources are the conversations that a skill came from, as plain text: of a
// [[link]] its words stay.
func sources(d *skill.Document) []client.SourceThread {
	var out []client.SourceThread
	for _, s := range d.Provenance() {
		out = append(out, client.SourceThread{Text: linkRE.ReplaceAllString(s.Text, "$1$2"), Channel: s.Channel, Date: s.Date, People: s.People, URL: s.URL})
	}
	return out
}

// linkRE takes a [[folder/name]] or [[folder/name|words]] apart.
var linkRE = regexp.MustCompile(`\[\[(?:[^\]|]*\|([^\]]+)|(?:[^\]|]*/)?([^\]|/]+))\]\]`)

func problems(in []skill.Problem) []client.SkillProblem {
	out := []client.SkillProblem{}
	for _, p := range in {
		out = append(out, client.SkillProblem{File: p.File, Line: p.Line, Severity: p.Severity, Text: p.Text, Remedy: p.Remedy})
	}
	return out
}

// WikiLink says where [[inside]] leads that stands on the page from.
func (b backend) WikiLink(from, inside string) client.WikiLink {
	r := b.wiki.Resolve(from, inside)
	l := client.WikiLink{Target: inside, Text: r.Text, Broken: r.Broken}
	switch {
	case r.Path == from && r.Path != "" && r.Anchor != "":
		l.URL = "#" + url.PathEscape(r.Anchor)
	case r.Path != "":
		l.URL = anchored(b.pageURL(r.Path), r.Anchor)
	}
	return l
}

// WikiLint checks a text as the page that it is to be.
func (b backend) WikiLint(file, text string) []client.SkillProblem {
	return problems(b.lint(file, text))
}

func (b backend) lint(file, text string) []skill.Problem {
	d, err := skill.Parse(file, []byte(text))
	if err != nil {
		return unreadable(&wiki.Page{Path: file}, err)
	}
	var found []skill.Problem
	if strings.HasSuffix(file, skill.Suffix) {
		found = skill.Lint(d, b.skills.catalog)
	}
	found = append(found, skill.LintLinks(d, func(target string) bool {
		return b.wiki.Resolve(file, target).Path != ""
	})...)
	slices.SortStableFunc(found, func(x, y skill.Problem) int { return cmp.Compare(x.Line, y.Line) })
	return found
}

func (b backend) WikiCheck(context.Context) (client.WikiCheck, error) {
	r := b.wiki.Check(time.Now(), b.skills.catalog...)
	out := client.WikiCheck{Pages: r.Pages, Links: r.Links, Broken: []client.WikiBroken{}, Orphans: []client.WikiRef{}, Stale: []client.WikiStale{},
		Duplicates: []client.WikiDuplicate{}, Problems: problems(append(r.Problems, r.Lint.Problems...))}
	for _, l := range r.Broken {
		target := l.Link.Target
		if l.Link.Heading != "" {
			target += "#" + l.Link.Heading
		}
		out.Broken = append(out.Broken, client.WikiBroken{From: b.ref(l.From), Target: target, Line: l.Link.Line, Rule: l.Rule, Reason: l.Reason, Remedy: l.Remedy})
	}
	for _, file := range r.Orphans {
		out.Orphans = append(out.Orphans, b.ref(file))
	}
	for _, s := range r.Stale {
		out.Stale = append(out.Stale, client.WikiStale{Page: b.ref(s.Path), Reason: s.Reason, Days: s.Days})
	}
	for _, d := range r.Duplicates {
		dup := client.WikiDuplicate{Rule: d.Rule, Name: d.Name, Reason: d.Reason}
		for _, file := range d.Pages {
			dup.Pages = append(dup.Pages, b.ref(file))
		}
		out.Duplicates = append(out.Duplicates, dup)
	}
	return out, nil
}

func (b backend) WikiHistory(ctx context.Context, file string) ([]client.WikiVersion, error) {
	versions, err := b.wiki.History(ctx, file)
	if err != nil {
		return nil, err
	}
	out := []client.WikiVersion{}
	for _, v := range versions {
		out = append(out, client.WikiVersion{Commit: v.Commit, Author: v.Author, Time: v.Time, Reason: v.Reason, Path: v.Path})
	}
	return out, nil
}

func (b backend) WikiDiff(ctx context.Context, file, from, to string) ([]client.WikiLine, error) {
	found, err := b.wiki.Diff(ctx, file, from, to)
	return lines(found), err
}

func lines(in []wiki.Line) []client.WikiLine {
	out := make([]client.WikiLine, 0, len(in))
	for _, l := range in {
		out = append(out, client.WikiLine(l))
	}
	return out
}

func (b backend) WikiSave(ctx context.Context, e client.WikiEdit) (client.WikiSaved, error) {
	saved, err := b.wiki.Save(ctx, wiki.Edit{Path: e.Path, Base: e.Base, Text: e.Text, Author: e.By, Reason: e.Reason})
	var c *wiki.Conflict
	if errors.As(err, &c) {
		return client.WikiSaved{Conflict: &client.WikiConflict{Theirs: c.Theirs, Hash: c.Hash, Gone: c.Gone, Merged: c.Merged, Clean: c.Clean,
			Diff: lines(wiki.Compare(c.Theirs, c.Mine))}}, nil
	}
	if err != nil {
		return client.WikiSaved{}, err
	}
	b.takeSkills(ctx)
	return client.WikiSaved{URL: b.pageURL(saved.Page.Path), Commit: saved.Commit, Uncommitted: saved.Uncommitted}, nil
}

// Own tells whether an address is one of this server's.
func (b backend) Own(address string) bool {
	for _, own := range []string{b.publicURL(), b.URL()} {
		if rest, ok := strings.CutPrefix(address, strings.TrimRight(own, "/")); ok && strings.HasPrefix(rest, "/") {
			return true
		}
	}
	return false
}

// Runbook finds the skill that a name stands for: its own, one it had before
// (aliases in its metadata, or its file's name in git), its pattern or fault, or
// an alert's name that says the same in other letters.
func (b backend) Runbook(ctx context.Context, name string) (prunella.SkillName, error) {
	name = strings.Trim(strings.TrimSuffix(strings.TrimSuffix(name, ".md"), ".skill"), "/")
	files := b.skills.now.Load().files
	for _, same := range []func(installed) bool{
		func(f installed) bool { return string(f.skill.Name) == name },
		func(f installed) bool { return f.doc != nil && slices.Contains(aliases(f.doc), bare(name)) },
		func(f installed) bool { return f.skill.Pattern != "" && f.skill.Pattern == name },
		func(f installed) bool {
			return bare(string(f.skill.Name)) == bare(name) || bare(f.skill.Title) == bare(name)
		},
		func(f installed) bool { return f.skill.Fault != "" && bare(string(f.skill.Fault)) == bare(name) },
	} {
		if i := slices.IndexFunc(files, same); i >= 0 && bare(name) != "" {
			return files[i].skill.Name, nil
		}
	}
	if now := b.renamed.find(ctx, b.wiki, files, name); now != "" {
		return now, nil
	}
	return "", &prunella.Error{Kind: prunella.NotFound, Where: "runbook " + name, Reason: "no skill has this name, had it before, or lists it among its aliases",
		Remedy: "search the skills, or add the name to aliases in the metadata of the one that is meant"}
}

// renamed knows the names that skill files had before. Git is asked at most once
// a minute, and for the first skills only: each is a run of git.
type renamed struct {
	mu   sync.Mutex
	read time.Time
	was  map[string]prunella.SkillName
}

func (r *renamed) find(ctx context.Context, w *wiki.Wiki, files []installed, name string) prunella.SkillName {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.read) > time.Minute {
		r.read, r.was = time.Now(), map[string]prunella.SkillName{}
		for _, f := range files[:min(len(files), 100)] {
			versions, err := w.History(ctx, f.path)
			if err != nil {
				break // without git no file has another name
			}
			for _, v := range versions {
				r.was[strings.TrimSuffix(path.Base(v.Path), skill.Suffix)] = f.skill.Name
			}
		}
	}
	return r.was[name]
}

func aliases(d *skill.Document) []string {
	v, _ := d.Meta("aliases")
	var out []string
	for part := range strings.SplitSeq(v, ",") {
		if part = bare(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// bare is a name without what differs between KubePodCrashLooping and
// kube-pod-crash-looping.
func bare(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case strings.ContainsRune(" -_/.", r):
			return -1
		}
		return r
	}, name)
}

// mostMatched is how many skills an answer about a text names.
const mostMatched = 10

// MatchSkills asks the engine's own recognition about a text, then the search
// for pages that share its words.
func (b backend) MatchSkills(ctx context.Context, text string) (client.SkillMatches, error) {
	now := time.Now()
	var f match.Features
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && len(f.Texts) < 1000 {
			f.Texts = append(f.Texts, prunella.TextGroup{Template: line, Example: line, Count: 1, First: now, Last: now})
		}
	}
	if len(f.Texts) == 0 {
		return client.SkillMatches{}, &prunella.Error{Kind: prunella.Invalid, Where: "text", Reason: "there is no text to match", Remedy: "give the log lines or the description of the failure"}
	}
	m := match.Recognize(b.skills.list(), f, now)
	out := client.SkillMatches{Recognized: m.Skill, Pattern: m.Pattern, Reason: m.Reason.Text, Matches: []client.SkillMatch{}}
	at := map[prunella.SkillName]int{}
	for _, c := range m.Candidates {
		if len(c.Matched) == 0 || len(out.Matches) == mostMatched {
			continue
		}
		file, _ := b.skills.find(c.Skill)
		s := client.SkillMatch{Name: c.Skill, Title: file.skill.Title, URL: b.pageURL(file.path), Score: c.Score}
		for _, r := range c.Matched {
			s.Because = append(s.Because, r.Text)
		}
		at[c.Skill] = len(out.Matches)
		out.Matches = append(out.Matches, s)
	}
	found, err := b.wiki.Search(ctx, wiki.Query{Text: firstWords(text, 300), Limit: mostMatched, Filter: wiki.Filter{Kind: wiki.Skill, Now: now}})
	if err != nil {
		return out, err
	}
	for _, h := range found.Hits {
		var excerpt strings.Builder
		for _, p := range h.Excerpt {
			excerpt.WriteString(p.Text)
		}
		file, ok := b.skills.byPath(h.Path)
		i, there := at[file.skill.Name]
		switch {
		case there:
			out.Matches[i].Excerpt = excerpt.String()
		case ok && len(out.Matches) < mostMatched:
			out.Matches = append(out.Matches, client.SkillMatch{Name: file.skill.Name, Title: file.skill.Title, URL: b.pageURL(h.Path), Excerpt: excerpt.String()})
		}
	}
	return out, nil
}

// firstWords keeps a search from being asked a whole log.
func firstWords(text string, most int) string {
	if len(text) <= most {
		return text
	}
	if end := strings.LastIndexAny(text[:most], " \n\t"); end > 0 {
		return text[:end]
	}
	return strings.ToValidUTF8(text[:most], "")
}
