package web

import (
	"cmp"
	"context"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/client"
)

// skillsPage answers: what do we know how to heal?
type skillsPage struct {
	Filter     skillFilter
	Names      []string // of categories
	Owners     []string
	Categories []skillCategory
	Found      []skillRow // by rank, when words are searched for
	Loose      bool
	More       int // rows left out
	Total      int
	Broken     int
	Fresh      map[string]int
	Drafts     []draftRow
	Editable   bool
}

// draftRow is a draft, and whether there is a skill of its name, which it would change.
type draftRow struct {
	client.WikiHit
	Change bool
}

// skillFilter is the form of the page.
type skillFilter struct{ Query, Category, Owner, Freshness string }

// Any tells whether anything is filtered.
func (f skillFilter) Any() bool { return f != skillFilter{} }

type skillCategory struct {
	Name   string
	Skills []skillRow
}

type skillRow struct {
	V       client.SkillView
	Excerpt []client.WikiPiece
	Rests   string // "2 runs, 1 conversation": what the confidence rests on
}

// mostRows bounds a list of skills; who has more searches.
const mostRows = 300

func (s *server) skills(r *http.Request, _ time.Time) (view, error) {
	all, err := s.backend.Skills(r.Context())
	if err != nil {
		return view{}, err
	}
	q := r.URL.Query()
	p := skillsPage{Total: len(all), Fresh: map[string]int{}, Filter: skillFilter{Query: strings.TrimSpace(q.Get("q")), Category: q.Get("category"), Owner: q.Get("owner"), Freshness: q.Get("freshness")}}
	byPath := map[string]client.SkillView{}
	names, owners := map[string]bool{}, map[string]bool{}
	var kept []client.SkillView
	for _, v := range all {
		names[categoryOf(v)] = true
		for _, o := range v.Skill.Owners {
			owners[o] = true
		}
		p.Fresh[v.Freshness]++
		p.Editable = p.Editable || v.Editable
		if len(v.Broken) > 0 {
			p.Broken++
		}
		if (p.Filter.Category == "" || categoryOf(v) == p.Filter.Category) && (p.Filter.Owner == "" || slices.Contains(v.Skill.Owners, p.Filter.Owner)) &&
			(p.Filter.Freshness == "" || v.Freshness == p.Filter.Freshness) {
			byPath[v.Skill.Path] = v
			kept = append(kept, v)
		}
	}
	p.Names, p.Owners = slices.Sorted(maps.Keys(names)), slices.Sorted(maps.Keys(owners))
	drafts, err := s.backend.WikiSearch(r.Context(), client.WikiQuery{Kind: "draft", Limit: 200})
	if err != nil {
		return view{}, err
	}
	for _, d := range drafts.Hits {
		p.Drafts = append(p.Drafts, draftRow{d, slices.ContainsFunc(all, func(v client.SkillView) bool { return string(v.Skill.Name) == d.Name })})
	}
	if p.Filter.Query == "" {
		p.categories(kept)
	} else {
		found, err := s.backend.WikiSearch(r.Context(), client.WikiQuery{Text: p.Filter.Query, Kind: "skill", Limit: 200})
		if err != nil {
			return view{}, err
		}
		p.Loose = found.Loose
		for _, h := range found.Hits {
			if v, ok := byPath[h.Path]; ok {
				p.Found = append(p.Found, rowFor(v, h.Excerpt))
			}
		}
	}
	return view{Template: "skills", Title: "Skills", Nav: "skills", Topics: "skills wiki", Body: p}, nil
}

func (p *skillsPage) categories(skills []client.SkillView) {
	p.More = max(0, len(skills)-mostRows)
	at := map[string]int{}
	slices.SortStableFunc(skills, func(a, b client.SkillView) int {
		return cmp.Or(cmp.Compare(categoryOf(a), categoryOf(b)), cmp.Compare(a.Skill.Name, b.Skill.Name))
	})
	for _, v := range skills[:len(skills)-p.More] {
		name := categoryOf(v)
		i, ok := at[name]
		if !ok {
			i = len(p.Categories)
			at[name] = i
			p.Categories = append(p.Categories, skillCategory{Name: name})
		}
		p.Categories[i].Skills = append(p.Categories[i].Skills, rowFor(v, nil))
	}
}

func categoryOf(v client.SkillView) string { return cmp.Or(v.Skill.Category, "no category") }

func rowFor(v client.SkillView, excerpt []client.WikiPiece) skillRow {
	row := skillRow{V: v, Excerpt: excerpt}
	row.Rests = evidence(v)
	return row
}

// evidence counts what a confidence rests on, by kind.
func evidence(v client.SkillView) string {
	n := map[string]int{}
	for _, t := range v.Trust.Terms {
		n[t.Kind]++
	}
	var parts []string
	for _, k := range []struct{ kind, one string }{{"run", "run"}, {"scenario", "scenario"}, {"person", "word"}, {"thread", "conversation"}} {
		if n[k.kind] > 0 {
			parts = append(parts, count(n[k.kind], k.one))
		}
	}
	return strings.Join(parts, ", ")
}

// provable is a skill that acts, so that a drill shows what it is worth; "" when
// none does.
func (s *server) provable(ctx context.Context) (prunella.SkillName, error) {
	all, err := s.backend.Skills(ctx)
	if err != nil {
		return "", err
	}
	for _, v := range all {
		switch v.Policy.Allowed {
		case prunella.AllowUnattended, prunella.AllowApproval, prunella.AllowLater:
			return v.Skill.Name, nil
		}
	}
	return "", nil
}

// proveCommand runs the scenarios of a skill and leaves their reports with the
// server at host.
func proveCommand(name prunella.SkillName, host string) string {
	if name == "" {
		name = "NAME"
	}
	return "prunella skill prove " + string(name) + " --server http://" + host
}

// skillPage answers: what do I do, and may I trust it?
type skillPage struct {
	V      client.SkillView
	Prose  template.HTML
	Course plot
	Moves  []move
	Rests  string  // "2 runs, 1 conversation": what the confidence rests on
	Alike  []crumb // alternates: skills, or faults to search for
	Edit   string  // address of the editor
	Saved  string  // said once after an edit
}

// move is one piece of evidence, and where it can be looked at.
type move struct {
	client.TrustTerm
	Text, URL string
}

func (s *server) skill(r *http.Request, now time.Time) (view, error) {
	v, err := s.backend.Skill(r.Context(), prunella.SkillName(r.PathValue("name")))
	if err != nil {
		return view{}, err
	}
	sk := v.Skill
	p := skillPage{V: v, Edit: editURL(sk.Path), Saved: savedWord(r)}
	if p.Prose, err = s.prose(sk.Path, v.Markdown); err != nil {
		return view{}, err
	}
	for _, name := range sk.Alternates {
		link := s.backend.WikiLink(sk.Path, "skills/"+name)
		p.Alike = append(p.Alike, crumb{name, cmp.Or(link.URL, "/skills?"+url.Values{"q": {name}}.Encode())})
	}
	p.Rests = evidence(v)
	incidents := map[string]prunella.IncidentID{}
	for _, run := range v.Runs {
		incidents[string(run.ID)] = run.Incident
	}
	address := func(kind, ref string) string { return evidenceURL(kind, ref, incidents) }
	for _, t := range v.Trust.Terms {
		p.Moves = append(p.Moves, move{t, evidenceText(t), address(t.Kind, t.Ref)})
	}
	slices.SortStableFunc(p.Moves, func(a, b move) int { return b.At.Compare(a.At) })
	p.Course = coursePlot(v.Course, v.Trust.Needed, now, address)
	return view{Template: "skill", Title: cmp.Or(sk.Title, string(sk.Name)), Nav: "skills", Topics: "skills:" + string(sk.Name) + " reports wiki:" + sk.Path, Body: p}, nil
}

// evidenceURL is where the run, report or conversation behind an outcome can be
// read, "" when that is not known.
func evidenceURL(kind, ref string, incidents map[string]prunella.IncidentID) string {
	switch {
	case incidents[ref] != "":
		return "/incidents/" + url.PathEscape(string(incidents[ref])) + "#plan"
	case kind == "scenario":
		return "/reports/" + url.PathEscape(ref)
	case strings.HasPrefix(ref, "https://") || strings.HasPrefix(ref, "http://"):
		return ref
	}
	return ""
}

// evidenceText says which run, report, person or conversation an outcome is of.
func evidenceText(t client.TrustTerm) string {
	switch {
	case t.Kind == "person":
		return cmp.Or(strings.Trim(t.By+": "+t.Note, ": "), t.Ref)
	case t.Kind == "scenario" && t.Note != "":
		return t.Note
	case t.Kind == "thread":
		return t.Ref
	}
	return short(t.Ref)
}

func editURL(file string) string { return "/wiki/edit?" + url.Values{"path": {file}}.Encode() }
