package wiki

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/skill"
)

// Report is what a look over the whole wiki found.
type Report struct {
	Pages      int             `json:"pages"`
	Links      int             `json:"links"`
	Broken     []BrokenLink    `json:"broken"`
	Orphans    []string        `json:"orphans"` // no other page links to them
	Stale      []StalePage     `json:"stale"`
	Duplicates []Duplicate     `json:"duplicates"`
	Problems   []skill.Problem `json:"problems"` // of files: unreadable, too large, front matter
	Lint       LintSummary     `json:"lint"`
}

// StalePage is a page that nobody has looked after for long.
type StalePage struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
	Days   int    `json:"days"`
}

// Duplicate is what two pages or more have in common and should not.
type Duplicate struct {
	Rule   string   `json:"rule"` // same-path: in any case, or but for .skill; same-name; same-title
	Name   string   `json:"name"`
	Pages  []string `json:"pages"`
	Reason string   `json:"reason"`
}

// LintSummary is what skill.Lint says about skills/, in sum.
type LintSummary struct {
	Skills   int             `json:"skills"`
	Errors   int             `json:"errors"`
	Warnings int             `json:"warnings"`
	Problems []skill.Problem `json:"problems"` // the errors
}

// OldPage is the age at which an unchanged page without a last-verified date is
// stale.
const OldPage = 365 * 24 * time.Hour

// Check looks over the whole wiki. The catalog is that of skill.Lint.
func (w *Wiki) Check(now time.Time, catalog ...prunella.Spec) Report {
	c := w.now.Load()
	w.mu.Lock()
	problems := slices.Clone(w.problems)
	w.mu.Unlock()
	r := Report{Pages: len(c.pages), Broken: w.Broken(), Orphans: []string{}, Stale: w.Stale(now), Duplicates: c.duplicates(), Problems: append([]skill.Problem{}, problems...), Lint: LintSummary{Problems: []skill.Problem{}}}
	for _, p := range w.Orphans() {
		r.Orphans = append(r.Orphans, p.Path)
	}
	for _, p := range c.sorted(func(*Page) bool { return true }) {
		r.Links += len(p.Links)
		r.Problems = append(r.Problems, p.Problems...)
		if p.Kind == Skill && strings.HasSuffix(p.Path, skill.Suffix) && p.Err() == nil {
			w.lint(p, &r.Lint, catalog)
		}
	}
	slices.SortFunc(r.Problems, func(a, b skill.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return r
}

func (w *Wiki) lint(p *Page, sum *LintSummary, catalog []prunella.Spec) {
	sum.Skills++
	b, err := readFile(w.pages, p.Path)
	if err != nil {
		return // it stands among the problems, or was just removed
	}
	d, err := skill.Parse(p.Path, b)
	if err != nil {
		sum.Errors++ // the page's own problem
		return
	}
	for _, q := range skill.Lint(d, catalog) {
		switch q.Severity {
		case skill.SeverityError:
			sum.Errors++
			sum.Problems = append(sum.Problems, q)
		case skill.SeverityWarning:
			sum.Warnings++
		}
	}
}

// Broken lists the links that lead nowhere, by page and line.
func (w *Wiki) Broken() []BrokenLink {
	c := w.now.Load()
	c.follow()
	out := append([]BrokenLink{}, c.bad...)
	guesses := 50 // a guess looks at every page
	for i := range out {
		if b := &out[i]; b.Rule == "broken-link" && guesses > 0 {
			guesses--
			if near := c.nearest(b.Link.Target); near != "" {
				b.Remedy = "did you mean " + near + "?"
			}
		}
	}
	return out
}

// Orphans lists the pages that no other page links to, by title. Drafts, and
// pages that are where one begins (README, index), are none.
func (w *Wiki) Orphans() []*Page {
	c := w.now.Load()
	c.follow()
	return c.sorted(func(p *Page) bool {
		begins := fold(p.Name) == "readme" || fold(p.Name) == "index" || fold(p.Name) == "home"
		return len(c.in[p.Path]) == 0 && p.Kind != Draft && !begins
	})
}

// Stale lists pages that were last verified too long ago, or were never
// verified and not changed for a year, oldest first.
func (w *Wiki) Stale(now time.Time) []StalePage {
	out := []StalePage{}
	for _, p := range w.now.Load().pages {
		at, reason := w.Verified(p), "last verified"
		if at.IsZero() {
			at, reason = p.Modified, "never verified, last changed"
			if p.Modified.IsZero() || now.Sub(at) <= OldPage {
				continue
			}
		} else if w.Freshness(p, now) != skill.Stale {
			continue
		}
		days := int(now.Sub(at).Hours() / 24)
		out = append(out, StalePage{p.Path, fmt.Sprintf("%s %s, %d days ago", reason, at.Format(time.DateOnly), days), days})
	}
	slices.SortFunc(out, func(a, b StalePage) int { return cmp.Or(cmp.Compare(b.Days, a.Days), cmp.Compare(a.Path, b.Path)) })
	return out
}

func (c *catalog) duplicates() []Duplicate {
	out := []Duplicate{}
	for name, list := range c.exact {
		if len(list) > 1 {
			out = append(out, Duplicate{"same-path", name, list, "their paths differ in case or .skill only: links cannot tell them apart, and some file systems cannot keep both"})
		}
	}
	skills, titles := map[string][]string{}, map[string][]string{}
	for _, p := range c.sorted(func(p *Page) bool { return p.Err() == nil }) {
		if name := p.Meta["name"]; p.Kind == Skill && name != "" {
			skills[name] = append(skills[name], p.Path)
		}
		title := string(p.Kind) + " " + fold(p.Title)
		titles[title] = append(titles[title], p.Path)
	}
	for name, list := range skills {
		if len(list) > 1 {
			out = append(out, Duplicate{"same-name", name, list, "two skills have this name; only one is loaded"})
		}
	}
	for _, list := range titles {
		if len(list) > 1 {
			out = append(out, Duplicate{"same-title", c.pages[list[0]].Title, list, "their titles are the same: who searches cannot tell them apart"})
		}
	}
	slices.SortFunc(out, func(a, b Duplicate) int { return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Name, b.Name)) })
	return out
}
