package web

import (
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"prunella"
	"prunella/client"
)

// maxPageForm bounds a form that carries a page, in bytes: a page of the
// greatest size, percent-encoded, and the other fields.
const maxPageForm = 13 << 20

// editPage is a page being written. Nothing that was typed is lost: whatever
// happens to a save, the text stands in the form again.
type editPage struct {
	Path     string
	Back     string // where the page is shown
	New      bool
	Base     string
	Text     string
	By       string
	Reason   string
	Editable bool
	Problems []client.SkillProblem
	Errors   int // of Problems
	Prose    template.HTML
	Conflict *client.WikiConflict
	Hunks    []hunk
	Refused  string // why it was not saved
	Remedy   string
}

// edit opens the editor: of a page, or of a new one.
func (s *server) edit(r *http.Request, _ time.Time) (view, error) {
	p := editPage{Path: strings.TrimPrefix(r.URL.Query().Get("path"), "/"), By: nameOf(r), Back: "/wiki"}
	page, err := s.backend.WikiPage(r.Context(), p.Path)
	switch {
	case err == nil && (page.Path == p.Path || page.Path == p.Path+".md" || page.Path == p.Path+".skill.md"):
		p.Path, p.Base, p.Text, p.Back = page.Path, page.Hash, page.Text, page.URL
	case err == nil || prunella.KindOf(err) == prunella.NotFound:
		p.New, p.Text = true, blank(p.Path)
	default:
		return view{}, err
	}
	return s.editView(p)
}

func (s *server) editView(p editPage) (view, error) {
	if err := s.looked(&p); err != nil {
		return view{}, err
	}
	title := "Edit " + p.Path
	if p.New {
		title = "New page"
	}
	return view{Template: "wiki_edit", Title: title, Nav: "wiki", Body: p}, nil
}

// looked fills in what can be said of the text: lint and preview.
func (s *server) looked(p *editPage) error {
	p.Editable = s.backend.Editable()
	p.Problems = s.backend.WikiLint(p.Path, p.Text)
	p.Errors = 0
	for _, q := range p.Problems {
		if q.Severity == "error" {
			p.Errors++
		}
	}
	var err error
	p.Prose, err = s.prose(p.Path, withoutFront(p.Text))
	return err
}

// withoutFront is a page's text without its front matter.
func withoutFront(text string) string {
	lines := strings.SplitAfter(text, "\n")
	if strings.TrimRight(lines[0], " \t\r\n") != "---" {
		return text
	}
	for i, l := range lines[1:] {
		if strings.TrimRight(l, " \t\r\n") == "---" {
			return strings.Join(lines[i+2:], "")
		}
	}
	return text
}

// saveEdit takes the editor's form: a preview, or a save.
func (s *server) saveEdit(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxPageForm)
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, &prunella.Error{Kind: prunella.TooLarge, Reason: "the form could not be read, so nothing was saved", Remedy: "Go back: your text is still there. A page may have 4 MiB", Err: err})
		return
	}
	p := editPage{Path: strings.TrimSpace(r.PostFormValue("path")), Base: r.PostFormValue("base"), Text: r.PostFormValue("text"),
		By: strings.TrimSpace(r.PostFormValue("by")), Reason: strings.TrimSpace(r.PostFormValue("reason")), Back: "/wiki"}
	p.New = p.Base == ""
	if page, err := s.backend.WikiPage(r.Context(), p.Path); err == nil && page.Path == p.Path {
		p.Back = page.URL
		p.Text = lineEndings(p.Text, page.Text)
	} else {
		p.Text = lineEndings(p.Text, "")
	}
	status := http.StatusOK
	switch r.PostFormValue("do") {
	case "merged":
		p.Text = lineEndings(r.PostFormValue("merged"), p.Text)
	case "save":
		next, code, err := s.save(r, &p)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if next != "" {
			rememberName(w, p.By)
			http.Redirect(w, r, next, http.StatusSeeOther)
			return
		}
		status = code
	}
	now := time.Now()
	v, err := s.editView(p)
	if err == nil {
		err = s.render.page(w, status, s.frame(r, now, v))
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

// save writes the page and says where to go, or what stands in the way.
func (s *server) save(r *http.Request, p *editPage) (next string, status int, err error) {
	if p.By == "" {
		p.Refused, p.Remedy = "Whoever edits says who they are, and no name was given. Nothing was saved.", "Fill in your name below; your text is still here."
		return "", http.StatusBadRequest, nil
	}
	saved, err := s.backend.WikiSave(r.Context(), client.WikiEdit{Path: p.Path, Base: p.Base, Text: p.Text, By: p.By, Reason: p.Reason})
	if err != nil {
		problem := s.problem(r, err)
		p.Refused, p.Remedy = upper(problem.Detail)+". Nothing was saved; your text is still here.", problem.Remedy
		return "", problem.Status, nil
	}
	if c := saved.Conflict; c != nil {
		p.Conflict, p.Hunks, p.Base = c, hunks(c.Diff), c.Hash
		p.New = c.Gone
		return "", http.StatusConflict, nil
	}
	word := url.Values{"saved": {"file"}}
	switch {
	case saved.Commit != "":
		word.Set("saved", saved.Commit[:min(12, len(saved.Commit))])
	case saved.Uncommitted != "":
		s.log.Warn("page saved but not committed", "page", p.Path, "why", saved.Uncommitted)
		word.Set("saved", "uncommitted")
	}
	return saved.URL + "?" + word.Encode(), 0, nil
}

var commitHash = regexp.MustCompile(`^[0-9a-f]{7,12}$`)

// savedWord says once, after an edit, what became of it.
func savedWord(r *http.Request) string {
	switch saved := r.URL.Query().Get("saved"); {
	case saved == "file":
		return "Saved. The folder is no git repository, so there is no history of it."
	case saved == "uncommitted":
		return "Saved, but not committed to git; the server's log says why."
	case commitHash.MatchString(saved):
		return "Saved, and committed as " + saved + "."
	}
	return ""
}

// lineEndings gives a text from a form, whose lines end in CRLF, the line
// endings of the page.
func lineEndings(text, like string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if crlf := strings.Count(like, "\r\n"); crlf > 0 && 2*crlf > strings.Count(like, "\n") {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text
}

// blank is what a new page begins with.
func blank(file string) string {
	switch {
	case strings.HasPrefix(file, "people/"):
		return "# Name\n\nWhat they do, and what they own. Reached as `@name`.\n\n- First call for [[skills/…]].\n"
	case strings.HasPrefix(file, "companies/"):
		return "# Company\n\nWho they are.\n\n## Services\n\n| service | what it does | owner |\n|---|---|---|\n\n## Environments\n\n## Status pages\n\n## Who to call\n"
	case strings.HasPrefix(file, "skills/"):
		name := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(file, "skills/"), ".md"), ".skill")
		return "---\nname: " + name + "\ndescription: Use when …\nmetadata:\n  title: …\n  category: engineering\n  trigger: \"…\"\n  version: v0.1.0\n  owners: \"@…\"\n---\n\n# …\n\n## Symptoms\n\n- \n\n## Diagnosis (3 min)\n\n1. \n\n## Resolution (5 min)\n\n1. \n\n## Escalation\n\n- \n"
	}
	return "# Title\n\n"
}

// draftPage is a skill to be, that a person reads before it may be used.
type draftPage struct {
	D     client.DraftView
	Prose template.HTML
	Hunks []hunk
	Edit  string
	Name  string // of the reader
	Saved string
}

func (s *server) draft(r *http.Request, _ time.Time) (view, error) {
	d, err := s.backend.Draft(r.Context(), r.PathValue("name"))
	if err != nil {
		return view{}, err
	}
	p := draftPage{D: d, Hunks: hunks(d.Diff), Edit: editURL(d.Page.Path), Name: nameOf(r), Saved: savedWord(r)}
	p.Prose, err = s.prose(d.Page.Path, d.Page.Body)
	return view{Template: "draft", Title: d.Page.Title, Nav: "skills", Topics: "wiki:" + d.Page.Path, Body: p}, err
}

// decideDraft is the form of the draft's page.
func (s *server) decideDraft(w http.ResponseWriter, r *http.Request) (string, error) {
	by, hash, name := strings.TrimSpace(r.PostFormValue("by")), r.PostFormValue("hash"), r.PathValue("name")
	if by == "" {
		return "", needsName
	}
	rememberName(w, by)
	switch r.PostFormValue("decision") {
	case "accept":
		return s.backend.AcceptDraft(r.Context(), name, hash, by)
	case "discard":
		return "/skills", s.backend.DiscardDraft(r.Context(), name, hash, by, r.PostFormValue("note"))
	}
	return "", &prunella.Error{Kind: prunella.Invalid, Where: "decision", Reason: "a draft is accepted or discarded, and nothing else"}
}
