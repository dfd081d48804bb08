package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"prunella"
	"prunella/client"
)

// pages is the wiki of the world: texts by path.
type pages struct {
	texts    map[string]string
	editable bool
	versions []client.WikiVersion
	said     []string // what was done, as a person reads it
}

const samText = "# Sam\n\nPlatform engineer at [[companies/acme]]. Reached as `@sam`.\n\n## Duties\n\n- First call for [[skills/auth-jwks-rotation-spike.skill|stale key sets]] and [[people/nobody]].\n- See [the company](../companies/acme.md#services), and [[#Duties]].\n"

const draftText = "---\nname: checkout-timeouts\ndescription: Use when checkout answers after ten seconds or more.\nmetadata:\n  version: 1.0.0-draft\n---\n\n# Checkout runs into timeouts\n\n## Resolution\n\n1. Raise the pool size.\n\n```sh\nkubectl set env deploy/payment POOL=40\n```\n"

func newPages(now time.Time) pages {
	return pages{editable: true, texts: map[string]string{
		"people/sam.md":     samText,
		"people/maya.md":    "# Maya\n\nDeliveries, and write-ups. See [[people/sam]].\n",
		"companies/acme.md": "# Acme Logistics\n\nAn invented shipper of parcels.\n\n## Services\n\n| service | what it does, in a few words that take some room on the line | owner |\n|---|---|---|\n| auth | issues tokens, rotates signing keys, and tells everybody | [[people/sam]] |\n| gateway | the door for browsers and apps | [[people/sam]] |\n",
		"notes/a-page-with-a-rather-long-name-that-somebody-chose.md": "# Notes\n\n`a_very_long_identifier_without_any_place_to_break_it_that_goes_on_and_on_and_on_for_ever`\n",
		"skills/jwt-signing-key-partial-distribution.skill.md":        "---\nname: jwt-signing-key-partial-distribution\n---\n" + partialMarkdown,
		"skills/auth-jwks-rotation-spike.skill.md":                    "---\nname: auth-jwks-rotation-spike\n---\n" + partialMarkdown,
		"drafts/checkout-timeouts.skill.md":                           draftText,
		"drafts/auth-jwks-rotation-spike.skill.md":                    "---\nname: auth-jwks-rotation-spike\nmetadata:\n  version: 1.1.0-draft\n---\n" + partialMarkdown + "\nA cache may also be emptied by a restart.\n",
	}, versions: []client.WikiVersion{
		{Commit: "1f3a5c7e9b2d4f6a8c0e1f3a5c7e9b2d4f6a8c0e", Author: "Maya", Time: now.Add(-26 * time.Hour), Reason: "Say who is called first", Path: "people/sam.md"},
		{Commit: "9b2d4f6a8c0e1f3a5c7e9b2d4f6a8c0e1f3a5c7e", Author: "Sam", Time: now.Add(-30 * 24 * time.Hour), Reason: "Begin", Path: "people/samuel.md"},
	}}
}

func (p *pages) hash(file string) string {
	sum := sha256.Sum256([]byte(p.texts[file]))
	return hex.EncodeToString(sum[:])
}

func (p *pages) address(file string) string {
	name := strings.TrimSuffix(strings.TrimSuffix(path.Base(file), ".md"), ".skill")
	switch folder := path.Dir(file); folder {
	case "people", "companies", "skills", "drafts":
		return "/" + folder + "/" + name
	}
	return "/wiki/page/" + file
}

func (p *pages) title(file string) string {
	_, after, _ := strings.Cut(p.texts[file], "# ")
	title, _, _ := strings.Cut(after, "\n")
	return title
}

func (p *pages) kind(file string) string {
	return map[string]string{"people": "person", "companies": "company", "skills": "skill", "drafts": "draft"}[path.Dir(file)]
}

func (p *pages) find(name string) (string, bool) {
	for _, file := range []string{name, name + ".md", name + ".skill.md"} {
		if _, ok := p.texts[file]; ok {
			return file, true
		}
	}
	return "", false
}

func (w *world) Editable() bool { return w.pages.editable }

func (w *world) WikiSearch(_ context.Context, q client.WikiQuery) (client.WikiResult, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := client.WikiResult{Hits: []client.WikiHit{}}
	for file, text := range w.pages.texts {
		kind := w.pages.kind(file)
		if q.Kind != "" && q.Kind != kind && !(q.Kind == "page" && kind == "") || q.Owner != "" && kind != "skill" {
			continue
		}
		at := strings.Index(strings.ToLower(text), strings.ToLower(q.Text))
		if at < 0 {
			continue
		}
		title := w.pages.title(file)
		if kind == "skill" {
			for _, s := range w.skills {
				if s.Skill.Path == file {
					title = s.Skill.Title
				}
			}
		}
		h := client.WikiHit{Path: file, URL: w.pages.address(file), Name: path.Base(file), Kind: kind, Title: title, Marked: []client.WikiPiece{{Text: title}}, Owners: []string{"@sam"}, Freshness: "due"}
		if q.Text != "" {
			h.Heading = "Symptoms"
			h.Excerpt = []client.WikiPiece{{Text: "… "}, {Text: text[at : at+len(q.Text)], Mark: true}, {Text: " <i>and</i> so on"}}
		}
		out.Hits = append(out.Hits, h)
	}
	slices.SortFunc(out.Hits, func(a, b client.WikiHit) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func (w *world) WikiPage(_ context.Context, name string) (client.WikiPage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	file, ok := w.pages.find(name)
	if !ok {
		return client.WikiPage{}, &prunella.Error{Kind: prunella.NotFound, Reason: "there is no page " + name}
	}
	text := w.pages.texts[file]
	v := client.WikiPage{Path: file, URL: w.pages.address(file), Name: strings.TrimSuffix(strings.TrimSuffix(path.Base(file), ".md"), ".skill"), Kind: w.pages.kind(file), Title: w.pages.title(file), Freshness: "due", Verified: w.ago(50 * 24 * time.Hour),
		Modified: w.ago(time.Hour), Hash: w.pages.hash(file), Text: text, Body: withoutFront(text), Editable: w.pages.editable, Owners: []string{"@sam"},
		Backlinks: []client.WikiBacklink{{Path: "people/maya.md", URL: "/people/maya", Title: "Maya", Line: 3}}, Problems: w.WikiLint(file, text)}
	if v.Kind == "draft" {
		v.Sources = []client.SourceThread{{Text: "#incidents · 2026-04-19 · maya", URL: "https://acme.slack.com/archives/C01/p1776600000000200"}}
	}
	return v, nil
}

// WikiLink knows pages and the one heading Duties.
func (w *world) WikiLink(from, inside string) client.WikiLink {
	inside, shown, _ := strings.Cut(inside, "|")
	name, heading, _ := strings.Cut(inside, "#")
	if strings.HasPrefix(name, "../") {
		name = path.Join(path.Dir(from), name)
	}
	l := client.WikiLink{Target: inside, Text: shown}
	if name == "" {
		name = from
	}
	file, ok := w.pages.find(name)
	if !ok {
		l.Broken = "there is no page " + name
		if l.Text == "" {
			l.Text = inside
		}
		return l
	}
	l.URL = w.pages.address(file)
	if heading != "" {
		l.URL += "#" + strings.ToLower(heading)
	}
	if l.Text == "" {
		l.Text = w.pages.title(file)
	}
	return l
}

func (w *world) WikiLint(_, text string) []client.SkillProblem {
	var out []client.SkillProblem
	for i, line := range strings.Split(text, "\n") {
		if strings.Contains(line, "nonsense") {
			out = append(out, client.SkillProblem{Line: i + 1, Severity: "error", Text: "nonsense is no kind of signal", Remedy: "write log, metric, alert or change"})
		}
	}
	return out
}

func (w *world) WikiCheck(context.Context) (client.WikiCheck, error) {
	sam := client.WikiRef{Path: "people/sam.md", URL: "/people/sam", Title: "Sam"}
	return client.WikiCheck{Pages: len(w.pages.texts), Links: 9, Broken: []client.WikiBroken{{From: sam, Target: "people/nobody", Line: 7, Rule: "broken-link", Reason: "there is no page people/nobody", Remedy: "did you mean people/sam?"}},
		Orphans: []client.WikiRef{{Path: "notes/old.md", URL: "/wiki/page/notes/old.md", Title: "Old notes"}}, Stale: []client.WikiStale{{Page: sam, Reason: "last verified 2025-12-01, 355 days ago", Days: 355}},
		Duplicates: []client.WikiDuplicate{{Rule: "same-title", Name: "Sam", Pages: []client.WikiRef{sam, sam}, Reason: "who searches cannot tell them apart"}},
		Problems:   []client.SkillProblem{{File: "skills/auth-jwks-rotation-spike.skill.md", Line: 12, Severity: "error", Text: "nonsense is no kind of signal"}}}, nil
}

func (w *world) WikiHistory(_ context.Context, file string) ([]client.WikiVersion, error) {
	if !w.pages.editable {
		return nil, nil
	}
	return w.pages.versions, nil
}

func (w *world) WikiDiff(_ context.Context, _, from, to string) ([]client.WikiLine, error) {
	var out []client.WikiLine
	for i := 1; i < 40; i++ {
		out = append(out, client.WikiLine{Op: "=", Text: fmt.Sprintf("line %d", i), Old: i, New: i})
	}
	return append(out, client.WikiLine{Op: "-", Text: "from " + from, Old: 40}, client.WikiLine{Op: "+", Text: "to " + to, New: 40}), nil
}

func (w *world) WikiSave(_ context.Context, e client.WikiEdit) (client.WikiSaved, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Contains(e.Path, "..") {
		return client.WikiSaved{}, &prunella.Error{Kind: prunella.Invalid, Reason: "a page's path stays inside the wiki"}
	}
	text, there := w.pages.texts[e.Path]
	switch {
	case !there && e.Base != "":
		return client.WikiSaved{Conflict: &client.WikiConflict{Gone: true}}, nil
	case there && e.Base != w.pages.hash(e.Path):
		c := &client.WikiConflict{Theirs: text, Hash: w.pages.hash(e.Path), Diff: []client.WikiLine{{Op: "-", Text: "theirs", Old: 1}, {Op: "+", Text: "mine", New: 1}}}
		if strings.Contains(text, "below") {
			c.Clean, c.Merged = true, e.Text+"\nand what stands below\n"
		}
		return client.WikiSaved{Conflict: c}, nil
	}
	w.pages.texts[e.Path] = e.Text
	w.pages.said = append(w.pages.said, fmt.Sprintf("%s saved %s: %s", e.By, e.Path, e.Reason))
	return client.WikiSaved{URL: w.pages.address(e.Path), Commit: "0123456789abcdef0123"}, nil
}

func (w *world) Draft(ctx context.Context, name string) (client.DraftView, error) {
	p, err := w.WikiPage(ctx, "drafts/"+name)
	v := client.DraftView{Page: p, Version: "1.0.0"}
	if name == "auth-jwks-rotation-spike" {
		v.Of, v.Was, v.Version = name, "v1.0.1", "1.1.0"
		v.Diff, _ = w.WikiDiff(ctx, "", "v1.0.1", "1.1.0")
	}
	return v, err
}

func (w *world) AcceptDraft(_ context.Context, name, hash, by string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	file := "drafts/" + name + ".skill.md"
	if hash != w.pages.hash(file) {
		return "", &prunella.Error{Kind: prunella.Conflict, Reason: "the draft was changed since you read it"}
	}
	w.pages.said = append(w.pages.said, by+" accepted "+name)
	delete(w.pages.texts, file)
	return "/skills/auth-jwks-rotation-spike", nil
}

func (w *world) DiscardDraft(_ context.Context, name, hash, by, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages.said = append(w.pages.said, by+" discarded "+name+": "+reason)
	delete(w.pages.texts, "drafts/"+name+".skill.md")
	return nil
}

func (w *world) MatchSkills(_ context.Context, text string) (client.SkillMatches, error) {
	return client.SkillMatches{Pattern: "auth/stale-jwks-cache", Recognized: "auth-jwks-rotation-spike", Reason: text, Matches: []client.SkillMatch{}}, nil
}

func (w *world) Own(address string) bool {
	return strings.HasPrefix(address, "https://prunella.acme.example/")
}

func (w *world) Runbook(_ context.Context, name string) (prunella.SkillName, error) {
	if name == "auth/stale-jwks-cache" || name == "StaleKeys" || name == "auth-jwks-rotation-spike" {
		return "auth-jwks-rotation-spike", nil
	}
	return "", &prunella.Error{Kind: prunella.NotFound, Reason: "no skill has this name", Remedy: "search the skills"}
}
